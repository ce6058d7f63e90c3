"""Captions say true things only, in many ways; prompts are rendered in one way."""

from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.captions import SYSTEM_PROMPT, messages
from data_prep.palette import Palette, named
from data_prep.sources.procedural import PLANS, sprites
from data_prep.sources.reef.dice import Dice
from data_prep.wording import COLOUR_WORDS, MAX_WORDS, STATED, WORDS, caption, parse, synonyms

GLUE = {"a", "an", "and", "with"}


@pytest.fixture(scope="module")
def sample():
    return list(islice(sprites(seed=11, size=16), 600))


@pytest.fixture(scope="module")
def retold(sample):
    """(caption, tags) of every sprite of the sample, told anew eight times."""
    return [(caption(sprite.tags, Dice(7, i, n)), dict(sprite.tags)) for i, sprite in enumerate(sample) for n in range(8)]


def words_of(phrases) -> set[str]:
    spoken = " ".join(phrases).replace("with ", "")
    return set(spoken.split())


def plain_words(text: str) -> list[str]:
    return text.replace(",", "").replace(":", "").split()


def nouns(words: set[str]) -> set[str]:
    return words | {noun for noun, word in (("stripes", "striped"), ("spots", "spotted"), ("bands", "banded")) if word in words}


def test_every_word_comes_from_the_tags(sample):
    for sprite in sample:
        allowed = nouns(words_of(phrase for key in STATED for phrase in synonyms(key, sprite.tags))) | GLUE
        assert set(plain_words(sprite.caption)) <= allowed, (sprite.caption, dict(sprite.tags))


def test_a_colour_word_belongs_to_one_ramp_only():
    spoken = [word for words in COLOUR_WORDS.values() for word in words]
    assert len(spoken) == len(set(spoken))


def test_captions_are_short_and_lower_case(sample):
    for sprite in sample:
        assert sprite.caption == sprite.caption.lower().strip()
        assert 1 <= len(plain_words(sprite.caption)) <= MAX_WORDS


def test_subsets_and_shapes_vary(sample):
    captions = [sprite.caption for sprite in sample]
    assert len(set(captions)) > 560
    named_plan = sum(any(p in s.caption for p in synonyms("plan", s.tags)) for s in sample) / len(sample)
    named_zone = sum(any(z in s.caption for z in synonyms("zone", s.tags)) for s in sample) / len(sample)
    assert 0.5 < named_plan < 0.95
    assert 0.3 < named_zone < 0.8
    assert sum(", " in text for text in captions) > 60
    assert sum(text.startswith(("a ", "an ")) for text in captions) > 200


def test_every_synonym_comes_up(retold):
    captions = " ".join(text for text, _ in retold)
    phrases = [
        phrase for key in ("colour", "facing", "size", "zone", "glow", "pose") for way in WORDS[key].values() for phrase in way
    ]
    assert [phrase for phrase in phrases if phrase not in captions] == []


def test_the_article_fits(sample):
    for sprite in sample:
        first, *rest = sprite.caption.split()
        if first in ("a", "an"):
            assert (rest[0][0] in "aeiou") == (first == "an"), sprite.caption


def test_messages_name_size_and_palette():
    system, user = messages("a red crab", 16, 24, named("reef64"))
    assert system == {"role": "system", "content": SYSTEM_PROMPT}
    assert user == {"role": "user", "content": "Draw 16x24, palette reef64: a red crab (red=ßàáâãåæ)"}


def test_an_empty_caption_keeps_size_and_palette():
    assert messages("", 16, 16, named("reef64"))[1]["content"] == "Draw 16x16, palette reef64:"


def test_free_palettes_are_open_or_spelt_out():
    assert messages("a crab", 8, 8, None)[1]["content"] == "Draw 8x8, palette free: a crab"
    spelt = Palette("free", ("000000", "ff0000"))
    assert messages("a crab", 8, 8, spelt)[1]["content"] == "Draw 8x8, palette 000000,ff0000: a crab"


def test_what_is_read_back_from_a_caption_is_true_of_its_sprite(retold):
    read = Counter()
    for text, tags in retold:
        said = parse(text)
        assert said.items() <= tags.items(), (text, said, tags)
        assert "plan" in said or "category" in said, text
        read.update(list(said))
    assert set(read) == set(STATED)
    assert min(read.values()) > 500


def test_reading_back_misses_nothing_that_was_said(retold):
    for text, tags in retold:
        spoken = {key for key in ("zone", "facing", "size", "pose") for way in synonyms(key, tags) if way and way in text}
        assert spoken <= set(parse(text)), text


@pytest.mark.parametrize(
    "text, tags",
    [
        ("a red and white crab", {"colour": "red", "second_colour": "neutral", "plan": "crab"}),
        ("Crab with teal spots", {"plan": "crab", "second_colour": "teal", "pattern": "spots"}),
        ("red crab with its claws raised and teal spots",
         {"colour": "red", "plan": "crab", "pose": "claws raised", "second_colour": "teal", "pattern": "spots"}),
        ("a brain coral from the abyssal plain", {"plan": "brain coral", "zone": "abyss"}),
        ("moon jellyfish, nose up", {"plan": "moon jelly", "pose": "rising"}),
        ("a dragon in the redwoods", {}),
    ],
)  # fmt: skip
def test_whole_words_count_and_the_longest_phrase_wins(text, tags):
    assert parse(text) == tags


@given(st.text())
def test_any_text_can_be_read(text):
    assert set(parse(text)) <= set(STATED)


def test_no_phrase_means_two_things():
    meanings = Counter(way for key in WORDS if key != "second_colour" for ways in WORDS[key].values() for way in set(ways) if way)
    assert meanings.most_common(1)[0][1] == 1


def test_every_plan_has_its_name():
    assert set(WORDS["plan"]) == {plan for bodies in PLANS.values() for plan in bodies}
    assert set(WORDS["pose"]) == {pose for bodies in PLANS.values() for body in bodies.values() for pose in body.poses}
