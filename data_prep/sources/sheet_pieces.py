"""The connected pieces of a sheet, and which of them make one sprite. Pure functions.

Masks are (H, W) bool, True where something is drawn; boxes (N, 4) int: x, y, width, height in pixels.
"""

import numpy as np

from data_prep.sources.sheet_descriptions import Box

MAX_SPACING = 16  # pixels that a packer leaves between sprites
MAX_PIECES = 5_000  # of a sheet: with more it is a texture or noise
SPECK_REACH = 6  # pixels between a sprite and its sparkle
SPECK_SHARE = 0.06  # of its sprite's box: a sparkle is no larger
SPECK_SIDE = 8  # pixels: nor longer
Run = tuple[int, int]  # start and stop


def pieces(mask: np.ndarray) -> list[Box]:
    """8-connected pieces, joined where their boxes overlap or lie closer than the sheet's spacing; sparkles join their sprite.

    The spacing is the distance that most pieces keep to their nearest, as packers leave it; without one, overlap alone joins.
    """
    boxes = joined(piece_boxes(mask), 0)
    spacing = _spacing(boxes)
    return [tuple(box) for box in with_specks(joined(boxes, spacing), spacing or SPECK_REACH // 2).tolist()]


def piece_boxes(mask: np.ndarray) -> np.ndarray:
    """(N, 4) x, y, width, height of the 8-connected pieces."""
    from scipy import ndimage

    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    found = [(c.start, r.start, c.stop - c.start, r.stop - r.start) for r, c in ndimage.find_objects(labels)]
    return np.array(found, int).reshape(-1, 4)


def drawn_rows(mask: np.ndarray) -> list[Run]:
    """The stretches of rows with something in them; those of columns are its transpose's."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask.any(1), [False]]).astype(int)))
    return [(start, stop) for start, stop in edges.reshape(-1, 2).tolist()]


def joined(boxes: np.ndarray, reach: int) -> np.ndarray:
    """Boxes that overlap, or between which fewer than `reach` pixels lie, become one, until nothing changes."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    while True:
        chunks = ((start, boxes[start : start + 512]) for start in range(0, len(boxes), 512))
        pairs = np.concatenate([np.argwhere(_distances(chunk, boxes) < reach) + np.array([start, 0]) for start, chunk in chunks])
        graph = coo_array((np.ones(len(pairs), bool), pairs.T), (len(boxes), len(boxes)))
        count, groups = connected_components(graph, directed=False)
        if count == len(boxes):
            return boxes
        starts, stops = np.full((count, 2), np.iinfo(int).max), np.zeros((count, 2), int)
        np.minimum.at(starts, groups, boxes[:, :2])
        np.maximum.at(stops, groups, boxes[:, :2] + boxes[:, 2:])
        boxes = np.hstack([starts, stops - starts])


def _distances(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N, M) pixels between boxes, along the axis on which they are farther apart; below 0 where they overlap."""
    gaps = []
    for start, side in ((0, 2), (1, 3)):
        low, high = boxes[:, None, start], boxes[:, None, start] + boxes[:, None, side]
        other_low, other_high = others[None, :, start], others[None, :, start] + others[None, :, side]
        gaps.append(np.maximum(other_low - high, low - other_high))
    return np.maximum(*gaps)


def _spacing(boxes: np.ndarray) -> int:
    """The distance that two in five of the larger boxes keep to their nearest, where one in three at most is nearer; or 0."""
    areas = boxes[:, 2] * boxes[:, 3]
    large = boxes[areas >= np.median(areas) / 4][:2000]
    if len(large) < 4:
        return 0
    distances = _distances(large, large)
    np.fill_diagonal(distances, np.iinfo(distances.dtype).max)
    nearest = np.clip(distances.min(1), 0, MAX_SPACING + 1)
    common = np.bincount(nearest, minlength=1)
    best = int(common.argmax())
    kept = common[best] >= 0.4 * len(large) and common[:best].sum() <= 0.35 * len(large)
    return best if kept and best <= MAX_SPACING else 0


def with_specks(boxes: np.ndarray, reach: int) -> np.ndarray:
    """Boxes of a few pixels join the nearest much larger one, if fewer than `reach` pixels lie between."""
    if not 1 < len(boxes) <= 2000:
        return boxes
    areas = boxes[:, 2] * boxes[:, 3]
    distances = np.maximum(_distances(boxes, boxes), 0)
    host = (areas[:, None] <= SPECK_SHARE * areas[None, :]) & (distances < reach)
    host &= boxes[:, None, 2:].max(2) <= SPECK_SIDE
    result = boxes.copy()
    specks = np.flatnonzero(host.any(1))
    for speck in specks[np.argsort(areas[specks], kind="stable")]:  # a speck of a speck before its host
        nearest = int(np.where(host[speck], distances[speck], np.iinfo(int).max).argmin())
        result[nearest] = _union(result[nearest], result[speck])
        result[speck] = 0
    return result[result[:, 2] > 0]


def _union(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    start, stop = np.minimum(a[:2], b[:2]), np.maximum(a[:2] + a[2:], b[:2] + b[2:])
    return np.concatenate([start, stop - start])
