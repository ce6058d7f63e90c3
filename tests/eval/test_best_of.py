"""Best of n: what is chosen, what never is, what it costs, and that it hangs on nothing but seed and index."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from listed_generator import Listed
from run_folders import reef_sprites

from data_prep.errors import InputError
from data_prep.grid_text import encode
from data_prep.palette import Palette, named
from data_prep.sprite import Sprite
from data_prep.wording import FACING_WORDS, parse
from eval.best_of import STEP, BestOf, in_other_hues, is_bare, mirrored
from eval.controls import degenerate
from eval.decoding import Sampling
from eval.endpoint import Endpoint
from eval.generators import UNCONSTRAINED, LanguageModel, Request
from eval.prompting import Prompted, said
from eval.rivals import load_guide

REEF = named("reef64")
_, HELD_OUT, _ = reef_sprites()
FLAT = ("blank", "plain square", "checkerboard", "stripes")
UNBUILT = ("noise", "noise 2x2", "shuffled pixels")


@pytest.fixture(scope="module")
def guide():
    return load_guide()


@pytest.fixture(scope="module")
def model(tiny_qwen3) -> LanguageModel:
    return LanguageModel.load(base=str(tiny_qwen3), dtype="float32")


def request(sprite: Sprite, index: int = 0) -> Request:
    return Request(sprite.caption, sprite.height, sprite.width, REEF, 1, index)


def candidates_of(sprites: list[Sprite], bits=lambda caption, sprite: 0.0) -> Listed:
    """Draws the j-th of `sprites` as candidate j."""
    return Listed(lambda r: encode(sprites[r.index // STEP].grid, REEF), bits)


def in_favour_of(chosen: list[Sprite]):
    """Bits of a model that holds `chosen` for a thousand nats likelier with the caption, and everything else for impossible."""
    grids = {sprite.grid.tobytes() for sprite in chosen}

    def bits(caption: str, sprite: Sprite) -> float:
        return 0.0 if (sprite.grid.tobytes() in grids) == bool(caption) else 1500.0

    return bits


def specked(sprite: Sprite, index: int) -> Sprite:
    """A plain square with a few odd pixels: three entries and more, so that only the guide can know."""
    square, rng = degenerate("plain square", sprite, 0, index), np.random.default_rng(index)
    grid = square.grid.copy()
    grid[rng.integers(4, 12, 3), rng.integers(4, 12, 3)] = rng.integers(1, 64, 3)
    return replace(square, grid=grid)


def test_blank_and_flat_candidates_never_beat_a_held_out_sprite(guide):
    """Even where the model's likelihoods are all for them."""
    for index, sprite in enumerate(HELD_OUT):
        bad = [degenerate(name, sprite, 0, index) for name in FLAT] + [_dots(sprite, count) for count in (1, 6, 12)]
        generator = BestOf(candidates_of([*bad, sprite], in_favour_of(bad)), len(bad) + 1, guide)
        assert next(generator.answer([request(sprite)], Sampling())).text == encode(sprite.grid, REEF)


def test_noise_and_specked_squares_do_not_beat_what_the_guide_holds_for_a_sprite(guide):
    known = [sprite for sprite, quality in zip(HELD_OUT, guide.quality(HELD_OUT), strict=True) if quality >= 0.5]
    assert len(known) > 0.95 * len(HELD_OUT)
    lost = 0
    for index, sprite in enumerate(known):
        bad = [degenerate(name, sprite, 0, index) for name in UNBUILT] + [specked(sprite, index)]
        generator = BestOf(candidates_of([*bad, sprite], in_favour_of(bad)), len(bad) + 1, guide)
        lost += next(generator.answer([request(sprite)], Sampling())).text != encode(sprite.grid, REEF)
    assert lost <= 0.02 * len(known)


def _dots(sprite: Sprite, count: int) -> Sprite:
    """So many pixels of the sprite and nothing else."""
    grid, drawn = np.zeros_like(sprite.grid), np.flatnonzero(sprite.grid)
    grid.flat[drawn[:count]] = sprite.grid.flat[drawn[:count]]
    return replace(sprite, grid=grid)


def test_held_out_sprites_are_not_bare_and_flat_ones_are():
    assert not any(is_bare(sprite.grid) for sprite in HELD_OUT)
    assert all(is_bare(degenerate(name, sprite, 0, i).grid) for name in FLAT for i, sprite in enumerate(HELD_OUT))


def test_plain_likelihood_would_pick_the_blank_and_the_score_does_not(model):
    """Without any guide: a blank is the likeliest drawing of a model that has learnt to begin with background."""
    sprite, bits = HELD_OUT[0], {"blank": 4.0, "sprite": 343.0}
    blank = replace(sprite, grid=np.zeros_like(sprite.grid))
    cost = lambda caption, one: bits["sprite" if one.grid.any() else "blank"] + 60 * (one.grid.any() and not caption)  # noqa: E731
    answer = next(BestOf(candidates_of([blank, sprite], cost), 2).answer([request(sprite)], Sampling()))
    assert answer.text == encode(sprite.grid, REEF)


def test_among_sprites_the_caption_decides(guide):
    """Likelihoods say nothing: the guide prefers the category that was asked for."""
    sprites = {sprite.tags["category"]: sprite for sprite in HELD_OUT}
    right = 0
    for asked in sprites.values():
        others = list(sprites.values())
        answer = next(BestOf(candidates_of(others), len(others), guide).answer([request(asked)], Sampling()))
        right += answer.text == encode(asked.grid, REEF)
    assert right >= len(sprites) - 1
    first, second = HELD_OUT[:2]
    for favoured in (first, second):  # without a guide: the likelihoods
        generator = BestOf(candidates_of([first, second], in_favour_of([favoured])), 2)
        assert next(generator.answer([request(first)], Sampling())).text == encode(favoured.grid, REEF)


def test_the_gain_is_the_difference_of_two_log_probabilities(model):
    """The mean over the drawing, its mirror image and the same in other hues, where there is a caption for it."""
    sprites = [replace(sprite, grid=sprite.grid[4:10, 4:10]) for sprite in HELD_OUT[:6]]
    asked = [Request(sprite.caption, 6, 6, REEF) for sprite in sprites]
    bits = lambda one, sprite: next(model.likelihoods([one], [sprite])).bits  # noqa: E731
    asked[0] = replace(asked[0], caption="a crab")  # names no colour, so there is no view in other hues
    expected, counts = [], set()
    for one, sprite in zip(asked, sprites, strict=True):
        views = [view for view in ((one, sprite), mirrored(one, sprite), in_other_hues(one, sprite)) if view]
        expected.append(np.mean([bits(replace(r, caption=""), s) - bits(r, s) for r, s in views]) * np.log(2))
        counts.add(len(views))
    assert BestOf(model, 2).gains(asked, sprites) == pytest.approx(expected, abs=1e-4) and counts == {2, 3}


def test_other_hues_take_the_colour_word_with_them():
    sprite = next(s for s in HELD_OUT if in_other_hues(request(s), s))
    one = replace(request(sprite), tags={"colour": sprite.tags["colour"]})
    turned, image = in_other_hues(one, sprite)
    assert set(turned.tags) == {"colour"} and turned.tags != one.tags
    before, after = parse(one.caption), parse(turned.caption)
    assert {key for key in before | after if before.get(key) != after.get(key)} <= {"colour", "second_colour"}
    assert before["colour"] != after["colour"] == turned.tags["colour"]
    assert ((image.grid == 0) == (sprite.grid == 0)).all() and (image.grid != sprite.grid).any()
    assert in_other_hues(replace(one, caption="a crab", tags={}), sprite) is None  # no colour was asked for


def test_the_best_of_a_language_model_is_one_of_its_own_drawings_whatever_the_batch(model, guide):
    asked = [Request("a red crab", 6, 6, REEF, 3, index) for index in range(3)]
    chosen = [d.text for d in BestOf(model, 4, guide).answer(asked, Sampling())]
    assert chosen == [d.text for d in BestOf(model, 4, guide).answer(asked, Sampling(), batch_size=2)]
    assert chosen[1] == next(BestOf(model, 4, guide).answer(asked[1:2], Sampling())).text
    for one, text in zip(asked, chosen, strict=True):
        drawn = [d.text for d in model.answer([replace(one, index=one.index + j * STEP) for j in range(4)], Sampling())]
        assert text in drawn and len(set(drawn)) == 4
        assert drawn[0] == next(model.answer([one], Sampling())).text  # the first candidate is the plain drawing
    plain = [d.text for d in model.answer(asked, Sampling())]
    assert chosen != plain == [d.text for d in BestOf(model, 1, guide).answer(asked, Sampling())]


def test_cost_counts_all_candidates():
    sprite = HELD_OUT[0]
    drawings = list(BestOf(candidates_of([sprite] * 5), 5).answer([request(sprite), request(sprite, 1)], Sampling()))
    assert [drawing.tokens for drawing in drawings] == [50, 50] and all(drawing.seconds > 0 for drawing in drawings)


def test_answers_that_are_no_drawings_lose_and_stand_only_alone():
    sprite = HELD_OUT[0]
    texts = ["no drawing", "{" * 50, encode(sprite.grid, REEF)]
    for count, kept in ((3, texts[2]), (2, texts[0])):
        generator = BestOf(Listed(lambda r: texts[r.index // STEP]), count)
        assert next(generator.answer([request(sprite)], Sampling(), UNCONSTRAINED)).text == kept


def test_a_size_that_the_guide_was_not_taught_goes_by_likelihood(guide):
    sprites = [replace(sprite, grid=sprite.grid[4:10, 4:10]) for sprite in HELD_OUT[:2]]
    assert not guide.fits(6, 6)
    for favoured in sprites:
        generator = BestOf(candidates_of(sprites, in_favour_of([favoured])), 2, guide)
        assert next(generator.answer([request(sprites[0])], Sampling())).text == encode(favoured.grid, REEF)


@pytest.mark.parametrize("caption", ["crab FACING LEFT, small", "crab looking right", "turned left or turned right", "crab", ""])
def test_mirrored_captions_swap_facing_alone_and_back(caption):
    one, sprite = Request(caption, 16, 16, REEF, tags={"facing": "left", "colour": "red"}), HELD_OUT[0]
    turned, image = mirrored(one, sprite)
    back, same = mirrored(turned, image)
    assert back == one and (image.grid == sprite.grid[:, ::-1]).all() and (same.grid == sprite.grid).all()
    assert turned.tags == {"facing": "right", "colour": "red"}
    sides = {"left": "right", "right": "left"}
    stated = parse(caption).get("facing")
    assert parse(turned.caption) == parse(caption) | ({"facing": sides[stated]} if stated else {})
    assert not any(phrase in turned.caption for phrase in FACING_WORDS["left"]) or "right" in caption


@pytest.mark.parametrize("caption", ["a crab with its left claw raised", "the letter R", "a clock", "a leftward fish"])
def test_a_caption_that_a_mirror_image_belies_is_scored_on_the_drawing_alone(caption):
    sprite, plain = HELD_OUT[0], "a crab"
    flip = replace(sprite, grid=sprite.grid[:, ::-1])
    bits = lambda told, one: 100.0 + 40 * (not told) * (1 if (one.grid == sprite.grid).all() else 3)  # noqa: E731
    asked = [replace(request(sprite), caption=words) for words in (caption, plain, caption)]
    gains = BestOf(Listed(lambda r: "", bits), 2).gains(asked, [sprite, sprite, flip])
    assert mirrored(asked[0], sprite) is None
    assert gains == pytest.approx(np.array([40, 80, 120]) * np.log(2))


def test_a_drawing_in_another_palette_loses():
    """Its entries are other colours; read in the palette that was asked for it would be another picture."""
    sprite = HELD_OUT[0]
    other = encode(sprite.grid, Palette("free", REEF.colours[::-1]))
    generator = BestOf(Listed(lambda r: (other, encode(sprite.grid, REEF))[r.index // STEP]), 2)
    assert next(generator.answer([request(sprite)], Sampling(), UNCONSTRAINED)).text == encode(sprite.grid, REEF)
    assert generator.ranks([request(sprite)], [other]) == [(False, False, False, 0.0)]


def test_a_generator_without_likelihoods_is_refused_before_it_draws():
    server = Endpoint("http://127.0.0.1:9", "m")
    for generator in (server, Prompted(server, lambda asked: asked)):
        with pytest.raises(InputError, match="no likelihoods, which best of n needs"):
            BestOf(generator, 4)


def test_what_cannot_be_chosen_among_is_refused():
    generator, sprite = candidates_of([HELD_OUT[0]] * 2), HELD_OUT[0]
    for n in (0, 65, -1):
        with pytest.raises(InputError, match="1 to 64"):
            BestOf(generator, n)
    for bad, sampling, told in (
        (replace(request(sprite), mixed_with="a crab"), Sampling(), "one caption"),
        (replace(request(sprite), index=STEP), Sampling(), "index"),
        (request(sprite), Sampling(temperature=0), "temperature 0"),
        (replace(request(sprite), height=3), Sampling(), "size"),
    ):
        with pytest.raises(InputError, match=told):
            list(BestOf(generator, 2).answer([request(sprite), bad], sampling))
    assert not generator.asked  # nothing is drawn before


def test_selection_never_asks_the_judge():
    folder = Path(__file__).parents[2] / "eval"
    for name in ("best_of", "refinement", "prompting", "rivals", "chat"):
        text = (folder / f"{name}.py").read_text()
        assert not re.search(r"[\"']judge[\"']|import judging|SpriteLike", text), name


def test_captions_of_the_reef_always_say_a_category():
    assert all(said(sprite.caption)["category"] == sprite.tags["category"] for sprite in HELD_OUT)
