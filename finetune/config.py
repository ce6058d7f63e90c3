"""Recipes: one YAML a run, flags win over it, unknown keys fail and name the nearest valid one.

The keys are those of four dataclasses: `Recipe` and `GridSFTConfig` here, TRL's SFTConfig under the latter (every
TrainingArguments key), and TRL's ModelConfig (base model, LoRA and quantisation keys).
"""

import dataclasses
import difflib
import hashlib
import json
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import yaml
from trl import ModelConfig, SFTConfig, TrlParser

from data_prep.errors import InputError


@dataclass
class Recipe:
    """What is pixelreef's own. `dataset` is a folder that `pixelreef prepare` wrote."""

    dataset: str = field(default="", metadata={"help": "folder that `pixelreef prepare` wrote"})
    base_hub_id: str = field(default="", metadata={"help": "what the adapter calls its base; known for packaged ones"})
    random_init: bool = field(default=False, metadata={"help": "random weights in the base's shape: for speed and memory only"})
    full_head_every: int = field(default=8, metadata={"help": "every n-th step takes the full-vocabulary loss; 1: all do"})
    eval_sprites: int = field(default=64, metadata={"help": "validation sprites that are measured before and after"})


@dataclass
class GridSFTConfig(SFTConfig):
    """TRL's SFTConfig with defaults that suit grids."""

    learning_rate: float = 1e-3
    lr_scheduler_type: str = "cosine"
    warmup_steps: float = 0.05
    max_length: int | None = None  # a cut drawing is no drawing
    activation_checkpointing: bool | None = False
    train_sampling_strategy: str = "group_by_length"  # prompts differ in length, grids do not
    logging_steps: float = 5
    save_total_limit: int | None = 2
    ddp_find_unused_parameters: bool | None = False  # every LoRA weight takes part in every step
    disable_tqdm: bool | None = True  # the step line says more


@dataclass(frozen=True)
class RunConfig:
    """A resolved run: own keys, TRL's training arguments, TRL's model arguments."""

    recipe: Recipe
    training: GridSFTConfig
    model: ModelConfig
    given: dict  # the keys that file and flags set, by name

    @property
    def hash(self) -> str:
        """SHA-256 of what was asked for, without where it is written."""
        asked = {k: v for k, v in self.given.items() if k != "output_dir"}
        return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


DATACLASSES = (Recipe, GridSFTConfig, ModelConfig)


def valid_keys() -> set[str]:
    return {f.name for cls in DATACLASSES for f in dataclasses.fields(cls) if f.init}


def check_keys(keys: dict, file: str) -> None:
    """Raises InputError for the first key that no dataclass has, with the nearest that exists."""
    for key in keys:
        if key not in valid_keys():
            near = difflib.get_close_matches(str(key), valid_keys(), 1, 0.0)[0]
            raise InputError(f"{file}: unknown key {key!r}; the nearest valid one is {near!r}")


def parse(arguments: list[str]) -> RunConfig:
    """Command-line arguments (`--config FILE --key value …`) → resolved run. Raises InputError in one line."""
    given = _given(arguments)
    parser = TrlParser(DATACLASSES)
    try:
        recipe, training, model = parser.parse_args_and_config(arguments)
    except (ValueError, TypeError) as error:
        raise InputError(f"recipe: {str(error).splitlines()[0]}") from error
    if not model.model_name_or_path:
        raise InputError("recipe: model_name_or_path is missing; give a packaged name, a folder, a GGUF file or a hub id")
    if not Path(recipe.dataset, "manifest.json").is_file():
        raise InputError(f"recipe: dataset {recipe.dataset!r} is no prepared dataset; run `pixelreef prepare` first")
    if recipe.full_head_every < 1:
        raise InputError(f"recipe: full_head_every is {recipe.full_head_every}; it takes 1 or more")
    return RunConfig(recipe, training, model, given)


def _given(arguments: list[str]) -> dict:
    """Keys that the file and the flags set; checks them."""
    flags = {a[2:].partition("=")[0]: _value_after(arguments, i) for i, a in enumerate(arguments) if a.startswith("--")}
    path = flags.pop("config", None)
    keys = {}
    if path is not None:
        try:
            keys = yaml.safe_load(Path(path).read_text())
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"{path}: cannot be read as YAML: {str(error).splitlines()[0]}") from error
        if not isinstance(keys, dict):
            raise InputError(f"{path}: must be a mapping of keys to values")
        check_keys(keys, path)
    flags = {k.removeprefix("no_") if k not in valid_keys() else k: v for k, v in flags.items()}
    check_keys(flags, "command line")
    return keys | flags


def _value_after(arguments: list[str], i: int) -> str:
    """What follows the flag at `i`, as written, up to the next flag; '' for a bare one."""
    _, equals, value = arguments[i].partition("=")
    following = takewhile(lambda a: not a.startswith("--"), arguments[i + 1 :])
    return value if equals else " ".join(following)
