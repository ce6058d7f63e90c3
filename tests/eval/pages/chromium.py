"""The Chromium of this machine, and what its canvases show."""

import os
import shutil

import numpy as np
import pytest

FOUND = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]
PIXELS = (
    "canvas => [canvas.height, canvas.width, ...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
)

# On a developer's machine a browser may be missing; where CI is set it must be there, so the test cannot be lost.
needs_chromium = pytest.mark.skipif(FOUND is None and not os.environ.get("CI"), reason="no Chromium on this machine")


def pixels(canvas) -> np.ndarray:
    """(H, W, 4) uint8 of a canvas."""
    height, width, *values = canvas.evaluate(PIXELS)
    return np.array(values, np.uint8).reshape(height, width, 4)
