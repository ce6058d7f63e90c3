"""Self-refinement: a drawing goes back into the chat with a measured criticism, and the model draws again.

Rounds count from 0, the plain drawing. In round r the chat holds the drawing of round r − 1 as the model's own turn, then
what plain measures find wrong with it and its silhouette as text. What has no fault that can be measured stands as it is.
Nothing here asks a critic: the criticism is what anybody can count. Facing is not criticised, for it cannot be measured
from pixels (attributes.py). Source: A. Madaan et al., 'Self-refine: iterative refinement with self-feedback' (2023).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from data_prep.sources.procedural import LARGE_FROM, SMALL_BELOW
from data_prep.sprite import Sprite
from data_prep.wording import parse
from eval.generators import GRAMMAR, Around, Drawing, Generator, Request
from eval.metrics import attributes, structure

STEP = 2**40  # round r of drawing i has the noise of drawing i + r·2^40
MOST_LONELY = 0.35  # 99 in 100 training sprites have fewer lonely pixels
LEAST_CONNECTED = 0.9
MOST_OPAQUE = 0.8  # the fullest training sprite: 0.73
LEAST_SPAN = 0.5  # of the frame; the smallest training sprite: 0.56

Answer = Callable[[Sequence[Request], object, str, int], Iterator[Drawing]]  # `Generator.answer`, or what a run has drawn


class Refined(Around):
    """Round `number` of a generator. earlier: what answers for the round before, such as `generator.answer` in round 1.

    Its likelihoods are the generator's, before any criticism.
    """

    def __init__(self, generator: Generator, earlier: Answer, number: int = 1):
        super().__init__(generator)
        self.earlier, self.number = earlier, number

    @property
    def name(self) -> str:
        return f"{self.generator.name}, round {self.number}"

    def answer(self, requests: Sequence[Request], sampling, mode: str = GRAMMAR, batch_size: int = 16) -> Iterator[Drawing]:
        """The drawings of this round; their seconds and tokens are those of all rounds up to it."""
        for request in requests:
            self.refuse(request)
        for start in range(0, len(requests), batch_size):
            asked = requests[start : start + batch_size]
            before = list(self.earlier(asked, sampling, mode, batch_size))
            told = [self._told(request, drawing) for request, drawing in zip(asked, before, strict=True)]
            again = self.generator.answer([request for request in told if request is not None], sampling, mode, batch_size)
            for criticised, old in zip(told, before, strict=True):
                yield old if criticised is None else _after(old, next(again))

    def _told(self, request: Request, drawing: Drawing) -> Request | None:
        """The request with drawing and criticism in its chat; None where there is nothing to criticise."""
        found = faults(drawing.text, request)
        if not found:
            return None
        replies = (*request.chat.replies, (drawing.text, criticism(found, drawing.text, request)))
        return replace(request, index=request.index + STEP * self.number, chat=replace(request.chat, replies=replies))


def _after(old: Drawing, new: Drawing) -> Drawing:
    return Drawing(new.text, old.seconds + new.seconds, old.tokens + new.tokens)


def criticism(found: Sequence[str], text: str, request: Request) -> str:
    """The user's turn behind a drawing: its faults, its silhouette, and the question again."""
    read = request.read(text)
    shown = f"\nIts silhouette:\n{silhouette(read.grid)}" if isinstance(read, Sprite) else ""
    question = request.messages()[-1]["content"]
    return f"{' '.join(found)}{shown}\nDraw it again without these faults. {question}"


def silhouette(grid: np.ndarray) -> str:
    """(H, W) index grid → H lines of '#' and '.'."""
    return "\n".join("".join(".#"[int(pixel > 0)] for pixel in row) for row in grid)


def faults(text: str, request: Request) -> list[str]:
    """A sentence for each thing that is measurably wrong with a drawing, by its pixels and by what the caption states."""
    read = request.read(text)
    if not isinstance(read, Sprite):
        return [f"This is no drawing: {read}."]
    grids = read.grid[None]
    if structure.empty(grids)[0]:
        return ["Nothing is drawn."]
    return [*_shape_faults(grids), *_size_faults(read.grid, request.caption), *_colour_faults(read, request.caption)]


def _shape_faults(grids: np.ndarray) -> Iterator[str]:
    lonely, whole = structure.speckle(grids)[0], structure.largest_component(grids)[0]
    opaque = structure.opaque_share(grids)[0]
    if lonely > MOST_LONELY:
        yield f"{lonely:.0%} of its pixels stand alone; colours belong in patches."
    if whole < LEAST_CONNECTED:
        yield f"It falls into pieces: the largest has {whole:.0%} of its pixels."
    if opaque > MOST_OPAQUE:
        yield f"It fills {opaque:.0%} of the frame; the background must stay transparent."


def _size_faults(grid: np.ndarray, caption: str) -> Iterator[str]:
    """The words for sizes are the procedural reef's."""
    span, asked = attributes.size_in_frame(grid), parse(caption).get("size")
    size = "small" if span < SMALL_BELOW else "medium" if span < LARGE_FROM else "large"
    if asked is not None and size != asked:
        yield f"It spans {span:.0%} of the frame, which is {size}; {asked} was asked for."
    elif span < LEAST_SPAN:
        yield f"It is too small: it spans {span:.0%} of the frame."


def _colour_faults(sprite: Sprite, caption: str) -> Iterator[str]:
    asked = attributes.stated_colour(parse(caption), caption)
    if attributes.colour_right(sprite.grid, sprite.palette, asked) == 0:
        main = attributes.main_colour(sprite.grid, sprite.palette)
        yield f"Its main colour is {main or 'none'}; {asked} was asked for."
