"""TRL's SFTTrainer with a restricted output head.

A grid uses some 200 of 49,152 or 151,936 tokens. Most optimizer steps therefore project onto those rows of `lm_head`
alone, with labels renumbered to match; every n-th step takes the stock loss over the whole vocabulary, without which
nothing would teach the model not to say something else. The head is swapped for the length of a forward pass only: what
is saved, generated with or evaluated elsewhere is the stock model.
"""

import math
from collections.abc import Callable
from contextlib import contextmanager

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import Trainer
from trl import SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from data_prep.errors import InputError
from finetune.adapter_folder import BITS
from finetune.careful import Careful
from finetune.cell_tokens import CellTokens
from finetune.likelihood import causal_model

IGNORED = -100
PIXELS = "pixels"  # column: which tokens are pixels
ROW = "row"  # column: number of the prepared dataset's row, where sprites are changed as they are collated


class RestrictedHead:
    """The rows of a causal model's output head that `allowed_ids` name, and the renumbering of labels onto them.

    allowed_ids: (A,) int64, sorted. Frozen: it holds a copy of the rows, taken before the model is sharded.
    """

    def __init__(self, model, allowed_ids: np.ndarray):
        self.model = model
        full = model.get_output_embeddings()
        ids = torch.as_tensor(allowed_ids, device=full.weight.device)
        self.linear = torch.nn.Linear(full.in_features, len(ids), bias=False, device="meta")
        self.linear.weight = torch.nn.Parameter(full.weight.detach()[ids].clone(), requires_grad=False)
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
        if self.linear.weight.device != labels.device:  # a sharded model reaches the device after this was built
            self.linear, self.compact = self.linear.to(labels.device), self.compact.to(labels.device)
        compact = torch.where(labels == IGNORED, IGNORED, self.compact[labels.clamp(min=0)])
        if ((compact == IGNORED) & (labels != IGNORED)).any():
            raise ValueError("a label lies outside the restricted head; the dataset's palettes were not all given")
        return compact

    def label_nats(self, model, inputs: dict) -> torch.Tensor:
        """(B, T − 1) −log p of every label, 0 where there is none. model: the wrapped one, whose forward syncs gradients."""
        rest = {key: value for key, value in inputs.items() if key not in ("labels", PIXELS)}
        labels = self.renumber(inputs["labels"])[:, 1:]
        with self.swapped_in():
            logits = model(**rest, use_cache=False).logits[:, :-1]  # (B, T − 1, A): small, so nothing need be fused
        return cross_entropy(logits.float().transpose(1, 2), labels, ignore_index=IGNORED, reduction="none")


@torch.no_grad()
def refuse_transformed_logits(model) -> None:
    """Raises InputError for a model whose logits are not its head's rows times the last hidden state.

    Bias, softcapping and scaling of logits are known to nothing of ours that works on rows of the head: likelihoods and
    drawing would ignore them.
    """
    causal = causal_model(model)
    head = causal.get_output_embeddings()
    if not isinstance(head, torch.nn.Linear) or head.bias is not None:
        what = f"is a {type(head).__name__}" if not isinstance(head, torch.nn.Linear) else "has a bias"
        raise InputError(f"base model: the output head of {type(causal).__name__} {what}; drawing needs plain rows")
    ids = torch.arange(8, device=head.weight.device)[None]
    given = []
    mark = 1024.0  # what the head is made to say: large, so that a cap shows, and exact in 16 bits
    hook = head.register_forward_hook(lambda _, inputs, output: given.append(inputs[0]) or torch.full_like(output, mark))
    try:
        said = causal(input_ids=ids, use_cache=False).logits
    finally:
        hook.remove()
    hidden = causal.base_model(input_ids=ids, use_cache=False).last_hidden_state
    if (said != mark).any() or not torch.allclose(given[0].float(), hidden.float(), rtol=0.02, atol=1e-3):
        raise InputError(
            f"base model: {type(causal).__name__} caps or scales its logits (final_logit_softcapping, logit_scale and the "
            "like), which drawing would ignore; take another base model"
        )


def keep_differentiable(model) -> None:
    """Forbids bitsandbytes to repack 4-bit weights for fast drawing on a CPU, to be called before the first forward.

    It does so at the first forward in evaluation mode (CPUs with AVX512-BF16), for good, and no gradient passes the packed
    layers: training after a measurement would go on with gradients that are silently wrong.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


class StepSampler(torch.utils.data.Sampler):
    """The order of the sprites, in which an optimizer step sees the same ones however it is cut into micro-batches and processes.

    Sprites of like length share a step, and lie in it in the order of their lengths, so that batches hold little padding.
    The order hangs on seed and epoch alone, so that a run that was stopped goes on as it would have. An epoch's last step
    is filled up with sprites of its own. The longest step comes first: what does not fit into memory fails at once.
    """

    POOL = 32  # steps whose sprites are sorted together: more leave less padding and make the sprites of a step more alike

    def __init__(self, lengths: np.ndarray, step_size: int, seed: int, steps_taken: Callable[[], int]):
        self.lengths, self.step_size, self.seed, self.steps_taken = lengths, step_size, seed, steps_taken
        self.steps = math.ceil(len(lengths) / step_size)  # of an epoch

    def __len__(self) -> int:
        return self.steps * self.step_size

    def __iter__(self):
        random = np.random.default_rng([self.seed, self.steps_taken() // self.steps])
        order = np.resize(random.permutation(len(self.lengths)), len(self))
        pools = [order[start : start + self.POOL * self.step_size] for start in range(0, len(order), self.POOL * self.step_size)]
        pools = [pool[np.argsort(self.lengths[pool], kind="stable")].reshape(-1, self.step_size) for pool in pools]
        steps = np.concatenate([random.permutation(pool) for pool in pools])  # (steps, step_size)
        longest = self.lengths[steps].max(1).argmax()
        steps[[0, longest]] = steps[[longest, 0]]
        return iter(steps.reshape(-1).tolist())


class GridSFTTrainer(Careful, SFTTrainer):
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
        self._signature_columns: list[str] = [*dict.fromkeys([*self._signature_columns, PIXELS, ROW])]

    def _get_train_sampler(self, train_dataset=None):
        """The stock sampler by length draws on the random state of the moment: it cannot resume in a later epoch."""
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        ids = (self.train_dataset if train_dataset is None else train_dataset).with_format("arrow")[:]["input_ids"]
        lengths = np.diff(ids.combine_chunks().offsets.to_numpy())
        step_size = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        return StepSampler(lengths, step_size, seed, lambda: self.state.global_step)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        if self.takes_full_head() or not model.training:
            rest = {key: value for key, value in inputs.items() if key != PIXELS}
            if model.training and self.args.device.type == "cpu":
                return self._plain_loss(model, rest, return_outputs, num_items_in_batch)
            return super().compute_loss(model, rest, return_outputs, num_items_in_batch)
        self._count(inputs["attention_mask"])
        tokens = (inputs["labels"][:, 1:] != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
        nats = self.restricted_head.label_nats(model, inputs)
        self._note_bits(nats.detach(), inputs[PIXELS][:, 1:])
        loss = nats.sum() / tokens
        shared = self.args.average_tokens_across_devices and num_items_in_batch is not None
        return loss * self.accelerator.num_processes if shared else loss  # DDP averages what is already a share of the whole

    def _plain_loss(self, model, inputs: dict, return_outputs: bool, num_items_in_batch):
        """The same loss from all logits at once. TRL's fused head spares a GPU the memory for them; on a CPU it takes more of it,
        and longer (docs/speed-log.md)."""
        self._count(inputs["attention_mask"])
        return Trainer.compute_loss(self, model, inputs | {"use_cache": False}, return_outputs, num_items_in_batch)

    def _count(self, mask: torch.Tensor) -> None:
        """Tokens seen, as SFTTrainer counts them."""
        self._total_train_tokens += self.accelerator.gather(mask.sum()).sum().item()
        self._metrics["train"]["num_tokens"] = [self._total_train_tokens]

    def _note_bits(self, nats: torch.Tensor, pixels: torch.Tensor) -> None:
        """Bits per pixel of a batch under the restricted head, for the log. nats: (B, T − 1); pixels: where there is one."""
        told = torch.stack([(nats * pixels).sum(), pixels.sum()])
        total, count = self.accelerator.gather(told).view(-1, 2).sum(0).tolist()
        self._metrics["train"][BITS].append(total / count / math.log(2))


class GridCollator(DataCollatorForLanguageModeling):
    """TRL's collator, which pads the column of pixels too."""

    def torch_call(self, examples: list[dict]) -> dict:
        batch = super().torch_call(examples)
        pixels = [torch.tensor(example[PIXELS], dtype=torch.bool) for example in examples]
        return batch | {PIXELS: torch.nn.utils.rnn.pad_sequence(pixels, batch_first=True)}


def tokenise(row: dict, tokens: CellTokens) -> dict:
    """A row of a prepared dataset → input_ids, labels and pixels of equal length; the prompt carries no loss.

    The palette of a 'free' prompt is trained like the grid; where the prompt gives it, it is trained too, as structure.
    """
    prompt = tokens.prompt_ids(row["prompt"])
    completion = tokens.completion_ids(row["completion"][0]["content"])
    is_pixel = np.zeros(len(prompt) + len(completion), bool)
    is_pixel[len(prompt) + tokens.pixel_positions(len(completion), row["height"], row["width"])] = True
    labels = [IGNORED] * len(prompt) + completion
    return {"input_ids": prompt + completion, "labels": labels, PIXELS: is_pixel.tolist()}
