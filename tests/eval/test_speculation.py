"""Guessed pixels make a drawing quicker and change nothing in it."""

import numpy as np
import pytest
import torch

from data_prep.palette import named
from data_prep.sources import procedural
from eval import decoding
from eval.decoding import Sampling, draw_grids
from eval.speculation import guess

REEF, SIDE = named("reef64"), 8


@pytest.fixture
def steps(model, monkeypatch) -> list[int]:
    """Tokens of each forward pass of the model."""
    seen, stock = [], model.model.forward
    monkeypatch.setattr(model.model, "forward", lambda **given: seen.append(given["input_ids"].shape[1]) or stock(**given))
    return seen


def drawn(model, tokens, sampling, guesses: int, monkeypatch, given=None, shares=None):
    monkeypatch.setattr(decoding, "GUESSES", guesses)
    schedule = tokens.schedule(REEF, SIDE, SIDE)
    captions = ["a red crab", ""][: 2 if shares else 1]
    prompts = [tokens.prompt_ids([{"role": "user", "content": caption}]) for caption in captions]
    return draw_grids(model, prompts, schedule, [(5, 3)], sampling, shares, given)


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=0), Sampling(temperature=0.5, top_p=0.9)])
@pytest.mark.parametrize("shares", [None, [(0, 2.0), (0, -1.0)]])
def test_guesses_change_nothing(model, tokens, monkeypatch, sampling, shares):
    plain = drawn(model, tokens, sampling, 0, monkeypatch, shares=shares)
    for guesses in (1, 7, 63):
        assert np.array_equal(drawn(model, tokens, sampling, guesses, monkeypatch, shares=shares), plain)


def test_guesses_change_nothing_around_given_pixels(model, tokens, monkeypatch):
    rng = np.random.default_rng(2)
    given = np.where(rng.random((1, 8, 8)) < 0.5, rng.integers(0, 64, (1, 8, 8)), -1)
    plain = drawn(model, tokens, Sampling(), 0, monkeypatch, given)
    assert np.array_equal(drawn(model, tokens, Sampling(), 7, monkeypatch, given), plain)
    assert np.array_equal(plain[given >= 0], given[given >= 0])


def test_rows_are_shown_once_and_in_order(model, tokens, monkeypatch):
    shown = []
    sampling = Sampling(on_row=lambda keys, row, entries: shown.append((row, entries.copy())))
    grid = drawn(model, tokens, sampling, 7, monkeypatch)[0]
    assert [row for row, _ in shown] == list(range(8))
    assert np.array_equal(np.concatenate([entries for _, entries in shown]), grid)


def test_right_guesses_save_steps(model, tokens, monkeypatch, steps):
    """A model that always draws the same entry: after the first pixel every guess is right."""
    schedule = tokens.schedule(REEF, SIDE, SIDE)
    head = model.lm_head.weight
    kept = head.detach().clone()
    with torch.no_grad():
        head[torch.as_tensor(schedule.symbol_ids)] = 0.0  # all entries alike: greedy takes the first of them
    try:
        grid = drawn(model, tokens, Sampling(temperature=0), 7, monkeypatch)
    finally:
        with torch.no_grad():
            head.copy_(kept)
    assert len(np.unique(grid)) == 1 and len(steps) == 8  # 64 pixels, eight a step


def test_batches_are_not_guessed(model, tokens, steps):
    """Several drawings are seldom right together, and a batch has no idle arithmetic to spend."""
    schedule = tokens.schedule(REEF, 4, 4)
    prompts = [tokens.prompt_ids([{"role": "user", "content": "a crab"}])] * 2
    draw_grids(model, prompts, schedule, [(1, 0), (1, 1)], Sampling())
    assert len(steps) == 16


def test_guesses_follow_the_neighbours():
    above = [1, 1, 2, 2]
    assert guess([*above, 0, 0, 0, 0], [4, 5, 6, 7], 4) == [1, 1, 2, 2]  # nothing changed on the left: the row above again
    assert guess([*above, 3, 0, 0, 0], [5, 6, 7], 4) == [3, 3, 3]  # something did: on as on the left
    assert guess([0] * 4, [0], 2) == [0] and guess([5, 0, 0, 0], [1], 2) == [5]


def test_most_pixels_of_real_sprites_are_guessed():
    """With the drawing so far as it is: more than half, or guessing would not be worth its price."""
    right = []
    for index in range(40):
        grid = procedural.sprite(3, index, 16).grid.reshape(-1).tolist()
        right += [guess(grid[:number] + [0] * (256 - number), [number], 16)[0] == grid[number] for number in range(256)]
    assert np.mean(right) > 0.6
