"""Captions without one class of their words: what is each of them worth to a generator?

    without("a striped red and blue crab facing left", "colour")   'a striped crab facing left'

The words are those that captions are made of (data_prep.wording); a caption that does not state the class stays as it is.
`colour` takes both colours away, for 'red and blue crab' less 'red' would ask for a blue crab; `noun` body plan and category.
Glow and pose are left alone: no metric asks for them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from data_prep.wording import WHITE, WORDS, with_article
from eval.generators import Request

CLASSES = {  # word class → the attributes whose words it takes away
    "colour": ("colour",),
    "pattern": ("pattern",),
    "facing": ("facing",),
    "size": ("size",),
    "zone": ("zone",),
    "noun": ("plan", "category"),
}
_GAP = "\ue000"  # stands where words were; private use, so that no caption has it
_BARE = ("zone", "pattern")  # attributes whose values are words of captions too: 'spots', 'the hadal zone'


@dataclass(frozen=True)
class Without:
    """Tells a request with the words of one class left out of its caption."""

    word: str

    def __call__(self, request: Request) -> Request:
        return replace(request, caption=without(request.caption, self.word))


def without(caption: str, word: str) -> str:
    """The caption less its words of class `word`, mended where an article, 'and' or a comma has lost its neighbour."""
    keys, said = CLASSES[word], _meanings()
    flat = " ".join(caption.replace(_GAP, " ").split())
    holed = _phrases().sub(lambda match: _GAP if said[match[0].lower()] in keys else match[0], flat)
    return caption if holed == flat else _mended(holed, word)


def states(caption: str, word: str) -> bool:
    return without(caption, word) != caption


def _mended(text: str, word: str) -> str:
    text = re.sub(rf"{_GAP}(?: and {_GAP})+", _GAP, text)
    if word == "pattern":
        text = re.sub(rf"\b(?:with|and) {_GAP}", _GAP, text)
    text = re.sub(rf"\b(an?) {_GAP}(?:,| and) (?=\w)", rf"\1 {_GAP} ", text)  # 'a large, red squid', 'a large and red squid'
    if word == "noun":
        text = re.sub(rf"\ban? {_GAP}", _GAP, text)
    text = re.sub(rf"\b(?:with|and|an?) {_GAP}(?=\s*(?:[,:]|$))", _GAP, text)
    text = re.sub(rf"\ban? {_GAP} ?(\w)", lambda match: with_article(match[1]), text)
    text = re.sub(rf"\s*{_GAP}", "", text)
    return re.sub(r"(?:\s*,)+", ",", text).strip(" ,:")


@cache
def _meanings() -> Mapping[str, str]:
    """Phrase → the attribute that it states."""
    ways = {way: key for key, values in WORDS.items() if key != "second_colour" for said in values.values() for way in said}
    bare = {value: key for key in _BARE for value in WORDS[key]}
    return {phrase: key for phrase, key in {**bare, **ways, WHITE[0]: "colour"}.items() if phrase}


@cache
def _phrases() -> re.Pattern:
    """Every phrase as whole words, the longest first."""
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, sorted(_meanings(), key=len, reverse=True)))})(?!\w)", re.IGNORECASE)
