"""Sprites that a packer has put on shelves: rows whose sprites start (or end) at one line, one spacing apart. Pure functions.

On a shelf a gap narrower than the spacing lies within a sprite, and what does not reach the shelf's line is a part of a
neighbour: so detached parts find their sprite even where the spacing is no wider than the gaps within sprites.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from data_prep.sources.sheet_background import packed
from data_prep.sources.sheet_descriptions import Box
from data_prep.sources.sheet_pieces import MAX_SPACING, Run, drawn_rows

MIN_SPRITES = 5  # on two shelves at least: fewer may lie so by chance
SPACED_SHARE = 0.75  # of the gaps between sprites: so many are as wide as the spacing
MIN_SPACED = 0.5  # of all gaps, those within sprites included
MAX_LIKE_WIDTHS = 0.5  # of the sprites: where more are equally wide they fill the cells of a grid
ALIGNED_SHARE = 0.75  # of the sprites' width: so much of it reaches the shelf's line


def shelf_boxes(rgba: np.ndarray) -> list[Box] | None:
    """The sprites of a sheet (H, W, 4) without background, in reading order; None where it has no such shelves."""
    mask = rgba[..., 3] > 0
    bands = drawn_rows(mask)
    pieces = [drawn_rows(mask[top:foot].T) for top, foot in bands]
    spacing = _spacing([bands, *pieces])
    bands = _closed(bands, spacing)
    shelves = [_closed(drawn_rows(mask[top:foot].T), spacing) for top, foot in bands]
    gaps = _gaps(shelves)
    even = gaps.count(spacing) >= max(1, SPACED_SHARE * len(gaps), MIN_SPACED * len(_gaps(pieces)))
    widths = Counter(stop - start for runs in shelves for start, stop in runs)
    cells = max(widths.values(), default=0) > MAX_LIKE_WIDTHS * widths.total()
    if len(bands) < 2 or set(_gaps([bands])) != {spacing} or not even or cells:
        return None
    on_line = _on_line([mask[top:foot] for top, foot in bands], shelves)
    if not on_line:
        return None
    boxes: list[Box] = []
    for (top, foot), runs, reach in zip(bands, shelves, on_line, strict=True):
        whole = _whole(rgba[top:foot], runs, reach, spacing)
        boxes += [_box(mask, (top, foot), run) for run in whole]
    return boxes if len(boxes) >= MIN_SPRITES else None


def _on_line(masks: Sequence[np.ndarray], shelves: Sequence[Sequence[Run]]) -> list[list[bool]]:
    """For each run whether it reaches the line of its shelf (h, W): the upper, else the lower; [] where most reach neither."""
    width = sum(stop - start for runs in shelves for start, stop in runs)
    for line in (0, -1):
        reach = [[bool(m[line, start:stop].any()) for start, stop in runs] for m, runs in zip(masks, shelves, strict=True)]
        pairs = [pair for runs, on in zip(shelves, reach, strict=True) for pair in zip(runs, on, strict=True)]
        if sum(stop - start for (start, stop), on in pairs if on) >= ALIGNED_SHARE * width:
            return reach
    return []


def _gaps(rows: Sequence[Sequence[Run]]) -> list[int]:
    return [after[0] - before[1] for runs in rows for before, after in pairwise(runs)]


def _spacing(rows: Sequence[Sequence[Run]]) -> int:
    """The commonest gap, the wider of two; 0 where there is none."""
    gaps = Counter(_gaps(rows))
    return max((gap for gap in gaps if gap <= MAX_SPACING), key=lambda gap: (gaps[gap], gap), default=0)


def _closed(runs: Sequence[Run], spacing: int) -> list[Run]:
    """The runs, joined over gaps that are narrower than the spacing."""
    closed: list[Run] = []
    for start, stop in runs:
        if closed and start - closed[-1][1] < spacing:
            closed[-1] = closed[-1][0], stop
        else:
            closed.append((start, stop))
    return closed


def _whole(shelf: np.ndarray, runs: Sequence[Run], aligned: Sequence[bool], spacing: int) -> list[Run]:
    """The runs with those that do not reach the shelf's line joined to the neighbour whose part they are."""
    whole, on_line = list(runs), list(aligned)
    while any(on_line) and not all(on_line):
        lone = on_line.index(False)
        beside = [place for place in (lone - 1, lone + 1) if 0 <= place < len(whole)]
        other = min(beside, key=lambda place: _strangeness(shelf, whole, lone, place, spacing))
        first = min(lone, other)
        whole[first : first + 2] = [(whole[first][0], whole[first + 1][1])]
        on_line[first : first + 2] = [on_line[lone] or on_line[other]]
    return whole


def _strangeness(shelf: np.ndarray, runs: Sequence[Run], part: int, other: int, spacing: int) -> tuple[bool, float]:
    """How little a part belongs to a neighbour: one spacing away, as another sprite is; then the share of foreign colours."""
    first = min(part, other)
    gap = runs[first + 1][0] - runs[first][1]
    colours = packed(shelf)
    own, others = (colours[:, slice(*runs[place])] for place in (part, other))
    return gap == spacing, float(1 - np.isin(own[own > 0], others).mean())


def _box(mask: np.ndarray, band: Run, run: Run) -> Box:
    rows = np.flatnonzero(mask[band[0] : band[1], run[0] : run[1]].any(1))
    return run[0], band[0] + int(rows[0]), run[1] - run[0], int(rows[-1] - rows[0]) + 1
