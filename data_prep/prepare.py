"""Entry: a recipe → a folder of prompt–completion pairs that `datasets.load_dataset(folder)` reads without a network.

    python -m data_prep.prepare --config data_prep/recipes/reef16.yaml --out datasets/reef16 [--set key=value …] [--force]

Reads a YAML recipe and its sources. Writes data/{train,validation,test}-00000-of-00001.parquet (and unseen_cells, where the
recipe leaves cells out), README.md (dataset card), manifest.json, palette.json, dropped.jsonl and contact_sheet.png. Same
recipe, same sources, same versions: same bytes. The folder appears whole or not at all. Memory: 160 MB and under 1 KB a
sprite. Some 500 to 900 sprites a second on a core.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from data_prep import curate, dataset_card, grid_text, pairs
from data_prep import spool as spooling
from data_prep.captions import CELLS
from data_prep.contact_sheet import by_cell
from data_prep.curate import Picture
from data_prep.errors import InputError, exit_code
from data_prep.palette import PALETTE_FOLDER, Palette, corpus_palette, load, named, quantise
from data_prep.progress import Progress, say
from data_prep.recipe import PrepareRecipe
from data_prep.sprite import Sprite

FORMAT = 1  # counts up when the same recipe would give other rows
TRAIN_SHARE, VALIDATION_SHARE = 0.90, 0.05  # of the groups; the rest is test
LARGE_GROUP = 0.02  # of all sprites: such a group would be most of a test set, so it goes to train
BATCH = 512  # sprites a process is given at once
SHEET_SPRITES = 9  # per cell on the contact sheet
VERSIONS_OF = ("datasets", "numpy", "pillow", "pyarrow", "scikit-learn")


@dataclass
class _Work:
    """What grows while one folder is made. folder: the unfinished one; keys and given_splits have one entry a sprite."""

    recipe: PrepareRecipe
    folder: Path
    progress: Progress
    dropped: Counter = field(default_factory=Counter)  # reason → sprites
    colours: Counter = field(default_factory=Counter)  # 0xRRGGBB → opaque pixels
    keys: list[tuple[str, str]] = field(default_factory=list)  # (silhouette, tidied label or "") of every sprite read
    given_splits: list[str] = field(default_factory=list)  # beside `keys`: unseen_cells, its source's own split, or ''
    counts: dict[str, Counter] = field(init=False)  # split → zone/category → sprites
    credits: Counter = field(default_factory=Counter)  # (source, licence, attribution) → sprites
    samples: dict[tuple[str, str], list[np.ndarray]] = field(default_factory=dict)

    def __post_init__(self):
        unseen = [pairs.UNSEEN_CELLS] if self.recipe.leave_out_cells else []
        self.counts = {split: Counter() for split in (*pairs.SPLITS, *unseen)}

    def drop(self, name: str, reason: str, **more: str) -> None:
        self.dropped[reason] += 1
        line = json.dumps({"id": curate.tidy(name), "reason": reason, **more}, ensure_ascii=False)
        with (self.folder / "dropped.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def prepare(recipe: PrepareRecipe, out: Path, force: bool = False) -> Path:
    """Makes the folder `out`, or reuses a finished one of the same recipe; returns `out`.

    Raises InputError for a missing source, an unusable palette, a folder of another recipe (unless `force`), or no sprite left.
    """
    out = Path(out)
    described = _described(recipe)
    recipe_hash = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
    if _is_finished(out, recipe_hash, force):
        say(f"{out}: already made from this recipe, reused")
        return out
    partial = out.absolute().parent / f".{out.absolute().name}.{os.getpid()}.partial"
    try:
        (partial / "data").mkdir(parents=True)
        with Progress() as progress:
            _build(_Work(recipe, partial, progress), described, recipe_hash)
        _swap(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return out


def _build(work: _Work, described: dict, recipe_hash: str) -> None:
    """The stages: read and curate, choose the palette, group, write; sprites wait in a spool file between them."""
    spool = work.folder / "spool"
    (work.folder / "dropped.jsonl").touch()
    spooling.write(spool, work.progress.over("read", _curated(work)))
    if not work.keys:
        raise InputError(f"recipe {work.recipe.name!r}: no sprite left; {_summary(work.dropped) or 'its sources are empty'}")
    palette = _palette(work)
    rows = _rows(work, palette, spool)
    files = pairs.write_parquet(work.folder / "data", work.progress.over("written", rows))
    spool.unlink()
    by_cell(work.samples, scale=max(1, 64 // max(work.recipe.sizes))).save(work.folder / "contact_sheet.png")
    manifest = _manifest(work, palette, described, recipe_hash, files)
    _write_json(work.folder / "palette.json", palette.to_json())
    (work.folder / "README.md").write_text(dataset_card.render(manifest, work.credits), encoding="utf-8")
    _write_json(work.folder / "manifest.json", manifest)
    totals = {split: sum(cells.values()) for split, cells in work.counts.items()}
    unseen = f", {totals[pairs.UNSEEN_CELLS]:,} of them in {pairs.UNSEEN_CELLS}" if pairs.UNSEEN_CELLS in totals else ""
    say(f"{sum(totals.values()):,} pairs{unseen}; dropped: {_summary(work.dropped) or 'none'}")
    empty = [split for split, cells in work.counts.items() if not cells]
    if empty:
        say(f"no sprite fell to {' and '.join(empty)}: too few groups; more sprites or another seed")


# --- read -----------------------------------------------------------------------------------------------------------


def _curated(work: _Work) -> Iterator[Picture]:
    """Pictures of all sources that passed curation, at most `limit` of each source; their keys and colours are noted."""
    for source in work.recipe.sources:
        for picture in islice(_pictures(source, work), work.recipe.limit):
            label = f"caption {picture.caption}" if picture.caption and not picture.split else ""
            work.keys.append((curate.silhouette_key(picture.rgba), label))
            if f"{picture.tags.get('zone', '')}/{picture.tags.get('category', '')}" in work.recipe.leave_out_cells:
                picture = replace(picture, split=pairs.UNSEEN_CELLS)  # over its source's own split
            work.given_splits.append(picture.split)
            if work.recipe.palette == "corpus":
                work.colours.update(_colour_counts(picture.rgba))
            yield picture


def _pictures(source: dict, work: _Work) -> Iterator[Picture]:
    pictures = _procedural(source, work.recipe) if source["kind"] == "procedural" else _packed(source, work)
    for picture in pictures:
        cleaned = curate.clean(picture, work.recipe.sizes, work.recipe.hold_out_bench_subjects)
        if isinstance(cleaned, str):
            work.drop(picture.name, cleaned)
        else:
            yield cleaned


def _packed(source: dict, work: _Work) -> Iterator[Picture]:
    from data_prep.sources import packs

    chosen = {key: source[key] for key in ("licences", "exclude_sources") if key in source}
    return packs.pictures(source["path"], work.recipe.seed, dropped=work.drop, **chosen)


def _procedural(source: dict, recipe: PrepareRecipe) -> Iterator[Picture]:
    """`count` sprites, shared out evenly over the sizes; the generator's own split goes with each."""
    seed, sizes = source.get("seed", 1), recipe.sizes
    for turn, size in enumerate(sizes):
        share = source["count"] // len(sizes) + (turn < source["count"] % len(sizes))
        yield from _mapped(partial(_procedural_picture, seed, size), range(share), recipe.num_proc)


def _procedural_picture(seed: int, size: int, index: int) -> Picture:
    from data_prep.sources import procedural

    sprite = procedural.sprite(seed, index, size)
    return Picture(
        sprite.rgba(),
        f"procedural/{seed}/{size}/{index}",
        caption=sprite.caption,
        tags=dict(sprite.tags),  # a mappingproxy does not pickle
        source=sprite.source,
        licence=sprite.licence,
        attribution=sprite.attribution,
        split=procedural.split_of(sprite.tags),
        placed=True,
    )


def _mapped(function: Callable, items: Iterable, num_proc: int) -> Iterator:
    """`map` in order, by `num_proc` processes; a batch at a time, because a pool would take in everything at once."""
    if num_proc < 2:
        yield from map(function, items)
        return
    items = iter(items)
    with get_context("spawn").Pool(num_proc) as pool:  # fork would copy the progress thread's locks
        while batch := list(islice(items, BATCH * num_proc)):
            yield from pool.map(function, batch, chunksize=BATCH // 4)


# --- palette, groups, rows ------------------------------------------------------------------------------------------


def _colour_counts(rgba: np.ndarray) -> dict[int, int]:
    """(H, W, 4) → 0xRRGGBB → opaque pixels."""
    rgb = rgba[rgba[..., 3] > 0][:, :3].astype(np.uint32)
    colours, counts = np.unique(rgb @ np.array([65536, 256, 1], np.uint32), return_counts=True)
    return dict(zip(colours.tolist(), counts.tolist(), strict=True))


def _palette(work: _Work) -> Palette:
    recipe = work.recipe
    if recipe.palette == "corpus":
        work.progress.at(f"choosing a palette for {len(work.colours):,} colours")
        palette = corpus_palette({f"{colour:06x}": n for colour, n in work.colours.items()}, recipe.name, recipe.seed)
    else:
        palette = load(recipe.palette)
    _check_name(palette)
    return palette


def _check_name(palette: Palette) -> None:
    """A completion in this palette must read back as one: no shipped palette's name, no odd letters."""
    shipped = {path.stem for path in PALETTE_FOLDER.glob("*.json")}
    blank = grid_text.encode(np.zeros((4, 4), np.uint8), palette)
    read = grid_text.read(blank, {palette.name: palette})
    clash = palette.name in shipped and named(palette.name).hash != palette.hash
    if clash or palette.name == grid_text.FREE or not isinstance(read, Sprite):
        raise InputError(f"palette {palette.name!r}: no name for a palette; take a-z, 0-9, - and _, not a shipped one's name")


def _splits(group_of: list[str], given: list[str], seed: int) -> dict[str, str]:
    """group → split for every group that has a sprite without a split of its own: hashed to 90/5/5, large ones to train.

    A group of sprites that all bring their split (the procedural ones) is absent: the first one decides. Not so where one of
    them is of a cell left out: the group is that split's, whatever else is in it.
    """
    sizes = Counter(group_of)
    largest = max(LARGE_GROUP * len(group_of), 20)
    unseen = {group for group, split in zip(group_of, given, strict=True) if split == pairs.UNSEEN_CELLS}
    free = sorted({group for group, split in zip(group_of, given, strict=True) if not split} - unseen)
    place = {group: 0.0 if sizes[group] > largest else pairs.share(f"{seed}:{group}") for group in free}
    split_of = {group: _split_at(place[group]) for group in free}
    small = sorted(free, key=place.get)[1:]  # at least one group trains
    for missing in sorted({"test", "validation"} - set(split_of.values())):
        movable = [group for group in small if split_of[group] == "train" and place[group]]
        split_of |= {group: missing for group in movable[-1:]}  # a small corpus: the nearest to the border
    return split_of | dict.fromkeys(unseen, pairs.UNSEEN_CELLS)


def _split_at(place: float) -> str:
    """A place in [0, 1) → its split."""
    return "train" if place < TRAIN_SHARE else "validation" if place < TRAIN_SHARE + VALIDATION_SHARE else "test"


def _draw(line: str, palette: Palette) -> tuple[str, str, Sprite, str]:
    """A packed picture → its name, the hash of its grid under flips and shifts, the sprite, and its source's split or ''."""
    picture = spooling.picture_of(line)
    grid = quantise(picture.rgba, palette)
    words = (picture.caption, picture.tags, picture.source, picture.licence, picture.attribution)
    return picture.name, curate.flip_key(grid), Sprite(grid, palette, *words), picture.split


def _rows(work: _Work, palette: Palette, spool: Path) -> Iterator[tuple[str, dict]]:
    """(split, row) of every sprite that is no duplicate. No group is in two splits: a sprite that would be is dropped."""
    group_of = curate.groups(work.keys)
    split_of = _splits(group_of, work.given_splits, work.recipe.seed)
    seen: dict[str, Sprite] = {}  # flip key → id and pixels, by hash
    drawn = _mapped(partial(_draw, palette=palette), spooling.read(spool), work.recipe.num_proc)
    for group, (name, key, sprite, given) in zip(group_of, drawn, strict=True):
        split = given or split_of[group]
        pixels = hashlib.sha256(sprite.grid.tobytes()).digest()
        if np.count_nonzero(np.bincount(sprite.grid.ravel())[1:]) < curate.MIN_COLOURS:
            work.drop(name, "a single colour is left in this palette")
        elif key in seen:
            kind = "exact duplicate" if seen[key][1] == pixels else "near duplicate: flipped or moved"
            work.drop(name, kind, of=seen[key][0])
        elif given != pairs.UNSEEN_CELLS == split_of.get(group):
            work.drop(name, "its silhouette or label is in a cell left out")
        elif split_of.setdefault(group, split) != split:
            work.drop(name, "its silhouette is in another split", split=split)
        else:
            seen[key] = (sprite.id, pixels)
            _note(work, sprite, split)
            yield split, pairs.row(sprite, group, work.recipe.empty_caption_share if split == "train" else 0)


def _note(work: _Work, sprite: Sprite, split: str) -> None:
    """Counts, credits and the contact sheet's samples."""
    cell = (sprite.tags.get("zone", ""), sprite.tags.get("category", ""))
    work.counts[split]["/".join(name or "none" for name in cell)] += 1
    work.credits[sprite.source, sprite.licence, sprite.attribution] += 1
    samples = work.samples.setdefault(cell, [])
    if len(samples) < SHEET_SPRITES:
        samples.append(sprite.rgba())


# --- write ----------------------------------------------------------------------------------------------------------


def _described(recipe: PrepareRecipe) -> dict:
    """What decides the rows: the recipe with each file's content in place of its path, and this code's format."""
    from data_prep.sources import packs

    recipe_json = recipe.to_json()
    recipe_json.pop("num_proc")
    for source in recipe_json["sources"]:
        if source["kind"] == "packs":
            source |= {"path": Path(source["path"]).name, "sha256": packs.fingerprint(source["path"])}
        else:
            source |= {"first_sprites": _generator_hash(source.get("seed", 1), recipe.sizes)}
    if recipe.palette != "corpus":
        palette = load(recipe.palette)
        _check_name(palette)
        recipe_json["palette"] = {"name": palette.name, "hash": palette.hash}
    return {"format": FORMAT, "recipe": recipe_json}


def _generator_hash(seed: int, sizes: tuple[int, ...]) -> str:
    """SHA-256 over one sprite of each cell and size: another generator's corpus is another corpus."""
    from data_prep.sources import procedural

    sprites = [procedural.sprite(seed, index, size) for size in sizes for index in range(len(CELLS))]
    return hashlib.sha256("".join(sprite.id + procedural.split_of(sprite.tags) for sprite in sprites).encode()).hexdigest()


def _manifest(work: _Work, palette: Palette, described: dict, recipe_hash: str, files: dict) -> dict:
    return described | {
        "recipe_hash": recipe_hash,
        "palette": {"name": palette.name, "hash": palette.hash, "colours": len(palette.colours)},
        "counts": {split: dict(sorted(cells.items())) for split, cells in work.counts.items()},
        "dropped": dict(sorted(work.dropped.items())),
        "versions": {name: version(name) for name in VERSIONS_OF},
        "files": files,
    }


def _write_json(path: Path, data: dict) -> None:
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _summary(dropped: Counter) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in dropped.most_common())


# --- the folder -----------------------------------------------------------------------------------------------------


def _is_finished(out: Path, recipe_hash: str, force: bool) -> bool:
    """Whether `out` holds this recipe's pairs, whole. Raises InputError where it holds something else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        manifest = json.loads((out / "manifest.json").read_text("utf-8"))
        found, files = manifest["recipe_hash"], manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:  # never delete what prepare did not write
        raise InputError(f"{out}: holds other files than a prepared corpus; choose another --out") from error
    if force:
        return False
    if found != recipe_hash:
        raise InputError(f"{out}: made from another recipe or other sources; choose another --out, or --force to replace it")
    whole = all((out / name).is_file() and pairs.file_hash(out / name) == file["sha256"] for name, file in files.items())
    if not whole:
        raise InputError(f"{out}: its parquet files are not the ones that were written; --force makes them again")
    return True


def _swap(partial: Path, out: Path) -> None:
    """The finished folder takes its name in one step; an older one is first set aside, then removed."""
    old = partial.with_suffix(".old")
    if out.exists():
        os.replace(out, old)
    os.replace(partial, out)
    shutil.rmtree(old, ignore_errors=True)


def main(argv: list[str] | None = None) -> int:
    """`pixelreef prepare`: 0 when the folder is there, 2 when a person has to mend something."""
    parser = argparse.ArgumentParser("pixelreef prepare", description="Makes prompt–completion pairs from a recipe.")
    parser.add_argument("--config", required=True, help="recipe, a YAML file such as data_prep/recipes/reef16.yaml")
    parser.add_argument("--out", required=True, type=Path, help="folder to make, such as datasets/reef16")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="overrides, as sources.0.count=600")
    parser.add_argument("--force", action="store_true", help="replace a folder that another recipe made")
    options = parser.parse_args(argv)
    recipe = partial(PrepareRecipe.from_yaml, options.config, options.set)
    return exit_code("pixelreef prepare", lambda: prepare(recipe(), options.out, options.force))


if __name__ == "__main__":
    sys.exit(main())
