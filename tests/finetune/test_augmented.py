"""Augmentation while training: the same sprite in the same epoch becomes the same, another epoch's another, and all is learnt."""

import json

import numpy as np
import pytest
from datasets import load_dataset

from data_prep import grid_text
from data_prep.augment import Augmentation
from data_prep.captions import messages
from data_prep.errors import InputError
from data_prep.palette import Palette, named
from finetune.augmented import AugmentingCollator, Epochs, augmented, row_sprite
from finetune.base_models import load_tokenizer, resolve
from finetune.cell_tokens import CellTokens
from finetune.trainer import PIXELS, ROW, GridCollator, tokenise

REEF = named("reef64")
ALWAYS = Augmentation(flip=1.0, hue=1.0)


@pytest.fixture(scope="module")
def tokens(tiny_qwen3) -> CellTokens:
    return CellTokens(load_tokenizer(resolve(str(tiny_qwen3))))


@pytest.fixture(scope="module")
def rows(reef):
    return load_dataset("parquet", data_files={"train": str(reef / "data" / "train-*.parquet")})["train"]


def collator(rows, tokens, augmentation=Augmentation(0.5, 0.5), seed: int = 1) -> AugmentingCollator:  # noqa: B008 (frozen)
    return AugmentingCollator(GridCollator(0), rows, tokens, REEF, augmentation, seed)


def examples(rows, tokens, numbers) -> list[dict]:
    return [tokenise(rows[number], tokens) | {ROW: number} for number in numbers]


class State:
    def __init__(self, epoch):
        self.epoch = epoch


def test_a_sprite_s_change_hangs_on_seed_id_and_epoch_alone(rows, tokens):
    some = examples(rows, tokens, range(40))
    ours = collator(rows, tokens)
    first = [ours.example(one)["input_ids"] for one in some]
    backwards = [ours.example(one)["input_ids"] for one in reversed(some)][::-1]
    assert first == backwards == [collator(rows, tokens).example(one)["input_ids"] for one in some]
    changed = np.mean([ids != one["input_ids"] for ids, one in zip(first, some, strict=True)])
    assert 0.5 < changed < 0.95
    Epochs(ours).on_epoch_begin(None, State(1.37), None)  # resumed within the second epoch
    second = [ours.example(one)["input_ids"] for one in some]
    Epochs(ours).on_epoch_begin(None, State(1.0), None)
    assert second == [ours.example(one)["input_ids"] for one in some] != first
    assert first != [collator(rows, tokens, seed=2).example(one)["input_ids"] for one in some]


def test_what_is_trained_on_is_what_prepare_would_have_written(rows, tokens):
    ours = collator(rows, tokens, ALWAYS)
    for number in range(30):
        row = rows[number]
        changed = augmented(row, REEF, ALWAYS, np.random.default_rng([1, int(row["id"][:16], 16), 0]))
        sprite = grid_text.read(changed["completion"][0]["content"])
        assert sprite.palette == REEF and sprite.grid.shape == (row["height"], row["width"])
        expected = ALWAYS.of(row_sprite(row, REEF), np.random.default_rng([1, int(row["id"][:16], 16), 0]))
        assert changed["prompt"] == messages(expected.caption, 16, 16, REEF) and bool(expected.caption) == bool(row["caption"])
        example = ours.example(examples(rows, tokens, [number])[0])
        assert example == tokenise(changed, tokens)
        ids = np.array(example["input_ids"])[np.array(example[PIXELS])]
        assert (ids == tokens.symbol_ids[sprite.grid.reshape(-1)]).all()


def test_a_batch_of_changed_sprites_is_padded_like_any(rows, tokens):
    batch = collator(rows, tokens, ALWAYS)(examples(rows, tokens, [0, 1, 2]))
    assert len({batch[key].shape for key in ("input_ids", "labels", PIXELS)}) == 1
    assert batch[PIXELS].sum(1).tolist() == [256] * 3


def test_a_dataset_of_other_prompts_is_refused(rows):
    row = rows[0] | {"prompt": [{"role": "user", "content": "Draw a fish"}]}
    with pytest.raises(InputError, match="prepare"):
        augmented(row, REEF, ALWAYS, np.random.default_rng(0))


def test_other_tasks_are_left_alone(rows):
    assert augmented(rows[0] | {"task": "recolour"}, REEF, ALWAYS, np.random.default_rng(0)) is None


@pytest.mark.parametrize("given", [True, False])
def test_a_free_palette_is_permuted_in_prompt_and_completion_alike(given):
    palette = Palette("free", REEF.colours[:9])
    grid = np.arange(64).reshape(8, 8) % 10
    row = {"task": "draw", "caption": "a fish", "tags": json.dumps({}), "source": "", "id": "0" * 64, "height": 8, "width": 8}
    row |= {"completion": [{"role": "assistant", "content": grid_text.encode(grid.astype(np.uint8), palette)}]}
    row |= {"prompt": messages("a fish", 8, 8, palette if given else None)}
    changed = augmented(row, REEF, Augmentation(palette=1.0), np.random.default_rng(0))
    sprite = grid_text.read(changed["completion"][0]["content"])
    assert (sprite.rgba() == palette.rgba[grid]).all() and sprite.palette != palette
    assert changed["prompt"] == messages("a fish", 8, 8, sprite.palette if given else None)
