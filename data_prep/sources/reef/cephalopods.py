"""Cephalopods. Squid kin face left, mantle behind and arms ahead; octopuses sit upright and look at you."""

import numpy as np

from data_prep.sources.reef.dice import Dice
from data_prep.sources.reef.geometry import TAU, arc, closed, curve, ellipse, profile, wave
from data_prep.sources.reef.looks import Look
from data_prep.sources.reef.pen import DARK, SECOND, Pen


def arms(pen: Pen, dice: Dice, count: int, width: float, top: float, length: float, thick: float, spread: float, curl: float) -> None:
    """Arms in a fan below (x from −width to width), the outer ones curling outwards."""
    for i in sorted(range(count), key=lambda i: -abs(2 * i - count + 1)):
        x = 2 * i / (count - 1) - 1
        way = TAU / 4 - x * spread
        reach = length * dice.span(0.85, 1.1)
        bend = curl * np.sign(x) * (0.4 + abs(x)) * dice.span(0.7, 1.3)
        t = np.linspace(0, 1, 8)
        angle = way - bend * t * t * 2
        steps = np.stack([np.cos(angle), np.sin(angle)], -1) * reach / 8
        line = np.concatenate([[(x * width, top)], (x * width, top) + steps.cumsum(0)])
        pen.limb(line, thick, thick * 0.4, tone=-0.4 if i % 2 else 0.0, apart=True, axis="y")


def octopus(pen: Pen, look: Look, dice: Dice) -> None:
    """A round bulb of a head, two eyes, curling arms with suckers' colour below."""
    w, h = dice.span(0.42, 0.54), dice.span(0.45, 0.6)
    count = (5 if look.detail == 0 else 6) + (look.detail > 1 and dice.chance(0.6))
    arms(pen, dice, count, w * 0.8, 0.1, dice.span(0.6, 0.85), 0.13, dice.span(0.6, 1.1), dice.span(0.2, 0.8))
    pen.blob(ellipse(0, 0.12, w * 0.95, 0.24), SECOND, tone=-0.3)
    lean = dice.span(-0.12, 0.12)
    head = [(-w * 0.8, 0.2), (-w * 0.95, -0.1), (-w + lean, -h), (lean, -h * 1.45), (w + lean, -h), (w * 0.95, -0.1), (w * 0.8, 0.2), (0, 0.26)]
    pen.blob(closed(head, per=3), marked=True, axis="y")
    for side in (-1, 1):
        pen.eye(side * w * 0.5, -0.02, 0.1)
    pen.lights([(-0.25 + lean, -h * 0.9), (0.2 + lean, -h * 1.0), (-0.5, 0.4), (0.5, 0.4), (0, 0.5)])


def dumbo(pen: Pen, look: Look, dice: Dice) -> None:
    """A bell of webbed arms under a head with two ears."""
    w, ear = dice.span(0.42, 0.52), dice.span(0.32, 0.48)
    rise = dice.span(-0.35, 0.15)
    for side in (-1, 1):
        lobe = [(side * w * 0.7, -0.55), (side * (w + ear * 0.7), -0.62 + rise), (side * (w + ear), -0.4 + rise * 0.6), (side * w * 0.8, -0.25)]
        pen.blob(closed(lobe, per=3), SECOND, tone=0.2)
    hem, tips = dice.span(0.5, 0.72), 3 + look.detail
    x = np.linspace(hem, -hem, 2 * tips + 1)
    low = dice.span(0.62, 0.85)
    skirt = np.stack([x, np.where(np.arange(len(x)) % 2, low - dice.span(0.16, 0.28), low)], -1)
    pen.blob(np.concatenate([[(-w * 0.8, 0), (w * 0.8, 0)], skirt]), tone=-0.5, axis="y", marked=look.pattern == "stripes")
    h = dice.span(0.8, 0.95)
    head = [(-w * 0.9, 0.2), (-w, -0.3), (0, -h), (w, -0.3), (w * 0.9, 0.2), (0, 0.3)]
    pen.blob(closed(head, per=4), marked=True, axis="y")
    for side in (-1, 1):
        pen.eye(side * w * 0.52, -0.05, 0.09)
    pen.lights([(-hem * 0.7, low * 0.6), (0, low * 0.6), (hem * 0.7, low * 0.6)])


def vampire_squid(pen: Pen, look: Look, dice: Dice) -> None:
    """A cloak: web between the arms with a spiked hem, fins on the mantle, huge eyes."""
    w, flare = dice.span(0.38, 0.48), dice.span(0.65, 0.9)
    tips = 3 + (look.detail > 0)
    low = dice.span(0.75, 0.95)
    x = np.linspace(flare, -flare, 2 * tips + 1)
    hem = np.stack([x, np.where(np.arange(len(x)) % 2, low - dice.span(0.3, 0.42), low) - 0.2 * np.abs(x)], -1)
    pen.blob(np.concatenate([[(-w, -0.2), (w, -0.2)], hem]), SECOND, tone=-0.6, axis="y")
    for x, y in hem[::2]:
        pen.limb([(x * 0.35, -0.1), (x * 0.8, low * 0.4), (x, y + 0.05)], 0.09, 0.04, tone=-0.2, axis="y")
    for side in (-1, 1):
        fin = [(side * w * 0.6, -0.75), (side * (w + dice.span(0.2, 0.32)), -0.85), (side * w * 0.95, -0.5)]
        pen.blob(closed(fin, per=3), SECOND, tone=0.3)
    top = dice.span(0.85, 1.05)
    pen.blob(closed([(-w, 0.05), (-w * 0.95, -0.45), (0, -top), (w * 0.95, -0.45), (w, 0.05), (0, 0.2)], per=4), marked=True, axis="y")
    for side in (-1, 1):
        pen.eye(side * w * 0.55, -0.12, 0.11)
    pen.lights([(-flare * 0.6, low * 0.3), (flare * 0.6, low * 0.3), (0, low * 0.4), (-0.15, -0.6), (0.15, -0.6)])


def squid(pen: Pen, look: Look, dice: Dice) -> None:
    """Arrow head of two fins, slim mantle, eyes, a bunch of arms ahead and two long tentacles."""
    h, x1 = dice.span(0.17, 0.23) * look.slim, dice.span(0.75, 0.9)
    fin, reach = dice.span(0.32, 0.46), dice.span(0.45, 0.65)
    swing = dice.span(-0.15, 0.15)
    for i, y in enumerate((-0.1, -0.035, 0.035, 0.1) if look.detail else (-0.09, 0.09)):
        pen.limb(wave(-0.35, y, TAU / 2 - y * 2.5, reach * dice.span(0.85, 1), 0.1, swing * 20 + i), 0.07, 0.03, tone=-0.3)
    far = reach + dice.span(0.15, 0.3) * look.trail
    for side in (-1, 1):
        line = wave(-0.35, side * 0.05, TAU / 2 - side * 0.25, far, 0.12, dice.span(0, TAU))
        pen.thread(line, SECOND)
        pen.limb([line[-2], line[-1]], 0.055, 0.05, hue=SECOND)
    pen.blob(closed([(x1, 0), (x1 - 0.25, -fin), (x1 - 0.55, -h * 0.6), (x1 - 0.55, h * 0.6), (x1 - 0.25, fin)], per=2), SECOND)
    mantle = [(-0.15, -h * 0.9, h * 0.9), (0.1, -h * 1.05, h * 1.05), (0.4, -h * 0.8, h * 0.8), (x1 + 0.05, -0.03, 0.03)]
    pen.blob(profile([(-0.2, -h * 0.6, h * 0.6), *mantle]), marked=True)
    pen.blob(ellipse(-0.28, 0, 0.17, h * 0.85), apart=True)
    pen.eye(-0.27, -0.01 if look.facing in ("left", "right") else -0.1, 0.075)
    pen.lights([(0.1, h * 0.3), (0.35, -h * 0.2), (0.6, 0.05), (-0.3, 0.1)])


def cuttlefish(pen: Pen, look: Look, dice: Dice) -> None:
    """A broad oval with a frill all round, a blunt head and a bunch of short arms."""
    h, frill = dice.span(0.32, 0.42) * look.slim, dice.span(0.1, 0.16)
    droop = dice.span(0.0, 0.3)
    for i in range(3 + look.detail):
        y = -0.1 + 0.28 * i / (2 + look.detail)
        pen.limb(wave(-0.55, y, TAU / 2 - y * 1.4 - droop, dice.span(0.38, 0.52), 0.12, i), 0.085, 0.035, tone=-0.3, apart=True)
    pen.blob(ellipse(0.3, 0.06, 0.68, h + frill), SECOND, tone=0.3)
    shape = [(-0.35, -h * 0.7, h * 0.7), (0.0, -h, h), (0.45, -h * 0.85, h * 0.85), (0.85, -h * 0.3, h * 0.4)]
    pen.blob(profile(shape), marked=True)
    pen.blob(ellipse(-0.45, 0.0, 0.27, h * 0.78), apart=True)
    pen.eye(-0.5, -h * 0.25, 0.1)
    pen.mark(-0.42, -h * 0.1, DARK, 0) if look.detail else None
    pen.lights([(0.0, h * 0.5), (0.3, h * 0.55), (0.6, h * 0.3), (-0.6, 0.1)])


def nautilus(pen: Pen, look: Look, dice: Dice) -> None:
    """A coiled shell with bands, a hood and a beard of short tentacles ahead."""
    r = dice.span(0.58, 0.68)
    squash = dice.span(0.88, 1.0)
    for i in range(4 + look.detail):
        way = TAU / 2 - 0.75 + 0.38 * i * 3 / (3 + look.detail)
        pen.limb(wave(-0.3, 0.3, way, dice.span(0.45, 0.62), 0.1, i * 2.0), 0.06, 0.035, hue=SECOND, tone=-0.2)
    pen.blob(closed([(-0.25, -0.05), (-0.6, 0.12), (-0.66, 0.42), (-0.35, 0.66), (0.0, 0.55)], per=3), SECOND, tone=0.3)
    pen.blob(ellipse(0.2, 0, r, r * squash), marked=True, apart=True)
    whorl = arc(0.2, 0.1, r * 0.42, r * 0.4, -0.2, TAU * 0.72, 10) + np.linspace((0, 0), (-0.05, -0.08), 10)
    pen.limb(whorl, 0.0, tone=-1.8, solid=True, flat=True)
    pen.mark(0.22, 0.05, DARK, 0)
    pen.blob(closed([(-0.5, 0.0), (-0.2, -0.18), (0.0, 0.1), (-0.25, 0.2)], per=3), tone=-0.8, apart=True)
    pen.eye(-0.4, 0.3, 0.085)
    pen.lights([(0.5, -0.3), (0.2, -0.45), (0.6, 0.1), (0.3, 0.45)])


def bobtail(pen: Pen, look: Look, dice: Dice) -> None:
    """A ball of a squid with round ear fins, big eyes and stubby arms."""
    h, w = dice.span(0.42, 0.52), dice.span(0.46, 0.58)
    for i in range(4):
        y = -0.16 + 0.14 * i
        pen.limb(wave(-0.4, y + 0.08, TAU / 2 - y * 2, dice.span(0.42, 0.6), 0.15, i * 1.5), 0.1, 0.04, tone=-0.3 if i % 2 else 0.2, apart=True)
    up = dice.span(-0.1, 0.15)
    pen.blob(ellipse(0.35, -h - up * 0.3, dice.span(0.22, 0.3), dice.span(0.16, 0.24), -0.3), SECOND)
    pen.blob(ellipse(0.35, h + up * 0.2, dice.span(0.22, 0.3), dice.span(0.16, 0.22), 0.3), SECOND)
    pen.blob(ellipse(0.3, 0, w, h), marked=True)
    pen.blob(ellipse(-0.25, 0.02, 0.3, h * 0.82), apart=True)
    pen.eye(-0.3, -0.08, 0.13)
    pen.lights([(0.2, h * 0.5), (0.45, h * 0.4), (0.6, 0), (0.1, -h * 0.4)])


def argonaut(pen: Pen, look: Look, dice: Dice) -> None:
    """An octopus that rides in a thin ribbed boat of a shell."""
    r = dice.span(0.5, 0.6)
    arms_at = [(-0.15, -0.15), (-0.3, 0.0), (-0.2, 0.2)]
    for i, (x, y) in enumerate(arms_at):
        pen.limb(wave(x, y, TAU / 2 + 0.6 - 0.55 * i, dice.span(0.55, 0.8), 0.3, 1.0 + i, 0.9), 0.1, 0.035, hue=SECOND)
    pen.blob(ellipse(-0.25, -0.12, dice.span(0.3, 0.36), 0.32), SECOND, tone=0.2)
    boat = [(-0.3, -0.1), (0.15, -r), (0.65, -r * 0.75), (0.8, -0.05), (0.55, r * 0.8), (0.1, r), (-0.25, 0.5)]
    pen.blob(closed(boat, per=3), marked=True, apart=True, axis="y")
    ribs = 2 + look.detail
    for i in range(ribs):
        way = -0.9 + 1.9 * i / (ribs - 1)
        pen.thread(curve([(0.0, 0.1), (0.35 + 0.1 * np.cos(way), 0.3 * np.sin(way)), (0.2 + 0.55 * np.cos(way), 0.52 * np.sin(way))], 3), tone=-1.6)
    pen.eye(-0.36, -0.16, 0.09)
    pen.lights([(0.3, -0.3), (0.55, 0.0), (0.3, 0.35), (-0.5, 0.2)])
