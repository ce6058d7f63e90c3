"""Luminance ramps: which entries of a palette are one hue from dark to light, and where a step along them leads.

A palette that brings ramps over all of its entries (reef64) keeps them; free and corpus palettes get theirs by hue
clustering in OKLab. Cached by the palette's hash.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.palette import Palette

GREY_CHROMA = 0.04  # OKLab; below it a hue is not seen
HUE_SPREAD = 40.0  # degrees: no two entries of a ramp are further apart
STEP = 0.12  # OKLab lightness of one step; reef64's ramps have about this one
LEVELS = 12  # the walk tables go this many half steps either way
_DETOUR = 1.5  # what a change of hue or chroma costs beside a missed lightness


@dataclass(frozen=True)
class RampTables:
    """What the shader looks up. Rows are entries 0 … n−1, entry 0 transparent; the arrays are read-only.

    ramps: tuples of entries, dark to light, each entry in exactly one; ramp_of: (n,) int; lightness: (n,) float32, 0…1;
    coloured: (n,) bool, false for greys and entry 0.
    walk: (2 LEVELS + 1, n) uint8, the entry of the same ramp that many half steps lighter; row LEVELS is the identity.
    glowing: (ramps,) uint8, the entry of each ramp that a light of its hue would leave on an edge.
    """

    ramps: tuple[tuple[int, ...], ...]
    ramp_of: np.ndarray
    lightness: np.ndarray
    coloured: np.ndarray
    walk: np.ndarray
    glowing: np.ndarray


_TABLES: dict[tuple, RampTables] = {}


def ramp_tables(palette: Palette) -> RampTables:
    """The palette's tables, made once for each content and set of own ramps."""
    key = (palette.hash, tuple(sorted(palette.ramps.values())))
    if key not in _TABLES:
        _TABLES[key] = _tables(palette)
    return _TABLES[key]


def ramps_of(palette: Palette) -> tuple[tuple[int, ...], ...]:
    """Ramps that hold every entry exactly once, dark to light: the palette's own if they do so, else by hue, greys first."""
    own = sorted(entry for ramp in palette.ramps.values() for entry in ramp)
    if own == list(range(1, len(palette))):
        return tuple(_by_lightness(ramp, palette) for ramp in palette.ramps.values())
    a, b = palette.oklab[:, 1].astype(float), palette.oklab[:, 2].astype(float)
    coloured = np.hypot(a, b) >= GREY_CHROMA
    groups = [np.flatnonzero(~coloured)]
    hue = np.round(np.degrees(np.arctan2(b, a)), 6)[coloured]
    labels = hue_clusters(hue)
    groups += [np.flatnonzero(coloured)[labels == label] for label in range(labels.max(initial=-1) + 1)]
    return tuple(_by_lightness(group + 1, palette) for group in groups if len(group))


def is_grey(ramp: Sequence[int], palette: Palette) -> bool:
    """Whether no hue is seen in these entries, taken together."""
    return bool(np.hypot(*palette.oklab[np.array(ramp) - 1, 1:].T).mean() < GREY_CHROMA)


def hue_clusters(hue: np.ndarray) -> np.ndarray:
    """(n,) degrees → (n,) cluster numbers in the order of hue; none spans more than HUE_SPREAD.

    Neighbours on the circle are joined while they fit, those with the smallest common span first.
    """
    order = np.argsort(hue, kind="stable")
    arcs = [[int(index)] for index in order]
    while len(arcs) > 1:
        spans = [(hue[after[-1]] - hue[arc[0]]) % 360 for arc, after in zip(arcs, arcs[1:] + arcs[:1], strict=True)]
        nearest = int(np.argmin(np.round(spans, 6)))
        if spans[nearest] > HUE_SPREAD:
            break
        joined = arcs[nearest] + arcs[(nearest + 1) % len(arcs)]
        arcs = [*arcs[:nearest], joined, *arcs[nearest + 2 :]] if nearest + 1 < len(arcs) else [*arcs[1:-1], joined]
    labels = np.zeros(len(hue), int)
    for label, arc in enumerate(arcs):
        labels[arc] = label
    return labels


def _by_lightness(entries, palette: Palette) -> tuple[int, ...]:
    return tuple(sorted((int(entry) for entry in entries), key=lambda entry: (float(palette.oklab[entry - 1, 0]), entry)))


def _tables(palette: Palette) -> RampTables:
    ramps, n = ramps_of(palette), len(palette)
    ramp_of, lightness = np.zeros(n, np.intp), np.zeros(n, np.float32)
    lightness[1:] = palette.oklab[:, 0]
    walk = np.tile(np.arange(n, dtype=np.uint8), (2 * LEVELS + 1, 1))
    for number, ramp in enumerate(ramps):
        ramp_of[list(ramp)] = number
        for entry in ramp:
            walk[:, entry] = _walk(entry, np.array(ramp), palette.oklab.astype(float))
    coloured = np.zeros(n, bool)
    coloured[1:] = np.hypot(*palette.oklab[:, 1:].T) >= GREY_CHROMA
    glowing = np.array([min(ramp, key=lambda entry: abs(float(lightness[entry]) - 0.78)) for ramp in ramps], np.uint8)
    for array in (ramp_of, lightness, coloured, walk, glowing):
        array.flags.writeable = False  # cached and shared
    return RampTables(ramps, ramp_of, lightness, coloured, walk, glowing)


def _walk(entry: int, ramp: np.ndarray, lab: np.ndarray) -> np.ndarray:
    """(2 LEVELS + 1,) entries of the ramp for −LEVELS…LEVELS half steps from `entry`; never back, nor past a nearer hue."""
    own, others = lab[entry - 1], lab[ramp - 1]
    reached = np.full(2 * LEVELS + 1, entry)
    for direction in (-1, 1):
        place = list(ramp).index(entry)
        for level in range(1, LEVELS + 1):
            ahead = np.arange(len(ramp))[place:] if direction > 0 else np.arange(len(ramp))[: place + 1][::-1]
            missed = others[ahead, 0] - target_lightness(own[0], direction * level)
            detour = ((others[ahead, 1:] - own[1:]) ** 2).sum(1)
            place = int(ahead[np.argmin(missed**2 + _DETOUR * detour)])  # equally good: the nearer one
            reached[LEVELS + direction * level] = ramp[place]
    return reached


def target_lightness(lightness: float, level: int) -> float:
    """Where `level` half steps lead: whole steps in the middle tones, ever shorter ones towards black and white."""
    reserve = min(1.0, 0.35 + 1.3 * (1 - lightness if level > 0 else lightness))
    reflected = min(1.0, 0.4 + 1.2 * lightness) if level > 0 else 1.0  # a dark surface gives back less of the light
    return lightness + level * STEP / 2 * reserve * reflected
