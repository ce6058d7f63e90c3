"""The smallest pipeline twice, once undisturbed and once without a network; then killed, starved of space, and run twice at once.

`python tests/faults.py` does the same at length.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from faults import FULL, OUT, Faults, at_once, content, killed_votes, kills, on_a_disk
from small_pipeline import QUIET, ROOT, STEPS, Pipeline

ASKED = """
import os, sys

def told(event, given):
    if event == "socket.getaddrinfo" and given[0] in (None, "localhost", "127.0.0.1", "::1", b"localhost"):
        return
    if event == "socket.connect" and (given[0].family == 1 or given[1][0] in ("127.0.0.1", "::1")):
        return
    if event in ("socket.getaddrinfo", "socket.connect"):
        with open(os.environ["ASKED"], "a") as file:
            file.write(f"{sys.argv} {event} {given}\\n")

sys.addaudithook(told)
"""


@pytest.fixture(scope="module")
def faults(tmp_path_factory) -> Faults:
    """The undisturbed pipeline, made with PYTHONHASHSEED 1."""
    before, os.environ["PYTHONHASHSEED"] = os.environ.get("PYTHONHASHSEED"), "1"
    try:
        return Faults(tmp_path_factory.mktemp("faults"), 1)
    finally:
        del os.environ["PYTHONHASHSEED"]
        if before is not None:
            os.environ["PYTHONHASHSEED"] = before


@pytest.fixture
def alone(tmp_path) -> list[str]:
    """What starts a command in a network namespace of its own, which has no way out."""
    command = ["unshare", "--net", "--map-root-user"]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no network namespace may be made here")
    return command


def test_without_a_network_and_with_other_hashes_every_step_makes_the_same_bytes(faults, alone, tmp_path, monkeypatch):
    """The same place for both, since recipes name it. Nobody is asked for an address, nor connected to but this machine."""
    folder, kept = faults.whole.folder, tmp_path / "first"
    told = {step: raw(folder / OUT[step]) for step in ("prepare", "train")}
    reported = {name: (faults.whole.drawn / name).read_bytes() for name in ("scores.jsonl", "report.html", "report.md")}
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(ASKED)
    asked = tmp_path / "asked"
    environment = {
        "PYTHONHASHSEED": "2", "PYTHONPATH": f"{tmp_path / 'hook'}{os.pathsep}{ROOT}", "ASKED": str(asked), "HF_HUB_OFFLINE": "0",
    }  # fmt: skip
    plain = Pipeline.command
    monkeypatch.setattr(Pipeline, "command", lambda self, step: [*alone, *plain(self, step)])
    for step in ("report", "score"):  # of the same drawings, whose seconds are theirs
        faults.whole.run(step, environment)
    assert {name: (faults.whole.drawn / name).read_bytes() for name in reported} == reported
    folder.rename(kept)
    try:
        again = Pipeline(folder)
        for step in STEPS:
            again.run(step, environment)
        assert {step: raw(folder / OUT[step]) for step in told} == told
        assert content(again.drawn) == content(kept / OUT["draw"])
    finally:
        shutil.rmtree(folder)
        kept.rename(folder)
    assert not asked.exists(), asked.read_text()


def raw(folder: Path) -> dict[str, bytes]:
    """What holds no seconds: pairs, palettes, weights, pictures."""
    kinds = (".parquet", ".safetensors", ".png", ".npz")
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.suffix in kinds}


def test_the_hook_that_listens_for_connections_hears_them(tmp_path):
    """Else its silence would say nothing."""
    (tmp_path / "sitecustomize.py").write_text(ASKED)
    code = "import socket\ntry: socket.getaddrinfo('no-such-host.invalid', 80)\nexcept OSError: pass"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "ASKED": str(tmp_path / "asked")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert "no-such-host.invalid" in (tmp_path / "asked").read_text()


@pytest.mark.parametrize("step", ["train", "draw", "score"])
def test_a_killed_step_goes_on_to_the_files_of_one_that_was_not(faults, step):
    found = list(kills(faults, step, 1))
    assert found[-1].get("ended") and all(row["survived"] for row in found), found


def test_votes_that_were_answered_outlive_a_kill(faults):
    (found,) = killed_votes(faults.folder, 1, faults.dice)
    assert found["survived"] and not found["why"].startswith("0 "), found


def test_of_two_draws_into_one_folder_one_is_refused_and_the_rows_are_those_of_one(faults):
    found = at_once(faults, "draw")
    assert found["survived"] and found["why"] == "exit codes [0, 2]", found


def test_a_disk_that_fills_up_is_told_in_one_line_and_nothing_finished_is_lost(faults):
    try:
        found = on_a_disk(faults, "draw", FULL)
    except PermissionError as error:
        pytest.skip(str(error))
    assert found["survived"] and "no space is left" in found["why"], found


def test_telemetry_of_the_libraries_is_off():
    code = (
        "import finetune.train, os; from finetune.quiet import quieten; quieten(); from huggingface_hub import constants as c\n"
        "from finetune.config import parse; import sys\n"
        "assert c.HF_HUB_DISABLE_TELEMETRY\n"
        "from trl import SFTConfig; print(SFTConfig(output_dir='x', use_cpu=True, bf16=False).report_to)"
    )
    environment = {key: value for key, value in os.environ.items() if "TELEMETRY" not in key} | QUIET
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().splitlines()[-1] in ("[]", "none", "['none']"), "nothing is reported to but what a recipe names"
