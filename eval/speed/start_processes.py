"""Commands and imports in processes of their own: their seconds, what they import, and what each package of it costs."""

import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from data_prep.errors import InputError
from eval.speed.contest import children_cpu

ROOT = Path(__file__).resolve().parents[2]
MARK = "imported:"  # before the names of what a process had imported at its end
TELL = f"""import atexit, sys
atexit.register(lambda: print("{MARK}", *sorted({{name.partition('.')[0] for name in sys.modules}}), file=sys.stderr))
"""
COMMAND = "from eval.cli import main; sys.exit(main(sys.argv[1:]))"  # what the script `pixelreef` does
IMPORT_LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \| +([\w.]+)")


@dataclass
class Process:
    """A way of `contest.in_turns`: code in a new interpreter. arguments: its sys.argv, '{turn}' in them its turn's number.

    cpu: seconds that its processes took, one a turn, since the clock of this process counts only its own; imported: top-level
    modules that the last one had at its end.
    """

    code: str
    arguments: tuple[str, ...] = ()
    folder: Path = ROOT
    cpu: list[float] = field(default_factory=list)
    imported: frozenset[str] = frozenset()

    def __call__(self, turn: int = 0) -> None:
        before = children_cpu()
        said = started(TELL + self.code, [one.format(turn=turn) for one in self.arguments], self.folder)
        self.cpu.append(round(children_cpu() - before, 6))
        self.imported = frozenset(said.rpartition(MARK)[2].split())


def started(code: str, arguments: list[str], folder: Path = ROOT, *flags: str) -> str:
    """What a new interpreter wrote to its standard error. Raises InputError where it failed."""
    told = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}
    command = [sys.executable, *flags, "-c", code, *arguments]
    done = subprocess.run(command, cwd=folder, env=told, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith(MARK)]
        what = " ".join(arguments) or repr(code.removeprefix(TELL)[:60])
        raise InputError(f"bench start: {what} failed: {said[-1] if said else 'it said nothing'}")
    return done.stderr


def costs(code: str) -> dict[str, float]:
    """Top-level package → seconds of its own modules in what `code` imports, dearest first; `-X importtime` tells them."""
    found: Counter[str] = Counter()
    for microseconds, module in IMPORT_LINE.findall(started(code, [], ROOT, "-X", "importtime")):
        found[module.partition(".")[0]] += int(microseconds)
    return {package: microseconds / 1e6 for package, microseconds in found.most_common()}


def works_without(package: str, code: str) -> bool:
    """Whether `code` runs where the package cannot be imported."""
    try:
        started(f"import sys; sys.modules[{package!r}] = None\n{code}", [])
    except InputError:
        return False
    return True
