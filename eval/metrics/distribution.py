"""How far a set of drawings is from a set of held-out sprites, on a critic's features. x: drawings (n, d), y: sprites (m, d).

kid        unbiased squared MMD with the kernel k(a, b) = (a·b / d + 1)³:
           mean of k(x, x') over x ≠ x' + mean of k(y, y') over y ≠ y' − 2 · mean of k(x, y); may be below 0.
           M. Bińkowski, D. Sutherland, M. Arbel and A. Gretton, 'Demystifying MMD GANs' (2018)
frechet    |μx − μy|² + tr(Σx + Σy − 2 (Σx Σy)^½), covariances with n − 1; grows as n falls, so compare only equal n.
           M. Heusel et al., 'GANs trained by a two time-scale update rule' (2017)
precision  share of drawings within the k-th nearest-neighbour ball of some sprite; recall: the same the other way round.
           T. Kynkäänniemi et al., 'Improved precision and recall metric for assessing generative models' (2019)
density    (1 / k n) · number of (drawing, sprite) with the drawing in that sprite's ball; may be above 1
coverage   share of sprites whose ball has a drawing in it.
           M. F. Naeem et al., 'Reliable fidelity and diversity metrics for generative models' (2020)
A ball's radius is the distance to the k-th nearest of its own set, itself not counted; the edge is outside, as in the
authors' code (prdc 0.2).

Features are centred and scaled by the sprites' own mean and spread before (`standardised`): otherwise the units of a
network decide. Intervals: delete-half subsampling without replacement (J. Shao and C. Wu, 'A general theory for jackknife
variance estimation', 1989): with half of the set left out, estimates scatter about as the whole set's would. A bootstrap
would draw equal points, which unbiased MMD and nearest neighbours take for likeness.
"""

from collections.abc import Callable

import numpy as np

from eval.metrics.intervals import LEVEL, Interval

NEAREST = 5
SUBSETS = 100
MIN_DRAWINGS = 20
NAMES = ("kid", "frechet", "precision", "recall", "density", "coverage")


def standardised(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sets in units of y's mean and spread; what hardly varies in y is not blown up."""
    spread = y.std(0)
    spread = np.maximum(spread, 0.05 * max(spread.mean(), 1e-9))
    return (x - y.mean(0)) / spread, (y - y.mean(0)) / spread


def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n, d), (m, d) → (n, m): the cubic polynomial kernel."""
    near = a @ b.T / a.shape[1] + 1
    return near * near * near  # NumPy's ** 3 takes most of a KID's time


def kid(x: np.ndarray, y: np.ndarray) -> float:
    return _mmd(kernel(x, x), kernel(y, y), kernel(x, y))


def _mmd(xx: np.ndarray, yy: np.ndarray, xy: np.ndarray) -> float:
    """Unbiased: what each point is to itself does not count."""
    n, m = xy.shape
    return float((xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1)) - 2 * xy.mean())


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    """By the eigenvalues of Σx Σy, which are real and not negative; 0 for equal sets."""
    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    product = np.linalg.eigvals(first @ second)
    mixed = np.sqrt(np.clip(product.real, 0, None)).sum()
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(first) + np.trace(second) - 2 * mixed)


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n, m) Euclidean distances."""
    from scipy.spatial.distance import cdist

    return cdist(a, b)


def _radii(own: np.ndarray, k: int) -> np.ndarray:
    """(n, n) distances within a set → (n,) distance to the k-th nearest other."""
    return np.partition(own, k, axis=1)[:, k]


def neighbours(x: np.ndarray, y: np.ndarray, k: int = NEAREST) -> dict[str, float]:
    """precision, recall, density and coverage; both sets must have more than k points."""
    return _neighbours(distances(x, x), distances(y, y), distances(x, y), k)


def _neighbours(xx: np.ndarray, yy: np.ndarray, xy: np.ndarray, k: int) -> dict[str, float]:
    around_x, around_y = _radii(xx, k), _radii(yy, k)
    within = xy < around_y[None]
    return {
        "precision": float(within.any(1).mean()),
        "recall": float((xy < around_x[:, None]).any(0).mean()),
        "density": float(within.sum() / (k * len(xy))),
        "coverage": float((xy.min(0) < around_y).mean()),
    }


def compare(x: np.ndarray, y: np.ndarray, seed: int = 0) -> dict[str, Interval]:
    """All of NAMES with intervals (frechet without: it is biased in n). {} below MIN_DRAWINGS on either side."""
    if min(len(x), len(y)) < MIN_DRAWINGS:
        return {}
    x, y = standardised(x.astype(np.float64), y.astype(np.float64))
    grams, far = (kernel(x, x), kernel(y, y), kernel(x, y)), (distances(x, x), distances(y, y), distances(x, y))
    found = {"kid": _halved(lambda xx, yy, xy: {"kid": _mmd(xx, yy, xy)}, grams, seed)["kid"]}
    found["frechet"] = Interval(frechet(x, y), None, None, len(x))
    return found | _halved(lambda xx, yy, xy: _neighbours(xx, yy, xy, NEAREST), far, seed)


def _halved(measure: Callable[..., dict[str, float]], pairs: tuple[np.ndarray, ...], seed: int) -> dict[str, Interval]:
    """`measure` of all pairs, with the scatter of halves about their own mean as its interval."""
    rng = np.random.default_rng([seed, *pairs[2].shape])
    whole, halves = measure(*pairs), []
    for _ in range(SUBSETS):
        some, others = (np.sort(rng.permutation(size)[: -(-size // 2)]) for size in pairs[2].shape)
        parts = pairs[0][np.ix_(some, some)], pairs[1][np.ix_(others, others)], pairs[2][np.ix_(some, others)]
        halves.append(measure(*parts))
    found = {}
    for name, value in whole.items():
        drawn = np.array([half[name] for half in halves])
        low, high = np.quantile(drawn - drawn.mean(), [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) + value
        found[name] = Interval(value, float(low), float(high), pairs[2].shape[0])
    return found
