"""A LoRA added into the weights is what PEFT computes beside them, and what is no plain LoRA goes through PEFT."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny_models import llama

from finetune.base_models import BaseModel, load_model
from finetune.merging import is_plain, merged, wrapped

IDS = torch.arange(5, 45)[None]
KINDS = {
    "plain": {},
    "rank-stabilised": {"use_rslora": True},
    "some layers": {"target_modules": ["q_proj", "down_proj"]},
    "patterns": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"q_proj": 32}},
    "dora": {"use_dora": True},
    "biases": {"bias": "lora_only"},
}


@pytest.fixture(scope="module")
def base(smollm2, tmp_path_factory) -> BaseModel:
    return BaseModel(str(llama(smollm2.location, tmp_path_factory.mktemp("models") / "tiny-llama")), "tiny", "")


def adapter_of(base: BaseModel, folder: Path, **kind) -> Path:
    torch.manual_seed(4)
    given = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "init_lora_weights": False, "task_type": "CAUSAL_LM"}
    get_peft_model(load_model(base, "float32"), LoraConfig(**given | kind)).save_pretrained(folder)
    return folder


def logits(model) -> torch.Tensor:
    with torch.inference_mode():
        return model(input_ids=IDS).logits


@pytest.mark.parametrize("kind", KINDS)
def test_a_merged_model_is_the_wrapped_one(base, tmp_path, kind):
    adapter = adapter_of(base, tmp_path / "lora", **KINDS[kind])
    assert is_plain(json.loads((adapter / "adapter_config.json").read_text())) == (kind in list(KINDS)[:3])
    beside, within = (way(load_model(base, "float32"), adapter) for way in (wrapped, merged))
    assert type(within) is type(beside.get_base_model())
    assert torch.allclose(logits(beside), logits(within), atol=1e-3)
    assert not torch.allclose(logits(within), logits(load_model(base, "float32")), atol=0.1)


def test_bfloat16_is_rounded_once(base, tmp_path):
    """The merged weights are those of float32 arithmetic on the stored ones, rounded to bfloat16."""
    adapter = adapter_of(base, tmp_path / "lora")
    exact = merged(load_model(base, "bfloat16").float(), adapter).to(torch.bfloat16)
    for mine, other in zip(merged(load_model(base, "bfloat16"), adapter).parameters(), exact.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_pissa_is_no_plain_lora():
    plain = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "init_lora_weights": True}
    assert is_plain(plain) and not is_plain(plain | {"init_lora_weights": "pissa"}) and not is_plain(plain | {"new_kind": 3})


def test_merging_a_plain_lora_imports_no_peft(base, tmp_path):
    adapter = adapter_of(base, tmp_path / "lora")
    code = f"""if True:
        import sys
        from pathlib import Path
        from finetune.base_models import BaseModel, load_model
        from finetune.merging import merged
        merged(load_model(BaseModel({base.location!r}, "", "")), Path({str(adapter)!r}))
        print(sorted({{"peft", "bitsandbytes", "trl"}} & set(sys.modules)))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stdout.strip() == "[]", done.stderr
