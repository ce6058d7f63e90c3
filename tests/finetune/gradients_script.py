"""Run by test_restricted_head under torchrun: a restricted and a full step of the real trainer; notes each rank's gradient."""

import hashlib
import json
import os
import sys
from pathlib import Path

import torch
from transformers import TrainerCallback

from finetune.config import parse
from finetune.setup import load_run
from finetune.trainer import IGNORED


class Gradients(TrainerCallback):
    """Notes the gradient right before each optimizer step, after the processes have averaged it."""

    def __init__(self):
        self.found = []

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        digest = hashlib.sha256(gradient.numpy().tobytes()).hexdigest()
        self.found.append({"norm": float(gradient.norm()), "digest": digest})


@torch.no_grad()
def by_hand(trainer, sprites: int) -> float:
    """The restricted loss of the first sprites: −log p of each one alone, over the number of all their labels."""
    total, count = 0.0, 0
    for number in range(sprites):
        batch = trainer.data_collator([trainer.train_dataset[number]])
        nats = trainer.restricted_head.label_nats(trainer.model, {key: batch[key] for key in ("input_ids", "labels")})
        total += float(nats.sum())
        count += int((batch["labels"] != IGNORED).sum())
    return total / count


def main(model: str, dataset: str, out: str, processes: str) -> None:
    cut = {"1": ("4", "1"), "2": ("1", "2")}[processes]  # how a step's four sprites are cut
    flags = {
        "model_name_or_path": model, "dataset": dataset, "output_dir": f"{out}/run-{processes}", "dtype": "float32",
        "lora_target_modules": "all-linear", "lora_dropout": "0", "bf16": "false", "use_cpu": "true", "max_steps": "2",
        "full_head_every": "2", "per_device_train_batch_size": cut[0], "gradient_accumulation_steps": cut[1],
        "save_strategy": "no", "max_grad_norm": "1000", "train_sampling_strategy": "sequential",
        "learning_rate": "1e-9", "logging_steps": "1",
    }  # fmt: skip
    gradients = Gradients()
    trainer = load_run(parse([part for key, value in flags.items() for part in (f"--{key}", value)])).trainer()
    trainer.add_callback(gradients)
    expected = by_hand(trainer, 4)
    trainer.train()
    found = dict(zip(("restricted", "full"), gradients.found, strict=True))
    found |= {"world_size": trainer.args.world_size, "expected": expected, "loss": trainer.state.log_history[0]["loss"]}
    Path(out, f"{processes}-{trainer.args.process_index}.json").write_text(json.dumps(found))
    trainer.accelerator.wait_for_everyone()
    trainer.end()
    os._exit(0)  # the interpreter's own end hangs now and then after gloo


if __name__ == "__main__":
    main(*sys.argv[1:])
