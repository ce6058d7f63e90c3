"""Pairs of drawings of one prompt, one preferred to the other: the JSONL that preference training reads.

A line: prompt_id, caption, height, width, palette (its name), palette_hash, chosen and rejected (grid texts), source ('guide' or
'ratings'), and what its maker knows beside it, which is kept and not read. `eval.preference_pairs` writes it. No prompt of a
split that models are measured by may be in it: `HeldOut` knows those.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from data_prep import grid_text, pairs
from data_prep.errors import InputError
from data_prep.palette import Palette
from data_prep.splits import UNSEEN_CELLS
from data_prep.sprite import Sprite
from data_prep.whole_files import write_whole

SOURCES = GUIDE, RATINGS = "guide", "ratings"
MEASURED_BY = ("test", UNSEEN_CELLS)  # splits
ANEW = "make the file anew with python -m eval.preference_pairs"


@dataclass(frozen=True)
class Preference:
    """chosen, rejected: grid texts of `height`×`width` in one palette. beside: what else the line says."""

    prompt_id: str
    caption: str
    height: int
    width: int
    palette: str
    palette_hash: str
    chosen: str
    rejected: str
    source: str
    beside: Mapping = field(default_factory=dict)


_WRITTEN = tuple(f.name for f in fields(Preference) if f.name != "beside")


@dataclass(frozen=True)
class HeldOut:
    """The prompts that models are measured by: never trained on, by id or by caption."""

    ids: frozenset[str]
    captions: frozenset[str]

    @classmethod
    def of(cls, dataset: Path) -> "HeldOut":
        """Of a prepared dataset. An empty caption is no prompt of its own."""
        rows = [row for split in MEASURED_BY for row in pairs.read_rows(dataset, split, ("id", "caption_full"))]
        return cls(frozenset(prompt_id(row) for row in rows), frozenset(row["caption_full"] for row in rows) - {""})

    def holds(self, prompt: str, caption: str) -> bool:
        return prompt in self.ids or caption in self.captions


def prompt_id(row: Mapping) -> str:
    """Of a row of a prepared dataset, as in run folders."""
    return row["id"][:16]


def write_pairs(path: Path, found: Iterable[Preference]) -> Path:
    lines = ({name: getattr(one, name) for name in _WRITTEN} | dict(one.beside) for one in found)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_whole(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def read_pairs(path: Path, palette: Palette, sizes: Sequence[tuple[int, int]], held_out: HeldOut) -> list[Preference]:
    """The pairs of a file; sizes: (height, width) that may be. Raises InputError for a file without any, and one that names the
    line of the first that is no pair, has another palette or size, or a prompt that is held out."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"pairs {path}: cannot be read ({error}); make them with python -m eval.preference_pairs") from error
    found = [_read(line, f"pairs {path}: line {number}") for number, line in enumerate(lines, 1)]
    for number, one in enumerate(found, 1):
        complaint = _complaint(one, palette, sizes, held_out)
        if complaint:
            raise InputError(f"pairs {path}: line {number}: {complaint}")
    if not found:
        raise InputError(f"pairs {path}: holds no pair; take more prompts or a smaller margin in python -m eval.preference_pairs")
    return found


def _read(line: str, where: str) -> Preference:
    try:
        row = json.loads(line)
        one = Preference(**{name: row.pop(name) for name in _WRITTEN}, beside=row)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{where}: is no pair ({error!r:.60}); {ANEW}") from error
    types: dict[str, type] = {"height": int, "width": int}
    wrong = next((name for name in _WRITTEN if not isinstance(getattr(one, name), types.get(name, str))), None)
    if wrong:
        raise InputError(f"{where}: {wrong} is {getattr(one, wrong)!r:.40}; {ANEW}")
    return one


def _complaint(one: Preference, palette: Palette, sizes: Sequence[tuple[int, int]], held_out: HeldOut) -> str:
    """What makes a pair unfit, or ''."""
    if one.source not in SOURCES:
        return f"source is {one.source!r}; it takes {' or '.join(SOURCES)}"
    if one.palette_hash != palette.hash:
        return f"drawn in palette {one.palette!r}, not in the adapter's {palette.name!r}"
    if (one.height, one.width) not in sizes:
        return f"{one.height}x{one.width} is no size of the adapter"
    if held_out.holds(one.prompt_id, one.caption):
        return "a held-out prompt, by which models are measured; leave it out"
    for name in ("chosen", "rejected"):
        read = grid_text.read(getattr(one, name), {palette.name: palette}, (one.height, one.width))
        if not isinstance(read, Sprite):
            return f"{name}: {read}"
    return "chosen and rejected are the same drawing" if one.chosen == one.rejected else ""
