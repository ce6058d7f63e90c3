"""Photographs: a folder or a zip of them, each of one thing → sprites with a transparent background.

The convention is that of `packs`: `metadata.jsonl` beside the files gives label, caption, source, licence, attribution, zone and
category; without a line the file's name is the label. The thing is cut out (`data_prep.foreground`), or taken from the file's own
transparency where it has some, shrunk and drawn with few colours (`data_prep.outline`). Whatever cannot be used is reported to
`dropped(name, reason)`. Writes nothing.
"""

import hashlib
import io
import warnings
from collections.abc import Collection, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

import numpy as np

from data_prep.curate import Picture, tidy
from data_prep.errors import InputError
from data_prep.sources import packs
from data_prep.sources.packs import Dropped, Unusable

MAX_BYTES = 64 * 2**20  # a photograph's file
MAX_PIXELS = 2**26  # in its header, checked before a pixel is decoded: 67 megapixels
WORKING_SIDE = 768  # pixels of the longer side to which a photograph is shrunk at once
CUT_OUT = 0.02  # of the pixels transparent: the background is gone already
METHOD = 1  # counts up when the same photograph would give another sprite


def pictures(
    path: str | Path,
    size: int,
    seed: int = 1,
    licences: Collection[str] = (),
    dropped: Dropped = lambda name, reason: None,
) -> Iterator[Picture]:
    """Sprites of size × size, centred (`placed`), in an order drawn from `seed`, so that the first n are a fair sample.

    A sprite depends on its file and the size alone. licences: only these, by their names in the metadata (empty: all). Raises
    InputError when the path is missing, is neither a folder nor a zip, or OpenCV is not installed; nothing else stops it.
    """
    path = Path(path)
    if find_spec("cv2") is None:
        raise InputError("photographs: OpenCV is missing; pip install 'pixelreef[photographs]'")
    with packs.opened(path, dropped) as pack:
        rows = packs.metadata_rows(pack, dropped)
        files = (name for name in pack.names if PurePosixPath(name).suffix.lower() in packs.SUFFIXES)
        for name in packs.shuffled(files, seed):
            row = rows.get(name, {})
            reason = packs.unwanted(row, licences, ())
            if reason:
                dropped(name, reason)
                continue
            try:
                rgba, frames = decode(pack.read(name, MAX_BYTES))
                drawn = cut_out(rgba, size)
            except Unusable as error:
                dropped(name, str(error))
                continue
            if frames:
                dropped(f"{name}#2…", "animated: only the first frame is used")
            label = packs.stated(row, "label") or packs.label_from_name(name)
            yield replace(packs.labelled(name, drawn, row, label, tidy(path.stem)), placed=True, vector=False)


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
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a bomb's warning: its size is judged here
            with Image.open(io.BytesIO(data), formats=packs.FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Image.DecompressionBombError
                frames = bool(getattr(image, "is_animated", False))
                small = image.convert("RGBA") if image.mode in ("1", "P", "PA", "LA") else image  # these shrink without averaging
                small.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.BOX)
                return packs._rgba(ImageOps.exif_transpose(small)), frames
    except Image.DecompressionBombError as error:
        raise Unusable(f"decompression bomb: more than {MAX_PIXELS >> 20} megapixels") from error
    except Image.UnidentifiedImageError as error:
        raise Unusable("not a picture: no known format") from error
    except Exception as error:  # decoders raise a dozen types on broken bytes; none may stop the run
        raise Unusable(f"broken picture: {type(error).__name__}") from error
