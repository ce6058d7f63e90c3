"""Few-shot and skill prompts: what the model is told, where it stands in the chat, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from listed_generator import Listed
from run_folders import reef_sprites

from data_prep import grid_text
from data_prep.captions import SYSTEM_PROMPT, messages
from data_prep.errors import InputError
from data_prep.palette import named
from eval.chat import Chat
from eval.decoding import Sampling
from eval.generators import UNCONSTRAINED, LanguageModel, Request
from eval.prompting import (
    MAX_SKILL_TOKENS,
    Examples,
    Prompted,
    Skill,
    check_length,
    leave_out,
    read_skill,
    said,
    sentences,
)  # fmt: skip

REEF = named("reef64")
GUIDE = Path(__file__).parents[2] / "eval" / "skills" / "pixel_art.md"
TRAINING, HELD_OUT, _ = reef_sprites()


@pytest.fixture(scope="module")
def model(tiny_qwen3) -> LanguageModel:
    return LanguageModel.load(base=str(tiny_qwen3), dtype="float32")


def request(caption: str = "a red octopus", **other) -> Request:
    return Request(caption, 16, 16, REEF, **other)


def small(count: int = 9) -> list:
    """Training sprites of 6×6, so that the tiny model draws fast."""
    return [replace(sprite, grid=sprite.grid[5:11, 5:11]) for sprite in TRAINING[:count]]


def test_examples_are_the_training_sprites_that_the_words_are_nearest_to():
    for sprite in HELD_OUT[:40]:
        stated = said(sprite.caption)
        near = Examples(TRAINING, 4).nearest(request(sprite.caption))
        assert len({one.id for one in near}) == 4 and {one.id for one in near} <= {one.id for one in TRAINING}
        for key in ("plan",) if "plan" in stated else ("category",):
            there = any(one.tags[key] == stated[key] for one in TRAINING)
            assert not there or near[0].tags[key] == stated[key]


def test_neither_pixels_nor_unstated_tags_choose_examples():
    asked = request("a striped jelly", tags={"plan": "moon jelly", "colour": "red", "zone": "abyss"})
    blanked = [replace(sprite, grid=np.zeros_like(sprite.grid)) for sprite in TRAINING]
    words = set(asked.caption.split())

    def nearness(training: list, one: Request) -> list[tuple]:
        """Of each example the stated tags and the words that it shares; ids, which break ties, hang on the pixels."""
        near = Examples(training, 8).nearest(one)
        return [(s.tags["category"], s.tags["pattern"], len(words & set(s.caption.lower().split()))) for s in near]

    assert nearness(TRAINING, asked) == nearness(TRAINING, replace(asked, tags={})) == nearness(blanked, asked)
    assert nearness(TRAINING, asked)[0][:2] == ("jellyfish", "stripes")


def test_examples_stand_before_the_question_the_nearest_last():
    told = Examples(TRAINING, 4)(request())
    near = Examples(TRAINING, 4).nearest(request())
    assert [drawing for _, drawing in told.chat.examples] == [grid_text.encode(s.grid, REEF) for s in reversed(near)]
    chat = told.chat.around([{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}])
    assert [turn["role"] for turn in chat] == ["system", *["user", "assistant"] * 4, "user"]
    assert chat[-1]["content"] == "Q" and chat[-3] == messages(near[0].caption, 16, 16, REEF)[-1]


def test_too_few_examples_of_a_size_are_refused():
    with pytest.raises(InputError, match="400 sprites of 16x16"):
        Examples(TRAINING, len(TRAINING) + 1)(request())
    with pytest.raises(InputError, match="has 0 sprites of 24x24"):
        Examples(TRAINING, 1)(Request("a crab", 24, 24, REEF))


def test_the_skill_stands_in_the_system_prompt_and_changes_nothing_else(model):
    from data_prep.captions import messages

    plain = messages("a crab", 6, 6, REEF)
    told = Skill("Think of the silhouette.")(request()).chat.around(plain)
    assert told[0]["content"] == f"{SYSTEM_PROMPT}\nThink of the silhouette." and told[1:] == plain[1:]
    assert Chat().around(plain) == plain
    bare = Request("a crab", 6, 6, REEF)
    assert model.prompts([bare]) == [model.tokens.prompt_ids(plain)] != model.prompts([Skill("x")(bare)])


@pytest.mark.parametrize("tell", [Examples(small(), 1), Examples(small(), 4), Skill("Draw outlines first.")])
def test_what_is_told_reaches_drawings_likelihoods_and_free_answers(model, tell):
    generator, asked = Prompted(model, tell), [Request("a red octopus", 6, 6, REEF, 3, index) for index in range(2)]
    for mode in ("grammar", UNCONSTRAINED)[: 1 + isinstance(tell, Skill)]:
        plain, told = ([d.text for d in one.answer(asked, Sampling(), mode)] for one in (model, generator))
        assert plain != told == [d.text for d in model.answer([tell(one) for one in asked], Sampling(), mode)]
    sprites = small(2)
    bits = [[found.bits for found in one.likelihoods(asked, sprites)] for one in (model, generator)]
    assert not np.allclose(*bits) and np.isfinite(bits).all()


def test_examples_are_read_as_one_token_a_pixel(model):
    told = Examples(small(), 2)(Request("a red octopus", 6, 6, REEF))
    text = model.tokens.tokenizer.decode(model.prompts([told])[0])
    assert all(drawing in text for _, drawing in told.chat.examples)
    ids = model.prompts([told])[0]
    for _, drawing in told.chat.examples:
        own = model.tokens.completion_ids(drawing)
        assert any(ids[start : start + len(own)] == own for start in range(len(ids)))


def test_guidance_leads_away_from_the_empty_caption_behind_the_same_examples(model):
    told = Examples(small(), 1)(Request("a red octopus", 6, 6, REEF))
    prompts, _ = model.conditions([told], 1.0)
    texts = [model.tokens.tokenizer.decode(ids) for ids in prompts]
    assert len(texts) == 2 and all(told.chat.examples[0][1] in text for text in texts)
    assert "red octopus" in texts[0] and "red octopus" not in texts[1]


def test_a_chat_that_is_longer_than_the_models_context_is_refused(model, monkeypatch):
    monkeypatch.setattr(model.model.config, "max_position_embeddings", 200)
    bare = Request("a crab", 6, 6, REEF)
    model.refuse(bare)
    with pytest.raises(InputError, match="the model 200; give fewer examples"):
        next(Prompted(model, Examples(small(), 4)).answer([bare], Sampling()))


def test_the_shipped_guide_fits_both_tokenizers_and_a_longer_one_is_refused(tokenizers):
    text = read_skill(GUIDE)
    for tokenizer in tokenizers.values():
        check_length(text, tokenizer, GUIDE)
        with pytest.raises(InputError, match=f"at most {MAX_SKILL_TOKENS}"):
            check_length(text + " and so on" * 40, tokenizer, GUIDE)


def test_the_shipped_guide_names_the_transparent_character():
    assert grid_text.ALPHABET[0] in read_skill(GUIDE) and len(sentences(read_skill(GUIDE))) == 18


def test_one_sentence_is_left_out_and_the_others_stand():
    parts = sentences(read_skill(GUIDE))
    for number, part in enumerate(parts, 1):
        rest = leave_out(read_skill(GUIDE), number)
        assert part.strip() not in rest and [p.strip() for p in sentences(rest)] == [
            p.strip() for i, p in enumerate(parts, 1) if i != number
        ]


@pytest.mark.parametrize(
    "text, count",
    [("One. Two! Three?", 3), ("1. Draw. 2. Look.", 2), ("No stop", 1), ("- a\n- b\n\nC. D", 4), ("About 0.5 of it.", 1)],
)
def test_sentences_end_at_stops_and_lines(text, count):
    assert len(sentences(text)) == count


@given(st.text(max_size=80))
def test_sentences_are_the_text(text):
    assert "".join(sentences(text)) == text


def test_a_skill_that_is_no_text_is_refused(tmp_path):
    for content, told in ((b"", "empty"), (b"\xff\xfe\x00", "cannot be read")):
        (tmp_path / "skill.md").write_bytes(content)
        with pytest.raises(InputError, match=told):
            read_skill(tmp_path / "skill.md")
    with pytest.raises(InputError, match="cannot be read"):
        read_skill(tmp_path / "nowhere.md")


def test_an_implied_category_is_said():
    assert said("a red octopus")["category"] == "cephalopod" and "category" not in said("a red thing")
    assert said("an octopus, a coral")["category"] == "coral"  # what is stated counts


def test_a_prompted_generator_draws_in_its_own_name():
    sprite = HELD_OUT[0]
    fake = Listed(lambda r: grid_text.encode(sprite.grid, REEF))
    found = Prompted(fake, Skill("x")).draw("a crab", 2, seed=4, size=16)
    assert [one.source for one in found] == ["listed"] * 2 and (found[0].grid == sprite.grid).all()
    assert [(r.seed, r.index, r.chat.skill) for r in fake.asked] == [(4, 0, "x"), (4, 1, "x")]
