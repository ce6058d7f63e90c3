"""Bits per pixel of held-out sprites, and what the caption is worth.

bits per pixel = Σ −log2 p(pixel | pixels before, prompt) / number of pixels, softmax renormalised over the palette's
symbols, palette text excluded: compare only on the same grids in one named palette. Caption gain = bits with a
shuffled (or empty) caption − bits with the right one: above 0 where the model heeds the words. Uniform guessing over
k symbols costs log2 k. Source: C. Shannon, 'A mathematical theory of communication' (1948).
"""

from collections.abc import Iterable, Mapping

import numpy as np

from eval.metrics import intervals
from eval.metrics.intervals import Interval

RIGHT, SHUFFLED, EMPTY = "caption", "shuffled", "empty"
CONDITIONS = (RIGHT, SHUFFLED, EMPTY)
HABITS = ("allowed_mass", "separator_probability", "end_probability")  # shares of probability, right caption only


def by_condition(rows: Iterable[Mapping]) -> dict[str, dict[str, tuple[float, float]]]:
    """Rows of one generator → condition → request_id → (bits, pixels); the last row of a request counts."""
    table: dict[str, dict[str, tuple[float, float]]] = {condition: {} for condition in CONDITIONS}
    for row in rows:
        table[row["condition"]][row["request_id"]] = (row["bits"], row["pixels"])
    return table


def bits_per_pixel(bits: Mapping[str, tuple[float, float]], seed: int = 0) -> Interval:
    """Σ bits / Σ pixels over requests, interval over requests."""
    pairs = np.array(list(bits.values()), np.float64).reshape(-1, 2)
    return intervals.ratio(pairs[:, 0], pairs[:, 1], seed)


def gain(worse: Mapping[str, tuple[float, float]], better: Mapping[str, tuple[float, float]], seed: int = 0) -> Interval:
    """(Σ bits of `worse` − Σ bits of `better`) / Σ pixels over the requests that both have: bits per pixel saved.

    Requests whose pixel counts differ are different grids and are left out.
    """
    both = [key for key in worse if key in better and worse[key][1] == better[key][1]]
    saved = np.array([worse[key][0] - better[key][0] for key in both], np.float64)
    return intervals.ratio(saved, np.array([better[key][1] for key in both], np.float64), seed)


def summary(rows: Iterable[Mapping], seed: int = 0) -> dict[str, Interval]:
    """Everything of one generator: bits by condition, both gains, and the habits of the whole vocabulary."""
    rows = list(rows)
    table = by_condition(rows)
    result = {condition: bits_per_pixel(table[condition], seed) for condition in CONDITIONS}
    result["gain_over_shuffled"] = gain(table[SHUFFLED], table[RIGHT], seed)
    result["gain_over_empty"] = gain(table[EMPTY], table[RIGHT], seed)
    for habit in HABITS:
        values = {r["request_id"]: r[habit] for r in rows if r["condition"] == RIGHT and r.get(habit) is not None}
        result[habit] = intervals.mean(np.array(list(values.values()), np.float64), seed)
    return result
