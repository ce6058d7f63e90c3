"""Run by test_invariants under accelerate launch: one recipe again and again in one process, to save the imports.

    resume_script.py OUT FLAGS…

Trains OUT/whole, goes on from each of its checkpoints in OUT/from-<step>, and trains OUT/other-seed with another seed.
"""

import shutil
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # instead of tests/, which has folders of the packages' names

from finetune.checkpoints import checkpoints  # noqa: E402
from finetune.train import main  # noqa: E402


def run(out: Path, flags: list[str]) -> None:
    assert main([*flags, "--output_dir", str(out)]) == 0


def everything(out: Path, flags: list[str]) -> None:
    run(out / "whole", flags)
    for checkpoint in checkpoints(out / "whole"):
        stopped = out / checkpoint.name.replace("checkpoint", "from")
        shutil.copytree(checkpoint, stopped / checkpoint.name)
        for name in ("recipe_hash", "training_log.jsonl"):
            shutil.copy(out / "whole" / name, stopped)
        run(stopped, flags)
    run(out / "other-seed", [*flags, "--seed", "2"])


if __name__ == "__main__":
    everything(Path(sys.argv[1]), sys.argv[2:])
