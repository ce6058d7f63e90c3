"""Attributes that a caption states and pixels can prove.

main colour = the hue ramp with most opaque pixels, neutral ramp and dark outline steps (OKLab L < 0.35) left out;
colour_right = 1 where it is the ramp that tags['colour'] names, 0 where it is another or there is none, None where the
tag names no hue ramp or the caption does not state it: what was not asked for cannot be wrong. Entries
of palettes without ramps count for the reef64 ramp that is nearest in OKLab.
size_in_frame = longer side of the bounding box / the frame's side. Source: this project (design.md, 'Attributes').

Facing is not measured here: which end is the head is not to be had from pixels by simple means, and half a check
(the heavier side) calls a shark's tail its head.
"""

import re
from collections.abc import Mapping

import numpy as np

from data_prep.palette import Palette, named
from data_prep.wording import COLOUR_WORDS

DARK = 0.35  # OKLab lightness; outlines and deep shadow, which say little about the main colour
NEUTRAL = "neutral"


def ramp_of_entries(palette: Palette) -> list[str]:
    """The ramp's name for each of the palette's colours 1…, in order; '' for an entry outside every ramp."""
    if palette.ramps:
        name_of = {entry: name for name, entries in palette.ramps.items() for entry in entries}
        return [name_of.get(entry, "") for entry in range(1, len(palette))]
    reef = named("reef64")
    distance = ((palette.oklab[:, None] - reef.oklab[None]) ** 2).sum(-1)  # (colours, 63)
    reef_ramps = ramp_of_entries(reef)
    return [reef_ramps[nearest] for nearest in distance.argmin(1)]


def main_colour(grid: np.ndarray, palette: Palette) -> str | None:
    """The main hue ramp of an (H, W) index grid, or None where only neutral and dark pixels are drawn."""
    counts = np.bincount(grid.ravel(), minlength=len(palette))[1:]
    votes: dict[str, int] = {}
    for ramp, count, lightness in zip(ramp_of_entries(palette), counts, palette.oklab[:, 0], strict=True):
        if count and ramp not in ("", NEUTRAL) and lightness >= DARK:
            votes[ramp] = votes.get(ramp, 0) + int(count)
    return max(votes, key=votes.__getitem__) if votes else None


def stated_colour(tags: Mapping[str, str], caption: str) -> str | None:
    """tags['colour'] where the caption says so, in whatever word for it ('azure' states blue); else None."""
    colour = tags.get("colour")
    words = COLOUR_WORDS.get(colour, ()) if isinstance(colour, str) else ()
    said = any(re.search(rf"\b{re.escape(word)}\b", caption.lower()) for word in words)
    return colour if said else None


def colour_right(grid: np.ndarray, palette: Palette, asked: str | None) -> float | None:
    """1.0, 0.0, or None where `asked` (tags['colour']) is no hue ramp of this project."""
    if asked not in named("reef64").ramps or asked == NEUTRAL:
        return None
    return float(main_colour(grid, palette) == asked)


def size_in_frame(grid: np.ndarray) -> float:
    """Longer side of the drawing's bounding box over the frame's, 0…1; 0 for an empty grid."""
    drawn = grid > 0
    if not drawn.any():
        return 0.0
    spans = (np.flatnonzero(drawn.any(axis)) for axis in (1, 0))
    return float(max((span[-1] - span[0] + 1) / side for span, side in zip(spans, grid.shape, strict=True)))
