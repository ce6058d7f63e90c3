"""The leaderboard: every model whose Inspect logs are given, with intervals, as JSON and as Markdown.

    pixelreef bench add pixelreef-control/checkerboard            runs the tasks and enters the model
    pixelreef bench leaderboard runs/bench --out docs/leaderboard  enters all finished logs of a folder

Entries of earlier runs stay in the JSON; the newest log of a model with the same arguments takes the place of older ones.
Intervals are bootstrapped over subjects, each of which is the mean of its epochs: seven subjects make wide ones, and rightly.
Where a yes-or-no score is the same for all of them, the open end is exact for so many subjects.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from data_prep.bounded import first_line
from data_prep.errors import InputError
from data_prep.whole_files import alone
from eval.bench import rating_folder
from eval.bench.logs import CONTROL_API, DEGENERATE, HONEST, MODEL, TASKS, kind_of, label, logs_of
from eval.bench.scoring import NAMES
from eval.metrics import intervals
from eval.report import escape, markdown_table
from eval.report_tables import NOTHING, Cell, Column, Row, Table, format_value, interval_cell
from eval.run_folder import write_atomically

COLUMNS = {
    **{f"ours/{name}": name.replace("_", " ") for name in NAMES},
    **{f"legacy/legacy_{name}": f"{name.replace('_', ' ')}, legacy" for name in NAMES},
    "formulas/quality_score": "quality score of 8.5, legacy",
    "nouns/top_1": "noun first",
    "nouns/top_5": "noun among five",
}
YES_OR_NO = {"ours/json_validity", "legacy/legacy_json_validity", "legacy/legacy_render_success", "nouns/top_1", "nouns/top_5"}
_LEADS = "ours/pixel_art_quality"


def entries_of(paths: Sequence[str | Path]) -> tuple[list[dict], list[str]]:
    """(an entry a finished log, why others were left out). Raises InputError like `logs_of`, and where one cannot be shown."""
    logs, left_out = logs_of(paths)
    return [_checked(log) for log in logs], left_out


def _checked(log) -> dict:
    """A log's entry, which could be written and shown: what its scores and metadata hold is whatever their author chose."""
    try:
        entry = entry_of(log)
        json.dumps(entry, ensure_ascii=False).encode()
        markdown([entry])
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        why = f"{type(error).__name__}: {first_line(error)[:80]}"
        raise InputError(f"{log.location}: its scores or metadata cannot be shown ({why}); run the task again") from error
    return entry


def entry_of(log) -> dict:
    """What the leaderboard keeps of a log, as plain JSON."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for sample in log.samples:
        for scorer, score in (sample.scores or {}).items():
            for name, value in score.value.items() if isinstance(score.value, dict) else ():
                values[f"{scorer}/{name}"][str(sample.id)].append(np.nan if value is None else float(value))
    return {
        "model": label(log.eval.model, log.eval.model_args or {}),
        "kind": kind_of(log.eval.model),
        "task": log.eval.task.rpartition("/")[2],
        "subjects": len({str(sample.id) for sample in log.samples}),
        "drawings": len(log.samples),
        "created": str(log.eval.created),
        "told": log.eval.metadata or {},
        "scores": {name: _interval(name, by_subject.values()) for name, by_subject in values.items() if name in COLUMNS},
    }


def _interval(name: str, subjects: Iterable[Sequence[float]]) -> dict:
    means = np.array([np.mean(kept) if (kept := [v for v in epochs if np.isfinite(v)]) else np.nan for epochs in subjects])
    measured = np.isfinite(means).astype(float)
    found = (intervals.share(means, measured) if name in YES_OR_NO else intervals.mean(means)).to_json()
    return {key: value if value is None or key == "n" else round(value, 4) for key, value in found.items()}


def merged(old: Iterable[dict], new: Iterable[dict]) -> list[dict]:
    """One entry a model and task, the newest; in order of task, kind and our quality."""
    kept: dict[tuple[str, str], dict] = {}
    for entry in [*old, *new]:
        key = entry["task"], entry["model"]
        if key not in kept or entry["created"] >= kept[key]["created"]:
            kept[key] = entry
    return sorted(kept.values(), key=lambda e: (list(TASKS).index(e["task"]), -_lead(e), e["model"]))


def _lead(entry: dict) -> float:
    found = entry["scores"].get(_LEADS, {}).get("mean")
    return -1.0 if found is None else found


def markdown(entries: Sequence[dict], rated: Sequence[dict] = ()) -> str:
    """The page. rated: of `rating_folder.standings`."""
    parts = ["# Pixel Art Bench: leaderboard", INTRO]
    for task, title in TASKS.items():
        rows = [entry for entry in entries if entry["task"] == task]
        if rows:
            parts += [f"## {escape(title)}", markdown_table(table(rows, title)), *_warnings(rows)]
    return "\n\n".join([*parts, *rating_folder.markdown(rated)]) + "\n"


INTRO = """Made by `pixelreef bench add MODEL`. Means over subjects with 95 % bootstrap intervals over them. Our three scores are
what the published prose means, the legacy columns what the published code computes; [bench.md](bench.md) has both. Controls
are drawings that show nothing, entered as models; `held-out` is the one honest control, sprites that no model was trained
on. A column in which a degenerate control stands above it decides nothing. JSON validity is form alone, and every control
has it. None of these scores sees what is drawn; the nouns do, weakly, and people do."""


def table(entries: Sequence[dict], title: str) -> Table:
    """Rows in the order given, columns that any of them has."""
    names = [name for name in COLUMNS if any(name in entry["scores"] for entry in entries)]
    columns = [Column("model"), Column("drawings"), *(Column(COLUMNS[name], grey=name.startswith("legacy")) for name in names)]
    rows = []
    for entry in entries:
        cells = [_cell(entry["scores"].get(name)) for name in names]
        shown = {DEGENERATE: " · degenerate control", HONEST: " · honest control", MODEL: ""}[entry["kind"]]
        rows.append(Row(entry["model"] + shown, entry["kind"], (Cell(str(entry["drawings"])), *cells)))
    classifiers = {json.dumps(entry["told"].get("classifier")) for entry in entries} - {"null"}
    return Table(
        title, "", tuple(columns), tuple(rows), tuple(f"Classifier: {_classifier(json.loads(c))}" for c in sorted(classifiers))
    )


def _cell(interval: dict | None) -> Cell:
    return Cell(NOTHING) if interval is None else interval_cell(interval, "")


def _classifier(facts) -> str:
    if not isinstance(facts, dict):
        return str(facts)
    seen, (first, five) = facts["held_out"], facts["chance"]
    return (
        f"{facts['nouns']} nouns from {facts['training_sprites']} sprites; on {seen['sprites']} held-out sprites it is right "
        f"{format_value(seen['top_1'], '%')} first and {format_value(seen['top_5'], '%')} among five; chance "
        f"{format_value(first, '%')} and {format_value(five, '%')}."
    )


def _warnings(entries: Sequence[dict]) -> list[str]:
    """Columns in which a degenerate control stands above the held-out sprites, in words."""
    honest = next((entry for entry in entries if entry["kind"] == HONEST), None)
    if honest is None:
        return []
    above = defaultdict(list)
    for entry in (entry for entry in entries if entry["kind"] == DEGENERATE):
        for name, interval in entry["scores"].items():
            bar = honest["scores"].get(name, {}).get("mean")
            if None not in (bar, interval["mean"]) and interval["mean"] > bar + 1e-9:
                above[name].append(entry["model"].removeprefix(CONTROL_API))
    told = [f"{COLUMNS[name]} ({', '.join(above[name])})" for name in COLUMNS if name in above]
    return [f"Degenerate controls above the held-out sprites: {escape('; '.join(told) or 'none')}."]


def update(logs: Sequence[str | Path], out: Path, rated: Path | None = None) -> str:
    """Enters logs, and the votes of a folder that was rated, into out.json and writes out.md; returns a line for people.

    Raises InputError for logs or votes that are not there.
    """
    new, left_out = entries_of(logs) if logs else ([], [])
    place = out.with_suffix(".json")
    with alone(place.parent, wait=True):  # another model's entry may be on its way
        old = json.loads(place.read_text("utf-8")) if place.is_file() else {"entries": []}
        entries, votes = merged(old["entries"], new), rating_folder.standings(rated) if rated else old.get("rated", [])
        page, plain = markdown(entries, votes), {"entries": entries, "rated": votes}
        write_atomically(place, json.dumps(plain, indent=1, ensure_ascii=False) + "\n")
        write_atomically(out.with_suffix(".md"), page)
    left_out += [f"{one['model']} on {one['task']}: a newer log is entered" for one in new if one not in entries]
    told = [f"left out {why}" for why in left_out]
    entered = sum(one in entries for one in new)
    return "\n".join([*told, f"{entered} logs entered, {len(entries)} entries: {out.with_suffix('.md')}"])
