"""The first stage of `prepare`: sources → curated pictures on disk, part by part, by any number of processes.

A part is two files. NN-MMMMM.jsonl has a line for each picture (pixels compressed, words); NN-MMMMM.json, written last, has
their number and what was dropped. A part that is there is not read again.
"""

import base64
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep import curate, sources
from data_prep.choice import Choice
from data_prep.curate import Picture
from data_prep.recipe import PrepareRecipe
from data_prep.whole_files import write_whole
from data_prep.workers import Workers


@dataclass(frozen=True)
class Read:
    """A part on disk. source: number of the recipe's; count: pictures that are taken, the first ones of the file;
    drops: (name, reason) in their order, without those behind the last picture that is taken."""

    path: Path
    source: int
    count: int
    drops: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Curator:
    """What a process needs to read parts."""

    choice: Choice
    sizes: tuple[int, ...]
    hold_out_bench_subjects: bool

    def read(self, task: tuple[Path, sources.Part]) -> tuple[int, list]:
        """Writes a part that is not there yet; returns its number of pictures and [pictures before it, name, reason]s."""
        path, part = task
        summary = path.with_suffix(".json")
        if not summary.exists():
            drops: list[tuple[int, str, str]] = []
            count = _written(path, self._curated(part, drops))
            write_whole(summary, json.dumps((count, drops), ensure_ascii=False))
        found = json.loads(summary.read_text("utf-8"))
        return found[0], found[1]

    def _curated(self, part: sources.Part, drops: list) -> Iterator[Picture]:
        count = 0

        def dropped(name: str, reason: str) -> None:
            drops.append((count, curate.tidy(name), reason))

        for picture in part(dropped=dropped):
            reason = self.choice.reason(picture)
            cleaned = reason or curate.clean(picture, self.sizes, self.hold_out_bench_subjects)
            if isinstance(cleaned, str):
                dropped(picture.name, cleaned)
            else:
                yield cleaned
                count += 1


def read(recipe: PrepareRecipe, choice: Choice, folder: Path, workers: Workers) -> Iterator[Read]:
    """Every part of every source, in order; at most `limit` pictures of each source. Raises InputError for a missing source."""
    curator = _Curator(choice, recipe.sizes, recipe.hold_out_bench_subjects)
    for number in range(len(recipe.sources)):
        parts = sources.parts(recipe, number)
        paths = [folder / f"{number:02}-{place:05}.jsonl" for place in range(len(parts))]
        left = recipe.limit
        for path, (count, drops) in zip(paths, workers.map(curator.read, zip(paths, parts, strict=True)), strict=False):
            taken = count if left is None else min(left, count)
            cut = left is not None and taken == left
            yield Read(path, number, taken, tuple((name, why) for before, name, why in drops if not cut or before < taken))
            left = None if left is None else left - taken
            if left == 0:
                break


def pictures(part: Read) -> Iterator[tuple[int, Picture]]:
    """(place in the file, picture) of a part's pictures."""
    with part.path.open("rb") as file:
        for _ in range(part.count):
            place = file.tell()
            yield place, picture_of(file.readline())


def picture_at(path: Path, place: int) -> Picture:
    with path.open("rb") as file:
        file.seek(place)
        return picture_of(file.readline())


def picture_of(line: bytes) -> Picture:
    words = json.loads(line)
    shape = words.pop("shape")
    pixels = np.frombuffer(zlib.decompress(base64.b85decode(words.pop("rgba"))), np.uint8)
    return Picture(pixels.reshape(shape), **words)


def colours(parts: Iterable[Read], workers: Workers) -> Counter:
    """0xRRGGBB → opaque pixels, of all pictures."""
    total: Counter[int] = Counter()
    for found in workers.map(_colours, parts):
        total.update(found)
    return total


def _colours(part: Read) -> dict[int, int]:
    total: Counter[int] = Counter()
    for _, picture in pictures(part):
        rgb = picture.rgba[picture.rgba[..., 3] > 0][:, :3].astype(np.uint32)
        found, counts = np.unique(rgb @ np.array([65536, 256, 1], np.uint32), return_counts=True)
        total.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
    return total


def _written(path: Path, found: Iterable[Picture]) -> int:
    """Writes a part's lines; returns their number."""
    count, draft = 0, path.with_suffix(f".{os.getpid()}.draft")
    with draft.open("w", encoding="utf-8") as file:
        for picture in found:
            pixels = base64.b85encode(zlib.compress(picture.rgba.tobytes(), 1)).decode()
            words = vars(picture) | {"rgba": pixels, "shape": picture.rgba.shape, "tags": dict(picture.tags)}
            file.write(json.dumps(words) + "\n")
            count += 1
    os.replace(draft, path)
    return count
