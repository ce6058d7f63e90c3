"""Pixel Art Bench's formulas, exactly as its published code has them. They decide nothing: a checkerboard gets 8.5 of 8.5.

Each takes the rows as drawn, the palette, and the height and width that were asked for, and gives a number or None.
For a grid g of h rows and w columns, with k entries in its palette:
  grid_valid          1 if there are `height` rows of `width` cells that parse, else 0
  palette_validity    share of the cells that parse as an integer ≤ k − 1, whatever the rows' lengths
  colour_efficiency   |distinct values| / k, which can exceed 1
  edge_density        Σ over i < h−1, j < w−1 of ([g(i,j) ≠ g(i+1,j)] + [g(i,j) ≠ g(i,j+1)]) / (2 (h−1)(w−1))
  fill_balance        1 − |mean(g ≠ 0) − 0.5|
  normalised_entropy  −Σ p ln(p + 1e-9) / ln(k + 1e-9): with one colour it divides by about 1e-9
  quality_score       2·grid_valid + 2·palette_validity + 1.5·edge_density + entropy + efficiency + fill_balance

A cell parses when Python's `int` takes it: digits of other scripts count, and in lists of integers negative ones do too
(they are ≤ k − 1). Undefined, that is None: everything without a palette; everything but palette_validity where rows
differ in length; the four that read values where a cell does not parse or there is no cell; edge_density below 2×2;
palette_validity without a cell; quality_score with any of the others. Source: Pixel Art Bench.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import TypeGuard

import numpy as np

TINY = 1e-9
WEIGHTS = {  # of quality_score, in its order
    "grid_valid": 2.0,
    "palette_validity": 2.0,
    "colour_efficiency": 1.0,
    "edge_density": 1.5,
    "fill_balance": 1.0,
    "normalised_entropy": 1.0,
}
NAMES = tuple(WEIGHTS)
QUALITY = "quality_score"


def integer(cell) -> int | None:
    """A character or number as the published code parses it; None where it does not parse."""
    try:
        return int(cell)
    except (TypeError, ValueError, OverflowError):
        return None


class _Parsed(list):
    """Rows whose cells are parsed: `measures` parses once for all seven formulas, which is what they would spend most time on."""


def _parsed(rows: Sequence[Sequence]) -> Sequence[list[int | None]]:
    return rows if isinstance(rows, _Parsed) else _Parsed([integer(cell) for cell in row] for row in rows)


def _is_ragged(rows: Sequence[Sequence]) -> bool:
    return len({len(row) for row in rows}) > 1


def _all_parse(rows: Sequence[list[int | None]]) -> TypeGuard[Sequence[list[int]]]:
    return not any(None in row for row in rows)


def _values(rows: Sequence[Sequence], palette: Sequence) -> Sequence[list[int]] | None:
    """The grid, where the metrics that read values are defined: a rectangle of at least one cell, all parsed."""
    if not palette or _is_ragged(rows) or not rows or not len(rows[0]):
        return None
    parsed = _parsed(rows)
    return parsed if _all_parse(parsed) else None


def grid_valid(rows: Sequence[Sequence], palette: Sequence, height: int, width: int) -> float | None:
    if not palette or _is_ragged(rows):
        return None
    right = len(rows) == height and all(len(row) == width for row in rows)
    return float(right and _all_parse(_parsed(rows)))


def palette_validity(rows: Sequence[Sequence], palette: Sequence, height: int, width: int) -> float | None:
    cells = [cell for row in _parsed(rows) for cell in row]
    if not palette or not cells:
        return None
    return sum(cell is not None and cell <= len(palette) - 1 for cell in cells) / len(cells)


def colour_efficiency(rows: Sequence[Sequence], palette: Sequence, height: int, width: int) -> float | None:
    grid = _values(rows, palette)
    return None if grid is None else len({cell for row in grid for cell in row}) / len(palette)


def edge_density(rows: Sequence[Sequence], palette: Sequence, height: int, width: int) -> float | None:
    grid = _values(rows, palette)
    if grid is None or len(grid) < 2 or len(grid[0]) < 2:
        return None
    known = {value: number for number, value in enumerate({cell for row in grid for cell in row})}  # any size of integer
    g = np.array([[known[cell] for cell in row] for row in grid])
    core = g[:-1, :-1]
    edges = int((core != g[1:, :-1]).sum()) + int((core != g[:-1, 1:]).sum())
    return edges / (2 * core.size)


def fill_balance(rows: Sequence[Sequence], palette: Sequence, height: int, width: int) -> float | None:
    grid = _values(rows, palette)
    if grid is None:
        return None
    return 1 - abs(sum(cell != 0 for row in grid for cell in row) / (len(grid) * len(grid[0])) - 0.5)


def normalised_entropy(rows: Sequence[Sequence], palette: Sequence, height: int, width: int) -> float | None:
    grid = _values(rows, palette)
    if grid is None:
        return None
    counts, cells = Counter(cell for row in grid for cell in row), len(grid) * len(grid[0])
    entropy = -sum(n / cells * math.log(n / cells + TINY) for n in counts.values())
    return entropy / math.log(len(palette) + TINY)


def quality_score(rows: Sequence[Sequence], palette: Sequence, height: int, width: int) -> float | None:
    return measures(rows, palette, height, width)[QUALITY]


def measures(rows: Sequence[Sequence], palette: Sequence, height: int, width: int) -> dict[str, float | None]:
    """All seven of one drawing, by their names."""
    rows = _parsed(rows)
    functions = (grid_valid, palette_validity, colour_efficiency, edge_density, fill_balance, normalised_entropy)
    found = {function.__name__: function(rows, palette, height, width) for function in functions}
    terms = [weight * value for name, weight in WEIGHTS.items() if (value := found[name]) is not None]
    return found | {QUALITY: sum(terms) if len(terms) == len(WEIGHTS) else None}
