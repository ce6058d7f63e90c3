"""The published grammar of a drawing, for any model and runtime: Lark for llguidance, GBNF for llama.cpp, a JSON schema.

`lark()` and `gbnf()` admit exactly the strict texts of one size and palette; a free palette of n colours admits n + 1
symbols, one alternative for each n. `regex()` is the same for one palette (vLLM). `GrammarProcessor` applies `lark()`
under plain `generate()`, `admitted` says which tokens it admits along a text.
"""

import json
import re
from collections.abc import Sequence

import numpy as np
from transformers import LogitsProcessor

from data_prep.grid_text import ALPHABET, END, FREE, ROW_SEPARATOR, head
from data_prep.palette import MAX_COLOURS, Palette


def lark(palette: Palette | None, height: int, width: int) -> str:
    """Lark grammar (llguidance dialect) of a drawing; palette None: the model chooses 2 to 63 colours."""
    if palette is not None:
        return f"start: DRAWING\nDRAWING: /{regex(palette, height, width)}/\n"
    names = [f"OF{n}" for n in range(2, MAX_COLOURS + 1)]
    rules = [f"{name}: /{_regex(None, n + 1, height, width)}/" for n, name in enumerate(names, 2)]
    return "\n".join([f"start: {' | '.join(names)}", *rules]) + "\n"


def regex(palette: Palette, height: int, width: int) -> str:
    """Regular expression of a drawing in one palette."""
    return _regex(head(palette), len(palette), height, width)


def _regex(opening: str | None, entries: int, height: int, width: int) -> str:
    """opening: the text before the first pixel, or None for `entries` − 1 free colours."""
    if opening is None:
        colours = f'"[0-9a-f]{{6}}"(,"[0-9a-f]{{6}}"){{{entries - 2}}}'
        start = rf'\{{"palette":\[{colours}\],"grid":\["'
    else:
        start = re.escape(opening)
    row = f"[{ALPHABET[:entries]}]{{{width}}}"
    return f"{start}{row}({re.escape(ROW_SEPARATOR)}{row}){{{height - 1}}}{re.escape(END)}"


def gbnf(palette: Palette | None, height: int, width: int) -> str:
    """GBNF grammar (llama.cpp) of a drawing; palette None: the model chooses 2 to 63 colours."""
    if palette is not None:
        return _gbnf_rules("root", _literal(head(palette)), len(palette), height, width)
    start, between, middle = map(_literal, ('{"palette":["', '","', '"],"grid":["'))
    counts = range(2, MAX_COLOURS + 1)
    openings = ((n, f"{start} colour ({between} colour){{{n - 1}}} {middle}") for n in counts)
    rules = [_gbnf_rules(f"of{n}", opening, n + 1, height, width) for n, opening in openings]
    return f"root ::= {' | '.join(f'of{n}' for n in counts)}\ncolour ::= [0-9a-f]{{6}}\n" + "".join(rules)


def _gbnf_rules(name: str, opening: str, entries: int, height: int, width: int) -> str:
    """Rule `name` of a drawing that opens in this way, and the rule of its rows."""
    drawing = f"{opening} {name}-row ({_literal(ROW_SEPARATOR)} {name}-row){{{height - 1}}} {_literal(END)}"
    return f"{name} ::= {drawing}\n{name}-row ::= [{ALPHABET[:entries]}]{{{width}}}\n"


def _literal(text: str) -> str:
    """A GBNF string, which is escaped like a JSON one."""
    return json.dumps(text, ensure_ascii=False)


def json_schema(palette: Palette, height: int, width: int) -> dict:
    """The same drawing as a JSON schema, for vLLM and other servers (white space is theirs to forbid)."""
    name = {"const": palette.name} if palette.name != FREE else {"const": list(palette.colours)}
    row = {"type": "string", "pattern": f"^[{ALPHABET[: len(palette)]}]{{{width}}}$"}
    grid = {"type": "array", "items": row, "minItems": height, "maxItems": height}
    shape = {"palette": name, "grid": grid}
    return {"type": "object", "properties": shape, "required": list(shape), "additionalProperties": False}


class GrammarProcessor(LogitsProcessor):
    """Logits processor for `generate()`: masks every token that the grammar forbids. For one call, any batch size.

    tokenizer: a transformers fast tokenizer; text: a grammar of `lark()`.
    """

    def __init__(self, tokenizer, text: str):
        import llguidance.hf

        self.tokenizer, self.text = llguidance.hf.from_tokenizer(tokenizer), text
        self.matchers = []

    def __call__(self, input_ids, scores):
        import llguidance
        import llguidance.torch

        if not self.matchers:
            self.matchers = [llguidance.LLMatcher(self.tokenizer, self.text) for _ in input_ids]
        else:
            for matcher, row in zip(self.matchers, input_ids.tolist(), strict=True):
                if not matcher.is_stopped():
                    matcher.consume_token(row[-1])
        mask = llguidance.torch.allocate_token_bitmask(len(input_ids), self.tokenizer.vocab_size)
        for number, matcher in enumerate(self.matchers):
            llguidance.torch.fill_next_token_bitmask(matcher, mask, number)
        llguidance.torch.apply_token_bitmask_inplace(scores, mask.to(scores.device))
        return scores


def admitted(tokenizer, text: str, ids: Sequence[int]) -> np.ndarray:
    """(T, vocabulary) bool: the tokens that a grammar of `lark()` admits before each of a text's ids, those being written.

    Beside the token that writes the next character as training does, these are all others that the grammar can read: several
    characters at once, and a character byte by byte. Raises ValueError where the grammar refuses one of the ids.
    """
    import llguidance
    import llguidance.hf
    import llguidance.numpy

    known = llguidance.hf.from_tokenizer(tokenizer)
    matcher, rows = llguidance.LLMatcher(known, text), []
    for place, token in enumerate(ids):
        mask = llguidance.numpy.allocate_token_bitmask(1, known.vocab_size)
        llguidance.numpy.fill_next_token_bitmask(matcher, mask)
        rows.append(np.unpackbits(mask.view(np.uint8), bitorder="little")[: known.vocab_size].astype(bool))
        if not matcher.consume_token(token):
            raise ValueError(f"the grammar refuses token {token} at place {place}")
    return np.stack(rows)
