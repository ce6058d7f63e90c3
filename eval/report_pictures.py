"""The pictures of a report: sprites as data-URI PNGs, the gallery, memorisation pairs and a chart of dots.

Pure functions on a run's rows; what they return is plain data for the template, which escapes every text.
"""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from data_prep.palette import Palette
from data_prep.sprite import Sprite
from eval.controls import HELD_OUT, NEAREST
from eval.metrics import validity
from eval.report_tables import generator_label, in_percent
from eval.report_words import headline_metric, percent, value_of
from eval.summary import leader

GALLERY_PROMPTS = 10
GALLERY_CONTROLS = (NEAREST, "half erased", "right palette, scrambled shape", "shuffled pixels", "noise")
MAX_MODELS = 12
PAIRS = 6
ALIKE = {  # metric → what the pairs are, up to the held-out sprites' own value
    "nearest_training": "The drawings that share most pixels with a training sprite, under flips and shifts by one pixel. "
    "Held-out sprites share",
    "nearest_training_features": "The drawings that the judge finds most like a training sprite, by the cosine of its features, "
    "which also sees copies in other colours and sizes. Held-out sprites have",
}
NOTES = {"nearest_training": "shared", "nearest_training_features": "alike"}


@dataclass(frozen=True)
class Tile:
    """A drawing with the words under it; `source` is a data URI, None where the text was no drawing; `shaded` is one too."""

    label: str
    source: str | None
    alt: str
    kind: str
    note: str = ""
    shaded: str | None = None


@dataclass(frozen=True)
class Prompt:
    caption: str
    tiles: tuple[Tile, ...]


def data_uri(rgba: np.ndarray) -> str:
    """(H, W, 4) uint8 → an inline PNG of the very pixels; the page scales it without smoothing."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(rgba, "RGBA").save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


class Drawings:
    """The texts of a run, parsed when they are asked for. Keys: request_id; (generator, mode, request_id)."""

    def __init__(self, references: list[dict], completions: list[dict], palette: Palette):
        self.palettes = {palette.name: palette}
        self.references: dict[str, dict] = {}
        self.first: dict[tuple[str, str, str], dict] = {}
        self.every: dict[tuple[str, str, str, int | None], dict] = {}
        for row in references:
            self.references.setdefault(row["request_id"], row)
        for row in completions:
            key = row["generator"], row["mode"], row["request_id"]
            self.first.setdefault(key, row)
            self.every.setdefault((*key, row.get("index") if isinstance(row.get("index"), int) else None), row)

    def parse(self, row: dict | None) -> validity.Parsed | None:
        return None if row is None else validity.parse(row.get("text"), self.palettes, (row["height"], row["width"]))

    def caption(self, request: str) -> str:
        return _words(self.references.get(request, {}).get("caption"))


def _words(value) -> str:
    return value[:300] if isinstance(value, str) else ""


def tile(label: str, kind: str, parsed: validity.Parsed | None, caption: str, note: str = "", lit: bool = False) -> Tile:
    """lit: with a second picture, shaded under the default light."""
    if parsed is None or parsed.sprite is None:
        cause = "not drawn" if parsed is None else f"no drawing: {parsed.cause}"
        return Tile(label, None, f"{label}: {cause}", kind, note or cause)
    shaded = data_uri(_lit(parsed.sprite).rgba()) if lit else None
    return Tile(label, data_uri(parsed.sprite.rgba()), f"{label}: {caption}", kind, note, shaded)


def _lit(sprite: Sprite) -> Sprite:
    from eval.postprocess.shader import shade

    return replace(sprite, grid=shade(sprite.grid, sprite.palette))


def gallery(drawings: Drawings, summary: dict) -> tuple[Prompt, ...]:
    """Evenly spaced prompts, not chosen by looks: held-out sprite, models, then a few controls."""
    requests = list(drawings.references)
    places = np.unique(np.linspace(0, len(requests) - 1, min(GALLERY_PROMPTS, len(requests))).round().astype(int))
    shown = _shown(summary)
    return tuple(prompt(drawings, requests[place], shown) for place in places)


def prompt(drawings: Drawings, request: str, shown: list[dict], notes: Mapping[str, str] | None = None) -> Prompt:
    """The held-out sprite and what each generator drew first. notes: generator → words under its tile; with them all are lit."""
    caption, lit = drawings.caption(request), notes is not None
    tiles = [tile("held-out", "honest", drawings.parse(drawings.references[request]), caption, lit=lit)]
    for generator in shown:
        parsed = drawings.parse(drawings.first.get((generator["generator"], generator["mode"], request)))
        note = (notes or {}).get(generator["generator"], "")
        tiles.append(tile(short_label(generator), generator["kind"], parsed, caption, note, lit))
    return Prompt(caption, tuple(tiles))


def short_label(generator: dict) -> str:
    return generator_label(generator).removesuffix(", grammar")


def _shown(summary: dict) -> list[dict]:
    """Generators of the gallery, in the tables' order."""
    controls = {g["generator"]: g for g in reversed(summary["generators"]) if g["generator"] in GALLERY_CONTROLS}
    return [*shown_models(summary), *reversed(controls.values())]


def shown_models(summary: dict) -> list[dict]:
    """One mode of each model (with grammar if there is one), the first of them; one that misses something is no other model."""
    models: dict[str, dict] = {}
    for generator in summary["generators"]:
        if generator["kind"] == "model" and generator["generator"] not in summary.get("variants", {}):
            models.setdefault(generator["generator"], generator)
    return list(models.values())[:MAX_MODELS]


@dataclass(frozen=True)
class Alike:
    """Drawings beside the training sprites that are nearest to them; intro: in which way."""

    intro: str
    pairs: tuple[tuple[Tile, Tile], ...]


def memorisation(
    drawings: Drawings, summary: dict, scores: list[dict], training: np.ndarray | None, palette: Palette
) -> tuple[Alike, ...]:
    """The leader's drawings that are most like a training sprite, by pixels and as the judge sees them."""
    if training is None:
        return ()
    found = {metric: memorisation_pairs(drawings, summary, scores, training, palette, metric) for metric in ALIKE}
    return tuple(Alike(_intro(summary, metric), pairs) for metric, pairs in found.items() if pairs)


def _intro(summary: dict, metric: str) -> str:
    held_out = value_of(summary, HELD_OUT, metric)
    return f"{ALIKE[metric]} {percent(held_out['mean']) if held_out else 'an unknown share'} on average."


def memorisation_pairs(
    drawings: Drawings, summary: dict, scores: list[dict], training: np.ndarray, palette: Palette, metric: str
) -> tuple[tuple[Tile, Tile], ...]:
    """The leader's PAIRS drawings of the highest `metric`, a key of ALIKE, each beside its training sprite."""
    first, place = leader(summary["roles"]), metric.replace("training", "training_sprite")
    found = [row for row in scores if row["generator"] == first and row.get(place) is not None]
    found.sort(key=lambda row: (-row["metrics"][metric], row["request_id"], row["mode"]))
    nearest_of_request: dict[str, dict] = {}
    for row in found:
        nearest_of_request.setdefault(row["request_id"], row)
    pairs = []
    for row in list(nearest_of_request.values())[:PAIRS]:
        drawn = drawings.every.get((row["generator"], row["mode"], row["request_id"], row["index"]))
        index, near = row[place], percent(row["metrics"][metric])
        sprite = Sprite(training[index], palette)
        left = tile("drawn", "model", drawings.parse(drawn), drawings.caption(row["request_id"]), f"{near} {NOTES[metric]}")
        pairs.append((left, Tile("training", data_uri(sprite.rgba()), f"training sprite {index}", "honest", f"no. {index}")))
    return tuple(pairs)


@dataclass(frozen=True)
class Whisker:
    """A line of the dot chart; positions in percent of the width."""

    label: str
    kind: str
    mean: float
    low: float
    high: float
    text: str


def whiskers(summary: dict) -> tuple[str, tuple[Whisker, ...]]:
    """(metric label, dots with intervals) of the headline metric; ('', ()) where nothing is sane."""
    metric, lines = headline_metric(summary), []
    if metric is None:
        return "", ()
    for generator in summary["generators"]:
        value = generator["metrics"][metric["name"]]
        if value["n"] and generator["mode"] != "unconstrained":
            lines.append(Whisker(generator_label(generator), generator["kind"], *in_percent(value), percent(value["mean"])))
    return (metric["label"], tuple(lines)) if lines else ("", ())
