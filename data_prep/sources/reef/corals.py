"""Corals and their kin. All stand upright on a foot and face you."""

import numpy as np

from data_prep.sources.reef.dice import Dice
from data_prep.sources.reef.geometry import TAU, closed, curve, ellipse, wave
from data_prep.sources.reef.looks import Look
from data_prep.sources.reef.pen import SECOND, Pen

STANDING = ("upright", "swaying")


def foot(pen: Pen, y: float, width: float) -> None:
    """The lump of reef that it grows on."""
    pen.blob(
        closed([(-width, y + 0.12), (-width * 0.6, y - 0.06), (width * 0.5, y - 0.08), (width, y + 0.12), (0, y + 0.18)], per=3),
        tone=-1.2,
    )


def sway(pen: Pen, look: Look, dice: Dice, base: float = 0.85, strength: float = 1.0) -> None:
    """Bend all that is drawn, the more the higher it stands above `base`, to one side, where the pose asks for it."""
    if look.pose != "swaying":
        return
    push = strength * dice.span(0.4, 0.52) * dice.pick([-1, 1])

    def bent(points: np.ndarray) -> np.ndarray:
        up = np.maximum(base - points[..., 1], 0)
        return np.stack([points[..., 0] + push * up**1.5, points[..., 1] + 0.06 * up**2], -1)

    pen.move(bent)


def lean_of(look: Look, dice: Dice) -> float:
    """A slight tilt of one's own, radians; hardly any where the pose is the point."""
    return dice.span(-0.2, 0.2) * (0.3 if look.pose in STANDING else 1)


def staghorn(pen: Pen, look: Look, dice: Dice) -> None:
    """Antlers: stems that fork once or twice, tips in the second colour."""
    stems, lean = 3, lean_of(look, dice)
    thick = dice.span(0.085, 0.115)
    tips = []
    for i in range(stems):
        way = (i - (stems - 1) / 2) * dice.span(0.55, 0.8) + lean
        rise = dice.span(0.75, 1.05)
        joint = np.array([0.12 * (i - 1) + np.sin(way) * rise * 0.75, 0.6 - np.cos(way) * rise * 0.75])
        stem = curve([(0.08 * (i - 1), 0.85), (0.12 * (i - 1), 0.5), joint], 3)
        pen.limb(stem, thick * 1.15, thick, marked=True, axis="y", apart=True)
        for side in (-1, 1) if i != 1 or look.detail else (dice.pick([-1, 1]),):
            fork, reach = way + side * dice.span(0.35, 0.7), dice.span(0.4, 0.65)
            tip = joint + np.array([np.sin(fork), -np.cos(fork)]) * reach
            pen.limb([joint, tip], thick, thick * 0.7, marked=look.pattern == "bands", solid=look.detail > 0, axis="y")
            tips.append(tip)
    for x, y in tips:
        pen.blob(ellipse(x, y, thick * 0.8, thick * 0.8), SECOND, tone=0.8, solid=look.detail > 0)
    foot(pen, 0.85, dice.span(0.3, 0.45))
    pen.lights(tips)
    sway(pen, look, dice, strength=1.35)


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
    foot(pen, 0.68, dice.span(0.35, 0.5))


def sea_fan(pen: Pen, look: Look, dice: Dice) -> None:
    """A flat round lattice: ribs that spread from a stem, joined by cross threads, holes between."""
    spread, h = dice.span(0.75, 1.1), dice.span(0.95, 1.1)
    ribs = 5 + 2 * look.detail
    lean = lean_of(look, dice)
    ways = np.linspace(-spread, spread, ribs) + lean
    reach = h * (1 - 0.22 * (ways - lean) ** 2) * np.array([dice.span(0.85, 1.05) for _ in ways]) * 1.4
    ends = np.stack([np.sin(ways) * reach, 0.7 - np.cos(ways) * reach], -1)
    for level in (0.45, 0.68, 0.88) if look.detail else (0.5,):
        ring = np.stack([np.sin(ways) * reach * level, 0.7 - np.cos(ways) * reach * level], -1)
        pen.limb(ring, 0.0, hue=SECOND, solid=False, tone=0.2)
    if not look.detail:
        pen.limb(curve(ends * 0.92 + (0, 0.056), 3), 0.0, hue=SECOND, tone=0.2)
    for end in ends:
        middle = (end + np.array([0, 0.7])) / 2 + np.array([0.06 * np.sign(end[0]), 0.04])
        pen.limb(curve([(0, 0.7), middle, end], 3), 0.07, 0.045, marked=look.pattern in ("bands", "spots"), solid=True, axis="y")
    pen.limb([(0, 1.0), (0, 0.6)], 0.11, 0.09, tone=-0.5)
    foot(pen, 0.95, dice.span(0.25, 0.4))
    pen.lights(ends[::2])
    sway(pen, look, dice, 0.95, 1.3)


def heights(dice: Dice, count: int, least: float) -> list[float]:
    """Heights 1 … least in a row, each clearly its own, the tallest at one end."""
    steps = np.linspace(1, least, count) + np.array([dice.span(-0.05, 0.05) for _ in range(count)])
    low = sorted(steps[1:].tolist(), key=lambda _: dice.roll())
    return [steps[0], *low] if dice.chance(0.5) else [*low, steps[0]]


def tube_sponge(pen: Pen, look: Look, dice: Dice) -> None:
    """A cluster of wide open pipes of different heights."""
    count = dice.count(3, 4) if look.detail > 1 else 3 - dice.chance(0.25)
    tall, fan = heights(dice, count, dice.span(0.35, 0.55)), dice.span(1.1, 1.5)
    for i in sorted(range(count), key=lambda i: -tall[i]):
        x = (i - (count - 1) / 2) * (1.6 / count)
        top = 0.8 - 1.75 * tall[i]
        r, tip = dice.span(0.22, 0.28) * (3 / count) ** 0.4, x * (1 + (fan - 1) * tall[i])
        pipe = [(x * 0.7 - r * 0.72, 0.8), (tip - r, top), (tip + r, top), (x * 0.7 + r * 0.72, 0.8)]
        pen.blob(pipe, marked=True, axis="y", apart=True)
        pen.blob(ellipse(tip, top, r * 1.12, 0.16), SECOND, tone=0.6, flat=True)
        pen.blob(ellipse(tip, top + 0.01, r * 0.65, 0.085), SECOND, tone=-3.5, flat=True)
        pen.lights([(tip, top)])
    foot(pen, 0.8, dice.span(0.5, 0.65))
    sway(pen, look, dice, 0.8)


def mushroom_coral(pen: Pen, look: Look, dice: Dice) -> None:
    """Round caps on stalks, with gills below the rim."""
    caps = dice.count(1, 3)
    places = {
        1: [(0.0, -0.3, 0.85)],
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
    foot(pen, 0.85, dice.span(0.35, 0.5))


# by pose: how far the outer tentacles stand out, radians, and their length
CROWN = {"spread": ((1.2, 1.5), (0.75, 0.95)), "curled": ((0.05, 0.25), (0.4, 0.55)), "": ((0.7, 0.95), (0.6, 0.85))}


def anemone(pen: Pen, look: Look, dice: Dice) -> None:
    """A stout column crowned with waving tentacles; curled, they are drawn together, tips in."""
    w, top = dice.span(0.4, 0.52), dice.span(-0.05, 0.25)
    count = 6 + 2 * look.detail
    swing, (spread, reach) = dice.span(-0.25, 0.25), (dice.span(*limits) for limits in CROWN.get(look.pose, CROWN[""]))
    root, swing = (0.8, 0.0) if look.pose == "curled" else (0.9, swing)
    t = np.linspace(0, 1, 8)
    for i in sorted(range(count), key=lambda i: -abs(2 * i - count + 1)):
        x = 2 * i / (count - 1) - 1
        length = reach * dice.span(0.85, 1.15) * look.trail**0.5
        way = -TAU / 4 + x * spread * dice.span(0.9, 1.1)
        line = wave(x * w * root, top, way, length, swing, i * 1.9, 0.8, 8)
        if look.pose == "curled":
            line[:, 0] -= x * t * t * w * 0.5
        pen.limb(line, 0.075, 0.06, hue=SECOND if i % 2 else 0, tone=0.2, axis="y", apart=True)
        pen.mark(line[-1, 0], line[-1, 1], SECOND if i % 2 else 0, min(6, look.base + 2))
        pen.lights([line[-1]])
    right = [(w, top - 0.05), (w * 0.85, 0.5), (w * 1.15, 0.9)]
    column = [(0, top - 0.12), *right, (0, 0.98), *((-x, y) for x, y in reversed(right))]
    pen.blob(closed(column, per=3), marked=True, axis="y", apart=True)
    pen.limb([(-w * 0.8, top), (0, top - 0.04), (w * 0.8, top)], 0.05, hue=SECOND, tone=0.4, flat=True)


def pillar_coral(pen: Pen, look: Look, dice: Dice) -> None:
    """Thick blunt columns of clearly different height from one base."""
    count = 3 + (look.detail > 1 and dice.chance(0.5))
    tall, fan = heights(dice, count, dice.span(0.3, 0.42)), dice.span(1.0, 1.35)
    for i in sorted(range(count), key=lambda i: -tall[i]):
        x = (i - (count - 1) / 2) * (1.5 / count)
        top = 0.8 - 1.8 * tall[i]
        r, tip = dice.span(0.16, 0.21) * (3 / count) ** 0.5, x * (1 + (fan - 1) * tall[i])
        line = curve([(x * 0.85, 0.8), (x * 0.9 + dice.span(-0.04, 0.04), (0.8 + top) / 2), (tip, top)], 4)
        knobs = r * (1 + 0.16 * np.sin(np.arange(len(line)) * dice.span(1.5, 2.2) + i))
        pen.limb(line, knobs, marked=True, axis="y", apart=True)
        pen.blob(ellipse(tip, top - r * 0.2, r * 0.8, r * 0.65), SECOND, tone=0.8)
        pen.lights([(tip, top), line[len(line) // 2]])
    foot(pen, 0.82, dice.span(0.7, 0.85))
    sway(pen, look, dice, 0.8)


def whip_coral(pen: Pen, look: Look, dice: Dice) -> None:
    """Long bare whips with polyps along them; upright they stand stiff and apart, swaying all bend one way."""
    count, swing = dice.count(2, 3) + (look.detail > 1), dice.span(0.14, 0.3) * dice.pick([-1, 1])
    calm = 0.5 if look.pose in STANDING else 1  # the pose is the point, not each whip's own bend
    for i in range(count):
        x = (i - (count - 1) / 2) * (1.3 / count)
        reach = dice.span(1.2, 1.8)
        way = -TAU / 4 + calm * x * dice.span(0.6, 1.1)
        line = wave(x * 0.7, 0.9, way, reach, swing * calm, i * 0.7, dice.span(0.8, 1.2), 12)
        pen.limb(line, 0.07, 0.055, marked=look.pattern == "bands", solid=look.detail > 0, axis="y", apart=True)
        for k in range(3, 12, 4 - look.detail) if look.pattern == "spots" else (11,):
            side = 0.09 * (1 if k % 2 else -1)
            pen.limb([line[k], line[k] + (side, -0.03)], 0.06, hue=SECOND, tone=0.8, solid=look.detail > 0)
        pen.lights(line[4::3])
    foot(pen, 0.88, dice.span(0.35, 0.5))
    sway(pen, look, dice)
