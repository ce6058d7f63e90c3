"""docs/results.md: what has been shown so far, in one page, out of the published reports. Written by

    python -m eval.results_page

Reads docs/results/*/summary.json and report.md, docs/ladder.json, docs/leaderboard.json and adapters/*/pixelreef.json. The goals
were set before the first run; a goal that nothing measured is 'not run'. Every figure comes from those files.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.captions import CELLS
from data_prep.errors import InputError, exit_code
from data_prep.printable import table
from eval.controls import HELD_OUT
from eval.generators import GRAMMAR, UNCONSTRAINED
from eval.report_tables import NOTHING, format_value
from eval.run_folder import read_json, write_atomically

REPOSITORY = Path(__file__).resolve().parents[1]
HEADLINE = "smollm2-135m-reef-16-report"  # the report in which the published adapter meets both transformers
SHARE_OF_HELD_OUT = 0.8  # of how often the judge recognises held-out sprites
ORDER = {True: "met", False: "not met", None: "open"}


@dataclass(frozen=True)
class Found:
    """What was measured for a goal: words for the cell, and whether the goal is met (None: it cannot be said)."""

    text: str
    met: bool | None

    def cell(self) -> str:
        return f"{self.text}: **{ORDER[self.met]}**" if self.text != NOTHING else NOTHING


Measure = Callable[[Mapping, str], Found]


def goals() -> dict[str, Measure]:
    """Goal → what a report's summary says of a generator in this respect."""
    return {
        "30 of 30 cells alive by `judge`": cells_alive,
        f"recognised at least {SHARE_OF_HELD_OUT} times as often as held-out sprites": recognised,
        "strictly valid without any grammar: at least 99 %": share("strict_valid", UNCONSTRAINED, least=0.99),
        "right colour: at least 80 %": share("colour_right", GRAMMAR, least=0.8),
        "empty: under 1 %": share("empty", GRAMMAR, most=0.01),
        "repeated: under 1 %": share("duplicate", GRAMMAR, most=0.01),
        "the caption's gain, bits a pixel: clearly above 0": gain,
    }


def of_generator(summary: Mapping, name: str, mode: str) -> Mapping:
    """Metrics of a generator in a mode; {} where it has none."""
    return next((g["metrics"] for g in summary["generators"] if (g["generator"], g["mode"]) == (name, mode)), {})


def told(interval: Mapping | None, unit: str) -> str:
    if not interval or interval["mean"] is None:
        return NOTHING
    number, low, high = (format_value(interval[key], unit) for key in ("mean", "low", "high"))
    return f"{number} ({low} to {high}, n {interval['n']})"


def share(metric: str, mode: str, least: float | None = None, most: float | None = None) -> Measure:
    """A share that is to be above `least` or below `most`; open where its interval holds the bound."""

    def measure(summary: Mapping, name: str) -> Found:
        interval = of_generator(summary, name, mode).get(metric)
        if not interval or interval["mean"] is None:
            return Found(NOTHING, None)
        bound = least if least is not None else most
        if interval["low"] <= bound <= interval["high"]:
            return Found(told(interval, "%"), None)
        return Found(told(interval, "%"), (interval["mean"] > bound) == (least is not None))

    return measure


def cells_alive(summary: Mapping, name: str) -> Found:
    """Alive, dead and open cells; open where too few drawings a cell were made to tell."""
    states = [cell["state"] for cell in summary["cells"] if (cell["generator"], cell["mode"]) == (name, GRAMMAR)]
    if not states:
        return Found(NOTHING, None)
    alive, dead = states.count("alive"), states.count("dead")
    met = False if dead else True if alive == len(CELLS) else None
    return Found(f"{alive} alive, {dead} dead, {len(states) - alive - dead} open", met)


def recognised(summary: Mapping, name: str) -> Found:
    own = of_generator(summary, name, GRAMMAR).get("recognised")
    bar = of_generator(summary, HELD_OUT, "control").get("recognised")
    if not own or not bar or own["mean"] is None or bar["mean"] is None:
        return Found(NOTHING, None)
    wanted = SHARE_OF_HELD_OUT * bar["mean"]
    met = None if own["low"] <= wanted <= own["high"] else own["mean"] > wanted
    return Found(f"{told(own, '%')}; held-out sprites {format_value(bar['mean'], '%')}", met)


def gain(summary: Mapping, name: str) -> Found:
    found = next((row["gain_over_shuffled"] for row in summary["likelihoods"] if row["generator"] == name), None)
    if not found or found["mean"] is None:
        return Found(NOTHING, None)
    return Found(told(found, ""), True if found["low"] > 0 else None)


def goals_table(summary: Mapping) -> str:
    names = [summary["roles"]["adapter"], summary["roles"]["rival"]]
    rows = [[goal, *(measure(summary, name).cell() for name in names)] for goal, measure in goals().items()]
    return "\n".join(table(["goal", *names], rows))


def reports_table(folder: Path) -> str:
    """A row for each published report: its name, its prompts, and the first paragraph of its verdict."""
    rows = []
    for report in sorted(folder.glob("*/report.md")):
        summary = read_json(report.with_name("summary.json"))
        rows.append([f"[{report.parent.name}](results/{report.parent.name}/report.md)", str(summary["prompts"]), verdict(report)])
    return "\n".join(table(["report", "prompts", "verdict"], rows))


def verdict(report: Path) -> str:
    """The first paragraph below the title."""
    paragraphs = report.read_text("utf-8").split("\n\n")
    return " ".join(paragraphs[1].split()) if len(paragraphs) > 1 else NOTHING


def ladder_line(path: Path) -> str:
    """How much of the ladder is measured, and which of its steps are told from 0 by their intervals."""
    found = read_json(path, required=False)
    if not found:
        return "The bench's ladder: not run."
    steps = [row for row in found["rungs"] if any(one["mean"] is not None for one in row["worth"].values())]
    certain = [row["rung"] for row in steps if any(_certain(one) for one in row["worth"].values())]
    seeds = sorted({len(row["seeds"]) for row in found["rungs"]})
    return (
        f"[The ladder](ladder.md): {len(steps)} steps with a number, {' to '.join(map(str, seeds))} seeds each, "
        f"{found['settings']['sprites']} sprites seen a run. Steps with a figure whose interval leaves 0 out: "
        f"{', '.join(certain) or 'none'}."
    )


def _certain(interval: Mapping) -> bool:
    return interval["mean"] is not None and (interval["low"] > 0 or interval["high"] < 0)


def page(root: Path) -> str:
    """Raises InputError where the headline's report is missing."""
    results = root / "docs" / "results"
    summary = read_json(results / HEADLINE / "summary.json")
    return "\n\n".join([
        "# Results", answer(summary), "## The goals", goals_table(summary), MISSING, "## All reports", reports_table(results),
        "## The bench", ladder_line(root / "docs" / "ladder.json"), BENCH,
    ]) + "\n"  # fmt: skip


def answer(summary: Mapping) -> str:
    """The question, and what the headline's report answers to it: by the interval of 'recognised' between the two."""
    roles = summary["roles"]
    found = next(
        (row for row in summary["comparisons"] if (row["metric"], row["a"], row["b"], row["mode"])
         == ("recognised", roles["adapter"], roles["rival"], GRAMMAR)), None,
    )  # fmt: skip
    word = "not compared" if found is None else "yes" if found["low"] > 0 else "no" if found["high"] < 0 else "undecided"
    return QUESTION.format(word=word, headline=HEADLINE)


QUESTION = """Made by `python -m eval.results_page` out of the published reports. The question: does a small language model with
a LoRA draw what it is asked for, and better than a transformer of 2.9 million parameters trained from scratch on the same
sprites? By [the report](results/{headline}/report.md) in which they meet: **{word}**. All of it is evidence made with little
compute: hours of one or two CPU cores. Why, and what was tried, is in [the trail](trail.md); what is planned in
[experiments](experiments.md)."""
MISSING = """'Open' means that the interval holds the goal, or that too few drawings a cell were made. Not run: bits per pixel on
sprites made by people against the transformer's (the adapter for sprites made by people answers in the bench's format, not in one
palette), and anything at the flagship's size with real weights."""
BENCH = """Models and controls on Pixel Art Bench: [the leaderboard](leaderboard.md); what its published numbers can mean:
[bench.md](bench.md). How fast everything is beside others: [speed](speed.md). Does a merged or
converted adapter draw the same: [parity](parity.md)."""


def write(root: Path = REPOSITORY) -> Path:
    out = root / "docs" / "results.md"
    write_atomically(out, page(root))
    return out


def main(arguments: Sequence[str]) -> int:
    def run() -> Path:
        if arguments:
            raise InputError(f"{arguments[0]}: it takes no arguments")
        return write()

    return exit_code("results_page", run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
