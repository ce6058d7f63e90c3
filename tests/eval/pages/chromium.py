"""The Chromium of this machine, and what its canvases show."""

import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[3]

FOUND = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]
PIXELS = (
    "canvas => [canvas.height, canvas.width, ...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
)

# On a developer's machine a browser may be missing; where CI is set it must be there, so the test cannot be lost.
needs_chromium = pytest.mark.skipif(FOUND is None and not os.environ.get("CI"), reason="no Chromium on this machine")


@contextmanager
def served(*words: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """A command of `pixelreef` in a process of its own, on any port; yields it and the address that it prints."""
    arguments = [sys.executable, "-m", "eval.cli", *words, "--port", "0"]
    process = subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        yield process, re.search(r"http\S+", process.stderr.readline())[0]
    finally:
        process.kill()
        process.wait(10)
        process.stderr.close()


def stays_within(page, width: int) -> None:
    """Asserts that neither the page nor any of its buttons is wider than the window."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for button in page.get_by_role("button").all():
        box = button.bounding_box()
        assert box is None or (box["x"] >= 0 and box["x"] + box["width"] <= width), button.inner_text()


def turns_dark(open_page) -> None:
    """Asserts that a page is bright, and dark where people ask for it."""
    bright, dark = (
        np.array(Image.open(io.BytesIO(open_page(color_scheme=scheme).screenshot())).convert("L")) for scheme in ("light", "dark")
    )
    assert np.median(bright) > 200 and np.median(dark) < 90


def pixels(canvas) -> np.ndarray:
    """(H, W, 4) uint8 of a canvas."""
    height, width, *values = canvas.evaluate(PIXELS)
    return np.array(values, np.uint8).reshape(height, width, 4)
