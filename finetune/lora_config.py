"""What an adapter_config.json of a stranger may say. PEFT would import modules that it names and match what it calls patterns."""

import re
from typing import Any

EMPTY = (None, False, "none", [], {})
READ = {  # keys that may hold something; all others are refused by name
    "peft_type", "peft_version", "task_type", "base_model_name_or_path", "revision", "inference_mode", "r", "lora_alpha",
    "lora_dropout", "use_rslora", "use_dora", "bias", "fan_in_fan_out", "init_lora_weights", "target_modules",
    "exclude_modules", "modules_to_save", "layers_to_transform", "rank_pattern", "alpha_pattern",
    "megatron_core", "qalora_group_size",  # PEFT fills these two in; it reads them only beside keys that are refused
}  # fmt: skip
MODULES = ("target_modules", "exclude_modules", "modules_to_save")
MAX_RANK = 4096


def fault(config: dict[str, Any]) -> str:
    """Why a configuration is not handed to PEFT, or ''."""
    strange = sorted(str(key) for key, value in config.items() if key not in READ and value not in EMPTY)
    if strange:
        return f"sets {strange[0][:60]!r}, which no LoRA here has"
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if type(rank) is not int or not 1 <= rank <= MAX_RANK:
        return f"its r is {str(rank)[:60]!r}; it takes 1 to {MAX_RANK}"
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not abs(alpha) < 1e9:
        return f"its lora_alpha is {str(alpha)[:60]!r}; it takes a number"
    for key in MODULES:
        names = config.get(key) or []
        if not all(map(is_simple, [names] if isinstance(names, str) else names)):
            return f"its {key} holds no name of a module, and no simple pattern"
    for key in ("rank_pattern", "alpha_pattern"):
        if not all(is_simple(name) and type(value) in (int, float) for name, value in (config.get(key) or {}).items()):
            return f"its {key} holds no name of a module with its number, and no simple pattern"
    return ""


def is_simple(word: Any) -> bool:
    """A name, or a regular expression that is quick on every name of a module: one of repeated groups can take for ever."""
    if not isinstance(word, str) or len(word) > 200 or len(re.findall(r"[*+?{]", word)) > 3 or re.search(r"\)[*+?{]|\\\d", word):
        return False
    try:
        return bool(re.compile(word))
    except re.error:
        return False
