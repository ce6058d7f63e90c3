"""TRL's SFTTrainer with a restricted output head.

A grid uses some 200 of 49,152 or 151,936 tokens. Most optimizer steps therefore project onto those rows of `lm_head`
alone, with labels renumbered to match; every n-th step takes the stock loss over the whole vocabulary, without which
nothing would teach the model not to say something else. The head is swapped for the length of a forward pass only: what
is saved, generated with or evaluated elsewhere is the stock model.
"""

from contextlib import contextmanager

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from trl import SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from finetune.cell_tokens import CellTokens

IGNORED = -100
WEIGHTS = "weights"  # column: what each token weighs in the loss


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

    def _set_signature_columns_if_needed(self):
        super()._set_signature_columns_if_needed()
        self._signature_columns = [*dict.fromkeys([*self._signature_columns, WEIGHTS])]

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        inputs = dict(inputs)
        weights = inputs.pop(WEIGHTS)
        if self.takes_full_head() or not model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = self.restricted_head.renumber(inputs.pop("labels"))[:, 1:]
        with self.restricted_head.swapped_in():
            logits = model(**inputs, use_cache=False).logits[:, :-1]  # (B, T − 1, A): small, so nothing need be fused
        nats = cross_entropy(logits.float().transpose(1, 2), labels, ignore_index=IGNORED, reduction="none")
        self._count(inputs["attention_mask"])
        tokens = (labels != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
        loss = (nats * weights[:, 1:]).sum() / tokens
        shared = self.args.average_tokens_across_devices and num_items_in_batch is not None
        return loss * self.accelerator.num_processes if shared else loss  # DDP averages what is already a share of the whole

    def _count(self, mask: torch.Tensor) -> None:
        """Tokens seen, as SFTTrainer counts them."""
        self._total_train_tokens += self.accelerator.gather_for_metrics(mask.sum()).sum().item()
        self._metrics["train"]["num_tokens"] = [self._total_train_tokens]


class GridCollator(DataCollatorForLanguageModeling):
    """TRL's collator, which pads the weights too."""

    def torch_call(self, examples: list[dict]) -> dict:
        batch = super().torch_call(examples)
        weights = [torch.tensor(example[WEIGHTS], dtype=torch.float32) for example in examples]
        return batch | {WEIGHTS: torch.nn.utils.rnn.pad_sequence(weights, batch_first=True)}


def tokenise(row: dict, tokens: CellTokens, first_use_weight: float = 1.0) -> dict:
    """A row of a prepared dataset → input_ids, labels and weights of equal length; the prompt carries no loss.

    The palette of a 'free' prompt is trained like the grid; where the prompt gives it, it is trained too, as structure.
    first_use_weight: what the first pixel of each colour weighs in the loss; see `first_uses`.
    """
    prompt = tokens.prompt_ids(row["prompt"])
    completion = np.array(tokens.completion_ids(row["completion"][0]["content"]))
    weights = np.ones(len(prompt) + len(completion))
    pixels = tokens.pixel_positions(len(completion), row["height"], row["width"])
    weights[len(prompt) + pixels[first_uses(completion[pixels], tokens)]] = first_use_weight
    labels = [IGNORED] * len(prompt) + completion.tolist()
    return {"input_ids": prompt + completion.tolist(), "labels": labels, WEIGHTS: weights.tolist()}


def first_uses(pixels: np.ndarray, tokens: CellTokens) -> np.ndarray:
    """Where, among the token ids of a grid's pixels, each colour is first seen; the transparent one does not count.

    What a caption says of colours is decided in these few pixels: later ones can be copied from them.
    """
    seen, first = np.unique(pixels, return_index=True)
    return first[seen != tokens.symbol_ids[0]]
