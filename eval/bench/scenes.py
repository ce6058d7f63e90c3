"""Drawings by rule that fill the frame or are plain geometry, so that structure is not taken from sprites alone.

Two lots: FITTED are shown to the fit, SUBJECTS never are: they are simple drawings of the bench's own subjects, which a measure
of the bench must not turn down. Each is a function of random numbers alone and gives a (24, 24) uint8 grid, 0 = background.
"""

from collections.abc import Callable

import numpy as np

from data_prep.bench_format import SIDE
from data_prep.grid_text import FREE
from data_prep.palette import Palette
from data_prep.sprite import Sprite
from eval.bench.randomness import keyed

Y, X = np.indices((SIDE, SIDE)).astype(float)
COLOURS = 9  # of a scene's palette, drawn anew for each

Scene = Callable[[np.random.Generator], np.ndarray]


def _blank() -> np.ndarray:
    return np.zeros((SIDE, SIDE), np.uint8)


def _middle(rng: np.random.Generator, reach: float = 2) -> tuple[float, float]:
    y, x = 11.5 + rng.uniform(-reach, reach, 2)
    return y, x


def _disc(y: float, x: float, radius: float, stretch: float = 1.0) -> np.ndarray:
    return np.hypot(Y - y, (X - x) / stretch) <= radius


def _polar(y: float, x: float) -> tuple[np.ndarray, np.ndarray]:
    return np.hypot(Y - y, X - x), np.arctan2(Y - y, X - x)


def flower(rng) -> np.ndarray:
    out, (y, x) = _blank(), (rng.uniform(7, 10), rng.uniform(9, 14))
    away, angle = _polar(y, x)
    out[(abs(X - x) < 1) & (y < Y)] = 3
    out[_disc(y + 9, x + 3, 2, 1.6)] = 3
    out[away <= rng.uniform(4, 5) + rng.uniform(1.5, 2.5) * np.cos(rng.integers(4, 8) * angle)] = 1
    out[away <= rng.uniform(1.5, 3)] = 2
    return out


def house(rng) -> np.ndarray:
    out, left, right, top = _blank(), rng.integers(3, 7), rng.integers(17, 21), rng.integers(10, 14)
    out[top:21, left:right] = 1
    middle = (left + right - 1) / 2
    out[(top > Y) & (abs(X - middle) <= (Y - top + 7) * (right - left) / 14 + 1) & (top - 7 <= Y)] = 2
    door = rng.integers(left + 2, right - 5)
    out[16:21, door : door + 3] = 3
    out[top + 2 : top + 4, right - 4 : right - 2] = out[top + 2 : top + 4, left + 2 : left + 4] = 4
    out[21:] = 5
    return out


def skyline(rng) -> np.ndarray:
    out, x = _blank(), 0
    while x < SIDE:
        wide, top = int(rng.integers(3, 7)), int(rng.integers(4, 17))
        out[top:22, x : x + wide] = 1 + rng.integers(3)
        out[top + 1 : 21 : 2, x + 1 : x + wide - 1 : 2] = 4
        x += wide + int(rng.integers(0, 2))
    out[22:] = 5
    return out


def hills(rng) -> np.ndarray:
    out = np.where(rng.integers(4, 9) > Y, 1, 2).astype(np.uint8)
    out[_disc(rng.uniform(3, 7), rng.uniform(4, 20), rng.uniform(2, 3.5))] = 3
    for entry, base in ((4, 11), (5, 15), (6, 19)):
        out[base + 2.5 * np.sin(X / rng.uniform(2.5, 6) + rng.uniform(0, 6)) <= Y] = entry
    return out


def pipes(rng) -> np.ndarray:
    out, step = _blank(), int(rng.integers(3, 5))
    for _ in range(rng.integers(5, 10)):
        y, x = (int(v) for v in rng.integers(1, SIDE // step, 2) * step)
        y2, x2 = (int(v) for v in rng.integers(1, SIDE // step, 2) * step)
        entry = 1 + rng.integers(3)
        out[min(y, y2) : max(y, y2) + 1, x] = entry
        out[y2, min(x, x2) : max(x, x2) + 1] = entry
    return out


def boat(rng) -> np.ndarray:
    out, x, line = _blank(), rng.uniform(9, 14), rng.integers(15, 19)
    out[(line - 4 <= Y) & (line > Y) & (abs(X - x) <= 8 - (Y - line + 4))] = 1
    out[(line - 4 > Y) & (abs(X - x) < 0.8) & (Y > 2)] = 2
    out[(line - 5 > Y) & (Y > 3) & (x + 1 < X) & (x + 1 + (Y - 3) * rng.uniform(0.5, 0.8) > X)] = 3
    out[line + np.sin(X / rng.uniform(1, 2)) <= Y] = 4
    out[line + 3 + np.sin(X / rng.uniform(1, 2)) <= Y] = 5
    return out


def face(rng) -> np.ndarray:
    out, (y, x), radius = _blank(), _middle(rng), rng.uniform(7, 10)
    out[_disc(y, x, radius)] = 1
    for side in (-1, 1):
        out[_disc(y - radius / 4, x + side * radius / 3, rng.uniform(1, 2))] = 2
    away, angle = _polar(y, x)
    out[(abs(away - radius * 0.6) < 0.8) & (angle > 0.4) & (angle < np.pi - 0.4)] = 3
    return out


def star(rng) -> np.ndarray:
    out, (away, angle) = _blank(), _polar(*_middle(rng))
    points, deep = rng.integers(4, 8), rng.uniform(0.35, 0.6)
    wave = abs(((angle * points / (2 * np.pi) + rng.random()) % 1) * 2 - 1)
    reach = rng.uniform(8, 11) * (deep + (1 - deep) * wave)
    out[away <= reach] = 1
    out[away <= reach * 0.6] = 2
    return out


def tree(rng) -> np.ndarray:
    out, x = np.where(rng.integers(17, 20) > Y, 0, 1).astype(np.uint8), rng.uniform(8, 15)
    out[(abs(X - x) < rng.uniform(1, 2)) & (Y > 10) & (Y < 21)] = 2
    for _ in range(rng.integers(3, 6)):
        out[_disc(rng.uniform(5, 10), x + rng.uniform(-4, 4), rng.uniform(3, 4.5))] = 3
    out[(out == 3) & (rng.random(out.shape) < 0.06)] = 4
    return out


def spiral(rng) -> np.ndarray:
    out, step = _blank(), int(rng.integers(2, 5))
    y, x, length = 12, 12, step
    for turn in range(40):
        down, across = ((0, 1), (1, 0), (0, -1), (-1, 0))[turn % 4]
        for _ in range(length):
            if 0 <= y < SIDE and 0 <= x < SIDE:
                out[y, x] = 1
            y, x = y + down, x + across
        length += step * (turn % 2)
    return out


def bricks(rng) -> np.ndarray:
    tall, wide = int(rng.integers(3, 6)), int(rng.integers(4, 9))
    row = (Y // tall).astype(int)
    joint = (Y % tall == 0) | ((X + row % 2 * (wide // 2)) % wide == 0)
    return np.where(joint, 1, np.where((row * 7 + (X // wide)) % 5 == 0, 2, 0)).astype(np.uint8)


def sun(rng) -> np.ndarray:
    out, (away, angle) = _blank(), _polar(*_middle(rng, 1))
    out[(away <= rng.uniform(9.5, 11.5)) & (np.cos(rng.integers(6, 12) * angle) > rng.uniform(0.2, 0.6))] = 2
    out[away <= rng.uniform(5, 6.5)] = 1
    return out


def rainbow(rng) -> np.ndarray:
    out, radius, wide = _blank(), rng.uniform(14, 17), rng.uniform(1.3, 1.8)
    away = np.hypot(X - 11.5, Y - rng.integers(18, 22))
    for band in range(6):
        out[(away <= radius - wide * band) & (away > radius - wide * (band + 1))] = 1 + band
    out[rng.integers(18, 21) <= Y] = 7
    return out


def ringed_planet(rng) -> np.ndarray:
    out, (y, x), radius = _blank(), _middle(rng, 1), rng.uniform(5, 7)
    out[rng.random(out.shape) < 0.03] = 4
    body = _disc(y, x, radius)
    out[body] = np.where(Y[body].astype(int) % rng.integers(3, 5) == 0, 2, 1)
    ring = np.hypot((X - x) / 11, (Y - y - rng.uniform(-0.2, 0.2) * (X - x)) / 3)
    out[(ring <= 1) & (ring > 0.75) & ~(body & (y > Y))] = 3
    return out


def maze(rng) -> np.ndarray:
    walls, path = np.ones((SIDE + 1, SIDE + 1), np.uint8), [(1, 1)]
    walls[1, 1] = 0
    while path:
        y, x = path[-1]
        steps = [(a, b) for a, b in ((0, 2), (2, 0), (0, -2), (-2, 0)) if 0 < y + a < SIDE and 0 < x + b < SIDE]
        steps = [(a, b) for a, b in steps if walls[y + a, x + b]]
        if not steps:
            path.pop()
            continue
        a, b = steps[rng.integers(len(steps))]
        walls[y + a // 2, x + b // 2] = walls[y + a, x + b] = 0
        path.append((y + a, x + b))
    return walls[:SIDE, :SIDE]


def portrait(rng) -> np.ndarray:
    out, x = np.where(rng.integers(10, 14) > Y, 1, 2).astype(np.uint8), rng.uniform(10, 13)
    out[_disc(9, x, 8, 0.75)] = 3
    out[_disc(9, x, rng.uniform(5, 6), 0.7)] = 4
    out[(Y > 15) & (abs(X - x) < Y - rng.uniform(10, 12))] = 5
    for side in (-2, 2):
        out[8, int(x + side)] = 6
    out[12, int(x - 1) : int(x + 2)] = 7
    out[20:22, int(x - 4) : int(x + 4)] = 4
    return out


FITTED: dict[str, Scene] = {f.__name__: f for f in (flower, house, skyline, hills, pipes, boat, face, star, tree, spiral, bricks)}
SUBJECTS: dict[str, Scene] = {f.__name__.replace("_", " "): f for f in (sun, rainbow, ringed_planet, maze, portrait)}


def scenes(kinds: dict[str, Scene], count: int, salt: str) -> list[Sprite]:
    """Sprites of these kinds by turns, each in colours of its own."""
    found = []
    for number in range(count):
        kind = list(kinds)[number % len(kinds)]
        rng = keyed("scene", salt, kind, number)
        colours = {bytes(rng.integers(0, 256, 3).astype(np.uint8)).hex() for _ in range(COLOURS)}
        found.append(Sprite(kinds[kind](rng), Palette(FREE, tuple(sorted(colours))), kind, source="scene"))
    return found
