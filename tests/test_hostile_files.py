"""Every hostile file of `hostile/` through its real reader or command, each in a process of its own; what source may not hold."""

import ast
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import hardening_tables
import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [path for package in ("data_prep", "finetune", "eval") for path in sorted((ROOT / package).rglob("*.py"))]
LEAST = 60


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> list[dict]:
    """One process makes them all and forks one for each; see `hostile_files.py`."""
    folder = tmp_path_factory.mktemp("hostile")
    command = [sys.executable, "tests/hostile_files.py", str(folder / "files"), "--out", str(folder / "found.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert (folder / "found.json").exists(), done.stderr[-3000:]
    return json.loads((folder / "found.json").read_text("utf-8"))


def test_every_hostile_file_comes_to_what_is_expected(results):
    """Refused in one line, counted or read without harm; within a second and 500 MB; nothing written where nothing belongs."""
    wrong = {f"{found['reader']}: {found['name']}": found["wrong"] for found in results if found["wrong"]}
    assert not wrong, "\n".join(f"{name}: {why}" for name, why in wrong.items())
    assert len(results) >= LEAST
    names = Counter((found["reader"], found["name"]) for found in results)
    assert names.most_common(1)[0][1] == 1


def test_the_harness_lets_honest_files_through_and_tells_of_faults(results):
    """Without them a reader that refuses everything would pass."""
    honest = {found["reader"]: found["came"] for found in results if found["name"].endswith("as it is")}
    assert set(honest) >= {"adapter", "base", "transformer", "checkpoint", "score", "votes", "curate"}
    assert set(honest.values()) == {"safe"}
    assert {found["came"] for found in results} == {"refused", "counted", "safe"}


FORBIDDEN_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "torch.load", "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load",
                   "os.system", "os.popen", "np.fromfile", "pd.read_pickle"}  # fmt: skip


def faults(tree: ast.AST) -> list[str]:
    """What reads pickles, runs strangers' code or a shell."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in FORBIDDEN_IMPORTS]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module or ""] if (node.module or "").split(".")[0] in FORBIDDEN_IMPORTS else []
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            found += [called] if called in FORBIDDEN_CALLS else []
            found += [f"{called}({ast.unparse(word)})" for word in node.keywords if not _is_harmless(called, word)]
    return found


def _is_harmless(called: str, word: ast.keyword) -> bool:
    """Whether a named argument neither allows code nor pickles nor a shell."""
    value = word.value.value if isinstance(word.value, ast.Constant) else "?"
    wanted = {"trust_remote_code": False, "allow_pickle": False, "weights_only": True, "shell": False, "Loader": "never"}
    return word.arg not in wanted or value is wanted[word.arg]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_pickle_no_strangers_code_and_no_shell_in_our_source(path):
    assert not faults(ast.parse(path.read_text("utf-8")))


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from joblib import load", "torch.load(f)", "yaml.load(f, Loader=yaml.Loader)", "exec(text)",
        "np.load(f, allow_pickle=True)", "factory.from_pretrained(x, trust_remote_code=True)", "f(x, trust_remote_code=flag)",
        "torch.load(f, weights_only=False)", "subprocess.run(x, shell=True)",
    ],
)  # fmt: skip
def test_what_is_forbidden_is_seen(line):
    assert faults(ast.parse(line))


def test_models_are_loaded_from_safetensors_without_code():
    """The two words that transformers needs for it stand in the one place where models are loaded."""
    text = (ROOT / "finetune" / "base_models.py").read_text("utf-8")
    assert "trust_remote_code=False" in text and "use_safetensors=True" in text
    others = [path for path in SOURCES if re.search(r"AutoModel\w*\.from_pretrained\(", path.read_text("utf-8"))]
    assert [path.name for path in others] == ["base_models.py"]


def test_the_published_tables_are_what_the_script_writes():
    assert (ROOT / "docs" / "hardening-files.md").read_text("utf-8") == hardening_tables.page(ROOT / "docs")
