"""From the palette that a model draws in to another one: entry by entry, so that pixels and shapes stay as they were drawn.

`locked` is one table for a whole palette: along each ramp, dark to light, entries of the target are chosen by dynamic
programming so that the colours are near and the steps between them alike; lightness never turns back. Nearest colours
alone would break ramps apart where the target is sparse. `by_role` is a table for one sprite after a reference picture.
"""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from data_prep.palette import Palette
from data_prep.sprite import Sprite
from data_prep.style import BODY, FEW, LIGHT, OUTLINE, roles_of
from eval.postprocess.ramps import is_grey, ramps_of

Entries = Sequence[int] | np.ndarray  # of a palette
STEPS = 0.5  # what a missed step counts beside a missed colour
_AXES = np.array([1, 2.5, 2.5])  # hue counts more than lightness: a blue that turns grey is worse than one that turns light
_RANK, _POOR = 0.05, 0.06  # OKLab distance that a place less in the order of use, or a shade too few, is worth


def locked(source: Palette, target: Palette) -> np.ndarray:
    """(entries of source,) uint8: the target's entry of each; transparent stays transparent.

    In a target of one hue, such as greys, lightness alone counts.
    """
    table = np.zeros(len(source), np.uint8)
    for ramp in ramps_of(source):
        table[list(ramp)] = _nearest(ramp, source, range(1, len(target)), target)
    return table


def _nearest(ramp: Entries, source: Palette, offered: Sequence[int], target: Palette) -> np.ndarray:
    """(n,) offered entries for a ramp's, by colour."""
    axes = _AXES if len(ramps_of(target)) > 1 else _AXES * (1, 0, 0)
    entries = _dark_to_light(offered, target)
    return entries[along(source.oklab[np.array(ramp) - 1] * axes, target.oklab[entries - 1] * axes)]


def _dark_to_light(entries: Sequence[int], palette: Palette) -> np.ndarray:
    return np.array(sorted(entries, key=lambda entry: (float(palette.oklab[entry - 1, 0]), entry)))


def along(wanted: np.ndarray, offered: np.ndarray) -> np.ndarray:
    """(n, d) colours of a ramp and (m, d) to choose from, dark to light → (n,) places in the second, never back.

    The first column is lightness. Least sum of squared distances of the colours and, weighing STEPS, of the steps of
    lightness from each to the next.
    """
    wanted, offered = np.asarray(wanted, float), np.asarray(offered, float)
    apart = ((wanted[:, None] - offered[None]) ** 2).sum(-1)  # (n, m)
    steps = offered[None, :, 0] - offered[:, None, 0]  # from row to column
    back = np.tril(np.ones((len(offered), len(offered)), bool), -1)
    cost, chosen_before = apart[0], []
    for number in range(1, len(wanted)):
        step = (steps - (wanted[number, 0] - wanted[number - 1, 0])) ** 2
        reached = np.where(back, np.inf, cost[:, None] + STEPS * step)
        chosen_before.append(reached.argmin(0))
        cost = reached.min(0) + apart[number]
    places = [int(cost.argmin())]
    for table in reversed(chosen_before):
        places.append(int(table[places[-1]]))
    return np.array(places[::-1])


def by_role(sprite: Sprite, target: Palette, roles: Mapping[str, Sequence[int]], counts: np.ndarray) -> np.ndarray:
    """(entries of the sprite's palette,) uint8: where its colours go in a reference's palette.

    counts: pixels of each entry there. Outline goes to outline and lights to lights, by lightness. The body's ramps go to the
    reference's body ramps, each to another one as far as they reach: near in hue, and the most used to the most used. Along them
    lightness is stretched to what the reference's ramp has; one with too few shades borrows near colours of the body. Greys in
    few pixels, such as eyes, go to the nearest colour. What the reference has no role for takes colours of its others; its
    background is never drawn with.
    """
    own = roles_of(sprite.grid, sprite.palette)
    uses = np.bincount(sprite.grid.ravel(), minlength=len(sprite.palette))
    table = np.zeros(len(sprite.palette), np.uint8)
    subject = [e for role in (OUTLINE, BODY, LIGHT) for e in roles[role]]
    for role in (OUTLINE, LIGHT):
        if own[role]:
            entries = _dark_to_light(own[role], sprite.palette)
            there = _like(entries, sprite.palette, roles[role], target) if roles[role] else None
            table[entries] = _nearest(entries, sprite.palette, subject, target) if there is None else there
    sources = _ramps(sprite.palette, own[BODY], uses)
    details = [ramp for ramp in sources[1:] if _is_detail(ramp, sprite.palette, uses)]
    for ramp in details:
        table[list(ramp)] = _nearest(ramp, sprite.palette, subject, target)
    sources = [ramp for ramp in sources if ramp not in details]
    targets = _ramps(target, roles[BODY] or subject, counts)
    for ramp, place in _assigned(sources, targets, sprite.palette, target, uses, counts):
        table[list(ramp)] = _like(ramp, sprite.palette, targets[place], target)
        if len(targets[place]) < len(ramp):
            table[list(ramp)] = _borrowed(ramp, sprite.palette, targets[place], roles[BODY] or subject, target, counts)
    return table


def _is_detail(ramp: Sequence[int], palette: Palette, uses: np.ndarray) -> bool:
    """Greys in few pixels."""
    return is_grey(ramp, palette) and bool(uses[np.array(ramp)].sum() < FEW * uses[1:].sum())


def _ramps(palette: Palette, entries: Sequence[int], uses: np.ndarray) -> list[tuple[int, ...]]:
    """The palette's ramps cut down to some entries, the most used first."""
    cut = [tuple(e for e in ramp if e in set(entries)) for ramp in ramps_of(palette)]
    return sorted(filter(None, cut), key=lambda ramp: (-sum(int(uses[e]) for e in ramp), ramp))


def _assigned(sources, targets, source: Palette, target: Palette, uses, counts) -> list[tuple[tuple[int, ...], int]]:
    """Each source ramp with the number of the target ramp that it goes to; where targets run out, the cheapest again."""
    from scipy.optimize import linear_sum_assignment

    if not sources:
        return []
    cost = np.zeros((len(sources), len(targets)))
    for (i, a), (j, b) in product(enumerate(sources), enumerate(targets)):
        apart = np.linalg.norm(_hue(a, source, uses) - _hue(b, target, counts))
        cost[i, j] = apart + _RANK * min(abs(i - j), 4) + _POOR * max(0, min(3, len(a)) - len(b))
    found = dict(zip(*(axis.tolist() for axis in linear_sum_assignment(cost)), strict=True))
    return [(ramp, found.get(row, int(cost[row].argmin()))) for row, ramp in enumerate(sources)]


def _hue(ramp: Sequence[int], palette: Palette, uses: np.ndarray) -> np.ndarray:
    """(2,) mean OKLab a and b of a ramp as it is used."""
    entries = np.array(ramp)
    return np.average(palette.oklab[entries - 1, 1:], axis=0, weights=np.maximum(uses[entries], 1))


def _like(ramp: Entries, source: Palette, offered: Sequence[int], target: Palette) -> np.ndarray:
    """(n,) offered entries for a ramp's, dark to light, by lightness alone, once its range is made that of what is offered."""
    entries = _dark_to_light(offered, target)
    wanted, there = source.oklab[np.array(ramp) - 1, 0].astype(float), target.oklab[entries - 1, 0].astype(float)
    if len(ramp) > 1:
        wanted = there[0] + (wanted - wanted[0]) / max(wanted[-1] - wanted[0], 1e-6) * (there[-1] - there[0])
    return entries[along(wanted[:, None], there[:, None])]


def _borrowed(ramp, source: Palette, aimed: Sequence[int], offered: Sequence[int], target: Palette, uses) -> np.ndarray:
    """(n,) offered entries for a ramp's, by its own steps of lightness around the ramp that is aimed at and by that one's hue."""
    lightness = source.oklab[np.array(ramp) - 1, 0]
    middle = float(target.oklab[np.array(aimed) - 1, 0].mean())
    hue = np.tile(_hue(aimed, target, uses), (len(ramp), 1))
    entries = _dark_to_light(offered, target)
    wanted = np.column_stack([lightness - lightness.mean() + middle, hue])
    return entries[along(wanted * _AXES, target.oklab[entries - 1] * _AXES)]
