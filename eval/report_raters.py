"""What raters say of the drawings, people and models apart: who is preferred, how steadily, and which metric agrees with them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from eval.ranking import Standing, alpha, concordance, ranking, votes_needed
from eval.ratings import FILE, KINDS, Ratings, Vote, digest, self_agreement
from eval.report_tables import ARROWS, Cell, Column, Row, Section, Table, interval_cell

WHO = {"person": "people", "model": "models"}


def votes_of(folder: Path) -> dict[str, list[Vote]]:
    """Kind of rater → the votes of a run folder, without pairs that were skipped; empty where nobody has rated."""
    if not (folder / FILE).exists():
        return {}
    ratings = Ratings(folder / FILE)
    try:
        return {kind: found for kind in KINDS if (found := [vote for vote in ratings.votes(kind) if vote.answer != "skip"])}
    finally:
        ratings.close()


def raters(run) -> Section:
    """Two tables a kind of rater; none where nobody has rated. Votes on drawings that are no longer the run's are left out."""
    written = [row for row in (*run.completions, *run.references) if isinstance(row.get("text"), str)]
    drawn = {(row["request_id"], digest(row["text"])) for row in written}
    tables = []
    for kind, votes in run.votes.items():
        known = [vote for vote in votes if {(vote.request_id, d) for d in (vote.left_drawing, vote.right_drawing)} <= drawn]
        if known:
            tables += [_standings(kind, known), _agreement(kind, known, run)]
    intro = (
        "Pairs of drawings of one prompt, makers hidden, sides at random. Strength is the log-odds of being preferred to the "
        "mean maker (Bradley–Terry with ties); its interval draws prompts and raters anew. To separate two makers of which one "
        f"is preferred in 55, 60 or 70 % takes about {votes_needed(0.55)}, {votes_needed(0.6)} and {votes_needed(0.7)} votes "
        "that are no ties."
    )
    return Section("raters", "What raters say", intro if tables else "", tuple(tables))


def _standings(kind: str, votes: Sequence[Vote]) -> Table:
    names = sorted({vote.rater for vote in votes})
    alike, repeated = self_agreement(votes)
    steady = f"{alike} of {repeated} repeated pairs were answered as before" if repeated else "no pair was shown twice"
    agreed = alpha(votes)
    among = f"; Krippendorff's alpha among raters {agreed:.2f}" if agreed is not None else ""
    intro = f"{len(votes)} votes by {', '.join(names)}; {steady}{among}."
    heads = ("maker", "strength", "won", "equal", "both bad", "lost")
    return Table(f"Preferred by {WHO[kind]}", intro, tuple(map(Column, heads)), tuple(map(_standing, ranking(votes))))


def _standing(found: Standing) -> Row:
    counts = (found.wins, found.ties - found.both_bad, found.both_bad, found.losses)
    return Row(found.maker, "model", (interval_cell(found.strength.to_json(), ""), *(Cell(str(count)) for count in counts)))


def _agreement(kind: str, votes: Sequence[Vote], run) -> Table:
    """How often each metric prefers the drawing that the raters preferred; best first."""
    rows, scored = [], _scored(run)
    for metric in run.summary["metrics"]:
        if metric["direction"] in ("higher", "lower"):
            found = concordance(votes, _values(scored, metric)).to_json()
            if found["n"]:
                rows.append((found, metric))
    rows.sort(key=lambda row: -row[0]["mean"])
    intro = (
        "Share of votes but ties in which the metric is better for the drawing that was preferred; equal values count half. "
        "A coin has 50 %: grey is a metric whose interval holds it, which has not been shown to agree with these raters."
    )
    heads = (Column("metric"), Column("agrees"), Column("n", says="prompts"))
    return Table(f"Which metric agrees with {WHO[kind]}", intro, heads, tuple(_metric_row(*row) for row in rows))


def _metric_row(found: dict, metric: dict) -> Row:
    grey = found["low"] <= 0.5 <= found["high"]
    label = f"{metric['label']} {ARROWS[metric['direction']]}" + (" (legacy)" if metric["group"] == "legacy" else "")
    return Row(label, "cell", (interval_cell(found, "%", grey=grey), Cell(str(found["n"]))))


def _values(scored: Iterable[tuple[str, Mapping]], metric: dict) -> dict[str, float]:
    """Drawing → the metric, turned so that higher is better."""
    sign = 1 if metric["direction"] == "higher" else -1
    return {drawing: sign * value for drawing, metrics in scored if (value := metrics.get(metric["name"])) is not None}


def _scored(run) -> list[tuple[str, Mapping]]:
    """(drawing, its metrics) of each that has a text."""
    drawn = {_key(row): digest(row["text"]) for row in run.completions if isinstance(row.get("text"), str)}
    return [(drawn[_key(row)], row["metrics"]) for row in run.scores if _key(row) in drawn]


def _key(row: Mapping) -> tuple:
    return tuple(str(row.get(name)) for name in ("request_id", "generator", "mode", "seed", "index"))
