"""Random and trainable sprite transformers that are small enough for tests."""

from pathlib import Path

import torch

from eval.baseline.config import TrainRecipe
from eval.baseline.sprite_transformer import SpriteTransformer, SpriteTransformerConfig

TINY = {"width": 32, "layers": 2, "heads": 4, "kv_heads": 2, "head_width": 8, "hidden": 64, "pixel_width": 8}


def tiny_recipe(dataset: Path, out: Path, **changes) -> TrainRecipe:
    keys = {
        "steps": 12, "conditions": "tags", "shape": TINY, "batch_size": 8, "learning_rate": 0.01, "warmup_steps": 2,
        "bf16": False, "log_every": 3, "evaluate_every": 6, "eval_sprites": 12, "sheet_sprites": 2, "save_every": 4, "flips": 0.3,
    }  # fmt: skip
    return TrainRecipe(str(dataset), str(out), **keys | changes)


SMALL = {"entries": 7, "classes": (3, 2), "width": 32, "layers": 2, "heads": 4, "head_width": 8, "hidden": 48, "pixel_width": 8}


def small(**changes) -> SpriteTransformer:
    torch.manual_seed(1)
    return shaken(SpriteTransformer(SpriteTransformerConfig(**SMALL | changes)).eval())


def shaken(model: SpriteTransformer) -> SpriteTransformer:
    """The same model with weights so large that every input tells."""
    torch.manual_seed(2)
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return model
