"""Publishes a run: its tables and pictures into docs/results/, the short table and the strip into README.md.

    python -m eval.readme runs/smollm2-135m-reef-16-report [--results-only]

Reads summary.json, recipe.json, references.jsonl, completions.jsonl, palette.json and report.md of the run folder. Writes
docs/results/<name>/{summary.json,report.md,cells.png,cells_shaded.png} and, but for --results-only, docs/strip.png and what
stands between the two markers in README.md.
"""

import argparse
import shutil
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from data_prep import grid_text
from data_prep.contact_sheet import by_cell, contact_sheet
from data_prep.errors import InputError, exit_code
from data_prep.sprite import Sprite
from eval.controls import HELD_OUT, NEAREST
from eval.judging import asked
from eval.postprocess.shader import shade
from eval.report_judge import within
from eval.report_tables import NOTHING, interval_cell
from eval.report_words import deafness, told
from eval.run_folder import check_drawing, check_reference, read_json, read_palette, read_rows, write_atomically
from eval.summary import leader

REPOSITORY = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
SHOWN = ("recognised", "judge_score")
A_CELL = 8  # drawings of a cell on its sheet
STRIP = 14  # prompts on the strip: the first of the run, nothing picked


def publish(run: Path, root: Path = REPOSITORY, results_only: bool = False) -> None:
    """results_only: README.md and its strip stay. Raises InputError when the run is not scored and reported, or README.md has
    no markers."""
    summary, recipe = read_json(run / "summary.json"), read_json(run / "recipe.json")
    table = short_table(summary, recipe)  # before anything is written
    readme = (root / "README.md").read_text("utf-8")
    if readme.count(BEGIN) != 1 or readme.count(END) != 1 or not (run / "report.md").exists():
        raise InputError(f"{run}: needs report.md, and README.md the lines {BEGIN} and {END} once each")
    folder = root / "docs" / "results" / recipe["name"]
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("summary.json", "report.md"):
        shutil.copyfile(run / name, folder / name)
    rows = drawings(run, leader(summary["roles"]))
    cells([(row, drawn) for row, _, drawn in rows], folder / "cells.png")
    lit = [(row, replace(drawn, grid=shade(drawn.grid, drawn.palette))) for row, _, drawn in rows]
    cells(lit, folder / "cells_shaded.png")
    if results_only:
        return
    strip(rows, root / "docs" / "strip.png")
    before, rest = readme.split(BEGIN)
    write_atomically(root / "README.md", f"{before}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}")


def drawings(run: Path, generator: str | None) -> list[tuple[dict, Sprite, Sprite]]:
    """(reference row, held-out sprite, what the generator drew under the grammar) of every prompt, in the run's order."""
    palette, texts, found = read_palette(run), {}, []
    for row in read_rows(run / "completions.jsonl", check_drawing).rows:
        if (row["generator"], row["mode"]) == (generator, "grammar") and isinstance(row.get("text"), str):
            texts[row["request_id"]] = row["text"]
    for row in read_rows(run / "references.jsonl", check_reference).rows:
        both = (row["text"], texts.get(row["request_id"], ""))
        held_out, drawn = (grid_text.read(text, {palette.name: palette}) for text in both)
        if isinstance(held_out, Sprite) and isinstance(drawn, Sprite):
            found.append((row, held_out, drawn))
    return found


def strip(found: list[tuple[dict, Sprite, Sprite]], out: Path) -> None:
    """Top row: what was drawn for the first prompts; bottom row: the held-out sprites of the same prompts."""
    first = found[:STRIP]
    sprites = [drawn for _, _, drawn in first] + [held_out for _, held_out, _ in first]
    contact_sheet(sprites, columns=len(first), scale=4, background=(233, 238, 242)).save(out)


def cells(found: list[tuple[dict, Sprite]], out: Path) -> None:
    """What was drawn, by zone and category; the first A_CELL of each."""
    sheet = defaultdict(list)
    for row, drawn in found:
        sheet[asked(row)].append(drawn)
    by_cell({cell: drawings[:A_CELL] for cell, drawings in sheet.items()}, columns=4).save(out)


def short_table(summary: dict, recipe: dict) -> str:
    """Markdown: base model, adapter, rival, honest controls and the best degenerate one; means with 95 % intervals.

    Raises InputError where the run lacks a role, a control or a metric of this table.
    """
    try:
        return _short_table(summary, recipe)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"summary.json: has no {error} that the table needs; run python -m eval.score on it again") from error


def _short_table(summary: dict, recipe: dict) -> str:
    by_key = {(g["generator"], g["mode"]): g for g in summary["generators"]}
    bits = {row["generator"]: row for row in summary["likelihoods"]}
    strongest = _strongest([g for g in summary["generators"] if g["kind"] == "degenerate"])
    covered = {(row["generator"], row["mode"]): row["coverage"] for row in summary.get("distribution") or [] if "coverage" in row}
    heads = ["drawn by", "n", *(_head(summary, name) for name in SHOWN), "coverage", "bits per pixel", "valid without grammar"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, label in (*_models(summary), (NEAREST, ""), (HELD_OUT, ""), (strongest, "degenerate control")):
        drawn = by_key.get((name, "grammar"), by_key.get((name, "control")))
        if drawn is None:
            raise InputError(
                f"summary.json: '{name}' drew nothing under the grammar or as a control; draw and score the run again"
            )
        coverage = covered.get((name, drawn["mode"]))
        lines.append(_line(name, label, drawn, coverage, bits.get(name), by_key.get((name, "unconstrained"))))
    return "\n".join([*lines, "", *deafness(summary), _note(summary, recipe, strongest)])


def _models(summary: dict) -> list[tuple[str, str]]:
    """The generators with a role; an adapter is shown beside the base model or the rival, those also by themselves."""
    roles, words = summary["roles"], {"base": "base model, before", "adapter": "adapter, after", "rival": "rival"}
    if not (roles.get("rival") or roles["base"]):
        raise InputError("summary.json: no generator has the role 'base' or 'rival'; name one under roles and score again")
    return [(roles[role], word) for role, word in words.items() if roles.get(role)]


def _strongest(degenerate: list[dict]) -> str:
    """The control that is recognised most often."""
    measured = [g for g in degenerate if g["metrics"]["recognised"]["n"]]
    if not measured:
        raise InputError("summary.json: no degenerate control was measured on 'recognised'; score with a judge that fits the run")
    return max(measured, key=lambda g: g["metrics"]["recognised"]["mean"])["generator"]


def _head(summary: dict, name: str) -> str:
    """The metric's label; marked where a degenerate control matches held-out sprites on it, or that was not checked."""
    metric = next((metric for metric in summary["metrics"] if metric["name"] == name), None)
    if metric is None:
        raise InputError(f"summary.json: has no metric '{name}'; run python -m eval.score on it again")
    return metric["label"] + {True: "", False: " (legacy)", None: " (not checked)"}[metric["sane"]]


def _line(name: str, label: str, drawn: dict, coverage: dict | None, bits: dict | None, free: dict | None) -> str:
    metrics = drawn["metrics"]
    cells = [f"{name} ({label})" if label else name, str(drawn["prompts"]), *(_shown(metrics[key], "%") for key in SHOWN)]
    cells.append(_shown(within(coverage, "coverage"), "%") if coverage else NOTHING)
    cells.append(_shown(bits["caption"], "") if bits else NOTHING)
    cells.append(_shown(free["metrics"]["strict_valid"], "%") if free else NOTHING)
    return "| " + " | ".join(cells) + " |"


def _shown(interval: dict, unit: str) -> str:
    if not interval["n"]:
        return NOTHING
    cell = interval_cell(interval, unit)
    return f"{cell.text} ({cell.detail}; n {interval['n']})"


def _note(summary: dict, recipe: dict, strongest: str) -> str:
    training = recipe["training"] if isinstance(recipe.get("training"), dict) else {}
    saw = f"the adapter saw {training.get('sprites_seen', '?')} sprites; " if summary["roles"]["adapter"] else ""
    judge = summary["critics"]["judge"]
    informed = [f"{name}: {told(recipe, name)}" for name, _ in _models(summary)]
    return (
        f"Seed {summary['seed']}; 95 % bootstrap intervals over {summary['prompts']} held-out prompts "
        f"at {recipe['size']}×{recipe['size']}; {saw}{len(summary['comparisons'])} paired comparisons were made; "
        f"'{strongest}' is the degenerate control that is recognised most often. "
        f"*Recognised*: the judge, a frozen network that nothing here was trained or selected with "
        f"(SHA-256 {judge['sha256'][:12]}), takes the drawing for a sprite and names the category asked for; its own errors are "
        f"the held-out sprites' row. *Judge's score*: its probability of both. *Coverage*: share of the held-out sprites that "
        f"have a drawing near them on its features; it does not ask what was asked for. *Bits per pixel*: on the same held-out "
        f"grids, the model being told ({'; '.join(informed)}). *Legacy* columns decide nothing. "
        f"Made by `python -m eval.readme`; all tables: [docs/results/{recipe['name']}](docs/results/{recipe['name']}/report.md)."
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m eval.readme", description="Publishes a scored and reported run.")
    parser.add_argument("run", type=Path, help="run folder, such as runs/smollm2-135m-reef-16-report")
    parser.add_argument("--results-only", action="store_true", help="leave README.md's table and strip as they are")
    options = parser.parse_args(arguments)
    return exit_code("readme", lambda: publish(options.run, results_only=options.results_only))


if __name__ == "__main__":
    sys.exit(main())
