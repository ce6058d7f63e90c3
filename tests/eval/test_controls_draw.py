"""Controls keep size, palette and words, are keyed by seed and index, and are as bad as their names."""

from dataclasses import replace

import numpy as np
import pytest
from run_folders import blob

from eval.controls import DEGENERATE, HELD_OUT, NEAREST, all_controls, degenerate, nearest_training

SPRITE = blob(np.random.default_rng(0))


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("side", [4, 7, 16, 33])
def test_controls_keep_everything_but_the_pixels(name, side):
    sprite = blob(np.random.default_rng(side), 16)
    grid = np.resize(sprite.grid, (side, side + 2))
    sprite = replace(sprite, grid=grid)
    drawn = degenerate(name, sprite, 1, 2)
    assert drawn.grid.shape == grid.shape
    assert (drawn.palette, drawn.caption, dict(drawn.tags)) == (sprite.palette, sprite.caption, dict(sprite.tags))
    assert drawn.grid.tobytes() == degenerate(name, sprite, 1, 2).grid.tobytes()


def test_seed_and_index_key_the_noise():
    grids = [degenerate("noise", SPRITE, seed, index).grid.tobytes() for seed in (1, 2) for index in (0, 1)]
    assert len(set(grids)) == 4


def test_what_the_controls_keep_and_break():
    drawn = {name: degenerate(name, SPRITE, 0, 0).grid for name in DEGENERATE}
    for name in ("shuffled pixels", "right palette, scrambled shape"):
        assert (np.sort(drawn[name].ravel()) == np.sort(SPRITE.grid.ravel())).all() and (drawn[name] != SPRITE.grid).any()
    assert not drawn["blank"].any()
    assert len(np.unique(drawn["checkerboard"])) == 2 and (drawn["checkerboard"][1:] != drawn["checkerboard"][:-1]).all()
    left = np.count_nonzero(drawn["half erased"]) / np.count_nonzero(SPRITE.grid)
    assert 0.25 < left < 0.75
    blocks = drawn["noise 2x2"].reshape(8, 2, 8, 2)
    assert (blocks == blocks[:, :1, :, :1]).all()


def test_nearest_training_goes_by_words_then_id():
    rng = np.random.default_rng(5)
    training = [blob(rng) for _ in range(40)]
    found = nearest_training(SPRITE, training)
    assert found.caption == SPRITE.caption
    same = [s for s in training if s.tags["colour"] == SPRITE.tags["colour"]]
    assert found.grid.tobytes() == min(same, key=lambda s: s.id).grid.tobytes()
    assert nearest_training(SPRITE, training[::-1]).grid.tobytes() == found.grid.tobytes()
    assert nearest_training(SPRITE, []) is None


def test_all_controls_names_and_order():
    drawn = list(all_controls([SPRITE, SPRITE], [SPRITE], seed=1))
    names = list(dict.fromkeys(name for name, *_ in drawn))
    assert names == [HELD_OUT, NEAREST, *DEGENERATE] and len(drawn) == 2 * len(names)
