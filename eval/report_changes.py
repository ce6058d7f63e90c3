"""What changed between two scored runs of the same prompts, and whether it is noise: a Markdown table.

    pixelreef report runs/before runs/after

Reads summary.json, scores.jsonl, references.jsonl, completions.jsonl, likelihoods.jsonl of both. Generators are paired by
role (adapter, rival, base), the others by name. Differences are taken prompt by prompt, later run − first; the interval is
a paired bootstrap over prompts. 'noise': it holds 0. It does not hold the noise of training with another seed.
"""

from pathlib import Path

import numpy as np

from data_prep.errors import InputError
from eval.controls import HELD_OUT
from eval.metrics import intervals, likelihood
from eval.metrics.intervals import Interval
from eval.report import Run, escape, load, markdown_table
from eval.report_paired import Key, change_text, is_noise, means, signed
from eval.report_tables import NOTHING, Cell, Column, Row, Table, format_value, span
from eval.report_words import models
from eval.summary import difference

HEADS = ("generator", "metric", "before", "after", "change", "95 % interval", "n", "verdict")
NOISE = "noise"
BITS = "bits per pixel"
GAIN = "caption's gain over shuffled"


def changes(before: Path, after: Path) -> str:
    """The table as text. Raises InputError: not scored, or not the same prompts."""
    first, second = load(before), load(after)
    if _prompts(first) != _prompts(second):
        raise InputError(f"{after}: has other prompts than {before}; only runs of the same prompts can be compared")
    same_judge = _judge(first) == _judge(second)
    rows = []
    for label, a, b in _pairs(first, second):
        for what, direction, unit, values in (*_looks(first, second, a, b, same_judge), *_bits(first, second, a, b)):
            rows.append(_row(label, what, direction, unit, values))
    if not rows:
        raise InputError(f"{after}: has no generator in common with {before}, neither by role nor by name")
    names = (first.name, second.name) if first.name != second.name else (str(before), str(after))
    title = f"# {escape(names[0])} → {escape(names[1])}, {len(first.references)} prompts"
    real = sum(row.cells[-1].text != NOISE for row in rows)
    table = markdown_table(Table("", "", tuple(map(Column, HEADS)), tuple(rows)))
    return "\n".join([title, "", table, "", *_notes(len(rows), real, same_judge)])


def _prompts(run: Run) -> dict[str, tuple]:
    return {row["request_id"]: (row.get("caption"), row["text"]) for row in run.references}


def _judge(run: Run) -> str | None:
    return ((run.summary.get("critics") or {}).get("judge") or {}).get("sha256")


def _pairs(first: Run, second: Run) -> list[tuple[str, str, str]]:
    """(label, generator of the first run, of the second)."""
    roles = [(role, first.summary["roles"].get(role), second.summary["roles"].get(role)) for role in ("adapter", "rival", "base")]
    pairs = [(a if a == b else f"{role}: {a} → {b}", a, b) for role, a, b in roles if a and b]
    taken = {name for _, a, b in pairs for name in (a, b)}
    both = [name for name in models(first.summary) if name in models(second.summary) and name not in taken]
    return pairs + [(name, name, name) for name in both]


def _looks(first: Run, second: Run, a: str, b: str, same_judge: bool) -> list[tuple]:
    """(metric, direction, unit, (before, after, difference)) of what decides in both runs, and strict validity by mode."""
    decides = {m["name"] for m in second.summary["metrics"] if m["sane"]}
    shown = [m for m in first.summary["metrics"] if m["group"] == "judged" and m["sane"] and m["name"] in decides]
    shown = [m for m in shown if m["direction"] != "near" and (same_judge or not _is_judged(m["name"]))]
    shown += [m for m in first.summary["metrics"] if m["name"] == "strict_valid"]
    modes = [g["mode"] for g in first.summary["generators"] if g["generator"] == a]
    both = [g["mode"] for g in second.summary["generators"] if g["generator"] == b and g["mode"] in modes]
    rows = []
    for metric in shown:
        for mode in both if metric["name"] == "strict_valid" else both[:1]:
            values = _difference(first, second, (a, mode), (b, mode), metric["name"])
            if values[2].n:
                rows.append((f"{metric['label']}, {mode}", metric["direction"], metric["unit"], values))
    return rows


def _is_judged(name: str) -> bool:
    return name.startswith(("judge", "recognised", "zone"))


def _difference(first: Run, second: Run, a: Key, b: Key, metric: str) -> tuple[Interval, Interval, Interval]:
    requests, seed = list(_prompts(first)), first.summary["seed"]
    x, y = means(first.by_generator, a, metric, requests), means(second.by_generator, b, metric, requests)
    return intervals.mean(x, seed), intervals.mean(y, seed), difference(y, x, metric, seed)


def _bits(first: Run, second: Run, a: str, b: str) -> list[tuple]:
    """Bits per pixel with the right caption, and what it gains over another one's, where both runs have them."""
    seed = first.summary["seed"]
    x, y = (
        likelihood.by_condition([row for row in run.likelihoods if row["generator"] == name])
        for run, name in ((first, a), (second, b))
    )
    told = [likelihood.bits_per_pixel(table[likelihood.RIGHT], seed) for table in (x, y)]
    fell = likelihood.gain(y[likelihood.RIGHT], x[likelihood.RIGHT], seed)
    rows = [(BITS, "lower", "", (*told, fell))] if fell.n else []
    gains = [likelihood.gain(t[likelihood.SHUFFLED], t[likelihood.RIGHT], seed) for t in (x, y)]
    grown = _grown(x, y, seed)
    return rows + ([(GAIN, "higher", "", (*gains, grown))] if grown.n else [])


def _grown(x: dict, y: dict, seed: int) -> Interval:
    """How much more the right caption saves in the second run, per pixel of the sprites that both measured."""
    keys = [
        key for key in x[likelihood.RIGHT] if all(key in t[c] for t in (x, y) for c in (likelihood.RIGHT, likelihood.SHUFFLED))
    ]
    saved = [[t[likelihood.SHUFFLED][key][0] - t[likelihood.RIGHT][key][0] for key in keys] for t in (x, y)]
    pixels = np.array([x[likelihood.RIGHT][key][1] for key in keys], np.float64)
    return intervals.ratio(np.subtract(saved[1], saved[0]), pixels, seed)


def _called(gap: Interval, direction: str) -> str:
    if gap.mean is None or is_noise(gap):
        return NOISE
    return "better" if (gap.mean > 0) == (direction == "higher") else "worse"


def _row(label: str, what: str, direction: str, unit: str, values: tuple[Interval, Interval, Interval]) -> Row:
    """Shares in percent, their differences in percentage points."""
    x, y, gap = (value.to_json() for value in values)
    shown = format_value if unit == "%" else change_text
    cells = [what, *(shown(v["mean"], unit) if v["n"] else NOTHING for v in (x, y)), signed(gap["mean"], unit)]
    ends = span(change_text(gap["low"], unit), change_text(gap["high"], unit))
    cells += [ends, str(gap["n"]), _called(values[2], direction)]
    return Row(label, "model", tuple(map(Cell, cells)))


def _notes(count: int, real: int, same_judge: bool) -> list[str]:
    said = f"{real} of {count} changes are beyond the noise of the prompts; with none at all, about {count / 20:.1f} would be."
    judged = (
        []
        if same_judge
        else ["The runs were scored by different judges, so nothing that a judge says is compared; score both again."]
    )
    return [said, *judged, f"Another training seed is not in these intervals. {HELD_OUT.capitalize()} are the same in both."]
