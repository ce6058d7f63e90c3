"""All that `docs/speed.md` asks of a GPU, with one command that nobody need watch.

    python -m eval.speed.gpu [--docs docs]
    python -m eval.speed.gpu --trial BASE --docs FOLDER      # the same on a CPU, with a tiny base model, to see that it runs

Runs `pixelreef bench train`, `draw` and `baseline` on the GPU one after the other, each in a process of its own that is ended
after ten minutes. What docs/speed/*.json holds of a GPU already is left out, so that a run that was stopped goes on with what is
missing; a part that fails does not keep the next from running. Exit code 2 where anything is missing in the end.

Needs no network: weights are random, sprites procedural. Must be installed: pixelreef's own dependencies, torch with CUDA and
triton, and for its row liger-kernel; a machine for inference may lack trl, peft, accelerate, datasets, llguidance. The tokenizer
must lie in PIXELREEF_CACHE, where `python -m finetune.base_models qwen3-tokenizer` puts it on any machine with a network.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from data_prep.errors import InputError, exit_code
from eval.speed import page

LIMIT = 590  # seconds a part
SHAPE = ["--random", "qwen3-1.7b"]
PARTS = {
    "train": [*SHAPE, "--size", "32", "--batch", "16"],
    "draw": [*SHAPE, "--batch", "1", "64", "256"],
    "baseline": ["--drawn", "1", "32", "256"],
}
SMALL = {  # of a trial
    "train": ["--size", "8", "--batch", "1", "--rank", "2", "--repeats", "1"],
    "draw": ["--size", "4", "--batch", "1", "2", "--repeats", "1"],
    "baseline": ["--size", "8", "--batch", "2", "--drawn", "1", "2", "--repeats", "1"],
}


def missing(docs: Path, kind: str) -> list[str]:
    """Parts that were not measured on such a device."""
    found = {part: page.read(docs / "speed" / f"{part}.json").values() for part in PARTS}
    return [part for part, runs in found.items() if kind not in {run["kind"] for run in runs}]


def command(part: str, docs: Path, trial: str | None) -> list[str]:
    """What measures a part."""
    flags = ["--device", "cuda", *PARTS[part]] if trial is None else SMALL[part]
    base = ["--base", trial] if trial and part != "baseline" else []
    return [sys.executable, "-m", "eval.cli", "bench", part, *base, *flags, "--docs", str(docs)]


def run(docs: Path, trial: str | None = None, limit: float = LIMIT) -> None:
    """Measures what is missing. Raises InputError with what is still missing then."""
    kind = "cpu" if trial else "cuda"
    for part in missing(docs, kind):
        print(f"gpu: {part}", flush=True)
        try:
            done = subprocess.run(
                command(part, docs, trial), env=os.environ | {"HF_HUB_OFFLINE": "1"}, timeout=limit, check=False
            )
            print(f"gpu: {part}: {'done' if not done.returncode else f'failed with {done.returncode}'}", flush=True)
        except subprocess.TimeoutExpired:
            print(f"gpu: {part}: not done after {limit:.0f} s, ended", flush=True)
    left = missing(docs, kind)
    if left:
        raise InputError(f"not measured: {', '.join(left)}; the same command tries {'them' if len(left) > 1 else 'it'} again")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m eval.speed.gpu", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="where speed.md and speed/ lie; by default docs")
    parser.add_argument("--trial", metavar="BASE", help="try it on a CPU with this base model; takes another --docs")
    options = parser.parse_args(arguments)

    def work() -> None:
        if options.trial and options.docs == parser.get_default("docs"):
            raise InputError("--trial: its figures are of no use; give another folder with --docs")
        run(options.docs, options.trial)

    return exit_code("gpu", work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
