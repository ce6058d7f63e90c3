"""A spool file: curated pictures wait on disk, in their order, between the stages of `prepare`. One JSON line a picture."""

import base64
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from data_prep.curate import Picture


def write(path: Path, pictures: Iterable[Picture]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for picture in pictures:
            pixels = base64.b85encode(zlib.compress(picture.rgba.tobytes(), 1)).decode()
            words = asdict(replace(picture, rgba=None, tags=dict(picture.tags)))
            file.write(json.dumps(words | {"rgba": pixels, "shape": picture.rgba.shape}) + "\n")


def read(path: Path) -> Iterator[str]:
    """The lines, for `picture_of` in whichever process."""
    with path.open(encoding="utf-8") as file:
        yield from file


def picture_of(line: str) -> Picture:
    words = json.loads(line)
    shape = words.pop("shape")
    pixels = np.frombuffer(zlib.decompress(base64.b85decode(words.pop("rgba"))), np.uint8)
    return Picture(pixels.reshape(shape), **words)
