"""Grazers. Side views face left; the crab and the urchin face you."""

import numpy as np

from data_prep.sources.reef.dice import Dice
from data_prep.sources.reef.fish import fin, row, tail
from data_prep.sources.reef.geometry import TAU, arc, closed, curve, ellipse, profile, star
from data_prep.sources.reef.looks import Look
from data_prep.sources.reef.pen import DARK, MAIN, PALE, SECOND, Pen


def parrotfish(pen: Pen, look: Look, dice: Dice) -> None:
    """A heavy blunt fish with a beak, one long low back fin and a square tail."""
    h = dice.span(0.38, 0.48) * look.slim
    tail(pen, 0.55, dice.span(0.38, 0.46), dice.span(0.3, 0.4), dice.span(0.0, 0.5))
    hem = dice.span(0.1, 0.17)
    pen.blob([(-0.4, -h * 0.8), (-0.3, -h - hem), (0.25, -h * 0.75 - hem), (0.4, -h * 0.4)], SECOND, tone=-0.4)
    pen.blob([(-0.1, h * 0.8), (0.05, h + hem), (0.3, h * 0.7 + hem), (0.4, h * 0.3)], SECOND, tone=-0.4)
    hump = dice.span(0.0, 0.2)
    shape = [
        (-0.92, -0.08, 0.16),
        (-0.8, -h * 0.75 - hump, h * 0.6),
        (-0.35, -h, h),
        (0.15, -h * 0.72, h * 0.76),
        (0.58, -0.12, 0.12),
    ]
    pen.blob(profile(shape), marked=True)
    pen.limb(
        [(-0.84, 0.08), (-1.0, 0.1)], 0.13, 0.08, hue=PALE if look.zone in ("shallows", "twilight") else SECOND, tone=1, flat=True
    )
    pen.mark(-0.95, 0.14, DARK, 0)
    fin(pen, [(-0.35, 0.0), (-0.08, -0.06), (-0.02, 0.2), (-0.2, 0.24)], apart=True, tone=0.2)
    pen.eye(-0.6, -h * 0.4, 0.085)
    pen.lights(row(-0.4, h * 0.55, 0.4, h * 0.3, 3 + look.detail))


def surgeonfish(pen: Pen, look: Look, dice: Dice) -> None:
    """An oval blade: small mouth low in the face, high fins all along, crescent tail with a scalpel at its root."""
    h = dice.span(0.42, 0.52) * look.slim
    hem = dice.span(0.1, 0.18)
    tail(pen, 0.55, dice.span(0.34, 0.42), dice.span(0.36, 0.5), dice.span(0.7, 1.0))
    fin(pen, [(-0.5, -h * 0.7), (-0.2, -h - hem), (0.25, -h * 0.8 - hem), (0.5, -0.1), (0, -h * 0.3)])
    fin(pen, [(-0.3, h * 0.8), (0.0, h + hem), (0.25, h * 0.8 + hem), (0.5, 0.1), (0, h * 0.3)])
    shape = [(-0.88, 0.06, 0.2), (-0.74, -h * 0.55, h * 0.6), (-0.25, -h, h), (0.2, -h * 0.75, h * 0.75), (0.6, -0.08, 0.08)]
    pen.blob(profile(shape), marked=True)
    pen.mark(0.5, 0.0, SECOND, 6 if look.base > 3 else 5, 0.05)
    fin(pen, [(-0.4, 0.05), (-0.12, -0.06), (-0.1, 0.2)], apart=True, tone=0.4)
    pen.eye(-0.55, -h * 0.35, 0.085)
    if look.detail:
        pen.mark(-0.8, 0.14, DARK, 0)
    pen.lights(row(-0.3, h * 0.6, 0.4, h * 0.35, 3 + look.detail))


def sea_turtle(pen: Pen, look: Look, dice: Dice) -> None:
    """A domed shell, a round head ahead, a long front flipper, a short hind one."""
    h, nod = dice.span(0.42, 0.55), dice.span(-0.14, 0.12)
    stroke = dice.span(-0.15, 0.3)
    pen.blob([(0.45, 0.05), (0.85, 0.1), (1.0, 0.3), (0.75, 0.34), (0.45, 0.2)], SECOND, tone=-0.5)
    pen.limb([(-0.5, 0.05), (-0.75, nod)], 0.13, 0.13, hue=SECOND)
    pen.blob(ellipse(-0.86, nod - 0.03, dice.span(0.2, 0.24), 0.18 if look.detail else 0.24), SECOND, tone=0.4)
    pen.blob(profile([(-0.6, 0.05, 0.16), (-0.4, -0.12, 0.26), (0.3, -0.1, 0.26), (0.68, 0.08, 0.16)]), SECOND, tone=0.8)
    shell = [(-0.6, 0.08, 0.14), (-0.42, -h * 0.72, 0.16), (0.0, -h, 0.17), (0.42, -h * 0.66, 0.16), (0.76, 0.08, 0.14)]
    pen.blob(profile(shell), marked=True, apart=True)
    if look.pattern == "plain":
        for x in (-0.3, 0.05, 0.38) if look.detail else (-0.18, 0.25):
            pen.thread([(x, -h * 0.62), (x - 0.03, 0.02)], tone=-1.5, flat=True)
    pen.blob(
        [(-0.46, 0.06), (-0.16, 0.08), (0.0, 0.36), (0.16 + stroke, 0.68), (-0.08, 0.62), (-0.36, 0.38)],
        SECOND,
        apart=True,
        tone=0.3,
    )
    pen.eye(-0.9, nod - 0.05, 0.06)
    pen.lights([(-0.25, -h * 0.4), (0.1, -h * 0.55), (0.4, -h * 0.3)])


def urchin(pen: Pen, look: Look, dice: Dice) -> None:
    """A ball of thin straight spines around a round test."""
    r, spines = dice.span(0.42, 0.56), dice.count(10, 12) + 4 * look.detail
    phase, uneven, flat = dice.roll() * 0.5, dice.span(0.05, 0.25), dice.span(0.85, 1.0)
    for i in range(spines):
        way = phase + TAU * i / spines
        reach = 1 - uneven * dice.roll() - 0.14 * (i % 2)
        x, y = np.cos(way), np.sin(way) * flat
        pen.thread([(x * r * 0.7, y * r * 0.7), (x * reach, y * reach)], SECOND if i % 2 else MAIN, tone=-0.4)
    pen.blob(ellipse(0, 0, r, r * flat), marked=True)
    if look.pattern == "plain":
        pen.blob(ellipse(-0.06, -0.08, r * 0.4, r * 0.3), SECOND, tone=0.6)
    pen.lights(arc(0, 0, r * 0.7, r * 0.6, dice.span(0, TAU), TAU + 1, 4))


def sea_slug(pen: Pen, look: Look, dice: Dice) -> None:
    """A nudibranch: long soft foot, two horns ahead, a tuft of gills behind, a ruffled mantle."""
    h, hump = dice.span(0.24, 0.32), dice.span(0.0, 0.16)
    ruffles = 3 + look.detail + dice.count(0, 1)
    gills, thick = dice.span(0.35, 0.5), 0.05 if look.detail else 0.0
    for angle in (-0.75, -0.25, 0.25, 0.75) if look.detail else (-0.7, 0.0, 0.7):
        line = [(0.45, -h * 0.6), (0.45 + gills * np.sin(angle), -h * 0.6 - gills * np.cos(angle))]
        pen.limb(line, thick, hue=SECOND, tone=0.6, solid=look.detail > 0)
    lean = dice.span(-0.2, 0.0)
    for x in (-0.75, -0.5):
        pen.limb([(x, -h * 0.5), (x + lean, -h - dice.span(0.3, 0.4))], thick, hue=SECOND, tone=0.3, solid=look.detail > 0)
    edge = np.linspace(0.98, -0.92, 2 * ruffles + 1)
    hem = np.stack([edge, h * 0.75 + np.where(np.arange(len(edge)) % 2, 0.16, 0.0)], -1)
    pen.blob(np.concatenate([[(-0.8, 0.0), (0.8, 0.0)], hem]), SECOND, tone=0.2)
    shape = [
        (-0.95, -0.02, 0.15),
        (-0.72, -h * 0.95, h * 0.8),
        (-0.1, -h - hump, h * 0.8),
        (0.5, -h * 0.9, h * 0.75),
        (1.0, 0.08, 0.16),
    ]
    pen.blob(profile(shape), marked=True)
    pen.mark(-0.78, -0.02, DARK, 0)
    pen.lights([(-0.4, 0), (0, -0.08), (0.4, 0), (0.42, -h * 0.6 - gills * 0.8)])


def manatee(pen: Pen, look: Look, dice: Dice) -> None:
    """A fat barrel with a big drooping muzzle, one paddle and a round flat tail on a thin stalk."""
    h, bow = dice.span(0.44, 0.52), dice.span(-0.12, 0.12)
    paddle = dice.span(0.24, 0.32)
    pen.blob(ellipse(0.88, bow, 0.24, paddle), SECOND, tone=-0.2)
    shape = [
        (-0.8, -0.12, 0.3),
        (-0.66, -h * 0.62, h * 0.85),
        (-0.36, -h * 0.8, h * 0.9),
        (0.0, -h, h),
        (0.32, -h * 0.68 + bow * 0.5, h * 0.68 + bow * 0.5),
        (0.7, bow - 0.06, bow + 0.06),
    ]
    pen.blob(profile(shape), marked=True, belly=0.7 if look.pattern == "plain" else 9)
    pen.blob(ellipse(-0.82, h * 0.42, 0.22, 0.24), tone=0.8, apart=look.detail > 0)
    pen.mark(-0.94, h * 0.3, DARK, 0)
    lean = dice.span(-0.1, 0.3)
    flipper = [(-0.4, h * 0.4), (-0.12, h * 0.4), (-0.02 + lean, h + 0.28), (-0.24 + lean, h + 0.32)]
    pen.blob(closed(flipper, per=3), SECOND, apart=True)
    pen.eye(-0.6, -h * 0.18, 0.06)
    pen.lights(row(-0.3, -0.05, 0.5, bow, 3 + look.detail))


def sea_snail(pen: Pen, look: Look, dice: Dice) -> None:
    """A pointed whorled shell on a creeping foot, eyes on stalks."""
    height, lean = dice.span(0.75, 1.05), dice.span(0.05, 0.4)
    reach = dice.span(0.1, 0.2)
    foot = [(-0.98, 0.46, 0.72), (-0.85, 0.3, 0.74), (-0.2, 0.4, 0.75), (0.5, 0.5, 0.75), (0.9, 0.66, 0.75)]
    for x in (-0.9, -0.68):
        top = (x - 0.08, 0.18 - reach)
        pen.limb([(x, 0.4), top], 0.05, 0.045, hue=SECOND)
    pen.blob(profile(foot), SECOND, tone=0.3)
    r = dice.span(0.46, 0.58)
    spire = [
        (-0.42, 0.5),
        (-0.5, 0.1),
        (-0.15, -0.3),
        (0.1 + lean, 0.45 - height * 1.15),
        (0.35 + lean * 0.5, -0.15),
        (0.1 + r, 0.2),
        (0.05 + r, 0.52),
    ]
    pen.blob(closed(spire, per=3), marked=True, apart=True, axis="y")
    for i in range(2 + look.detail):
        t = (i + 1) / (3 + look.detail)
        y = 0.5 - height * 1.05 * t
        half = r * (1 - t) * 0.95
        x = 0.05 + lean * t
        pen.thread(curve([(x - half, y - 0.02), (x, y + 0.09), (x + half * 0.95, y - 0.08)], 3), tone=-1.8, flat=True)
    pen.blob(ellipse(-0.24, 0.44, 0.17, 0.13), SECOND, tone=-1.5, flat=True)
    pen.eye(-0.98, 0.17 - reach, 0.045)
    pen.lights([(0.1, 0.2), (0.15 + lean * 0.5, -0.15), (0.3, 0.35)])


def crab(pen: Pen, look: Look, dice: Dice) -> None:
    """Wide shell, stalked eyes, pincers raised above it or held low before it, legs at the sides."""
    w, h = dice.span(0.48, 0.62), dice.span(0.3, 0.42)
    raised = look.pose == "claws raised"
    for side in (-1, 1):
        for i in range(2 + (look.detail > 0)):
            y = 0.02 + 0.13 * i
            knee = (side * (w + 0.3 - 0.1 * i), y - 0.1 + 0.06 * i)
            pen.limb(
                [(side * w * 0.7, y), knee, (side * (w + 0.42 - 0.13 * i), y + 0.32)],
                0.05,
                0.03,
                tone=-0.6,
                solid=look.detail > 1,
            )
        pen.limb([(side * 0.2, -h * 0.5), (side * 0.22, -h - 0.16)], 0.06, 0.06)
        pen.eye(side * 0.22, -h - 0.16, 0.06)
    shell = [
        (-w * 0.75, -h * 0.7),
        (0, -h),
        (w * 0.75, -h * 0.7),
        (w, -0.02),
        (w * 0.6, h * 0.95),
        (-w * 0.6, h * 0.95),
        (-w, -0.02),
    ]
    pen.blob(closed(shell, per=3), marked=True, axis="y" if look.pattern == "stripes" else "x", belly=0.75)
    claw, rise = dice.span(0.22, 0.3), dice.span(0.0, 0.25)
    for side in (-1, 1):
        elbow, wrist = ((0.86, -0.2), (0.8, -0.46 - rise)) if raised else ((0.86, 0.3), (0.52 + rise * 0.6, 0.62))
        shoulder = (side * w * 0.8, -0.1 if raised else 0.1)
        pen.limb([shoulder, (side * elbow[0], elbow[1]), (side * wrist[0], wrist[1])], 0.08, 0.07, tone=-0.2, apart=not raised)
        pincer(pen, side * wrist[0], wrist[1], claw, -TAU / 4 - side * 0.5 if raised else TAU / 4 + side * 0.9, apart=not raised)
    if look.detail:
        pen.mark(-0.06, h * 0.45, MAIN, 0)
        pen.mark(0.06, h * 0.45, MAIN, 0)
    pen.lights([(-0.3, -0.05), (0.3, -0.05), (0, -h * 0.5)])


def pincer(pen: Pen, x: float, y: float, size: float, way: float, **style) -> None:
    """A claw that opens in the direction `way`, radians: a disc without a wedge."""
    rim = arc(x, y, size, size, way + 0.45, way + TAU - 0.45, 12)
    pen.blob([*rim, (x - 0.2 * size * np.cos(way), y - 0.2 * size * np.sin(way))], SECOND, tone=0.3, **style)


def sea_star(pen: Pen, look: Look, dice: Dice) -> None:
    """Five thick tapering arms: straight when spread, all bent one way like a pinwheel when curled."""
    tips, phase = dice.pick({5: 4, 6: 1}), dice.span(-0.2, 0.2) - TAU / 4
    draw_arms = _curled_arms if look.pose == "curled" else _spread_arms
    ridges = draw_arms(pen, look, dice, tips, phase)
    for ridge in ridges:
        pen.limb(ridge, 0.07 if look.pattern == "stripes" else 0.035, 0.02, hue=SECOND, tone=0.5, flat=True)
    pen.blob(ellipse(0, 0, 0.14, 0.14), SECOND, tone=0.7)
    pen.lights([ridge[-1] for ridge in ridges])


def _spread_arms(pen: Pen, look: Look, dice: Dice, tips: int, phase: float) -> list[np.ndarray]:
    """One star-shaped outline → the ridge of each arm."""
    points = star(0, 0, 1, 1, tips, dice.span(0.48, 0.6), phase)
    doubled = np.repeat(points, 2, 0)
    doubled[0::2] += (np.roll(points, 1, 0) - points) * 0.12
    doubled[1::2] += (np.roll(points, -1, 0) - points) * 0.12
    pen.blob(doubled, marked=look.pattern != "stripes")
    return [np.array([(0, 0), tip * 0.68]) for tip in points[0::2]]


def _curled_arms(pen: Pen, look: Look, dice: Dice, tips: int, phase: float) -> list[np.ndarray]:
    """Arms that hook around → the ridge of each arm."""
    curl, length = dice.span(2.2, 2.9) * dice.pick([-1, 1]), dice.span(1.15, 1.3)
    t = np.linspace(0, 1, 9)
    ridges = []
    for i in range(tips):
        way = phase + TAU * i / tips + curl * (t - 0.25).clip(0) ** 1.2
        steps = np.stack([np.cos(way), np.sin(way)], -1) * length / 8
        arm = np.concatenate([[(0, 0)], steps[:-1].cumsum(0)])
        pen.limb(arm, 0.26, 0.09, marked=look.pattern != "stripes")
        ridges.append(arm[:7])
    return ridges
