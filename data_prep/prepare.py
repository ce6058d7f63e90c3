"""Entry: a recipe → a folder of prompt–completion pairs that `datasets.load_dataset(folder)` reads without a network.

    python -m data_prep.prepare --config data_prep/recipes/reef16.yaml --out datasets/reef16 [--set key=value …] [--force]
    python -m data_prep.prepare --config … --focus runs/x --out datasets/reef16_focused
    python -m data_prep.prepare --merge datasets/reef16 datasets/mine --out datasets/both

Reads a YAML recipe and its sources. Writes data/{train,validation,test}-MMMMM-of-NNNNN.parquet (and unseen_cells, where the
recipe leaves cells out), README.md (dataset card), manifest.json, palette.json, dropped.jsonl, contact_sheet.png and
near_duplicates.png. Same recipe, same sources, same versions: same bytes, on any number of processes. The folder appears whole or
not at all; a run that was killed goes on where it was, and writes no finished file again.

The stages: `reading` (sources → curated pictures on disk), `splits` (their keys → which sprite goes where), `pairs` (sprites →
rows), `dataset_card`. Some 900 sprites a second on a core. Memory: 160 MB, and 1.1 KB a sprite for its keys.
"""

import argparse
import hashlib
import json
import sys
from collections import Counter
from functools import partial
from math import isqrt
from pathlib import Path

import numpy as np

from data_prep import curate, grid_text, pairs, reading, sources
from data_prep.choice import Choice, curation_hash, label_list
from data_prep.corpus_folder import is_finished, making
from data_prep.errors import InputError, exit_code
from data_prep.focus import Focus, in_words
from data_prep.palette import PALETTE_FOLDER, Palette, corpus_palette, load, named
from data_prep.progress import Progress, say
from data_prep.recipe import PrepareRecipe
from data_prep.splits import UNSEEN_CELLS, Drop, Key, Plan, keys_of, plan
from data_prep.sprite import Sprite
from data_prep.tally import SHEET_SPRITES, SHEET_TOTAL, Tally, write_about, write_drops
from data_prep.workers import Workers

FORMAT = 2  # counts up when the same recipe would give other rows


def prepare(recipe: PrepareRecipe, out: Path, force: bool = False, focus: Focus | None = None) -> Path:
    """Makes the folder `out`, or reuses a finished one of the same recipe; returns `out`.

    focus: gives cells that a run drew badly more of the training data. Raises InputError for a missing source, an unusable
    palette, a folder of another recipe (unless `force`), or no sprite left.
    """
    described = _described(recipe) | ({"focus": focus.to_json()} if focus else {})
    recipe_hash = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
    if is_finished(out, recipe_hash, force):
        say(f"{out}: already made from this recipe, reused")
        return out
    with making(out, recipe_hash) as (folder, state), Progress() as progress, Workers(recipe.num_proc) as workers:
        _build(recipe, focus, described | {"recipe_hash": recipe_hash}, folder, state, progress, workers)
    return out


def _build(
    recipe: PrepareRecipe, focus: Focus | None, described: dict, folder: Path, state: Path, progress: Progress, workers: Workers
) -> None:
    """The stages, one after the other."""
    drops: list[Drop] = []
    choice = Choice.of(recipe, lambda name, reason: drops.append(_drop(name, reason)))
    parts = _read(recipe, choice, state, progress, workers, drops)
    palette = _palette(recipe, parts, progress, workers)
    decided = _decided(recipe, parts, palette, progress, workers)
    told = {"focus": focus.apply(decided, recipe.seed)} if focus else {}
    drops += decided.drops
    tally = Tally(palette, bool(recipe.leave_out_cells))
    for one in decided.kept:
        tally.add(one.key.cell, one.key.about, one.split)
    write_drops(folder, drops)
    how = pairs.Rendering(palette, recipe.empty_caption_share, recipe.tasks)
    progress.at("written")
    for file, rows, measured in pairs.write_shards(folder / "data", state, decided.kept, recipe, how, workers):
        progress.count(rows)
        tally.add_file(file, rows, measured)
    dropped = Counter(sorted(reason for _, reason, _ in drops))
    more = {"dropped": dropped, "near_duplicates": dict(sorted(decided.alike.items()))}
    tally.samples = _samples(decided, palette)
    near = {how: [(_pictured(a).rgba, _pictured(b).rgba) for a, b in found] for how, found in decided.near.items()}
    write_about(folder, described | told | more, tally, near)
    _tell(tally, dropped)
    for line in in_words(told["focus"]) if told else ():
        say(line)


def _read(
    recipe: PrepareRecipe, choice: Choice, state: Path, progress: Progress, workers: Workers, drops: list[Drop]
) -> list[reading.Read]:
    """Curated pictures on disk; what was dropped is added to `drops`. Raises InputError when nothing is left."""
    parts = []
    progress.at("read")
    for part in reading.read(recipe, choice, state, workers):
        progress.count(part.count)
        drops += [_drop(name, reason) for name, reason in part.drops]
        parts.append(part)
    if not any(part.count for part in parts):
        summary = _summary(Counter(reason for _, reason, _ in drops))
        raise InputError(f"recipe {recipe.name!r}: no sprite left; {summary or 'its sources are empty'}")
    return parts


def _drop(name: str, reason: str) -> Drop:
    """What stands behind '; ' is of this one file alone, and no reason that can be counted."""
    reason, _, detail = reason.partition("; ")
    return name, reason, {"detail": detail} if detail else {}


def _palette(recipe: PrepareRecipe, parts: list[reading.Read], progress: Progress, workers: Workers) -> Palette:
    if recipe.palette == "corpus":
        progress.at("counting colours")
        colours = reading.colours(parts, workers)
        progress.at(f"choosing a palette for {len(colours):,} colours")
        return corpus_palette({f"{colour:06x}": n for colour, n in colours.items()}, recipe.name, recipe.seed)
    return load(recipe.palette)


def _check_name(palette: Palette) -> None:
    """A completion in this palette must read back as one: no shipped palette's name, no odd letters."""
    shipped = {path.stem for path in PALETTE_FOLDER.glob("*.json")}
    blank = grid_text.encode(np.zeros((4, 4), np.uint8), palette)
    read = grid_text.read(blank, {palette.name: palette})
    clash = palette.name in shipped and named(palette.name).hash != palette.hash
    if clash or palette.name == grid_text.FREE or not isinstance(read, Sprite):
        raise InputError(f"palette {palette.name!r}: no name for a palette; take a-z, 0-9, - and _, not a shipped one's name")


def _decided(recipe: PrepareRecipe, parts: list[reading.Read], palette: Palette, progress: Progress, workers: Workers) -> Plan:
    """Which picture goes where, by their keys."""
    progress.at("compared")
    keys, known = [], {}
    for found in workers.map(partial(keys_of, palette=palette, unseen=frozenset(recipe.leave_out_cells)), parts):
        keys += [key.sharing(known) for key in found]
        progress.count(len(found))
    return plan(keys, recipe)


def _samples(decided: Plan, palette: Palette) -> dict[tuple[str, str], list[np.ndarray]]:
    """(H, W, 4) pictures of the first sprites of each cell, in the palette."""
    chosen: dict[tuple[str, str], list[Key]] = {}
    side = isqrt(SHEET_TOTAL // len({one.key.cell for one in decided.kept}))
    most = max(SHEET_SPRITES, side * side)
    for one in decided.kept:
        cell = chosen.setdefault(one.key.cell, [])
        if len(cell) < most:
            cell.append(one.key)
    return {cell: [pairs.sprite_of(_pictured(key), palette).rgba() for key in keys] for cell, keys in chosen.items()}


def _pictured(key: Key) -> curate.Picture:
    return reading.picture_at(key.path, key.place)


def _described(recipe: PrepareRecipe) -> dict:
    """What decides the rows: the recipe with each file's content in place of its path, and this code's format."""
    recipe_json = recipe.to_json()
    recipe_json.pop("num_proc")
    recipe_json["sources"] = [sources.described(recipe, number) for number in range(len(recipe.sources))]
    if recipe.exclude_labels:
        recipe_json["exclude_labels"] = label_list(recipe)
    if recipe.curation:
        path = Path(recipe.curation)
        recipe_json["curation"] = {"name": path.name, "sha256": curation_hash(path)}
    if recipe.palette == "corpus":
        _check_name(Palette(recipe.name, ("000000", "ffffff")))  # before hours of reading
    else:
        palette = load(recipe.palette)
        _check_name(palette)
        recipe_json["palette"] = {"name": palette.name, "hash": palette.hash}
    return {"format": FORMAT, "recipe": recipe_json}


def _tell(tally: Tally, dropped: Counter) -> None:
    totals = tally.totals
    unseen = f", {totals[UNSEEN_CELLS]:,} of them in {UNSEEN_CELLS}" if UNSEEN_CELLS in totals else ""
    say(f"{sum(totals.values()):,} pairs{unseen}; dropped: {_summary(dropped) or 'none'}")
    empty = [split for split, total in totals.items() if not total]
    if empty:
        say(f"no sprite fell to {' and '.join(empty)}: too few groups, which share a silhouette or caption; take more sprites")


def _summary(dropped: Counter) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in dropped.most_common())


def main(argv: list[str] | None = None) -> int:
    """`pixelreef prepare`: 0 when the folder is there, 2 when a person has to mend something."""
    parser = argparse.ArgumentParser("pixelreef prepare", description="Makes prompt–completion pairs from a recipe.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", help="recipe, a YAML file such as data_prep/recipes/reef16.yaml")
    what.add_argument("--merge", nargs="+", type=Path, metavar="FOLDER", help="prepared folders of one palette, to be made one")
    parser.add_argument("--out", required=True, type=Path, help="folder to make, such as datasets/reef16")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="overrides, as sources.0.count=600")
    parser.add_argument("--focus", type=Path, metavar="RUN", help="scored run folder: its dead cells get more of the data")
    parser.add_argument("--force", action="store_true", help="replace a folder that another recipe made")
    options = parser.parse_args(argv)
    if options.merge and (options.set or options.focus):
        parser.error("--set and --focus change a recipe; folders that are merged have theirs behind them")
    if options.merge:
        from data_prep.merge import merge

        return exit_code("pixelreef prepare", lambda: merge(options.merge, options.out, options.force))
    recipe = partial(PrepareRecipe.from_yaml, options.config, options.set)
    focus = partial(Focus.of, options.focus) if options.focus else lambda: None
    return exit_code("pixelreef prepare", lambda: prepare(recipe(), options.out, options.force, focus()))


if __name__ == "__main__":
    sys.exit(main())
