"""Rows are shown while they are drawn: by the language model and by the sprite transformer, and nothing else changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from data_prep.grid_text import read
from data_prep.palette import named
from eval.baseline import sample
from eval.baseline.sprite_transformer import SpriteTransformer, SpriteTransformerConfig
from eval.decoding import Sampling
from eval.generators import LanguageModel, Request

KEYS = [(5, 0), (5, 1), (9, 3)]
REEF = named("reef64")


class Enough(Exception):
    pass


class Watch:
    """Collects what it is shown."""

    def __init__(self, stop_at: int | None = None):
        self.rows, self.stop_at = {}, stop_at

    def __call__(self, keys, y, rows):
        if y == self.stop_at:
            raise Enough
        self.rows |= {(key, y): row.tolist() for key, row in zip(keys, rows, strict=True)}


def given_top(rows: int, and_pixel: bool) -> np.ndarray:
    """(3, 8, 8): the first two drawings have rows that stand, and a pixel in the middle of an open one."""
    given = np.full((3, 8, 8), -1, np.int16)
    given[:2, :rows] = 2
    if and_pixel:
        given[:, 5, 3] = 1
        given[:, 6, 7] = 4
    return given


@pytest.fixture(scope="module")
def transformer():
    torch.manual_seed(1)
    shape = {"width": 16, "layers": 1, "heads": 2, "head_width": 8, "hidden": 16, "pixel_width": 4}
    return SpriteTransformer(SpriteTransformerConfig(entries=7, classes=(3,), **shape)).eval()


@pytest.fixture(scope="module")
def language_model(tiny_qwen3):
    return LanguageModel.load(base=str(tiny_qwen3), dtype="float32")


def by_transformer(model, sampling, given=None) -> np.ndarray:
    return sample.draw_grids(model, np.array([[[0], [1], [2]]]), (8, 8), KEYS, sampling, given=given)


def by_language_model(model, sampling, given=None) -> np.ndarray:
    given = [None] * 3 if given is None else given
    requests = [Request("a fish", 8, 8, REEF, *key, given=g) for key, g in zip(KEYS, given, strict=True)]
    return np.stack([read(drawing.text).grid for drawing in model.answer(requests, sampling)])


CASES = [(by_transformer, "transformer"), (by_language_model, "language_model")]


@pytest.mark.parametrize(("draw", "model"), CASES, ids=["transformer", "language model"])
@pytest.mark.parametrize("given", [None, given_top(3, False), given_top(3, True)], ids=["all", "rest", "around pixels"])
def test_the_rows_shown_are_those_of_the_drawing(draw, model, given, request):
    model, watch = request.getfixturevalue(model), Watch()
    plain = draw(model, Sampling(), given)
    grids = draw(model, Sampling(on_row=watch), given)
    assert (grids == plain).all()
    assert watch.rows == {(key, y): grids[n, y].tolist() for n, key in enumerate(KEYS) for y in range(8)}


@pytest.mark.parametrize(("draw", "model"), CASES, ids=["transformer", "language model"])
def test_rows_that_stand_in_all_drawings_are_left_out(draw, model, request):
    model, watch = request.getfixturevalue(model), Watch()
    given = np.full((3, 8, 8), -1, np.int16)
    given[:, :3], given[:, 6] = 2, 1
    draw(model, Sampling(on_row=watch), given)
    assert {y for _, y in watch.rows} == {3, 4, 5, 7}


@pytest.mark.parametrize(("draw", "model"), CASES, ids=["transformer", "language model"])
def test_a_watcher_ends_the_drawing(draw, model, request):
    watch = Watch(stop_at=4)
    with pytest.raises(Enough):
        draw(request.getfixturevalue(model), Sampling(on_row=watch))
    assert {y for _, y in watch.rows} == {0, 1, 2, 3}


def test_samplings_that_differ_in_their_watcher_alone_are_equal():
    watched = Sampling(0.7, on_row=Watch())
    assert watched == Sampling(0.7) and hash(watched) == hash(Sampling(0.7)) and watched != Sampling(0.8)
    assert "Watch" not in repr(watched) and replace(watched, guidance=1).on_row is watched.on_row
