"""Drawing with a causal language model: a fixed grid needs no grammar engine, only its schedule.

Forced tokens (palette, separators, end) are never sampled; they are fed together with the pixel before them. At a
pixel the output head is cut to the palette's symbols. Noise is keyed by (seed, index, pixel), so a sprite does not
depend on its batch beyond rounding (which in bfloat16 is enough to change pixels: take float32 to draw one again).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import LogitsProcessor, LogitsProcessorList

from data_prep.errors import InputError
from finetune.cell_tokens import Schedule
from finetune.likelihood import causal_model


@dataclass(frozen=True)
class Sampling:
    """How pixels are drawn. temperature 0 takes the likeliest; top_k 0 and top_p 1 switch their filters off."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0

    def __post_init__(self):
        if not 0 <= self.temperature <= 10:
            raise InputError(f"temperature: {self.temperature}; it takes 0 to 10")
        if self.top_k < 0 or not 0 < self.top_p <= 1 or not 0 <= self.min_p < 1:
            raise InputError(f"top_k, top_p, min_p: {self.top_k}, {self.top_p}, {self.min_p}; expected ≥ 0, 0–1 and 0–1")


def gumbel_noise(seed: int, index: int, pixels: int, entries: int) -> np.ndarray:
    """(pixels, entries) float32 standard Gumbel noise of drawing `index` under `seed`."""
    return np.random.Generator(np.random.Philox(key=[seed, index])).gumbel(size=(pixels, entries)).astype(np.float32)


def choose(logits: torch.Tensor, noise: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """(B, entries) logits and Gumbel noise → (B,) sampled entries (the Gumbel-max trick)."""
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
    """A batch of sequences that grow together behind one key–value cache. Prompts are padded on the left."""

    def __init__(self, causal, prompts: Sequence[Sequence[int]]):
        from transformers import DynamicCache

        self.causal, self.device = causal, causal.get_output_embeddings().weight.device
        longest = max(map(len, prompts))
        ids = [[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
        mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        self.cache = DynamicCache(config=causal.config)
        self.mask = torch.zeros(len(prompts), 0, dtype=torch.long, device=self.device)
        self.state = self._forward(torch.tensor(ids, device=self.device), torch.tensor(mask, device=self.device))

    def feed(self, ids: torch.Tensor) -> torch.Tensor:
        """(B, n) ids → (B, d) state behind the last of them."""
        self.state = self._forward(ids, torch.ones_like(ids))
        return self.state

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        self.mask = torch.cat([self.mask, mask], 1)
        positions = (self.mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        out = self.causal.base_model(
            input_ids=ids, attention_mask=self.mask, position_ids=positions, past_key_values=self.cache, use_cache=True
        )
        return out.last_hidden_state[:, -1]


@torch.inference_mode()
def draw_grids(
    model, prompts: Sequence[Sequence[int]], schedule: Schedule, keys: Sequence[tuple[int, int]], sampling: Sampling
) -> np.ndarray:
    """Draws one grid a prompt, all of one schedule: (B, H, W) uint8.

    prompts: token ids of each chat; keys: (seed, index) of each drawing.
    """
    causal = causal_model(model)
    rows = causal.get_output_embeddings().weight[torch.as_tensor(schedule.symbol_ids)]  # (entries, d)
    symbols = torch.as_tensor(schedule.symbol_ids, device=rows.device)
    noise = np.stack([gumbel_noise(*key, len(schedule.pixels), len(rows)) for key in keys])
    noise = torch.from_numpy(noise).to(rows.device)
    start = schedule.pixels[0]
    cursor = _Cursor(causal, [[*prompt, *schedule.ids[:start]] for prompt in prompts])
    grid = torch.empty(len(prompts), len(schedule.pixels), dtype=torch.long, device=rows.device)
    for number, position in enumerate(schedule.pixels):
        grid[:, number] = choose((cursor.state @ rows.T).float(), noise[:, number], sampling)
        if number + 1 < len(schedule.pixels):
            forced = torch.as_tensor(schedule.ids[position + 1 : schedule.pixels[number + 1]], device=rows.device)
            cursor.feed(torch.cat([symbols[grid[:, number, None]], forced.expand(len(prompts), -1)], 1))
    return grid.view(-1, schedule.height, schedule.width).to(torch.uint8).cpu().numpy()


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
    model, end_id: int, prompts: Sequence[Sequence[int]], keys: Sequence[tuple[int, int]], sampling: Sampling, max_new_tokens: int
) -> list[list[int]]:
    """Plain `generate()` without any constraint: the ids of each answer, up to its end-of-turn token."""
    longest = max(map(len, prompts))
    device = causal_model(model).get_output_embeddings().weight.device
    ids = torch.tensor([[end_id] * (longest - len(p)) + list(p) for p in prompts], device=device)
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=device)
    noise = LogitsProcessorList([KeyedNoise(keys, longest, sampling)] if sampling.temperature else [])
    out = model.generate(
        input_ids=ids, attention_mask=mask, do_sample=False, logits_processor=noise, max_new_tokens=max_new_tokens,
        eos_token_id=end_id, pad_token_id=end_id,
    )  # fmt: skip
    answers = [row[longest:].tolist() for row in out]
    return [row[: row.index(end_id)] if end_id in row else row for row in answers]
