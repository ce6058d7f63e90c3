"""Training recipes of the sprite transformer: one YAML a run, `--set key=value` wins over it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import yaml

from data_prep.bounded import first_line, read_yaml
from data_prep.errors import InputError, refuse_unknown
from eval.metrics.critics import read_facts
from finetune.precision import quick_dtype

NOT_HASHED = ("output_dir", "max_minutes")  # where it lies and when it pauses make no other run
WORDS = ("dataset", "output_dir", "conditions", "guide")
COUNTS = ("steps", "batch_size", "log_every", "evaluate_every", "eval_sprites", "save_every")
SHAPE_KEYS = ("width", "layers", "heads", "kv_heads", "head_width", "hidden", "pixel_width", "positions")


@dataclass(frozen=True)
class TrainRecipe:
    """dataset: a folder that `pixelreef prepare` wrote. shape: keys of SpriteTransformerConfig; conditions: see `stated`.

    batch_size: sprites a step and process. *_every: steps. ema: decay of the averaged weights. condition_dropout: share of
    sprites a step that are told nothing, which guidance needs; flips: share that are mirrored, with facing swapped.
    guide: folder with a critic that chooses a checkpoint of its own, after sheet_sprites drawings; '': none.
    bf16: autocast; a recipe file that leaves it out takes what the machine computes with quickly.
    max_minutes: wall clock of one call, after which it stops with a checkpoint; 0: none.
    """

    dataset: str
    output_dir: str
    steps: int
    conditions: str = "caption"
    shape: dict = field(default_factory=dict)
    batch_size: int = 16
    learning_rate: float = 2e-3
    warmup_steps: int = 100
    weight_decay: float = 0.05
    beta2: float = 0.98
    clip: float = 1.0
    ema: float = 0.995
    condition_dropout: float = 0.1
    flips: float = 0.0
    bf16: bool = True
    use_cpu: bool = True
    seed: int = 1
    log_every: int = 20
    evaluate_every: int = 500
    eval_sprites: int = 300
    sheet_sprites: int = 60
    guide: str = ""
    save_every: int = 500
    max_minutes: float = 0.0

    def __post_init__(self):
        for key in COUNTS:
            _check(key, getattr(self, key), int, 1)
        for key in ("seed", "warmup_steps", "sheet_sprites"):
            _check(key, getattr(self, key), int, 0)
        for key in ("condition_dropout", "flips", "ema", "beta2", "learning_rate"):
            _check(key, getattr(self, key), int | float, 0, 1)
        for key in ("weight_decay", "clip", "max_minutes"):
            _check(key, getattr(self, key), int | float, 0)
        for key in WORDS:
            _check(key, getattr(self, key), str)
        if not isinstance(self.shape, dict):
            raise InputError(f"recipe: shape is {self.shape!r}; it takes a mapping of {', '.join(SHAPE_KEYS)}")
        refuse_unknown(self.shape, SHAPE_KEYS, "recipe: shape")

    @property
    def asked(self) -> dict:
        """What was asked for, without the places of this machine."""
        return {key: value for key, value in asdict(self).items() if key not in NOT_HASHED} | {
            key: Path(getattr(self, key)).name for key in ("dataset", "guide")
        }

    def hash(self, dataset_hash: str) -> str:
        """SHA-256 of what was asked for, of the dataset's rows and of the guide. Raises InputError for a folder without one."""
        guide = read_facts(Path(self.guide), "guide")["sha256"] if self.guide else ""
        asked = self.asked | {"dataset": dataset_hash, "guide": guide}
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _check(key: str, value, kind, least=None, most=None) -> None:
    fits = isinstance(value, kind) and not isinstance(value, bool)
    if not (fits and (least is None or value >= least) and (most is None or value <= most)):
        bounds = "" if least is None else f" from {least}" + ("" if most is None else f" to {most}")
        raise InputError(f"recipe: {key} is {value!r}; it takes {'a word' if kind is str else 'a number'}{bounds}")


def read_recipe(path: Path, changes: Sequence[str] = ()) -> TrainRecipe:
    """changes: 'key=value' or 'shape.key=value', values as in YAML. Raises InputError in one line."""
    keys = read_yaml(path)
    try:
        given = [(name, yaml.safe_load(value)) for name, _, value in (change.partition("=") for change in changes)]
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"--set: cannot be read as YAML: {first_line(error)}") from error
    for name, value in given:
        if name.startswith("shape."):
            shape = keys.get("shape") or {}
            keys["shape"] = shape | {name.removeprefix("shape."): value} if isinstance(shape, dict) else shape
        else:
            keys[name] = value
    refuse_unknown(keys, [f.name for f in fields(TrainRecipe)], f"recipe {path}")
    if "bf16" not in keys:
        keys["bf16"] = quick_dtype("cpu" if keys.get("use_cpu", True) else "cuda") == "bfloat16"
    for key, value in keys.items():  # YAML 1.1 takes 2e-3 for a word
        if isinstance(value, str) and key not in WORDS:
            keys[key] = _number(key, value)
    try:
        return TrainRecipe(**keys)
    except TypeError as error:
        raise InputError(f"recipe {path}: {error}; see eval/baseline/recipes") from error


def _number(key: str, word: str) -> float:
    try:
        return float(word)
    except ValueError as error:
        raise InputError(f"recipe: {key} is {word!r}; it takes a number") from error
