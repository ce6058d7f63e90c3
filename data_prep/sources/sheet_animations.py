"""Which sprites of a sheet are frames of one animation: by their tag, or near-copies of their neighbour. Pure functions."""

from collections.abc import Sequence

import numpy as np

from data_prep.curate import trim
from data_prep.sources.sheet_background import packed
from data_prep.sources.sheet_descriptions import Box

MAX_CHANGED = 0.3  # of the pixels that either frame draws; recolours and other drawings change more
MAX_SHIFT = 2  # pixels from frame to frame
MAX_GROWTH = 8  # pixels by which the sides of two frames may differ
MIN_FRAMES = 3  # of an animation among other sprites: two alike may be two drawings
MOVING_SHARE = 0.5  # of a sheet's sprites: where so many are like a neighbour, it holds animations, of two frames as well


def animation_frames(pictures: Sequence[np.ndarray], boxes: Sequence[Box], tags: Sequence[str]) -> dict[int, int]:
    """Later frame → the first of its animation, by their places. pictures: (H, W, 4) uint8 in reading order,
    transparent pixels all zero; tags: '' for none.

    Frames of one tag are one animation. Others are when each nearly copies the one before it in its row, and there are three
    of them, or the two are a row by themselves, or half of the sheet is such rows of copies.
    """
    by_tag: dict[str, int] = {}
    tagged = {place: by_tag.setdefault(tag, place) for place, tag in enumerate(tags) if tag}
    runs = _runs(pictures, boxes, tags)
    animated = sum(map(len, runs)) >= MOVING_SHARE * max(1, sum(not tag for tag in tags))
    moving = (run for run in runs if animated or len(run) >= MIN_FRAMES or _is_a_row(run, boxes))
    firsts = {place: first for place, first in tagged.items() if place != first}
    return firsts | {place: run[0] for run in moving for place in run[1:]}


def _runs(pictures: Sequence[np.ndarray], boxes: Sequence[Box], tags: Sequence[str]) -> list[list[int]]:
    """Untagged sprites, two or more in a row, of which each nearly copies the one before it."""
    contents = [trim(picture) for picture in pictures]
    runs: list[list[int]] = []
    for place in range(1, len(boxes)):
        untagged = not tags[place - 1] and not tags[place]
        if not untagged or not _in_one_row(boxes[place - 1], boxes[place]):
            continue
        if near_copies(contents[place - 1], contents[place]):
            if runs and runs[-1][-1] == place - 1:
                runs[-1].append(place)
            else:
                runs.append([place - 1, place])
    return runs


def _is_a_row(run: Sequence[int], boxes: Sequence[Box]) -> bool:
    """Whether nothing else lies at the height of the first."""
    top, foot = boxes[run[0]][1], boxes[run[0]][1] + boxes[run[0]][3]
    return sum(y < foot and top < y + height for _, y, _, height in boxes) == len(run)


def _in_one_row(before: Box, after: Box) -> bool:
    return after[0] > before[0] and after[1] < before[1] + before[3] and before[1] < after[1] + after[3]


def near_copies(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two trimmed (H, W, 4) pictures differ in few pixels when laid over one another, moved by a little."""
    height, width = max(a.shape[0], b.shape[0]), max(a.shape[1], b.shape[1])
    taller, wider = abs(a.shape[0] - b.shape[0]), abs(a.shape[1] - b.shape[1])
    if max(taller, wider) > min(MAX_GROWTH, max(height, width) / 2) or not _like_colours(a, b):
        return False
    size = height + 2 * MAX_SHIFT, width + 2 * MAX_SHIFT
    canvas = _on_canvas(packed(a), size, MAX_SHIFT, MAX_SHIFT)
    return any(
        _changed(canvas, _on_canvas(packed(b), size, y, x)) <= MAX_CHANGED
        for y in range(size[0] - b.shape[0] + 1)
        for x in range(size[1] - b.shape[1] + 1)
    )


def _like_colours(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether their counts of colours leave it open that few pixels differ."""
    colours, places = np.unique(np.concatenate([packed(a).ravel(), packed(b).ravel()]), return_inverse=True)
    counts = [np.bincount(part, minlength=len(colours)) for part in np.split(places.ravel(), [a.shape[0] * a.shape[1]])]
    shared = np.min(counts, axis=0)[colours != 0].sum()
    return shared >= (1 - MAX_CHANGED) * max(count[colours != 0].sum() for count in counts)


def _on_canvas(colours: np.ndarray, size: tuple[int, int], y: int, x: int) -> np.ndarray:
    canvas = np.zeros(size, np.uint32)
    canvas[y : y + colours.shape[0], x : x + colours.shape[1]] = colours
    return canvas


def _changed(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a != b).sum()) / max(1, ((a != 0) | (b != 0)).sum()))
