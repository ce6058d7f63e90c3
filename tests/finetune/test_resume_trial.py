"""The chart of a killed run: what it says of two runs is so, and its command makes them."""

import json
import subprocess
import sys

import pytest

from data_prep.errors import InputError
from finetune import resume_trial
from finetune.adapter_folder import LOG
from finetune.checkpoints import seal
from finetune.resume_trial import Trial, chart, main, trial


def rows(*steps: int, shift: float = 0.0) -> list[dict]:
    return [{"step": step, "loss": 1 / step + shift, "grad_norm": 0.5} for step in steps]


def test_it_tells_the_largest_difference_of_either_part():
    same = Trial(rows(1, 2, 3, 4), rows(1, 2, 3), rows(3, 4), True)
    assert same.told() == (
        "killed at step 3, went on with step 3; largest difference of loss 0, of gradient norm 0; the same adapter bytes"
    )
    other = Trial(rows(1, 2, 3, 4), rows(1, 2, 3), rows(3, 4, shift=0.25), False)
    assert "of loss 0.25, of gradient norm 0; other adapter bytes" in other.told()
    assert chart(same).startswith(b"\x89PNG") and chart(same) != chart(other)


def test_a_run_that_fails_or_ends_too_soon_says_why(tmp_path):
    with pytest.raises(InputError, match="unknown key 'lora_rr'"):
        trial(["--lora_rr", "1"], 1, tmp_path)


def test_a_kill_after_the_last_checkpoint_leaves_nothing_to_compare(tmp_path, monkeypatch):
    def start(flags, out):
        (out / "adapter").mkdir(parents=True, exist_ok=True)
        (out / "adapter" / "adapter_model.safetensors").touch()
        (out / LOG).write_text("".join(json.dumps(row) + "\n" for row in rows(1, 2)))
        (out / "checkpoint-2").mkdir(exist_ok=True)
        (out / "checkpoint-2" / "weights").touch()
        seal(out / "checkpoint-2")
        return subprocess.Popen([sys.executable, "-c", ""])

    monkeypatch.setattr(resume_trial, "_start", start)
    with pytest.raises(InputError, match="--kill-at 2: no step was left to take"):
        trial([], 2, tmp_path)


@pytest.mark.slow
def test_the_command_kills_a_run_which_goes_on_to_the_same_bytes(tiny_qwen3, reef, tmp_path, capsys):
    flags = {
        "model_name_or_path": tiny_qwen3, "dataset": reef, "lora_r": 4, "lora_target_modules": "all-linear", "dtype": "float32",
        "bf16": "false", "use_cpu": "true", "max_steps": 6, "save_steps": 2, "eval_sprites": 1, "draw_prompts": 0, "keep": "last",
    }  # fmt: skip
    given = [str(part) for key, value in flags.items() for part in (f"--{key}", value)]
    assert main([str(tmp_path / "resume.png"), "--kill-at", "3", *given]) == 0
    assert "of loss 0, of gradient norm 0; the same adapter bytes" in capsys.readouterr().out
    assert (tmp_path / "resume.png").read_bytes().startswith(b"\x89PNG")
