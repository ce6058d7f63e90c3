"""What people rely on when they train, through the real command, on a tiny random Qwen3 in float32.

`pytest tests/test_invariants.py -s` prints the trajectories.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_prep.prepare import PrepareRecipe, prepare
from finetune.checkpoints import checkpoints, is_whole, last_whole

ROOT = Path(__file__).parents[1]
STEPS = 4
STOPPED = tuple(f"from-{step}" for step in range(1, STEPS + 1))
FLAGS = {
    "lora_r": 4, "lora_target_modules": "all-linear", "lora_dropout": 0, "dtype": "float32", "bf16": "false", "use_cpu": "true",
    "max_steps": STEPS, "save_steps": 1, "save_total_limit": 0, "logging_steps": 1, "full_head_every": 4, "learning_rate": 0.01,
    "eval_sprites": 1, "draw_prompts": 0, "keep": "last",
}  # fmt: skip
ONE_BY_ONE = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 8}
SHAPES = {  # name → processes and the flags that cut a step's eight sprites
    "1 × 8 accumulated": (1, ONE_BY_ONE),
    "8 × 1": (1, {"per_device_train_batch_size": 8}),
    "2 processes × 4": (2, {"per_device_train_batch_size": 4, "processes": 2}),
}


@pytest.fixture(scope="module")
def sprites(tmp_path_factory) -> Path:
    """A dataset of 8×8 sprites so few that every run goes over them several times."""
    recipe = PrepareRecipe("reef8", ({"kind": "procedural", "seed": 1, "count": 18},), (8,))
    return prepare(recipe, tmp_path_factory.mktemp("datasets") / "reef8")


@pytest.fixture(scope="module")
def command(tiny_qwen3, sprites):
    """Arguments → a running `accelerate launch`, of train.py unless another script is named."""

    def start(count: int = 1, script: tuple = ("finetune/train.py",), **flags) -> subprocess.Popen:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        launch = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", count]
        one = ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
        several = ["--config_file", "finetune/accelerate/ddp_cpu.yaml", "--main_process_port", port]
        launch += several if count > 1 else one
        given = {"model_name_or_path": tiny_qwen3, "dataset": sprites, **FLAGS, **flags}
        parts = [*launch, *script, *(part for key, value in given.items() for part in (f"--{key}", value))]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "start_new_session": True}
        return subprocess.Popen(list(map(str, parts)), cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, **pipes)

    return start


def finish(process: subprocess.Popen) -> str:
    """What a run said; it must have ended well."""
    said, _ = process.communicate(timeout=900)
    assert process.returncode == 0, said[-3000:]
    return said


@pytest.fixture(scope="module")
def runs(command, tmp_path_factory) -> dict[str, Path]:
    """Finished runs of one recipe, by the shape of their batches."""
    found = {}
    for number, (name, (processes, flags)) in enumerate(SHAPES.items()):
        found[name] = tmp_path_factory.mktemp("shapes") / str(number)
        said = finish(command(processes, output_dir=found[name], **flags))
        assert f"on {processes} process(es), 8 a step" in said
    return found


def trajectory(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "training_log.jsonl").read_text().splitlines()]


def lora(folder: Path) -> bytes:
    return (folder / "adapter_model.safetensors").read_bytes()


def test_the_shape_of_a_batch_changes_neither_loss_nor_gradient(runs):
    """Float32 sums in another order differ by about 1e-7; a wrong count of tokens or other sprites by more than 1e-2."""
    found = {name: trajectory(run) for name, run in runs.items()}
    print("\nloss and gradient norm, step by step")
    for name, rows in found.items():
        print(f"{name:>18}", *(f"{row['loss']:.6f} {row['grad_norm']:.6f}" for row in rows), sep=" | ")
    one_by_one = found.pop("1 × 8 accumulated")
    assert [row["sprites"] for row in one_by_one] == [8 * step for step in range(1, STEPS + 1)]
    for rows in found.values():
        for key in ("loss", "grad_norm", "sprites"):
            assert [row[key] for row in rows] == pytest.approx([row[key] for row in one_by_one], rel=1e-4)


def test_a_run_that_is_killed_while_it_saves_goes_on_to_the_same_bytes(runs, command, tmp_path):
    """kill -9 as soon as files of the third checkpoint appear: the second is used, and the adapter is that of the whole run."""
    killed = command(output_dir=tmp_path / "run", **ONE_BY_ONE)
    wait_for(tmp_path / "run" / "checkpoint-3")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    last = last_whole(tmp_path / "run")
    print(
        f"\nkilled at the save of step 3: {[c.name for c in checkpoints(tmp_path / 'run')]}, last whole one {last.name}", end=""
    )
    assert not (tmp_path / "run" / "adapter").exists() and last.name == "checkpoint-2"
    whole = runs["1 × 8 accumulated"]
    assert lora(last) == lora(whole / "checkpoint-2")  # same seed, same bytes, in another process
    said = finish(command(output_dir=tmp_path / "run", **ONE_BY_ONE))
    assert "step 3/4" in said and "step 2/4" not in said
    assert lora(tmp_path / "run" / "adapter") == lora(whole / "adapter")


def wait_for(path: Path) -> None:
    patience = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < patience
        time.sleep(0.001)


def test_stopped_at_any_step_it_ends_with_the_same_bytes(command, tmp_path):
    """With dropout, so that the random state counts; an epoch ends after two steps, the fourth takes the full head.

    From its last checkpoint it takes no step more.
    """
    finish(command(script=("tests/resume_script.py", tmp_path), per_device_train_batch_size=6, lora_dropout=0.1))
    whole = lora(tmp_path / "whole" / "adapter")
    same = {name: lora(tmp_path / name / "adapter") == whole for name in (*STOPPED, "other-seed")}
    print("\nsame bytes as the run that was not stopped:", same)
    assert same == dict.fromkeys(same, True) | {"other-seed": False}
    losses = [[row["loss"] for row in trajectory(tmp_path / name)] for name in ("whole", *STOPPED)]
    print(*(f"{name:>14} {found}" for name, found in zip(("whole", *same), losses, strict=False)), sep="\n")
    assert all(found == losses[0] for found in losses)


def damage(path: Path, how: str) -> None:
    """What a kill or a loss of power makes of a file."""
    content = path.read_bytes()
    path.unlink()
    if how != "missing":
        half = len(content) // 2
        path.write_bytes({"cut": content[:half], "empty": b"", "zeroed": content[:half] + bytes(len(content) - half)}[how])


@pytest.mark.parametrize("how", ["missing", "cut", "empty", "zeroed"])
def test_whatever_file_is_torn_the_checkpoint_before_it_is_used(runs, tmp_path, how):
    whole = runs["1 × 8 accumulated"]
    names = sorted(path.name for path in (whole / "checkpoint-2").iterdir())
    assert {"adapter_model.safetensors", "optimizer.pt", "rng_state.pth", "trainer_state.json", "manifest.json"} <= set(names)
    shutil.copytree(whole / "checkpoint-1", tmp_path / "checkpoint-1")
    for name in names:
        shutil.copytree(whole / "checkpoint-2", tmp_path / "checkpoint-2")
        assert is_whole(tmp_path / "checkpoint-2")
        damage(tmp_path / "checkpoint-2" / name, how)
        assert last_whole(tmp_path) == tmp_path / "checkpoint-1", name
        shutil.rmtree(tmp_path / "checkpoint-2")
