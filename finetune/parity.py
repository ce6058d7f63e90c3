"""What it costs to store an adapter merged and to compute with it in fewer bits, in torch and in llama.cpp.

    python -m finetune.parity docs/parity.md adapters/smollm2-135m-reef-16 [--base NAME] [--sprites 3]

Reads an adapter and its base model, exports it to a temporary folder with a GGUF file of each type, and writes the page.
Needs the xllamacpp wheel. Everything is compared with the adapter on its base in float32, teacher-forced.
"""

import argparse
import copy
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_prep.errors import InputError, exit_code
from data_prep.printable import code, markdown, table
from data_prep.whole_files import file_sha256, write_whole
from finetune.adapter_folder import AdapterFacts
from finetune.export import SPRITES, TOLERANCE, Parity, export, pixel_log_probabilities, procedural_sprites, queries_of
from finetune.gguf_export import TYPES, write_gguf
from finetune.likelihood import Query
from finetune.llama_cpp import LlamaServer
from finetune.loading import load_adapted


def parities(adapter: Path, base: str | None = None, sprites: int = 3) -> dict[str, Parity]:
    """Name of the way → |Δ log p| of each pixel of so many procedural sprites, over the whole vocabulary.

    base: what `load_adapted` takes. Raises InputError like it, and where llama.cpp is not there.
    """
    found = load_adapted(adapter, base, "float32")
    queries = queries_of(found.tokens, procedural_sprites(found.facts, found.palette)[:sprites])
    exact = _log_p(found.model, queries)
    rounded = load_adapted(adapter, base, "bfloat16").model
    told = {"not merged, computed in bfloat16": _log_p(rounded, queries)}
    told |= _in_torch(found.model.merge_and_unload(), queries)
    told |= _in_llama_cpp(adapter, base, queries)
    apart = {name: np.abs(log_p - exact) for name, log_p in told.items()}
    return {name: Parity(float(one.mean()), float(one.max()), one.size) for name, one in apart.items()}


def _log_p(model, queries: Sequence[Query]) -> np.ndarray:
    return np.concatenate([pixel_log_probabilities(model, query) for query in queries])


def _in_torch(merged, queries: Sequence[Query]) -> dict[str, np.ndarray]:
    """merged: in float32; a copy of it is rounded to what is stored, then to what is computed in."""
    import torch

    found = {}
    for stored in (torch.float16, torch.bfloat16):
        for computed in (torch.float32, stored):
            names = [str(dtype).removeprefix("torch.") for dtype in (stored, computed)]
            model = copy.deepcopy(merged).to(stored).to(computed)
            found["merged, stored in {}, computed in {}".format(*names)] = _log_p(model, queries)
    return found


def _in_llama_cpp(adapter: Path, base: str | None, queries: Sequence[Query]) -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory() as place:
        folder, found = export(adapter, Path(place) / "merged", base), {}
        for kind in TYPES:
            write_gguf(folder, Path(place) / f"{kind}.gguf", adapter.name, kind)
            server = LlamaServer(Path(place) / f"{kind}.gguf")
            log_p = [server.pixel_log_probabilities(query) for query in queries]
            found[f"merged, {kind.upper()} GGUF in llama.cpp"] = np.concatenate(log_p)
            del server
        return found


def page(adapter: Path, found: dict[str, Parity]) -> str:
    """Markdown."""
    facts = AdapterFacts.load(adapter)
    rows = [(name, f"{one.mean:.4f}", f"{one.largest:.3f}") for name, one in found.items()]
    lines = [
        "# Parity: the same adapter in fewer bits",
        "",
        f"Written by `python -m finetune.parity docs/parity.md adapters/{adapter.name}`; do not edit.",
        "",
        f"|Δ log p| of a pixel in nats, over the whole vocabulary, against {code(facts.name)} on {markdown(facts.base_hub_id)} "
        f"in float32 (SHA-256 of its weights: {file_sha256(adapter / 'adapter_model.safetensors')[:12]}…), teacher-forced on "
        f"{next(iter(found.values())).pixels:,} pixels of procedural sprites. `pixelreef export` refuses a merge from "
        f"{TOLERANCE} in the mean.",
        "",
        *table(("", "mean", "largest"), rows),
    ]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m finetune.parity", description="Measures an adapter in fewer bits.")
    parser.add_argument("page", type=Path, help="Markdown file to write")
    parser.add_argument("adapter", type=Path, help="an adapter's folder")
    parser.add_argument("--base", help="its base model, where that is not the one it names")
    parser.add_argument("--sprites", type=int, default=3, choices=range(1, SPRITES + 1), help="how many; by default 3")
    options = parser.parse_args(arguments)
    return exit_code("parity", lambda: _write(options))


def _write(options) -> Path:
    if options.page.suffix != ".md":
        raise InputError(f"{options.page}: the page is Markdown; give a name that ends in .md")
    return write_whole(options.page, page(options.adapter, parities(options.adapter, options.base, options.sprites)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
