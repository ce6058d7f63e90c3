"""`python -m eval.speed.gpu`: it measures what is missing, goes on after a part that fails, and says what is left."""

import json
import subprocess
from types import SimpleNamespace

import pytest

from data_prep.errors import InputError
from eval.cli import _parser
from eval.speed import gpu


@pytest.fixture
def started(monkeypatch):
    """Parts that were started, in place of measuring: 'draw' hangs the first time, the others write what a measurement would."""
    found: list[str] = []

    def run(words, env, timeout, check):
        part, docs = words[words.index("bench") + 1], words[words.index("--docs") + 1]
        found.append(part)
        assert 0 < timeout < 600 and env["HF_HUB_OFFLINE"] == "1"
        if part == "draw" and found.count("draw") == 1:
            raise subprocess.TimeoutExpired(words, timeout)
        with open(f"{docs}/speed/{part}.json", "w") as file:
            json.dump({"one": {"kind": "cuda"}}, file)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(gpu.subprocess, "run", run)
    return found


def test_a_second_run_measures_what_the_first_left(started, tmp_path, capsys):
    (tmp_path / "speed").mkdir()
    (tmp_path / "speed" / "train.json").write_text(json.dumps({"one": {"kind": "cpu"}}))
    assert gpu.main(["--docs", str(tmp_path)]) == 2
    assert started == ["train", "draw", "baseline"] and "not measured: draw" in capsys.readouterr().err
    assert gpu.main(["--docs", str(tmp_path)]) == 0
    assert started[3:] == ["draw"]
    assert gpu.main(["--docs", str(tmp_path)]) == 0 and len(started) == 4


@pytest.mark.parametrize("trial", [None, "folder"])
def test_every_command_is_one_that_the_parser_takes(trial, tmp_path):
    for part in gpu.PARTS:
        options = _parser().parse_args(gpu.command(part, tmp_path, trial)[3:])
        assert options.part == part and options.device == ("cpu" if trial else "cuda") and options.docs == tmp_path


def test_a_trial_does_not_touch_the_page(started, capsys):
    assert gpu.main(["--trial", "folder"]) == 2 and not started
    assert capsys.readouterr().err.count("\n") == 1


def test_a_part_that_fails_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=2))
    with pytest.raises(InputError, match="not measured: train, draw, baseline"):
        gpu.run(tmp_path)
