"""Cost against quality: what a drawing costs in seconds and tokens, what training cost, and what the judge says of it."""

import numpy as np

from eval.report_charts import numbered
from eval.report_tables import (
    NOTHING,
    Cell,
    Chart,
    Column,
    Row,
    Section,
    Table,
    comparable,
    format_value,
    in_percent,
    interval_cell,
)
from eval.report_words import percent, sprites_seen
from eval.run_folder import number, seconds_in

SCORE = "judge_score"
AXES = {"seconds": "seconds a drawing", "tokens": "tokens a drawing"}
UNITS = {"seconds": "s", "tokens": ""}


def cost(run) -> Section:
    """Two charts and their table; no tables where no model has both a cost and a score."""
    metrics = {metric["name"]: metric for metric in run.summary["metrics"]}
    shown = [g for g in comparable(run.summary) if g["kind"] == "model" and _is_measured(g)]
    if SCORE not in metrics or not shown:
        return Section("cost", "", "", ())
    training = training_seconds(run)
    bare = "none" if isinstance(run.recipe.get("training_seconds"), dict) else NOTHING
    rows = []
    for place, generator in enumerate(shown, 1):
        trained = generator["generator"] in training
        spent = training.get(generator["generator"])
        cells = (interval_cell(generator["metrics"][name], metrics[name]["unit"]) for name in (*AXES, SCORE))
        label = f"{place}  {generator['generator']}"
        told = Cell(_minutes(spent) if spent is not None else NOTHING if trained else bare)
        rows.append(Row(label, "model", (Cell(str(generator["prompts"])), told, *cells)))
    measured = (Column("seconds", "↓"), Column("tokens", "↓"), Column(metrics[SCORE]["label"], "↑"))
    columns = (Column("drawn by"), Column("n", says="prompts"), Column("training"), *measured)
    intro = (
        "Wall clock and tokens of one drawing with everything that it took: all candidates of a best-of-n, all rounds up to this "
        "one. Seconds are those of the machine that drew, and of its load; tokens are the same anywhere, but a token of a "
        "language model is more work than one of a small transformer. Training: wall clock of the weights' own training by its "
        f"log, 'none' for a bare base model, whose pretraining is not counted, '{NOTHING}' where only a last part was logged."
    )
    table = Table("Cost against quality", intro, columns, tuple(rows))
    return Section.of("cost", table, tuple(chart for name in AXES if (chart := _chart(name, shown))))


def _is_measured(generator: dict) -> bool:
    measured = generator["metrics"]
    return all(measured.get(name, {}).get("n") for name in (*AXES, SCORE))


def training_seconds(run) -> dict[str, float | None]:
    """Generator → seconds of its training: as the recipe tells, else from the log of the adapter and of the rival; None where
    only a part of it was logged."""
    told = run.recipe.get("training_seconds")
    known = {name: number(value) for name, value in told.items()} if isinstance(told, dict) else {}
    for role, log, seen in (("adapter", run.log, sprites_seen(run.recipe, run.log)), ("rival", run.rival_log, None)):
        if log and (name := run.summary["roles"].get(role)):
            known.setdefault(name, seconds_in(log, seen))
    return known


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _chart(name: str, shown: list[dict]) -> Chart | None:
    """None where the costs are all 0: nothing has been measured."""
    values = [(place, g["metrics"][name]["mean"], g["metrics"][SCORE]) for place, g in enumerate(shown, 1)]
    if min(x for _, x, _ in values) <= 0:
        return None
    best = shown[int(np.argmax([y["mean"] for _, _, y in values]))]["generator"]
    told = ", ".join(f"no. {place}: {format_value(x, UNITS[name])}, {percent(y['mean'])}" for place, x, y in values)
    words = f"{AXES[name].capitalize()} across, on a logarithmic axis, against the judge's score: {told}. Highest score: {best}."
    return numbered(f"cost-{name}", [(x, *in_percent(y)) for _, x, y in values], AXES[name], "judge's score, %", words)
