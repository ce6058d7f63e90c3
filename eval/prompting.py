"""Few-shot and skill: the same generator, told more. Each is a function from a request to a request with a fuller chat.

    Prompted(model, Examples(training, 4))          four training sprites as earlier turns of the chat
    Prompted(model, Skill(read_skill(path)))        a technique guide behind the system prompt
Source of few-shot: T. Brown et al., 'Language models are few-shot learners' (2020).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from heapq import nsmallest
from pathlib import Path

from data_prep import grid_text
from data_prep.captions import messages
from data_prep.errors import InputError
from data_prep.sprite import Sprite
from data_prep.wording import parse
from eval.generators import GRAMMAR, Around, Drawing, Generator, Request

MAX_EXAMPLES = 16
MAX_SKILL_TOKENS = 400


class Prompted(Around):
    """A generator whose requests go through `tell` first, in drawing and in likelihoods alike."""

    def __init__(self, generator: Generator, tell: Callable[[Request], Request]):
        super().__init__(generator)
        self.tell = tell

    def refuse(self, request: Request) -> None:
        super().refuse(self.tell(request))

    def answer(self, requests: Sequence[Request], sampling, mode: str = GRAMMAR, batch_size: int = 16) -> Iterator[Drawing]:
        return super().answer([self.tell(request) for request in requests], sampling, mode, batch_size)

    def likelihoods(self, requests: Sequence[Request], sprites: Sequence[Sprite]) -> Iterator:
        """Of the sprites behind the fuller chat."""
        return super().likelihoods([self.tell(request) for request in requests], sprites)


@cache
def _category_of_plan() -> dict[str, str]:
    from data_prep.sources.procedural import PLANS

    return {plan: category for category, plans in PLANS.items() for plan in plans}


def said(caption: str) -> dict[str, str]:
    """The tags that a caption states, and the category that its body plan implies: an octopus is a cephalopod."""
    tags = parse(caption)
    implied = _category_of_plan().get(tags.get("plan", ""))
    return {"category": implied, **tags} if implied else tags


@dataclass(frozen=True)
class Examples:
    """Tells `count` training sprites of the request's size and palette: those that its caption's words are nearest to.

    Only the caption is read, never tags that it does not state, and never pixels. Nearest: the same body plan, then zone
    and category, then most equal tags, then most equal words, then the smallest id. The nearest stands last, by the question.
    A caption that says nothing always gets the same ones, so what a caption gains in bits is the worth of its examples too.
    """

    training: Sequence[Sprite]
    count: int

    def __call__(self, request: Request) -> Request:
        """Raises InputError where the training split has too few sprites of this size and palette."""
        turns = tuple((_question(sprite), grid_text.encode(sprite.grid, sprite.palette)) for sprite in self.nearest(request))
        return replace(request, chat=replace(request.chat, examples=turns[::-1]))

    def nearest(self, request: Request) -> list[Sprite]:
        """The nearest first."""
        size, palette = (request.height, request.width), request.palette
        fitting = [row for row in self._words if row[0].grid.shape == size and row[0].palette == palette]
        if len(fitting) < self.count:
            what = f"{size[0]}x{size[1]}, palette {palette.name!r}"
            raise InputError(f"examples: {self.count} asked for; the training split has {len(fitting)} sprites of {what}")
        stated, words = said(request.caption), set(request.caption.lower().split())

        def closeness(row: tuple[Sprite, set[str]]) -> tuple:
            sprite, own = row
            equal = {key for key, value in stated.items() if sprite.tags.get(key) == value}
            return "plan" not in equal, -len(equal & {"zone", "category"}), -len(equal), -len(words & own), sprite.id

        return [sprite for sprite, _ in nsmallest(self.count, fitting, key=closeness)]

    @cached_property
    def _words(self) -> list[tuple[Sprite, set[str]]]:
        return [(sprite, set(sprite.caption.lower().split())) for sprite in self.training if sprite.caption]


def _question(sprite: Sprite) -> str:
    return messages(sprite.caption, sprite.height, sprite.width, sprite.palette)[-1]["content"]


@dataclass(frozen=True)
class Skill:
    """Tells a technique guide."""

    text: str

    def __call__(self, request: Request) -> Request:
        return replace(request, chat=replace(request.chat, skill=self.text))


def read_skill(path: Path) -> str:
    """A technique guide's text. Raises InputError for a file that cannot be read or says nothing."""
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"skill {path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if not text:
        raise InputError(f"skill {path}: is empty; write how to draw in at most {MAX_SKILL_TOKENS} tokens")
    return text


def check_length(text: str, tokenizer, path: Path) -> None:
    """Raises InputError for a guide of more than 400 tokens of this model's tokenizer."""
    tokens = len(tokenizer(text, add_special_tokens=False)["input_ids"])
    if tokens > MAX_SKILL_TOKENS:
        raise InputError(f"skill {path}: has {tokens} tokens in this model's tokenizer; at most {MAX_SKILL_TOKENS}, shorten it")


def sentences(text: str) -> list[str]:
    """The sentences of a guide with the white space behind them; joined they are the guide. A line ends a sentence too."""
    return [part for part in re.split(r"(?<=\n)(?=\S)|(?<=[^\W\d][.!?] )(?=\S)", text) if part]


def leave_out(text: str, number: int) -> str:
    """A guide without its sentence `number`, from 1."""
    parts = sentences(text)
    return "".join(parts[: number - 1] + parts[number:]).strip()


def sentence(text: str, number: int) -> str:
    """Sentence `number` of a guide, from 1."""
    return sentences(text)[number - 1].strip()
