"""A run folder of procedural sprites with everything in it that `score` reads, and where `score` spends its time on it."""

import cProfile
import json
import pstats
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from data_prep.grid_text import encode
from data_prep.palette import named
from data_prep.sprite import Sprite
from data_prep.whole_files import write_whole
from eval.speed.score_ways import SIDE, spoilt, sprites

MODELS = {"adapter": 0.05, "base model": 0.5}  # the share of pixels that are noise
CONTROLS = 13  # drawings a prompt: the controls that are honest and those that are degenerate
SHOWN = 6  # families
FAMILIES = {  # function of a module → what it is for; each is in no other
    ("critics.py", "_answers"): "the judge's network",
    ("distribution.py", "compare"): "distances with their intervals",
    ("memorisation.py", "nearest"): "nearest training sprite, by pixels",
    ("memorisation.py", "nearest_features"): "nearest training sprite, by features",
    ("structure.py", "statistics"): "structure",
    ("legacy.py", "of_grid"): "legacy scores",
    ("validity.py", "parse"): "reading the texts",
    ("attributes.py", "colour_right"): "colour",
    ("summary.py", "summarise"): "means, intervals, comparisons",
    ("critics.py", "load"): "loading the judge",
    ("run_folder.py", "read_rows"): "reading the files",
    ("diversity.py", "duplicates"): "repeats",
}


def make(folder: Path, drawings: int) -> int:
    """Writes a run folder of about as many drawings and as many training sprites; returns how many drawings it has."""
    prompts, palette = max(2, round(drawings / (CONTROLS + len(MODELS)))), named("reef64")
    every = sprites(drawings + prompts)
    training, held_out = every[:drawings], every[drawings:]
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "recipe.json", json.dumps({"name": "bench score", "seed": 3, "palette": palette.name}))
    write_whole(folder / "palette.json", json.dumps(palette.to_json()))
    np.savez_compressed(folder / "training.npz", grids=np.stack([sprite.grid for sprite in training]))
    _write_rows(folder / "references.jsonl", (_reference(index, sprite) for index, sprite in enumerate(held_out)))
    return _write_rows(folder / "completions.jsonl", _completions(held_out, training))


def _write_rows(path: Path, rows: Iterator[dict]) -> int:
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    write_whole(path, "".join(lines))
    return len(lines)


def _reference(index: int, sprite: Sprite) -> dict:
    tags = dict(sprite.tags)
    place = {"request_id": f"r{index}", "height": SIDE, "width": SIDE, "text": encode(sprite.grid, sprite.palette)}
    return place | {"caption": sprite.caption, "tags": tags, "zone": tags["zone"], "category": tags["category"]}


def _completions(held_out: tuple[Sprite, ...], training: tuple[Sprite, ...]) -> Iterator[dict]:
    from eval.controls import all_controls

    rng = np.random.default_rng(8)
    for index, sprite in enumerate(held_out):
        for name, share in MODELS.items():
            yield _drawing(index, name, "model", "grammar", spoilt(sprite.grid, rng, share))
    for name, kind, index, sprite in all_controls(held_out, training, 3):
        yield _drawing(index, name, kind, "control", sprite.grid)


def _drawing(index: int, generator: str, kind: str, mode: str, grid: np.ndarray) -> dict:
    row = {"request_id": f"r{index}", "generator": generator, "kind": kind, "mode": mode, "seed": 3, "index": index}
    return row | {"height": SIDE, "width": SIDE, "text": encode(grid, named("reef64")), "seconds": 0.5, "tokens": 300}


def shares(work: Callable[[], object]) -> dict[str, float]:
    """Family → share of the profiled seconds of `work`, the largest SHOWN of them; 'the rest' last."""
    profile = cProfile.Profile()
    profile.runcall(work)
    taken: dict[str, float] = {}
    stats = pstats.Stats(profile)
    for (file, _, function), (_, _, _, spent, _) in stats.stats.items():  # type: ignore[attr-defined]
        if (family := FAMILIES.get((Path(file).name, function))) and "eval" in Path(file).parts:
            taken[family] = taken.get(family, 0.0) + spent
    total = stats.total_tt  # type: ignore[attr-defined]
    largest = sorted(taken, key=taken.__getitem__, reverse=True)[:SHOWN]
    found = {family: round(taken[family] / total, 4) for family in largest}
    return found | {"the rest": round(1 - sum(found.values()), 4)}
