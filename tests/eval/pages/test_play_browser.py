"""The play page in a real, headless Chromium: type, draw, see pixels, light, draw on, breed, download; by mouse and by keys."""

import io
import json

import numpy as np
import pytest
from chromium import needs_chromium, pixels, stays_within, turns_dark
from PIL import Image
from playwright.sync_api import expect

from data_prep.grid_text import read
from data_prep.palette import named
from eval.postprocess.shader import Light, shade

REEF = named("reef64")
pytestmark = needs_chromium


@pytest.fixture
def open_page(visit, site):
    def open_(**options):
        page = visit(site.address, **options)
        expect(page.locator("#facts")).to_contain_text("by hand · draws 16×16")
        return page

    return open_


@pytest.fixture
def page(open_page):
    return open_page()


def draw(page, prompt: str, count: int = 2, seed: int = 7) -> None:
    for name, value in (("How many", count), ("Seed", seed)):
        page.get_by_label(name, exact=True).fill(str(value))
    page.get_by_label("What shall it draw?").fill(prompt)
    page.get_by_label("What shall it draw?").press("Enter")
    expect(page.locator("#progress")).to_contain_text(f"{count} drawn in")


def kept(page, site) -> list[dict]:
    return page.request.get(f"http://127.0.0.1:{site.port}/play/model").json()["kept"]


def test_the_key_leaves_the_address_bar(page):
    assert page.url.endswith("/play")


def test_typed_words_become_pixels_on_the_screen(page, site):
    draw(page, "a red fish")
    drawings = kept(page, site)
    assert [drawing["caption"] for drawing in drawings] == ["a red fish"] * 2
    shown = [pixels(page.locator(".tile canvas").nth(at)) for at in range(2)]
    for drawing, canvas in zip(drawings, shown, strict=True):
        assert (canvas == REEF.rgba[np.array(drawing["pixels"])]).all()
    assert (pixels(page.locator("#big")) == shown[0]).all()
    box = {side: round(value) for side, value in page.locator("#big").bounding_box().items()}
    screen = np.array(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    screen = screen[box["y"] : box["y"] + box["height"], box["x"] : box["x"] + box["width"]]
    scale = len(screen) // 16
    assert scale >= 24 and screen.shape == (16 * scale, 16 * scale, 3)
    middles = screen[scale // 2 :: scale, scale // 2 :: scale]
    opaque = np.array(drawings[0]["pixels"]) > 0
    assert (middles[opaque] == shown[0][opaque][:, :3]).all()  # the very colours, in sharp squares
    assert (
        np.where(opaque[..., None], middles, 0).repeat(scale, 0).repeat(scale, 1)
        == np.where(opaque.repeat(scale, 0).repeat(scale, 1)[..., None], screen, 0)
    ).all()


def test_sprites_grow_row_by_row_and_can_be_stopped(page, site):
    site.generator.hold_at = 6
    page.get_by_label("What shall it draw?").fill("a slow fish")
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.locator("#progress")).to_contain_text("row 6 of 16")
    grown = pixels(page.locator(".growing canvas").first)
    assert (grown[:6, :, 3] == 255).any() and (grown[6] == grown[6, 0]).all() and not grown[7:].any()  # row 6 is marked
    assert (pixels(page.locator("#big"))[:6] == grown[:6]).all()
    page.keyboard.press("Escape")
    expect(page.locator("#progress")).to_have_text("stopped")
    expect(page.locator(".tiles li")).to_have_count(0)
    expect(page.get_by_role("button", name="Draw", exact=True)).to_be_enabled()
    site.generator.go.set()
    draw(page, "a red fish", 1)
    assert [drawing["caption"] for drawing in kept(page, site)] == ["a red fish"]
    assert site.generator.rows == 7 + 16  # the one that was stopped ended with its next row


def test_a_run_that_another_one_takes_over_leaves_it_alone(page, site):
    draw(page, "a red fish", 1)
    page.get_by_text("Draw on").click()
    page.get_by_label("What shall it draw?").fill("a slow fish")
    site.generator.hold_at = 12
    redo = "document.getElementById('redraw').click()"
    page.evaluate(redo)
    expect(page.locator("#progress")).to_contain_text("row 12 of 16")
    page.locator(".tile").last.click()  # the finished one, to draw on from again
    page.evaluate(redo)
    expect(page.locator("#progress")).to_have_text("waiting for 1 before this")
    assert "growing" in page.locator("#water").get_attribute("class") and page.locator(".tiles li").count() == 2
    assert page.locator("#told").text_content() == "drawing 1"  # not 'stopped'
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    site.generator.go.set()
    expect(page.locator("#progress")).to_contain_text("1 drawn in")
    assert len(kept(page, site)) == 2


def drag(page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From one place of the large sprite to another, in shares of its side."""
    box = page.locator("#big").bounding_box()
    x, y = (
        [box[at] + share[axis] * box[side] for share in (start, end)]
        for axis, (at, side) in enumerate((("x", "width"), ("y", "height")))
    )
    page.mouse.move(x[0], y[0])
    page.mouse.down()
    page.mouse.move(x[1], y[1], steps=5)
    page.mouse.up()


def test_dragging_the_light_shades_with_the_commands_shader(page, site):
    draw(page, "a red fish", 1)
    before = np.array(kept(page, site)[0]["pixels"])
    drag(page, (0.5, 0.5), (1.0, 0.5))  # from the viewer to the far right
    expect(page.locator("output[for=azimuth]")).to_have_text("right")
    expect(page.locator("output[for=elevation]")).to_have_text("0°")
    expect(page.locator("#sun")).to_be_visible()
    lit = shade(before, REEF, Light(0, 0))
    expected = REEF.rgba[lit]
    assert (lit != before).any()
    page.wait_for_timeout(300)
    assert (pixels(page.locator("#big")) == expected).all()
    page.get_by_label("Rim light and glow").check()
    page.get_by_label("Strength").fill("1.5")
    page.wait_for_timeout(300)
    assert (pixels(page.locator("#big")) == REEF.rgba[shade(before, REEF, Light(0, 0, 1.5, rim=1.0, glow=1.0))]).all()
    page.get_by_role("button", name="Light off").click()
    assert (pixels(page.locator("#big")) == REEF.rgba[before]).all()


def download(page, name: str) -> tuple[str, bytes]:
    with page.expect_download() as found:
        page.get_by_role("link", name=name).click()
    return found.value.suggested_filename, found.value.path().read_bytes()


def test_downloads_hold_the_drawing(page, site):
    draw(page, "a red fish", 1)
    grid = np.array(kept(page, site)[0]["pixels"])
    name, data = download(page, "PNG")
    with Image.open(io.BytesIO(data)) as image:
        assert name == "a-red-fish-7-0.png" and image.mode == "P" and image.size == (128, 128)
        assert (np.array(image)[::8, ::8] == grid).all() and image.info["caption"] == "a red fish" and image.info["seed"] == "7"
    name, data = download(page, "JSON")
    assert name == "a-red-fish-7-0.json" and (read(data.decode().strip()).grid == grid).all()
    drag(page, (0.5, 0.5), (0.5, 0.1))
    with Image.open(io.BytesIO(download(page, "PNG")[1])) as image:
        assert json.loads(image.info["light"])["azimuth"] == 90


def test_two_are_bred(page, site):
    draw(page, "a red fish")
    draw(page, "a blue crab", seed=9)
    expect(page.get_by_role("button", name="Breed")).to_be_disabled()
    page.locator(".tiles li").nth(0).hover()
    page.get_by_role("button", name="choose as parent: a blue crab, seed 9").first.click()
    page.locator(".tile").nth(3).click()
    page.get_by_role("button", name="Choose as parent", exact=True).click()
    expect(page.locator("#parent-0")).to_have_attribute("aria-label", "first parent: a blue crab")
    expect(page.locator("#parent-1")).to_have_attribute("aria-label", "second parent: a red fish")
    page.get_by_label("How many", exact=True).fill("4")
    page.get_by_role("button", name="Breed").click()
    expect(page.locator("#progress")).to_contain_text("drawn in")
    children = [drawing for drawing in kept(page, site) if "parents" in drawing["how"]]
    assert children and page.locator(".tiles li").count() == 4 + len(children)
    assert (pixels(page.locator(".tile canvas").first) == REEF.rgba[np.array(children[0]["pixels"])]).all()


def test_it_draws_on_below_the_line(page, site):
    draw(page, "a red fish", 1)
    page.get_by_text("Draw on").click()
    drag(page, (0.5, 0.5), (0.5, 0.25))
    expect(page.locator("output[for=keep]")).to_have_text("4 of 16")
    page.get_by_label("A new seed after each drawing").uncheck()
    page.get_by_label("Seed", exact=True).fill("7")
    page.get_by_role("button", name="Draw the rest").click()
    expect(page.locator(".tiles li")).to_have_count(2)
    expect(page.locator("#progress")).to_contain_text("drawn in")
    first, second = kept(page, site)
    assert second["how"]["seed"] == 8  # with its own seed the same would come out
    assert second["how"]["continued"] == "rows 0 to 3 of a-red-fish-7-0.png"
    assert second["pixels"][:4] == first["pixels"][:4] and second["pixels"] != first["pixels"]


def test_a_drawing_can_be_asked_for_again(page, site):
    draw(page, "a red fish", 1, seed=3)
    expect(page.get_by_label("Seed", exact=True)).not_to_have_value("3")
    page.get_by_role("button", name="Prompt and seed to the form").click()
    page.get_by_label("What shall it draw?").press("Enter")
    expect(page.locator(".tiles li")).to_have_count(2)
    expect(page.locator("#progress")).to_contain_text("drawn in")
    first, second = kept(page, site)
    assert first["pixels"] == second["pixels"] and first["how"] == second["how"]


def test_a_drawing_comes_in_colours_of_ones_own(page, site):
    page.get_by_label("Palette").select_option("your own…")
    page.get_by_label("Your colours").fill("#102030, 8d697a ffd4a3")
    draw(page, "a red fish", 1)
    found = {tuple(pixel[:3]) for pixel in pixels(page.locator("#big")).reshape(-1, 4) if pixel[3]}
    assert found <= {(0x10, 0x20, 0x30), (0x8D, 0x69, 0x7A), (0xFF, 0xD4, 0xA3)} and len(found) > 1


def test_a_reload_keeps_the_drawings(page):
    draw(page, "a red fish", 3)
    before = [pixels(page.locator(".tile canvas").nth(at)).tolist() for at in range(3)]
    page.reload()
    expect(page.locator(".tile")).to_have_count(3)
    assert sorted(pixels(page.locator(".tile canvas").nth(at)).tolist() for at in range(3)) == sorted(before)


def test_keys_alone_are_enough(page, site):
    expect(page.get_by_label("What shall it draw?")).to_be_focused()
    page.keyboard.type("a red fish")
    page.keyboard.press("Enter")
    expect(page.locator("#progress")).to_contain_text("4 drawn in")
    page.locator(".tile").nth(1).focus()
    page.keyboard.press("p")
    page.keyboard.press("Enter")
    expect(page.locator(".tile").nth(1)).to_have_attribute("aria-current", "true")
    expect(page.locator("#parent-0")).to_have_attribute("aria-label", "first parent: a red fish")
    page.get_by_label("From", exact=True).focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#sun")).to_be_visible()
    page.locator(".tile").nth(1).focus()
    page.keyboard.press("Delete")
    expect(page.locator(".tile")).to_have_count(3)
    expect(page.locator(".tile").nth(1)).to_be_focused()
    expect(page.locator("#parent-0")).to_have_attribute("aria-label", "first parent: none")
    assert len(kept(page, site)) == 3


def test_what_is_wrong_is_said_on_the_page(page, site):
    alert = page.get_by_role("alert")
    page.get_by_label("What shall it draw?").press("Enter")
    expect(alert).to_have_text("Prompt: empty; say what to draw")
    page.get_by_label("How many", exact=True).fill("99")
    page.get_by_label("What shall it draw?").fill("a fish")
    page.get_by_label("What shall it draw?").press("Enter")
    expect(alert).to_have_text("How many: a whole number from 1 to 16")
    site.generator.fault = RuntimeError("no memory")
    page.get_by_label("How many", exact=True).fill("1")
    page.get_by_label("What shall it draw?").press("Enter")
    expect(alert).to_have_text("the model failed with RuntimeError; the server's window says where")
    site.generator.fault = None
    draw(page, "a fish", 1)
    expect(alert).to_have_text("")


def test_captions_run_nothing(page):
    draw(page, "<img src=x onerror=\"document.title='evil'\"><script>document.title='evil'</script>", 1)
    expect(page.locator("#title")).to_contain_text("<script>document.title='evil'</script>")
    page.reload()
    expect(page.locator(".tiles li > p")).to_contain_text("<img src=x")
    assert "evil" not in page.title()


@pytest.mark.parametrize("width", [360, 400, 800, 1200])
def test_nothing_runs_over_the_edge(open_page, width):
    page = open_page(viewport={"width": width, "height": 800})
    draw(page, "a fish with a very long name, " + "x" * 80, 3)
    stays_within(page, width)


def test_it_is_dark_where_people_ask_for_it(open_page):
    turns_dark(open_page)
