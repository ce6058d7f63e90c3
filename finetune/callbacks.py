"""What a person sees while a model trains: a step line, and `training_log.jsonl` beside the checkpoints."""

import json
import math
import time
from pathlib import Path

from transformers import TrainerCallback

from data_prep.whole_files import rows_until
from finetune.memory import GB
from finetune.memory_advice import peak_memory


class StepLine(TrainerCallback):
    """Prints and logs step, loss, bits per pixel, sprites/s, tokens/s, peak memory and the time left.

    Bits are those of the steps with the restricted head since the last line, the few per mille of mass that lie on other
    allowed tokens included; None where there was no such step. Only the first process speaks.
    """

    def __init__(self, log_path: Path, sprites_per_step: int):
        self.log_path, self.sprites_per_step = log_path, sprites_per_step

    def on_train_begin(self, args, state, control, **kwargs):
        """Forgets logged steps that a resumed run will take again, and carries on their clock."""
        self.started, self.first_step, self.seconds_before = time.perf_counter(), state.global_step, 0.0
        if not state.is_world_process_zero:
            return
        kept = rows_until(self.log_path, state.global_step)
        self.seconds_before = kept[-1]["seconds"] if kept else 0.0

    def on_log(self, args, state, control, logs=None, **kwargs):
        if not state.is_world_process_zero or "loss" not in logs:
            return
        row = self._row(state, logs)
        with open(self.log_path, "a") as file:
            file.write(json.dumps(row) + "\n")
        bits = "–" if row["bits_per_pixel"] is None else f"{row['bits_per_pixel']:.3f}"
        print(
            f"step {row['step']}/{state.max_steps}  loss {row['loss']:.4f}  {bits} bits/pixel  "
            f"{row['sprites_per_second']:.2f} sprites/s  {row['tokens_per_second']:.0f} tok/s  "
            f"{row['memory_gb']:.1f} GB  {row['seconds_left']:.0f} s left",
            flush=True,
        )

    def _row(self, state, logs: dict) -> dict:
        seconds = time.perf_counter() - self.started
        steps = state.global_step - self.first_step
        return {
            "step": state.global_step,
            "sprites": state.global_step * self.sprites_per_step,
            "loss": logs["loss"],
            "bits_per_token": logs["loss"] / math.log(2),
            "bits_per_pixel": logs.get("bits_per_pixel"),
            "grad_norm": logs.get("grad_norm"),
            "learning_rate": logs.get("learning_rate"),
            "seconds": round(self.seconds_before + seconds, 2),
            "sprites_per_second": steps * self.sprites_per_step / seconds,
            "tokens_per_second": logs.get("num_tokens", 0) / seconds,
            "memory_gb": peak_memory() / GB,
            "seconds_left": seconds / steps * (state.max_steps - state.global_step),
        }
