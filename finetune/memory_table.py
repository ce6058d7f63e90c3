"""The table of docs/memory.md, and the measured runs beside it in memory.jsonl; see `finetune.memory` for the command."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

from data_prep.errors import InputError
from data_prep.printable import table
from data_prep.whole_files import write_whole
from finetune.memory import BAND, GB, RUNTIME, SHAPES, Setting, Shape, predict, shape_of

LENGTHS = {16: 352, 24: 680, 32: 1136}  # tokens of a sprite of such a side with a caption of some 15 words
SMALL = 8 * GB
HEAD = ("model", "tokens", "batch", "rank", "precision", "attention", "checkpointing", "blind", "measured", "predicted", "off by")


def command(arguments: list[str]) -> Path | None:
    """`FILE.md` writes the table, after a measured run where flags of a recipe follow; `--run FLAGS` is that run itself."""
    if arguments[:1] == ["--run"]:
        print(json.dumps(_run(arguments[1:])))
        return None
    if not arguments or not arguments[0].endswith(".md"):
        raise InputError("usage: python -m finetune.memory FILE.md [--config RECIPE --key value …]")
    page = Path(arguments[0])
    if arguments[1:]:
        _note(page.with_suffix(".jsonl"), measure(arguments[1:]))
    return write_whole(page, render(measured(page.with_suffix(".jsonl"))))


def measure(flags: list[str]) -> dict:
    """Trains a few steps in a process of its own → shape, setting, and in bytes the peak and what Python and torch took."""
    done = subprocess.run([sys.executable, "-m", "finetune.memory", "--run", *flags], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"the measured run failed: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def _run(flags: list[str]) -> dict:
    """Measures, trains and measures like `finetune.train`, without writing a checkpoint or an adapter."""
    from finetune.quiet import quieten

    quieten()
    from finetune.config import parse
    from finetune.memory_advice import peak_memory, setting_of
    from finetune.setup import load_run

    run = load_run(parse([*flags, "--save_strategy", "no"]))
    shape, setting = shape_of(run.base.location, run.base.hub_id.rpartition("/")[2]), setting_of(run)
    if shape is None or setting is None:
        raise InputError(f"{run.base.hub_id}: no formula for such layers, LoRA targets or weights of 8 bits")
    runtime = RUNTIME["cuda"] if setting.device == "cuda" else peak_memory()
    trainer = run.trainer()
    run.measure(trainer)
    trainer.train()
    peak = peak_memory() + (runtime if setting.device == "cuda" else 0)
    told = {"shape": asdict(shape), "setting": asdict(setting), "random": run.config.recipe.random_init}
    return told | {"measured": peak, "runtime": runtime}


def _note(file: Path, row: dict) -> None:
    """Adds a measured run; one of the same shape and setting is replaced."""
    key = (row["shape"], row["setting"])
    rows = [old for old in measured(file) if (old["shape"], old["setting"]) != key] + [row]
    write_whole(file, "".join(json.dumps(one) + "\n" for one in rows))


def measured(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def render(rows: list[dict]) -> str:
    """The whole page. rows: measured runs."""
    return "\n".join([*_head(), *_measured_part(rows), *_small_gpu(), *_all_shapes()]) + "\n"


def _head() -> list[str]:
    return [
        "# Memory of training",
        "",
        "Written by `python -m finetune.memory docs/memory.md`; do not edit. The formula is in `finetune/memory.py`.",
        "Before a model is loaded, `train` compares this prediction with what is free, and says what to change where it does not",
        "fit.",
        "",
    ]


def _measured_part(rows: list[dict]) -> list[str]:
    lines = ["## Measured on a CPU, against the prediction", ""]
    lines += ["Peak resident memory of the whole process, with its measuring before training, in GB of 10⁹ bytes.", ""]
    cells, errors = [], []
    for row in rows:
        shape, setting = Shape(**row["shape"]), Setting(**row["setting"])
        peak = predict(shape, setting).peak
        errors.append(peak / row["measured"] - 1)
        model = shape.name + (" (random weights)" if row["random"] else "")
        figures = (f"{row['measured'] / GB:.2f}", f"{peak / GB:.2f}", f"{errors[-1]:+.0%}")
        words = (setting.tokens, setting.batch, setting.rank, setting.precision, setting.attention)
        cells.append(
            (model, *words, *("yes" if true else "no" for true in (setting.checkpointing, not row.get("fitted"))), *figures)
        )
    lines += table(HEAD, cells)
    if errors:
        inside = sum(abs(error) <= BAND for error in errors)
        lines += ["", f"{inside} of {len(errors)} lie within ±{BAND:.0%}; the worst is {max(errors, key=abs):+.0%}."]
        blind = [error for row, error in zip(rows, errors, strict=True) if not row.get("fitted")]
        if blind:
            worst = max(blind, key=abs)
            lines += [f"Measured after the formula was settled: {len(blind)}, the worst of which is {worst:+.0%}."]
        lines += [""]
    return lines


def _small_gpu() -> list[str]:
    """What Qwen3-1.7B in 4 bits takes on 32×32, and what of it fits a GPU of 8 GB."""
    shape = next(shape for shape in SHAPES if shape.name == "Qwen3-1.7B")
    lines = ["## Qwen3-1.7B QLoRA on 32×32, for a GPU of 8 GB", ""]
    lines += ["Predicted, not measured: no run on a GPU stands behind these figures. Rank 32, NF4 with nested scales, SDPA.", ""]
    cells = []
    for batch in (1, 2, 4, 8):
        for checkpointing in (False, True):
            peak = predict(shape, _gpu(batch, 32, 32, "nf4", checkpointing)).peak
            upper = peak * (1 + BAND)
            fits = "yes" if upper <= SMALL else "perhaps" if peak <= SMALL else "no"
            cells.append((batch, "yes" if checkpointing else "no", f"{peak / GB:.1f}", f"{upper / GB:.1f}", fits))
    head = ("batch", "checkpointing", "predicted GB", f"with {BAND:.0%} more", "fits 8 GB")
    return [*lines, *table(head, cells), ""]


def _gpu(batch: int, size: int, rank: int, precision: str, checkpointing: bool = False) -> Setting:
    setting = Setting(batch, LENGTHS[size], rank, precision=precision, nested=precision == "nf4", rows=284, device="cuda")
    return replace(setting, checkpointing=checkpointing)


def _all_shapes() -> list[str]:
    """Predicted GPU memory of every shape, without checkpointing and with it."""
    lines = ["## Predicted on a GPU, in GB (not measured)", ""]
    lines += ["LoRA on all linear layers, SDPA, AdamW; in brackets with activation checkpointing. 'x4': 4 sprites at once.", ""]
    kinds = [(size, precision, batch) for size in (16, 32) for precision in ("bf16", "nf4") for batch in (1, 4, 16)]
    cells = []
    for shape in SHAPES:
        for rank in (8, 16, 32):
            both = [
                [predict(shape, _gpu(b, size, rank, how, light)).peak / GB for light in (False, True)] for size, how, b in kinds
            ]
            cells.append((shape.name, rank, *(f"{plain:.1f} ({light:.1f})" for plain, light in both)))
    return [*lines, *table(("model", "rank", *(f"{size}×{size} {how} x{b}" for size, how, b in kinds)), cells)]
