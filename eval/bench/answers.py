"""What a model answered, read twice: as strictly as the published scorers do, and as leniently as a person would."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data_prep.bench_format import SIDE
from data_prep.grid_text import FREE
from data_prep.palette import Palette

MOST_CHARACTERS = 200_000
MOST_CELLS = 100_000  # of a drawing that is measured at all; other people's have heights of thousands
_OBJECT = re.compile(r"\{")
_TRIES = 50


@dataclass(frozen=True)
class Answer:
    """data: what `json.loads` made of the whole text, or None (then is_json is False); found: the object with a grid, wherever it
    stands in the text; rows: its grid as lists of cells, whatever they are; colours: its palette as a list, whatever is in it."""

    is_json: bool
    data: object
    found: dict | None
    rows: list[list] | None
    colours: list | None

    @property
    def is_alone(self) -> bool:
        """Nothing but the object was written."""
        return self.is_json and self.data is self.found


def read(text: str) -> Answer:
    """Total: never raises, whatever the text."""
    text = text[:MOST_CHARACTERS] if isinstance(text, str) else ""
    try:
        data, is_json = json.loads(text, parse_int=_whole), True
    except (ValueError, RecursionError):
        data, is_json = None, False
    found = data if isinstance(data, dict) and "grid" in data else next(_objects(text), None)
    rows, colours = (rows_of(found["grid"]), found.get("palette")) if found else (None, None)
    return Answer(is_json, data, found, rows, colours if isinstance(colours, list) else None)


def _whole(digits: str) -> int:
    """Integers of thousands of digits would make `int` raise; none of them is a palette index."""
    return int(digits) if len(digits) < 10 else -1


def _objects(text: str) -> Iterator[dict]:
    decoder = json.JSONDecoder(parse_int=_whole)
    for number, match in enumerate(_OBJECT.finditer(text)):
        if number == _TRIES:
            return
        try:
            data, _ = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(data, dict) and "grid" in data:
            yield data


def rows_of(grid: object) -> list[list] | None:
    """Rows as lists of cells: strings become their characters. None for what is no list of strings or lists."""
    if not isinstance(grid, list) or not all(isinstance(row, str | list) for row in grid):
        return None
    return [list(row) for row in grid]


def hex_of(colour: object) -> str | None:
    """'#87CEEB', '87ceeb', 'skyblue' or [135, 206, 235] → '87ceeb'."""
    if isinstance(colour, list) and len(colour) == 3 and all(type(v) is int and 0 <= v <= 255 for v in colour):
        return bytes(colour).hex()
    if not isinstance(colour, str) or len(colour) > 32:
        return None
    from PIL import ImageColor

    for spelling in (colour.strip(), f"#{colour.strip()}"):
        try:
            return bytes(ImageColor.getrgb(spelling)[:3]).hex()
        except ValueError:
            continue
    return None


@dataclass(frozen=True, eq=False)
class Picture:
    """What can be looked at. grid: (H, W) int, −1 where a cell is no index of the palette; colours: RRGGBB, at least one."""

    grid: np.ndarray
    colours: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        return bool((self.grid >= 0).all())

    @property
    def lab(self) -> np.ndarray:
        """(k, 3) OKLab of the colours."""
        return Palette(FREE, self.colours).oklab


def picture_of(answer: Answer) -> Picture | None:
    """The drawing, where there are rows of one length and a palette of at most 63 colours, each of which is one."""
    rows, named = answer.rows, [hex_of(colour) for colour in answer.colours or []]
    colours = tuple(colour for colour in named if colour is not None)
    if not rows or not rows[0] or len({len(row) for row in rows}) > 1 or len(rows) * len(rows[0]) > MOST_CELLS:
        return None
    if not 1 <= len(colours) == len(named) <= 63:
        return None
    return Picture(np.array([[_index(cell, len(colours)) for cell in row] for row in rows]), colours)


def _index(cell: object, colours: int) -> int:
    if isinstance(cell, bool) or not isinstance(cell, int | str):
        return -1
    try:
        value = int(cell)
    except ValueError:
        return -1
    return value if 0 <= value < colours else -1


def is_asked_size(picture: Picture) -> bool:
    return picture.grid.shape == (SIDE, SIDE)
