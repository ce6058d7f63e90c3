"""The nouns' classifier: what it learns from, and that it is tested on what it never saw."""

from dataclasses import replace

import numpy as np
import pytest

from data_prep.bench_format import on_a_ground
from data_prep.errors import InputError
from data_prep.palette import Palette
from data_prep.sprite import Sprite
from eval.bench.nouns import NOUNS, by_noun, load_classifier, noun_of, train
from eval.bench.randomness import keyed

PALETTE = Palette("p", ("d62728", "1f77b4", "2ca02c", "f0e442"))


def sprite(noun: str, shape: str, seed: int) -> Sprite:
    y, x = np.indices((16, 16)) - 7.5
    size = 4.5 + seed % 3
    inside = {"ball": np.hypot(y, x) <= size, "bar": (abs(y) <= 2) & (abs(x) <= size), "post": (abs(x) <= 2) & (abs(y) <= size)}
    grid = np.where(inside[shape], 1 + (y + seed > 2), 0).astype(np.uint8)
    return Sprite(grid, PALETTE, f"a {noun}", {"label": f"big {noun}"}, f"source {seed}")


def several(nouns=("apple", "sword", "tree")) -> list[Sprite]:
    shapes = ("ball", "bar", "post")
    return [sprite(noun, shape, seed) for noun, shape in zip(nouns, shapes, strict=True) for seed in range(6)]


def test_there_are_a_hundred_and_none_is_one_of_the_seven_subjects():
    assert len(set(NOUNS)) == 100 and not {"sun", "rainbow", "maze", "planet", "hope", "mario"} & set(NOUNS)


def test_a_noun_is_the_last_word_of_the_label():
    assert noun_of(sprite("apple", "ball", 0)) == "apple"
    assert noun_of(Sprite(np.ones((8, 8), np.uint8), PALETTE, "a police car")) is None


def test_it_is_tested_on_a_source_that_it_never_saw_and_on_no_near_copy():
    copy = replace(sprite("apple", "ball", 0), source="another")
    for learnt, held_back in by_noun([*several(), copy]).values():
        assert held_back.source not in {one.source for one in learnt}
        assert all((one.grid > 0).tolist() != (held_back.grid > 0).tolist() for one in learnt)


def test_it_tells_plain_shapes_apart_mirrored_and_on_another_ground():
    classifier = train(several())
    assert classifier.held_out == {"top_1": 1.0, "top_5": 1.0, "sprites": 3} and classifier.facts()["chance"] == [1 / 3, 1]
    for noun, shape in (("apple", "ball"), ("sword", "bar"), ("tree", "post")):
        one = sprite(noun, shape, 9)
        drawing = on_a_ground(one.grid[:, ::-1], PALETTE, keyed("test"), bands=False)
        assert classifier.likeliest(drawing.grid, drawing.lab)[0] == noun


def test_it_says_what_is_missing(tmp_path):
    with pytest.raises(InputError, match="of the hundred"):
        train(several()[:3])
    with pytest.raises(InputError, match="no prepared dataset is there"):
        load_classifier(str(tmp_path))
