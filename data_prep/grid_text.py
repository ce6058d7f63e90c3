"""Grid text: index grid ↔ completion text. The contract between data, models and scorers, in one place.

A completion is one JSON object without white space, one character a pixel:
`{"palette":"reef64","grid":["…",…]}` in a named palette, or `{"palette":["87ceeb",…],"grid":["0001…",…]}` with the
2 to 63 colours spelt out (a *free* palette). Pixel Art Bench's format is the free one with ten colours at most and no
transparent pixel: its digit k is our index k + 1.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from data_prep.errors import InputError
from data_prep.palette import Palette, named
from data_prep.sprite import MAX_SIDE, MIN_SIDE, Sprite

# ALPHABET[index] stands for palette entry `index`; made by `python -m data_prep.choose_alphabet`.
ALPHABET = "º0123456789µÂÃÉßàáâãåæçèéêëìíîïðñòóôõöøùúûýāăćčēęīńōœşūžəɪʻʿˈːΔά"
INDEX_OF = {character: index for index, character in enumerate(ALPHABET)}
ENTRY_OF = str.maketrans({character: chr(index) for character, index in INDEX_OF.items()})  # a symbol → the byte of its entry
ROW_SEPARATOR = '","'
END = '"]}'
FREE = "free"
MAX_STRICT_CHARACTERS = 10_000  # the longest valid completion (64×64, 63 colours) has 4,900
_HEAD = re.compile(
    r'\{"palette":(?:"(?P<name>[a-z0-9][a-z0-9_-]{0,63})"|\[(?P<colours>"[0-9a-f]{6}"(?:,"[0-9a-f]{6}"){1,62})\]),"grid":\["'
)


@dataclass(frozen=True)
class GridError:
    """Why a text is no drawing. `row` and `column` count from 0 and are None where the fault has no place."""

    cause: str
    row: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = [f"{name} {value}" for name, value in (("row", self.row), ("column", self.column)) if value is not None]
        return ", ".join([*place, self.cause])


def head(palette: Palette) -> str:
    """The text before the first pixel."""
    name = list(palette.colours) if palette.name == FREE else palette.name
    return json.dumps({"palette": name, "grid": [""]}, separators=(",", ":")).removesuffix(END)


def encode(grid: np.ndarray, palette: Palette) -> str:
    """(H, W) uint8 index grid → completion text, without the end-of-turn token."""
    rows = ("".join(ALPHABET[index] for index in row) for row in grid)
    return head(palette) + ROW_SEPARATOR.join(rows) + END


def read(text: str, palettes: Mapping[str, Palette] | None = None, size: tuple[int, int] | None = None) -> Sprite | GridError:
    """Strict and total: the sprite, or the first error by row and column. Never raises, whatever the text.

    palettes: names that are valid beside those that ship with the project; size: (H, W) that was asked for.
    """
    if len(text) > MAX_STRICT_CHARACTERS:
        return GridError(f"text of {len(text)} characters; a drawing has at most {MAX_STRICT_CHARACTERS}")
    match = _HEAD.match(text)
    if not match:
        return GridError('does not start with {"palette":…,"grid":["')
    palette = _palette_of(match, palettes or {})
    if isinstance(palette, GridError):
        return palette
    body, end, rest = text[match.end() :].partition(END)
    grid = _read_rows(body.split(ROW_SEPARATOR), len(palette))
    if isinstance(grid, GridError):
        return grid
    if not end:
        return GridError('no "]} at the end', row=len(grid) - 1)
    if rest:
        return GridError("text after the object")
    if size is not None and grid.shape != tuple(size):
        return GridError(f"{grid.shape[0]}x{grid.shape[1]} pixels; asked for {size[0]}x{size[1]}")
    return Sprite(grid, palette)


def sure(text: str, palette: Palette, where: str) -> Sprite:
    """What `read` reads, of a text that has to be a drawing in a known palette. Raises InputError, which `where` opens."""
    found = read(text, {palette.name: palette})
    if isinstance(found, GridError):
        raise InputError(f"{where}: a text that is no drawing: {found}")
    return found


def _palette_of(match: re.Match, palettes: Mapping[str, Palette]) -> Palette | GridError:
    name = match["name"]
    if name is None:
        return Palette(FREE, tuple(re.findall(r"[0-9a-f]{6}", match["colours"])))
    try:
        return palettes[name] if name in palettes else named(name)
    except InputError:
        return GridError(f"unknown palette {name!r}")


def _read_rows(rows: list[str], entries: int) -> np.ndarray | GridError:
    """Row texts → (H, W) uint8 index grid, or the first fault."""
    width, symbols = len(rows[0]), set(ALPHABET[:entries])
    for y, row in enumerate(rows):
        if not symbols.issuperset(row):
            x = next(x for x, character in enumerate(row) if character not in symbols)
            return GridError(f"{row[x]!r} is no entry of the palette", y, x)
        if len(row) != width:
            return GridError(f"{len(row)} pixels, row 0 has {width}", y, min(len(row), width))
    if not (MIN_SIDE <= len(rows) <= MAX_SIDE and MIN_SIDE <= width <= MAX_SIDE):
        return GridError(f"{len(rows)}x{width} pixels; a side has {MIN_SIDE} to {MAX_SIDE}")
    entry_bytes = "".join(rows).translate(ENTRY_OF).encode("latin-1")
    return np.frombuffer(bytearray(entry_bytes), np.uint8).reshape(len(rows), width)
