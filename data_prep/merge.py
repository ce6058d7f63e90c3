"""`pixelreef prepare --merge A B --out C`: prepared folders of one palette become one. Reads their rows, never their sources.

No group is in two splits afterwards: groups that share a silhouette, a caption or a name become one. Such a group stays in
`unseen_cells` where any of it is, else in the split that has most of it (of equals the one that is held out more), and its
sprites of other splits are dropped: moving them would change what a model was trained or tested on. Of two that are the same
drawing the first folder's stays.
"""

import hashlib
import json
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from data_prep import curate, grid_text, pairs
from data_prep.bounded import first_line, read_json
from data_prep.corpus_folder import is_finished, making
from data_prep.errors import InputError
from data_prep.pairs import Measured
from data_prep.palette import Palette, load
from data_prep.progress import Progress, say
from data_prep.recipe import PrepareRecipe
from data_prep.splits import SPLITS, UNSEEN_CELLS
from data_prep.sprite import Sprite
from data_prep.tally import SHEET_SPRITES, Tally, write_about, write_drops

READ = {"format", "recipe", "counts", "sources"}  # of a manifest
ORDER = (*SPLITS, UNSEEN_CELLS)  # the later, the more held out
GENERATED = "procedural"  # its captions group nothing: it brings its own splits


@dataclass(frozen=True, slots=True)
class _Row:
    """What is remembered of a row. number: among those of its folder's split."""

    folder: int
    split: str
    number: int
    name: str
    keys: tuple[str, ...]
    flip: bytes
    pixels: bytes


def merge(folders: Sequence[Path], out: Path, force: bool = False) -> Path:
    """Makes `out`, or reuses it where it was made of the same. Raises InputError for folders that do not fit together."""
    manifests = [_manifest(folder) for folder in folders]
    palette = _one_palette(folders)
    about = {"format": manifests[0]["format"], "recipe": _recipe(folders, manifests)}
    recipe_hash = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    if is_finished(out, recipe_hash, force):
        say(f"{out}: already made of these folders, reused")
        return out
    with making(out, recipe_hash) as (folder, _), Progress() as progress:
        rows = list(progress.over("read", _rows(folders, palette)))
        group_of, drops = _decided(rows)
        tally = Tally(palette, any(row.split == UNSEEN_CELLS for row in rows))
        _write(folder, folders, rows, group_of, drops, tally, progress)
        _blame(tally, manifests)
        write_drops(folder, ((*drop, {}) for drop in drops.values()))
        dropped = Counter(sorted(reason for _, reason in drops.values()))
        write_about(folder, about | {"recipe_hash": recipe_hash, "dropped": dropped}, tally, {})
    say(f"{sum(tally.totals.values()):,} pairs; dropped: {len(drops):,}")
    return out


def _manifest(folder: Path) -> dict:
    """Raises InputError for a folder without one, with one that no `prepare` wrote, or whose rows have other columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pairs.content_hash(folder)
    manifest, files = read_json(folder / "manifest.json"), [file for split in ORDER for file in pairs.shards(folder, split)]
    try:
        if not manifest.keys() >= READ or any(tuple(pq.read_schema(file).names) != pairs.COLUMNS for file in files):
            raise InputError(f"{folder}: was made by an older `pixelreef prepare`; prepare it again with --force")
        if not _is_whole(manifest):
            raise ValueError("a value of another type in its manifest.json")
    except InputError:
        raise
    except (OSError, ValueError, TypeError, LookupError, AttributeError, pa.ArrowException) as error:
        raise InputError(f"{folder}: damaged ({first_line(error)[:80]}); prepare it again with --force") from error
    return manifest


def _is_whole(manifest: dict) -> bool:
    """Whether what is read of it has the types that `prepare` gives it; raises what Python does where parts are missing."""
    recipe, sources = manifest["recipe"], manifest["sources"].values()
    numbers = [recipe["empty_caption_share"], *manifest["counts"]["train"].values(), *recipe["tasks"].values()]
    numbers += [one[key] for one in sources for key in ("oklab_error", "pixels")]
    return (
        all(type(size) is int for size in recipe["sizes"])
        and all(isinstance(word, str) for word in (recipe["name"], *recipe["tasks"], *recipe.get("leave_out_cells", [])))
        and all(type(number) in (int, float) and 0 <= number < 2**53 for number in numbers)
        and (not recipe["tasks"] or sum(recipe["tasks"].values()) > 0)
    )


def _one_palette(folders: Sequence[Path]) -> Palette:
    palettes = [load(folder / "palette.json") for folder in folders]
    first = palettes[0]
    for folder, palette in zip(folders, palettes, strict=True):
        if (palette.name, palette.hash) != (first.name, first.hash):
            raise InputError(
                f"{folder}: is in palette {palette.name!r}, {folders[0]} in {first.name!r}; prepare both in one, as reef64"
            )
    return first


def _recipe(folders: Sequence[Path], manifests: Sequence[dict]) -> dict:
    """What a card says of the whole; shares are means over the training sprites."""
    recipes = [manifest["recipe"] for manifest in manifests]
    sizes = [max(1, sum(manifest["counts"]["train"].values())) for manifest in manifests]
    tasks: dict[str, float] = defaultdict(float)
    for recipe, size in zip(recipes, sizes, strict=True):
        for task, weight in recipe["tasks"].items():
            tasks[task] += weight / sum(recipe["tasks"].values()) * size / sum(sizes)
    emptied = sum(recipe["empty_caption_share"] * size for recipe, size in zip(recipes, sizes, strict=True)) / sum(sizes)
    unseen = sorted({cell for recipe in recipes for cell in recipe.get("leave_out_cells", [])})
    return {
        "name": " + ".join(recipe["name"] for recipe in recipes),
        "merged": [pairs.content_hash(folder) for folder in folders],
        "sizes": sorted({size for recipe in recipes for size in recipe["sizes"]}),
        "empty_caption_share": round(emptied, 6),
        "tasks": {task: round(share, 6) for task, share in sorted(tasks.items())},
        **({"leave_out_cells": unseen} if unseen else {}),
    }


def _rows(folders: Sequence[Path], palette: Palette) -> Iterator[_Row]:
    columns = ("id", "completion", "caption_full", "source", "name", "group")
    for place, folder in enumerate(folders):
        for split in ORDER:
            for number, row in enumerate(pairs.read_rows(folder, split, columns)):
                sprite = _sprite(row, palette, folder)
                label = f"caption {row['caption_full']}" if row["caption_full"] and row["source"] != GENERATED else ""
                keys = (curate.silhouette_key(sprite.rgba()), f"group {row['group']}", label)
                flip = bytes.fromhex(curate.flip_key(sprite.grid))
                pixels = hashlib.sha256(sprite.grid.tobytes()).digest()[:16]
                yield _Row(place, split, number, row["name"], keys, flip, pixels)


def _sprite(row: dict, palette: Palette, folder: Path) -> Sprite:
    sprite = grid_text.read(row["completion"][0]["content"], {palette.name: palette})
    if not isinstance(sprite, Sprite):
        raise InputError(f"{folder}: row {row['id']}: {sprite}; prepare it again with --force")
    return sprite


def _decided(rows: Sequence[_Row]) -> tuple[list[str], dict[int, tuple[str, str]]]:
    """Each row's group, and place of a row that goes → (its name, why)."""
    group_of = curate.groups(row.keys for row in rows)
    members: dict[str, Counter] = {}
    for group, row in zip(group_of, rows, strict=True):
        members.setdefault(group, Counter())[row.split] += 1
    split_of = {group: _winner(splits) for group, splits in members.items()}
    seen: dict[bytes, bytes] = {}
    drops: dict[int, tuple[str, str]] = {}
    for place, (group, row) in enumerate(zip(group_of, rows, strict=True)):
        if row.split != split_of[group]:
            drops[place] = (row.name, "its silhouette or label is in another split")
        elif row.flip in seen:
            same = seen[row.flip] == row.pixels
            drops[place] = (row.name, "exact duplicate" if same else "near duplicate: flipped or moved")
        else:
            seen[row.flip] = row.pixels
    return group_of, drops


def _winner(splits: Counter) -> str:
    """The split that a group stays in."""
    return UNSEEN_CELLS if UNSEEN_CELLS in splits else max(splits, key=lambda split: (splits[split], ORDER.index(split)))


def _write(folder: Path, folders, rows: Sequence[_Row], group_of, drops: dict, tally: Tally, progress: Progress) -> None:
    """The parquet files; what a killed run finished is left as it is."""
    kept = {(row.folder, row.split, row.number): group_of[place] for place, row in enumerate(rows) if place not in drops}
    progress.at("written")
    for split in ORDER:
        found = _kept_rows(folders, split, kept, tally, progress)
        shards = -(-sum(key[1] == split for key in kept) // PrepareRecipe.shard_rows)
        for number in range(shards):
            file = folder / "data" / f"{split}-{number:05}-of-{shards:05}.parquet"
            some = islice(found, PrepareRecipe.shard_rows)
            if file.exists():
                count = len(deque(some))
            else:
                draft = file.with_suffix(".draft")
                count = pairs.write_parquet(draft, some)
                draft.replace(file)
            tally.add_file(file, count, {})


def _kept_rows(folders: Sequence[Path], split: str, kept: dict, tally: Tally, progress: Progress) -> Iterator[dict]:
    """Rows of a split with their new groups; each is counted."""
    for place, folder in enumerate(folders):
        for number, row in enumerate(pairs.read_rows(folder, split)):
            group = kept.get((place, split, number))
            if group is not None:
                _count(row, split, tally, folder)
                progress.count(1)
                yield row | {"group": group.removeprefix("group ")}


def _count(row: dict, split: str, tally: Tally, folder: Path) -> None:
    sprite = _sprite(row, tally.palette, folder)
    cell = (row["zone"], row["category"])
    tally.add(cell, (row["source"], row["licence"], row["attribution"]), split)
    uses = np.bincount(sprite.grid.ravel(), minlength=len(tally.palette))
    uses[0] = 0
    pairs.add_measured(tally.measured, {row["source"]: Measured(1, int(uses.sum()), 0.0, uses.tolist())})
    samples = tally.samples.setdefault(cell, [])
    if len(samples) < SHEET_SPRITES:
        samples.append(sprite.rgba())


def _blame(tally: Tally, manifests: Sequence[dict]) -> None:
    """The palette's error of each source, as the folders measured it: of their pixels, for what is left of them."""
    for source, found in tally.measured.items():
        told = [manifest["sources"][source] for manifest in manifests if source in manifest["sources"]]
        total = sum(one["oklab_error"] * one["pixels"] for one in told)
        found.error = total / max(1, sum(one["pixels"] for one in told)) * found.pixels
