"""A generator without a model: it goes on from given pixels with a blob, with noise, with nothing or with what was there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from run_folders import REEF, blob

from data_prep.grid_text import encode
from data_prep.palette import Palette
from data_prep.sprite import Sprite
from eval.generators import GRAMMAR, Drawing, Request, check_request

BLOB, NOISE, NOTHING = "blob", "noise", "nothing"


@dataclass
class FakeGenerator:
    """style: what its free pixels are; asked: the requests that it got, in their order."""

    style: str = BLOB
    palette: Palette = REEF
    asked: list[Request] = field(default_factory=list)
    name: str = "fake"

    def refuse(self, request: Request) -> None:
        check_request(request)

    def answer(self, requests: Sequence[Request], sampling, mode: str = GRAMMAR, batch_size: int = 16) -> Iterator[Drawing]:
        for request in requests:
            self.refuse(request)
            self.asked.append(request)
            grid = self._free(request)
            grid = grid if request.given is None else np.where(request.given < 0, grid, request.given)
            yield Drawing(encode(grid.astype(np.uint8), self.palette), 0.0, grid.size)

    def _free(self, request: Request) -> np.ndarray:
        rng = np.random.default_rng([request.seed, request.index])
        if self.style == NOISE:
            return rng.integers(0, len(self.palette), (request.height, request.width))
        return blob(rng, request.height).grid if self.style == BLOB else np.zeros((request.height, request.width), np.uint8)

    def likelihoods(self, requests: Sequence[Request], sprites: Sequence[Sprite]) -> Iterator:
        raise NotImplementedError

    def draw(self, caption: str, n: int = 1, seed: int = 0, size: int | None = None, sampling=None) -> list[Sprite]:
        raise NotImplementedError
