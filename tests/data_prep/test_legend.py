"""The legend of a prompt: the symbols of the colours that a caption names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.captions import messages
from data_prep.grid_text import ALPHABET
from data_prep.legend import MAX_SYMBOLS, hue_of_words, legend
from data_prep.palette import Palette, named
from data_prep.wording import COLOUR_WORDS

REEF = named("reef64")
COLOURS = st.lists(st.from_regex(r"[0-9a-f]{6}", fullmatch=True), min_size=1, max_size=63, unique=True)


@pytest.mark.parametrize("hue", COLOUR_WORDS)
def test_in_reef64_a_word_stands_for_its_ramp_dark_to_light(hue):
    ramp = "".join(ALPHABET[entry] for entry in REEF.ramps[hue])
    assert [legend(f"a {word} crab", REEF) for word in COLOUR_WORDS[hue]] == [f"{word}={ramp}" for word in COLOUR_WORDS[hue]]


def test_words_stand_in_the_order_of_the_caption_each_once_in_any_case():
    found = legend("an AZURE fish, red and azure; infrared", REEF)
    assert [part.partition("=")[0] for part in found.split(", ")] == ["azure", "red"]


def test_captions_without_a_colour_and_open_palettes_have_none():
    assert legend("a crab on coral", REEF) == "" and legend("", REEF) == ""
    assert messages("a red crab", 8, 8, None)[1]["content"] == "Draw 8x8, palette free: a red crab"


def test_a_colour_that_the_palette_lacks_is_left_out():
    palette = Palette("free", ("ff0000", "880000", "ffffff"))
    assert legend("a blue and red crab", palette) == f"red={ALPHABET[2]}{ALPHABET[1]}"


@given(COLOURS)
def test_each_colour_of_a_palette_answers_to_one_hue_alone(colours):
    palette = Palette("mine", tuple(colours))
    symbols = [legend(f"a {words[0]} crab", palette).partition("=")[2] for words in COLOUR_WORDS.values()]
    assert all(len(found) <= MAX_SYMBOLS for found in symbols)
    together = "".join(symbols)
    assert len(set(together)) == len(together) and ALPHABET[0] not in together
    if len(colours) <= MAX_SYMBOLS:
        assert set(together) == set(ALPHABET[1 : len(palette)])
    for found in symbols:
        lightness = palette.oklab[[ALPHABET.index(symbol) - 1 for symbol in found], 0]
        assert (np.diff(lightness) >= 0).all()


def test_css_words_lie_where_people_see_them():
    hues = hue_of_words()
    seen = {word: hues[word] for word in ("black", "cyan", "gold", "maroon", "navy", "lime", "magenta")}
    assert seen == {"black": "neutral", "cyan": "teal", "gold": "yellow", "maroon": "red", "navy": "blue", "lime": "green",
                    "magenta": "purple"}  # fmt: skip
