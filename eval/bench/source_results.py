"""The published source results, AINovice2005/pixel-art-bench-v1: read whatever is in them, and every published figure made again.

    pixelreef bench source AINovice2005/pixel-art-bench-v1 --out runs/source       from the hub
    pixelreef bench source results.parquet --out runs/source                        or parquet, JSON, JSON lines, a folder

Rows are other people's: 161 of 1,675 are ragged, heights go up to 5,779, palettes to 5,668 entries. No row stops it; what a
row lacks is counted instead. The legacy formulas are taken with the row's own height and width, as published.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from data_prep.bench_format import SIDE
from data_prep.errors import InputError
from eval.bench import legacy
from eval.bench.answers import Answer, is_asked_size, picture_of, rows_of
from eval.bench.structure import judged
from eval.bench.tables import read_table
from eval.metrics import intervals

CORRELATED = ("palette_validity", "colour_efficiency", "edge_density", "normalised_entropy", "fill_balance")
PUBLISHED = {  # Pearson correlations over the source results, as published
    ("palette_validity", "colour_efficiency"): -0.47,
    ("edge_density", "colour_efficiency"): 0.42,
    ("edge_density", "fill_balance"): 0.40,
    ("colour_efficiency", "normalised_entropy"): 0.26,
    ("colour_efficiency", "fill_balance"): 0.23,
    ("palette_validity", "edge_density"): -0.23,
    ("palette_validity", "normalised_entropy"): -0.24,
    ("palette_validity", "fill_balance"): 0.11,
    ("edge_density", "normalised_entropy"): -0.01,
    ("normalised_entropy", "fill_balance"): -0.02,
}
RADAR_MODELS = 5
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
COSTS = ("cost", "generation_time", "output_tokens", "total_tokens")
NO_MODEL = "(no model named)"


@dataclass(frozen=True, eq=False)
class Result:
    """One row. rows, palette: as lists, empty where there were none; height, width: as the row states them, else as it has
    them; costs: numbers by name, NaN where there is none; faults: what is wrong with it, in words of FAULTS."""

    model: str
    rows: list[list]
    palette: list
    height: int
    width: int
    costs: dict[str, float]

    @cached_property
    def metrics(self) -> dict[str, float | None]:
        return legacy.measures(self.rows, self.palette, self.height, self.width)

    @cached_property
    def faults(self) -> tuple[str, ...]:
        return tuple(name for name, is_so in FAULTS.items() if is_so(self))

    @cached_property
    def ours(self) -> dict[str, float] | None:
        """continuity and structure; None where it is no drawing of 24×24."""
        picture = picture_of(Answer(True, None, {}, self.rows or None, self.palette or None))
        if picture is None or not is_asked_size(picture) or not picture.is_whole:
            return None
        return judged(picture.grid, picture.lab)


FAULTS: dict[str, Callable[[Result], bool]] = {
    "no grid": lambda r: not r.rows,
    "ragged": lambda r: len({len(row) for row in r.rows}) > 1,
    "not 24 rows": lambda r: len(r.rows) != SIDE,
    "a row of other than 24": lambda r: any(len(row) != SIDE for row in r.rows),
    "a cell that is no integer": lambda r: any(legacy.integer(cell) is None for row in r.rows for cell in row),
    "no palette": lambda r: not r.palette,
    "one colour": lambda r: len(r.palette) == 1,
    "more than 10 colours": lambda r: len(r.palette) > 10,
    "states another size than it has": lambda r: (r.height, r.width) != _size(r.rows),
}


def load(source: str) -> list[Result]:
    """Raises InputError where nothing is there to read, or no row has a grid."""
    found = [result_of(row) for row in read_table(source)]
    if not any(result.rows for result in found):
        raise InputError(
            f"{source}: no row has a 'grid'; the source results have model_name, palette, grid, height, width, cost …"
        )
    return found


def result_of(row: dict) -> Result:
    """Total: any row is one, however little is in it."""
    rows = rows_of(_list(row.get("grid"))) or []
    height, width = _size(rows)
    return Result(
        _word(row.get("model_name")) or _word(row.get("model_slug")) or NO_MODEL,
        rows,
        _list(row.get("palette")),
        _whole(row.get("height"), height),
        _whole(row.get("width"), width),
        {name: _number(row.get(name)) for name in COSTS},
    )


def _list(value) -> list:
    """Lists and arrays as lists; a JSON text of one too. Rows that are arrays become lists."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return []
    value = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return []
    return [cell.tolist() if hasattr(cell, "tolist") else cell for cell in value]


def _word(value) -> str:
    return value.strip()[:200] if isinstance(value, str) else ""


def _whole(value, otherwise: int) -> int:
    number = _number(value)
    return int(number) if np.isfinite(number) and number == int(number) else otherwise


def _number(value) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return float("nan")
    try:
        return float(value)
    except OverflowError:
        return float("nan")


def _size(rows: list[list]) -> tuple[int, int]:
    return len(rows), max(map(len, rows), default=0)


def column(results: Sequence[Result], name: str) -> np.ndarray:
    """(N,) of one legacy metric, NaN where it is undefined."""
    values = (result.metrics[name] for result in results)
    return np.array([np.nan if value is None else value for value in values], float)


def by_model(results: Sequence[Result]) -> dict[str, list[Result]]:
    """model → its rows, the highest mean quality first; those without any quality at the end."""
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.model, []).append(result)
    return dict(sorted(found.items(), key=lambda item: (-_mean(column(item[1], legacy.QUALITY)), item[0])))


def _mean(values: np.ndarray) -> float:
    kept = values[np.isfinite(values)]
    return float(kept.mean()) if kept.size else float("-inf")


def correlations(results: Sequence[Result]) -> dict[tuple[str, str], float | None]:
    """Pearson's over the rows where all of CORRELATED are defined; None where one of a pair never varies."""
    table = np.stack([column(results, name) for name in CORRELATED], 1)
    table = table[np.isfinite(table).all(1)]
    return {pair: _pearson(*(table[:, CORRELATED.index(name)] for name in pair)) for pair in PUBLISHED}


def _pearson(a: np.ndarray, b: np.ndarray) -> float | None:
    if len(a) < 3 or a.std() < 1e-12 or b.std() < 1e-12:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def radar(results: Sequence[Result]) -> dict[str, dict[str, float]]:
    """The published chart: the five models of the highest mean quality, each metric min–max over those five.

    Models without any quality are none of them.
    """
    means = {}
    for model, rows in list(by_model(results).items())[:RADAR_MODELS]:
        if np.isfinite(column(rows, legacy.QUALITY)).any():
            means[model] = {name: _mean(column(rows, name)) for name in legacy.NAMES}
    found: dict[str, dict[str, float]] = {model: {} for model in means}
    for name in legacy.NAMES:
        values = [mean[name] for mean in means.values()]
        low, high = min(values), max(values)
        for model, mean in means.items():
            found[model][name] = (mean[name] - low) / (high - low) if high > low else 0.0
    return found


def distributions(results: Sequence[Result]) -> dict[str, list[float]]:
    """metric → its QUANTILES, where there is any."""
    columns = {name: column(results, name) for name in (*legacy.NAMES, legacy.QUALITY)}
    columns |= {"rows of the grid": np.array([len(r.rows) for r in results], float)}
    columns |= {"entries of the palette": np.array([len(r.palette) for r in results], float)}
    kept = {name: values[np.isfinite(values)] for name, values in columns.items()}
    return {name: np.quantile(values, QUANTILES).tolist() for name, values in kept.items() if values.size}


def robustness(results: Sequence[Result]) -> dict[str, dict[str, float]]:
    """model → fault → share of its rows; 'all' for all of them."""
    groups = {"all": list(results), **by_model(results)}
    return {model: {name: float(np.mean([name in r.faults for r in rows])) for name in FAULTS} for model, rows in groups.items()}


def costs(results: Sequence[Result]) -> dict[str, dict[str, float | None]]:
    """model → mean of each of COSTS, and the cost of a drawing that is whole: 24×24 and every cell in the palette."""
    found = {}
    for model, rows in by_model(results).items():
        sums = {name: np.array([row.costs[name] for row in rows]) for name in COSTS}
        told = {name: _mean(values) if np.isfinite(values).any() else None for name, values in sums.items()}
        whole = sum(is_whole(row) for row in rows)
        paid = np.nansum(sums["cost"]) if np.isfinite(sums["cost"]).any() else None
        found[model] = {**told, "cost_of_a_whole_drawing": float(paid / whole) if whole and paid is not None else None}
    return found


def is_whole(result: Result) -> bool:
    """What prompt A asks for: 24 rows of 24 and 2 to 10 colours, of which every cell is one."""
    none_of = {"no grid", "ragged", "not 24 rows", "a row of other than 24", "a cell that is no integer", "more than 10 colours"}
    return len(result.palette) > 1 and not none_of.intersection(result.faults) and result.metrics["palette_validity"] == 1.0


def quality_of(rows: Sequence[Result]) -> tuple[intervals.Interval, float]:
    """Mean quality with its bootstrap interval over rows, and the share of rows that were dropped from it."""
    values = column(rows, legacy.QUALITY)
    return intervals.mean(values), float(np.isnan(values).mean())


def structure_of(rows: Sequence[Result]) -> intervals.Interval:
    """Our structure, 0 for what is no drawing of 24×24; nothing where all rows are."""
    return intervals.mean(np.array([row.ours["structure"] if row.ours else 0.0 for row in rows]))
