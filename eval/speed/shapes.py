"""Models of known shapes with random weights: what they draw is noise, their speed and memory are real."""

from data_prep.errors import InputError

SHAPES = {
    "qwen3-1.7b": {
        "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28, "num_attention_heads": 16,
        "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "tie_word_embeddings": True, "eos_token_id": 151645,
        "pad_token_id": 151643, "bos_token_id": None,
    }
}  # fmt: skip


def random_model(name: str, device: str):
    """A LanguageModel of a known shape with random weights in bfloat16: its drawings are noise, its speed is real."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from eval.generators import LanguageModel
    from finetune.base_models import load_tokenizer, resolve
    from finetune.cell_tokens import CellTokens

    if name not in SHAPES:
        raise InputError(f"--random {name}: unknown; there are {', '.join(SHAPES)}")
    with torch.device(device):
        model = Qwen3ForCausalLM._from_config(Qwen3Config(**SHAPES[name]), dtype=torch.bfloat16)
    return LanguageModel(model, CellTokens(load_tokenizer(resolve("qwen3-tokenizer"))))
