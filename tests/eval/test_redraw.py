"""The model behind a picture that is drawn again: found by its hash, never by what a stranger wrote into the picture."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from run_folders import REEF

from data_prep.errors import InputError
from data_prep.sprite import Sprite
from eval.pictures import write_png
from eval.redraw import find_model, read_how
from finetune.base_models import PACKAGED


def drawn(folder: Path, **chunks: str):
    write_png(folder / "sent.png", Sprite(np.ones((6, 6), np.uint8), REEF, "a crab"), 1, {"seed": 1, **chunks})
    return read_how(folder / "sent.png")


def test_a_packaged_base_model_is_loaded_by_name_or_hash(tmp_path):
    name, package = next(iter(PACKAGED.items()))
    for chunks in ({"base": name}, {"base": "evil/model", "base_hash": package.sha256}):
        assert find_model(drawn(tmp_path, **chunks), [])["base"] == name


@pytest.mark.parametrize("staging", [".adapter-x1", ".best.old", ".out-x1/adapter"])
def test_what_a_killed_run_left_is_not_taken_for_the_model(tmp_path, staging):
    runs, weights = tmp_path / "runs", b"weights"
    how = drawn(tmp_path, transformer="random", transformer_hash=hashlib.sha256(weights).hexdigest())
    for folder in (staging, "renamed"):
        (runs / folder).mkdir(parents=True)
        (runs / folder / "model.safetensors").write_bytes(weights)
    assert find_model(how, [runs]) == {"transformer": runs / "renamed"}
    (runs / "renamed/model.safetensors").unlink()
    with pytest.raises(InputError, match="not in runs/; bring it, or give --transformer FOLDER"):
        find_model(how, [runs])
