"""The grammar in each of its languages admits the same texts: those that the strict reader takes."""

import re

import llguidance
import llguidance.hf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llguidance.gbnf_to_lark import any_to_lark

from data_prep.grid_text import ALPHABET, encode, read
from data_prep.palette import Palette, named
from data_prep.sprite import Sprite
from eval.grammar import gbnf, regex

REEF = named("reef64")
FREE = Palette("free", ("87ceeb", "ffffff", "000000"))


@given(st.sampled_from((REEF, FREE)), st.integers(0, 63), st.integers(0, 200), st.sampled_from(ALPHABET + '"]}, x\n'))
def test_the_expression_admits_what_the_strict_reader_reads(palette, entry, place, other):
    text = encode(np.full((5, 6), entry % len(palette), np.uint8), palette)
    assert re.fullmatch(regex(palette, 5, 6), text) and not re.fullmatch(regex(palette, 6, 5), text)
    changed = text[: place % len(text)] + other + text[place % len(text) + 1 :]
    found = read(changed, size=(5, 6))
    assert bool(re.fullmatch(regex(palette, 5, 6), changed)) == (isinstance(found, Sprite) and found.palette == palette)


@pytest.fixture(scope="module")
def tokenizer(tokenizers):
    return llguidance.hf.from_tokenizer(tokenizers["smollm2"])


def accepts(grammar: str, text: str, tokenizer) -> bool:
    matcher = llguidance.LLMatcher(tokenizer, any_to_lark(grammar))
    return not matcher.get_error() and matcher.consume_tokens(tokenizer.tokenize_str(text)) and matcher.is_accepting()


def test_gbnf_read_by_another_engine_admits_the_drawing_and_nothing_else(tokenizer):
    grammar, good = gbnf(REEF, 4, 5), encode(np.arange(20, dtype=np.uint8).reshape(4, 5) + 44, REEF)
    assert accepts(grammar, good, tokenizer)
    for bad in (
        good[:-1],
        good + " ",
        good.replace(",", ", ", 1),
        good.replace("64", "65"),
        encode(np.ones((5, 5), np.uint8), REEF),
    ):
        assert not accepts(grammar, bad, tokenizer)


@pytest.mark.parametrize("colours", [2, 3, 63])
def test_gbnf_ties_the_symbols_to_the_number_of_colours_that_the_model_chose(tokenizer, colours):
    palette = Palette("free", REEF.colours[:colours])
    text = encode(np.full((4, 4), colours, np.uint8), palette)
    assert accepts(gbnf(None, 4, 4), text, tokenizer) and accepts(gbnf(palette, 4, 4), text, tokenizer)
    if colours < 63:
        assert not accepts(gbnf(None, 4, 4), text.replace(ALPHABET[colours], ALPHABET[colours + 1]), tokenizer)
