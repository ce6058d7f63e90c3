"""Words: zones, categories, attributes; captions into prompts. `messages` is the only prompt rendering there is."""

import hashlib
import json
from functools import cache

import numpy as np

from data_prep.bench_format import prompt_a
from data_prep.grid_text import FREE
from data_prep.legend import legend
from data_prep.palette import Palette, named
from data_prep.sprite import Sprite
from data_prep.tasks import told

ZONES = ("shallows", "twilight", "midnight", "abyss", "hadal")
CATEGORIES = ("reef_fish", "grazer", "coral", "jellyfish", "cephalopod", "abyssal")
CELLS = tuple((zone, category) for zone in ZONES for category in CATEGORIES)  # the 30 cells of the coverage table
BENCH = "bench"  # Pixel Art Bench's prompt A in a free palette: `data_prep.bench_format`
TASKS = ("draw", "recolour", "reference", BENCH)
VERBS = {"draw": "Draw", "recolour": "Recolour", "reference": "Draw"}
SYSTEM_PROMPT = "You draw pixel art. Answer with one JSON object."


@cache
def prompt_hash(tasks: tuple[str, ...] = TASKS[:1]) -> str:
    """SHA-256 of how prompts are rendered: an adapter draws what it is asked for only when it is asked as in training.

    tasks: those it was trained on; the hash of drawing alone knows nothing of the others.
    """
    palettes = named("reef64"), Palette(FREE, ("000000", "ff0000")), None
    asked = [messages(caption, 8, 9, palette) for palette in palettes for caption in ("", "a red and azure crab")]
    crab = Sprite(np.arange(72, dtype=np.uint8).reshape(8, 9) % 64, palettes[0])
    others = [messages("a red crab", 8, 9, crab.palette, task, told(task, crab)) for task in sorted(set(tasks) - {"draw"})]
    return hashlib.sha256(json.dumps(asked + others).encode()).hexdigest()


def palette_words(palette: Palette | None) -> str:
    """How a prompt names the palette: its name, its colours spelt out, or 'free' when the model is to choose."""
    if palette is None:
        return FREE
    return ",".join(palette.colours) if palette.name == FREE else palette.name


def messages(
    caption: str, height: int, width: int, palette: Palette | None, task: str = "draw", beside: str = ""
) -> list[dict[str, str]]:
    """Chat messages that ask for one drawing. An empty caption keeps size and palette, for guidance.

    Where the palette is given, the caption's colour words are followed by their symbols; see `data_prep.legend`. beside: what
    another task than `draw` tells (`data_prep.tasks.told`), on a line of its own. The task `bench` is Pixel Art Bench's prompt
    as it stands, and says nothing else.
    """
    if task == BENCH:
        return [{"role": "user", "content": prompt_a(caption)}]
    colours = "" if palette is None else legend(caption, palette)
    request = f"{VERBS[task]} {height}x{width}, palette {palette_words(palette)}: {caption}".rstrip()
    request += f" ({colours})" if colours else ""
    request += f"\n{beside}" if beside else ""
    return [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": request}]
