"""The folder of an adapter: what is written when training ends, and what loading one needs to know.

adapter_model.safetensors, adapter_config.json   an ordinary LoRA; transformers, PEFT and vLLM load it
pixelreef.json       sizes, palettes, tasks, base model (hub id, SHA-256), hashes of recipe and dataset
palette.json         the palette it draws with     chat_template.jinja   the template it was trained with
recipe.yaml          every key that was set        metrics.json          what was measured
README.md            model card                  training_log.jsonl    loss, speed and memory over the steps
samples.jsonl        scores of what it drew while it trained; training.png: both as a chart; samples.png: the drawings
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from data_prep.bounded import read_bounded, read_json
from data_prep.errors import InputError
from data_prep.palette import Palette
from data_prep.printable import code, markdown
from data_prep.sprite import MAX_SIDE, MIN_SIDE
from data_prep.whole_files import whole_folder, write_whole
from finetune.base_models import PACKAGED

FACTS, METRICS, LOG = "pixelreef.json", "metrics.json", "training_log.jsonl"
SAMPLES, CHART, SHEET = "samples.jsonl", "training.png", "samples.png"
MAX_TEMPLATE = 64 * 2**10  # bytes of a chat template; those of Qwen3 have 4 KiB
_LISTS = ("tasks", "licences", "attributions")
BITS, GUIDE = "bits_per_pixel", "guide"  # columns of log and samples


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
    prompt_hash: str = ""  # `captions.prompt_hash`; '' in adapters from before prompts had a legend of colours
    tokenizer_hash: str = ""  # `CellTokens.hash`; '' in adapters from before it was kept

    @classmethod
    def load(cls, folder: Path) -> "AdapterFacts":
        """Raises InputError when the folder is no adapter of ours."""
        try:
            data = read_json(folder / FACTS)
            lists = {key: tuple(data[key]) for key in _LISTS}
            facts = cls(**data | lists | {"sizes": tuple(map(tuple, data["sizes"]))})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"adapter {folder}: {FACTS} is missing or damaged: {error!r}") from error
        odd = facts.odd()
        if odd:
            raise InputError(f"adapter {folder}: {FACTS} is damaged: its {odd} cannot be")
        return facts

    def odd(self) -> str:
        """The first fact of another type than it has, or ''."""
        fits = {key: isinstance(value, str) for key, value in vars(self).items()}
        fits |= {key: all(isinstance(word, str) for word in getattr(self, key)) for key in _LISTS}
        fits["sprites_seen"] = type(self.sprites_seen) is int and self.sprites_seen >= 0
        fits["sizes"] = bool(self.sizes) and all(len(size) == 2 and all(map(_is_side, size)) for size in self.sizes)
        return next((key for key, is_fit in fits.items() if not is_fit), "")


def _is_side(value) -> bool:
    return type(value) is int and MIN_SIDE <= value <= MAX_SIDE


def read_template(folder: Path) -> str:
    """The chat template that the adapter was trained with; raises InputError when it is missing."""
    try:
        return read_bounded(folder / "chat_template.jinja", MAX_TEMPLATE).decode()
    except (OSError, ValueError) as error:
        raise InputError(f"adapter {folder}: chat_template.jinja cannot be read: {error}") from error


def load_palette(folder: Path) -> Palette:
    """The palette beside an adapter or a dataset; raises InputError when it is missing or damaged."""
    try:
        return Palette.from_json(read_json(folder / "palette.json"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}/palette.json: {error}") from error


def write_adapter(
    folder: Path, model, chat_template: str, palette: Palette, facts: AdapterFacts, recipe: dict, metrics: dict,
    beside: Mapping[str, bytes] | None = None,
) -> None:  # fmt: skip
    """Writes the whole folder beside its place and renames it: there is never half an adapter.

    model: a PeftModel; its LoRA weights are stored in bfloat16. beside: file name → content of further files (logs, pictures).
    Raises InputError when the place is taken.
    """
    if folder.exists():
        raise InputError(f"{folder}: exists; remove it or choose another output_dir")
    with whole_folder(folder) as staging:
        _save_lora(model, staging, facts.base_hub_id)
        (staging / FACTS).write_text(json.dumps(vars(facts), indent=1))
        (staging / METRICS).write_text(json.dumps(metrics, indent=1))
        (staging / "palette.json").write_text(json.dumps(palette.to_json(), indent=1))
        (staging / "chat_template.jinja").write_text(chat_template)
        (staging / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=True))
        (staging / "README.md").write_text(model_card(facts, metrics))
        for name, content in (beside or {}).items():
            (staging / name).write_bytes(content)
        (staging / "adapter_model.safetensors").chmod(0o644)


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


TOLD_TASKS = {
    "draw": "drawing what a caption says",
    "recolour": "colouring a sprite anew",
    "reference": "drawing like a reference",
    "bench": "answering Pixel Art Bench's prompt A, as it stands, in its format",
}


def card_header(facts: AdapterFacts, library: str, relation: str, tags: list[str], results: list | None = None) -> str:
    """The fields that the hub reads, as YAML. relation: to the base model, 'adapter' or 'finetune'; results: EvalResults.

    Data sets are named in the text alone, since that field takes the hub's ids.
    """
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        base_model=facts.base_hub_id, base_model_relation=relation, library_name=library, language="en",
        pipeline_tag="text-generation", license=_base_licence(facts), tags=["pixel-art", "pixelreef", *tags],
        model_name=facts.name if results else None, eval_results=results,
    )  # fmt: skip
    return data.to_yaml() + "\n"


def _base_licence(facts: AdapterFacts) -> str | None:
    """The hub's name of the base model's licence, where it is known."""
    return next((p.licence.lower() for p in PACKAGED.values() if p.hub_id == facts.base_hub_id), None)


def model_card(facts: AdapterFacts, metrics: dict) -> str:
    """README.md with the fields that the hub expects; every figure comes out of `metrics`."""
    from huggingface_hub import EvalResult

    sizes = ", ".join(f"{h}x{w}" for h, w in facts.sizes)
    before, after = metrics["before"], metrics["after"]
    shown = [key for key in after if key != "sprites"]
    name = f"sprites {facts.dataset_hash[:12]}"
    measured = partial(EvalResult, "text-generation", "pixelreef", name, dataset_split="validation")
    results = [measured(metric_type=key, metric_value=round(after[key], 4)) for key in shown]
    lines = [
        f"---\n{card_header(facts, 'peft', 'adapter', ['lora'], results)}---\n\n# {markdown(facts.name)}\n",
        f"A LoRA that draws sprites of {sizes} as grid text. Trained on {facts.sprites_seen} sprites, at last for: "
        f"{', '.join(TOLD_TASKS.get(task, markdown(task)) for task in facts.tasks)}.\n",
        f"Base: {code(facts.base_hub_id)} (SHA-256 of the weights used: {code(facts.base_sha256 or 'from the hub')}).",
        f"Palette hash: {code(facts.palette_hash)}. Dataset hash: {code(facts.dataset_hash)}.\n",
        "| metric | before | after |\n|---|---|---|",
        *(f"| {key} | {before[key]:.4f} | {after[key]:.4f} |" for key in shown),
        f"\nOn {after['sprites']} validation sprites, seed {metrics['seed']}. Use the chat template of this folder.",
        *training_story(metrics),
        *data_terms(facts),
    ]
    return "\n".join(lines) + "\n"


def training_story(metrics: dict) -> list[str]:
    """Chart and drawings of the training, and which checkpoint this is; nothing for an adapter that drew none on its way."""
    kept = metrics.get("kept")
    if not kept or not kept["drawn_at"]:
        return []
    return [
        f"\n![bits per pixel and what the drawings are worth, over the steps]({CHART})\n",
        f"These are the weights of step {kept['step']} of {kept['last']['step']}: {kept['why']}. What they draw for captions of "
        f"the validation split, first tries:\n\n![drawings]({SHEET})",
    ]


def data_terms(facts: AdapterFacts) -> list[str]:
    """What a card says of licences: the base model's and the sprites' hold beside each other."""
    base = _base_licence(facts) or "not known here, see its own card"
    lines = [f"\nLicence of the base model: {base}. Data licences: {markdown(', '.join(facts.licences))}. Attribution:\n"]
    return lines + [f"- {markdown(attribution)}" for attribution in facts.attributions]


def _published(adapters: Path) -> Iterator[tuple[Path, AdapterFacts, dict]]:
    """Each adapter's folder, facts and metrics."""
    for folder in sorted(path.parent for path in adapters.glob(f"*/{FACTS}")):
        yield folder, AdapterFacts.load(folder), json.loads((folder / METRICS).read_text())


def write_cards(adapters: Path) -> None:
    """Writes the README.md of every adapter anew, from its own files."""
    for folder, facts, metrics in _published(adapters):
        write_whole(folder / "README.md", model_card(facts, metrics))


def write_index(adapters: Path) -> Path:
    """adapters/README.md: a table of what lies there, every figure out of the adapters' own files."""
    lines = ["# Adapters", "", "Written by `python -m finetune.adapter_folder adapters`; do not edit.", ""]
    lines += ["| adapter | base | sizes | sprites seen | bits per pixel before | after | allowed mass | data licences |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for folder, facts, metrics in _published(adapters):
        bits = [f"{metrics[when]['bits_per_pixel']:.3f}" for when in ("before", "after")]
        cells = [
            f"[{markdown(facts.name)}]({folder.name}/README.md)",
            markdown(facts.base_hub_id),
            ", ".join(f"{h}x{w}" for h, w in facts.sizes),
        ]
        cells += [str(facts.sprites_seen), *bits, f"{metrics['after']['allowed_mass']:.4f}", markdown(", ".join(facts.licences))]
        lines.append("| " + " | ".join(cells) + " |")
    return write_whole(adapters / "README.md", "\n".join(lines) + "\n")


if __name__ == "__main__":  # every card and the index
    place = Path(*sys.argv[1:2])
    write_cards(place)
    print(write_index(place))
