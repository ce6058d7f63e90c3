"""What a file beside a sprite sheet says of it: Aseprite and TexturePacker JSON, libGDX atlases, grid numbers. Pure functions.

Sources: https://www.aseprite.org/docs/cli, https://www.codeandweb.com/texturepacker (JSON hash, array and multi-pack),
https://esotericsoftware.com/spine-atlas-format and libGDX's `TextureAtlas` (both of its formats).
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from data_prep.curate import tidy
from data_prep.sources.packs import Unusable

MAX_BYTES = 4 * 2**20  # a description's file: ten thousand frames take 3 MB
MAX_FRAMES = 10_000  # of one description
MAX_TAGS = 1_000
Box = tuple[int, int, int, int]  # x, y, width, height, pixels


@dataclass(frozen=True)
class Frame:
    """One sprite on a sheet. `box` is where it lies there; `turns` quarter turns anticlockwise set it upright.

    source: left, top, width, height of the whole frame around it, where it was trimmed; animation: the tag it belongs to.
    """

    name: str
    box: Box
    turns: int = 0
    source: Box | None = None
    animation: str = ""


@dataclass(frozen=True)
class Page:
    """One picture of a description. image: its path as it stands there, '' if none; size: width, height, where stated;
    faults: (frame, reason) of what cannot be used."""

    image: str
    size: tuple[int, int] | None
    frames: tuple[Frame, ...]
    faults: tuple[tuple[str, str], ...] = ()


# --- JSON -----------------------------------------------------------------------------------------------------------


def read_json(text: str) -> list[Page]:
    """Aseprite's and TexturePacker's JSON (hash or array, several textures) → pages. Raises Unusable with the reason."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unusable("description: not JSON") from error
    if not isinstance(data, dict):
        raise Unusable("description: no frames")
    textures = data.get("textures")
    parts = textures if isinstance(textures, list) else [data]
    pages = [_json_page(part) for part in parts if isinstance(part, dict) and isinstance(part.get("frames"), list | dict)]
    if not any(page.frames or page.faults for page in pages):
        raise Unusable("description: no frames")
    return pages


def _json_page(part: dict) -> Page:
    meta = part["meta"] if isinstance(part.get("meta"), dict) else part
    found = part["frames"]
    rows = found.items() if isinstance(found, dict) else ((None, row) for row in found)
    frames, faults = _collect((_json_name(name, row, number), row) for number, (name, row) in enumerate(rows, 1))
    frames = _tagged(frames, meta.get("frameTags"))
    slices = meta.get("slices")
    if sum(frame is not None for frame in frames) == 1 and isinstance(slices, list) and slices:
        frames, more = _sliced(next(frame for frame in frames if frame), slices)
        faults += more
    size = _pair(meta.get("size"), "w", "h")
    return Page(_word(meta, "image"), size, tuple(frame for frame in frames if frame), tuple(faults))


def _json_name(name: str | None, row: Any, number: int) -> str:
    return tidy(name or _word(row, "filename") or _word(row, "name")) or str(number)


def _collect(rows: Iterator[tuple[str, Any]]) -> tuple[list[Frame | None], list[tuple[str, str]]]:
    """Frames in their order, None where one is at fault, so that tags can count them."""
    frames: list[Frame | None] = []
    faults: list[tuple[str, str]] = []
    for name, row in rows:
        if len(frames) == MAX_FRAMES:
            faults.append((name, f"description: only its first {MAX_FRAMES} frames are used"))
            break
        frame = _json_frame(name, row) if isinstance(row, dict) else "no object"
        if isinstance(frame, str):
            faults.append((name, f"description: {frame}"))
        frames.append(frame if isinstance(frame, Frame) else None)
    return frames, faults


def _json_frame(name: str, row: dict) -> Frame | str:
    """TexturePacker turns clockwise and states the upright width and height."""
    box = _box(row.get("frame"))
    if box is None:
        return "a frame whose place is not four whole numbers"
    turned = row.get("rotated") is True
    place, size = _pair(row.get("spriteSourceSize"), "x", "y"), _pair(row.get("sourceSize"), "w", "h")
    source = (*place, *size) if place and size else None
    return Frame(name, (box[0], box[1], box[3], box[2]) if turned else box, int(turned), source)


def _tagged(frames: list[Frame | None], tags: Any) -> list[Frame | None]:
    """Each frame with the first Aseprite tag that spans it and others."""
    for tag in tags[:MAX_TAGS] if isinstance(tags, list) else ():
        span = _pair(tag, "from", "to")
        if span is None or not 0 <= span[0] < span[1]:
            continue
        name = tidy(_word(tag, "name"))
        for place in range(span[0], min(span[1] + 1, len(frames))):
            frame = frames[place]
            if frame and not frame.animation:
                frames[place] = replace(frame, animation=name or "untitled")
    return frames


def _sliced(canvas: Frame, slices: list) -> tuple[list[Frame | None], list[tuple[str, str]]]:
    """Aseprite's slices of a single canvas are sprites; on several frames they mark hit boxes and the like, and are not read."""
    frames: list[Frame | None] = []
    faults = []
    left, top = canvas.source[:2] if canvas.source else (0, 0)
    x, y, width, height = canvas.box
    for number, found in enumerate(slices[:MAX_FRAMES], 1):
        name = tidy(_word(found, "name")) or f"slice {number}"
        keys = found.get("keys") if isinstance(found, dict) else None
        first = keys[0] if isinstance(keys, list) and keys and isinstance(keys[0], dict) else {}
        box = _box(first.get("bounds"))
        if box is None:
            faults.append((name, "description: a slice whose place is not four whole numbers"))
            continue
        x0, y0 = max(x, x + box[0] - left), max(y, y + box[1] - top)  # the canvas may have been trimmed
        x1, y1 = min(x + width, x + box[0] - left + box[2]), min(y + height, y + box[1] - top + box[3])
        frames.append(Frame(name, (x0, y0, x1 - x0, y1 - y0)))
    return frames, faults


def _word(row: Any, key: str) -> str:
    found = row.get(key) if isinstance(row, dict) else None
    return found if isinstance(found, str) else ""


def _box(row: Any) -> Box | None:
    place, size = _pair(row, "x", "y"), _pair(row, "w", "h")
    return (*place, *size) if place and size else None


def _pair(row: Any, first: str, second: str) -> tuple[int, int] | None:
    if not isinstance(row, dict):
        return None
    one, other = _whole(row.get(first)), _whole(row.get(second))
    return None if one is None or other is None else (one, other)


def _whole(value: Any) -> int | None:
    """A whole number of any JSON spelling, as 32 or 32.0; None for NaN, infinity, fractions, words and truth values."""
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


# --- libGDX ---------------------------------------------------------------------------------------------------------


def read_atlas(text: str) -> list[Page]:
    """A libGDX atlas, with `xy`/`size`/`orig`/`offset` or with `bounds`/`offsets` → pages. Raises Unusable with the reason."""
    pages = [_atlas_page(lines) for lines in _blocks(text)]
    if not any(page.frames or page.faults for page in pages):
        raise Unusable("description: no frames")
    return pages


def _blocks(text: str) -> Iterator[list[str]]:
    """The lines of each page; a blank line ends one."""
    block: list[str] = []
    for line in [*text.removeprefix("\ufeff").splitlines(), ""]:
        if line.strip():
            block.append(line.strip())
        elif block:
            yield block
            block = []


def _atlas_page(lines: list[str]) -> Page:
    """The first line names the picture; then its own entries; then each region's name with entries of its own."""
    header: dict[str, list[str]] = {}
    regions: list[tuple[str, dict[str, list[str]]]] = []
    for line in lines[1:]:
        key, colon, values = line.partition(":")
        if not colon:
            regions.append((tidy(line) or str(len(regions) + 1), {}))
            continue
        entries = regions[-1][1] if regions else header
        entries[key.strip().lower()] = [value.strip() for value in values.split(",")]
    frames, faults = [], []
    for name, entries in regions[:MAX_FRAMES]:
        frame = _region(name, entries)
        if isinstance(frame, str):
            faults.append((name, f"description: {frame}"))
        else:
            frames.append(frame)
    if len(regions) > MAX_FRAMES:
        faults.append((regions[MAX_FRAMES][0], f"description: only its first {MAX_FRAMES} frames are used"))
    size = _two(header.get("size"))
    return Page(lines[0], size if size and all(size) else None, tuple(frames), tuple(faults))


def _region(name: str, entries: dict[str, list[str]]) -> Frame | str:
    """libGDX turns anticlockwise, states the upright width and height, and measures offsets from the lower left corner."""
    box = _four(entries.get("bounds")) or _two_and_two(entries.get("xy"), entries.get("size"))
    if box is None:
        return "a frame whose place is not four whole numbers"
    turn = entries.get("rotate", ["0"])[0].lower()
    degrees = {"true": "90", "false": "0"}.get(turn, turn)
    if degrees not in ("0", "90", "180", "270"):
        return "a frame turned by no quarter turns"
    offsets = _four(entries.get("offsets")) or _two_and_two(entries.get("offset"), entries.get("orig"))
    x, y, width, height = box
    source = (offsets[0], offsets[3] - height - offsets[1], offsets[2], offsets[3]) if offsets else None
    number = _whole_numbers(entries.get("index"))
    return Frame(
        f"{name} {number[0]}" if len(number) == 1 and number[0] >= 0 else name,
        (x, y, height, width) if degrees in ("90", "270") else box,
        -int(degrees) // 90 % 4,
        source,
    )


def _four(values: list[str] | None) -> Box | None:
    found = _whole_numbers(values)
    return (found[0], found[1], found[2], found[3]) if len(found) == 4 else None


def _two_and_two(first: list[str] | None, second: list[str] | None) -> Box | None:
    one, other = _two(first), _two(second)
    return (*one, *other) if one and other else None


def _two(values: list[str] | None) -> tuple[int, int] | None:
    found = _whole_numbers(values)
    return (found[0], found[1]) if len(found) == 2 else None


def _whole_numbers(values: list[str] | None) -> list[int]:
    """[] where one of them is no whole number."""
    try:
        return [int(value) for value in values or ()]
    except ValueError:
        return []


# --- grid numbers ---------------------------------------------------------------------------------------------------


def grid_boxes(grid: Any, height: int, width: int) -> list[Box]:
    """The cells that `{"tile_width": 16, "tile_height": 16, "margin": 0, "spacing": 1}` cuts out of a sheet, row by row.

    Raises Unusable with the reason. A cell that the sheet's edge would cut is left out.
    """
    if not isinstance(grid, dict) or set(grid) - {"tile_width", "tile_height", "margin", "spacing"}:
        raise Unusable("metadata: grid takes tile_width, tile_height, margin and spacing")
    tile, gaps = _pair(grid, "tile_width", "tile_height"), _pair({"margin": 0, "spacing": 0, **grid}, "margin", "spacing")
    if tile is None or gaps is None or min(tile) < 1 or min(gaps) < 0:
        raise Unusable("metadata: grid: its numbers are not whole, or negative")
    (tile_width, tile_height), (margin, spacing) = tile, gaps
    if (width // tile_width) * (height // tile_height) > MAX_FRAMES:
        raise Unusable(f"metadata: grid: more than {MAX_FRAMES} cells")
    tops = range(margin, height - tile_height + 1, tile_height + spacing)
    lefts = range(margin, width - tile_width + 1, tile_width + spacing)
    return [(left, top, tile_width, tile_height) for top in tops for left in lefts]
