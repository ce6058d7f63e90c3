"""`pixelreef train my_sprites/`: which folders it begins in, and how it tells the length of a run."""

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from data_prep.errors import InputError
from eval.train_own import ASKED, _command, _length_told, _same_request
from finetune.choosing import length_of


def test_what_a_kill_left_is_no_reason_to_refuse_a_folder_and_other_files_are(tmp_path):
    options = SimpleNamespace(base=None, size=16, steps=None, minutes=None)
    for name in ("dataset", f".{ASKED}-123", ".adapter-x1"):
        (tmp_path / name).mkdir()
    assert _same_request(tmp_path, options)["size"] == 16
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(InputError, match="holds other files"):
        _same_request(tmp_path, options)


def test_a_caption_is_a_word_to_the_shell_that_the_command_is_copied_to(tmp_path):
    caption = "a 'crab' \"$(touch owned)\" `touch owned`"
    said = _command([caption], Path("runs/my own"))
    told = subprocess.run(
        ["bash", "-c", f'pixelreef() {{ printf "%s\\n" "$@"; }}; {said}'], cwd=tmp_path, capture_output=True, text=True
    )
    assert told.stdout.splitlines() == ["draw", caption, "--adapter", "runs/my own/adapter", "--scale", "8"]
    assert not (tmp_path / "owned").exists()


def test_a_run_shorter_than_the_sprites_says_how_many_it_sees():
    long, short = (_length_told(length_of(steps, 4), 2.0, 500, 32) for steps in (2000, 20))
    assert "each of the 500 is seen 16.0 times" in long[0] and len(long) == 1
    assert "80 of the 500 are seen once" in short[0] and "too short" in short[1] and "--size 16" in short[1]
