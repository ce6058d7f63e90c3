"""Which pair is shown next: what is least certain, prompts in turn, sides by chance, one in ten again."""

from collections import Counter
from dataclasses import replace
from itertools import combinations
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.pairing import REPEATED, REPEATED_AFTER, choose, information
from eval.ratings import SKIP, Pair, Vote, new_uid


def drawings(makers: str, prompts: int) -> dict[str, dict[str, str]]:
    return {f"r{number}": {maker: f"{maker}{number}" for maker in makers} for number in range(prompts)}


def vote(pair: Pair, answer: str, rater: str = "Ada") -> Vote:
    return Vote(**vars(pair), rater=rater, kind="person", answer=answer)


def said(left: str, right: str, answer: str) -> Vote:
    return vote(Pair(new_uid(), "r0", left, "x", right, "y"), answer)


def asked(of: dict, answer, count: int, seed: int = 1, rater: str = "Ada") -> list[Vote]:
    """Votes of a rater who answers each pair by `answer(pair)`, until there are `count` or no more pairs."""
    rng, votes = Random(seed), []
    while len(votes) < count and (pair := choose(of, votes, rater, rng)):
        votes.append(vote(pair, answer(pair), rater))
    return votes


def test_information_is_symmetric_and_falls_with_each_vote():
    before = information("abc", [])
    assert (before == before.T).all() and np.allclose(before[np.triu_indices(3, 1)], before[0, 1]) and before[0, 1] > 0
    assert (np.diag(before) == 0).all()
    told = [before[0, 1]]
    for answer in ("left", "right", "equal", "both_bad", "left"):
        told.append(information("abc", [said("a", "b", answer)] * len(told))[0, 1])
    assert told == sorted(told, reverse=True)


def test_a_sure_order_tells_less_than_an_open_one():
    told = information("abc", [said("a", "b", "left")] * 12 + [said("a", "c", "left"), said("a", "c", "right")] * 6)
    assert told[0, 1] < told[0, 2]  # as many votes, but b always lost
    assert information("abc", [said("a", "b", SKIP)] * 9)[0, 1] == pytest.approx(information("abc", [])[0, 1])


def test_what_is_known_by_way_of_a_third_tells_less():
    chain = [said("a", "b", "left"), said("a", "b", "right"), said("b", "c", "left"), said("b", "c", "right")] * 5
    told = information("abcd", chain)
    assert told[0, 2] < told[0, 3]  # a and c never met, nor did a and d


def test_repeats_and_strangers_do_not_count():
    again = replace(said("a", "b", "left"), repeats="x")
    assert (information("ab", [again] * 9 + [said("a", "stranger", "left")]) == information("ab", [])).all()


def test_close_makers_are_asked_about_most_and_so_known_better_than_by_chance():
    strength = {"a": 4.0, "b": 3.8, "c": 0.0, "d": -0.2, "e": -4.0}
    rng = Random(7)

    def answer(pair: Pair) -> str:
        left = 1 / (1 + np.exp(strength[pair.right_maker] - strength[pair.left_maker]))
        return "left" if rng.random() < left else "right"

    votes = [one for one in asked(drawings("abcde", 250), answer, 250) if one.repeats is None]
    times = Counter(tuple(sorted(one.makers)) for one in votes)
    close = [("a", "b"), ("c", "d")]
    far = [pair for pair in combinations("abcde", 2) if pair not in close]
    assert min(times[pair] for pair in close) > max(times[pair] for pair in far)
    assert sum(times[pair] for pair in close) > sum(times[pair] for pair in far)
    by_chance = [Pair(new_uid(), "r0", left, "x", right, "y") for left, right in (rng.sample("abcde", 2) for _ in votes)]
    by_chance = information("abcde", [vote(pair, answer(pair)) for pair in by_chance])
    chosen = information("abcde", votes)
    assert chosen[0, 1] < 0.8 * by_chance[0, 1] and chosen[2, 3] < 0.8 * by_chance[2, 3]


@given(st.integers(2, 5), st.integers(1, 6), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_a_rater_judges_each_pair_once_beside_the_repeats(makers, prompts, seed):
    of = drawings("abcde"[:makers], prompts)
    of["r0"]["b"] = of["r0"]["a"]  # the same drawing: nothing to choose
    votes = asked(of, lambda pair: Random(pair.uid).choice(["left", "right", "equal", "skip"]), 10**4, seed)
    first = [(one.request_id, one.makers) for one in votes if one.repeats is None]
    pairs = {(request, frozenset(pair)) for request, by in of.items() for pair in combinations(by, 2)} - {("r0", frozenset("ab"))}
    assert len(first) == len(set(first)) and set(first) == pairs
    by_uid = {one.uid: (place, one) for place, one in enumerate(votes)}
    repeats = [(place, one, *by_uid[one.repeats]) for place, one in enumerate(votes) if one.repeats]
    assert len({one.repeats for _, one, _, _ in repeats}) == len(repeats)
    for place, one, earlier, original in repeats:
        assert place - earlier > REPEATED_AFTER and original.answer != SKIP and original.repeats is None
        assert (one.request_id, one.makers) == (original.request_id, original.makers)


def test_one_in_ten_comes_again_and_sides_are_even():
    votes = asked(drawings("abcd", 200), lambda pair: "equal", 1000)
    again = sum(one.repeats is not None for one in votes)
    assert 1000 * REPEATED * 0.7 < again < 1000 * REPEATED * 1.3
    left = Counter(one.left_maker for one in votes)
    shown = Counter(maker for one in votes for maker in one.makers)
    assert all(0.42 < left[maker] / shown[maker] < 0.58 for maker in "abcd")
    swapped = [one.left_maker != next(v for v in votes if v.uid == one.repeats).left_maker for one in votes if one.repeats]
    assert 0.3 < np.mean(swapped) < 0.7


def test_prompts_come_in_turn():
    votes = [one for one in asked(drawings("abc", 20), lambda pair: "left", 66) if one.repeats is None]
    times = Counter(one.request_id for one in votes[:40])
    assert set(times.values()) <= {1, 2, 3} and len(times) == 20


def test_what_others_said_counts_and_does_not_keep_a_pair_from_her():
    of = drawings("abc", 2)
    others = [vote(Pair(new_uid(), "r0", "a", "x", "b", "y"), "left", "Bea")] * 30
    mine = []
    rng = Random(3)
    while pair := choose(of, [*others, *mine], "Ada", rng):
        mine.append(vote(pair, "left"))
    assert mine[0].makers != frozenset("ab")  # that order is known
    assert len(mine) == 6
