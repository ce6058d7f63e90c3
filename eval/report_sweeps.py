"""Rounds of self-refinement and temperatures: the same generator again, with one thing turned, as charts and tables."""

import json
import re

import numpy as np

from eval.controls import HELD_OUT
from eval.metrics import intervals
from eval.report_charts import MAX_SERIES, Series, lines
from eval.report_paired import SHOWN, Key, change_cell, means
from eval.report_tables import (
    NOTHING,
    Cell,
    Chart,
    Column,
    Row,
    Section,
    Table,
    comparable,
    decides_nothing,
    format_value,
    in_percent,
    interval_cell,
    metric_cells,
    metric_column,
)
from eval.report_words import percent, sentence
from eval.run_folder import number as finite
from eval.summary import difference, entries

SCORE = "judge_score"
TIPPED = 0.05  # a share whose whole interval lies above this is called collapse or static
STATIC_QUANTILE = 0.99  # of the held-out sprites' lonely pixels
OF_A_ROUND = ("recognised", SCORE, "judge_quality", "colour_right", "speckle", "size_in_frame", "seconds", "tokens")
OF_A_TEMPERATURE = ("empty", "duplicate", "speckle", "judge_quality", "recognised", SCORE)


def rounds(run) -> Section:
    """Score by round, and the paired change from round 0; no tables in a run without rounds."""
    families = _round_families(run.summary)
    tables = tuple(_round_table(run, name, members) for name, members in families.items())
    chart = _rounds_chart(families)
    intro = (
        "A drawing goes back into the chat with what plain measures find wrong with it, and it draws again. Round 0 is the "
        "plain drawing; what has no such fault stands as it is. Below the rounds, their change from round 0 on the same prompts, "
        f"in percentage points for shares; {SHOWN} marks one whose 95 % interval leaves out 0. Seconds and tokens add up."
    )
    return Section("rounds", "Rounds of self-refinement", intro if families else "", tables, (chart,) if chart else ())


def _round_families(summary: dict) -> dict[str, list[tuple[int, dict]]]:
    """Name without its round → (round, generator) in order; those with a round 0 and one more."""
    found: dict[str, list] = {}
    for generator in comparable(summary):
        match = re.fullmatch(r"(.+), round (\d{1,3})", generator["generator"])
        if match and generator["kind"] == "model":
            found.setdefault(match[1], []).append((int(match[2]), generator))
    ordered = {name: sorted(members, key=lambda member: member[0]) for name, members in found.items()}
    return {name: members for name, members in ordered.items() if members[0][0] == 0 and len(members) > 1}


def _metrics(summary: dict, names: tuple[str, ...]) -> list[dict]:
    described = {metric["name"]: metric for metric in summary["metrics"]}
    return [described[name] for name in names if name in described]


def _round_table(run, name: str, members: list[tuple[int, dict]]) -> Table:
    metrics, requests = _metrics(run.summary, OF_A_ROUND), list(run.prompts)
    first = members[0][1]
    rows = []
    for place, generator in members:
        told = Cell(str(generator["prompts"])), Cell(_redrawn(run, generator))
        rows.append(Row(f"round {place}", "model", (*told, *metric_cells(generator, metrics))))
    for place, generator in members[1:]:
        cells = [Cell(str(generator["prompts"])), Cell("")]
        for metric in metrics:
            later, before = (means(run.by_generator, _key(one), metric["name"], requests) for one in (generator, first))
            gap = difference(later, before, metric["name"], run.summary["seed"])
            cells.append(change_cell(gap, metric["unit"], generator["prompts"], decides_nothing(metric)))
        rows.append(Row(f"round {place} − round 0", "honest", tuple(cells)))
    columns = (Column("round"), Column("n", says="prompts"), Column("drawn again"), *map(metric_column, metrics))
    return Table(name, "", columns, tuple(rows))


def _key(generator: dict) -> Key:
    return generator["generator"], generator["mode"]


def _redrawn(run, generator: dict) -> str:
    """Share of the drawings whose text differs from the round before."""
    name, place = generator["generator"].rsplit(" ", 1)
    if place == "0":
        return NOTHING
    texts: dict[str, dict] = {}
    for row in run.completions:
        if row["mode"] == generator["mode"] and row["generator"] in (generator["generator"], f"{name} {int(place) - 1}"):
            texts.setdefault(row["generator"], {}).setdefault(row["request_id"], row.get("text"))
    now, before = texts.get(generator["generator"], {}), texts.get(f"{name} {int(place) - 1}", {})
    both = [request for request in now if request in before]
    return percent(np.mean([now[request] != before[request] for request in both])) if both else NOTHING


def _rounds_chart(families: dict) -> Chart | None:
    series, words = [], []
    for name, members in families.items():
        points = [(place, g["metrics"][SCORE]) for place, g in members if g["metrics"].get(SCORE, {}).get("n")]
        if len(points) > 1:
            series.append(Series(name, tuple((x, *in_percent(y)) for x, y in points)))
            words.append(f"{name}: " + ", ".join(f"{percent(y['mean'])} in round {x}" for x, y in points))
    if not series:
        return None
    ticks = sorted({place for members in families.values() for place, _ in members})
    said = f"Judge's score by round, with 95 % intervals. {'; '.join(words)}."
    return lines("rounds", series[:MAX_SERIES], "round", "judge's score, %", said, ticks)


def temperatures(run) -> Section:
    """Generators that differ in temperature alone: where they collapse to empty, where they tip into static."""
    families = _temperature_families(run)
    bar = static_bar(run)
    found = [_sweep(run, name, members, bar, number) for number, (name, members) in enumerate(families.items())]
    tables, charts = tuple(table for table, _ in found), tuple(chart for _, chart in found)
    intro = (
        f"Static: more lonely pixels (opaque, without a neighbour of their colour) than {percent(STATIC_QUANTILE)} of this run's "
        f"held-out sprites, here {percent(bar)}; what does not parse is neither. Called collapsed to empty, or tipped into "
        f"static, where the whole 95 % interval of the share lies above {percent(TIPPED)}."
        if families and bar is not None
        else "No held-out sprites to tell static by."
    )
    return Section("temperatures", "Temperature sweep", intro if families else "", tables, charts)


def _temperature_families(run) -> dict[str, list[tuple[float, dict]]]:
    """Name of the first → (temperature, generator) by temperature; two temperatures at least."""
    drawn = {g["generator"]: g for g in reversed(comparable(run.summary)) if g["kind"] == "model"}
    found: dict[str, dict[float, dict]] = {}
    for name, what in entries(run.recipe).items():
        heat = finite(what.get("temperature", run.recipe.get("temperature"))) if isinstance(what, dict) else None
        if heat is not None and name in drawn:
            same = {key: value for key, value in what.items() if key not in ("temperature", "leave_out")}
            found.setdefault(json.dumps(same, sort_keys=True, default=str), {}).setdefault(heat, drawn[name])
    swept = [sorted(members.items(), key=lambda member: member[0]) for members in found.values() if len(members) > 1]
    return {min((g["generator"] for _, g in members), key=len): members for members in swept}


def static_bar(run) -> float | None:
    """The share of lonely pixels that one held-out sprite in a hundred exceeds; None without held-out sprites."""
    own = (row["metrics"].get("speckle") for row in run.scores if row["generator"] == HELD_OUT)
    values = [value for value in own if value is not None]
    return float(np.quantile(values, STATIC_QUANTILE)) if values else None


def static_share(run, key: Key, bar: float | None) -> intervals.Interval:
    """Interval of the share of drawings above the bar, over prompts; nothing is measured without one."""
    if bar is None:
        return intervals.NOTHING
    speckle = means(run.by_generator, key, "speckle", list(run.prompts))
    static = np.where(np.isnan(speckle), np.nan, speckle > bar)
    return intervals.share(np.nan_to_num(static), np.isfinite(static).astype(float), run.summary["seed"])


def _sweep(run, name: str, members: list[tuple[float, dict]], bar: float | None, number: int) -> tuple[Table, Chart]:
    metrics = _metrics(run.summary, OF_A_TEMPERATURE)
    static = {heat: static_share(run, _key(g), bar).to_json() for heat, g in members}
    rows = [_sweep_row(f"{heat:g}", "model", generator, static[heat], metrics) for heat, generator in members]
    held_out = next((g for g in run.summary["generators"] if g["generator"] == HELD_OUT), None)
    if held_out is not None and bar is not None:
        own = static_share(run, _key(held_out), bar).to_json()
        rows.append(_sweep_row(HELD_OUT, "honest", held_out, own, metrics))
    says = "more lonely pixels than nearly all held-out sprites"
    columns = (Column("temperature"), Column("n", says="prompts"), Column("static", "↓", says), *map(metric_column, metrics))
    verdict = _tipping({heat: g["metrics"]["empty"] for heat, g in members}, static)
    return Table(name, "", columns, tuple(rows)), _sweep_chart(f"heat-{number}", name, members, static, verdict)


def _sweep_row(label: str, kind: str, generator: dict, static: dict, metrics: list[dict]) -> Row:
    n = generator["prompts"]
    return Row(label, kind, (Cell(str(n)), interval_cell(static, "%", n), *metric_cells(generator, metrics)))


def _tipping(empty: dict[float, dict], static: dict[float, dict]) -> str:
    """'Collapses to empty at 0.4 (12 %); tips into static nowhere, from 0.4 to 1.3.' of shares by temperature."""
    said = []
    for what, shares in (("collapses to empty", empty), ("tips into static", static)):
        hit = [f"{heat:g} ({percent(share['mean'])})" for heat, share in shares.items() if share["n"] and share["low"] > TIPPED]
        said.append(f"{what} at {', '.join(hit)}" if hit else f"{what} nowhere")
    heats = list(static)
    return f"{sentence('; '.join(said))}, from {heats[0]:g} to {heats[-1]:g}."


def _sweep_chart(key: str, name: str, members: list[tuple[float, dict]], static: dict, verdict: str) -> Chart:
    drawn = {
        "recognised": [(heat, g["metrics"]["recognised"]) for heat, g in members],
        "static": list(static.items()),
        "empty": [(heat, g["metrics"]["empty"]) for heat, g in members],
    }
    series, words = [], []
    for label, points in drawn.items():
        own = [(x, *in_percent(y)) for x, y in points if y["n"]]
        if own:
            series.append(Series(label, tuple(own)))
            words.append(f"{label} " + ", ".join(f"{format_value(y / 100, '%')} at {x:g}" for x, y, *_ in own))
    said = f"{name} by temperature, with 95 % intervals: {'; '.join(words)}. {verdict}"
    return lines(key, series, "temperature", "% of drawings", said, [heat for heat, _ in members])
