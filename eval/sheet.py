"""Sprite sheets: all sprites in one indexed PNG, row by row without gaps, and beside it Aseprite's JSON (its array form).

Engines read the JSON as they read what Aseprite exports: `frames` with a rectangle each in screen pixels of the PNG, `meta`
with its name and size. Every drawing is a frame of its own, and there is no frame tag, as they are no animation.
"""

import json
from collections.abc import Sequence
from math import ceil, sqrt
from pathlib import Path

import numpy as np

from data_prep.errors import InputError
from data_prep.sprite import Sprite
from eval.pictures import write_indexed

MAX_SIDE = 16_384  # screen pixels: the largest texture of most engines
FRAME_MILLISECONDS = 100  # Aseprite's own default


def check_sheet(count: int, height: int, width: int, scale: int) -> None:
    """Raises InputError for a sheet that would be larger than 16,384 screen pixels a side."""
    columns, rows = _shape(count)
    if max(columns * width, rows * height) * scale > MAX_SIDE:
        raise InputError(f"--sheet: {count} sprites of {height}x{width} at scale {scale} take more than {MAX_SIDE} pixels a side")


def _shape(count: int) -> tuple[int, int]:
    """Columns and rows, about as many of both."""
    columns = ceil(sqrt(count))
    return columns, ceil(count / columns)


def write_sheet(png: Path, data: Path, name: str, sprites: Sequence[Sprite], scale: int, told: dict) -> None:
    """Writes the picture and its JSON. sprites: of one size and palette; name: what the JSON calls the picture."""
    columns, rows = _shape(len(sprites))
    height, width = sprites[0].grid.shape
    grid = np.zeros((rows * height, columns * width), np.uint8)
    corners = [(number // columns * height, number % columns * width) for number in range(len(sprites))]
    for (y, x), sprite in zip(corners, sprites, strict=True):
        grid[y : y + height, x : x + width] = sprite.grid
    write_indexed(png, grid, sprites[0].palette, scale, {**told, "scale": scale, "palette_hash": sprites[0].palette.hash})
    stem = name.rpartition(".")[0]
    frames = [_frame(f"{stem} {n}", y * scale, x * scale, height * scale, width * scale) for n, (y, x) in enumerate(corners)]
    meta = {"app": "pixelreef", "version": told["version"], "image": name, "format": "I8"}
    meta |= {"size": {"w": grid.shape[1] * scale, "h": grid.shape[0] * scale}, "scale": "1", "frameTags": []}
    data.write_text(json.dumps({"frames": frames, "meta": meta}, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _frame(name: str, y: int, x: int, height: int, width: int) -> dict:
    size = {"w": width, "h": height}
    return {
        "filename": name,
        "frame": {"x": x, "y": y, **size},
        "rotated": False,
        "trimmed": False,
        "spriteSourceSize": {"x": 0, "y": 0, **size},
        "sourceSize": size,
        "duration": FRAME_MILLISECONDS,
    }
