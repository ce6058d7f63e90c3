"""Small models of random weights with real tokenizers, and adapters of random weights for them."""

import json
import shutil
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig

from data_prep.captions import prompt_hash
from data_prep.palette import named
from finetune.adapter_folder import AdapterFacts, write_adapter
from finetune.base_models import load_model, load_tokenizer, resolve
from finetune.cell_tokens import CellTokens

REEF = named("reef64")
SIZE = (8, 8)
SHAPE = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
WIDE = {"initializer_range": 0.1, "rms_norm_eps": 1e-6}


def tiny(config, tokenizer_folder: str, folder: Path) -> Path:
    """A model of random weights, saved with a real tokenizer."""
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.5)  # zero as it comes, which would hide a bias that is lost
    model.save_pretrained(folder)
    for file in Path(tokenizer_folder).iterdir():
        if file.name.startswith(("tokenizer", "vocab", "merges", "chat")):
            shutil.copy(file, folder)
    return folder


def llama(tokenizer_folder: str, folder: Path) -> Path:
    config = LlamaConfig(vocab_size=49152, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2, **SHAPE, **WIDE)
    return tiny(config, tokenizer_folder, folder)


def random_adapter(base: Path, folder: Path) -> Path:
    """An adapter whose LoRA is not zero."""
    found = resolve(str(base))
    tokens = CellTokens(load_tokenizer(found))
    torch.manual_seed(2)
    model = get_peft_model(
        load_model(found, "float32"),
        LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM"),
    )
    hashes = {"recipe_hash": "r", "dataset_hash": "d" * 64, "palette_hash": REEF.hash, "tokenizer_hash": tokens.hash}
    about = {"sizes": (SIZE,), "tasks": ("draw",), "sprites_seen": 0, "licences": ("CC0-1.0",), "attributions": ("A. Painter",)}
    facts = AdapterFacts("tiny", found.hub_id, found.sha256, prompt_hash=prompt_hash(), **hashes, **about)
    measured = {"bits_per_pixel": 2.0, "sprites": 4}
    metrics = {"before": measured, "after": measured, "seed": 1}
    write_adapter(folder, model, tokens.tokenizer.chat_template, REEF, facts, {}, metrics)
    return folder


def change_facts(adapter: Path, **changes) -> None:
    file = adapter / "pixelreef.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
