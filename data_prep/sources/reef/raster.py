"""Shapes in pixel units → (size, size) boolean masks, and what is done with masks: growing, flooding.

A pixel is inside when its centre is; pixel (row r, column c) has its centre at (c + 0.5, r + 0.5).
"""

from functools import cache

import numpy as np


@cache
def centres(size: int) -> tuple[np.ndarray, np.ndarray]:
    """x (1, size) and y (size, 1) of the pixel centres."""
    line = np.arange(size) + 0.5
    return line[None, :], line[:, None]


def polygon(points: np.ndarray, size: int) -> np.ndarray:
    """(n, 2) closed outline → mask, even-odd, by counting edge crossings along each row."""
    rows = centres(size)[1][:, 0]
    (x, y), (x2, y2) = points.T, np.concatenate([points[1:], points[:1]]).T
    edge, row = ((y[:, None] <= rows) != (y2[:, None] <= rows)).nonzero()
    cross = x[edge] + (rows[row] - y[edge]) / (y2[edge] - y[edge]) * (x2[edge] - x[edge])
    column = np.ceil(cross - 0.5).clip(0, size).astype(np.intp)
    flips = np.bincount(row * (size + 1) + column, minlength=size * (size + 1)).reshape(size, size + 1)
    return (flips.cumsum(1)[:, :size] & 1).astype(bool)


def limb(points: np.ndarray, radii: np.ndarray, size: int):
    """Line with a radius at each point → mask, t in 0…1 along it, and the offset (dx, dy) from its middle in radii."""
    x, y = centres(size)
    start, way = points[:-1, :, None, None], (points[1:] - points[:-1])[:, :, None, None]
    dx, dy = x - start[:, 0], y - start[:, 1]
    t = ((dx * way[:, 0] + dy * way[:, 1]) / ((way**2).sum(1) + 1e-9)).clip(0, 1)  # (segments, size, size)
    dx, dy = dx - t * way[:, 0], dy - t * way[:, 1]
    radius = radii[:-1, None, None] + t * (radii[1:] - radii[:-1])[:, None, None]
    distance = np.sqrt(dx * dx + dy * dy)
    best = (distance - radius).argmin(0)[None]

    def pick(field):
        return np.take_along_axis(field, best, 0)[0]

    radius = np.maximum(pick(radius), 0.5)
    along = (best[0] + pick(t)) / (len(points) - 1)
    mask = pick(distance) < radius
    return mask, along, pick(dx) / radius, pick(dy) / radius


def line(points: np.ndarray, size: int) -> np.ndarray:
    """One-pixel line without corners, as (n, 2) rows and columns inside the frame, in order."""
    steps = np.abs(np.diff(points, axis=0)).max(1)
    at = np.concatenate([[0], steps.cumsum()])
    t = np.linspace(0, at[-1], max(2, int(at[-1] * 3) + 1))
    columns, rows = np.interp(t, at, points[:, 0]), np.interp(t, at, points[:, 1])
    path = []
    for pixel in zip(np.floor(rows).astype(int).tolist(), np.floor(columns).astype(int).tolist(), strict=True):
        if path and pixel == path[-1]:
            continue
        if len(path) > 1 and abs(pixel[0] - path[-2][0]) == 1 == abs(pixel[1] - path[-2][1]):
            path.pop()  # an elbow: its two neighbours touch already
        path.append(pixel)
    inside = [(r, c) for r, c in path if 0 <= r < size and 0 <= c < size]
    return np.array(inside, np.intp).reshape(-1, 2)


def shift(plane: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The plane moved down and right, zeros coming in: result[r, c] = plane[r − rows, c − columns]."""
    moved = np.zeros_like(plane)
    height, width = plane.shape
    moved[max(rows, 0) : height + min(rows, 0), max(columns, 0) : width + min(columns, 0)] = plane[
        max(-rows, 0) : height + min(-rows, 0), max(-columns, 0) : width + min(-columns, 0)
    ]
    return moved


def grow(mask: np.ndarray) -> np.ndarray:
    """Mask and its four neighbours."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def shrink(mask: np.ndarray) -> np.ndarray:
    """Mask without the pixels that touch the outside by a side; the frame's border counts as outside."""
    inner = np.zeros_like(mask)
    inner[1:-1, 1:-1] = mask[1:-1, 1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    return inner


def reachable(mask: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """What of the mask hangs together (diagonals too) with the seed. The plane is one big integer: fast and flat."""
    height, width = mask.shape
    stride = width + 1  # an empty column stops a row from running into the next
    whole, now = _pack(mask), _pack(seed & mask)
    while True:
        wide = now | now << 1 | now >> 1
        after = (wide | wide << stride | wide >> stride) & whole
        if after == now:
            break
        now = after
    bits = np.unpackbits(np.frombuffer(now.to_bytes((height * stride + 7) // 8, "little"), np.uint8), bitorder="little")
    return bits[: height * stride].reshape(height, stride)[:, :width].astype(bool)


def _pack(mask: np.ndarray) -> int:
    padded = np.zeros((mask.shape[0], mask.shape[1] + 1), np.uint8)
    padded[:, :-1] = mask
    return int.from_bytes(np.packbits(padded, bitorder="little").tobytes(), "little")
