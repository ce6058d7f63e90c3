"""The step line of preference training: how far chosen drawings have become more probable than rejected ones."""

import json
import time
from pathlib import Path

from transformers import TrainerCallback

from data_prep.whole_files import rows_until
from finetune.adapter_folder import LOG
from finetune.memory import GB
from finetune.memory_advice import peak_memory

SAID = ("rewards/margins", "rewards/accuracies", "logps/chosen", "logps/rejected", "entropy", "grad_norm", "learning_rate")


class PreferenceLine(TrainerCallback):
    """Prints a line and adds a row to `training_log.jsonl`: step, sprites (pairs that went by), loss, TRL's numbers, seconds,
    memory. The seconds are those of the whole run, the guard's looks included. Only the first process speaks."""

    def __init__(self, out: Path, pairs_per_step: int):
        self.log, self.pairs_per_step = out / LOG, pairs_per_step

    def on_train_begin(self, args, state, control, **kwargs):
        """Forgets logged steps that a resumed run will take again, and carries on their clock."""
        self.started, self.seconds_before = time.perf_counter(), 0.0
        if state.is_world_process_zero:
            kept = rows_until(self.log, state.global_step)
            self.seconds_before = max([0.0, *(row.get("seconds", 0.0) for row in kept)])

    def on_log(self, args, state, control, logs=None, **kwargs):
        if not state.is_world_process_zero or "loss" not in logs:
            return
        seconds = round(self.seconds_before + time.perf_counter() - self.started, 2)
        row = {"step": state.global_step, "sprites": state.global_step * self.pairs_per_step, "loss": logs["loss"]}
        row |= {key: logs.get(key) for key in SAID} | {"seconds": seconds, "memory_gb": peak_memory() / GB}
        with open(self.log, "a") as file:
            file.write(json.dumps(row) + "\n")
        print(
            f"step {row['step']}/{state.max_steps}  loss {row['loss']:.4f}  margin {row['rewards/margins']:.3f}  "
            f"{row['rewards/accuracies']:.0%} in order  {row['memory_gb']:.1f} GB  {seconds:.0f} s",
            flush=True,
        )
