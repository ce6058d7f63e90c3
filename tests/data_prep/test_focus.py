"""--focus: cells that a run drew badly get more of the training data; what changed is told, in the card too."""

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import focus
from data_prep.errors import InputError
from data_prep.focus import Cell, Focus, upper
from data_prep.pairs import read_rows
from data_prep.prepare import PrepareRecipe, main, prepare
from data_prep.recipe import CELL_NAMES

ALIVE, DEAD = "shallows/reef_fish", "hadal/coral"


def make_run(folder: Path, hits: dict[str, int], n: int = 20, states: dict[str, str] | None = None) -> Path:
    """What `score` writes of the cells: hits by cell, all others recognised in half of the drawings."""
    rows = []
    for name in CELL_NAMES:
        zone, category = name.split("/")
        found = hits.get(name, n // 2)
        state = (states or {}).get(name, "open")
        row = {
            "zone": zone,
            "category": category,
            "recognised": {"mean": found / n, "low": 0.0, "high": 1.0, "n": n},
            "state": state,
        }
        rows += [
            row | {"generator": "mine", "mode": "grammar"},
            row | {"generator": "other", "mode": "grammar", "state": "alive"},
        ]
    kinds = {"mine": "model", "other": "model", "held-out sprites": "honest"}
    generators = [{"generator": name, "kind": kind} for name, kind in kinds.items()]
    folder.mkdir()
    summary = {"roles": {"adapter": "mine"}, "cells": rows, "generators": generators}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def add_votes(folder: Path, cell: str, answers: list[tuple[str, str, str]]) -> None:
    """answers: (kind of rater, other maker, answer), the run's own drawing always on the left."""
    zone, category = cell.split("/")
    (folder / "references.jsonl").write_text(json.dumps({"request_id": "p", "zone": zone, "category": category}) + "\n")
    base = sqlite3.connect(folder / "ratings.sqlite")
    base.execute("CREATE TABLE raters (name TEXT, kind TEXT)")
    base.execute("CREATE TABLE pairs (rater TEXT, request_id TEXT, left_maker TEXT, right_maker TEXT, repeats TEXT, answer TEXT)")
    base.executemany("INSERT INTO raters VALUES (?, ?)", [("ann", "person"), ("eye", "model")])
    names = {"person": "ann", "model": "eye"}
    rows = [(names[kind], "p", "mine", other, None, answer) for kind, other, answer in answers]
    base.executemany("INSERT INTO pairs VALUES (?, ?, ?, ?, ?, ?)", rows)
    base.commit()
    base.close()


@settings(deadline=None)  # SciPy is imported in the first call
@given(st.integers(0, 60), st.integers(0, 60))
def test_need_falls_with_hits_and_rises_with_drawings(hits, more):
    n = hits + more
    cell = Cell("open", hits, n)
    assert 0 <= cell.need <= 1 and 1 <= cell.weight <= 1 + focus.STRENGTH
    assert cell.need <= Cell("open", max(0, hits - 1), n).need + 1e-12
    assert Cell("open", 0, n).need <= Cell("open", 0, n + 1).need + 1e-12
    assert Cell("alive", hits, n).need == 0 and Cell("", 0, 0).need == 0


def test_the_bound_is_the_exact_one():
    """0 of n: 1 − (α/2)^(1/n)."""
    assert upper(0, 10) == pytest.approx(1 - 0.025**0.1) and upper(5, 5) == 1 and upper(0, 0) == 1
    rng = np.random.default_rng(0)
    assert np.mean([upper(int(hits), 20) >= 0.3 for hits in rng.binomial(20, 0.3, 500)]) > 0.95


def test_the_dead_cell_keeps_all_and_the_alive_one_its_share(tmp_path):
    run = make_run(tmp_path / "x", {DEAD: 0, ALIVE: 20}, states={DEAD: "dead", ALIVE: "alive"})
    recipe = PrepareRecipe("tiny", ({"kind": "procedural", "seed": 3, "count": 450},), (16,))
    found = Focus.of(run)
    before = prepare(recipe, tmp_path / "before")
    after = prepare(recipe, tmp_path / "after", focus=found)
    was, now = ({split: by_cell(folder, split) for split in ("train", "validation", "test")} for folder in (before, after))
    assert now["train"][DEAD] == was["train"][DEAD] and now["test"] == was["test"] and now["validation"] == was["validation"]
    assert now["train"][ALIVE] == int(np.ceil(was["train"][ALIVE] * found.kept(ALIVE) - 1e-9)) < was["train"][ALIVE]
    share = {key: cells[DEAD] / sum(cells.values()) for key, cells in (("was", was["train"]), ("now", now["train"]))}
    assert share["now"] > share["was"]
    ids = [{row["id"] for row in read_rows(folder, "train", ("id",))} for folder in (before, after)]
    assert ids[1] < ids[0] and len(ids[1]) == sum(now["train"].values())  # none doubled, none new


def by_cell(folder: Path, split: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in read_rows(folder, split, ("zone", "category")):
        name = f"{row['zone']}/{row['category']}"
        counts[name] = counts.get(name, 0) + 1
    return counts


def test_what_changed_is_printed_and_in_card_and_manifest(tmp_path, capsys):
    run = make_run(tmp_path / "x", {DEAD: 0}, states={DEAD: "dead"})
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: tiny\nsources: [{kind: procedural, count: 120, seed: 3}]\nsizes: [16]\n")
    flags = ["--config", str(recipe), "--out", str(tmp_path / "out"), "--focus", str(run)]
    assert main(flags) == 0
    said, card = capsys.readouterr(), (tmp_path / "out" / "README.md").read_text()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    line = next(line for line in card.splitlines() if line.startswith(f"| {DEAD} | dead | 0 of 20"))
    assert line in said.out + said.err and "## Weighed by a run" in card
    kept, was = (sum(manifest["focus"][key].values()) for key in ("after", "before"))
    assert f"{kept:,} of {was:,} training" in card and kept == sum(manifest["counts"]["train"].values()) < was
    assert manifest["dropped"][focus.REASON] == was - kept
    assert str(tmp_path) not in card + json.dumps(manifest)
    assert main(flags) == 0 and "reused" in "".join(capsys.readouterr())
    assert main(flags[:4]) == 2 and "another recipe" in capsys.readouterr().err  # the focus decides rows, so it is in the hash


def test_votes_count_where_they_say_worse_than_the_judge(tmp_path):
    run = make_run(tmp_path / "x", {})
    plain = Focus.of(run).cells[DEAD].need
    answers = [("model", "other", "right")] * 10 + [("model", "held-out sprites", "right")] * 30 + [("model", "other", "left")]
    add_votes(run, DEAD, answers)
    found = Focus.of(run)
    assert found.raters == "model" and (found.cells[DEAD].liked, found.cells[DEAD].votes) == (1, 11)
    assert found.cells[DEAD].need == pytest.approx(1 - upper(1, 11)) and found.cells[DEAD].need > plain


def test_people_go_before_models(tmp_path):
    run = make_run(tmp_path / "x", {})
    add_votes(
        run, DEAD, [("model", "other", "right")] * 10 + [("person", "other", "equal")] * 3 + [("person", "other", "both_bad")]
    )
    found = Focus.of(run)
    assert found.raters == "person" and (found.cells[DEAD].liked, found.cells[DEAD].votes) == (3, 4)


def test_a_folder_without_scores_is_refused_in_one_line(tmp_path, capsys):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: tiny\nsources: [{kind: procedural, count: 120}]\nsizes: [16]\n")
    flags = ["--config", str(recipe), "--out", str(tmp_path / "out"), "--focus", str(tmp_path / "x")]
    assert main(flags) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and "pixelreef score" in said[0] and not (tmp_path / "out").exists()
    run = make_run(tmp_path / "x", {})
    for text in ("[]", "{}", '{"roles": {}, "cells": [], "generators": []}', "no JSON"):
        (run / "summary.json").write_text(text)
        with pytest.raises(InputError, match=r"summary\.json"):
            Focus.of(run)
    make_run(tmp_path / "y", {})
    (tmp_path / "y" / "ratings.sqlite").write_text("no votes")
    with pytest.raises(InputError, match="votes cannot be read"):
        Focus.of(tmp_path / "y")
