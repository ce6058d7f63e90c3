"""How probable a model holds given sprites: teacher-forced bits per drawing, and the mass on what a drawing may say."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from finetune.cell_tokens import Schedule


@dataclass(frozen=True)
class Query:
    """A grid whose probability is asked for, after a prompt. grid: (H, W) uint8; prompt_ids: the chat before it."""

    prompt_ids: list[int]
    schedule: Schedule
    grid: np.ndarray


@dataclass(frozen=True)
class Likelihood:
    """bits: −log2 p of all pixels, softmax renormalised over the palette's symbols. The rest is of the whole vocabulary:
    mean mass on the symbols at pixels, mean probability of the forced tokens between them, probability of the end."""

    bits: float
    pixels: int
    allowed_mass: float
    separator_probability: float
    end_probability: float


def causal_model(model):
    """The model under a PEFT wrapper, or itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@torch.no_grad()
def likelihoods(model, queries: Iterable[Query], batch_size: int = 4) -> Iterator[Likelihood]:
    """One Likelihood a query, in order. Only the completion's positions are projected onto the vocabulary."""
    causal = causal_model(model)
    head = causal.get_output_embeddings()
    queries = iter(queries)
    while batch := list(islice(queries, batch_size)):
        filled = [query.schedule.fill(query.grid) for query in batch]
        rows = [torch.tensor([*query.prompt_ids, *ids]) for query, ids in zip(batch, filled, strict=True)]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(head.weight.device)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True).to(ids.device)
        hidden = causal.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state  # (B, T, d)
        for query, completion, states in zip(batch, filled, hidden, strict=True):
            start = len(query.prompt_ids) - 1  # the state that predicts the first token of the completion
            logits = head(states[start : start + len(completion)].to(head.weight.dtype)).float().cpu()
            yield _measure(query.schedule, torch.from_numpy(completion), logits)


def _measure(schedule: Schedule, completion: torch.Tensor, logits: torch.Tensor) -> Likelihood:
    """completion: (T,) ids; logits: (T, vocabulary) that predict them."""
    log_p = logits.log_softmax(-1)
    symbols = log_p[schedule.pixels][:, schedule.symbol_ids]  # (pixels, entries)
    chosen = log_p[schedule.pixels, completion[schedule.pixels]]
    mass = symbols.logsumexp(-1)
    separators = log_p[schedule.separators, completion[schedule.separators]].exp()
    return Likelihood(
        bits=float((mass - chosen).sum() / np.log(2)),
        pixels=len(schedule.pixels),
        allowed_mass=float(mass.exp().mean()),
        separator_probability=float(separators.mean()),
        end_probability=float(log_p[-1, completion[-1]].exp()),
    )
