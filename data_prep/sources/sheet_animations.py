"""Which sprites of a sheet are frames of one animation: by their tag, or near-copies of their neighbour. Pure functions."""

from collections.abc import Sequence

import numpy as np

from data_prep.curate import trim
from data_prep.sources.sheet_background import packed
from data_prep.sources.sheet_descriptions import Box

MAX_CHANGED = 0.3  # of the pixels that either frame draws; recolours and other drawings change more
MAX_SHIFT = 2  # pixels from frame to frame
MAX_GROWTH = 8  # pixels by which the sides of two frames may differ


def animation_frames(pictures: Sequence[np.ndarray], boxes: Sequence[Box], tags: Sequence[str]) -> dict[int, int]:
    """Later frame → the first of its animation, by their places. pictures: (H, W, 4) uint8 in reading order,
    transparent pixels all zero; tags: '' for none.

    Frames of one tag are one animation. Others are when each nearly copies the one before it in its row.
    """
    firsts: dict[int, int] = {}
    by_tag: dict[str, int] = {}
    contents = [trim(picture) for picture in pictures]
    for place, tag in enumerate(tags):
        if tag:
            if by_tag.setdefault(tag, place) != place:
                firsts[place] = by_tag[tag]
            continue
        follows = place and not tags[place - 1] and _in_one_row(boxes[place - 1], boxes[place])
        if follows and near_copies(contents[place - 1], contents[place]):
            firsts[place] = firsts.get(place - 1, place - 1)
    return firsts


def _in_one_row(before: Box, after: Box) -> bool:
    return after[0] > before[0] and after[1] < before[1] + before[3] and before[1] < after[1] + after[3]


def near_copies(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two trimmed (H, W, 4) pictures differ in few pixels when laid over one another, moved by a little."""
    height, width = max(a.shape[0], b.shape[0]), max(a.shape[1], b.shape[1])
    taller, wider = abs(a.shape[0] - b.shape[0]), abs(a.shape[1] - b.shape[1])
    if max(taller, wider) > min(MAX_GROWTH, max(height, width) / 2) or not _like_colours(a, b):
        return False
    canvas = _on_canvas(packed(a), height + 2 * MAX_SHIFT, width + 2 * MAX_SHIFT, MAX_SHIFT, MAX_SHIFT)
    return any(
        _changed(canvas, _on_canvas(packed(b), *canvas.shape, y, x)) <= MAX_CHANGED
        for y in range(canvas.shape[0] - b.shape[0] + 1)
        for x in range(canvas.shape[1] - b.shape[1] + 1)
    )


def _like_colours(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether their counts of colours leave it open that few pixels differ."""
    colours, places = np.unique(np.concatenate([packed(a).ravel(), packed(b).ravel()]), return_inverse=True)
    counts = [np.bincount(part, minlength=len(colours)) for part in np.split(places.ravel(), [a.shape[0] * a.shape[1]])]
    shared = np.minimum(*counts)[colours != 0].sum()
    return shared >= (1 - MAX_CHANGED) * max(count[colours != 0].sum() for count in counts)


def _on_canvas(colours: np.ndarray, height: int, width: int, y: int, x: int) -> np.ndarray:
    canvas = np.zeros((height, width), np.uint32)
    canvas[y : y + colours.shape[0], x : x + colours.shape[1]] = colours
    return canvas


def _changed(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a != b).sum()) / max(1, ((a != 0) | (b != 0)).sum()))
