"""Where the sprites of a sheet lie when nothing describes it: on shelves, in a grid, in rows of cells, or as connected
pieces.
"""

from dataclasses import dataclass

import numpy as np

from data_prep.sources.packs import Unusable
from data_prep.sources.sheet_descriptions import Box
from data_prep.sources.sheet_grids import infer_grid, infer_rows
from data_prep.sources.sheet_pieces import MAX_PIECES, piece_boxes, pieces
from data_prep.sources.sheet_shelves import shelf_boxes


@dataclass(frozen=True)
class Cuts:
    """kind: 'shelves', 'grid', 'rows' or 'pieces'; boxes in reading order."""

    kind: str
    boxes: tuple[Box, ...]


def cut(rgba: np.ndarray) -> Cuts:
    """A sheet (H, W, 4) without background → where its sprites lie, each box trimmed to what is drawn in it.

    Raises Unusable for one of more than 5,000 pieces, which would take minutes and is no sheet of sprites.
    """
    mask = rgba[..., 3] > 0
    if not mask.any():
        return Cuts("pieces", ())
    if len(piece_boxes(mask)) > MAX_PIECES:
        raise Unusable(f"more than {MAX_PIECES:,} pieces: no sheet of sprites")
    shelved = shelf_boxes(rgba)
    if shelved:
        return Cuts("shelves", tuple(shelved))
    whole, rows = infer_grid(rgba), infer_rows(rgba)
    if whole is None and rows is None:
        return Cuts("pieces", tuple(_in_reading_order(pieces(mask))))
    best = min((grid for grid in (whole, rows) if grid), key=lambda grid: grid.cost)
    boxes = tuple(box for box in (trimmed_box(mask, cell) for cell in best.cells) if box)
    return Cuts("grid" if best is whole else "rows", boxes)


def trimmed_box(mask: np.ndarray, box: Box) -> Box | None:
    """The part of a box that holds something, or None."""
    x, y, width, height = box
    part = mask[y : y + height, x : x + width]
    rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
    if not len(rows):
        return None
    return x + int(columns[0]), y + int(rows[0]), int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1


def _in_reading_order(boxes: list[Box]) -> list[Box]:
    """Row by row; a box belongs to a row when its middle lies above the foot of the row's first box."""
    ordered: list[Box] = []
    left = sorted(boxes, key=lambda box: (box[1], box[0]))
    while left:
        foot = left[0][1] + left[0][3]
        row = [box for box in left if box[1] + box[3] / 2 <= foot]
        ordered += sorted(row)
        taken = set(row)
        left = [box for box in left if box not in taken]
    return ordered
