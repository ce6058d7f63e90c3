"""Differences prompt by prompt, with paired bootstrap intervals: of two generators of a run, or of two runs."""

from collections.abc import Iterable, Sequence

import numpy as np

from eval.metrics.intervals import Interval
from eval.report_tables import NOTHING, Cell, span
from eval.report_words import NO_BREAK

SHOWN = "*"  # behind a difference whose interval leaves out 0, so that it is not told by colour alone
Key = tuple[str, str]  # generator, mode
Scores = dict[Key, dict[str, list[dict]]]  # request id → metrics of its drawings


def by_generator(scores: Iterable[dict]) -> Scores:
    """The rows of scores.jsonl, ready to be looked up."""
    found: Scores = {}
    for row in scores:
        own = found.setdefault((row["generator"], row["mode"]), {})
        own.setdefault(row["request_id"], []).append(row["metrics"])
    return found


def means(scores: Scores, key: Key, metric: str, requests: Sequence[str]) -> np.ndarray:
    """(requests,) mean over the drawings of each prompt, NaN where none was measured."""
    own = scores.get(key, {})
    values = ([m[metric] for m in own.get(request, ()) if m.get(metric) is not None] for request in requests)
    return np.array([np.mean(each) if each else np.nan for each in values], np.float64)


def is_noise(gap: Interval) -> bool:
    """Does the interval hold 0? So too where it is no number."""
    return gap.low is None or gap.high is None or not (gap.low > 0 or gap.high < 0)


def change_cell(gap: Interval, unit: str, row_n: int, grey: bool = False) -> Cell:
    """'+3 *' with '1–5' under it: percentage points for shares, three digits for the rest; grey where it may be noise."""
    if gap.mean is None or gap.low is None or gap.high is None:
        return Cell(NOTHING, grey=True)
    count = "" if gap.n == row_n else f", n{NO_BREAK}{gap.n}"
    mark = "" if is_noise(gap) else f"{NO_BREAK}{SHOWN}"
    ends = span(change_text(gap.low, unit), change_text(gap.high, unit))
    return Cell(f"{signed(gap.mean, unit)}{mark}", f"{ends}{count}", grey or is_noise(gap))


def signed(value: float, unit: str) -> str:
    return f"{'+' if value > 0 else ''}{change_text(value, unit)}"


def change_text(value: float, unit: str) -> str:
    """Shares in percentage points."""
    digits = 1 if unit == "%" else 3
    return f"{round(100 * value if unit == '%' else value, digits) + 0.0:.{digits}f}".replace("-", "−")
