"""The pictures of a report: sprites as data-URI PNGs, the gallery, memorisation pairs and two small SVG charts.

Pure functions on a run's rows; what they return is plain data for the template, which escapes every text.
"""

import base64
import io
from dataclasses import dataclass, replace

import numpy as np

from data_prep.palette import Palette
from data_prep.sprite import Sprite
from eval.controls import NEAREST
from eval.metrics import validity
from eval.report_tables import generator_label
from eval.report_words import headline_metric, percent
from eval.run_folder import number
from eval.summary import leader

GALLERY_PROMPTS = 10
GALLERY_CONTROLS = (NEAREST, "half erased", "right palette, scrambled shape", "shuffled pixels", "noise")
MAX_MODELS = 12
LEFT_OUT = " − sentence "  # in the names of generators that miss one sentence of their guide
PAIRS = 6
MAX_POINTS = 400


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
        self.references = {row["request_id"]: row for row in reversed(references)}
        self.first: dict[tuple[str, str, str], dict] = {}
        self.every: dict[tuple[str, str, str, int | None], dict] = {}
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
    requests.reverse()
    places = np.unique(np.linspace(0, len(requests) - 1, min(GALLERY_PROMPTS, len(requests))).round().astype(int))
    shown = _shown(summary)
    prompts = []
    for request in (requests[place] for place in places):
        caption = drawings.caption(request)
        tiles = [tile("held-out", "honest", drawings.parse(drawings.references[request]), caption)]
        for generator in shown:
            row = drawings.first.get((generator["generator"], generator["mode"], request))
            label = generator_label(generator).removesuffix(", grammar")
            tiles.append(tile(label, generator["kind"], drawings.parse(row), caption))
        prompts.append(Prompt(caption, tuple(tiles)))
    return tuple(prompts)


def _shown(summary: dict) -> list[dict]:
    """Generators of the gallery, in the tables' order."""
    controls = {g["generator"]: g for g in reversed(summary["generators"]) if g["generator"] in GALLERY_CONTROLS}
    return [*shown_models(summary), *reversed(controls.values())]


def shown_models(summary: dict) -> list[dict]:
    """One mode of each model (with grammar if there is one), the first of them; a guide less one sentence is no other model."""
    models: dict[str, dict] = {}
    for generator in summary["generators"]:
        if generator["kind"] == "model" and LEFT_OUT not in generator["generator"]:
            models.setdefault(generator["generator"], generator)
    return list(models.values())[:MAX_MODELS]


def memorisation_pairs(
    drawings: Drawings, summary: dict, scores: list[dict], training: np.ndarray | None, palette: Palette
) -> tuple[tuple[Tile, Tile], ...]:
    """The leader's drawings that share most pixels with a training sprite, each beside that sprite."""
    first = leader(summary["roles"])
    if training is None or first is None:
        return ()
    found = [row for row in scores if row["generator"] == first and row["nearest_training_sprite"] is not None]
    found.sort(key=lambda row: (-row["metrics"]["nearest_training"], row["request_id"], row["mode"]))
    nearest_of_request: dict[str, dict] = {}
    for row in found:
        nearest_of_request.setdefault(row["request_id"], row)
    pairs = []
    for row in list(nearest_of_request.values())[:PAIRS]:
        drawn = drawings.every.get((first, row["mode"], row["request_id"], row["index"]))
        index, share = row["nearest_training_sprite"], row["metrics"]["nearest_training"]
        sprite = Sprite(training[index], palette)
        left = tile("drawn", "model", drawings.parse(drawn), drawings.caption(row["request_id"]), f"{percent(share)} shared")
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
    metric = headline_metric(summary)
    lines = []
    for generator in summary["generators"] if metric else ():
        value = generator["metrics"][metric["name"]]
        if value["n"] and generator["mode"] != "unconstrained":
            ends = (100 * value[key] for key in ("mean", "low", "high"))
            lines.append(Whisker(generator_label(generator), generator["kind"], *ends, percent(value["mean"])))
    return (metric["label"], tuple(lines)) if lines else ("", ())


@dataclass(frozen=True)
class Curve:
    """A training curve, ready to draw: polyline points and ticks in a 640×220 box, and its words."""

    points: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    x_label: str
    y_label: str
    goal: float | None  # y of the held-out bits
    summary: str


def training_curve(log: list[dict], held_out_bits: float | None) -> Curve | None:
    """Bits per pixel (else per token, else the loss) over sprites (else steps); None below two points."""
    y_name = next((name for name in ("bits_per_pixel", "bits_per_token") if _column(log, name)), "loss")
    y_label = y_name.replace("_", " ")
    x_name = next((name for name in ("sprites", "sprites_seen") if len(_column(log, name)) == len(log)), "step")
    pairs = [(number(row.get(x_name)), number(row.get(y_name))) for row in log]
    pairs = sorted(pair for pair in pairs if None not in pair)
    if len(pairs) < 2:
        return None
    xs, ys = np.array(pairs[:: max(1, len(pairs) // MAX_POINTS)]).T
    goal = held_out_bits if y_name == "bits_per_pixel" else None
    top = 1.05 * max(ys.max(), goal or 0, 1e-9)
    x_of = lambda x: 46 + 580 * (x - xs[0]) / max(xs[-1] - xs[0], 1e-9)  # noqa: E731
    y_of = lambda y: 180 - 168 * max(y, 0) / top  # noqa: E731
    return Curve(
        " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in zip(xs, ys, strict=True)),
        tuple((round(x_of(x), 1), f"{x:,.0f}".replace(",", " ")) for x in np.linspace(xs[0], xs[-1], 5)),
        tuple((round(y_of(y), 1), f"{y:.2g}") for y in np.linspace(0, top / 1.05, 4)),
        "step" if x_name == "step" else "sprites seen",
        y_label,
        None if goal is None else round(y_of(goal), 1),
        f"{y_label} from {ys[0]:.2f} to {ys[-1]:.2f} over {xs[-1]:,.0f} {x_name.removesuffix('_seen')}".replace(",", " "),
    )


@dataclass(frozen=True)
class Trail:
    """Loss against score over training: a line from the first evaluation to the last in a 640×260 box, and its words."""

    points: tuple[tuple[float, float, str], ...]  # x, y, words
    line: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    summary: str


def loss_against_score(log: list[dict]) -> Trail | None:
    """Validation bits across, guide's score up; None below three evaluations that have both."""
    names = ("step", "validation_bits_per_pixel", "guide")
    rows = sorted(row for row in (tuple(number(row.get(name)) for name in names) for row in log) if None not in row)
    if len(rows) < 3:
        return None
    steps, bits, scores = np.array(rows).T
    (left, right), top = _room(bits), max(float(scores.max()), 1e-9)
    xs, ys = 46 + 580 * (bits - left) / (right - left), 210 - 180 * np.maximum(scores, 0) / top
    words = (f"step {s:.0f}: {b:.3f} bits per pixel, guide {g:.3f}" for s, b, g in zip(steps, bits, scores, strict=True))
    by_loss, by_guide = int(bits.argmin()), int(scores.argmax())
    points = [(round(float(x), 1), round(float(y), 1), word) for x, y, word in zip(xs, ys, words, strict=True)]
    drawn = points[:: max(1, len(points) // MAX_POINTS)]  # of the drawing alone: the words are of all evaluations
    return Trail(
        tuple(drawn),
        " ".join(f"{x},{y}" for x, y, _ in drawn),
        tuple((round(46 + 580 * part, 1), f"{left + part * (right - left):.2f}") for part in (0, 0.25, 0.5, 0.75, 1)),
        tuple((round(210 - 180 * part, 1), f"{part * top:.2g}") for part in (0, 0.5, 1)),
        f"lowest validation loss at step {steps[by_loss]:.0f}, where the guide gives {scores[by_loss]:.3f}; "
        f"its highest score, {scores[by_guide]:.3f}, is at step {steps[by_guide]:.0f}",
    )


def _room(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if high - low > 1e-6 else (low - 0.5, high + 0.5)


def _column(log: list[dict], name: str) -> list[float]:
    values = [number(row.get(name)) for row in log]
    return [value for value in values if value is not None]
