"""Validity: does the text parse as the drawing that was asked for? Says nothing about looks: noise is valid too.

strict_valid = 1 where `grid_text.read` gives a sprite of the size and in the palette asked for, else 0. lenient_valid = 1
where `lenient.read_leniently` gives one of that size, in any palette. first_error_row = the row (from 0) of the first
fault as a share of the height asked for: how far a completion came before it broke. Source: the contract in
data_prep/grid_text.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from data_prep.grid_text import GridError, read
from data_prep.lenient import read_leniently
from data_prep.palette import Palette
from data_prep.sprite import Sprite

# An error that quotes a stranger's character must not put control characters into tables.
_MAX_CAUSE = 120
FOREIGN_PALETTE = "another palette"


@dataclass(frozen=True)
class Parsed:
    """What a completion's text came to. `sprite` is the strict reading, else the lenient one, else None."""

    sprite: Sprite | None
    strict: bool
    lenient: bool
    forgiven: tuple[str, ...] = ()
    cause: str | None = None
    row: int | None = None


def read_asked(
    text: str, palettes: Mapping[str, Palette], size: tuple[int, int] | None, asked: Palette | None
) -> Sprite | GridError:
    """`grid_text.read`, and an error where the drawing has other colours than `asked`; None: any."""
    found = read(text, palettes=palettes, size=size)
    if asked is None or isinstance(found, GridError) or found.palette.colours == asked.colours:
        return found
    return GridError(f"in the palette {found.palette.name}; asked for {asked.name}")


def parse(text: object, palettes: Mapping[str, Palette], size: tuple[int, int] | None, asked: Palette | None = None) -> Parsed:
    """Total: reads strictly, then leniently; `size` is (H, W). What is no string is no drawing."""
    if not isinstance(text, str):
        return Parsed(None, False, False, cause="no text")
    strict = read_asked(text, palettes, size, asked)
    if isinstance(strict, Sprite):
        return Parsed(strict, True, True)
    lenient, forgiven = read_leniently(text, palettes=palettes, size=size)
    found = None if isinstance(lenient, GridError) else lenient
    if found is not None and not forgiven:
        forgiven = (FOREIGN_PALETTE,)
    return Parsed(found, False, found is not None, forgiven, _printable(strict.cause), strict.row)


def measures(parsed: Parsed, height: int | None) -> dict[str, float | None]:
    """{'strict_valid', 'lenient_valid': 0 or 1, 'first_error_row': 0…1 or None} of one drawing."""
    broke = None
    if not parsed.strict and parsed.row is not None and height:
        broke = min(parsed.row / height, 1.0)
    return {"strict_valid": float(parsed.strict), "lenient_valid": float(parsed.lenient), "first_error_row": broke}


def _printable(cause: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in cause[:_MAX_CAUSE])
