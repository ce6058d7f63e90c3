"""The sprites that the bench's controls, its structure measure and its tests are made of."""

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

from data_prep import grid_text
from data_prep.bench_format import SIDE
from data_prep.pairs import content_hash, read_rows
from data_prep.sources.procedural import split_of, sprites
from data_prep.sprite import Sprite
from finetune.adapter_folder import load_palette


def procedural(count: int, seed: int, split: str) -> list[Sprite]:
    """Sprites of the embedded source at 24×24, of one of its splits: the test's combinations are unseen in training."""
    drawn = (sprite for sprite in sprites(seed, SIDE) if split_of(sprite.tags) == split)
    return list(islice(drawn, count))


def prepared(folder: Path, split: str) -> list[Sprite]:
    """The sprites of a prepared dataset's split that fit into 24×24; those of the task `bench` in their own free palette.

    Raises InputError where there is no such dataset, or a row is no drawing.
    """
    content_hash(folder)
    palette, where = load_palette(folder), f"dataset {folder}"
    rows = read_rows(folder, split, ("completion", "caption_full", "tags", "source", "height", "width"))
    found = ((row, row["completion"][0]["content"]) for row in rows if max(row["height"], row["width"]) <= SIDE)
    return [
        replace(grid_text.sure(text, palette, where), caption=r["caption_full"], tags=json.loads(r["tags"]), source=r["source"])
        for r, text in found
    ]
