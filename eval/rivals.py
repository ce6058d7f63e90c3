"""What a run compares: the generators of a recipe, checked, spread out into single ones, loaded and put together.

adapter: {adapter: adapters/smollm2-135m-reef-16}            base: NAME and transformer: FOLDER likewise
smollm2, 4 examples: {base: smollm2-135m, examples: 4}       4 training sprites in the chat, found by the caption's words
smollm2, skill: {base: smollm2-135m, skill: eval/skills/pixel_art.md}
smollm2, skill: {base: smollm2-135m, skill: eval/skills/pixel_art.md, leave_out: sentence}
                                                             and 'smollm2, skill − sentence 1', … beside it
adapter: {adapter: adapters/…, leave_out: word}              and 'adapter − colour', 'adapter − noun', … (caption_words.py)
adapter, best of 4: {adapter: adapters/…, best_of: 4}        a transformer can do that too, and the next
adapter, led: {adapter: adapters/…, temperature: 0.8, guidance: 1.5}
                                                             otherwise the recipe's temperature, and no guidance
smollm2, refined: {base: smollm2-135m, rounds: 2}            'smollm2, refined, round 0', '… round 1', '… round 2'
served: {endpoint: http://127.0.0.1:8000/v1, model: NAME}    an OpenAI-compatible server, which gives no likelihoods
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from urllib.parse import urlsplit

from data_prep.errors import InputError, refuse_unknown
from data_prep.sprite import Sprite
from data_prep.whole_files import file_sha256
from eval.baseline.conditions import TAGS
from eval.baseline.model_folder import read_config
from eval.best_of import MAX_CANDIDATES, BestOf
from eval.caption_words import CLASSES, Without
from eval.generators import Generator, LanguageModel
from eval.metrics import critics
from eval.prompting import MAX_EXAMPLES, Examples, Prompted, Skill, check_length, leave_out, read_skill, sentence, sentences
from eval.refinement import Answer, Refined
from finetune.adapter_folder import AdapterFacts
from finetune.base_models import PACKAGED, resolve

MODELS = ("adapter", "base", "transformer", "endpoint")
NAMED = (*MODELS, "model", "skill")  # keys that take a name or a place
LEAVE_OUT = ("sentence", "word")
NUMBERS = {"examples": (1, MAX_EXAMPLES), "best_of": (2, MAX_CANDIDATES), "rounds": (1, 8)}  # key → least, most
SAMPLING = {"temperature": (0, 10), "guidance": (0, 20)}
KEYS = (*NAMED, *NUMBERS, *SAMPLING, "leave_out")


@dataclass(frozen=True)
class Rival:
    """One generator of a run. sentence: the one left out of its skill, from 1; word: the class of words left out of its
    captions; round: of its self-refinement, which goes on from what the rival `earlier` has drawn."""

    adapter: str | None = None
    base: str | None = None
    transformer: str | None = None
    endpoint: str | None = None
    model: str | None = None
    examples: int = 0
    best_of: int = 1
    skill: str | None = None
    sentence: int | None = None
    word: str | None = None
    round: int = 0
    earlier: str | None = None
    temperature: float | None = None
    guidance: float = 0.0

    @property
    def weights(self) -> tuple[str | None, ...]:
        """What is loaded for it: rivals of the same weights can share one model."""
        return self.adapter, self.base, self.transformer, self.endpoint, self.model

    @property
    def has_own_likelihoods(self) -> bool:
        """Choosing among drawings, drawing again and sampling otherwise leave the likelihoods what they are without; an
        endpoint gives none."""
        plain = self.best_of == 1 and self.round == 0 and self.temperature is None and not self.guidance
        return plain and self.endpoint is None

    @property
    def left_out(self) -> str:
        """What it misses, in words: a sentence of its skill, a class of words of its captions, or ''."""
        if self.skill is not None and self.sentence is not None:
            return sentence(read_skill(Path(self.skill)), self.sentence)
        return self.word or ""

    @property
    def told(self) -> str:
        """What it is told of a drawing, in words."""
        if self.transformer is not None:
            is_class = read_config(Path(self.transformer))["conditions"]["reads"] == TAGS
            less = f", without {self.word} words" if self.word else ""
            return "zone and category" if is_class else f"what the caption says, as attributes{less}"
        more = (
            f", beside {self.examples} training sprites" if self.examples else ", after a technique guide" if self.skill else ""
        )
        less = f" without {self.word} words" if self.word else ""
        return f"the caption{less}{more}"

    @property
    def can_be_told_nothing(self) -> bool:
        """Not so a sprite transformer that never was in training: what it does then is chance."""
        if self.transformer is None:
            return True
        return read_config(Path(self.transformer))["facts"]["recipe"]["condition_dropout"] > 0

    def load(self, dtype: str) -> Generator:
        """The bare model. dtype: of a language model; the sprite transformer is float32."""
        if (self.best_of > 1 or self.guidance) and not self.can_be_told_nothing:
            raise InputError(f"{self.transformer}: guidance and best_of need a model trained with condition_dropout above 0")
        if self.word is not None and self.told == "zone and category":
            raise InputError(f"{self.transformer}: leave_out: word: it reads tags, no captions, so that no word can be left out")
        if self.endpoint is not None:
            from eval.endpoint import Endpoint

            return Endpoint(self.endpoint, self.model)
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
            found = Prompted(found, Skill(self._guide(Path(self.skill), model)))
        if self.examples:
            found = Prompted(found, Examples(training, self.examples))
        if self.word is not None:  # first of all that a request goes through: examples are chosen by what is left
            found = Prompted(found, Without(self.word))
        return found

    def _guide(self, skill: Path, model: Generator) -> str:
        text = read_skill(skill)
        if isinstance(model, LanguageModel):  # the tokenizer of an endpoint is not here
            check_length(text, model.tokens.tokenizer, skill)
        return text if self.sentence is None else leave_out(text, self.sentence)


def load_guide() -> critics.Critic:
    """The committed critic that may select. Raises InputError where none comes with this copy."""
    return critics.load(critics.COMMITTED, "guide")


def check(name: str, what: object) -> None:
    """Raises InputError for a generator's entry that cannot be meant, with the nearest valid key."""
    if not isinstance(what, dict) or not set(what) & set(MODELS):
        raise InputError(
            f"recipe: generator {name!r} needs 'adapter: FOLDER', 'base: NAME' or both, 'transformer: FOLDER' or 'endpoint: URL'"
        )
    refuse_unknown(what, KEYS, f"recipe: generator {name!r}")
    for key in sorted(set(NAMED) & set(what)):
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
    alone = sorted(set(what) - {"transformer", "best_of", "leave_out", *SAMPLING})
    if "transformer" in what and alone:
        raise InputError(
            f"recipe: generator {name!r}: 'transformer: FOLDER' takes best_of, leave_out and sampling keys, "
            f"it cannot read {alone[0]!r}"
        )
    _check_endpoint(name, what)
    if {"rounds", "best_of"} <= set(what):
        raise InputError(
            f"recipe: generator {name!r}: rounds and best_of: a criticism names what was asked for, take one of them"
        )
    if "leave_out" in what and what["leave_out"] not in LEAVE_OUT:
        raise InputError(f"recipe: generator {name!r}: leave_out is {what['leave_out']!r}; it takes {' or '.join(LEAVE_OUT)}")
    if what.get("leave_out") == "sentence" and "skill" not in what:
        raise InputError(f"recipe: generator {name!r}: leave_out: sentence needs a skill, whose sentences are left out")


def _check_endpoint(name: str, what: dict) -> None:
    """A server's place and the name of its model; it gives no likelihoods, so that nothing can be chosen or led by them."""
    if ("endpoint" in what) != ("model" in what):
        raise InputError(f"recipe: generator {name!r}: endpoint and model go together, as {{endpoint: URL, model: NAME}}")
    if "endpoint" not in what:
        return
    from eval.endpoint import base_url

    try:
        base_url(what["endpoint"])
    except InputError as error:
        raise InputError(f"recipe: generator {name!r}: {error}") from error
    if others := sorted(set(what) & {"adapter", "base", "best_of", "guidance"}):
        raise InputError(f"recipe: generator {name!r}: an endpoint gives drawings alone, it cannot take {others[0]!r}")


def spread(generators: dict[str, dict]) -> dict[str, Rival]:
    """Name → rival of all entries, in their order: rounds, left-out sentences and words become rivals of their own.

    Raises InputError for two of one name, or a skill whose sentences cannot be read.
    """
    found: dict[str, Rival] = {}
    for name, what in generators.items():
        plain = Rival(**{key: value for key, value in what.items() if key not in ("leave_out", "rounds")})
        variants = {name: plain}
        if what.get("leave_out") == "sentence":
            count = len(sentences(read_skill(Path(what["skill"]))))
            variants |= {f"{name} − sentence {i}": replace(plain, sentence=i) for i in range(1, count + 1)}
        if what.get("leave_out") == "word":
            variants |= {f"{name} − {word}": replace(plain, word=word) for word in CLASSES}
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
    """What makes an entry's drawings: hashes of its weights or server, of its guide and its skill, and its numbers; no place."""
    from eval.endpoint import base_url

    adapter = what.get("adapter")
    weights: list | str
    if "endpoint" in what:
        weights = [what["model"], hashlib.sha256(base_url(what["endpoint"]).encode()).hexdigest()]
    elif "transformer" in what:
        weights = read_config(Path(what["transformer"]))["weights_sha256"]
    else:
        if adapter:
            AdapterFacts.load(Path(adapter))
        lora = file_sha256(Path(adapter) / "adapter_model.safetensors") if adapter else ""
        weights = [lora, resolve(what["base"]).sha256 if "base" in what else ""]
    options = {key: value for key, value in what.items() if key not in NAMED}
    if "skill" in what:
        options["skill"] = hashlib.sha256(read_skill(Path(what["skill"])).encode()).hexdigest()
    if "best_of" in what:
        options["guide"] = load_guide().facts["sha256"]
    return {"weights": weights, **options} if options else weights


def published(what: dict) -> dict:
    """An entry with paths by their last names, a server's model among them, and a server without its host: what a report may
    show."""
    places = {key: value for key, value in what.items() if key in NAMED}
    named = {key: value if value in PACKAGED else PurePath(value).name for key, value in places.items()}
    return what | named | ({"endpoint": urlsplit(what["endpoint"]).path or "/"} if "endpoint" in what else {})
