"""An adapter on its base model, and what is refused: pickles, another base, another palette, a changed tokenizer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.bounded import first_line, read_json
from data_prep.captions import messages, prompt_hash
from data_prep.errors import InputError
from data_prep.palette import Palette
from finetune import lora_config
from finetune.adapter_folder import AdapterFacts, load_palette, read_template
from finetune.base_models import PACKAGED, BaseModel, load_model, load_tokenizer, resolve
from finetune.cell_tokens import CellTokens
from finetune.merging import merged, wrapped


@dataclass(frozen=True)
class Adapted:
    """model: what `load_adapted` says; tokens: with the chat template that the adapter was trained with."""

    model: Any  # PreTrainedModel or PeftModel
    tokens: CellTokens
    facts: AdapterFacts
    palette: Palette
    base: BaseModel


def load_adapted(adapter: Path, base: str | None = None, dtype: str = "bfloat16", merge: bool = False) -> Adapted:
    """Loads an adapter's folder on its base model.

    base: by default the packaged model that the adapter names, or its hub id. merge: the model is the base with the LoRA in
    its weights (a quantised one excepted), which draws faster and needs no PEFT; else a PeftModel. Raises InputError, before
    any weights are read, for a folder that is no adapter of ours or does not belong to this base, palette or tokenizer.
    """
    from safetensors import SafetensorError

    facts, palette = AdapterFacts.load(adapter), load_palette(adapter)
    check_files(adapter)
    if palette.hash != facts.palette_hash:
        raise InputError(f"adapter {adapter}: palette.json holds another palette ({palette.name!r}) than it was trained on")
    if facts.prompt_hash != prompt_hash(facts.tasks):
        raise InputError(f"adapter {adapter}: was trained with other prompts than these; train it again")
    found = resolve(base or packaged_name(facts))
    check_base(facts, found)
    tokenizer = load_tokenizer(found)
    tokenizer.chat_template = read_template(adapter)
    tokens = CellTokens(tokenizer)
    if facts.tokenizer_hash not in ("", tokens.hash):
        raise InputError(f"adapter {adapter}: tokenizer or chat template are not those it was trained with ({found.location})")
    _check_template(adapter, tokens)
    model = load_model(found, dtype)
    try:
        check_weights(adapter)
        model = merged(model, adapter) if merge else wrapped(model, adapter)
    except (OSError, ValueError, TypeError, RuntimeError, AttributeError, KeyError, SafetensorError) as error:
        raise InputError(f"adapter {adapter}: does not fit base model {found.location}: {first_line(error)}") from error
    return Adapted(model, tokens, facts, palette, found)


def _check_template(adapter: Path, tokens: CellTokens) -> None:
    """Renders a prompt. Raises InputError for a chat template that cannot; it runs in Jinja's sandbox."""
    try:
        tokens.prompt_ids(messages("a crab", 8, 8, None))
    except Exception as error:  # whatever the template does wrong
        raise InputError(f"adapter {adapter}: its chat_template.jinja cannot be used: {first_line(error)}") from error


def check_files(adapter: Path) -> None:
    """Raises InputError for weights that are not safetensors, and for what is no plain LoRA of a causal model."""
    if not (adapter / "adapter_model.safetensors").is_file():
        pickled = sorted(path.name for path in adapter.glob("*.bin"))
        why = f"; {pickled[0]} is a pickle and is not read, save it as safetensors" if pickled else ""
        raise InputError(f"adapter {adapter}: has no adapter_model.safetensors{why}")
    try:
        config = read_json(adapter / "adapter_config.json")
        kind, fault = config["peft_type"], lora_config.fault(config)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"adapter {adapter}: adapter_config.json is missing or damaged: {error!r}") from error
    if kind != "LORA":
        raise InputError(f"adapter {adapter}: adapter_config.json describes {kind}; only a LoRA is loaded")
    if fault:
        raise InputError(f"adapter {adapter}: adapter_config.json: {fault}")


def check_weights(adapter: Path) -> None:
    """Raises ValueError for weights that are not finite numbers: they would turn every drawing into the same nonsense."""
    import torch
    from safetensors.torch import load_file

    for name, weights in load_file(adapter / "adapter_model.safetensors").items():
        if not torch.isfinite(weights).all():
            raise ValueError(f"{name[:100]} is not finite")


def check_base(facts: AdapterFacts, base: BaseModel) -> None:
    """Raises InputError for another base than the adapter's.

    It is the same by the SHA-256 of its weights, by its hub id, or, since a download has another hash than a converted
    GGUF file, by a folder that is named like the model on the hub.
    """
    same = base.sha256 and base.sha256 == facts.base_sha256
    if not same and base.hub_id not in (facts.base_hub_id, facts.base_hub_id.rpartition("/")[2]):
        raise InputError(
            f"adapter {facts.name}: was trained on {facts.base_hub_id} (SHA-256 {facts.base_sha256[:12] or 'unknown'}), not on "
            f"{base.hub_id} ({base.sha256[:12] or 'unknown'}); give its base model, in a folder of the same name"
        )


def packaged_name(facts: AdapterFacts) -> str:
    """The packaged name of an adapter's base, or its hub id."""
    return next((name for name, package in PACKAGED.items() if package.sha256 == facts.base_sha256), facts.base_hub_id)
