"""Outline: a thing cut out of a photograph → a sprite. Fewer pixels, fewer colours, a hard edge. Pure functions.

Colours are averaged by area in OKLab, over the thing's own pixels alone and, where there are enough, those well inside its
edge: no fringe of the background. The edge is where the sprite covers as much as the thing does. OpenCV is imported only when
it is needed.
"""

import numpy as np

from data_prep.curate import centred
from data_prep.palette import oklab, oklab_to_rgb

COLOURS = {16: 10, 24: 14, 32: 16, 64: 24}  # side → colours inside, at most; the outline has a third as many of its own
LEAST_COVER = 0.3  # of a pixel: thin limbs may be drawn with so little, a broad edge never needs it
DEEP = 0.3  # pixels of the sprite: so far from the edge a colour is free of the background's, JPEG's bleeding included
ENOUGH = 0.1  # of a pixel's area with a colour that is known to be the thing's
STRAY = 0.03  # of the sprite: smaller pieces go away
MOST_OUTLINE = 0.55  # of the sprite's pixels: with more there is no inside to be outlined
DARKER, DARK = 0.55, 0.42  # OKLab lightness of the outline: over that of the colour it stands on, and at most
SEED = 1


def sprite(rgb: np.ndarray, mask: np.ndarray, size: int) -> np.ndarray | str:
    """(H, W, 3) uint8 and (H, W) bool → (size, size, 4) uint8, centred, opaque or transparent; or why not, in words."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    rgb, mask = rgb[box], mask[box]
    if max(mask.shape) < size:
        return f"foreground: fewer pixels than a sprite of {size}×{size}; {mask.shape[1]}×{mask.shape[0]}"
    lab, cover = shrink(oklab(rgb), mask, size)
    opaque = without_strays(cover >= edge_of(cover))
    if not opaque.any():
        return "foreground: too thin to be drawn"
    lab = few_colours(lab, opaque, outline_of(opaque), _colours(size))
    return centred(np.dstack([oklab_to_rgb(lab), np.full(opaque.shape, 255, np.uint8)]) * opaque[..., None], size)


def shrink(lab: np.ndarray, mask: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) OKLab and (H, W) bool → both by area, the longer side `size`: colours and cover in 0…1.

    A pixel on the edge takes its colour from what is well inside, its own or its neighbours'; a limb too thin to have an inside
    keeps its own.
    """
    import cv2

    scale = size / max(mask.shape)
    shape = [max(1, round(length * scale)) for length in mask.shape[1::-1]]
    deep = 2 * max(1, round(DEEP / scale)) + 1
    inside = cv2.erode(mask.astype(np.uint8), np.ones((deep, deep), np.uint8), borderValue=0)
    averages = []
    for weight in (mask, inside):
        weight = weight.astype(np.float32)[..., None]
        averages.append(cv2.resize(np.concatenate([lab * weight, weight], -1), shape, interpolation=cv2.INTER_AREA))
    whole, within = averages
    chosen = whole
    for better in (cv2.blur(within, (3, 3)), within):
        chosen = np.where(better[..., 3:] > ENOUGH, better, chosen)
    return chosen[..., :3] / np.maximum(chosen[..., 3:], 1e-6), whole[..., 3]


def edge_of(cover: np.ndarray) -> float:
    """The least cover of an opaque pixel, LEAST_COVER to 0.5, at which the sprite is as large as the thing was."""
    ranked = np.sort(cover.ravel())[::-1]
    count = min(round(float(cover.sum())), cover.size)
    return float(np.clip(ranked[max(count, 1) - 1], LEAST_COVER, 0.5))


def without_strays(opaque: np.ndarray) -> np.ndarray:
    """(H, W) bool without pieces of a few pixels and without holes of one."""
    import cv2

    _, owner, stats, _ = cv2.connectedComponentsWithStats(opaque.astype(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] > max(2, STRAY * opaque.sum())
    large[0] = False
    kept = large[owner]
    around = np.pad(kept, 1)
    return kept | (around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:])


def outline_of(opaque: np.ndarray) -> np.ndarray:
    """(H, W) bool: the opaque pixels to be drawn darker, one deep all round; none where hardly a pixel would be left inside."""
    around = np.pad(opaque, 1)
    inside = opaque & around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    edge = opaque & ~inside
    return edge if edge.sum() <= MOST_OUTLINE * opaque.sum() else np.zeros_like(opaque)


def few_colours(lab: np.ndarray, opaque: np.ndarray, outline: np.ndarray, most: int) -> np.ndarray:
    """(H, W, 3) OKLab of at most `most` colours inside and a third as many, darker, on the outline."""
    lab = lab.copy()
    lab[outline, 0] = np.minimum(lab[outline, 0] * DARKER, DARK)
    for place, colours in ((opaque & ~outline, most), (outline, max(2, most // 3))):
        lab[place] = _clustered(lab[place], colours)
    return lab


def _clustered(lab: np.ndarray, most: int) -> np.ndarray:
    """(n, 3) → the same with each colour moved to the nearest of `most` k-means centres."""
    import cv2

    if len(lab) <= most:
        return lab
    cv2.setRNGSeed(SEED)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 50, 1e-4)
    _, owner, centres = cv2.kmeans(np.ascontiguousarray(lab, np.float32), most, None, stop, 3, cv2.KMEANS_PP_CENTERS)
    return centres[owner[:, 0]]


def _colours(size: int) -> int:
    return COLOURS[min((side for side in COLOURS if side >= size), default=max(COLOURS))]
