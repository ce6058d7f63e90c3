"""Sampling: filters, keyed noise, the grammar's language."""

import re

import llguidance
import numpy as np
import pytest
import torch

from data_prep.errors import InputError
from data_prep.grid_text import encode
from data_prep.palette import Palette, named
from eval.decoding import Sampling, choose, gumbel_noise, keep_likely
from eval.grammar import admitted, json_schema, lark

REEF = named("reef64")


def test_noise_hangs_on_seed_and_index_alone():
    assert (gumbel_noise(1, 2, 256, 64) == gumbel_noise(1, 2, 256, 64)).all()
    assert (gumbel_noise(1, 2, 4, 64) == gumbel_noise(1, 2, 256, 64)[:4]).all()  # and on the pixel
    assert not (gumbel_noise(1, 3, 256, 64) == gumbel_noise(1, 2, 256, 64)).any()


def test_gumbel_choice_samples_the_softmax():
    logits = torch.tensor([2.0, 1.0, 0.0]).expand(20_000, 3)
    noise = torch.from_numpy(np.random.default_rng(0).gumbel(size=(20_000, 3)))
    share = np.bincount(choose(logits, noise, Sampling(temperature=0.5)).numpy(), minlength=3) / 20_000
    assert np.allclose(share, torch.tensor([4.0, 2.0, 0.0]).softmax(-1).numpy(), atol=0.01)


def test_filters_keep_what_they_say():
    logits = torch.tensor([[0.5, 0.25, 0.15, 0.1]]).log()
    kept = lambda sampling: (keep_likely(logits, sampling) > -torch.inf).tolist()[0]  # noqa: E731
    assert kept(Sampling(top_k=2)) == [True, True, False, False]
    assert kept(Sampling(top_p=0.7)) == [True, True, False, False]
    assert kept(Sampling(top_p=0.76)) == [True, True, True, False]
    assert kept(Sampling(min_p=0.25)) == [True, True, True, False]
    assert kept(Sampling()) == [True] * 4


def test_temperature_zero_takes_the_likeliest():
    logits, noise = torch.tensor([[0.0, 3.0]]), torch.tensor([[100.0, 0.0]])
    assert choose(logits, noise, Sampling(temperature=0)).item() == 1


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"top_p": 0}, {"min_p": 1}, {"top_k": -1}, {"temperature": float("nan")}])
def test_senseless_sampling_is_refused(wrong):
    with pytest.raises(InputError):
        Sampling(**wrong)


def accepts(grammar: str, text: str, tokenizer) -> bool:
    matcher = llguidance.LLMatcher(tokenizer, grammar)
    return matcher.consume_tokens(tokenizer.tokenize_str(text)) and matcher.is_accepting()


def test_the_grammar_admits_strict_texts_and_nothing_else(tokenizers):
    import llguidance.hf

    tokenizer = llguidance.hf.from_tokenizer(tokenizers["smollm2"])
    two = Palette("free", ("000000", "ffffff"))
    good, grammar = encode(np.full((4, 5), 63, np.uint8), REEF), lark(REEF, 4, 5)
    assert accepts(grammar, good, tokenizer)
    for bad in (
        good.replace(",", ", ", 1),
        good[:-1],
        good.replace("reef64", "reef65"),
        good + "x",
        encode(np.ones((4, 4), np.uint8), REEF),
    ):
        assert not accepts(grammar, bad, tokenizer)
    free = lark(None, 4, 4)
    assert accepts(free, encode(np.full((4, 4), 2, np.uint8), two), tokenizer)
    assert not accepts(free, encode(np.full((4, 4), 3, np.uint8), two), tokenizer)  # symbols follow the palette's length


def test_what_the_grammar_admits_along_a_text(tokens):
    """At a pixel every symbol and nothing that is no beginning of the rest; at the end of the text the end alone."""
    grid = np.arange(20).reshape(4, 5).astype(np.uint8)
    schedule = tokens.schedule(REEF, 4, 5)
    ids, vocabulary = schedule.fill(grid).tolist(), tokens.tokenizer.get_vocab()
    allowed = admitted(tokens.tokenizer, lark(REEF, 4, 5), ids)
    assert allowed[np.arange(len(ids)), ids].all()
    assert allowed[np.ix_(schedule.pixels, schedule.symbol_ids)].all()
    assert not allowed[np.ix_(schedule.pixels, [vocabulary["a"], vocabulary["}"], tokens.end_id])].any()
    assert np.flatnonzero(allowed[-1]).tolist() == [tokens.end_id]
    with pytest.raises(ValueError, match="refuses token"):
        admitted(tokens.tokenizer, lark(REEF, 4, 5), [*ids[:-1], ids[-2]])


def test_the_schema_describes_the_same_drawing():
    schema = json_schema(REEF, 16, 24)
    row = encode(np.full((16, 24), 5, np.uint8), REEF).split('"')[-2]
    assert re.fullmatch(schema["properties"]["grid"]["items"]["pattern"], row)
    assert schema["properties"]["grid"]["minItems"] == 16 and schema["properties"]["palette"] == {"const": "reef64"}
