"""The rating page in a real, headless Chromium: judged by keys and by mouse; votes outlive the server."""

import io
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from chromium import needs_chromium, pixels, served
from conftest import Site, running
from PIL import Image
from playwright.sync_api import expect

from eval.pages.contest import read_contest
from eval.pages.rate import rate_page
from eval.ratings import FILE, Ratings

ROOT = Path(__file__).parents[3]
pytestmark = needs_chromium


@pytest.fixture
def site(contest):
    with running([rate_page(contest)]) as port:
        yield Site(port, "/rate")


def begin(page, rater: str = "Ada") -> None:
    expect(page.get_by_label("Your name")).to_be_focused()
    page.get_by_label("Your name").fill(rater)
    page.keyboard.press("Enter")
    expect(page.locator("#contest")).to_be_visible()


def judge(page, key: str, votes: int, rater: str = "Ada") -> None:
    """Presses a key and waits for the count of votes that it brings."""
    page.keyboard.press(key)
    expect(page.locator("#tally")).to_contain_text(re.compile(f"^{rater}: {votes} votes?;"))


@pytest.fixture
def page(visit, site):
    found = visit(site.address)
    begin(found)
    return found


def test_both_are_drawn_at_one_scale_in_their_colours(page, contest):
    kept = contest.ratings.shown("Ada")
    expect(page.locator("#caption")).to_have_text(contest.captions[kept.request_id])
    boxes = []
    for side, maker in (("left", kept.left_maker), ("right", kept.right_maker)):
        canvas, sprite = page.locator(f"#{side}-canvas"), contest.drawings[kept.request_id][maker].sprite
        assert (pixels(canvas) == sprite.palette.rgba[sprite.grid]).all()
        boxes.append(canvas.bounding_box())
    assert boxes[0]["width"] == boxes[1]["width"] and boxes[0]["width"] % 16 == 0 and boxes[0]["width"] >= 320
    assert boxes[0]["x"] < boxes[1]["x"] and boxes[0]["y"] == boxes[1]["y"]


def test_keys_judge_and_every_vote_is_kept(page, contest):
    answers = {"ArrowLeft": "left", "ArrowRight": "right", "ArrowUp": "equal", "ArrowDown": "both_bad", "s": "skip"}
    pairs = []
    for number, key in enumerate(answers, 1):
        pairs.append(contest.ratings.shown("Ada"))
        judge(page, key, number)
        kept = contest.ratings.votes("person")
        assert [(vote.uid, vote.answer) for vote in kept] == [
            (pair.uid, answer) for pair, answer in zip(pairs, answers.values(), strict=False)
        ]
    judge(page, "u", 4)
    judge(page, "u", 3)
    assert contest.ratings.shown("Ada") == pairs[3]  # the same sides
    assert all(0 < vote.seconds < 60 for vote in contest.ratings.votes("person"))


def test_mouse_and_buttons_judge_too(page, contest):
    for number, name in enumerate(("The left one is better", "The right one is better", "Equally good", "Both bad", "Skip"), 1):
        page.get_by_role("button", name=name).click()
        expect(page.locator("#tally")).to_contain_text(f"Ada: {number} vote")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#tally")).to_contain_text("Ada: 4 votes")
    assert [vote.answer for vote in contest.ratings.votes("person")] == ["left", "right", "equal", "both_bad"]
    page.keyboard.press("Enter")  # presses no button that was clicked
    page.wait_for_timeout(200)
    assert len(contest.ratings.votes("person")) == 4


def test_a_key_held_down_answers_once(page, contest):
    page.keyboard.down("ArrowLeft")
    for _ in range(5):
        page.keyboard.down("ArrowLeft")
    page.keyboard.up("ArrowLeft")
    expect(page.locator("#tally")).to_contain_text("Ada: 1 vote;")
    page.wait_for_timeout(200)
    assert len(contest.ratings.votes("person")) == 1


def votes(run: Path) -> list[str]:
    ratings = Ratings(run / FILE)
    found = [vote.answer for vote in ratings.votes("person")]
    ratings.close()
    return found


def test_a_killed_server_loses_nothing(visit, run):
    with served("rate", str(run)) as (server, address):
        page = visit(address, "ERR_CONNECTION_REFUSED", "Failed to load")
        begin(page)
        for number, key in enumerate(("ArrowLeft", "ArrowUp", "ArrowRight"), 1):
            judge(page, key, number)
        caption, before = page.locator("#caption").text_content(), pixels(page.locator("#left-canvas"))
        os.kill(server.pid, signal.SIGKILL)
        server.wait(10)
        page.keyboard.press("ArrowLeft")  # goes nowhere, and the page says so
        expect(page.get_by_role("alert")).to_have_text("the server does not answer; is the command still running?")
        expect(page.locator("#tally")).to_contain_text("Ada: 3 votes")
    assert votes(run) == ["left", "equal", "right"]
    with served("rate", str(run)) as (_, address):
        page = visit(address)
        begin(page)
        expect(page.locator("#tally")).to_contain_text("Ada: 3 votes")
        expect(page.locator("#caption")).to_have_text(caption)  # the pair that was before her
        assert (pixels(page.locator("#left-canvas")) == before).all()
        judge(page, "ArrowDown", 4)
    assert votes(run) == ["left", "equal", "right", "both_bad"]


def test_a_model_is_another_kind_of_rater(visit, site, contest):
    page = visit(site.address, "400 (Bad Request)")
    begin(page)
    judge(page, "ArrowLeft", 1)
    page.get_by_role("button", name="Another rater").click()
    page.get_by_label("a model").check()
    page.get_by_label("Your name").fill("Ada")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("'Ada': is a person here")
    page.get_by_label("Your name").fill("judge")
    page.keyboard.press("Enter")
    expect(page.locator("#tally")).to_contain_text("judge: 0 votes")
    judge(page, "ArrowRight", 1, "judge")
    assert [len(contest.ratings.votes(kind)) for kind in ("person", "model")] == [1, 1]


def test_when_all_is_judged_it_says_so_and_undo_still_works(page, contest, monkeypatch):
    monkeypatch.setattr("eval.pairing.REPEATED", 0.0)  # else a pair may be shown once more, by chance
    while (told := contest.before("Ada", "person"))["pair"] is not None:
        contest.vote("Ada", "person", told["pair"]["uid"], "equal", 1.0)
    page.reload()
    begin(page)
    expect(page.locator("#end")).to_be_visible()
    count = told["votes"]
    page.keyboard.press("ArrowLeft")
    judge(page, "u", count - 1)
    expect(page.locator("#left-canvas")).to_be_visible()
    judge(page, "ArrowLeft", count)
    expect(page.locator("#end")).to_be_visible()


def test_an_empty_drawing_is_told_from_one_that_is_not_there_yet(visit, run):
    with running([rate_page(read_contest(run, Ratings(run / FILE), ["blank", "good"]))]) as port:
        page = visit(Site(port, "/rate").address)
        begin(page)
        empty = [not pixels(page.locator(f"#{side}-canvas")).any() for side in ("left", "right")]
        assert sorted(empty) == [False, True]
        for side, is_empty in zip(("left", "right"), empty, strict=True):
            words = page.locator(f"#{side}").evaluate("one => getComputedStyle(one, '::after').content")
            assert ("nothing drawn" in words) == is_empty


def test_captions_run_nothing(visit, contest):
    evil = "<img src=x onerror=\"document.title='evil'\">"
    contest.captions.update(dict.fromkeys(contest.captions, evil))
    with running([rate_page(contest)]) as port:
        page = visit(Site(port, "/rate").address)
        begin(page, "<b>Ada</b>")
        expect(page.locator("#caption")).to_have_text(evil)
        expect(page.locator("#tally")).to_contain_text("<b>Ada</b>: 0 votes")
        assert "evil" not in page.title()


@pytest.mark.parametrize("width", [360, 420, 1200])
def test_it_fits_the_screen(visit, site, width):
    page = visit(site.address, viewport={"width": width, "height": 740})
    begin(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for button in page.locator("#contest button").all():
        box = button.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width and box["y"] + box["height"] <= 740, button.inner_text()


def test_it_is_dark_where_people_ask_for_it(visit, site):
    shots = []
    for scheme in ("light", "dark"):
        page = visit(site.address, color_scheme=scheme)
        begin(page, scheme)
        shots.append(np.array(Image.open(io.BytesIO(page.screenshot())).convert("L")))
    assert np.median(shots[0]) > 200 and np.median(shots[1]) < 90
