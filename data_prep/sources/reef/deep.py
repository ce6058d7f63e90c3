"""Abyssal animals. Side views face left; tube worms stand upright."""

import numpy as np

from data_prep.sources.reef.dice import Dice
from data_prep.sources.reef.fish import face, fin, row, tail
from data_prep.sources.reef.geometry import TAU, arc, closed, curve, ellipse, profile
from data_prep.sources.reef.looks import Look
from data_prep.sources.reef.pen import DARK, LIGHT, PALE, SECOND, Pen


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
    pen.blob(mouth, DARK, tone=-9, flat=True, solid=True)
    count = 3 + look.detail
    for i in range(count):
        t = (i + 0.3) / count
        pen.mark(-0.74 + 0.5 * t, 0.01 + 0.1 * t, PALE, 6)
        if i % 2:
            pen.mark(-0.74 + 0.42 * t, 0.33 - 0.06 * t, PALE, 6)
    fin(pen, [(0.05, 0.1), (0.3, 0.05), (0.28, 0.32)], apart=True, tone=0.5)
    pen.eye(-0.32, -h * 0.4, 0.08)
    pen.lights([tip], 0.06)
    pen.lights(row(0.0, h * 0.55, 0.4, h * 0.2, 2))


def gulper(pen: Pen, look: Look, dice: Dice) -> None:
    """A huge hinged jaw in front of a whip of a body."""
    gape = dice.span(0.34, 0.5)
    swing = dice.span(0.12, 0.3) * dice.pick([-1, 1])
    body = curve([(-0.35, -0.1), (0.1, -0.1 + swing * 0.4), (0.5, swing), (0.85, swing * 0.4), (1.1 + 0.1 * look.trail, -swing * 0.6)], 3)
    pen.limb(body, np.interp(np.linspace(0, 1, len(body)), [0, 0.3, 1], [0.2, 0.13, 0.03]), marked=True)
    pen.blob(ellipse(body[-1, 0], body[-1, 1], 0.06, 0.06), SECOND, tone=1)
    pouch = [(-0.3, -0.15), (-0.62, 0.12), (-0.95, gape * 0.95), (-0.72, gape + 0.14), (-0.3, gape * 0.95), (0.05, 0.1)]
    pen.blob(closed(pouch, per=3), SECOND, tone=-0.3)
    pen.blob([(-0.3, -0.02), (-0.9, -0.1), (-0.88, gape * 0.85), (-0.5, gape * 0.6)], DARK, tone=-9, flat=True)
    head = [(-1.0, -0.14, -0.06), (-0.75, -0.3, -0.02), (-0.4, -0.34, 0.04), (-0.1, -0.26, 0.06)]
    pen.blob(profile(head), marked=look.pattern == "spots")
    pen.eye(-0.8, -0.18, 0.06)
    if look.teeth or look.detail:
        for t in (0.15, 0.45, 0.75):
            pen.mark(-0.92 + 0.5 * t, 0.01, PALE, 6)
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
    pen.blob([(0.6, 0.0), (0.9 + fan * 0.5, -fan * 0.6), (1.0 + fan * 0.4, base * 0.7), (0.85, base + 0.06), (0.6, base)], SECOND, tone=-0.4)
    shell = [(-0.9, 0.02, base * 0.8), (-0.7, -h * 0.6, base), (-0.2, -h, base + 0.02), (0.3, -h * 0.85, base), (0.8, -0.1, base * 0.9)]
    pen.blob(profile(shell), marked=True, belly=0.72)
    for i in range(1, plates + 1):
        x = -0.68 + 1.25 * i / (plates + 0.6)
        top = -h * (1 - 1.1 * (x + 0.05) ** 2) + 0.06
        pen.thread(curve([(x, top), (x + 0.05, (top + base) / 2), (x, base * 0.7)], 3), tone=-2)
    pen.eye(-0.68, -0.02, 0.08)
    pen.lights(row(-0.45, 0.15, 0.6, 0.15, 4))


def tube_worm(pen: Pen, look: Look, dice: Dice) -> None:
    """A bunch of tubes, each with a plume that comes out of it."""
    count = dice.count(3, 3 + look.detail) if dice.chance(0.75) else 2
    order = sorted(range(count), key=lambda i: -abs(i - (count - 1) / 2 + 0.1))
    for i in order:
        x = (i - (count - 1) / 2) * (1.15 / count)
        top = -0.35 + dice.span(0, 0.5) * (0.3 + abs(x))
        lean = x * dice.span(0.35, 0.75)
        width = dice.span(0.105, 0.14)
        plume = dice.span(0.36, 0.5)
        flare = width * dice.span(1.2, 1.7)
        head = [(x + lean - width * 0.6, top), (x + lean - flare, top - plume * 0.7), (x + lean, top - plume)]
        head += [(x + lean + flare, top - plume * 0.7), (x + lean + width * 0.6, top)]
        pen.blob(closed(head, per=3), SECOND, tone=0.2, axis="y")
        pen.limb(curve([(x * 0.5, 0.95), (x * 0.8 + lean * 0.3, 0.4), (x + lean, top)], 3), width, width * 0.9, marked=True, axis="y", apart=True)
        pen.mark(x + lean, top - plume * 0.55, SECOND, 6 if look.base > 3 else 5)
        pen.lights([(x + lean, top - plume * 0.6)])
    pen.blob(ellipse(0, 0.95, dice.span(0.45, 0.6), 0.14), tone=-1)


def snailfish(pen: Pen, look: Look, dice: Dice) -> None:
    """A soft tadpole: big blunt head, one long fin round the tail, feelers under the chin."""
    h = dice.span(0.34, 0.44)
    droop = dice.span(-0.2, 0.25)
    x1 = 0.75 + 0.25 * look.trail
    hem = dice.span(0.08, 0.15)
    fin(pen, [(-0.2, -h * 0.9), (0.3, -h * 0.6 - hem + droop * 0.3), (x1, droop - 0.02), (x1, droop + 0.06), (0.3, h * 0.6 + hem + droop * 0.3), (-0.2, h * 0.9)])
    shape = [(-0.95, -0.1, 0.12), (-0.8, -h * 0.85, h * 0.8), (-0.45, -h, h), (0.0, -h * 0.7, h * 0.75), (0.45, -0.14 + droop * 0.5, 0.16 + droop * 0.5)]
    shape.append((x1 - 0.12, droop - 0.02, droop + 0.04))
    pen.blob(profile(shape), marked=True, belly=0.62)
    for x in (-0.7, -0.55) if look.detail else (-0.62,):
        pen.thread([(x, h * 0.8), (x + 0.05, h + dice.span(0.14, 0.26))], SECOND)
    fin(pen, [(-0.35, 0.05), (-0.12, -0.05), (-0.02, 0.3), (-0.2, 0.34)], apart=True, tone=0.4)
    face(pen, look, -0.66, -h * 0.3, (-0.92, 0.12), 0.075)
    pen.lights(row(-0.3, -0.1, 0.6, droop * 0.7, 4))


def sea_pig(pen: Pen, look: Look, dice: Dice) -> None:
    """A plump cucumber on tube legs with horns on its back."""
    h, legs = dice.span(0.34, 0.44), dice.count(3, 4) + (look.detail > 1)
    for i in range(legs):
        x = -0.5 + 1.05 * i / (legs - 1)
        pen.limb([(x, h * 0.5), (x + dice.span(-0.06, 0.06), h + 0.24)], 0.1, 0.075, tone=-0.6)
    for x in (-0.35, 0.3) if dice.chance(0.6) else (-0.4, 0.0, 0.4):
        tip = dice.span(0.25, 0.45)
        pen.limb(curve([(x, -h * 0.7), (x + 0.02, -h - tip * 0.5), (x + dice.span(-0.2, 0.2), -h - tip)], 2), 0.07, 0.04, hue=SECOND)
    shape = [(-0.85, -0.1, 0.2), (-0.65, -h * 0.75, h * 0.8), (-0.1, -h, h), (0.45, -h * 0.9, h), (0.8, -h * 0.4, h * 0.5), (0.88, 0, 0.1)]
    pen.blob(profile(shape), marked=True, belly=0.7)
    for i in range(3):
        pen.limb([(-0.8, 0.12), (-0.98 + 0.09 * i, 0.24 + 0.06 * i)], 0.045, 0.04, hue=SECOND, apart=True)
    pen.mark(-0.72, -0.02, DARK, 0, 0.04)
    pen.lights(row(-0.45, -h * 0.35, 0.6, -h * 0.35, 4))


def viperfish(pen: Pen, look: Look, dice: Dice) -> None:
    """A thin hunter with fangs longer than its head and a row of lights."""
    h = dice.span(0.16, 0.23)
    sag = dice.span(-0.15, 0.2)
    tail(pen, 0.75, dice.span(0.22, 0.3), dice.span(0.18, 0.26), 0.8, y=sag)
    tip = (-0.35, -h - dice.span(0.35, 0.55))
    pen.thread(curve([(-0.2, -h), (-0.1, -h - 0.3), tip]), SECOND)
    fin(pen, [(0.4, -h * 0.5 + sag * 0.5), (0.5, -h - 0.12 + sag * 0.5), (0.62, -h * 0.4 + sag * 0.5)])
    path = curve([(-0.6, 0), (-0.1, 0.02), (0.35, sag * 0.5), (0.8, sag)], 3)
    pen.limb(path, np.interp(np.linspace(0, 1, len(path)), [0, 0.3, 1], [h * 0.9, h, 0.05]), marked=True)
    gape = dice.span(0.26, 0.36)
    pen.limb([(-0.55, 0.08), (-0.92, gape + 0.06)], 0.1, 0.055)
    pen.limb([(-0.58, -0.06), (-0.95, -0.08)], 0.15, 0.09)
    for x, y in ((-0.93, 0.07), (-0.78, 0.09), (-0.9, gape - 0.1)):
        pen.limb([(x, y), (x, y + 0.1)], 0.0, hue=PALE, tone=9, solid=False, flat=True)
    pen.eye(-0.65, -0.1, 0.075)
    pen.lights([(x, y + h * 0.5) for x, y in path[1:-1:2]] + [tip])


def hatchetfish(pen: Pen, look: Look, dice: Dice) -> None:
    """A flat blade of a fish: deep chest, thin tail, huge eye that looks up, lights along the belly."""
    h = dice.span(0.5, 0.68)
    tail(pen, 0.55, dice.span(0.28, 0.38), dice.span(0.24, 0.34), dice.span(0.5, 0.9))
    fin(pen, [(0.0, -0.22), (0.18, -0.22 - dice.span(0.2, 0.35)), (0.32, -0.15)])
    shape = [(-0.78, -0.12, 0.05), (-0.55, -0.34, 0.3), (-0.25, -0.34, h), (0.02, -0.3, h * 0.85), (0.22, -0.22, 0.16), (0.62, -0.1, 0.1)]
    pen.blob(profile(shape), marked=True, belly=dice.span(0.35, 0.6))
    fin(pen, [(-0.15, 0.05), (0.08, -0.08), (0.1, 0.12)], apart=True, tone=0.5)
    pen.eye(-0.5, -0.12, 0.13)
    pen.mark(-0.7, 0.14, DARK, 0)
    pen.lights(arc(-0.2, 0.0, 0.34, h * 0.75, 2.4, 0.7, 3 + look.detail))


def brittle_star(pen: Pen, look: Look, dice: Dice) -> None:
    """A small disc with five thin arms that writhe."""
    phase, bend = dice.span(-0.25, 0.25), dice.span(0.25, 0.6) * dice.pick([-1, 1])
    reach = dice.span(0.8, 1.0)
    for i in range(5):
        angle = phase - TAU / 4 + i * TAU / 5
        t = np.linspace(0.1, reach * dice.span(0.85, 1.1), 8)
        way = angle + bend * np.sin(t * 3.2 + i)
        pen.limb(np.stack([t * np.cos(way), t * np.sin(way)], -1), 0.11, 0.04, marked=look.pattern == "bands", tone=-0.3)
    radius = dice.span(0.28, 0.36)
    pen.blob(ellipse(0, 0, radius, radius), marked=look.pattern != "bands", apart=True)
    pen.blob(ellipse(0, 0, radius * 0.42, radius * 0.42), SECOND, tone=0.5)
    pen.lights([(0, 0), *arc(0, 0, 0.55, 0.55, -TAU / 4 + phase, TAU * 0.75 + phase, 6)[:-1]])


