"""What is no adapter of this base, palette and tokenizer, or no safetensors, is refused with the reason; nothing is written."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_models import REEF, change_facts, llama, random_adapter

from data_prep.errors import InputError
from data_prep.palette import Palette
from eval.generators import LanguageModel
from finetune import base_models
from finetune.export import export


@pytest.fixture(scope="module")
def tiny_llama(smollm2, tmp_path_factory) -> Path:
    return llama(smollm2.location, tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture(scope="module")
def llama_adapter(tiny_llama, tmp_path_factory) -> Path:
    return random_adapter(tiny_llama, tmp_path_factory.mktemp("adapters") / "tiny")


@pytest.fixture
def tiny_adapter(llama_adapter, tmp_path) -> Path:
    """A copy to be spoilt."""
    return shutil.copytree(llama_adapter, tmp_path / "tiny")


def refused(adapter: Path, base: Path, reason: str) -> None:
    """By drawing and by export, with the reason, and nothing is written."""
    before = sorted(adapter.parent.rglob("*"))
    for attempt in (
        lambda: LanguageModel.load(adapter, str(base)),
        lambda: export(adapter, adapter.parent / "out", str(base)),
    ):
        with pytest.raises(InputError, match=reason):
            attempt()
    assert sorted(adapter.parent.rglob("*")) == before


def test_pickled_adapter_weights_are_refused_by_name(tiny_adapter, tiny_llama):
    (tiny_adapter / "adapter_model.safetensors").rename(tiny_adapter / "adapter_model.bin")
    refused(tiny_adapter, tiny_llama, "adapter_model.bin is a pickle")


def test_pickled_base_weights_are_refused(tiny_adapter, tiny_llama, tmp_path_factory):
    base = tmp_path_factory.mktemp("models") / tiny_llama.name
    shutil.copytree(tiny_llama, base)
    (base / "model.safetensors").unlink()
    torch.save({}, base / "pytorch_model.bin")
    refused(tiny_adapter, base, "safetensors")


def test_code_beside_a_model_is_not_run(tiny_adapter, tiny_llama, tmp_path_factory):
    base = tmp_path_factory.mktemp("models") / tiny_llama.name
    shutil.copytree(tiny_llama, base)
    config = json.loads((base / "config.json").read_text())
    config |= {"model_type": "strange", "auto_map": {"AutoConfig": "strange.Config", "AutoModelForCausalLM": "strange.Model"}}
    (base / "config.json").write_text(json.dumps(config))
    (base / "strange.py").write_text("raise SystemExit('a stranger')")
    refused(tiny_adapter, base, "cannot be loaded|tokenizer")


@pytest.mark.parametrize("changes", [{"licences": [1, "CC0-1.0"]}, {"tasks": [None, "draw"]}, {"sizes": [[8], [8, 8, 8]]}])
def test_a_fact_of_another_type_is_refused_wherever_it_stands(tiny_adapter, tiny_llama, changes):
    change_facts(tiny_adapter, **changes)
    refused(tiny_adapter, tiny_llama, f"its {next(iter(changes))} cannot be")


def test_an_adapter_of_another_base_is_refused(tiny_adapter, tiny_llama):
    change_facts(tiny_adapter, base_sha256="0" * 64, base_hub_id="Qwen/Qwen3-1.7B")
    refused(tiny_adapter, tiny_llama, "was trained on Qwen/Qwen3-1.7B .*not on tiny-llama")


def test_a_download_of_the_base_has_another_hash_and_is_taken_by_its_name(tiny_adapter, tiny_llama):
    change_facts(tiny_adapter, base_sha256="0" * 64, base_hub_id=f"Qwen/{tiny_llama.name}")
    assert LanguageModel.load(tiny_adapter, str(tiny_llama)).facts.base_sha256 == "0" * 64


def test_another_palette_beside_the_weights_is_refused(tiny_adapter, tiny_llama):
    mine = Palette("mine", REEF.colours[::-1])
    (tiny_adapter / "palette.json").write_text(json.dumps(mine.to_json()))
    refused(tiny_adapter, tiny_llama, "another palette \\('mine'\\)")


def test_a_changed_template_or_tokenizer_is_refused(tiny_adapter, tiny_llama):
    template = tiny_adapter / "chat_template.jinja"
    template.write_text(template.read_text().replace("helpful", "idle"))
    refused(tiny_adapter, tiny_llama, "tokenizer or chat template")


def test_weights_of_another_shape_are_refused(tiny_adapter, tiny_llama):
    file = tiny_adapter / "adapter_model.safetensors"
    save_file({"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": torch.zeros(4, 32)}, file)
    refused(tiny_adapter, tiny_llama, "does not fit base model")


@pytest.mark.parametrize("told", ["f" * 64, ""])
def test_an_adapter_that_was_trained_with_other_prompts_is_refused(tiny_adapter, tiny_llama, told):
    change_facts(tiny_adapter, prompt_hash=told)
    refused(tiny_adapter, tiny_llama, "trained with other prompts")


def test_a_damaged_folder_of_the_cache_is_made_anew_once(tmp_path, monkeypatch):
    monkeypatch.setenv("PIXELREEF_CACHE", str(tmp_path))
    filled = []

    def fill(folder: Path) -> None:
        filled.append(folder)
        (folder / "model.safetensors").write_text("weights")

    made = Path(base_models._cached("tiny", "0" * 64, "a/b", fill).location)
    (made / base_models.PROVENANCE).unlink()
    (made / "model.safetensors").write_text("half")
    for _ in range(2):
        assert Path(base_models._cached("tiny", "0" * 64, "a/b", fill).location) == made
        assert (made / "model.safetensors").read_text() == "weights" and len(filled) == 2
