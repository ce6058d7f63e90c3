"""Recipes: one YAML a run, flags win over it, unknown keys fail and name the nearest valid one.

The keys are those of four dataclasses: `Recipe` and `GridSFTConfig` here, TRL's SFTConfig under the latter (every
TrainingArguments key), and TRL's ModelConfig (base model, LoRA and quantisation keys).
"""

import dataclasses
import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import Enum
from importlib.util import find_spec
from pathlib import Path

from torch import cuda
from trl import ModelConfig, SFTConfig, TrlParser

from data_prep.bounded import first_line, read_yaml
from data_prep.errors import InputError, refuse_unknown
from data_prep.pairs import content_hash
from finetune.adapter_folder import AdapterFacts
from finetune.lora_config import is_simple
from finetune.precision import quick_dtype


@dataclass
class Recipe:
    """What is pixelreef's own. `dataset` is a folder that `pixelreef prepare` wrote."""

    dataset: str = field(default="", metadata={"help": "folder that `pixelreef prepare` wrote"})
    base_hub_id: str = field(default="", metadata={"help": "what the adapter calls its base; known for packaged ones"})
    random_init: bool = field(default=False, metadata={"help": "random weights in the base's shape: for speed and memory only"})
    start_from: str = field(default="", metadata={"help": "adapter folder whose weights training goes on from; else fresh ones"})
    full_head_every: int = field(default=8, metadata={"help": "every n-th step takes the full-vocabulary loss; 1: all do"})
    processes: int = field(default=0, metadata={"help": "how many processes this must run on, else it is refused; 0: any"})
    eval_sprites: int = field(default=64, metadata={"help": "validation sprites to measure before, after and with drawings"})
    draw_prompts: int = field(default=12, metadata={"help": "validation captions that are drawn and scored on the way; 0: none"})
    draw_every: int = field(default=0, metadata={"help": "steps from one such drawing to the next; 0: at every checkpoint"})
    keep: str = field(default="best", metadata={"help": "which checkpoint becomes the adapter: best (by guide score) or last"})
    augment_flip: float = field(default=0.0, metadata={"help": "share of training sprites that are mirrored, words too"})
    augment_hue: float = field(default=0.0, metadata={"help": "share whose hue ramps change places, colour words too"})
    augment_palette: float = field(default=0.0, metadata={"help": "share whose free palette is put in another order"})


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
    logging_nan_inf_filter: bool = False  # it hides them; the trainer stops instead


@dataclass(frozen=True)
class RunConfig:
    """A resolved run: own keys, TRL's training arguments, TRL's model arguments.

    given: the keys that file and flags set, with their parsed values; dataset_hash: of the dataset's rows;
    start: what the adapter that training goes on from was made of, if it goes on from one.
    """

    recipe: Recipe
    training: GridSFTConfig
    model: ModelConfig
    given: dict
    dataset_hash: str
    start: AdapterFacts | None = None

    def published(self, base_name: str) -> dict:
        """What was asked for, without the places of this machine: the recipe that travels with an adapter."""
        asked = {key: value for key, value in self.given.items() if key not in ("output_dir", "processes")}
        names = {"dataset": Path(self.recipe.dataset).name, "model_name_or_path": base_name}
        return asked | names | ({"start_from": self.start.name} if self.start else {})

    @property
    def hash(self) -> str:
        """SHA-256 of what was asked for and of the dataset's rows, without where anything lies."""
        asked = self.published(Path(self.model.model_name_or_path).name) | {"dataset": self.dataset_hash}
        asked |= {"start_from": self.start.recipe_hash} if self.start else {}
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


LAST = "last"
KEPT = ("best", LAST)
REMOVED = {  # keys that older recipes hold or that TRL would take without effect → what to do
    "first_use_weight": "there is no such weight any more; remove the line (1.0, its default, did nothing)",
    "gradient_checkpointing": "write activation_checkpointing instead",
    "gradient_checkpointing_kwargs": "write activation_checkpointing_kwargs instead",
}
PRECISION = ("dtype", "bf16", "fp16")  # where a recipe sets none of them, it is what the machine computes with quickly
SHAPE_OF_LORA = {"lora_r", "lora_alpha", "lora_target_modules", "use_rslora", "use_dora"}
DATACLASSES = (Recipe, GridSFTConfig, ModelConfig)


def valid_keys(classes: tuple = DATACLASSES) -> set[str]:
    return {f.name for cls in classes for f in dataclasses.fields(cls) if f.init}


def check_keys(keys: Collection[str], file: str, classes: tuple = DATACLASSES) -> None:
    """Raises InputError for the first key that is not taken, with what to do or the nearest that exists."""
    for key in keys:
        if key in REMOVED:
            raise InputError(f"{file}: {key}: {REMOVED[key]}")
    refuse_unknown(keys, valid_keys(classes), file)


def read_keys(arguments: list[str], classes: tuple) -> tuple[list, dict]:
    """Command-line arguments → an instance of each dataclass, and name → value of the keys that file and flags set."""
    arguments = [part for a in arguments for part in (a.split("=", 1) if a.startswith("--config=") else [a])]
    names = _given(arguments, classes)
    if not names.intersection(PRECISION):
        quick = quick_dtype("cuda" if cuda.is_available() else "cpu")
        arguments = [*arguments, "--dtype", quick, "--bf16", str(quick == "bfloat16").lower()]
        names |= {"dtype", "bf16"}
    parser = TrlParser(classes)
    parser.error = _raise  # argparse would print its whole usage
    try:
        parts = parser.parse_args_and_config(arguments)
    except (ValueError, TypeError) as error:
        raise InputError(f"recipe: {first_line(error)}") from error
    _check_modules(parts)
    values = {name: getattr(part, name) for part in parts for name in names if hasattr(part, name)}
    return parts, {name: value.value if isinstance(value, Enum) else value for name, value in values.items()}


def _check_modules(parts: Iterable) -> None:
    """Raises InputError for what PEFT would match as a pattern, perhaps for ever; a recipe may be a stranger's."""
    for key in ("lora_target_modules", "lora_modules_to_save"):
        names = next((getattr(part, key) for part in parts if hasattr(part, key)), None) or []
        for name in [names] if isinstance(names, str) else names:
            if not is_simple(name):
                raise InputError(f"recipe: {key} holds {str(name)[:60]!r}, no name of a module and no simple pattern")


def parse(arguments: list[str]) -> RunConfig:
    """Command-line arguments (`--config FILE --key value …`) → resolved run. Raises InputError in one line."""
    (recipe, training, model), given = read_keys(arguments, DATACLASSES)
    if not model.model_name_or_path:
        raise InputError("recipe: model_name_or_path is missing; give a packaged name, a folder, a GGUF file or a hub id")
    _check_ours(recipe, training)
    check_processes(recipe, training)
    start = start_of(recipe.start_from, given) if recipe.start_from else None
    return RunConfig(recipe, training, model, given, content_hash(Path(recipe.dataset)), start)


def _check_ours(recipe: Recipe, training: GridSFTConfig) -> None:
    """Raises InputError for values of our own keys that cannot be."""
    for key in ("full_head_every", "eval_sprites"):
        if getattr(recipe, key) < 1:
            raise InputError(f"recipe: {key} is {getattr(recipe, key)}; it takes 1 or more")
    for key in ("augment_flip", "augment_hue", "augment_palette"):
        if not 0 <= getattr(recipe, key) <= 1:
            raise InputError(f"recipe: {key} is {getattr(recipe, key)}; it takes a share, 0 to 1")
    for key in ("draw_prompts", "draw_every"):
        if getattr(recipe, key) < 0:
            raise InputError(f"recipe: {key} is {getattr(recipe, key)}; it takes 0 or more")
    if recipe.keep not in KEPT:
        raise InputError(f"recipe: keep is {recipe.keep!r}; it takes {' or '.join(KEPT)}")
    if "tensorboard" in training.report_to and not find_spec("tensorboard"):
        raise InputError("recipe: report_to names tensorboard, which is not installed: pip install pixelreef[tensorboard]")


def check_processes(recipe, training) -> None:
    """Raises InputError when there are others than were asked for, or one that would spread over several GPUs."""
    if recipe.processes not in (0, training.world_size):
        raise InputError(
            f"processes is {recipe.processes}, but {training.world_size} run(s); some ways to call accelerate launch silently "
            "start one: take a configuration in finetune/accelerate/"
        )
    if training.n_gpu > 1:
        raise InputError(
            f"one process sees {training.n_gpu} GPUs: set CUDA_VISIBLE_DEVICES=0, or start one process a GPU with a "
            "configuration in finetune/accelerate/"
        )


def start_of(folder: str, given: Iterable[str]) -> AdapterFacts:
    """The adapter to go on from; raises InputError when it is none, or when a key would give it another form."""
    for key in sorted(SHAPE_OF_LORA.intersection(given)):
        raise InputError(f"recipe: {key} cannot be set beside start_from: the adapter there has its own; remove the key")
    return AdapterFacts.load(Path(folder))


def _raise(message: str) -> None:
    raise InputError(f"recipe: {message}")


def _given(arguments: list[str], classes: tuple) -> set[str]:
    """Keys that the file and the flags set; raises InputError for one that is not valid."""
    names = [a[2:].partition("=")[0].replace("-", "_") for a in arguments if a.startswith("--")]
    flags = {f if f in valid_keys(classes) or f == "config" else f.removeprefix("no_") for f in names}
    keys = {}
    if "config" in flags:
        place = arguments.index("--config") + 1
        path = arguments[place] if place < len(arguments) else ""
        keys = read_yaml(path)
        check_keys(keys, path, classes)
    check_keys(flags - {"config"}, "command line", classes)
    return set(keys) | flags - {"config"}
