"""What a sprite transformer is told: no more than the caption says, or zone and category alone."""

import numpy as np
import pytest

from eval.baseline.conditions import Conditions, stated

CRAB = {"zone": "abyss", "category": "grazer", "plan": "crab", "colour": "red", "facing": "left", "glow": "no"}
SUBJECTS = [("a red crab facing left", CRAB), ("crab from the abyss, turned right, red", CRAB | {"facing": "right"})] * 2


def test_the_caption_slots_hold_what_the_caption_says_and_nothing_from_the_tags():
    conditions = Conditions.of("caption", SUBJECTS)
    assert conditions.values == {"colour": ("red",), "facing": ("left", "right"), "plan": ("crab",), "zone": ("abyss",)}
    assert conditions.ids("a red crab facing right", CRAB) == [1, 2, 1, 0]
    assert conditions.ids("crab", CRAB) == [0, 0, 1, 0] and conditions.ids("", CRAB) == [0, 0, 0, 0]
    assert conditions.ids("a blue whale from the shallows", {}) == [0, 0, 0, 0]  # nothing that training knew


def test_the_tag_slots_hold_zone_and_category_and_read_the_caption_only_where_tags_are_missing():
    conditions = Conditions.of("tags", SUBJECTS)
    assert conditions.values == {"category": ("grazer",), "zone": ("abyss",)}
    assert conditions.ids("a red crab", CRAB) == [1, 1] and conditions.ids("", {}) == [0, 0]
    assert conditions.ids("a grazer in the shallows", {}) == [1, 0]
    assert conditions.ids("a grazer", {"category": "coral"}) == [0, 0]  # the tag counts, and is unknown


def test_packs_have_their_label_as_a_slot():
    subjects = [("wooden chest", {"label": "chest"}), ("iron chest", {"label": "chest"}), ("torch", {"label": "torch"})]
    for reads in ("tags", "caption"):
        conditions = Conditions.of(reads, subjects)
        assert conditions.values == {"label": ("chest",)}  # one torch alone would only be remembered
        assert conditions.ids("chest", {"label": "chest"}) == [1] and conditions.ids("torch", {"label": "torch"}) == [0]


def test_mirroring_swaps_left_and_right_and_nothing_else():
    conditions = Conditions.of("caption", SUBJECTS)
    captions = {"red crab facing left": "red crab facing right", "crab facing right": "crab facing left", "red": "red", "": ""}
    told, mirrored = (np.array([conditions.ids(one, {}) for one in some]) for some in (captions, captions.values()))
    assert (conditions.mirrored(told) == mirrored).all() and (conditions.mirrored(mirrored) == told).all()


def test_another_way_of_reading_is_refused():
    with pytest.raises(ValueError, match="pixels"):
        Conditions("pixels", {})
    assert stated("caption", "red", {}) == {"colour": "red"}
