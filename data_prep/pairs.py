"""Pairs: a sprite as one row of TRL's conversational prompt–completion format, and rows as parquet files.

Writes `<split>-00000-of-00001.parquet` for train, validation, test and, where cells are left out, unseen_cells; reads nothing.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from data_prep import captions, grid_text
from data_prep.errors import InputError
from data_prep.sprite import Sprite

SPLITS = ("train", "validation", "test")
UNSEEN_CELLS = "unseen_cells"  # the split of the cells that a recipe leaves out
ROWS_A_WRITE = 1000
COLUMNS = (
    *("id", "prompt", "completion", "caption", "caption_full", "height", "width", "palette", "task"),
    *("zone", "category", "tags", "source", "licence", "attribution", "group"),
)


def row(sprite: Sprite, group: str, empty_share: float) -> dict:
    """One pair; which captions are emptied hangs on the sprite's id alone."""
    caption = "" if share(f"empty caption:{sprite.id}") < empty_share else sprite.caption
    text = grid_text.encode(sprite.grid, sprite.palette)
    return {
        "id": sprite.id,
        "prompt": captions.messages(caption, sprite.height, sprite.width, sprite.palette),
        "completion": [{"role": "assistant", "content": text}],
        "caption": caption,
        "caption_full": sprite.caption,
        "height": sprite.height,
        "width": sprite.width,
        "palette": sprite.palette.name,
        "task": "draw",
        "zone": sprite.tags.get("zone", ""),
        "category": sprite.tags.get("category", ""),
        "tags": json.dumps(dict(sorted(sprite.tags.items())), ensure_ascii=False),
        "source": sprite.source,
        "licence": sprite.licence,
        "attribution": sprite.attribution,
        "group": group,
    }


def _schema():
    """Arrow types of a row's columns."""
    import pyarrow as pa

    messages = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    types = {"prompt": messages, "completion": messages, "height": pa.int32(), "width": pa.int32()}
    return pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])


def write_parquet(folder: Path, rows: Iterable[tuple[str, dict]]) -> dict[str, dict]:
    """One file for each split that has rows, written ROWS_A_WRITE rows at a time → file name → rows and SHA-256."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    splits = (*SPLITS, UNSEEN_CELLS)
    schema, waiting = _schema(), {split: [] for split in splits}
    paths = {split: folder / f"{split}-00000-of-00001.parquet" for split in splits}
    totals = Counter()
    with ExitStack() as stack:
        writers = {split: stack.enter_context(pq.ParquetWriter(paths[split], schema, compression="zstd")) for split in splits}

        def flush(split: str) -> None:
            writers[split].write_table(pa.Table.from_pylist(waiting[split], schema))
            waiting[split].clear()

        for split, row in rows:
            waiting[split].append(row)
            totals[split] += 1
            if len(waiting[split]) == ROWS_A_WRITE:
                flush(split)
        for split in splits:
            flush(split)
    for split in splits:
        if not totals[split]:
            paths.pop(split).unlink()  # `datasets` cannot read a split without rows
    return {f"data/{path.name}": {"rows": totals[split], "sha256": file_hash(path)} for split, path in paths.items()}


def file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_hash(folder: Path) -> str:
    """SHA-256 of a prepared dataset's rows, by its manifest; raises InputError when there is none."""
    try:
        files = json.loads((folder / "manifest.json").read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"dataset {folder}: no readable manifest.json; run `pixelreef prepare` first") from error
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def share(text: str) -> float:
    """A stable number in [0, 1) for a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48
