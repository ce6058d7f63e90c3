"""Measures how many sprites come back, pixel for pixel, out of sprite sheets that were made of known ones.

    python -m data_prep.sources.sheets_recovery PACK… [--sheets 200] [--seed 1] [--keep FOLDER]

Reads packs (folders or zips; without one, procedural sprites), makes sheets with random cells, margins, spacing and keys, cuts
them through `sheets.pictures` without telling it anything, and prints a table by kind and every sprite that was missed, with
its reason. A sprite is recovered when its trimmed RGBA content equals a cut's. Sheets with a description are counted apart.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from data_prep.curate import trim
from data_prep.errors import exit_code
from data_prep.sources import packs, sheets
from data_prep.sources.sheet_background import without_background
from data_prep.sources.sheet_cutting import cut
from data_prep.sources.sheet_descriptions import Box
from data_prep.sources.sheet_making import (
    GROUNDS,
    LAYOUTS,
    Named,
    Placed,
    atlas_description,
    json_description,
    make_described,
    make_sheet,
)

FORMATS = ("Aseprite array", "TexturePacker hash, rotated", "libGDX, old format, rotated", "libGDX, new format, rotated")
MIN_SIDE, MAX_SIDE = 4, 64  # pixels: a sprite's content and its frame
MIN_GROUP = 12  # sprites: frames of a rarer size fill no sheet


@dataclass
class Recovery:
    """What was made and what came back. kinds: kind → sheets, sprites, recovered; misses: (sheet, sprite, reason)."""

    kinds: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0, 0]))
    misses: list[tuple[str, str, str]] = field(default_factory=list)
    left_out: Counter = field(default_factory=Counter)

    def table(self) -> str:
        """Markdown: the kinds that had to be inferred, their sum, then those with a description."""
        inferred = [kind for kind in self.kinds if kind not in FORMATS]
        total = [sum(self.kinds[kind][part] for kind in inferred) for part in range(3)]
        rows = [*((kind, self.kinds[kind]) for kind in inferred), ("**all without a description**", total)]
        rows += [(f"{kind}, touching", self.kinds[kind]) for kind in FORMATS if kind in self.kinds]
        lines = ["| kind | sheets | sprites | recovered | share |", "|---|---|---|---|---|"]
        lines += [f"| {kind} | {n:,} | {made:,} | {back:,} | {back / max(1, made):.2%} |" for kind, (n, made, back) in rows]
        return "\n".join(lines)

    def share(self) -> float:
        """Recovered of all sprites on sheets without a description."""
        counts = [count for kind, count in self.kinds.items() if kind not in FORMATS]
        return sum(count[2] for count in counts) / max(1, sum(count[1] for count in counts))


def measure(pool: Mapping[int, Sequence[Named]], count: int, seed: int, folder: Path) -> Recovery:
    """`count` sheets without a description, kinds in turn, and a fifth as many with one; they are written to the folder."""
    found = Recovery()
    kinds = [(layout, ground) for layout in LAYOUTS for ground in GROUNDS]
    for number in range(count):
        layout, ground = kinds[number % len(kinds)]
        sheet = make_sheet(pool, layout, ground, np.random.default_rng((seed, number)))
        name = f"{number:03}.png"
        _write(folder / name, sheet.rgba)
        found.left_out += sheet.left_out
        _count(found, f"{layout}, {ground}", name, sheet.placed, folder, sheet.told)
    for number in range(count // 5):
        _described(found, pool, number, np.random.default_rng((seed, count + number)), folder)
    return found


def _described(
    found: Recovery, pool: Mapping[int, Sequence[Named]], number: int, dice: np.random.Generator, folder: Path
) -> None:
    """One sheet with a description; TexturePacker turns clockwise, libGDX anticlockwise, Aseprite not at all."""
    which = number % len(FORMATS)
    rgba, frames, placed = make_described(pool, (0, 3, 1, 1)[which], dice)
    name = f"described_{number:03}"
    _write(folder / f"{name}.png", rgba)
    if which < 2:
        text = json.dumps(json_description(f"{name}.png", rgba, frames, as_array=which == 0))
    else:
        text = atlas_description(f"{name}.png", rgba, frames, new=which == 3)
    (folder / f"{name}{'.json' if which < 2 else '.atlas'}").write_text(text, "utf-8")
    _count(found, FORMATS[which], f"{name}.png", placed, folder, "described")


def _count(found: Recovery, kind: str, name: str, placed: list[Placed], folder: Path, told: str) -> None:
    dropped: list[tuple[str, str]] = []
    cuts = list(sheets.pictures(folder / name, dropped=lambda place, reason: dropped.append((place, reason))))
    back = Counter(_content(picture.rgba) for picture in cuts)
    missed: list[Placed] = []
    for sprite, rgba, box in placed:
        content = _content(rgba)
        if back[content]:
            back[content] -= 1
        else:
            missed.append((sprite, rgba, box))
    counts = found.kinds[kind]
    for part, value in enumerate((1, len(placed), len(placed) - len(missed))):
        counts[part] += value
    if missed:
        reasons = _reasons(folder / name, missed, placed, dropped)
        found.misses += [
            (f"{name} ({kind}: {told})", sprite, reason) for (sprite, _, _), reason in zip(missed, reasons, strict=True)
        ]


def _content(rgba: np.ndarray) -> tuple[tuple[int, ...], bytes]:
    content = trim(rgba)
    return content.shape, content.tobytes()


def _reasons(path: Path, missed: list[Placed], placed: list[Placed], dropped: list[tuple[str, str]]) -> Iterator[str]:
    """Why each was missed, from the boxes that were cut around where it lies."""
    clear, ground = without_background(_read(path))
    cuts = cut(clear)
    for _, rgba, box in missed:
        meeting = [other for other in cuts.boxes if _meet(other, box)]
        reason = next((reason for place, reason in dropped if _at(place, cuts.boxes, meeting)), "")
        if not ground:
            yield "no background found"
        elif len(meeting) > 1:
            yield f"cut apart by the {cuts.kind}"
        elif not meeting:
            yield "not found"
        elif sum(_meet(meeting[0], other) for _, _, other in placed) > 1:
            yield f"joined with a neighbour by the {cuts.kind}"
        elif reason:
            yield reason
        else:
            x, y, width, height = box
            changed = int((clear[y : y + height, x : x + width] != rgba).any(-1).sum())
            yield (
                f"{changed} of its pixels taken for background, or background for it"
                if changed
                else f"cut otherwise: {meeting[0]}"
            )


def _at(place: str, boxes: Sequence[Box], meeting: Sequence[Box]) -> bool:
    number = place.rpartition("#")[2]
    return number.isdigit() and 0 < int(number) <= len(boxes) and boxes[int(number) - 1] in meeting


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


def _write(path: Path, rgba: np.ndarray) -> None:
    from PIL import Image

    opaque = (rgba[..., 3] == 255).all()
    Image.fromarray(np.ascontiguousarray(rgba[..., :3] if opaque else rgba)).save(path)


def _read(path: Path) -> np.ndarray:
    return packs.decode(path.read_bytes(), sheets.MAX_PIXELS)[0]


# --- sprites to put on sheets ---------------------------------------------------------------------------------------


def pool_of(paths: Sequence[Path], seed: int) -> dict[int, list[Named]]:
    """The packs' sprites, or 240 procedural ones, by the side of the square frame that holds them."""
    found = (sprite for path in paths for sprite in _packed(path, seed)) if paths else _procedural(seed)
    pool: dict[int, list[Named]] = defaultdict(list)
    for name, rgba in found:
        side, content = max(rgba.shape[:2]), trim(rgba)
        if side <= MAX_SIDE and min(content.shape[:2]) >= MIN_SIDE:
            frame = np.zeros((side, side, 4), np.uint8)
            top, left = (side - rgba.shape[0]) // 2, (side - rgba.shape[1]) // 2
            frame[top : top + rgba.shape[0], left : left + rgba.shape[1]] = rgba
            pool[side].append((name, frame))
    return {side: sprites for side, sprites in sorted(pool.items()) if len(sprites) >= MIN_GROUP}


def _packed(path: Path, seed: int) -> Iterator[Named]:
    return ((picture.name, picture.rgba) for picture in packs.pictures(path, seed))


def _procedural(seed: int) -> Iterator[Named]:
    from data_prep.sources import procedural

    for side in (16, 24, 32):
        for number, sprite in enumerate(islice(procedural.sprites(seed, side), 80)):
            yield f"reef {side} {number}", sprite.rgba()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "sheets_recovery",
        description="Measures how many sprites come back, pixel for pixel, out of sprite sheets that were made of known ones.",
    )
    parser.add_argument("packs", nargs="*", type=Path, metavar="PACK", help="folder or zip; without one, procedural sprites")
    parser.add_argument("--sheets", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the sheets there, to be looked at")
    given = parser.parse_args(arguments)
    return exit_code("sheets_recovery", lambda: _report(given))


def _report(given: argparse.Namespace) -> str:
    pool = pool_of(given.packs, given.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = measure(pool, given.sheets, given.seed, folder)
    left_out = "".join(f"\nleft out of the sheets: {count:,}: {reason}" for reason, count in found.left_out.items())
    missed = "".join(f"\n  {sheet}: {sprite}: {reason}" for sheet, sprite, reason in found.misses)
    return f"{found.table()}\n{left_out}\n\nmissed: {len(found.misses):,}{missed}"


if __name__ == "__main__":
    sys.exit(main())
