"""Any dataset that `datasets` loads, by its hub name or the path of a folder: its pictures with their words.

Columns are found by their type: the first of images, and for words those of `WORDS` by their names, else a class label's names,
else the first column of text. All splits are taken. Without a network, names that are not in the cache of `datasets` fail.
"""

import hashlib
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from data_prep.bounded import first_line
from data_prep.curate import Picture
from data_prep.errors import InputError
from data_prep.sources import Dropped, packs
from data_prep.sources.packs import Unusable

WORDS = ("caption", "text", "label", "name", "title", "prompt", "description")  # the first that is there says what is drawn
ABOUT = ("source", "licence", "license", "attribution", "author", "zone", "category", "marine_group")


@dataclass(frozen=True)
class _Table:
    """rows: one split after the other; image, words: columns, the second '' where there is none; names: of a class label;
    roots: the folders where its pictures' files may lie."""

    rows: Any  # a sequence of dicts
    image: str
    words: str
    names: tuple[str, ...]
    roots: tuple[Path, ...]


def pictures(
    name: str,
    seed: int = 1,
    licences: Collection[str] = (),
    exclude_sources: Collection[str] = (),
    dropped: Dropped = lambda name, reason: None,
    part: tuple[int, int] | None = None,
) -> Iterator[Picture]:
    """The pictures in an order drawn from `seed`; `part`: only those from one place in it to another. Raises InputError."""
    table = _table(str(name))
    for number in packs.shuffled(map(str, range(len(table.rows))), seed, part):
        row = table.rows[int(number)]
        about = {key: row[key] for key in ABOUT if key in row} | _said(table, row)
        reason = packs.unwanted(about, licences, exclude_sources)
        if reason:
            dropped(number, reason)
            continue
        try:
            rgba, frames = packs.decode(_bytes(row[table.image], table.roots))
        except Unusable as error:
            dropped(number, str(error))
            continue
        if frames:
            dropped(f"{number}#2…", "animated: only the first frame is used")
        yield packs.labelled(number, rgba, about, packs.stated(about, "label"), Path(name).stem)


def count(name: str) -> int:
    """How many rows there are."""
    return len(_table(str(name)).rows)


def fingerprint(name: str) -> str:
    """SHA-256 of every picture's bytes and words."""
    table, digest = _table(str(name)), hashlib.sha256()
    for row in table.rows:
        try:
            digest.update(hashlib.sha256(_bytes(row[table.image], table.roots)).digest())
        except Unusable as error:
            digest.update(str(error).encode())
        digest.update(repr(sorted((key, str(value)) for key, value in row.items() if key != table.image)).encode())
    return digest.hexdigest()


@lru_cache(2)
def _table(name: str) -> _Table:
    from datasets import ClassLabel, Image, Value, concatenate_datasets, disable_progress_bars, load_dataset

    disable_progress_bars()
    try:
        splits = load_dataset(name)
        rows = concatenate_datasets(list(splits.values()))
    except Exception as error:  # a dozen types, from the network to the format
        why = f"cannot be loaded ({first_line(error)}); give a hub name or a folder that `datasets` reads"
        raise InputError(f"dataset {name}: {why}") from error
    features = rows.features
    image = next((key for key, kind in features.items() if isinstance(kind, Image)), None)
    if image is None:
        raise InputError(f"dataset {name}: no column of images; it has {', '.join(features)}")
    texts = [key for key, kind in features.items() if isinstance(kind, Value) and kind.dtype in ("string", "large_string")]
    classes = [key for key, kind in features.items() if isinstance(kind, ClassLabel)]
    words = next((key for key in (*WORDS, *classes, *texts) if key in (*classes, *texts) and key not in ABOUT), "")
    names = tuple(features[words].names) if words in classes else ()
    # Of any other column `datasets` would open the files that its cells name, as soon as a row is read.
    rows = rows.select_columns([key for key, kind in features.items() if key == image or isinstance(kind, Value | ClassLabel)])
    return _Table(rows.cast_column(image, Image(decode=False)), image, words, names, _roots(name))


def _roots(name: str) -> tuple[Path, ...]:
    """The dataset's own folder, or those where `datasets` and the hub's library keep what they fetch and unpack."""
    from datasets import config
    from huggingface_hub.constants import HF_HUB_CACHE

    kept = (config.HF_DATASETS_CACHE, config.DOWNLOADED_DATASETS_PATH, config.EXTRACTED_DATASETS_PATH, HF_HUB_CACHE)
    own = (name,) if Path(name).is_dir() else ()
    return tuple(Path(place).resolve() for place in (*own, *kept))


def _said(table: _Table, row: dict) -> dict:
    """The row's words as a pack's metadata line has them: a caption, or a label where they are a class's name."""
    value = row.get(table.words)
    if isinstance(value, int) and 0 <= value < len(table.names):
        return {"label": table.names[value].replace("_", " ")}
    return {"label" if table.words in ("label", "name") else "caption": value} if isinstance(value, str) else {}


def _bytes(image: dict | None, roots: Collection[Path]) -> bytes:
    """The picture's file; raises Unusable."""
    if image is None:
        raise Unusable("no picture")
    data = image.get("bytes")
    if data is None:
        data = _file(image.get("path"), roots)
    if len(data) > packs.MAX_BYTES:
        raise Unusable(f"too large: more than {packs.MAX_BYTES >> 20} MiB")
    return data


def _file(path: str | None, roots: Collection[Path]) -> bytes:
    """At most MAX_BYTES + 1 of the file that a cell names, where that lies below one of `roots`: a cell may name any file.
    Raises Unusable."""
    try:
        place = Path(path or "").resolve()
        inside = any(place.is_relative_to(root) for root in roots)
        if inside and stat.S_ISREG(place.stat().st_mode):  # neither a pipe nor a device: reading those may not end
            with place.open("rb") as file:
                return file.read(packs.MAX_BYTES + 1)
    except (OSError, ValueError, RuntimeError) as error:
        raise Unusable("cannot be read") from error
    raise Unusable("a path that leads to no file of the dataset")
