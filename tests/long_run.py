"""Draws and scores 3,000 sprites and watches the memory: does it grow with what was drawn?

    python tests/long_run.py                  # writes docs/hardening-long-run.json

The smallest sprite transformer, as many rivals at temperatures of their own, real commands. Prints what the process of `draw`
holds when a third of the rows are there and when all are, and the peak of `score` on a third of the drawings and on all of
them. About five minutes on one core.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from small_pipeline import ROOT, Pipeline

PROMPTS = 100


def resident(process: subprocess.Popen) -> float:
    """Mebibytes that a process and its children hold now; 0 when it has ended."""
    try:
        import psutil

        whole = psutil.Process(process.pid)
        return sum(one.memory_info().rss for one in (whole, *whole.children(recursive=True))) / 2**20
    except psutil.Error:
        return 0.0


def watched(pipeline: Pipeline, step: str) -> list[tuple[int, float]]:
    """(whole rows drawn so far, mebibytes) every fifth of a second while a step runs."""
    seen, process, log = [], pipeline.start(step), pipeline.drawn / "completions.jsonl"
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.append(process.stdout.read()))  # a full pipe would stop it
    reader.start()
    while process.poll() is None:
        rows = log.read_bytes().count(b'"kind": "model"') if log.is_file() else 0
        seen.append((rows, resident(process)))
        time.sleep(0.2)
    reader.join()
    assert process.returncode == 0, said[0][-2000:]
    return seen


def held(seen: list[tuple[int, float]], low: int, high: int) -> float:
    """The median of what it held while between so many and so many rows were there."""
    found = sorted(memory for rows, memory in seen if low <= rows < high and memory)
    return round(found[len(found) // 2], 1) if found else 0.0


def measure(folder: Path, sprites: int) -> dict:
    pipeline = Pipeline(folder, sprites=1800, prompts=PROMPTS)
    recipe = json.loads((folder / "draw.yaml").read_text())
    names = {f"at {0.5 + 0.02 * i:.2f}": 0.5 + 0.02 * i for i in range(sprites // PROMPTS)}
    recipe["generators"] = {name: {"transformer": str(pipeline.model), "temperature": at} for name, at in names.items()}
    recipe |= {"roles": {"rival": next(iter(names))}, "likelihoods": 0, "batch_size": 20}
    (folder / "draw.yaml").write_text(json.dumps(recipe))
    pipeline.run("prepare")
    pipeline.run("train")
    seen = watched(pipeline, "draw")
    drawn = max(rows for rows, _ in seen)
    drawing = {"a third": held(seen, drawn // 4, drawn // 2), "all": held(seen, drawn * 3 // 4, drawn + 1)}
    scoring = {"all": peak(pipeline)}
    log, kept = pipeline.drawn / "completions.jsonl", set(list(names)[: len(names) // 3])
    read = [(line, json.loads(line)) for line in log.read_text().splitlines()]
    log.write_text("".join(f"{line}\n" for line, row in read if row["kind"] != "model" or row["generator"] in kept))
    return {"sprites": drawn, "draw": drawing, "score": {"a third": peak(pipeline), **scoring}}


def peak(pipeline: Pipeline) -> float:
    return round(max(memory for _, memory in watched(pipeline, "score")), 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sprites", type=int, default=3000)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "hardening-long-run.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="long-run-") as folder:
        found = measure(Path(folder), options.sprites)
    options.out.write_text(json.dumps({"unit": "MiB", **found}, indent=1) + "\n")
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
