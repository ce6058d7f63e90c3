"""Photographs: a folder or a zip of them, each of one thing → sprites with a transparent background.

The convention is that of `packs`: `metadata.jsonl` beside the files gives label, caption, source, licence, attribution, zone and
category; without a line the file's name is the label. The thing is cut out (`data_prep.foreground`), or taken from the file's own
transparency where it has some, shrunk and drawn with few colours (`data_prep.outline`). Whatever cannot be used is reported to
`dropped(name, reason)`. Writes nothing.
"""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from data_prep.curate import Picture
from data_prep.errors import InputError
from data_prep.sources import Dropped, packs
from data_prep.sources.packs import Unusable

MAX_BYTES = 64 * 2**20  # a photograph's file
MAX_PIXELS = 2**26  # in its header, checked before a pixel is decoded: 67 megapixels
MAX_CLEAR_PIXELS = 2**25  # of one with a palette or transparency, which is shrunk by way of a second one of its size
WORKING_SIDE = 768  # pixels of the longer side to which a photograph is shrunk at once
CUT_OUT = 0.02  # of the pixels transparent: the background is gone already
METHOD = 1  # counts up when the same photograph would give another sprite


def pictures(
    path: str | Path,
    size: int,
    seed: int = 1,
    licences: Collection[str] = (),
    dropped: Dropped = lambda name, reason: None,
    part: tuple[int, int] | None = None,
) -> Iterator[Picture]:
    """Sprites of size × size, centred (`placed`), in the order of `packs.pictures`, of which `part` is a slice.

    A sprite depends on its file and the size alone. licences: only these, by their names in the metadata (empty: all). Raises
    InputError when the path is missing, is neither a folder nor a zip, or OpenCV is not installed; nothing else stops it.
    """
    if find_spec("cv2") is None:
        raise InputError("photographs: OpenCV is missing; pip install 'pixelreef[photographs]'")

    def draw(data: bytes) -> tuple[np.ndarray, bool]:
        rgba, frames = decode(data)
        return cut_out(rgba, size), frames

    for picture in packs.pictures(path, seed, licences, dropped=dropped, part=part, draw=draw, max_bytes=MAX_BYTES):
        yield replace(picture, placed=True, vector=False)


count = packs.count


def fingerprint(path: str | Path) -> str:
    """SHA-256 of the folder's or zip's content and of the method that draws it. Raises InputError as `pictures`."""
    return hashlib.sha256(f"{METHOD}:{packs.fingerprint(path)}".encode()).hexdigest()


def cut_out(rgba: np.ndarray, size: int) -> np.ndarray:
    """(H, W, 4) uint8 photograph → (size, size, 4) uint8 sprite. Raises Unusable with the reason."""
    from data_prep import foreground, outline

    rgb, solid = np.ascontiguousarray(rgba[..., :3]), rgba[..., 3] >= 128
    mask = solid if (~solid).mean() >= CUT_OUT else foreground.find(rgb)
    if isinstance(mask, np.ndarray) and not mask.any():
        mask = "foreground: nothing in it is opaque"
    drawn = mask if isinstance(mask, str) else outline.sprite(rgb, mask, size)
    if isinstance(drawn, str):
        raise Unusable(drawn)
    return drawn


def decode(data: bytes) -> tuple[np.ndarray, bool]:
    """A photograph's bytes → its first frame the right way up, (H, W, 4) uint8, at most WORKING_SIDE, and whether there are more.

    Raises Unusable with the reason, whatever the bytes, and nothing else.
    """
    return packs.decode(data, MAX_PIXELS, _upright)


def _upright(image) -> np.ndarray:
    """A PIL image → (H, W, 4) uint8 as it is to be looked at, shrunk while it is read where its format can."""
    from PIL import Image, ImageOps

    if image.mode in ("1", "P", "PA", "LA", "La", "RGBA", "RGBa") and image.width * image.height > MAX_CLEAR_PIXELS:
        raise Unusable(f"decompression bomb: more than {MAX_CLEAR_PIXELS} pixels with a palette or transparency")
    small = image.convert("RGBA") if image.mode in ("1", "P", "PA", "LA") else image  # these shrink without averaging
    small.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.BOX)
    return packs.to_rgba(ImageOps.exif_transpose(small))
