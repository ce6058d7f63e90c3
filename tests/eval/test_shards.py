"""A run folder that several processes fill: the rows of one process, whatever is killed in between."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import pytest
import yaml

from data_prep.errors import InputError
from data_prep.prepare import PrepareRecipe, prepare
from eval.generate import GenerateRecipe, generate
from eval.shards import ALONE, JsonLines, Processes

FILES = ("completions.jsonl", "likelihoods.jsonl")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def recipe(tiny_qwen3, tmp_path_factory) -> GenerateRecipe:
    """Two rounds: the second goes on from drawings that the other process made in the first."""
    small = PrepareRecipe("small", ({"kind": "procedural", "seed": 1, "count": 120},), (8,))
    reef = prepare(small, tmp_path_factory.mktemp("datasets") / "small")
    generators = {"bare": {"base": str(tiny_qwen3)}, "again": {"base": str(tiny_qwen3), "rounds": 1}}
    counts = {"prompts": 5, "unconstrained": 1, "likelihoods": 3, "batch_size": 2}
    return GenerateRecipe("shared", str(reef), generators, {"base": "bare"}, dtype="float32", **counts)


@pytest.fixture(scope="module")
def alone(recipe, tmp_path_factory) -> Path:
    return generate(recipe, tmp_path_factory.mktemp("alone"))


def rows(path: Path) -> list[dict]:
    """Without what may differ: seconds, and the last digits of bits, which hang on the batch."""
    found = [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
    rough = {"seconds": None, "bits": 3, "allowed_mass": 4, "end_probability": 4, "separator_probability": 4}
    return [
        {key: value if key not in rough else rough[key] and round(value, rough[key]) for key, value in row.items()}
        for row in found
    ]


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.shard-*"))


def test_two_processes_make_the_rows_of_one(recipe, alone, tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(asdict(recipe), sort_keys=False))
    script = [str(Path(__file__).with_name("shards_script.py")), str(tmp_path / "recipe.yaml"), str(tmp_path), "2"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *script]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "process 0 is done" in done.stdout and "process 1 is done" in done.stdout
    for name in FILES:
        assert rows(tmp_path / "shared" / name) == rows(alone / name)  # in the same order too
    assert not shards(tmp_path / "shared")
    assert "bare: drawing, grammar: 3/3" in done.stdout and "bare: drawing, grammar: 2/2" in done.stdout  # each its share


def test_shards_of_processes_that_were_killed_are_merged_first(recipe, alone, tmp_path, capsys):
    folder = shutil.copytree(alone, tmp_path / "shared")
    for name in FILES:
        lines = (folder / name).read_bytes().splitlines(keepends=True)
        left, lost = lines[:-4], lines[-4:]
        (folder / name).write_bytes(b"".join(left))
        (folder / f"{name}.shard-1").write_bytes(lost[2] + lost[0])
        (folder / f"{name}.shard-0").write_bytes(left[-1] + lost[3] + lost[1][:30])  # one was merged already, one is cut off
    generate(recipe, tmp_path)
    assert not shards(folder) and "again, round 1: drawing, grammar: 1/1" in capsys.readouterr().out
    for name in FILES:
        found, wanted = rows(folder / name), rows(alone / name)
        assert Counter(map(str, found)) == Counter(map(str, wanted))
        assert found[-4:] == [wanted[-4], wanted[-2], wanted[-1], wanted[-3]]  # in order, then what was drawn again


def test_shares_are_everything_once():
    todo = list(range(7))
    parts = [Processes(index, 3).share(todo) for index in range(3)]
    assert (
        sorted(chain.from_iterable(parts)) == todo
        and max(map(len, parts)) - min(map(len, parts)) == 1
        and ALONE.share(todo) == todo
    )


def test_a_process_writes_beside_the_file_until_the_first_one_merges(tmp_path):
    path, order = tmp_path / "x.jsonl", lambda row: (row["n"],)
    second, first = (JsonLines(path, ("n",), order, Processes(index, 2)) for index in (1, 0))
    second.append([{"n": 4}, {"n": 2}])
    first.append([{"n": 3}, {"n": 1}])
    assert not path.exists() or path.read_bytes() == b""
    assert second.lacks(3) and not second.lacks(2)
    first.gather()
    second.gather()
    assert [row["n"] for row in second.rows()] == [1, 2, 3, 4] and not second.lacks(3) and not shards(tmp_path)


@pytest.mark.parametrize("line", [b"{]\n", b'{"m": 1}\n', b"[1]\n", b"\xff\n"])
def test_a_damaged_line_is_named(tmp_path, line):
    (tmp_path / "x.jsonl").write_bytes(b'{"n": 1}\n' + line)
    with pytest.raises(ValueError, match=r"x\.jsonl: a line is damaged"):
        JsonLines(tmp_path / "x.jsonl", ("n",), lambda row: (), ALONE)


@pytest.mark.parametrize("name", ["completions.jsonl", "completions.jsonl.shard-0"])
@pytest.mark.parametrize("there", [True, False])
def test_a_link_in_a_stranger_s_run_is_neither_cut_nor_written_to(name, there, tmp_path):
    victim = tmp_path / "victim.txt"
    if there:
        victim.write_text("no newline")
    (tmp_path / name).symlink_to(victim)
    with pytest.raises(InputError, match="is a link"):
        JsonLines(tmp_path / "completions.jsonl", ("request_id",), lambda row: (), ALONE)
    assert (victim.read_text() == "no newline") if there else not victim.exists()
