"""Bad drawings that teach a critic what a sprite is not, and others that only test it.

`TAUGHT` are half of the degenerate controls, `UNSEEN` the other half: those are never in a critic's training, but each
has a relative there (noise 2x2: noise; stripes: checkerboard; shuffled pixels: scrambled shape, jumbled insides; half
erased: holes; shaded disc: lumps, shaded boxes and polygons). `another subject` is a perfect sprite: that is the category's
business. `CORRUPTIONS` are further taught families; `probes.PROBES` are further ones that are never taught.

Every family is (grid, other, palette, rng) → grid: (H, W) uint8 index grids of one size, `other` from another sprite;
the same sprites, palette and state of rng give the same drawing. Source: this project.
"""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from data_prep.palette import Palette
from eval.controls import GRID_CONTROLS, shading

TAUGHT = ("noise", "checkerboard", "blank", "plain square", "right palette, scrambled shape")
UNSEEN = ("noise 2x2", "stripes", "shuffled pixels", "half erased", "shaded disc")
LEAST = 0.08  # of the drawn pixels: a corruption that changes fewer is tried again

Corruption = Callable[[np.ndarray, np.ndarray, Palette, np.random.Generator], np.ndarray]


def field(shape: tuple[int, int], rng: np.random.Generator, low: float = 0.06, high: float = 0.25) -> np.ndarray:
    """(H, W) smooth random field, mean 0 and spread 1; its blur is low…high of the shorter side."""
    smooth = ndimage.gaussian_filter(rng.standard_normal(shape), rng.uniform(low, high) * min(shape), mode="reflect")
    return (smooth - smooth.mean()) / max(smooth.std(), 1e-9)


def own(grid: np.ndarray) -> np.ndarray:
    """The opaque pixels of a grid, at least one."""
    return grid[grid > 0] if grid.any() else np.ones(1, np.uint8)


def by_lightness(entries: np.ndarray, palette: Palette) -> np.ndarray:
    return entries[np.argsort(palette.oklab[entries - 1, 0], kind="stable")]


def scatter(grid, rng, low, high):
    return rng.random(grid.shape) < rng.uniform(low, high)


def patch(grid, rng, low, high):
    """A smooth region or a rectangle that holds low…high of what is drawn."""
    if rng.random() < 0.5:
        height = field(grid.shape, rng)
        inside = height[grid > 0] if grid.any() else height
        return height >= np.quantile(inside, 1 - rng.uniform(low, high))
    rows, columns = np.nonzero(grid) if grid.any() else np.nonzero(grid == 0)
    middle, share = rng.integers(len(rows)), rng.uniform(low, high)
    down, across = (np.ptp(line) + 1 for line in (rows, columns))
    stretch = rng.uniform(0.6, 1.6)
    tall, wide = (max(1.5, side * share**0.5 / 2 * by) for side, by in ((down, stretch), (across, 1 / stretch)))
    y, x = np.indices(grid.shape)
    return (abs(y - rows[middle]) <= tall) & (abs(x - columns[middle]) <= wide)


def oblique(grid, rng):
    """One side of a slanting line through the middle of what is drawn: never level, never upright."""
    angle = rng.choice([-1, 1]) * rng.uniform(0.35, 1.2) + (np.pi if rng.random() < 0.5 else 0)
    y, x = np.indices(grid.shape)
    side = y * np.cos(angle) + x * np.sin(angle)
    return side >= np.quantile(side[grid > 0] if grid.any() else side, rng.uniform(0.35, 0.65))


def speckled(grid, other, palette, rng):
    """Noise on some pixels, from the whole palette or the opaque part of it."""
    where = scatter(grid, rng, 0.08, 0.6)
    return np.where(where, rng.integers(rng.integers(2), len(palette), grid.shape), grid).astype(np.uint8)


def own_speckled(grid, other, palette, rng):
    where = scatter(grid, rng, 0.15, 0.7) & (ndimage.binary_dilation(grid > 0) if rng.random() < 0.5 else True)
    return np.where(where, rng.choice(np.append(own(grid), 0), grid.shape), grid).astype(np.uint8)


def noisy_patch(grid, other, palette, rng):
    where = patch(grid, rng, 0.25, 0.7)
    return np.where(where, rng.integers(0, len(palette), grid.shape), grid).astype(np.uint8)


def jumbled(grid, other, palette, rng):
    """Pixels of a region, or of the whole silhouette, in another order."""
    where = (grid > 0) if rng.random() < 0.4 else patch(grid, rng, 0.4, 0.8)
    out = grid.copy()
    out[where] = rng.permutation(out[where])
    return out


def swapped_pixels(grid, other, palette, rng):
    """Pixels change places with near ones: what a blur is to photographs."""
    reach = rng.uniform(0.8, 2.5)
    return _moved(grid, rng.normal(0, reach, (2, *grid.shape)))


def _moved(grid: np.ndarray, by: np.ndarray) -> np.ndarray:
    places = [
        np.clip(np.round(line + step), 0, line.max()).astype(int) for line, step in zip(np.indices(grid.shape), by, strict=True)
    ]
    return grid[places[0], places[1]]


def warped(grid, other, palette, rng):
    strength = rng.uniform(0.1, 0.3) * min(grid.shape)
    return _moved(grid, np.stack([field(grid.shape, rng, 0.06, 0.16) for _ in range(2)]) * strength)


def rows_shifted(grid, other, palette, rng):
    """Each line, or each second or third, rolled by its own way."""
    turned = grid if rng.random() < 0.5 else grid.T
    steps = np.repeat(rng.integers(-5, 6, len(turned)), rng.integers(1, 4))[: len(turned)]
    out = np.stack([np.roll(line, step) for line, step in zip(turned, steps, strict=True)])
    return out if turned is grid else out.T


def smeared(grid, other, palette, rng):
    """From some line on, each line repeats the one before it."""
    turned = np.rot90(grid, turns := int(rng.integers(4))).copy()
    lines = np.flatnonzero(turned.any(1)) if grid.any() else np.arange(len(turned))
    start = lines[int(rng.uniform(0.2, 0.6) * len(lines))]
    turned[start:] = turned[start]
    return np.rot90(turned, -turns)


def holes(grid, other, palette, rng):
    """Patches, scattered pixels or a slanting half made transparent."""
    kind = rng.integers(3)
    where = patch(grid, rng, 0.3, 0.6) if kind == 0 else scatter(grid, rng, 0.12, 0.6) if kind == 1 else oblique(grid, rng)
    return np.where(where, 0, grid).astype(np.uint8)


def pasted(grid, other, palette, rng):
    """A patch of another sprite, whatever it covers."""
    return np.where(patch(grid, rng, 0.3, 0.6), np.roll(other, rng.integers(-3, 4, 2), (0, 1)), grid).astype(np.uint8)


def mixed(grid, other, palette, rng):
    """Two sprites: cut along a slanting line, or woven pixel by pixel."""
    where = oblique(grid, rng) if rng.random() < 0.6 else scatter(grid, rng, 0.3, 0.7)
    return np.where(where, other[:, :: rng.choice([-1, 1])], grid).astype(np.uint8)


def swapped_blocks(grid, other, palette, rng):
    """Some pairs of blocks change places."""
    out = grid.copy()
    for _ in range(rng.integers(2, 6)):
        side = rng.integers(3, max(4, min(grid.shape) // 2) + 1)
        (a, b), (c, d) = (rng.integers(0, np.array(grid.shape) - side + 1) for _ in range(2))
        first, second = out[a : a + side, b : b + side].copy(), out[c : c + side, d : d + side].copy()
        out[c : c + side, d : d + side], out[a : a + side, b : b + side] = first, second
    return out


def wrong_steps(grid, other, palette, rng):
    """The same areas, other colours: the sprite's own entries dealt anew, or any entries."""
    entries = np.unique(grid[grid > 0])
    table = np.arange(len(palette), dtype=np.uint8)
    table[entries] = rng.permutation(entries) if rng.random() < 0.6 else rng.integers(1, len(palette), len(entries))
    return table[grid]


def flat_silhouette(grid, other, palette, rng):
    """The outline filled with one entry, with or without a rim."""
    drawn, colours = grid > 0, rng.choice(own(grid), 2)
    rim = drawn & ~ndimage.binary_erosion(drawn)
    return np.where(drawn, np.where(rim & (rng.random() < 0.5), colours[1], colours[0]), 0).astype(np.uint8)


def filled_silhouette(grid, other, palette, rng):
    """The silhouette filled with clouds or with steps of depth in the sprite's own entries."""
    drawn = grid > 0
    height = field(grid.shape, rng, 0.04, 0.15)
    if rng.random() < 0.4:
        height = ndimage.distance_transform_edt(np.pad(drawn, 1))[1:-1, 1:-1] + 0.3 * height
    return ranked(drawn, height, by_lightness(own(grid), palette))


def ranked(drawn: np.ndarray, height: np.ndarray, entries: np.ndarray) -> np.ndarray:
    """Entries, in order, laid over the drawn pixels by height."""
    out = np.zeros(drawn.size, np.uint8)
    places = np.flatnonzero(drawn)
    order = places[np.argsort(height.ravel()[places], kind="stable")]
    out[order] = entries[np.linspace(0, len(entries) - 1, len(order)).astype(int)]
    return out.reshape(drawn.shape)


def outline(grid, other, palette, rng):
    drawn = grid > 0
    return np.where(drawn & ~ndimage.binary_erosion(drawn, iterations=int(rng.integers(1, 3))), grid, 0).astype(np.uint8)


def smoothed(grid, other, palette, rng):
    """The silhouette blurred until nothing sticks out, filled with the nearest drawn entries, themselves blurred."""
    drawn = grid > 0
    soft = ndimage.gaussian_filter(drawn.astype(float), rng.uniform(1.3, 2.6) * min(grid.shape) / 16)
    shape = soft >= np.sort(soft, axis=None)[-max(4, int(drawn.sum()))]
    nearest = ndimage.distance_transform_edt(~drawn, return_distances=False, return_indices=True)
    full = grid[tuple(nearest)] if drawn.any() else grid
    if rng.random() < 0.6:
        full = ndimage.median_filter(full, int(rng.choice([3, 5])))
    return np.where(shape, full, 0).astype(np.uint8)


def coarse(grid, other, palette, rng):
    """Each block of 2×2 to 4×4 shows one of its pixels, or the most frequent ones spread."""
    side = int(rng.integers(2, 4 if min(grid.shape) < 24 else 5))
    start = rng.integers(0, side, 2)
    rows, columns = (
        np.clip((np.arange(full) // side) * side + first, 0, full - 1) for full, first in zip(grid.shape, start, strict=True)
    )
    return grid[rows][:, columns]


def backed(grid, other, palette, rng):
    """What is transparent is filled with clouds, or figure and ground change places. A flat background is no fault."""
    if rng.random() < 0.3:
        return np.where(grid > 0, 0, rng.choice(own(grid))).astype(np.uint8)
    entries = by_lightness(rng.integers(1, len(palette), rng.integers(2, 5)), palette)
    cloud = ranked(np.ones(grid.shape, bool), field(grid.shape, rng), entries)
    return np.where(grid > 0, grid, cloud).astype(np.uint8)


def repeated(grid, other, palette, rng):
    """A part of the sprite enlarged until it fills the frame, or a small sprite laid as tiles."""
    height, width = grid.shape
    if rng.random() < 0.5:
        top, left = rng.integers(0, height // 2 + 1), rng.integers(0, width // 2 + 1)
        return np.kron(grid[top : top + (height + 1) // 2, left : left + (width + 1) // 2], np.ones((2, 2), np.uint8))[
            :height, :width
        ]
    step = int(rng.integers(2, 4))
    return np.roll(np.tile(grid[::step, ::step], (step + 1, step + 1)), rng.integers(0, 4, 2), (0, 1))[:height, :width]


def lump(grid, other, palette, rng):
    """A smooth random shape in the sprite's entries: shaded by depth, by a slope, by clouds, or by nothing."""
    pixels = by_lightness(own(grid), palette)
    stretch = rng.uniform(0.6, 1.6) ** np.array([1, -1])
    middle = (np.array(grid.shape) - 1) / 2 + rng.uniform(-1, 1, 2)
    y, x = ((place - centre) * by for place, centre, by in zip(np.indices(grid.shape), middle, stretch, strict=True))
    height = rng.uniform(0.1, 0.6) * field(grid.shape, rng, 0.08, 0.22) - np.hypot(y, x) / (len(pixels) / np.pi) ** 0.5
    shape = height >= np.sort(height, axis=None)[-len(pixels)]
    depth = ndimage.distance_transform_edt(np.pad(shape, 1))[1:-1, 1:-1]
    slope = -y + rng.uniform(-1, 1) * x
    tones = (depth, slope, field(grid.shape, rng, 0.04, 0.2), rng.standard_normal(grid.shape))
    return ranked(shape, tones[rng.integers(4)] + rng.normal(0, 0.3, grid.shape), pixels)


def shaded_shape(grid, other, palette, rng):
    """A rhombus, star, box or polygon in bands of one ramp, lit from a side or by depth, outlined, with some specks."""
    ramp, drawn = shading(grid, palette), np.count_nonzero(grid)
    y, x = np.indices(grid.shape) - ((np.array(grid.shape) - 1) / 2 + rng.uniform(-1, 1, 2))[:, None, None]
    stretch = rng.uniform(0.65, 1.5)
    y, x = y * stretch, x / stretch
    if rng.random() < 0.5:
        power = rng.uniform(0.5, 1.2) if rng.random() < 0.5 else rng.uniform(4, 9)
        away = (abs(y) ** power + abs(x) ** power) ** (1 / power)
    else:
        corners, turn = rng.integers(3, 6), rng.uniform(0, 2 * np.pi)
        away = np.max([y * np.cos(a + turn) + x * np.sin(a + turn) for a in np.arange(corners) * 2 * np.pi / corners], 0)
    shape = away <= np.sort(away, axis=None)[min(away.size - 1, max(6, drawn))]
    depth = ndimage.distance_transform_edt(np.pad(shape, 1))[1:-1, 1:-1]
    out = ranked(shape, depth if rng.random() < 0.4 else -y + rng.uniform(-1, 1) * x, ramp[-int(rng.integers(2, 6)) :])
    out[shape & (depth <= 1) & (rng.random() < 0.8)] = ramp[0]
    specks = shape & (rng.random(grid.shape) < rng.uniform(0, 0.12))
    return np.where(specks, rng.choice(ramp, grid.shape), out).astype(np.uint8)


def clouds(grid, other, palette, rng):
    """A texture over the whole frame in a few entries, transparent among them or not."""
    entries = by_lightness(rng.choice(own(grid), rng.integers(2, 6)), palette)
    entries = np.insert(entries, rng.integers(len(entries) + 1), 0) if rng.random() < 0.7 else entries
    return ranked(np.ones(grid.shape, bool), field(grid.shape, rng, 0.02, 0.2), entries)


def gradient(grid, other, palette, rng):
    """A rectangle in a slope of the sprite's entries."""
    out, (height, width) = np.zeros_like(grid), grid.shape
    tall, wide = (int(rng.integers(side // 3, side + 1)) for side in grid.shape)
    top, left = rng.integers(0, height - tall + 1), rng.integers(0, width - wide + 1)
    y, x = np.indices((tall, wide))
    slope = y * rng.uniform(-1, 1) + x * rng.uniform(-1, 1)
    out[top : top + tall, left : left + wide] = ranked(
        np.ones((tall, wide), bool), slope, by_lightness(np.unique(own(grid)), palette)
    )
    return out


def scribble(grid, other, palette, rng):
    """One to four random walks in the sprite's entries, as long as the sprite is large."""
    out, walks = np.zeros_like(grid), rng.integers(1, 5)
    pixels = own(grid)
    for colours in np.array_split(pixels if rng.random() < 0.5 else rng.permutation(pixels), walks):
        at, step = rng.integers(np.array(grid.shape) // 5, np.array(grid.shape) * 4 // 5), rng.integers(-1, 2, 2)
        for colour in colours:
            out[tuple(at)] = colour
            step = rng.integers(-1, 2, 2) if rng.random() < 0.5 else step
            at = np.clip(at + step, 0, np.array(grid.shape) - 1)
    return out


def heap(grid, other, palette, rng):
    """Rectangles and half-planes' corners thrown on one another in the sprite's entries."""
    out = np.zeros_like(grid)
    y, x = np.indices(grid.shape)
    for _ in range(rng.integers(2, 9)):
        (a, c), (b, d) = (np.sort(rng.integers(0, side, 2)) for side in grid.shape)
        part = (a <= y) & (y <= c) & (b <= x) & (x <= d)
        if rng.random() < 0.5:
            part &= (y - a) * (d - b + 1) >= (x - b) * (c - a + 1)
        out[part] = rng.choice(np.append(own(grid), 0)) if rng.random() < 0.9 else rng.integers(len(palette))
    return out


def mirrored_noise(grid, other, palette, rng):
    """Noise or smooth shapes that are their own mirror image, in a box in the middle or the whole frame."""
    shape = field(grid.shape, rng, 0.01, 0.12) > rng.uniform(-0.5, 0.8)
    entries = rng.choice(own(grid), rng.integers(1, 5))
    out = np.where(shape, rng.choice(entries, grid.shape), 0).astype(np.uint8)
    margin = int(rng.integers(0, min(grid.shape) // 4 + 1))
    box = np.pad(np.ones([side - 2 * margin for side in grid.shape], bool), margin)
    out = np.where(box, out, 0)
    half = grid.shape[1] // 2
    out[:, -half:] = out[:, :half][:, ::-1]
    return out.astype(np.uint8)


CORRUPTIONS: dict[str, Corruption] = {
    function.__name__.replace("_", " "): function
    for function in (
        *(speckled, own_speckled, noisy_patch, jumbled, swapped_pixels, warped, rows_shifted, smeared, holes, pasted, mixed),
        *(swapped_blocks, wrong_steps, flat_silhouette, filled_silhouette, outline, smoothed, coarse, backed, repeated),
        *(lump, shaded_shape, clouds, gradient, scribble, heap, mirrored_noise),
    )
}


def control(name: str) -> Corruption:
    """A degenerate control as a family of this module."""
    return lambda grid, other, palette, rng: GRID_CONTROLS[name](grid, palette, rng)


TAUGHT_FAMILIES = {**CORRUPTIONS, **{name: control(name) for name in TAUGHT}}


def corrupt(family: Corruption, grid: np.ndarray, other: np.ndarray, palette: Palette, rng: np.random.Generator) -> np.ndarray:
    """One bad drawing that differs from `grid` in at least LEAST of the drawn pixels; after four tries whatever came."""
    for _ in range(4):
        out = family(grid, other, palette, rng)
        if (out != grid).sum() >= LEAST * max(1, int(((out > 0) | (grid > 0)).sum())):
            break
    return np.ascontiguousarray(out, np.uint8)
