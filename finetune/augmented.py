"""Augmentation while training: what a sprite becomes hangs on (seed, its id, epoch) alone, so that a resumed run sees the same.

The tokenised dataset stays as it is, lengths and order with it; a batch's sprites are changed as they are collated.
"""

import json

import numpy as np
import torch
from transformers import TrainerCallback

from data_prep import grid_text
from data_prep.augment import Augmentation
from data_prep.captions import messages
from data_prep.errors import InputError
from data_prep.palette import Palette
from data_prep.sprite import Sprite
from finetune.cell_tokens import CellTokens
from finetune.trainer import ROW, tokenise


class AugmentingCollator:
    """Passes examples on to another collator, some of them changed.

    rows: the prepared dataset's rows; an example's `ROW` says which is its own. seed: of the run.
    """

    def __init__(self, collator, rows, tokens: CellTokens, palette: Palette, augmentation: Augmentation, seed: int):
        self.collator, self.rows, self.tokens, self.palette = collator, rows, tokens, palette
        self.augmentation, self.seed = augmentation, seed
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # workers that outlive an epoch see it too

    def __call__(self, examples: list[dict]) -> dict:
        return self.collator([self.example(example) for example in examples])

    def example(self, example: dict) -> dict:
        """The example of this epoch: itself, or its row's sprite changed and tokenised."""
        row = self.rows[example[ROW]]
        rng = np.random.default_rng([self.seed, int(row["id"][:16], 16), int(self.epoch)])
        changed = augmented(row, self.palette, self.augmentation, rng)
        return example if changed is None else tokenise(changed, self.tokens)


class Epochs(TrainerCallback):
    """Tells an AugmentingCollator which epoch begins."""

    def __init__(self, collator: AugmentingCollator):
        self.collator = collator

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.collator.epoch.fill_(int(state.epoch or 0))  # within an epoch it is a fraction


def augmented(row: dict, palette: Palette, augmentation: Augmentation, rng: np.random.Generator) -> dict | None:
    """A row of a prepared dataset, changed: prompt, completion, height and width; None where it stays as it is.

    Raises InputError for a row whose prompt `captions.messages` would write in another way.
    """
    if row["task"] != "draw":
        return None
    sprite = row_sprite(row, palette)
    changed = augmentation.of(sprite, rng)
    if changed is sprite:
        return None
    prompt = messages(changed.caption, changed.height, changed.width, changed.palette if gives_palette(row, sprite) else None)
    completion = [{"role": "assistant", "content": grid_text.encode(changed.grid, changed.palette)}]
    return {"prompt": prompt, "completion": completion, "height": changed.height, "width": changed.width}


def gives_palette(row: dict, sprite: Sprite) -> bool:
    """Whether the row's prompt names the palette, or leaves it free."""
    for given in (True, False):
        if row["prompt"] == messages(sprite.caption, sprite.height, sprite.width, sprite.palette if given else None):
            return given
    raise InputError(f"dataset: sprite {row['id'][:12]} was prepared with other prompts; run `pixelreef prepare` again")


def row_sprite(row: dict, palette: Palette) -> Sprite:
    """The sprite of a row, with the caption that its prompt says (empty in one of ten)."""
    found = grid_text.sure(row["completion"][0]["content"], palette, f"dataset: sprite {row['id'][:12]}")
    return Sprite(found.grid, found.palette, row["caption"], json.loads(row["tags"]), row["source"])
