"""Ways to do the same work, timed in turns, and what of a machine must be told beside the figures."""

import os
import platform
import resource
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Times:
    """Seconds of each timed call, by the clock on the wall and of this process's CPU time; work: what one call does, in units
    such as sprites, tokens or steps. On a machine that does other things the CPU seconds say more than the clock."""

    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    work: float = 1.0

    def rates(self, clock: str = "wall") -> np.ndarray:
        """(calls,) units a second."""
        return self.work / np.maximum(getattr(self, clock), 1e-9)

    def each(self, clock: str = "wall") -> np.ndarray:
        """(calls,) seconds a unit."""
        return np.array(getattr(self, clock)) / self.work

    def ratio(self, other: "Times", clock: str = "wall") -> float:
        """How many times as fast as `other`: medians of seconds a unit."""
        return float(np.median(other.each(clock)) / max(np.median(self.each(clock)), 1e-9))


def in_turns(ways: Mapping[str, Callable[[int], object]], repeats: int, work: float = 1.0, warm: int = 1) -> dict[str, Times]:
    """Calls each way with the number of its turn, all ways in one turn before the next; the first `warm` turns count for nothing.

    A way must not return before its work is done: one that runs on a GPU waits for it.
    """
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(warm + repeats):
        for name, way in ways.items():
            started, spent = time.perf_counter(), time.process_time()
            way(turn)
            wall[name].append(round(time.perf_counter() - started, 6))
            cpu[name].append(round(time.process_time() - spent, 6))
    return {name: Times(tuple(wall[name][warm:]), tuple(cpu[name][warm:]), work) for name in ways}


def spread(values: Sequence[float] | np.ndarray, form: str = ".3f") -> str:
    """'median (lowest to highest)'; a single value stands alone."""
    if len(values) == 1:
        return format(float(values[0]), form)
    low, middle, high = (format(float(value), form) for value in (np.min(values), np.median(values), np.max(values)))
    return f"{middle} ({low} to {high})"


def environment(packages: Sequence[str], device: str = "cpu") -> dict:
    """What was measured on: `words` puts it into a sentence. device: cpu or cuda."""
    found = {"kind": device, "device": cpu_name(), "load_average": round(os.getloadavg()[0], 1), "commit": commit()}
    if "torch" in packages:
        import torch

        found["threads"] = torch.get_num_threads()
        if device == "cuda":
            found["device"] = torch.cuda.get_device_name()
    return found | {"versions": {"python": platform.python_version()} | {name: version(name) for name in packages}}


def words(found: dict) -> str:
    """Hardware, threads, load, versions and commit of an `environment`."""
    versions = ", ".join(f"{package} {number}" for package, number in found["versions"].items())
    threads = f", {found['threads']} thread{'s' * (found['threads'] != 1)}" if "threads" in found else ""
    return f"{found['device']}{threads}, load {found['load_average']}; {versions}; commit {found['commit']}."


def cpu_name() -> str:
    """The processor, its number of cores and the widest instructions that decide which numbers it computes with quickly."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        flags = next((line.split() for line in lines if line.startswith("flags")), [])
    except (OSError, StopIteration):
        name, flags = platform.processor() or platform.machine(), []
    wide = [word for word in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if word in flags][:1]
    return ", ".join([name, f"{os.cpu_count()} cores", *wide])


def commit() -> str:
    """Of the code, with '-dirty' where files other than the published figures differ from it; 'unknown' outside a repository."""
    where = Path(__file__).resolve().parents[2]

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=where, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs")
    return (git("describe", "--always", "--exclude=*") or "unknown") + ("-dirty" if changed else "")


def children_cpu() -> float:
    """CPU seconds of the processes that this one started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def wait_for(device: str) -> None:
    """Until a GPU has done what it was given; a CPU has."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()
