"""Drawing with a causal language model: a fixed grid needs no grammar engine, only its schedule.

Forced tokens (palette, separators, end) and pixels that stand are never sampled; they are fed together with the pixel
before them. At a pixel the output head is cut to the palette's symbols. Noise is keyed by (seed, index, pixel), so a
sprite does not depend on its batch beyond rounding (which in bfloat16 is enough to change pixels: take float32 to draw
one again). A drawing that is alone in its batch takes several pixels a step, by `speculation`. Guidance: Y. Sanchez et al.,
'Stay on topic with classifier-free guidance' (2023).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from transformers import DynamicCache, LogitsProcessor, LogitsProcessorList

from data_prep.errors import InputError
from eval.cuda_graphs import FixedDecoder, decoder_for, use_graphs
from eval.kv_cache import can_go_back, drop_last, states_of, with_room
from eval.speculation import GUESSES, guess
from finetune.cell_tokens import Schedule
from finetune.likelihood import causal_model


@dataclass(frozen=True)
class Sampling:
    """How pixels are drawn. temperature 0 takes the likeliest; top_k 0 and top_p 1 switch their filters off.

    guidance g: logits are (1 + g)·log p(· | caption) − g·log p(· | empty caption); 0 costs nothing, more doubles the work.
    on_row: is shown every row as soon as it is drawn: the (seed, index) of the batch's drawings, the row's number from 0 and
    its (B, W) uint8 entries. Rows of which every pixel was given are left out. What it raises ends the drawing. It changes
    nothing else, and two samplings that differ in it alone are equal.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    guidance: float = 0.0
    on_row: Callable[[Sequence[tuple[int, int]], int, np.ndarray], None] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self):
        if not 0 <= self.temperature <= 10:
            raise InputError(f"temperature: {self.temperature}; it takes 0 to 10")
        if self.top_k < 0 or not 0 < self.top_p <= 1 or not 0 <= self.min_p < 1:
            raise InputError(f"top_k, top_p, min_p: {self.top_k}, {self.top_p}, {self.min_p}; expected ≥ 0, 0–1 and 0–1")
        if not 0 <= self.guidance <= 20:
            raise InputError(f"guidance: {self.guidance}; it takes 0 to 20")


def gumbel_noise(seed: int, index: int, pixels: int, entries: int) -> np.ndarray:
    """(pixels, entries) float32 standard Gumbel noise of drawing `index` under `seed`."""
    return np.random.Generator(np.random.Philox(key=[seed, index])).gumbel(size=(pixels, entries)).astype(np.float32)


def choose(logits: torch.Tensor, noise: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """(…, entries) logits and Gumbel noise → (…) sampled entries (the Gumbel-max trick)."""
    if sampling.temperature == 0:
        return logits.argmax(-1)
    scaled = logits / sampling.temperature
    return (keep_likely(scaled, sampling) + noise).argmax(-1)


def keep_likely(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """Sets the logits that top-k, top-p or min-p exclude to −inf; the likeliest always stays."""
    if sampling.top_k:
        least = logits.topk(min(sampling.top_k, logits.shape[-1]), -1).values[..., -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if sampling.min_p:
        logits = logits.masked_fill(logits < logits.amax(-1, keepdim=True) + np.log(sampling.min_p), -torch.inf)
    if sampling.top_p < 1:
        ordered, order = logits.sort(-1, descending=True)
        before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)  # mass of likelier entries
        logits = ordered.masked_fill(before >= sampling.top_p, -torch.inf).gather(-1, order.argsort(-1))
    return logits


class _Cursor:
    """A batch of sequences that grow together behind one key–value cache. Prompts are padded on the left.

    Each prompt is computed once, however many sequences begin with it. room: how many tokens a sequence will have at most.
    """

    states: torch.Tensor  # (B, n, d) behind the tokens that were fed last

    def __init__(self, causal, prompts: Sequence[Sequence[int]], room: int):
        self.causal, self.device = causal, causal.get_output_embeddings().weight.device
        different = list(dict.fromkeys(map(tuple, prompts)))
        longest = max(map(len, different))
        self.length, self.cache = 0, DynamicCache(config=causal.config)
        self.fixed: FixedDecoder | None = None
        self.padding = torch.tensor([longest - len(one) for one in different], device=self.device)  # (B,) tokens
        self.padded = len(set(map(len, different))) > 1
        self.feed(torch.tensor([[0] * (longest - len(one)) + list(one) for one in different], device=self.device))
        places = torch.tensor([different.index(tuple(prompt)) for prompt in prompts], device=self.device)
        self.states, self.padding = self.states[places], self.padding[places]
        if use_graphs(self.device) and can_go_back(causal.config):
            self.fixed = decoder_for(causal, len(places), room)
            self.fixed.start(self.cache, places)
        else:
            with_room(self.cache, places, room)

    def feed(self, ids: torch.Tensor) -> None:
        """(B, n) ids; makes `states` (B, n, d) those behind each of them (in a first call: behind the prompt's, too)."""
        before, self.length = self.length, self.length + ids.shape[1]
        if self.fixed:
            self.states = self.fixed.feed(ids, self.padding, before)
            return
        mask = None  # without padding it is the causal one, which needs no making
        if self.padded:
            mask = (torch.arange(self.length, device=self.device) >= self.padding[:, None]).long()
        self.states = self._forward(ids, mask)

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        places = torch.arange(self.length - ids.shape[1], self.length, device=self.device)
        positions = (places - self.padding[:, None]).clamp(min=0)
        return states_of(self.causal, ids, mask, positions, self.cache)

    def drop(self, tokens: int) -> None:
        """Forgets the last so many tokens."""
        self.length -= tokens
        if not self.fixed:  # whose mask forgets them
            drop_last(self.cache, tokens)


@torch.inference_mode()
def draw_grids(
    model,
    prompts: Sequence[Sequence[int]],
    schedule: Schedule,
    keys: Sequence[tuple[int, int]],
    sampling: Sampling,
    shares: Sequence[tuple[int, float]] | None = None,
    given: np.ndarray | None = None,
    entries: Sequence[int] | None = None,
) -> np.ndarray:
    """Draws one grid a key, all of one schedule: (B, H, W) uint8.

    prompts: token ids of each chat; keys: (seed, index) of each drawing. shares: of each prompt the drawing that it
    conditions and the weight of its log-probabilities there, which sum to 1 in each drawing; by default one prompt a
    drawing. All prompts are one batch, whose sequences of one drawing grow by the same pixels. `sampling.guidance` is
    spelt out in `shares` and not read here. given: (B, H, W), pixels that stand, −1 where the model draws. A drawn pixel
    sees only what stands before it in raster order, not what is given to its right or below. entries: (B,) how many of the
    schedule's entries each drawing can hold, from the first on; by default all.
    """
    causal = causal_model(model)
    rows = causal.get_output_embeddings().weight[torch.as_tensor(schedule.symbol_ids)]  # (entries, d)
    keyed = np.stack([gumbel_noise(*key, len(schedule.pixels), len(rows)) for key in keys])
    noise = torch.from_numpy(keyed).to(rows.device)
    shares = [(number, 1.0) for number in range(len(keys))] if shares is None else shares
    owners = torch.tensor([drawing for drawing, _ in shares], device=rows.device)
    weights = torch.tensor([weight for _, weight in shares], device=rows.device)
    grids, fed = _Grids(schedule, given, len(keys), rows.device), 0
    cursor: _Cursor | None = None
    guesses = GUESSES if len(keys) == 1 and can_go_back(causal.config) else 0
    while len(grids.free):
        numbers, places = grids.free[: guesses + 1], schedule.pixels[grids.free[: guesses + 1]]
        grids.guess(numbers[:-1])
        known = grids.ids[owners, fed : places[-1]]  # (prompts, n): the pixel before, and all that is known or guessed since
        if cursor is None:
            begun = [[*prompt, *more] for prompt, more in zip(prompts, known.tolist(), strict=True)]
            cursor = _Cursor(causal, begun, max(map(len, prompts)) + len(schedule.ids))
        else:
            cursor.feed(known)
        states = cursor.states[:, places - places[-1] - 1]  # (prompts, n, d), each behind the token before a pixel
        logits = _mixed((states.to(rows.dtype) @ rows.T).float(), owners, weights, len(keys))
        if entries is not None:
            beyond = torch.arange(len(rows))[None] >= torch.tensor(entries)[:, None]  # (B, entries)
            logits = logits.masked_fill(beyond[:, None].to(logits.device), -torch.inf)
        drawn = grids.take(numbers, choose(logits, noise[:, numbers], sampling))
        fed = int(schedule.pixels[drawn[-1]])
        cursor.drop(int(places[-1]) - fed)  # what was fed behind a wrong guess
        if sampling.on_row is not None:
            for row in grids.ended_rows(drawn):
                sampling.on_row(keys, row, _entries(grids.entries[:, row * schedule.width : (row + 1) * schedule.width]))
    return _entries(grids.entries.view(-1, schedule.height, schedule.width))


class _Grids:
    """A batch of drawings of one schedule on their way.

    entries: (B, pixels) int64, 0 where nothing stands yet; ids: (B, T) int64, the same as tokens of the completion;
    free: numbers of the pixels that at least one of them has still to draw, in raster order.
    """

    def __init__(self, schedule: Schedule, given: np.ndarray | None, drawings: int, device):
        self.schedule, pixels = schedule, len(schedule.pixels)
        given = np.full((drawings, pixels), -1) if given is None else np.asarray(given, np.int64).reshape(drawings, pixels)
        known = torch.from_numpy(given).to(device)
        self.entries, self.stands = known.clamp(min=0), known >= 0
        self.symbols = torch.as_tensor(schedule.symbol_ids, device=device)
        self.ids = torch.as_tensor(schedule.ids, device=device).repeat(drawings, 1)
        self._write(np.arange(pixels))
        self.free = np.flatnonzero((given < 0).any(0))
        self._row_of_last = {pixel: row for row, pixel in {pixel // schedule.width: pixel for pixel in self.free}.items()}

    def guess(self, numbers: np.ndarray) -> None:
        """Fills in the pixels of these numbers, of a drawing that is alone, with what `speculation` expects there."""
        if len(numbers):
            self.entries[0, numbers] = self.entries.new_tensor(guess(self.entries[0].tolist(), numbers, self.schedule.width))
            self._write(numbers)

    def take(self, numbers: np.ndarray, chosen: torch.Tensor) -> np.ndarray:
        """Sets the pixels of these numbers to (B, n) entries chosen behind the guesses, as far as those were right.

        Returns the numbers that are drawn now, at least one: the choice behind right guesses stands even where no guess did.
        """
        chosen = torch.where(self.stands[:, numbers], self.entries[:, numbers], chosen)
        right = chosen[:, :-1] == self.entries[:, numbers[:-1]]
        drawn = numbers[: 1 + (int(right.all(0).long().cumprod(0).sum()) if len(numbers) > 1 else 0)]
        self.entries[:, drawn] = chosen[:, : len(drawn)]
        self._write(drawn)
        self.free = self.free[len(drawn) :]
        return drawn

    def ended_rows(self, drawn: np.ndarray) -> list[int]:
        """Rows of which these were the last pixels to draw."""
        return [int(self._row_of_last[number]) for number in drawn if number in self._row_of_last]

    def _write(self, numbers: np.ndarray) -> None:
        self.ids[:, self.schedule.pixels[numbers]] = self.symbols[self.entries[:, numbers]]


def _entries(grid: torch.Tensor) -> np.ndarray:
    return grid.to(torch.uint8).cpu().numpy()


def _mixed(logits: torch.Tensor, owners: torch.Tensor, weights: torch.Tensor, drawings: int) -> torch.Tensor:
    """(prompts, n, entries) logits → (drawings, n, entries): the weighted sum of each drawing's log-probabilities."""
    if len(logits) == drawings:  # one prompt a drawing, of weight 1
        return logits
    mixed = logits.new_zeros(drawings, *logits.shape[1:])
    return mixed.index_add_(0, owners, logits.log_softmax(-1) * weights[:, None, None])


class KeyedNoise(LogitsProcessor):
    """Samples within greedy `generate()`: filters, then adds Gumbel noise keyed by (seed, index, step) of each row.

    keys: (seed, index) of each row; start: length of the padded prompts.
    """

    def __init__(self, keys: Sequence[tuple[int, int]], start: int, sampling: Sampling):
        self.keys, self.start, self.sampling = keys, start, sampling

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        step = input_ids.shape[1] - self.start
        noise = np.stack([step_noise(*key, step, scores.shape[-1]) for key in self.keys])
        return keep_likely(scores.float() / self.sampling.temperature, self.sampling) + torch.from_numpy(noise).to(scores.device)


def step_noise(seed: int, index: int, step: int, entries: int) -> np.ndarray:
    """(entries,) float32 standard Gumbel noise of one step of an unconstrained answer."""
    generator = np.random.Generator(np.random.Philox(key=[seed, index], counter=[0, 0, step, 1]))
    return generator.gumbel(size=entries).astype(np.float32)


@torch.inference_mode()
def write_freely(
    model,
    end_id: int,
    prompts: Sequence[Sequence[int]],
    keys: Sequence[tuple[int, int]],
    sampling: Sampling,
    max_new_tokens: int,
    held: LogitsProcessor | None = None,
) -> list[list[int]]:
    """Plain `generate()`: the ids of each answer, up to its end-of-turn token. held: masks tokens; by default nothing does."""
    longest = max(map(len, prompts))
    device = causal_model(model).get_output_embeddings().weight.device
    ids = torch.tensor([[end_id] * (longest - len(p)) + list(p) for p in prompts], device=device)
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=device)
    steps = [*([held] if held else []), *([KeyedNoise(keys, longest, sampling)] if sampling.temperature else [])]
    out = model.generate(
        input_ids=ids, attention_mask=mask, do_sample=False, logits_processor=LogitsProcessorList(steps),
        max_new_tokens=max_new_tokens, eos_token_id=end_id, pad_token_id=end_id,
    )  # fmt: skip
    answers = [row[longest:].tolist() for row in out]
    return [row[: row.index(end_id)] if end_id in row else row for row in answers]
