"""A small model that draws noise, for what must hold of any model."""

import pytest

from finetune.cell_tokens import CellTokens


@pytest.fixture(scope="session")
def tokens(tokenizers) -> CellTokens:
    return CellTokens(tokenizers["smollm2"])


@pytest.fixture(scope="session")
def model():
    """Random weights, three query heads a key head, in float32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    shape = {"hidden_size": 96, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 6, "head_dim": 16}
    config = LlamaConfig(vocab_size=49152, num_key_value_heads=2, initializer_range=0.2, tie_word_embeddings=True, **shape)
    return LlamaForCausalLM(config).eval()
