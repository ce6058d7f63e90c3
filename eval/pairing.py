"""Which pair to ask a rater next: the two makers whose order the votes leave most open, on a prompt that she has seen least.

Strengths are Bradley–Terry's, theta, with p(a before b) = 1 / (1 + exp(theta_b − theta_a)) and a normal prior of deviation
PRIOR; equal and both bad count as half a win for either. About their mode the posterior is taken as normal with covariance C.
One more vote on a and b tells about ½ log(1 + p (1 − p) · var(theta_a − theta_b)) nats (expected information of an experiment;
Lindley 1956, as D-optimal design has it): much where two are close and little is known, next to nothing where one always wins.
Pure functions; chance comes in as `rng`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from random import Random

import numpy as np

from eval.ratings import LEFT, RIGHT, SKIP, Pair, Vote, by_rater, new_uid

PRIOR = 2.0  # logits: two makers drawn from it win 4 of 5 against each other, about
REPEATED = 0.1  # share of pairs that a rater is shown again
REPEATED_AFTER = 10  # votes at least
_STEPS = 25  # of Newton's method, which needs fewer than ten

Drawings = Mapping[str, Mapping[str, str]]  # request id → maker → SHA-256 of its drawing


def choose(drawings: Drawings, votes: Sequence[Vote], rater: str, rng: Random) -> Pair | None:
    """The next pair for a rater, sides by chance; None when she has judged all. votes: of all raters of her kind."""
    mine = by_rater(votes, rater)
    if rng.random() < REPEATED and (again := _repeatable(mine)):
        vote = rng.choice(again)
        return _sided(drawings, vote.request_id, sorted(vote.makers), rng, vote.uid)
    judged = {(vote.request_id, vote.makers) for vote in mine}
    times = Counter(vote.request_id for vote in mine)
    makers = sorted({maker for of in drawings.values() for maker in of})
    told = information(makers, votes)
    pairs = sorted(combinations(range(len(makers)), 2), key=lambda pair: (-round(float(told[pair]), 9), rng.random()))
    for a, b in ((makers[a], makers[b]) for a, b in pairs):
        left = [
            request
            for request, of in drawings.items()
            if a in of and b in of and of[a] != of[b] and (request, frozenset((a, b))) not in judged
        ]
        if left:
            return _sided(drawings, min(left, key=lambda request: (times[request], rng.random())), [a, b], rng, None)
    return None


def _repeatable(mine: Sequence[Vote]) -> list[Vote]:
    """Votes long enough ago, each to be repeated once."""
    done = {vote.repeats for vote in mine}
    early = mine[: max(0, len(mine) - REPEATED_AFTER)]
    return [vote for vote in early if vote.answer != SKIP and vote.repeats is None and vote.uid not in done]


def _sided(drawings: Drawings, request: str, makers: Sequence[str], rng: Random, repeats: str | None) -> Pair:
    left, right = rng.sample(makers, 2)
    of = drawings[request]
    return Pair(new_uid(), request, left, of[left], right, of[right], repeats)


def information(makers: Sequence[str], votes: Iterable[Vote]) -> np.ndarray:
    """(M, M) nats that one more vote on each two makers is expected to tell. Repeated votes tell of the rater, not of makers."""
    wins = _wins(makers, votes)
    strengths, covariance = _posterior(wins)
    chance = 1 / (1 + np.exp(strengths[None] - strengths[:, None]))
    variance = np.diag(covariance)
    apart = variance[:, None] + variance[None] - 2 * covariance
    return 0.5 * np.log1p(chance * (1 - chance) * np.maximum(apart, 0))


def _wins(makers: Sequence[str], votes: Iterable[Vote]) -> np.ndarray:
    """(M, M) wins of the row's maker over the column's."""
    place = {maker: number for number, maker in enumerate(makers)}
    wins = np.zeros((len(makers), len(makers)))
    for vote in votes:
        if vote.answer == SKIP or vote.repeats is not None or not vote.makers <= place.keys():
            continue
        left, right = place[vote.left_maker], place[vote.right_maker]
        share = {LEFT: 1.0, RIGHT: 0.0}.get(vote.answer, 0.5)
        wins[left, right] += share
        wins[right, left] += 1 - share
    return wins


def _posterior(wins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(M,) mode and (M, M) covariance of the strengths, by Newton's method."""
    strengths, times = np.zeros(len(wins)), wins + wins.T
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(strengths[None] - strengths[:, None]))
        weight = times * chance * (1 - chance)
        curvature = np.diag(weight.sum(1) + PRIOR**-2) - weight
        slope = (wins - times * chance).sum(1) - strengths / PRIOR**2
        step = np.linalg.solve(curvature, slope)
        strengths = strengths + np.clip(step, -2, 2)
        if np.abs(step).max(initial=0) < 1e-9:
            break
    return strengths, np.linalg.inv(curvature)
