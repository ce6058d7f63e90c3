"""TRL's SFTTrainer with a restricted output head.

A grid uses some 200 of 49,152 or 151,936 tokens. Most optimizer steps therefore project onto those rows of `lm_head`
alone, with labels renumbered to match; every n-th step takes the stock loss over the whole vocabulary, without which
nothing would teach the model not to say something else. The head is swapped for the length of a forward pass only: what
is saved, generated with or evaluated elsewhere is the stock model.
"""

from contextlib import contextmanager

import numpy as np
import torch
from trl import SFTTrainer

from finetune.cell_tokens import CellTokens

IGNORED = -100


class RestrictedHead:
    """The rows of a causal model's output head that `allowed_ids` name, and the renumbering of labels onto them.

    allowed_ids: (A,) int64, sorted. Frozen: it holds a copy of the rows.
    """

    def __init__(self, model, allowed_ids: np.ndarray):
        self.model = model
        full = model.get_output_embeddings()
        ids = torch.as_tensor(allowed_ids, device=full.weight.device)
        self.linear = torch.nn.Linear(full.in_features, len(ids), bias=full.bias is not None, device="meta")
        self.linear.weight = torch.nn.Parameter(full.weight.detach()[ids].clone(), requires_grad=False)
        if full.bias is not None:
            self.linear.bias = torch.nn.Parameter(full.bias.detach()[ids].clone(), requires_grad=False)
        self.compact = torch.full((full.weight.shape[0],), IGNORED, device=ids.device)
        self.compact[ids] = torch.arange(len(ids), device=ids.device)

    @contextmanager
    def swapped_in(self):
        """Within the block the model's logits are (…, A)."""
        full = self.model.get_output_embeddings()
        self.model.set_output_embeddings(self.linear)
        try:
            yield
        finally:
            self.model.set_output_embeddings(full)

    def renumber(self, labels: torch.Tensor) -> torch.Tensor:
        """Labels of the whole vocabulary → labels of the restricted head; raises ValueError for one that it lacks."""
        compact = torch.where(labels == IGNORED, IGNORED, self.compact[labels.clamp(min=0)])
        if ((compact == IGNORED) & (labels != IGNORED)).any():
            raise ValueError("a label lies outside the restricted head; the dataset's palettes were not all given")
        return compact


class GridSFTTrainer(SFTTrainer):
    """SFTTrainer whose steps use the restricted head, but for every `full_head_every`-th.

    The choice hangs on the optimizer step alone, so that all processes and all micro-batches of a step agree.
    """

    def __init__(self, *args, allowed_ids: np.ndarray, full_head_every: int, **kwargs):
        super().__init__(*args, **kwargs)
        self.full_head_every = full_head_every
        self.restricted_head = RestrictedHead(self.accelerator.unwrap_model(self.model).get_base_model(), allowed_ids)

    def takes_full_head(self) -> bool:
        return self.state.global_step % self.full_head_every == self.full_head_every - 1

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        if self.takes_full_head():
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        inputs = inputs | {"labels": self.restricted_head.renumber(inputs["labels"])}
        with self.restricted_head.swapped_in():
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)


def tokenise(row: dict, tokens: CellTokens) -> dict:
    """A row of a prepared dataset → input_ids and labels of equal length; the prompt carries no loss.

    The palette of a 'free' prompt is trained like the grid; where the prompt gives it, it is trained too, as structure.
    """
    prompt = tokens.prompt_ids(row["prompt"])
    completion = tokens.completion_ids(row["completion"][0]["content"])
    return {"input_ids": prompt + completion, "labels": [IGNORED] * len(prompt) + completion}
