"""Cephalopods. Squid kin face left, mantle behind and arms ahead; octopuses sit upright and look at you."""

import numpy as np

from data_prep.sources.reef.dice import Dice
from data_prep.sources.reef.geometry import TAU, arc, closed, curve, ellipse, profile, wave
from data_prep.sources.reef.looks import Look
from data_prep.sources.reef.pen import MAIN, SECOND, Pen

# by pose: how far the outer arms stand out and how much all of them curl, radians
ARMS = {"spread": ((1.0, 1.25), (-0.2, 0.15)), "curled": ((0.8, 1.05), (1.15, 1.5)), "": ((0.5, 1.2), (0.1, 0.9))}
# by pose: half the width of the hem between the arms, and how low it hangs
WEB = {"spread": ((0.9, 1.15), (0.3, 0.5)), "curled": ((0.28, 0.4), (0.6, 0.8)), "": ((0.55, 0.85), (0.55, 0.85))}


def arms(pen: Pen, look: Look, dice: Dice, count: int, width: float, length: float, hues: tuple[int, int]) -> None:
    """Arms in a fan below the head (x from −width to width), the outer ones curling outwards; hues in turn."""
    spread, curl = (dice.span(*limits) for limits in ARMS.get(look.pose, ARMS[""]))
    thick, end = (0.13, 0.05) if look.detail else (0.14, 0.07)
    t = np.linspace(0, 1, 10)
    for i in sorted(range(count), key=lambda i: -abs(2 * i - count + 1)):
        x = 2 * i / (count - 1) - 1
        bend = curl * np.sign(x) * (0.4 + abs(x)) * dice.span(0.8, 1.2)
        angle = TAU / 4 - x * spread - bend * t * t * 2
        steps = np.stack([np.cos(angle), np.sin(angle)], -1) * length * dice.span(0.85, 1.1) / 10
        line = np.concatenate([[(0, 0)], steps.cumsum(0)]) + np.array([x * width, 0.1])
        pen.limb(line, thick, end, hue=hues[i % 2], tone=-0.3 * (i % 2), apart=True, solid=look.detail > 0, axis="y")


def web(pen: Pen, look: Look, dice: Dice, shoulder: float, tips: int, notch: float, drop: float, **style) -> np.ndarray:
    """Skin between the arms from the shoulders down to a hem of points → the points (tips + 1, 2), right to left."""
    flare, low = (dice.span(*limits) for limits in WEB.get(look.pose, WEB[""]))
    low += drop
    x = np.linspace(flare, -flare, 2 * tips + 1)
    y = low - 0.3 * flare * (x / flare) ** 2 - np.where(np.arange(len(x)) % 2, notch * dice.span(0.8, 1.1), 0)
    hips = max(flare * 0.55, shoulder * 1.25)
    sides = np.array([(-hips, low * 0.3), (-shoulder, -0.2), (shoulder, -0.2), (hips, low * 0.3)])
    pen.blob(np.concatenate([sides, np.stack([x, y], -1)]), axis="y", **style)
    return np.stack([x, y], -1)[::2]


def hooks(pen: Pen, look: Look, tips: np.ndarray) -> None:
    """What of the arms shows below the web: straight ends, or ends that curl outwards and up."""
    for x, y in tips:
        way = np.sign(x) if abs(x) > 0.01 else 0
        line = [(x * 0.6, y * 0.4), (x, y), (x * 1.08, y + 0.14)]
        if look.pose == "curled":
            line = [(x * 0.8, y * 0.5), (x, y), (x + way * 0.16, y + 0.12), (x + way * 0.32, y - 0.06)]
        pen.limb(curve(line, 3), 0.09, 0.05, tone=-0.2, axis="y", solid=look.detail > 0, apart=look.detail > 0)


def octopus(pen: Pen, look: Look, dice: Dice) -> None:
    """A round bulb of a head, two eyes, curling arms; a plain one has every second arm in the second colour."""
    w, h = dice.span(0.4, 0.54), dice.span(0.42, 0.64)
    count = (5 if look.detail == 0 else 6) + (look.detail > 1 and dice.chance(0.6))
    if look.pose == "curled":
        count -= count % 2  # the one in the middle would hang straight down
    length = {"spread": dice.span(0.85, 1.1), "curled": dice.span(0.85, 1.05)}.get(look.pose, dice.span(0.5, 0.9))
    arms(pen, look, dice, count, w * 0.8, length, (MAIN, SECOND if look.pattern == "plain" else MAIN))
    pen.blob(ellipse(0, 0.12, w * 0.95, 0.24), SECOND, tone=-0.3)
    lean = dice.span(-0.12, 0.12)
    right = [(w + lean, -h), (w * 0.95, -0.1), (w * 0.8, 0.2), (0, 0.26)]
    left = [(-w * 0.8, 0.2), (-w * 0.95, -0.1), (-w + lean, -h), (lean, -h * 1.45)]
    pen.blob(closed(left + right, per=3), marked=True, axis="y")
    for side in (-1, 1):
        pen.eye(side * w * 0.5, -0.02, 0.1)
    pen.lights([(-0.25 + lean, -h * 0.9), (0.2 + lean, -h * 1.0), (-0.5, 0.4), (0.5, 0.4), (0, 0.5)])


def dumbo(pen: Pen, look: Look, dice: Dice) -> None:
    """A round head with two great ears over an umbrella of webbed arms."""
    w, h, ear = dice.span(0.42, 0.54), dice.span(0.6, 0.8), dice.span(0.32, 0.42)
    rise, flap = dice.span(-0.55, 0.5), dice.span(0.22, 0.3)
    for side in (-1, 1):
        x, y = side * (w * 0.85 + ear * 0.7 * np.cos(rise)), -h * 0.55 + ear * 0.7 * np.sin(rise)
        pen.blob(ellipse(x, y, ear, flap, side * rise), SECOND, tone=0.3)
        if look.detail > 1:
            pen.blob(ellipse(x, y, ear * 0.5, flap * 0.4, side * rise), SECOND, tone=-0.7, flat=True)
    notch, striped = dice.span(0.14, 0.24), look.pattern == "stripes"
    tips = web(pen, look, dice, w * 0.8, 3 + look.detail // 2, notch, 0.0, tone=-0.5, marked=striped)
    hooks(pen, look, tips)
    head = [(-w * 0.85, 0.12), (-w, -h * 0.4), (-w * 0.6, -h * 0.92), (0, -h * 1.05)]
    head += [(-x, y) for x, y in reversed(head[:3])] + [(0, 0.24)]
    pen.blob(closed(head, per=4), marked=True, axis="y", apart=True)
    for side in (-1, 1):
        pen.eye(side * w * 0.55, -0.06, 0.1)
    pen.lights([(x * 0.85, y * 0.7) for x, y in tips])


def vampire_squid(pen: Pen, look: Look, dice: Dice) -> None:
    """A cloak: web between the arms with a spiked hem, fins on the mantle, huge eyes."""
    w = dice.span(0.34, 0.48)
    tips = web(pen, look, dice, w, 3 + (look.detail > 0), dice.span(0.2, 0.3), 0.2, hue=SECOND, tone=-0.6)
    hooks(pen, look, tips)
    for side in (-1, 1):
        fin = [(side * w * 0.6, -0.75), (side * (w + dice.span(0.2, 0.32)), -0.85), (side * w * 0.95, -0.5)]
        pen.blob(closed(fin, per=3), SECOND, tone=0.3)
    top = dice.span(0.75, 1.15)
    mantle = [(-w, 0.05), (-w * 0.95, -0.45), (0, -top), (w * 0.95, -0.45), (w, 0.05), (0, 0.2)]
    pen.blob(closed(mantle, per=4), marked=True, axis="y")
    for side in (-1, 1):
        pen.eye(side * w * 0.55, -0.12, 0.11)
    pen.lights([*(tips * 0.7)[::2], (0, 0.3), (-0.15, -0.6), (0.15, -0.6)])


def squid(pen: Pen, look: Look, dice: Dice) -> None:
    """Arrow head of two fins behind, slim mantle, a neck, a bunch of arms ahead and two long tentacles with clubs."""
    h, x1 = dice.span(0.23, 0.3) * look.slim, dice.span(0.75, 0.98)
    spread, root = dice.span(0.58, 0.74) if look.detail else dice.span(0.64, 0.8), dice.span(0.48, 0.64)
    tentacles(pen, look, dice, dice.span(0.5, 0.7) + 0.12 * look.trail)
    for y in (-0.5, -0.17, 0.17, 0.5) if look.detail else (-0.5, 0.5):
        line = wave(-0.4, y * h, TAU / 2 - y * dice.span(0.5, 1.3), dice.span(0.34, 0.5), 0.08, y * 9)
        pen.limb(line, 0.08, 0.04, tone=-0.3, solid=look.detail > 0, apart=look.detail > 0)
    barb = dice.span(0.05, 0.16)
    upper = [(x1 - root + barb, -spread), (x1 - root, -h * 0.5)]
    pen.blob([(x1, 0), *upper, *((x, -y) for x, y in reversed(upper))], SECOND)
    mantle = [(-0.2, -h * 0.85, h * 0.85), (0.0, -h, h), (0.4, -h * 0.85, h * 0.85), (x1 - 0.06, -0.05, 0.05)]
    pen.blob(profile(mantle), marked=True)
    pen.blob(ellipse(-0.36, 0, 0.2, h * 0.78), apart=True)
    sideways = look.facing in ("left", "right")
    for y in (-0.02,) if sideways else (-0.13, 0.13):
        pen.eye(-0.36, y, 0.09)
    pen.lights([(0.1, h * 0.3), (0.35, -h * 0.2), (0.6, 0.05), (-0.05, -0.1)])


def tentacles(pen: Pen, look: Look, dice: Dice, reach: float) -> None:
    """Two long thin arms that part and end in clubs."""
    part = dice.span(0.2, 0.45)
    for side in (-1, 1):
        line = wave(-0.4, side * 0.07, TAU / 2 - side * part, reach * dice.span(0.88, 1.05), 0.08, dice.span(0, TAU))
        pen.thread(line, SECOND)
        pen.limb(line[-3:], 0.08, 0.06, hue=SECOND, tone=0.6, solid=look.detail > 0)


def cuttlefish(pen: Pen, look: Look, dice: Dice) -> None:
    """A broad oval with a rippled frill all round, a blunt head and a bunch of short arms that droops."""
    h, frill = dice.span(0.3, 0.44) * look.slim, dice.span(0.15, 0.22)
    length, droop = dice.span(0.55, 0.7), dice.span(0.05, 0.6)
    angle = np.linspace(0, TAU, 28, endpoint=False)
    ripple = 1 + 0.07 * (look.detail > 0) * np.sin(angle * dice.count(7, 9) + dice.span(0, TAU))
    edge = np.stack([0.4 + (length + frill * 0.8) * ripple * np.cos(angle), 0.03 + (h + frill) * ripple * np.sin(angle)], -1)
    pen.blob(edge, SECOND, tone=0.8, flat=True)
    for y in (-0.55, 0.0, 0.55) if look.detail else (-0.5, 0.5):
        line = wave(-0.55, 0.06 + y * h * 0.8, TAU / 2 - droop - y * 0.9, dice.span(0.5, 0.65), 0.1, y * 4)
        pen.limb(line, 0.1, 0.045, tone=-0.3, apart=look.detail > 0, solid=look.detail > 0)
    if not look.detail:
        pen.limb([(-0.5, 0.04), (-0.95, 0.04 + 0.4 * droop)], 0.2, 0.12, tone=-0.2)
    pen.blob(ellipse(0.4, 0.0, length, h), marked=True)
    pen.blob(ellipse(-0.38, 0.02, 0.32, h * 0.78), apart=True)
    pen.eye(-0.46, -h * 0.15, 0.11)
    pen.lights([(0.1, h * 0.5), (0.4, h * 0.55), (0.7, h * 0.3), (-0.6, 0.1)])


def nautilus(pen: Pen, look: Look, dice: Dice) -> None:
    """A coiled shell, a hood and a beard of tentacles ahead."""
    r = dice.span(0.52, 0.62)
    squash = dice.span(0.85, 1.0)
    for i in range(4 + look.detail):
        way = TAU / 2 - 1.2 + 0.42 * i * 3 / (3 + look.detail)
        line = wave(-0.42, 0.36, way, dice.span(0.45, 0.65), 0.14, i * 2.0)
        pen.limb(line, 0.06 if look.detail else 0.0, 0.035, hue=SECOND, tone=-0.2, solid=look.detail > 0)
    pen.blob(closed([(-0.2, -0.1), (-0.6, 0.1), (-0.7, 0.4), (-0.4, 0.66), (0.05, 0.55)], per=3), SECOND, tone=0.3)
    pen.blob(ellipse(0.2, 0, r, r * squash), marked=True, apart=True)
    whorl = arc(0.2, 0.08, r * 0.42, r * 0.4, -0.2, TAU * 0.7, 10) + np.linspace((0, 0), (-0.08, -0.1), 10)
    pen.limb(whorl, 0.0, tone=-1.5, flat=True)
    pen.blob(closed([(-0.52, 0.02), (-0.2, -0.18), (0.0, 0.12), (-0.25, 0.22)], per=3), tone=-0.8, apart=True)
    pen.eye(-0.42, 0.32, 0.085)
    pen.lights([(0.5, -0.3), (0.2, -0.45), (0.6, 0.1), (0.3, 0.45)])


def bobtail(pen: Pen, look: Look, dice: Dice) -> None:
    """A ball of a squid with round ear fins, big eyes and stubby arms."""
    h, w = dice.span(0.42, 0.52), dice.span(0.46, 0.58)
    for i in range(4):
        y = -0.16 + 0.14 * i
        pen.limb(
            wave(-0.4, y + 0.08, TAU / 2 - y * 2, dice.span(0.42, 0.6), 0.15, i * 1.5),
            0.1,
            0.04,
            tone=-0.3 if i % 2 else 0.2,
            apart=True,
        )
    up = dice.span(-0.1, 0.15)
    pen.blob(ellipse(0.35, -h - up * 0.3, dice.span(0.22, 0.3), dice.span(0.16, 0.24), -0.3), SECOND)
    pen.blob(ellipse(0.35, h + up * 0.2, dice.span(0.22, 0.3), dice.span(0.16, 0.22), 0.3), SECOND)
    pen.blob(ellipse(0.3, 0, w, h), marked=True)
    pen.blob(ellipse(-0.25, 0.02, 0.3, h * 0.82), apart=True)
    pen.eye(-0.3, -0.08, 0.13)
    pen.lights([(0.2, h * 0.5), (0.45, h * 0.4), (0.6, 0), (0.1, -h * 0.4)])
