"""Ways to take LoRA steps on the same sprites: TRL's SFTTrainer as it comes and tuned, and ours.

All of them train copies of one base model that share its weights, with a LoRA of the same rank on all linear layers but for the
head, from the same seed, on one batch of the same tokens. A `Stepper` takes optimizer steps through the methods that a trainer's
own loop calls.
"""

import copy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import PrinterCallback, Trainer
from trl import SFTConfig, SFTTrainer

from data_prep.errors import InputError
from data_prep.palette import Palette
from data_prep.prepare import prepare
from data_prep.recipe import PrepareRecipe
from eval.speed.shapes import random_model
from finetune.adapter_folder import load_palette
from finetune.base_models import load_model, load_tokenizer, resolve
from finetune.cell_tokens import CellTokens
from finetune.config import GridSFTConfig
from finetune.precision import cpu_attention
from finetune.trainer import PIXELS, GridCollator, GridSFTTrainer, keep_differentiable, tokenise

STOCK, FUSED, PLAIN = "TRL as it comes", "TRL without checkpointing", "TRL without checkpointing, plain logits"
LIGER, OURS = "TRL with Liger kernels", "ours"
STEPS = 1000  # of the learning rate's schedule: more than are ever taken
SPRITES = 64  # prepared at least: a batch's are of middling length among them


@dataclass(frozen=True)
class Setting:
    """What is trained. random: a shape of `eval.speed.shapes`, in place of `base`; every: one of so many takes the full head."""

    base: str
    random: str | None
    size: int
    batch: int
    rank: int
    every: int
    dtype: str
    device: str

    @property
    def attention(self) -> str:
        """Of ours; the other ways take what transformers takes, SDPA."""
        return "sdpa" if self.device == "cuda" else cpu_attention(self.dtype, self.size)


@dataclass(frozen=True)
class Work:
    """What all ways are given. model: the base, without adapter; rows: the batch, tokenised; place: a folder for TRL's files."""

    setting: Setting
    model: Any
    tokens: CellTokens
    palette: Palette
    rows: list[dict]
    place: Path

    @classmethod
    def make(cls, setting: Setting, place: Path) -> "Work":
        """Loads the base and takes the batch from sprites that are prepared in `place`, unless they were before."""
        model, tokens = _base(setting)
        count = max(SPRITES, 4 * setting.batch)
        recipe = PrepareRecipe("speed", ({"kind": "procedural", "seed": 1, "count": count},), (setting.size,))
        dataset = prepare(recipe, place / "sprites")
        return cls(setting, model, tokens, load_palette(dataset), _batch(dataset, tokens, setting.batch), place)

    @property
    def counted(self) -> int:
        """Tokens of the batch, prompts included, padding left out."""
        return sum(len(row["input_ids"]) for row in self.rows)

    @property
    def taught(self) -> int:
        """Tokens of the batch that the loss is taken over."""
        return sum(label >= 0 for row in self.rows for label in row["labels"])

    def common(self) -> dict:
        """Training arguments of every way; the rest is TRL's defaults, or ours."""
        setting = self.setting
        return {
            "output_dir": str(self.place / "runs"), "per_device_train_batch_size": setting.batch, "max_steps": STEPS,
            "bf16": setting.dtype == "bfloat16", "use_cpu": setting.device == "cpu", "save_strategy": "no", "report_to": "none",
            "disable_tqdm": True,
        }  # fmt: skip

    def parts(self, columns: tuple[str, ...]) -> dict:
        """Of a trainer: base model, data, tokenizer, LoRA. A copy of the base holds its very weights, which no way changes."""
        shared = {id(one): one for one in (*self.model.parameters(), *self.model.buffers())}
        return {
            "model": copy.deepcopy(self.model, shared),
            "train_dataset": Dataset.from_list([{name: row[name] for name in columns} for row in self.rows]),
            "processing_class": copy.deepcopy(self.tokens.tokenizer),  # TRL changes the one that it is given
            "peft_config": LoraConfig(
                r=self.setting.rank, lora_alpha=2 * self.setting.rank, lora_dropout=0.0, target_modules="all-linear",
                task_type="CAUSAL_LM",
            ),
        }  # fmt: skip


def _base(setting: Setting):
    """Model in the setting's dtype, on its device, and tokens."""
    if setting.random:
        torch.manual_seed(0)
        found = random_model(setting.random, setting.device)
        return found.model.to(getattr(torch, setting.dtype)), found.tokens
    base = resolve(setting.base)
    return load_model(base, setting.dtype).to(setting.device), CellTokens(load_tokenizer(base))


def _batch(dataset: Path, tokens: CellTokens, count: int) -> list[dict]:
    """Sprites of like and middling length, as a step of ours holds them: little is padding."""
    rows = [row for file in sorted((dataset / "data").glob("train-*.parquet")) for row in pq.read_table(file).to_pylist()]
    found = sorted((tokenise(row, tokens) for row in rows), key=lambda row: len(row["input_ids"]))
    if len(found) < count:
        raise InputError(f"bench train: {len(found)} sprites were prepared for a batch of {count}; take a smaller batch")
    start = (len(found) - count) // 2
    return found[start : start + count]


class PlainLogits(SFTTrainer):
    """TRL with the loss of transformers' Trainer, from all logits at once: what TRL's notes on `compute_loss_func` advise."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        return Trainer.compute_loss(self, model, inputs | {"use_cache": False}, return_outputs, num_items_in_batch)


def stock(work: Work, kind: type[SFTTrainer] = SFTTrainer, **changed):
    """TRL's trainer with its defaults but for what `changed` names; attention as transformers takes it (SDPA)."""
    args = SFTConfig(**work.common(), max_length=max(len(row["input_ids"]) for row in work.rows), **changed)
    return kind(args=args, **work.parts(("input_ids", "labels")))


def ours(work: Work) -> GridSFTTrainer:
    """As `finetune.setup.Run` makes it from a recipe."""
    parts, pad = work.parts(("input_ids", "labels", PIXELS)), work.tokens.tokenizer.pad_token_id
    parts["model"].set_attn_implementation(work.setting.attention)
    keep_differentiable(parts["model"])
    return GridSFTTrainer(
        args=GridSFTConfig(**work.common()), data_collator=GridCollator(work.tokens.end_id if pad is None else pad),
        allowed_ids=work.tokens.allowed_ids([work.palette]), full_head_every=work.setting.every, **parts,
    )  # fmt: skip


BUILD: dict[str, Callable[[Work], SFTTrainer]] = {
    STOCK: stock,
    FUSED: lambda work: stock(work, activation_checkpointing=False),
    PLAIN: lambda work: stock(work, PlainLogits, activation_checkpointing=False),
    LIGER: lambda work: stock(work, activation_checkpointing=False, use_liger_kernel=True),
    OURS: ours,
}


def left_out(device: str) -> dict[str, str]:
    """Way → why it is not run here."""
    if device != "cuda":
        return {LIGER: "its kernels run on a GPU alone"}
    return {} if find_spec("liger_kernel") else {LIGER: "liger_kernel is not installed"}


class Stepper:
    """Takes optimizer steps of one way, each on the same batch, as the loop of its trainer does."""

    def __init__(self, work: Work, way: str):
        self.trainer, self.every = BUILD[way](work), work.setting.every
        self.trainer.remove_callback(PrinterCallback)
        _move_off_zero(self.trainer.model)
        self._patched: dict = {}
        self._as_training_begins()
        loader = self.trainer.get_train_dataloader()
        batches, self.count = self.trainer.get_batch_samples(iter(loader), 1, self.trainer.args.device)
        self.batch: dict[str, torch.Tensor] = batches[0]

    def _as_training_begins(self) -> None:
        """What train() does before its loop."""
        trainer, args = self.trainer, self.trainer.args
        if args.use_liger_kernel:
            self._patch()
        if args.activation_checkpointing:
            trainer.model.activation_checkpointing_enable(activation_checkpointing_kwargs=args.activation_checkpointing_kwargs)
        trainer.create_optimizer()
        self.model, trainer.optimizer = trainer.accelerator.prepare(trainer.model, trainer.optimizer)
        trainer.create_scheduler(num_training_steps=STEPS)
        trainer.current_gradient_accumulation_steps = 1

    def _patch(self) -> None:
        """Liger changes the model, and names in the module of its class, which other ways must not see: noted and put back."""
        from transformers.integrations.liger import apply_liger_kernel

        names = _names_of(self.trainer.model)
        before = dict(names)
        apply_liger_kernel(self.trainer.model, self.trainer.args.liger_kernel_config)
        self._patched = {name: value for name, value in names.items() if before.get(name) is not value}
        names.update({name: before[name] for name in self._patched})

    @contextmanager
    def _with_patches(self) -> Iterator[None]:
        names = _names_of(self.trainer.model)
        before = {name: names[name] for name in self._patched}
        names.update(self._patched)
        try:
            yield
        finally:
            names.update(before)

    def backward(self, full: bool = True) -> float:
        """The loss; leaves gradients. full: of our trainer, whether the step takes the full head."""
        self.trainer.state.global_step = self.every - 1 if full else 0
        if not full and self.trainer.takes_full_head():
            raise InputError("bench train: with --full-head-every 1 no step takes the restricted head")
        with self._with_patches():
            return float(self.trainer.training_step(self.model, dict(self.batch), self.count))

    def step(self, full: bool = True) -> None:
        """A whole optimizer step; returns when a GPU has done it."""
        trainer = self.trainer
        self.backward(full)
        norm = trainer._clip_grad_norm(self.model) if trainer.args.max_grad_norm > 0 else None
        trainer._get_grad_norm(self.model, grad_norm=norm)
        trainer.optimizer.step()
        trainer.lr_scheduler.step()
        self.model.zero_grad()
        if trainer.args.device.type == "cuda":
            torch.cuda.synchronize()

    def gradient(self) -> torch.Tensor:
        """(parameters of the LoRA,) float32, of the last `backward`; takes it away."""
        found = [one.grad.float().flatten() for one in self.model.parameters() if one.grad is not None]
        self.model.zero_grad()
        return torch.cat(found)


def _names_of(model) -> dict:
    """Those of the module in which the base model's class is written."""
    return vars(sys.modules[type(model.get_base_model()).__module__])


def _move_off_zero(model) -> None:
    """A LoRA begins as zero, which would hide what is lost of it: every way's gets the same small numbers."""
    dice = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.02 * torch.randn(parameter.shape, generator=dice))
