"""Best of n: several candidates of each drawing, of which the best by the model's own likelihoods and by `guide` stays.

score = log p(grid | caption) − log p(grid | empty caption) + log guide.score, in nats; the difference is the mean over three
views: the drawing, its mirror image (left and right of the caption swapped) and the same in other hues (colour words changed
with the ramps), as far as there is a caption that is true of the view. That takes six likelihoods a candidate. By Bayes'
rule the difference is log p(caption | grid) up to a constant, so both terms are probabilities that the drawing shows what
was asked for. Plain log p(grid) would pick blanks: they cost the fewest bits.

Before the score count, in this order: the text is a drawing; it is not near-empty (below 5 % of the pixels) and not flat
(fewer than three entries, transparent counted: blanks, silhouettes, checkerboards, stripes); `guide` holds it for a sprite
(quality ≥ 0.5). What fails stays only where all candidates fail. Verdicts are another critic's, which is never asked here.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from data_prep.augment import flipped, hue_shifted
from data_prep.errors import InputError
from data_prep.sprite import Sprite
from eval.generators import GRAMMAR, Around, Drawing, Generator, Request
from eval.metrics.critics import Critic
from eval.prompting import said

STEP = 2**20  # candidate j of drawing i has the noise of drawing i + j·2^20; candidate 0 is the plain drawing
MAX_CANDIDATES = 64
LEAST_DRAWN = 0.05  # share of opaque pixels; the sparsest of 18,000 procedural sprites has 0.098
LEAST_ENTRIES = 3
HUE_TURN = 3  # ramps to go on by, about a third of the colour circle
_LOWEST = 1e-9  # of guide.score, before its logarithm


class BestOf(Around):
    """The best of n candidates of a generator. guide: a critic, or None to go by likelihoods and by empty and flat alone.

    A size that the guide was not taught is chosen without it. Likelihoods are the generator's own: choosing gives none. Raises
    InputError for n outside 1…64, and for a generator that has no likelihoods.
    """

    def __init__(self, generator: Generator, n: int, guide: Critic | None = None):
        super().__init__(generator)
        if not 1 <= n <= MAX_CANDIDATES:
            raise InputError(f"best of {n}: it takes 1 to {MAX_CANDIDATES} candidates")
        list(generator.likelihoods([], []))  # raises where there are none, before anything is drawn
        self.n, self.guide = n, guide

    @property
    def name(self) -> str:
        return f"{self.generator.name}, best of {self.n}"

    def refuse(self, request: Request) -> None:
        """Raises InputError for what the generator refuses, and for a second caption: the score knows one."""
        super().refuse(request)
        if request.mixed_with is not None:
            raise InputError("best of n: scores one caption; leave the second one out")
        if not 0 <= request.index < STEP:
            raise InputError(f"best of n: index {request.index}; it takes 0 to {STEP - 1}")

    def answer(self, requests: Sequence[Request], sampling, mode: str = GRAMMAR, batch_size: int = 16) -> Iterator[Drawing]:
        """The best candidate of each request; its seconds and tokens are those of all candidates and of choosing.

        batch_size counts candidates. Raises InputError like the generator, and where temperature 0 makes all alike.
        """
        for request in requests:
            self.refuse(request)
        if self.n > 1 and not sampling.temperature:
            raise InputError(f"best of {self.n}: at temperature 0 all candidates are the same; take a higher one")
        together = max(1, batch_size // self.n)
        for start in range(0, len(requests), together):
            yield from self._best(requests[start : start + together], sampling, mode, batch_size)

    def _best(self, asked: Sequence[Request], sampling, mode: str, batch_size: int) -> list[Drawing]:
        started = time.perf_counter()
        candidates = [replace(request, index=request.index + STEP * j) for request in asked for j in range(self.n)]
        drawings = list(self.generator.answer(candidates, sampling, mode, batch_size))
        ranks = self.ranks(candidates, [drawing.text for drawing in drawings])
        seconds = (time.perf_counter() - started) / len(asked)
        groups = [range(start, start + self.n) for start in range(0, len(candidates), self.n)]
        best = [max(group, key=ranks.__getitem__) for group in groups]
        return [
            Drawing(drawings[one].text, seconds, sum(drawings[i].tokens for i in group))
            for one, group in zip(best, groups, strict=True)
        ]

    def ranks(self, requests: Sequence[Request], texts: Sequence[str]) -> list[tuple]:
        """Of each text (drawing, neither empty nor flat, a sprite to the guide, score): the largest is the best."""
        drawn = {
            place: found
            for place, (request, text) in enumerate(zip(requests, texts, strict=True))
            if isinstance(found := request.read(text), Sprite) and found.palette == request.palette
        }
        sprites, asked = list(drawn.values()), [requests[place] for place in drawn]
        ranks = [(False, False, False, 0.0)] * len(texts)
        sure, fit = self._guided(asked, sprites)
        scores = self.gains(asked, sprites) + np.log(np.maximum(fit, _LOWEST))
        for row, (place, sprite) in enumerate(drawn.items()):
            ranks[place] = (True, not is_bare(sprite.grid), bool(sure[row]), float(scores[row]))
        return ranks

    def gains(self, requests: Sequence[Request], sprites: Sequence[Sprite]) -> np.ndarray:
        """(N,) nats that the caption gains: log p(grid | caption) − log p(grid | empty caption), mean over the views."""
        pairs = enumerate(zip(requests, sprites, strict=True))
        views = [(row, view) for row, pair in pairs for view in (pair, mirrored(*pair), in_other_hues(*pair)) if view is not None]
        rows = np.array([row for row, _ in views], int)
        gains = self._gains([view for _, view in views])
        return np.bincount(rows, gains, len(sprites)) / np.bincount(rows, minlength=len(sprites))

    def _gains(self, pairs: Sequence[tuple[Request, Sprite]]) -> np.ndarray:
        asked, sprites = [request for request, _ in pairs], [sprite for _, sprite in pairs]
        return (self._bits([_untold(request) for request in asked], sprites) - self._bits(asked, sprites)) * np.log(2)

    def _bits(self, requests: Sequence[Request], sprites: Sequence[Sprite]) -> np.ndarray:
        return np.array([found.bits for found in self.generator.likelihoods(requests, sprites)], float)

    def _guided(self, requests: Sequence[Request], sprites: Sequence[Sprite]) -> tuple[np.ndarray, np.ndarray]:
        """(N,) bool: a sprite to the guide; (N,) its score. True and 1 where it was not taught the size."""
        sure, fit = np.ones(len(sprites), bool), np.ones(len(sprites))
        if self.guide is None:
            return sure, fit
        known = [i for i, s in enumerate(sprites) if self.guide.fits(s.height, s.width)]
        if known:
            judged = [sprites[i] for i in known]
            sure[known] = self.guide.quality(judged) >= 0.5
            fit[known] = self.guide.score(judged, [said(requests[i].caption).get("category", "") for i in known])
        return sure, fit


def is_bare(grid: np.ndarray) -> bool:
    """Near-empty or flat: below 5 % opaque pixels, or fewer than three entries."""
    return bool((grid > 0).mean() < LEAST_DRAWN or len(np.unique(grid)) < LEAST_ENTRIES)


def mirrored(request: Request, sprite: Sprite) -> tuple[Request, Sprite] | None:
    """The mirror image and what asks for it, or None where no caption would (`augment.flipped`)."""
    return _asked_for(request, flipped(replace(sprite, caption=request.caption, tags=request.tags)))


def in_other_hues(request: Request, sprite: Sprite) -> tuple[Request, Sprite] | None:
    """Every hue as another one and what asks for that, or None where the caption names no colour that the drawing plainly has."""
    tags = said(request.caption) | dict(request.tags)
    return _asked_for(request, hue_shifted(replace(sprite, caption=request.caption, tags=tags, source=""), HUE_TURN))


def _asked_for(request: Request, view: Sprite | None) -> tuple[Request, Sprite] | None:
    if view is None:
        return None
    return replace(request, caption=view.caption, tags={key: view.tags[key] for key in request.tags}), view


def _untold(request: Request) -> Request:
    return replace(request, caption="", tags={})
