"""The curate page in a real, headless Chromium: accept and reject by keys and by mouse; what was decided outlives the server."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
import small_corpus
from chromium import needs_chromium, pixels, served, stays_within, turns_dark
from conftest import Site, running
from playwright.sync_api import expect

from data_prep.palette import named
from eval.pages import curate
from eval.pages.corpus import read_corpus
from eval.pages.decisions import open_decisions

REEF = named("reef64")
ROOT = Path(__file__).parents[3]
pytestmark = needs_chromium


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return small_corpus.dataset(tmp_path_factory.mktemp("datasets") / "small", 90)


@pytest.fixture(scope="module")
def corpus(dataset):
    return read_corpus(dataset)


@pytest.fixture
def decisions(tmp_path):
    return open_decisions(tmp_path / "small.curation.jsonl")


@pytest.fixture
def site(corpus, decisions):
    with running([curate.curate_page(corpus, decisions)]) as port:
        yield Site(port, "/curate")


@pytest.fixture
def open_page(visit, site):
    def open_(*may_come, **options):
        page = visit(site.address, *may_come, **options)
        expect(page.locator("#sprites [aria-current=true]")).to_have_count(1)
        return page

    return open_


@pytest.fixture
def page(open_page):
    return open_page()


def press(page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def marks(page) -> list[str]:
    return [tile.get_attribute("data-mark") for tile in page.locator("#sprites button").all()]


def at(page) -> int:
    """The place of the cursor on the sheet."""
    return page.locator("#sprites button").evaluate_all("tiles => tiles.findIndex(tile => tile.ariaCurrent === 'true')")


def saved(page, decisions, count: int) -> dict[str, str]:
    """What the file says when the page has nothing more to save: `count` lines. A key may still wait for a sheet that comes."""
    patience = time.monotonic() + 30
    while decisions.path.read_text("utf-8").count("\n") < count and time.monotonic() < patience:
        page.wait_for_timeout(10)
    expect(page.locator("#tally")).to_have_attribute("data-unsaved", "0")
    assert decisions.path.read_text("utf-8").count("\n") == count
    return open_decisions(decisions.path).by_name()


def test_the_sprites_are_drawn_in_whole_squares(page, corpus):
    first = corpus.cells[0]
    for place in range(min(3, first.count)):
        canvas = page.locator("#sprites canvas").nth(place)
        sprite = corpus.sprite(first.start + place)
        assert (pixels(canvas) == sprite.palette.rgba[sprite.grid]).all()
        box = canvas.bounding_box()
        assert (
            box["width"] == box["height"] == 96 and canvas.evaluate("one => getComputedStyle(one).imageRendering") == "pixelated"
        )
    assert (pixels(page.locator("#big")) == pixels(page.locator("#sprites canvas").first)).all()


def test_keys_decide_and_every_decision_is_on_the_disk(page, corpus, decisions):
    names = [picture.name for picture in corpus.pictures]
    assert corpus.cells[0].count >= 3
    press(page, "r", "a", "r")
    assert saved(page, decisions, 3) == {names[0]: "reject", names[1]: "accept", names[2]: "reject"}
    press(page, "u")
    assert saved(page, decisions, 4) == {names[0]: "reject", names[1]: "accept"}
    expect(page.locator("#tally")).to_have_text("90 sprites: 1 accepted, 1 rejected, 88 left")
    assert at(page) == 2  # on what was taken back
    press(page, "Home", "a", "u")
    assert saved(page, decisions, 6) == {names[0]: "reject", names[1]: "accept"}  # back to the earlier one, not to none
    press(page, "ArrowRight", "ArrowRight", " ", " ", " ")
    assert saved(page, decisions, 9) == {names[0]: "reject", names[1]: "accept"}
    rows = [json.loads(line) for line in decisions.path.read_text("utf-8").splitlines()][-3:]
    assert [row["decision"] for row in rows] == ["reject", "accept", "none"] and {row["name"] for row in rows} == {names[2]}


def test_a_killed_server_loses_nothing(visit, dataset, corpus, tmp_path):
    file, names = tmp_path / "x.jsonl", [picture.name for picture in corpus.pictures]
    assert corpus.cells[0].count == 3
    with served("curate", str(dataset), "--out", str(file)) as (server, address):
        page = visit(address, "ERR_CONNECTION_REFUSED", "Failed to load")
        expect(page.locator("#sprites [aria-current=true]")).to_have_count(1)
        press(page, "r", "a", "r", "u", "r", "r")
        expect(page.locator("#tally")).to_contain_text("1 accepted, 3 rejected")
        expect(page.locator("#tally")).to_have_attribute("data-unsaved", "0")
        os.kill(server.pid, signal.SIGKILL)
        server.wait(10)
        press(page, "a")  # goes nowhere, and the page says so
        expect(page.get_by_role("alert")).to_have_text("the server does not answer; is the command still running?")
        expect(page.locator("#tally")).to_contain_text("1 accepted, 3 rejected")
    expected = {names[0]: "reject", names[1]: "accept", names[2]: "reject", names[3]: "reject"}
    assert open_decisions(file).by_name() == expected
    with served("curate", str(dataset), "--out", str(file)) as (_, address):
        page = visit(address)
        expect(page.locator("#tally")).to_contain_text("1 accepted, 3 rejected")
        page.locator("#cells button[data-cell='0']").click()
        expect(page.locator("#cells button[data-cell='0']")).to_have_attribute("aria-current", "true")
        assert marks(page)[:3] == ["rejected", "accepted", "rejected"]
        press(page, "End", "ArrowRight")
        expect(page.locator("#cells button[data-cell='1']")).to_have_attribute("aria-current", "true")
        assert marks(page)[:2] == ["rejected", "undecided"]


def test_what_can_be_undone_outlives_a_reload(page, corpus, decisions):
    press(page, "r", "r")
    saved(page, decisions, 2)
    page.reload()
    expect(page.locator("#tally")).to_contain_text("2 rejected")
    press(page, "u", "u", "u")
    assert saved(page, decisions, 4) == {}
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()


def test_arrows_move_in_rows_and_from_cell_to_cell(page, corpus, monkeypatch):
    columns = page.evaluate("getComputedStyle(document.querySelector('#sprites')).gridTemplateColumns.split(' ').length")
    first, second = corpus.cells[:2]
    heading = page.locator("#cell").text_content()
    press(page, "ArrowRight", "ArrowRight", "ArrowLeft")
    assert at(page) == 1 and page.locator("#sprites button").nth(1).evaluate("tile => tile === document.activeElement")
    press(page, "ArrowDown")
    assert at(page) == (1 + columns if first.count > 1 + columns else 1)
    press(page, "End", "ArrowRight")
    expect(page.locator("#cell")).not_to_have_text(heading)
    assert at(page) == 0 and page.locator("#sprites button").count() == second.count
    press(page, "ArrowLeft")
    expect(page.locator("#cell")).to_have_text(heading)
    assert at(page) == first.count - 1
    press(page, "n", "n", "p")
    expect(page.locator(f"#cells button[data-cell='{1}']")).to_have_attribute("aria-current", "true")


def test_long_cells_come_in_sheets(open_page, corpus, decisions, monkeypatch):
    monkeypatch.setattr(curate, "SHEET", 2)
    page = open_page()
    size = corpus.cells[0].count
    sheets = -(-size // 2)
    assert sheets > 1
    expect(page.locator("#of-sheet")).to_have_text(f"sheet 1 of {sheets}")
    press(page, "r", "a")
    expect(page.locator("#of-sheet")).to_have_text(f"sheet 2 of {sheets}")
    assert at(page) == 0
    press(page, " ", "PageUp")
    expect(page.locator("#of-sheet")).to_have_text(f"sheet 1 of {sheets}")
    assert marks(page) == ["rejected", "accepted"]
    press(page, "u")
    expect(page.locator("#of-sheet")).to_have_text(f"sheet 2 of {sheets}")  # where the last one was
    assert marks(page)[0] == "undecided"


def test_only_undecided_ones_on_request(page, corpus, decisions):
    count = corpus.cells[0].count
    press(page, "r")
    saved(page, decisions, 1)
    press(page, "Home", "ArrowRight", "f")
    expect(page.locator("#sprites button")).to_have_count(count - 1)
    press(page, "Shift+A")  # the rest of the sheet
    expect(page.locator("#of-cell")).to_contain_text(f"{count - 1} accepted, 1 rejected, 0 left")
    assert set(marks(page)) == {"accepted"}  # they stay until the sheet is left
    saved(page, decisions, count)
    expect(page.locator("#cells button").first).to_have_text("✓")
    press(page, "n", "p")
    expect(page.locator("#cells button").first).to_have_attribute("aria-current", "false")  # nothing is left there
    press(page, "u")
    expect(page.locator("#of-cell")).to_contain_text(f"0 accepted, 1 rejected, {count - 1} left")  # all at once
    assert len(saved(page, decisions, 2 * count - 1)) == 1


def test_when_all_is_decided_it_says_so(page, corpus, decisions):
    everything = [(picture.name, picture.id, "accept") for picture in corpus.pictures]
    decisions.record(everything)
    page.reload()
    expect(page.locator("#tally")).to_contain_text("90 accepted, 0 rejected, 0 left")
    press(page, "f")
    expect(page.locator("#nothing")).to_have_text("Everything is decided.")
    press(page, "a", "r", " ", "ArrowRight", "n", "Shift+A")
    assert len(saved(page, decisions, len(everything))) == 90


def test_clicks_turn_a_sprite_and_buttons_decide(page, corpus, decisions):
    names = [picture.name for picture in corpus.pictures]
    tile = page.locator("#sprites button").nth(1)
    tile.click()
    expect(tile).to_have_attribute("data-mark", "rejected")
    assert tile.get_attribute("aria-label") == f"{corpus.pictures[1].caption}, rejected"
    tile.click()
    expect(tile).to_have_attribute("data-mark", "accepted")
    page.locator("#reject").click()
    expect(tile).to_have_attribute("data-mark", "rejected")
    assert at(page) == 2
    page.locator("#undo").click()
    expect(tile).to_have_attribute("data-mark", "accepted")
    assert saved(page, decisions, 4) == {names[1]: "accept"}


def test_two_pages_see_each_others_decisions(open_page, decisions, corpus):
    one, two = open_page(), open_page()
    press(one, "r", "a")
    saved(one, decisions, 2)
    two.evaluate("dispatchEvent(new Event('focus'))")
    expect(two.locator("#tally")).to_contain_text("1 accepted, 1 rejected")
    press(two, "Home", "a")
    assert saved(two, decisions, 3)[corpus.pictures[0].name] == "accept"  # the last line wins


def test_pictures_of_two_sources_with_one_name_are_decided_together(visit, tmp_path):
    sprites = list(small_corpus.islice(small_corpus.procedural.sprites(3, 16), 2))
    rows = [row | {"name": "a.png", "source": f"pack {n}"} for n, row in enumerate(small_corpus.rows(sprites))]
    rows = [row | {"zone": "", "category": ""} for row in rows]
    decisions = open_decisions(tmp_path / "x.jsonl")
    folder = small_corpus.write(tmp_path / "two", rows, sprites[0])
    with running([curate.curate_page(read_corpus(folder), decisions)]) as port:
        page = visit(Site(port, "/curate").address)
        expect(page.locator("#where")).to_contain_text("2 sprites share their name")
        press(page, "r")
        expect(page.locator("#tally")).to_have_text("2 sprites: 0 accepted, 2 rejected, 0 left")
    assert decisions.by_name() == {"a.png": "reject"}


def test_help_lists_the_keys_and_keeps_them_to_itself(page, decisions):
    press(page, "?")
    expect(page.get_by_role("dialog")).to_contain_text("accept what is undecided on this sheet")
    press(page, "r", "a", "Shift+A")
    press(page, "Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert marks(page).count("undecided") == len(marks(page)) and decisions.path.read_bytes() == b""


def test_keys_of_the_browser_are_left_alone(page, decisions):
    press(page, "Control+r")
    expect(page.locator("#sprites [aria-current=true]")).to_have_count(1)
    page.get_by_label("Sprites").focus()
    press(page, "a", "ArrowDown")
    expect(page.get_by_label("Sprites")).to_have_value("128")
    page.wait_for_timeout(100)
    assert decisions.path.read_bytes() == b""
    assert page.locator("#sprites canvas").first.bounding_box()["width"] == 128


def test_the_page_says_where_decisions_go(page, decisions):
    expect(page.locator("#where")).to_contain_text(f"on disk at once, in {decisions.path}. The next prepare")


def test_captions_run_nothing(visit, tmp_path):
    sprite = next(small_corpus.procedural.sprites(3, 16))
    (row,) = small_corpus.rows([sprite])
    evil = "<img src=x onerror=\"document.title='evil'\">"
    rows = [row | {"caption_full": evil, "name": f"{evil}{n}", "zone": evil} for n in range(2)]
    folder = small_corpus.write(tmp_path / "evil", rows, sprite)
    with running([curate.curate_page(read_corpus(folder), open_decisions(tmp_path / "x.jsonl"))]) as port:
        page = visit(Site(port, "/curate").address)
        expect(page.locator("#caption")).to_have_text(evil)
        press(page, "r")
        expect(page.locator("#tally")).to_contain_text("1 rejected")
        assert "evil ·" in page.title() and page.locator("img").count() == 0


@pytest.mark.parametrize("width", [360, 420, 800, 1200])
def test_nothing_runs_over_the_edge(open_page, width):
    page = open_page(viewport={"width": width, "height": 800})
    stays_within(page, width)


def test_it_is_dark_where_people_ask_for_it(open_page):
    turns_dark(open_page)
