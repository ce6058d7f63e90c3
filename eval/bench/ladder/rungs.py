"""The ladder: from the published LoRA recipe to ours, one change at a time.

What is the same on all rungs: the base model, the sprites' size, how many sprites are seen, steps of four sprites, the seeds'
noise and the sprites that are drawn and measured. What cannot be reproduced is said in `SUBSTITUTED`.
"""

from dataclasses import dataclass, replace

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
ALL_LINEAR = "all-linear"
DIGITS, SYMBOLS, ROW_KEYS = "digits", "symbols", "row keys"
SUBSTITUTED = (
    "The published data, drawings by many models, are out of reach here. In their place stand procedural sprites in at most "
    "ten colours, few of them and seen four times, each asked for by its bare name: as few drawings, as often seen, as there.",
    "Steps hold 4 sprites where the published run had 16, so that a short run has steps enough. That favours the published side.",
    "The cut at 1,024 tokens is set and cuts nothing: the longest pair here is far below it.",
    "The published prompt gives the colours away, so the right colour is not counted before symbols stand for digits.",
)


@dataclass(frozen=True)
class Rung:
    """How a rung trains and draws. after: the rung whose weights it draws with; else it trains its own.

    change: what is new on it; weighted: by inverse token frequency, at most 10; distinct: share of the sprites seen that are
    different ones; named: asked for by the bare name, never by a caption; form: of the answer; full_head_every: as in a
    recipe, 1 for the loss over the whole vocabulary at each step.
    """

    name: str
    change: str
    learning_rate: float = 1e-5
    targets: tuple[str, ...] | str = ATTENTION
    dropout: float = 0.05
    weighted: bool = True
    distinct: float = 0.25
    named: bool = True
    form: str = DIGITS
    legend: bool = False
    full_head_every: int = 1
    augmented: bool = False
    after: str = ""
    guidance: float = 0.0
    best_of: int = 1
    trained: bool = True

    @property
    def weights(self) -> str:
        """Name of the rung that trained what this one draws with."""
        return self.after or self.name


def _ladder() -> tuple[Rung, ...]:
    bare = Rung("base", "the base model, loaded apart and never trained", trained=False)
    published = Rung("published", "the published recipe")
    lora = replace(published, name="LoRA", change="learning rate 1e-3 on all linear layers", learning_rate=1e-3,
                   targets=ALL_LINEAR, dropout=0.0)  # fmt: skip
    loss = replace(lora, name="loss", change="each token counts the same in the loss", weighted=False)
    data = replace(loss, name="data", change="every sprite another one, asked for by a caption", distinct=1.0, named=False)
    symbols = replace(data, name="alphabet", change="a named palette, one symbol for each of its entries", form=SYMBOLS)
    legend = replace(symbols, name="legend", change="the prompt says which symbols are the caption's colours", legend=True)
    head = replace(legend, name="head", change="restricted head, but for every fourth step", full_head_every=4)
    keys = replace(head, name="row keys", change="each row behind its number", form=ROW_KEYS)
    turned = replace(head, name="augmented", change="half of the sprites mirrored, half in other hues", augmented=True)
    led = replace(head, name="guided", change="drawn with guidance 1", after=head.name, guidance=1.0)
    best = replace(led, name="best of 4", change="the best of four candidates by its own likelihoods", best_of=4)
    return bare, published, lora, loss, data, symbols, legend, head, keys, turned, led, best


LADDER = _ladder()
BEFORE = {  # rung → the rung that it changes one thing of
    "LoRA": "published", "loss": "LoRA", "data": "loss", "alphabet": "data", "legend": "alphabet", "head": "legend",
    "row keys": "head", "augmented": "head", "guided": "head", "best of 4": "guided", "published": "base",
}  # fmt: skip


def named(name: str) -> Rung:
    return next(rung for rung in LADDER if rung.name == name)
