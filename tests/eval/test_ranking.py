"""Votes give back a known ranking, agreement is what it says, and a metric is believed only where it follows the votes."""

import numpy as np
import pytest
from scipy.stats import binomtest

from data_prep.errors import InputError
from eval.ranking import alpha, concordance, main, ranking, recovered, separated, simulated, votes_needed
from eval.ratings import BOTH_BAD, EQUAL, LEFT, RIGHT, SKIP, Vote, new_uid

TRUE = {"adapter": 0.9, "rival": 0.3, "base": -1.2}


def vote(answer: str, left: str = "a", right: str = "b", rater: str = "r", prompt: str = "p", drawings=("1", "2")) -> Vote:
    return Vote(new_uid(), prompt, left, drawings[0], right, drawings[1], rater=rater, kind="person", answer=answer)


@pytest.mark.parametrize("seed", range(4))
def test_a_known_ranking_is_recovered(seed):
    found = ranking(simulated(TRUE, 900, seed=seed), resamples=200)
    assert [standing.maker for standing in found] == ["adapter", "rival", "base"]
    assert all(abs(s.strength.mean - TRUE[s.maker]) < 0.35 for s in found)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    held = [
        standing.strength.low <= TRUE[standing.maker] <= standing.strength.high
        for seed in range(20)
        for standing in ranking(simulated(TRUE, 300, seed=100 + seed), resamples=100)
    ]
    assert np.mean(held) > 0.85


def test_makers_that_are_alike_are_not_told_apart():
    found = ranking(simulated({"a": 0.0, "b": 0.0, "c": 0.0}, 300, seed=2), resamples=200)
    assert all(standing.strength.low < 0 < standing.strength.high for standing in found)


def test_sides_do_not_matter():
    votes = simulated(TRUE, 200, seed=5)
    other = {LEFT: RIGHT, RIGHT: LEFT}
    turned = [
        vote(other.get(v.answer, v.answer), v.right_maker, v.left_maker, v.rater, v.request_id, (v.right_drawing, v.left_drawing))
        for v in votes
    ]
    for one, same in zip(ranking(votes, resamples=20), ranking(turned, resamples=20), strict=True):
        assert one.maker == same.maker and one.strength.mean == pytest.approx(same.strength.mean, abs=1e-4)
        assert (one.wins, one.ties, one.losses) == (same.wins, same.ties, same.losses)


def test_a_maker_that_never_won_has_a_finite_place():
    votes = [vote(LEFT, prompt=str(i)) for i in range(30)] + [vote(BOTH_BAD, "b", "c"), vote(EQUAL, "b", "c", prompt="q")]
    found = {standing.maker: standing for standing in ranking(votes, resamples=50)}
    assert all(np.isfinite([s.strength.mean, s.strength.low, s.strength.high]).all() for s in found.values())
    assert found["a"].strength.mean > found["b"].strength.mean
    assert (found["b"].wins, found["b"].ties, found["b"].losses, found["b"].both_bad) == (0, 2, 30, 1)


def test_more_makers_than_can_be_ranked_are_refused():
    with pytest.raises(InputError, match="51 makers: at most 50"):
        ranking([vote(LEFT, f"m{number}", f"m{number + 1}") for number in range(50)])


def test_no_votes_no_ranking():
    assert ranking([]) == ranking([vote(SKIP)]) == [] and alpha([]) is None and concordance([], {}).n == 0


def test_one_odd_prompt_widens_the_interval():
    """The same hundred votes, on many prompts or on two."""
    many = [vote(LEFT if i % 4 else RIGHT, prompt=str(i)) for i in range(100)]
    few = [vote(LEFT if i % 4 else RIGHT, prompt=str(i % 4 == 0)) for i in range(100)]
    width = lambda votes: (lambda s: s.high - s.low)(ranking(votes, resamples=200)[0].strength)  # noqa: E731
    assert width(few) > 1.5 * width(many)


def test_alpha_is_one_where_raters_agree_and_near_nothing_where_they_guess():
    rng = np.random.default_rng(0)
    agreed = [vote(LEFT if i % 2 else RIGHT, rater=r, prompt=str(i)) for i in range(60) for r in "xy"]
    guessed = [vote(str(rng.choice([LEFT, RIGHT])), rater=r, prompt=str(i)) for i in range(400) for r in "xy"]
    assert alpha(agreed) == pytest.approx(1) and abs(alpha(guessed)) < 0.15 and alpha(agreed[::2]) is None


def test_a_metric_is_believed_as_far_as_it_follows_the_votes():
    votes = [vote(LEFT if i % 2 else RIGHT, prompt=str(i), drawings=(f"{i}a", f"{i}b")) for i in range(60)]
    right = {f"{i}a": float(i % 2) for i in range(60)} | {f"{i}b": float(1 - i % 2) for i in range(60)}
    assert concordance(votes, right).mean == 1
    assert concordance(votes, {key: -value for key, value in right.items()}).mean == 0
    assert concordance(votes, dict.fromkeys(right, 1.0)).mean == 0.5
    assert concordance([*votes, vote(EQUAL)], {key: right[key] for key in ("0a", "0b", "1a")}).n == 1


@pytest.mark.parametrize("preferred", [0.55, 0.6, 0.7, 0.9])
def test_so_many_votes_separate_two_makers(preferred):
    """Against an exact test on simulated votes: four in five are significant, and clearly fewer with two thirds of them."""
    count, rng = votes_needed(preferred), np.random.default_rng(1)
    significant = lambda n: np.mean([binomtest(int(k), n).pvalue < 0.05 for k in rng.binomial(n, preferred, 800)])  # noqa: E731
    assert significant(count) > 0.76 and significant(max(4, 2 * count // 3)) < 0.76


def test_alike_makers_are_never_separated():
    with pytest.raises(ValueError, match="never separated"):
        votes_needed(0.5)


def test_more_votes_recover_a_known_ranking_more_surely_and_more_closely():
    few, many = (recovered(TRUE, count, seed=7, tries=8) for count in (30, 600))
    assert many[0] == 1 and many[0] >= few[0] and min(few[1], many[1]) > 0.7 and many[2] < 0.5 * few[2]


def test_fewer_votes_than_are_needed_separate_less_often():
    assert separated(0.6, votes_needed(0.6)) > 0.74 > separated(0.6, votes_needed(0.6) // 2)
    assert separated(0.5, 300) < 0.06  # makers that are alike, by mistake


def test_the_plan_is_printed_as_tables(capsys):
    assert main(["--preferred", "0.7", "--votes", "60"]) == 0
    said = capsys.readouterr().out
    assert f"| 70% | {votes_needed(0.7)} |" in said and "| 60 |" in said
    assert main(["--preferred", "0.5"]) == 2 and "never separated" in capsys.readouterr().err
