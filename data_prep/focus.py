"""Back to the data: which cells a run drew badly, and how much of each cell a corpus keeps because of it.

`pixelreef prepare --focus runs/x` reads what `pixelreef score` wrote there (summary.json: the cells of the run's leader, its
adapter else its first model) and the votes, where it was rated (ratings.sqlite; people's where there are any, else models').

    need   = 1 − the upper end of the 95 % interval (C. Clopper and E. Pearson, 1934) of the share of the cell's drawings that
             were recognised: the share that fails even at best, so that few drawings move little. 0 for a cell that is alive.
             Of votes likewise, the share in which the drawing was preferred or equal; the larger need of the two counts.
    weight = 1 + 3 · need

A cell keeps weight / (the largest weight) of its training sprites: the neediest one all of them, the others less, so that shares
of the training data rise with weights. No sprite is doubled. Sprites of other splits, and those of no cell, stay. What a person
rejected while curating leaves before (`curation:` in the recipe); the shares are of what is left.
"""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path

from data_prep.errors import InputError
from data_prep.recipe import CELL_NAMES
from data_prep.splits import Plan, share

STRENGTH = 3.0
LEVEL = 0.95
REASON = "its cell has more than its weight"
SUMMARY, VOTES = "summary.json", "ratings.sqlite"


@dataclass(frozen=True)
class Cell:
    """What a run says of a cell. state: alive, dead, open, or '' where it was not drawn; hits of n drawings recognised; liked of
    votes in which the drawing was preferred or equal."""

    state: str
    hits: int
    n: int
    liked: int = 0
    votes: int = 0

    @property
    def need(self) -> float:
        if self.state == "alive":
            return 0.0
        return max(1 - upper(self.hits, self.n), 1 - upper(self.liked, self.votes))

    @property
    def weight(self) -> float:
        return 1 + STRENGTH * self.need


@dataclass(frozen=True)
class Focus:
    """A run's needs. run: its folder's name; generator: whose drawings; raters: 'person', 'model' or '' without votes; cells:
    zone/category → Cell, all 30 of them."""

    run: str
    generator: str
    raters: str
    cells: Mapping[str, Cell]

    @classmethod
    def of(cls, run: Path) -> "Focus":
        """Raises InputError for a folder that has no scores, or scores without cells."""
        try:
            summary = json.loads((run / SUMMARY).read_text("utf-8"))
            leader = summary["roles"].get("adapter") or summary["roles"].get("first")
            rows = {
                f"{row['zone']}/{row['category']}": (row["state"], row["recognised"]["mean"], row["recognised"]["n"])
                for row in summary["cells"]
                if row["generator"] == leader and row["mode"] == "grammar"
            }
            honest = {row["generator"] for row in summary["generators"] if row["kind"] == "honest"}
            drawn = {name: (str(state), round(float(mean) * int(n)), int(n)) for name, (state, mean, n) in rows.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                f"--focus {run}: {SUMMARY} is missing or damaged ({error!r:.60}); run pixelreef score {run}"
            ) from error
        if not drawn:
            raise InputError(f"--focus {run}: {SUMMARY} has no cells of a model; the judge knew none of its drawings")
        raters, votes = _votes(run, leader, honest)
        cells = {name: Cell(*drawn.get(name, ("", 0, 0)), *votes.get(name, (0, 0))) for name in CELL_NAMES}
        return cls(run.name, leader, raters, cells)

    def kept(self, name: str) -> float:
        """Share of a cell's training sprites that stay; 1 for what is no cell of the table."""
        most = max(cell.weight for cell in self.cells.values())
        return self.cells[name].weight / most if name in self.cells else 1.0

    def apply(self, found: Plan, seed: int) -> dict:
        """Takes training sprites out of a plan until each cell has its share; returns what it did, for manifest and card."""
        by_cell = defaultdict(list)
        for one in found.kept:
            if one.split == "train":
                by_cell["/".join(one.key.cell)].append(one)
        out = set()
        for name, some in by_cell.items():
            ranked = sorted(some, key=lambda one: (share(f"focus:{seed}:{one.key.name}"), one.key.name))
            out.update(ranked[max(1, ceil(self.kept(name) * len(some) - 1e-9)) :])
        before = Counter({name: len(some) for name, some in by_cell.items()})
        after = before - Counter("/".join(one.key.cell) for one in out)
        found.drops += [(one.key.name, REASON, {}) for one in found.kept if one in out]
        found.kept = [one for one in found.kept if one not in out]
        return self.to_json() | {"before": dict(before), "after": dict(after)}

    def to_json(self) -> dict:
        """What decides the rows."""
        cells = {name: asdict(cell) | {"weight": round(cell.weight, 4)} for name, cell in self.cells.items()}
        return {"run": self.run, "generator": self.generator, "raters": self.raters, "cells": cells}


def upper(hits: int, n: int) -> float:
    """Upper end of the exact interval for `hits` of `n`; 1 where nothing is known."""
    from scipy.stats import binomtest

    return float(binomtest(hits, n).proportion_ci(LEVEL).high) if n else 1.0


def _votes(run: Path, leader: str, honest: set[str]) -> tuple[str, dict[str, tuple[int, int]]]:
    """Whose votes count, and zone/category → (votes in which the leader's drawing was preferred or equal, votes), those against
    honest controls left out. Raises InputError for a file of votes that cannot be read."""
    if not (run / VOTES).is_file():
        return "", {}
    query = "SELECT kind, request_id, left_maker, right_maker, answer FROM pairs JOIN raters ON rater = name "
    query += "WHERE repeats IS NULL AND answer IN ('left', 'right', 'equal', 'both_bad')"
    try:
        cell_of = {row["request_id"]: f"{row['zone']}/{row['category']}" for row in _lines(run / "references.jsonl")}
        with closing(sqlite3.connect(f"{(run / VOTES).absolute().as_uri()}?mode=ro", uri=True)) as base:
            rows = [row for row in base.execute(query) if leader in row[2:4] and not honest & set(row[2:4])]
    except (sqlite3.Error, OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"--focus {run}: its votes cannot be read ({error!r:.80}); export them and import them again") from error
    raters = next((kind for kind in ("person", "model") if any(row[0] == kind for row in rows)), "")
    liked, votes = Counter(), Counter()
    for kind, request, left, _, answer in rows:
        if kind == raters and request in cell_of:
            votes[cell_of[request]] += 1
            liked[cell_of[request]] += answer == "equal" or answer == ("left" if left == leader else "right")
    return raters, {name: (liked[name], count) for name, count in votes.items()}


def _lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line.strip()]


def in_words(told: Mapping) -> list[str]:
    """What a focus changed, neediest cells first, as lines of Markdown. told: what `Focus.apply` returned."""
    before, after = sum(told["before"].values()), sum(told["after"].values())
    votes = f" and votes ({told['raters']})" if told["raters"] else ""
    lines = [
        f"Weighed by what {told['generator']} drew badly in {told['run']}, by recognition{votes}: {after:,} of {before:,} "
        f"training sprites are kept, weight / largest weight of each cell, with weight = 1 + {STRENGTH:g} · need.",
        "| cell | state | recognised | liked in votes | weight | training sprites before | kept | share before | share now |\n"
        "|---|---|---|---|---|---|---|---|---|",
    ]
    ranked = sorted(told["cells"], key=lambda name: (-told["cells"][name]["weight"], name))
    for name in [*ranked, *sorted(set(told["before"]) - set(ranked))]:
        cell, was, now = told["cells"].get(name, {}), told["before"].get(name, 0), told["after"].get(name, 0)
        said = [name, cell.get("state") or "not drawn", _of(cell, "hits", "n"), _of(cell, "liked", "votes")]
        said += [f"{cell['weight']:.2f}" if cell else "–", str(was), str(now)]
        said += [f"{was / max(before, 1):.1%}", f"{now / max(after, 1):.1%}"]
        lines[-1] += "\n| " + " | ".join(said) + " |"
    return lines


def _of(cell: Mapping, hits: str, n: str) -> str:
    return f"{cell[hits]} of {cell[n]}" if cell.get(n) else "–"
