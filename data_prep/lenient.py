"""The lenient reader: drawings in other people's formats (fences, chatter, lists of integers), and what was forgiven."""

import json
import re
from collections.abc import Iterator, Mapping

import numpy as np

from data_prep.errors import InputError
from data_prep.grid_text import FREE, INDEX_OF, GridError, encode, read
from data_prep.palette import Palette, named
from data_prep.sprite import MAX_SIDE, Sprite

MAX_CHARACTERS = 200_000  # beyond it nobody's drawing; keeps the search for objects short
MAX_OBJECTS = 50  # openings of objects that are tried
MAX_INTEGER_DIGITS = 4


def read_leniently(
    text: str, palettes: Mapping[str, Palette] | None = None, size: tuple[int, int] | None = None
) -> tuple[Sprite | GridError, tuple[str, ...]]:
    """(sprite or error, what was forgiven). Total, like `grid_text.read`; a text that is strictly valid forgives nothing.

    Accepts an object with 'grid' (strings of alphabet characters or of digits, or lists of integers) and 'palette'
    (a name, or colours as hex with or without #, or CSS names) anywhere in the text. Integers k mean colour k, counted from 0.
    """
    strict = read(text, palettes, size)
    if isinstance(strict, Sprite):
        return strict, ()
    forgiven = [] if len(text) <= MAX_CHARACTERS else [f"text cut at {MAX_CHARACTERS} characters"]
    text = text[:MAX_CHARACTERS]
    found = next(_objects(text), None)
    if found is None:
        return strict, ()
    data, outside = found
    if outside:
        forgiven.append("text around the object")
    sprite = _sprite_of(data, palettes or {}, forgiven)
    if isinstance(sprite, Sprite) and size is not None and sprite.grid.shape != tuple(size):
        sprite = GridError(f"{sprite.height}x{sprite.width} pixels; asked for {size[0]}x{size[1]}")
    return sprite, tuple(forgiven) or ("white space or order of keys",)


def _objects(text: str) -> Iterator[tuple[dict, bool]]:
    """Objects with a 'grid' key, in order, each with whether anything but white space stands around it."""
    decoder = json.JSONDecoder(parse_int=_small_integer, parse_constant=lambda name: None)
    for number, match in enumerate(re.finditer(r"\{", text)):
        if number == MAX_OBJECTS:
            return
        try:
            data, end = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(data, dict) and "grid" in data:
            yield data, bool((text[: match.start()] + text[end:]).strip())


def _small_integer(digits: str) -> int:
    """Integers of thousands of digits would make `int` raise; none of them is a palette entry."""
    return int(digits) if len(digits) <= MAX_INTEGER_DIGITS else -1


def _sprite_of(data: dict, palettes: Mapping[str, Palette], forgiven: list[str]) -> Sprite | GridError:
    palette = _palette_of(data.get("palette"), palettes, forgiven)
    if isinstance(palette, GridError):
        return palette
    rows = data["grid"].split() if isinstance(data["grid"], str) else data["grid"]
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_SIDE:
        return GridError(f"'grid' is no list of 1 to {MAX_SIDE} rows")
    grid = []
    for y, row in enumerate(rows):
        indices = _row_indices(row, forgiven)
        if indices is None or len(indices) > MAX_SIDE:
            return GridError("is no row of pixels", y)
        bad = next((x for x, index in enumerate(indices) if not 0 <= index < len(palette)), None)
        if bad is not None:
            return GridError("no entry of the palette", y, bad)
        if len(indices) != len(grid[0] if grid else indices):
            return GridError(f"{len(indices)} pixels, row 0 has {len(grid[0])}", y)
        grid.append(indices)
    return read(encode(np.array(grid), palette), {palette.name: palette})  # one judge of sizes


def _row_indices(row, forgiven: list[str]) -> list[int] | None:
    if isinstance(row, str):
        return [INDEX_OF.get(character, -1) for character in row.replace(" ", "")]
    if isinstance(row, list) and all(isinstance(k, int) and not isinstance(k, bool) for k in row):
        if "lists of integers" not in forgiven:
            forgiven.append("lists of integers")
        return [k + 1 if k >= 0 else -1 for k in row]  # −1 stays what it is: no entry
    return None


def _palette_of(value, palettes: Mapping[str, Palette], forgiven: list[str]) -> Palette | GridError:
    if isinstance(value, str):
        try:
            return palettes[value] if value in palettes else named(value)
        except InputError:
            return GridError("unknown palette")
    if not isinstance(value, list) or not 1 <= len(value) <= 63:
        return GridError("'palette' is no name and no list of 1 to 63 colours")
    found = [_colour(entry) for entry in value]
    if None in found:
        return GridError(f"'palette': entry {found.index(None)} is no colour")
    colours = [colour for colour in found if colour]
    if colours != value:
        forgiven.append("colours not as six hex digits")
    if len(colours) == 1:  # a flat drawing, which the strict format cannot spell
        forgiven.append("a palette of one colour")
        colours *= 2
    return Palette(FREE, tuple(colours))


def _colour(entry) -> str | None:
    """'#87CEEB', '8ce', 'skyblue' or [r, g, b] → six hex digits."""
    if isinstance(entry, list) and len(entry) == 3 and all(isinstance(v, int) and 0 <= v <= 255 for v in entry):
        return bytes(entry).hex()
    if not isinstance(entry, str) or len(entry) > 32:
        return None
    from PIL import ImageColor

    for spelling in (entry, f"#{entry}"):
        try:
            return bytes(ImageColor.getrgb(spelling)[:3]).hex()
        except ValueError:
            continue
    return None
