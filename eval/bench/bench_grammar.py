"""The bench's two formats as a grammar, and a bare language model that writes them, held to it or not.

No colour beyond the palette can be named: one alternative for each length of the palette, 2 to 10.
"""

from collections.abc import Sequence

from data_prep.bench_format import MOST_COLOURS, SIDE
from eval.decoding import write_freely
from eval.grammar import GrammarProcessor


def lark(lists: bool) -> str:
    """Lark grammar (llguidance) of prompt A's answer or, for `lists`, of prompt B's, without white space."""
    rules = {f"OF{n}": _regex(n, lists) for n in range(2, MOST_COLOURS + 1)}
    return f"start: {' | '.join(rules)}\n" + "".join(f"{name}: /{rule}/\n" for name, rule in rules.items())


def _regex(colours: int, lists: bool) -> str:
    mark = "#" if lists else ""
    spelt = rf'"{mark}[0-9a-f]{{6}}"(,"{mark}[0-9a-f]{{6}}"){{{colours - 1}}}'
    digit = f"[0-{colours - 1}]"
    row = rf"\[{digit}(,{digit}){{{SIDE - 1}}}\]" if lists else f'"{digit}{{{SIDE}}}"'
    grid = rf'"grid":\[{row}(,{row}){{{SIDE - 1}}}\]'
    palette = rf'"palette":\[{spelt}\]'
    return rf"\{{{grid},{palette}\}}" if lists else rf"\{{{palette},{grid}\}}"


def write(
    model, chats: Sequence[Sequence[int]], keys, sampling, most_tokens: int, lists: Sequence[bool] | None
) -> list[list[int]]:
    """Ids of the answers to chats of ids. keys: (seed, index) of each; lists: which format each is held to, None: none."""
    if lists is None:
        return write_freely(model.model, model.tokens.end_id, chats, keys, sampling, most_tokens)
    answers: list[list[int]] = [[] for _ in chats]
    for form in sorted(set(lists)):
        places = [place for place, each in enumerate(lists) if each == form]
        held = GrammarProcessor(model.tokens.tokenizer, lark(form))
        own = ([one[place] for place in places] for one in (chats, keys))
        found = write_freely(model.model, model.tokens.end_id, *own, sampling, most_tokens, held)
        for place, ids in zip(places, found, strict=True):
            answers[place] = ids
    return answers
