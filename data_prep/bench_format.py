"""Pixel Art Bench's own format: its prompt A, and sprites as its answers: 24×24, at most ten colours, no transparent pixel.

Pairs of the task `bench` are written in it, and everything in `eval.bench` that draws. A sprite stands before a plain ground
or, one time in four, before two bands like ground and sky. Source of the prompt: Emergent Mind (Matt Mazur).
"""

import json
from dataclasses import dataclass

import numpy as np

from data_prep import grid_text
from data_prep.curate import centred
from data_prep.errors import InputError
from data_prep.palette import Palette
from data_prep.sprite import Sprite

SIDE, MOST_COLOURS = 24, 10
_BANDS = 0.25  # of the drawings stand before two bands
PROMPT_A = """Draw pixel art on a 24x24 grid. Return a JSON object with two keys:

"palette" — palette: array of 2-10 hex colors (e.g. "4a90d9"). No # prefix. Index 0 = first color. Every color the image needs must be here, including background.

"grid" — grid: array of 24 strings, one per row (y=0 is top). Each row is a STRING of digits (e.g. "000011112222"), NOT an array. Each string has exactly 24 characters. Each character is a digit 0-9 — the palette index for that pixel.

Example 4x4:
{"palette":["87ceeb","228b22","8b4513","ff4500"],"grid":["0000","1111","2212","3333"]}

Guidelines:
- If the prompt is abstract, vague, or describes a mood/feeling (e.g. "something funny", "chaos", "love"), first brainstorm a specific, creative, surprising scene that captures that idea, then draw that scene. Don't just draw a literal symbol like a smiley face or heart -- think of something more imaginative and unexpected.
- Draw a clear pixel representation of the idea. Do not spell out words.
- Use enough colors for the scene but keep the palette lean.
- Fill every cell — use a background color, never leave gaps.
- Output ONLY the JSON object. No markdown fences, no explanation.

Draw: """  # noqa: E501 (verbatim)


def prompt_a(subject: str) -> str:
    return PROMPT_A + subject


@dataclass(frozen=True, eq=False)
class BenchDrawing:
    """grid: (24, 24) uint8, digit k is colour k; colours: 2 to 10 of RRGGBB."""

    grid: np.ndarray
    colours: tuple[str, ...]

    @property
    def lab(self) -> np.ndarray:
        return Palette(grid_text.FREE, self.colours).oklab

    def sprite(self) -> Sprite:
        """In a free palette: digit k is index k + 1."""
        return Sprite(self.grid + 1, Palette(grid_text.FREE, self.colours))

    def text(self) -> str:
        """Prompt A's answer."""
        sprite = self.sprite()
        return grid_text.encode(sprite.grid, sprite.palette)

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
    if max(grid.shape) > SIDE:
        raise InputError(f"a sprite of {grid.shape[0]}x{grid.shape[1]} does not fit into {SIDE}x{SIDE}")
    grid = centred(fewer_colours(grid, palette, MOST_COLOURS - 2), SIDE)
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


def _grounds(grid: np.ndarray, palette: Palette, rng: np.random.Generator) -> list[str]:
    """Two colours that the sprite has not."""
    free = [colour for entry, colour in enumerate(palette.colours, 1) if not (grid == entry).any()]
    spare = [f"{value:02x}" * 3 for value in (240, 16, 128)]
    return [str(colour) for colour in rng.permutation(free if len(free) > 1 else spare)[:2]]
