"""Library modules import one way: data_prep ← finetune ← eval. Entry points sit on top."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENTRY_POINTS = {"prepare.py", "train.py", "preference.py", "generate.py", "score.py", "report.py", "cli.py"}
ORDER = ("data_prep", "finetune", "eval")
MODULES = [path for package in ORDER for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """Top-level names that a file imports, at its head or inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_library_modules_import_one_way(path):
    package = path.relative_to(ROOT).parts[0]
    if path.name not in ENTRY_POINTS:
        assert not imported(path) & set(ORDER[ORDER.index(package) + 1 :])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_reads_pickles_or_runs_strangers_code(path):
    text = path.read_text()
    assert "trust_remote_code=True" not in text and "pickle.load" not in text and "import eval" not in text.split("\n")
