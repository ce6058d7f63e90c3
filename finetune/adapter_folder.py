"""The folder of an adapter: what is written when training ends, and what loading one needs to know.

adapter_model.safetensors, adapter_config.json   an ordinary LoRA; transformers, PEFT and vLLM load it
pixelreef.json       sizes, palettes, tasks, base model (hub id, SHA-256), hashes of recipe and dataset
palette.json         the palette it draws with     chat_template.jinja   the template it was trained with
recipe.yaml          every key that was set        metrics.json          what was measured
README.md            model card                  training_log.jsonl    loss, speed and memory over the steps
"""

import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from data_prep.errors import InputError
from data_prep.palette import Palette

FACTS, METRICS, LOG = "pixelreef.json", "metrics.json", "training_log.jsonl"


@dataclass(frozen=True)
class AdapterFacts:
    """What an adapter was trained on; drawings of other sizes and palettes are refused by name."""

    name: str
    base_hub_id: str
    base_sha256: str
    recipe_hash: str
    dataset_hash: str
    palette_hash: str
    sizes: tuple[tuple[int, int], ...]  # (height, width)
    tasks: tuple[str, ...]
    sprites_seen: int
    licences: tuple[str, ...]
    attributions: tuple[str, ...]

    @classmethod
    def load(cls, folder: Path) -> "AdapterFacts":
        """Raises InputError when the folder is no adapter of ours."""
        try:
            data = json.loads((folder / FACTS).read_text())
            lists = {key: tuple(data[key]) for key in ("tasks", "licences", "attributions")}
            return cls(**data | lists | {"sizes": tuple(map(tuple, data["sizes"]))})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"adapter {folder}: {FACTS} is missing or damaged: {error!r}") from error


def read_template(folder: Path) -> str:
    """The chat template that the adapter was trained with; raises InputError when it is missing."""
    try:
        return (folder / "chat_template.jinja").read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"adapter {folder}: chat_template.jinja cannot be read: {error}") from error


def load_palette(folder: Path) -> Palette:
    """The palette beside an adapter or a dataset; raises InputError when it is missing or damaged."""
    try:
        return Palette.from_json(json.loads((folder / "palette.json").read_text()))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}/palette.json: {error}") from error


def write_adapter(
    folder: Path, model, chat_template: str, palette: Palette, facts: AdapterFacts, recipe: dict, metrics: dict, log: str = ""
) -> None:
    """Writes the whole folder beside its place and renames it: there is never half an adapter.

    model: a PeftModel; its LoRA weights are stored in bfloat16. Raises InputError when the place is taken.
    """
    if folder.exists():
        raise InputError(f"{folder}: exists; remove it or choose another output_dir")
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".adapter-"))
    try:
        _save_lora(model, staging, facts.base_hub_id)
        (staging / FACTS).write_text(json.dumps(vars(facts), indent=1))
        (staging / METRICS).write_text(json.dumps(metrics, indent=1))
        (staging / "palette.json").write_text(json.dumps(palette.to_json(), indent=1))
        (staging / "chat_template.jinja").write_text(chat_template)
        (staging / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=True))
        (staging / "README.md").write_text(model_card(facts, metrics))
        if log:
            (staging / LOG).write_text(log)
        staging.chmod(0o755)
        (staging / "adapter_model.safetensors").chmod(0o644)
        os.replace(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def round_lora(model) -> None:
    """Rounds the trained weights to what is stored, so that what is measured is what is published."""
    import torch

    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.bfloat16).to(parameter.dtype)


def _save_lora(model, folder: Path, base_hub_id: str) -> None:
    import torch
    from peft import get_peft_model_state_dict

    config = model.peft_config["default"]
    before, config.base_model_name_or_path = config.base_model_name_or_path, base_hub_id
    try:
        state = get_peft_model_state_dict(model, save_embedding_layers=False)
        state = {key: value.to(torch.bfloat16).contiguous() for key, value in state.items()}
        model.save_pretrained(folder, state_dict=state, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)
    finally:
        config.base_model_name_or_path = before


def model_card(facts: AdapterFacts, metrics: dict) -> str:
    """README.md with the fields that the hub expects; every figure comes out of `metrics`.

    No licence is claimed for the whole: it follows from the base model's and from the data's, which are named.
    """
    header = {"base_model": facts.base_hub_id, "library_name": "peft", "pipeline_tag": "text-generation"}
    header |= {"tags": ["pixel-art", "lora", "pixelreef"]}
    sizes = ", ".join(f"{h}x{w}" for h, w in facts.sizes)
    before, after = metrics["before"], metrics["after"]
    lines = [
        f"---\n{yaml.safe_dump(header)}---\n\n# {facts.name}\n",
        f"A LoRA that draws sprites of {sizes} as grid text. Trained on {facts.sprites_seen} sprites.\n",
        f"Base: `{facts.base_hub_id}` (SHA-256 of the weights used: `{facts.base_sha256 or 'from the hub'}`).",
        f"Palette hash: `{facts.palette_hash}`. Dataset hash: `{facts.dataset_hash}`.\n",
        "| metric | before | after |\n|---|---|---|",
        *(f"| {key} | {before[key]:.4f} | {after[key]:.4f} |" for key in after if key != "sprites"),
        f"\nOn {after['sprites']} validation sprites, seed {metrics['seed']}. Use the chat template of this folder.",
        f"\nData licences: {', '.join(facts.licences)}. Attribution:\n",
        *(f"- {attribution}" for attribution in facts.attributions),
    ]
    return "\n".join(lines) + "\n"


def write_index(adapters: Path) -> Path:
    """adapters/README.md: a table of what lies there, every figure out of the adapters' own files."""
    lines = ["# Adapters", "", "Written by `python -m finetune.adapter_folder adapters`; do not edit.", ""]
    lines += ["| adapter | base | sizes | sprites seen | bits per pixel before | after | allowed mass | data licences |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for folder in sorted(path.parent for path in adapters.glob(f"*/{FACTS}")):
        facts, metrics = AdapterFacts.load(folder), json.loads((folder / METRICS).read_text())
        bits = [f"{metrics[when]['bits_per_pixel']:.3f}" for when in ("before", "after")]
        cells = [f"[{facts.name}]({folder.name}/README.md)", facts.base_hub_id, ", ".join(f"{h}x{w}" for h, w in facts.sizes)]
        cells += [str(facts.sprites_seen), *bits, f"{metrics['after']['allowed_mass']:.4f}", ", ".join(facts.licences)]
        lines.append("| " + " | ".join(cells) + " |")
    path = adapters / "README.md"
    path.write_text("\n".join(lines) + "\n")
    return path


if __name__ == "__main__":
    print(write_index(Path(*sys.argv[1:2])))
