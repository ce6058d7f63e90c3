"""Abyssal animals. Side views face left; tube worms stand upright."""

import numpy as np

from data_prep.sources.reef.corals import heights, sway
from data_prep.sources.reef.dice import Dice
from data_prep.sources.reef.fish import face, fin, row, tail
from data_prep.sources.reef.geometry import TAU, arc, closed, curve, ellipse, profile
from data_prep.sources.reef.looks import Look
from data_prep.sources.reef.pen import DARK, LIGHT, MAIN, PALE, SECOND, Pen


def anglerfish(pen: Pen, look: Look, dice: Dice) -> None:
    """A ball that is mostly mouth, with a lure on a rod."""
    h = dice.span(0.5, 0.62)
    tail(pen, 0.55, dice.span(0.3, 0.42), dice.span(0.22, 0.34), 0.1)
    fin(pen, [(0.15, -h * 0.8), (0.35, -h - 0.15), (0.55, -h * 0.5)])
    fin(pen, [(0.15, h * 0.8), (0.4, h + 0.12), (0.5, h * 0.5)])
    tip = (-0.85 - dice.span(-0.12, 0.1), -h - dice.span(0.05, 0.25))
    pen.thread(curve([(-0.1, -h * 0.9), (-0.3, -h - 0.42), (-0.65, -h - 0.4), tip]), tone=0.6)
    pen.blob(ellipse(tip[0], tip[1], 0.1, 0.1), LIGHT if look.glow else SECOND, tone=5 if look.glow else 1, flat=True)
    shape = [(-0.72, -0.22, 0.42), (-0.5, -h * 0.85, h * 0.95), (-0.1, -h, h), (0.3, -h * 0.7, h * 0.7), (0.62, -0.14, 0.14)]
    pen.blob(profile(shape), marked=True)
    mouth = [(-0.78, -0.02), (-0.2, dice.span(0.06, 0.16)), (-0.5, dice.span(0.34, 0.42)), (-0.78, 0.3)]
    pen.blob(mouth, tone=-9, flat=True)
    count, tooth = 3 + look.detail, dice.pick([PALE, SECOND, MAIN])
    for i in range(count):
        t = (i + 0.3) / count
        pen.mark(-0.74 + 0.5 * t, 0.01 + 0.1 * t, tooth, 6)
        if i % 2:
            pen.mark(-0.74 + 0.42 * t, 0.33 - 0.06 * t, tooth, 6)
    fin(pen, [(0.05, 0.1), (0.3, 0.05), (0.28, 0.32)], apart=True, tone=0.5)
    pen.eye(-0.32, -h * 0.4, 0.08)
    pen.lights([tip], 0.06)
    pen.lights(row(0.0, h * 0.55, 0.4, h * 0.2, 2))


def gulper(pen: Pen, look: Look, dice: Dice) -> None:
    """A huge hinged jaw in front of a whip of a body."""
    gape = dice.span(0.5, 0.68)
    swing = dice.span(0.2, 0.42) * dice.pick([-1, 1])
    body = curve(
        [
            (-0.2, -0.2),
            (0.2, -0.15 + swing * 0.3),
            (0.5, swing * 0.9),
            (0.75, swing * 0.6),
            (0.8 + 0.15 * look.trail, -swing * 0.7),
        ],
        3,
    )
    pen.limb(body, np.interp(np.linspace(0, 1, len(body)), [0, 0.3, 1], [0.24, 0.15, 0.03]), marked=True)
    pen.blob(ellipse(body[-1, 0], body[-1, 1], 0.06, 0.06), SECOND, tone=1)
    pouch = [(-0.2, -0.2), (-0.5, 0.1), (-0.95, gape * 0.85), (-0.78, gape + 0.08), (-0.3, gape * 0.85), (0.05, 0.15)]
    pen.blob(closed(pouch, per=3), SECOND, tone=-0.3)
    pen.blob([(-0.25, 0.02), (-0.98, -0.12), (-0.9, gape * 0.72), (-0.45, gape * 0.5)], tone=-9, flat=True)
    head = [(-1.02, -0.22, -0.1), (-0.8, -0.42, -0.05), (-0.4, -0.46, 0.06), (0.0, -0.32, 0.1)]
    pen.blob(profile(head), marked=look.pattern == "spots")
    pen.eye(-0.74, -0.28, 0.065)
    if look.teeth or look.detail:
        for t in (0.1, 0.45, 0.8):
            pen.mark(-0.92 + 0.5 * t, -0.02, PALE, 6)
    pen.lights([tuple(p) for p in body[3::3]] + [tuple(body[-1])])


def isopod(pen: Pen, look: Look, dice: Dice) -> None:
    """An armoured loaf of overlapping plates over many short legs, with two feelers."""
    h, plates = dice.span(0.36, 0.48), 4 + look.detail
    base = 0.28
    for i in range(plates + 1):
        x = -0.6 + 1.2 * i / plates
        lean = dice.span(-0.05, 0.08)
        pen.limb([(x, base - 0.05), (x - 0.06 + lean, base + dice.span(0.2, 0.26))], 0.045, 0.03, tone=-1)
    reach = dice.span(0.3, 0.5) * look.trail
    for angle in (0.0, 0.22):
        pen.thread(curve([(-0.75, 0.05), (-0.95, -0.1 - angle), (-0.95 - reach * 0.5, -reach * 0.8 - angle)]), tone=0)
    fan = dice.span(0.15, 0.28)
    pen.blob(
        [(0.6, 0.0), (0.9 + fan * 0.5, -fan * 0.6), (1.0 + fan * 0.4, base * 0.7), (0.85, base + 0.06), (0.6, base)],
        SECOND,
        tone=-0.4,
    )
    shell = [
        (-0.9, 0.02, base * 0.8),
        (-0.7, -h * 0.6, base),
        (-0.2, -h, base + 0.02),
        (0.3, -h * 0.85, base),
        (0.8, -0.1, base * 0.9),
    ]
    pen.blob(profile(shell), marked=True, belly=0.72)
    for i in range(1, plates + 1):
        x = -0.68 + 1.25 * i / (plates + 0.6)
        top = -h * (1 - 1.1 * (x + 0.05) ** 2) + (0.06 if look.detail else 0.2)
        pen.thread(curve([(x, top), (x + 0.05, (top + base) / 2), (x, base * 0.7)], 3), tone=-2)
    pen.eye(-0.68, -0.02, 0.08)
    pen.lights(row(-0.45, 0.15, 0.6, 0.15, 4))


def tube_worm(pen: Pen, look: Look, dice: Dice) -> None:
    """A bunch of tubes of different heights, each with a plume that comes out of it."""
    count = dice.count(3, 3 + look.detail) if dice.chance(0.75) or not look.detail else 2
    tall, fan = sorted(heights(dice, count, dice.span(0.6, 0.75)), key=lambda _: dice.roll()), dice.span(0.4, 0.75)
    for i in sorted(range(count), key=lambda i: -tall[i]):
        x, top = 2 * i / (count - 1) - 1, 0.95 - 1.5 * tall[i]
        tip = np.array([x * (0.3 + fan * 0.6), top])
        tube_with_plume(pen, dice, [(x * 0.28, 0.95), (x * 0.4, 0.4), tip], dice.span(0.1, 0.13), look)
    pen.blob(ellipse(0, 0.95, dice.span(0.4, 0.6), 0.14), tone=-1)
    sway(pen, look, dice, 0.95)


def tube_with_plume(pen: Pen, dice: Dice, path, width: float, look: Look) -> None:
    """One tube along the path and the feathery gill at its end."""
    (x, top), plume, flare = path[-1], dice.span(0.36, 0.5), width * dice.span(1.3, 1.8)
    sides = [(width * 0.6, 0), (flare, -plume * 0.7)]
    head = [(x - dx, top + dy) for dx, dy in sides] + [(x, top - plume)] + [(x + dx, top + dy) for dx, dy in reversed(sides)]
    pen.blob(closed(head, per=3), SECOND, tone=0.2, axis="y")
    pen.limb(curve(path, 3), width, width * 0.9, marked=True, axis="y", apart=True)
    pen.mark(x, top - plume * 0.55, SECOND, 6 if look.base > 3 else 5)
    pen.lights([(x, top - plume * 0.6)])


def snailfish(pen: Pen, look: Look, dice: Dice) -> None:
    """A soft tadpole: a big round head, a thin wavering tail with a hem of fin, feelers under the chin."""
    h, hem = dice.span(0.38, 0.5), dice.span(0.05, 0.1)
    droop, swing, x1 = dice.span(-0.3, 0.35), dice.span(-0.14, 0.14), 0.8 + 0.22 * look.trail
    spine = curve([(-0.4, 0.0), (-0.05, 0.0), (0.35, droop * 0.4 + swing), (x1, droop)], 4)
    t = np.linspace(0, 1, len(spine))
    pen.limb(spine, np.interp(t, [0, 0.35, 0.8, 1], [h * 0.7, 0.1 + hem, 0.08 + hem, 0.04]), hue=SECOND, tone=-0.3)
    for x in (-0.78, -0.6, -0.42) if look.detail else (-0.7, -0.4):
        pen.thread([(x, h * 0.8), (x + dice.span(0.0, 0.12), h + dice.span(0.18, 0.3))], SECOND)
    pen.limb(spine, np.interp(t, [0, 0.35, 1], [h * 0.78, 0.1, 0.0]), marked=True)
    crown, chin = [(-0.9, -h * 0.72), (-0.55, -h), (-0.2, -h * 0.7)], [(-0.2, h * 0.7), (-0.55, h), (-0.92, h * 0.7)]
    pen.blob(closed([(-1.0, 0.02), *crown, (-0.06, 0.0), *chin], per=3), marked=True, belly=0.6 if look.pattern == "plain" else 9)
    fin(pen, [(-0.42, 0.12), (-0.12, 0.02), (-0.02, 0.34), (-0.24, 0.46)], apart=look.detail > 0, tone=0.5)
    face(pen, look, -0.7, -h * 0.2, (-0.96, 0.18), 0.1)
    pen.lights([tuple(point) for point in spine[3::3]])


def sea_pig(pen: Pen, look: Look, dice: Dice) -> None:
    """A plump cucumber on tube legs with horns on its back."""
    h, legs = dice.span(0.36, 0.46), dice.count(3, 4) + (look.detail > 1)
    for i in range(legs):
        x = -0.55 + 1.15 * i / (legs - 1)
        pen.limb([(x, h * 0.5), (x + dice.span(-0.06, 0.06), h + 0.24)], 0.075, 0.06, tone=-0.6)
    for x in (-0.4, 0.35) if dice.chance(0.6) else (-0.5, 0.0, 0.5):
        tip = dice.span(0.3, 0.5)
        line = curve([(x, -h * 0.7), (x + 0.02, -h - tip * 0.5), (x + dice.span(-0.2, 0.2), -h - tip)], 2)
        pen.limb(line, 0.05, 0.03, hue=SECOND, solid=look.detail > 0, tone=0.5)
    shape = [
        (-0.85, -0.1, 0.2),
        (-0.65, -h * 0.75, h * 0.8),
        (-0.1, -h, h),
        (0.45, -h * 0.9, h),
        (0.8, -h * 0.4, h * 0.5),
        (0.88, 0, 0.1),
    ]
    pen.blob(profile(shape), marked=True, belly=0.7 if look.pattern == "plain" else 9)
    for i in range(3):
        feeler = [(-0.82, 0.12), (-1.06 + 0.1 * i, 0.26 + 0.1 * i)]
        pen.limb(feeler, 0.045, 0.04, hue=SECOND, apart=look.detail > 0, solid=look.detail > 0, tone=0.4)
    pen.mark(-0.7, -0.06, DARK, 0, 0.04)
    pen.lights(row(-0.45, -h * 0.35, 0.6, -h * 0.35, 4))


def viperfish(pen: Pen, look: Look, dice: Dice) -> None:
    """A thin hunter with a jaw on a hinge, fangs longer than its head, a lure on its back and a row of lights."""
    h, sag = dice.span(0.17, 0.24), dice.span(-0.3, 0.3)
    tail(pen, 0.78, dice.span(0.22, 0.3), dice.span(0.2, 0.3), 0.8, y=sag)
    tip = (-0.62 - dice.span(0.0, 0.2), -h - dice.span(0.42, 0.62))
    pen.thread(curve([(-0.1, -h * 0.6), (-0.05, -h - 0.35), (-0.3, -h - 0.58), tip]), SECOND, tone=0.5)
    pen.blob(ellipse(*tip, 0.07, 0.07), SECOND, tone=3, flat=True, solid=False)
    fin(pen, [(0.4, -h * 0.5 + sag * 0.5), (0.55, -h - 0.16 + sag * 0.6), (0.66, -h * 0.4 + sag * 0.7)])
    path = curve([(-0.45, -0.05), (-0.1, 0.0), (0.35, sag * 0.5), (0.86, sag)], 3)
    pen.limb(path, np.interp(np.linspace(0, 1, len(path)), [0, 0.3, 1], [h * 1.15, h, 0.06]), marked=True)
    jaws(pen, look, dice, h)
    pen.eye(-0.6, -0.18, 0.09)
    if look.detail:
        for x, y in path[1:-1:2]:
            pen.mark(x, y + h * 0.55, SECOND, min(6, look.base + 2.5))
    pen.lights([*((x, y + h * 0.5) for x, y in path[1:-1:2]), tip])


def jaws(pen: Pen, look: Look, dice: Dice, h: float) -> None:
    """A skull, a lower jaw that hangs from a hinge behind the eye, and fangs between."""
    gape, snout = dice.span(0.5, 0.66), dice.span(0.94, 1.06)
    pen.limb(curve([(-0.34, 0.06), (-0.6, gape * 0.75), (-snout - 0.04, gape)], 3), 0.1, 0.06, tone=-0.4)
    skull = [(-snout, -0.16), (-0.72, -h - 0.16), (-0.4, -h - 0.06), (-0.26, 0.1), (-0.5, 0.1), (-snout, 0.0)]
    pen.blob(closed(skull, per=3), marked=look.pattern == "spots")
    tooth = dice.pick([PALE, PALE, SECOND])
    for x, y, length in ((-snout + 0.06, 0.06, 0.28), (-snout + 0.28, 0.1, 0.18), (-snout + 0.1, gape - 0.1, -0.22)):
        pen.limb([(x, y), (x + 0.02, y + length)], 0.0, hue=tooth, tone=9, solid=False, flat=True)


def hatchetfish(pen: Pen, look: Look, dice: Dice) -> None:
    """A flat blade of a fish: deep chest, thin tail, huge eye that looks up, lights along the belly."""
    h = dice.span(0.5, 0.68)
    tail(pen, 0.55, dice.span(0.28, 0.38), dice.span(0.24, 0.34), dice.span(0.5, 0.9))
    fin(pen, [(0.0, -0.22), (0.18, -0.22 - dice.span(0.2, 0.35)), (0.32, -0.15)])
    shape = [
        (-0.78, -0.12, 0.05),
        (-0.55, -0.34, 0.3),
        (-0.25, -0.34, h),
        (0.02, -0.3, h * 0.85),
        (0.22, -0.22, 0.16),
        (0.62, -0.1, 0.1),
    ]
    pen.blob(profile(shape), marked=True, belly=dice.span(0.35, 0.6))
    fin(pen, [(-0.15, 0.05), (0.08, -0.08), (0.1, 0.12)], apart=True, tone=0.5)
    pen.eye(-0.5, -0.12, 0.13)
    pen.mark(-0.7, 0.14, DARK, 0)
    pen.lights(arc(-0.2, 0.0, 0.34, h * 0.75, 2.4, 0.7, 3 + look.detail))


def brittle_star(pen: Pen, look: Look, dice: Dice) -> None:
    """A small disc with five thin arms that writhe; curled, they wind up like springs, all one way."""
    phase, side = dice.span(-0.25, 0.25), dice.pick([-1, 1])
    curled = look.pose == "curled"
    bend = side * (dice.span(0.15, 0.3) if look.pose == "spread" else dice.span(0.25, 0.6))
    wind, reach = side * dice.span(1.1, 1.5), dice.span(0.7, 0.85) if curled else dice.span(0.8, 1.05)
    radius = dice.span(0.24, 0.32)
    for i in range(5):
        angle = phase - TAU / 4 + i * TAU / 5
        t = np.linspace(0.1, reach * dice.span(0.85, 1.1), 9)
        way = angle + (wind * (t / reach) ** 2 if curled else bend * np.sin(t * 3.2 + i))
        line = np.stack([t * np.cos(way), t * np.sin(way)], -1)
        pen.limb(line, 0.1, 0.04, marked=look.pattern == "bands", tone=-0.3, solid=look.detail > 0)
    pen.blob(ellipse(0, 0, radius, radius), marked=look.pattern != "bands", apart=True)
    pen.blob(ellipse(0, 0, radius * 0.6, radius * 0.6), SECOND, tone=0.5)
    pen.lights([(0, 0), *arc(0, 0, 0.55, 0.55, -TAU / 4 + phase, TAU * 0.75 + phase, 6)[:-1]])
