"""The sprites that the bench's controls, its structure measure and its tests are made of."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from data_prep import grid_text
from data_prep.bench_format import SIDE
from data_prep.pairs import content_hash, read_rows
from data_prep.palette import Palette
from data_prep.sources.procedural import split_of, sprites
from data_prep.sprite import Sprite


def procedural(count: int, seed: int, split: str) -> list[Sprite]:
    """Sprites of the embedded source at 24×24, of one of its splits: the test's combinations are unseen in training."""
    drawn = (sprite for sprite in sprites(seed, SIDE) if split_of(sprite.tags) == split)
    return list(islice(drawn, count))


def prepared(folder: Path, split: str) -> list[Sprite]:
    """The sprites of a prepared dataset's split that fit into 24×24.

    Raises InputError where there is no such dataset.
    """
    content_hash(folder)
    palette = Palette.from_json(json.loads((folder / "palette.json").read_text("utf-8")))
    return list(_sprites(folder, split, palette))


def _sprites(folder: Path, split: str, palette: Palette) -> Iterator[Sprite]:
    for row in read_rows(folder, split, ("completion", "caption_full", "tags", "source", "height", "width")):
        if max(row["height"], row["width"]) <= SIDE:
            read = grid_text.read(row["completion"][0]["content"], {palette.name: palette})
            yield Sprite(read.grid, palette, row["caption_full"], json.loads(row["tags"]), row["source"])
