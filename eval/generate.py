"""Fills a run folder: the same held-out prompts to every generator, the controls, and the bits of the held-out sprites.

    pixelreef draw --recipe eval/recipes/demo.yaml        (or python -m eval.generate eval/recipes/demo.yaml)

Reads the recipe, the prepared dataset, base model, adapters and sprite transformers. Writes to `runs/<name>/`: recipe.json,
palette.json, references.jsonl, training.npz, completions.jsonl, likelihoods.jsonl and copies of training logs. Run again, it
goes on at the next missing row; under `accelerate launch` the processes share the rows (eval.shards). About 0.5 s a 16×16
drawing of a 135M model on two cores, and 0.4 s a likelihood.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from data_prep import grid_text
from data_prep.errors import InputError, exit_code
from data_prep.pairs import content_hash, shards
from data_prep.pairs import read_rows as dataset_rows
from data_prep.palette import Palette
from data_prep.sprite import Sprite
from data_prep.whole_files import alone
from eval import rivals
from eval.caption_words import states
from eval.controls import all_controls
from eval.generators import GRAMMAR, UNCONSTRAINED, Drawing, Generator, Request
from eval.metrics import likelihood
from eval.metrics.validity import read_asked
from eval.refinement import Answer
from eval.run_folder import RIVAL_LOG, check_log, read_json, read_rows, seconds_in, write_atomically
from eval.run_recipe import GenerateRecipe, read_recipe
from eval.shards import ALONE, JsonLines, Processes, processes
from finetune.adapter_folder import LOG, SAMPLES, AdapterFacts, load_palette

REPOSITORY = Path(__file__).resolve().parents[1]
CONTROL = "control"


def read_split(dataset: Path, split: str, palette: Palette) -> list[tuple[dict, Sprite]]:
    """(row, sprite) of a prepared dataset's split. Raises InputError when it is not there or a row is no drawing."""
    if not shards(dataset, split):
        raise InputError(f"dataset {dataset}: no data/{split}-*.parquet; run `pixelreef prepare` first")
    return [(row, _sprite(row, palette, dataset)) for row in dataset_rows(dataset, split)]


def _sprite(row: dict, palette: Palette, dataset: Path) -> Sprite:
    found = grid_text.read(row["completion"][0]["content"], {palette.name: palette})
    if not isinstance(found, Sprite):
        raise InputError(f"dataset {dataset}: row {row['id']}: {found}")
    if found.palette.name != palette.name:  # its entries mean other colours than the dataset's
        raise InputError(f"dataset {dataset}: row {row['id']} has colours of its own, as task bench has; take one of task draw")
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


class Run:
    """One run folder being filled. Its identity covers recipe, weights and data: other ones are refused, never mixed.

    mine: this process among those that fill it together.
    """

    def __init__(self, recipe: GenerateRecipe, folder: Path, mine: Processes = ALONE):
        self.recipe, self.folder, self.dataset, self.mine = recipe, folder, Path(recipe.dataset), mine
        self.palette = load_palette(self.dataset)
        self.training = read_split(self.dataset, "train", self.palette)
        self.prompts = choose_prompts(read_split(self.dataset, recipe.split, self.palette), recipe.prompts, recipe.seed)
        if not self.prompts:
            raise InputError(f"dataset {self.dataset}: no {recipe.split} sprites; prepare it from more sprites")
        self.rivals = rivals.spread(recipe.generators)
        self.hash = identity(recipe)
        self._claim()
        order = self._order()
        self.completions = JsonLines(folder / "completions.jsonl", ("generator", "mode", "request_id"), order, mine)
        self.likelihoods = JsonLines(folder / "likelihoods.jsonl", ("generator", "condition", "request_id"), order, mine)

    def _order(self) -> Callable[[dict], tuple]:
        """A row's place among those of a generator, as where a single process draws; controls stay as they are."""
        prompts = {key: place for place, (key, _) in enumerate(self.prompts)}
        names, parts = list(self.rivals), [GRAMMAR, UNCONSTRAINED, *likelihood.CONDITIONS]

        def place(row: dict) -> tuple:
            if row["generator"] not in names:
                return (-1,)
            part = row["mode"] if "mode" in row else row["condition"]
            return names.index(row["generator"]), parts.index(part), prompts[row["request_id"]]

        return place

    def _claim(self) -> None:
        """Sees that the folder belongs to this very run, or makes it, which is for the first process."""
        path = self.folder / "recipe.json"
        if path.exists() and read_json(path).get("recipe_hash") != self.hash:
            raise InputError(f"{self.folder}: holds a run of another recipe, adapter or dataset; remove it or take another name")
        if not self.mine.is_first:
            return
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
        about = published(self.recipe) | {"recipe_hash": self.hash, "palette_hash": self.palette.hash, "commit": commit()}
        about |= {"dataset_hash": content_hash(self.dataset), "size": self.prompts[0][1].height}
        about["told"] = {name: rival.told for name, rival in self.rivals.items()}
        about["left_out"] = {name: rival.left_out for name, rival in self.rivals.items() if rival.left_out}
        about["training_seconds"] = {name: training_seconds(rival) for name, rival in self.rivals.items() if log_of(rival)}
        if adapter := self._adapter():
            facts = AdapterFacts.load(adapter)
            about |= {"sprites_seen": facts.sprites_seen, "training": vars(facts)}
        return about

    def _adapter(self) -> Path | None:
        """The folder of the generator whose role is 'adapter'."""
        trained = self.rivals.get(self.recipe.roles.get("adapter", ""))
        return Path(trained.adapter) if trained is not None and trained.adapter else None

    def _copy_logs(self) -> None:
        """The training logs of the adapter and of the rival (else of the first sprite transformer), for their charts; what was
        measured while the adapter trained is in a file of its own."""
        named = self.rivals.get(self.recipe.roles.get("rival", ""))
        transformers = [one.transformer for one in (named, *self.rivals.values()) if one is not None and one.transformer]
        adapter = self._adapter()
        sources = {name: adapter / name for name in (LOG, SAMPLES)} if adapter else {}
        sources |= {RIVAL_LOG: Path(transformers[0]).parent / LOG} if transformers else {}
        for name, log in sources.items():
            if log.exists():
                write_atomically(self.folder / name, log.read_text())

    def request(self, index: int, subject: Sprite) -> Request:
        """What asks for a subject, by caption and by tags, at the size of prompt `index`."""
        height, width = self.prompts[index][1].grid.shape
        return Request(subject.caption, height, width, self.palette, self.recipe.seed, index, subject.tags)

    def row(self, generator: str, kind: str, mode: str, index: int, text: str, seconds: float, tokens: int) -> dict:
        key, sprite = self.prompts[index]
        read = read_asked(text, {self.palette.name: self.palette}, (sprite.height, sprite.width), self.palette)
        error = None if isinstance(read, Sprite) else str(read)
        return {
            "request_id": key, "generator": generator, "kind": kind, "mode": mode, "caption": sprite.caption,
            "height": sprite.height, "width": sprite.width, "palette": self.palette.name, "seed": self.recipe.seed,
            "index": index, "text": text, "valid": error is None, "error": error, "seconds": seconds, "tokens": tokens,
            "recipe_hash": self.hash, "palette_hash": self.palette.hash,
        }  # fmt: skip

    def add_controls(self) -> None:
        """By the first process: they take no time."""
        held_out = [sprite for _, sprite in self.prompts]
        rows = []
        for name, kind, index, sprite in all_controls(held_out, [sprite for _, sprite in self.training], self.recipe.seed):
            if self.mine.is_first and self.completions.lacks(name, CONTROL, self.prompts[index][0]):
                rows.append(self.row(name, kind, CONTROL, index, grid_text.encode(sprite.grid, self.palette), 0.0, 0))
        self.completions.append(rows)
        self.completions.gather()

    def add_drawings(self, name: str, model: Generator, mode: str, asked: list[int]) -> None:
        from eval.decoding import Sampling

        own = self.rivals[name]
        temperature = self.recipe.temperature if own.temperature is None else own.temperature
        sampling = Sampling(temperature, top_p=self.recipe.top_p, guidance=own.guidance)
        todo = self.mine.share([i for i in asked if self.completions.lacks(name, mode, self.prompts[i][0])])
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
            todo = [i for i in self.measured(name) if self.likelihoods.lacks(name, condition, self.prompts[i][0])]
            todo = self.mine.share(todo)
            for batch in _batches(todo, self.recipe.batch_size, f"{name}: bits, {condition}"):
                requests = [self.request(i, told[i]) for i in batch]
                found = model.likelihoods(requests, [held_out[i] for i in batch])
                rows = [{"request_id": self.prompts[i][0], "generator": name, "condition": condition} for i in batch]
                self.likelihoods.append([row | vars(one) for row, one in zip(rows, found, strict=True)])

    def asked(self, name: str) -> list[int]:
        """The prompts that a generator answers: one with words left out, those whose captions have such words."""
        rival = self.rivals[name]
        return [i for i, (_, sprite) in enumerate(self.prompts) if rival.word is None or states(sprite.caption, rival.word)]

    def unconstrained(self, name: str) -> list[int]:
        """Those that it also answers without the grammar: none where it writes grids only, is led or has something left out."""
        rival = self.rivals[name]
        free = rival.transformer is None and not rival.guidance and not rival.left_out
        return list(range(len(self.prompts)))[: self.recipe.unconstrained if free else 0]

    def measured(self, name: str) -> list[int]:
        """The held-out sprites that a generator is asked the bits of."""
        own = self.rivals[name].has_own_likelihoods
        return [i for i in self.asked(name) if i < self.recipe.likelihoods] if own else []

    def conditions(self, name: str) -> list[str]:
        """What a generator is told while the bits are measured."""
        rival = self.rivals[name]
        if rival.left_out:
            return [likelihood.RIGHT]
        return [c for c in likelihood.CONDITIONS if c != likelihood.EMPTY or rival.can_be_told_nothing]

    def is_complete(self, name: str) -> bool:
        keys = [key for key, _ in self.prompts]
        wanted = {(name, GRAMMAR, keys[i]) for i in self.asked(name)}
        wanted |= {(name, UNCONSTRAINED, keys[i]) for i in self.unconstrained(name)}
        bits = {(name, condition, keys[i]) for condition in self.conditions(name) for i in self.measured(name)}
        return wanted <= self.completions.done and bits <= self.likelihoods.done

    def recorded(self, name: str) -> Answer:
        """What answers with the drawings that a generator has in the folder, by mode and index: its rounds go on from them."""
        drawn = {
            (row["mode"], row["index"]): Drawing(row["text"], row["seconds"], row["tokens"])
            for row in self.completions.rows() if row["generator"] == name
        }  # fmt: skip
        return lambda requests, sampling, mode, batch_size: (drawn[mode, request.index] for request in requests)

    def fill(self, name: str, model: Generator) -> None:
        """Adds the missing rows of a generator whose bare model is loaded, of which each process draws its share."""
        generator = self.rivals[name].around(model, [sprite for _, sprite in self.training], self.recorded)
        if self.measured(name):
            self.add_likelihoods(name, generator)
        self.add_drawings(name, generator, GRAMMAR, self.asked(name))
        self.add_drawings(name, generator, UNCONSTRAINED, self.unconstrained(name))
        self.likelihoods.gather()
        self.completions.gather()


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


def log_of(rival: rivals.Rival) -> Path | None:
    """The training log beside its weights; None for a bare base model or without a log."""
    folder = Path(rival.adapter) if rival.adapter else Path(rival.transformer).parent if rival.transformer else None
    return folder / LOG if folder is not None and (folder / LOG).exists() else None


def training_seconds(rival: rivals.Rival) -> float | None:
    """How long its weights were trained; None without a log of it all."""
    if (log := log_of(rival)) is None:
        return None
    seen = AdapterFacts.load(Path(rival.adapter)).sprites_seen if rival.adapter else None
    return seconds_in(read_rows(log, check_log).rows, seen)


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
    told = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return told.stdout.strip() if told.returncode == 0 else ""


def generate(recipe: GenerateRecipe, runs: Path = Path("runs")) -> Path:
    """Fills `runs/<name>` and returns it. A model is loaded by itself, base and adapter never share weights; rivals of the
    same weights that stand together share one. Several processes make the same files as one would, but for the seconds."""
    mine = processes()
    with alone(runs / recipe.name, mine.is_first):
        return _fill(Run(recipe, runs / recipe.name, mine), recipe.dtype)


def _fill(run: Run, dtype: str) -> Path:
    run.add_controls()
    model: Generator | None = None
    loaded: tuple = ()
    for name, rival in run.rivals.items():
        if run.is_complete(name):
            print(f"{name}: all rows are there; reused")
            continue
        if model is None or rival.weights != loaded:
            print(f"{name}: loading", flush=True)
            model = None  # its memory is free before the next one is loaded
            model, loaded = rival.load(dtype), rival.weights
        run.fill(name, model)
    return run.folder


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m eval.generate RECIPE.yaml", file=sys.stderr)
        return 2
    return exit_code("draw", lambda: generate(read_recipe(Path(arguments[0]))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
