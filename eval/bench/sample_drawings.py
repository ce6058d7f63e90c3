"""Sprites and controls as Pixel Art Bench would have them drawn: 24×24, at most ten colours, no transparent pixel.

What fits the structure measure, what the controls enter the leaderboard with, and what tests draw. A sprite stands before a
plain ground or, one time in four, before two bands like ground and sky. Source: this project.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from data_prep import grid_text
from data_prep.errors import InputError
from data_prep.pairs import content_hash, read_rows
from data_prep.palette import Palette
from data_prep.sources.procedural import split_of, sprites
from data_prep.sprite import Sprite

SIDE, MOST_COLOURS = 24, 10
_BANDS = 0.25  # of the drawings stand before two bands


@dataclass(frozen=True, eq=False)
class BenchDrawing:
    """grid: (24, 24) uint8, digit k is colour k; colours: 2 to 10 of RRGGBB."""

    grid: np.ndarray
    colours: tuple[str, ...]

    @property
    def lab(self) -> np.ndarray:
        return Palette(grid_text.FREE, self.colours).oklab

    def text(self) -> str:
        """Prompt A's answer."""
        rows = ["".join(map(str, row)) for row in self.grid.tolist()]
        return json.dumps({"palette": list(self.colours), "grid": rows}, separators=(",", ":"))

    def listed(self) -> str:
        """Prompt B's answer."""
        return json.dumps({"grid": self.grid.tolist(), "palette": [f"#{c}" for c in self.colours]}, separators=(",", ":"))


def fewer_colours(grid: np.ndarray, palette: Palette, most: int) -> np.ndarray:
    """The grid with its least used opaque entries given to the nearest used ones until `most` are left."""
    grid, counts = grid.copy(), np.bincount(grid.ravel(), minlength=len(palette))
    used = [entry for entry in range(1, len(palette)) if counts[entry]]
    while len(used) > most:
        least = min(used, key=lambda entry: counts[entry])
        used.remove(least)
        apart = [np.linalg.norm(palette.oklab[least - 1] - palette.oklab[entry - 1]) for entry in used]
        nearest = used[int(np.argmin(apart))]
        grid[grid == least] = nearest
        counts[nearest] += counts[least]
    return grid


def on_a_ground(grid: np.ndarray, palette: Palette, rng: np.random.Generator, bands: bool = True) -> BenchDrawing:
    """An (H, W) index grid, H and W at most 24, in the middle of a bench drawing. The ground is drawn from `rng`.

    bands: it may be two bands.
    """
    grid = _centred(fewer_colours(grid, palette, MOST_COLOURS - 2))
    grounds = _grounds(grid, palette, rng)
    line = SIDE if not bands or rng.random() >= _BANDS else int(rng.integers(SIDE // 3, SIDE - 3))
    used = np.unique(grid[grid > 0])
    place = np.zeros(len(palette), np.uint8)
    place[used] = np.arange(2, 2 + len(used))
    out = np.where(grid > 0, place[grid], (np.arange(SIDE) >= line)[:, None])
    names = [*grounds, *(palette.colours[entry - 1] for entry in used)]
    kept, places = np.unique(out, return_inverse=True)
    shown = [names[entry] for entry in kept]
    return BenchDrawing(places.reshape(out.shape).astype(np.uint8), tuple(shown if len(shown) > 1 else (*shown, names[1])))


def _centred(grid: np.ndarray) -> np.ndarray:
    if max(grid.shape) > SIDE:
        raise InputError(f"a sprite of {grid.shape[0]}x{grid.shape[1]} does not fit into {SIDE}x{SIDE}")
    above, left = ((SIDE - side) // 2 for side in grid.shape)
    out = np.zeros((SIDE, SIDE), np.uint8)
    out[above : above + grid.shape[0], left : left + grid.shape[1]] = grid
    return out


def _grounds(grid: np.ndarray, palette: Palette, rng: np.random.Generator) -> list[str]:
    """Two colours that the sprite has not."""
    free = [colour for entry, colour in enumerate(palette.colours, 1) if not (grid == entry).any()]
    spare = [f"{value:02x}" * 3 for value in (240, 16, 128)]
    return [str(colour) for colour in rng.permutation(free if len(free) > 1 else spare)[:2]]


def procedural(count: int, seed: int, split: str) -> list[Sprite]:
    """Sprites of the embedded source at 24×24, of one of its splits: the test's combinations are unseen in training."""
    drawn = (sprite for sprite in sprites(seed, SIDE) if split_of(sprite.tags) == split)
    return list(islice(drawn, count))


def prepared(folder: Path, split: str) -> list[Sprite]:
    """The sprites of a prepared dataset's split that fit into 24×24.

    Raises InputError where there is no such dataset.
    """
    content_hash(folder)
    palette = Palette.from_json(json.loads((folder / "palette.json").read_text("utf-8")))
    return list(_sprites(folder, split, palette))


def _sprites(folder: Path, split: str, palette: Palette) -> Iterator[Sprite]:
    for row in read_rows(folder, split, ("completion", "caption_full", "tags", "source", "height", "width")):
        if max(row["height"], row["width"]) <= SIDE:
            read = grid_text.read(row["completion"][0]["content"], {palette.name: palette})
            yield Sprite(read.grid, palette, row["caption_full"], json.loads(row["tags"]), row["source"])
