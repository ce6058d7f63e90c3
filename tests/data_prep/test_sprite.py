"""Sprite: identity by content, read-only, and what it refuses."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data_prep.errors import InputError
from data_prep.palette import Palette
from data_prep.sprite import Sprite

PALETTE = Palette("pair", ("000000", "ffffff"))
GRID = np.array([[0, 1, 2, 0]] * 5, np.uint8)
SPRITE = Sprite(GRID, PALETTE, "a fish", {"zone": "abyss", "plan": "eel"}, "here", "CC0-1.0", "me")
sides = st.integers(4, 64)
grids = st.tuples(sides, sides).flatmap(lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 2)))


@pytest.mark.parametrize(
    "change",
    [
        {"grid": GRID[::-1, ::-1] * 0 + 1},
        {"grid": GRID.reshape(4, 5)},  # the same bytes in another shape
        {"palette": Palette("pair", ("000000", "fffffe"))},
        {"caption": "a fish "},
        {"tags": {"zone": "hadal", "plan": "eel"}},
        {"tags": {}},
        {"source": "there"},
        {"licence": "MIT"},
        {"attribution": ""},
    ],
)
def test_id_changes_with_content(change):
    other = dataclasses.replace(SPRITE, **change)
    assert other.id != SPRITE.id and other != SPRITE


def test_id_does_not_change_with_names_and_order():
    tags = dict(reversed(SPRITE.tags.items()))
    palette = Palette("other", PALETTE.colours, {"grey": (1, 2)})
    same = dataclasses.replace(SPRITE, palette=palette, tags=tags, grid=GRID.astype(np.int64))
    assert same.id == SPRITE.id and same == SPRITE and len({same, SPRITE}) == 1


def test_id_is_stable():
    """Datasets, splits and reports name sprites by it: a change of these bytes orphans them all."""
    assert SPRITE.id == "4d5e8a69eada3c89a5930318b387f75ca9f3cc8ad1db23af135af232b4c53b27"


def test_not_equal_to_something_else():
    assert SPRITE not in (SPRITE.id, None, GRID.tobytes())


def test_read_only():
    with pytest.raises(ValueError):
        SPRITE.grid[0, 0] = 1
    with pytest.raises(TypeError):
        SPRITE.tags["zone"] = "hadal"
    with pytest.raises(dataclasses.FrozenInstanceError):
        SPRITE.caption = "a whale"


def test_it_keeps_its_own_copy():
    grid, tags = GRID.copy(), {"zone": "abyss"}
    sprite = Sprite(grid, PALETTE, tags=tags)
    grid[:], tags["zone"] = 2, "hadal"
    assert (sprite.grid == GRID).all() and sprite.tags == {"zone": "abyss"}


@pytest.mark.parametrize("shape", [(0, 0), (3, 4), (4, 3), (65, 4), (4, 65), (16,), (16, 16, 1), ()])
def test_bad_shapes(shape):
    with pytest.raises(InputError, match="pixels a side"):
        Sprite(np.zeros(shape, np.uint8), PALETTE)


def test_ragged_rows():
    with pytest.raises(InputError):
        Sprite([[0] * 4, [0] * 4, [0] * 4, [0] * 5], PALETTE)


@pytest.mark.parametrize("index", [3, 255, 256, -1, -256, 2**40])
def test_bad_indices(index):
    grid = np.zeros((4, 4), np.int64)
    grid[2, 2] = index  # 256 and -256 would wrap to transparent
    with pytest.raises(InputError, match=f"index {index} "):
        Sprite(grid, PALETTE)


@pytest.mark.parametrize("dtype", [np.float32, bool, "U1", object])
def test_only_whole_numbers(dtype):
    with pytest.raises(InputError, match="whole numbers"):
        Sprite(np.zeros((4, 4)).astype(dtype), PALETTE)


@settings(max_examples=20, deadline=None)
@given(grids, st.text(max_size=20))
def test_any_good_grid(grid, caption):
    sprite = Sprite(grid, PALETTE, caption)
    assert (sprite.height, sprite.width) == grid.shape and sprite.grid.dtype == np.uint8
    assert sprite == Sprite(grid.tolist(), PALETTE, caption) and len(sprite.id) == 64


def test_a_lone_surrogate_has_an_id():
    """JSON from a model may hold one; no text may break the reader."""
    assert Sprite(GRID, PALETTE, "\ud800").id != Sprite(GRID, PALETTE, "\ud801").id


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy, lambda sprite: pickle.loads(pickle.dumps(sprite))])
def test_copies_and_pickles(copier):
    again = copier(SPRITE)
    assert again == SPRITE and again.tags == SPRITE.tags and again.palette.name == "pair"
    assert not again.grid.flags.writeable


def test_rgba():
    picture = SPRITE.rgba()
    assert picture.shape == (5, 4, 4) and picture.dtype == np.uint8
    assert picture[0].tolist() == [[0, 0, 0, 0], [0, 0, 0, 255], [255, 255, 255, 255], [0, 0, 0, 0]]
