"""llama.cpp as a rival in `pixelreef bench draw --llama-cpp`: the adapter merged, in eight bits, under the published grammar.

Its server is the one in the xllamacpp wheel, which is llama.cpp's own, run in this process with as many threads as torch has.
Each sprite is a request: the ids of its prompt, the GBNF grammar of `eval.grammar`, temperature 1 and no other filter, a seed.
Requests of a batch are sent at once and share the server's slots. A prompt is computed anew for each sprite, as ours is.
"""

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from data_prep import grid_text
from data_prep.errors import InputError
from eval.speed.drawing_ways import CAPTIONS, Contest

LIMIT = 0.04  # nats a pixel in the mean, against ours: twice what docs/parity.md gives for a Q8_0 file, since sprites differ
SPRITES = 2  # given ones, whose pixels' log-probabilities are compared
SPARE = 16  # tokens that an answer may have beyond one a byte
PLAIN = {"temperature": 1.0, "samplers": ["temperature"], "cache_prompt": False}  # nothing cuts the choice


@dataclass(frozen=True)
class Answer:
    """One drawing and what the server says of it: tokens written, seconds for the prompt and for the tokens."""

    grid: np.ndarray
    tokens: int
    prompt: float
    writing: float


class LlamaCpp:
    """A server that draws what `contest` draws, until the `with` block ends. Raises InputError where xllamacpp is missing.

    adapter, base: as `pixelreef export` takes them; they are merged and rounded into a temporary folder. slots: how many
    sprites it draws at once; more are waited for.
    """

    def __init__(self, contest: Contest, adapter: Path, base: str | None = None, slots: int = 1):
        import torch

        from eval.grammar import gbnf

        size, palette = contest.size, contest.palette
        self.contest, self.slots, self.threads = contest, slots, torch.get_num_threads()
        self.grammar, self.apart, self.answers = gbnf(palette, size, size), float("nan"), []
        self.room = len(grid_text.encode(np.zeros((size, size), np.uint8), palette).encode()) + SPARE
        with tempfile.TemporaryDirectory() as place:
            file = exported(adapter, Path(place) / "merged", base)
            self.bytes_a_token, self.file_bytes = bytes_a_token(file), file.stat().st_size
            self.server = self._serving(file)

    def _serving(self, file: Path):
        from finetune.llama_cpp import LlamaServer

        longest = max(map(len, self.contest.prompts(len(CAPTIONS)))) + self.room
        return LlamaServer(file, self.threads, self.slots, -(-longest // 256) * 256)

    def __enter__(self) -> "LlamaCpp":
        return self

    def __exit__(self, *raised) -> None:
        del self.server  # its own end stops it

    def draw(self, batch: int, seed: int) -> np.ndarray:
        """(batch, H, W) grids. Raises InputError for an answer that is no strictly valid drawing of the size."""
        asked = [(prompt, 1000 * seed + index) for index, prompt in enumerate(self.contest.prompts(batch))]
        with ThreadPoolExecutor(min(batch, self.slots)) as pool:
            self.answers = list(pool.map(lambda one: self._one(*one), asked))
        return np.stack([answer.grid for answer in self.answers])

    def _one(self, prompt: Sequence[int], seed: int) -> Answer:
        body = {**PLAIN, "prompt": prompt, "n_predict": self.room, "grammar": self.grammar, "seed": seed}
        said = self.server.post("/completion", body)
        contest = self.contest
        found = grid_text.read(said["content"], {contest.palette.name: contest.palette}, (contest.size, contest.size))
        if not hasattr(found, "grid"):
            raise InputError(f"bench draw: llama.cpp with the grammar wrote no drawing: {found}")
        timings = said["timings"]
        return Answer(found.grid, said["tokens_predicted"], timings["prompt_ms"] / 1e3, timings["predicted_ms"] / 1e3)

    def check(self) -> None:
        """Compares log-probabilities of given pixels and draws one sprite a caption. Raises InputError where they lie apart."""
        from finetune.export import pixel_log_probabilities

        model, queries = self.contest.model.model, given_sprites(self.contest)
        pairs = [(self.server.pixel_log_probabilities(query), pixel_log_probabilities(model, query)) for query in queries]
        self.apart = float(np.mean([np.abs(theirs - ours).mean() for theirs, ours in pairs]))
        if not self.apart <= LIMIT:
            raise InputError(f"bench draw: llama.cpp is another model: {self.apart:.4f} nats a pixel from ours, beyond {LIMIT}")
        self.draw(len(CAPTIONS), 0)

    @property
    def tokens_a_sprite(self) -> float:
        """Of the last call: what lies around the pixels is written token by token too."""
        return float(np.mean([answer.tokens for answer in self.answers]))

    @property
    def told(self) -> str:
        """What the page says of it, with the seconds of the sprites that were drawn last."""
        prompt, writing = (np.median([getattr(answer, part) for answer in self.answers]) for part in ("prompt", "writing"))
        return (
            f"llama.cpp is the one in xllamacpp {version('xllamacpp')}, {self.threads} threads, up to {self.slots} sprites at "
            f"once, on a Q8_0 file of {self.file_bytes / 1e6:.0f} MB, of which a token reads {self.bytes_a_token / 1e6:.0f} MB: "
            f"the head over the whole vocabulary is among them. All that it drew is strictly valid. Teacher-forced on "
            f"{SPRITES * self.contest.size**2} pixels its log-probabilities lie {self.apart:.4f} nats from ours in the mean. "
            f"By its own clock the sprites of its last call took {prompt:.3f} s each for the prompt and {writing:.3f} s for "
            f"{self.tokens_a_sprite:.0f} tokens."
        )


def exported(adapter: Path, out: Path, base: str | None) -> Path:
    """The Q8_0 file of an adapter merged into its base; `out` must not exist. What must agree is `check`'s to see."""
    from finetune.adapter_folder import AdapterFacts, load_palette
    from finetune.export import export, procedural_sprites

    _need_llama_cpp()
    sprites = procedural_sprites(AdapterFacts.load(adapter), load_palette(adapter))[:1]
    return next(export(adapter, out, base, "q8_0", sprites=sprites).glob("*.gguf"))


def _need_llama_cpp() -> None:
    """Before minutes of merging. Raises InputError."""
    from importlib.util import find_spec

    if find_spec("xllamacpp") is None:
        raise InputError("--llama-cpp: xllamacpp is not here; pip install -e .[dev]")


def bytes_a_token(file: Path) -> int:
    """Bytes of a GGUF file's weights that a token makes llama.cpp read: all but an embedding of which one row is looked up.

    Where the output head is tied to the embedding, the file holds one matrix and the head reads the whole of it.
    """
    from gguf import GGUFReader

    sizes = {tensor.name: int(tensor.n_bytes) for tensor in GGUFReader(file).tensors}
    return sum(sizes.values()) - (sizes["token_embd.weight"] if "output.weight" in sizes else 0)


def given_sprites(contest: Contest) -> list:
    """Procedural sprites of the contest's size and palette, as a `finetune.likelihood.Query` each."""
    from data_prep.palette import quantise
    from data_prep.sources.procedural import sprite
    from data_prep.sprite import Sprite
    from finetune.export import SEED, queries_of

    size, palette = contest.size, contest.palette
    drawn = [sprite(SEED, index, max(size, 16)) for index in range(SPRITES)]
    cut = [Sprite(quantise(one.rgba()[:size, :size], palette), palette, one.caption) for one in drawn]
    return queries_of(contest.model.tokens, cut)
