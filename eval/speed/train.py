"""`pixelreef bench train`: how fast LoRA steps are, ours beside TRL as it comes and as its documentation tunes it.

    pixelreef bench train [--base smollm2-135m | --random qwen3-1.7b] [--size 16] [--batch 2] [--rank 16] [--full-head-every 8]
        [--dtype auto] [--repeats 5] [--device cuda]

All ways train the same base on one batch of the same tokens: procedural sprites, prepared into a folder that goes again.
First it is checked that they come to the same loss and the same gradients; then optimizer steps are timed in turns, and the
peak of memory is measured, on a CPU in a process of its own for each way. Ours is timed as two ways, its steps with the
restricted head and those with the full one: what is told is their mean over a cycle of `--full-head-every`. A way that is
out of memory on a GPU is told as such. Writes docs/speed/train.json and docs/speed.md, prints the section and the same
figures as one line of JSON.

`--dtype auto` is what the machine computes with quickly. In bfloat16 the base is bfloat16, the LoRA float32, under
autocast, as in the recipes. Liger's kernels are timed where there are a GPU and the package liger-kernel.
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from data_prep.errors import InputError
from data_prep.printable import table
from eval.speed import page
from eval.speed.contest import Times, environment, in_turns, spread, words

if TYPE_CHECKING:
    from eval.speed.train_ways import Setting, Stepper, Work

TITLE = "Training"
SAID = """LoRA steps: TRL's `SFTTrainer` with its defaults (checkpointing on, its fused head, SDPA as transformers takes
it), the same without checkpointing, that with plain logits in place of the fused head, with Liger's kernels, and ours: no
checkpointing, most steps with the head cut to the tokens that drawings use. All get one batch of the same tokens, a LoRA of
the same rank on all linear layers and AdamW; a unit of work is one optimizer step on that batch, with clipping and the
schedule, as the trainers' own loop takes it. Loading of data and logging are not in it; what the trainers compute for their
logs is. Tokens are prompts and drawings, without padding. First it is checked that with the same LoRA, off zero, all come
to the same loss over the whole vocabulary and the same gradients, and that our restricted loss is that of all logits
renormalised over the allowed tokens."""
LEFT = {
    "cpu": "pixelreef bench train",
    "cuda": "pixelreef bench train --device cuda --random qwen3-1.7b --size 32 --batch 16",
}
PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate")
RESTRICTED, FULL = "ours, restricted head", "ours, full head"


def cycle(restricted: Times, full: Times, every: int) -> Times:
    """Of a mean step, `every`-th ones with the full head."""
    pairs = ((restricted.wall, full.wall), (restricted.cpu, full.cpu))
    means = [tuple(((every - 1) * a + b) / every for a, b in zip(*clock, strict=True)) for clock in pairs]
    return Times(means[0], means[1], restricted.work)


def operations(model, rank: int, tokens: float, rows: float) -> float:
    """Multiplications and additions that a token of a LoRA step needs, nothing computed twice.

    Twice two for a frozen weight, forwards and to the gradient of its input; twice three for one of the LoRA; the causal half
    of the attention over sequences of so many tokens. rows: of the head, on average over the tokens.
    """
    import torch

    head, config = model.get_output_embeddings(), model.config
    sides = [
        (one.in_features, one.out_features)
        for one in model.modules()
        if isinstance(one, torch.nn.Linear) and one is not head
    ]  # fmt: skip
    width = config.num_attention_heads * (getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
    weights = sum(4 * a * b + 6 * rank * (a + b) for a, b in sides)
    return weights + 6 * config.num_hidden_layers * width * tokens + 4 * head.in_features * rows


def needs(work: "Work") -> dict[str, float]:
    """Kind of step → `operations` that a token of the batch needs. The head is needed where a token is taught alone."""
    model, every = work.model, work.setting.every
    vocabulary, allowed = model.get_output_embeddings().weight.shape[0], len(work.tokens.allowed_ids([work.palette]))
    taught, length = work.taught / work.counted, work.counted / len(work.rows)
    full, restricted = (operations(model, work.setting.rank, length, rows * taught) for rows in (vocabulary, allowed))
    return {RESTRICTED: restricted, FULL: full, "ours": ((every - 1) * restricted + full) / every}


def measure(setting: "Setting", repeats: int) -> dict:
    """All that the page shows, as JSON, but for the environment."""
    from eval.speed.limits import matrix_rate
    from eval.speed.train_same import compare
    from eval.speed.train_ways import BUILD, Stepper, Work, left_out

    with TemporaryDirectory() as folder:
        work, missing = Work.make(setting, Path(folder)), left_out(setting.device)
        steppers = {way: Stepper(work, way) for way in BUILD if way not in missing}
        same, failed = compare(work, steppers)
        same.refuse(setting.dtype)
        print(f"losses differ by {same.apart:.1e} at most", flush=True)
        times, needed = timed(steppers, setting.every, repeats), needs(work)
        peaks = peaks_of(work, steppers)
    rows = {
        way: {"wall": one.wall, "cpu": one.cpu, "operations": needed.get(way, needed[FULL]), "peak": peaks.get(way)}
        for way, one in times.items()
    }
    return asdict(setting) | asdict(same) | {
        "repeats": repeats, "tokens": work.counted, "taught": work.taught, "rows": rows, "left_out": missing | failed,
        "apart": same.apart, "attention": setting.attention, "longest": max(len(row["input_ids"]) for row in work.rows),
        "matrix_rate": matrix_rate(setting.device, setting.dtype, 8192 if setting.device == "cuda" else 1024),
    }  # fmt: skip


def timed(steppers: dict[str, "Stepper"], every: int, repeats: int) -> dict[str, Times]:
    """Seconds of a step, all ways in turns; ours as three: the mean over a cycle and its two kinds of step."""
    ours = steppers["ours"]
    steps = {way: (one, True) for way, one in steppers.items() if one is not ours}
    steps |= {RESTRICTED: (ours, False)} if every > 1 else {}
    steps |= {FULL: (ours, True)}
    found = in_turns({name: _turn(*step) for name, step in steps.items()}, repeats)
    parts = {way: found.pop(way) for way in (RESTRICTED, FULL) if way in found}
    return found | {"ours": cycle(parts.get(RESTRICTED, parts[FULL]), parts[FULL], every)} | parts


def _turn(stepper: "Stepper", full: bool) -> Callable[[int], None]:
    return lambda turn: stepper.step(full)


def peaks_of(work: "Work", steppers: dict[str, "Stepper"]) -> dict[str, int]:
    """Way → bytes at the most."""
    from eval.speed.train_peak import allocated, resident

    if work.setting.device == "cuda":
        return {way: allocated(stepper, way) for way, stepper in steppers.items()}
    return {way: resident(work.setting, way, work.place) for way in steppers}


def lines(found: dict) -> list[str]:
    head = ("", "seconds a step", "tokens a second", "sprites a second", "ours is", "by CPU time", "TFLOP/s", "of the limit",
            "peak memory, GB")  # fmt: skip
    every = f"one step in {found['every']} with the full head" if found["every"] > 1 else "every step with the full head"
    return [
        words(found),
        "",
        f"Sprites of {found['size']}×{found['size']}, {found['batch']} a step: {found['tokens']:,} tokens, at most "
        f"{found['longest']:,} a sprite, {found['taught']:,} of them taught; rank {found['rank']}, {found['dtype']}. Ours: "
        f"{every}, attention {found['attention']}. Medians of {found['repeats']} steps of each kind.",
        "",
        *table(head, [_row(found, way) for way in found["rows"]]),
        *(line for way, why in found["left_out"].items() for line in ("", f"{way}: not run, {why}.")),
        "",
        _same_in_words(found),
        "",
        _limit_in_words(found),
    ]


def _limit_in_words(found: dict) -> str:
    ours, full = (found["rows"][way]["operations"] / 1e9 for way in ("ours", FULL))
    peak = "what torch allocated" if found["kind"] == "cuda" else "resident, of a process of its own, Python included"
    return (
        f"TFLOP/s: {ours:.2f} GFLOP that a token needs in ours ({full:.2f} with the full head) when nothing is computed twice, "
        f"over the time; the limit: {found['matrix_rate'] / 1e12:.3g} TFLOP/s of a plain matrix product in {found['dtype']} in "
        f"the same process. Peak memory: {peak}."
    )


def _row(found: dict, way: str) -> list[str]:
    row, ours = found["rows"][way], _times(found["rows"]["ours"])
    times, tokens = _times(row), found["tokens"]
    rates = tokens * times.rates()
    clock, cpu = ("", "") if way.startswith("ours") else (f"{ours.ratio(times, clock):.2f} times" for clock in ("wall", "cpu"))
    done = row["operations"] * float(np.median(rates))
    peak = f"{row['peak'] / 1e9:.2f}" if row["peak"] else ""
    sprites = found["batch"] * float(np.median(times.rates()))
    return [way, spread(times.each()), spread(rates, ",.0f"), f"{sprites:.3g}", clock, cpu, f"{done / 1e12:.3g}",
            f"{done / found['matrix_rate']:.0%}", peak]  # fmt: skip


def _times(row: dict) -> Times:
    return Times(tuple(row["wall"]), tuple(row["cpu"]))


def _same_in_words(found: dict) -> str:
    losses, gradients = found["losses"], found["gradients"]
    return (
        f"With the same LoRA the losses are {min(losses.values()):.6f} to {max(losses.values()):.6f} nats a token, the "
        f"restricted one {found['restricted']:.6f}, that of all logits renormalised {found['renormalised']:.6f}: "
        f"{found['apart']:.1e} apart at most, relatively. Gradients differ from those of TRL as it comes by "
        f"{max(gradients.values()):.1e} of their norm at most."
    )


def bench(options) -> None:
    """Measures what the flags say and writes the page. Raises InputError."""
    _check(options)
    from datasets import disable_progress_bars

    from eval.speed.train_ways import Setting
    from finetune.precision import quick_dtype
    from finetune.quiet import quieten

    quieten()
    disable_progress_bars()
    dtype = quick_dtype(options.device) if options.dtype == "auto" else options.dtype
    setting = Setting(options.base, options.random, options.size, options.batch, options.rank, options.full_head_every, dtype,
                      options.device)  # fmt: skip
    found = measure(setting, options.repeats) | environment(PACKAGES, options.device)  # whose device is the processor's name
    base = f"{options.random}, random weights" if options.random else Path(options.base).name
    name = f"{base}, {options.size}×{options.size}, batch {options.batch}, {dtype}, {options.device}"
    page.show(options.docs, "train", name, found)


def _check(options) -> None:
    """Raises InputError for what cannot be measured."""
    import torch

    from eval.speed.shapes import SHAPES

    if min(options.batch, options.repeats, options.rank, options.full_head_every) < 1:
        raise InputError("bench train: --batch, --repeats, --rank and --full-head-every take 1 and more")
    if not 8 <= options.size <= 64:
        raise InputError(f"bench train: --size {options.size}: it takes 8 to 64")
    if options.random and options.random not in SHAPES:
        raise InputError(f"--random {options.random}: unknown; there are {', '.join(SHAPES)}")
    if options.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: there is none here")
