"""Conditions of a drawing: pixels that stand, two captions, guidance; all of them against plain teacher-forced passes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from data_prep.errors import InputError
from data_prep.grid_text import read
from data_prep.palette import named
from eval import decoding
from eval.decoding import Sampling, draw_grids, gumbel_noise
from eval.generators import UNCONSTRAINED, Generator, LanguageModel, Request, caption_weights, check_request

REEF = named("reef64")
SIDE = 6
CAPTIONS = ("a red crab", "a large blue squid with spots, facing left", "")


@pytest.fixture(scope="module")
def model(tiny_qwen3) -> LanguageModel:
    return LanguageModel.load(base=str(tiny_qwen3), dtype="float32")


def request(caption: str = CAPTIONS[0], **other) -> Request:
    return Request(caption, SIDE, SIDE, REEF, **{"seed": 3, **other})


def given(rows: slice, seed: int = 0) -> np.ndarray:
    """(6, 6) int16: −1 but for random pixels in these rows."""
    pixels = np.full((SIDE, SIDE), -1, np.int16)
    pixels[rows] = np.random.default_rng(seed).integers(0, 64, pixels[rows].shape)
    return pixels


def drawn(model: LanguageModel, requests: list[Request], sampling: Sampling = Sampling()) -> list[np.ndarray]:  # noqa: B008
    return [read(drawing.text).grid for drawing in model.answer(requests, sampling)]


def log_p(model: LanguageModel, asked: Request, grid: np.ndarray) -> np.ndarray:
    """(36, 64) log p of every entry at every pixel of a grid, from one uncached pass with the stock head."""
    schedule = model.tokens.schedule(REEF, SIDE, SIDE)
    prompt = model.prompts([asked])[0]
    with torch.no_grad():
        logits = model.model(torch.tensor([[*prompt, *schedule.fill(grid)]])).logits[0, len(prompt) - 1 : -1]
    return logits[schedule.pixels][:, torch.as_tensor(schedule.symbol_ids)].log_softmax(-1).numpy()


def assert_drawn_from(scores: np.ndarray, grid: np.ndarray, asked: Request, free: np.ndarray) -> None:
    """The free pixels are the Gumbel-max choice of (36, 64) scores under the request's noise, within 1e-4."""
    noisy = scores + gumbel_noise(asked.seed, asked.index, SIDE * SIDE, 64)
    lost = noisy.max(1) - noisy[np.arange(SIDE * SIDE), grid.reshape(-1)]
    assert lost[free.reshape(-1)].max() < 1e-4


def test_given_pixels_stand_and_the_rest_is_drawn_behind_them(model):
    scattered = np.where(np.random.default_rng(1).random((SIDE, SIDE)) < 0.4, given(slice(None), 2), -1).astype(np.int16)
    asked = [request(given=given(slice(0, 3))), request(CAPTIONS[1], given=scattered, index=1), request(index=2)]
    for one, grid in zip(asked, drawn(model, asked), strict=True):
        free = np.ones((SIDE, SIDE), bool) if one.given is None else one.given < 0
        assert (grid[~free] == (one.given[~free] if one.given is not None else [])).all()
        assert_drawn_from(log_p(model, one, grid), grid, one, free)


def test_a_sprite_does_not_hang_on_what_others_in_its_batch_are_given(model):
    plain, kept = request(), request(given=given(slice(0, 2)))
    mixed = request(mixed_with=CAPTIONS[1])
    together = drawn(model, [plain, kept, mixed])
    for one, grid in zip((plain, kept, mixed), together, strict=True):
        assert (drawn(model, [one])[0] == grid).all()


def test_its_own_pixels_given_back_leave_a_sprite_as_it_was(model):
    whole = drawn(model, [request()])[0]
    for rows in (slice(0, 3), slice(0, 6)):
        kept = np.full((SIDE, SIDE), -1, np.int16)
        kept[rows] = whole[rows]
        assert (drawn(model, [request(given=kept)])[0] == whole).all()


def test_a_pixel_does_not_see_what_is_given_behind_it(model):
    first, second = (drawn(model, [request(given=given(slice(4, 6), seed))])[0] for seed in (1, 2))
    assert (first[:4] == second[:4]).all() and (first[4:] != second[4:]).any()


def test_given_top_rows_take_one_pass_with_the_prompt(model, monkeypatch):
    lengths, forward = [], decoding._Cursor._forward
    monkeypatch.setattr(
        decoding._Cursor, "_forward", lambda self, ids, mask: (lengths.append(ids.shape), forward(self, ids, mask))[1]
    )
    drawn(model, [request(given=given(slice(0, 4)))])
    assert len(lengths) == 2 * SIDE  # one a pixel of the two rows that are drawn, the first with everything before it
    lengths.clear()
    drawn(model, [request(given=given(slice(0, SIDE)))])
    assert lengths == []


@pytest.mark.parametrize("guidance", [0.0, 1.5])
def test_two_captions_and_guidance_weigh_log_probabilities(model, guidance):
    """Requests of one, two and three conditions in one batch."""
    asked = [request(), request(mixed_with=CAPTIONS[1], index=1), request("", index=2), request(mixed_with=CAPTIONS[0])]
    for one, grid in zip(asked, drawn(model, asked, Sampling(guidance=guidance)), strict=True):
        parts = [one.caption, *([one.mixed_with] if one.mixed_with is not None else [])]
        mean = np.mean([log_p(model, replace(one, caption=caption), grid) for caption in parts], 0)
        scores = (1 + guidance) * mean - guidance * log_p(model, replace(one, caption=""), grid)
        assert_drawn_from(scores, grid, one, np.ones((SIDE, SIDE), bool))


def test_guidance_leads_away_from_the_empty_caption(model):
    bare, led = (drawn(model, [request()], Sampling(guidance=g))[0] for g in (0, 3))
    assert (bare != led).any()


def test_no_guidance_costs_no_second_prompt(model):
    assert len(model.conditions([request(), request("x")], 0.0)[0]) == 2
    assert len(model.conditions([request(), request("x")], 2.0)[0]) == 4
    assert len(model.conditions([request("")], 2.0)[0]) == 1  # nothing to lead away from


@pytest.mark.parametrize("guidance", [0, 0.5, 1, 4])
@pytest.mark.parametrize("second", [None, "", "a", "b"])
def test_weights_of_captions_sum_to_one(guidance, second):
    weights = caption_weights(request("a", mixed_with=second), guidance)
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["a"] == pytest.approx((1 + guidance) * (1 if second in (None, "a") else 0.5))


def test_the_default_is_one_prompt_a_drawing(model):
    schedule, prompts = model.tokens.schedule(REEF, SIDE, SIDE), model.prompts([request(), request(CAPTIONS[1])])
    keys = [(3, 0), (3, 1)]
    plain = draw_grids(model.model, prompts, schedule, keys, Sampling())
    split = draw_grids(model.model, [*prompts, prompts[1]], schedule, keys, Sampling(), [(0, 1.0), (1, 0.25), (1, 0.75)])
    assert (plain == split).all()


def test_each_drawing_of_a_batch_keeps_to_its_own_entries(model):
    schedule, prompts = model.tokens.schedule(REEF, SIDE, SIDE), model.prompts([request()] * 3)
    keys = [(1, number) for number in range(3)]
    free = draw_grids(model.model, prompts, schedule, keys, Sampling())
    held = draw_grids(model.model, prompts, schedule, keys, Sampling(), entries=[2, 5, len(REEF)])
    assert (held.max((1, 2)) < [2, 5, len(REEF)]).all() and (free.max((1, 2)) >= 5).all()
    assert (held[2] == free[2]).all()


WRONG = {
    "shape": np.full((SIDE, SIDE + 1), -1, np.int16),
    "entries 0 to 63": np.full((SIDE, SIDE), 64, np.int16),
    "palette": np.full((SIDE, SIDE), -2, np.int16),
    "they take": np.full((SIDE, SIDE), 0.5),
}


@pytest.mark.parametrize("said", WRONG)
def test_given_pixels_that_do_not_fit_are_refused(said):
    with pytest.raises(InputError, match=said):
        check_request(request(given=WRONG[said]))


@pytest.mark.parametrize("other", [{"given": given(slice(0, 1))}, {"mixed_with": "a"}])
def test_without_the_grammar_conditions_are_refused(model, other):
    with pytest.raises(InputError, match="unconstrained"):
        next(model.answer([request(**other)], Sampling(), UNCONSTRAINED))
    with pytest.raises(InputError, match="guidance"):
        next(model.answer([request()], Sampling(guidance=1), UNCONSTRAINED))


def test_a_language_model_is_a_generator(model):
    public = {name for name in vars(Generator) if not name.startswith("_")} | set(Generator.__annotations__)
    assert {"palette", "refuse", "answer", "likelihoods", "draw"} <= public
    assert all(hasattr(model, name) for name in public)
