"""How a rung asks and answers: the published prompt and digits, or ours with symbols, plain or with row keys.

Whatever the form, a drawing is an index grid in reef64, so that all rungs are measured alike. The digits of a published
answer are the sprite's own colours, at most ten with the background, in the order in which the prompt lists them.
"""

import json
import re
from dataclasses import dataclass, replace

import numpy as np

from data_prep import captions, grid_text
from data_prep.bench_format import MOST_COLOURS, fewer_colours
from data_prep.palette import Palette, named
from data_prep.sprite import Sprite
from eval.bench.ladder.rungs import DIGITS, ROW_KEYS, Rung
from finetune.cell_tokens import PIXEL, CellTokens, Schedule

BACKGROUND = "ffffff"  # what the published prompt calls the transparent pixels


@dataclass(frozen=True)
class Asked:
    """A sprite to draw, as a rung sees it. entries: of reef64, those that the digits or symbols of an answer stand for."""

    sprite: Sprite
    entries: np.ndarray
    rung: Rung

    @classmethod
    def of(cls, sprite: Sprite, rung: Rung) -> "Asked":
        if rung.form != DIGITS:
            return cls(sprite, np.arange(len(sprite.palette)), rung)
        grid = fewer_colours(sprite.grid, sprite.palette, MOST_COLOURS - 1)
        used = np.unique(grid[grid > 0])
        return cls(replace(sprite, grid=grid), np.concatenate([[0], used]), rung)

    def words(self, caption: str | None = None) -> str:
        """What it is asked for by: the caption given, its own, or its name on the rungs that have no captions."""
        said = self.sprite.caption if caption is None else caption
        return self.sprite.tags["plan"] if self.rung.named and caption is None else said

    def messages(self, caption: str | None = None) -> list[dict[str, str]]:
        """The chat that asks for it. caption: another one than its own; '' leaves it out."""
        sprite, words = self.sprite, self.words(caption)
        if self.rung.form == DIGITS:
            colours = [BACKGROUND, *(sprite.palette.colours[entry - 1] for entry in self.entries[1:])]
            return [{"role": "user", "content": f"Draw pixel art: {words} using colors {json.dumps(colours)}"}]
        chat = captions.messages(words, sprite.height, sprite.width, sprite.palette)
        return chat if self.rung.legend else [m | {"content": without_legend(m["content"])} for m in chat]

    def schedule(self, tokens: CellTokens) -> Schedule:
        """Of its answer: forced tokens and pixels."""
        ids: list[int] = []
        for part in self._around(self.sprite.height):
            ids += [*tokens.ids(part), *[PIXEL] * self.sprite.width]
        ids = [*ids[: -self.sprite.width], tokens.end_id]
        symbols = tokens.symbol_ids[1 : 1 + len(self.entries)] if self.rung.form == DIGITS else tokens.symbol_ids
        return Schedule(np.array(ids, np.int64), symbols[: len(self.entries)], self.sprite.height, self.sprite.width)

    def _around(self, height: int) -> list[str]:
        """The text before, between and after the rows."""
        if self.rung.form == ROW_KEYS:
            head = json.dumps({"palette": self.sprite.palette.name}, separators=(",", ":"))[:-1] + ',"grid":{"0":"'
            return [head, *(f'","{row}":"' for row in range(1, height)), '"}}']
        if self.rung.form == DIGITS:
            return ['{"grid": ["', *['", "'] * (height - 1), '"]}']
        return [grid_text.head(self.sprite.palette), *[grid_text.ROW_SEPARATOR] * (height - 1), grid_text.END]

    @property
    def places(self) -> np.ndarray:
        """(H, W) which of `entries` each pixel is."""
        place = np.zeros(len(self.sprite.palette), np.uint8)
        place[self.entries] = np.arange(len(self.entries))
        return place[self.sprite.grid]

    def text(self) -> str:
        """The answer, without the end of the turn."""
        letters = self._letters()
        rows = ["".join(letters[place] for place in row) for row in self.places]
        return "".join(part + row for part, row in zip(self._around(len(rows)), [*rows, ""], strict=True))

    def read(self, text: str) -> np.ndarray | None:
        """(H, W) index grid in reef64 of an answer in this very form, or None."""
        letters = self._letters()
        row = f"([{re.escape(letters)}]{{{self.sprite.width}}})"
        first, *rest = map(re.escape, self._around(self.sprite.height))
        found = re.fullmatch(first + "".join(row + part for part in rest), text)
        if not found:
            return None
        return self.entries[[[letters.index(symbol) for symbol in one] for one in found.groups()]].astype(np.uint8)

    def _letters(self) -> str:
        first = 1 if self.rung.form == DIGITS else 0
        return grid_text.ALPHABET[first : first + len(self.entries)]


def without_legend(text: str) -> str:
    """A prompt of ours as it was before the legend."""
    return re.sub(r" \([^()]*=[^()]*\)$", "", text)


def palette() -> Palette:
    return named("reef64")
