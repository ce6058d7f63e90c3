"""Recolour and reference: what an adapter that was trained on them is asked, and what others are not."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from run_folders import REEF

from data_prep.captions import prompt_hash
from data_prep.sources import procedural
from data_prep.tasks import told
from eval.cli import main
from eval.generators import LanguageModel
from eval.pictures import write_png
from eval.reference import in_prompt, read_reference

TASKS = ("draw", "recolour", "reference")
CRAB = procedural.sprite(1, 1, 8)


@pytest.fixture(scope="module")
def adapter(tiny_qwen3, tmp_path_factory) -> Path:
    """Of random weights, for 8×8, trained on all tasks as it says."""
    from peft import LoraConfig, get_peft_model

    from finetune.adapter_folder import AdapterFacts, write_adapter
    from finetune.base_models import load_model, load_tokenizer, resolve

    base, folder = resolve(str(tiny_qwen3)), tmp_path_factory.mktemp("adapters") / "crabs"
    lora = LoraConfig(task_type="CAUSAL_LM", r=2, target_modules="all-linear", init_lora_weights=False)
    facts = AdapterFacts("crabs", base.hub_id, base.sha256, "", "", REEF.hash, ((8, 8),), TASKS, 0, (), (), prompt_hash(TASKS))
    metrics = {"before": {}, "after": {"sprites": 0}, "seed": 0}
    template = load_tokenizer(base).chat_template
    write_adapter(folder, get_peft_model(load_model(base), lora), template, REEF, facts, {}, metrics)
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch, adapter) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(adapter, tmp_path / "runs" / "crabs")
    write_png(tmp_path / "old.png", CRAB, 1, {})
    return tmp_path


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """What the model was asked, as plain text."""
    found, prompts = [], LanguageModel.prompts

    def noted(self, requests):
        found.extend(request.messages()[1]["content"] for request in requests)
        return prompts(self, requests)

    monkeypatch.setattr(LanguageModel, "prompts", noted)
    return found


def draw(base: Path, *words) -> int:
    return main(["draw", *map(str, words), "--adapter", "runs/crabs", "--base", str(base)])


def pixels(file: str) -> np.ndarray:
    return np.array(Image.open(file).convert("RGBA"))


def test_a_sprite_is_coloured_anew_in_its_own_silhouette(place, tiny_qwen3, asked, capsys):
    assert draw(tiny_qwen3, "a blue crab", "--recolour", "old.png", "--seed", 2, "--out", "new.png") == 0
    assert asked[0].startswith("Recolour 8x8, palette reef64: a blue crab (blue=") and asked[0].endswith(told("recolour", CRAB))
    new = pixels("new.png")
    assert not new[..., 3][CRAB.grid == 0].any() and (new != CRAB.rgba()).any()
    assert draw(tiny_qwen3, "--like", "new.png", "--out", "again.png") == 0
    assert "the same pixels as new.png" in capsys.readouterr().err and asked[-1] == asked[0]


def test_a_reference_is_told_to_an_adapter_that_heeds_one(place, tiny_qwen3, asked):
    assert draw(tiny_qwen3, "a fish", "--reference", "old.png", "--out", "new.png") == 0
    line = in_prompt(read_reference(place / "old.png"), REEF)
    assert asked[0].splitlines()[1] == line and line == told("reference", CRAB)  # its colours are the palette's own
    assert {tuple(p) for p in pixels("new.png")[..., :3][pixels("new.png")[..., 3] > 0]} <= {
        tuple(p) for p in CRAB.rgba()[..., :3][CRAB.grid > 0]
    }


def test_others_are_asked_as_before_and_refuse_what_they_never_saw(place, tiny_qwen3, asked, capsys):
    facts = place / "runs/crabs/pixelreef.json"
    facts.write_text(facts.read_text().replace(prompt_hash(TASKS), prompt_hash()))
    assert draw(tiny_qwen3, "a fish", "--out", "new.png") == 2 and "was trained with other prompts" in capsys.readouterr().err
    import json

    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"tasks": ["draw"]}))
    assert draw(tiny_qwen3, "a fish", "--reference", "old.png", "--out", "new.png") == 0
    assert "\n" not in asked[0]
    assert draw(tiny_qwen3, "a fish", "--recolour", "old.png", "--out", "newer.png") == 2
    assert "crabs was not trained on it" in capsys.readouterr().err and not Path("newer.png").exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--recolour", "old.png", "--size", 8), "--recolour: its picture has its own size"),
        (("--recolour", "old.png", "--continue", "old.png"), "--recolour: its picture has its own size"),
        (("--recolour", "none.png"), "none.png"),
        (("--recolour", "many.png"), "colours; a sprite that is coloured anew has 1 to 63"),
        (("--recolour", "large.png"), "too large for 64x64"),
    ],
)
def test_bad_pictures_end_in_one_line(place, tiny_qwen3, capsys, words, why):
    dice = np.random.default_rng(1)
    Image.fromarray(dice.integers(0, 256, (16, 16, 4), np.uint8) | np.uint8([0, 0, 0, 255])).save("many.png")
    Image.fromarray(dice.integers(0, 256, (80, 80, 4), np.uint8) | np.uint8([0, 0, 0, 255])).save("large.png")
    assert draw(tiny_qwen3, "a crab", *words, "--out", "new.png") == 2
    assert why in capsys.readouterr().err and not Path("new.png").exists()
