"""Conditions: what a sprite transformer is told of a drawing, as one class number a slot; 0 where nothing is stated."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from data_prep.errors import InputError
from data_prep.wording import parse

TAGS, CAPTION = "tags", "caption"
LABEL = "label"  # what sprites of a pack are called; their captions hold few of the reef's words
FACING, MIRRORED = "facing", {"left": "right", "right": "left"}
MIN_SPRITES = 2  # a value that only one training sprite has says nothing but which one it is


def stated(reads: str, caption: str, tags: Mapping[str, str]) -> dict[str, str]:
    """Slot → value. `caption`: what the caption says in words that `wording.parse` knows; `tags`: zone and category alone,
    from the tags or, where those lack them, from the caption. A label counts in both."""
    said = parse(caption)
    if reads == TAGS:
        said = {key: tags.get(key) or said.get(key, "") for key in ("zone", "category")}
    return {key: value for key, value in (said | {LABEL: tags.get(LABEL, "")}).items() if value}


@dataclass(frozen=True)
class Conditions:
    """The vocabulary of a model's slots, taken from its training split. values: slot → words; class k is the k-th, from 1."""

    reads: str
    values: Mapping[str, tuple[str, ...]]

    def __post_init__(self):
        if self.reads not in (TAGS, CAPTION):
            raise InputError(f"conditions: {self.reads!r}; it takes {TAGS} or {CAPTION}")
        object.__setattr__(self, "values", {slot: tuple(words) for slot, words in self.values.items()})

    @classmethod
    def of(cls, reads: str, subjects: Iterable[tuple[str, Mapping[str, str]]]) -> "Conditions":
        """The vocabulary of (caption, tags) pairs."""
        counts = Counter(item for caption, tags in subjects for item in stated(reads, caption, tags).items())
        common = sorted(item for item, count in counts.items() if count >= MIN_SPRITES)
        slots = sorted({slot for slot, _ in common})
        return cls(reads, {slot: tuple(word for key, word in common if key == slot) for slot in slots})

    @property
    def classes(self) -> tuple[int, ...]:
        """Number of values of each slot, 'unstated' not counted."""
        return tuple(map(len, self.values.values()))

    def ids(self, caption: str, tags: Mapping[str, str]) -> list[int]:
        """One class number a slot; 0 for what is not stated or was not in training."""
        said = stated(self.reads, caption, tags)
        return [words.index(said[slot]) + 1 if said.get(slot) in words else 0 for slot, words in self.values.items()]

    def mirrored(self, ids: np.ndarray) -> np.ndarray:
        """(N, slots) class numbers of the mirrored sprites: left and right change places."""
        out = np.array(ids)
        if FACING in self.values:
            slot, words = list(self.values).index(FACING), self.values[FACING]
            swapped = [MIRRORED.get(word, word) for word in words]
            table = [0, *(words.index(word) + 1 if word in words else 0 for word in swapped)]
            out[:, slot] = np.take(table, out[:, slot])
        return out
