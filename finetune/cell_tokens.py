"""One token a pixel: grid text ↔ token ids, the schedule of a drawing, and the ids that a drawing can use.

Everything here is what stock tokenisation gives: `tokenizer(text)` equals `CellTokens.completion_ids(text)` without
its end-of-turn token, and a tokenizer for which that fails is refused.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from data_prep.errors import InputError
from data_prep.grid_text import ALPHABET, END, FREE, ROW_SEPARATOR, encode, head
from data_prep.palette import Palette, named

PIXEL = -1  # marks in a schedule the positions that the model chooses


@dataclass(frozen=True)
class Schedule:
    """What a drawing of a given size and palette is made of.

    ids: (T,) int64, the forced token at each position of the completion, or PIXEL; symbol_ids: (entries,) int64, token
    of each palette entry; the last position is the end of the turn.
    """

    ids: np.ndarray
    symbol_ids: np.ndarray
    height: int
    width: int

    @cached_property
    def pixels(self) -> np.ndarray:
        """(H·W,) int64 positions of the pixels, in raster order."""
        return np.flatnonzero(self.ids == PIXEL)

    @cached_property
    def separators(self) -> np.ndarray:
        """Positions of the forced tokens between the first pixel and the end of the turn."""
        forced = np.flatnonzero(self.ids != PIXEL)
        return forced[(forced > self.pixels[0]) & (forced < len(self.ids) - 1)]

    def fill(self, grid: np.ndarray) -> np.ndarray:
        """(H, W) index grid → (T,) ids of the whole completion."""
        ids = self.ids.copy()
        ids[self.pixels] = self.symbol_ids[grid.reshape(-1)]
        return ids


class CellTokens:
    """Grid text in one tokenizer. Raises InputError, with the reason, for a tokenizer that breaks the alphabet."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.end_id = tokenizer.eos_token_id
        self.symbol_ids = np.array([self._single(character) for character in ALPHABET], np.int64)
        self._check_stock_tokenisation()

    def ids(self, text: str) -> list[int]:
        """Of a text as it stands, without special tokens."""
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _single(self, character: str) -> int:
        ids = self.ids(character)
        if len(ids) != 1:
            raise InputError(f"tokenizer: {character!r} becomes {len(ids)} tokens; the alphabet needs one (a byte-level BPE)")
        return ids[0]

    def _check_stock_tokenisation(self) -> None:
        """Every pair of symbols once, and each symbol at both ends of a row, in each way of writing a palette."""
        pairs = np.stack(np.meshgrid(np.arange(64), np.arange(64)), -1).reshape(-1)
        ends = np.arange(64)[:, None].repeat(4, 1)
        for number, rows in enumerate([*np.split(pairs.reshape(-1, 16), 8), ends, ends]):
            palette = named("reef64") if number % 2 else Palette(FREE, named("reef64").colours)
            text = encode(rows.astype(np.uint8), palette)
            if self.ids(text) != self.schedule(palette, *rows.shape).fill(rows).tolist()[:-1]:
                raise InputError(
                    "tokenizer: it merges symbols of the alphabet with their neighbours; a grid cannot be one token a pixel"
                )

    @cached_property
    def hash(self) -> str:
        """SHA-256 of what training reads from the tokenizer: ids of the symbols, of the structure and the chat template."""
        ids = [*self.symbol_ids.tolist(), *self.ids(ROW_SEPARATOR), *self.ids(END), self.end_id, len(self.tokenizer)]
        return hashlib.sha256(json.dumps([ids, self.tokenizer.chat_template]).encode()).hexdigest()

    def schedule(self, palette: Palette, height: int, width: int) -> Schedule:
        """The schedule of a drawing whose palette is given by name or spelt out."""
        row, separator = [PIXEL] * width, self.ids(ROW_SEPARATOR)
        rows = [*row, *[*separator, *row] * (height - 1)]
        ids = [*self.ids(head(palette)), *rows, *self.ids(END), self.end_id]
        return Schedule(np.array(ids, np.int64), self.symbol_ids[: len(palette)], height, width)

    def completion_ids(self, text: str) -> list[int]:
        """Ids of a completion, the end of the turn included."""
        return [*self.ids(text), self.end_id]

    def pixel_positions(self, length: int, height: int, width: int) -> np.ndarray:
        """(H·W,) int64 places of the pixels in a completion of so many ids, whatever its palette; counted from its end."""
        step = width + len(self.ids(ROW_SEPARATOR))
        start = length - 1 - len(self.ids(END)) - (height * step - len(self.ids(ROW_SEPARATOR)))
        return (start + np.arange(height)[:, None] * step + np.arange(width)).reshape(-1)

    def prompt_ids(self, messages: list[dict[str, str]]) -> list[int]:
        """Ids of the chat up to where the drawing begins. Special tokens that a caption spells stay text."""
        text = self.tokenizer.apply_chat_template(self._harmless(messages), tokenize=False, add_generation_prompt=True)
        return self.ids(text)

    def _harmless(self, messages: list[dict[str, str]]) -> list[dict[str, str]]:
        """Breaks up special tokens in what people wrote with a zero-width space, so that they cannot end the turn."""
        special = sorted(set(self.tokenizer.all_special_tokens) | set(self.tokenizer.get_added_vocab()), key=len, reverse=True)
        pattern = "|".join(map(re.escape, special))
        return [m | {"content": re.sub(pattern, lambda t: t[0][0] + "\u200b" + t[0][1:], m["content"])} for m in messages]

    def allowed_ids(self, palettes: Iterable[Palette]) -> np.ndarray:
        """(A,) int64, sorted: every id that drawings in these palettes, or in a free one, can hold."""
        vocabulary = self.tokenizer.get_vocab()
        hexadecimal = [i for token, i in vocabulary.items() if re.fullmatch("[0-9a-f]{1,6}", token)]
        skeletons = [self.ids(head(palette)) for palette in palettes]
        skeletons += [self.ids(json.dumps({"palette": ["000000", "000000"], "grid": [""]}, separators=(",", ":")))]
        skeletons += [self.ids(ROW_SEPARATOR), self.ids(END), [self.end_id], self.symbol_ids.tolist(), hexadecimal]
        return np.unique(np.concatenate([np.array(ids, np.int64) for ids in skeletons]))
