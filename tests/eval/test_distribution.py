"""Distances between sets of features: equal to independent implementations, right on cases whose answer is known."""

import numpy as np
import pytest
import torch
from scipy import linalg
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.neighbors import NearestNeighbors

from eval.metrics import distribution


def sets(n=40, m=55, d=6, shift=0.7, seed=1):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) * rng.uniform(0.5, 2, d) + shift, rng.standard_normal((m, d))


@pytest.mark.parametrize(("n", "m", "shift"), [(40, 55, 0.7), (30, 30, 0.0), (25, 90, 3.0)])
def test_kid_equals_the_sum_over_pairs_and_scikit_learns_kernel(n, m, shift):
    x, y = sets(n, m, shift=shift)
    kernels = [polynomial_kernel(a, b, degree=3, gamma=1 / 6, coef0=1) for a, b in ((x, x), (y, y), (x, y))]
    within = [np.mean([k[i, j] for i in range(len(k)) for j in range(len(k)) if i != j]) for k in kernels[:2]]
    assert distribution.kid(x, y) == pytest.approx(sum(within) - 2 * np.mean(kernels[2]), abs=1e-6)


def test_kid_is_unbiased_and_sees_a_shift():
    same = [distribution.kid(*(np.random.default_rng([s, t]).standard_normal((20, 4)) for t in (1, 2))) for s in range(300)]
    assert abs(np.mean(same)) < 3 * np.std(same) / 300**0.5 and min(same) < 0
    assert distribution.kid(*sets(shift=2.0)) > 5 * max(same)


def test_frechet_equals_the_matrix_square_root():
    x, y = sets()
    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(first + second - 2 * linalg.sqrtm(first @ second).real)
    assert distribution.frechet(x, y) == pytest.approx(expected, abs=1e-6)
    assert distribution.frechet(x, x) == pytest.approx(0, abs=1e-6)
    assert distribution.frechet(x, x + 2) == pytest.approx(4 * 6, abs=1e-6)


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("shift", [0.0, 0.7, 4.0])
def test_neighbours_equal_a_loop_over_balls(k, shift):
    x, y = sets(shift=shift)
    radius = {}
    for name, points in (("x", x), ("y", y)):
        radius[name] = NearestNeighbors(n_neighbors=k + 1).fit(points).kneighbors(points)[0][:, k]
    inside = [[np.linalg.norm(a - b) < r for b, r in zip(y, radius["y"], strict=True)] for a in x]
    covered = [[np.linalg.norm(a - b) < r for a, r in zip(x, radius["x"], strict=True)] for b in y]
    expected = {
        "precision": np.mean([any(row) for row in inside]),
        "recall": np.mean([any(row) for row in covered]),
        "density": sum(map(sum, inside)) / (k * len(x)),
        "coverage": np.mean([any(row[j] for row in inside) for j in range(len(y))]),
    }
    assert distribution.neighbours(x, y, k) == pytest.approx(expected, abs=1e-6)


def test_neighbours_equal_prdc():
    prdc = pytest.importorskip("prdc")
    x, y = sets(80, 70, shift=0.3)
    assert distribution.neighbours(x, y, 5) == pytest.approx(prdc.compute_prdc(y, x, 5), abs=1e-6)


def test_kid_and_frechet_equal_torchmetrics():
    kid, fid = pytest.importorskip("torchmetrics.image.kid"), pytest.importorskip("torchmetrics.image.fid")
    for d, shift in ((6, 0.7), (64, 0.1)):
        x, y = sets(120, 120, d, shift)
        a, b = (torch.from_numpy(points) for points in (x, y))
        assert distribution.kid(x, y) == pytest.approx(kid.poly_mmd(a, b, degree=3, coef=1.0).item(), abs=1e-6)
        moments = [part for points in (a, b) for part in (points.mean(0), torch.cov(points.T))]
        assert distribution.frechet(x, y) == pytest.approx(fid._compute_fid(*moments).item(), abs=1e-6)


def test_always_the_same_drawing_is_precise_but_covers_nothing():
    _, y = sets(m=100)
    found = distribution.compare(np.repeat(y[:1], 60, 0), y)
    assert found["precision"].mean == 1 and found["coverage"].mean < 0.2 and found["recall"].mean == 0
    assert found["kid"].low > 0


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    truth = distribution.kid(*(np.random.default_rng([99, t]).standard_normal((3000, 3)) + t * 0.5 for t in (0, 1)))
    held = 0
    for seed in range(60):
        x, y = (np.random.default_rng([seed, t]).standard_normal((60, 3)) + t * 0.5 for t in (0, 1))
        grams = distribution.kernel(x, x), distribution.kernel(y, y), distribution.kernel(x, y)
        kid = distribution._halved(lambda xx, yy, xy: {"kid": distribution._mmd(xx, yy, xy)}, grams, seed)["kid"]
        held += kid.low <= truth <= kid.high
    assert 46 <= held <= 60


def test_too_few_drawings_are_not_compared_and_constant_features_do_no_harm():
    x, y = sets()
    assert distribution.compare(x[:19], y) == {} and distribution.compare(x, y[:19]) == {}
    x[:, 2], y[:, 2] = 1.0, 1.0
    found = distribution.compare(x, y)
    assert set(found) == set(distribution.NAMES) and all(np.isfinite(value.mean) for value in found.values())
    assert found == distribution.compare(x, y)
