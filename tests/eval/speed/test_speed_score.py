"""`pixelreef bench score`: both ways get the same drawings, one that comes to other numbers is refused, the page shows it all."""

import json
from pathlib import Path

import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.grid_text import encode
from data_prep.palette import named
from eval import run_folder
from eval.cli import main
from eval.metrics import legacy, memorisation
from eval.speed import score, score_folder, score_ways
from eval.speed.page import section


def test_every_way_comes_to_the_numbers_of_ours():
    found = {pair.name: pair.agreement() for pair in score_ways.pairs(30)}
    assert {"KID", "nearest training sprite", "strict reading of the text"} <= found.keys()
    assert all(row["largest"] <= 1e-6 for row in found.values())
    assert found["strict reading of the text"]["numbers"] == 30 * 256
    assert found["legacy quality score, seven numbers"]["numbers"] == 30 * 7


def test_a_way_that_comes_to_other_numbers_is_refused():
    def pair(ours, theirs, exact=None):
        return score_ways.Pair("x", "y", 1, lambda: np.array(ours), lambda: np.array(theirs), exact)

    for wrong in (
        pair([1.0], [1.1]), pair([1.0], [1.0, 1.0]), pair([], []), pair([np.nan], [1.0]), pair([1.0, 2.0], [1.1, 2.0], 1),
        pair([1.0, 2.0], [1.0, 1.9], 1),
    ):  # fmt: skip
        with pytest.raises(InputError, match="a fault, report it"):
            wrong.agreement()
    found = pair([1.0, 0.5, 0.7], [1.0, 0.6, 0.7], 1).agreement()
    assert found["found"] == 0.5 and found["short"] == pytest.approx(0.1) and found["largest"] == 0


def test_the_loop_over_training_sprites_sees_every_view():
    training = np.stack([sprite.grid for sprite in score_ways.sprites(4)])
    for view in memorisation.views(training[2]):
        brute = max(memorisation.agreement(one[None], training).max() for one in memorisation.views(view))
        assert score_ways.nearest_by_loop(view, training) == pytest.approx(brute, abs=1e-12)


def test_the_plain_legacy_score_is_the_published_one():
    board = np.indices((16, 16)).sum(0).astype(np.uint8) % 2
    assert score_ways.legacy_by_loop(board, 16, 16) == pytest.approx(legacy.of_grid(board, 16, 16))


@pytest.mark.parametrize("change", [lambda t: t.replace("reef64", "reef65"), lambda t: t[:-3] + '",""]}', lambda t: t[:-9]])
def test_the_plain_reader_refuses_what_is_no_drawing(change):
    text = encode(score_ways.sprites(1)[0].grid, named("reef64"))
    assert (score_ways.read_by_json(text, 16) == score_ways.sprites(1)[0].grid).all()
    with pytest.raises(ValueError):
        score_ways.read_by_json(change(text), 16)


def test_the_run_folder_holds_usable_rows_alone(tmp_path):
    count = score_folder.make(tmp_path / "run", 40)
    rows = run_folder.read_rows(tmp_path / "run/completions.jsonl", run_folder.check_drawing)
    assert len(rows.rows) == count == 45 and not rows.unusable
    assert len(run_folder.read_training(tmp_path / "run", 64)) == 40


def test_the_command_writes_page_and_figures(tmp_path, capsys):
    assert main(["bench", "score", "--sprites", "20", "--repeats", "1", "--docs", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    runs = json.loads((tmp_path / "speed/score.json").read_text())
    told = "\n".join(section("score", runs))
    assert runs == {"20 drawings": found} and told in (tmp_path / "speed.md").read_text() and "not run" not in told
    shares = found["whole"]["shares"]
    assert sum(shares.values()) == pytest.approx(1, abs=1e-3) and len(shares) == score_folder.SHOWN + 1
    assert shares["the judge's network"] > 0.1 and found["whole"]["drawings"] == 30
    assert all(row["name"] in told for row in found["rows"])


def test_rows_whose_other_side_is_not_installed_are_named(monkeypatch):
    monkeypatch.setattr(score_ways, "find_spec", lambda name: None if name == "prdc" else name)
    assert score_ways.missing() == ["prdc"] and len(list(score_ways.pairs(20))) == 3
    docs = Path(__file__).resolve().parents[3] / "docs/speed/score.json"
    if docs.exists():
        found = next(iter(json.loads(docs.read_text()).values()))
        assert any("prdc was not installed" in line for line in score.lines(found | {"missing": ["prdc"]}))


@pytest.mark.parametrize("flags", [["--sprites", "19"], ["--repeats", "0"]])
def test_a_bad_flag_ends_in_one_line(flags, tmp_path, capsys):
    assert main(["bench", "score", "--docs", str(tmp_path), *flags]) == 2 and capsys.readouterr().err.count("\n") == 1
