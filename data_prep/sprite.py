"""Sprite: an index grid with its palette, caption, tags and provenance; known by the hash of its content."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import numpy as np

from data_prep.errors import InputError
from data_prep.palette import Palette

MIN_SIDE, MAX_SIDE = 4, 64


@dataclass(frozen=True, eq=False)
class Sprite:
    """One drawing. `grid` is (H, W) uint8, 0 = transparent, and read-only; two sprites are equal when their ids are.

    tags: what is known about it (zone, category, plan, colour, …), words to words.
    Raises InputError for a grid of another shape, a side outside 4…64 or an index beyond the palette.
    """

    grid: np.ndarray
    palette: Palette
    caption: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    licence: str = ""
    attribution: str = ""

    def __post_init__(self):
        grid = _checked(self.grid, self.palette).astype(np.uint8, order="C")  # a copy: the caller may go on drawing
        grid.flags.writeable = False
        object.__setattr__(self, "grid", grid)
        object.__setattr__(self, "tags", MappingProxyType(dict(self.tags)))

    @cached_property
    def id(self) -> str:
        """SHA-256 of the canonical bytes: everything but the palette's name."""
        head = [*self.grid.shape, self.palette.colours, self.caption, sorted(self.tags.items())]
        head += [self.source, self.licence, self.attribution]
        text = json.dumps(head, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode(errors="surrogatepass") + b"\0" + self.grid.tobytes()).hexdigest()

    def __reduce__(self):
        """Pickles as its constructor call: workers get it checked and read-only (a mappingproxy does not pickle)."""
        words = (self.caption, dict(self.tags), self.source, self.licence, self.attribution)
        return Sprite, (self.grid, self.palette, *words)

    def __eq__(self, other) -> bool:
        return isinstance(other, Sprite) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def height(self) -> int:
        return self.grid.shape[0]

    @property
    def width(self) -> int:
        return self.grid.shape[1]

    def rgba(self) -> np.ndarray:
        """(H, W, 4) uint8 picture."""
        return self.palette.rgba[self.grid]


def _checked(grid, palette: Palette) -> np.ndarray:
    """The grid as an array of whole numbers that fit; before the cast to uint8, which would wrap 256 to 0."""
    try:
        grid = np.asarray(grid)
    except ValueError as error:
        raise InputError("sprite: its rows are not equally long") from error
    if grid.ndim != 2 or not all(MIN_SIDE <= side <= MAX_SIDE for side in grid.shape):
        raise InputError(f"sprite: shape {grid.shape}; it takes {MIN_SIDE} to {MAX_SIDE} pixels a side")
    if grid.dtype.kind not in "iu":
        raise InputError(f"sprite: a grid of {grid.dtype}; it takes whole numbers")
    worst = grid.min() if grid.min() < 0 else grid.max()
    if not 0 <= worst < len(palette):
        raise InputError(f"sprite: index {worst} is beyond palette {palette.name!r} of {len(palette)} entries")
    return grid
