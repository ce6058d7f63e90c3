"""Pen: what a body plan draws with. It only collects parts, in model units, back to front; `render` makes pixels."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

MAIN, SECOND, LIGHT, PALE, DARK = range(5)  # what a part is coloured with: two colours, glow, neutral light, neutral dark


@dataclass(frozen=True)
class Part:
    """One shape. points (n, 2); radii (n,) for a limb, None for a closed outline.

    tone: steps lighter or darker than the body; solid: gets the outline; marked: carries the pattern; apart: a shadow line
    where it lies over what is there; belly: from this height (−1 top, 1 bottom) down in the second colour; axis: the way
    the body runs; flat: no shading; fade: steps lost from start to end of a limb.
    """

    points: np.ndarray
    radii: np.ndarray | None = None
    hue: int = MAIN
    tone: float = 0.0
    solid: bool = True
    marked: bool = False
    apart: bool = False
    belly: float = 9.0
    axis: str = "x"
    flat: bool = False
    fade: float = 0.0


@dataclass(frozen=True)
class Dot:
    """Pixels placed last: an eye, a tooth, a light. radius in model units; kind 'eye', 'mark' or 'light'."""

    x: float
    y: float
    radius: float
    kind: str
    hue: int = DARK
    step: float = 0.0


@dataclass
class Pen:
    """Collects parts and dots. Left is ahead for animals with a side view, up for upright ones."""

    parts: list[Part] = field(default_factory=list)
    dots: list[Dot] = field(default_factory=list)

    def blob(self, points, hue: int = MAIN, **style) -> None:
        """A closed outline, filled."""
        self.parts.append(Part(np.asarray(points, float), None, hue, **style))

    def limb(self, points, radius, end=None, hue: int = MAIN, **style) -> None:
        """A line as thick as `radius`, tapering to `end`; or a radius for each point."""
        points = np.asarray(points, float)
        if np.ndim(radius) == 0:
            radius = np.linspace(radius, radius if end is None else end, len(points))
        self.parts.append(Part(points, np.asarray(radius, float), hue, **style))

    def thread(self, points, hue: int = MAIN, **style) -> None:
        """A one-pixel line without outline: whiskers, filaments, thin tentacles."""
        self.limb(points, 0.0, hue=hue, solid=False, **style)

    def eye(self, x: float, y: float, radius: float) -> None:
        self.dots.append(Dot(x, y, radius, "eye"))

    def mark(self, x: float, y: float, hue: int, step: float, radius: float = 0.0) -> None:
        """Pixels in an absolute step 0…6: teeth, mouths, nostrils."""
        self.dots.append(Dot(x, y, radius, "mark", hue, step))

    def lights(self, points, radius: float = 0.0) -> None:
        """Light organs; they show when the sprite glows."""
        self.dots.extend(Dot(x, y, radius, "light", LIGHT, 6) for x, y in points)

    def move(self, moved: Callable[[np.ndarray], np.ndarray]) -> None:
        """All that is drawn so far to where `moved` takes points (…, 2)."""
        self.parts = [replace(part, points=moved(part.points)) for part in self.parts]
        places = [moved(np.array([dot.x, dot.y])) for dot in self.dots]
        self.dots = [replace(dot, x=x, y=y) for dot, (x, y) in zip(self.dots, places, strict=True)]
