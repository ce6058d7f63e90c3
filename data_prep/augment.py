"""Augmentation: a sprite as another one that its words describe as truly. What cannot be kept true is left alone.

flipped      mirrored; words that say left or right follow. None where the words say a side in another way, or name what
             reads one way only (letters, clocks).
hue_shifted  every hue ramp becomes another one, step by step, all by the same turn of the circle; brown and neutral stay.
             Colour words follow. For sprites whose tags name their colour; None where the caption names a third colour,
             where the drawing's main colour is not plainly the tagged one, or where the result is kept for other splits.
permuted     the entries of a free palette in another order, in the palette and in the grid alike: the same picture.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from data_prep.grid_text import FREE
from data_prep.palette import Palette
from data_prep.sprite import Sprite
from data_prep.wording import COLOUR_WORDS, FACING_WORDS, parse, synonyms, with_article

SIDES = {"left": "right", "right": "left"}
HUES = ("red", "orange", "yellow", "green", "teal", "blue", "purple")  # round the colour circle
LIGHT_FROM = 2  # steps of a ramp that are no outline or deep shadow for certain; the first is never counted
_FACING = re.compile(rf"(?<!\w)(?:{'|'.join((*FACING_WORDS['left'], *FACING_WORDS['right']))})(?!\w)", re.IGNORECASE)
_ONE_WAY = re.compile(
    r"\b(?:left|right|clockwise|anti-?clockwise|counter-?clockwise|east|west|starboard|clock|letter|digit|number|numeral|text|word"
    r"|glyph|logo)",  # 'leftwards' and 'letters' too, not 'upright' or 'bright'
    re.IGNORECASE,
)
_COLOUR = re.compile(
    rf"(?:(?<!\w)(an?) )?(?<!\w)({'|'.join(sorted({word for ways in COLOUR_WORDS.values() for word in ways}))})(?!\w)"
)


@dataclass(frozen=True)
class Augmentation:
    """How often each change is made, 0…1."""

    flip: float = 0.0
    hue: float = 0.0
    palette: float = 0.0

    def __bool__(self) -> bool:
        return any((self.flip, self.hue, self.palette))

    def of(self, sprite: Sprite, rng: np.random.Generator) -> Sprite:
        """The sprite, changed or not; all dice are rolled each time, so that one share does not move another's choices."""
        flip, hue, palette = rng.random(3) < (self.flip, self.hue, self.palette)
        turns = rng.permutation(np.arange(1, len(HUES)))
        order = rng.permutation(np.arange(1, len(sprite.palette)))
        sprite = (flipped(sprite) if flip else None) or sprite
        shifted = (hue_shifted(sprite, int(turn)) for turn in turns) if hue else ()
        sprite = next((found for found in shifted if found), sprite)
        return (permuted(sprite, order) if palette else None) or sprite


def flipped(sprite: Sprite) -> Sprite | None:
    """The mirror image, or None; flipped twice it is the sprite itself."""
    if _ONE_WAY.search(_FACING.sub("", sprite.caption)):
        return None
    facing = sprite.tags.get("facing")
    tags = dict(sprite.tags) | ({"facing": SIDES[facing]} if facing in SIDES else {})
    return replace(sprite, grid=sprite.grid[:, ::-1], caption=mirrored_words(sprite.caption), tags=tags)


def mirrored_words(caption: str) -> str:
    """The caption of the mirror image: left and right change places where a phrase of `FACING_WORDS` says them."""
    return _FACING.sub(lambda said: re.sub("left|right", _other_side, said[0], flags=re.IGNORECASE), caption)


def _other_side(side: re.Match) -> str:
    word = SIDES[side[0].lower()]
    return word.upper() if side[0].isupper() else word.capitalize() if side[0][0].isupper() else word


def hue_shifted(sprite: Sprite, turn: int) -> Sprite | None:
    """The sprite with hue ramp i as ramp i + turn of `HUES`, or None."""
    colours = [sprite.tags.get(key, "") for key in ("colour", "second_colour")]
    ramps = sprite.palette.ramps
    alike = set(HUES) <= set(ramps) and len({len(ramps[name]) for name in HUES}) == 1
    if not alike or not set(colours) & set(HUES) or not _is_plainly(colours[0], sprite.grid, sprite.palette):
        return None
    become = {name: HUES[(place + turn) % len(HUES)] for place, name in enumerate(HUES)}
    tags = dict(sprite.tags) | {key: become.get(sprite.tags[key], sprite.tags[key]) for key in _colour_keys(sprite.tags)}
    caption = _recoloured(sprite.caption, sprite.tags, become)
    if caption is None or not _is_for_training(sprite.source, tags):
        return None
    table = np.arange(len(sprite.palette), dtype=np.uint8)
    for name, other in become.items():
        table[list(ramps[name])] = ramps[other]
    return replace(sprite, grid=table[sprite.grid], caption=caption, tags=tags)


def _colour_keys(tags: Mapping[str, str]) -> list[str]:
    return [key for key in ("colour", "second_colour") if key in tags]


def _is_plainly(colour: str, grid: np.ndarray, palette: Palette) -> bool:
    """Whether a ramp has most of the pixels however many of the dark ones are taken for outline."""
    counts = np.bincount(grid.ravel(), minlength=len(palette))
    ramps = {name: list(entries) for name, entries in palette.ramps.items() if name != "neutral"}
    if colour not in ramps:
        return False
    least = counts[ramps[colour][LIGHT_FROM:]].sum()
    return all(least > counts[entries[1:]].sum() for name, entries in ramps.items() if name != colour)


def _recoloured(caption: str, tags: Mapping[str, str], become: Mapping[str, str]) -> str | None:
    """The caption with each colour word replaced, or None where that would not say the new tags."""
    ways = {word: (colour, place) for colour, words in COLOUR_WORDS.items() for place, word in enumerate(words)}
    own = {word for key in _colour_keys(tags) for word in synonyms(key, {"zone": "", **tags})}

    def other(said: re.Match) -> str:
        colour, place = ways[said[2]]
        words = COLOUR_WORDS[become.get(colour, colour)]
        word = said[2] if colour not in become else words[min(place, len(words) - 1)]
        return with_article(word) if said[1] else word

    if {said[2] for said in _COLOUR.finditer(caption)} - own:
        return None
    changed, wanted = _COLOUR.sub(other, caption), parse(caption)
    wanted |= {key: become.get(wanted[key], wanted[key]) for key in _colour_keys(wanted)}
    return changed if parse(changed) == wanted else None


def _is_for_training(source: str, tags: Mapping[str, str]) -> bool:
    """The procedural source keeps whole combinations of plan, colour and pattern for validation and test."""
    if source != "procedural":
        return True
    from data_prep.sources.procedural import split_of

    return split_of(tags) == "train"


def permuted(sprite: Sprite, order: np.ndarray) -> Sprite | None:
    """The same picture with its palette's entries in another order, or None for a palette that has a name.

    order: (colours,) a permutation of 1…; the k-th new entry is the old entry order[k − 1].
    """
    if sprite.palette.name != FREE:
        return None
    table = np.zeros(len(sprite.palette), np.uint8)
    table[order] = np.arange(1, len(sprite.palette))
    palette = Palette(FREE, tuple(sprite.palette.colours[entry - 1] for entry in order))
    return replace(sprite, grid=table[sprite.grid], palette=palette)
