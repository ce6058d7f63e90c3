"""Renders a scored run folder: one self-contained HTML page and its Markdown twin. A pure function of the folder.

    python -m eval.report runs/<name>        (or pixelreef report runs/<name>; with a second folder: see report_changes)

Reads summary.json and scores.jsonl (by `python -m eval.score`), recipe.json, palette.json, references.jsonl,
completions.jsonl; where they are likelihoods.jsonl, training.npz, training_log.jsonl and samples.jsonl (of the adapter),
rival_training_log.jsonl (a copy of a sprite transformer's training_log.jsonl) and ratings.sqlite. Writes report.html and
report.md.
"""

import argparse
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from data_prep.errors import InputError, exit_code
from data_prep.palette import Palette
from data_prep.printable import markdown as escape
from eval import (
    report_extremes,
    report_html,
    report_judge,
    report_paired,
    report_pictures,
    report_tables,
    report_words,
    run_folder,
)
from eval.ratings import Vote
from eval.report_cost import cost
from eval.report_legacy import bench
from eval.report_raters import raters, votes_of
from eval.report_sensitivity import sensitivity
from eval.report_sweeps import rounds, temperatures
from eval.report_tables import Section, Table
from eval.report_training import training
from finetune.adapter_folder import SAMPLES


@dataclass(frozen=True)
class Run:
    """A scored run folder in memory."""

    name: str
    recipe: dict
    palette: Palette
    summary: dict
    scores: list[dict]
    references: list[dict]
    completions: list[dict]
    likelihoods: list[dict]
    log: list[dict]
    samples: list[dict]
    rival_log: list[dict]
    training: np.ndarray | None
    votes: dict[str, list[Vote]]

    @cached_property
    def prompts(self) -> list[str]:
        return list(dict.fromkeys(row["request_id"] for row in self.references))

    @cached_property
    def by_generator(self) -> report_paired.Scores:
        return report_paired.by_generator(self.scores)


def load(folder: Path) -> Run:
    """Raises InputError where the folder is not scored, or was scored before its drawings changed."""
    if not (folder / "summary.json").exists() or not (folder / "scores.jsonl").exists():
        raise InputError(f"{folder}: not scored yet; run python -m eval.score {folder}")
    summary = run_folder.read_json(folder / "summary.json")
    if summary.get("inputs") != run_folder.fingerprints(folder, scores=True):
        raise InputError(f"{folder}: its files changed after scoring; run python -m eval.score {folder} again")
    recipe, palette = run_folder.read_json(folder / "recipe.json"), run_folder.read_palette(folder)
    return Run(
        name=recipe["name"] if run_folder.is_word(recipe.get("name")) else folder.resolve().name,
        recipe=recipe,
        palette=palette,
        summary=summary,
        scores=run_folder.read_rows(folder / "scores.jsonl", lambda row: None).rows,
        references=run_folder.read_rows(folder / "references.jsonl", run_folder.check_reference).rows,
        completions=run_folder.read_rows(folder / "completions.jsonl", run_folder.check_drawing).rows,
        likelihoods=run_folder.read_rows(folder / "likelihoods.jsonl", run_folder.check_likelihood, required=False).rows,
        log=run_folder.read_rows(folder / "training_log.jsonl", run_folder.check_log, required=False).rows,
        samples=run_folder.read_rows(folder / SAMPLES, run_folder.check_log, required=False).rows,
        rival_log=run_folder.read_rows(folder / run_folder.RIVAL_LOG, run_folder.check_log, required=False).rows,
        training=run_folder.read_training(folder, len(palette)),
        votes=votes_of(folder),
    )


def report(folder: Path | str) -> Path:
    """Writes report.html and report.md into `folder`, returns the page's path. Raises InputError."""
    folder = Path(folder)
    run = load(folder)
    found = sections(run)
    run_folder.write_atomically(folder / "report.html", html(run, found))
    run_folder.write_atomically(folder / "report.md", markdown(run, found))
    return folder / "report.html"


def sections(run: Run) -> list[Section]:
    """In the order of the page; those that the run has nothing for are left out."""
    found = [
        Section.of("results", report_tables.results(run.summary)),
        report_judge.cells(run.summary),
        raters(run),
        Section.of("distribution", report_judge.distribution(run.summary)),
        Section.of("likelihoods", report_tables.likelihoods(run.summary, run.recipe)),
        training(run),
        Section.of("comparisons", report_judge.comparisons(run.summary)),
        sensitivity(run),
        rounds(run),
        temperatures(run),
        cost(run),
        report_judge.judge(run.summary),
        Section.of("validity", report_tables.validity(run.summary)),
        Section.of("described", report_tables.described(run.summary)),
        bench(run.summary),
        Section.of("correlations", report_judge.correlations(run.summary, run.scores)),
        Section.of("recipe", report_tables.recipe_table(run.recipe, run.summary)),
    ]
    return [section for section in found if section.charts or any(table.rows for table in section.tables)]


def html(run: Run, found: list[Section]) -> str:
    drawings = report_pictures.Drawings(run.references, run.completions, run.palette)
    whisker_label, whiskers = report_pictures.whiskers(run.summary)
    return report_html.render(
        name=run.name,
        verdict=report_words.sentence(report_words.verdict(run.summary)),
        caveats=report_words.caveats(run.summary, run.recipe, run.log),
        gallery=report_pictures.gallery(drawings, run.summary),
        extremes=report_extremes.extremes(drawings, run.summary, run.scores),
        sections=found,
        whisker_label=whisker_label,
        whiskers=whiskers,
        memorisation=report_pictures.memorisation(drawings, run.summary, run.scores, run.training, run.palette),
    )


def markdown(run: Run, found: list[Section]) -> str:
    """The same words and tables as the page, without pictures; of a chart, what it shows in words."""
    parts = [f"# {escape(run.name)}: pixelreef report", escape(report_words.sentence(report_words.verdict(run.summary)))]
    parts += [escape(words) for words in report_words.caveats(run.summary, run.recipe, run.log)]
    for section in found:
        parts += [f"## {escape(section.title)}", *([escape(section.intro)] if section.intro else [])]
        parts += [f"Chart: {escape(chart.words)}" for chart in section.charts]
        for table in section.tables:
            parts += [*([f"### {escape(table.title)}"] if table.title != section.title else []), markdown_table(table)]
    return "\n\n".join(parts) + "\n"


def markdown_table(table: Table) -> str:
    """Intro, rows and notes, without the title."""
    head = [f"{escape(column.label)} {column.mark}".strip() for column in table.columns]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in table.rows:
        cells = [f"{escape(cell.text)} ({escape(cell.detail)})" if cell.detail else escape(cell.text) for cell in row.cells]
        lines.append(f"| {' | '.join([escape(row.label), *cells])} |")
    notes = [f"- {escape(note)}" for note in table.notes]
    return "\n".join([*([escape(table.intro), ""] if table.intro else []), *lines, "", *notes]).rstrip()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m eval.report", description="Renders the report of a scored run folder.")
    parser.add_argument("run", type=Path, help="run folder that python -m eval.score has scored")
    options = parser.parse_args(argv)
    return exit_code("report", lambda: report(options.run))


if __name__ == "__main__":
    sys.exit(main())
