"""docs/speed.md from docs/speed/*.json: one file a part, one section a part, whatever was not run named with its command."""

import json
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from data_prep.errors import InputError
from data_prep.whole_files import write_whole

PARTS = ("train", "draw", "baseline", "prepare", "score", "scale", "start")  # modules of eval.speed, in the page's order
HEAD = """# How fast it is, side by side

Made by `pixelreef bench train`, `draw`, `baseline`, `prepare`, `score`, `scale` and `start`; do not edit. In each, ours and
the others do the same work in one run, in turns, after a call of each to warm up; first it is checked that they come to the
same numbers. Medians, in brackets lowest to highest. Ratios hold beyond this machine, seconds hardly. What was tried on
the way, in vain too, is in [the log](speed-log.md)."""


def record(docs: Path, part: str, name: str, found: dict) -> list[str]:
    """Enters one measurement into docs/speed/<part>.json under its name, writes the page anew, returns the part's section."""
    file = docs / "speed" / f"{part}.json"
    runs = read(file) | {name: found}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps(runs, indent=1, ensure_ascii=False) + "\n")
    write_whole(docs / "speed.md", page(docs))
    return section(part, runs)


def read(file: Path) -> dict[str, dict]:
    """Name → measurement; empty where nothing was measured. Raises InputError for a file that is no such thing."""
    try:
        found = json.loads(file.read_text("utf-8")) if file.exists() else {}
    except ValueError as error:
        raise InputError(f"{file}: no JSON; remove it and measure again") from error
    return found


def page(docs: Path) -> str:
    lines = [HEAD]
    for part in PARTS:
        lines += ["", *section(part, read(docs / "speed" / f"{part}.json"))]
    return "\n".join(lines) + "\n"


def section(part: str, runs: dict[str, dict]) -> list[str]:
    """Of a part's module: TITLE, SAID (what it compares), LEFT (kind of device → the command that measures there), `lines`."""
    module = import_module(f"eval.speed.{part}")
    lines = [f"## {module.TITLE}", "", module.SAID]
    for name, found in runs.items():
        lines += ["", f"### {name}", "", *module.lines(found)]
    return [*lines, *_not_run({found["kind"] for found in runs.values()}, module.LEFT)]


def _not_run(kinds: Iterable[str], left: dict[str, str]) -> list[str]:
    named = {"cpu": "a CPU", "cuda": "a GPU"}
    return [
        line
        for kind, command in left.items()
        if kind not in kinds
        for line in ("", f"On {named[kind]}: not run. `{command}` adds it.")
    ]


def show(docs: Path, part: str, name: str, found: dict) -> None:
    """Records a measurement, prints its part's section and the measurement as one line of JSON."""
    print("\n".join(record(docs, part, name, found)))
    print(json.dumps(found, ensure_ascii=False))
