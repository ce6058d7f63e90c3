"""The report's section on raters: people and models apart, who is preferred, and which metric agrees."""

import pytest
from run_folders import make_run, score_blobs

from eval import run_folder
from eval.ratings import EQUAL, KINDS, LEFT, RIGHT, Pair, Ratings, digest, new_uid
from eval.report import load, report
from eval.report_raters import raters


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("rated") / "run", prompts=24)
    score_blobs(folder)
    return folder


def texts(folder) -> dict[tuple[str, str], str]:
    rows = run_folder.read_rows(folder / "completions.jsonl", run_folder.check_drawing).rows
    return {(row["request_id"], row["generator"]): row["text"] for row in rows if row["mode"] != "unconstrained"}


def rate(folder, rater: str, kind: str, makers: tuple[str, str], answer) -> None:
    """One vote a prompt. answer: (number) → one of ANSWERS, the first maker being on the left."""
    drawn, ratings = texts(folder), Ratings(folder / "ratings.sqlite")
    ratings.enter(rater, kind)
    for number, request in enumerate(sorted({request for request, _ in drawn})):
        sides = [part for maker in makers for part in (maker, digest(drawn[request, maker]))]
        pair = Pair(new_uid(), request, *sides)
        ratings.show(rater, pair)
        ratings.vote(rater, pair.uid, answer(number), 1.0)
    ratings.close()


def test_nobody_has_rated(folder):
    assert not raters(load(folder)).tables and not (folder / "ratings.sqlite").exists()


def test_people_and_models_are_never_in_one_table(folder):
    rate(folder, "ann", "person", ("held-out sprites", "base model"), lambda number: LEFT if number % 6 else EQUAL)
    rate(folder, "bot", "model", ("held-out sprites", "base model"), lambda number: RIGHT)
    people, agree, models, _ = raters(load(folder)).tables
    assert [row.label for row in people.rows] == ["held-out sprites", "base model"]
    assert [row.label for row in models.rows] == ["base model", "held-out sprites"]
    assert "ann" in people.intro and "bot" not in people.intro and "24 votes" in people.intro
    assert [cell.text for cell in people.rows[0].cells[1:]] == ["20", "4", "0", "0"]
    told = {row.label: row.cells[0] for row in agree.rows}
    assert told["empty ↓"].text.startswith("100") and not told["empty ↓"].grey  # the base model's drawings are blank
    assert tuple(load(folder).votes) == KINDS


def test_the_page_and_its_twin_tell_it(folder):
    page = report(folder).read_text()
    assert "What raters say" in page and "Preferred by people" in page and "Preferred by models" in page
    assert "Preferred by people" in (folder / "report.md").read_text()


def test_votes_on_drawings_that_are_gone_are_left_out(folder, tmp_path):
    other = make_run(tmp_path / "run", prompts=24)
    score_blobs(other)
    ratings = Ratings(other / "ratings.sqlite")
    ratings.enter("ann", "person")
    pair = Pair(new_uid(), min(request for request, _ in texts(other)), "a", "0" * 64, "b", "1" * 64)
    ratings.show("ann", pair)
    ratings.vote("ann", pair.uid, LEFT, 1.0)
    ratings.close()
    assert load(other).votes["person"] and not raters(load(other)).tables
