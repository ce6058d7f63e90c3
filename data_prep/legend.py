"""What a prompt says of the colours that its caption names: which symbols of the grid they are.

    'a violet crab' in reef64 → 'violet=ɪʻʿˈːΔά'

A symbol means nothing to a pretrained model, a colour's word does; with the legend the word has only to be copied from.
Without it a LoRA learnt nothing of captions from thousands of sprites. It says no more than caption and palette do.
"""

import re
from functools import cache, lru_cache

import numpy as np

from data_prep.grid_text import ALPHABET
from data_prep.palette import Palette, named, oklab
from data_prep.wording import COLOUR_WORDS, WHITE

# CSS names that people say of colours and that mean nothing else here (coral and salmon are animals)
CSS_WORDS = ("black", "gray", "pink", "cyan", "magenta", "gold", "beige", "maroon", "navy", "lime", "olive", "indigo", "lavender")
MAX_SYMBOLS = 12  # of a colour: a large palette of one hue would fill the prompt


def legend(caption: str, palette: Palette) -> str:
    """'word=symbols' of each colour word of a caption that the palette can show, dark to light; '' without any."""
    known = hue_of_words()
    words = dict.fromkeys(word for word in re.findall(r"[^\W\d_]+", caption.lower()) if word in known)
    symbols = {word: symbols_of_hue(palette, known[word]) for word in words}
    return ", ".join(f"{word}={found}" for word, found in symbols.items() if found)


@cache
def hue_of_words() -> dict[str, str]:
    """Colour word → name of a ramp of reef64."""
    from PIL.ImageColor import getrgb

    css = {word: _hues(oklab(np.array([getrgb(word)], np.uint8)))[0] for word in CSS_WORDS}
    return css | {word: hue for hue, words in COLOUR_WORDS.items() for word in words} | dict.fromkeys(WHITE, "neutral")


def symbols_of_hue(palette: Palette, hue: str) -> str:
    """Symbols of the entries that lie nearest to a ramp of reef64, dark to light, at most MAX_SYMBOLS, evenly picked."""
    entries = np.flatnonzero(np.array(_hues_of(palette)) == hue)
    entries = entries[np.argsort(palette.oklab[entries, 0], kind="stable")]
    if len(entries) > MAX_SYMBOLS:
        entries = entries[np.linspace(0, len(entries) - 1, MAX_SYMBOLS).round().astype(int)]
    return "".join(ALPHABET[entry + 1] for entry in entries)


@lru_cache(256)
def _hues_of(palette: Palette) -> tuple[str, ...]:
    return tuple(_hues(palette.oklab))


def _hues(lab: np.ndarray) -> list[str]:
    """(colours, 3) OKLab → the ramp of reef64 that holds each one's nearest colour."""
    reef = named("reef64")
    hue = {entry: name for name, ramp in reef.ramps.items() for entry in ramp}
    nearest = np.square(lab[:, None] - reef.oklab).sum(-1).argmin(1)
    return [hue[entry + 1] for entry in nearest.tolist()]
