"""Pixel Art Bench's formulas, exactly as its published code has them. They decide nothing: a checkerboard gets 8.5 of 8.5.

For a grid g of height h, width w with a palette of k colours; rows are strings of digits or lists of integers:
  grid_valid          1 if there are h rows of w digits each, else 0
  palette_validity    share of characters that parse as an integer ≤ k − 1; defined for ragged grids too
  colour_efficiency   |distinct values| / k
  edge_density        Σ over i < h−1, j < w−1 of ([g(i,j) ≠ g(i+1,j)] + [g(i,j) ≠ g(i,j+1)]) / (2 (h−1)(w−1))
  fill_balance        1 − |mean(g ≠ 0) − 0.5|
  normalised_entropy  −Σ p ln(p + 1e-9) / ln(k + 1e-9): with one colour it divides by about 1e-9
  quality_score       2·grid_valid + 2·palette_validity + 1.5·edge_density + entropy + efficiency + fill_balance
A metric that is undefined (no rectangle of digits) is None, and quality_score with it. Source: Pixel Art Bench.

For a grid in a named palette, the entries that are used count as the palette, in order and transparent first: with
all 64 entries as k every sprite would be 'inefficient'. So an index here is a place among the used entries.
"""

from collections.abc import Sequence

import numpy as np

NAMES = ("grid_valid", "palette_validity", "colour_efficiency", "edge_density", "fill_balance", "normalised_entropy")
QUALITY = "quality_score"


def _integer(cell) -> int | None:
    """A character or number as the published code parses it; None where it does not parse."""
    try:
        return int(cell)
    except (TypeError, ValueError, OverflowError):
        return None


def measures(rows: Sequence[Sequence], colours: int, height: int, width: int) -> dict[str, float | None]:
    """All seven numbers of one drawing: `rows` as drawn, `colours` in its palette, `height`×`width` as asked for."""
    parsed = [[_integer(cell) for cell in row] for row in rows]
    cells = [cell for row in parsed for cell in row]
    complete = None not in cells and len(parsed) > 0
    scores = dict.fromkeys((*NAMES, QUALITY))
    scores["grid_valid"] = float(complete and len(parsed) == height and all(len(row) == width for row in parsed))
    if cells and colours > 0:
        scores["palette_validity"] = sum(cell is not None and cell <= colours - 1 for cell in cells) / len(cells)
        if complete and len({len(row) for row in parsed}) == 1:
            scores |= _of_rectangle(np.array(parsed), colours)
    if all(scores[name] is not None for name in NAMES):
        weights = (2, 2, 1, 1.5, 1, 1)
        scores[QUALITY] = float(sum(w * scores[name] for w, name in zip(weights, NAMES, strict=True)))
    return scores


def _of_rectangle(grid: np.ndarray, colours: int) -> dict[str, float | None]:
    """The four metrics that need a rectangle; grid (h, w) integers."""
    values, counts = np.unique(grid, return_counts=True)
    share = counts / counts.sum()
    scores = {
        "colour_efficiency": len(values) / colours,
        "fill_balance": 1 - abs(float((grid != 0).mean()) - 0.5),
        "normalised_entropy": float(-(share * np.log(share + 1e-9)).sum() / np.log(colours + 1e-9)),
    }
    if min(grid.shape) > 1:
        core = grid[:-1, :-1]
        edges = (core != grid[1:, :-1]).sum() + (core != grid[:-1, 1:]).sum()
        scores["edge_density"] = float(edges) / (2 * core.size)
    return scores


def of_grid(grid: np.ndarray, height: int, width: int) -> dict[str, float | None]:
    """The seven numbers of an (H, W) index grid in a named palette: its used entries are the palette."""
    used, places = np.unique(grid, return_inverse=True)
    return measures(places.reshape(grid.shape).tolist(), len(used), height, width)
