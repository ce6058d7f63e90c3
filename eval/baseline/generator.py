"""The sprite transformer behind the generators' interface: requests in, grid texts and likelihoods out."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np

from data_prep import grid_text
from data_prep.errors import InputError
from data_prep.palette import Palette
from data_prep.sprite import Sprite
from eval.baseline.conditions import Conditions
from eval.baseline.model_folder import ModelFacts, load_model
from eval.generators import GRAMMAR, Drawing, Request, check_request, drawn, sprites_of


class SpriteTransformerGenerator:
    """A trained sprite transformer with its vocabulary and palette. Like `LanguageModel`, but it can write nothing but grids."""

    def __init__(self, model, conditions: Conditions, palette: Palette, facts: ModelFacts):
        self.model, self.conditions, self.palette, self.facts = model.eval(), conditions, palette, facts

    @classmethod
    def load(cls, folder: str | Path) -> "SpriteTransformerGenerator":
        """Raises InputError for a folder that is missing, torn or of another palette."""
        import torch

        model, *rest = load_model(Path(folder))
        return cls(model.to("cuda" if torch.cuda.is_available() else "cpu"), *rest)

    @property
    def name(self) -> str:
        return self.facts.name

    def refuse(self, request: Request) -> None:
        """Raises InputError for what cannot be drawn, or a size or palette that the model was not trained on."""
        check_request(request)
        if (request.height, request.width) not in self.facts.sizes:
            known = ", ".join(f"{h}x{w}" for h, w in self.facts.sizes)
            raise InputError(f"{self.name}: was not trained on {request.height}x{request.width}, but on {known}")
        if request.palette.hash != self.palette.hash:
            raise InputError(f"{self.name}: was not trained on palette {request.palette.name!r}")

    def answer(self, requests: Sequence[Request], sampling, mode: str = GRAMMAR, batch_size: int = 32) -> Iterator[Drawing]:
        """Drawings in the order of the requests; those of one size that stand together share batches.

        Raises InputError, before anything is drawn, for a request that `refuse` refuses or a mode other than `grammar`.
        """
        if mode != GRAMMAR:
            raise InputError(f"{self.name}: mode {mode!r}: a sprite transformer writes grids only, take {GRAMMAR!r}")
        for request in requests:
            self.refuse(request)
        for _, group in groupby(requests, key=lambda r: (r.height, r.width)):
            alike = list(group)
            for start in range(0, len(alike), batch_size):
                yield from self._answer_batch(alike[start : start + batch_size], sampling)

    def _answer_batch(self, batch: list[Request], sampling) -> list[Drawing]:
        from eval.baseline.sample import draw_grids

        first = batch[0]
        conditions, shares = self.branches(batch, sampling.guidance)
        given = None
        if any(r.given is not None for r in batch):
            free = np.full((first.height, first.width), -1)
            given = np.stack([free if r.given is None else r.given for r in batch])
        started = time.perf_counter()
        keys = [(r.seed, r.index) for r in batch]
        grids = draw_grids(self.model, conditions, (first.height, first.width), keys, sampling, shares, given)
        seconds = (time.perf_counter() - started) / len(batch)
        return [Drawing(grid_text.encode(g, r.palette), seconds, g.size) for g, r in zip(grids, batch, strict=True)]

    def branches(self, batch: Sequence[Request], guidance: float = 0.0) -> tuple[np.ndarray, list[float]]:
        """(branches, B, slots) class numbers, and the weight of each branch: caption, second caption, nothing."""
        ids = self.conditions.ids
        told = [[ids(r.caption, r.tags) for r in batch]]
        shares = [1.0]
        if any(r.mixed_with is not None for r in batch):
            told.append([one if r.mixed_with is None else ids(r.mixed_with, {}) for one, r in zip(told[0], batch, strict=True)])
            shares = [0.5, 0.5]
        if guidance:
            told.append([ids("", {})] * len(batch))
            shares = [*((1 + guidance) * share for share in shares), -guidance]
        return np.array(told).reshape(len(told), len(batch), -1), shares

    def likelihoods(self, requests: Sequence[Request], sprites: Sequence[Sprite]) -> Iterator:
        """A `finetune.likelihood.Likelihood` of each given sprite as the answer to its request; it can say nothing but grids."""
        from eval.baseline.sample import bits
        from finetune.likelihood import Likelihood

        for request, sprite in zip(requests, sprites, strict=True):
            self.refuse(replace(request, height=sprite.height, width=sprite.width, palette=sprite.palette))
        pairs = list(zip(requests, sprites, strict=True))
        for _, group in groupby(pairs, key=lambda pair: pair[1].grid.shape):
            alike = list(group)
            told = np.array([self.conditions.ids(request.caption, request.tags) for request, _ in alike]).reshape(len(alike), -1)
            for found, (_, sprite) in zip(bits(self.model, np.stack([s.grid for _, s in alike]), told), alike, strict=True):
                yield Likelihood(float(found), sprite.grid.size, 1.0, 1.0, 1.0)

    def bits_per_pixel(self, sprites: Sequence[Sprite]) -> float:
        """Of all the sprites' pixels under their own captions and tags."""
        requests = [Request.like(sprite) for sprite in sprites]
        found = list(self.likelihoods(requests, sprites))
        return sum(one.bits for one in found) / sum(one.pixels for one in found)

    def redraw(self, sprites: Sequence[Sprite], seed: int = 0) -> list[Sprite]:
        """A drawing of what each sprite shows, in the same order."""
        from eval.decoding import Sampling

        requests = [Request.like(sprite, seed, index) for index, sprite in enumerate(sprites)]
        return list(sprites_of(self, requests, Sampling(), self.name))

    def draw(self, caption: str, n: int = 1, seed: int = 0, size: int | None = None, sampling=None) -> list[Sprite]:
        """n sprites for a caption. size: pixels a side; by default the smallest it was trained on."""
        return drawn(self, caption, n, seed, size, sampling)
