"""The source results as one page, HTML and Markdown: each published figure made again, and what it is an artefact of."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eval import report_html
from eval.bench import legacy
from eval.bench import source_results as source
from eval.bench.source_results import FAULTS, PUBLISHED, Result
from eval.metrics import intervals
from eval.report import escape, markdown_table
from eval.report_charts import radar
from eval.report_tables import NOTHING, Cell, Chart, Column, Row, Section, Table, format_value, interval_cell
from eval.run_folder import write_atomically

TEMPLATE = Path(__file__).with_name("source.html.jinja")
WHY_CORRELATED = {  # pair → what it is an artefact of
    (
        "palette_validity",
        "colour_efficiency",
    ): "One palette length stands in both: a cell beyond it lowers the one and raises the "
    "other, which is how efficiency comes above 1.",
    (
        "edge_density",
        "colour_efficiency",
    ): "A short palette in use everywhere: noise has both, and so has a flat drawing neither.",
    ("edge_density", "fill_balance"): "Edges need two values; index 0 is background by habit, so an empty frame has neither.",
    ("colour_efficiency", "normalised_entropy"): "Both are divided by the palette's length; unused entries lower both.",
    ("colour_efficiency", "fill_balance"): "Blank drawings have little of either.",
    ("palette_validity", "edge_density"): "Rows with cells beyond the palette are the noisy ones.",
    ("palette_validity", "normalised_entropy"): "A palette that is too short is a small divisor, ln k, and makes cells invalid.",
    ("palette_validity", "fill_balance"): "Next to nothing.",
    ("edge_density", "normalised_entropy"): "Entropy does not see places, but both grow with noise; a few palettes of one "
    "colour, whose entropies are near 1e9, are enough to hide that.",
    ("normalised_entropy", "fill_balance"): "As above: rows with a palette of one colour decide it, whatever the others do.",
}
CAN_MEAN = {
    "grid_valid": "That there are as many rows and columns as the row itself states: a grid of 5,779 rows can be valid.",
    "palette_validity": "That indices are below the palette's length. A palette of 5,668 entries makes nearly everything valid.",
    "colour_efficiency": "Distinct values by palette entries. Above 1 where cells name colours that are not there.",
    "edge_density": "How often neighbours differ: highest for a checkerboard of single pixels, so it rewards noise.",
    "fill_balance": "That half of the cells are not index 0, whatever colour that is. Exchanging two entries changes it.",
    "normalised_entropy": "How evenly values are used, wherever they are. With a palette of one colour it is about ±1e9 or −1.",
    "quality_score": "The sum. A checkerboard of two colours gets 8.5 of 8.5, uniform noise 7.95, a clean square 6.63. Rows with "
    "an undefined metric, the ragged ones, are left out of the mean: failing hard costs a model nothing.",
}


def sections(results: Sequence[Result]) -> list[Section]:
    """What the page shows, in its order."""
    return [
        Section.of("models", _models(results)),
        Section("metrics", "What each metric can and cannot mean", "", (_meanings(results),)),
        Section.of("correlations", _correlations(results)),
        Section.of("radar", *_radar(results)),
        Section.of("distributions", _distributions(results)),
        Section.of("robustness", _robustness(results)),
        Section.of("cost", _cost(results)),
    ]


def _table(title: str, intro: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence]], kind: str = "") -> Table:
    made = tuple(
        Row(label, "model", tuple(c if isinstance(c, Cell) else Cell(figure(c)) for c in cells)) for label, cells in rows
    )
    return Table(title, intro, tuple(Column(column) for column in columns), made, kind=kind)


def figure(value, unit: str = "") -> str:
    """A number in a cell, what is undefined or infinite as a dash; words as they are."""
    if isinstance(value, str):
        return value
    return NOTHING if value is None or not np.isfinite(value) else format_value(float(value), unit)


def _models(results: Sequence[Result]) -> Table:
    rows = []
    for model, own in source.by_model(results).items():
        quality, dropped = source.quality_of(own)
        whole = intervals.share(np.array([source.is_whole(r) for r in own], float), np.ones(len(own)))
        structure = interval_cell(source.structure_of(own).to_json(), "")
        cells = [
            str(len(own)),
            interval_cell(quality.to_json(), ""),
            figure(dropped, "%"),
            interval_cell(whole.to_json(), "%"),
            structure,
        ]
        rows.append((model, cells))
    intro = (
        "Models by the published quality score, of 8.5. It leaves out rows with an undefined metric; the share left out "
        "stands beside it, then the share of drawings that are what the prompt asks for (24 by 24, 2 to 10 colours, no other "
        "index), and our structure, which is 0 for what is no such grid. Intervals are over rows."
    )
    return _table("Models", intro, ("model", "rows", "quality score", "left out", "whole drawings", "our structure"), rows)


def _meanings(results: Sequence[Result]) -> Table:
    rows = []
    for name, says in CAN_MEAN.items():
        values = source.column(results, name)
        kept = values[np.isfinite(values)]
        mean, middle = (float(f(kept)) if kept.size else None for f in (np.mean, np.median))
        rows.append(
            (name.replace("_", " "), [figure(mean), figure(middle), f"{int(np.isnan(values).sum())} of {len(values)}", says])
        )
    return _table("Metrics", "", ("metric", "mean", "median", "undefined", "what it measures, and rewards"), rows, "facts")


def _correlations(results: Sequence[Result]) -> Table:
    rows = []
    for (a, b), found in source.correlations(results).items():
        pair = f"{a.replace('_', ' ')} and {b.replace('_', ' ')}"
        rows.append((pair, [figure(found), figure(PUBLISHED[a, b]), WHY_CORRELATED[a, b]]))
    intro = (
        "Pearson's, over the rows where all five are defined. The five share divisors and failures, so most of what they have in "
        "common is the formulas', not the models'."
    )
    return _table("Correlations", intro, ("pair", "here", "published", "an artefact of"), rows, "facts")


def _radar(results: Sequence[Result]) -> tuple[Table, tuple[Chart, ...]]:
    found = source.radar(results)
    names = [name.replace("_", " ") for name in legacy.NAMES]
    intro = (
        "As published: the five models of the highest mean quality, each metric stretched so that the least of the five is 0 and "
        "the most is 1. The stretch shows a difference of a thousandth as large as one of a half, and what is 0 may be nearly "
        "perfect; with other models in the five the same model has another shape."
    )
    rows = [(model, list(shape.values())) for model, shape in found.items()]
    words = "The published radar chart, made again. " + intro.partition(". The stretch")[0] + "."
    charts = (radar("radar", names, rows, words),) if len(found) > 1 else ()
    return _table("Radar", intro, ("model", *names), rows), charts


def _distributions(results: Sequence[Result]) -> Table:
    labels = [f"{quantile:.0%}" for quantile in source.QUANTILES]
    rows = [(name.replace("_", " "), values) for name, values in source.distributions(results).items()]
    return _table("Distributions", "Quantiles over all rows; means of such tails say little.", ("metric", *labels), rows)


def _robustness(results: Sequence[Result]) -> Table:
    rows = [(m, [figure(share, "%") for share in shares.values()]) for m, shares in source.robustness(results).items()]
    intro = (
        "The share of a model's rows with each fault. The quality score leaves out rows with no grid or palette, ragged ones and "
        "those with a cell that is no integer, and is none the worse for them."
    )
    return _table("Robustness", intro, ("model", *FAULTS), rows)


def _cost(results: Sequence[Result]) -> Table:
    rows = [(model, list(found.values())) for model, found in source.costs(results).items()]
    columns = ("model", "cost, dollars", "seconds", "output tokens", "all tokens", "dollars a whole drawing")
    intro = (
        "Means a row as the rows state them. They depend on prices and servers of that day, and a failed drawing is paid for too."
    )
    return _table("Cost", intro, columns, rows)


def markdown(results: Sequence[Result], title: str, caveat: str) -> str:
    parts = [f"# {escape(title)}", escape(caveat)]
    for section in sections(results):
        parts.append(f"## {escape(section.title)}")
        parts += [f"Chart: {escape(chart.words)}" for chart in section.charts]
        parts += [markdown_table(table) for table in section.tables]
    return "\n\n".join(parts) + "\n"


def html(results: Sequence[Result], title: str, caveat: str) -> str:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.finalize = lambda value: value if isinstance(value, Markup) else report_html.printable(value)
    css = Markup((Path(report_html.__file__).with_name("report.css")).read_text("utf-8"))
    shown = [(s, [Markup(chart.svg) for chart in s.charts]) for s in sections(results)]
    return environment.from_string(TEMPLATE.read_text("utf-8")).render(css=css, title=title, caveat=caveat, sections=shown)


def write(name: str, out: Path) -> Path:
    """Reads source results by name, folder or file and writes out/source.html and out/source.md; returns the first."""
    results = source.load(name)
    title, caveat = "Pixel Art Bench: the source results", f"{len(results):,} rows read from {Path(name).name}."
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "source.md", markdown(results, title, caveat))
    write_atomically(out / "source.html", html(results, title, caveat))
    return out / "source.html"
