"""The short table for README.md: its columns, its strongest control, and plain words where a run lacks something."""

import copy
import json

import pytest
from PIL import Image
from run_folders import add_rival, make_run, read_rows, score_blobs, write_rows

from data_prep.errors import InputError
from eval.readme import BEGIN, END, publish, short_table
from eval.report import report

RECIPE = {"name": "test", "size": 16}


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("runs") / "short")
    return json.loads(score_blobs(folder).read_text())


@pytest.fixture
def summary(scored):
    return copy.deepcopy(scored)


def test_columns_and_rows(summary):
    lines = short_table(summary, RECIPE).splitlines()
    assert lines[0] == "| drawn by | n | recognised | judge's score | coverage | bits per pixel | valid without grammar |"
    firsts = [line.split(" | ")[0].strip("| ") for line in lines[2:7]]
    assert firsts[:2] == ["base model (base model, before)", "adapter (adapter, after)"]
    assert all(line.count("|") == lines[0].count("|") for line in lines[:7])


def test_a_rival_is_a_row_and_can_stand_alone(tmp_path):
    both, alone = make_run(tmp_path / "both"), make_run(tmp_path / "alone")
    add_rival(both)
    add_rival(alone, alone=True)
    recipe = RECIPE | {"generators": {"sprite transformer, improved": {"transformer": "a-folder"}}}
    recipe["told"] = {"sprite transformer, improved": "what the caption says, as attributes"}
    tables = [short_table(json.loads(score_blobs(folder).read_text()), recipe) for folder in (both, alone)]
    firsts = [[line.split(" | ")[0].strip("| ") for line in table.splitlines()[2:5]] for table in tables]
    assert firsts[0][2] == firsts[1][0] == "sprite transformer, improved (rival)"
    assert "what the caption says, as attributes" in tables[0] and "the adapter saw" not in tables[1]


def test_publishing_fills_the_readme_unless_only_results_are_wanted(tmp_path):
    run, readme = make_run(tmp_path / "run"), tmp_path / "README.md"
    recipe = json.loads((run / "recipe.json").read_text()) | RECIPE
    (run / "recipe.json").write_text(json.dumps(recipe))
    references, drawn = read_rows(run / "references.jsonl"), read_rows(run / "completions.jsonl")
    del references[1]["zone"]  # from elsewhere: a sprite of no zone, and an answer without a text
    drawn[0]["text"] = None
    write_rows(run / "references.jsonl", references)
    write_rows(run / "completions.jsonl", drawn)
    score_blobs(run)
    report(run)
    (tmp_path / "docs").mkdir()
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    publish(run, tmp_path, results_only=True)
    flat, lit = (Image.open(tmp_path / "docs/results/test" / name) for name in ("cells.png", "cells_shaded.png"))
    assert "\nold\n" in readme.read_text() and not (tmp_path / "docs/strip.png").exists()
    assert flat.size == lit.size and flat.convert("RGB").tobytes() != lit.convert("RGB").tobytes()
    publish(run, tmp_path)
    assert readme.read_text().startswith("before\n") and readme.read_text().endswith("after\n")
    assert "| drawn by |" in readme.read_text() and "\nold\n" not in readme.read_text()
    assert (tmp_path / "docs/strip.png").exists()


def test_strongest_is_the_most_recognised_control(summary):
    for generator in summary["generators"]:
        if generator["kind"] == "degenerate":
            generator["metrics"]["recognised"]["mean"] = 0.9 if generator["generator"] == "stripes" else 0.1
    assert "| stripes (degenerate control) | 24 | 90 %" in short_table(summary, RECIPE).replace("\N{NO-BREAK SPACE}", " ")


def test_metrics_that_were_not_checked_say_so(summary):
    for metric in summary["metrics"]:
        metric["sane"] = None
    assert "recognised (not checked)" in short_table(summary, RECIPE)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda s: s["roles"].update(adapter=None, base=None), "role 'base' or 'rival'"),
        (lambda s: s["roles"].pop("base"), "base"),
        (lambda s: s["metrics"].pop(0), "metric 'recognised'"),
        (lambda s: [g["metrics"].pop("recognised") for g in s["generators"]], "recognised"),
        (lambda s: s.update(generators=[g for g in s["generators"] if g["kind"] == "model"]), "no degenerate control"),
        (lambda s: s.update(generators=[g for g in s["generators"] if g["kind"] != "honest"]), "nearest training sprite"),
        (lambda s: s.pop("likelihoods"), "likelihoods"),
    ],
)
def test_what_is_missing_is_an_input_error(summary, spoil, said):
    spoil(summary)
    with pytest.raises(InputError, match=said):
        short_table(summary, RECIPE)


def test_recipes_without_a_size_are_an_input_error(summary):
    with pytest.raises(InputError, match="size"):
        short_table(summary, {"name": "test"})
