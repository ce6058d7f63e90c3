"""Reef fish. All face left: nose near x = −1, tail fin to the right, back up."""

import numpy as np

from data_prep.sources.reef.dice import Dice
from data_prep.sources.reef.geometry import TAU, arc, closed, curve, ellipse, profile, rotate, star
from data_prep.sources.reef.looks import Look
from data_prep.sources.reef.pen import DARK, MAIN, PALE, SECOND, Pen


def tail(pen: Pen, x: float, length: float, spread: float, fork: float, hue: int = SECOND, y: float = 0.0) -> None:
    """Tail fin from the stalk at x; fork 0 is a fan, 1 a crescent."""
    tip, notch = x + length, x + length * (1 - 0.75 * fork)
    points = [(x - 0.1, y - 0.07), (tip - 0.1, y - spread), (tip, y - spread * 0.9), (notch, y)]
    points += [(tip, y + spread * 0.9), (tip - 0.1, y + spread), (x - 0.1, y + 0.07)]
    pen.blob(points, hue, tone=-0.4)


def fin(pen: Pen, points, hue: int = SECOND, **style) -> None:
    """A fin by its corners; smooth."""
    pen.blob(closed(points, per=3), hue, tone=style.pop("tone", -0.4), **style)


def face(pen: Pen, look: Look, x: float, y: float, mouth: tuple[float, float], eye: float = 0.1) -> None:
    """Eye, mouth and, in the deep, teeth; `mouth` is its outer corner."""
    pen.eye(x, y, eye)
    if look.detail:
        pen.mark(mouth[0] + 0.08, mouth[1], DARK, 0)
    if look.teeth:
        pen.mark(mouth[0] + 0.06, mouth[1] + 0.05, PALE, 6)
        pen.mark(mouth[0] + 0.2, mouth[1] + 0.07, PALE, 6)


def row(x0: float, y0: float, x1: float, y1: float, count: int) -> list[tuple[float, float]]:
    """Evenly spaced points, for light organs."""
    return list(zip(np.linspace(x0, x1, count).tolist(), np.linspace(y0, y1, count).tolist(), strict=True))


def clownfish(pen: Pen, look: Look, dice: Dice) -> None:
    """A plump oval with rounded fins everywhere."""
    h = dice.span(0.38, 0.5) * look.slim
    full = dice.span(0.1, 0.2)
    tail(pen, 0.46, dice.span(0.42, 0.52), dice.span(0.32, 0.44), 0.0)
    fin(pen, [(-0.4, -h * 0.8), (-0.25, -h - full), (-0.02, -h - full * 0.5), (0.14, -h - full * 0.7), (0.22, -h * 0.4)])
    fin(pen, [(-0.2, h * 0.7), (0.02, h + full), (0.18, h + full * 0.5), (0.2, h * 0.3)])
    shape = [
        (-0.95, -0.03, 0.05),
        (-0.75, -h * 0.66, h * 0.6),
        (-0.35, -h, h * 0.95),
        (0.05, -h * 0.75, h * 0.75),
        (0.46, -0.07, 0.07),
    ]
    pen.blob(profile(shape), marked=True, belly=0.6 if look.pattern == "plain" else 9)
    side = dice.span(0.1, 0.16)
    fin(pen, [(-0.35, 0.02), (-0.15, -side * 0.4), (-0.03, side), (-0.17, side * 2)], apart=True, tone=0.4)
    face(pen, look, -0.62, -h * 0.25, (-0.92, 0.08), 0.09)
    pen.lights(row(-0.4, h * 0.45, 0.2, h * 0.3, 3 + look.detail))


def angelfish(pen: Pen, look: Look, dice: Dice) -> None:
    """A tall disc with pointed fins that sweep back from back and belly, and two feelers."""
    h = dice.span(0.44, 0.54) * look.slim
    sweep, reach = dice.span(0.0, 0.4) * look.trail, dice.span(0.4, 0.6)
    tail(pen, 0.42, dice.span(0.32, 0.42), dice.span(0.2, 0.3), dice.span(0, 0.5))
    for side in (-1, 1):
        tip, low = (0.35 + sweep, side * (h + reach)), dice.span(0.9, 1.05)
        pen.blob(
            [(-0.3, side * h * 0.7), (0.0, side * (h + reach * 0.45) * low), tip, (0.3, side * h * 0.75), (0.3, 0)],
            SECOND,
            tone=-0.3,
        )
    if dice.chance(0.7):
        x = dice.span(-0.35, -0.2)
        pen.thread(curve([(x, h * 0.8), (x - 0.08, h + 0.2), (x + 0.1, h + reach)]), SECOND)
    shape = [(-0.8, -0.03, 0.06), (-0.55, -h * 0.55, h * 0.5), (-0.12, -h, h), (0.22, -h * 0.7, h * 0.7), (0.48, -0.1, 0.1)]
    pen.blob(profile(shape), marked=True)
    face(pen, look, -0.5, -h * 0.16, (-0.76, 0.05), 0.09)
    pen.lights(row(-0.2, h * 0.55, 0.25, h * 0.35, 2 + look.detail))


def butterflyfish(pen: Pen, look: Look, dice: Dice) -> None:
    """A disc with a long snout, a fringe of fins and a false eye behind."""
    h = dice.span(0.46, 0.56) * look.slim
    snout = dice.span(0.2, 0.42)
    tail(pen, 0.42, dice.span(0.34, 0.42), dice.span(0.2, 0.3), dice.span(0, 0.3))
    hem = dice.span(0.1, 0.2)
    for side in (-1, 1):
        pen.blob(
            [(-0.3, side * h * 0.7), (-0.1, side * (h + hem)), (0.3, side * (h * 0.85 + hem)), (0.42, side * h * 0.4), (0, 0)],
            SECOND,
            tone=-0.3,
        )
    shape = [
        (-0.62 - snout, -0.04, 0.07),
        (-0.6, -0.12, 0.13),
        (-0.35, -h * 0.75, h * 0.72),
        (0.0, -h, h),
        (0.3, -h * 0.6, h * 0.6),
        (0.48, -0.1, 0.1),
    ]
    pen.blob(profile(shape), marked=True)
    if look.detail and dice.chance(0.6):
        pen.mark(0.22, -h * 0.4, DARK, 0, dice.span(0.08, 0.12))
    face(pen, look, -0.42, -0.1, (-0.7, 0.1), 0.09)
    pen.lights(row(-0.2, h * 0.6, 0.3, h * 0.4, 2 + look.detail))


def barracuda(pen: Pen, look: Look, dice: Dice) -> None:
    """A spear: long jaws, the lower one ahead, two small fins far apart on the back, a forked tail."""
    h, jaw = dice.span(0.21, 0.28) * look.slim, dice.span(0.05, 0.12)
    tail(pen, 0.68, dice.span(0.26, 0.32), dice.span(0.34, 0.44), dice.span(0.8, 1))
    for x, high in [(0.34, 0.2), (dice.span(-0.2, -0.05), 0.14)][: 1 + look.detail]:
        pen.blob([(x, -h * 0.6), (x + 0.2, -h * 0.8 - high), (x + 0.24, -h * 0.5)], SECOND, tone=-0.4)
    pen.blob([(0.3, h * 0.5), (0.5, h * 0.7 + 0.18), (0.52, h * 0.3)], SECOND, tone=-0.4)
    shape = [(-0.98, -0.02, 0.08), (-0.66, -h * 0.62, h * 0.7), (-0.2, -h, h), (0.3, -h * 0.8, h * 0.8), (0.74, -0.07, 0.07)]
    pen.blob(profile(shape), marked=True, belly=0.5 if dice.chance(0.6) else 9)
    pen.limb([(-0.6, h * 0.5), (-0.98 - jaw, 0.1)], 0.08, 0.05)
    fin(pen, [(-0.4, 0.06), (-0.26, 0.06), (-0.14, h + 0.12)], tone=-0.8)
    if look.detail:
        pen.limb([(-0.96, 0.05), (-0.74, 0.08)], 0.0, hue=MAIN, tone=-9, flat=True)
    face(pen, look, -0.62, -h * 0.25, (-0.98, 0.05), 0.075)
    pen.lights(row(-0.35, h * 0.5, 0.5, h * 0.3, 3 + look.detail // 2))


def moray(pen: Pen, look: Look, dice: Dice) -> None:
    """A thick ribbon in one wave with a fin along its back; a heavy head, its jaw open."""
    swing, thick = dice.span(0.3, 0.46), dice.span(0.19, 0.24) * look.slim
    t = np.linspace(0, 1, 14)
    phase, bends = dice.pick([0.0, TAU / 2]) + dice.span(-0.4, 0.4), dice.span(0.7, 1.05)
    wave = swing * (0.55 + 0.45 * t) * np.sin(phase + t * bends * TAU)
    path = np.stack([-0.62 + 1.5 * t, wave - np.polyval(np.polyfit(t, wave, 1), t)], -1)  # level: the pose alone turns it
    thick_at = thick * np.interp(t, [0, 0.15, 0.5, 1], [1.2, 1.05, 0.9, 0.2])
    pen.limb(path[2:] - (0, thick * 0.8), thick_at[2:] * 0.8, hue=SECOND, tone=-0.3)
    pen.limb(path, thick_at, marked=True)
    x, y = path[0]
    gape = dice.span(0.2, 0.28)
    pen.blob([(x, y), (x - 0.4, y + 0.02), (x - 0.34, y + gape), (x, y + gape)], tone=-9, flat=True)
    pen.limb([(x, y + gape * 0.9), (x - 0.36, y + gape + 0.06)], 0.11, 0.06)
    pen.limb([(x, y - 0.04), (x - 0.42, y - 0.05)], thick * 1.2, thick * 0.5)
    pen.eye(x - 0.12, y - thick * 0.5, 0.075)
    if look.teeth or look.detail:
        pen.mark(x - 0.38, y + 0.08, PALE, 6)
    pen.lights(path[3:-2:3])


def pufferfish(pen: Pen, look: Look, dice: Dice) -> None:
    """Puffed a ball of spikes with tiny fins; calm a smooth club with a big head and a broad tail."""
    puffed = look.pose == "puffed"
    h, w = (dice.span(0.66, 0.76), dice.span(0.68, 0.78)) if puffed else (dice.span(0.44, 0.52), dice.span(0.72, 0.8))
    stalk = w - 0.05 if puffed else w * 0.7
    tail(pen, stalk, dice.span(0.25, 0.34) * (1 if puffed else 1.4), dice.span(0.16, 0.24) * (1 if puffed else 1.4), 0.0)
    if puffed:
        pen.blob(star(0, 0, w + 0.22, h + 0.22, dice.count(9, 11) + 3 * look.detail, 0.32, dice.roll()), tone=-0.5)
    fin(pen, [(0.15, -h * 0.7), (0.4, -h - 0.18), (0.5, -h * 0.4)])
    club = [(-w, -0.06, 0.2), (-w * 0.7, -h * 0.9, h * 0.8), (-w * 0.2, -h, h), (w * 0.35, -h * 0.6, h * 0.6), (w, -0.1, 0.1)]
    pen.blob(ellipse(0, 0, w, h) if puffed else profile(club), marked=True, belly=dice.span(0.25, 0.5))
    pen.limb([(-w + 0.05, 0.08), (-w - 0.08, 0.08)], 0.14, 0.1)
    pen.mark(-w - 0.06, 0.1, DARK, 0)
    x = dice.span(0.1, 0.25) - (0 if puffed else 0.3)
    fin(pen, [(x, 0.0), (x + 0.25, -0.12), (x + 0.28, 0.14)], apart=True, tone=0.3)
    pen.eye(-w * 0.55, -h * 0.25, 0.14)
    if look.teeth:
        pen.mark(-w - 0.02, 0.18, PALE, 6)
    pen.lights(row(-0.3, h * 0.45, 0.4, h * 0.4, 3 + look.detail))


def stingray(pen: Pen, look: Look, dice: Dice) -> None:
    """A kite of wings seen from above, nose ahead, with a whip of a tail."""
    span, length = dice.span(0.62, 0.82), dice.span(0.42, 0.55)
    back = dice.span(0.0, 0.25)
    whip = [(length * 0.5, 0), (0.8, dice.span(-0.15, 0.15)), (0.85 + 0.3 * look.trail, dice.span(-0.3, 0.3))]
    pen.limb(curve(whip), 0.06, 0.0, solid=False, tone=-0.5)
    half = [(-length, 0), (-length * 0.6, -span * 0.45), (back, -span), (back + 0.12, -span * 0.8), (length * 0.75, -0.2)]
    pen.blob(closed([*half, (length, 0), *[(x, -y) for x, y in half[:0:-1]]], per=3), marked=True)
    pen.limb([(-length * 0.5, 0), (length * 0.8, 0)], 0.1 + 0.05 * look.slim, 0.06, tone=0.8, marked=look.pattern == "bands")
    for side in (-1, 1):
        pen.limb([(length * 0.7, side * 0.1), (length + 0.1, side * 0.2)], 0.1, 0.06, hue=SECOND)
        pen.eye(-length * 0.45, side * 0.17, 0.06)
    pen.lights([(0.1, -0.45), (0.1, 0.45), (-0.1, -0.25), (-0.1, 0.25)])


def seahorse(pen: Pen, look: Look, dice: Dice) -> None:
    """Upright: a bent neck under a horse's head with a snout, a round belly, a tail that curls forward."""
    coarse = look.detail == 0  # few pixels: the same parts, further apart
    belly, curl = dice.span(0.2, 0.28) * look.slim, dice.span(0.16, 0.22) + 0.12 * coarse
    path = [(-0.1, -0.62), (0.16, -0.5), (0.12, -0.25), (0.02, 0.0), (0.14, 0.3), (0.2, 0.56), (0.06, 0.84), (-0.16, 0.88)]
    path += [(-0.16 - curl, 0.72), (-0.1 - curl * 0.5, 0.54)]
    line = curve(path, per=2)
    radii = np.interp(np.linspace(0, 1, len(line)), [0, 0.15, 0.34, 0.52, 0.75, 1], [0.15, 0.12, belly, 0.14, 0.08, 0.06])
    fin(pen, [(0.2, -0.2), (0.46, -0.2), (0.42, 0.14), (0.16, 0.12)], tone=0.2)
    if dice.chance(0.7):
        crest = [(-0.1, -0.72), (0.02, -0.98), (0.1, -0.75), (0.26, -0.8), (0.24, -0.55)]
        pen.blob(crest, SECOND)
    pen.limb(line, radii, marked=True, axis="y")
    pen.blob(ellipse(-0.12, -0.66, 0.2, 0.17))
    pen.limb([(-0.24, -0.62), (-0.5 - 0.14 * coarse - dice.span(0, 0.12), -0.54)], 0.085, 0.075)
    pen.eye(-0.16, -0.7, 0.07)
    pen.lights([(0.06, -0.2), (0.0, 0.0), (0.1, 0.2), (0.16, 0.42)])


def lionfish(pen: Pen, look: Look, dice: Dice) -> None:
    """A fish inside a crown of long separate spines."""
    h, rays = dice.span(0.3, 0.38) * look.slim, 4 + look.detail
    reach, thick = dice.span(0.4, 0.55), 0.05 if look.detail > 1 else 0.0
    tail(pen, 0.5, dice.span(0.35, 0.45), dice.span(0.24, 0.36), 0.0)
    for i in range(rays):
        t = i / (rays - 1)
        x = -0.5 + 0.8 * t
        top = (x + 0.2, -h - reach * (1 - 0.35 * abs(t - 0.35)) * dice.span(0.9, 1.1))
        pen.limb([(x, -h * 0.6), top], thick, thick * 0.6, hue=SECOND, solid=look.detail > 1)
        if 0 < i < rays - 1:
            pen.limb([(x, h * 0.5), (x + 0.2, h + reach * 0.75)], thick, thick * 0.6, hue=SECOND, solid=look.detail > 1)
    shape = [(-0.95, -0.02, 0.08), (-0.7, -h * 0.8, h * 0.7), (-0.3, -h, h), (0.15, -h * 0.75, h * 0.75), (0.55, -0.09, 0.09)]
    pen.blob(profile(shape), marked=True)
    for angle in (0.3, 0.8, 1.3)[: 2 + (look.detail > 0)]:
        root = np.array([-0.3, 0.1])
        line = np.array([root, root + rotate(np.array([(dice.span(0.4, 0.55), 0)]), angle)[0]])
        pen.limb(line, thick, thick, hue=SECOND, tone=0.5, apart=True, solid=look.detail > 1)
    face(pen, look, -0.62, -h * 0.3, (-0.92, 0.1), 0.085)
    pen.lights(arc(-0.1, -0.2, 0.5, reach + h * 0.6, -2.4, -0.8, 4))
