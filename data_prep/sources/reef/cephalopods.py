"""Cephalopods. Squid kin face left, mantle behind and arms ahead; octopuses sit upright and look at you."""

import numpy as np

from data_prep.sources.reef.dice import Dice
from data_prep.sources.reef.geometry import TAU, arc, closed, ellipse, profile, wave
from data_prep.sources.reef.looks import Look
from data_prep.sources.reef.pen import MAIN, SECOND, Pen


def arms(pen: Pen, dice: Dice, count: int, width: float, length: float, hues: tuple[int, int]) -> None:
    """Arms in a fan below the head (x from −width to width), the outer ones curling outwards; hues in turn."""
    spread, curl = dice.span(0.5, 1.2), dice.span(0.1, 0.9)
    t = np.linspace(0, 1, 8)
    for i in sorted(range(count), key=lambda i: -abs(2 * i - count + 1)):
        x = 2 * i / (count - 1) - 1
        bend = curl * np.sign(x) * (0.4 + abs(x)) * dice.span(0.7, 1.3)
        angle = TAU / 4 - x * spread - bend * t * t * 2
        steps = np.stack([np.cos(angle), np.sin(angle)], -1) * length * dice.span(0.85, 1.1) / 8
        line = np.concatenate([[(0, 0)], steps.cumsum(0)]) + np.array([x * width, 0.1])
        pen.limb(line, 0.13, 0.05, hue=hues[i % 2], tone=-0.3 * (i % 2), apart=True, axis="y")


def octopus(pen: Pen, look: Look, dice: Dice) -> None:
    """A round bulb of a head, two eyes, curling arms; a plain one has every second arm in the second colour."""
    w, h = dice.span(0.4, 0.56), dice.span(0.42, 0.64)
    count = (5 if look.detail == 0 else 6) + (look.detail > 1 and dice.chance(0.6))
    plain = look.pattern == "plain"
    arms(pen, dice, count, w * 0.8, dice.span(0.5, 0.9), (MAIN, SECOND if plain else MAIN))
    pen.blob(ellipse(0, 0.12, w * 0.95, 0.24), SECOND, tone=-0.3)
    lean = dice.span(-0.12, 0.12)
    head = [
        (-w * 0.8, 0.2),
        (-w * 0.95, -0.1),
        (-w + lean, -h),
        (lean, -h * 1.45),
        (w + lean, -h),
        (w * 0.95, -0.1),
        (w * 0.8, 0.2),
        (0, 0.26),
    ]
    pen.blob(closed(head, per=3), marked=True, axis="y")
    for side in (-1, 1):
        pen.eye(side * w * 0.5, -0.02, 0.1)
    pen.lights([(-0.25 + lean, -h * 0.9), (0.2 + lean, -h * 1.0), (-0.5, 0.4), (0.5, 0.4), (0, 0.5)])


def dumbo(pen: Pen, look: Look, dice: Dice) -> None:
    """A bell of webbed arms under a head with two ears."""
    w, ear = dice.span(0.42, 0.52), dice.span(0.32, 0.48)
    rise = dice.span(-0.35, 0.15)
    for side in (-1, 1):
        lobe = [
            (side * w * 0.7, -0.55),
            (side * (w + ear * 0.7), -0.62 + rise),
            (side * (w + ear), -0.4 + rise * 0.6),
            (side * w * 0.8, -0.25),
        ]
        pen.blob(closed(lobe, per=3), SECOND, tone=0.2)
    hem, tips = dice.span(0.62, 0.85), 3 + look.detail
    x = np.linspace(hem, -hem, 2 * tips + 1)
    low = dice.span(0.62, 0.85)
    skirt = np.stack([x, np.where(np.arange(len(x)) % 2, low - dice.span(0.16, 0.28), low)], -1)
    pen.blob(np.concatenate([[(-w * 0.8, 0), (w * 0.8, 0)], skirt]), tone=-0.5, axis="y", marked=look.pattern == "stripes")
    h = dice.span(0.8, 0.95)
    head = [(-w * 0.9, 0.1), (-w * 0.95, -0.45), (0, -h), (w * 0.95, -0.45), (w * 0.9, 0.1), (0, 0.26)]
    pen.blob(closed(head, per=4), marked=True, axis="y", apart=True)
    for side in (-1, 1):
        pen.eye(side * w * 0.52, -0.05, 0.09)
    pen.lights([(-hem * 0.7, low * 0.6), (0, low * 0.6), (hem * 0.7, low * 0.6)])


def vampire_squid(pen: Pen, look: Look, dice: Dice) -> None:
    """A cloak: web between the arms with a spiked hem, fins on the mantle, huge eyes."""
    w, flare = dice.span(0.34, 0.48), dice.span(0.5, 0.95)
    tips = 3 + (look.detail > 0)
    low = dice.span(0.55, 1.05)
    x = np.linspace(flare, -flare, 2 * tips + 1)
    hem = np.stack([x, np.where(np.arange(len(x)) % 2, low - dice.span(0.3, 0.42), low) - 0.2 * np.abs(x)], -1)
    pen.blob(np.concatenate([[(-w, -0.2), (w, -0.2)], hem]), SECOND, tone=-0.6, axis="y")
    for x, y in hem[::2]:
        pen.limb([(x * 0.35, -0.1), (x * 0.8, low * 0.4), (x, y + 0.05)], 0.09, 0.04, tone=-0.2, axis="y")
    for side in (-1, 1):
        fin = [(side * w * 0.6, -0.75), (side * (w + dice.span(0.2, 0.32)), -0.85), (side * w * 0.95, -0.5)]
        pen.blob(closed(fin, per=3), SECOND, tone=0.3)
    top = dice.span(0.75, 1.15)
    pen.blob(
        closed([(-w, 0.05), (-w * 0.95, -0.45), (0, -top), (w * 0.95, -0.45), (w, 0.05), (0, 0.2)], per=4), marked=True, axis="y"
    )
    for side in (-1, 1):
        pen.eye(side * w * 0.55, -0.12, 0.11)
    pen.lights([(-flare * 0.6, low * 0.3), (flare * 0.6, low * 0.3), (0, low * 0.4), (-0.15, -0.6), (0.15, -0.6)])


def squid(pen: Pen, look: Look, dice: Dice) -> None:
    """Arrow head of two fins, slim mantle, eyes, a bunch of arms ahead and two long tentacles."""
    h, x1 = dice.span(0.29, 0.36) * look.slim, dice.span(0.75, 0.9)
    fin, reach = dice.span(0.52, 0.68), dice.span(0.38, 0.52) if look.detail else dice.span(0.5, 0.66)
    swing = dice.span(-0.15, 0.15)
    ways = (-0.2, -0.07, 0.07, 0.2) if look.detail else (-0.17, 0.0, 0.17)
    for i, y in enumerate(ways):
        line = wave(-0.35, y * 0.8, TAU / 2 - y * 2.4, reach * dice.span(0.8, 1), 0.1, swing * 20 + i)
        pen.limb(line, 0.07 if look.detail else 0.0, 0.03, tone=-0.3, solid=look.detail > 0)
    far = reach + dice.span(0.15, 0.3) * look.trail
    for side in (-1, 1):
        line = wave(-0.35, side * 0.05, TAU / 2 - side * 0.4, far, 0.12, dice.span(0, TAU))
        pen.thread(line, SECOND)
        pen.limb([line[-2], line[-1]], 0.055, 0.05, hue=SECOND, solid=look.detail > 0)
    back = dice.span(0.45, 0.6)
    pen.blob([(x1, 0), (x1 - 0.32, -fin), (x1 - back, -h * 0.6), (x1 - back, h * 0.6), (x1 - 0.32, fin)], SECOND)
    mantle = [(-0.2, -h * 0.7, h * 0.7), (0.0, -h, h), (0.4, -h * 0.8, h * 0.8), (x1 + 0.04, -0.04, 0.04)]
    pen.blob(profile(mantle), marked=True)
    pen.blob(ellipse(-0.3, 0, 0.2, h * 0.9), apart=True)
    pen.eye(-0.32, -0.02 if look.facing in ("left", "right") else -0.12, 0.08)
    if look.facing not in ("left", "right"):
        pen.eye(-0.32, 0.12, 0.08)
    pen.lights([(0.1, h * 0.3), (0.35, -h * 0.2), (0.6, 0.05), (-0.05, -0.1)])


def cuttlefish(pen: Pen, look: Look, dice: Dice) -> None:
    """A broad oval with a frill all round, a blunt head and a bunch of short arms."""
    h, frill = dice.span(0.32, 0.5) * look.slim, dice.span(0.08, 0.18)
    droop = dice.span(-0.5, 0.6)
    for i in range(3 + look.detail):
        y = -0.12 + 0.34 * i / (2 + look.detail)
        line = wave(-0.6, y, TAU / 2 - y * 2.0 - droop, dice.span(0.42, 0.58), 0.12, i)
        pen.limb(line, 0.085, 0.035, tone=-0.3, apart=True, solid=look.detail > 0)
    pen.blob(ellipse(0.35, 0.05, dice.span(0.58, 0.66), h + frill), SECOND, tone=0.3)
    shape = [(-0.35, -h * 0.7, h * 0.7), (0.0, -h, h), (0.45, -h * 0.85, h * 0.85), (0.85, -h * 0.3, h * 0.4)]
    pen.blob(profile(shape), marked=True)
    pen.blob(ellipse(-0.45, 0.02, 0.3, h * 0.75), apart=True)
    pen.eye(-0.5, -h * 0.25, 0.1)
    pen.lights([(0.0, h * 0.5), (0.3, h * 0.55), (0.6, h * 0.3), (-0.6, 0.1)])


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
