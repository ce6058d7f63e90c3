"""Pixel Art Bench's formulas for a run's report: those of `eval.bench.legacy`, where a drawing that is none is not valid.

The report's share of valid grids counts every drawing, so grid_valid is 0 where the published code leaves it undefined.
For a grid in a named palette, the entries that are used count as the palette, in order and transparent first: with
all 64 entries as k every sprite would be 'inefficient'. So an index here is a place among the used entries.
"""

from collections.abc import Sequence

import numpy as np

from eval.bench import legacy
from eval.bench.legacy import NAMES, QUALITY

__all__ = ["NAMES", "QUALITY", "measures", "of_grid"]


def measures(rows: Sequence[Sequence], colours: int, height: int, width: int) -> dict[str, float | None]:
    """All seven numbers of one drawing: `rows` as drawn, `colours` in its palette, `height`×`width` as asked for."""
    found = legacy.measures(rows, range(colours), height, width)
    return found | {"grid_valid": found["grid_valid"] or 0.0}


def of_grid(grid: np.ndarray, height: int, width: int) -> dict[str, float | None]:
    """The seven numbers of an (H, W) index grid in a named palette: its used entries are the palette."""
    used, places = np.unique(grid, return_inverse=True)
    return measures([row.tolist() for row in places.reshape(grid.shape)], len(used), height, width)
