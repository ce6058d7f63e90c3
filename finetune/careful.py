"""What every trainer of ours does around its loss: it stops at what is not finite, and its checkpoints are whole or not there."""

import math
from pathlib import Path

import torch
from torch.distributed.fsdp import FSDPModule
from transformers import Trainer, TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from data_prep.errors import InputError
from finetune.checkpoints import checkpoint, keep_newest, load_weights, seal


class Careful(Trainer):
    """Goes before a TRL trainer. Training stops with InputError at the first loss, gradient or weight that is not finite; no
    checkpoint of it is written."""

    def train_from(self, folder: str | None) -> None:
        """Trains from a checkpoint on, or from the start. The last one of a run only gives its weights: the stock loop looks
        whether it is at the end after a step, so that it would take one too many."""
        if folder:
            state = TrainerState.load_from_json(str(Path(folder) / TRAINER_STATE_NAME))
            if state.global_step >= state.max_steps:
                self.state = state
                load_weights(self.accelerator.unwrap_model(self.model), Path(folder))
                return
        self.train(resume_from_checkpoint=folder)

    def create_model_card(self, *args, **kwargs) -> None:
        """TRL's says nothing; the adapter's own is written at the end."""

    def training_step(self, model, inputs, num_items_in_batch=None):
        loss = super().training_step(model, inputs, num_items_in_batch)
        self._refuse(not torch.isfinite(loss), "loss")
        return loss

    def _get_grad_norm(self, model, grad_norm=None):
        """Called right before each optimizer step; the norm is that of all processes. With fp16 its scaler skips such steps."""
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        self._refuse(self.accelerator.scaler is None and norm is not None and not math.isfinite(norm), "gradient")
        return norm

    def unshard(self) -> None:
        """Under FSDP2 gives every process whole weights until the next forward of each layer; call it in all of them."""
        for module in self.accelerator.unwrap_model(self.model).modules():
            if isinstance(module, FSDPModule):
                module.unshard()

    def refuse_broken_weights(self) -> None:
        """Raises InputError when a trained weight is not finite."""
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self._refuse(not all(bool(torch.isfinite(parameter).all()) for parameter in trained), "weights")

    def _refuse(self, broken: bool, what: str) -> None:
        if broken:
            step = self.state.global_step + (what != "weights")
            raise InputError(
                f"step {step}: the {what} is no finite number; the last good checkpoint is kept. Lower learning_rate "
                "or max_grad_norm, or look at the sprites of that step"
            )

    def _save_checkpoint(self, model, trial):
        """Seals the checkpoint before an older one is given up, so that a kill at any moment leaves a whole one."""
        self.refuse_broken_weights()
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        super()._save_checkpoint(model, trial)
        self.args.save_total_limit = limit
        self.accelerator.wait_for_everyone()  # each process writes its own random state
        if self.args.should_save:
            seal(checkpoint(Path(self.args.output_dir), self.state.global_step))
            keep_newest(Path(self.args.output_dir), limit, self.state.best_model_checkpoint)
