"""Bootstrap intervals over prompts, and paired differences on the same prompts.

Percentile bootstrap (B. Efron, 'Bootstrap methods: another look at the jackknife', 1979). The unit that is drawn anew
is the prompt, not the drawing: several drawings of one prompt are not independent. With fewer than about 20 prompts
such intervals are too narrow; every table shows n for that reason.
"""

from dataclasses import asdict, dataclass, replace
from functools import lru_cache

import numpy as np

RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval; n counts prompts. All None (and n = 0) where nothing could be measured."""

    mean: float | None
    low: float | None
    high: float | None
    n: int

    def to_json(self) -> dict:
        return asdict(self)


NOTHING = Interval(None, None, None, 0)


@lru_cache(maxsize=8)
def _weights(n: int, seed: int, resamples: int) -> np.ndarray:
    """(resamples, n) float32: how often each prompt is drawn. Shared, so that equal prompts are resampled alike."""
    rng = np.random.default_rng([seed, n])
    return rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float32)


def ratio(sums: np.ndarray, counts: np.ndarray, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """Interval of Σ sums / Σ counts over prompts.

    sums, counts: (prompts,) floats, e.g. bits and pixels of each prompt; prompts with count 0 are left out.
    """
    sums, counts = np.asarray(sums, np.float64), np.asarray(counts, np.float64)
    kept = (counts > 0) & np.isfinite(sums)
    sums, counts = sums[kept], counts[kept]
    if not sums.size:
        return NOTHING
    weights = _weights(len(sums), seed, resamples)
    drawn = (weights @ sums) / (weights @ counts)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(sums.sum() / counts.sum()), float(low), float(high), len(sums))


def share(sums: np.ndarray, counts: np.ndarray, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """`ratio` for yes-or-no metrics. Where all agree, resampling sees no doubt at all; then the open end is exact.

    C. Clopper and E. Pearson (1934): with n prompts that all say no, the share may be up to 1 − 0.025^(1/n).
    """
    found = ratio(sums, counts, seed, resamples)
    doubt = 1 - ((1 - LEVEL) / 2) ** (1 / max(found.n, 1))
    if found.mean == 0:
        return replace(found, high=doubt)
    return replace(found, low=1 - doubt) if found.mean == 1 else found


def mean(values: np.ndarray, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """Interval of the mean of (prompts,) values, one a prompt; NaN is 'not measured' and left out."""
    values = np.asarray(values, np.float64)
    return ratio(values, np.isfinite(values).astype(float), seed, resamples)


def paired_shares(a: np.ndarray, b: np.ndarray, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """`paired_difference` for yes-or-no metrics. Where all prompts agree, resampling sees no doubt: the bound is exact.

    With n prompts whose differences are all equal, up to 1 − 0.025^(1/n) of all prompts may be otherwise (Clopper and
    Pearson), by 1 where the difference was 0 and by up to 2 where it was ±1.
    """
    found = paired_difference(a, b, seed, resamples)
    if not found.n or found.low != found.high or found.mean not in (-1.0, 0.0, 1.0):
        return found
    doubt = (1 + abs(found.mean)) * (1 - ((1 - LEVEL) / 2) ** (1 / found.n))
    return replace(found, low=max(-1.0, found.mean - doubt), high=min(1.0, found.mean + doubt))


def paired_difference(a: np.ndarray, b: np.ndarray, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """Interval of mean(a − b) over the prompts that both have; a, b: (prompts,) floats with NaN for 'not measured'."""
    return mean(np.asarray(a, np.float64) - np.asarray(b, np.float64), seed, resamples)
