"""Fills a run folder: the same held-out prompts to every generator, the controls, and the bits of the held-out sprites.

    pixelreef draw --recipe eval/recipes/demo.yaml        (or python -m eval.generate eval/recipes/demo.yaml)

Reads the recipe, the prepared dataset, base model, adapters and sprite transformers. Writes to `runs/<name>/`: recipe.json,
palette.json, references.jsonl, training.npz, completions.jsonl, likelihoods.jsonl and copies of training logs. Run again, it
goes on at the next missing row. About 0.5 s a 16×16 drawing of a 135M model on two cores, and 0.4 s a likelihood.
"""

import difflib
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import yaml

from data_prep import grid_text
from data_prep.errors import InputError, exit_code
from data_prep.pairs import content_hash
from data_prep.palette import Palette
from data_prep.sprite import Sprite
from eval import rivals
from eval.controls import all_controls
from eval.generators import GRAMMAR, UNCONSTRAINED, Drawing, Generator, Request
from eval.metrics import likelihood
from eval.refinement import Answer
from eval.run_folder import MAX_NAME, RIVAL_LOG, is_word, read_json, write_atomically

REPOSITORY = Path(__file__).resolve().parents[1]
CONTROL = "control"
SPLITS = ("test", "validation", "unseen_cells")


@dataclass(frozen=True)
class GenerateRecipe:
    """What a run compares. generators: name → what `eval.rivals` shows; roles: which is 'adapter', 'base' and 'rival'.

    split: where the held-out sprites come from: 'test' has unseen plans and combinations, 'validation' known plans alone,
    'unseen_cells' what a corpus left out. prompts: how many of them are asked for, cell by cell; unconstrained: how many of those
    are also drawn without the grammar; likelihoods: how many are measured in bits. dtype float32 makes batches matter least.
    """

    name: str
    dataset: str
    generators: dict
    roles: dict
    split: str = "test"
    prompts: int = 60
    unconstrained: int = 12
    likelihoods: int = 60
    seed: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    batch_size: int = 16
    dtype: str = "bfloat16"

    def __post_init__(self):
        if not isinstance(self.name, str) or not re.fullmatch(r"[\w.-]+", self.name) or self.name.startswith("."):
            raise InputError(f"recipe: name {self.name!r} must be one word, for it names a folder")
        for name, what in self.generators.items() if isinstance(self.generators, dict) else [("generators", None)]:
            if not is_word(name):
                raise InputError(f"recipe: generator {name!r}: a name is a text of at most {MAX_NAME} characters")
            rivals.check(name, what)
        for key in ("prompts", "unconstrained", "likelihoods", "seed", "batch_size"):
            value, least = getattr(self, key), key in ("prompts", "batch_size")
            if not isinstance(value, int) or value < least:
                raise InputError(f"recipe: {key} is {value!r}; it takes a whole number from {int(least)}")
        for key, most in (("temperature", 10), ("top_p", 1)):
            value = getattr(self, key)
            if type(value) not in (int, float) or not 0 <= value <= most:
                raise InputError(f"recipe: {key} is {value!r}; it takes a number from 0 to {most}")
        if self.split not in SPLITS:
            raise InputError(f"recipe: split is {self.split!r}; it takes {', '.join(SPLITS)}")
        if self.dtype not in ("bfloat16", "float16", "float32") or not isinstance(self.dataset, str):
            raise InputError(f"recipe: dtype {self.dtype!r}, dataset {self.dataset!r}; they take bfloat16 or float32, a folder")
        if not isinstance(self.roles, dict) or not set(self.roles.values()) <= set(rivals.spread(self.generators)):
            raise InputError("recipe: roles must name generators, as {adapter: NAME, base: NAME}")


def read_recipe(path: Path) -> GenerateRecipe:
    """Raises InputError for a file that cannot be read, an unknown key (with the nearest valid one) or a missing one."""
    try:
        keys = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read as YAML: {str(error).splitlines()[0]}") from error
    valid = [f.name for f in fields(GenerateRecipe)]
    if not isinstance(keys, dict):
        raise InputError(f"{path}: must be a mapping of keys to values")
    for key in keys:
        if key not in valid:
            near = difflib.get_close_matches(str(key), valid, 1, 0)[0]
            raise InputError(f"{path}: unknown key {key!r}; the nearest valid one is {near!r}")
    try:
        return GenerateRecipe(**keys)
    except TypeError as error:
        raise InputError(f"{path}: {error}; see eval/recipes/demo.yaml") from error


def read_split(dataset: Path, split: str, palette: Palette) -> list[tuple[dict, Sprite]]:
    """(row, sprite) of a prepared dataset's split. Raises InputError when it is not there or a row is no drawing."""
    import pyarrow.parquet as parquet

    files = sorted((dataset / "data").glob(f"{split}-*.parquet"))
    if not files:
        raise InputError(f"dataset {dataset}: no data/{split}-*.parquet; run `pixelreef prepare` first")
    rows = [row for file in files for row in parquet.read_table(file).to_pylist()]
    return [(row, _sprite(row, palette, dataset)) for row in rows]


def _sprite(row: dict, palette: Palette, dataset: Path) -> Sprite:
    found = grid_text.read(row["completion"][0]["content"], {palette.name: palette})
    if not isinstance(found, Sprite):
        raise InputError(f"dataset {dataset}: row {row['id']}: {found}")
    return Sprite(found.grid, palette, row["caption_full"], json.loads(row["tags"]), row["source"], row["licence"])


def choose_prompts(rows: list[tuple[dict, Sprite]], count: int, seed: int) -> list[tuple[str, Sprite]]:
    """(request id, sprite): round robin over the cells, within one by a hash of seed and id."""
    cells: dict[tuple, list] = {}
    for row, sprite in rows:
        key = hashlib.sha256(f"{seed}:{row['id']}".encode()).hexdigest()
        cells.setdefault((row["zone"], row["category"]), []).append((key, row["id"], sprite))
    for entries in cells.values():
        entries.sort(key=lambda entry: entry[:2])
    turns = [(turn, cell, entry) for cell, entries in cells.items() for turn, entry in enumerate(entries)]
    turns.sort(key=lambda turn: turn[:2])
    return [(entry[1][:16], entry[2]) for _, _, entry in turns[:count]]


class JsonLines:
    """An append-only .jsonl; a torn last line is cut off when it is opened. Raises InputError for a damaged one."""

    def __init__(self, path: Path, key: tuple[str, ...]):
        self.path, self.key = path, key
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            write_atomically(path, whole)
        try:
            self.done = {tuple(json.loads(line)[k] for k in key) for line in whole.splitlines()}
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: a line is damaged ({error!r}); remove the file, it will be drawn again") from error

    def append(self, rows: list[dict]) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        self.done |= {tuple(row[k] for k in self.key) for row in rows}

    def lacks(self, *key: str) -> bool:
        return key not in self.done


class Run:
    """One run folder being filled. Its identity covers recipe, weights and data: other ones are refused, never mixed."""

    def __init__(self, recipe: GenerateRecipe, folder: Path):
        from finetune.adapter_folder import load_palette

        self.recipe, self.folder, self.dataset = recipe, folder, Path(recipe.dataset)
        self.palette = load_palette(self.dataset)
        self.training = read_split(self.dataset, "train", self.palette)
        self.prompts = choose_prompts(read_split(self.dataset, recipe.split, self.palette), recipe.prompts, recipe.seed)
        if not self.prompts:
            raise InputError(f"dataset {self.dataset}: no {recipe.split} sprites; prepare it from more sprites")
        self.rivals = rivals.spread(recipe.generators)
        self.hash = identity(recipe)
        self._claim()
        self.completions = JsonLines(folder / "completions.jsonl", ("generator", "mode", "request_id"))
        self.likelihoods = JsonLines(folder / "likelihoods.jsonl", ("generator", "condition", "request_id"))

    def _claim(self) -> None:
        """Makes the folder, or sees that it belongs to this very run."""
        path = self.folder / "recipe.json"
        if path.exists() and read_json(path).get("recipe_hash") != self.hash:
            raise InputError(f"{self.folder}: holds a run of another recipe, adapter or dataset; remove it or take another name")
        about = self._about()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_training()
        self._copy_logs()
        write_atomically(self.folder / "palette.json", json.dumps(self.palette.to_json()))
        lines = [json.dumps(_reference(key, sprite), ensure_ascii=False) + "\n" for key, sprite in self.prompts]
        write_atomically(self.folder / "references.jsonl", "".join(lines))
        write_atomically(path, json.dumps(about, indent=1))

    def _write_training(self) -> None:
        """The training sprites of the prompts' size, for memorisation and as a yardstick of distances."""
        shape = self.prompts[0][1].grid.shape
        sprites = [sprite for _, sprite in self.training if sprite.grid.shape == shape]
        grids = np.array([sprite.grid for sprite in sprites], np.uint8)
        np.savez_compressed(self.folder / ".training.npz", grids=grids)
        os.replace(self.folder / ".training.npz", self.folder / "training.npz")

    def _about(self) -> dict:
        """recipe.json: what was asked for, without the places of this machine, and what it stands on."""
        from finetune.adapter_folder import AdapterFacts

        about = published(self.recipe) | {"recipe_hash": self.hash, "palette_hash": self.palette.hash, "commit": commit()}
        about |= {"dataset_hash": content_hash(self.dataset), "size": self.prompts[0][1].height}
        about["told"] = {name: rival.told for name, rival in self.rivals.items()}
        if adapter := self._adapter():
            facts = AdapterFacts.load(adapter)
            about |= {"sprites_seen": facts.sprites_seen, "training": vars(facts)}
        return about

    def _adapter(self) -> Path | None:
        """The folder of the generator whose role is 'adapter'."""
        trained = self.rivals.get(self.recipe.roles.get("adapter"))
        return Path(trained.adapter) if trained is not None and trained.adapter else None

    def _copy_logs(self) -> None:
        """The training logs of the adapter and of the rival (else of the first sprite transformer), for their charts."""
        from finetune.adapter_folder import LOG

        named = self.rivals.get(self.recipe.roles.get("rival"))
        rivals = [one.transformer for one in (named, *self.rivals.values()) if one is not None and one.transformer]
        adapter = self._adapter()
        sources = {LOG: adapter / LOG if adapter else None, RIVAL_LOG: Path(rivals[0]).parent / LOG if rivals else None}
        for name, log in sources.items():
            if log is not None and log.exists():
                write_atomically(self.folder / name, log.read_text())

    def request(self, index: int, subject: Sprite) -> Request:
        """What asks for a subject, by caption and by tags, at the size of prompt `index`."""
        height, width = self.prompts[index][1].grid.shape
        return Request(subject.caption, height, width, self.palette, self.recipe.seed, index, subject.tags)

    def row(self, generator: str, kind: str, mode: str, index: int, text: str, seconds: float, tokens: int) -> dict:
        key, sprite = self.prompts[index]
        read = grid_text.read(text, {self.palette.name: self.palette}, sprite.grid.shape)
        error = None if isinstance(read, Sprite) else str(read)
        return {
            "request_id": key, "generator": generator, "kind": kind, "mode": mode, "caption": sprite.caption,
            "height": sprite.height, "width": sprite.width, "palette": self.palette.name, "seed": self.recipe.seed,
            "index": index, "text": text, "valid": error is None, "error": error, "seconds": seconds, "tokens": tokens,
            "recipe_hash": self.hash, "palette_hash": self.palette.hash,
        }  # fmt: skip

    def add_controls(self) -> None:
        held_out = [sprite for _, sprite in self.prompts]
        rows = []
        for name, kind, index, sprite in all_controls(held_out, [sprite for _, sprite in self.training], self.recipe.seed):
            if self.completions.lacks(name, CONTROL, self.prompts[index][0]):
                rows.append(self.row(name, kind, CONTROL, index, grid_text.encode(sprite.grid, self.palette), 0.0, 0))
        self.completions.append(rows)

    def add_drawings(self, name: str, model: Generator, mode: str, count: int) -> None:
        from eval.decoding import Sampling

        own = self.rivals[name]
        temperature = self.recipe.temperature if own.temperature is None else own.temperature
        sampling = Sampling(temperature, top_p=self.recipe.top_p, guidance=own.guidance)
        todo = [i for i, (key, _) in enumerate(self.prompts[:count]) if self.completions.lacks(name, mode, key)]
        for batch in _batches(todo, self.recipe.batch_size, f"{name}: drawing, {mode}"):
            requests = [self.request(i, self.prompts[i][1]) for i in batch]
            drawings = list(model.answer(requests, sampling, mode, self.recipe.batch_size))
            rows = [self.row(name, "model", mode, i, d.text, d.seconds, d.tokens) for i, d in zip(batch, drawings, strict=True)]
            self.completions.append(rows)

    def add_likelihoods(self, name: str, model: Generator) -> None:
        held_out = [sprite for _, sprite in self.prompts[: self.recipe.likelihoods]]
        nothing = [replace(sprite, caption="", tags={}) for sprite in held_out]
        subjects = {likelihood.RIGHT: held_out, likelihood.EMPTY: nothing, likelihood.SHUFFLED: other_subjects(held_out)}
        for condition in self.conditions(name):
            told = subjects[condition]
            todo = [i for i in range(len(held_out)) if self.likelihoods.lacks(name, condition, self.prompts[i][0])]
            for batch in _batches(todo, self.recipe.batch_size, f"{name}: bits, {condition}"):
                requests = [self.request(i, told[i]) for i in batch]
                found = model.likelihoods(requests, [held_out[i] for i in batch])
                rows = [{"request_id": self.prompts[i][0], "generator": name, "condition": condition} for i in batch]
                self.likelihoods.append([row | vars(one) for row, one in zip(rows, found, strict=True)])

    def unconstrained(self, name: str) -> int:
        """How many prompts a generator also answers without the grammar: none where it writes grids only or is led."""
        rival = self.rivals[name]
        return self.recipe.unconstrained if rival.transformer is None and not rival.guidance else 0

    def measured(self, name: str) -> int:
        """How many held-out sprites a generator is asked the bits of."""
        return self.recipe.likelihoods if self.rivals[name].has_own_likelihoods else 0

    def conditions(self, name: str) -> list[str]:
        """What a generator is told while the bits are measured."""
        return [c for c in likelihood.CONDITIONS if c != likelihood.EMPTY or self.rivals[name].can_be_told_nothing]

    def is_complete(self, name: str) -> bool:
        wanted = [(name, GRAMMAR, key) for key, _ in self.prompts]
        wanted += [(name, UNCONSTRAINED, key) for key, _ in self.prompts[: self.unconstrained(name)]]
        bits = {(name, c, key) for c in self.conditions(name) for key, _ in self.prompts[: self.measured(name)]}
        return set(wanted) <= self.completions.done and bits <= self.likelihoods.done

    def recorded(self, name: str) -> Answer:
        """What answers with the drawings that a generator has in the folder, by mode and index: its rounds go on from them."""
        lines = map(json.loads, self.completions.path.read_text(encoding="utf-8").splitlines())
        drawn = {
            (row["mode"], row["index"]): Drawing(row["text"], row["seconds"], row["tokens"])
            for row in lines if row["generator"] == name
        }  # fmt: skip
        return lambda requests, sampling, mode, batch_size: (drawn[mode, request.index] for request in requests)

    def fill(self, name: str, model: Generator) -> None:
        """Adds the missing rows of a generator whose bare model is loaded."""
        generator = self.rivals[name].around(model, [sprite for _, sprite in self.training], self.recorded)
        if self.measured(name):
            self.add_likelihoods(name, generator)
        self.add_drawings(name, generator, GRAMMAR, len(self.prompts))
        self.add_drawings(name, generator, UNCONSTRAINED, self.unconstrained(name))


def other_subjects(sprites: list[Sprite]) -> list[Sprite]:
    """For each sprite another one, whose caption and tags stand for the wrong ones: the rotation with the fewest pairs that
    share caption, zone or category."""

    def shared(shift: int) -> int:
        pairs = zip(sprites, sprites[shift:] + sprites[:shift], strict=True)
        return sum(
            (a.caption == b.caption) + sum(a.tags.get(tag) == b.tags.get(tag) for tag in ("zone", "category")) for a, b in pairs
        )

    shift = min(range(1, len(sprites)), key=shared, default=0)
    return sprites[shift:] + sprites[:shift]


def identity(recipe: GenerateRecipe) -> str:
    """SHA-256 of the recipe, the rows of its dataset, the weights, skills and guides of its generators, wherever they lie."""
    generators = {name: rivals.fingerprint(what) for name, what in recipe.generators.items()}
    asked = asdict(recipe) | {"dataset": content_hash(Path(recipe.dataset)), "generators": generators}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def published(recipe: GenerateRecipe) -> dict:
    """The recipe with folders and files by their last names: what a report may show."""
    generators = {name: rivals.published(what) for name, what in recipe.generators.items()}
    return asdict(recipe) | {"dataset": Path(recipe.dataset).name, "generators": generators}


def _reference(key: str, sprite: Sprite) -> dict:
    return {
        "request_id": key, "caption": sprite.caption, "tags": dict(sprite.tags), "zone": sprite.tags.get("zone", ""),
        "category": sprite.tags.get("category", ""), "height": sprite.height, "width": sprite.width,
        "text": grid_text.encode(sprite.grid, sprite.palette),
    }  # fmt: skip


def _batches(todo: list[int], size: int, what: str) -> Iterator[list[int]]:
    started = time.perf_counter()
    for start in range(0, len(todo), size):
        yield todo[start : start + size]
        done = min(start + size, len(todo))
        print(f"{what}: {done}/{len(todo)}, {time.perf_counter() - started:.0f} s", flush=True)


def commit() -> str:
    """The commit of the code, with '+' when files differ from it; '' outside a repository."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    told = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    return told.stdout.strip() if told.returncode == 0 else ""


def generate(recipe: GenerateRecipe, runs: Path = Path("runs")) -> Path:
    """Fills `runs/<name>` and returns it. A model is loaded by itself, base and adapter never share weights; rivals of the
    same weights that stand together share one."""
    run = Run(recipe, runs / recipe.name)
    run.add_controls()
    model, loaded = None, None
    for name, rival in run.rivals.items():
        if run.is_complete(name):
            print(f"{name}: all rows are there; reused")
            continue
        if rival.weights != loaded:
            print(f"{name}: loading", flush=True)
            model = None  # its memory is free before the next one is loaded
            model, loaded = rival.load(recipe.dtype), rival.weights
        run.fill(name, model)
    return run.folder


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m eval.generate RECIPE.yaml", file=sys.stderr)
        return 2
    return exit_code("draw", lambda: generate(read_recipe(Path(arguments[0]))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
