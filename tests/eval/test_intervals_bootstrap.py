"""Intervals cover what they say, pair what is paired, and leave out what was not measured."""

import numpy as np
import pytest

from eval.metrics import intervals


def test_ratio_is_of_sums_and_leaves_empty_prompts_out():
    found = intervals.ratio(np.array([10.0, 30.0, 5.0]), np.array([10.0, 10.0, 0.0]))
    assert found.mean == 2.0 and found.n == 2
    assert intervals.ratio(np.zeros(0), np.zeros(0)) == intervals.NOTHING


def test_mean_leaves_nan_out_and_is_seeded():
    values = np.array([1.0, 2.0, np.nan, 3.0])
    assert intervals.mean(values).mean == 2.0 and intervals.mean(values).n == 3
    assert intervals.mean(values, seed=4) == intervals.mean(values, seed=4)


def test_coverage_is_about_95_percent():
    rng = np.random.default_rng(3)
    samples = rng.normal(1.0, 2.0, (400, 60))
    found = [intervals.mean(sample, resamples=400) for sample in samples]
    covered = np.mean([interval.low <= 1.0 <= interval.high for interval in found])
    assert 0.90 <= covered <= 0.98


def test_pairing_removes_what_prompts_share():
    rng = np.random.default_rng(1)
    hard = rng.normal(0, 10, 50)
    found = intervals.paired_difference(hard + 1 + rng.normal(0, 0.1, 50), hard)
    assert found.low > 0.9 and found.high < 1.1


def test_unanimous_differences_keep_some_doubt():
    ones, zeros = np.ones(20), np.zeros(20)
    better, equal, worse = (intervals.paired_shares(*pair) for pair in ((ones, zeros), (ones, ones), (zeros, ones)))
    assert (
        (better.mean, better.high) == (1, 1) and better.low == pytest.approx(1 - 2 * (1 - 0.025 ** (1 / 20))) and better.low > 0
    )
    assert equal.mean == 0 and equal.low == -equal.high < 0 and (worse.low, worse.high) == (-1, -better.low)
    assert intervals.paired_shares(ones[:3], zeros[:3]).low < 0  # three prompts prove nothing
    mixed = np.arange(20) % 2
    assert intervals.paired_shares(mixed, zeros) == intervals.paired_difference(mixed, zeros)
    assert intervals.paired_shares(np.zeros(0), np.zeros(0)) == intervals.NOTHING


def test_unanimous_shares_keep_some_doubt():
    none, every = intervals.share(np.zeros(30), np.ones(30)), intervals.share(np.ones(30), np.ones(30))
    assert none.low == 0 and none.high == pytest.approx(1 - 0.025 ** (1 / 30))
    assert every.low == pytest.approx(1 - none.high) and every.high == 1
