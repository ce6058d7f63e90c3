"""The folder of a trained sprite transformer, whole or not there.

model.safetensors   the averaged (EMA) weights
config.json         shape, conditions vocabulary, sizes, hashes of palette, dataset, recipe and weights, what training cost
palette.json        the palette that it draws in
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from data_prep.bounded import first_line, read_json
from data_prep.errors import InputError
from data_prep.palette import Palette
from data_prep.whole_files import file_sha256
from eval.baseline.conditions import Conditions
from finetune.adapter_folder import load_palette

WEIGHTS, CONFIG, PALETTE = "model.safetensors", "config.json", "palette.json"
UNFINISHED = ".tmp"


@dataclass(frozen=True)
class ModelFacts:
    """What a sprite transformer was trained on and for how long. sizes: (height, width); recipe: every key, by value."""

    name: str
    sizes: tuple[tuple[int, int], ...]
    palette_hash: str
    dataset_hash: str
    recipe: Mapping
    sprites_seen: int
    seconds: float
    parameters: int
    validation_bits_per_pixel: float | None = None


def save_model(folder: Path, weights: Mapping, shape, conditions: Conditions, palette: Palette, facts: ModelFacts) -> None:
    """Writes the folder beside its place and puts it there; an older one gives way. shape: a SpriteTransformerConfig."""
    from safetensors.torch import save_file

    with staged(folder) as staging:
        save_file({key: value.detach().cpu().contiguous() for key, value in weights.items()}, staging / WEIGHTS)
        about = {"weights_sha256": file_sha256(staging / WEIGHTS), "shape": asdict(shape), "facts": asdict(facts)}
        about["conditions"] = {"reads": conditions.reads, "values": conditions.values}
        (staging / CONFIG).write_text(json.dumps(about, indent=1, ensure_ascii=False))
        (staging / PALETTE).write_text(json.dumps(palette.to_json()))


def load_model(folder: Path):
    """(SpriteTransformer, Conditions, Palette, ModelFacts). Raises InputError when a file is missing, torn or not of a piece."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from eval.baseline.sprite_transformer import SpriteTransformer, SpriteTransformerConfig

    about, palette = read_config(folder), load_palette(folder)
    try:
        conditions = Conditions(**about["conditions"])
        facts = ModelFacts(**about["facts"] | {"sizes": tuple((h, w) for h, w in about["facts"]["sizes"])})
        shape, weights = SpriteTransformerConfig(**about["shape"]), load_file(folder / WEIGHTS)
        with torch.device("meta"):  # takes no memory, whatever the shape is
            stated = {name: tuple(value.shape) for name, value in SpriteTransformer(shape).state_dict().items()}
        if stated != {name: tuple(value.shape) for name, value in weights.items()}:
            raise ValueError("its weights have another shape than it states")
        model = SpriteTransformer(shape)
        model.load_state_dict(weights)
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RuntimeError, SafetensorError) as error:
        raise InputError(f"sprite transformer {folder}: damaged: {first_line(error)}; train it again") from error
    if palette.hash != facts.palette_hash or len(palette) != model.config.entries:
        raise InputError(f"sprite transformer {folder}: {PALETTE} is not the palette that it was trained in; put that back")
    return model.eval(), conditions, palette, facts


def read_config(folder: Path) -> dict:
    """config.json, once its weights are seen to be the ones that it names. Raises InputError."""
    try:
        about = read_json(folder / CONFIG)
        whole = about["weights_sha256"] == file_sha256(folder / WEIGHTS)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"sprite transformer {folder}: {CONFIG} or {WEIGHTS} is missing or damaged: {error!r}") from error
    if not whole:
        raise InputError(f"sprite transformer {folder}: {WEIGHTS} is torn or of another model; train it again")
    return about


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A new folder to fill, which takes `folder`'s place when all went well; the old one stands until then."""
    old = folder.with_name(f".{folder.name}.old")
    folder.parent.mkdir(parents=True, exist_ok=True)
    put_back(folder)
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-", suffix=UNFINISHED))
    try:
        yield staging
        staging.chmod(0o755)
        for path in staging.iterdir():
            path.chmod(0o644)
        if folder.exists():
            os.replace(folder, old)
        os.replace(staging, folder)
    finally:
        put_back(folder)
        shutil.rmtree(staging, ignore_errors=True)


def put_back(folder: Path) -> None:
    """What a kill left: between the two moves of `staged` only the old folder, which takes its place again, after them both."""
    old = folder.with_name(f".{folder.name}.old")
    if old.exists() and folder.exists():
        shutil.rmtree(old, ignore_errors=True)
    elif old.exists():
        os.replace(old, folder)
