"""Small run folders for the tests of scores and reports: blobs like fish, jellies and corals, all controls, two models."""

import json
from functools import cache
from itertools import islice
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from data_prep.grid_text import encode
from data_prep.palette import named
from data_prep.sources import procedural
from data_prep.sprite import Sprite
from eval.controls import all_controls
from eval.score import score

REEF = named("reef64")
COLOURS = ("red", "orange", "green", "teal", "blue", "purple")


KINDS = {"reef_fish": "fish", "jellyfish": "jelly", "coral": "coral"}


def blob(rng: np.random.Generator, side: int = 16, category: str = "reef_fish") -> Sprite:
    """Shaded and outlined, about in the middle: an ellipse with a tail, a dome with arms, or branches on a foot."""
    colour = COLOURS[rng.integers(len(COLOURS))]
    ramp = np.array(REEF.ramps[colour])
    y, x = np.indices((side, side))
    middle_y, middle_x = rng.uniform(side / 2 - 1.5, side / 2 + 0.5, 2)
    tall, wide = rng.uniform(0.18, 0.26) * side, rng.uniform(0.26, 0.34) * side
    down, across = y - middle_y, x - middle_x
    body = (down / tall) ** 2 + (across / wide) ** 2 <= 1
    if category == "reef_fish":
        body |= (abs(down) <= across - 0.6 * wide) & (across < wide + 3) & (across > 0)
    elif category == "jellyfish":
        body = body & (down < 0) | (down >= 0) & (down < 1.6 * tall) & (abs(across) < wide) & (x % 3 == 0)
    else:
        body = (abs(down) < tall) & (abs(across) < wide) & (x % 4 < 2) | (abs(down - tall) < 1) & (abs(across) < wide)
    padded = np.pad(body, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    shade = np.clip(3 + np.round((middle_y - y) / tall * 1.5), 2, 5).astype(int)
    grid = np.where(body, np.where(inside, ramp[shade], ramp[1]), 0).astype(np.uint8)
    grid[int(middle_y), int(middle_x - wide / 2)] = 7
    grid = grid[:, ::-1] if rng.random() < 0.5 else grid
    return Sprite(grid, REEF, f"a {colour} {KINDS[category]}", {"category": category, "colour": colour}, "test")


def blobs(rng: np.random.Generator, count: int) -> list[Sprite]:
    """The kinds in turn."""
    return [blob(rng, category=list(KINDS)[index % len(KINDS)]) for index in range(count)]


@cache
def reef_sprites() -> tuple[list[Sprite], list[Sprite], list[Sprite]]:
    """Procedural sprites of 16×16, captioned: training, held-out ones of known body plans, and as many others of those cells."""
    known = [s for s in islice(procedural.sprites(5, 16), 780) if s.tags["plan"] not in procedural.HELD_OUT_PLANS.values()]
    return known[:400], known[400:520], known[520:640]


def _critics(training: list[Sprite], calibration: list[Sprite], held_out: list[Sprite], epochs: int) -> Path:
    from eval.metrics import critic_tables, critic_training, critics
    from eval.train_critics import write

    critic = critic_training.train("judge", training, calibration, 1, epochs, batch=24, say=lambda text: None)
    facts = {**critic.facts, "test": critic_tables.measure(critic, held_out)}
    folder = Path(mkdtemp(prefix="critics-"))
    write(folder, [{"name": "test", "hash": ""}], {"judge": critics.frozen("judge", critic.network, facts)})
    return folder


@cache
def blob_critics() -> Path:
    """A folder with a judge that was taught 300 blobs: the committed one knows animals, and these are none."""
    rng = np.random.default_rng(4)
    sprites = blobs(rng, 360)
    return _critics(sprites[:300], sprites[300:330], sprites[330:], 4)


def score_blobs(folder: Path) -> Path:
    """`score` with the critics that know blobs."""
    return score(folder, blob_critics())


def make_run(folder: Path, prompts: int = 24, training: int = 120, captions: dict[int, str] | None = None) -> Path:
    """Writes a run folder with everything in it; the adapter draws well but for one noisy pixel in ten."""
    rng = np.random.default_rng(8)
    seen, held_out = blobs(rng, training), blobs(rng, prompts)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.json").write_text(json.dumps({"name": "test run", "seed": 3, "palette": "reef64", "size": [16, 16]}))
    (folder / "palette.json").write_text(json.dumps(REEF.to_json()))
    categories = np.array([sprite.tags["category"] for sprite in seen], dtype=str)
    np.savez_compressed(folder / "training.npz", grids=np.stack([sprite.grid for sprite in seen]), categories=categories)
    write_rows(folder / "references.jsonl", [reference(i, s, (captions or {}).get(i)) for i, s in enumerate(held_out)])
    rows = []
    for index, sprite in enumerate(held_out):
        spoilt = np.where(rng.random(sprite.grid.shape) < 0.1, rng.integers(0, 64, sprite.grid.shape), sprite.grid).astype(
            np.uint8
        )
        rows.append(drawing(index, "adapter", "model", "grammar", encode(spoilt, REEF)))
        rows.append(drawing(index, "adapter", "model", "unconstrained", encode(spoilt, REEF)[: 400 if index % 3 else 200]))
        rows.append(drawing(index, "base model", "model", "grammar", encode(0 * sprite.grid, REEF)))
        rows.append(drawing(index, "base model", "model", "unconstrained", "Here is a fish: ><>"))
    rows += [drawing(i, name, kind, "control", encode(s.grid, REEF)) for name, kind, i, s in all_controls(held_out, seen, 3)]
    write_rows(folder / "completions.jsonl", rows)
    write_rows(folder / "likelihoods.jsonl", likelihoods(prompts, rng))
    log = [
        {"step": step, "loss": 2 / step, "bits_per_pixel": 3 / step, "sprites": 8 * step, "seconds": step}
        for step in range(1, 41)
    ]
    write_rows(folder / "training_log.jsonl", log)
    return folder


def add_rival(folder: Path, name: str = "sprite transformer, improved", alone: bool = False) -> None:
    """A sprite transformer to a folder of `make_run`: nearly all of its drawings are noise; alone: without the other models."""
    rng = np.random.default_rng(9)
    references = read_rows(folder / "references.jsonl")
    drawn = [row for row in read_rows(folder / "completions.jsonl") if not (alone and row["kind"] == "model")]
    told = [row for row in read_rows(folder / "likelihoods.jsonl") if not alone]
    for index, row in enumerate(references):
        text = row["text"] if index % 6 == 0 else encode(rng.integers(0, 64, (16, 16)).astype(np.uint8), REEF)
        drawn.append(drawing(index, name, "model", "grammar", text))
        for condition, bits in (("caption", 500.0), ("shuffled", 520.0), ("empty", 540.0)):
            own = {"request_id": row["request_id"], "generator": name, "condition": condition, "pixels": 256}
            told.append({**own, "bits": bits + rng.normal(0, 2), "allowed_mass": 1.0, "end_probability": 1.0})
    write_rows(folder / "completions.jsonl", drawn)
    write_rows(folder / "likelihoods.jsonl", told)
    recipe = json.loads((folder / "recipe.json").read_text()) | {"generators": {name: {"transformer": "some-folder"}}}
    recipe["told"] = {name: "what the caption says, as attributes", "adapter": "the caption", "base model": "the caption"}
    (folder / "recipe.json").write_text(json.dumps(recipe))


def reference(index: int, sprite: Sprite, caption: str | None = None) -> dict:
    row = {"request_id": f"r{index}", "caption": caption or sprite.caption, "tags": dict(sprite.tags)}
    row["zone"] = sprite.tags.get("zone", "shallows")
    return {
        **row,
        "category": sprite.tags["category"],
        "height": sprite.height,
        "width": sprite.width,
        "text": encode(sprite.grid, REEF),
    }


def drawing(number: int, generator: str, kind: str, mode: str, text, **other) -> dict:
    row = {"request_id": f"r{number}", "generator": generator, "kind": kind, "caption": "", "height": 16, "width": 16}
    row |= {"palette": "reef64", "seed": 3, "index": number, "mode": mode, "text": text, "valid": None, "error": None}
    return {**row, "seconds": 0.5, "tokens": 300, "recipe_hash": "a" * 64, "palette_hash": REEF.hash, **other}


def likelihoods(prompts: int, rng: np.random.Generator) -> list[dict]:
    rows = []
    for index in range(prompts):
        for generator, bits in (("base model", 700.0), ("adapter", 350.0)):
            for condition, extra in (("caption", 0), ("shuffled", 10), ("empty", 20)):
                row = {"request_id": f"r{index}", "generator": generator, "condition": condition, "pixels": 256}
                rows.append({**row, "bits": bits + extra + rng.normal(0, 2), "allowed_mass": 0.9, "end_probability": 1e-8})
    return rows


def read_rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_rows(path: Path, rows: list) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
