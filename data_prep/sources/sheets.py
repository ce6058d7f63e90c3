"""Sprite sheets, cut into sprites: a picture, a folder, a zip, or the files of an OpenGameArt page. Extracts nothing.

A description wins: Aseprite or TexturePacker JSON, a libGDX `.atlas` (beside the picture that it names, or that has its name),
or `"grid": {"tile_width": 16, "tile_height": 16, "margin": 0, "spacing": 1}` in the sheet's line of `metadata.jsonl`. Without
one the background is found, then shelves, a grid or else connected pieces. Sprites are called `sheet.png#12`, or by their
frame's name. Licence and author come from `metadata.jsonl`, a saved page or a credits file. What is left out goes to
`dropped(name, reason)`.
"""

import io
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from data_prep.curate import Picture
from data_prep.sources import Dropped, packs, sheet_descriptions
from data_prep.sources.packs import Faults, Pack, Unusable
from data_prep.sources.sheet_animations import animation_frames
from data_prep.sources.sheet_background import native_scale, without_background
from data_prep.sources.sheet_credits import Facts, read_credits
from data_prep.sources.sheet_cutting import cut
from data_prep.sources.sheet_descriptions import Box, Frame, Page, grid_boxes

MAX_PIXELS = 2**24  # of a sheet: 4,096 × 4,096
MAX_ZIP_BYTES = 256 * 2**20  # of a zip within the pack, which is read in memory
MAX_FRAME_PIXELS = 2**20  # of a sprite's own frame: a description may claim any size
MAX_COVER = 8  # times the sheet's area: what the frames of a description may cover together, those that are dropped too
JSON, ATLAS = frozenset({".json"}), frozenset({".atlas", ".pack"})
# Words in a file's name that say how it is laid out, not what it shows.
_LAYOUT = (
    "sheet sheets spritesheet spritesheets sprite sprites tileset tilesheet tilemap tiles tile atlas texture textures packed "
    "strip animation animations anim frame frames slice untitled transparent image images img x px png"
)
LAYOUT_WORDS = frozenset(_LAYOUT.split())


@dataclass(frozen=True)
class _Cut:
    """A sprite that came out of a sheet. box: where it lay, so that neighbours are known; named: by its description."""

    name: str
    rgba: np.ndarray
    box: Box
    named: str = ""
    animation: str = ""


@dataclass(frozen=True)
class _Filters:
    licences: Collection[str]
    exclude_sources: Collection[str]
    every_frame: bool
    seed: int


def pictures(
    path: str | Path,
    seed: int = 1,
    licences: Collection[str] = (),
    exclude_sources: Collection[str] = (),
    dropped: Dropped = lambda name, reason: None,
    every_frame: bool = False,
    part: tuple[int, int] | None = None,
) -> Iterator[Picture]:
    """The sprites of all sheets at `path`; the order of the sheets, and within each that of its sprites, comes from `seed`.

    licences: only these, by their names in metadata, page or credits (empty: all); exclude_sources: not these.
    every_frame: keep all frames of an animation; by default its first stands for it and the others are dropped; part: only the
    sheets and zips from one place in that order to another.
    Raises InputError when the path is missing or is no picture, folder or zip; nothing else stops it.
    """
    path = Path(path)
    of_the_pack = packs.with_the_first(part, dropped)
    with _opened(path, of_the_pack) as pack:
        filters = _Filters(licences, exclude_sources, every_frame, seed)
        yield from _sprites(pack, path.stem, filters, dropped, of_the_pack, Facts(), Faults(), part=part)


def count(path: str | Path) -> int:
    """How many sheets and zips there are, good or bad."""
    with _opened(Path(path), lambda name, reason: None) as pack:
        return sum(map(_is_sheet, pack.names))


def fingerprint(path: str | Path) -> str:
    """SHA-256 of what is read: the zip's bytes, each file's name and bytes in a folder, a picture and what describes it."""
    path = Path(path)
    if not _is_picture(path):
        return packs.fingerprint(path)
    with _opened(path, lambda name, reason: None) as pack:
        return packs.content_digest(pack)


# --- files ----------------------------------------------------------------------------------------------------------


def _is_picture(path: Path) -> bool:
    return path.is_file() and packs.is_picture(path.name)


def _is_sheet(name: str) -> bool:
    return packs.is_picture(name) or _is_zip(name)


def _is_zip(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() == ".zip"


@contextmanager
def _opened(path: Path, dropped: Dropped) -> Iterator[Pack]:
    """The pack at a path; a picture is a pack with the descriptions of its name and the metadata beside it."""
    if _is_picture(path):
        beside = [path, path.with_name(packs.METADATA), *(path.with_suffix(suffix) for suffix in JSON | ATLAS)]
        yield packs.folder_pack(path.parent, beside, lambda name, reason: None)
    else:
        with packs.opened(path, dropped) as pack:
            yield pack


def _sprites(
    pack: Pack,
    pack_name: str,
    filters: _Filters,
    dropped: Dropped,
    of_the_pack: Dropped,
    inherited: Facts,
    faults: Faults,
    within: str = "",
    part: tuple[int, int] | None = None,
) -> Iterator[Picture]:
    """The sprites of a pack and of the zips in it; `within` is the zip's own name with '/', '' for the pack itself."""
    credits = read_credits(pack, of_the_pack, inherited)
    rows = packs.metadata_rows(pack, of_the_pack, faults)
    pages = _described(pack, of_the_pack)
    for name in packs.shuffled(filter(_is_sheet, pack.names), filters.seed, part):
        if _is_zip(name):
            yield from _zipped(pack, name, pack_name, filters, dropped, credits.of(name), faults, within)
            continue
        if credits.is_decoration(name):
            continue
        row = credits.of(name).row(filters.licences) | rows.get(name, {})
        reason = packs.unwanted(row, filters.licences, filters.exclude_sources)
        if reason:
            dropped(within + name, reason)
            continue
        try:
            rgba, more = packs.decode(pack.read(name, packs.MAX_BYTES), MAX_PIXELS)
            cuts = _cuts(name, rgba, pages.get(name), row, lambda n, reason: dropped(within + n, reason))
        except Unusable as error:
            dropped(within + name, str(error))
            continue
        if more:
            dropped(f"{within}{name}#2…", "animated: only the first frame is used")
        yield from _labelled(within, name, cuts, row, pack_name, filters, dropped)


def _zipped(
    pack: Pack, name: str, pack_name: str, filters: _Filters, dropped: Dropped, facts: Facts, faults: Faults, within: str
) -> Iterator[Picture]:
    """The sprites of a zip in the pack; one inside of that is not opened."""
    if within:
        dropped(within + name, "a zip within a zip within the pack")
        return

    def of_the_zip(inside: str, reason: str) -> None:
        dropped(f"{name}/{inside}", reason)

    try:
        archive = zipfile.ZipFile(io.BytesIO(pack.read(name, MAX_ZIP_BYTES)))
    except Unusable as error:
        dropped(name, str(error))
        return
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        dropped(name, f"broken zip: {type(error).__name__}")
        return
    with archive:
        inner = packs.zip_pack(archive, of_the_zip)
        yield from _sprites(inner, pack_name, filters, dropped, of_the_zip, facts, faults, f"{name}/")


def _described(pack: Pack, dropped: Dropped) -> dict[str, Page]:
    """Picture → the page of the first description that is about it."""
    found: dict[str, Page] = {}
    names = set(pack.names)
    for name in sorted(pack.names, key=lambda name: (PurePosixPath(name).suffix.lower() in ATLAS, name)):
        suffix = PurePosixPath(name).suffix.lower()
        if suffix not in JSON | ATLAS:
            continue
        try:
            text = pack.read(name, sheet_descriptions.MAX_BYTES).decode("utf-8-sig", "replace")
            pages = sheet_descriptions.read_json(text) if suffix in JSON else sheet_descriptions.read_atlas(text)
        except Unusable as error:
            dropped(name, str(error))
            continue
        for page in pages:
            picture = _picture_of(name, page, names, dropped)
            if picture in found:
                dropped(name, f"description: another is used; for {picture}")
            elif picture:
                found[picture] = page
    return found


def _picture_of(description: str, page: Page, names: set[str], dropped: Dropped) -> str:
    """The picture that a page names, else the one beside it of that name or of the description's; '' when there is none."""
    folder, stem = PurePosixPath(description).parent, PurePosixPath(description).stem
    image = page.image.replace("\\", "/")
    if packs.climbs_out(image):
        dropped(description, "description: its picture's path leads out of the folder; one beside it is looked for")
        image = PurePosixPath(image).name
    candidates = [image, PurePosixPath(image).name, *(stem + suffix for suffix in sorted(packs.SUFFIXES))]
    picture = next((str(folder / name) for name in candidates if name and str(folder / name) in names), "")
    if not picture:
        dropped(description, "description: its picture is not in the pack")
    return picture


# --- one sheet ------------------------------------------------------------------------------------------------------


def _cuts(name: str, rgba: np.ndarray, page: Page | None, row: dict, dropped: Dropped) -> list[_Cut]:
    """The sprites of a decoded sheet. Raises Unusable with the reason when there is nothing to cut."""
    if page and page.size and page.size != (rgba.shape[1], rgba.shape[0]):
        sizes = f"for {page.size[0]}x{page.size[1]}, the picture has {rgba.shape[1]}x{rgba.shape[0]}"
        dropped(name, f"description: of another size, so cut without it; {sizes}")
        page = None
    clear, ground = without_background(rgba)
    if page:
        for frame, reason in page.faults:
            dropped(f"{name}#{frame}", reason)
        return _framed(name, clear, page.frames, dropped)
    if "grid" in row:
        frames = [Frame(str(n), box) for n, box in enumerate(grid_boxes(row["grid"], *rgba.shape[:2]), 1)]
        return [replace(found, named="") for found in _framed(name, clear, frames, lambda name, reason: None) if found.rgba.any()]
    scale = native_scale(rgba)
    clear = clear[::scale, ::scale]
    if not ground:
        raise Unusable("no background: neither transparent pixels nor a border of one colour, so describe the sheet")
    cuts = cut(clear)
    parts = [clear[y : y + height, x : x + width] for x, y, width, height in cuts.boxes]
    return [_Cut(f"{name}#{n}", part, box) for n, (part, box) in enumerate(zip(parts, cuts.boxes, strict=True), 1)]


def _framed(name: str, clear: np.ndarray, frames: Collection[Frame], dropped: Dropped) -> list[_Cut]:
    """What a description's frames hold, upright and in their own frames; each frame that is at fault is dropped."""
    scale = _common_scale(clear, frames)
    taken = np.zeros(clear.shape[:2], bool)  # pixels of earlier frames
    seen: dict[Box, str] = {}
    cuts, cover = [], 0
    for frame in frames:
        reason = _fault(frame, clear, seen, cover)
        if not reason:
            x, y, width, height = frame.box
            cover += width * height  # also of one that is dropped: looking at its pixels is what takes time
            part = clear[y : y + height, x : x + width]
            drawn, before = part[..., 3] > 0, taken[y : y + height, x : x + width]
            reason = "a frame that overlaps an earlier one" if (before & drawn).any() else ""
        if reason:
            dropped(f"{name}#{frame.name}", f"description: {reason}")
            continue
        seen[frame.box] = frame.name
        before |= drawn
        rgba = _in_own_frame(np.rot90(part, frame.turns), frame.source)[::scale, ::scale]
        cuts.append(_Cut(f"{name}#{frame.name}", rgba, frame.box, frame.name, frame.animation))
    return cuts


def _fault(frame: Frame, clear: np.ndarray, seen: Mapping[Box, str], cover: int) -> str:
    """Why a frame is not cut whatever the pixels in it, or ''."""
    x, y, width, height = frame.box
    if width < 1 or height < 1:
        return "a frame without area"
    if min(x, y) < 0 or x + width > clear.shape[1] or y + height > clear.shape[0]:
        return "a frame outside of its picture"
    if frame.box in seen:
        return f"the same place as an earlier frame; {seen[frame.box]}"
    if cover + width * height > MAX_COVER * clear.shape[0] * clear.shape[1]:
        return "its frames cover the picture many times over"
    return ""


def _in_own_frame(part: np.ndarray, source: Box | None) -> np.ndarray:
    """A trimmed part back in its frame, where that is sensible; else as it is."""
    if source is None:
        return part
    left, top, width, height = source
    fits = 0 <= left <= width - part.shape[1] and 0 <= top <= height - part.shape[0]
    if not fits or width * height > MAX_FRAME_PIXELS:
        return part
    frame = np.zeros((height, width, 4), np.uint8)
    frame[top : top + part.shape[0], left : left + part.shape[1]] = part
    return frame


def _common_scale(clear: np.ndarray, frames: Collection[Frame]) -> int:
    """By how much the sheet was enlarged, where all its frames were with it."""
    scale = native_scale(clear)
    numbers = (number for frame in frames for number in (*frame.box, *(frame.source or ())))
    return scale if all(number % scale == 0 for number in numbers) else 1


# --- from cuts to pictures ------------------------------------------------------------------------------------------


def _labelled(
    within: str, name: str, cuts: list[_Cut], row: dict, pack_name: str, filters: _Filters, dropped: Dropped
) -> Iterator[Picture]:
    if not filters.every_frame:
        moving = animation_frames(
            [found.rgba for found in cuts], [found.box for found in cuts], [found.animation for found in cuts]
        )
        for place, first in moving.items():
            dropped(within + cuts[place].name, f"animation frame; of {within}{cuts[first].name}")
        cuts = [found for place, found in enumerate(cuts) if place not in moving]
    by_name = {f"{number} {found.name}": found for number, found in enumerate(cuts)}
    for key in packs.shuffled(by_name, filters.seed):
        found = by_name[key]
        label = packs.stated(row, "label") or label_of(found.named) or label_of(name)
        yield packs.labelled(within + found.name, np.ascontiguousarray(found.rgba), row, label, pack_name)


def label_of(name: str) -> str:
    """The label in a sheet's or a frame's name, less words for its layout: 'crab_sheet_16x16.png' → 'crab', 'tiles.png' → ''."""
    words = packs.label_from_name(name).split()
    return " ".join(word for word in words if word.lower() not in LAYOUT_WORDS)
