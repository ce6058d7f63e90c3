"""What leaving out one thing changes: a class of words of the caption, or a sentence of the guide, each metric by itself.

The altered generator is compared with the unaltered one on the same prompts, and judged by the whole request: by what the
caption says with the words that it was not told.
"""

from collections.abc import Mapping

from eval.caption_words import CLASSES
from eval.metrics import likelihood
from eval.report_paired import SHOWN, change_cell, means
from eval.report_tables import ARROWS, Cell, Column, Row, Section, Table, decides_nothing, metric_column
from eval.report_words import NO_BREAK
from eval.summary import difference

MAX_SENTENCE = 90
BITS = ("bits_per_pixel", "bits per pixel", "lower", "")
WHAT = {"words": "Words of the caption left out", "sentences": "Sentences of the guide left out"}


def sensitivity(run) -> Section:
    """A table for each generator that had something left out; no tables without one."""
    altered: Mapping[str, str] = run.summary.get("variants") or {}
    tables = []
    for original in dict.fromkeys(altered.values()):
        for kind, title in WHAT.items():
            names = [name for name, of in altered.items() if of == original and _kind(name, original) == kind]
            if names:
                tables.append(_table(run, f"{title}: {original}", original, sorted(names, key=_order), kind))
    return Section("sensitivity", "Sensitivity: what each part is worth", _intro(tables) if tables else "", tuple(tables))


def _intro(tables: list[Table]) -> str:
    cells = [cell for table in tables for row in table.rows for cell in row.cells[1:] if cell.detail]
    shown = sum(cell.text.endswith(SHOWN) for cell in cells)
    return (
        "Change of each metric when one thing is left out, in percentage points or bits per pixel: the altered generator minus "
        "the unaltered one on the same prompts, judged by the whole request. The part helped where a metric that should be high "
        f"(↑) falls, or one that should be low (↓) rises. {SHOWN} marks a change whose 95 % interval leaves out 0; others may "
        f"be noise and are grey, as are metrics that decide nothing. {len(cells)} changes were measured, of which {shown} are "
        f"marked; with none at all, about {len(cells) / 20:.0f} would be."
    )


def _left_out(name: str, original: str) -> str:
    """'x − colour, round 1' of 'x, round 1' → 'colour'."""
    return name.rsplit(" − ", 1)[1].split(", round ")[0] if " − " in name else name.removeprefix(original)


def _kind(name: str, original: str) -> str:
    return "words" if _left_out(name, original) in CLASSES else "sentences"


def _order(name: str) -> tuple:
    """Words in the order of their classes, sentences by number."""
    last = _left_out(name, "")
    number = last.removeprefix("sentence ")
    return (list(CLASSES).index(last) if last in CLASSES else len(CLASSES), int(number) if number.isdecimal() else 0, name)


def _table(run, title: str, original: str, names: list[str], kind: str) -> Table:
    metrics = [m for m in run.summary["metrics"] if m["group"] == "judged" and m["direction"] != "near"]
    metrics.sort(key=lambda metric: metric["sane"] is False)
    bits = _bits(run, names, original)
    columns = [Column("left out"), Column("n", says="prompts")]
    columns += [Column(BITS[1], ARROWS[BITS[2]])] if bits else []
    columns += map(metric_column, metrics)
    rows = [_row(run, name, original, metrics, bits) for name in names]
    intro = (
        "n: the prompts whose captions have such words; the others are told the same as before."
        if kind == "words"
        else "The guide as it is, less one sentence at a time."
    )
    return Table(title, intro, tuple(columns), tuple(rows))


def _row(run, name: str, original: str, metrics: list[dict], bits: dict) -> Row:
    keys = [name_mode for name_mode in run.by_generator if name_mode[0] == name]
    requests = list(run.by_generator[keys[0]]) if keys else []
    seed, cells = run.summary["seed"], []
    cells += [change_cell(bits[name], "bits", len(requests))] if bits else []
    for metric in metrics:
        key = metric["name"]
        later, first = (means(run.by_generator, (one, keys[0][1]), key, requests) for one in (name, original))
        gap = difference(later, first, key, seed)
        cells.append(change_cell(gap, metric["unit"], len(requests), decides_nothing(metric)))
    return Row(_label(run, name, original), "model", (Cell(str(len(requests))), *cells))


def _label(run, name: str, original: str) -> str:
    """'colour'; of a sentence its number and its words, where the run tells them."""
    last = _left_out(name, original)
    told = run.recipe.get("left_out")
    words = told.get(name) if isinstance(told, dict) else None
    if last in CLASSES or not isinstance(words, str) or not words:
        return f"−{NO_BREAK}{last}"
    cut = words if len(words) <= MAX_SENTENCE else words[: MAX_SENTENCE - 1].rstrip() + "…"
    return f"−{NO_BREAK}{last.removeprefix('sentence ')}: {cut}"


def _bits(run, names: list[str], original: str) -> dict:
    """Altered generator → interval of the bits per pixel that it needs more; {} where none was measured."""
    told = {name: likelihood.by_condition(r for r in run.likelihoods if r["generator"] == name) for name in (*names, original)}
    right = {name: table[likelihood.RIGHT] for name, table in told.items()}
    gaps = {name: likelihood.gain(right[name], right[original], run.summary["seed"]) for name in names}
    return gaps if any(gap.n for gap in gaps.values()) else {}
