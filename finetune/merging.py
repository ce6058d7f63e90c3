"""A LoRA added into its base model's weights, for drawing: W + s·B·A, computed in float32 and rounded once.

A merged model draws in two thirds of the time. PEFT's own `merge_and_unload` does it for every kind of LoRA, but importing
PEFT takes longer than loading a small model; so the plain kind, which all recipes here make, is added without it. Parts of a
LoRA that are no plain one (DoRA, trained heads, biases) and quantised bases go through PEFT.
"""

import json
from pathlib import Path

from finetune.lora_config import EMPTY

PREFIX, A, B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
PLAIN = {  # keys of adapter_config.json that a plain LoRA may set; whatever else is set makes it another kind
    "r", "lora_alpha", "use_rslora", "target_modules", "exclude_modules", "lora_dropout", "inference_mode", "revision",
    "peft_type", "peft_version", "task_type", "base_model_name_or_path", "init_lora_weights", "megatron_core",
    "qalora_group_size",
}  # fmt: skip


def wrapped(model, adapter: Path):
    """A PeftModel around the model, which stays as it is. Raises what PEFT raises for weights that do not fit."""
    from peft import PeftModel

    return PeftModel.from_pretrained(model, str(adapter))


def merged(model, adapter: Path):
    """The model with the adapter's weights in its own, in place. Raises ValueError or like PEFT for weights that do not fit.

    A quantised model is wrapped instead: rounding to 4 bits would take the LoRA with it.
    """
    if getattr(model.config, "quantization_config", None) is not None:
        return wrapped(model, adapter)
    config = json.loads((adapter / "adapter_config.json").read_text())
    if not is_plain(config):
        return wrapped(model, adapter).merge_and_unload(safe_merge=True)
    add_plain(model, adapter / "adapter_model.safetensors", scale(config))
    return model


def is_plain(config: dict) -> bool:
    """Whether the LoRA is B·A beside the base's own weights and nothing more (PiSSA, for one, changes the base's)."""
    given = {key for key, value in config.items() if value not in EMPTY}
    return given <= PLAIN and isinstance(config.get("init_lora_weights", True), bool)


def scale(config: dict) -> float:
    """What B·A is multiplied by: alpha over rank, or for rsLoRA over its root (D. Kalajdzievski, 2023)."""
    return config["lora_alpha"] / (config["r"] ** 0.5 if config.get("use_rslora") else config["r"])


def add_plain(model, file: Path, factor: float) -> None:
    """Adds factor·B·A to the weight of each module that the file has A (r, in) and B (out, r) of, in place."""
    import torch
    from safetensors.torch import load_file

    tensors = load_file(file)
    names = [name.removeprefix(PREFIX).removesuffix(A) for name in tensors if name.endswith(A)]
    if 2 * len(names) != len(tensors) or not names:
        raise ValueError("it holds other weights than those of a plain LoRA")
    for name in names:
        down, up = (tensors[f"{PREFIX}{name}{part}"].float() for part in (A, B))
        weight = model.get_submodule(name).weight
        if (len(up), down.shape[1]) != weight.shape:
            raise ValueError(f"{name} is {tuple(weight.shape)}, the adapter's is {(len(up), down.shape[1])}")
        with torch.no_grad():  # in place: a new matrix for each step of the sum takes time
            weight.copy_((up @ down).mul_(factor).add_(weight))
