"""The source results: rows as bad as the published ones, and each published figure."""

import json
from pathlib import Path

import numpy as np
import pandas
import pytest
from datasets import Dataset, Image
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.bench import source_page
from eval.bench import source_results as source
from eval.bench.bench_page import by_nobody, page
from eval.bench.fit_structure import ALL, HELD_OUT, LEARNT, Judge, area, fit
from eval.bench.scenes import FITTED as FITTED_SCENES
from eval.bench.scenes import SUBJECTS as SUBJECT_SCENES
from eval.bench.structure import FITTED
from eval.bench.tables import read_table
from eval.cli import main
from eval.controls import GRID_CONTROLS


def row(model: str, rows: list[str], colours: int = 2, **other) -> dict:
    known = {"id": "1", "model_slug": f"x/{model}", "model_name": model, "example_id": "1", "example_name": "hope"}
    size = {"height": len(rows), "width": len(rows[0]), "num_colors": colours, "is_appropriate": True}
    paid = {"input_tokens": 300, "output_tokens": 700, "total_tokens": 1000, "cost": 0.01, "generation_time": 2.5}
    return known | size | paid | {"palette": [f"{n:06x}" for n in range(colours)], "grid": rows} | other


def board(height: int = 24, width: int = 24) -> list[str]:
    return ["".join(str((y + x) % 2) for x in range(width)) for y in range(height)]


WORST = [
    row("good", board()),
    row("good", board(5779), 5668),
    row("good", [*board(23), "01"]),
    row("good", ["0" * 24] * 24, 1),
    row("bad", ["0x" * 12] * 24),
    {"model_name": None, "grid": None, "palette": None, "height": None, "cost": None},
    {"model_name": 7, "grid": "nonsense", "palette": 3, "height": "x", "cost": "free"},
    {"grid": [[1, 2], ["3", None]], "palette": [None, 4], "width": 1e400, "generation_time": True},
    {"grid": [1, 2], "palette": {}},
    {},
]


def written(tmp_path: Path, kind: str) -> Path:
    file = tmp_path / f"results.{kind}"
    if kind == "parquet":
        pandas.DataFrame(WORST[:5]).to_parquet(file)
    elif kind == "jsonl":
        file.write_text("\n".join([*map(json.dumps, WORST), "{broken"]))
    else:
        file.write_text(json.dumps({"rows": [{"row": one} for one in WORST]}))
    return file


@pytest.mark.parametrize(("kind", "count"), [("parquet", 5), ("jsonl", 11), ("json", 10)])
def test_the_worst_rows_are_read_from_every_kind_of_file(tmp_path, kind, count):
    results = source.load(str(written(tmp_path, kind)))
    assert len(results) == count
    assert [len(one.rows) for one in results[:3]] == [24, 5779, 24] and len(results[1].palette) == 5668
    assert results[0].metrics["quality_score"] == pytest.approx(8.5, abs=1e-3)
    assert results[2].metrics["quality_score"] is None and results[2].faults == ("ragged", "a row of other than 24")


def test_a_row_s_own_height_makes_it_valid_as_published_and_still_not_whole():
    tall = source.result_of(WORST[1])
    assert tall.metrics["grid_valid"] == 1.0 and not source.is_whole(tall)
    assert source.is_whole(source.result_of(WORST[0]))


def test_costs_are_a_whole_drawing_s_with_the_failed_ones_paid_for():
    results = [source.result_of(one) for one in WORST]
    found = source.costs(results)
    assert found["good"]["cost"] == pytest.approx(0.01) and found["good"]["cost_of_a_whole_drawing"] == pytest.approx(0.04)
    assert found["bad"]["cost_of_a_whole_drawing"] is None and found[source.NO_MODEL]["cost"] is None


def test_correlations_equal_those_of_pandas():
    results = by_nobody(3)[:200]
    table = pandas.DataFrame([result.metrics for result in results]).corr()
    for (a, b), found in source.correlations(results).items():
        assert found == pytest.approx(table.loc[a, b], abs=1e-9)


def test_a_metric_that_never_varies_has_no_correlation():
    assert set(source.correlations([source.result_of(WORST[0])] * 5).values()) == {None}


def test_the_radar_is_stretched_over_the_five_best():
    results = [
        source.result_of(row(f"m{number}", [line[:number] + "0" * (24 - number) for line in board()]))
        for number in range(2, 22, 3)
    ]
    found = source.radar(results)
    assert len(found) == 5 and list(found) == list(source.by_model(results))[:5]
    for name in ("edge_density", "fill_balance"):
        values = [shape[name] for shape in found.values()]
        assert min(values) == 0 and max(values) == 1


def test_models_without_any_quality_are_not_in_the_radar():
    rows = [row("good", board()), row("flat", ["0" * 24] * 24), row("ragged", [*board(23), "01"])]
    found = source.radar([source.result_of(one) for one in rows])
    assert list(found) == ["good", "flat"]
    assert np.isfinite([value for shape in found.values() for value in shape.values()]).all()


def test_the_command_writes_both_pages(tmp_path, capsys):
    file = tmp_path / "results.jsonl"
    file.write_text("\n".join(map(json.dumps, [*WORST, row("flat", ["0" * 24] * 24)])))
    assert main(["bench", "source", str(file), "--out", str(tmp_path / "out")]) == 0
    html, text = (tmp_path / "out/source.html").read_text(), (tmp_path / "out/source.md").read_text()
    assert "<svg" in html and "−0.47" in html and "−0.47" in text and "11 rows read from results.jsonl" in text
    assert all(f"## {title}" in text for title in ("Models", "Correlations", "Radar", "Distributions", "Robustness", "Cost"))


def test_other_people_s_words_stay_words_in_the_page(tmp_path):
    file = tmp_path / "x.json"
    file.write_text(json.dumps([row("<script>alert(1)</script>|[a](b)", board())]))
    source_page.write(str(file), tmp_path)
    assert "<script" not in (tmp_path / "source.html").read_text()
    assert "\\|\\[a\\]\\(b\\)" in (tmp_path / "source.md").read_text()


@pytest.mark.parametrize("text", ["[]", "{}", '[{"grid": 3}]', "no json"])
def test_no_results_are_bad_input(tmp_path, text, capsys):
    file = tmp_path / "x.json"
    file.write_text(text)
    assert main(["bench", "source", str(file), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("pixelreef bench: ")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("019x", max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["grid", "palette", "height", "width", "cost", "model_name", "is_appropriate"]), anything))
def test_any_row_is_a_result(one):
    result = source.result_of(one)
    assert set(result.metrics) and isinstance(result.faults, tuple) and (result.ours is None or len(result.ours) == 2)


def test_the_committed_measures_hold_and_half_of_the_controls_were_kept_out():
    fitted = json.loads(FITTED.read_text())
    assert set(LEARNT) <= set(GRID_CONTROLS) and len(LEARNT) == len(set(GRID_CONTROLS) & set(HELD_OUT)) == 5
    assert (fitted["learnt"], fitted["held_out"]) == (list(LEARNT), list(HELD_OUT))
    assert not set(FITTED_SCENES) & set(SUBJECT_SCENES)
    for table in fitted["tables"].values():
        for measure in ("continuity", "structure"):
            bar = table["held-out sprites"][measure]["mean"]
            assert all(table[name][measure]["mean"] < bar - 0.1 and table[name][measure]["area"] > 0.75 for name in GRID_CONTROLS)


def test_a_fit_tells_good_from_bad_and_survives_its_file():
    rng = np.random.default_rng(0)
    good, bad = rng.normal(0, 1, (300, len(ALL))), rng.normal(0, 4, (300, len(ALL)))
    judge = fit(good, bad, ("agreement", "regions", "colours"))
    places = [ALL.index(name) for name in judge.names]
    again = Judge.from_json(json.loads(json.dumps(judge.to_json())))
    assert area(judge.score(good[:, places]), judge.score(bad[:, places])) > 0.9  # too much and too little are both bad
    assert again.score(good[:, places]) == pytest.approx(judge.score(good[:, places]), abs=1e-3)


def test_the_page_has_the_published_table_of_empty_drawings():
    text = page()
    assert "| checkerboard of single pixels, two colours | 8.50 | 0.20 | 1.00 | 0.00 | 0.00 |" in text
    assert "| clean square | 6.63 |" in text and "−0.47" in text


def test_a_cell_of_the_hubs_leads_to_no_file(monkeypatch):
    """The hub's answer is a stand-in; what `datasets` makes of its columns is real."""
    rows = Dataset.from_list([{"id": 1, "planted": {"bytes": None, "path": "/etc/passwd"}}]).cast_column("planted", Image())
    monkeypatch.setattr("datasets.load_dataset", lambda name, split: rows)
    assert read_table("somebody/results") == [{"id": 1, "planted": {"bytes": None, "path": "/etc/passwd"}}]
