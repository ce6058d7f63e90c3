"""Words left out of captions: what goes, what stays, and that nothing is left dangling."""

from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_folders import REEF

from data_prep.sources import procedural
from data_prep.wording import parse
from eval.caption_words import CLASSES, Without, states, without
from eval.generators import Request

CAPTIONS = [sprite.caption for sprite in islice(procedural.sprites(11, 16), 500)]


@pytest.mark.parametrize("word", CLASSES)
def test_the_words_of_one_class_go_and_all_others_stay(word):
    touched = 0
    for caption in CAPTIONS:
        before, after = parse(caption), parse(without(caption, word))
        gone = {*CLASSES[word], *(["second_colour"] if word == "colour" else [])}
        colours = {"colour", "second_colour"}  # 'and red spots' less spots: whose red it is, is no longer said
        assert not gone & set(after), caption
        assert {k: v for k, v in before.items() if k not in gone | colours} == {
            k: v for k, v in after.items() if k not in colours
        }
        assert states(caption, word) == bool(gone & set(before)), caption
        touched += states(caption, word)
    assert touched > 100


@pytest.mark.parametrize("word", CLASSES)
def test_nothing_is_left_dangling(word):
    for caption in CAPTIONS:
        left = without(caption, word)
        words = left.replace(",", " ,").split()
        assert left == left.strip(" ,:") and "  " not in left and ", ," not in left
        assert not words or words[-1] not in ("a", "an", "and", "with")
        for article, follower in pairwise(words):
            assert article not in ("a", "an") or (article == "an") == (follower[0] in "aeiou"), left


@pytest.mark.parametrize(
    "caption, word, left",
    [
        ("a striped red and blue crab facing left", "colour", "a striped crab facing left"),
        ("an orange crab", "colour", "a crab"),
        ("octopus curled up with teal spots", "colour", "octopus curled up with spots"),
        ("octopus with teal spots facing left", "pattern", "octopus with teal facing left"),
        ("squid with spots, large", "pattern", "squid, large"),
        ("reef fish, spotted, yellow", "noun", "spotted, yellow"),
        ("coral: small brain coral", "noun", "small"),
        ("a plain squid from the abyssal plain", "pattern", "a squid from the abyssal plain"),
        ("a large, red jellyfish", "size", "a red jellyfish"),
        ("a large and orange jellyfish", "size", "an orange jellyfish"),
        ("A Small RED Crab", "size", "A RED Crab"),
        ("a crab", "noun", ""),
        ("a crab", "zone", "a crab"),
        ("", "colour", ""),
    ],
)
def test_captions_are_mended(caption, word, left):
    assert without(caption, word) == left


@given(st.text(max_size=60), st.sampled_from(sorted(CLASSES)))
def test_any_text_is_taken_and_a_second_time_changes_nothing_more(text, word):
    once = without(text, word)
    assert not states(text, word) or len(once) < len(text)
    assert set(parse(once)) <= set(parse(text)) | {"colour", "second_colour"}


def test_a_request_keeps_all_but_its_words():
    asked = Request("a red crab", 8, 8, REEF, 3, 4, {"colour": "red"})
    told = Without("colour")(asked)
    assert told.caption == "a crab" and (told.seed, told.index, told.tags) == (3, 4, {"colour": "red"})
