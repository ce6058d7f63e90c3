"""Prepared datasets of a few procedural sprites, in the columns that the curate page reads."""

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.grid_text import encode
from data_prep.sources import procedural
from data_prep.sprite import Sprite


def rows(sprites: Sequence[Sprite]) -> list[dict]:
    """One row a sprite, named 'reef/0.png', 'reef/1.png', …"""
    return [
        {
            "id": sprite.id,
            "name": f"reef/{number}.png",
            "caption_full": sprite.caption,
            "source": sprite.source,
            "zone": sprite.tags["zone"],
            "category": sprite.tags["category"],
            "tags": json.dumps(dict(sprite.tags)),
            "licence": sprite.licence,
            "height": sprite.height,
            "width": sprite.width,
            "completion": [{"role": "assistant", "content": encode(sprite.grid, sprite.palette)}],
        }
        for number, sprite in enumerate(sprites)
    ]


def write(folder: Path, rows: Sequence[dict], sprite: Sprite) -> Path:
    """A dataset of these rows in the sprite's palette: the last one as test, the others as train."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "palette.json").write_text(json.dumps(sprite.palette.to_json()), "utf-8")
    for split, part in (("train", rows[:-1]), ("test", rows[-1:])):
        pq.write_table(pa.Table.from_pylist(part), folder / "data" / f"{split}-00000-of-00001.parquet")
    return folder


def dataset(folder: Path, count: int = 60) -> Path:
    """`count` procedural sprites of 16×16."""
    sprites = list(islice(procedural.sprites(3, 16), count))
    return write(folder, rows(sprites), sprites[0])
