"""Worst, median and best drawings by the judge's score, flat and shaded: nothing is shown for being good alone."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from eval.controls import HELD_OUT
from eval.report_pictures import Drawings, Prompt, Tile, prompt, short_label, shown_models, tile

PLACES = ("worst", "median", "best")
PROMPTS = 2  # of each place
OWN = 3  # drawings of each place and model
ENOUGH = len(PLACES) * max(PROMPTS, OWN)


@dataclass(frozen=True)
class Extremes:
    """prompts: ranked by the mean score of all models; own: each model's drawings, ranked by its own scores."""

    prompts: tuple[tuple[str, Prompt], ...]
    own: tuple[tuple[str, tuple[Tile, ...]], ...]


def extremes(drawings: Drawings, summary: dict, scores: list[dict]) -> Extremes | None:
    """None where the judge scored no model's drawings, or on fewer prompts than there is to show."""
    shown = shown_models(summary)
    table = _scores(scores, shown)
    measured = [request for request in drawings.references if any(request in own for own in table.values())]
    if len(measured) < ENOUGH or not any(any(own.values()) for own in table.values()):
        return None
    means = {request: float(np.mean([own[request] for own in table.values() if request in own])) for request in measured}
    prompts = tuple(
        (place, prompt(drawings, request, shown, _notes(request, shown, table))) for place, request in _ranked(means, PROMPTS)
    )
    ranked = [(g, table.get(g["generator"], {})) for g in shown]
    own = tuple((short_label(g), _own(drawings, g, scores)) for g, scores in ranked if len(scores) >= ENOUGH)
    return Extremes(prompts, own)


def _scores(scores: list[dict], shown: list[dict]) -> dict[str, dict[str, float]]:
    """Generator → request id → judge's score of its first drawing; 0 for what could not be read.

    Without the prompts whose held-out sprite has no score, and the drawings that can be read and have none: the judge
    does not know what was asked for, or the size.
    """
    modes, table = {g["generator"]: g["mode"] for g in shown}, defaultdict(dict)
    known = {row["request_id"] for row in scores if row["generator"] == HELD_OUT and row["metrics"]["judge_score"] is not None}
    for row in scores:
        if modes.get(row["generator"]) == row["mode"] and row["request_id"] in known:
            table[row["generator"]].setdefault(row["request_id"], _score(row))
    return {name: {request: s for request, s in own.items() if s is not None} for name, own in table.items()}


def _score(row: dict) -> float | None:
    return row["metrics"].get("judge_score") if row["metrics"]["lenient_valid"] else 0.0


def _ranked(values: dict[str, float], count: int) -> list[tuple[str, str]]:
    """(place, request id): `count` from the bottom, from the middle and from the top, worst first; no request twice."""
    order = sorted(values, key=lambda request: (values[request], request))
    middle = (len(order) - count) // 2
    spots = {"worst": order[:count], "median": order[middle : middle + count], "best": order[-count:]}
    return [(place, request) for place in PLACES for request in spots[place]]


def _notes(request: str, shown: list[dict], table: dict[str, dict[str, float]]) -> dict[str, str]:
    scores = {g["generator"]: table.get(g["generator"], {}).get(request) for g in shown}
    return {name: "no score" if score is None else f"score {score:.2f}" for name, score in scores.items()}


def _own(drawings: Drawings, generator: dict, scores: dict[str, float]) -> tuple[Tile, ...]:
    tiles = []
    for place, request in _ranked(scores, OWN):
        parsed = drawings.parse(drawings.first.get((generator["generator"], generator["mode"], request)))
        caption = drawings.caption(request)
        tiles.append(tile(f"{place}, {scores[request]:.2f}", "model", parsed, caption, caption, lit=True))
    return tuple(tiles)
