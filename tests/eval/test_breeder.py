"""Breeding: who descends from whom, which pixels stand, hues that cross, and what is thrown out."""

from dataclasses import replace

import numpy as np
import pytest
from fake_generator import BLOB, NOISE, NOTHING, FakeGenerator
from hypothesis import given, settings
from hypothesis import strategies as st
from run_folders import REEF, blob, blobs

from data_prep.errors import InputError
from data_prep.palette import Palette
from data_prep.sprite import Sprite
from eval.controls import degenerate
from eval.generators import LanguageModel
from eval.postprocess.breeder import COMPLETE, CROSS, FOUNDER, MUTATE, TRIES, Member, breed, fault, in_hues_of

RNG = np.random.default_rng(6)
PARENTS = [replace(blob(RNG), caption="a red fish"), replace(blob(RNG, category="jellyfish"), caption="a blue jellyfish")]


def founders(*sprites: Sprite) -> list[Member]:
    return [Member(f"0-{n}", 0, FOUNDER, (), sprite, 0, n) for n, sprite in enumerate(sprites, 1)]


def bred(style: str = BLOB, seed: int = 7, **other):
    generator = FakeGenerator(style)
    return breed(generator, PARENTS, **{"generations": 3, "population": 6, "seed": seed, **other}), generator


def test_children_descend_from_the_generation_before():
    lineage, _ = bred()
    assert [len(lineage.generation(n)) for n in range(5)] == [2, 6, 6, 6, 0]
    generation_of = {member.id: member.generation for member in lineage.members}
    assert len(generation_of) == len(lineage.members)
    for member in lineage.members[2:]:
        assert {generation_of[parent] for parent in member.parents} == {member.generation - 1}
        assert len(set(member.parents)) == (1 if member.operation == MUTATE else 2)
    assert {member.operation for member in lineage.generation(1)} == {COMPLETE, CROSS, MUTATE}


def test_the_seed_decides_everything():
    assert bred()[0] == bred()[0]
    assert bred()[0].members[2:] != bred(seed=8)[0].members[2:]


def test_rows_that_were_not_drawn_are_the_bodys():
    lineage, _ = bred()
    of = {member.id: member for member in lineage.members}
    for member in lineage.members:
        if member.operation in (COMPLETE, MUTATE):
            body, (first, end) = of[member.parents[0]].sprite.grid, member.rows
            stands = np.r_[0:first, end : len(body)]
            assert (member.sprite.grid[stands] == body[stands]).all()
            assert (body[first:end] > 0).any()
            if member.operation == COMPLETE:
                assert end == len(body) and (body[:first] > 0).any()  # something of the body stands


def test_completion_asks_under_the_others_caption_or_both():
    _, generator = bred(generations=1, population=60)
    captions = {(request.caption, request.mixed_with) for request in generator.asked if (request.given[-1] < 0).all()}
    a, b = (parent.caption for parent in PARENTS)
    assert captions >= {(a, None), (b, None), (a, b), (b, a)}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_crossing_palettes_keeps_silhouette_and_steps(seed):
    body, other = blobs(np.random.default_rng(seed), 2)
    crossed = in_hues_of(body, other)
    assert ((crossed.grid > 0) == (body.grid > 0)).all()
    step = np.zeros(64, int)
    for ramp in REEF.ramps.values():
        step[list(ramp)] = range(7)
    assert (step[crossed.grid] == step[body.grid]).all()
    assert main_ramp(crossed) == main_ramp(other)
    assert (in_hues_of(body, body).grid == body.grid).all()


def main_ramp(sprite: Sprite) -> str:
    counts = {name: np.isin(sprite.grid, ramp).sum() for name, ramp in REEF.ramps.items()}
    return max(counts, key=counts.get)


def test_crossing_works_in_a_palette_without_ramps():
    colours = ("200000", "600000", "a00000", "e00000", "000040", "000090", "0000e0", "808080")
    palette = Palette("mine", colours)
    red, blue = np.zeros((8, 8), int), np.zeros((8, 8), int)
    red[2:6, 2:6], red[3, 3], blue[2:6, 2:6] = np.arange(1, 5), 8, np.array([5, 6, 7, 7])
    crossed = in_hues_of(Sprite(red, palette), Sprite(blue, palette)).grid
    assert set(crossed[2:6, 2:6].reshape(-1)) <= {5, 6, 7, 8} and crossed[3, 3] == 8  # the grey eye stays
    assert (np.diff(crossed[4, 2:6].astype(int)) >= 0).all()


@pytest.mark.parametrize("style, words", [(NOISE, ("noise", "overgrown")), (NOTHING, ("blank", "empty", "pieces"))])
def test_children_of_a_generator_that_cannot_draw_are_left_out(style, words):
    lineage, generator = bred(style, generations=1)
    assert {member.operation for member in lineage.members} <= {FOUNDER, CROSS}  # which needs no drawing
    assert len(lineage.left_out) == 6 - len(lineage.generation(1)) >= 4
    assert all(any(word in one.fault for word in words) for one in lineage.left_out)
    assert {one.member.seed for one in lineage.left_out} == {7 + TRIES - 1}
    assert {request.seed for request in generator.asked} == set(range(7, 7 + TRIES))


def test_parents_of_one_hue_are_completed_instead_of_crossed():
    lineage = breed(FakeGenerator(), [PARENTS[0], in_hues_of(PARENTS[1], PARENTS[0])], 1, 6)
    assert len(lineage.generation(1)) == 6 and not lineage.left_out
    assert CROSS not in {member.operation for member in lineage.generation(1)}


def judged(sprite: Sprite, known: list[Member]) -> str | None:
    return fault(Member("1-1", 1, COMPLETE, ("0-1", "0-2"), sprite, 0, 0), known[:2], known)


@pytest.mark.parametrize("name", ["noise", "noise 2x2", "checkerboard", "blank", "shuffled pixels"])
def test_degenerate_drawings_have_a_fault(name):
    known = founders(*PARENTS)
    faults = [judged(degenerate(name, PARENTS[0], 0, index), known) for index in range(20)]
    assert None not in faults and not any("copy" in one for one in faults)


def test_other_sprites_of_the_kind_have_none():
    known = founders(*blobs(np.random.default_rng(1), 2))
    faults = [judged(sprite, known) for sprite in blobs(np.random.default_rng(2), 60)]
    assert sum(one is None for one in faults) >= 54, faults


@pytest.mark.parametrize("turn", [np.flipud, np.fliplr, lambda grid: grid, lambda grid: np.roll(grid[::-1, ::-1], 1, 0)])
def test_copies_are_seen_under_flips_and_shifts(turn):
    grid = turn(PARENTS[0].grid).copy()
    y, x = np.argwhere(grid > 0)[0]
    grid[y, x] = 0  # and nearly equal ones
    assert judged(replace(PARENTS[0], grid=grid), founders(*PARENTS)) == "a copy of 0-1"


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"parents": PARENTS[:1]}, "two or more"),
        ({"generations": 0}, "generations"),
        ({"population": 0}, "population"),
        ({"seed": -1}, "seed"),
        ({"parents": [PARENTS[0], replace(PARENTS[1], grid=0 * PARENTS[1].grid)]}, "parent 2: empty"),
        ({"parents": [PARENTS[0], replace(PARENTS[1], palette=Palette("p", ("ff0000",) * 63))]}, "several palettes"),
    ],
)
def test_what_cannot_be_bred_is_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        breed(**{"generator": FakeGenerator(), "parents": PARENTS, **wrong})


def test_a_language_model_breeds(tiny_qwen3):
    """Random weights draw noise, so its own noise are the parents: then its children are as good."""
    model = LanguageModel.load(base=str(tiny_qwen3), dtype="float32")
    parents = model.draw("a fish", 1, 1, 6) + model.draw("a crab", 1, 2, 6)
    lineage = breed(model, parents, generations=1, population=4, seed=3)
    drawn = [member for member in lineage.generation(1) if member.operation != CROSS]
    assert drawn
    for member in drawn:
        body = next(one for one in lineage.members if one.id == member.parents[0]).sprite.grid
        first, end = member.rows
        assert (member.sprite.grid[:first] == body[:first]).all() and (member.sprite.grid[end:] == body[end:]).all()
        assert (member.sprite.grid[first:end] != body[first:end]).any()
