"""Tally: what is counted while a corpus is made, and the files beside its pairs that say so."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from math import isqrt
from pathlib import Path

import numpy as np

from data_prep import dataset_card
from data_prep.contact_sheet import by_cell, pair_sheet
from data_prep.pairs import Measured, add_measured
from data_prep.palette import Palette
from data_prep.splits import SPLITS, UNSEEN_CELLS, Drop
from data_prep.whole_files import file_sha256

VERSIONS_OF = ("datasets", "numpy", "pillow", "pyarrow", "scikit-learn")
OPENCV = ("opencv-python-headless", "opencv-python")  # who has which one
SHEET_SPRITES, SHEET_TOTAL = 9, 96  # on the contact sheet: of each cell at least, and of few cells together
SHEET_SIDE = 64  # screen pixels that its sprites take

Near = Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]]


@dataclass
class Tally:
    """counts: split → zone/category → sprites; credits: (source, licence, attribution) → sprites; made_of: source →
    zone/category → sprites; samples: (zone, category) → (H, W, 4) pictures; files: their rows and SHA-256."""

    palette: Palette
    has_unseen_cells: bool = False
    counts: dict[str, Counter] = field(init=False)
    credits: Counter = field(default_factory=Counter)
    made_of: dict[str, Counter] = field(default_factory=dict)
    measured: dict[str, Measured] = field(default_factory=dict)
    samples: dict[tuple[str, str], list[np.ndarray]] = field(default_factory=dict)
    files: dict[str, dict] = field(default_factory=dict)

    def __post_init__(self):
        splits = (*SPLITS, UNSEEN_CELLS) if self.has_unseen_cells else SPLITS
        self.counts = {split: Counter() for split in splits}

    def add(self, cell: tuple[str, str], about: tuple[str, str, str], split: str) -> None:
        """A sprite of this zone and category, source, licence and attribution."""
        name = "/".join(word or "none" for word in cell)
        self.counts[split][name] += 1
        self.credits[about] += 1
        self.made_of.setdefault(about[0], Counter())[name] += 1

    def add_file(self, file: Path, rows: int, measured: Mapping[str, Measured]) -> None:
        self.files[f"data/{file.name}"] = {"rows": rows, "sha256": file_sha256(file)}
        add_measured(self.measured, measured)

    @property
    def totals(self) -> dict[str, int]:
        """split → sprites."""
        return {split: sum(cells.values()) for split, cells in self.counts.items()}

    def to_json(self) -> dict:
        """What the manifest says of the pairs."""
        return {
            "palette": {"name": self.palette.name, "hash": self.palette.hash, "colours": len(self.palette.colours)},
            "counts": {split: dict(sorted(cells.items())) for split, cells in self.counts.items()},
            "sources": {source: self._source(source) for source in sorted(self.made_of)},
            "files": self.files,
        }

    def _source(self, source: str) -> dict:
        found, uses = self.measured[source], np.array(self.measured[source].uses)
        return {
            "sprites": sum(self.made_of[source].values()),
            "pixels": found.pixels,
            "oklab_error": round(found.error / max(found.pixels, 1), 5),
            "entries_used": int(np.count_nonzero(uses)),
            "most_used": [self.palette.colours[entry - 1] for entry in np.argsort(-uses, kind="stable")[:3] if uses[entry]],
            "cells": dict(sorted(self.made_of[source].items())),
        }


def write_about(folder: Path, about: dict, tally: Tally, near: Near) -> None:
    """palette.json, README.md, contact_sheet.png, near_duplicates.png where there are any, and, last, manifest.json.

    about: what the manifest says beside the tally.
    """
    manifest = about | {"versions": _versions(about["recipe"])} | tally.to_json()
    scale = max(1, SHEET_SIDE // max(manifest["recipe"]["sizes"]))
    columns = isqrt(max(map(len, tally.samples.values())))
    by_cell(tally.samples, scale, max(3, columns)).save(folder / "contact_sheet.png")
    if any(near.values()):
        pair_sheet(near, SHEET_SIDE).save(folder / "near_duplicates.png")
    _write_json(folder / "palette.json", tally.palette.to_json())
    (folder / "README.md").write_text(dataset_card.render(manifest, tally.credits), encoding="utf-8")
    _write_json(folder / "manifest.json", manifest)


def write_drops(folder: Path, drops: Iterable[Drop]) -> None:
    """dropped.jsonl."""
    with (folder / "dropped.jsonl").open("w", encoding="utf-8") as file:
        for name, reason, more in drops:
            file.write(json.dumps({"id": name, "reason": reason, **more}, ensure_ascii=False) + "\n")


def _versions(recipe: dict) -> dict[str, str]:
    """Of what decides the rows. A recipe of merged folders has no sources."""
    found = {name: version(name) for name in VERSIONS_OF}
    if any(source["kind"] == "photographs" for source in recipe.get("sources", ())):
        for name in OPENCV:
            with suppress(PackageNotFoundError):
                found[name] = version(name)
    return found


def _write_json(path: Path, data: dict) -> None:
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
