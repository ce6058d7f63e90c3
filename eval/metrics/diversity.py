"""Diversity: does a generator repeat itself?

duplicate = 1 for a drawing whose grid an earlier drawing of the same generator has, pixel by pixel, else 0.
Source: this project. Noise is perfectly diverse: this finds collapse, it does not praise.
"""

from collections.abc import Iterable

import numpy as np


def duplicates(grids: Iterable[np.ndarray]) -> list[float]:
    """(H, W) grids of one generator in order → 1.0 for each that has been seen before, else 0.0."""
    seen: set[tuple] = set()
    flags = []
    for grid in grids:
        key = (grid.shape, grid.tobytes())
        flags.append(float(key in seen))
        seen.add(key)
    return flags
