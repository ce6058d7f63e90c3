"""What a run compares: the generators of a recipe, checked, spread out into single ones, loaded and put together.

adapter: {adapter: adapters/smollm2-135m-reef-16}            base: NAME and transformer: FOLDER likewise
smollm2, 4 examples: {base: smollm2-135m, examples: 4}       4 training sprites in the chat, found by the caption's words
smollm2, skill: {base: smollm2-135m, skill: eval/skills/pixel_art.md}
smollm2, skill: {base: smollm2-135m, skill: eval/skills/pixel_art.md, leave_out: sentence}
                                                             and 'smollm2, skill − sentence 1', … beside it
adapter, best of 4: {adapter: adapters/…, best_of: 4}        a transformer can do that too, and the next
adapter, led: {adapter: adapters/…, temperature: 0.8, guidance: 1.5}
                                                             otherwise the recipe's temperature, and no guidance
smollm2, refined: {base: smollm2-135m, rounds: 2}            'smollm2, refined, round 0', '… round 1', '… round 2'
"""

import difflib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data_prep.errors import InputError
from data_prep.sprite import Sprite
from eval.best_of import MAX_CANDIDATES, BestOf
from eval.generators import Generator, LanguageModel
from eval.prompting import MAX_EXAMPLES, Examples, Prompted, Skill, check_length, leave_out, read_skill, sentences
from eval.refinement import Answer, Refined
from finetune.base_models import PACKAGED

MODELS = ("adapter", "base", "transformer")
NUMBERS = {"examples": (1, MAX_EXAMPLES), "best_of": (2, MAX_CANDIDATES), "rounds": (1, 8)}  # key → least, most
SAMPLING = {"temperature": (0, 10), "guidance": (0, 20)}
KEYS = (*MODELS, *NUMBERS, *SAMPLING, "skill", "leave_out")


@dataclass(frozen=True)
class Rival:
    """One generator of a run. sentence: the one left out of its skill, from 1; round: of its self-refinement, which goes on
    from what the rival `earlier` has drawn."""

    adapter: str | None = None
    base: str | None = None
    transformer: str | None = None
    examples: int = 0
    best_of: int = 1
    skill: str | None = None
    sentence: int | None = None
    round: int = 0
    earlier: str | None = None
    temperature: float | None = None
    guidance: float = 0.0

    @property
    def weights(self) -> tuple[str | None, ...]:
        """What is loaded for it: rivals of the same weights can share one model."""
        return self.adapter, self.base, self.transformer

    @property
    def has_own_likelihoods(self) -> bool:
        """Choosing among drawings, drawing again and sampling otherwise leave the likelihoods what they are without."""
        return self.best_of == 1 and self.round == 0 and self.temperature is None and not self.guidance

    @property
    def told(self) -> str:
        """What it is told of a drawing, in words."""
        if self.transformer is not None:
            from eval.baseline.conditions import TAGS

            is_class = self._config()["conditions"]["reads"] == TAGS
            return "zone and category" if is_class else "what the caption says, as attributes"
        more = (
            f", beside {self.examples} training sprites" if self.examples else ", after a technique guide" if self.skill else ""
        )
        return f"the caption{more}"

    @property
    def can_be_told_nothing(self) -> bool:
        """Not so a sprite transformer that never was in training: what it does then is chance."""
        return self.transformer is None or self._config()["facts"]["recipe"]["condition_dropout"] > 0

    def _config(self) -> dict:
        from eval.baseline.model_folder import read_config

        return read_config(Path(self.transformer))

    def load(self, dtype: str) -> Generator:
        """The bare model. dtype: of a language model; the sprite transformer is float32."""
        if (self.best_of > 1 or self.guidance) and not self.can_be_told_nothing:
            raise InputError(f"{self.transformer}: guidance and best_of need a model trained with condition_dropout above 0")
        if self.transformer is not None:
            from eval.baseline.generator import SpriteTransformerGenerator

            return SpriteTransformerGenerator.load(self.transformer)
        return LanguageModel.load(self.adapter, self.base, dtype)

    def around(self, model: Generator, training: Sequence[Sprite], recorded: Callable[[str], Answer]) -> Generator:
        """The bare model in all that this rival adds to it: chosen among, criticised, then told more in every request.

        training: where examples come from; recorded: the name of a rival → what answers with its drawings.
        """
        found = model
        if self.best_of > 1:
            found = BestOf(found, self.best_of, load_guide())
        if self.earlier is not None:
            found = Refined(found, recorded(self.earlier), self.round)
        if self.skill is not None:
            found = Prompted(found, Skill(self._skill(model)))
        if self.examples:
            found = Prompted(found, Examples(training, self.examples))
        return found

    def _skill(self, model: LanguageModel) -> str:
        text = read_skill(Path(self.skill))
        check_length(text, model.tokens.tokenizer, Path(self.skill))
        return text if self.sentence is None else leave_out(text, self.sentence)


def load_guide():
    """The committed critic that may select. Raises InputError where none comes with this copy."""
    from eval.metrics.critics import COMMITTED, load

    return load(COMMITTED, "guide")


def check(name: str, what: object) -> None:
    """Raises InputError for a generator's entry that cannot be meant, with the nearest valid key."""
    if not isinstance(what, dict) or not set(what) & set(MODELS):
        raise InputError(f"recipe: generator {name!r} needs 'adapter: FOLDER', 'base: NAME' or both, or 'transformer: FOLDER'")
    for key in what:
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, 1, 0)[0]
            raise InputError(f"recipe: generator {name!r}: unknown key {key!r}; the nearest valid one is {near!r}")
    for key in {*MODELS, "skill"} & set(what):
        if not isinstance(what[key], str):
            raise InputError(f"recipe: generator {name!r}: {key} is {what[key]!r}; it takes a name or a path")
    for key, (least, most) in NUMBERS.items():
        if key in what and (type(what[key]) is not int or not least <= what[key] <= most):
            raise InputError(f"recipe: generator {name!r}: {key} is {what[key]!r}; it takes {least} to {most}")
    for key, (least, most) in SAMPLING.items():
        if key in what and (type(what[key]) not in (int, float) or not least <= what[key] <= most):
            raise InputError(f"recipe: generator {name!r}: {key} is {what[key]!r}; it takes a number from {least} to {most}")
    _check_together(name, what)


def _check_together(name: str, what: dict) -> None:
    alone = sorted(set(what) - {"transformer", "best_of", *SAMPLING})
    if "transformer" in what and alone:
        raise InputError(
            f"recipe: generator {name!r}: 'transformer: FOLDER' takes best_of and sampling keys, it cannot read {alone[0]!r}"
        )
    if {"rounds", "best_of"} <= set(what):
        raise InputError(
            f"recipe: generator {name!r}: rounds and best_of: a criticism names what was asked for, take one of them"
        )
    if "leave_out" in what and (what["leave_out"] != "sentence" or "skill" not in what):
        raise InputError(f"recipe: generator {name!r}: leave_out takes 'sentence', and needs a skill")


def spread(generators: dict[str, dict]) -> dict[str, Rival]:
    """Name → rival of all entries, in their order: rounds and left-out sentences become rivals of their own.

    Raises InputError for two of one name, or a skill whose sentences cannot be read.
    """
    found: dict[str, Rival] = {}
    for name, what in generators.items():
        plain = Rival(**{key: value for key, value in what.items() if key not in ("leave_out", "rounds")})
        variants = {name: plain}
        if "leave_out" in what:
            count = len(sentences(read_skill(Path(plain.skill))))
            variants |= {f"{name} − sentence {i}": replace(plain, sentence=i) for i in range(1, count + 1)}
        for variant, rival in variants.items():
            rounds = _rounds(variant, rival, what["rounds"]) if "rounds" in what else {variant: rival}
            if twice := sorted(set(rounds) & set(found)):
                raise InputError(f"recipe: two generators are called {twice[0]!r}")
            found |= rounds
    return found


def _rounds(name: str, rival: Rival, rounds: int) -> dict[str, Rival]:
    names = [f"{name}, round {number}" for number in range(rounds + 1)]
    again = {names[r]: replace(rival, round=r, earlier=names[r - 1]) for r in range(1, rounds + 1)}
    return {names[0]: rival, **again}


def fingerprint(what: dict) -> list | str | dict:
    """What makes an entry's drawings: hashes of its weights, of its guide and its skill, and its numbers; no path."""
    from eval.baseline.model_folder import read_config
    from finetune.adapter_folder import AdapterFacts
    from finetune.base_models import file_sha256, resolve

    adapter = what.get("adapter")
    if "transformer" in what:
        weights = read_config(Path(what["transformer"]))["weights_sha256"]
    else:
        if adapter:
            AdapterFacts.load(Path(adapter))
        lora = file_sha256(Path(adapter) / "adapter_model.safetensors") if adapter else ""
        weights = [lora, resolve(what["base"]).sha256 if "base" in what else ""]
    options = {key: value for key, value in what.items() if key not in (*MODELS, "skill")}
    if "skill" in what:
        options["skill"] = hashlib.sha256(read_skill(Path(what["skill"])).encode()).hexdigest()
    if "best_of" in what:
        options["guide"] = load_guide().facts["sha256"]
    return {"weights": weights, **options} if options else weights


def published(what: dict) -> dict:
    """An entry with paths by their last names: what a report may show."""
    named = {key: value if value in PACKAGED else Path(value).name for key, value in what.items() if key in (*MODELS, "skill")}
    return what | named
