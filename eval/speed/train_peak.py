"""The most memory that one way to train takes; on a CPU in a process of its own.

    python -m eval.speed.train_peak WAY SETTING FOLDER

`eval.speed.train` starts it. SETTING: an `eval.speed.train_ways.Setting` as JSON; FOLDER: where the sprites lie prepared. Takes
two steps, of ours one of either kind, and prints the peak of resident memory in bytes.
"""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from data_prep.errors import InputError, exit_code
from eval.speed.train_ways import OURS, Setting, Stepper, Work
from finetune.memory_advice import peak_memory
from finetune.quiet import quieten


def steps_of(way: str, every: int) -> tuple[bool, ...]:
    """Whether each of two steps takes the full head."""
    return (every == 1, True) if way == OURS else (True, True)


def resident(setting: Setting, way: str, place: Path) -> int:
    """Bytes, libraries and weights included. Raises InputError where the process fails."""
    command = [sys.executable, "-m", "eval.speed.train_peak", way, json.dumps(asdict(setting)), str(place)]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}; too little memory?"]
        raise InputError(f"bench train: measuring the memory of {way} failed: {said[-1]}")
    return int(done.stdout.split()[-1])


def allocated(stepper: Stepper, way: str) -> int:
    """Bytes on a GPU: what the way holds between steps, and what two steps take beyond that. Other ways' weights are left out."""
    import torch

    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    for full in steps_of(way, stepper.every):
        stepper.step(full)
    return torch.cuda.max_memory_allocated() - before + held(stepper)


def held(stepper: Stepper) -> int:
    """Bytes of weights and of the optimizer's moments."""
    states = stepper.trainer.optimizer.state.values()
    moments = [value for state in states for value in state.values() if hasattr(value, "nbytes")]
    tensors = [*stepper.model.parameters(), *stepper.model.buffers(), *moments]
    return sum({one.data_ptr(): one.nbytes for one in tensors}.values())


def main(arguments: list[str]) -> int:
    def run() -> int:
        way, setting, place = arguments
        quieten()
        stepper = Stepper(Work.make(Setting(**json.loads(setting)), Path(place)), way)
        for full in steps_of(way, stepper.every):
            stepper.step(full)
        return int(peak_memory())

    return exit_code("train_peak", run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
