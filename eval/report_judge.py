"""The tables of a report that rest on `judge`: cells, distances, comparisons, the judge itself, correlations of metrics."""

import numpy as np

from data_prep.captions import CATEGORIES, ZONES
from eval.controls import ANOTHER_SUBJECT, HELD_OUT
from eval.metrics.cells import ALIVE, DEAD, MIN_DRAWINGS, OPEN
from eval.metrics.distribution import MIN_DRAWINGS as MIN_SET
from eval.metrics.distribution import NAMES as DISTANCES
from eval.report_pictures import shown_models
from eval.report_tables import (
    NOTHING,
    Cell,
    Column,
    Row,
    Section,
    Table,
    comparable,
    decides_nothing,
    generator_label,
    interval_cell,
    span,
)
from eval.report_words import NO_BREAK, called, learnt_from, models, percent, points, sentence
from eval.summary import BITS_SAVED, leader, opponents

SIGNS = {ALIVE: "●", DEAD: "×", OPEN: "○"}  # the state is read from sign and word, never from colour alone
ARROWS = {"kid": "↓", "frechet": "↓", "precision": "↑", "recall": "↑", "density": "↑", "coverage": "↑"}
LABELS = {"kid": "KID", "frechet": "Fréchet"}
SHARES = ("precision", "recall", "coverage")
CORRELATED = (  # a table that can still be read: what decides or once did, then what benches publish
    *("judge_score", "judge_quality", "zone_right_scrambled", "sprite_like", "colour_right", "nearest_training"),
    *("legacy_quality_score", "legacy_edge_density", "legacy_normalised_entropy", "legacy_colour_efficiency"),
)
MIN_CORRELATED = 20


def cells(summary: dict) -> Section:
    """One heat map a model, in the mode that comes first, and one of the held-out sprites; no tables without a judge."""
    rows = summary.get("cells") or []
    order = [(g["generator"], g["mode"]) for g in shown_models(summary)] + [(HELD_OUT, "control")]
    tables = []
    for name, mode in order:
        own = [row for row in rows if (row["generator"], row["mode"]) == (name, mode)]
        if own:
            tables.append(_map(name, own))
    return Section("cells", "Cells: what is drawn where", _cells_intro(summary) if tables else "", tuple(tables))


def _cells_intro(summary: dict) -> str:
    judge = (summary.get("critics") or {}).get("judge") or {}
    chance, bar = 1 / max(len(judge.get("categories", ())), 1), judge.get("bar")
    over = "" if bar is None else f", and their mean quality is above {bar:.2f}, the most that a degenerate control reaches"
    return (
        "Share of the drawings of each cell that the judge recognises: takes for a sprite and names as the category asked for. "
        f"{SIGNS[ALIVE]} alive: recognised more often than guessing would be ({percent(chance)}; exact 95 % interval){over}. "
        f"{SIGNS[DEAD]} dead: that could not be shown with {MIN_DRAWINGS} or more drawings. "
        f"{SIGNS[OPEN]} open: not shown, with too few drawings to say anything."
    )


def _ordered(words: set[str], known: tuple[str, ...]) -> list[str]:
    return [*(word for word in known if word in words), *sorted(words - set(known))]


def _map(name: str, own: list[dict]) -> Table:
    """Categories down, zones across."""
    by_cell = {(row["zone"], row["category"]): row for row in own}
    zones, categories = _ordered({zone for zone, _ in by_cell}, ZONES), _ordered({kind for _, kind in by_cell}, CATEGORIES)
    counts = [f"{sum(row['state'] == state for row in own)} {state}" for state in SIGNS]
    share = sum(row["recognised"]["mean"] for row in own) / len(own)
    intro = f"{', '.join(counts)} of {len(own)} cells; recognised in the mean of cells: {percent(share)}."
    rows = [Row(kind.replace("_", " "), "cell", tuple(_cell(by_cell.get((zone, kind))) for zone in zones)) for kind in categories]
    return Table(name, intro, (Column("asked for"), *map(Column, zones)), tuple(rows), kind="heat")


def _cell(row: dict | None) -> Cell:
    if row is None:
        return Cell(NOTHING)
    found, state = row["recognised"], row["state"]
    right = round(found["mean"] * found["n"])
    return Cell(percent(found["mean"]), f"{SIGNS[state]}{NO_BREAK}{state}, {right}/{found['n']}", heat=found["mean"])


def distribution(summary: dict) -> Table | None:
    """KID and friends, training sprites as the yardstick; None where nothing was measured."""
    own = {(row["generator"], row["mode"]): row for row in summary.get("distribution") or [] if "kid" in row}
    if not own:
        return None
    keys = [((g["generator"], g["mode"]), generator_label(g), g["kind"]) for g in comparable(summary)]
    first = [(key, label, kind) for key, label, kind in keys if kind == "model"]
    drawn = {g["generator"] for g in summary["generators"]}
    yardstick = [(key, f"{key[0]} (yardstick)", "honest") for key in own if key[0] not in drawn]
    rows = []
    for key, label, kind in (*first, *yardstick, *(entry for entry in keys if entry[2] != "model")):
        if key in own:
            measured = (interval_cell(within(own[key][name], name), "") for name in DISTANCES)
            rows.append(Row(label, kind, (Cell(str(own[key]["n"])), *measured)))
    against = max(row["against"] for row in own.values())
    intro = (
        f"Each set of drawings against {against} held-out sprites, on the judge's features: likeness and variety. "
        "It does not ask whether a drawing shows what was asked for. As near as can be hoped for is the row of training sprites, "
        "which are not the held-out ones. Intervals by halving the sets at random; Fréchet has none, for it grows as n falls."
    )
    notes = [f"Sets of fewer than {MIN_SET} drawings are left out.", *_outliers(own, keys)]
    if any(key[0] == ANOTHER_SUBJECT for key in own):
        notes.append(f"“{ANOTHER_SUBJECT}” is the held-out sprites in another order, and so as near as can be: one more reason.")
    columns = (Column("drawn by"), Column("n"), *(Column(LABELS.get(name, name), ARROWS[name]) for name in DISTANCES))
    return Table("Distance to the held-out sprites", intro, columns, tuple(rows), tuple(notes))


def _outliers(own: dict, keys: list) -> list[str]:
    """The models whose KID is mostly doubt: its kernel is a cube, so that a few odd drawings weigh more than all others."""
    kids = {label: own[key]["kid"] for key, label, kind in keys if kind == "model" and key in own}
    unsure = [label for label, kid in kids.items() if kid["mean"] > 1 and kid["high"] - kid["low"] > kid["mean"]]
    if not unsure:
        return []
    return [
        f"The interval of KID is wider than its mean for: {'; '.join(unsure)}. There it hangs on a few drawings far from "
        "everything, and says nothing of the rest, nor does Fréchet; precision, density and coverage do."
    ]


def within(interval: dict, name: str) -> dict:
    """What is a share cannot lie outside of 0 and 1, though the scatter of halves about it may."""
    if name not in SHARES or not interval["n"]:
        return interval
    return interval | {end: min(max(interval[end], 0.0), 1.0) for end in ("low", "high")}


def comparisons(summary: dict) -> Table | None:
    """The leader against every other model and the held-out sprites; None where nothing was compared."""
    first, found = leader(summary["roles"]), summary["comparisons"]
    if first is None or not found:
        return None
    sane = [m for m in summary["metrics"] if m["group"] == "judged" and m["sane"] and m["direction"] != "near"]
    metrics = [*((m["name"], m["label"]) for m in sane), ("strict_valid", "strictly valid")]
    labels = [*metrics, ("bits_saved", "bits saved"), ("bits_saved_untold", "bits saved, empty caption")]
    rows = []
    for other in (*opponents(summary["roles"], models(summary)), HELD_OUT):
        own = [c for c in found if c["b"] == other]
        for mode in sorted({c["mode"] for c in own} - {"likelihood"}, key=lambda mode: (mode == "unconstrained", mode)):
            here = {c["metric"]: c for c in own if c["mode"] in (mode, "likelihood")}
            name = called(summary, other) if other != HELD_OUT else other
            label = f"against {name}" + (", no grammar" if mode == "unconstrained" else "")
            kind = "honest" if other == HELD_OUT else "model"
            rows.append(Row(label, kind, tuple(_difference(here.get(metric), metric) for metric, _ in labels)))
    count = len(found)
    intro = (
        f"{sentence(called(summary, first))} minus the other, on the same prompts: mean difference "
        "in percentage points, or bits per pixel saved. Grey where the 95 % interval holds 0: no difference was shown. "
        f"{count} comparisons were made in all; with no difference anywhere, about {count / 20:.0f} would leave out 0 by chance."
    )
    columns = (Column("compared"), *(Column(label) for _, label in labels))
    return Table("Paired comparisons", intro, columns, tuple(rows))


def _difference(gap: dict | None, metric: str) -> Cell:
    if gap is None:
        return Cell(NOTHING, grey=True)
    values = [gap[key] for key in ("mean", "low", "high")]
    shown = [f"{v:.2f}".replace("-", "−") if metric in BITS_SAVED else points(v) for v in values]
    plus = "+" if values[0] > 0 else ""
    return Cell(f"{plus}{shown[0]}", f"{span(shown[1], shown[2])}, n{NO_BREAK}{gap['n']}", grey=values[1] <= 0 <= values[2])


def judge(summary: dict) -> Section:
    """Which judge it was, and what it calls the held-out sprites of this run; no tables in runs that were scored before it."""
    critics = summary.get("critics")
    if not critics:
        return Section("judge", "", "", ())
    tables = [_facts(critics, len(summary["comparisons"])), recognition(summary)]
    return Section("judge", "Who judges", "", tuple(table for table in tables if table is not None))


def _facts(critics: dict, comparisons: int) -> Table:
    own = critics["judge"]
    if own is None:
        pairs = [("judge", f"none: {critics['reason']}")]
    else:
        pairs = [
            ("SHA-256 of the judge", own["sha256"]),
            ("learnt from", f"{learnt_from(own)}, seed {own['seed']}; the datasets' hashes: critics.json beside it"),
            ("knows", ", ".join(word.replace("_", " ") for word in (*own["categories"], *own["zones"]))),
            ("sides, in pixels", ", ".join(map(str, own["sizes"]))),
            ("tested on", f"{own['held_out']} held-out sprites; ranks every degenerate control below them"),
            (
                "its worth by family of degenerate drawings",
                "table.md beside it (eval/critics/reef/table.md for the committed one)",
            ),
        ]
        pairs += [("mean quality of the control that it likes best", f"{own['bar']:.3f}")] if own["bar"] is not None else []
    pairs.append(("comparisons that were made", str(comparisons)))
    rows = tuple(Row(key, "honest", (Cell(value[:300]),)) for key, value in pairs)
    return Table("Who judges", _facts_intro(own), (Column("key"), Column("value")), rows, kind="facts")


def _facts_intro(own: dict | None) -> str:
    if own is None:
        return ""
    return (
        f"A frozen network that no model was trained or selected with. It learnt from {learnt_from(own)}, which need not be "
        "this run's, and from half of the families of degenerate drawings; the other half are new to it."
    )


def recognition(summary: dict) -> Table | None:
    """What the judge calls the held-out sprites of this run; None where it knows none of their categories."""
    found = summary.get("recognition")
    if not found or not found["accuracy"]["n"]:
        return None
    rows = []
    for category, counts in zip(found["categories"], found["confusion"], strict=True):
        if sum(counts):
            numbers = [str(sum(counts)), *(str(count) if count else NOTHING for count in counts)]
            rows.append(Row(category.replace("_", " "), "honest", tuple(map(Cell, numbers))))
    heads = (Column(f"called {word.replace('_', ' ')}") for word in found["named"])
    right = interval_cell(found["accuracy"], "%")
    intro = (
        f"“Recognised” is the word of the judge, which saw {found['training']} training sprites, and as “none” "
        f"{', '.join(found['taught'])}. It names {right.text} ({right.detail}) of this run's held-out sprites rightly; "
        "where it errs on those, it says little about drawings. It knows kinds and neatness, not beauty; copies pass too."
    )
    columns = (Column("held-out sprites of"), Column("n"), *heads)
    return Table("What the judge calls held-out sprites", intro, columns, tuple(rows))


def correlations(summary: dict, scores: list[dict]) -> Table | None:
    """Spearman's rank correlations of metrics over all drawings of the run; None where fewer than two vary."""
    described = {metric["name"]: metric for metric in summary["metrics"]}
    columns = {name: np.array([row["metrics"].get(name) for row in scores], np.float64) for name in CORRELATED}
    names = [name for name, values in columns.items() if len(np.unique(values[np.isfinite(values)])) > 1 and name in described]
    if len(names) < 2:
        return None
    grey = {name: decides_nothing(described[name]) for name in names}
    rows = []
    for name in names:
        found = tuple(_correlation(columns[name], columns[other], grey[name] or grey[other]) for other in names)
        rows.append(Row(described[name]["label"] + (" (legacy)" if grey[name] else ""), "cell", found))
    heads = (Column(described[name]["label"], "legacy" if grey[name] else "", grey=grey[name]) for name in names)
    intro = (
        f"Spearman's rank correlation over all {len(scores)} drawings of the run, controls included, where both were measured. "
        "A legacy metric that goes against the judge's score rewards what nobody wants; one that goes with it may be fooled."
    )
    return Table("How the metrics agree", intro, (Column("metric"), *heads), tuple(rows), kind="heat")


def _correlation(a: np.ndarray, b: np.ndarray, grey: bool) -> Cell:
    from scipy.stats import spearmanr

    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < MIN_CORRELATED or np.ptp(a[both]) == 0 or np.ptp(b[both]) == 0:
        return Cell(NOTHING, grey=grey)
    value = round(float(spearmanr(a[both], b[both]).statistic), 2) + 0.0  # no −0.00
    return Cell(f"{value:.2f}".replace("-", "−"), grey=grey, heat=value)
