"""After training: an adapter merged into its 16-bit base, a folder that every runtime loads.

    pixelreef export ADAPTER --out FOLDER [--base NAME] [--gguf] [--type f16|q8_0] [--force]

Reads an adapter's folder and its base model. Writes FOLDER beside its place and renames it:

model.safetensors, config.json   the merged model in float16    generation_config.json   plain sampling, end of the turn
tokenizer.json, …                the base's, unchanged          chat_template.jinja      the adapter's: it never thinks
palette.json, export.json        the palette; hashes and parity README.md                model card
NAME-F16.gguf                    with --gguf

The merge is done in float32 and rounded once. float16 keeps 11 bits of each weight where bfloat16 keeps 8: docs/serving.md
gives what either does to the log-probabilities. Weights that float16 cannot hold make it bfloat16.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from data_prep.captions import messages
from data_prep.errors import InputError
from data_prep.palette import Palette, quantise
from data_prep.printable import code, markdown
from data_prep.sprite import Sprite
from data_prep.whole_files import file_sha256, whole_folder
from finetune.adapter_folder import AdapterFacts, card_header, data_terms
from finetune.base_models import BaseModel, load_model
from finetune.cell_tokens import CellTokens
from finetune.gguf_export import TYPES, check_architecture, write_gguf
from finetune.likelihood import Query
from finetune.loading import Adapted, load_adapted

EXPORT = "export.json"
TOLERANCE = 0.02  # nats: mean |Δ log p| of a pixel
SPRITES, SEED = 8, 20  # procedural ones on which parity is measured unless others are given


@dataclass(frozen=True)
class Parity:
    """|Δ log p| in nats of the given pixels, teacher-forced, over the whole vocabulary; both models run in float32."""

    mean: float
    largest: float
    pixels: int


def export(
    adapter: Path,
    out: Path,
    base: str | None = None,
    gguf: str | None = None,
    force: bool = False,
    sprites: Sequence[Sprite] | None = None,
) -> Path:
    """Merges an adapter and returns `out`. gguf: None, or the type of file to write beside it, 'f16' or 'q8_0'.

    sprites: in the adapter's palette, on which the merged model must agree with the adapter on its base; by default
    procedural ones. Raises InputError when it does not by TOLERANCE, unless forced, and for what cannot be exported.
    """
    if out.exists():
        raise InputError(f"{out}: exists; remove it or choose another folder")
    if gguf not in (None, *TYPES):
        raise InputError(f"GGUF type {gguf!r}: unknown; there are {', '.join(TYPES)}")
    found = load_adapted(adapter, base, "float32")
    refuse_quantised(found)
    if gguf is not None:
        check_architecture(found.model.config.to_dict(), found.base.location)
    queries = queries_of(found.tokens, sprites or procedural_sprites(found.facts, found.palette))
    with whole_folder(out) as staging:
        dtype, parity = _write_model(found, queries, staging)
        said = f"mean |Δ log p| {parity.mean:.5f} nats a pixel, largest {parity.largest:.4f}, over {parity.pixels} pixels"
        if not parity.mean < TOLERANCE and not force:
            raise InputError(f"{adapter}: merged it is another model: {said}; at most {TOLERANCE} is let by without --force")
        _write_words(found, adapter, staging, dtype, parity)
        if gguf is not None:
            write_gguf(staging, staging / gguf_name(found.facts.name, gguf), found.facts.name, gguf)
    print(f"{dtype}, {said}")
    return out


def gguf_name(name: str, kind: str) -> str:
    """Of the GGUF file of an adapter, whose name may hold anything, a path that leads elsewhere too."""
    safe = re.sub(r"[^\w.-]+", "_", name).lstrip(".")[:80] or "model"
    return f"{safe}-{kind.upper()}.gguf"


def refuse_quantised(found: Adapted) -> None:
    """A LoRA merged into 4-bit weights is rounded with them: the logits move (by 0.67 where it was tried)."""
    if getattr(found.model.config, "quantization_config", None) is not None:
        raise InputError(f"base model {found.base.location}: is quantised; give the 16-bit one with --base")


def procedural_sprites(facts: AdapterFacts, palette: Palette) -> list[Sprite]:
    """Sprites of the adapter's first size, in its palette."""
    from data_prep.sources.procedural import sprite

    height, width = facts.sizes[0]
    drawn = [sprite(SEED, index, max(height, width, 16)) for index in range(SPRITES)]
    return [Sprite(quantise(one.rgba()[:height, :width], palette), palette, one.caption) for one in drawn]


def queries_of(tokens: CellTokens, sprites: Sequence[Sprite]) -> list[Query]:
    """Each sprite as the answer to its caption."""
    sizes = [(one.height, one.width, one.palette) for one in sprites]
    asked = [tokens.prompt_ids(messages(one.caption, *size)) for one, size in zip(sprites, sizes, strict=True)]
    schedules = [tokens.schedule(palette, height, width) for height, width, palette in sizes]
    return [Query(ids, schedule, one.grid) for ids, schedule, one in zip(asked, schedules, sprites, strict=True)]


def pixel_log_probabilities(model, query: Query) -> np.ndarray:
    """(H·W,) float32 natural log p of each pixel of the query's grid, over the whole vocabulary."""
    import torch

    with torch.inference_mode():
        completion = query.schedule.fill(query.grid)
        ids = torch.tensor([[*query.prompt_ids, *completion]], device=model.device)
        logits = model(input_ids=ids, use_cache=False).logits[0, len(query.prompt_ids) - 1 : -1][query.schedule.pixels]
        chosen = torch.from_numpy(completion[query.schedule.pixels])[:, None].to(ids.device)
        return logits.float().log_softmax(-1).gather(1, chosen)[:, 0].cpu().numpy()


def _write_model(found: Adapted, queries: list[Query], folder: Path) -> tuple[str, Parity]:
    """Writes model, tokenizer and generation config; measures what lies in the folder. `found.model` is merged in place.

    Returns the name of the dtype and the parity.
    """
    import torch

    before = np.concatenate([pixel_log_probabilities(found.model, query) for query in queries])
    model = found.model.merge_and_unload(safe_merge=True)
    largest = max(float(parameter.abs().max()) for parameter in model.parameters())
    dtype = "float16" if largest <= torch.finfo(torch.float16).max else "bfloat16"
    model.generation_config = _plain_sampling(found.tokens)
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    found.tokens.tokenizer.save_pretrained(folder)
    stored = load_model(BaseModel(str(folder), "", ""), "float32")
    apart = np.abs(np.concatenate([pixel_log_probabilities(stored, query) for query in queries]) - before)
    return dtype, Parity(float(apart.mean()), float(apart.max()), apart.size)


def _plain_sampling(tokens: CellTokens):
    """The generation config: what a runtime does when it is told nothing; it stops at the end of the turn."""
    from transformers import GenerationConfig

    tokenizer = tokens.tokenizer
    pad = tokens.end_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    ids = {"eos_token_id": tokens.end_id, "pad_token_id": pad, "bos_token_id": tokenizer.bos_token_id}
    return GenerationConfig(do_sample=True, temperature=1.0, top_k=0, top_p=1.0, **ids)


def _write_words(found: Adapted, adapter: Path, folder: Path, dtype: str, parity: Parity) -> None:
    """export.json, palette.json and the card."""
    facts = found.facts
    record = {
        "name": facts.name,
        "adapter_sha256": file_sha256(adapter / "adapter_model.safetensors"),
        "base_hub_id": facts.base_hub_id,
        "base_sha256": found.base.sha256,
        "palette_hash": facts.palette_hash,
        "sizes": facts.sizes,
        "dtype": dtype,
        "parity": {**asdict(parity), "tolerance": TOLERANCE},
    }
    (folder / EXPORT).write_text(json.dumps(record, indent=1))
    (folder / "palette.json").write_text(json.dumps(found.palette.to_json(), indent=1))
    (folder / "README.md").write_text(merged_card(facts, record, found.palette))
    for file in folder.glob("*.safetensors"):
        file.chmod(0o644)


def merged_card(facts: AdapterFacts, record: dict, palette: Palette) -> str:
    """README.md of a merged model. record: what export.json holds."""
    sizes = ", ".join(f"{h}x{w}" for h, w in facts.sizes)
    parity = record["parity"]
    asked = messages("a red fish facing left", *facts.sizes[0], palette)
    lines = [
        f"---\n{card_header(facts, 'transformers', 'finetune', ['merged'])}---\n\n# {markdown(facts.name)}, merged\n",
        f"A language model that draws sprites of {sizes} as grid text: a LoRA merged into its base, in {record['dtype']}.\n",
        f"Base: {code(facts.base_hub_id)} (SHA-256 of the weights used: {code(record['base_sha256'] or 'from the hub')}).",
        f"Adapter: SHA-256 `{record['adapter_sha256']}`. Palette hash: {code(facts.palette_hash)}.\n",
        f"Against the adapter on its base, both in float32: mean |Δ log p| {parity['mean']:.5f} nats a pixel, largest "
        f"{parity['largest']:.4f}, over {parity['pixels']} given pixels.\n",
        "Use the chat template of this folder, which does not think. The prompt that it was trained with:\n",
        *(f"- {message['role']}: {code(message['content'])}" for message in asked),
        *data_terms(facts),
    ]
    return "\n".join(lines) + "\n"
