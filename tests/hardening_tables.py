"""Writes docs/hardening-files.md from what `hostile_files.py`, `fuzz.py`, `long_run.py` and `clients.py` wrote beside it as JSON.

python tests/hardening_tables.py
"""

import json
from collections import Counter
from pathlib import Path

from data_prep.printable import table

DOCS = Path(__file__).parents[1] / "docs"
WORDS = {"refused": "refused in one line", "counted": "left out and counted", "safe": "read without harm"}


def page(docs: Path) -> str:
    files = json.loads((docs / "hardening-files.json").read_text("utf-8"))
    fuzzed = json.loads((docs / "hardening-fuzz.json").read_text("utf-8"))
    long = json.loads((docs / "hardening-long-run.json").read_text("utf-8"))
    clients = json.loads((docs / "hardening-clients.json").read_text("utf-8"))
    head = ["# Hostile files, fuzzing, crowds and long runs", "Written by `python tests/hardening_tables.py`; do not edit."]
    return "\n\n".join([*head, *_long_run(long), *_clients(clients), *_files(files), *_fuzzing(fuzzed)]) + "\n"


def _long_run(found: dict) -> list[str]:
    rows = [[step, *(f"{found[step][when]:.1f}" for when in ("a third", "all"))] for step in ("draw", "score")]
    told = (
        f"`python tests/long_run.py`: memory in {found['unit']} when a third of {found['sprites']:,} drawings are done, and all."
    )
    return ["## Long runs", told, _table(["command", "a third", "all"], rows)]


def _clients(found: dict[str, dict]) -> list[str]:
    rows = [
        [
            f"{one['clients']} {name}",
            ", ".join(f"{count} {came}" for came, count in one["came"].items()),
            f"{one['seconds']:.1f}",
            f"{one['guest']['asked'] - one['guest']['faults']} of {one['guest']['asked']}",
            f"{one['guest']['slowest']:.2f}",
            f"{one['mb']:+.1f}",
        ]
        for name, one in found.items()
    ]
    told = (
        "`python tests/clients.py`: crowds, all at once, against the real server of `pixelreef play`, which draws for one and "
        "lets sixteen wait. A guest asks for the page ten times a second beside each. MiB: what the server holds more then."
    )
    return [
        "## Clients held",
        told,
        _table(["clients", "what came of them", "s", "guest answered", "slowest answer, s", "MiB"], rows),
    ]


def _files(found: list[dict]) -> list[str]:
    hostile = [one for one in found if not one["name"].endswith("as it is")]
    readers = list(dict.fromkeys(one["reader"] for one in hostile))
    counts = Counter((one["reader"], one["came"]) for one in hostile)
    rows = [[reader, *(str(counts[reader, came] or "–") for came in WORDS)] for reader in readers]
    rows.append(["**all**", *(str(sum(one["came"] == came for one in hostile)) for came in WORDS)])
    slowest, largest = max(hostile, key=lambda one: one["seconds"]), max(hostile, key=lambda one: one["mb"])
    wrong = [one for one in found if one["wrong"]]
    told = (
        f"{len(hostile)} files, each made anew by `python tests/hostile_files.py FOLDER` and read in a process of its own by the "
        f"real reader or command; {len(found) - len(hostile)} honest ones beside them are read as they should be. "
        f"Not as expected: {len(wrong)}. "
        f"The slowest took {slowest['seconds']:.2f} s of CPU time ({slowest['reader']}: {slowest['what']}), "
        f"the largest {largest['mb']:.0f} MB ({largest['reader']}: {largest['what']}). "
        "Limits: 1 s more than an honest file of its kind, 500 MB, no control character on the terminal, no markup in a page, "
        "nothing written outside of the output folder."
    )
    each = [
        [
            one["reader"],
            one["what"],
            WORDS.get(one["came"], "fault"),
            f"{one['seconds']:.2f}",
            f"{one['mb']:.0f}",
        ]
        for one in hostile
    ]
    return [
        "## Untrusted files", told, _table(["reader", *WORDS.values()], rows),
        "### Each of them", _table(["reader", "file", "what came of it", "CPU s", "MB"], each),
    ]  # fmt: skip


def _fuzzing(found: list[dict]) -> list[str]:
    rows = [
        [
            one["reader"],
            str(one["seed"]),
            f"{one['minutes']:.1f}",
            f"{one['examples']:,}",
            f"{one['refused']:,}",
            f"{one['slowest']:.2f}",
            str(one["mb"]),
            str(len(one["finds"])),
        ]
        for one in found
    ]
    told = (
        "`python tests/fuzz.py --out docs/hardening-fuzz.json`: hypothesis changes good files, and only the documented refusal "
        f"may come of it, within a second of CPU time an example and 500 MB. {sum(one['examples'] for one in found):,} examples "
        f"in {sum(one['minutes'] for one in found):.0f} minutes. The tests run each reader for a moment."
    )
    head = ["reader", "seed", "minutes", "examples", "refused", "CPU s at most", "MB more", "finds"]
    return ["## Fuzzing", told, _table(head, rows)]


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(table(head, [[cell.replace("|", "/") for cell in row] for row in rows]))


if __name__ == "__main__":
    (DOCS / "hardening-files.md").write_text(page(DOCS), "utf-8")
