"""What the guard of preference training draws and measures: `finetune` takes it as callables and imports nothing of this.

The prompts are captions of the validation split, of as many cells as they can be, without those that pairs were made of; each is
drawn several times, with the same noise at every look. Beside guide, which pairs may be made by:

  empty, noise   shares of the drawings, as in `eval.taste`
  duplicates     share of drawings that an earlier one of the same prompt equals, pixel by pixel
  spread         mean share of pixels in which two drawings of one prompt differ, over prompts; no drawing's own worth is in it
  colour         share in the colour that the caption states, of those whose captions state one; None where none does
  controls       what guide gives the held-out sprites of these prompts, and the degenerate control that it likes best: a mean
                 of drawings above the first is no praise any more. No model changes them; they are logged to be compared with

Never the judge: what training is stopped by cannot judge it.
"""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from data_prep.errors import InputError
from data_prep.palette import Palette
from data_prep.sprite import Sprite
from eval.best_of import STEP
from eval.controls import GRID_CONTROLS, degenerate
from eval.decoding import Sampling
from eval.generators import LanguageModel, Request, sprites_of
from eval.metrics.attributes import colour_right, stated_colour
from eval.metrics.critics import Critic
from eval.metrics.diversity import duplicates
from eval.rivals import load_guide
from eval.taste import prompts, score
from finetune.samples import Taste


def guard_taste(
    dataset: Path, tokens, palette: Palette, count: int, each: int, seed: int, batch_size: int, trained_on: frozenset[str]
) -> Taste:
    """What `finetune.guard.Guard` is given. count: prompts; each: drawings of one; trained_on: captions that are no guard's.

    Raises InputError where the validation split has no other captions.
    """
    asked = [s for s in prompts(dataset, palette, count + len(trained_on)) if s.caption and s.caption not in trained_on][:count]
    if not asked:
        raise InputError(f"dataset {dataset}: no validation caption is left that is in no pair; the guard has nothing to draw")
    guide = load_guide()
    reference = controls(asked, guide, seed)
    return Taste(
        draw=lambda model: draw(model, tokens, asked, each, seed, batch_size),
        score=lambda drawn: measured(drawn, len(asked), guide) | {"controls": reference},
    )


def draw(model, tokens, asked: Sequence[Sprite], each: int, seed: int, batch_size: int) -> list[Sprite]:
    """`each` drawings of every prompt at temperature 1: all first ones, then all second ones, …"""
    requests = [Request.like(s, seed, number + STEP * turn) for turn in range(each) for number, s in enumerate(asked)]
    return list(sprites_of(LanguageModel(model, tokens), requests, Sampling(), batch_size=batch_size))


def measured(drawn: Sequence[Sprite], count: int, guide: Critic) -> dict:
    """drawn: in the order of `draw`; count: prompts. See the module for the numbers."""
    together = [[sprite.grid for sprite in drawn[number::count]] for number in range(count)]
    found = {key: value for key, value in score(drawn, guide).items() if key != "guide_cells"}
    repeats = [one for grids in together for one in duplicates(grids)]
    colours = [colour_right(s.grid, s.palette, stated_colour(s.tags, s.caption)) for s in drawn]
    stated = [one for one in colours if one is not None]
    return found | {
        "duplicates": float(np.mean(repeats)),
        "spread": float(np.mean([spread(grids) for grids in together])),
        "colour": float(np.mean(stated)) if stated else None,
    }


def spread(grids: Sequence[np.ndarray]) -> float:
    """Mean share of pixels in which two of the grids differ, 0…1. grids: (H, W) each, at least two."""
    return float(np.mean([(a != b).mean() for a, b in combinations(grids, 2)]))


def controls(held_out: Sequence[Sprite], guide: Critic, seed: int) -> dict:
    """guide's mean score of the held-out sprites, and of the degenerate control that it likes best, by name."""
    wanted = [sprite.tags.get("category", "") for sprite in held_out]
    if not all(guide.fits(sprite.height, sprite.width) for sprite in held_out):
        return {}
    bad = {
        name: float(guide.score([degenerate(name, s, seed, i) for i, s in enumerate(held_out)], wanted).mean())
        for name in GRID_CONTROLS
    }
    worst = max(bad, key=bad.__getitem__)
    return {"held_out": float(guide.score(held_out, wanted).mean()), "worst": bad[worst], "worst_name": worst}
