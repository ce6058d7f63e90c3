"""The cells of the coverage table (zone, category): alive or dead.

alive   drawings of this cell are recognised more often than guessing would be: the lower end of the exact 95 % interval
        (C. Clopper and E. Pearson, 1934) of the share that `judge` takes for a sprite and names rightly lies above
        1 / categories; and their mean quality lies above the bar, the mean quality of the degenerate control that `judge`
        likes best. The first alone would let odd heaps pass that look like one category to the critic.
dead    the same could not be shown with MIN_DRAWINGS or more
open    the same could not be shown with fewer; nothing was learnt about the cell
The unit is the prompt where each has one drawing; several drawings of one prompt make the interval too narrow, so the
share is taken over prompts: the first drawing of each counts.
"""

from collections import defaultdict
from collections.abc import Sequence

from eval.metrics.intervals import LEVEL

MIN_DRAWINGS = 10
ALIVE, DEAD, OPEN = "alive", "dead", "open"


def exact(hits: int, n: int) -> tuple[float, float]:
    """Clopper and Pearson's interval for `hits` of `n`, n > 0."""
    from scipy.stats import binomtest

    low, high = binomtest(hits, n).proportion_ci(LEVEL)
    return float(low), float(high)


def state(hits: int, n: int, quality: float, chance: float, bar: float) -> str:
    if n and exact(hits, n)[0] > chance and quality > bar:
        return ALIVE
    return DEAD if n >= MIN_DRAWINGS else OPEN


def cells(scored: Sequence[dict], asked: dict[str, tuple[str, str]], categories: Sequence[str], bar: float) -> list[dict]:
    """Rows of scores.jsonl and request id → (zone, category) asked for → one row a generator, mode and cell.

    A drawing that could not be read counts as not recognised, of quality 0: a cell of broken rows is not alive. One that
    can be read and was not judged, being of a size that the judge was never taught, says nothing and is left out.
    """
    groups: dict[tuple, dict[str, dict]] = defaultdict(dict)
    for row in scored:
        zone, category = asked.get(row["request_id"], (None, None))
        unjudged = row["metrics"]["judge_quality"] is None and row["metrics"]["lenient_valid"]
        if zone and category in categories and not unjudged:
            groups[row["generator"], row["mode"], zone, category].setdefault(row["request_id"], row["metrics"])
    found = []
    for key, drawings in groups.items():
        n, values = len(drawings), list(drawings.values())
        hits = sum(metrics["recognised"] == 1 for metrics in values)
        quality = sum(metrics["judge_quality"] or 0.0 for metrics in values) / n
        zones = [metrics["zone_right"] for metrics in values if metrics["zone_right"] is not None]
        low, high = exact(hits, n)
        found.append(
            {
                **dict(zip(("generator", "mode", "zone", "category"), key, strict=True)),
                "recognised": {"mean": hits / n, "low": low, "high": high, "n": n},
                "zone_right": sum(zones) / len(zones) if zones else None,
                "quality": quality,
                "state": state(hits, n, quality, 1 / max(len(categories), 1), bar),
            }
        )
    return found
