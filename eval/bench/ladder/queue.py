"""`pixelreef bench ladder`: trains and measures every rung with every seed, one after the other, and writes docs/ladder.*.

    pixelreef bench ladder [--size 8] [--sprites 240] [--seeds 1 2 3] [--rungs published LoRA …] [--device cuda]

A rung that is measured is a file `<rung>-<seed>-<settings>.json` under docs/ladder; run again, the queue goes on with what is
missing, on another machine too. What was measured under other settings, another --dtype among them, stays beside it. All rungs of
a seed come before those of the next. The page says how far it is. At 8×8 with 240 sprites, on one core that has bfloat16
instructions, a training takes 3 to 6 minutes and a measurement 2 to 5.
"""

import hashlib
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from data_prep.errors import InputError
from data_prep.sprite import MAX_SIDE, MIN_SIDE
from data_prep.whole_files import write_whole
from eval.bench.ladder.rungs import LADDER, Rung, named

METRICS = ("bits", "gain", "right_colour", "like_sprites", "valid")


@dataclass(frozen=True)
class Settings:
    """Of all rungs. sprites: seen in training; tested: prompts that are measured; free: of those, answered without a grammar;
    dtype: of all arithmetic."""

    size: int = 8
    sprites: int = 240
    tested: int = 60
    free: int = 20
    base: str = "smollm2-135m"
    dtype: str = "bfloat16"

    def __post_init__(self):
        least = {"size": MIN_SIDE, "sprites": 4, "tested": 2, "free": 1}
        for key, value in least.items():
            if getattr(self, key) < value:
                raise InputError(f"--{key} {getattr(self, key)}: it takes {value} or more")
        if self.size > MAX_SIDE:
            raise InputError(f"--size {self.size}: it takes {MAX_SIDE} or less")

    def key(self, rung: Rung, seed: int) -> str:
        """SHA-256 of everything that a measurement hangs on, but for the code."""
        trained = asdict(named(rung.weights))
        plain = [asdict(self), {k: v for k, v in asdict(rung).items() if k not in ("name", "change")}, trained, seed]
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def work(settings: Settings, seeds: list[int], rungs: tuple[Rung, ...], folder: Path) -> Iterator[tuple[int, list[Rung]]]:
    """What is missing: (seed, rungs that draw with the weights of the first), in order."""
    for seed in seeds:
        for trained in dict.fromkeys(rung.weights for rung in rungs):
            alike = [rung for rung in rungs if rung.weights == trained]
            if missing := [rung for rung in alike if load(folder, settings, rung, seed) is None]:
                yield seed, missing


def load(folder: Path, settings: Settings, rung: Rung, seed: int) -> dict | None:
    """What was measured under these settings, or None."""
    try:
        found = json.loads(file_of(folder, settings, rung, seed).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if found.get("key") == settings.key(rung, seed) else None


def file_of(folder: Path, settings: Settings, rung: Rung, seed: int) -> Path:
    """Where it is kept, beside what was measured under other settings."""
    return folder / f"{rung.name.replace(' ', '-')}-{seed}-{settings.key(rung, seed)[:8]}.json"


def run(settings: Settings, seeds: list[int], rungs: tuple[Rung, ...], folder: Path, device: str) -> Iterator[str]:
    """Trains and measures what is missing; yields a line after each rung."""
    from finetune.quiet import quieten

    quieten()
    from eval.bench.ladder.measuring import LadderModel, measure, unseen_sprites
    from eval.bench.ladder.training import train
    from finetune.base_models import load_model, load_tokenizer, resolve
    from finetune.cell_tokens import CellTokens

    base = resolve(settings.base)
    tokens, tested = CellTokens(load_tokenizer(base)), unseen_sprites(settings.size, settings.tested)
    folder.mkdir(parents=True, exist_ok=True)
    for seed, missing in work(settings, seeds, rungs, folder):
        started, trained = time.perf_counter(), named(missing[0].weights)
        if trained.trained:
            with tempfile.TemporaryDirectory() as out:
                model = train(trained, settings, seed, base, tokens, Path(out), device)
        else:
            model = load_model(base, settings.dtype).to(device).eval()
        seconds = time.perf_counter() - started
        for rung in missing:
            started = time.perf_counter()
            measured = measure(LadderModel(model, tokens, rung), tested, seed, settings.free)
            values = {metric: [v if v is None else round(v, 5) for v in found] for metric, found in measured.items()}
            told = {"key": settings.key(rung, seed), "rung": rung.name, "seed": seed, "train_seconds": round(seconds, 1)}
            told |= {"measure_seconds": round(time.perf_counter() - started, 1), "settings": asdict(settings), "values": values}
            write_whole(file_of(folder, settings, rung, seed), json.dumps(told) + "\n")
            yield line(rung, seed, told)


def line(rung: Rung, seed: int, told: dict) -> str:
    """What a terminal shows of a measured rung."""
    means = {metric: [v for v in told["values"][metric] if v is not None] for metric in METRICS}
    shown = ", ".join(f"{metric} {sum(values) / len(values):.2f}" for metric, values in means.items() if values)
    return f"seed {seed}, {rung.name}: {shown}; {told['train_seconds']:.0f} s training, {told['measure_seconds']:.0f} s measuring"


def chosen(names: list[str] | None) -> tuple[Rung, ...]:
    """Raises InputError for a rung that there is not."""
    known = {rung.name: rung for rung in LADDER}
    for name in names or ():
        if name not in known:
            raise InputError(f"--rungs {name}: there are {', '.join(known)}")
    return tuple(rung for rung in LADDER if not names or rung.name in names)
