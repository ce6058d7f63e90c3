"""Points of curves and shapes in model units: x to the right, y down, an animal about 2 units long.

Every function returns (n, 2) float arrays; nothing here knows about pixels.
"""

from functools import cache

import numpy as np

TAU = 2 * np.pi


@cache
def _spline_matrix(count: int, per: int, closed: bool) -> np.ndarray:
    """(samples, count): Catmull–Rom through `count` points as one matrix product."""
    spans = count if closed else count - 1
    rows = np.zeros((spans * per + (not closed), count))
    for row in range(len(rows)):
        span, step = divmod(row, per)
        t = step / per
        weights = (-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3)
        for offset, weight in zip((-1, 0, 1, 2), weights, strict=True):
            at = (span + offset) % count if closed else min(max(span + offset, 0), count - 1)
            rows[row, at] += weight / 2
    return rows


def closed(points, per: int = 4) -> np.ndarray:
    """Smooth closed outline through the points."""
    return _spline_matrix(len(points), per, True) @ np.asarray(points, float)


def curve(points, per: int = 4) -> np.ndarray:
    """Smooth open line through the points."""
    return _spline_matrix(len(points), per, False) @ np.asarray(points, float)


@cache
def _circle(count: int) -> np.ndarray:
    angle = np.arange(count) / count * TAU
    return np.stack([np.cos(angle), np.sin(angle)], -1)


def ellipse(x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> np.ndarray:
    """Ellipse with radii rx, ry, turned by `turn` radians."""
    points = _circle(24) * (rx, ry)
    return (rotate(points, turn) if turn else points) + (x, y)


def rotate(points: np.ndarray, angle: float) -> np.ndarray:
    """Points turned about the origin, clockwise on the screen, radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(points, float) @ np.array([[cos, sin], [-sin, cos]])


def profile(stations) -> np.ndarray:
    """Smooth body from rows (x, top, bottom), head first; the first and last rows close the shape."""
    stations = np.asarray(stations, float)
    top, bottom = stations[:, [0, 1]], stations[::-1][:, [0, 2]]
    return closed(np.concatenate([top, bottom]), per=3)


def wave(x0: float, y0: float, angle: float, length: float, swing: float, phase: float, bends: float = 1.0, count: int = 10):
    """A line that leaves (x0, y0) at `angle` and sways ever more: tentacles, ribbons. Angle 0 is right, TAU/4 down."""
    t = np.linspace(0, 1, count)
    side = swing * t * (np.sin(phase + t * bends * TAU) - np.sin(phase) * (1 - t))
    return rotate(np.stack([t * length, side], -1), angle) + np.array([x0, y0])


def arc(x: float, y: float, rx: float, ry: float, start: float, end: float, count: int = 9) -> np.ndarray:
    """Open piece of an ellipse between two angles, radians."""
    angle = np.linspace(start, end, count)
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], -1)


def star(x: float, y: float, rx: float, ry: float, tips: int, depth: float, phase: float = 0.0) -> np.ndarray:
    """Spiky outline: `tips` points at radius 1, valleys at 1 − depth."""
    angle = np.arange(2 * tips) / (2 * tips) * TAU + phase
    radius = np.where(np.arange(2 * tips) % 2 == 0, 1.0, 1.0 - depth)
    return np.stack([x + rx * radius * np.cos(angle), y + ry * radius * np.sin(angle)], -1)
