"""The report in a real, headless Chromium: its sprites' very colours are on the screen, and nothing is fetched."""

import os
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image
from run_folders import make_run, score_blobs

from data_prep.palette import named
from eval.report import report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]

# On a developer's machine a browser may be missing; where CI is set it must be there, so the test cannot be lost.
pytestmark = pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("runs") / "seen", captions={0: "<script>document.title='evil'</script>"})
    score_blobs(folder)
    return report(folder)


def screenshot(page, tmp_path, width: int, *flags: str) -> np.ndarray:
    """(H, W, 3) uint8 of the page's top, `width` pixels wide."""
    out = tmp_path / f"{width}.png"
    command = [CHROMIUM, *QUIET, *flags, f"--user-data-dir={tmp_path}/profile-{width}", f"--screenshot={out}"]
    subprocess.run([*command, f"--window-size={width},2000", page.as_uri()], check=True, capture_output=True, timeout=120)
    return np.array(Image.open(out).convert("RGB"))


@pytest.mark.parametrize("width", [1280, 500])
def test_the_sprites_pixels_are_on_the_screen(page, tmp_path, width):
    picture = screenshot(page, tmp_path, width)
    seen = {tuple(colour) for colour in np.unique(picture.reshape(-1, 3), axis=0)}
    palette = named("reef64")
    bodies = [
        palette.rgba[entry, :3] for ramp in ("red", "orange", "green", "teal", "blue", "purple") for entry in palette.ramps[ramp]
    ]
    assert sum(tuple(colour) in seen for colour in bodies) >= 12
    assert picture.shape[1] == width


def test_the_page_is_dark_where_people_ask_for_it(page, tmp_path):
    bright, dark = screenshot(page, tmp_path, 800), screenshot(page, tmp_path, 801, "--blink-settings=preferredColorScheme=0")
    assert np.median(bright) > 200 and np.median(dark) < 60


def test_captions_run_nothing(page, tmp_path):
    command = [CHROMIUM, *QUIET, f"--user-data-dir={tmp_path}/profile", "--dump-dom", page.as_uri()]
    dom = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    assert "<title>evil" not in dom and "&lt;script&gt;" in dom
