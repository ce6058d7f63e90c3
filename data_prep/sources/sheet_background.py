"""What of a sprite sheet is background: transparent pixels, a key colour, or a key colour in cells on another ground.

Pure functions on (H, W, 4) uint8 pictures. Also undoes the enlargement of a sheet by a whole number.
"""

import math

import numpy as np

BORDER_SHARE = 0.3  # of the outermost pixels: the ground's colour has at least so many
GROUND_SHARE = 0.3  # of the opaque area: a colour in all corners of all boxes with less of it is a frame around them
CORNER_SHARE = 0.8  # of the boxes' area: so much has one colour in all four corners
MIN_BOX = 64  # pixels: smaller boxes have no say
MAX_BOXES = 4096  # of a sheet: with more they are no cells
WHITE = 239  # in every channel: highlights and eyes have this colour in drawings of any kind
HOLE_SHARE = 0.6  # of what surrounds an enclosed patch of the key: a hole has so much of the contour's colours around it
SHADE = 48  # from the key in every channel: beside a drawn patch lies such a shade of it, beside a hole seldom
MIN_SIDE = 8  # pixels: an enlarged picture is not read as smaller than that


def without_background(rgba: np.ndarray) -> tuple[np.ndarray, str]:
    """A copy whose background is all zero, and what the background was, as 'transparent, #ff00ff'; '' where none is found.

    What a sprite encloses of the key's colour is a hole, too, unless it is drawn: then it has other colours around it than the
    sprite's contour, and among them a shade of the key. White needs no shade: in drawings it is commoner than holes are.
    """
    clear = np.where(rgba[..., 3:] > 0, rgba, 0).astype(np.uint8)
    found = ["transparent"] if (clear[..., 3] == 0).any() else []
    for _ in range(2):
        key = _key_in_boxes(clear) if found else _key_at_border(clear)
        if key is None:
            break
        clear = _without_key(clear, key)
        found.append("#" + "".join(f"{channel:02x}" for channel in key[:3]))
    return clear, ", ".join(found)


def packed(rgba: np.ndarray) -> np.ndarray:
    """(H, W, 4) uint8 → (H, W) uint32, one number a colour."""
    return np.ascontiguousarray(rgba).view(np.uint32)[..., 0]


def native_scale(rgba: np.ndarray) -> int:
    """The whole number by which the picture was enlarged without smoothing, or 1: the measure common to all its edges."""
    colours = packed(rgba)
    height, width = colours.shape
    columns = np.flatnonzero((colours[:, 1:] != colours[:, :-1]).any(0)) + 1
    rows = np.flatnonzero((colours[1:] != colours[:-1]).any(1)) + 1
    scale = math.gcd(height, width, *columns.tolist(), *rows.tolist())
    return scale if min(height, width) // scale >= MIN_SIDE else 1


def _key_at_border(rgba: np.ndarray) -> tuple[int, ...] | None:
    """The commonest colour of the outermost pixels, where it is common enough there to be a ground."""
    border = np.concatenate([rgba[0], rgba[-1], rgba[:, 0], rgba[:, -1]])
    return _commonest(border, BORDER_SHARE)


def _key_in_boxes(rgba: np.ndarray) -> tuple[int, ...] | None:
    """The colour in all corners of the sheet's opaque boxes, where it also fills much of them: cells on another ground."""
    from scipy import ndimage

    labels, count = ndimage.label(rgba[..., 3] > 0, np.ones((3, 3)))
    corners, areas = [], []
    for rows, columns in ndimage.find_objects(labels) if count <= MAX_BOXES else ():
        box = rgba[rows, columns]
        area = box.shape[0] * box.shape[1]
        four = box[[0, 0, -1, -1], [0, -1, 0, -1]]
        if area >= MIN_BOX:
            areas.append(area)
            corners.append(four[0] if (four == four[0]).all() else np.zeros(4, np.uint8))
    if not areas:
        return None
    key = _commonest(np.array(corners), CORNER_SHARE, np.array(areas))
    opaque = rgba[..., 3] > 0
    if key is None or (rgba[opaque] == key).all(1).mean() < GROUND_SHARE:
        return None
    return key


def _commonest(pixels: np.ndarray, share: float, weights: np.ndarray | None = None) -> tuple[int, ...] | None:
    """The opaque colour (N, 4) that has at least that share of the weight."""
    colours, places = np.unique(pixels, axis=0, return_inverse=True)
    sums = np.bincount(places.ravel(), weights)
    best = int(sums.argmax())
    return tuple(colours[best].tolist()) if colours[best, 3] == 255 and sums[best] >= share * sums.sum() else None


def _without_key(rgba: np.ndarray, key: tuple[int, ...]) -> np.ndarray:
    from scipy import ndimage

    ground = (rgba == key).all(-1)
    labels, count = ndimage.label(np.pad(ground | (rgba[..., 3] == 0), 1, constant_values=True))
    ground &= _holes(rgba, key, labels[1:-1, 1:-1], count)[labels[1:-1, 1:-1]]
    clear = rgba.copy()
    clear[ground] = 0
    return clear


def _holes(rgba: np.ndarray, key: tuple[int, ...], labels: np.ndarray, count: int) -> np.ndarray:
    """For each of the patches (H, W) int of the key whether it is outside (label 1) or a hole; (count + 1,) bool."""
    patches, paints, colours = _beside_patches(rgba, labels)
    alike = np.bincount(patches, np.isin(paints, paints[patches == 1]), minlength=count + 1)
    hole = alike >= HOLE_SHARE * np.maximum(np.bincount(patches, minlength=count + 1), 1)
    if min(key[:3]) < WHITE:
        shades = (np.abs(colours[:, :3].astype(int) - key[:3]) <= SHADE).all(1)
        hole |= np.bincount(patches, shades, minlength=count + 1) == 0
    hole[1] = True
    return hole


def _beside_patches(rgba: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each drawn pixel beside a patch (N,): the patch, its own sprite and colour as one number, its colour (N, 4)."""
    from scipy import ndimage

    sprites, _ = ndimage.label(labels != 1, np.ones((3, 3)))
    paint = sprites.astype(np.uint64) << np.uint64(32) | packed(rgba)
    found = []
    for label, own, colour in ((labels, paint, rgba), (labels.T, paint.T, rgba.transpose(1, 0, 2))):
        for patch, beside in ((np.s_[:-1], np.s_[1:]), (np.s_[1:], np.s_[:-1])):
            meeting = (label[patch] > 0) & (label[beside] == 0)
            found.append((label[patch][meeting], own[beside][meeting], colour[beside][meeting]))
    patches, paints, colours = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return patches, paints, colours
