"""What training sees of its own taste: drawings of fixed prompts, scored by `guide` and by how they are built.

`finetune` takes both as callables and imports nothing of this. The prompts are captions of the validation split, of as many
cells as they can be; the noise is that of (seed, number of the prompt), the same each time, so that what changes from one
sheet to the next is the model. Never the judge: what training selects by cannot judge it.

  guide        mean of guide.score over the drawings whose size it was taught; None where there is none
  guide_cells  the same by cell, where the sprites have one: zone/category → score
  empty        share of drawings with less than 2 % opaque pixels
  noise        share of drawings in which over 70 % of the opaque pixels have no neighbour of their own colour: true of all
               drawings of the control 'noise' that were tried (300 a size), and of 1 in 1,000 sprites at 8×8, none at 16×16
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_prep import grid_text
from data_prep.palette import Palette
from data_prep.sprite import Sprite
from eval.decoding import Sampling
from eval.generate import choose_prompts, read_split
from eval.generators import LanguageModel, Request
from eval.metrics import structure
from eval.rivals import load_guide
from finetune.samples import Taste

NOISE_ABOVE = 0.7


def taste_of(dataset: Path, tokens, palette: Palette, count: int, seed: int, batch_size: int) -> Taste:
    """What the callback is given for a run on `dataset`. tokens: CellTokens; count: prompts; batch_size: drawn together."""
    asked, guide = prompts(dataset, palette, count), load_guide()
    return Taste(
        draw=lambda model: draw(model, tokens, asked, seed, batch_size),
        score=lambda drawn: score(drawn, guide),
    )


def prompts(dataset: Path, palette: Palette, count: int) -> list[Sprite]:
    """`count` sprites of the validation split, each of another cell as long as there are any; small ones first.

    Fewer prompts than cells lie on diagonals of the table of cells, so that zones and categories come about equally often.
    Raises InputError without a split.
    """
    rows = read_split(dataset, "validation", palette)
    zones, categories = (sorted({row[key] for row, _ in rows}) for key in ("zone", "category"))
    cells = len({(row["zone"], row["category"]) for row, _ in rows})
    chosen = [sprite for _, sprite in choose_prompts(rows, max(count, cells), seed=0)]

    def diagonal(sprite: Sprite) -> tuple[int, int]:
        zone, category = zones.index(sprite.tags.get("zone", "")), categories.index(sprite.tags.get("category", ""))
        return (category - zone) % len(categories), zone

    chosen[:cells] = sorted(chosen[:cells], key=diagonal)
    return sorted(chosen[:count], key=lambda sprite: sprite.grid.shape)  # like sizes share batches


def draw(model, tokens, asked: Sequence[Sprite], seed: int, batch_size: int) -> list[Sprite]:
    """One drawing a prompt, at temperature 1, in its size and palette, with its caption and tags."""
    requests = [Request.like(sprite, seed, number) for number, sprite in enumerate(asked)]
    answers = LanguageModel(model, tokens).answer(requests, Sampling(), batch_size=batch_size)
    grids = (grid_text.sure(answer.text, s.palette, "the model").grid for s, answer in zip(asked, answers, strict=True))
    return [Sprite(grid, s.palette, s.caption, s.tags) for s, grid in zip(asked, grids, strict=True)]


def score(drawn: Sequence[Sprite], guide) -> dict:
    """guide: a critic. See the module for what is measured and how."""
    known = [sprite for sprite in drawn if guide.fits(sprite.height, sprite.width)]
    scores = guide.score(known, [sprite.tags.get("category", "") for sprite in known])
    cells = defaultdict(list)
    for sprite, value in zip(known, scores, strict=True):
        if sprite.tags.get("zone") and sprite.tags.get("category"):
            cells[f"{sprite.tags['zone']}/{sprite.tags['category']}"].append(float(value))
    built = [_built(sprite) for sprite in drawn]
    return {
        "guide": float(np.mean(scores)) if known else None,
        "guide_cells": {cell: float(np.mean(values)) for cell, values in sorted(cells.items())},
        "empty": float(np.mean([empty for empty, _ in built])),
        "noise": float(np.mean([noise and not empty for empty, noise in built])),
        "drawn": len(drawn),
    }


def _built(sprite: Sprite) -> tuple[float, bool]:
    """(1.0 where it is empty, whether it is noise)"""
    grids = sprite.grid[None]
    return float(structure.empty(grids)[0]), bool(structure.speckle(grids)[0] > NOISE_ABOVE)
