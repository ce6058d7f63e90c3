"""A generator without a model: its drawings are listed, and its likelihoods are made up."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from data_prep.palette import Palette, named
from data_prep.sprite import Sprite
from eval.generators import GRAMMAR, Drawing, Request, check_request, drawn
from finetune.likelihood import Likelihood


@dataclass
class Listed:
    """text: request → what it draws; bits: (caption, sprite) → what a sprite costs; asked: the requests in their order."""

    text: Callable[[Request], str]
    bits: Callable[[str, Sprite], float] = lambda caption, sprite: 0.0
    asked: list[Request] = field(default_factory=list)
    palette: Palette = named("reef64")  # noqa: RUF009 (frozen)
    facts: object = None
    name: str = "listed"

    def refuse(self, request: Request) -> None:
        check_request(request)

    def answer(self, requests: Sequence[Request], sampling, mode: str = GRAMMAR, batch_size: int = 16) -> Iterator[Drawing]:
        for request in requests:
            self.asked.append(request)
            yield Drawing(self.text(request), 1.0, 10)

    def likelihoods(self, requests: Sequence[Request], sprites: Sequence[Sprite]) -> Iterator[Likelihood]:
        for request, sprite in zip(requests, sprites, strict=True):
            yield Likelihood(self.bits(request.caption, sprite), sprite.grid.size, 1.0, 1.0, 1.0)

    def draw(self, caption: str, n: int = 1, seed: int = 0, size: int | None = None, sampling=None) -> list[Sprite]:
        return drawn(self, caption, n, seed, size, sampling)
