"""Who draws better, by votes on pairs: a ranking with intervals, how far raters agree, and which metric agrees with them.

The ranking is Bradley and Terry's with ties (R. Bradley and M. Terry, 1952; R. Davidson, 1970), fitted by M. Newman's iteration
('Efficient computation of rankings from pairwise comparisons', JMLR 24, 2023; package evalica). 'Both bad' counts as a tie here
and is told apart in the table. Reads and writes nothing.

    python -m eval.ranking [--preferred 0.55 0.6 0.7] [--votes 100 300 900]      how many votes to ask for, by simulated raters
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from data_prep.errors import InputError, exit_code
from eval.metrics.intervals import LEVEL, RESAMPLES, Interval, ratio
from eval.ratings import BOTH_BAD, EQUAL, LEFT, RIGHT, SKIP, Vote, new_uid

PRIOR = 0.5  # of a win each way, shared among a maker's rivals: who has won everything is strong, not infinitely so
MOST_MAKERS = 50  # each is compared with each other a thousand times: so many take ten seconds
TIE_PRIOR = 0.05  # of a tie, likewise: without any the iteration divides nothing by nothing


@dataclass(frozen=True)
class Standing:
    """A maker's place. strength: log-odds of being preferred to the geometric mean of all makers, with its 95 % interval;
    wins, ties, losses: votes; both_bad: how many of the ties said so."""

    maker: str
    strength: Interval
    wins: int
    ties: int
    losses: int
    both_bad: int


def ranking(votes: Sequence[Vote], seed: int = 0, resamples: int = RESAMPLES) -> list[Standing]:
    """Makers from the strongest to the weakest; [] without votes.

    Prompts and raters are drawn anew together, so that neither one odd prompt nor one odd rater decides. With one rater the
    interval says nothing of what others would think. Raises InputError for more than MOST_MAKERS.
    """
    votes = _cast(votes)
    makers = sorted({maker for vote in votes for maker in vote.makers})
    if not makers:
        return []
    if len(makers) > MOST_MAKERS:
        raise InputError(f"votes on {len(makers)} makers: at most {MOST_MAKERS} can be ranked; rate a run of fewer generators")
    compared = _compared(votes, makers)
    strengths = _strengths(compared, len(makers), np.ones(len(votes)))
    weights = _resampled(votes, seed, resamples)
    low, high = np.quantile(
        [_strengths(compared, len(makers), row) for row in weights], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0
    )
    prompts = len({vote.request_id for vote in votes})
    order = np.argsort(-strengths, kind="stable")
    found = [Interval(float(strengths[i]), float(low[i]), float(high[i]), prompts) for i in order]
    return [_standing(makers[i], interval, votes) for i, interval in zip(order, found, strict=True)]


def _cast(votes: Sequence[Vote]) -> list[Vote]:
    """Without what was skipped."""
    return [vote for vote in votes if vote.answer != SKIP]


def _winner(vote: Vote) -> str:
    """The maker that was preferred, or '' for a tie."""
    return vote.chosen if vote.answer in (LEFT, RIGHT) else ""


def _pair(vote: Vote) -> tuple:
    """What was compared, whichever stood on the left."""
    left, right = (vote.left_maker, vote.left_drawing), (vote.right_maker, vote.right_drawing)
    return vote.request_id, *sorted((left, right))


def _standing(maker: str, strength: Interval, votes: Sequence[Vote]) -> Standing:
    own = [vote for vote in votes if maker in vote.makers]
    wins, ties = sum(vote.chosen == maker for vote in own), sum(not _winner(vote) for vote in own)
    return Standing(maker, strength, wins, ties, len(own) - wins - ties, sum(vote.answer == BOTH_BAD for vote in own))


def _compared(votes: Sequence[Vote], makers: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(N,) makers on the left and on the right, by their place, and who won: of the votes, then of what is taken for granted;
    and the weights of the latter."""
    from evalica import Winner

    codes = {LEFT: Winner.X, RIGHT: Winner.Y, EQUAL: Winner.Draw, BOTH_BAD: Winner.Draw}
    place = {maker: number for number, maker in enumerate(makers)}
    rows = [(place[vote.left_maker], place[vote.right_maker], codes[vote.answer]) for vote in votes]
    priors = ((Winner.X, PRIOR), (Winner.Y, PRIOR), (Winner.Draw, TIE_PRIOR))
    pairs = list(combinations(range(len(makers)), 2))
    rows += [(first, second, code) for first, second in pairs for code, _ in priors]
    lefts, rights, winners = zip(*rows, strict=True)
    shares = [share / (len(makers) - 1) for _ in pairs for _, share in priors]
    return np.array(lefts), np.array(rights), np.array(winners, object), np.array(shares)


def _strengths(compared: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], makers: int, votes: np.ndarray) -> np.ndarray:
    """(makers,) log-strengths of mean 0. compared: of `_compared`; votes: how often each vote counts."""
    import pandas as pd
    from evalica import newman

    *sides, winners, shares = compared
    weights = np.concatenate([votes, shares])
    lefts, rights = (side[weights > 0] for side in sides)
    told = {"weights": weights[weights > 0].tolist(), "limit": 1000, "index": pd.RangeIndex(makers)}
    found = newman(lefts, rights, winners[weights > 0].tolist(), **told)
    logs = np.log(found.scores.reindex(range(makers)).to_numpy(float))
    return logs - logs.mean()


def _resampled(votes: Sequence[Vote], seed: int, resamples: int) -> np.ndarray:
    """(resamples, votes) how often each vote counts when prompts, and raters where there are several, are drawn anew."""
    rng = np.random.default_rng(seed)
    counts = np.ones((resamples, len(votes)))
    for key in ("request_id", "rater"):
        names, places = np.unique([getattr(vote, key) for vote in votes], return_inverse=True)
        if len(names) > 1:
            counts *= rng.multinomial(len(names), np.full(len(names), 1 / len(names)), resamples)[:, places]
    empty = ~counts.any(1)
    counts[empty] = 1
    return counts


# --- agreement --------------------------------------------------------------------------------------------------------


def alpha(votes: Sequence[Vote]) -> float | None:
    """Krippendorff's alpha of the raters' first verdicts on the same pairs; 1 agrees, 0 is chance; None for one rater."""
    import pandas as pd
    from evalica import InsufficientRatingsError
    from evalica import alpha as krippendorff

    table = defaultdict(dict)
    for vote in _cast(votes):
        table[vote.rater].setdefault(_pair(vote), _winner(vote) or "tie")
    if len(table) < 2:
        return None
    pairs = sorted({pair for row in table.values() for pair in row})
    try:
        return float(krippendorff(pd.DataFrame([[row.get(pair) for pair in pairs] for row in table.values()])).alpha)
    except InsufficientRatingsError:
        return None


def concordance(votes: Sequence[Vote], values: Mapping[str, float], seed: int = 0) -> Interval:
    """Share of decided votes where the metric is higher for the drawing that was preferred; equal values count half.

    values: drawing id → the metric, the higher the better; votes on other drawings are left out. 0.5 is a coin's; a metric
    whose interval holds 0.5 has not been shown to agree with these raters. The interval is over prompts.
    """
    sums, counts = defaultdict(float), defaultdict(float)
    for vote in votes:
        drawings = vote.left_drawing, vote.right_drawing
        if _winner(vote) and all(drawing in values for drawing in drawings):
            better, worse = (values[drawing] for drawing in (drawings if vote.answer == LEFT else drawings[::-1]))
            sums[vote.request_id] += (better > worse) + 0.5 * (better == worse)
            counts[vote.request_id] += 1
    return ratio(np.array([sums[p] for p in counts]), np.array([counts[p] for p in counts]), seed)


# --- planning ---------------------------------------------------------------------------------------------------------


def simulated(strengths: Mapping[str, float], count: int, ties: float = 0.5, seed: int = 0, prompts: int = 30) -> list[Vote]:
    """Votes of a rater who follows the model: makers with these log-strengths, pairs at random; ties: Davidson's parameter."""
    rng, makers = np.random.default_rng(seed), sorted(strengths)
    votes = []
    for number in range(count):
        first, second = rng.choice(len(makers), 2, replace=False)
        a, b = np.exp(strengths[makers[first]]), np.exp(strengths[makers[second]])
        weights = np.array([a, b, 2 * ties * np.sqrt(a * b)])
        answer = str(rng.choice([LEFT, RIGHT, EQUAL], p=weights / weights.sum()))
        pair = (makers[first], f"{number}a", makers[second], f"{number}b")
        votes.append(Vote(new_uid(), str(rng.integers(prompts)), *pair, rater="simulated", kind="model", answer=answer))
    return votes


def votes_needed(preferred: float, power: float = 0.8, level: float = LEVEL) -> int:
    """Decided votes on two makers after which a sign test separates them with probability `power`, where one is preferred in
    this share of votes (0.5 … 1)."""
    from scipy.stats import binom

    if not 0.5 < preferred <= 1:
        raise ValueError(f"preferred {preferred}: makers that are alike are never separated; it takes more than 0.5, to 1")
    count = 4
    while True:  # 783 at 0.55; the power saws up and down, the next twenty counts must hold it too
        counts = np.arange(count, count + 20)
        limits = binom.isf((1 - level) / 2, counts, 0.5)  # more wins than this are significant
        if (binom.sf(limits, counts, preferred) >= power).all():
            return int(count)
        count += 1


PLANNED = {"strong": 0.9, "middle": 0.3, "weak": -1.2}  # log-strengths of the makers that `plan` has simulated raters compare


def separated(preferred: float, count: int, seed: int = 0, tries: int = 400) -> float:
    """Share of simulated sets of `count` decided votes on two makers in which a sign test separates them, the right way round."""
    from scipy.stats import binom

    wins = np.random.default_rng(seed).binomial(count, preferred, tries)
    return float((wins > binom.isf((1 - LEVEL) / 2, count, 0.5)).mean())


def recovered(strengths: Mapping[str, float], count: int, seed: int = 0, tries: int = 20) -> tuple[float, float, float]:
    """Of simulated sets of `count` votes: share with all makers in their true order, share of makers whose interval holds the
    truth, mean width of the intervals."""
    order = sorted(strengths, key=strengths.__getitem__, reverse=True)
    truth = {maker: value - float(np.mean(list(strengths.values()))) for maker, value in strengths.items()}
    found = [ranking(simulated(strengths, count, seed=seed + turn), resamples=100) for turn in range(tries)]
    ordered = np.mean([[standing.maker for standing in standings] == order for standings in found])
    each = [(truth[one.maker], one.strength.low, one.strength.high) for standings in found for one in standings]
    truths, lows, highs = np.array(each, float).T
    return float(ordered), float(((lows <= truths) & (truths <= highs)).mean()), float((highs - lows).mean())


def plan(shares: Sequence[float], counts: Sequence[int], seed: int = 0) -> str:
    """How many votes to ask for, as two tables in Markdown. Raises InputError for a share that no votes separate."""
    lines = ["| preferred in | decided votes to separate two makers, 4 times of 5 | separated in simulation |", "|---|---|---|"]
    for preferred in shares:
        try:
            count = votes_needed(preferred)
        except ValueError as error:
            raise InputError(f"--preferred: {error}") from error
        lines.append(f"| {preferred:.0%} | {count} | {separated(preferred, count, seed):.0%} |")
    makers = ", ".join(f"{maker} {strength:+.1f}" for maker, strength in PLANNED.items())
    lines += ["", f"Makers of log-strengths {makers}; votes with ties:", ""]
    lines += ["| votes | in their true order | truth within its 95 % interval | width of the intervals |", "|---|---|---|---|"]
    for count in counts:
        if count < 1:
            raise InputError(f"--votes {count}: takes 1 or more")
        ordered, held, width = recovered(PLANNED, count, seed)
        lines.append(f"| {count} | {ordered:.0%} | {held:.0%} | {width:.2f} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m eval.ranking", description="How many votes to ask for, by simulated raters.")
    parser.add_argument("--preferred", type=float, nargs="+", default=[0.55, 0.6, 0.7], help="shares of votes for the better one")
    parser.add_argument("--votes", type=int, nargs="+", default=[100, 300, 900], help="numbers of votes on three makers")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    return exit_code("ranking", lambda: plan(options.preferred, options.votes, options.seed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
