"""The pictures of a prepared dataset, cell by cell, as the curate page shows them. Reads data/*.parquet and palette.json."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

from data_prep.bounded import first_line, parquet_rows
from data_prep.captions import CATEGORIES, ZONES
from data_prep.errors import InputError
from data_prep.grid_text import GridError, read
from data_prep.palette import Palette, load
from data_prep.sprite import Sprite

NO_LABEL = "none"
_WORDS = ("id", "name", "caption_full", "source", "licence")
COLUMNS = ("id", "name", "caption_full", "zone", "category", "tags", "source", "licence", "height", "width", "completion")


@dataclass(frozen=True)
class Picture:
    """One sprite of a dataset. name: of the picture in its source; kin: what pictures that look alike share.

    size: height and width; text: its completion.
    """

    name: str
    id: str
    caption: str
    zone: str
    category: str
    source: str
    licence: str
    kin: tuple[str, ...]
    size: tuple[int, int]
    text: str

    @property
    def cell(self) -> tuple[str, str]:
        return self.zone, self.category


@dataclass(frozen=True)
class Cell:
    """The pictures from `start` on, `count` of them."""

    zone: str
    category: str
    start: int
    count: int


@dataclass(frozen=True)
class Corpus:
    """All pictures, those of a cell one after another, like beside like."""

    name: str
    pictures: Sequence[Picture]
    palette: Palette

    @cached_property
    def cells(self) -> list[Cell]:
        cells, start = [], 0
        for (zone, category), members in groupby(self.pictures, lambda picture: picture.cell):
            count = sum(1 for _ in members)
            cells.append(Cell(zone, category, start, count))
            start += count
        return cells

    @property
    def zones(self) -> list[str]:
        return _ordered((cell.zone for cell in self.cells), ZONES)

    @property
    def categories(self) -> list[str]:
        return _ordered((cell.category for cell in self.cells), CATEGORIES)

    def picture(self, number: int, id: str | None = None) -> Picture:
        """Raises InputError where there is none of that number, or another one than the page believes."""
        if not 0 <= number < len(self.pictures) or id not in (None, self.pictures[number].id):
            raise InputError("the dataset has changed since this page was loaded; load the page again")
        return self.pictures[number]

    def sprite(self, number: int) -> Sprite:
        picture = self.picture(number)
        sprite = read(picture.text, {self.palette.name: self.palette})
        if isinstance(sprite, GridError):
            raise InputError(f"{picture.name}: {sprite}; prepare the dataset again")
        return sprite


def read_corpus(folder: Path) -> Corpus:
    """A prepared dataset; of several sprites of one picture the largest. Raises InputError.

    Pictures of two sources may have one name; they stay two.
    """
    files = sorted((folder / "data").glob("*.parquet"))
    if not files:
        raise InputError(f"{folder}: no data/*.parquet; `pixelreef prepare` makes such a folder")
    largest: dict[tuple[str, str], Picture] = {}
    for picture in (picture for file in files for picture in _pictures(file)):
        known = largest.get((picture.name, picture.source))
        if known is None or picture.size > known.size:
            largest[picture.name, picture.source] = picture
    if not largest:
        raise InputError(f"{folder}: holds no sprites; prepare it again with other sources")
    zones = _ordered((picture.zone for picture in largest.values()), ZONES)
    categories = _ordered((picture.category for picture in largest.values()), CATEGORIES)

    def place(picture: Picture) -> tuple:
        return zones.index(picture.zone), categories.index(picture.category), picture.source, picture.kin, picture.name

    return Corpus(folder.resolve().name, sorted(largest.values(), key=place), load(folder / "palette.json"))


def _pictures(file: Path) -> list[Picture]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    again = "prepare the dataset again: `pixelreef prepare --config … --out … --force`"
    try:
        there = pq.read_schema(file).names
        missing = [column for column in COLUMNS if column not in there]
        if missing:
            raise InputError(f"{file}: no column {missing[0]!r}, which decisions are kept by; {again}")
    except (OSError, pa.ArrowException, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file}: cannot be read ({first_line(error)[:80]}); {again}") from error
    try:
        return [_picture(row) for row in parquet_rows(file, COLUMNS) if row["name"]]
    except (ValueError, RecursionError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise InputError(f"{file}: cannot be read ({first_line(error)[:80]}); {again}") from error


def _picture(row: dict) -> Picture:
    tags = json.loads(row["tags"] or "{}")
    if not all(isinstance(row[key], int) for key in ("height", "width")) or not all(isinstance(row[key], str) for key in _WORDS):
        raise ValueError("a column of another type")
    kin = tuple(str(tags.get(key, "")) for key in ("kind", "plan", "label"))
    cell = row["zone"] or NO_LABEL, row["category"] or NO_LABEL
    size, text = (row["height"], row["width"]), row["completion"][0]["content"]
    return Picture(row["name"], row["id"], row["caption_full"], *cell, row["source"], row["licence"], kin, size, text)


def _ordered(words: Iterable[str], known: Sequence[str]) -> list[str]:
    """Known words in their order, then others, then what has no label."""
    there = set(words)
    others = sorted(there - {*known, NO_LABEL})
    return [word for word in (*known, *others, NO_LABEL) if word in there]
