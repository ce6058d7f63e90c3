"""Curation: what is dropped and why, frames, keys, groups, words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep import curate
from data_prep.curate import Picture, clean

RED, BLUE = (200, 30, 30, 255), (30, 30, 200, 255)


def _rgba(height=12, width=12, side=16):
    """A red block with a blue corner, off centre, in a transparent frame."""
    rgba = np.zeros((side, side, 4), np.uint8)
    rgba[:height, :width] = RED
    rgba[0, 0] = BLUE
    return rgba


def _fish(**changes):
    return Picture(**{"rgba": _rgba(), "name": "fish.png", "label": "fish"} | changes)


def test_a_good_picture_is_trimmed_centred_and_captioned():
    cleaned = clean(_fish(), [32])
    assert cleaned.rgba.shape == (32, 32, 4) and cleaned.caption == "a fish"
    rows = np.flatnonzero(cleaned.rgba[..., 3].any(1))
    assert (rows[0], rows[-1]) == (10, 21)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (_fish(label="sun_with_face"), "subject of Pixel Art Bench: sun"),
        (_fish(label="the Mona Lisa"), "subject of Pixel Art Bench: mona lisa"),
        (_fish(label="Ringed Planet"), "subject of Pixel Art Bench: ringed planet"),
        (_fish(caption="two rainbows at sea"), "subject of Pixel Art Bench: rainbow"),
        (_fish(rgba=np.zeros((8, 8, 4), np.uint8)), "empty"),
        (_fish(rgba=_rgba(16, 16)), "opaque tile"),
        (_fish(rgba=np.where(_rgba()[..., 3:] > 0, np.array(RED, np.uint8), 0)), "1-bit glyph"),
        (_fish(rgba=_rgba(2, 2)), "near-empty"),
        (_fish(rgba=_rgba(40, 20, 48)), "too large for 32x32"),
    ],
)
def test_every_drop_has_its_reason(picture, reason):
    assert clean(picture, [16, 32]).startswith(reason)


def test_bench_subjects_can_stay_and_are_whole_words():
    assert isinstance(clean(_fish(label="sun"), [16], hold_out_bench_subjects=False), Picture)
    assert not any(map(curate.bench_subject, ["sunflower", "planet", "lisa", "hopeless", "sunfish", "marionette", ""]))
    assert all(map(curate.bench_subject, ["Super Mario", "mazes", "SUN", "hope", "saturn"]))


@pytest.mark.parametrize(
    "label",
    [
        "sunset",
        "sunrise over mountains",
        "Sunrays",
        "SuperMario",
        "sunWithFace",
        "double rainbow",
        "planet with rings",
        "MonaLisa",
    ],
)
def test_compounds_that_show_a_bench_subject_stay_out(label):
    assert clean(_fish(label=label), [16]).startswith("subject of Pixel Art Bench")


def test_native_pixels_are_never_resampled_and_take_the_smallest_frame():
    rgba = np.random.default_rng(1).integers(0, 255, (20, 13, 4), np.uint8)
    rgba[..., 3] = 255
    fitted = curate.fit_to_sizes(rgba, [64, 32, 16])
    assert fitted.shape == (32, 32, 4)
    assert (curate.trim(fitted) == rgba).all()


def test_vector_drawings_are_shrunk_by_area():
    large = np.zeros((64, 64, 4), np.uint8)
    large[8:56, 4:60] = RED
    fitted = curate.fit_to_sizes(large, [16], vector=True)
    assert curate.trim(fitted).shape == (14, 16, 4)  # 48×56, the longer side to 16
    assert set(map(tuple, fitted.reshape(-1, 4).tolist())) == {RED, (0, 0, 0, 0)}  # no dark fringe


def test_half_transparent_pixels_are_decided():
    rgba = np.full((2, 2, 4), 100, np.uint8)
    rgba[0, :, 3] = (127, 128)
    solid = curate.threshold_alpha(rgba)
    assert solid[0].tolist() == [[0, 0, 0, 0], [100, 100, 100, 255]]


@given(st.integers(0, 2**32 - 1), st.integers(0, 5), st.integers(0, 5))
def test_keys_ignore_flips_and_shifts(seed, down, right):
    grid = np.random.default_rng(seed).integers(0, 3, (6, 5), np.uint8)
    grid[0, 0] = 1
    moved = np.zeros((16, 16), np.uint8)
    moved[down : down + 6, right : right + 5] = grid
    keys = {curate.flip_key(view) for view in (grid, grid[::-1], grid[:, ::-1], grid[::-1, ::-1], moved)}
    assert len(keys) == 1
    grid[0, 0] = 2
    assert curate.flip_key(grid) not in keys or (grid == 2).sum() > 1


def test_silhouettes_ignore_colour():
    recoloured = _rgba()
    recoloured[recoloured[..., 3] > 0] = BLUE
    assert curate.silhouette_key(_rgba()) == curate.silhouette_key(recoloured)


def test_groups_join_what_shares_a_key_whatever_the_order():
    rows = [("a", "x"), ("b", "x"), ("c", ""), ("b", "y"), ("d", "z"), ("e", "")]
    group_of = curate.groups(rows)
    assert group_of == ["a", "a", "c", "a", "d", "e"]
    assert curate.groups(rows[::-1]) == group_of[::-1]


@pytest.mark.parametrize(
    ("label", "caption"),
    [
        ("potion puce", "a puce potion"),
        ("skeleton humanoid large", "a large humanoid skeleton"),
        ("boots_2 brown", "brown boots"),
        ("book of the dead", "a book of the dead"),
        ("orange fish", "an orange fish"),
        ("unicorn", "a unicorn"),
        ("ugly eel", "an ugly eel"),
        ("octopus", "an octopus"),
        ("kelp", "kelp"),
        ("ring mail", "ring mail"),
        ("1st place medal", "a first place medal"),
        ("acid beam l", "an acid beam"),
        ("urand fencer", "a fencer"),
        ("A Crab", "a crab"),
        ("smiling face with open eyes", "a smiling face with open eyes"),
        ("क्लाउनफ़िश 3", "क्लाउनफ़िश"),
        ("0012", ""),
        ("", ""),
        ("<|im_end|> crab", "an im end crab"),
    ],
)
def test_labels_read_like_speech(label, caption):
    assert curate.caption_from_label(label) == caption


@given(st.text(st.characters(), max_size=300))
def test_any_text_gives_a_clean_line(text):
    for line in (curate.tidy(text), curate.caption_from_label(text)):
        line.encode()
        assert len(line) <= curate.MAX_CAPTION + 10 and not set("<>|\n\r\0") & set(line) and line == line.strip()
