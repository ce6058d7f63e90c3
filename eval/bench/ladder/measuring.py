"""Measures a model on one rung of the ladder: the same sprites that no run was trained on, whatever the rung.

For each prompt, so that rungs can be compared prompt by prompt:
  bits          −log2 p of the sprite's pixels by its right caption, over what its symbols can be
  gain          bits by the caption of a sprite of another plan, minus these; with its interval the deciding figure
  right_colour  1 or 0, of a drawing held to its form; not counted where prompt and digits give the colours away
  like_sprites  1 or 0: statistics of that drawing lie within those of 95 % of training sprites (metrics.structure)
  valid         1 or 0, of an answer that nothing holds: it has its very form and size
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from data_prep import grid_text
from data_prep.sources.procedural import split_of, sprites
from data_prep.sprite import Sprite
from eval.bench.ladder.forms import Asked, palette
from eval.bench.ladder.rungs import DIGITS, Rung
from eval.best_of import BestOf
from eval.decoding import Sampling, draw_grids, write_freely
from eval.generators import GRAMMAR, Drawing, Request, caption_weights, drawn
from eval.metrics.attributes import colour_right, stated_colour
from eval.metrics.structure import SpriteLike, statistics
from finetune.cell_tokens import CellTokens
from finetune.likelihood import Likelihood, Query, likelihoods

TEST_SEED = 1
SPARE_TOKENS = 16
BATCH = 20
LIKE_SPRITES = 400  # training sprites whose statistics say what sprites are like


def unseen_sprites(size: int, count: int) -> list[Sprite]:
    """Combinations of plan, colour and pattern that no run was trained on, all categories in turn as they come."""
    return list(islice((sprite for sprite in sprites(TEST_SEED, size) if split_of(sprite.tags) == "test"), count))


class LadderModel:
    """A rung's model as a generator; its drawings are written in the usual form, whatever its own."""

    palette, facts = None, None

    def __init__(self, model, tokens: CellTokens, rung: Rung):
        self.model, self.tokens, self.rung = model, tokens, rung
        self.name = rung.name

    def refuse(self, request: Request) -> None:
        """Every rung draws what it is asked for."""

    def _asked(self, request: Request, sprite: Sprite | None = None) -> Asked:
        grid = np.zeros((request.height, request.width), np.uint8) if sprite is None else sprite.grid
        return Asked.of(Sprite(grid, palette(), request.caption, request.tags), self.rung)

    def answer(self, requests: Sequence[Request], sampling, mode: str = GRAMMAR, batch_size: int = BATCH) -> Iterator[Drawing]:
        sampling = replace(sampling, guidance=self.rung.guidance)
        for start in range(0, len(requests), batch_size):
            asked = [self._asked(request) for request in requests[start : start + batch_size]]
            keys = [(request.seed, request.index) for request in requests[start : start + batch_size]]
            for grid in self.drawn(asked, keys, sampling):
                yield Drawing(grid_text.encode(grid, palette()), 0.0, grid.size)

    def drawn(self, asked: Sequence[Asked], keys: Sequence[tuple[int, int]], sampling: Sampling) -> list[np.ndarray]:
        """(H, W) grids in reef64. Those whose answers have the same tokens around their pixels share a batch."""
        schedules = [one.schedule(self.tokens) for one in asked]
        grids: dict[int, np.ndarray] = {}
        for length in sorted({len(schedule.symbol_ids) for schedule in schedules}):
            places = [place for place, schedule in enumerate(schedules) if len(schedule.symbol_ids) == length]
            prompts, shares = [], []
            for row, place in enumerate(places):
                for caption, weight in self._weights(asked[place], sampling.guidance).items():
                    prompts.append(self.tokens.prompt_ids(asked[place].messages(caption)))
                    shares.append((row, weight))
            own = [keys[place] for place in places]
            found = draw_grids(self.model, prompts, schedules[places[0]], own, sampling, shares)
            grids |= {place: asked[place].entries[grid].astype(np.uint8) for place, grid in zip(places, found, strict=True)}
        return [grids[place] for place in range(len(asked))]

    def _weights(self, asked: Asked, guidance: float) -> dict[str, float]:
        height, width = asked.sprite.grid.shape
        return caption_weights(Request(asked.words(), height, width, palette()), guidance)

    def likelihoods(self, requests: Sequence[Request], sprites: Sequence[Sprite]) -> Iterator[Likelihood]:
        asked = [self._asked(request, sprite) for request, sprite in zip(requests, sprites, strict=True)]
        return self.bits(asked, [request.caption for request in requests])

    def bits(self, asked: Sequence[Asked], said: Sequence[str]) -> Iterator[Likelihood]:
        """A Likelihood of each sprite as the answer to what is said."""
        prompts = (self.tokens.prompt_ids(one.messages(words)) for one, words in zip(asked, said, strict=True))
        queries = (Query(p, one.schedule(self.tokens), one.places) for p, one in zip(prompts, asked, strict=True))
        return likelihoods(self.model, queries)

    def draw(self, caption: str, n: int = 1, seed: int = 0, size: int | None = None, sampling=None) -> list[Sprite]:
        return drawn(self, caption, n, seed, size, sampling)


def measure(model: LadderModel, tested: Sequence[Sprite], seed: int, free: int) -> dict[str, list[float | None]]:
    """Metric → a value for each test sprite, None where there is none. free: of so many, `valid` is measured too."""
    rung, asked = model.rung, [Asked.of(sprite, model.rung) for sprite in tested]
    others = [another(asked, number).words() for number in range(len(asked))]
    right = [found.bits for found in model.bits(asked, [one.words() for one in asked])]
    wrong = [found.bits for found in model.bits(asked, others)]
    grids = _drawings(model, asked, seed)
    like = SpriteLike.of(np.stack([s.grid for s in islice(sprites(TEST_SEED + 1, tested[0].height), LIKE_SPRITES)]))
    colours = [None if rung.form == DIGITS else _right_colour(g, sprite) for g, sprite in zip(grids, tested, strict=True)]
    return {
        "bits": right,
        "gain": [b - a for a, b in zip(right, wrong, strict=True)],
        "right_colour": colours,
        "like_sprites": like.judge(statistics(np.stack(grids))).tolist(),
        "valid": _valid(model, asked[:free], seed),
    }


def another(asked: Sequence[Asked], number: int) -> Asked:
    """The next sprite of another plan; where all are of one, the next."""
    later = [*asked[number + 1 :], *asked[:number]] or [asked[number]]
    return next((one for one in later if one.sprite.tags["plan"] != asked[number].sprite.tags["plan"]), later[0])


def _drawings(model: LadderModel, asked: Sequence[Asked], seed: int) -> list[np.ndarray]:
    """One drawing of each prompt, held to its form."""
    sampling = Sampling(guidance=model.rung.guidance)
    if model.rung.best_of == 1:
        batches = (range(start, min(start + BATCH, len(asked))) for start in range(0, len(asked), BATCH))
        return [g for b in batches for g in model.drawn([asked[i] for i in b], [(seed, i) for i in b], sampling)]
    told = enumerate((one.words(), one.sprite) for one in asked)
    requests = [Request(words, s.height, s.width, palette(), seed, index, s.tags) for index, (words, s) in told]
    answers = BestOf(model, model.rung.best_of).answer(requests, sampling, batch_size=BATCH)
    return [grid_text.sure(answer.text, palette(), model.name).grid for answer in answers]


def _right_colour(grid: np.ndarray, sprite: Sprite) -> float | None:
    return colour_right(grid, sprite.palette, stated_colour(sprite.tags, sprite.caption))


def _valid(model: LadderModel, asked: Sequence[Asked], seed: int) -> list[float]:
    prompts = [model.tokens.prompt_ids(one.messages()) for one in asked]
    longest = max(len(one.schedule(model.tokens).ids) for one in asked) + SPARE_TOKENS
    keys = [(seed, number) for number in range(len(asked))]
    answers = write_freely(model.model, model.tokens.end_id, prompts, keys, Sampling(), longest)
    texts = [model.tokens.tokenizer.decode(ids) for ids in answers]
    return [float(one.read(text) is not None) for one, text in zip(asked, texts, strict=True)]
