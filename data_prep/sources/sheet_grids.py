"""Grids on a sheet that nothing describes: hypotheses of margin, spacing and cell for each axis, scored together. Pure functions.

A grid has to keep all that is drawn within its cells and sprites whole; the finest that does so, with about one sprite in each
cell, wins. Boxes are (x, y, width, height) in pixels.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, product

import numpy as np

from data_prep.sources.sheet_background import packed
from data_prep.sources.sheet_descriptions import Box
from data_prep.sources.sheet_pieces import MAX_PIECES, SPECK_REACH, drawn_rows, joined, piece_boxes, pieces, with_specks

SMALLEST, LARGEST = 6, 256  # pixels: sides of a cell
MAX_MARGIN, MAX_SPACING = 32, 16
MAX_CROSSED = 0.6  # of what a line through sprites would cross: a grid whose lines cross more is none
MAX_CROWDED = 0.3  # of the cells: a grid with more cells of several pieces is none
AREA_WEIGHT = 0.35  # cost of a step e times as wide or high: among grids that cut nothing the finest wins
LOOSE_COST = 0.1  # of a grid that does not fill the picture with one margin all round
CROWDED_COST = 1.0  # of a grid whose every cell holds several pieces
MAX_TORN = 0.04  # of the pieces' area
MAX_TORN_EVEN = 0.1  # the same, where each cell in use holds one sprite: then the grid is sure, and pieces of sprites touch
SQUARE_COST = 0.2  # of a cell e times as wide as high
ROWS_COST = 0.35  # of rows with cells of their own
MAX_PART_REACH = 8  # pixels between parts of a cell's sprite
PER_COUNT = 2  # hypotheses of one number of cells that are kept
PER_AXIS = 8  # hypotheses of each axis that are tried together


@dataclass(frozen=True)
class Axis:
    """One axis of a grid: `count` cells of `tile` pixels from `margin` on, `spacing` apart. crossed: share of what a line
    through sprites would cross; cost: the lower, the likelier."""

    margin: int
    spacing: int
    tile: int
    count: int
    crossed: float
    cost: float

    @property
    def step(self) -> int:
        return self.tile + self.spacing

    @property
    def starts(self) -> np.ndarray:
        return self.margin + np.arange(self.count) * self.step


@dataclass(frozen=True)
class Grid:
    """Cells in reading order; cost: the lower, the likelier."""

    cells: tuple[Box, ...]
    cost: float


def infer_grid(rgba: np.ndarray) -> Grid | None:
    """The likeliest grid over the whole sheet, or None where none keeps the sprites whole and apart."""
    return _best_grid(rgba, axis_hypotheses(rgba), axis_hypotheses(rgba.transpose(1, 0, 2)), MAX_CROWDED, MAX_TORN)


def infer_rows(rgba: np.ndarray) -> Grid | None:
    """Rows with cells of their own, parted by empty lines; a row that no grid fits is cut into pieces. None where most do not.

    A row has so few lines that some of any step cross little by chance: they have to cross nothing.
    """
    bands = drawn_rows(rgba[..., 3] > 0)
    cells: list[Box] = []
    costs, gridded = [], 0
    for top, foot in bands:
        height = Axis(0, 0, foot - top, 1, 0.0, AREA_WEIGHT * math.log(foot - top))
        across = [axis for axis in axis_hypotheses(rgba[top:foot]) if not axis.crossed]
        grid = _best_grid(rgba[top:foot], across, [height], MAX_CROWDED / 2, 0)
        found = grid.cells if grid else pieces(rgba[top:foot, :, 3] > 0)
        cells += [(x, top + y, width, height) for x, y, width, height in found]
        gridded += len(found) * (grid is not None)
        costs += [grid.cost if grid else 0.0] * len(found)
    if len(bands) < 2 or 2 * gridded < len(cells):
        return None
    return Grid(tuple(cells), ROWS_COST + sum(costs) / gridded)


def _best_grid(rgba: np.ndarray, across: list[Axis], down: list[Axis], max_crowded: float, max_torn: float) -> Grid | None:
    """The cheapest pair of axes under these limits."""
    mask = rgba[..., 3] > 0
    boxes = piece_boxes(mask)
    best: tuple[Axis, Axis] | None = None
    least = math.inf
    for columns, rows in product(across, down):
        cost = columns.cost + rows.cost + SQUARE_COST * abs(math.log(columns.step / rows.step))
        torn = _torn(boxes, columns, rows)
        if columns.count * rows.count < 2 or cost >= least or torn > max(max_torn, MAX_TORN_EVEN * (max_torn > 0)):
            continue
        crowded, occupied = _crowded(mask, columns, rows)
        cost += CROWDED_COST * crowded
        even = crowded == 0 or torn <= max_torn
        if occupied > 1 and crowded <= max_crowded and even and cost < least:
            best, least = (columns, rows), cost
    if best is None:
        return None
    columns, rows = best
    cells = ((x, y, columns.tile, rows.tile) for y in rows.starts.tolist() for x in columns.starts.tolist())
    return Grid(tuple(cells), least)


def _torn(boxes: np.ndarray, columns: Axis, rows: Axis) -> float:
    """Share, by area, of the pieces that lie across a line although a cell could hold them: touching sprites make larger ones."""
    across = (boxes[:, 0] - columns.margin) // columns.step != (boxes[:, 0] + boxes[:, 2] - 1 - columns.margin) // columns.step
    down = (boxes[:, 1] - rows.margin) // rows.step != (boxes[:, 1] + boxes[:, 3] - 1 - rows.margin) // rows.step
    fitting = (boxes[:, 2] <= columns.tile) & (boxes[:, 3] <= rows.tile)
    areas = boxes[:, 2] * boxes[:, 3]
    return float(areas[fitting & (across | down)].sum() / areas.sum())


def axis_hypotheses(rgba: np.ndarray) -> list[Axis]:
    """The best ways to divide the width, cheapest first, one for each step; none leaves content outside of its cells."""
    drawn = (rgba[..., 3] > 0).sum(0)  # pixels in each column
    filled = np.concatenate([[0], np.cumsum(drawn)])
    crossings = _crossings(rgba)
    best: dict[tuple[int, int], Axis] = {}
    for (margin, spacing, tile, count), loose in chain(_exact(filled), _loose(drawn, crossings)):
        starts = margin + np.arange(count) * (tile + spacing)
        if (filled[starts + tile] - filled[starts]).sum() < filled[-1]:
            continue
        crossed = 0.0 if spacing or count == 1 else _crossed(crossings, starts[1:])
        cost = math.sqrt(crossed) + AREA_WEIGHT * math.log(tile + spacing) + LOOSE_COST * loose
        known = best.get((tile + spacing, count))
        if crossed <= MAX_CROSSED and (known is None or cost < known.cost):
            best[tile + spacing, count] = Axis(margin, spacing, tile, count, crossed, cost)
    chosen: list[Axis] = []
    for axis in sorted(best.values(), key=lambda axis: axis.cost):
        if sum(other.count == axis.count for other in chosen) < (1 if axis.count == 1 else PER_COUNT):
            chosen.append(axis)
    return chosen[:PER_AXIS]


Division = tuple[int, int, int, int]  # margin, spacing, tile, count


def _exact(filled: np.ndarray) -> Iterator[tuple[Division, bool]]:
    """The divisions that fill the width, with one margin on both sides."""
    width = len(filled) - 1
    first, last = int(np.searchsorted(filled, 0, "right")) - 1, int(np.searchsorted(filled, filled[-1]))
    for margin in range(min(MAX_MARGIN, first, width - last) + 1):
        for spacing in range(MAX_SPACING + 1):
            room = width - 2 * margin + spacing
            for count in range(1, room // (SMALLEST + spacing) + 1):
                if room % count == 0 and room // count - spacing <= LARGEST:
                    yield (margin, spacing, room // count - spacing, count), False


def _loose(drawn: np.ndarray, crossings: np.ndarray) -> Iterator[tuple[Division, bool]]:
    """For each step the division that starts anywhere and ends anywhere: at its empty columns, else where least is crossed."""
    width, inside = len(drawn), np.flatnonzero(drawn)
    for step in range(SMALLEST, min(LARGEST + MAX_SPACING, width) + 1):
        columns = np.pad(drawn, (0, -width % step)).reshape(-1, step).sum(0) > 0  # by their place in the step
        lines = np.pad(crossings[:width], (0, -width % step)).reshape(-1, step).sum(0)
        start, tile = _used(columns) if not columns.all() else (int(lines.argmin()), step)
        margin = int(inside[0]) - (int(inside[0]) - start) % step
        count = (int(inside[-1]) - margin) // step + 1
        if margin >= 0 and SMALLEST <= tile <= LARGEST and margin + (count - 1) * step + tile <= width:
            yield (margin, step - tile, tile, count), True


def _used(columns: np.ndarray) -> tuple[int, int]:
    """Start and length of what the longest empty run of a ring leaves."""
    empty = np.flatnonzero(np.diff(np.concatenate([columns, columns, [True]]).astype(int)) == 1) + 1  # ends of empty runs
    filled = np.flatnonzero(np.diff(np.concatenate([[True], columns, columns]).astype(int)) == -1)  # their starts
    runs = [(int(end - filled[filled < end].max()), int(end)) for end in empty if (filled < end).any()]
    longest, end = max(runs)
    return end % len(columns), len(columns) - longest


def _crossings(rgba: np.ndarray) -> np.ndarray:
    """For each line between two columns how many pixels it parts from a neighbour; twice those of one colour."""
    drawn, colours = rgba[..., 3] > 0, packed(rgba)
    both = drawn[:, 1:] & drawn[:, :-1]
    same = both & (colours[:, 1:] == colours[:, :-1])
    return np.concatenate([[0], both.sum(0) + same.sum(0), [0]])


def _crossed(crossings: np.ndarray, lines: np.ndarray) -> float:
    """Mean over the lines, in units of the mean over all other places."""
    others = (crossings.sum() - crossings[lines].sum()) / max(1, len(crossings) - 2 - len(lines))
    return float(crossings[lines].mean() / max(others, 1e-9))


def _crowded(mask: np.ndarray, columns: Axis, rows: Axis) -> tuple[float, int]:
    """Share of the cells in use with several pieces, sparkles apart, and how many cells are in use."""
    across = (columns.starts[:, None] + np.arange(columns.tile)).ravel()
    down = (rows.starts[:, None] + np.arange(rows.tile)).ravel()
    cells = mask[np.ix_(down, across)].reshape(rows.count, rows.tile, columns.count, columns.tile)
    apart = np.pad(cells, ((0, 0), (0, 1), (0, 0), (0, 1))).reshape(rows.count * (rows.tile + 1), -1)
    boxes = piece_boxes(apart)
    if len(boxes) > MAX_PIECES:
        return 1.0, 0
    cell = np.stack([boxes[:, 0] // (columns.tile + 1), boxes[:, 1] // (rows.tile + 1)])
    boxes[:, :2] -= (cell * [[columns.tile + 1], [rows.tile + 1]]).T  # within the cell
    reach = _part_reach(boxes, cell, columns, rows)
    far = np.array([columns.tile, rows.tile]) + reach + SPECK_REACH  # so that nothing joins across cells
    boxes[:, :2] += cell.T * far
    boxes = with_specks(joined(boxes, reach), SPECK_REACH)
    counts = np.bincount(boxes[:, 1] // far[1] * columns.count + boxes[:, 0] // far[0])
    return float((counts[counts > 0] > 1).mean()), int((counts > 0).sum())


def _part_reach(boxes: np.ndarray, cell: np.ndarray, columns: Axis, rows: Axis) -> int:
    """Half of the usual distance from what one cell holds to what the next one does: parts of one sprite lie closer.

    boxes: (N, 4) within their cells; cell: (2, N) column and row.
    """
    gaps = []
    for axis, line, across in ((0, columns, rows), (1, rows, columns)):
        low, high = np.full((across.count, line.count), np.iinfo(int).max), np.full((across.count, line.count), -1)
        np.minimum.at(low, (cell[1 - axis], cell[axis]), boxes[:, axis])
        np.maximum.at(high, (cell[1 - axis], cell[axis]), boxes[:, axis] + boxes[:, axis + 2])
        both = (high[:, :-1] >= 0) & (high[:, 1:] >= 0)
        gaps.append((line.step + low[:, 1:] - high[:, :-1])[both])
    found = np.concatenate(gaps)
    return int(np.clip(np.median(found) // 2, 0, MAX_PART_REACH)) if len(found) else 0
