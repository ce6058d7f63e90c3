"""The embedded base model itself: what a short training does to it. Minutes long, so marked slow."""

import json

import pytest

from data_prep import grid_text
from data_prep.sprite import Sprite
from eval.decoding import Sampling
from eval.generators import UNCONSTRAINED, LanguageModel, Request
from finetune.train import main

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def adapter(smollm2, reef, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "real"
    flags = {
        "model_name_or_path": "smollm2-135m", "dataset": reef, "output_dir": out, "lora_r": 16, "lora_dropout": 0,
        "lora_target_modules": "all-linear",
        "dtype": "bfloat16", "bf16": "true", "use_cpu": "true", "attn_implementation": "eager",
        "per_device_train_batch_size": 4, "max_steps": 40, "save_strategy": "no", "full_head_every": 4, "eval_sprites": 8,
    }  # fmt: skip
    assert main([str(part) for key, value in flags.items() for part in (f"--{key}", value)]) == 0
    return out / "adapter"


def test_a_short_training_teaches_the_pixels_and_the_form(adapter):
    """Design goals are 0.9995, 0.999 and 0.999 after a full training; 160 sprites come part of the way."""
    metrics = json.loads((adapter / "metrics.json").read_text())
    before, after = metrics["before"], metrics["after"]
    assert after["bits_per_pixel"] < 0.7 * before["bits_per_pixel"]
    assert before["allowed_mass"] < 0.5 and after["allowed_mass"] > 0.8
    assert after["separator_probability"] > before["separator_probability"]
    assert before["end_probability"] < 0.1 and after["end_probability"] > 0.5
    assert (adapter / "adapter_model.safetensors").stat().st_size < 10_000_000


def test_the_rate_of_valid_unconstrained_drawings_is_reported(adapter, record_property):
    model = LanguageModel.load(adapter)
    requests = [Request("a red fish facing left", 16, 16, model.palette, seed=1, index=i) for i in range(4)]
    found = [grid_text.read(d.text, size=(16, 16)) for d in model.answer(requests, Sampling(), UNCONSTRAINED)]
    rate = sum(isinstance(one, Sprite) for one in found) / len(found)
    record_property("valid_without_grammar", rate)
    print(f"valid without the grammar: {rate:.2f}", [str(one)[:80] for one in found if not isinstance(one, Sprite)])
    assert len(found) == 4


def test_the_grammar_always_yields_valid_drawings(adapter):
    model = LanguageModel.load(adapter)
    requests = [Request("a red fish facing left", 16, 16, model.palette, seed=1, index=i) for i in range(4)]
    assert all(isinstance(grid_text.read(d.text, size=(16, 16)), Sprite) for d in model.answer(requests, Sampling()))
