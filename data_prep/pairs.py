"""The third stage of `prepare`: sprites as rows of TRL's conversational prompt–completion format, in parquet files.

A split's file `<split>-MMMMM-of-NNNNN.parquet` takes its name when it is whole, and is then never written again. Beside it, in
the folder of the run's state, lies what was measured of its sprites.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np

from data_prep import captions, grid_text, tasks
from data_prep.bench_format import on_a_ground
from data_prep.bounded import parquet_rows, read_json
from data_prep.curate import Picture
from data_prep.errors import InputError
from data_prep.palette import Palette, oklab, quantise
from data_prep.reading import picture_of
from data_prep.recipe import PrepareRecipe
from data_prep.splits import SPLITS, UNSEEN_CELLS, Kept, share
from data_prep.sprite import Sprite
from data_prep.whole_files import file_sha256
from data_prep.workers import Workers, chunks

ROWS_A_WRITE = 1000
ROWS_A_TASK = 250  # rows that a process makes at once
COLUMNS = (
    *("id", "prompt", "completion", "caption", "caption_full", "height", "width", "palette", "task"),
    *("zone", "category", "tags", "source", "licence", "attribution", "name", "group"),
)


@dataclass(frozen=True)
class Rendering:
    """How sprites become rows. tasks: task → weight."""

    palette: Palette
    empty_caption_share: float
    tasks: Mapping[str, float]


@dataclass
class Measured:
    """Of the sprites of one source. error: sum over their opaque pixels of the OKLab distance that the palette moved them;
    uses: pixels of each palette entry."""

    sprites: int
    pixels: int
    error: float
    uses: list[int]

    def add(self, other: "Measured") -> None:
        self.sprites, self.pixels = self.sprites + other.sprites, self.pixels + other.pixels
        self.error += other.error
        self.uses = [a + b for a, b in zip(self.uses, other.uses, strict=True)]


def add_measured(total: dict[str, Measured], more: Mapping[str, Measured]) -> None:
    for source, found in more.items():
        total.setdefault(source, Measured(0, 0, 0.0, [0] * len(found.uses))).add(found)


def row(sprite: Sprite, name: str, group: str, split: str, how: Rendering) -> dict:
    """One pair; which captions are emptied, in training alone, and which task it is hang on the sprite's id."""
    emptied = split == "train" and share(f"empty caption:{sprite.id}") < how.empty_caption_share
    caption = "" if emptied else sprite.caption
    task = task_of(sprite, how.tasks)
    beside = tasks.told(task, sprite)
    drawn = as_bench(sprite) if task == captions.BENCH else sprite
    text = grid_text.encode(drawn.grid, drawn.palette)
    return {
        "id": sprite.id,
        "prompt": captions.messages(caption, drawn.height, drawn.width, drawn.palette, task, beside),
        "completion": [{"role": "assistant", "content": text}],
        "caption": caption,
        "caption_full": sprite.caption,
        "height": drawn.height,
        "width": drawn.width,
        "palette": drawn.palette.name,
        "task": task,
        "zone": sprite.tags.get("zone", ""),
        "category": sprite.tags.get("category", ""),
        "tags": json.dumps(dict(sorted(sprite.tags.items())), ensure_ascii=False),
        "source": sprite.source,
        "licence": sprite.licence,
        "attribution": sprite.attribution,
        "name": name,
        "group": group,
    }


def as_bench(sprite: Sprite) -> Sprite:
    """The sprite as Pixel Art Bench would have it drawn. Its ground hangs on its id. Raises InputError for one over 24×24."""
    drawing = on_a_ground(sprite.grid, sprite.palette, np.random.default_rng(int(sprite.id[:16], 16))).sprite()
    return replace(sprite, grid=drawing.grid, palette=drawing.palette)


def task_of(sprite: Sprite, weights: Mapping[str, float]) -> str:
    """The task of a sprite's pair: by its id alone, tasks in proportion to their weights."""
    place = share(f"task:{sprite.id}") * sum(weights.values())
    for task in captions.TASKS:
        place -= weights.get(task, 0)
        if place < 0:
            return task
    return max(weights)


def sprite_of(picture: Picture, palette: Palette) -> Sprite:
    words = (picture.caption, picture.tags, picture.source, picture.licence, picture.attribution)
    return Sprite(quantise(picture.rgba, palette), palette, *words)


def write_shards(data: Path, state: Path, kept: Sequence[Kept], recipe: PrepareRecipe, how: Rendering, workers: Workers):
    """Writes the files that are not there yet, one after the other. Yields (file, its rows, source → Measured) of each."""
    for split in (*SPLITS, UNSEEN_CELLS):
        chosen = [one for one in kept if one.split == split]
        shards = list(chunks(chosen, recipe.shard_rows))
        for number, shard in enumerate(shards):
            file = data / f"{split}-{number:05}-of-{len(shards):05}.parquet"
            yield file, len(shard), _shard(file, state / f"{file.stem}.json", shard, how, workers)


def _shard(file: Path, measured: Path, shard: Sequence[Kept], how: Rendering, workers: Workers) -> dict[str, Measured]:
    total: dict[str, Measured] = {}
    finished = _finished(file, measured)
    if finished is not None:
        return finished

    def rows() -> Iterator[dict]:
        for found, more in workers.map(partial(_rows, how=how), chunks(shard, ROWS_A_TASK)):
            add_measured(total, more)
            yield from found

    draft = file.with_suffix(".draft")
    write_parquet(draft, rows())
    sources = {source: vars(found) for source, found in total.items()}
    measured.write_text(json.dumps({"sha256": file_sha256(draft), "sources": sources}), "utf-8")
    os.replace(draft, file)
    return total


def _finished(file: Path, measured: Path) -> dict[str, Measured] | None:
    """What was measured of a file that an earlier run wrote; None where either is missing or not what was written."""
    try:
        told = json.loads(measured.read_text("utf-8"))
        if told["sha256"] == file_sha256(file):
            return {source: Measured(**found) for source, found in told["sources"].items()}
    except (FileNotFoundError, ValueError, KeyError):  # a loss of power may empty them
        pass
    return None


def _rows(chosen: Sequence[Kept], how: Rendering) -> tuple[list[dict], dict[str, Measured]]:
    """The rows of some sprites, which lie in order."""
    rows, total = [], {}
    for path, together in groupby(chosen, key=lambda one: one.key.path):
        with path.open("rb") as file:
            for one in together:
                file.seek(one.key.place)
                picture = picture_of(file.readline())
                sprite = sprite_of(picture, how.palette)
                rows.append(row(sprite, picture.name, one.group, one.split, how))
                add_measured(total, {picture.source: _measured(picture.rgba, sprite)})
    return rows, total


def _measured(rgba: np.ndarray, sprite: Sprite) -> Measured:
    opaque = sprite.grid > 0
    apart = oklab(rgba[opaque][:, :3]) - sprite.palette.oklab[sprite.grid[opaque] - 1]
    error = float(np.sqrt(np.square(apart, dtype=np.float64).sum(-1)).sum())
    uses = np.bincount(sprite.grid[opaque], minlength=len(sprite.palette))
    return Measured(1, int(opaque.sum()), error, uses.tolist())


def arrow_schema():
    """Arrow types of a row's columns."""
    import pyarrow as pa

    messages = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    types = {"prompt": messages, "completion": messages, "height": pa.int32(), "width": pa.int32()}
    return pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])


def write_parquet(path: Path, rows: Iterable[dict]) -> int:
    """One file, ROWS_A_WRITE rows at a time; returns their number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, count = arrow_schema(), 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for some in chunks(rows, ROWS_A_WRITE):
            writer.write_table(pa.Table.from_pylist(some, schema))
            count += len(some)
    return count


def read_rows(folder: Path, split: str, columns: Sequence[str] | None = None) -> Iterator[dict]:
    """The rows of a prepared dataset's split, file after file; none where it has no such split. Raises InputError, for a value
    that `write_parquet` would not have written too."""
    for path in shards(folder, split):
        try:
            for number, found in enumerate(parquet_rows(path, columns), 1):
                if odd := next((key for key in columns or COLUMNS if not _fits(key, found.get(key))), None):
                    raise InputError(f"row {number}: its {odd!r} is missing or of another type")
                if {"completion", "height", "width"} <= found.keys() and not _is_of_its_size(found):
                    raise InputError(f"row {number}: its completion is no drawing of its height and width")
                yield found
        except InputError as error:
            raise InputError(f"{path}: {error}; prepare the dataset again") from error


def _fits(column: str, value: object) -> bool:
    if column in ("height", "width"):
        return isinstance(value, int)
    if column in ("prompt", "completion"):
        turns = value if isinstance(value, list) else []
        return bool(turns) and all(isinstance(turn, dict) and isinstance(turn.get("content"), str) for turn in turns)
    return isinstance(value, str) and (column != "tags" or _is_object(value))


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _is_of_its_size(found: dict) -> bool:
    """What trains takes a drawing's pixels by their number, and does not read it."""
    try:
        drawn = json.loads(found["completion"][0]["content"])["grid"]
        return {len(line) for line in drawn} == {found["width"]} and len(drawn) == found["height"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return False


def shards(folder: Path, split: str) -> list[Path]:
    """The files of a prepared dataset's split, in order."""
    return sorted((folder / "data").glob(f"{split}-*.parquet"))


def content_hash(folder: Path) -> str:
    """SHA-256 of a prepared dataset's rows, by its manifest; raises InputError when there is none."""
    try:
        files = read_json(folder / "manifest.json")["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"dataset {folder}: no readable manifest.json; run `pixelreef prepare` first") from error
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
