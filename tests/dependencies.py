"""Writes docs/dependencies.md: every library that an install of all extras brings, its licence, and what it is for.

    python tests/dependencies.py

Reads pyproject.toml, whose comments give the reasons, constraints.txt and the metadata of what is installed. The direct
dependencies come first, with their reason; then what they bring themselves.
"""

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, metadata, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
# Why the libraries are here that need no comment beside their pin.
REASONS = {
    "torch": "tensors, training and sampling",
    "transformers": "language models, tokenizers, the trainer's loop",
    "trl": "supervised fine-tuning and preference training",
    "peft": "LoRA adapters",
    "accelerate": "training and drawing on several processes or GPUs",
    "datasets": "prepared pairs in memory and on disk",
    "pillow": "reads and writes pictures",
    "numpy": "index grids and all that is computed on them",
    "pyyaml": "recipes",
    "jinja2": "templates of reports and pages",
    "bitsandbytes": "base models in 4 bits while training",
}
CLASSIFIER = "License :: OSI Approved :: "


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def extras() -> dict[str, list[str]]:
    """Extra → its requirements; '' for what everybody gets."""
    found = project()
    return {"": found["dependencies"], **found["optional-dependencies"]}


def pins() -> dict[str, str]:
    """Canonical name → pinned version."""
    lines = (ROOT / "constraints.txt").read_text().split()
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}


def reasons() -> dict[str, str]:
    """Canonical name → reason: from the comment at the end of its line in pyproject.toml, or the one above with its name."""
    found = dict(REASONS)
    for line in (ROOT / "pyproject.toml").read_text().splitlines():
        code, _, comment = line.partition("  # ")
        names = [canonicalize_name(Requirement(one).name) for one in re.findall(r'"([A-Za-z0-9._-]+[><=][^"]*)"', code)]
        if comment:
            found |= dict.fromkeys(names, comment.strip())
        above = re.fullmatch(r"# ([\w, -]+): (.+)", line)
        if above:
            found |= {canonicalize_name(name): above[2] for name in above[1].split(", ")}
        told = re.search(r"; ([\w-]+): (.+)$", comment)
        if told:
            found |= {canonicalize_name(told[1]): told[2], names[0]: comment[: told.start()]}
    return found


def licence(name: str) -> str:
    """As its own metadata say: the expression, else the classifiers, else the first line of a short statement."""
    try:
        about = metadata(name)
    except PackageNotFoundError:
        return "not installed here"
    classified = [one.removeprefix(CLASSIFIER) for one in about.get_all("Classifier") or () if one.startswith(CLASSIFIER)]
    stated = (about.get("License") or "").strip()
    short = stated if stated and "\n" not in stated and len(stated) < 60 else ""
    return about.get("License-Expression") or ", ".join(classified) or short or _file(name)


def _file(name: str) -> str:
    """The first line of the licence's text that says more than who holds the copyright."""
    about = metadata(name)
    text = (about.get("License") or "").strip()
    first = next((line.strip() for line in text.splitlines() if "icense" in line), "")
    return f"its own text: {first[:60]}" if first else "see its files"


def brought_by() -> dict[str, set[str]]:
    """Canonical name → the libraries that ask for it."""
    found: dict[str, set[str]] = {}
    for name in pins():
        try:
            asked = [Requirement(one) for one in requires(name) or ()]
        except PackageNotFoundError:
            continue
        for one in asked:
            if one.marker is None or one.marker.evaluate({"extra": ""}):
                found.setdefault(canonicalize_name(one.name), set()).add(name)
    return found


def page() -> str:
    pinned, why, by = pins(), reasons(), brought_by()
    direct = {}
    for extra, requirements in extras().items():
        for one in requirements:
            name = canonicalize_name(Requirement(one).name)
            if name != "pixelreef":
                direct.setdefault(name, extra or "always")
    first = [f"| {name} | {pinned[name]} | {extra} | {licence(name)} | {why.get(name, '')} |" for name, extra in direct.items()]
    rest = [
        f"| {name} | {version} | {licence(name)} | {', '.join(sorted(by.get(name, ())))} |"
        for name, version in sorted(pinned.items())
        if name not in direct
    ]
    return f"""# Dependencies

Written by `python tests/dependencies.py` from pyproject.toml, constraints.txt and the libraries' own metadata; licences are
named as those name them. {len(first)} libraries are asked for, {len(rest)} more come with them. An install without extras
takes only the rows that say 'always' and what these bring.

| library | version | extra | licence | what for |
|---|---|---|---|---|
{chr(10).join(first)}

## What they bring

| library | version | licence | asked for by |
|---|---|---|---|
{chr(10).join(rest)}
"""


if __name__ == "__main__":
    (ROOT / "docs" / "dependencies.md").write_text(page())
    sys.exit(0)
