"""Trains one rung of the ladder with one seed: a LoRA on the base model, by the same trainer as every adapter."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from data_prep.augment import Augmentation
from data_prep.sources.procedural import split_of, sprites
from data_prep.sprite import Sprite
from eval.bench.ladder.forms import Asked, palette
from eval.bench.ladder.queue import Settings
from eval.bench.ladder.rungs import Rung
from finetune.base_models import BaseModel, load_model
from finetune.cell_tokens import CellTokens
from finetune.precision import cpu_attention
from finetune.trainer import IGNORED, PIXELS, ROW, GridCollator, GridSFTTrainer

SPRITES_A_STEP = 4
EMPTY_CAPTIONS = 0.1
MOST_WEIGHT = 10.0
FIRST_SEED = 100  # of the procedural source: no training sprite has the seed of those that are measured


def training_sprites(rung: Rung, size: int, count: int, seed: int) -> list[Sprite]:
    """The sprites of a run in the order in which they are seen, augmented where the rung says so."""
    distinct = max(SPRITES_A_STEP, round(count * rung.distinct))
    drawn = (sprite for sprite in sprites(FIRST_SEED + seed, size) if split_of(sprite.tags) == "train")
    pool = list(islice(drawn, distinct))
    random = np.random.default_rng([seed, size])
    order = np.concatenate([random.permutation(distinct) for _ in range(-(-count // distinct))])[:count]
    augmentation = Augmentation(flip=0.5, hue=0.5) if rung.augmented else Augmentation()
    return [augmentation.of(pool[number], random) for number in order]


def rows_of(rung: Rung, chosen: Sequence[Sprite], tokens: CellTokens, seed: int) -> list[dict]:
    """The pairs as a trainer reads them; captions of one in ten are emptied on the rungs that have captions."""
    random = np.random.default_rng([seed, 1])
    rows = []
    for number, sprite in enumerate(chosen):
        asked = Asked.of(sprite, rung)
        emptied = random.random() < EMPTY_CAPTIONS and not rung.named
        prompt = tokens.prompt_ids(asked.messages("" if emptied else None))
        schedule = asked.schedule(tokens)
        ids = schedule.fill(asked.places)
        pixels = np.zeros(len(prompt) + len(ids), bool)
        pixels[len(prompt) + schedule.pixels] = True
        labels = [IGNORED] * len(prompt) + ids.tolist()
        rows.append({"input_ids": prompt + ids.tolist(), "labels": labels, PIXELS: pixels.tolist(), ROW: number})
    return rows


def inverse_frequency(rows: Sequence[dict], vocabulary: int) -> torch.Tensor:
    """(vocabulary,) float32: mean count of the labels by each one's own, at most MOST_WEIGHT; 0 for what no answer holds."""
    labels = np.concatenate([row["labels"] for row in rows])
    counts = np.bincount(labels[labels != IGNORED], minlength=vocabulary)
    weights = np.where(counts > 0, counts[counts > 0].mean() / np.maximum(counts, 1), 0)
    return torch.tensor(np.minimum(weights, MOST_WEIGHT), dtype=torch.float32)


class WeightedTrainer(GridSFTTrainer):
    """With the published loss: over the whole vocabulary, each label weighted. weights: (vocabulary,)."""

    weights: torch.Tensor

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        self._count(inputs["attention_mask"])
        rest = {key: value for key, value in inputs.items() if key not in ("labels", PIXELS)}
        logits = model(**rest, use_cache=False).logits[:, :-1].float()
        labels, weight = inputs["labels"][:, 1:], self.weights.to(logits.device)
        return cross_entropy(logits.flatten(0, 1), labels.flatten(), weight=weight, ignore_index=IGNORED)


def train(rung: Rung, settings: Settings, seed: int, base: BaseModel, tokens: CellTokens, out: Path, device: str = "cpu"):
    """The trained model, a PeftModel in evaluation mode. Writes nothing that stays. device: cpu or cuda."""
    from datasets import Dataset, disable_progress_bars
    from peft import LoraConfig
    from transformers import PrinterCallback, set_seed

    from finetune.config import GridSFTConfig

    disable_progress_bars()
    set_seed(seed)
    rows = rows_of(rung, training_sprites(rung, settings.size, settings.sprites, seed), tokens, seed)
    args = GridSFTConfig(
        output_dir=str(out), learning_rate=rung.learning_rate, per_device_train_batch_size=SPRITES_A_STEP,
        max_steps=-(-settings.sprites // SPRITES_A_STEP), save_strategy="no", report_to=[], seed=seed,
        bf16=settings.dtype == "bfloat16", use_cpu=device == "cpu",
        train_sampling_strategy="sequential", logging_steps=10, max_length=1024 if rung.weighted else None,
    )  # fmt: skip
    targets = rung.targets if isinstance(rung.targets, str) else list(rung.targets)
    lora = LoraConfig(r=16, lora_alpha=32, lora_dropout=rung.dropout, target_modules=targets, task_type="CAUSAL_LM")
    attention = cpu_attention(settings.dtype, settings.size) if device == "cpu" else "sdpa"
    model = load_model(base, settings.dtype, attn_implementation=attention)
    used = np.unique(np.concatenate([row["labels"] for row in rows]))
    trainer = (WeightedTrainer if rung.weighted else GridSFTTrainer)(
        model=model, args=args, train_dataset=Dataset.from_list(rows), processing_class=tokens.tokenizer, peft_config=lora,
        data_collator=GridCollator(tokens.tokenizer.pad_token_id or tokens.end_id), full_head_every=rung.full_head_every,
        allowed_ids=np.union1d(tokens.allowed_ids([palette()]), used[used != IGNORED]),
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    if isinstance(trainer, WeightedTrainer):
        trainer.weights = inverse_frequency(rows, model.get_input_embeddings().num_embeddings)
    trainer.train()
    trainer.refuse_broken_weights()
    return trainer.model.eval()
