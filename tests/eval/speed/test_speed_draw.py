"""`pixelreef bench draw`: both ways draw the same greedily, what is timed is told, and the page says what was not run."""

import json
from dataclasses import replace

import pytest

from data_prep.errors import InputError
from data_prep.palette import named
from eval.cli import main
from eval.generators import LanguageModel
from eval.speed import draw
from eval.speed.drawing_ways import Contest
from eval.speed.limits import matrix_rate, weight_bytes
from eval.speed.page import page, section

REEF = named("reef64")


@pytest.fixture(scope="module")
def contest(tiny_qwen3) -> Contest:
    return Contest(LanguageModel.load(base=str(tiny_qwen3), dtype="float32"), 4, REEF)


def test_greedy_drawings_part_at_near_ties_alone(contest):
    found = contest.agreement()
    assert found.drawings == 4 and found.same + found.spelt + len(found.gaps) == 4 and all(gap < 1e-3 for gap in found.gaps)


def test_the_grammar_admits_at_least_the_symbols(contest):
    found = contest.masses()
    assert 0 < found.symbols <= found.admitted <= 1 and 0 <= found.gap <= found.largest_gap


def test_both_ways_draw_grids_of_the_batch(contest):
    for way in (contest.ours, contest.theirs):
        grids = way(2, 1.0, 3)
        assert grids.shape == (2, 4, 4) and not (grids[0] == grids[1]).all()


def test_all_ways_draw_the_batch_in_turns(contest, monkeypatch):
    called = []
    for name in ("ours", "theirs"):
        monkeypatch.setattr(contest, name, lambda batch, temperature, seed, name=name: called.append((name, batch, seed)))
    row = draw.row_of(contest, 2, 3, 1e9, None)
    assert called == [(name, 2, turn) for turn in range(4) for name in ("ours", "theirs")]
    assert all(len(times["wall"]) == 3 and times["work"] == 2 for times in row["times"].values())


def test_ways_that_draw_otherwise_are_refused(contest, monkeypatch):
    alike = contest.agreement()
    monkeypatch.setattr(contest, "agreement", lambda: replace(alike, gaps=(0.2,)))
    with pytest.raises(InputError, match=r"0.2 nats apart"):
        draw.agreed(contest)


def test_a_matrix_product_takes_operations():
    assert 1e8 < matrix_rate("cpu", side=128, seconds=0.05) < 1e13


def test_the_weights_that_a_step_reads_leave_the_embedding_out(contest):
    model = contest.model.model
    embedding = model.get_input_embeddings().weight
    assert weight_bytes(model) == 4 * (sum(p.numel() for p in model.parameters()) - embedding.numel())


def test_the_command_writes_page_and_figures_and_says_what_was_not_run(tiny_qwen3, tmp_path, capsys):
    words = ["--base", str(tiny_qwen3), "--size", "4", "--repeats", "1", "--docs", str(tmp_path), "--batch"]
    assert main(["bench", "draw", *words, "1"]) == 0
    found = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    (name,) = runs = json.loads((tmp_path / "speed/draw.json").read_text())
    assert runs[name] == found and (tmp_path / "speed.md").read_text() == page(tmp_path)
    (row,) = found["rows"]
    assert row["ratio"][draw.THEIRS] == pytest.approx(row["times"][draw.THEIRS]["wall"][0] / row["times"][draw.OURS]["wall"][0])
    told, both = ("\n".join(section("draw", some)) for some in (runs, {**runs, "another": found | {"kind": "cuda"}}))
    assert "On a GPU: not run" in told and "not run" not in both


@pytest.mark.parametrize("wrong", [["--batch", "0"], ["--size", "3"], ["--repeats", "0"], ["--random", "elephant"]])
def test_bad_flags_end_in_one_line(wrong, capsys):
    assert main(["bench", "draw", *wrong, "--base", "smollm2-135m"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
