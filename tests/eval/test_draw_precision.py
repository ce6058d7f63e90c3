"""A drawing says what was computed with, and `--like` computes with the same, whatever this machine is quick with."""

import pytest

from eval.cli import main
from eval.generators import LanguageModel
from eval.pictures import read_picture
from eval.redraw import BEFORE, find_model, read_how
from tests.finetune.tiny_models import random_adapter


@pytest.fixture
def drawn(tiny_qwen3, tmp_path, monkeypatch):
    """The working folder with adapters/tiny; and how it draws: flags → precision that the model was loaded in."""
    monkeypatch.chdir(tmp_path)
    random_adapter(tiny_qwen3, tmp_path / "adapters" / "tiny")
    asked, load = [], LanguageModel.load
    monkeypatch.setattr(LanguageModel, "load", lambda adapter, base, dtype: asked.append(dtype) or load(adapter, base, dtype))

    def draw(*words):
        assert main(["draw", *words, "--base", str(tiny_qwen3), "--out", "new.png"]) == 0
        return asked[-1], read_picture(tmp_path / "new.png").said["dtype"]

    return draw


def test_like_keeps_the_precision_of_the_drawing(drawn, tmp_path):
    assert drawn("a crab", "--adapter", "adapters/tiny", "--dtype", "bfloat16") == ("bfloat16", "bfloat16")
    (tmp_path / "new.png").rename(tmp_path / "old.png")
    assert drawn("--like", "old.png") == ("bfloat16", "bfloat16")
    assert drawn("--like", "old.png", "--dtype", "float32") == ("float32", "float32")
    asked, said = drawn("a crab", "--adapter", "adapters/tiny")
    assert asked is None and said in ("float32", "bfloat16")  # the machine's own


def test_older_drawings_were_made_in_bfloat16(drawn, tmp_path, tiny_qwen3):
    drawn("a crab", "--adapter", "adapters/tiny", "--dtype", "float32")
    how = read_how(tmp_path / "new.png")
    assert find_model(how, [tmp_path / "adapters"], str(tiny_qwen3))["dtype"] == "float32"
    values = {key: value for key, value in how.values.items() if key != "dtype"}
    older = type(how)(how.file, values)
    assert find_model(older, [tmp_path / "adapters"], str(tiny_qwen3))["dtype"] == BEFORE == "bfloat16"
