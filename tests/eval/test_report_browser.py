"""The report in a real, headless Chromium: its sprites' very colours are on the screen, in the dark, on a phone, by keyboard."""

import io
import itertools
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image
from run_folders import drawing, make_run, read_rows, score_blobs, write_rows

from data_prep.palette import named
from eval.report import report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LONG = "a model with a long_name_without_any_place_to_break_it_" + "x" * 40

# On a developer's machine a browser may be missing; where CI is set it must be there, so the test cannot be lost.
pytestmark = pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report with every kind of section: rounds, temperatures, words left out, charts."""
    folder = make_run(tmp_path_factory.mktemp("runs") / "seen", captions={0: "<script>document.title='evil'</script>"})
    own = [row for row in read_rows(folder / "completions.jsonl") if (row["generator"], row["mode"]) == ("adapter", "grammar")]
    names = ("adapter − colour", f"{LONG}, round 0", f"{LONG}, round 1", "adapter, hot")
    extra = [drawing(row["index"], name, "model", "grammar", row["text"]) for name in names for row in own]
    write_rows(folder / "completions.jsonl", [*read_rows(folder / "completions.jsonl"), *extra])
    recipe = json.loads((folder / "recipe.json").read_text()) | {
        "temperature": 1.0,
        "roles": {"adapter": "adapter", "base": "base model"},
    }
    entry = {"adapter": "a"}
    recipe["generators"] = {"adapter": entry | {"leave_out": "word"}, "adapter, hot": entry | {"temperature": 2.0}}
    (folder / "recipe.json").write_text(json.dumps(recipe))
    score_blobs(folder)
    return report(folder)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-quic"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, page):
    """A function: width, colour scheme → the page, in a tab of that width. Nothing may be asked of the network."""
    tabs = []

    def opened(width: int, scheme: str = "light"):
        tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        tab.asked = []
        tab.on("request", lambda request: tab.asked.append(request.url))
        tab.goto(page.as_uri())
        tabs.append(tab)
        return tab

    yield opened
    for tab in tabs:
        assert [url for url in tab.asked if not url.startswith(("file:", "data:"))] == []
        tab.close()


def pixels(tab, **options) -> np.ndarray:
    """(H, W, 3) uint8 of what is on the screen."""
    return np.array(Image.open(io.BytesIO(tab.screenshot(**options))).convert("RGB"))


@pytest.mark.parametrize("width", [1280, 420])
def test_the_sprites_pixels_are_on_the_screen(opened, width):
    tab = opened(width)
    tab.locator("#drawings").scroll_into_view_if_needed()
    picture = pixels(tab, clip={**tab.locator("#drawings").bounding_box(), "height": 3000, "width": width}, full_page=True)
    seen = {tuple(colour) for colour in np.unique(picture.reshape(-1, 3), axis=0)}
    palette = named("reef64")
    bodies = [
        palette.rgba[entry, :3] for ramp in ("red", "orange", "green", "teal", "blue", "purple") for entry in palette.ramps[ramp]
    ]
    assert sum(tuple(colour) in seen for colour in bodies) >= 12


@pytest.mark.parametrize("width", [360, 420, 1280])
def test_only_tables_scroll_sideways(opened, width):
    tab = opened(width)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    wide = tab.evaluate("[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).length")
    assert wide > 3 or width == 1280
    outside = "e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll') && !e.closest('.skip')"
    assert tab.evaluate(f"[...document.querySelectorAll('body *')].filter({outside}).map(e => e.outerHTML.slice(0, 90))") == []


def test_the_page_is_dark_where_people_ask_for_it_and_so_are_its_charts(opened):
    light, dark = opened(800), opened(800, "dark")
    assert np.median(pixels(light)) > 200 and np.median(pixels(dark)) < 60
    for tab, is_readable in ((light, lambda text: text < 140), (dark, lambda text: text > 120)):
        fills = tab.evaluate("[...document.querySelectorAll('.plot text')].map(e => getComputedStyle(e).fill)")
        ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        shown = {fill for fill in fills if fill != ground}  # numbers on dots have the page's colour
        assert len(fills) > 30 and len(shown) > 1
        assert all(is_readable(np.mean([int(part) for part in fill[4:-1].split(",")])) for fill in shown), shown


def test_charts_are_drawn_in_the_pages_own_font_and_colours(opened):
    tab = opened(420)
    charts = tab.locator(".plot svg")
    assert charts.count() >= 5  # training, rounds, temperatures, two of cost, radar
    for place in range(charts.count()):
        chart = charts.nth(place)
        box = chart.bounding_box()
        assert box["width"] <= 420 and box["height"] > 120 and len(chart.get_attribute("aria-label")) > 20
        shown = np.array(Image.open(io.BytesIO(chart.screenshot())).convert("RGB")).reshape(-1, 3)
        assert len(np.unique(shown, axis=0)) > 10
    fonts = tab.evaluate("[...document.querySelectorAll('.plot text, h1')].map(e => getComputedStyle(e).fontFamily)")
    assert len(set(fonts)) == 1


def test_everything_is_reached_by_keyboard(opened):
    tab = opened(420)
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    assert tab.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "main"
    area = tab.locator(".scroll").first
    area.focus()
    before = area.evaluate("e => e.scrollLeft")
    tab.keyboard.press("ArrowRight")
    tab.wait_for_function("before => document.activeElement.scrollLeft > before", arg=before)
    unnamed = "e => !(e.tabIndex === 0 && e.getAttribute('role') === 'region' && e.getAttribute('aria-label'))"
    assert tab.evaluate(f"[...document.querySelectorAll('.scroll')].filter({unnamed}).length") == 0
    targets = tab.evaluate("[...document.querySelectorAll('nav a, .skip')].map(a => !!document.querySelector(a.hash))")
    assert len(targets) > 8 and all(targets)


def test_headings_are_in_order(opened):
    levels = opened(1280).evaluate("[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(e => +e.tagName[1])")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))


def test_captions_run_nothing(opened):
    tab = opened(800)
    assert tab.title() != "evil" and "<script>" in tab.locator("#drawings").inner_text()
    assert tab.evaluate("document.scripts.length") == 0
