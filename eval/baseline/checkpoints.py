"""Checkpoints of a training run: weights, averaged weights, AdamW's moments and the step. Whole or not there; two are kept."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch

from data_prep.bounded import first_line, read_json
from data_prep.errors import InputError
from data_prep.whole_files import write_whole
from eval.baseline.model_folder import UNFINISHED, put_back, staged
from finetune.checkpoints import checkpoint, checkpoints

KEPT = 2
TENSORS, STATE, RECIPE_MARK = "state.safetensors", "state.json", "recipe_hash"


def save_checkpoint(out: Path, model: torch.nn.Module, averaged: Mapping, optimiser: torch.optim.AdamW, state: dict) -> None:
    """state: plain values, `step` among them."""
    from safetensors.torch import save_file

    tensors = {f"averaged.{name}": value for name, value in averaged.items()}
    for name, parameter in model.named_parameters():
        tensors[f"model.{name}"] = parameter.detach()
        tensors |= {f"{kind}.{name}": value for kind, value in optimiser.state[parameter].items()}
    with staged(checkpoint(out, state["step"])) as folder:
        save_file({key: value.cpu().contiguous() for key, value in tensors.items()}, folder / TENSORS)
        (folder / STATE).write_text(json.dumps(state))
    for old in checkpoints(out)[:-KEPT]:
        shutil.rmtree(old)


def load_checkpoint(folder: Path, model: torch.nn.Module, averaged: dict, optimiser: torch.optim.AdamW) -> dict:
    """Fills model, averaged weights and optimiser; returns the state. Raises InputError for a damaged folder."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state, tensors = read_json(folder / STATE), load_file(folder / TENSORS)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(tensors[f"model.{name}"])
                averaged[name].copy_(tensors[f"averaged.{name}"])
                kinds = ("step", "exp_avg", "exp_avg_sq")  # all on the device: a fused optimiser reads the step there too
                optimiser.state[parameter] = {kind: tensors[f"{kind}.{name}"].to(parameter.device) for kind in kinds}
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{folder}: damaged: {first_line(error)}; remove it to go on at the one before") from error
    return state


def claim(out: Path, recipe_hash: str) -> Path | None:
    """Makes the output folder this recipe's own; returns its last checkpoint. Raises InputError for another recipe's."""
    out.mkdir(parents=True, exist_ok=True)
    mark = out / RECIPE_MARK
    if mark.exists() and mark.read_text() != recipe_hash and (checkpoints(out) or (out / "model").exists()):
        raise InputError(f"{out}: holds the run of another recipe, dataset or guide; choose another output_dir or remove it")
    if not mark.exists() or mark.read_text() != recipe_hash:
        write_whole(mark, recipe_hash)
    for leftover in out.glob(".*.old"):
        put_back(out / leftover.name.removeprefix(".").removesuffix(".old"))
    for unfinished in out.glob(f".*{UNFINISHED}"):
        shutil.rmtree(unfinished, ignore_errors=True)
    return last(out)


def last(out: Path) -> Path | None:
    """The newest checkpoint of an output folder."""
    found = checkpoints(out)
    return found[-1] if found else None
