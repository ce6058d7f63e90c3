"""Timing in turns: warm-up turns count for nothing, every way gets every turn, and the page says what was not run."""

from pathlib import Path

import pytest

from data_prep.errors import InputError
from eval.speed import page
from eval.speed.contest import Times, environment, in_turns, spread, words

DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_ways_are_called_in_turns_and_warm_turns_are_left_out():
    called = []
    found = in_turns({name: lambda turn, name=name: called.append((name, turn)) for name in "ab"}, 2, work=3, warm=1)
    assert called == [(name, turn) for turn in (0, 1, 2) for name in "ab"]
    assert all(len(times.wall) == len(times.cpu) == 2 and times.work == 3 for times in found.values())


def test_a_ratio_above_one_is_faster():
    quick, slow = Times((1.0, 2.0, 9.0), (1.0, 1.0, 1.0), 4), Times((4.0, 8.0, 6.0), (1.0, 1.0, 1.0), 4)
    assert quick.ratio(slow) == 3 and quick.rates().tolist() == [4, 2, pytest.approx(4 / 9)]
    assert spread(slow.each(), ".2f") == "1.50 (1.00 to 2.00)"


def test_work_of_another_amount_is_compared_by_the_unit():
    assert Times((1.0,), (1.0,), 10).ratio(Times((1.0,), (1.0,), 5)) == 2


def test_the_environment_names_versions_and_commit():
    found = environment(["numpy"])
    assert found["versions"].keys() == {"python", "numpy"} and found["commit"] in words(found) and "threads" not in found


def test_every_part_says_what_it_compares_and_how_to_run_it(tmp_path):
    told = page.page(tmp_path)
    for part in page.PARTS:
        (head, _, said, *left) = page.section(part, {})
        assert head in told and said in told
        assert all(line == "" or ("not run" in line and f"pixelreef bench {part}" in line) for line in left) and left


def test_a_torn_file_of_figures_is_named(tmp_path):
    (tmp_path / "draw.json").write_text("{")
    with pytest.raises(InputError, match=r"draw.json: no JSON"):
        page.read(tmp_path / "draw.json")


def test_the_committed_page_is_what_the_committed_figures_make():
    assert (DOCS / "speed.md").read_text("utf-8") == page.page(DOCS)
    assert all(page.read(DOCS / "speed" / f"{part}.json") for part in page.PARTS)
