"""Words: zones, categories, attributes; captions into prompts. `messages` is the only prompt rendering there is."""

import hashlib
import json
from functools import cache

from data_prep.legend import legend
from data_prep.palette import Palette, named

ZONES = ("shallows", "twilight", "midnight", "abyss", "hadal")
CATEGORIES = ("reef_fish", "grazer", "coral", "jellyfish", "cephalopod", "abyssal")
CELLS = tuple((zone, category) for zone in ZONES for category in CATEGORIES)  # the 30 cells of the coverage table
SYSTEM_PROMPT = "You draw pixel art. Answer with one JSON object."


@cache
def prompt_hash() -> str:
    """SHA-256 of how prompts are rendered: an adapter draws what it is asked for only when it is asked as in training."""
    palettes = named("reef64"), Palette("free", ("000000", "ff0000")), None
    asked = [messages(caption, 8, 9, palette) for palette in palettes for caption in ("", "a red and azure crab")]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def palette_words(palette: Palette | None) -> str:
    """How a prompt names the palette: its name, its colours spelt out, or 'free' when the model is to choose."""
    if palette is None:
        return "free"
    return ",".join(palette.colours) if palette.name == "free" else palette.name


def messages(caption: str, height: int, width: int, palette: Palette | None) -> list[dict[str, str]]:
    """Chat messages that ask for one drawing. An empty caption keeps size and palette, for guidance.

    Where the palette is given, the caption's colour words are followed by their symbols; see `data_prep.legend`.
    """
    colours = "" if palette is None else legend(caption, palette)
    request = f"Draw {height}x{width}, palette {palette_words(palette)}: {caption}".rstrip() + (
        f" ({colours})" if colours else ""
    )
    return [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": request}]
