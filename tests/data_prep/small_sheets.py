"""Small sprite sheets for tests, and what comes out of them."""

import io
import json

import numpy as np
from PIL import Image

from data_prep.curate import trim
from data_prep.sources import sheets

RED, BLUE, DARK, CLEAR = (200, 30, 30, 255), (30, 30, 200, 255), (20, 20, 30, 255), (0, 0, 0, 0)


def sprite(seed: int, height: int = 10, width: int = 8) -> np.ndarray:
    """A solid drawing of many colours: no row or column of it is empty, and none is like another."""
    dice = np.random.default_rng(seed)
    rgba = np.full((height, width, 4), 255, np.uint8)
    rgba[..., :3] = dice.integers(30, 220, (height, width, 3))
    rgba[0, 0] = rgba[-1, -1] = 0
    return rgba


def sheet(*placed, size=(64, 64), ground=CLEAR) -> np.ndarray:
    """(y, x, sprite) on a ground."""
    rgba = np.empty((*size, 4), np.uint8)
    rgba[:] = ground
    for y, x, drawn in placed:
        part = rgba[y : y + drawn.shape[0], x : x + drawn.shape[1]]
        part[drawn[..., 3] > 0] = drawn[drawn[..., 3] > 0]
    return rgba


def png(rgba: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgba)).save(data, "PNG")
    return data.getvalue()


def put(folder, **files):
    """Files by name, '__' for '.' and dicts as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        content = json.dumps(content) if isinstance(content, dict | list) else content
        data = content.encode() if isinstance(content, str) else png(content) if isinstance(content, np.ndarray) else content
        (folder / name.replace("__", ".")).write_bytes(data)
    return folder


def read(path, **options):
    dropped = []
    found = list(sheets.pictures(path, dropped=lambda name, reason: dropped.append((name, reason)), **options))
    return {picture.name: picture for picture in found}, dict(dropped)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(trim(a), trim(b))


def frame(x, y, w, h, **more) -> dict:
    return {"frame": {"x": x, "y": y, "w": w, "h": h}, **more}
