"""Tasks beside `draw`: what their prompts tell beside the caption.

recolour   The prompt holds a sprite's shades: its grid with its colours numbered dark to light, in rows written as a completion's
           are; equally light ones count by their first places, so that marks of another hue are told apart. The answer has the
           same shape in the palette's colours, as the caption says. Every pixel of the answer has its own in the prompt, at one
           distance for the whole drawing: it is a copy with exchanged symbols, which a small model can learn. Any sprite can be
           asked for, in whatever colours it was.
reference  The prompt names the palette's entries that a reference uses, by their roles, and its measured style in words. In
           training the sprite is its own reference. Shapes are not told.
"""

import json
from collections.abc import Mapping, Sequence

import numpy as np

from data_prep.curate import light_steps
from data_prep.grid_text import ALPHABET
from data_prep.sprite import Sprite
from data_prep.style import BODY, LIGHT, OUTLINE, Style, measure, roles_of

ROLE_WORDS = {OUTLINE: "outline", BODY: "body", LIGHT: "highlights"}
MAX_SHADES = len(ALPHABET) - 1
SIDES = ("right", "upper right", "above", "upper left", "left", "lower left", "below", "lower right")  # 45 degrees each
# (below this value, words) of each measure of style, the last one without a bound
STEPS = {
    "outline": ((0.25, "no outline"), (0.75, "partly outlined"), (2, "outlined")),
    "dithering": ((0.05, "not dithered"), (2, "dithered")),
    "contrast": ((0.3, "low contrast"), (0.55, "medium contrast"), (2, "high contrast")),
    "saturation": ((0.05, "dull"), (0.12, "muted"), (2, "vivid")),
}


def told(task: str, sprite: Sprite) -> str:
    """What the prompt says beside the caption when this sprite is the answer; '' for `draw`."""
    if task == "recolour":
        return shades(sprite.rgba())
    style = measure(sprite.grid, sprite.palette) if task == "reference" else None
    return like(roles_of(sprite.grid, sprite.palette), style) if style else ""


def shades(rgba: np.ndarray) -> str:
    """(H, W, 4) of at most MAX_SHADES colours → their numbers, as the rows of a completion."""
    rows = ["".join(ALPHABET[number] for number in row) for row in numbered(rgba)]
    return "Its shades, dark to light: " + json.dumps(rows, ensure_ascii=False, separators=(",", ":"))


def numbered(rgba: np.ndarray) -> np.ndarray:
    """(H, W, 4) → (H, W) int: 1… for its colours, dark to light and then by their first places; 0 transparent."""
    opaque = rgba[..., 3] > 0
    colours, first, place = np.unique(rgba[opaque][:, :3], axis=0, return_index=True, return_inverse=True)
    number = np.empty(len(colours), int)
    number[np.lexsort((first, light_steps(colours)))] = np.arange(1, len(colours) + 1)
    found = np.zeros(opaque.shape, int)
    found[opaque] = number[place.ravel()]
    return found


def like(roles: Mapping[str, Sequence[int]], style: Style) -> str:
    """Entries of the palette in each role, and the style: what a reference gives."""
    parts = [
        f"{said} {''.join(ALPHABET[entry] for entry in roles[role])}" for role, said in ROLE_WORDS.items() if roles.get(role)
    ]
    return f"Like this: {', '.join([*parts, *style_words(style)])}"


def style_words(style: Style) -> list[str]:
    words = [next(said for below, said in steps if getattr(style, key) < below) for key, steps in STEPS.items()]
    light = "even light" if style.light is None else f"light from {_side(style.light)}"
    return [*words, f"{style.colours} colour{'s' if style.colours > 1 else ''}", light]


def _side(degrees: float) -> str:
    side = SIDES[round(degrees / 45) % len(SIDES)]
    return side if side in ("above", "below") else f"the {side}"
