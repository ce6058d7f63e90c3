"""Machines that fail at the worst time: kill -9, a full disk, a folder that takes no files, two runs at once.

    python tests/faults.py --kills 10                 # writes docs/hardening-faults.json and docs/hardening-faults.md
    python tests/faults.py --only draw --kills 2

Each step of the smallest pipeline (see small_pipeline.py) is run once undisturbed, which gives its files and its seconds; then
into a folder of its own again, killed at random moments of its working time, each time on what the kill before has left, until
it ends. What it ends with must be the undisturbed files, byte for byte but for seconds and dates; a finished row, checkpoint or
vote must never be gone. Full and read-only disks are a tmpfs of our own, where mounting is allowed. About half an hour on two
cores.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from small_pipeline import QUIET, ROOT, STEPS, Pipeline

TAKES_TIME = {"seconds", "sprites_per_second", "commit", "inputs"}  # inputs: hashes of files that hold seconds
KILLED = ("prepare", "train", "draw", "score", "report", "rate")
HAS_LOG = {"train": "training/training_log.jsonl", "draw": "runs/run/completions.jsonl"}
FULL, CLOSED, TWICE, KILL = "full disk", "read-only folder", "two at once", "kill -9"
VOTER = """
import sys
from pathlib import Path
from eval.ratings import Pair, Ratings
ratings = Ratings(Path(sys.argv[1]))
ratings.enter('Ada', 'person')
first = len(list(ratings.votes('person')))
for number in range(first, first + 100_000):
    ratings.show('Ada', Pair(f'u{number}', f'r{number}', 'a', 'x', 'b', 'y'))
    ratings.vote('Ada', f'u{number}', 'left', 1.0)
    print(f'u{number}', flush=True)
"""


def content(folder: Path) -> dict[str, object]:
    """Every file under a folder but hidden ones: its bytes, or its JSON without what depends on the clock and the place."""
    found = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") for part in parts):
            found["/".join(parts)] = _content(path, str(folder.parent))
    return found


def _content(path: Path, here: str) -> object:
    if path.suffix == ".json":
        return _timeless(json.loads(path.read_text()))
    if path.suffix == ".jsonl":
        return [_timeless(json.loads(line)) for line in path.read_text().splitlines()]
    if path.suffix in (".md", ".html"):  # tables of seconds
        return path.stat().st_size > 0
    return path.read_bytes().replace(here.encode(), b"")


def _timeless(value):
    if isinstance(value, dict):
        return {key: _timeless(one) for key, one in value.items() if key not in TAKES_TIME and "second" not in key}
    return [_timeless(one) for one in value] if isinstance(value, list) else value


OUT = {"prepare": "dataset", "train": "training", "draw": "runs/run", "score": "runs/run", "report": "runs/run"}


class Faults:
    """The undisturbed pipeline in `folder`, and trials beside it."""

    def __init__(self, folder: Path, seed: int, steps: tuple[str, ...] = STEPS):
        self.folder, self.dice, self.trials = folder, random.Random(seed), 0
        self.whole = Pipeline(folder / "whole")
        self.seconds, self.made = {}, {}
        for step in steps:
            started = time.monotonic()
            self.whole.run(step)
            self.seconds[step] = time.monotonic() - started
            self.made[step] = content(self.whole.folder / OUT[step])

    def trial(self, step: str, folder: Path | None = None) -> Pipeline:
        """A pipeline with all that comes before a step done. What it reads stands where the undisturbed one has it."""
        self.trials += 1
        trial = Pipeline(folder or self.folder / f"trial-{self.trials}")
        for before in STEPS[: STEPS.index(step)]:
            target = trial.folder / OUT[before]
            if OUT[before] == OUT[step] or before in ("prepare", "train"):
                shutil.copytree(self.whole.folder / OUT[before], target, dirs_exist_ok=True)
        if step == "score":
            for name in ("scores.jsonl", "summary.json", "report.html", "report.md"):
                (trial.drawn / name).unlink(missing_ok=True)
        return trial

    def same(self, step: str, trial: Pipeline) -> str:
        """'' where a finished step made what the undisturbed one made, else what differs."""
        found, wanted = content(trial.folder / OUT[step]), self.made[step]
        if step in ("draw", "score", "report"):  # recipes hold the folder's name, and hashes of that
            found, wanted = _without_places(found), _without_places(wanted)
        if step == "train":
            found, wanted = _without_places(found), _without_places(wanted)
        if step in ("draw", "score"):  # later steps' files of the undisturbed run were not made yet
            found = {name: value for name, value in found.items() if name in wanted}
        different = [name for name in sorted({*found, *wanted}) if found.get(name) != wanted.get(name)]
        return f"differ: {', '.join(different)}" if different else ""


def _without_places(found: dict) -> dict:
    """Hashes of recipes cover the folders that these name, which differ between trials."""
    skip = ("recipe.json", "recipe_hash", "config.json", "summary.json")
    kept = {name: value for name, value in found.items() if not name.endswith(skip)}
    return {name: _without_hash(value) for name, value in kept.items()}


def _without_hash(value):
    if isinstance(value, dict):
        return {key: _without_hash(one) for key, one in value.items() if "hash" not in key}
    return [_without_hash(one) for one in value] if isinstance(value, list) else value


def rows(trial: Pipeline, step: str) -> int:
    """Whole lines of what a step adds to, so far."""
    log = trial.folder / HAS_LOG[step] if step in HAS_LOG else None
    return log.read_bytes().count(b"\n") if log is not None and log.is_file() else 0


def kept(trial: Pipeline, step: str) -> int:
    """How much is finished for good: checkpoints' steps for train, drawings for draw."""
    if step == "train":
        return max((int(p.name.partition("-")[2]) for p in trial.training.glob("checkpoint-*") if p.is_dir()), default=0)
    return rows(trial, step)


def at_work(process: subprocess.Popen, trial: Pipeline, step: str) -> None:
    """Returns when the log has grown, or the process has ended: most of a small step is loading libraries."""
    before = rows(trial, step)
    while process.poll() is None and rows(trial, step) <= before:
        time.sleep(0.01)


def kills(faults: Faults, step: str, count: int) -> Iterator[dict]:
    """Kills one trial after another until there were `count` kills, and lets the last one end."""
    done = 0
    while done < count:
        trial, finished = faults.trial(step), 0
        while done < count:
            process = trial.start(step)
            if step in HAS_LOG and done % 2 == 0:
                at_work(process, trial, step)
                moment = faults.dice.uniform(0, 0.2) * faults.seconds[step]
            else:
                moment = faults.dice.uniform(0.2, 1.0) * faults.seconds[step]
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=moment)
            if process.poll() is not None:
                break
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            now = kept(trial, step)
            done += 1
            yield {"fault": KILL, "step": step, "survived": now >= finished, "why": f"{finished} → {now} kept"}
            finished = now
        process = trial.start(step)
        said, _ = process.communicate(timeout=900)
        why = said[-600:] if process.returncode else faults.same(step, trial)
        yield {"fault": KILL, "step": step, "ended": True, "survived": not why, "why": why}
        shutil.rmtree(trial.folder)


def killed_votes(folder: Path, count: int, dice: random.Random) -> Iterator[dict]:
    """Every vote whose answer went out is in the file after a kill, and the file is whole."""
    sys.path.insert(0, str(ROOT))
    from eval.ratings import Ratings

    file, told = folder / "ratings.sqlite", set()
    for _ in range(count):
        command, pipes = [sys.executable, "-c", VOTER, str(file)], {"stdout": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **QUIET}, **pipes)
        told.add(process.stdout.readline().strip())  # it works now
        time.sleep(dice.uniform(0, 0.5))
        process.kill()
        told |= {line for line in process.communicate()[0].split("\n")[:-1] if line}
        ratings = Ratings(file)
        found = {vote.uid for vote in ratings.votes("person")}
        ratings.close()
        yield {"fault": KILL, "step": "rate", "survived": told <= found, "why": f"{len(told)} told, {len(found)} there"}


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A tmpfs of that size. Raises PermissionError where none may be mounted."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        raise PermissionError("no tmpfs may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def on_a_disk(faults: Faults, step: str, fault: str) -> dict:
    """The disk fills up, or takes nothing, in the middle of a step; then there is room, and it goes on."""
    with small_disk(faults.folder / f"disk-{step}-{fault[:4]}", 200_000) as disk:
        trial = faults.trial(step, disk / "trial")
        used = sum(path.stat().st_blocks * 512 for path in disk.rglob("*")) // 1024
        grows = sum(path.stat().st_size for path in (faults.whole.folder / OUT[step]).rglob("*") if path.is_file()) // 1024
        small = "ro" if fault == CLOSED else f"size={used + max(4, int(grows * faults.dice.uniform(0.05, 0.3)))}k"
        subprocess.run(["mount", "-o", f"remount,{small}", str(disk)], check=True)
        process = trial.start(step)
        said, _ = process.communicate(timeout=900)
        if fault == FULL and process.returncode == 0:
            return {"fault": fault, "step": step, "survived": False, "why": "it fitted: nothing was tried"}
        plain = process.returncode == 2 and "Traceback" not in said
        subprocess.run(["mount", "-o", "remount,rw,size=200000k", str(disk)], check=True)
        again = trial.start(step)
        more, _ = again.communicate(timeout=900)
        why = more[-600:] if again.returncode else faults.same(step, trial)
        words = said.strip().splitlines()[-1:] or [""]
        return {"fault": fault, "step": step, "survived": plain and not why, "why": why or words[0][-300:]}


def at_once(faults: Faults, step: str) -> dict:
    """Two runs into one folder: each ends well or is refused in plain words, and the files are those of one."""
    trial = faults.trial(step)
    both = [trial.start(step), trial.start(step)]
    said = [process.communicate(timeout=900)[0] for process in both]
    codes = sorted(process.returncode for process in both)
    plain = codes in ([0, 0], [0, 2]) and not any("Traceback" in words for words in said)
    why = faults.same(step, trial) if plain else " | ".join(words[-300:] for words in said)
    shutil.rmtree(trial.folder)
    return {"fault": TWICE, "step": step, "survived": plain and not why, "why": why or f"exit codes {codes}"}


def trials(faults: Faults, count: int, steps: tuple[str, ...]) -> Iterator[dict]:
    for step in (step for step in KILLED if step in steps):
        if step == "rate":
            yield from killed_votes(faults.folder, count, faults.dice)
            continue
        yield from kills(faults, step, count)
        yield at_once(faults, step)
        for fault in (FULL, CLOSED):
            try:
                yield on_a_disk(faults, step, fault)
            except PermissionError as error:
                yield {"fault": fault, "step": step, "survived": None, "why": str(error)}


def table(found: list[dict]) -> str:
    """Markdown: a row a step, a column a fault, 'survived / tried' in each; then what was not survived."""
    faults = (KILL, FULL, CLOSED, TWICE)
    lines = [f"| | {' | '.join(faults)} | ends with the same files |", f"|---|{'---|' * (len(faults) + 1)}"]
    for step in KILLED:
        own = [row for row in found if row["step"] == step]
        if own:
            cells = [_count([r for r in own if r["fault"] == fault and not r.get("ended")]) for fault in faults]
            lines.append(f"| {step} | {' | '.join(cells)} | {_count([r for r in own if r.get('ended')])} |")
    bad = [f"- {row['step']}, {row['fault']}: `{row['why'][-200:]!r}`" for row in found if row["survived"] is False]
    return "\n".join([*lines, "", *bad])


def _count(some: list[dict]) -> str:
    tried = [row for row in some if row["survived"] is not None]
    return f"{sum(row['survived'] for row in tried)} / {len(tried)}" if tried else "–"


def write(found: list[dict], out: Path, seed: int, count: int) -> None:
    told = {"seed": seed, "kills": count, "trials": found}
    (out / "hardening-faults.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    text = f"""# Faults survived

Written by `python tests/faults.py --kills {count} --seed {seed}`, which says how; each cell is survived / tried. A kill is
survived when nothing that was finished is gone; after the last kill of a trial the step runs to its end, and what it made must
be the files of a run that nothing disturbed. A full or read-only disk is survived when the step ends with exit code 2 and one
plain line, and goes on once there is room; two runs at once when each ends well or is refused in plain words.

{table(found)}"""
    (out / "hardening-faults.md").write_text(text.rstrip() + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--only", choices=KILLED, action="append")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    options = parser.parse_args()
    steps = tuple(options.only or KILLED)
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        last = max((STEPS.index(step) for step in steps if step in STEPS), default=-1)
        faults, found = Faults(Path(folder), options.seed, STEPS[: last + 1]), []
        for row in trials(faults, options.kills, steps):
            found.append(row)
            print(json.dumps(row, ensure_ascii=False), flush=True)
            write(found, options.out, options.seed, options.kills)
    print(table(found))
    return int(any(row["survived"] is False for row in found))


if __name__ == "__main__":
    sys.exit(main())
