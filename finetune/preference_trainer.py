"""TRL's DPOTrainer on drawings: the loss is over pixels alone, with the output head restricted in policy and reference alike.

TRL 1.16 computes log-probabilities from the head's weight, chunk by chunk, and never calls the head: a forward hook on it that
puts −inf outside the allowed ids would not run, and nothing would say so. The restricted head of `finetune.trainer` is therefore
swapped in for the length of each such forward pass, which comes to the same: what is outside of it has no probability.

The reference is the adapter as it was at the start. Its log-probabilities are computed once, before the first step
(`precompute_ref_log_probs`): one forward pass a pair instead of one each time that a pair comes by, and nothing that training
does can move them. TRL computes them with a frozen copy of the LoRA weights (`ref`), which it makes by itself.
"""

from contextlib import ExitStack

import torch
from trl import DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from finetune.careful import Careful
from finetune.cell_tokens import CellTokens
from finetune.pair_file import Preference
from finetune.trainer import PIXELS, RestrictedHead

REFERENCE = "ref"  # TRL's name for the copy


class GridDPOTrainer(Careful, DPOTrainer):
    """DPOTrainer of rows that `tokenise_pair` made. model: a PeftModel whose adapter is the start and the reference;
    allowed_ids: (A,) int64, sorted, what a drawing can hold. Raises ValueError for a pixel outside of them."""

    def __init__(self, *args, model, allowed_ids, **kwargs):
        self.restricted_head = RestrictedHead(model.get_base_model(), allowed_ids)
        self._swapped = ExitStack()
        model.register_forward_pre_hook(self._restrict, with_kwargs=True)
        model.register_forward_hook(self._release, always_call=True)
        super().__init__(*args, model=model, **kwargs)

    def _restrict(self, model, args, kwargs):
        """Before a forward pass that is asked for log-probabilities: renumbers the labels and swaps the head."""
        if not kwargs.get("fused_lm_head"):
            return None
        labels = self.restricted_head.renumber(kwargs["labels"])
        self._swapped.enter_context(self.restricted_head.swapped_in())
        return args, kwargs | {"labels": labels}

    def _release(self, model, args, output):
        self._swapped.close()

    def _prepare_dataset(self, dataset, *args, **kwargs):
        """Rows have their ids already: TRL would tokenise a chat by the template, where captions could end the turn."""
        return dataset

    def _set_signature_columns_if_needed(self):
        super()._set_signature_columns_if_needed()
        self._signature_columns: list[str] = [*dict.fromkeys([*self._signature_columns, PIXELS])]


class PixelCollator(DataCollatorForPreference):
    """TRL's collator, whose completion mask leaves out the structure: palette, separators, end."""

    def torch_call(self, examples: list[dict]) -> dict:
        batch = super().torch_call(examples)
        mask = torch.zeros_like(batch["completion_mask"])
        for row, example in enumerate(2 * examples):  # chosen ones first, then rejected ones
            mask[row, len(example["prompt_ids"]) + torch.tensor(example[PIXELS])] = 1
        return batch | {"completion_mask": mask}


def tokenise_pair(pair: Preference, prompt: list[dict[str, str]], tokens: CellTokens) -> dict:
    """A pair and the chat that asks for it → prompt_ids, chosen_ids, rejected_ids, and the places of the pixels."""
    chosen, rejected = (tokens.completion_ids(text) for text in (pair.chosen, pair.rejected))
    places = [tokens.pixel_positions(len(ids), pair.height, pair.width) for ids in (chosen, rejected)]
    if (places[0] != places[1]).any():
        raise ValueError(f"pair {pair.prompt_id}: the pixels of its drawings do not lie in the same places")
    return {"prompt_ids": tokens.prompt_ids(prompt), "chosen_ids": chosen, "rejected_ids": rejected, PIXELS: places[0].tolist()}
