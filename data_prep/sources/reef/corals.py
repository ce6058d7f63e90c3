"""Corals and their kin. All stand upright on a foot and face you."""

import numpy as np

from data_prep.sources.reef.dice import Dice
from data_prep.sources.reef.geometry import TAU, closed, curve, ellipse, wave
from data_prep.sources.reef.looks import Look
from data_prep.sources.reef.pen import SECOND, Pen


def foot(pen: Pen, dice: Dice, y: float, width: float) -> None:
    """The lump of reef that it grows on."""
    pen.blob(
        closed([(-width, y + 0.12), (-width * 0.6, y - 0.06), (width * 0.5, y - 0.08), (width, y + 0.12), (0, y + 0.18)], per=3),
        tone=-1.2,
    )


def staghorn(pen: Pen, look: Look, dice: Dice) -> None:
    """Antlers: stems that fork once or twice, tips in the second colour."""
    stems, lean = 3, dice.span(-0.2, 0.2)
    thick = dice.span(0.09, 0.12)
    tips = []
    for i in range(stems):
        way = (i - (stems - 1) / 2) * dice.span(0.5, 0.75) + lean
        rise = dice.span(0.75, 1.0)
        joint = np.array([0.12 * (i - 1) + np.sin(way) * rise * 0.75, 0.6 - np.cos(way) * rise * 0.75])
        pen.limb(
            curve([(0.08 * (i - 1), 0.85), (0.12 * (i - 1), 0.5), joint], 3),
            thick * 1.15,
            thick,
            marked=True,
            axis="y",
            apart=True,
        )
        for side in (-1, 1) if i != 1 or look.detail else (dice.pick([-1, 1]),):
            fork, reach = way + side * dice.span(0.35, 0.7), dice.span(0.4, 0.65)
            tip = joint + np.array([np.sin(fork), -np.cos(fork)]) * reach
            pen.limb([joint, tip], thick, thick * 0.7, marked=look.pattern == "bands", axis="y")
            tips.append(tip)
    for tip in tips:
        pen.blob(ellipse(*tip, thick * 0.8, thick * 0.8), SECOND, tone=0.8)
    foot(pen, dice, 0.85, dice.span(0.3, 0.45))
    pen.lights(tips)


def brain_coral(pen: Pen, look: Look, dice: Dice) -> None:
    """A boulder with winding grooves."""
    w, h = dice.span(0.75, 1.0), dice.span(0.7, 1.25)
    lump = dice.span(-0.2, 0.2)
    dome = [
        (-w, 0.4),
        (-w * 0.92, -h * 0.2),
        (-w * 0.4, -h * 0.62 + lump),
        (w * 0.3, -h * 0.64 - lump),
        (w * 0.9, -h * 0.15),
        (w, 0.4),
        (0, 0.52),
    ]
    dome = [(x * dice.span(0.92, 1.08), y + dice.span(-0.1, 0.1) * (y < 0.3)) for x, y in dome]
    pen.blob(closed(dome, per=4), marked=True)
    plain = look.pattern == "plain"
    rows = (2 + look.detail) if plain else 1 + look.detail // 2
    bend, turn, drift = dice.span(5, 7.5), dice.span(0, TAU), dice.span(-0.35, 0.35)
    for i in range(rows):
        y = -h * 0.3 + (h * 0.3 + 0.3) * (i + 0.5) / rows
        half = w * dice.span(0.6, 0.78) * (0.7 + 0.3 * (i + 1) / rows)
        x = np.linspace(-half, half, 11)
        groove = np.stack([x, y + (0.17 if rows < 4 else 0.11) * np.sin(x * bend + turn + i * drift) + 0.18 * x * x], -1)
        pen.limb(curve(groove, 2), 0.0, hue=SECOND if plain else 0, tone=-0.6 if plain else -1.4, flat=True)
    pen.lights([(-w * 0.5, 0), (0, -h * 0.35), (w * 0.5, 0.1), (0.1, 0.2)])


def table_coral(pen: Pen, look: Look, dice: Dice) -> None:
    """Flat plates on a short stem, one above another."""
    plates = dice.count(1, 2) + (look.detail > 0)
    thick = dice.span(0.1, 0.15)
    sway = dice.span(-0.15, 0.15)
    top = -0.28 - 0.12 * plates
    pen.limb(
        curve([(0, 0.7), (sway * 0.5, 0.2), (sway, top)], 3), [*np.linspace(0.17, 0.1, 4), *np.linspace(0.1, 0.18, 3)], tone=-0.8
    )
    for i in reversed(range(plates)):
        y = top + i * (0.78 / plates)
        w = dice.span(0.75, 1.0) * (1 - 0.22 * i)
        x = sway + dice.span(-0.12, 0.12) + 0.12 * (i % 2) * np.sign(sway)
        pen.blob(
            closed(
                [
                    (x - w, y - 0.08),
                    (x - w * 0.4, y - thick),
                    (x + w * 0.5, y - thick),
                    (x + w, y - 0.05),
                    (x + w * 0.45, y + thick),
                    (x - w * 0.5, y + thick),
                ],
                per=3,
            ),
            marked=True,
            apart=True,
        )
        if look.pattern == "plain":
            pen.limb([(x - w * 0.7, y - thick * 0.3), (x + w * 0.7, y - thick * 0.3)], 0.0, hue=SECOND, tone=0.5, flat=True)
        pen.lights([(x - w * 0.6, y), (x, y), (x + w * 0.6, y)])
    foot(pen, dice, 0.68, dice.span(0.35, 0.5))


def sea_fan(pen: Pen, look: Look, dice: Dice) -> None:
    """A flat lattice: ribs that spread from a stem, joined by cross threads, holes between."""
    spread, h = dice.span(0.8, 1.1), dice.span(0.95, 1.1)
    ribs = 5 + 2 * look.detail
    lean = dice.span(-0.2, 0.2)
    ways = np.linspace(-spread, spread, ribs) + lean
    reach = h * (1 - 0.22 * (ways - lean) ** 2) * np.array([dice.span(0.85, 1.05) for _ in ways]) * 1.4
    ends = np.stack([np.sin(ways) * reach, 0.7 - np.cos(ways) * reach], -1)
    for level in (0.45, 0.68, 0.88) if look.detail else (0.55, 0.85):
        ring = np.stack([np.sin(ways) * reach * level, 0.7 - np.cos(ways) * reach * level], -1)
        pen.limb(ring, 0.0, hue=SECOND, solid=False, tone=0.2)
    for end in ends:
        middle = (end + np.array([0, 0.7])) / 2 + np.array([0.06 * np.sign(end[0]), 0.04])
        pen.limb(curve([(0, 0.7), middle, end], 3), 0.07, 0.045, marked=look.pattern in ("bands", "spots"), solid=True, axis="y")
    pen.limb([(0, 1.0), (0, 0.6)], 0.11, 0.09, tone=-0.5)
    foot(pen, dice, 0.95, dice.span(0.25, 0.4))
    pen.lights(ends[::2])


def tube_sponge(pen: Pen, look: Look, dice: Dice) -> None:
    """A cluster of wide open pipes of different heights."""
    count = dice.count(3, 4) if look.detail > 1 else 3
    tallest, slope = dice.pick([0, count - 1]), dice.span(0.1, 0.35)
    for i in sorted(range(count), key=lambda i: -abs(i - tallest)):
        x = (i - (count - 1) / 2) * (1.55 / count)
        top = -0.8 + slope * abs(i - tallest) + dice.span(-0.15, 0.3)
        r = dice.span(0.22, 0.28) * (3 / count) ** 0.5
        tip = x * dice.span(1.1, 1.45)
        pen.blob(
            [(x * 0.6 - r * 0.75, 0.8), (tip - r, top), (tip + r, top), (x * 0.6 + r * 0.75, 0.8)],
            marked=True,
            axis="y",
            apart=True,
        )
        pen.blob(ellipse(tip, top, r * 1.1, 0.15), SECOND, tone=0.6, flat=True)
        pen.blob(ellipse(tip, top + 0.01, r * 0.65, 0.075), SECOND, tone=-3, flat=True)
        pen.lights([(tip, top)])
    foot(pen, dice, 0.8, dice.span(0.5, 0.65))


def mushroom_coral(pen: Pen, look: Look, dice: Dice) -> None:
    """Round caps on stalks, with gills below the rim."""
    caps = dice.count(1, 3)
    places = {
        1: [(0, -0.3, 0.85)],
        2: [(0.42, -0.5, 0.55), (-0.4, 0.0, 0.52)],
        3: [(0.05, -0.6, 0.5), (0.58, -0.1, 0.42), (-0.52, 0.02, 0.48)],
    }[caps]
    for x, y, r in places:
        x, y, r = x + dice.span(-0.08, 0.08), y + dice.span(-0.1, 0.1), r * dice.span(0.9, 1.1)
        pen.limb(curve([(x * 0.35, 0.85), (x * 0.8, 0.4), (x, y)], 3), 0.14, 0.12, hue=SECOND, tone=0.2)
        pen.blob(ellipse(x, y + r * 0.12, r * 0.8, r * 0.3), SECOND, tone=-1, apart=True)
        h = dice.span(0.6, 0.95)
        cap = [
            (x - r, y + 0.1),
            (x - r * 0.75, y - r * h * 0.6),
            (x, y - r * h),
            (x + r * 0.75, y - r * h * 0.6),
            (x + r, y + 0.1),
            (x, y + 0.16),
        ]
        pen.blob(closed(cap, per=3), marked=True, apart=True)
        pen.lights([(x - r * 0.4, y - 0.1), (x + r * 0.3, y - r * 0.4), (x, y - 0.05)])
    foot(pen, dice, 0.85, dice.span(0.35, 0.5))


def anemone(pen: Pen, look: Look, dice: Dice) -> None:
    """A stout column crowned with waving tentacles."""
    w, top = dice.span(0.4, 0.52), dice.span(0.0, 0.25)
    count = 6 + 2 * look.detail
    swing = dice.span(-0.3, 0.3)
    for i in sorted(range(count), key=lambda i: -abs(2 * i - count + 1)):
        x = 2 * i / (count - 1) - 1
        line = wave(
            x * w * 0.9, top, -TAU / 4 + x * dice.span(0.7, 0.95), dice.span(0.6, 0.85) * look.trail**0.5, swing, i * 1.9, 0.8, 8
        )
        pen.limb(line, 0.075, 0.06, hue=SECOND if i % 2 else 0, tone=0.2, axis="y", apart=True)
        pen.mark(*line[-1], SECOND if i % 2 else 0, min(6, look.base + 2))
        pen.lights([line[-1]])
    column = [
        (-w, top - 0.05),
        (0, top - 0.12),
        (w, top - 0.05),
        (w * 0.85, 0.5),
        (w * 1.15, 0.9),
        (0, 0.98),
        (-w * 1.15, 0.9),
        (-w * 0.85, 0.5),
    ]
    pen.blob(closed(column, per=3), marked=True, axis="y", apart=True)
    pen.limb([(-w * 0.8, top), (0, top - 0.04), (w * 0.8, top)], 0.05, hue=SECOND, tone=0.4, flat=True)


def pillar_coral(pen: Pen, look: Look, dice: Dice) -> None:
    """Knobbly fingers, thick and blunt, from one base."""
    count = dice.count(4, 5) if look.detail else dice.count(3, 4)
    tallest, slope = dice.pick([0, count - 1]), dice.span(0.15, 0.3)
    for i in sorted(range(count), key=lambda i: -abs(i - tallest)):
        x = (i - (count - 1) / 2) * (1.5 / count)
        top = -0.85 + slope * abs(i - tallest) + dice.span(-0.12, 0.35)
        r = dice.span(0.17, 0.22) * (3 / count) ** 0.5
        line = curve([(x * 0.6, 0.8), (x * 0.95 + dice.span(-0.06, 0.06), (0.8 + top) / 2), (x * 1.2, top)], 4)
        knobs = r * (1 + 0.22 * np.sin(np.arange(len(line)) * dice.span(1.5, 2.2) + i))
        pen.limb(line, knobs, marked=True, axis="y", apart=True)
        pen.blob(ellipse(x * 1.2, top - r * 0.3, r * 0.75, r * 0.6), SECOND, tone=0.8)
        pen.lights([(x * 1.2, top)])
    foot(pen, dice, 0.82, dice.span(0.5, 0.65))


def whip_coral(pen: Pen, look: Look, dice: Dice) -> None:
    """Long bare whips that sway together, with polyps along them."""
    count, swing = dice.count(2, 3) + (look.detail > 1), dice.span(0.14, 0.3) * dice.pick([-1, 1])
    for i in range(count):
        x = (i - (count - 1) / 2) * (1.3 / count)
        reach = dice.span(1.2, 1.8)
        line = wave(x * 0.5, 0.9, -TAU / 4 + x * dice.span(0.6, 1.1), reach, swing, i * 0.7, dice.span(0.8, 1.2), 12)
        pen.limb(line, 0.07, 0.055, marked=look.pattern == "bands", axis="y", apart=True)
        for k in range(3, 12, 4 - look.detail) if look.pattern == "spots" else (11,):
            side = 0.09 * (1 if k % 2 else -1)
            pen.limb([line[k], line[k] + (side, -0.03)], 0.06, hue=SECOND, tone=0.8)
        pen.lights(line[4::3])
    foot(pen, dice, 0.88, dice.span(0.35, 0.5))
