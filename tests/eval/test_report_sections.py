"""Sensitivity, rounds, temperatures, cost and charts of a report, on planted runs of which the answer is known."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from run_folders import REEF, drawing, make_run, read_rows, score_blobs, write_rows

from data_prep.grid_text import encode
from eval import (
    report_charts,
    report_cost,
    report_judge,
    report_legacy,
    report_paired,
    report_pictures,
    report_sweeps,
    report_tables,
    report_words,
)
from eval.metrics.intervals import Interval
from eval.report import load, markdown_table, report
from eval.report_sensitivity import sensitivity
from eval.summary import leader, roles_of, variants

EVIL = "hot <b>$x_1$</b> & `co|al`"
TOLD = "Outline <script>alert(1)</script> | first."
GENERATORS = {
    "adapter": {"adapter": "a", "leave_out": "word"},
    "base model": {"base": "b", "skill": "s.md", "leave_out": "sentence"},
    EVIL: {"transformer": "t"},
    f"{EVIL}, temperature 0.4": {"transformer": "t", "temperature": 0.4},
    f"{EVIL}, temperature 1.3": {"transformer": "t", "temperature": 1.3},
    "again": {"base": "b", "rounds": 1},
}


def _planted(folder) -> dict[str, dict[int, str]]:
    """Name → index → text: what each generator draws, beside what `make_run` has drawn."""
    rng = np.random.default_rng(2)
    right = {index: row["text"] for index, row in enumerate(read_rows(folder / "references.jsonl"))}
    adapter = {
        r["index"]: r["text"]
        for r in read_rows(folder / "completions.jsonl")
        if (r["generator"], r["mode"]) == ("adapter", "grammar")
    }
    noise = {index: encode(rng.integers(0, 64, (16, 16)).astype(np.uint8), REEF) for index in right}
    blank = dict.fromkeys(right, encode(np.zeros((16, 16), np.uint8), REEF))
    return {
        "adapter − colour": {index: noise[index] for index in range(20)},
        "adapter − size": {index: adapter[index] for index in range(12)},
        "base model − sentence 1": blank,
        EVIL: right, f"{EVIL}, temperature 0.4": blank, f"{EVIL}, temperature 1.3": noise,
        "again, round 0": noise, "again, round 1": {**right, 0: noise[0]},
    }  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("runs") / "sections")
    rows, bits = read_rows(folder / "completions.jsonl"), read_rows(folder / "likelihoods.jsonl")
    for name, texts in _planted(folder).items():
        rows += [drawing(index, name, "model", "grammar", text) for index, text in texts.items()]
    own = [row for row in bits if (row["generator"], row["condition"]) == ("adapter", "caption")][:20]
    bits += [{**row, "generator": "adapter − colour", "bits": row["bits"] + 64} for row in own]
    write_rows(folder / "completions.jsonl", rows)
    write_rows(folder / "likelihoods.jsonl", bits)
    recipe = json.loads((folder / "recipe.json").read_text()) | {"generators": GENERATORS, "temperature": 1.0}
    recipe |= {"left_out": {"base model − sentence 1": TOLD}, "training_seconds": {"adapter": 600}}
    recipe |= {"roles": {"adapter": "adapter", "base": "base model"}}
    (folder / "recipe.json").write_text(json.dumps(recipe))
    score_blobs(folder)
    report(folder)
    return folder


@pytest.fixture(scope="module")
def run(folder):
    return load(folder)


@pytest.fixture(scope="module")
def page(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


def cells(table, label: str) -> dict[str, report_tables.Cell]:
    (row,) = (row for row in table.rows if row.label == label)
    return dict(zip((column.label for column in table.columns[1:]), row.cells, strict=True))


def test_a_word_that_matters_is_told_from_one_that_does_not(run):
    words, sentences = sensitivity(run).tables
    colour, size = (cells(words, f"−\N{NO-BREAK SPACE}{word}") for word in ("colour", "size"))
    assert (colour["n"].text, size["n"].text) == ("20", "12")
    assert colour["bits per pixel"].text == "+0.250\N{NO-BREAK SPACE}*" and size["bits per pixel"].text == report_tables.NOTHING
    assert colour["recognised"].text.startswith("−") and colour["recognised"].text.endswith("*") and not colour["recognised"].grey
    assert size["recognised"].text == "0.0" and size["recognised"].grey
    assert TOLD in sentences.rows[0].label and "base model" in sentences.title
    assert "changes were measured" in sensitivity(run).intro


def test_what_misses_something_is_no_rival(run, page):
    altered = {"adapter − colour": "adapter", "adapter − size": "adapter", "base model − sentence 1": "base model"}
    assert run.summary["variants"] == altered
    for names in (
        {g["generator"] for g in report_tables.comparable(run.summary)},
        {g["generator"] for g in report_pictures.shown_models(run.summary)},
        {c["b"] for c in run.summary["comparisons"]},
        {row.label for row in report_tables.likelihoods(run.summary, run.recipe).rows},
    ):
        assert not names & set(altered) and names
    assert not any("−\N{NO-BREAK SPACE}colour" in row.label for row in report_judge.comparisons(run.summary).rows)


def test_no_verdict_is_against_what_misses_something(run):
    roles = run.summary["roles"] | {"base": None}
    comparisons = [c for c in run.summary["comparisons"] if c["b"] != "base model"]
    generators = sorted(run.summary["generators"], key=lambda g: g["generator"] != "adapter − colour")  # the first of all
    alone = run.summary | {"roles": roles, "comparisons": comparisons, "generators": generators}
    names = {"adapter − colour", "adapter − size", "base model − sentence 1"}
    assert names <= {g["generator"] for g in generators} and not names & set(report_words.models(alone))
    assert not any(name in report_words.verdict(alone) for name in names)


ONLY_BASE = {
    "generators": {"m": {"base": "b"}, "m, 1 example": {"base": "b", "examples": 1}, "m, refined": {"base": "b", "rounds": 1}},
    "roles": {"base": "m"},
}


def test_what_was_never_trained_is_no_adapter():
    names = ["m", "m, 1 example", "m, refined, round 0", "m, refined, round 1"]
    assert roles_of(ONLY_BASE, names) == {"adapter": None, "base": "m", "first": "m, 1 example"}
    assert leader(roles_of(ONLY_BASE, names)) == "m, 1 example" and leader(roles_of(ONLY_BASE, ["m"])) == "m"
    trained = ONLY_BASE | {"generators": {**ONLY_BASE["generators"], "fish": {"base": "b", "adapter": "f"}}}
    assert roles_of(trained, [*names, "fish"]) == {"adapter": "fish", "base": "m"}
    assert roles_of({}, ["base model", "a", "b"]) == {"adapter": "a", "base": "base model"}  # a recipe of old
    assert leader(roles_of({}, [])) is None


def test_a_run_of_models_that_were_never_trained_is_told_by_their_names(tmp_path):
    folder = make_run(tmp_path / "skills")
    for name in ("completions.jsonl", "likelihoods.jsonl"):
        again = {"adapter": "m, 1 example", "base model": "m"}
        found = read_rows(folder / name)
        write_rows(folder / name, [row | {"generator": again.get(row["generator"], row["generator"])} for row in found])
    (folder / "training_log.jsonl").unlink()
    (folder / "recipe.json").write_text(json.dumps(json.loads((folder / "recipe.json").read_text()) | ONLY_BASE))
    score_blobs(folder)
    page = report(folder).read_text()
    said = report_words.verdict(load(folder).summary)
    assert said.startswith("“m, 1 example” is better than the base model “m” (saving 1.") and "adapter" not in said
    assert "“m, 1 example”" in page and "The adapter" not in page and "The 's" not in page


def test_variants_are_found_by_the_recipe_alone():
    recipe = {"generators": {"x": {"leave_out": "word", "rounds": 1}, "y − z": {}, "broken": 3}}
    names = ["x", "x, round 0", "x, round 1", "x − zone, round 1", "x − zone, round 0", "y", "y − z", "x − one two"]
    assert variants(recipe, names) == {"x − zone, round 1": "x, round 1", "x − zone, round 0": "x, round 0"}
    assert variants({"generators": 3}, names) == variants({}, names) == {}


def test_a_round_that_helps_is_called_so(run):
    section = report_sweeps.rounds(run)
    (table,) = section.tables
    assert [row.label for row in table.rows] == ["round 0", "round 1", "round 1 − round 0"] and table.title == "again"
    change = cells(table, "round 1 − round 0")["judge's score"]
    assert change.text.startswith("+") and change.text.endswith("*")
    assert cells(table, "round 1")["drawn again"].text == "96\N{NO-BREAK SPACE}%"  # 23 of 24
    assert "again: " in section.charts[0].words and "in round 1" in section.charts[0].words


def test_where_it_collapses_and_where_it_tips(run):
    section = report_sweeps.temperatures(run)
    (table,) = section.tables
    assert [row.label for row in table.rows] == ["0.4", "1", "1.3", "held-out sprites"]
    said = section.charts[0].words.replace("\N{NO-BREAK SPACE}", " ")
    assert "Collapses to empty at 0.4 (100 %); tips into static at 1.3 (100 %)" in said
    assert cells(table, "1")["static"].text.startswith(("0", "4"))


def test_sections_are_left_out_of_runs_without_such_rows(run):
    plain = {**run.summary, "variants": {}}
    plain["generators"] = [
        g for g in run.summary["generators"] if g["generator"] in ("adapter", "base model") or g["kind"] != "model"
    ]
    bare = replace(run, summary=plain, recipe={"generators": {"adapter": {"adapter": "a"}}})
    for section in (sensitivity(bare), report_sweeps.rounds(bare), report_sweeps.temperatures(bare)):
        assert section.tables == () and section.charts == () and section.intro == ""
    strange = replace(run, recipe={"generators": ["x"], "temperature": "hot", "left_out": 3, "training_seconds": []})
    assert report_sweeps.temperatures(strange).tables == () and report_cost.cost(strange).tables


def test_cost_stands_beside_quality(run):
    section = report_cost.cost(run)
    rows = {row.label.split("  ")[1]: row.cells for row in section.tables[0].rows}
    assert rows["adapter"][1].text == "10 min" and rows["base model"][1].text == "none"
    assert len(section.charts) == 2 and "no. 1: " in section.charts[0].words
    assert [row.label.split("  ")[0] for row in section.tables[0].rows] == [str(i) for i in range(1, len(rows) + 1)]


def test_no_time_stands_for_a_training_that_was_logged_in_part(run):
    partly = replace(run, recipe={"sprites_seen": 9280}, log=[{"step": 1, "sprites": 4480, "seconds": 5463.1}])
    rows = {row.label.split("  ")[1]: row.cells for row in report_cost.cost(partly).tables[0].rows}
    assert rows["adapter"][1].text == "–"
    wholly = replace(partly, log=[{"step": 1, "sprites": 9280, "seconds": 5463.1}])
    assert report_cost.training_seconds(wholly) == {"adapter": 5463.1}


def test_the_radar_is_legacy_and_says_so(run):
    section = report_legacy.bench(run.summary)
    assert "decide nothing" in section.charts[0].words and "checkerboard 8.5" in section.charts[0].words
    assert all("legacy" in column.mark for column in section.tables[0].columns[3:])


def test_charts_are_safe_in_a_page(page):
    charts = re.findall(r"<svg viewBox=\"[^\"]*\" role=\"img\" aria-label=\"[^\"]+\">.*?</svg>", page, re.DOTALL)
    assert len(charts) >= 6  # curve, rounds, temperatures, two of cost, radar
    for chart in charts:
        assert not re.search(r"<(?:script|style|image|a|foreignObject)\b|url\(|#01020|font-family|\son\w+=", chart)
        assert "var(--sea)" in chart and "<text" in chart
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'xlink:href="#([^"]+)"', page)) <= set(ids)
    assert "<b>$x" not in page and "hot &lt;b&gt;$x_1$" in page


def test_charts_are_the_same_every_time_and_take_any_name():
    odd = "\x00\ud800 $\\frac{1}{0}$ <x> 名前\n" + "long " * 20
    draw = lambda: report_charts.lines("k", [report_charts.Series(odd, ((0, 1, 0, 2), (1, 2, 1, 3)))] * 2, "x", "y", odd, (0, 1))  # noqa: E731
    assert draw() == draw()
    assert "\x00" not in draw().svg and "&lt;x&gt;" in draw().svg and "frac" in draw().svg
    assert report_charts.label(odd).endswith("…") and len(report_charts.label(odd)) <= report_charts.MAX_LABEL


def test_numbers_of_a_chart_never_hide_each_other():
    same = [(256.0, 0.2, 0.1, 0.3)] * 4 + [(1024.0, 0.2, 0.1, 0.3)]
    assert report_charts._aside(same, 0.3) == [0, 17, 34, 51, 0]


def test_the_markdown_twin_has_every_number_of_the_new_sections(run, folder):
    text = (folder / "report.md").read_text(encoding="utf-8")
    for section in (sensitivity(run), report_sweeps.rounds(run), report_sweeps.temperatures(run), report_cost.cost(run)):
        assert f"## {section.title}" in text.replace("\\", "")
        assert all(markdown_table(table) in text for table in section.tables)
    assert text.count("Chart: ") >= 6 and "<script" not in text


def test_a_bound_that_is_no_number_shows_nothing():
    nan = float("nan")
    assert report_paired.is_noise(Interval(nan, nan, nan, 30)) and report_paired.is_noise(Interval(None, None, None, 0))
    assert not report_paired.is_noise(Interval(0.2, 0.1, 0.3, 30))
