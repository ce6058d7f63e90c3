"""Likelihoods: all pixels of a batch in one pass, against a loop that walks sprite by sprite and pixel by pixel.

    python -m pytest -m '' tests/eval/test_likelihood_speed.py -s     # prints the times

Processor seconds on one thread, so that other work on the machine hardly counts. On a processor the gain comes from the
one pass: a single sprite keeps a core busy already, so whole batches are little faster than sprite after sprite.
"""

import time

import numpy as np
import pytest
import torch
from run_folders import reef_sprites

from data_prep.captions import messages
from eval.baseline.conditions import CAPTION, Conditions
from eval.baseline.sample import Cursor, bits
from eval.baseline.sprite_transformer import SpriteTransformer, SpriteTransformerConfig
from eval.generators import LanguageModel, Request
from finetune.base_models import load_model
from finetune.cell_tokens import CellTokens

SPRITES = reef_sprites()[1]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def timed(work, sprites: int):
    """What `work` returns, and its processor milliseconds a sprite."""
    started = time.process_time()
    return work(), (time.process_time() - started) / sprites * 1e3


@torch.inference_mode()
def pixel_by_pixel(model: SpriteTransformer, grid: np.ndarray, told: list[int]) -> float:
    """−log2 p of one sprite, a step a pixel behind a key–value cache."""
    cursor, values = Cursor(model, torch.tensor([told]), *grid.shape), torch.from_numpy(grid.reshape(-1).astype(np.int64))
    canvas, nats = torch.full((1, grid.size + 1), model.config.entries), 0.0
    for pixel, value in enumerate(values):
        nats -= float(cursor.logits(canvas, pixel).log_softmax(-1)[0, value])
        canvas[0, pixel] = value
    return nats / np.log(2)


@pytest.mark.slow
def test_a_sprite_transformers_bits_in_one_pass_are_five_times_as_fast_as_pixel_by_pixel():
    torch.manual_seed(1)
    conditions = Conditions.of(CAPTION, [(sprite.caption, sprite.tags) for sprite in SPRITES])
    model = SpriteTransformer(SpriteTransformerConfig(classes=conditions.classes)).eval()
    told = np.array([conditions.ids(sprite.caption, sprite.tags) for sprite in SPRITES[:64]])
    grids = np.stack([sprite.grid for sprite in SPRITES[:64]])
    bits(model, grids[:4], told[:4])  # warm
    batched, batch_ms = timed(lambda: bits(model, grids, told), 64)
    alone, alone_ms = timed(lambda: [bits(model, grids[i : i + 1], told[i : i + 1])[0] for i in range(16)], 16)
    walked, walk_ms = timed(lambda: [pixel_by_pixel(model, grids[i], told[i].tolist()) for i in range(8)], 8)
    print(f"\nsprite transformer, 16x16: {batch_ms:.1f} ms in batches, {alone_ms:.1f} one by one, {walk_ms:.0f} pixel by pixel")
    assert batched[:8] == pytest.approx(walked, rel=1e-4) and batched[:16] == pytest.approx(alone, rel=1e-4)
    assert walk_ms > 5 * batch_ms and alone_ms > 0.8 * batch_ms


@torch.inference_mode()
def token_by_token(model: LanguageModel, request, sprite) -> float:
    """−log2 p of one sprite's pixels, a step a token behind the model's own cache."""
    schedule = model.tokens.schedule(sprite.palette, sprite.height, sprite.width)
    completion, symbols, nats = schedule.fill(sprite.grid), torch.from_numpy(schedule.symbol_ids), 0.0
    (prompt,) = model.prompts([request])
    out = model.model(torch.tensor([prompt]), use_cache=True)
    for position, token in enumerate(completion):
        if position in schedule.pixels:
            entry = int(np.flatnonzero(schedule.symbol_ids == token)[0])
            nats -= float(out.logits[0, -1, symbols].float().log_softmax(-1)[entry])
        out = model.model(torch.tensor([[token]]), past_key_values=out.past_key_values, use_cache=True)
    return nats / np.log(2)


@pytest.mark.slow
def test_a_language_models_bits_in_one_pass_are_five_times_as_fast_as_token_by_token(smollm2, tokenizers):
    model = LanguageModel(load_model(smollm2, "float32"), CellTokens(tokenizers["smollm2"]))
    sprites = SPRITES[:4]
    requests = [Request(s.caption, s.height, s.width, s.palette) for s in sprites]
    assert model.prompts(requests[:1])[0] == model.tokens.prompt_ids(messages(sprites[0].caption, 16, 16, sprites[0].palette))
    batched, batch_ms = timed(lambda: [one.bits for one in model.likelihoods(requests, sprites)], 4)
    alone, alone_ms = timed(lambda: [next(model.likelihoods([requests[i]], [sprites[i]])).bits for i in range(2)], 2)
    walked, walk_ms = timed(lambda: token_by_token(model, requests[0], sprites[0]), 1)
    print(f"\nSmolLM2-135M, 16x16: {batch_ms:.0f} ms in batches of 4, {alone_ms:.0f} one by one, {walk_ms:.0f} token by token")
    assert batched[0] == pytest.approx(walked, rel=1e-3) and batched[:2] == pytest.approx(alone, rel=1e-4)
    assert walk_ms > 5 * batch_ms
