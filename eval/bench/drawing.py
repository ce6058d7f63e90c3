"""What draws for the bench behind `eval.bench.models`: an adapter in its own words, a bare base model, or a control."""

import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from data_prep import grid_text
from data_prep.bench_format import MOST_COLOURS, SIDE, BenchDrawing, fewer_colours, on_a_ground, prompt_a
from data_prep.captions import BENCH
from data_prep.errors import InputError
from data_prep.palette import Palette, named
from data_prep.sprite import Sprite
from eval.bench import prompts
from eval.bench.prompts import article
from eval.bench.randomness import keyed
from eval.bench.sample_drawings import prepared, procedural
from eval.controls import GRID_CONTROLS, HELD_OUT
from eval.generators import GRAMMAR, UNCONSTRAINED, LanguageModel, Request
from finetune.adapter_folder import AdapterFacts

OWN = "own"
CONTROLS = {name.replace(", ", "-").replace(" ", "-"): name for name in GRID_CONTROLS} | {"held-out": HELD_OUT}
# for noise of sprites that have fewer colours
FAR_APART = ("d62728", "ff7f0e", "bcbd22", "2ca02c", "17becf", "1f77b4", "9467bd", "e377c2", "7f7f7f", "8c564b")
_GROUNDS = ("f0f0f0", "101010")
_SPRITES = 120  # of the embedded source's test split, to make controls of

Asked = tuple[str, int, int]  # prompt, seed, index


@dataclass(frozen=True)
class Drawn:
    """An answer: its text, its share of the batch's seconds, its tokens; told: what a log should say of it."""

    text: str
    seconds: float = 0.0
    tokens: int = 0
    is_cut: bool = False
    told: dict = field(default_factory=dict)


def written(drawing: BenchDrawing, prompt: str) -> str:
    """In the format that the prompt asks for."""
    return drawing.listed() if prompt.startswith(prompts.PROMPT_B) else drawing.text()


def check_arguments(mode: str, ask: str | None) -> None:
    """Raises InputError for words that are none."""
    if mode not in (GRAMMAR, UNCONSTRAINED):
        raise InputError(f"mode={mode}: it is {GRAMMAR} or {UNCONSTRAINED}")
    if ask not in (OWN, BENCH, None):
        raise InputError(f"ask={ask}: it is {OWN} or {BENCH}")


@dataclass
class ReefModel:
    """A language model of ours. ask: OWN, its own prompt with the answer rewritten, or BENCH, the prompt as it stands."""

    model: LanguageModel
    mode: str
    ask: str

    @classmethod
    def load(cls, name: str, base: str | None, mode: str, ask: str | None, force: bool) -> "ReefModel":
        """Raises InputError for a name that is neither adapter nor base model, or an adapter of other sizes without `force`."""
        folder = adapter_folder(name)
        facts = AdapterFacts.load(folder) if folder else None
        ask = ask or (OWN if facts and BENCH not in facts.tasks else BENCH)
        if facts and ask == OWN and not force:
            refuse_other_sizes(facts)
        model = LanguageModel.load(folder, base) if folder else LanguageModel.load(base=base or name)
        if folder and ask == OWN and (SIDE, SIDE) not in model.facts.sizes:
            model.facts = replace(model.facts, sizes=(*model.facts.sizes, (SIDE, SIDE)))
        return cls(model, mode, ask)

    def draw(self, asked: Sequence[Asked], config) -> list[Drawn]:
        sampling = sampling_of(config)
        return self._own(asked, sampling) if self.ask == OWN else self._bench(asked, sampling, config.max_tokens or 4096)

    def _own(self, asked: Sequence[Asked], sampling) -> list[Drawn]:
        palette = self.model.palette or named("reef64")
        requests = [Request(prompts.subject_of(each[0]), SIDE, SIDE, palette, *noise_key(each)) for each in asked]
        drawings = self.model.answer(requests, sampling, self.mode, len(requests))
        return [self._rewritten(prompt, palette, d) for (prompt, _, _), d in zip(asked, drawings, strict=True)]

    def _rewritten(self, prompt: str, palette: Palette, drawing) -> Drawn:
        read = grid_text.read(drawing.text, {palette.name: palette}, (SIDE, SIDE))
        if not isinstance(read, Sprite):
            return Drawn(drawing.text, drawing.seconds, drawing.tokens, told={"not rewritten": str(read)})
        told = {"rewritten from": f"palette {palette.name}, transparent as a ground", "own answer": drawing.text}
        return Drawn(written(as_bench(read.grid, palette), prompt), drawing.seconds, drawing.tokens, told=told)

    def _bench(self, asked: Sequence[Asked], sampling, most_tokens: int) -> list[Drawn]:
        from eval.bench.bench_grammar import write

        started, tokens = time.perf_counter(), self.model.tokens
        told = [self._known(prompt) for prompt, _, _ in asked]
        chats = [tokens.prompt_ids([{"role": "user", "content": prompt}]) for prompt in told]
        lists = [prompt.startswith(prompts.PROMPT_B) for prompt in told] if self.mode == GRAMMAR else None
        answers = write(self.model, chats, [noise_key(each) for each in asked], sampling, most_tokens, lists)
        seconds = (time.perf_counter() - started) / len(asked)
        texts = [tokens.tokenizer.decode(ids) for ids in answers]
        drawn = (Drawn(text, seconds, len(ids), len(ids) >= most_tokens) for text, ids in zip(texts, answers, strict=True))
        return [as_asked(one, prompt, known) for one, (prompt, _, _), known in zip(drawn, asked, told, strict=True)]

    def _known(self, prompt: str) -> str:
        """The prompt as it stands or, for an adapter that was trained on prompt A, that one with its subject."""
        knows_a = self.model.facts is not None and BENCH in self.model.facts.tasks
        return prompt_a(prompts.subject_of(prompt)) if knows_a else prompt


def as_asked(drawn: Drawn, prompt: str, known: str) -> Drawn:
    """An answer to prompt A rewritten as one to prompt B, where that was asked for; an invalid one stays as it is."""
    read = grid_text.read(drawn.text, size=(SIDE, SIDE))
    if prompt == known or not isinstance(read, Sprite) or len(read.palette.colours) > MOST_COLOURS or not read.grid.all():
        return drawn
    told = {"rewritten from": "an answer to prompt A", "own answer": drawn.text}
    return replace(drawn, text=written(BenchDrawing(read.grid - 1, read.palette.colours), prompt), told=told)


def noise_key(asked: Asked) -> tuple[int, int]:
    """(seed, index) of its noise: no two prompts share it, or the seven drawings of a seed would be alike."""
    prompt, seed, index = asked
    return seed, (zlib.crc32(prompt.encode()) << 16) + index


def adapter_folder(name: str) -> Path | None:
    """Where the adapter of that name or path is; None: it is no adapter."""
    places = (Path(name), Path("adapters", name), Path("runs", name), Path(__file__).parents[2] / "adapters" / name)
    return next((place for place in places if (place / "adapter_config.json").is_file()), None)


def refuse_other_sizes(facts: AdapterFacts) -> None:
    """Raises InputError for an adapter that was not trained on the bench's size."""
    if (SIDE, SIDE) in facts.sizes:
        return
    known = ", ".join(f"{height}x{width}" for height, width in facts.sizes)
    raise InputError(
        f"adapter {facts.name}: was trained on {known}, not on the bench's {SIDE}x{SIDE}; "
        "with -M force=true it draws all the same"
    )


def sampling_of(config):
    """Inspect's settings as ours; what is not set is plain sampling at temperature 1."""
    from eval.decoding import Sampling

    given = {"temperature": config.temperature, "top_p": config.top_p, "top_k": config.top_k}
    return Sampling(**{name: value for name, value in given.items() if value is not None})


def as_bench(grid: np.ndarray, palette: Palette) -> BenchDrawing:
    """An index grid with at most nine colours kept, before the lighter or darker ground, whichever stands out more."""
    grid, colours = few_colours(grid, palette, MOST_COLOURS - 1)
    light = float(Palette(grid_text.FREE, colours).oklab[:, 0].mean()) if colours else 0.0
    return BenchDrawing(grid, (_GROUNDS[light > 0.6], *(colours or (_GROUNDS[light <= 0.6],))))


def few_colours(grid: np.ndarray, palette: Palette, most: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """An index grid in the opaque entries that it uses most, at most so many, numbered from 1 on; and their colours."""
    grid = fewer_colours(grid, palette, most)
    used = np.unique(grid[grid > 0])
    place = np.zeros(len(palette), np.uint8)
    place[used] = np.arange(1, 1 + len(used))
    return place[grid], tuple(palette.colours[entry - 1] for entry in used)


@dataclass(frozen=True)
class Control:
    """A control of `eval.controls` made of sprites that no model was trained on, in at most ten colours.

    For a noun it is made of the sprite that shows it and that the nouns' classifier never saw.
    """

    name: str
    dataset: str | None

    @classmethod
    def named(cls, name: str, dataset: str | None) -> "Control":
        """Raises InputError for another name, with those that there are."""
        if name not in CONTROLS:
            raise InputError(f"control {name!r}: there are {', '.join(CONTROLS)}")
        return cls(CONTROLS[name], dataset)

    @cached_property
    def sprites(self) -> list[Sprite]:
        if self.dataset is None:
            return procedural(_SPRITES, 1, "test")
        found = prepared(Path(self.dataset), "test")
        if not found:
            raise InputError(f"dataset {self.dataset}: its test split has no sprite of at most {SIDE}x{SIDE}")
        return found

    @cached_property
    def of_nouns(self) -> dict[str, Sprite]:
        """noun → the sprite that `nouns` held back from its classifier; none without a dataset."""
        from eval.bench.nouns import by_noun

        known = by_noun(prepared(Path(self.dataset), "train")) if self.dataset else {}
        return {f"{article(noun)} {noun}": held_back for noun, (_, held_back) in known.items()}

    def _sprite(self, subject: str, seed: int, index: int) -> Sprite:
        if subject not in prompts.SUBJECTS and subject in self.of_nouns:
            return self.of_nouns[subject]
        return self.sprites[int(keyed("sprite", subject, seed, index).integers(len(self.sprites)))]

    def draw(self, asked: Sequence[Asked], config) -> list[Drawn]:
        drawn = []
        for prompt, seed, index in asked:
            subject = prompts.subject_of(prompt)
            sprite = self._sprite(subject, seed, index)
            drawing = control_drawing(self.name, sprite, keyed(self.name, subject, seed, index))
            drawn.append(Drawn(written(drawing, prompt), told={"made of": sprite.caption or sprite.id}))
        return drawn


def control_drawing(name: str, sprite: Sprite, rng: np.random.Generator) -> BenchDrawing:
    """A control, or HELD_OUT for the sprite itself, before a ground. Noise has all ten colours alike."""
    grid, colours = few_colours(sprite.grid, sprite.palette, MOST_COLOURS - 2)
    palette = Palette(grid_text.FREE, colours)
    if name in ("noise", "noise 2x2"):
        full = np.zeros((SIDE, SIDE), np.uint8)
        ten = (*colours, *FAR_APART)[:MOST_COLOURS]
        return BenchDrawing(GRID_CONTROLS[name](full, _entries(MOST_COLOURS), rng), ten)
    grid = grid if name == HELD_OUT else GRID_CONTROLS[name](grid, palette, rng)
    return on_a_ground(grid, palette, rng)


def _entries(count: int) -> Palette:
    """A palette of `count` entries, the transparent one among them: noise is drawn from so many."""
    return Palette(grid_text.FREE, tuple(f"{number:06x}" for number in range(1, count)))
