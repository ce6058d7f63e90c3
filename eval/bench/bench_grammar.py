"""The bench's two formats as a grammar, and a bare language model that writes them, held to it or not.

No colour beyond the palette can be named: one alternative for each length of the palette, 2 to 10.
"""

from collections.abc import Sequence

import numpy as np

from data_prep.bench_format import MOST_COLOURS, SIDE
from data_prep.grid_text import END, ROW_SEPARATOR
from eval.decoding import Sampling, draw_grids, write_freely
from eval.generators import LanguageModel
from eval.grammar import GrammarProcessor
from finetune.cell_tokens import PIXEL, Schedule

Key = tuple[int, int]  # (seed, index) of a drawing's noise
MOST_HEAD = 256  # tokens; ten colours of which each hexadecimal digit is one take about 110


def lark() -> str:
    """Lark grammar (llguidance) of prompt B's answer, without white space."""
    rules = {f"OF{n}": _regex(n) for n in range(2, MOST_COLOURS + 1)}
    return f"start: {' | '.join(rules)}\n" + "".join(f"{name}: /{rule}/\n" for name, rule in rules.items())


def _regex(colours: int) -> str:
    spelt = rf'"#[0-9a-f]{{6}}"(,"#[0-9a-f]{{6}}"){{{colours - 1}}}'
    digit = f"[0-{colours - 1}]"
    row = rf"\[{digit}(,{digit}){{{SIDE - 1}}}\]"
    return rf'\{{"grid":\[{row}(,{row}){{{SIDE - 1}}}\],"palette":\[{spelt}\]\}}'


def head_lark() -> str:
    """Lark grammar of the start of prompt A's answer: its palette, up to the first pixel."""
    spelt = rf'"[0-9a-f]{{6}}"(,"[0-9a-f]{{6}}"){{1,{MOST_COLOURS - 1}}}'
    return "start: HEAD\n" + rf'HEAD: /\{{"palette":\[{spelt}\],"grid":\["/' + "\n"


def write(
    model: LanguageModel, chats: Sequence[Sequence[int]], keys: Sequence[Key], sampling: Sampling, most_tokens: int,
    lists: Sequence[bool] | None,
) -> list[list[int]]:  # fmt: skip
    """Ids of the answers to chats of ids. lists: which format each is held to, None: none."""
    if lists is None:
        return write_freely(model.model, model.tokens.end_id, chats, keys, sampling, most_tokens)
    answers: list[list[int]] = [[] for _ in chats]
    for form in sorted(set(lists)):
        places = [place for place, each in enumerate(lists) if each == form]
        own = [chats[place] for place in places], [keys[place] for place in places]
        if form:
            held = GrammarProcessor(model.tokens.tokenizer, lark())
            found = write_freely(model.model, model.tokens.end_id, *own, sampling, most_tokens, held)
        else:
            found = _write_strings(model, *own, sampling)
        for place, ids in zip(places, found, strict=True):
            answers[place] = ids
    return answers


def _write_strings(
    model: LanguageModel, chats: Sequence[Sequence[int]], keys: Sequence[Key], sampling: Sampling
) -> list[list[int]]:
    """Prompt A's answers: the palette under its grammar, then the grid as any other, whose structure is known beforehand."""
    tokens = model.tokens
    held = GrammarProcessor(tokens.tokenizer, head_lark())
    spelt = write_freely(model.model, tokens.end_id, chats, keys, sampling, MOST_HEAD, held)
    heads = [tokens.tokenizer.decode(ids) for ids in spelt]
    prompts = [[*chat, *tokens.ids(head)] for chat, head in zip(chats, heads, strict=True)]
    row = [PIXEL] * SIDE
    ids = [*row, *[*tokens.ids(ROW_SEPARATOR), *row] * (SIDE - 1), *tokens.ids(END), tokens.end_id]
    schedule = Schedule(np.array(ids, np.int64), tokens.symbol_ids[1 : 1 + MOST_COLOURS], SIDE, SIDE)
    colours = [head.count(",") for head in heads]  # of a palette of k colours k − 1, and one before the grid
    grids = draw_grids(model.model, prompts, schedule, keys, sampling, entries=colours)
    bodies = (ROW_SEPARATOR.join("".join(map(str, line)) for line in grid.tolist()) for grid in grids)
    return [tokens.ids(head + body + END) for head, body in zip(heads, bodies, strict=True)]
