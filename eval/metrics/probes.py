"""Bad drawings that no critic is taught: rings, patchwork, caves, hatching, quarters of two sprites, rubble.

They stand for what others will try. Families as in `corruptions`: (grid, other, palette, rng) → grid. Source: this project.
"""

import numpy as np
from scipy import ndimage

from eval.metrics.corruptions import UNSEEN, Corruption, by_lightness, control, own, ranked


def rings(grid, other, palette, rng):
    """Rings about the middle that alternate between two of the sprite's entries."""
    y, x = np.indices(grid.shape)
    away = np.hypot(y - (grid.shape[0] - 1) / 2, x - (grid.shape[1] - 1) / 2)
    inside = away <= rng.uniform(0.35, 0.5) * min(grid.shape)
    return np.where(inside, rng.choice(own(grid), 2)[(away / rng.uniform(1, 2)).astype(int) % 2], 0).astype(np.uint8)


def patchwork(grid, other, palette, rng):
    """The cells of a Voronoi diagram inside the silhouette."""
    count = rng.integers(4, 12)
    seeds = rng.random((count, 2)) * grid.shape
    places = np.moveaxis(np.indices(grid.shape), 0, -1)[..., None, :]
    nearest = ((places - seeds) ** 2).sum(-1).argmin(-1)
    return np.where(grid > 0, rng.choice(own(grid), count)[nearest], 0).astype(np.uint8)


def living_cells(grid, other, palette, rng):
    """Four steps of the 'majority' automaton from noise: caves, in the sprite's entries from top to bottom."""
    alive = rng.random(grid.shape) < 0.45
    for _ in range(4):
        alive = ndimage.uniform_filter(alive.astype(float), 3, mode="constant") > 0.5
    return ranked(alive, -np.indices(grid.shape)[0].astype(float), by_lightness(own(grid), palette)) if alive.any() else grid * 0


def hatched(grid, other, palette, rng):
    """Each second pixel of the sprite, checkerwise or line by line, transparent or dark."""
    rows, columns = np.indices(grid.shape)
    gone = ((rows + columns) % 2 if rng.random() < 0.5 else rows % 2) == 0
    return np.where(gone, 0 if rng.random() < 0.5 else by_lightness(own(grid), palette)[0], grid).astype(np.uint8)


def four_quarters(grid, other, palette, rng):
    """Quarters of two sprites by turns."""
    rows, columns = np.indices(grid.shape)
    return np.where((rows < grid.shape[0] // 2) ^ (columns < grid.shape[1] // 2), grid, other).astype(np.uint8)


def rubble(grid, other, palette, rng):
    """The sprite's pixels fallen to the floor, column by column, the lightest on top."""
    out = np.zeros_like(grid)
    for column in range(grid.shape[1]):
        pixels = by_lightness(grid[:, column][grid[:, column] > 0], palette)
        out[grid.shape[0] - len(pixels) :, column] = pixels[::-1]
    return out


PROBES: dict[str, Corruption] = {
    function.__name__.replace("_", " "): function for function in (rings, patchwork, living_cells, hatched, four_quarters, rubble)
}

UNSEEN_FAMILIES = {**{name: control(name) for name in UNSEEN}, **PROBES}
