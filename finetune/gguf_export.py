"""A folder of transformers → one GGUF file, which llama.cpp loads. Metadata from its config and tokenizer.

Llama, Qwen2 and Qwen3 of default rotary positions, and the two splittings of text that leave a digit one token; others are
refused by name. Tensor names are the `gguf` package's; rows of Llama's queries and keys are interleaved, because
llama.cpp rotates neighbours where transformers rotates halves (convert_hf_to_gguf.py of llama.cpp does the same).
"""

import json
from pathlib import Path

import numpy as np

from data_prep.errors import InputError
from finetune.base_models import QWEN2_SPLIT

ARCHITECTURES = ("llama", "qwen2", "qwen3")  # `model_type` in config.json, and the same word in GGUF
TYPES = {"f16": "MOSTLY_F16", "q8_0": "MOSTLY_Q8_0"}


def write_gguf(folder: Path, file: Path, name: str, kind: str = "f16") -> None:
    """Writes `file` from a folder with config.json, tokenizer.json, chat_template.jinja and *.safetensors.

    kind: 'f16' or 'q8_0'; vectors (norms, biases) stay float32. Raises InputError for a model that cannot be written.
    """
    from gguf import GGUFWriter, LlamaFileType

    config = json.loads((folder / "config.json").read_text())
    check_architecture(config, folder)
    writer = GGUFWriter(file, config["model_type"])
    writer.add_type("model")
    writer.add_name(name)
    writer.add_file_type(LlamaFileType[TYPES[kind]])
    writer.add_quantization_version(2)
    _add_shape(writer, config)
    _add_tokenizer(writer, folder, config["vocab_size"])
    for tensor, values, quantised in _tensors(folder, config, kind):
        writer.add_tensor(tensor, values, raw_dtype=quantised)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check_architecture(config: dict, folder: Path | str) -> None:
    """Raises InputError for a config.json that this file does not know how to write."""
    kind, rope = config.get("model_type"), config.get("rope_parameters") or {}
    if kind not in ARCHITECTURES:
        raise InputError(f"{folder}: a GGUF of a {kind!r} model cannot be written; known are {', '.join(ARCHITECTURES)}")
    if rope.get("rope_type", "default") != "default" or config.get("use_sliding_window"):
        raise InputError(f"{folder}: a GGUF with scaled rotary positions or a sliding window cannot be written")


def _add_shape(writer, config: dict) -> None:
    heads = config["num_attention_heads"]
    head_size = config.get("head_dim") or config["hidden_size"] // heads
    rope = config.get("rope_parameters") or config
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    writer.add_rope_dimension_count(head_size)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def _add_tokenizer(writer, folder: Path, entries: int) -> None:
    """entries: rows of the embedding, which may be more than the tokenizer has tokens."""
    from gguf import SpecialVocab, TokenType

    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    texts = [f"[PAD{number}]" for number in range(entries)]
    types = [TokenType.UNUSED] * entries
    for text, number in tokenizer["model"]["vocab"].items():
        texts[number], types[number] = text, TokenType.NORMAL
    for token in tokenizer["added_tokens"]:
        texts[token["id"]] = token["content"]
        types[token["id"]] = TokenType.CONTROL if token["special"] else TokenType.USER_DEFINED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(splitting(tokenizer, folder))
    writer.add_token_list(texts)
    writer.add_token_types(types)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    special = SpecialVocab(folder, load_merges=True, n_vocab=entries)
    special.add_special_token.pop("bos", None)
    special.chat_template = (folder / "chat_template.jinja").read_text()
    special.add_to_gguf(writer, quiet=True)


def splitting(tokenizer: dict, folder: Path) -> str:
    """llama.cpp's name of how a byte-level tokenizer splits text before it merges. Raises InputError for others."""
    found = tokenizer["pre_tokenizer"] or {"type": None}
    steps = found["pretokenizers"] if found["type"] == "Sequence" else [found]
    kinds = [step["type"] for step in steps]
    if kinds == ["Split", "ByteLevel"] and steps[0]["pattern"] == {"Regex": QWEN2_SPLIT} and not steps[1]["use_regex"]:
        return "qwen2"
    if kinds == ["Digits", "ByteLevel"] and steps[0]["individual_digits"] and steps[1]["use_regex"]:
        return "smollm"
    if kinds == ["ByteLevel"] and steps[0]["use_regex"]:
        return "gpt-2"
    raise InputError(
        f"{folder}: a GGUF cannot be written: llama.cpp's name for pre-tokenizer {json.dumps(found)[:120]} is unknown"
    )


def _tensors(folder: Path, config: dict, kind: str):
    """(GGUF name, values, quantised type or None) of every tensor; a tied output head is left out, as llama.cpp expects."""
    from gguf import MODEL_ARCH, GGMLQuantizationType, get_tensor_name_map, quants
    from safetensors import safe_open

    names = get_tensor_name_map(MODEL_ARCH[config["model_type"].upper()], config["num_hidden_layers"])
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as stored:
            for key in sorted(stored.keys()):
                if config.get("tie_word_embeddings") and key == "lm_head.weight":
                    continue
                name = names.get_name(key, try_suffixes=(".weight", ".bias"))
                if name is None:
                    raise InputError(f"{file}: tensor {key} has no name in a GGUF of {config['model_type']}")
                values = stored.get_tensor(key).float().numpy()
                part = key.split(".")[-2]
                if config["model_type"] == "llama" and part in heads:
                    values = interleave(values, heads[part])
                if values.ndim == 1:
                    yield name, values, None
                elif kind == "q8_0":
                    yield name, quants.quantize(values, GGMLQuantizationType.Q8_0), GGMLQuantizationType.Q8_0
                else:
                    yield name, _half(values, key), None


def interleave(rows: np.ndarray, heads: int) -> np.ndarray:
    """(heads · size, …) rows of queries or keys: the two halves of each head become even and odd rows."""
    halves = rows.reshape(heads, 2, len(rows) // heads // 2, *rows.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows.shape))


def _half(values: np.ndarray, key: str) -> np.ndarray:
    if np.abs(values).max() > np.finfo(np.float16).max:
        raise InputError(f"tensor {key}: a weight is too large for float16; there is no F16 file of this model")
    return values.astype(np.float16)
