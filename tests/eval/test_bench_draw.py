"""`pixelreef bench draw`: both ways draw the same greedily, what is timed is told, and the page says what was not run."""

import json

import numpy as np
import pytest

from data_prep.palette import named
from eval.bench_draw import OURS, THEIRS, Contest, Timing, page, weight_bytes
from eval.cli import main
from eval.generators import LanguageModel

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
    for draw in (contest.ours, contest.theirs):
        grids = draw(2, 1.0, 3)
        assert grids.shape == (2, 4, 4) and not (grids[0] == grids[1]).all()


def test_figures_are_of_the_calls_after_the_first(contest, monkeypatch):
    """In turns, and the call that warms up counts for nothing."""
    called = []
    for name in ("ours", "theirs"):
        monkeypatch.setattr(contest, name, lambda batch, temperature, seed, name=name: called.append((name, seed)))
    ours, theirs = contest.timings(2, 3)
    assert called == [("ours", 0), ("theirs", 0)] + [(name, seed) for seed in (1, 2, 3) for name in ("ours", "theirs")]
    assert (ours.who, theirs.who) == (OURS, THEIRS) and len(ours.wall) == len(theirs.cpu) == 3


def test_seconds_are_told_a_sprite():
    assert Timing(OURS, 4, (4.0, 8.0, 6.0), (1.0, 1.0, 1.0)).told("wall") == "1.500 (1.000 to 2.000)"


def test_the_weights_that_a_step_reads_leave_the_embedding_out(contest):
    model = contest.model.model
    embedding = model.get_input_embeddings().weight
    assert weight_bytes(model) == 4 * (sum(p.numel() for p in model.parameters()) - embedding.numel())


def test_the_command_writes_page_and_figures_and_says_what_was_not_run(tiny_qwen3, tmp_path, capsys):
    out = tmp_path / "speed.md"
    words = ["--base", str(tiny_qwen3), "--size", "4", "--repeats", "1", "--out", str(out), "--batch"]
    assert main(["bench", "draw", *words, "1"]) == 0
    found = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    (name,) = runs = json.loads(out.with_suffix(".json").read_text())
    assert runs[name] == found and out.read_text() == page(runs) and "Not run" in out.read_text()
    row = found["rows"][0]
    assert row["ratio"] == pytest.approx(np.divide(*(one["wall"][0] for one in row["timings"][::-1])))
    assert "Not run" not in page({**runs, "another": found | {"kind": "cuda"}})


@pytest.mark.parametrize("wrong", [["--batch", "0"], ["--size", "3"], ["--repeats", "0"], ["--random", "elephant"]])
def test_bad_flags_end_in_one_line(wrong, capsys):
    assert main(["bench", "draw", *wrong, "--base", "smollm2-135m"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
