"""Controls keep size, palette and words, are keyed by seed and index, and are as bad (or as cheap) as their names."""

from dataclasses import replace

import numpy as np
import pytest
from run_folders import REEF, blob, blobs

from data_prep.palette import Palette
from data_prep.sprite import Sprite
from eval.controls import (
    ANOTHER_SUBJECT,
    DEGENERATE,
    GRID_CONTROLS,
    HELD_OUT,
    NEAREST,
    all_controls,
    another_subject,
    degenerate,
    nearest_training,
)

SPRITE = blob(np.random.default_rng(0))


@pytest.mark.parametrize("name", GRID_CONTROLS)
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
    drawn = {name: degenerate(name, SPRITE, 0, 0).grid for name in GRID_CONTROLS}
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


def test_shaded_disc_is_of_one_ramp_and_about_the_sprites_area():
    sprites = blobs(np.random.default_rng(4), 30)
    discs = [degenerate("shaded disc", sprite, 1, index).grid for index, sprite in enumerate(sprites)]
    for sprite, disc in zip(sprites, discs, strict=True):
        assert set(np.unique(disc)) <= {0, *REEF.ramps[sprite.tags["colour"]]} and len(np.unique(disc)) >= 5
        assert 0.7 < np.count_nonzero(disc) / max(np.count_nonzero(sprite.grid), 8) < 1.5
    assert len({disc.tobytes() for disc in discs}) == 30


def test_shaded_disc_of_palettes_without_ramps_and_of_nothing():
    free = Palette("free", ("ffffff", "000000", "888888"))
    grid = np.tile(np.array([[1, 2], [3, 0]], np.uint8), (4, 4))
    disc = degenerate("shaded disc", Sprite(grid, free), 0, 0).grid
    assert set(np.unique(disc)) <= {0, 1, 2, 3} and disc[4, 4] == 1  # light in the middle
    assert degenerate("shaded disc", Sprite(0 * grid, free), 0, 0).grid.max() <= 1


def test_another_subject_is_of_another_category_and_each_is_used_once():
    sprites = blobs(np.random.default_rng(6), 24)
    drawn = another_subject(sprites)
    category_of = {sprite.grid.tobytes(): sprite.tags["category"] for sprite in sprites}
    for sprite, other in zip(sprites, drawn, strict=True):
        assert category_of[other.grid.tobytes()] != sprite.tags["category"] == other.tags["category"]
        assert other.caption == sprite.caption
    assert len({other.grid.tobytes() for other in drawn}) == len({sprite.grid.tobytes() for sprite in sprites})
    assert [other.id for other in another_subject(sprites)] == [other.id for other in drawn]


def test_another_subject_where_there_is_hardly_another():
    rng = np.random.default_rng(7)
    lopsided = [blob(rng) for _ in range(5)] + [blob(rng, category="coral")]
    assert all(other is not None for other in another_subject(lopsided))
    one_kind = [blob(rng) for _ in range(12)]
    captions = {sprite.grid.tobytes(): sprite.caption for sprite in one_kind}
    assert all(captions[o.grid.tobytes()] != s.caption for s, o in zip(one_kind, another_subject(one_kind), strict=True))
    assert another_subject(one_kind[:1]) == [None] and another_subject([]) == []


def test_all_controls_names_and_order():
    other = blob(np.random.default_rng(1), category="coral")
    drawn = list(all_controls([SPRITE, other], [SPRITE], seed=1))
    names = list(dict.fromkeys(name for name, *_ in drawn))
    assert names == [HELD_OUT, NEAREST, *DEGENERATE] and names[-1] == ANOTHER_SUBJECT and len(drawn) == 2 * len(names)
