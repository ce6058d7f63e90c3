"""Advice instead of an out-of-memory trace: the prediction of `finetune.memory` against what is free, in one line."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from data_prep.errors import InputError
from finetune.memory import BAND, GB, LAYER_PARTS, Setting, Shape, needs, shape_of

GROUPS = (  # files of the control groups, version 2 and 1: what is allowed, what is taken
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def free_memory(device: str, groups=GROUPS) -> float:
    """Bytes that this process may still take: of the GPU, or of main memory and its control group, whichever is less."""
    if device == "cuda":
        import torch

        return float(torch.cuda.mem_get_info()[0])
    import psutil

    free = [psutil.virtual_memory().available]
    for limit, taken in groups:
        with suppress(OSError, ValueError):  # ValueError: 'max', which is no limit
            free.append(max(0, int(Path(limit).read_text()) - int(Path(taken).read_text())))
    return float(min(free))


def peak_memory() -> float:
    """Peak bytes that this process has taken: of the GPU what torch reserved, where it did, else resident memory."""
    import torch

    if torch.cuda.is_available() and torch.cuda.max_memory_reserved():
        return float(torch.cuda.max_memory_reserved())
    with suppress(OSError):  # Linux; its ru_maxrss is no help, since a process inherits its parent's
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024.0 for line in lines if line.startswith("VmHWM"))
    import resource

    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # bytes on macOS


def setting_of(run) -> Setting | None:
    """What decides the memory of a `finetune.setup.Run`; None for what `predict` does not know (8-bit weights, other targets)."""
    model, args = run.config.model, run.config.training
    targets = LAYER_PARTS if model.lora_target_modules in (None, "all-linear", ["all-linear"]) else model.lora_target_modules
    if model.load_in_8bit or not set(targets) <= set(LAYER_PARTS):
        return None
    return Setting(
        batch=args.per_device_train_batch_size,
        tokens=longest(run),
        rank=_rank(run.config),
        targets=tuple(targets),
        precision="nf4" if model.load_in_4bit else "fp32" if model.dtype == "float32" else "bf16",
        nested=model.use_bnb_nested_quant,
        attention=model.attn_implementation or "sdpa",
        checkpointing=bool(args.activation_checkpointing),
        full_head=run.config.recipe.full_head_every <= max(args.max_steps, 1) or args.max_steps < 1,
        rows=len(run.tokens.allowed_ids([run.palette])),
        eight_bit="8bit" in str(args.optim),
        device=args.device.type,
    )


def _rank(config) -> int:
    """Of the recipe's LoRA, or of the adapter that training goes on from."""
    if not config.recipe.start_from:
        return config.model.lora_r
    return json.loads((Path(config.recipe.start_from) / "adapter_config.json").read_text())["r"]


def longest(run) -> int:
    """Tokens of the longest training pair, by the largest grid and the longest prompt."""
    train = run.data["train"]
    height, width = max(set(zip(train["height"], train["width"], strict=True)), key=lambda size: size[0] * size[1])
    prompt = max(train["prompt"], key=lambda turns: sum(len(turn["content"]) for turn in turns))
    return len(run.tokens.prompt_ids(prompt)) + len(run.tokens.schedule(run.palette, height, width).ids)


def changes(setting: Setting) -> Iterator[tuple[str, Setting]]:
    """Settings that need less memory, each with what to change; the mildest first, each going on from the one before."""
    steps = 1
    while setting.batch > 1:
        steps *= 2
        setting = replace(setting, batch=setting.batch // 2)
        yield f"per_device_train_batch_size {setting.batch} and gradient_accumulation_steps {steps} times as high", setting
    said = "per_device_train_batch_size 1"
    lighter = replace(setting, checkpointing=True)
    smaller = replace(lighter, rank=min(setting.rank, 8))
    quantised = replace(smaller, precision="nf4")
    for key, changed in (("activation_checkpointing true", lighter), ("lora_r 8", smaller), ("load_in_4bit true", quantised)):
        if changed != setting:
            setting, said = changed, f"{said}, {key}"
            yield said, setting


def advice(shape: Shape, setting: Setting, free: float) -> str:
    """The mildest change with which the run fits in `free` bytes beside this process, in words."""
    for said, changed in changes(setting):
        needed = needs(shape, changed)
        if needed <= free:
            return f"set {said} (about {needed / GB:.1f} GB)"
    return "take a smaller base model or smaller sprites"


def check_memory(run, say=print, free: float | None = None) -> None:
    """Before weights are loaded: raises InputError where the run cannot fit even if the prediction is too high by its band,
    says so where it may not fit, and says nothing where it fits or where the model's shape is not known.

    free: bytes; by default what is free now.
    """
    shape, setting = shape_of(run.base.location, run.base.hub_id), setting_of(run)
    if shape is None or setting is None:
        return
    free = free_memory(setting.device) if free is None else free
    needed = needs(shape, setting) * _sharers(setting.device)
    where = "GPU memory" if setting.device == "cuda" else "memory"
    told = f"training takes about {needed / GB:.1f} GB of {where} and {free / GB:.1f} GB are free"
    if needed * (1 - BAND) > free:
        raise InputError(f"{told}; {advice(shape, setting, free / _sharers(setting.device))}")
    if needed * (1 + BAND) > free:
        say(f"{told}: it may not fit; if it does not, {advice(shape, setting, free / (1 + BAND))}")


def _sharers(device: str) -> int:
    """How many processes of the run share the memory: those of this machine on a CPU; each GPU has its own."""
    return 1 if device == "cuda" else int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


@contextmanager
def advised(run):
    """Within the block, running out of memory is an InputError that says what to change."""
    import torch

    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch's allocator on a CPU raises a plain RuntimeError
        if not (isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)):
            raise
        shape, setting = shape_of(run.base.location, run.base.hub_id), setting_of(run)
        what = "lower per_device_train_batch_size, or set activation_checkpointing true or load_in_4bit true"
        if shape is not None and setting is not None:  # it did not fit: what it was predicted to take is more than there is
            what = advice(shape, setting, 0.8 * needs(shape, setting))
        raise InputError(
            f"out of memory while training; {what}; checkpoints stay, but another recipe needs another output_dir"
        ) from error
