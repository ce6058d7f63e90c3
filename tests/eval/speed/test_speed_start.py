"""Cold starts: processes are timed by their own CPU seconds, helps import nothing heavy, and libraries know who brings them."""

import subprocess
import sys
from pathlib import Path

import pytest

from data_prep.errors import InputError
from eval.cli import main
from eval.speed import page, start
from eval.speed.contest import environment
from eval.speed.start_install import ALWAYS, Library, brought_by, libraries, reasons
from eval.speed.start_processes import ROOT, Process, costs, started, works_without

BUSY = "import time\nwhile time.process_time() < 0.4: pass"


def test_cpu_seconds_are_the_processes_own():
    ways = {"idle": Process("pass"), "busy": Process(BUSY)}
    found = start.timed(ways, 2)
    assert len(found["busy"].cpu) == 2 and min(found["busy"].cpu) >= 0.4 > max(found["idle"].cpu)
    assert min(found["busy"].wall) >= 0.4


def test_what_a_process_imported_is_told_and_arguments_know_their_turn(tmp_path):
    process = Process("import sys, bisect\nopen(sys.argv[1], 'w')", ("{turn}.txt",), tmp_path)
    process(3)
    assert (tmp_path / "3.txt").exists() and "bisect" in process.imported and "numpy" not in process.imported


def test_a_process_that_fails_is_one_line():
    with pytest.raises(InputError, match=r"^bench start: x y failed: ValueError: no$"):
        started("raise ValueError('no')", ["x", "y"])
    with pytest.raises(InputError, match=r"^bench start: '1 / 0' failed: ZeroDivisionError: division by zero$"):
        Process("1 / 0")()


def test_costs_are_summed_by_package_and_a_package_can_be_done_without():
    found = costs("import json.tool, numpy")
    assert {"json", "numpy"} <= found.keys() and not [name for name in found if "." in name]
    assert list(found.values()) == sorted(found.values(), reverse=True) and found["numpy"] > found["json"]
    code = "try:\n    import numpy\nexcept ImportError:\n    import json"
    assert works_without("numpy", code) and not works_without("json", "import json")


def test_helps_import_nothing_heavy_and_one_that_does_is_refused():
    ways = {name: process for name, process in start.light().items() if name in (start.HELP, start.DRAW_HELP)}
    for process in ways.values():
        process()
        assert "eval" in process.imported
    start.check_help(ways)
    ways[start.HELP].imported = frozenset(("torch", "json"))
    with pytest.raises(InputError, match=r"`pixelreef --help` imports torch"):
        start.check_help(ways)


def test_first_sprites_must_be_the_same_in_every_turn(tmp_path):
    ways = start.sprites(tmp_path, Path("adapters/a"), "tiny", Path("runs/model"))
    assert [process.arguments[-1] for process in ways.values()] == ["0-{turn}.png", "1-{turn}.png"]
    assert "--transformer" in list(ways.values())[1].arguments and "tiny" in next(iter(ways.values())).arguments
    for name in ("0-0.png", "0-1.png", "1-0.png", "1-1.png"):
        (tmp_path / name).write_bytes(b"sprite")
    start.check_sprites(tmp_path, ways)
    (tmp_path / "1-1.png").write_bytes(b"another")
    with pytest.raises(InputError, match=r"transformer `model`: 2 different drawings"):
        start.check_sprites(tmp_path, ways)


def test_libraries_are_told_with_who_brings_and_who_imports_them(tmp_path):
    brought = brought_by()
    assert ALWAYS in brought["numpy"][0] and {"numpy", "torch"} & brought["sympy"][1]
    assert brought["xllamacpp"] == ({"dev"}, {"xllamacpp"}) and "pixelreef" not in brought
    page_of_reasons = tmp_path / "dependencies.md"
    page_of_reasons.write_text(
        "| library | version | extra | licence | what for |\n|---|---|---|---|---|\n| torch | 1 | always | x | y |\n"
    )
    assert reasons(page_of_reasons) == {"torch": "y"} and reasons(tmp_path / "none.md") == {}
    found = {one.name: one for one in libraries({"draw": ["numpy", "PIL"], "score": ["numpy"]}, page_of_reasons)}
    assert found["numpy"].users == ("draw", "score") and found["pillow"].users == ("draw",) and found["torch"].users == ()
    assert found["numpy"].size > 10**6 and found["torch"].verdict == "not imported by these: y"
    assert found["xllamacpp"].verdict == "only for dev" and found["numpy"].verdict == "imported by draw, score"


def test_sizes_are_summed_by_what_brings_them_and_the_page_says_so():
    known = [Library("a", 5 * 10**6, ("a",), (ALWAYS,), ("draw",), ""), Library("b", 3 * 10**6, ("c",), ("dev",), (), "tests")]
    installed = start.install([*known, Library("stray", 10**9, (), (), (), "")])
    assert installed["bytes"] == 8 * 10**6 and installed["extras"]["dev"] == {"libraries": 1, "bytes": 3 * 10**6}
    costs_told = {"rows": [{"package": "a", "draw": 1.5, "train": 0.0}], "spared": {"a": False}, "draw": 2.0, "train": 3.0}
    times = {"`python -c pass`": {"wall": [1.0, 3.0], "cpu": [0.5, 0.7], "work": 1.0}}
    told = "\n".join(
        start.lines(environment(["numpy"]) | {"repeats": 5, "times": times, "imports": costs_told, "install": installed})
    )
    assert "| `python -c pass` | 2.00 (1.00 to 3.00) | 0.60 (0.50 to 0.70) |" in told
    assert "| a | 1.50 | 0.00 | does not work |" in told and "| b | 3 | dev | c | only for dev: tests |" in told
    assert "first sprites 2" in told and "| a | 5 | every install | pixelreef itself | imported by draw |" in told


def test_what_was_not_run_is_named_with_its_command():
    assert page.section("start", {})[-1] == "On a CPU: not run. `pixelreef bench start` adds it."


@pytest.mark.parametrize(
    ("flags", "said"), [(["--repeats", "0"], "repeats take 1"), (["--adapter", "none-here"], "no such folder")]
)
def test_a_bad_flag_ends_in_one_line(flags, said, tmp_path, capsys):
    assert main(["bench", "start", "--docs", str(tmp_path), *flags]) == 2
    told = capsys.readouterr().err
    assert said in told and len(told.splitlines()) == 1 and not list(tmp_path.iterdir())


def test_garbage_is_left_while_a_start_imports_and_only_then():
    code = """
import gc, sys, types
from finetune.quiet import quick_imports
with quick_imports():
    assert not gc.isenabled()
assert gc.isenabled() and gc.get_freeze_count()
gc.unfreeze()
sys.modules["torch"] = types.ModuleType("torch")
with quick_imports():
    assert gc.isenabled()
assert not gc.get_freeze_count()
del sys.modules["torch"]
try:
    with quick_imports():
        raise ValueError
except ValueError:
    assert gc.isenabled()
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
