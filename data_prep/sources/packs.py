"""Packs: a folder or a zip of pictures, as a person has it. Reads it in memory, writes nothing, extracts nothing.

Convention: pictures beside a `metadata.jsonl` with one JSON object a line (`file_name`, and any of `label`, `text` or
`caption`, `source`, `licence`, `attribution`, `zone`, `category`, `marine_group`, `tier`). Pictures without a line, or packs
without that file, are labelled by their file name. Whatever cannot be used is reported to `dropped(name, reason)`.
"""

import codecs
import hashlib
import io
import json
import logging
import re
import stat
import warnings
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from data_prep.bounded import MAX_LINE, filled_lines, in_bytes
from data_prep.captions import CATEGORIES, ZONES
from data_prep.curate import Picture, tidy
from data_prep.errors import InputError
from data_prep.sources import Dropped

METADATA = "metadata.jsonl"
SUFFIXES = frozenset({".png", ".apng", ".gif", ".webp", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff"})
FORMATS = ("PNG", "GIF", "WEBP", "BMP", "JPEG", "TIFF")  # no format whose decoder runs another program
MAX_BYTES = 16 * 2**20  # a picture's file
MAX_METADATA_BYTES = 64 * 2**20
MAX_FAULTS = 100_000  # metadata lines of a pack and the zips in it that say nothing; then the others are not read
MAX_DIGEST_BYTES = 256 * 2**20  # of a file, for the hash of a folder
MAX_PIXELS = 2**22  # checked before a pixel is decoded; sprites have at most 64×64
logging.getLogger("PIL").addHandler(logging.NullHandler())  # else a decoder's words reach the terminal beside ours
GROUP_CATEGORY = {"fish": "reef_fish"} | {category: category for category in CATEGORIES}


class Unusable(ValueError):
    """Why one file of a pack cannot be used, in words."""


@dataclass
class Faults:
    """count: how many metadata lines of a pack and of the zips in it said nothing so far."""

    count: int = 0


@dataclass(frozen=True)
class Pack:
    """names: '/'-separated paths inside the pack; read(name, limit): its bytes, or Unusable with the reason."""

    names: list[str]
    read: Callable[[str, int], bytes]


def pictures(
    path: str | Path,
    seed: int = 1,
    licences: Collection[str] = (),
    exclude_sources: Collection[str] = (),
    dropped: Dropped = lambda name, reason: None,
    part: tuple[int, int] | None = None,
    draw: Callable[[bytes], tuple[np.ndarray, bool]] | None = None,
    max_bytes: int = MAX_BYTES,
) -> Iterator[Picture]:
    """The pack's pictures in an order drawn from `seed`, so that the first n are a fair sample.

    licences: only these, by their names in the metadata (empty: all); exclude_sources: not these; part: only the picture files
    from one place in that order to another, where faults of the pack itself are told with the first ones alone; draw: what
    makes a picture of a file of at most max_bytes, by default `decode`.
    Raises InputError when the path is missing or is neither a folder nor a zip; nothing else stops it.
    """
    path = Path(path)
    of_the_pack = with_the_first(part, dropped)
    with opened(path, of_the_pack) as pack:
        rows = metadata_rows(pack, of_the_pack)
        for name in shuffled(filter(is_picture, pack.names), seed, part):
            row = rows.get(name, {})
            reason = unwanted(row, licences, exclude_sources)
            if reason:
                dropped(name, reason)
                continue
            try:
                rgba, frames = (draw or decode)(pack.read(name, max_bytes))
            except Unusable as error:
                dropped(name, str(error))
                continue
            if frames:
                dropped(f"{name}#2…", "animated: only the first frame is used")
            yield labelled(name, rgba, row, stated(row, "label") or label_from_name(name), path.stem)


def count(path: str | Path) -> int:
    """How many picture files the pack has, good or bad."""
    with opened(Path(path), lambda name, reason: None) as pack:
        return sum(map(is_picture, pack.names))


def with_the_first(part: tuple[int, int] | None, dropped: Dropped) -> Dropped:
    """What is told faults of the pack itself: every part finds them, and the first one tells them."""
    return (lambda name, reason: None) if part and part[0] else dropped


def fingerprint(path: str | Path) -> str:
    """SHA-256 of the pack's content: the zip's bytes, or each file's name and bytes in a folder."""
    path = Path(path)
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    with opened(path, lambda name, reason: None) as pack:
        return content_digest(pack)


def content_digest(pack: Pack) -> str:
    """SHA-256 of each file's name and bytes."""
    digest = hashlib.sha256()
    for name in pack.names:
        digest.update(name.encode("utf-8", "surrogateescape") + b"\0")
        try:
            digest.update(hashlib.sha256(pack.read(name, MAX_DIGEST_BYTES)).digest())
        except Unusable as error:
            digest.update(str(error).encode("utf-8", "replace"))
    return digest.hexdigest()


def decode(data: bytes, max_pixels: int = MAX_PIXELS, read: Callable | None = None) -> tuple[np.ndarray, bool]:
    """A picture file's bytes → its first frame, (H, W, 4) uint8, and whether there are more. read: by default `to_rgba`.

    Raises Unusable with the reason, whatever the bytes, and nothing else.
    """
    from PIL import Image

    try:
        with opened_image(data) as image:
            if image.width * image.height > max_pixels:
                raise Image.DecompressionBombError
            return (read or to_rgba)(image), bool(getattr(image, "is_animated", False))
    except Unusable:
        raise
    except Image.DecompressionBombError as error:
        raise Unusable(f"decompression bomb: more than {max_pixels} pixels") from error
    except Image.UnidentifiedImageError as error:
        raise Unusable("not a picture: no known format") from error
    except Exception as error:  # decoders raise a dozen types on broken bytes; none may stop the run
        raise Unusable(f"broken picture: {type(error).__name__}") from error


@contextmanager
def opened_image(data: bytes) -> Iterator:
    """A picture file's bytes → a PIL image, not decoded yet, for somebody who judges its size. Raises whatever Pillow does."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a bomb's warning
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            yield image


def to_rgba(image) -> np.ndarray:
    """A PIL image of any mode → (H, W, 4) uint8; 16-bit grey and float are scaled, not clipped."""
    if image.mode.startswith("I") or image.mode == "F":
        grey = np.nan_to_num(np.asarray(image, np.float64), posinf=0, neginf=0)
        scale = 255 / (65535 if image.mode != "F" else max(grey.max(), 1e-9))
        grey = np.clip(grey * scale, 0, 255).astype(np.uint8)
        return np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    return np.array(image.convert("RGBA"))


# --- metadata -------------------------------------------------------------------------------------------------------


def metadata_rows(pack: Pack, dropped: Dropped, faults: Faults | None = None) -> dict[str, dict]:
    """Path in the pack → its metadata line; every `metadata.jsonl` counts, with paths relative to it. faults: of the pack that
    this one is a zip of."""
    rows: dict[str, dict] = {}
    names, faults = set(pack.names), faults or Faults()
    for file, number, line in _metadata_lines(pack, dropped):
        if faults.count > MAX_FAULTS:
            dropped(f"{file}:{number}", f"metadata: more than {MAX_FAULTS:,} faulty lines in the pack; the others are not read")
            break
        try:
            name, row = _line(line, PurePosixPath(file).parent)
            if name not in names:
                raise Unusable("no such picture in the pack")
            if name in rows:
                raise Unusable("duplicate name")
            rows[name] = row
        except Unusable as error:
            dropped(f"{file}:{number}", f"metadata: {error}")
            faults.count += 1
    return rows


def _metadata_lines(pack: Pack, dropped: Dropped) -> Iterator[tuple[str, int, bytes]]:
    """(file, number from 1, line) of the lines of every `metadata.jsonl` that say something."""
    for file in (name for name in pack.names if PurePosixPath(name).name == METADATA):
        try:
            data = pack.read(file, MAX_METADATA_BYTES).removeprefix(codecs.BOM_UTF8)
        except Unusable as error:
            dropped(file, str(error))
            continue
        yield from ((file, number, line) for number, line in filled_lines(data))


def _line(line: bytes, folder: PurePosixPath) -> tuple[str, dict]:
    """(path in the pack, the line's object); raises Unusable with the reason."""
    if len(line) > MAX_LINE:
        raise Unusable(f"a line of more than {in_bytes(MAX_LINE)}")
    try:
        row = json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise Unusable("not JSON") from None
    if not isinstance(row, dict) or not isinstance(row.get("file_name"), str):
        raise Unusable("no object with a file_name")
    name = str(folder / row["file_name"].replace("\\", "/"))
    if climbs_out(name):
        raise Unusable("its path climbs out of the pack")
    return name, row


def unwanted(row: dict, licences: Collection[str], exclude_sources: Collection[str]) -> str:
    """Why the filters leave a metadata line out, or ''."""
    licence, source = stated(row, "licence", "license"), stated(row, "source")
    if licences and licence not in licences:
        return f"licence left out: {licence or 'none stated'}"
    return f"source left out: {source}" if source and source in exclude_sources else ""


def stated(row: dict, *keys: str) -> str:
    """The first of the keys that holds words, as one clean line, else ''."""
    return next((tidy(row[key]) for key in keys if isinstance(row.get(key), str) and row[key].strip()), "")


def labelled(name: str, rgba: np.ndarray, row: dict, label: str, pack_name: str) -> Picture:
    """The picture under its label, with what its metadata line states; the source is the pack, where none is stated."""
    zone, group = stated(row, "zone"), stated(row, "marine_group")
    category = stated(row, "category")
    tags = {
        "label": label,
        "zone": zone if zone in ZONES else "",
        "category": category if category in CATEGORIES else GROUP_CATEGORY.get(group, ""),
        "kind": "" if category in CATEGORIES else category,
        "marine_group": group,
    }
    return Picture(
        rgba,
        called(name),
        label=label,
        caption=stated(row, "caption", "text"),
        tags={key: value for key, value in tags.items() if value},
        source=stated(row, "source") or tidy(pack_name),
        licence=stated(row, "licence", "license"),
        attribution=stated(row, "attribution", "author"),
        vector=row.get("tier") == "R" or row.get("native_pixel_art") is False,
    )


def called(name: str) -> str:
    """A picture's name as one clean line. Where that differs from its path, a hash sets it apart from others like it."""
    line = tidy(name)
    return line if line == name else f"{line}~{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def label_from_name(name: str) -> str:
    """'sea/blue_fish_02.png' → 'blue fish'; a name without letters takes its folder's: 'crab/0001.png' → 'crab'."""
    path = PurePosixPath(name)
    for stem in (path.stem, path.parent.name):
        stem = re.sub(r"_[0-9a-f]{8}$", "", stem)  # a content hash behind the name
        words = " ".join(re.sub(r"[\d_\W]+", " ", stem).split()) if stem.isascii() else tidy(stem.replace("_", " "))
        if words:
            return words
    return ""


# --- folders and zips -----------------------------------------------------------------------------------------------


def climbs_out(name: str) -> bool:
    """Whether a path inside a pack is absolute, names a drive or goes up."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or bool(re.match(r"[A-Za-z]:", name))


def shuffled(names: Iterable[str], seed: int, part: tuple[int, int] | None = None) -> list[str]:
    """The names in an order that depends on the seed and on each name alone; `part`: those from one place in it to another."""
    order = sorted(names, key=lambda name: (hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogateescape")).digest(), name))
    return order[part[0] : part[1]] if part else order


def is_picture(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) and part != ".." for part in PurePosixPath(name).parts)


@contextmanager
def opened(path: Path, dropped: Dropped) -> Iterator[Pack]:
    """The folder or zip at `path`. Raises InputError when it is missing or neither of both."""
    if path.is_dir():
        yield folder_pack(path, path.rglob("*"), dropped)
    elif not path.exists():
        raise InputError(f"{path}: no such folder or zip; give the path of a pack")
    elif not (path.is_file() and zipfile.is_zipfile(path)):
        raise InputError(f"{path}: neither a folder nor a zip; give a folder of pictures or a zip of them")
    else:
        try:
            archive = zipfile.ZipFile(path)
        except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
            raise InputError(f"{path}: its zip directory is broken ({error}); pack it again") from error
        with archive:
            yield zip_pack(archive, dropped)


def folder_pack(path: Path, files: Iterable[Path], dropped: Dropped) -> Pack:
    """Of these files those that lie in the folder; links that lead nowhere or out of it are dropped."""
    root, names = path.resolve(), []
    for file in sorted(files):
        name = file.relative_to(path).as_posix()
        if _hidden(name):
            continue
        try:
            inside = file.resolve().is_relative_to(root)
            regular = stat.S_ISREG(file.stat().st_mode)  # neither a pipe nor a device: reading those may not end
        except (OSError, RuntimeError):
            dropped(name, "a link that leads nowhere")
            continue
        if regular and inside:
            names.append(name)
        elif not inside:
            dropped(name, "a link that leads out of the pack")

    def read(name: str, limit: int) -> bytes:
        try:
            with (path / name).open("rb") as file:
                return _capped(file, limit)
        except OSError as error:
            raise Unusable(f"cannot be read: {error.strerror}") from error

    return Pack(names, read)


def zip_pack(archive: zipfile.ZipFile, dropped: Dropped) -> Pack:
    """A zip's files; those whose paths climb out and second ones of a name are dropped."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        if not info.filename or info.is_dir() or _hidden(info.filename):  # of an empty name `is_dir` fails
            continue
        if climbs_out(info.filename):
            dropped(tidy(info.filename), "its path climbs out of the pack")
        elif info.filename in members:
            dropped(tidy(info.filename), "duplicate name")
        else:
            members[info.filename] = info

    def read(name: str, limit: int) -> bytes:
        try:
            with archive.open(members[name]) as file:
                return _capped(file, limit)
        except Unusable:
            raise
        except Exception as error:  # a broken, encrypted or oddly packed member: zlib, zipfile, NotImplemented, Runtime…
            raise Unusable(f"broken zip member: {type(error).__name__}") from error

    return Pack(list(members), read)


def _capped(file, limit: int) -> bytes:
    data = file.read(limit + 1)  # a zip bomb is unpacked no further than this
    if len(data) > limit:
        raise Unusable(f"too large: more than {limit >> 20} MiB")
    return data
