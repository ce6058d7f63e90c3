"""prepare: killed at any moment it goes on where it was, on any number of processes; its memory is that of the keys."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_prep import corpus_folder
from data_prep.corpus_folder import making
from data_prep.errors import InputError
from data_prep.prepare import PrepareRecipe, prepare

REPOSITORY = Path(__file__).parents[2]
RECIPE = {"name": "tiny", "sources": [{"kind": "procedural", "seed": 3, "count": 600}], "sizes": [16], "shard_rows": 50}
PREPARE = """
import json, sys
from pathlib import Path
from data_prep.prepare import PrepareRecipe, prepare
if __name__ == "__main__":
    prepare(PrepareRecipe.from_dict(json.loads(sys.argv[1])), Path(sys.argv[2]))
"""


def start(out: Path, **changes) -> subprocess.Popen:
    import json

    words = [sys.executable, "-c", PREPARE, json.dumps(RECIPE | changes), str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(words, cwd=out.parent, env=environment, stderr=subprocess.DEVNULL)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sealed(partial: Path) -> dict[str, int]:
    """Finished parquet files → when they were written, in nanoseconds."""
    return {path.name: path.stat().st_mtime_ns for path in (partial / "whole" / "data").glob("*.parquet")}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Path:
    return prepare(PrepareRecipe.from_dict(RECIPE), tmp_path_factory.mktemp("unbroken") / "out")


@pytest.mark.parametrize("num_proc", [1, 2])
def test_a_killed_run_goes_on_and_writes_no_finished_file_again(unbroken, tmp_path, num_proc):
    out, dice, kills, before, most = tmp_path / "out", random.Random(num_proc), 0, {}, 4 - num_proc
    partial = tmp_path / ".out.partial"
    while not out.exists():
        run = start(out, num_proc=num_proc)
        wanted = len(before) + dice.randint(1, 4)  # killed once so many files are whole, or a little later
        while run.poll() is None and (kills >= most or len(sealed(partial)) < wanted):
            time.sleep(0.002)
        time.sleep(dice.random() * 0.05)
        if run.poll() is None:
            run.send_signal(signal.SIGKILL)
            kills += 1
        assert run.wait() in (0, -signal.SIGKILL)
        now = sealed(partial) if partial.exists() else before
        assert {name: now.get(name) for name in before} == before
        before = now
    assert kills >= 2 and len(before) >= 2
    written = {path.name: path.stat().st_mtime_ns for path in (out / "data").iterdir()}
    assert {name: written[name] for name in before} == before
    assert files(out) == files(unbroken) and [path.name for path in tmp_path.iterdir()] == ["out"]


def test_many_files_hold_the_rows_of_one(unbroken, tmp_path):
    from datasets import load_dataset

    whole = prepare(PrepareRecipe.from_dict(RECIPE | {"shard_rows": 25_000}), tmp_path / "whole")
    one, many = (load_dataset(str(folder), cache_dir=str(tmp_path / "cache")) for folder in (whole, unbroken))
    assert len(list((whole / "data").iterdir())) == 3 and len(list((unbroken / "data").iterdir())) > 10
    assert {split: list(rows) for split, rows in one.items()} == {split: list(rows) for split, rows in many.items()}


def test_a_state_of_another_recipe_is_not_taken(tmp_path):
    state = tmp_path / ".out.partial" / "whole" / "data"
    state.mkdir(parents=True)
    (state / "train-00000-of-00001.parquet").write_bytes(b"another's")
    (tmp_path / ".out.partial" / "recipe_hash").write_text("another")
    out = prepare(PrepareRecipe.from_dict(RECIPE | {"limit": 60}), tmp_path / "out")
    assert (out / "data" / "train-00000-of-00001.parquet").read_bytes()[:4] == b"PAR1"


def test_no_process_outlives_the_command_that_was_killed(tmp_path):
    """Linux alone: /proc lists the children."""
    run = start(tmp_path / "out", num_proc=2, sources=[RECIPE["sources"][0] | {"count": 6000}])
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    while run.poll() is None and len(children.read_text().split()) < 3:  # two, and what tracks their semaphores
        time.sleep(0.01)
    begun = children.read_text().split()
    run.send_signal(signal.SIGKILL)
    run.wait()
    for _ in range(1000):
        if not any(_runs(process) for process in begun):
            return
        time.sleep(0.02)
    raise AssertionError([process for process in begun if _runs(process)])


def _runs(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_lost_process_leaves_what_is_finished_for_the_next_run(unbroken, tmp_path, monkeypatch):
    from data_prep import pairs
    from data_prep.workers import WorkerLost

    def lost(*arguments):
        yield next(whole(*arguments))
        raise WorkerLost("a process was killed")

    whole = pairs.write_shards
    monkeypatch.setattr(pairs, "write_shards", lost)
    with pytest.raises(WorkerLost):
        prepare(PrepareRecipe.from_dict(RECIPE), tmp_path / "out")
    before = sealed(tmp_path / ".out.partial")
    assert len(before) == 1
    monkeypatch.setattr(pairs, "write_shards", whole)
    out = prepare(PrepareRecipe.from_dict(RECIPE), tmp_path / "out")
    assert files(out) == files(unbroken)
    assert {name: (out / "data" / name).stat().st_mtime_ns for name in before} == before


def test_a_lock_that_another_run_took_away_is_none(tmp_path, monkeypatch):
    """It was finished between the opening of the lock and its taking: this run has to look again."""
    import fcntl

    partial = tmp_path / ".out.partial"

    def taken_away(file, how):
        (partial / "lock").unlink()

    monkeypatch.setattr(fcntl, "flock", taken_away)
    with pytest.raises(InputError, match="another process is making it"):
        prepare(PrepareRecipe.from_dict(RECIPE | {"limit": 60}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_processes_never_make_one_folder(tmp_path):
    import fcntl

    partial = tmp_path / ".out.partial"
    partial.mkdir()
    with (partial / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process is making it"):
            prepare(PrepareRecipe.from_dict(RECIPE | {"limit": 60}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_memory_grows_by_keys_alone(tmp_path):
    """Peak resident memory of the process, with 1,500 and with 12,000 sprites."""
    peaks = []
    for count in (1_500, 12_000):
        sources = [{"kind": "procedural", "seed": 3, "count": count}]
        run = start(tmp_path / f"{count}", sources=sources)
        _, _, usage = os.wait4(run.pid, 0)
        peaks.append(usage.ru_maxrss)  # KiB
    assert (peaks[1] - peaks[0]) / 10_500 < 3, peaks


def test_what_is_finished_outlives_an_error_and_where_nothing_is_nothing_stays(tmp_path):
    for finished in (False, True):
        with pytest.raises(InputError), making(tmp_path / "out", "a") as (_, state):
            (state / "1.7.draft").write_text("half a pi")
            (state / "0.jsonl").write_text("a picture\n" if finished else "")
            raise InputError("the network is down")
        assert (tmp_path / ".out.partial").exists() is finished
    with making(tmp_path / "out", "a") as (_, state):
        assert (state / "0.jsonl").exists()


def test_a_corpus_that_a_killed_run_had_set_aside_gets_its_name_back(tmp_path):
    old = tmp_path / ".out.partial" / "old"
    old.mkdir(parents=True)
    (old / "manifest.json").write_text("finished")
    with pytest.raises(InputError, match="which is back"), making(tmp_path / "out", "b"):
        pass
    assert (tmp_path / "out" / "manifest.json").read_text() == "finished"


def test_a_kill_while_another_recipe_s_state_is_cleared_leaves_none_of_it_to_go_on_from(tmp_path, monkeypatch):
    out, data = tmp_path / "out", tmp_path / ".out.partial" / "whole" / "data"
    with pytest.raises(KeyboardInterrupt), making(out, "a") as (_, state):
        (data / "train-00000-of-00001.parquet").touch()
        (state / "train-00000-of-00001.json").touch()
        raise KeyboardInterrupt
    remove = corpus_folder.shutil.rmtree

    def killed(folder, **how):
        remove(folder, **how)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(corpus_folder.shutil, "rmtree", killed)
        making(out, "b").__enter__()
    with pytest.raises(KeyboardInterrupt), making(out, "a"):
        assert not list(data.iterdir())
        raise KeyboardInterrupt


@pytest.mark.parametrize("torn", ["parquet", "json"])
def test_a_file_that_a_loss_of_power_emptied_is_written_again(unbroken, tmp_path, monkeypatch, torn):
    from data_prep import pairs

    def stopped(*arguments):
        yield next(whole(*arguments))
        raise KeyboardInterrupt

    whole = pairs.write_shards
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(pairs, "write_shards", stopped)
        prepare(PrepareRecipe.from_dict(RECIPE), tmp_path / "out")
    partial = tmp_path / ".out.partial"
    (file,) = partial.glob("whole/data/*.parquet")
    os.truncate(file if torn == "parquet" else partial / "state" / f"{file.stem}.json", 0)
    out = prepare(PrepareRecipe.from_dict(RECIPE), tmp_path / "out")
    assert files(out) == files(unbroken)
