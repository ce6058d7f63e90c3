"""Work in processes of its own, for `pixelreef bench scale`: seconds, CPU seconds of all of them, and the peak of memory.

    python -m eval.speed.scale_processes prepare COUNT SIZE PROCESSES FOLDER
    python -m eval.speed.scale_processes stream COUNT SIZE

`eval.speed.scale` starts it. `prepare` makes FOLDER from COUNT procedural sprites, as `pixelreef prepare` does; `stream` draws
them and keeps none. The last line that it prints is the peak of its resident memory in bytes.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from itertools import islice
from pathlib import Path

from data_prep.errors import InputError
from eval.speed.contest import children_cpu

ROOT = Path(__file__).resolve().parents[2]
SIDE = 16  # pixels of the training set
STEPS, FROM = 12, 4  # of a training; what comes before FROM is warm-up


def peak() -> int:
    """Bytes; without a `/proc`, what the system remembers, which may be of the process that started this one."""
    with suppress(OSError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def prepare(count: int, size: int, processes: int, folder: Path) -> int:
    from data_prep.prepare import main

    recipe = {"name": "bench", "sources": [{"kind": "procedural", "seed": 1, "count": count}], "sizes": [size]}
    config = folder.with_suffix(".yaml")
    config.write_text(json.dumps(recipe | {"palette": "reef64", "num_proc": processes}))
    return main(["--config", str(config), "--out", str(folder)])


def stream(count: int, size: int) -> None:
    from data_prep.sources.procedural import sprites

    for _ in islice(sprites(1, size), count):
        pass


def timed(*told: object) -> dict:
    """This module's `main` in a process: wall, cpu and memory. Raises InputError where it fails."""
    return run(str(told[0]), [sys.executable, "-m", "eval.speed.scale_processes", *map(str, told)])


def run(what: str, command: list[str], **environment: str) -> dict:
    """A command in a process of its own. Raises InputError where it fails."""
    before, started = children_cpu(), time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | environment)
    wall, cpu = time.perf_counter() - started, children_cpu() - before
    if done.returncode:
        raise InputError(f"bench scale: {what}: {(done.stderr.strip().splitlines() or ['it failed'])[-1]}")
    last = (done.stdout.split() or [""])[-1]
    return {"wall": round(wall, 3), "cpu": round(cpu, 3), "memory": int(last) if last.isdecimal() else None}


def corpora(counts: list[int], size: int) -> list[dict]:
    """`prepare` and `stream` of each count, one after the other."""
    found = []
    for count in counts:
        with tempfile.TemporaryDirectory() as place:
            made = timed("prepare", count, size, 1, Path(place) / "bench")
        found.append({"work": count, "prepare": made, "stream": timed("stream", count, size)})
        print(f"corpus of {count:,}: {made['wall']:.1f} s, {made['memory'] / 1e6:.0f} MB", flush=True)
    return found


def processes(count: int, numbers: list[int], repeats: int) -> dict[str, list[dict]]:
    """`prepare` of `count` sprites, and STEPS − FROM steps of a sprite transformer under torchrun, by that many processes, the
    numbers in turns."""
    found: dict[str, list[dict]] = {"prepare": [], "train": []}
    with tempfile.TemporaryDirectory() as place:
        for turn in range(repeats):
            for number in numbers:
                folder = Path(place) / f"{turn}-{number}"
                found["prepare"].append({"processes": number} | timed("prepare", count, SIDE, number, folder))
                found["train"].append({"processes": number} | trained(number, Path(place) / f"0-{numbers[0]}", folder))
                print(f"{number} processes: {found['prepare'][-1]['wall']:.1f} s, {found['train'][-1]['wall']:.1f} s", flush=True)
    return found


def trained(number: int, dataset: Path, near: Path) -> dict:
    """Each process has one thread and its share of the same 16 sprites a step."""
    config, out = near.with_suffix(".train.yaml"), near.with_suffix(".trained")
    recipe = {"dataset": str(dataset), "output_dir": str(out), "steps": STEPS, "batch_size": 16 // number, "log_every": FROM}
    rare = {"evaluate_every": 10 * STEPS, "save_every": 10 * STEPS, "eval_sprites": 1, "sheet_sprites": 0}
    config.write_text(json.dumps(recipe | rare | {"bf16": False, "use_cpu": True}))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(number), "-m"]
    one = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    cpu = run("train", [*command, "eval.baseline.train", "--config", str(config)], **one)["cpu"]
    rows = [json.loads(line) for line in (out / "training_log.jsonl").read_text("utf-8").splitlines()]
    seconds = {row["step"]: row["seconds"] for row in rows}
    return {"wall": round(seconds[STEPS] - seconds[FROM], 3), "cpu": cpu, "memory": None}


def main(told: list[str]) -> int:
    what, count, size, *more = told
    code = 0
    if what == "prepare":
        code = prepare(int(count), int(size), int(more[0]), Path(more[1]))
    else:
        stream(int(count), int(size))
    print(peak())
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
