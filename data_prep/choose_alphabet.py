"""Chooses `grid_text.ALPHABET`: 64 characters that stock tokenisation keeps apart, one token each, in any order.

    python -m data_prep.choose_alphabet TOKENIZER.json [TOKENIZER.json …]

Reads `tokenizer.json` files of byte-level BPE models (Qwen3's and SmolLM2's for the alphabet in use) and prints the
alphabet. Entry 0 (transparent) is 'º', entries 1…10 are the digits, the rest are the first letters by code point
that fit. A letter fits when it is one token, survives NFC, and nothing that touches it can merge across its edges:
no merge joins two chosen tokens or a token with a neighbour's bytes, and the merge that builds the letter comes
before every merge that could join its bytes to a neighbour's. So any string over the alphabet splits into its letters.
"""

import json
import sys
import unicodedata
from pathlib import Path

from data_prep.errors import InputError, exit_code

TRANSPARENT_CHARACTER, DIGITS, SIZE = "º", "0123456789", 64


def byte_alphabet() -> dict[int, str]:
    """Byte → the printable character that stands for it in byte-level BPE (GPT-2's table)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + i) for i, byte in enumerate(others)}


_BYTES = byte_alphabet()


def spell(character: str) -> str:
    """A character as byte-level BPE spells it."""
    return "".join(_BYTES[byte] for byte in character.encode())


def read_bpe(path: Path) -> tuple[set[str], dict[tuple[str, ...], int]]:
    """(vocabulary, merge → rank) of a tokenizer.json; raises InputError when it is no BPE."""
    try:
        model = json.loads(path.read_text("utf-8"))["model"]
        merges = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a tokenizer.json with a BPE model: {error!r}") from error
    return set(model["vocab"]), {merge: rank for rank, merge in enumerate(merges)}


def candidates(bpes: list) -> list[str]:
    """Two-byte letters above ASCII that are one token in every vocabulary, by code point."""
    letters = (chr(code) for code in range(0xA1, 0x800))
    letters = (c for c in letters if unicodedata.category(c)[0] == "L" and unicodedata.normalize("NFC", c) == c)
    return [c for c in letters if all(spell(c) in vocabulary and tuple(spell(c)) in ranks for vocabulary, ranks in bpes)]


def clash(left: str, right: str, ranks: dict[tuple[str, ...], int]) -> bool:
    """Whether `left` followed by `right` could ever become other tokens than these two."""
    a, b = spell(left), spell(right)
    if any(pair in ranks for pair in ((a, b), (a, b[0]), (a[-1], b))):
        return True
    across = ranks.get((a[-1], b[0]))
    return across is not None and across < max(ranks[tuple(a)], ranks[tuple(b)])


def choose(bpes: list) -> str:
    """The alphabet, 64 characters; raises InputError when the tokenizers share too few letters."""
    chosen = [TRANSPARENT_CHARACTER]
    for letter in candidates(bpes):
        pairs = [(letter, letter), *((letter, c) for c in chosen), *((c, letter) for c in chosen)]
        if letter not in chosen and not any(clash(*pair, ranks) for _, ranks in bpes for pair in pairs):
            chosen.append(letter)
    if len(chosen) + len(DIGITS) < SIZE:
        raise InputError(f"tokenizers: only {len(chosen)} letters stay single tokens; {SIZE - len(DIGITS)} are needed")
    return TRANSPARENT_CHARACTER + DIGITS + "".join(chosen[1 : SIZE - len(DIGITS)])


def main(arguments: list[str]) -> int:
    if not arguments:
        print(str(__doc__).split("\n\n")[1].strip(), file=sys.stderr)
        return 2
    return exit_code("choose_alphabet", lambda: choose([read_bpe(Path(path)) for path in arguments]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
