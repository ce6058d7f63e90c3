"""A generator without a model that draws procedural sprites row by row, as slowly as a test wants."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from threading import Event
from types import SimpleNamespace

import numpy as np

from data_prep.grid_text import encode
from data_prep.palette import Palette, named
from data_prep.sources import procedural
from data_prep.sprite import Sprite
from eval.generators import GRAMMAR, Drawing, Request, check_request
from finetune.likelihood import Likelihood

REEF = named("reef64")


@cache
def sprites() -> list[Sprite]:
    return list(islice(procedural.sprites(3, 16), 60))


@dataclass
class RowGenerator:
    """hold_at: the row before which it waits for `go`; fault: what is raised in place of a drawing.

    rows: how many were drawn; asked: the requests in their order.
    """

    hold_at: int | None = None
    go: Event = field(default_factory=Event)
    fault: Exception | None = None
    rows: int = 0
    asked: list[Request] = field(default_factory=list)
    palette: Palette = REEF
    facts: object = field(default_factory=lambda: SimpleNamespace(sizes=((16, 16),)))
    name: str = "by hand"

    def refuse(self, request: Request) -> None:
        check_request(request)

    def answer(self, requests: Sequence[Request], sampling, mode: str = GRAMMAR, batch_size: int = 16) -> Iterator[Drawing]:
        if self.fault is not None:
            raise self.fault
        self.asked += requests
        grids = np.stack([_grid(request) for request in requests])
        keys = [(request.seed, request.index) for request in requests]
        given = requests[0].given
        for y in range(grids.shape[1]):
            if sampling.on_row and (given is None or (given[y] < 0).any()):
                if y == self.hold_at:
                    assert self.go.wait(30)
                self.rows += 1
                sampling.on_row(keys, y, grids[:, y])
        return iter([Drawing(encode(grid, self.palette), 0.0, grid.size) for grid in grids])

    def likelihoods(self, requests: Sequence[Request], sprites: Sequence[Sprite]) -> Iterator[Likelihood]:
        return iter([Likelihood(100.0, sprite.grid.size, 1.0, 1.0, 1.0) for sprite in sprites])

    def draw(self, caption: str, n: int = 1, seed: int = 0, size: int | None = None, sampling=None) -> list[Sprite]:
        raise NotImplementedError


def _grid(request: Request) -> np.ndarray:
    grid = sprites()[int(np.random.default_rng([request.seed, request.index]).integers(60))].grid
    return grid if request.given is None else np.where(request.given < 0, grid, request.given).astype(np.uint8)
