"""What a person sees while a model trains: a step line, and `training_log.jsonl` beside the checkpoints."""

import json
import math
import resource
import time
from pathlib import Path

from transformers import TrainerCallback


class StepLine(TrainerCallback):
    """Prints and logs step, loss, bits per token, sprites/s, tokens/s, peak memory and the time left.

    Only the first process speaks.
    """

    def __init__(self, log_path: Path, sprites_per_step: int):
        self.log_path, self.sprites_per_step = log_path, sprites_per_step

    def on_train_begin(self, args, state, control, **kwargs):
        """Forgets logged steps that a resumed run will take again, and carries on their clock."""
        self.started, self.first_step, self.seconds_before = time.perf_counter(), state.global_step, 0.0
        if not state.is_world_process_zero:
            return
        # a kill can tear the last line off; what it said will be said again
        lines = self.log_path.read_text().rpartition("\n")[0].splitlines() if self.log_path.exists() else []
        kept = [row for row in map(json.loads, lines) if row["step"] <= state.global_step]
        self.seconds_before = kept[-1]["seconds"] if kept else 0.0
        self.log_path.write_text("".join(json.dumps(row) + "\n" for row in kept))

    def on_log(self, args, state, control, logs=None, **kwargs):
        if not state.is_world_process_zero or "loss" not in logs:
            return
        row = self._row(state, logs)
        with open(self.log_path, "a") as file:
            file.write(json.dumps(row) + "\n")
        print(
            f"step {row['step']}/{state.max_steps}  loss {row['loss']:.4f}  {row['bits_per_token']:.3f} bits/token  "
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
            "grad_norm": logs.get("grad_norm"),
            "learning_rate": logs.get("learning_rate"),
            "seconds": round(self.seconds_before + seconds, 2),
            "sprites_per_second": steps * self.sprites_per_step / seconds,
            "tokens_per_second": logs.get("num_tokens", 0) / seconds,
            "memory_gb": peak_memory_gb(),
            "seconds_left": seconds / steps * (state.max_steps - state.global_step),
        }


def peak_memory_gb() -> float:
    """Peak memory of this process in GB: of the accelerator where there is one, else resident."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
