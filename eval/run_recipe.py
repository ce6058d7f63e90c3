"""The recipe of a run: what is compared on which prompts. One YAML file; unknown keys fail with the nearest valid one."""

import re
from dataclasses import dataclass, fields
from pathlib import Path

from data_prep.bounded import read_yaml
from data_prep.errors import InputError, refuse_unknown
from eval import rivals
from eval.run_folder import MAX_NAME, is_word
from finetune.precision import quick_dtype

SPLITS = ("test", "validation", "unseen_cells")


@dataclass(frozen=True)
class GenerateRecipe:
    """What a run compares. generators: name → what `eval.rivals` shows; roles: which is 'adapter', 'base' and 'rival'.

    split: where the held-out sprites come from: 'test' has unseen plans and combinations, 'validation' known plans alone,
    'unseen_cells' what a corpus left out. prompts: how many of them are asked for, cell by cell; unconstrained: how many of those
    are also drawn without the grammar; likelihoods: how many are measured in bits. dtype: of
    language models, by default of a recipe file what the machine computes with quickly; float32 makes batches matter least.
    """

    name: str
    dataset: str
    generators: dict
    roles: dict
    split: str = "test"
    prompts: int = 60
    unconstrained: int = 12
    likelihoods: int = 60
    seed: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    batch_size: int = 16
    dtype: str = "bfloat16"

    def __post_init__(self):
        if not isinstance(self.name, str) or not re.fullmatch(r"[\w.-]+", self.name) or self.name.startswith("."):
            raise InputError(f"recipe: name {self.name!r} must be one word, for it names a folder")
        for name, what in self.generators.items() if isinstance(self.generators, dict) else [("generators", None)]:
            if not is_word(name):
                raise InputError(f"recipe: generator {name!r}: a name is a text of at most {MAX_NAME} characters")
            rivals.check(name, what)
        for key in ("prompts", "unconstrained", "likelihoods", "seed", "batch_size"):
            value, least = getattr(self, key), key in ("prompts", "batch_size")
            if type(value) is not int or value < least:
                raise InputError(f"recipe: {key} is {value!r}; it takes a whole number from {int(least)}")
        for key, most in (("temperature", 10), ("top_p", 1)):
            value = getattr(self, key)
            if type(value) not in (int, float) or not 0 <= value <= most:
                raise InputError(f"recipe: {key} is {value!r}; it takes a number from 0 to {most}")
        if self.split not in SPLITS:
            raise InputError(f"recipe: split is {self.split!r}; it takes {', '.join(SPLITS)}")
        if self.dtype not in ("bfloat16", "float16", "float32") or not isinstance(self.dataset, str):
            raise InputError(f"recipe: dtype {self.dtype!r}, dataset {self.dataset!r}; they take bfloat16 or float32, a folder")
        if not isinstance(self.roles, dict) or not set(self.roles.values()) <= set(rivals.spread(self.generators)):
            raise InputError("recipe: roles must name generators, as {adapter: NAME, base: NAME}")


def read_recipe(path: Path) -> GenerateRecipe:
    """Raises InputError for a file that cannot be read, an unknown key (with the nearest valid one) or a missing one."""
    from torch import cuda

    keys = read_yaml(path)
    refuse_unknown(keys, [f.name for f in fields(GenerateRecipe)], str(path))
    keys.setdefault("dtype", quick_dtype("cuda" if cuda.is_available() else "cpu"))
    try:
        return GenerateRecipe(**keys)
    except TypeError as error:
        raise InputError(f"{path}: {error}; see eval/recipes/demo.yaml") from error
