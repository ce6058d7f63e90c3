"""The ways in which `pixelreef bench draw` draws: ours, and Hugging Face `generate()` with llguidance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.captions import messages
from data_prep.errors import InputError
from data_prep.palette import Palette

CAPTIONS = ("a red crab", "a blue jellyfish from the abyss", "a yellow butterflyfish facing left, with stripes", "a coral")


@dataclass(frozen=True)
class Agreement:
    """How far two greedy drawings of the same captions agree. spelt: how many differ after generate() had written the text
    around the pixels in other tokens than the tokenizer's own, which makes it another prompt. gaps: in nats, between the two
    likeliest entries at the first differing pixel of each other drawing that differs; rounding parts near-ties."""

    drawings: int
    same: int
    spelt: int
    gaps: tuple[float, ...]


@dataclass(frozen=True)
class Masses:
    """Mean probability mass at a pixel: of the palette's symbols, and of all that llguidance's grammar admits there.

    Teacher-forced on what was drawn. gap: by how much a colour's log-probability, renormalised over the one or the other,
    differs in nats, on average and at most; it is what the grammar loses to tokens that spell a pixel otherwise.
    """

    symbols: float
    admitted: float
    gap: float
    largest_gap: float


class Contest:
    """One model, one size, both ways to draw. Raises InputError for a size out of range."""

    def __init__(self, model, size: int, palette: Palette):
        self.model, self.size, self.palette = model, size, palette
        self.schedule = model.tokens.schedule(palette, size, size)

    def prompts(self, batch: int) -> list[list[int]]:
        asked = [CAPTIONS[i % len(CAPTIONS)] for i in range(batch)]
        return [self.model.tokens.prompt_ids(messages(caption, self.size, self.size, self.palette)) for caption in asked]

    def ours(self, batch: int, temperature: float, seed: int = 0) -> np.ndarray:
        """(batch, H, W) grids."""
        from eval.decoding import Sampling, draw_grids

        keys = [(seed, index) for index in range(batch)]
        return draw_grids(self.model.model, self.prompts(batch), self.schedule, keys, Sampling(temperature=temperature))

    def theirs(self, batch: int, temperature: float, seed: int = 0) -> np.ndarray:
        """(batch, H, W) grids."""
        return np.stack([self._read(ids) for ids in self.generated(batch, temperature, seed)])

    def generated(self, batch: int, temperature: float, seed: int) -> list[list[int]]:
        """The ids that stock generate() answers with under the grammar, padded with the end of the turn."""
        import torch
        from transformers import LogitsProcessorList

        from eval.grammar import GrammarProcessor, lark

        tokens, prompts = self.model.tokens, self.prompts(batch)
        longest, device = max(map(len, prompts)), self.model.model.device
        ids = torch.tensor([[tokens.end_id] * (longest - len(one)) + one for one in prompts], device=device)
        mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in prompts], device=device)
        grammar = GrammarProcessor(tokens.tokenizer, lark(self.palette, self.size, self.size))
        sampling = (
            {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature else {"do_sample": False}
        )
        torch.manual_seed(seed)
        with torch.inference_mode():
            out = self.model.model.generate(
                input_ids=ids, attention_mask=mask, logits_processor=LogitsProcessorList([grammar]), **sampling,
                max_new_tokens=2 * len(self.schedule.ids), eos_token_id=tokens.end_id, pad_token_id=tokens.end_id,
            )  # fmt: skip
        return [row[longest:].tolist() for row in out]

    def _read(self, ids: list[int]) -> np.ndarray:
        from data_prep import grid_text

        text = self.model.tokens.tokenizer.decode(ids, skip_special_tokens=True)
        found = grid_text.read(text, {self.palette.name: self.palette}, (self.size, self.size))
        if not hasattr(found, "grid"):
            raise InputError(f"bench draw: generate() with the grammar wrote no drawing: {found}")
        return found.grid

    def agreement(self) -> Agreement:
        """Of greedy drawings, one a caption."""
        count, length = len(CAPTIONS), len(self.schedule.ids)
        ours, ids = self.ours(count, 0.0), self.generated(count, 0.0, 0)
        theirs = np.stack([self._read(one) for one in ids])
        apart = [one for one in range(count) if (ours[one] != theirs[one]).any()]
        alike = [one for one in apart if ids[one][:length] == self.schedule.fill(theirs[one]).tolist()]
        gaps = tuple(self._gap(self.prompts(count)[one], ours[one], np.flatnonzero(ours[one] != theirs[one])[0]) for one in alike)
        return Agreement(count, count - len(apart), len(apart) - len(alike), gaps)

    def _gap(self, prompt: Sequence[int], grid: np.ndarray, pixel: int) -> float:
        """Nats between the two likeliest entries at a pixel, by one whole forward pass."""
        import torch

        place = int(self.schedule.pixels[pixel])
        ids = torch.tensor([[*prompt, *self.schedule.fill(grid)[:place]]], device=self.model.model.device)
        with torch.inference_mode():
            logits = self.model.model(input_ids=ids, use_cache=False).logits[0, -1].float()
        two = logits[torch.as_tensor(self.schedule.symbol_ids, device=logits.device)].log_softmax(-1).topk(2).values
        return round(float(two[0] - two[1]), 4)

    def masses(self) -> Masses:
        """Of our greedy drawings, one a caption."""
        import torch

        from eval.grammar import admitted, lark

        tokens, count = self.model.tokens, len(CAPTIONS)
        text, pairs = lark(self.palette, self.size, self.size), []
        for prompt, grid in zip(self.prompts(count), self.ours(count, 0.0), strict=True):
            ids = self.schedule.fill(grid).tolist()
            with torch.inference_mode():
                given = torch.tensor([[*prompt, *ids]], device=self.model.model.device)
                logits = self.model.model(input_ids=given, use_cache=False).logits[0, len(prompt) - 1 : -1].float().cpu()
            shares = logits.softmax(-1).numpy()[self.schedule.pixels]
            allowed = admitted(tokens.tokenizer, text, ids)[self.schedule.pixels, : shares.shape[1]]
            pairs.append((shares[:, self.schedule.symbol_ids].sum(1), (shares[:, : allowed.shape[1]] * allowed).sum(1)))
        symbols, all_of_it = np.concatenate(pairs, 1)
        gaps = np.log(all_of_it / symbols)
        return Masses(*(float(one) for one in (symbols.mean(), all_of_it.mean(), gaps.mean(), gaps.max())))
