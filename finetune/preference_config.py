"""Recipes of preference training: the keys of `PreferenceRecipe` and `GridDPOConfig` here, of TRL's DPOConfig and ModelConfig."""

import hashlib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar

from trl import DPOConfig, ModelConfig

from data_prep.errors import InputError
from data_prep.pairs import content_hash
from finetune.adapter_folder import AdapterFacts
from finetune.config import RunConfig, check_processes, read_keys, start_of
from finetune.guard import Margins
from finetune.loading import packaged_name


@dataclass
class PreferenceRecipe:
    """What is pixelreef's own. The guard's margins count from what the adapter does before the first step."""

    pairs: str = field(default="", metadata={"help": "file that `python -m eval.preference_pairs` wrote"})
    start_from: str = field(default="", metadata={"help": "adapter folder whose weights go on training; it is the reference too"})
    dataset: str = field(default="", metadata={"help": "prepared dataset that the adapter was trained on"})
    base_hub_id: str = field(default="", metadata={"help": "what the adapter calls its base; known for packaged ones"})
    processes: int = field(default=0, metadata={"help": "how many processes this must run on, else it is refused; 0: any"})
    eval_sprites: int = field(default=32, metadata={"help": "validation sprites whose bits are measured at every look"})
    guard_every: int = field(default=10, metadata={"help": "steps from one look of the guard to the next"})
    guard_prompts: int = field(default=24, metadata={"help": "validation captions that the guard has drawn"})
    guard_drawings: int = field(default=2, metadata={"help": "drawings of each, 2 or more: their distance is the diversity"})
    guard_share: float = field(default=0.15, metadata={"help": "how far the share of empty, noise or twice drawn may rise"})
    guard_colour: float = field(default=0.2, metadata={"help": "how far the share of drawings in the right colour may fall"})
    guard_spread: float = field(default=0.25, metadata={"help": "part of the distance between drawings that may be lost"})
    guard_bits: float = field(default=0.1, metadata={"help": "how far bits per pixel on held-out sprites may rise"})

    random_init: ClassVar[bool] = False  # `setup.Run` asks for it

    @property
    def margins(self) -> Margins:
        return Margins(self.guard_share, self.guard_colour, self.guard_spread, self.guard_bits)


@dataclass
class GridDPOConfig(DPOConfig):
    """TRL's DPOConfig with defaults that suit grids. The guard decides when a checkpoint is saved."""

    learning_rate: float = 2e-5
    lr_scheduler_type: str = "constant_with_warmup"
    warmup_steps: float = 0.05
    max_length: int | None = None  # a cut drawing is no drawing
    activation_checkpointing: bool | None = False
    precompute_ref_log_probs: bool = True
    logging_steps: float = 1
    save_strategy: str = "no"
    save_total_limit: int | None = 2
    ddp_find_unused_parameters: bool | None = False
    disable_tqdm: bool | None = True
    logging_nan_inf_filter: bool = False


DATACLASSES = (PreferenceRecipe, GridDPOConfig, ModelConfig)
REFUSED = {  # keys that would have no effect here → why
    "max_length": "a cut drawing is no drawing",
    "save_strategy": "the guard saves what it has looked at; set guard_every",
    "save_steps": "the guard saves what it has looked at; set guard_every",
    "sync_ref_model": "the reference is the adapter at the start",
}


@dataclass(frozen=True)
class PreferenceConfig(RunConfig):
    """A resolved run, which always goes on from an adapter. pairs_hash: SHA-256 of the pairs' file."""

    start: AdapterFacts
    pairs_hash: str = ""

    @property
    def pairs(self) -> Path:
        return Path(self.given["pairs"])

    def published(self, base_name: str) -> dict:
        return super().published(base_name) | {"pairs": self.pairs.name}

    @property
    def hash(self) -> str:
        """SHA-256 of what was asked for, the start and the pairs, without where anything lies."""
        return hashlib.sha256(f"{super().hash}\n{self.pairs_hash}".encode()).hexdigest()


def parse(arguments: list[str]) -> PreferenceConfig:
    """Command-line arguments (`--config FILE --key value …`) → resolved run. Raises InputError in one line."""
    (recipe, training, model), given = read_keys(arguments, DATACLASSES)
    for key in ("pairs", "start_from", "dataset"):
        if not getattr(recipe, key):
            raise InputError(f"recipe: {key} is missing; see docs/preference.md")
    for key in sorted(REFUSED.keys() & given.keys()):
        raise InputError(f"recipe: {key} cannot be set: {REFUSED[key]}")
    _check_guard(recipe)
    check_processes(recipe, training)
    start = start_of(recipe.start_from, given)
    model.model_name_or_path = model.model_name_or_path or packaged_name(start)
    if not training.precompute_ref_log_probs and training.world_size > 1:
        raise InputError("recipe: precompute_ref_log_probs: several processes need it; remove the line")
    try:
        pairs_hash = hashlib.sha256(Path(recipe.pairs).read_bytes()).hexdigest()
    except OSError as error:
        why = f"cannot be read ({error.strerror}); python -m eval.preference_pairs makes them"
        raise InputError(f"pairs {recipe.pairs}: {why}") from error
    return PreferenceConfig(recipe, training, model, given, content_hash(Path(recipe.dataset)), start, pairs_hash)


def _check_guard(recipe: PreferenceRecipe) -> None:
    least = {"eval_sprites": 1, "guard_every": 1, "guard_prompts": 1, "guard_drawings": 2}
    for key, low in least.items():
        if getattr(recipe, key) < low:
            raise InputError(f"recipe: {key} is {getattr(recipe, key)}; it takes {low} or more")
    for one in fields(recipe):
        if one.name in ("guard_share", "guard_colour", "guard_spread", "guard_bits") and not getattr(recipe, one.name) > 0:
            raise InputError(f"recipe: {one.name} is {getattr(recipe, one.name)}; it takes more than 0")
