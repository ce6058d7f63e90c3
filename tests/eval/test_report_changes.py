"""Two runs beside each other: equal ones are noise, a spoilt one is worse, other prompts are refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from run_folders import REEF, add_rival, blob_critics, make_run, read_rows, score_blobs, write_rows

from data_prep.errors import InputError
from data_prep.grid_text import encode
from eval.cli import main
from eval.report_changes import changes


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("runs") / "before")
    add_rival(folder)
    score_blobs(folder)
    return folder


def copy(before, tmp_path, change) -> Path:
    """A copy whose completions and likelihoods `change` may alter in place, scored again."""
    folder = tmp_path / "after"
    shutil.copytree(before, folder)
    completions, likelihoods = (read_rows(folder / f"{name}.jsonl") for name in ("completions", "likelihoods"))
    change(completions, likelihoods)
    write_rows(folder / "completions.jsonl", completions)
    write_rows(folder / "likelihoods.jsonl", likelihoods)
    score_blobs(folder)
    return folder


def lines(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")][1:]


def test_a_run_does_not_differ_from_itself(before):
    text = changes(before, before)
    assert {row[-1] for row in lines(text)} == {"noise"} and "0 of " in text
    assert {row[0] for row in lines(text)} == {"adapter", "sprite transformer, improved", "base model"}


def test_what_got_worse_and_better_is_said(before, tmp_path):
    def change(completions, likelihoods):
        for row in completions:
            if (row["generator"], row["mode"]) == ("adapter", "grammar"):
                row["text"] = encode(np.zeros((16, 16), np.uint8), REEF)
        for row in likelihoods:
            if row["generator"] == "adapter":
                row["bits"] *= 0.9

    after = copy(before, tmp_path, change)
    found = {(row[0], row[1]): row for row in lines(changes(before, after))}
    assert found["adapter", "recognised, grammar"][-1] == "worse"
    assert found["adapter", "bits per pixel"][-1] == "better" and found["adapter", "bits per pixel"][4].startswith("−")
    assert found["sprite transformer, improved", "recognised, grammar"][-1] == "noise"


def test_a_renamed_adapter_is_paired_by_its_role(before, tmp_path):
    def rename(completions, likelihoods):
        for row in completions + likelihoods:
            if row["generator"] == "adapter":
                row["generator"] = "another | name"

    text = changes(before, copy(before, tmp_path, rename))
    assert "adapter: adapter → another \\| name" in text


def test_other_prompts_are_refused_in_one_line(before, tmp_path, capsys):
    other = make_run(tmp_path / "other", prompts=5, training=25)
    score_blobs(other)
    assert main(["report", str(before), str(other)]) == 2
    said = capsys.readouterr().err
    assert "other prompts" in said and said.count("\n") == 1
    with pytest.raises(InputError, match="not scored"):
        changes(before, tmp_path)


def test_another_judge_leaves_its_metrics_out(before, tmp_path):
    after = tmp_path / "rejudged"
    shutil.copytree(before, after)
    summary = json.loads((after / "summary.json").read_text())
    summary["critics"]["judge"]["sha256"] = "0" * 64
    (after / "summary.json").write_text(json.dumps(summary))
    text = changes(before, after)
    assert "different judges" in text and not any("recognised" in row[1] for row in lines(text))
    assert any(row[1] == "bits per pixel" for row in lines(text))


def test_the_commands_take_critics_and_two_folders(before, tmp_path, capsys):
    folder = tmp_path / "scored"
    shutil.copytree(before, folder)
    assert main(["score", str(folder), "--critics", str(blob_critics())]) == 0
    assert main(["score", str(folder), "--critics", str(tmp_path)]) == 2
    assert "critics.json" in capsys.readouterr().err
    assert main(["report", str(before), str(folder)]) == 0
    assert capsys.readouterr().out.startswith("# ") and not (folder / "report.html").exists()
