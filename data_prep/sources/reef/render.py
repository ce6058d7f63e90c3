"""Parts → index planes: fit to the frame, fill, shade, pattern, outline, eyes, clean-up. Light comes from the upper left."""

from dataclasses import replace

import numpy as np

from data_prep.sources.reef import raster
from data_prep.sources.reef.geometry import TAU, rotate
from data_prep.sources.reef.looks import Look
from data_prep.sources.reef.pen import DARK, LIGHT, MAIN, PALE, SECOND, Dot, Part, Pen

TURNS = {
    "left": {"left": 0.0, "right": 0.0, "up": TAU / 4, "down": -TAU / 4},
    "up": {"up": 0.0, "left": -TAU / 8, "right": -TAU / 8, "down": TAU / 2},
    "front": {"front": 0.0},
}


class Canvas:
    """Two planes under work: hue (−1 transparent) and step (dark 0 … light 6), and which pixels take the outline."""

    def __init__(self, look: Look):
        size = look.size
        self.look = look
        self.hue = np.full((size, size), -1, np.int8)
        self.step = np.zeros((size, size))
        self.solid = np.zeros((size, size), bool)
        self.body = self.solid  # the largest part in the main colour: what all else must hang on to

    def paint(self, part: Part) -> None:
        """Fill one part, its points in pixel units, over what is there."""
        mask, u, v, lit = _fill(part, self.look.size)
        if not mask.any():
            return
        if part.apart:
            seam = raster.grow(mask) & ~mask & self.solid
            self.step[seam] -= 1.6
        hue = np.full(mask.shape, part.hue, np.int8)
        if part.belly < 2:
            hue[v > part.belly] = SECOND
        if part.marked:
            hue[_pattern(mask, u, v, part, self.look)] = SECOND
        settings = self.look.settings
        step = self.look.base + part.tone + (0.0 if part.flat else 1.0) * np.floor(settings.contrast * lit + 0.5)
        step = step + (hue == SECOND) * self.look.lift - part.fade * (u + 1) / 2
        self.hue[mask], self.step[mask] = hue[mask], step[mask]
        self.solid = (self.solid | mask) if part.solid else (self.solid & ~mask)
        if part.hue == MAIN and mask.sum() > self.body.sum():
            self.body = mask

    def outline(self) -> None:
        """A ring outside the solid parts, in the ramp it borders on; lighter where the light falls."""
        look, free = self.look, self.hue < 0
        for rows, columns, lift in ((-1, 0, 1), (0, -1, 1), (0, 1, 0), (1, 0, 0)):
            ring = raster.shift(self.solid, rows, columns) & free
            hue = raster.shift(self.hue, rows, columns)[ring]
            self.hue[ring] = DARK if look.ink else hue
            self.step[ring] = look.settings.line + (0 if look.ink else lift * look.settings.rim * 0.5)

    def tidy(self) -> None:
        """Drop what hangs on nothing and close one-pixel holes."""
        opaque = raster.reachable(self.hue >= 0, self.body)
        self.hue[~opaque] = -1
        hole = raster.shrink(raster.grow(opaque)) & ~opaque & _ringed(opaque)
        if hole.any():
            self.hue[hole], self.step[hole] = MAIN, self.look.base - 1.5

    def balance(self) -> None:
        """Where fins and arms outweigh the body, colour them like it, the lower half first: the main colour dominates."""
        rows = raster.centres(self.look.size)[1]
        for _ in range(2):
            fins = (self.hue == SECOND) & ~self.body
            if self._dominates(MAIN, SECOND) or self._dominates(SECOND, MAIN) or not fins.any():
                return
            below = fins & (rows > np.median(np.broadcast_to(rows, fins.shape)[fins]))
            self.hue[below if below.any() else fins] = MAIN

    def _dominates(self, one: int, other: int) -> bool:
        """Whether one hue has more pixels than the other, with the rim of the drawing and without."""
        inner = raster.shrink(self.hue >= 0)
        return all(((self.hue == one) & where).sum() > 1.1 * ((self.hue == other) & where).sum() for where in (inner, True))

    def dot(self, dot: Dot, pixel: float) -> None:
        """Place an eye, a mark or a light; x, y in pixel units, `pixel` pixels a model unit."""
        opaque = self.hue >= 0
        radius = dot.radius * pixel
        if dot.kind == "eye":
            self._eye(dot.x, dot.y, radius * self.look.eye, opaque)
        elif dot.kind == "mark":
            self._set(_disc(dot.x, dot.y, radius, self.look.size) & opaque, self._tint(dot.hue), dot.step)
        elif self.look.glow:
            spot = _disc(dot.x, dot.y, radius, self.look.size)
            halo = raster.grow(spot) & opaque & ~spot
            if self.look.detail or dot.radius > 0.1:
                self._set(halo & (self.step < 3.5), LIGHT, 3)
            self._set(spot & opaque, LIGHT, 6)

    def _eye(self, x: float, y: float, radius: float, opaque: np.ndarray) -> None:
        """From one pixel to a ball with a pupil that looks ahead and a glint."""
        size, row, column = self.look.size, int(y), int(x)
        white, black = self._tint(PALE), self._tint(DARK)
        ahead = 1 if self.look.facing == "right" else -1
        if radius < 0.75:
            bright = self.look.base < 3
            self._set(_pixels([(row, column)], size) & opaque, white if bright else black, 6 if bright else 0)
        elif radius < 1.3:
            back = [(row, column - ahead), (row + 1, column - ahead)]
            hadal = self.look.zone == "hadal"
            self._set(_pixels(back, size) & opaque, black if hadal else white, 2 if hadal else 6)
            self._set(_pixels([(row, column), (row + 1, column)], size) & opaque, black, 0)
        else:
            self._set(_disc(column + 0.5, row + 0.5, radius, size) & opaque, white, 6)
            pupil = _disc(column + 0.5 + ahead * 0.3 * radius, row + 0.5, radius * 0.55, size)
            self._set(pupil & opaque, black, 0)
            if radius > 2:
                self._set(_pixels([(row - 1, column - 1)], size) & opaque, white, 6)

    def _set(self, mask: np.ndarray, hue: int, step: float) -> None:
        self.hue[mask], self.step[mask] = hue, step

    def _tint(self, hue: int) -> int:
        """What black and white are for this sprite: neutral, or the ends of its own ramps."""
        return {PALE: self.look.white, DARK: self.look.black}.get(hue, hue)


def _disc(x: float, y: float, radius: float, size: int) -> np.ndarray:
    """Pixels around a point: one, four, a plus … a disc; snapped so that small discs stay symmetric."""
    columns, rows = raster.centres(size)
    if radius < 0.7:
        x, y, radius = np.floor(x) + 0.5, np.floor(y) + 0.5, 0.5
    elif radius < 1.1:
        x, y, radius = np.round(x), np.round(y), 1.0
    elif radius < 2:
        x, y, radius = np.floor(x) + 0.5, np.floor(y) + 0.5, 1.5
    return (columns - x) ** 2 + (rows - y) ** 2 < radius * radius


def _pixels(places, size: int) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    for row, column in places:
        if 0 <= row < size and 0 <= column < size:
            mask[row, column] = True
    return mask


def _ringed(mask: np.ndarray) -> np.ndarray:
    """Pixels whose four neighbours are all in the mask."""
    return raster.shift(mask, 1, 0) & raster.shift(mask, -1, 0) & raster.shift(mask, 0, 1) & raster.shift(mask, 0, -1)


def _fill(part: Part, size: int):
    """Mask of a part, u along and v across its body (−1…1), and how much light falls on each pixel (about −1…1)."""
    if part.radii is None:
        mask = raster.polygon(part.points, size)
        u, v = _body_coordinates(mask, part.axis)
        left, top = (u, v) if part.axis == "x" else (v, u)
        return mask, u, v, 0.85 - 1.2 * np.hypot(0.75 * (left + 0.4), top + 0.5)
    if part.radii.max() < 0.75:
        path = raster.line(part.points, size)
        mask, u = np.zeros((size, size), bool), np.zeros((size, size))
        mask[path[:, 0], path[:, 1]] = True
        u[path[:, 0], path[:, 1]] = np.linspace(-1, 1, len(path))
        return mask, u, np.zeros_like(u), np.zeros_like(u)
    mask, along, dx, dy = raster.limb(part.points, part.radii, size)
    path = raster.line(part.points, size)
    mask[path[:, 0], path[:, 1]] = True
    return mask, 2 * along - 1, dy if part.axis == "x" else dx, (-0.5 * dx - 0.8 * dy).clip(-1, 1)


def _body_coordinates(mask: np.ndarray, axis: str):
    """u −1…1 along the axis over the whole mask; v −1…1 across, anew in each column (or row), so that it follows the body."""
    if axis == "y":
        u, v = _body_coordinates(mask.T, "x")
        return u.T, v.T
    size = len(mask)
    columns, rows = raster.centres(size)
    used = np.asarray(mask.any(0))
    first, last = int(used.argmax()), size - int(used[::-1].argmax())
    top, bottom = mask.argmax(0), size - mask[::-1].argmax(0)
    u = (2 * columns - first - last) / max(last - first, 1)
    v = (2 * rows - top - bottom) / np.maximum(bottom - top, 1)
    return np.broadcast_to(u, mask.shape), v


def _pattern(mask: np.ndarray, u: np.ndarray, v: np.ndarray, part: Part, look: Look) -> np.ndarray:
    """Which pixels of the part take the second colour."""
    kind, period = look.pattern, look.period
    if kind == "plain":
        return np.zeros_like(mask)
    if kind == "spots":
        return _spots(mask, look)
    if kind == "bands":
        length = max(np.ptp(part.points[:, 0]), np.ptp(part.points[:, 1])) if part.radii is None else _length(part.points)
        repeats = max(1.0, length / period)
        phase = (u + 1) / 2 * repeats + look.phase + look.bend * v * v
        return mask & (phase % 1 < 0.42)
    across = mask.sum(0).max() if part.axis == "x" else mask.sum(1).max()
    if part.radii is not None:
        across = 2 * part.radii.max()
    repeats = max(1.0, round(across / min(period, 4 + look.detail)))
    phase = (v + 1) / 2 * repeats
    return mask & (abs(phase % 1 - 0.5) < 0.24)


def _length(points: np.ndarray) -> float:
    return float(np.hypot(*np.diff(points, axis=0).T).sum())


def _spots(mask: np.ndarray, look: Look) -> np.ndarray:
    """Staggered dots: single pixels at 16, plus-shaped or square ones where there is room; none on the rim."""
    period = max(3, look.period)
    columns, rows = raster.centres(look.size)
    row = np.floor(rows / period + look.phase)
    y = rows - (row - look.phase + 0.5) * period
    x = (columns + np.round(period / 2) * (row % 2) + np.floor(look.bend * 9)) % period - period / 2
    reach = 0.75 if period < 4 else 1.05 if period < 6 else 0.3 * period
    return raster.shrink(mask) & (x * x + y * y < reach * reach)


def render(pen: Pen, look: Look, heading: str, jitter: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Pen → hue (−1 transparent, MAIN…DARK) and step (0…6), both (size, size) int8.

    heading: which way the plan draws ahead ('left', 'up' or 'front'); jitter: where in the free room it lies, −1…1.
    """
    turn = TURNS[heading][look.facing] + (look.tilt if heading == "left" else 0.0)
    flip = look.facing == "right"
    margin = 2 if look.outline else 0
    pen = _posed(pen, look, heading)
    parts = [_turned(part, turn, flip) for part in pen.parts]
    low, high = _box(parts)
    scale = _scale(high - low, look, margin)
    room = (look.size - margin - (high - low) * scale) / 2
    move = np.round(np.array(jitter) * room * 0.8) + look.size / 2 - (low + high) / 2 * scale
    canvas = Canvas(look)
    for part in parts:
        canvas.paint(_scaled(part, scale, move))
    if look.outline:
        canvas.outline()
    canvas.tidy()
    for dot in pen.dots:
        x, y = _point(dot, turn, flip) * scale + move
        canvas.dot(replace(dot, x=x, y=y), scale)
    canvas.balance()
    return canvas.hue, np.floor(canvas.step + 0.5).clip(0, 6).astype(np.int8)


def _posed(pen: Pen, look: Look, heading: str) -> Pen:
    """The pen's model stretched and, in side views, with its back bent: no two of a kind are built alike."""
    bend = look.arch if heading == "left" else 0.0

    def pose(points):
        return np.stack([points[..., 0] * look.stretch, points[..., 1] + bend * points[..., 0] ** 2], -1)

    parts = [_with(part, pose(part.points), part.radii, part.axis) for part in pen.parts]
    places = [pose(np.array([dot.x, dot.y])) for dot in pen.dots]
    return Pen(parts, [replace(dot, x=x, y=y) for dot, (x, y) in zip(pen.dots, places, strict=True)])


def _scale(extent: np.ndarray, look: Look, margin: int) -> float:
    """Pixels a model unit. Thin animals are drawn larger than asked when else they would have too few pixels to read."""
    scale = (look.extent * look.size - margin) / max(extent)
    least = 9.2 / np.sqrt(extent.prod())
    return min(max(scale, least), (look.size - margin) / max(extent))


def _turned(part: Part, turn: float, flip: bool) -> Part:
    points = rotate(part.points, turn) if turn else part.points
    across = abs(np.sin(turn)) > 0.71
    axis = {"x": "y", "y": "x"}[part.axis] if across else part.axis
    return _with(part, points * (-1, 1) if flip else points, part.radii, axis)


def _point(dot: Dot, turn: float, flip: bool) -> np.ndarray:
    point = rotate(np.array([[dot.x, dot.y]]), turn)[0]
    return point * (-1, 1) if flip else point


def _scaled(part: Part, scale: float, move: np.ndarray) -> Part:
    return _with(part, part.points * scale + move, None if part.radii is None else part.radii * scale, part.axis)


def _with(part: Part, points, radii, axis) -> Part:
    return Part(points, radii, part.hue, part.tone, part.solid, part.marked, part.apart, part.belly, axis, part.flat, part.fade)


def _box(parts: list[Part]) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest x, y over all parts, thickness included."""
    lows = [(p.points if p.radii is None else p.points - p.radii[:, None]).min(0) for p in parts]
    highs = [(p.points if p.radii is None else p.points + p.radii[:, None]).max(0) for p in parts]
    return np.min(lows, axis=0), np.max(highs, axis=0)
