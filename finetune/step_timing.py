"""How long training on a sprite takes here: what `pixelreef train my_sprites/ --minutes M` turns minutes into steps by."""

import gc
import time
from dataclasses import replace

import numpy as np

WARM = 128  # tokens of a row with which torch is warmed up, and from which is guessed how long the timing itself takes
ENOUGH = 1024  # tokens that a CPU takes in at once as quickly as more of them


def seconds_a_sprite(run, say=print) -> float:
    """Seconds that training on one sprite of a `finetune.setup.Run` takes: the mean over its sprites and both kinds of step.

    Times one batch of sprites of middling length, on a CPU no more of them than it takes. say: is told beforehand about how
    long that takes.
    """
    import torch

    lengths, every = grid_lengths(run), run.config.recipe.full_head_every
    order = np.argsort(lengths, kind="stable")
    count = min(run.config.training.per_device_train_batch_size, len(lengths))
    if run.config.training.device.type == "cpu":
        count = min(count, -(-ENOUGH // int(np.median(lengths))))
    start = (len(lengths) - count) // 2
    rows = run.data["train"].select(order[start : start + count])
    trainer = replace(run, data={"train": rows}).trainer()
    batch = trainer.data_collator(list(trainer.train_dataset))
    batch = {key: value.to(trainer.args.device) for key, value in batch.items()}
    tokens = batch["input_ids"].shape[1]
    short = {key: value[:, -WARM:] for key, value in batch.items()}
    _seconds(trainer, short, 0)
    warm = sum(_seconds(trainer, short, step) for step in (0, every - 1))
    say(f"timing a step on this machine: about {max(1, round(warm * tokens / WARM))} s")
    restricted, full = (_seconds(trainer, batch, step) for step in (0, every - 1))
    del trainer
    gc.collect()  # trainer and callbacks hold each other; the run itself loads its model anew
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    mean = lengths.mean() + tokens - lengths[order[start + count - 1]]
    return (restricted * (every - 1) + full) / every / count * mean / tokens


def grid_lengths(run) -> np.ndarray:
    """Tokens of the completion of each training sprite, by its size."""
    train = run.data["train"]
    sizes = list(zip(train["height"], train["width"], strict=True))
    tokens = {size: len(run.tokens.schedule(run.palette, *size).ids) for size in set(sizes)}
    return np.array([tokens[size] for size in sizes])


def _seconds(trainer, batch: dict, step: int) -> float:
    """Of a forward and a backward pass, as optimizer step `step` takes them."""
    import torch

    args = trainer.args
    trainer.model.train()
    trainer.state.global_step, started = step, time.perf_counter()
    with torch.autocast(args.device.type, torch.bfloat16, enabled=bool(args.bf16)):
        loss = trainer.compute_loss(trainer.model, dict(batch))
    loss.backward()
    if args.device.type == "cuda":
        torch.cuda.synchronize()
    trainer.model.zero_grad()
    return time.perf_counter() - started
