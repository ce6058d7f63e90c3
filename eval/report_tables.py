"""The tables of a report as plain data, written once and rendered twice (HTML and Markdown). Texts are unescaped."""

from dataclasses import dataclass

from eval.metrics.likelihood import HABITS
from eval.report_words import NO_BREAK, percent, told

ARROWS = {"higher": "↑", "lower": "↓", "near": "≈"}
NOTHING = "–"


@dataclass(frozen=True)
class Cell:
    """A mean and, in small print, its interval. heat: −1 to 1, the cell's colour; the text says the same."""

    text: str
    detail: str = ""
    grey: bool = False
    heat: float | None = None


@dataclass(frozen=True)
class Column:
    label: str
    mark: str = ""  # ↑ ↓ ≈ and 'legacy'
    says: str = ""
    grey: bool = False


@dataclass(frozen=True)
class Row:
    label: str
    kind: str  # model, honest or degenerate
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    title: str
    intro: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    kind: str = ""  # 'facts': words, to be read from the left; 'heat': a map of coloured cells


@dataclass(frozen=True)
class Chart:
    """svg: an <svg> element that is safe in a page; words: what it shows, for those who do not see it, and under it."""

    svg: str
    words: str


@dataclass(frozen=True)
class Section:
    """Charts and tables under one heading; a table of the same title needs none of its own."""

    key: str
    title: str
    intro: str
    tables: tuple[Table, ...]
    charts: tuple[Chart, ...] = ()

    @classmethod
    def of(cls, key: str, table: Table | None, charts: tuple[Chart, ...] = ()) -> "Section":
        return cls(key, table.title if table else "", "", (table,) if table else (), charts if table else ())


def format_value(value: float, unit: str) -> str:
    if unit == "%":
        return percent(value)
    if abs(value) >= 1e5:
        return f"{value:.1e}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−") + (NO_BREAK + unit if unit else "")


def interval_cell(interval: dict, unit: str, row_n: int | None = None, grey: bool = False) -> Cell:
    """'42 %' with '35–50' under it; n where it differs from the row's. No interval where it has no ends."""
    if not interval["n"]:
        return Cell(NOTHING, "", grey)
    if interval["low"] is None:
        return Cell(format_value(interval["mean"], unit), "", grey)
    low, high = (format_value(interval[end], unit).removesuffix(f"{NO_BREAK}{unit}" if unit else "") for end in ("low", "high"))
    count = "" if row_n in (None, interval["n"]) else f", n{NO_BREAK}{interval['n']}"
    return Cell(format_value(interval["mean"], unit), f"{span(low, high)}{count}", grey)


def in_percent(interval: dict) -> tuple[float, float, float]:
    """Mean, low and high of a share."""
    return 100 * interval["mean"], 100 * interval["low"], 100 * interval["high"]


def span(low: str, high: str) -> str:
    """'3–9'; with a minus sign about, '−3 to 9'."""
    return f"{low} to {high}" if low.startswith("−") or high.startswith("−") else f"{low}–{high}"


def generator_label(generator: dict) -> str:
    shown = {"control": "", "grammar": ", grammar", "unconstrained": ", no grammar"}
    return generator["generator"] + shown.get(generator["mode"], f", {generator['mode']}")


def decides_nothing(metric: dict) -> bool:
    """Its column is grey: a control matches held-out sprites, or it is a published formula."""
    return metric["sane"] is False or metric["group"] == "legacy"


def metric_column(metric: dict) -> Column:
    grey = decides_nothing(metric)
    mark = ARROWS[metric["direction"]] + (" legacy" if grey else "")
    return Column(metric["label"], mark, metric["says"], grey)


def metric_cells(generator: dict, metrics: list[dict]) -> list[Cell]:
    """What one row of a table of metrics has."""
    measured, n = generator["metrics"], generator["prompts"]
    return [interval_cell(measured[m["name"]], m["unit"], n, decides_nothing(m)) for m in metrics]


def _fooled_notes(metrics: list[dict]) -> tuple[str, ...]:
    """Which control is as good as the held-out sprites, for each grey metric."""
    return tuple(
        f"{metric['label']}: decides nothing, held-out sprites are matched or beaten by {', '.join(metric['fooled_by'])}."
        for metric in metrics
        if metric["fooled_by"]
    )


def _metric_table(title: str, intro: str, metrics: list[dict], generators: list[dict], notes=()) -> Table:
    rows = []
    for generator in generators:
        seeds = ", ".join(map(str, generator["seeds"])) or NOTHING
        cells = (Cell(str(generator["prompts"])), Cell(seeds), *metric_cells(generator, metrics))
        rows.append(Row(generator_label(generator), generator["kind"], cells))
    columns = (Column("drawn by"), Column("n", says="prompts"), Column("seed"), *map(metric_column, metrics))
    return Table(title, intro, columns, tuple(rows), tuple(notes))


def _group(summary: dict, group: str) -> list[dict]:
    """Its metrics, sane ones first."""
    return sorted((m for m in summary["metrics"] if m["group"] == group), key=lambda m: m["sane"] is False)


def comparable(summary: dict) -> list[dict]:
    """Generators for tables about looks: free-running drawings only where a model has no others, nothing with words left out."""
    own = [g for g in summary["generators"] if g["generator"] not in summary.get("variants", {})]
    constrained = {g["generator"] for g in own if g["mode"] != "unconstrained"}
    return [g for g in own if g["mode"] != "unconstrained" or g["generator"] not in constrained]


def results(summary: dict) -> Table:
    metrics = _group(summary, "judged")
    intro = (
        "Means with 95 % bootstrap intervals over prompts, of the drawings that parse. ↑ higher is better, ↓ lower, "
        f"≈ nearer to the held-out sprites. {len(summary['comparisons'])} paired comparisons were made. "
        "Grey columns decide nothing."
    )
    return _metric_table("Results", intro, metrics, comparable(summary), _fooled_notes(metrics))


def described(summary: dict) -> Table:
    metrics = _group(summary, "described")
    intro = "How the drawings are built. There is no good value but the held-out sprites' own."
    return _metric_table("Shape statistics", intro, metrics, comparable(summary), _fooled_notes(metrics))


def legacy(summary: dict) -> Table:
    intro = (
        "Pixel Art Bench's formulas as published, for comparison with its tables only; quality score is of 8.5. "
        "For named palettes the entries in use count as the palette."
    )
    metrics = _group(summary, "legacy")
    return _metric_table("Legacy bench columns", intro, metrics, comparable(summary), _fooled_notes(metrics[:1]))


def validity(summary: dict) -> Table:
    """With and without the grammar, what it costs and what went wrong. Not greyed: validity has a job of its own."""
    metrics = [{**metric, "sane": None} for metric in summary["metrics"] if metric["group"] in ("format", "cost")]
    models = [g for g in summary["generators"] if g["kind"] == "model" and g["generator"] not in summary.get("variants", {})]
    notes = []
    for generator in models:
        for what, counts in (("faults", generator["faults"]), ("forgiven", generator["forgiven"])):
            if counts:
                listed = "; ".join(f"{count} × {cause}" for cause, count in counts.items())
                notes.append(f"{generator_label(generator)}, {what}: {listed}")
    intro = "Does the text parse as the drawing that was asked for? This says nothing about looks: noise is valid too."
    return _metric_table("Validity, with and without the grammar", intro, metrics, models, notes)


def likelihoods(summary: dict, recipe: dict) -> Table | None:
    """Bits per pixel by caption, what each model is told, and the habits outside the grid; None without likelihoods."""
    if not summary["likelihoods"]:
        return None
    labels = {
        "caption": ("bits, right caption", "↓"),
        "shuffled": ("bits, shuffled caption", "↓"),
        "empty": ("bits, empty caption", "↓"),
        "gain_over_shuffled": ("gain over shuffled", "↑"),
        "gain_over_empty": ("gain over empty", "↑"),
        "allowed_mass": ("allowed mass", "↑"),
        "separator_probability": ("separators", "↑"),
        "end_probability": ("end of turn", "↑"),
    }
    rows = []
    for entry in (entry for entry in summary["likelihoods"] if entry["generator"] not in summary.get("variants", {})):
        n, name = entry["caption"]["n"], entry["generator"]
        cells = [_fine_cell(entry[what], 4 if what in HABITS else 3, n) for what in labels]
        rows.append(Row(_with_role(name, summary["roles"]), "model", (Cell(told(recipe, name)), Cell(str(n)), *cells)))
    measured = (Column(label, mark) for label, mark in labels.values())
    columns = (Column("model"), Column("is told"), Column("n", says="held-out sprites"), *measured)
    intro = (
        "Bits per pixel on the held-out sprites: the same grids in the same palette, palette text excluded. A gain above 0 means "
        "that the model heeds what it is told. With the right caption each is told what the second column says; the empty one "
        "takes the words away and leaves examples or a guide in the prompt where there are any. A sprite transformer that was "
        f"never trained without words has no bits there ({NOTHING}). Allowed mass, separators and end of turn are "
        "probabilities over the whole vocabulary, with nothing forced; a sprite transformer can write nothing but grids."
    )
    return Table("Bits per pixel and the caption's gain", intro, columns, tuple(rows))


def _with_role(name: str, roles: dict) -> str:
    words = {roles["base"]: "before", roles["adapter"]: "after", roles.get("rival"): "rival"}
    return f"{name} ({words[name]})" if name in words else name


def _fine_cell(interval: dict, digits: int, row_n: int) -> Cell:
    if not interval["n"]:
        return Cell(NOTHING)
    mean, low, high = (_fine(interval[key], digits) for key in ("mean", "low", "high"))
    return Cell(mean, span(low, high) + ("" if interval["n"] == row_n else f", n{NO_BREAK}{interval['n']}"))


def _fine(value: float, digits: int) -> str:
    """Fixed digits, but 1e-8 stays 1e-8: an end of turn that never comes is not one that comes rarely."""
    return (f"{value:.0e}" if 0 < abs(value) < 0.1**digits else f"{value:.{digits}f}").replace("-", "−")


def recipe_table(recipe: dict, summary: dict) -> Table:
    """Every key of the recipe in dotted form, then the hashes that the drawings carry."""
    pairs = list(_flat(recipe))
    for key in ("recipe_hashes", "palette_hashes"):
        hashes = sorted({value for generator in summary["generators"] for value in generator[key]})
        pairs += [(key.replace("_hashes", " hash of the drawings"), ", ".join(hashes))] if hashes else []
    pairs += [(f"SHA-256 of {name}", digest) for name, digest in summary["inputs"].items()]
    pairs += [("bootstrap", f"{summary['resamples']} resamples, seed {summary['seed']}")]
    rows = tuple(Row(key, "honest", (Cell(value[:300]),)) for key, value in pairs[:200])
    return Table("How it was made", "", (Column("key"), Column("value")), rows, kind="facts")


def _flat(value, prefix: str = ""):
    if isinstance(value, dict) and value and prefix.count(".") < 5:
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value if isinstance(value, str) else str(value)
