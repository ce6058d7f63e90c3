"""Jellyfish. All swim up: bell above, tentacles below; left and right are the same, tilted."""

import numpy as np

from data_prep.sources.reef.dice import Dice
from data_prep.sources.reef.geometry import TAU, arc, closed, curve, ellipse, rotate, wave
from data_prep.sources.reef.looks import Look
from data_prep.sources.reef.pen import SECOND, Pen


def bell(pen: Pen, width: float, height: float, skirt: float, flare: float, scallops: int = 0, **style) -> None:
    """A dome from y = −height to the rim at y = 0; the rim curves down by `skirt`, its lip flares out."""
    top = arc(0, 0, width, height, -TAU / 2, 0, 11)
    lip = [(width * (1 + flare), skirt)]
    if scallops:
        x = np.linspace(width, -width, 2 * scallops + 1)
        rim = np.stack([x, np.where(np.arange(len(x)) % 2, skirt + 0.12, skirt * 0.6)], -1)
    else:
        rim = np.stack(
            [np.linspace(width * 0.6, -width * 0.6, 4), np.array([skirt * 0.6, skirt * 0.2, skirt * 0.2, skirt * 0.6])], -1
        )
    pen.blob(np.concatenate([top, lip, rim, [(-width * (1 + flare), skirt)]]), axis="y", marked=True, **style)


def beat(look: Look, width: float, height: float) -> tuple[float, float]:
    """Width and height of a bell in its pose: open it is wide and flat, pulsing narrow and tall; its area stays."""
    if look.pose not in ("open", "pulsing"):
        return width, height
    shape = (1.75 if look.pose == "open" else 0.52) * (width / height) ** 0.4
    mean = (width * height) ** 0.5
    return mean * shape**0.5, mean / shape**0.5


def splay(look: Look) -> float:
    """How far the outermost arms part, radians; below 0 they close in."""
    return {"open": 0.75, "pulsing": -0.12}.get(look.pose, 0.25)


def ease(pen: Pen, look: Look) -> None:
    """Tilt less, above all where there are few pixels: a bell that lies at 45 degrees no longer reads as one."""
    if look.facing not in ("left", "right"):
        return
    back = TAU / 8 * (0.2 if look.detail and look.pose != "open" else 0.45)
    pen.move(lambda points: rotate(np.atleast_2d(points), back).reshape(points.shape))


def strands(pen: Pen, look: Look, dice: Dice, count: int, width: float, top: float, length: float, thick: float = 0.0) -> None:
    """Tentacles side by side from −width to width; thin ones are threads, thick ones limbs. Every second in the second colour."""
    swing, phase, bends = dice.span(0.06, 0.2), dice.span(0, TAU), dice.span(0.7, 1.4)
    if look.pose == "pulsing":  # a narrow bundle that trails far behind, where there are pixels enough to keep them apart
        swing, width, length = (swing * 0.5, width * 0.8, length * 1.25) if look.detail else (swing * 0.5, width, length)
    for i in range(count):
        side = 2 * i / max(count - 1, 1) - 1
        reach = length * dice.span(0.7, 1.0) * (1 - 0.25 * abs(side))
        line = wave(width * side, top, TAU / 4 - splay(look) * side, reach, swing, phase + 0.6 * i, bends)
        hue = SECOND if i % 2 == 0 else 0
        if thick:
            pen.limb(line, thick, thick * 0.4, hue=hue, tone=-0.3, axis="y")
        else:
            pen.thread(line, hue, tone=-0.2, fade=1)


def moon_jelly(pen: Pen, look: Look, dice: Dice) -> None:
    """A wide saucer with rings inside and a fringe of short threads."""
    w, h = beat(look, dice.span(0.78, 0.96), dice.span(0.6, 0.8))
    strands(pen, look, dice, (5 if w > 0.6 else 4) + 2 * look.detail, w * 0.85, 0.05, dice.span(0.4, 0.75) * look.trail)
    arms, spread = dice.span(0.4, 0.7), dice.span(0.16, 0.26)
    for x in (-spread, spread) if look.detail else (0,):
        sides = (0.6, 1.2, 0.02) if look.pose == "pulsing" else (1, 1, 0.12)  # where, how long, how wavy
        line = wave(x * sides[0], 0, TAU / 4 - 2 * splay(look) * x, arms * sides[1], sides[2], x * 9)
        pen.limb(line, 0.12, 0.05, hue=SECOND, axis="y", solid=look.detail > 0)
    bell(pen, w, h, 0.1, 0.0)
    rings = [(-0.36, -0.25), (0.36, -0.25), (0, -0.5)] if look.detail else [(-0.32, -0.4), (0.32, -0.4)]
    if w < 0.65:
        rings = [(-0.3, -0.3), (0.3, -0.3), (0, -0.6)]
    for x, y in rings:
        pen.blob(ellipse(x * w, y * h, min(0.16, 0.18 * w), 0.1), SECOND, tone=1.5, flat=True)
    pen.lights([*arc(0, 0.02, w * 0.85, h * 0.8, -TAU / 2 + 0.3, -0.3, 4 + look.detail)])
    ease(pen, look)


def box_jelly(pen: Pen, look: Look, dice: Dice) -> None:
    """A cube with shoulders; one long tentacle from each corner."""
    w, h = dice.span(0.45, 0.58), dice.span(0.85, 1.05)
    wide, high = {"open": (1.3, 0.75), "pulsing": (0.82, 1.05)}.get(look.pose, (1, 1))
    w, h = w * wide, h * high
    reach = dice.span(0.75, 1.2) * look.trail
    for side in (-1, 1):
        for inner in (0.9, 0.3) if look.detail else (0.88,):
            way = TAU / 4 - side * splay(look) * inner
            line = wave(side * w * inner, h - 0.08, way, reach * (0.75 + 0.25 * inner), 0.12, dice.span(0, TAU))
            pen.limb(line, 0.075, 0.03, hue=SECOND if inner > 0.5 else 0, axis="y", solid=look.detail > 0)
    c = dice.span(0.1, 0.2)
    right = [(w - c, 0), (w, c), (w * 1.08, h * 0.6), (w, h), (w * 0.4, h - 0.1)]
    pen.blob(right + [(-x, y) for x, y in reversed(right)], axis="y", marked=True)
    pen.limb([(0, 0.2), (0, h * 0.75)], 0.1, 0.06, hue=SECOND, tone=0.8, axis="y")
    pen.eye(-w * 0.5, h * 0.72, 0.05)
    pen.eye(w * 0.5, h * 0.72, 0.05)
    pen.lights([(-w * 0.6, 0.2), (w * 0.6, 0.2), (0, 0.3), (0, h * 0.6)])
    ease(pen, look)


def lions_mane(pen: Pen, look: Look, dice: Dice) -> None:
    """A lobed bell over a shaggy mass of threads."""
    w, h = beat(look, dice.span(0.65, 0.85), dice.span(0.42, 0.58))
    lobes = dice.count(2, 3) + look.detail
    strands(pen, look, dice, 6 + 2 * look.detail, w * 0.85, 0.05, dice.span(1.0, 1.3) * look.trail)
    low = dice.span(0.45, 0.65)
    right = [(w * 0.3, low * 0.5), (w * 0.62, low * 0.7), (w * 0.75, 0)]
    mane = [(-x, y) for x, y in reversed(right)] + [(0, low)] + right
    pen.blob(mane, SECOND, tone=-0.6, axis="y", solid=look.detail > 0)
    bell(pen, w, h, 0.06, 0.12, lobes)
    pen.lights([*arc(0, 0, w * 0.8, h * 0.7, -TAU / 2 + 0.4, -0.4, 3 + look.detail)])
    ease(pen, look)


def sea_nettle(pen: Pen, look: Look, dice: Dice) -> None:
    """A round bell with ruffled arms that stream far below, longest of all."""
    w, h = beat(look, dice.span(0.44, 0.58), dice.span(0.48, 0.62))
    reach = dice.span(1.1, 1.5) * look.trail
    strands(pen, look, dice, (4 if w > 0.45 else 3) + 2 * look.detail, w * 0.95, 0, reach)
    for x in (-0.16, 0.16) if look.detail else (0,):
        swing = dice.span(0.18, 0.34) * (0.6 if look.pose == "pulsing" else 1)
        way = TAU / 4 - 2 * splay(look) * x
        line = wave(x, 0, way, reach * dice.span(0.6, 0.85), swing, dice.span(0, TAU), 1.5, 12)
        pen.limb(line, 0.13, 0.04, hue=SECOND, tone=0.4, axis="y", solid=look.detail > 0)
    bell(pen, w, h, 0.14, 0.06)
    pen.lights([*arc(0, 0.02, w * 0.8, h * 0.7, -TAU / 2 + 0.4, -0.4, 4)])
    ease(pen, look)


def crown_jelly(pen: Pen, look: Look, dice: Dice) -> None:
    """A pointed cap over a wider ruffled skirt, a groove between, tentacles that stand out."""
    w, cap = beat(look, dice.span(0.55, 0.7), dice.span(0.6, 0.85))
    spread = {"open": dice.span(0.9, 1.2), "pulsing": dice.span(-0.1, 0.05)}.get(look.pose, dice.span(0.5, 0.9))
    count = (6 if w > 0.55 else 4) + 2 * look.detail
    for i in range(count):
        x = 2 * i / (count - 1) - 1
        way = TAU / 4 - x * spread
        pen.thread(wave(x * w * 0.9, 0.25, way, dice.span(0.6, 0.85) * look.trail, 0.1, i * 1.7), SECOND if i % 2 else 0, fade=1)
    right = [(w * 0.4, 0.26), (w * 0.75, 0.38), (w * 1.12, 0.22), (w * 0.8, -0.06)]
    pen.blob([(-x, y) for x, y in reversed(right)] + [(0, 0.4)] + right, SECOND, axis="y")
    dome = [(-w * 0.82, 0.02), (-w * 0.6, -cap * 0.55), (0, -cap), (w * 0.6, -cap * 0.55), (w * 0.82, 0.02), (0, 0.1)]
    pen.blob(closed(dome, per=4), axis="y", marked=True, apart=True)
    pen.lights([*zip(np.linspace(-w * 0.85, w * 0.85, 4 + look.detail), [0.18] * (4 + look.detail), strict=True)])
    ease(pen, look)


def man_of_war(pen: Pen, look: Look, dice: Dice) -> None:
    """A sail-like float on its side over curtains of coiled tentacles."""
    w, h = dice.span(0.65, 0.85), dice.span(0.6, 0.85)
    lean = dice.span(0.2, 0.5)
    count = 4 + look.detail
    for i in range(count):
        x = -w * 0.6 + w * 1.1 * i / (count - 1)
        reach = dice.span(0.7, 1.25) * look.trail
        line = wave(x, 0.0, TAU / 4 + 0.1, reach, dice.span(0.08, 0.16), dice.span(0, TAU), 2.0, 12)
        pen.limb(line, dice.pick([0.0, 0.06]), 0.03, hue=0 if i % 2 else SECOND, solid=False, tone=-0.3, axis="y")
    pen.blob(closed([(-w * 0.7, -0.05), (w * 0.6, -0.05), (w * 0.45, 0.22), (0, 0.3), (-w * 0.5, 0.2)], per=3), SECOND, tone=-0.5)
    sail = [
        (-w, -0.14),
        (-w * 0.8, -0.4),
        (-lean, -h),
        (w * 0.2, -h * 0.6),
        (w * 0.75, -0.2),
        (w * 1.1, -0.02),
        (w * 0.4, 0.08),
        (-w * 0.6, 0.06),
    ]
    pen.blob(closed(sail, per=3), marked=True)
    pen.limb(curve([(-w * 0.7, -0.4), (-lean, -h + 0.08), (w * 0.2, -h * 0.55)]), 0.05, 0.04, hue=SECOND, tone=0.6)
    pen.lights([(-w * 0.5, -0.1), (0, -0.12), (w * 0.5, -0.1), (0, -h * 0.5)])


def barrel_jelly(pen: Pen, look: Look, dice: Dice) -> None:
    """A high dome on a stout bunch of frilled arms, no threads."""
    w, h = beat(look, dice.span(0.5, 0.76), dice.span(0.55, 0.95))
    reach, spread = dice.span(0.5, 1.0), dice.span(0.0, 0.6)
    spread = {"open": spread + 0.5, "pulsing": -0.1}.get(look.pose, spread)
    for x in dice.pick([(-0.75, 0.75, -0.28, 0.28), (-0.65, 0.65, 0)]):
        line = wave(x * w, 0.05, TAU / 4 - spread * x, reach * (1.1 - 0.4 * abs(x)), 0.06, x * 5)
        pen.limb(line, [0.13, 0.14, 0.15, 0.17, 0.19, 0.2, 0.19, 0.16, 0.11, 0.05], hue=SECOND, apart=True, axis="y")
    bell(pen, w, h, 0.1, 0.05, 3 + look.detail)
    pen.lights([*arc(0, 0, w * 0.75, h * 0.7, -TAU / 2 + 0.4, -0.4, 3 + look.detail)])
    ease(pen, look)


def comb_jelly(pen: Pen, look: Look, dice: Dice) -> None:
    """An egg with shining combs from pole to pole and two feathery threads."""
    w, h = dice.span(0.45, 0.6), dice.span(0.7, 0.85)
    for side in (-1, 1):
        reach = dice.span(0.7, 1.0) * look.trail
        pen.thread(wave(side * w * 0.35, h * 0.85, TAU / 4 - side * 0.35, reach, 0.2, dice.span(0, TAU)), SECOND)
    egg = [
        (0, -h),
        (w * 0.75, -h * 0.7),
        (w, 0.1),
        (w * 0.7, h * 0.8),
        (0, h * 0.92),
        (-w * 0.7, h * 0.8),
        (-w, 0.1),
        (-w * 0.75, -h * 0.7),
    ]
    pen.blob(closed(egg, per=3), axis="y", marked=look.pattern != "stripes")
    for x in (-0.62, 0.0, 0.62) if look.detail else (-0.5, 0.5):
        comb = arc(0, 0, w * x, h * 0.78, -TAU / 4 + 0.25, TAU / 4 - 0.25, 7)
        pen.limb(comb, 0.045 if look.detail else 0.0, hue=SECOND, tone=1, solid=True, flat=True)
        pen.lights(comb[1::2])
    pen.mark(0, -h * 0.93, SECOND, 6)
    ease(pen, look)


def lantern_jelly(pen: Pen, look: Look, dice: Dice) -> None:
    """A tall thimble of a bell with a lantern of a stomach inside and a few stiff tentacles."""
    w, h = beat(look, dice.span(0.46, 0.6), dice.span(0.85, 1.05))
    count = 4 + look.detail - (w < 0.48 and not look.detail)
    strands(pen, look, dice, count, w * 0.85, 0, dice.span(0.6, 0.95) * look.trail, 0.05 if look.detail else 0.0)
    bell(pen, w, h, 0.12, 0.15)
    core = dice.span(0.3, 0.42)
    stomach = [(0, -h * 0.7), (w * core, -h * 0.42), (0.06, -0.08), (-0.06, -0.08), (-w * core, -h * 0.42)]
    pen.blob(closed(stomach, per=3), SECOND, tone=0.8)
    pen.lights([(0, -h * 0.5), (-w * 0.6, -0.05), (w * 0.6, -0.05)])
    ease(pen, look)
