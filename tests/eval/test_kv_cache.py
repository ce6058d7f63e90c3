"""The quick decoding step computes what the stock model computes, and a drawing does not depend on its batch."""

import gc
import weakref
from copy import deepcopy

import numpy as np
import pytest
import torch

from data_prep.palette import named
from eval import decoding
from eval.cuda_graphs import decoder_for
from eval.decoding import Sampling, _Cursor, draw_grids, gumbel_noise
from eval.grammar import lark

REEF = named("reef64")
CAPTIONS = ("a red crab", "", "a large red fish facing left, with stripes", "a coral")


def states(model, ids: list[int]) -> torch.Tensor:
    """(d,) state behind the last of the ids, by one stock forward pass without a cache."""
    with torch.inference_mode():
        return model.model(input_ids=torch.tensor([ids]), use_cache=False).last_hidden_state[0, -1]


@pytest.fixture(params=["growing", "fixed"])
def cache(request, monkeypatch):
    """Both kinds of cache; on a GPU the fixed one is replayed as CUDA graphs, here its steps run one by one."""
    monkeypatch.setattr(decoding, "use_graphs", lambda device: request.param == "fixed")
    return request.param


@pytest.mark.parametrize("lengths", [(7, 7, 7), (7, 3, 5)])
def test_every_step_agrees_with_a_whole_forward_pass(model, lengths, cache):
    """With and without padding, with one token and with several at once, with prompts that several sequences share, and after
    some tokens were forgotten."""
    rng = np.random.default_rng(0)
    prompts = [rng.integers(5, 999, length).tolist() for length in lengths]
    rows = [list(prompts[i]) for i in (0, 1, 0, 2)]
    with torch.inference_mode():
        cursor = _Cursor(model, rows, 30)
        for count in (0, 1, 1, 4, 1, 3):
            more = rng.integers(5, 999, (len(rows), count))
            if count:
                cursor.feed(torch.from_numpy(more))
            rows = [[*row, *new] for row, new in zip(rows, more.tolist(), strict=True)]
            assert torch.allclose(cursor.states[:, -1], torch.stack([states(model, row) for row in rows]), atol=1e-4)
            if count > 1:
                cursor.drop(2)
                rows = [row[:-2] for row in rows]
    assert model.config._attn_implementation == "sdpa"


def test_shared_prompts_are_computed_once(model, monkeypatch):
    shapes, stock = [], model.model.forward
    monkeypatch.setattr(model.model, "forward", lambda **given: shapes.append(given["input_ids"].shape) or stock(**given))
    with torch.inference_mode():
        cursor = _Cursor(model, [[5, 6, 7]] * 9, 8)
        cursor.feed(torch.full((9, 1), 8))
    assert shapes == [(1, 3), (9, 1)] and cursor.states.shape == (9, 1, 96)


def test_the_cache_is_written_in_place(model):
    with torch.inference_mode():
        cursor = _Cursor(model, [[5, 6, 7], [8, 9]], 12)
        places = {layer.keys.data_ptr() for layer in cursor.cache.layers}
        for _ in range(9):
            cursor.feed(torch.full((2, 1), 8))
        assert {layer.keys.data_ptr() for layer in cursor.cache.layers} == places
        assert cursor.cache.get_seq_length() == 12


def test_the_buffers_of_fixed_steps_are_kept_for_the_next_batch_of_their_shape(model, tokens, monkeypatch):
    monkeypatch.setattr(decoding, "use_graphs", lambda device: True)
    schedule, seen = tokens.schedule(REEF, 4, 4), []
    for captions in (CAPTIONS[:2], CAPTIONS[1:3], CAPTIONS[:3]):
        prompts = [tokens.prompt_ids([{"role": "user", "content": caption}]) for caption in captions]
        draw_grids(model, prompts, schedule, [(1, i) for i in range(len(captions))], Sampling())
        seen.append(decoder_for(model, len(captions), max(map(len, prompts)) + len(schedule.ids)))
    assert seen[0] is seen[1] is not seen[2]


def test_a_model_that_is_dropped_is_freed_with_its_fixed_steps(model, tokens, monkeypatch):
    monkeypatch.setattr(decoding, "use_graphs", lambda device: True)
    own = deepcopy(model)
    draw_grids(own, [[5, 6, 7]], tokens.schedule(REEF, 4, 4), [(1, 0)], Sampling())
    dropped = weakref.ref(own)
    del own
    gc.collect()
    assert dropped() is None


@pytest.mark.parametrize("guesses", [0, 7])
def test_fixed_steps_draw_the_same(model, tokens, monkeypatch, guesses):
    """Twice each, so that what an earlier drawing left in the buffers would show."""
    monkeypatch.setattr(decoding, "GUESSES", guesses)
    schedule, drawn = tokens.schedule(REEF, 6, 6), {}
    for fixed in (False, True, False, True):
        monkeypatch.setattr(decoding, "use_graphs", lambda device, fixed=fixed: fixed)
        for number, caption in enumerate(CAPTIONS):
            prompts = [tokens.prompt_ids([{"role": "user", "content": caption}])]
            grids = draw_grids(model, prompts, schedule, [(1, number)], Sampling())
            assert np.array_equal(drawn.setdefault(number, grids), grids)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("count", [1, 5])
def test_graphs_on_a_gpu_draw_the_same_as_step_by_step(model, tokens, monkeypatch, count):
    schedule, on_gpu = tokens.schedule(REEF, 8, 8), deepcopy(model).to("cuda")
    prompts = [tokens.prompt_ids([{"role": "user", "content": CAPTIONS[i % 4]}]) for i in range(count)]
    keys = [(1, i) for i in range(count)]
    replayed = [draw_grids(on_gpu, prompts, schedule, keys, Sampling()) for _ in range(2)]
    monkeypatch.setattr(decoding, "use_graphs", lambda device: False)
    plain = draw_grids(on_gpu, prompts, schedule, keys, Sampling())
    assert np.array_equal(replayed[0], replayed[1]) and (replayed[0] == plain).mean() > 0.99


def test_the_restricted_head_agrees_with_masked_full_logits(model, tokens):
    """Log-probabilities within 1e-4 at every pixel of drawings in one batch, on what was drawn."""
    schedule = tokens.schedule(REEF, 6, 6)
    prompts = [tokens.prompt_ids([{"role": "user", "content": caption}]) for caption in CAPTIONS]
    seen, rows = [], torch.as_tensor(schedule.symbol_ids)
    grids = draw_grids(model, prompts, schedule, [(1, i) for i in range(4)], Sampling())
    ids = [[*prompt, *schedule.fill(grid)] for prompt, grid in zip(prompts, grids, strict=True)]
    with torch.inference_mode():
        cursor, fed = None, 0
        for position in schedule.pixels:
            ahead = [row[len(prompt) + fed : len(prompt) + position] for prompt, row in zip(prompts, ids, strict=True)]
            if cursor is None:
                cursor = _Cursor(model, [[*prompt, *more] for prompt, more in zip(prompts, ahead, strict=True)], 400)
            else:
                cursor.feed(torch.tensor(ahead))
            seen.append((cursor.states[:, -1] @ model.lm_head.weight[rows].T).log_softmax(-1))
            fed = position
        for number, (prompt, row) in enumerate(zip(prompts, ids, strict=True)):
            full = model(input_ids=torch.tensor([row])).logits[0, len(prompt) - 1 : -1][schedule.pixels]
            masked = torch.full_like(full, -torch.inf)
            masked[:, rows] = full[:, rows]
            assert torch.allclose(masked.log_softmax(-1)[:, rows], torch.stack([one[number] for one in seen]), atol=1e-4)


def scored(model, prompt: list[int], schedule, grid: np.ndarray, number: int, seed: int, index: int) -> float:
    """How far apart, in nats, the two best choices of one pixel were, its noise included: what rounding has to bridge."""
    place = int(schedule.pixels[number])
    state = states(model, [*prompt, *schedule.fill(grid)[:place]])
    logits = (state @ model.lm_head.weight[torch.as_tensor(schedule.symbol_ids)].T).detach()
    two = (logits + torch.from_numpy(gumbel_noise(seed, index, len(schedule.pixels), len(logits))[number])).topk(2).values
    return float(two[0] - two[1])


@pytest.mark.parametrize("count, side", [(40, 6), pytest.param(300, 16, marks=pytest.mark.slow)])
def test_a_sprite_does_not_depend_on_its_batch(model, tokens, count, side):
    """Batches of 1 and of 32, prompts of many lengths: at least 99 % are equal; those that are not part at a near-tie."""
    schedule = tokens.schedule(REEF, side, side)
    prompts = [tokens.prompt_ids([{"role": "user", "content": CAPTIONS[i % 4] + " and more" * (i % 3)}]) for i in range(count)]
    keys = [(7, index) for index in range(count)]

    def drawn(batch: int) -> np.ndarray:
        starts = range(0, count, batch)
        return np.concatenate(
            [draw_grids(model, prompts[s : s + batch], schedule, keys[s : s + batch], Sampling()) for s in starts]
        )

    alone, together = drawn(1), drawn(32)
    apart = np.flatnonzero((alone != together).any((1, 2)))
    for one in apart:
        number = int(np.flatnonzero((alone[one] != together[one]).reshape(-1))[0])
        gap = scored(model, prompts[one], schedule, alone[one], number, *keys[one])
        print(f"sprite {one} parts at pixel {number}, where two colours were {gap:.6f} nats apart")
        assert gap < 1e-3
    assert len(apart) <= 0.01 * count
    assert len({grid.tobytes() for grid in alone}) == count


def test_the_grammar_under_generate_sees_the_probabilities_that_we_give(model, tokens):
    """At the pixels that generate() with llguidance writes, the palette's symbols are allowed, and what it gives them is the
    teacher-forced softmax over the symbols. (It may spell text, and even a symbol's bytes, in other tokens than ours.)"""
    from transformers import LogitsProcessorList

    from data_prep.grid_text import read
    from eval.grammar import GrammarProcessor

    symbols, prompt = tokens.schedule(REEF, 4, 4).symbol_ids, tokens.prompt_ids([{"role": "user", "content": "a crab"}])
    torch.manual_seed(0)
    out = model.generate(
        input_ids=torch.tensor([prompt]), do_sample=True, top_k=0, max_new_tokens=200, eos_token_id=tokens.end_id,
        pad_token_id=tokens.end_id, return_dict_in_generate=True, output_scores=True,
        logits_processor=LogitsProcessorList([GrammarProcessor(tokens.tokenizer, lark(REEF, 4, 4))]),
    )  # fmt: skip
    sprite = read(tokens.tokenizer.decode(out.sequences[0, len(prompt) :], skip_special_tokens=True), size=(4, 4))
    with torch.inference_mode():
        logits = model(out.sequences).logits[0, len(prompt) - 1 : -1]
    scores = torch.stack(out.scores)[:, 0]
    pixels = torch.isfinite(scores[:, symbols]).all(1)
    assert sprite.grid.shape == (4, 4) and int(pixels.sum()) == 16
    seen, given = scores[pixels][:, symbols].log_softmax(-1), logits[pixels][:, symbols].log_softmax(-1)
    assert torch.allclose(seen, given, atol=1e-4)
