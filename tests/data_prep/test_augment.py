"""Augmentation keeps words true: what is said of a drawing holds of the changed one, and what cannot hold is left alone."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.augment import HUES, Augmentation, flipped, hue_shifted, mirrored_words, permuted
from data_prep.grid_text import FREE, encode, read
from data_prep.palette import Palette, named
from data_prep.sources import procedural
from data_prep.sprite import Sprite
from data_prep.wording import FACING_WORDS, parse

REEF = named("reef64")
reef_sprites = st.builds(procedural.sprite, st.integers(1, 9), st.integers(0, 5000), st.sampled_from([8, 16]))
SIDE_WORDS = [*FACING_WORDS["left"], *FACING_WORDS["right"]]


def drawing(caption: str, **tags) -> Sprite:
    return Sprite(np.arange(64, dtype=np.uint8).reshape(8, 8), REEF, caption, tags)


@given(reef_sprites)
@settings(deadline=None)
def test_flipped_twice_is_the_sprite_itself(sprite):
    once = flipped(sprite)
    assert flipped(once) == sprite
    assert (once.grid == sprite.grid[:, ::-1]).all()


@given(reef_sprites)
@settings(deadline=None)
def test_a_flip_changes_the_side_and_nothing_else_that_is_said(sprite):
    once, other = flipped(sprite), {"left": "right", "right": "left"}
    assert once.tags == dict(sprite.tags) | {"facing": other.get(sprite.tags["facing"], sprite.tags["facing"])}
    said, says = parse(sprite.caption), parse(once.caption)
    assert says == said | ({"facing": other.get(said["facing"], said["facing"])} if "facing" in said else {})


@given(
    st.lists(st.sampled_from([*SIDE_WORDS, "a Red fish", "Facing Left", "standing upright", "bright"]), max_size=4).map(" ".join)
)
def test_mirrored_words_are_their_own_inverse_and_keep_capitals(caption):
    assert mirrored_words(mirrored_words(caption)) == caption
    assert [word.istitle() for word in mirrored_words(caption).split()] == [word.istitle() for word in caption.split()]


@pytest.mark.parametrize(
    "caption",
    ["a left shoe", "a right whale", "an arrow pointing to the left", "a fish facing leftwards", "the letter B", "clockwise",
     "a fish facing left with its right fin up", "number 7"],
)  # fmt: skip
def test_what_reads_one_way_only_is_never_flipped(caption):
    assert flipped(drawing(caption)) is None
    assert Augmentation(flip=1).of(sprite := drawing(caption), np.random.default_rng(0)) is sprite


@pytest.mark.parametrize("caption", ["", "a red fish facing left", "a bright coral standing upright", "Fish, LOOKING RIGHT"])
def test_what_can_follow_is_flipped(caption):
    assert flipped(drawing(caption)) is not None


@given(reef_sprites, st.integers(1, len(HUES) - 1))
@settings(max_examples=150, deadline=None)
def test_a_hue_shift_moves_ramps_step_by_step_and_the_words_follow(sprite, turn):
    shifted = hue_shifted(sprite, turn)
    if shifted is None:
        return
    become = {name: HUES[(HUES.index(name) + turn) % len(HUES)] for name in HUES}
    for name, entries in REEF.ramps.items():
        for step, entry in enumerate(entries):
            assert (shifted.grid[sprite.grid == entry] == REEF.ramps[become.get(name, name)][step]).all()
    assert ((shifted.grid == 0) == (sprite.grid == 0)).all()
    keys = ("colour", "second_colour")
    for tags, changed in ((sprite.tags, shifted.tags), (parse(sprite.caption), parse(shifted.caption))):
        assert changed == dict(tags) | {key: become.get(tags[key], tags[key]) for key in keys if key in tags}
    assert "a amber" not in shifted.caption and "an red" not in shifted.caption


@given(reef_sprites, st.integers(1, len(HUES) - 1))
@settings(max_examples=150, deadline=None)
def test_a_hue_shift_makes_no_sprite_that_is_kept_for_validation_or_test(sprite, turn):
    shifted = hue_shifted(sprite, turn)
    assert shifted is None or procedural.split_of(shifted.tags) == "train"


def test_most_procedural_sprites_can_change_their_hue():
    sprites = [procedural.sprite(1, index, 16) for index in range(200)]
    assert np.mean([hue_shifted(sprite, 3) is not None for sprite in sprites]) > 0.4


def test_hues_are_left_alone_where_words_or_palette_do_not_allow_them():
    red = next(s for s in (procedural.sprite(1, i, 16) for i in range(500)) if s.tags["colour"] == "red" and hue_shifted(s, 2))
    plain = replace(red, caption="a red fish", source="")
    assert hue_shifted(plain, 2).caption == "a yellow fish"
    assert hue_shifted(replace(plain, caption="a fish, red as a golden apple"), 2) is None  # a colour that is no tag's
    assert hue_shifted(replace(plain, tags={}), 2) is None
    assert hue_shifted(replace(plain, tags=dict(red.tags) | {"colour": "green"}), 2) is None  # it is not plainly green
    assert hue_shifted(replace(plain, palette=Palette("own", REEF.colours)), 2) is None  # no ramps


@given(st.integers(0, 10**6), st.integers(2, 20))
def test_a_permuted_free_palette_shows_the_same_picture(seed, colours):
    rng = np.random.default_rng(seed)
    palette = Palette(FREE, REEF.colours[:colours])
    sprite = Sprite(rng.integers(0, colours + 1, (6, 5)), palette, "x")
    changed = permuted(sprite, rng.permutation(np.arange(1, colours + 1)))
    assert (changed.rgba() == sprite.rgba()).all()
    assert sorted(changed.palette.colours) == sorted(palette.colours)
    assert (read(encode(changed.grid, changed.palette)).rgba() == sprite.rgba()).all()


def test_a_named_palette_is_never_permuted():
    assert permuted(drawing("x"), np.arange(63, 0, -1)) is None


@given(reef_sprites, st.integers(0, 10**6))
def test_one_share_does_not_move_another_one_s_choice(sprite, seed):
    both = Augmentation(flip=0.5, hue=1.0).of(sprite, np.random.default_rng(seed))
    alone = Augmentation(flip=0.5).of(sprite, np.random.default_rng(seed))
    assert ((both.grid == 0) == (alone.grid == 0)).all()
    assert Augmentation().of(sprite, np.random.default_rng(seed)) is sprite
