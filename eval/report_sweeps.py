"""Rounds of self-refinement and temperatures: the same generator again, with one thing turned, as charts and tables."""

import json
import re

import numpy as np

from eval.controls import HELD_OUT
from eval.metrics import intervals
from eval.report_charts import MAX_SERIES, Series, lines
from eval.report_paired import SHOWN, change_cell, difference, means
from eval.report_tables import (
    ARROWS,
    NOTHING,
    Cell,
    Chart,
    Column,
    Row,
    Section,
    Table,
    comparable,
    format_value,
    interval_cell,
)
from eval.report_words import percent
from eval.run_folder import number as finite

SCORE = "judge_score"
TIPPED = 0.05  # a share whose whole interval lies above this is called collapse or static
STATIC_QUANTILE = 0.99  # of the held-out sprites' lonely pixels
OF_A_ROUND = ("recognised", SCORE, "judge_quality", "colour_right", "speckle", "size_in_frame", "seconds", "tokens")
OF_A_TEMPERATURE = ("empty", "duplicate", "speckle", "judge_quality", "recognised", SCORE)


def rounds(run) -> Section:
    """Score by round, and the paired change from round 0; no tables in a run without rounds."""
    families = _round_families(run.summary)
    tables = tuple(_round_table(run, name, members) for name, members in families.items())
    chart = _rounds_chart(run, families) if families else None
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


def _is_legacy(metric: dict) -> bool:
    return metric["sane"] is False


def _columns(metrics: list[dict]) -> tuple[Column, ...]:
    marks = ((m, ARROWS[m["direction"]] + (" legacy" if _is_legacy(m) else "")) for m in metrics)
    return tuple(Column(m["label"], mark, m["says"], _is_legacy(m)) for m, mark in marks)


def _round_table(run, name: str, members: list[tuple[int, dict]]) -> Table:
    metrics, requests = _metrics(run.summary, OF_A_ROUND), list(run.prompts)
    first = members[0][1]
    rows = []
    for place, generator in members:
        shown = [interval_cell(generator["metrics"][m["name"]], m["unit"], generator["prompts"], _is_legacy(m)) for m in metrics]
        rows.append(Row(f"round {place}", "model", (Cell(str(generator["prompts"])), Cell(_redrawn(run, generator)), *shown)))
    for place, generator in members[1:]:
        cells = [Cell(str(generator["prompts"])), Cell("")]
        for metric in metrics:
            values = (means(run.by_generator, _key(one), metric["name"], requests) for one in (generator, first))
            gap = difference(*values, metric["name"], run.summary["seed"])
            cells.append(change_cell(gap, metric["unit"], generator["prompts"], _is_legacy(metric)))
        rows.append(Row(f"round {place} − round 0", "honest", tuple(cells)))
    columns = (Column("round"), Column("n", says="prompts"), Column("drawn again"), *_columns(metrics))
    return Table(name, "", columns, tuple(rows))


def _key(generator: dict) -> tuple[str, str]:
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


def _rounds_chart(run, families: dict) -> Chart | None:
    series, words = [], []
    for name, members in families.items():
        points = [(place, g["metrics"][SCORE]) for place, g in members if g["metrics"].get(SCORE, {}).get("n")]
        if len(points) > 1:
            series.append(Series(name, tuple((x, *(100 * y[end] for end in ("mean", "low", "high"))) for x, y in points)))
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
    entries = run.recipe["generators"] if isinstance(run.recipe.get("generators"), dict) else {}
    drawn = {g["generator"]: g for g in reversed(comparable(run.summary)) if g["kind"] == "model"}
    found: dict[str, dict[float, dict]] = {}
    for name, what in entries.items():
        heat = finite(what.get("temperature", run.recipe.get("temperature"))) if isinstance(what, dict) else None
        if heat is not None and name in drawn:
            same = {key: value for key, value in what.items() if key not in ("temperature", "leave_out")}
            found.setdefault(json.dumps(same, sort_keys=True, default=str), {}).setdefault(heat, drawn[name])
    swept = [sorted(members.items()) for members in found.values() if len(members) > 1]
    return {min((g["generator"] for _, g in members), key=len): members for members in swept}


def static_bar(run) -> float | None:
    """The share of lonely pixels that one held-out sprite in a hundred exceeds; None without held-out sprites."""
    own = (row["metrics"].get("speckle") for row in run.scores if row["generator"] == HELD_OUT)
    values = [value for value in own if value is not None]
    return float(np.quantile(values, STATIC_QUANTILE)) if values else None


def static_share(run, key: tuple[str, str], bar: float) -> intervals.Interval:
    """Interval of the share of drawings above the bar, over prompts."""
    speckle = means(run.by_generator, key, "speckle", list(run.prompts))
    static = np.where(np.isnan(speckle), np.nan, speckle > bar)
    return intervals.share(np.nan_to_num(static), np.isfinite(static).astype(float), run.summary["seed"])


def _sweep(run, name: str, members: list[tuple[float, dict]], bar: float | None, number: int) -> tuple[Table, Chart]:
    metrics = _metrics(run.summary, OF_A_TEMPERATURE)
    static = {heat: static_share(run, _key(g), bar).to_json() if bar is not None else _none() for heat, g in members}
    rows = [_sweep_row(f"{heat:g}", "model", generator, static[heat], metrics) for heat, generator in members]
    held_out = next((g for g in run.summary["generators"] if g["generator"] == HELD_OUT), None)
    if held_out is not None and bar is not None:
        own = static_share(run, _key(held_out), bar).to_json()
        rows.append(_sweep_row(HELD_OUT, "honest", held_out, own, metrics))
    says = "more lonely pixels than nearly all held-out sprites"
    columns = (Column("temperature"), Column("n", says="prompts"), Column("static", "↓", says), *_columns(metrics))
    verdict = _tipping([(heat, g["metrics"]["empty"], static[heat]) for heat, g in members])
    return Table(name, "", columns, tuple(rows)), _sweep_chart(f"heat-{number}", name, members, static, verdict)


def _none() -> dict:
    return intervals.NOTHING.to_json()


def _sweep_row(label: str, kind: str, generator: dict, static: dict, metrics: list[dict]) -> Row:
    n = generator["prompts"]
    cells = [interval_cell(generator["metrics"][m["name"]], m["unit"], n, _is_legacy(m)) for m in metrics]
    return Row(label, kind, (Cell(str(n)), interval_cell(static, "%", n), *cells))


def _tipping(shares: list[tuple[float, dict, dict]]) -> str:
    """'Collapses to empty at 0.4 (12 %); tips into static from 1.3 (45 %).'"""
    said = []
    for place, what in ((1, "collapses to empty"), (2, "tips into static")):
        hit = [(row[0], row[place]) for row in shares if row[place]["n"] and row[place]["low"] > TIPPED]
        listed = ", ".join(f"{heat:g} ({percent(share['mean'])})" for heat, share in hit)
        said.append(f"{what} at {listed}" if hit else f"{what} nowhere")
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}, from {shares[0][0]:g} to {shares[-1][0]:g}."


def _sweep_chart(key: str, name: str, members: list[tuple[float, dict]], static: dict, verdict: str) -> Chart:
    drawn = {
        "recognised": [(heat, g["metrics"]["recognised"]) for heat, g in members],
        "static": list(static.items()),
        "empty": [(heat, g["metrics"]["empty"]) for heat, g in members],
    }
    series, words = [], []
    for label, points in drawn.items():
        own = [(x, *(100 * y[end] for end in ("mean", "low", "high"))) for x, y in points if y["n"]]
        if own:
            series.append(Series(label, tuple(own)))
            words.append(f"{label} " + ", ".join(f"{format_value(y / 100, '%')} at {x:g}" for x, y, *_ in own))
    said = f"{name} by temperature, with 95 % intervals: {'; '.join(words)}. {verdict}"
    return lines(key, series, "temperature", "% of drawings", said, [heat for heat, _ in members])
