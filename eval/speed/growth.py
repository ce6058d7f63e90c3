"""How cost grows with work: the exponent of a power law by least squares of logarithms, and what it grows by at the end."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST = 4  # points; with fewer the error of an exponent means little


@dataclass(frozen=True)
class Growth:
    """cost ~ work ** exponent over all points, with its standard error; last: the exponent between the last two points, where a
    fixed cost at the start weighs least."""

    exponent: float
    error: float
    last: float


def growth(work: Sequence[float], cost: Sequence[float]) -> Growth:
    """Of FEWEST points and more, all above 0."""
    x, y = np.log(np.asarray(work, float)), np.log(np.asarray(cost, float))
    away = x - x.mean()
    exponent = float(away @ y / (away @ away))
    left = y - y.mean() - exponent * away
    error = float(np.sqrt(left @ left / (len(x) - 2) / (away @ away)))
    return Growth(exponent, error, float((y[-1] - y[-2]) / (x[-1] - x[-2])))


def slope(work: Sequence[float], cost: Sequence[float]) -> float:
    """Cost of one more unit, by least squares."""
    return float(np.polyfit(np.asarray(work, float), np.asarray(cost, float), 1)[0])


def up_to(most: int, points: Sequence[int]) -> list[int]:
    """The points that are not above `most`; where those are too few, FEWEST that end with it, each three times the one before."""
    kept = [point for point in points if point <= most]
    return kept if len(kept) >= FEWEST else [round(most / 3**back) for back in reversed(range(FEWEST))]
