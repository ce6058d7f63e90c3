"""Generators: whatever answers a request with the text of a drawing. Here a language model, bare or with an adapter."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from data_prep import grid_text
from data_prep.captions import messages
from data_prep.errors import InputError
from data_prep.palette import Palette, named
from data_prep.sprite import MAX_SIDE, MIN_SIDE, Sprite
from eval.chat import Chat

GRAMMAR, UNCONSTRAINED = "grammar", "unconstrained"
SPARE_TOKENS = 32  # an unconstrained answer may run on by this much before it is cut


@dataclass(frozen=True)
class Request:
    """One drawing that is asked for. seed and index key its noise; palette is the one to draw in.

    tags: what is known of the subject beside the caption, for models that take classes (zone, category, …).
    given: (H, W) int16 pixels that stand, −1 where the model draws; a drawn pixel sees those before it in raster order.
    mixed_with: a second caption, weighed like the first.
    chat: what a language model is told beside the caption; other generators pass it over.
    task, beside: another task than drawing for a caption, and what its prompt tells; see `data_prep.tasks`.
    """

    caption: str
    height: int
    width: int
    palette: Palette
    seed: int = 0
    index: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    given: np.ndarray | None = None
    mixed_with: str | None = None
    chat: Chat = Chat()  # noqa: RUF009 (frozen)
    task: str = "draw"
    beside: str = ""

    @classmethod
    def like(cls, sprite: Sprite, seed: int = 0, index: int = 0, **other) -> "Request":
        """What asks for a sprite like this one: its caption, size, palette and tags."""
        return cls(sprite.caption, sprite.height, sprite.width, sprite.palette, seed, index, sprite.tags, **other)

    def messages(self) -> list[dict[str, str]]:
        """The chat that asks a language model for it."""
        return messages(self.caption, self.height, self.width, self.palette, self.task, self.beside)

    def read(self, text: str) -> Sprite | grid_text.GridError:
        """An answer's text read strictly, in the size that was asked for; it may spell out colours of its own."""
        return grid_text.read(text, {self.palette.name: self.palette}, (self.height, self.width))


@dataclass(frozen=True)
class Drawing:
    """An answer: its text, and its share of the batch's seconds and tokens."""

    text: str
    seconds: float
    tokens: int


class Generator(Protocol):
    """What draws: a language model, the sprite transformer, or one of `prompting`, `best_of`, `refinement` around another.

    palette: the one it was trained on, None for any; facts: of its training, with its `sizes`; None for a bare base model.
    """

    @property
    def palette(self) -> Palette | None: ...

    @property
    def facts(self) -> Any: ...

    @property
    def name(self) -> str:
        """What its sprites say of where they come from."""

    def refuse(self, request: Request) -> None:
        """Raises InputError for what it cannot draw."""

    def answer(self, requests: Sequence[Request], sampling, mode: str = GRAMMAR, batch_size: int = 16) -> Iterator[Drawing]:
        """Drawings in the order of the requests; raises InputError, before anything is drawn, for one that is refused."""

    def likelihoods(self, requests: Sequence[Request], sprites: Sequence[Sprite]) -> Iterator:
        """A `finetune.likelihood.Likelihood` of each given sprite as the answer to its request's caption."""

    def draw(self, caption: str, n: int = 1, seed: int = 0, size: int | None = None, sampling=None) -> list[Sprite]:
        """n sprites for a caption."""


def check_request(request: Request) -> None:
    """Raises InputError for a size, a seed or given pixels that no generator draws."""
    height, width, given = request.height, request.width, request.given
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in (height, width)):
        raise InputError(f"size {height}x{width}: a side has {MIN_SIDE} to {MAX_SIDE} pixels")
    if not 0 <= request.seed < 2**63:
        raise InputError(f"seed {request.seed}: it takes 0 to 2^63 - 1")
    if given is None:
        return
    if np.shape(given) != (height, width):
        raise InputError(f"given pixels: shape {np.shape(given)}; the drawing has {height}x{width}")
    if given.dtype.kind != "i" or given.min() < -1 or given.max() >= len(request.palette):
        last, name = len(request.palette) - 1, request.palette.name
        raise InputError(f"given pixels: they take −1 (draw) and the entries 0 to {last} of palette {name!r}")


def caption_weights(request: Request, guidance: float = 0.0) -> dict[str, float]:
    """Caption → weight of its log-probabilities in the drawing. They sum to 1; '' is what guidance leads away from."""
    captions = [request.caption] if request.mixed_with is None else [request.caption, request.mixed_with]
    weights: defaultdict[str, float] = defaultdict(float)
    for caption in captions:
        weights[caption] += (1 + guidance) / len(captions)
    weights[""] -= guidance
    return {caption: weight for caption, weight in weights.items() if weight}


def requests_for(generator: Generator, caption: str, n: int, seed: int = 0, size: int | None = None) -> list[Request]:
    """n requests in the generator's palette (reef64 without one).

    size: pixels a side; by default the first that it was trained on, 16 for a bare base model.
    """
    trained = generator.facts.sizes[0] if generator.facts else (16, 16)
    height, width = trained if size is None else (size, size)
    palette = generator.palette or named("reef64")
    return [Request(caption, height, width, palette, seed, index) for index in range(n)]


def drawn(generator: Generator, caption: str, n: int, seed: int, size: int | None, sampling) -> list[Sprite]:
    """n sprites of any generator, what its `draw` returns. sampling: None for plain sampling."""
    from eval.decoding import Sampling

    requests = requests_for(generator, caption, n, seed, size)
    return list(sprites_of(generator, requests, sampling or Sampling(), generator.name))


def sprites_of(generator: Generator, requests: Sequence[Request], sampling, source: str = "", **how) -> Iterator[Sprite]:
    """The drawings of valid texts as sprites, with caption and tags of their requests. how: more that `answer` takes.

    Raises InputError like `answer`.
    """
    for request, drawing in zip(requests, generator.answer(requests, sampling, **how), strict=True):
        grid = grid_text.sure(drawing.text, request.palette, generator.name).grid
        yield Sprite(grid, request.palette, request.caption, request.tags, source=source)


class Around:
    """A generator around another one, `generator`: with its palette, facts and likelihoods, and it refuses what that refuses."""

    def __init__(self, generator: Generator):
        self.generator, self.palette, self.facts = generator, generator.palette, generator.facts

    @property
    def name(self) -> str:
        return self.generator.name

    def refuse(self, request: Request) -> None:
        self.generator.refuse(request)

    def answer(self, requests: Sequence[Request], sampling, mode: str = GRAMMAR, batch_size: int = 16) -> Iterator[Drawing]:
        return self.generator.answer(requests, sampling, mode, batch_size)

    def likelihoods(self, requests: Sequence[Request], sprites: Sequence[Sprite]) -> Iterator:
        return self.generator.likelihoods(requests, sprites)

    def draw(self, caption: str, n: int = 1, seed: int = 0, size: int | None = None, sampling=None) -> list[Sprite]:
        return drawn(self, caption, n, seed, size, sampling)


class LanguageModel:
    """A causal language model with the tokens of a grid. `facts` are its adapter's, or None for a bare base model."""

    def __init__(self, model, tokens, facts=None, palette: Palette | None = None):
        self.model, self.tokens, self.facts, self.palette = model.eval(), tokens, facts, palette

    @classmethod
    def load(cls, adapter: str | Path | None = None, base: str | None = None, dtype: str | None = None) -> "LanguageModel":
        """Loads a base model and merges an adapter's folder into it; either may be left out, not both.

        base: by default the packaged model that the adapter names. dtype: by default what this machine computes with quickly.
        Raises InputError for a folder that is no adapter, one of another base, or a base that is not to be had.
        """
        import torch

        from finetune.base_models import load_model, load_tokenizer, resolve
        from finetune.cell_tokens import CellTokens
        from finetune.loading import load_adapted
        from finetune.precision import quick_dtype

        device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = dtype or quick_dtype(device)
        if adapter is not None:
            found = load_adapted(Path(adapter), base, dtype, merge=True)
            return cls(found.model.to(device), found.tokens, found.facts, found.palette)
        if base is None:
            raise InputError("generator: give an adapter's folder or a base model")
        bare = resolve(base)
        return cls(load_model(bare, dtype).to(device), CellTokens(load_tokenizer(bare)))

    @property
    def name(self) -> str:
        return self.facts.name if self.facts else "base model"

    def refuse(self, request: Request) -> None:
        """Raises InputError for what cannot be drawn, or a size or palette that the adapter was not trained on."""
        check_request(request)
        if request.chat != Chat():
            self._refuse_long(request)
        if self.facts is None:
            return
        if (request.height, request.width) not in self.facts.sizes:
            known = ", ".join(f"{h}x{w}" for h, w in self.facts.sizes)
            raise InputError(f"adapter {self.facts.name}: was not trained on {request.height}x{request.width}, but on {known}")
        if request.task not in self.facts.tasks:
            known = ", ".join(self.facts.tasks)
            raise InputError(f"adapter {self.facts.name}: was not trained on task {request.task!r}, but on {known}")
        if request.palette.hash != self.facts.palette_hash:
            raise InputError(f"adapter {self.facts.name}: was not trained on palette {request.palette.name!r}")

    def _refuse_long(self, request: Request) -> None:
        """Raises InputError for a chat that leaves the model's context no room for the drawing."""
        room = getattr(self.model.config, "max_position_embeddings", None)
        needed = len(self.prompts([request])[0])
        needed += len(self.tokens.schedule(request.palette, request.height, request.width).ids) + SPARE_TOKENS
        if room is not None and needed > room:
            raise InputError(f"{self.name}: the chat and the drawing take {needed} tokens, the model {room}; give fewer examples")

    def prompts(self, requests: Sequence[Request]) -> list[list[int]]:
        return [self.tokens.prompt_ids(request.chat.around(request.messages())) for request in requests]

    def conditions(self, requests: Sequence[Request], guidance: float) -> tuple[list[list[int]], list[tuple[int, float]]]:
        """The prompts of all requests, and of each (number of its request, weight): one a request, or a few."""
        weights = [caption_weights(request, guidance) for request in requests]
        parts = [(number, caption, weight) for number, each in enumerate(weights) for caption, weight in each.items()]
        prompts = self.prompts([replace(requests[number], caption=caption) for number, caption, _ in parts])
        return prompts, [(number, weight) for number, _, weight in parts]

    def answer(self, requests: Sequence[Request], sampling, mode: str = GRAMMAR, batch_size: int = 16) -> Iterator[Drawing]:
        """Drawings in the order of the requests; those of one size and palette that stand together share batches.

        Raises InputError, before anything is drawn, for a request that `refuse` refuses, and for guidance, given pixels
        or a second caption without the grammar.
        """
        for request in requests:
            self.refuse(request)
            if mode != GRAMMAR and (sampling.guidance or request.given is not None or request.mixed_with is not None):
                raise InputError(f"mode {mode}: guidance, given pixels and a second caption need mode {GRAMMAR}")
        for _, group in groupby(requests, key=lambda r: (r.height, r.width, r.palette.hash, r.palette.name)):
            alike = list(group)
            for start in range(0, len(alike), batch_size):
                yield from self._answer_batch(alike[start : start + batch_size], sampling, mode)

    def _answer_batch(self, batch: list[Request], sampling, mode: str) -> list[Drawing]:
        from eval.decoding import draw_grids, write_freely

        first = batch[0]
        schedule = self.tokens.schedule(first.palette, first.height, first.width)
        keys = [(r.seed, r.index) for r in batch]
        started = time.perf_counter()
        if mode == GRAMMAR:
            prompts, shares = self.conditions(batch, sampling.guidance)
            grids = draw_grids(self.model, prompts, schedule, keys, sampling, shares, _given(batch))
            texts = [grid_text.encode(grid, first.palette) for grid in grids]
        else:
            length = len(schedule.ids) + SPARE_TOKENS
            answers = write_freely(self.model, self.tokens.end_id, self.prompts(batch), keys, sampling, length)
            texts = [self.tokens.tokenizer.decode(answer) for answer in answers]
        seconds = (time.perf_counter() - started) / len(batch)
        return [Drawing(text, seconds, len(self.tokens.completion_ids(text))) for text in texts]

    def draw(self, caption: str, n: int = 1, seed: int = 0, size: int | None = None, sampling=None) -> list[Sprite]:
        """n sprites for a caption, in the adapter's palette (reef64 without one).

        size: pixels a side; by default the adapter's first, 16 without one.
        """
        return drawn(self, caption, n, seed, size, sampling)

    def likelihoods(self, requests: Sequence[Request], sprites: Sequence[Sprite]) -> Iterator:
        """A `finetune.likelihood.Likelihood` of each given sprite as the answer to its request."""
        from finetune.likelihood import Query, likelihoods

        queries = (
            Query(prompt, self.tokens.schedule(sprite.palette, sprite.height, sprite.width), sprite.grid)
            for prompt, sprite in zip(self.prompts(requests), sprites, strict=True)
        )
        return likelihoods(self.model, queries)


def _given(batch: Sequence[Request]) -> np.ndarray | None:
    """(B, H, W) given pixels of a batch, −1 where the model draws; None where nothing is given."""
    if all(request.given is None for request in batch):
        return None
    nothing = np.full((batch[0].height, batch[0].width), -1, np.int16)
    return np.stack([nothing if request.given is None else request.given for request in batch])
