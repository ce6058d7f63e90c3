"""Entry: trains both critics on prepared datasets and measures them on the test splits.

    python -m eval.train_critics --out eval/critics/reef --dataset datasets/reef16_24k --dataset datasets/reef_sizes \
        --dataset datasets/packs_native

Reads data/*.parquet, manifest.json and palette.json of each dataset. Writes OUT/critics.json (hashes, families, calibration,
tables, confusions), OUT/guide.safetensors, OUT/judge.safetensors (float16) and OUT/table.md. `--measure` trains nothing: it
measures the critics that are in OUT and writes critics.json and table.md anew (under a minute). Each critic sees its own half
of the training sprites, by a hash of their ids. Ends with 3 where a critic does not rank every degenerate control below
held-out sprites: `score` will not use it. The line above made the committed ones, in about seven minutes on two cores; the
datasets come from data_prep/recipes (reef16 with 24,000 sprites, reef_sizes, packs).
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from data_prep.errors import InputError, exit_code
from data_prep.pairs import content_hash
from data_prep.palette import Palette
from data_prep.splits import share
from data_prep.sprite import Sprite
from eval.baseline.model_folder import put_back, staged
from eval.run_folder import read_json, write_atomically

EPOCHS = {"guide": 14, "judge": 18}
SEEDS = {"guide": 101, "judge": 202}
MAX_TRAINING = 12_000  # sprites of 16×16 a critic, or as many pixels of other sizes
MAX_TESTED = 600  # held-out sprites of 16×16, or as many pixels; those of equal hash in every run
_PIXELS = MAX_TRAINING * 16 * 16


def read(dataset: Path, split: str, required: bool = True) -> list[tuple[str, Sprite]]:
    """(id, sprite) of a split, in order of the ids' hashes. Raises InputError."""
    from eval.generate import read_split

    if not required and not list((dataset / "data").glob(f"{split}-*.parquet")):
        return []
    palette = Palette.from_json(read_json(dataset / "palette.json"))
    rows = [(row["id"], sprite) for row, sprite in read_split(dataset, split, palette)]
    return sorted(rows, key=lambda row: share(f"critics:{row[0]}"))


def half(rows: Sequence[tuple[str, Sprite]], name: str) -> list[Sprite]:
    """The training sprites of one critic: `guide` has one half of the ids' hashes, `judge` the other; never both."""
    return [sprite for id, sprite in rows if (share(f"critic half:{id}") < 0.5) == (name == "guide")]


def few(datasets: Sequence[Sequence[Sprite]], pixels: int) -> list[Sprite]:
    """The first ones of each dataset, of each the same share of `pixels`; what one leaves over is not passed on."""
    chosen = []
    for sprites in datasets:
        room = pixels / len(datasets)
        for sprite in sprites:
            room -= sprite.grid.size
            if room < 0:
                break
            chosen.append(sprite)
    return chosen


def train(datasets: Sequence[Path], out: Path, epochs: dict[str, int] | None = None) -> dict:
    """Trains, measures and writes both critics → the content of critics.json. Raises InputError."""
    from eval.metrics import critic_tables, critic_training, critics

    _refuse_others(out)
    splits = {split: [read(folder, split, split == "train") for folder in datasets] for split in ("train", "validation")}
    validation, held_out = few([[sprite for _, sprite in rows] for rows in splits["validation"]], _PIXELS), tested(datasets)
    trained = {}
    for name in ("guide", "judge"):
        started = time.monotonic()
        taught = few([half(rows, name) for rows in splits["train"]], _PIXELS)
        calibration = validation or _spare(splits["train"], name)
        critic = critic_training.train(name, taught, calibration, SEEDS[name], (epochs or EPOCHS)[name])
        facts = {**critic.facts, "seconds": round(time.monotonic() - started, 1), "test": critic_tables.measure(critic, held_out)}
        trained[name] = critics.frozen(name, critic.network, facts)
    return write(out, _named(datasets), trained)


def tested(datasets: Sequence[Path]) -> list[Sprite]:
    """The held-out sprites that critics are measured on. Raises InputError where a dataset has none."""
    splits = [read(folder, "test", False) for folder in datasets]
    if not all(splits):
        raise InputError("train_critics: each dataset needs a test split; run `pixelreef prepare` with more sprites")
    return few([[sprite for _, sprite in rows] for rows in splits], MAX_TESTED * 16 * 16)


def measure(datasets: Sequence[Path], out: Path) -> dict:
    """Measures the critics of `out` anew, their weights as they are → the content of critics.json.

    Raises InputError where a critic is missing or has learnt from other datasets.
    """
    from eval.metrics import critic_tables, critics

    put_back(out.resolve())
    found = read_json(out / "critics.json")
    loaded = {name: critics.load(out, name) for name in found["critics"]}
    if found["datasets"] != _named(datasets):
        known = ", ".join(f"{one['name']} ({one['hash'][:12]})" for one in found["datasets"])
        raise InputError(f"{out / 'critics.json'}: the critics have learnt from {known}; give these, in this order")
    held_out = tested(datasets)
    for name, critic in loaded.items():
        found["critics"][name]["test"] = critic_tables.measure(critic, held_out)
    return _write_facts(out, found)


def _named(datasets: Sequence[Path]) -> list[dict]:
    return [{"name": folder.name, "hash": content_hash(folder)} for folder in datasets]


def write(out: Path, datasets: list[dict], trained: dict) -> dict:
    """Writes weights, critics.json and table.md of measured critics (name → Critic) → the content of critics.json.

    The critics that `out` had stand until all of that is written. Raises InputError where it holds other things.
    """
    _refuse_others(out)
    with staged(out.resolve()) as folder:
        found = {
            name: critic.facts | {"sha256": _save(critic, folder / f"{name}.safetensors")} for name, critic in trained.items()
        }
        return _write_facts(folder, {"format": 1, "datasets": datasets, "critics": found})


def _refuse_others(out: Path) -> None:
    """The folder gives way as a whole: raises InputError where something in it is not of critics, and for a file."""
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: is no folder; choose another one")
    known = {"critics.json", "table.md", *(f"{name}.safetensors" for name in SEEDS)}
    left = (".critics.json-", ".table.md-")  # by a kill, while these were written
    names = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    others = [name for name in names if name not in known and not name.startswith(left)]
    if others:
        raise InputError(f"--out {out}: holds {others[0]!r}, which is not of critics; choose another folder")


def _write_facts(out: Path, result: dict) -> dict:
    """Writes critics.json and table.md, and returns what it was given."""
    from eval.metrics.critic_tables import markdown

    write_atomically(out / "critics.json", json.dumps(result, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    tables = "\n".join(markdown(name, facts) for name, facts in result["critics"].items())
    write_atomically(out / "table.md", f"# The critics, measured on held-out sprites\n\n{tables}")
    return result


def _spare(training: Sequence[Sequence[tuple[str, Sprite]]], name: str) -> list[Sprite]:
    """Sprites to calibrate on where no validation split is: some that only the other critic has learnt from."""
    other = "guide" if name != "guide" else "judge"
    return few([half(rows, other) for rows in training], MAX_TESTED * 16 * 16)


def _save(critic, path: Path) -> str:
    """Writes the weights as float16 → the file's SHA-256. Counters of batches are left out."""
    import torch
    from safetensors.torch import save

    state = critic.network.state_dict()
    packed = save({key: value.to(torch.float16).contiguous() for key, value in state.items() if value.is_floating_point()})
    path.write_bytes(packed)
    return hashlib.sha256(packed).hexdigest()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m eval.train_critics", description="Trains the critics guide and judge.")
    parser.add_argument("--dataset", type=Path, action="append", required=True, help="prepared dataset; may be given again")
    parser.add_argument("--out", type=Path, required=True, help="folder for critics.json, weights and table.md")
    parser.add_argument("--epochs", type=int, help="fewer are faster and worse")
    parser.add_argument("--measure", action="store_true", help="train nothing; measure the critics of OUT and write their tables")
    options = parser.parse_args(argv)
    unfit = []

    def run() -> Path:
        epochs = None if options.epochs is None else dict.fromkeys(EPOCHS, max(1, options.epochs))
        result = measure(options.dataset, options.out) if options.measure else train(options.dataset, options.out, epochs)
        unfit.extend(name for name, facts in result["critics"].items() if not facts["test"]["ranks_all"])
        return options.out / "table.md"

    code = exit_code("train_critics", run)
    if not code and unfit:
        print(f"train_critics: {' and '.join(unfit)} cannot rank every degenerate control; see table.md", file=sys.stderr)
        return 3
    return code


if __name__ == "__main__":
    sys.exit(main())
