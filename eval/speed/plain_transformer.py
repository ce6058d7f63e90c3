"""The sprite transformer as one would write it without this project: nanoGPT's way to train it, and to sample from it.

The same network under the same names of weights; written apart, so that what both come to is a check of either. From ours comes
the table of neighbours alone (`known_before`), which says what the network is.
"""

from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from eval.baseline.sprite_transformer import SpriteTransformerConfig, known_before
from eval.decoding import gumbel_noise


class PlainBlock(nn.Module):
    """Pre-norm causal self-attention and MLP."""

    def __init__(self, config: SpriteTransformerConfig):
        super().__init__()
        d, self.config = config.width, config
        self.norm_1, self.norm_2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv = nn.Linear(d, (config.heads + 2 * config.kv_heads) * config.head_width)
        self.out = nn.Linear(config.heads * config.head_width, d)
        self.up, self.down = nn.Linear(d, config.hidden), nn.Linear(config.hidden, d)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.out(self.attention(self.norm_1(x)))
        return x + self.down(F.gelu(self.up(self.norm_2(x)), approximate="tanh"))

    def attention(self, x: torch.Tensor) -> torch.Tensor:
        (batch, length, _), c = x.shape, self.config
        q, k, v = self.qkv(x).split([c.heads * c.head_width, c.kv_heads * c.head_width, c.kv_heads * c.head_width], 2)
        q = q.view(batch, length, c.heads, c.head_width).transpose(1, 2)
        k = k.view(batch, length, c.kv_heads, c.head_width).transpose(1, 2).repeat_interleave(c.heads // c.kv_heads, 1)
        v = v.view(batch, length, c.kv_heads, c.head_width).transpose(1, 2).repeat_interleave(c.heads // c.kv_heads, 1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return y.transpose(1, 2).reshape(batch, length, -1)


class PlainTransformer(nn.Module):
    """A `grid` network for sprites of one size. forward: the first `count` pixels of (B, H·W) → (B, count, entries) logits."""

    shown: torch.Tensor
    at: torch.Tensor
    starts: torch.Tensor

    def __init__(self, config: SpriteTransformerConfig, side: int):
        super().__init__()
        d, self.config, self.side = config.width, config, side
        self.condition = nn.Embedding(sum(config.classes) + len(config.classes), d)
        self.places = nn.ModuleList(nn.Embedding(32, d) for _ in range(4))
        self.pixel = nn.Embedding(config.entries + 1, config.pixel_width)
        shown = known_before(side, side, config.positions)
        self.mix = nn.Linear(shown.shape[1] * config.pixel_width, d)
        self.blocks = nn.ModuleList(PlainBlock(config) for _ in range(config.layers))
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, config.entries, bias=False)
        pixels = torch.arange(side * side)
        row, column = pixels // side, pixels % side
        self.register_buffer("shown", shown, persistent=False)
        self.register_buffer("at", torch.stack([row, side - 1 - row, column, side - 1 - column]), persistent=False)
        starts = np.cumsum([0, *(size + 1 for size in config.classes[:-1])])
        self.register_buffer("starts", torch.tensor(starts), persistent=False)

    def forward(self, pixels: torch.Tensor, told: torch.Tensor, count: int | None = None) -> torch.Tensor:
        told = self.condition(told + self.starts)
        around = F.pad(pixels, (0, 1), value=self.config.entries)[:, self.shown[:count]]
        x = self.mix(self.pixel(around).flatten(2)) + told.sum(1, keepdim=True)
        for table, at in zip(self.places, self.at, strict=True):
            x = x + table(at[:count])
        x = torch.cat([told, x], 1)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, told.shape[1] :]))


class PlainLoop:
    """nanoGPT's loop: random sprites, autocast, clipped gradients, AdamW in two groups, a loss that is read now and then.

    grids: (N, H, W) uint8; told: (N, slots). It keeps no average of the weights, and its sprites may repeat within an epoch.
    """

    def __init__(self, model: PlainTransformer, grids: np.ndarray, told: np.ndarray, recipe, dtype: str):
        self.model, self.grids, self.told, self.recipe, self.steps = model, grids, told, recipe, 0
        self.device = model.head.weight.device
        decayed = [value for value in model.parameters() if value.dim() >= 2]
        others = [value for value in model.parameters() if value.dim() < 2]
        groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
        fused = self.device.type == "cuda"  # as nanoGPT does
        self.optimiser = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, recipe.beta2), fused=fused)
        self.autocast = nullcontext() if dtype == "float32" else torch.autocast(self.device.type, getattr(torch, dtype))

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        numbers = torch.randint(len(self.grids), (self.recipe.batch_size,)).tolist()
        pixels = torch.stack([torch.from_numpy(self.grids[n].astype(np.int64)).flatten() for n in numbers])
        return pixels.to(self.device), torch.from_numpy(self.told[numbers]).to(self.device)

    def loss(self, pixels: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        with self.autocast:
            logits = self.model(pixels, told)
            return F.cross_entropy(logits.view(-1, logits.shape[-1]), pixels.view(-1))

    def step(self) -> None:
        recipe = self.recipe
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.learning_rate * min(1.0, (self.steps + 1) / max(1, recipe.warmup_steps))
        loss = self.loss(*self.batch())
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        if self.steps % 10 == 0:
            loss.item()
        self.steps += 1


@torch.inference_mode()
def draw_uncached(model: PlainTransformer, told: np.ndarray, keys: Sequence[tuple[int, int]]) -> np.ndarray:
    """(B, H, W) uint8 grids: for every pixel all before it go through the network again, as in nanoGPT's `generate`.

    keys: (seed, index) of each grid, which say its noise as they do in ours; told: (B, slots).
    """
    count, device = model.side**2, model.head.weight.device
    noise = torch.from_numpy(np.stack([gumbel_noise(*key, count, model.config.entries) for key in keys], 1)).to(device)
    pixels, slots = torch.zeros(len(keys), count, dtype=torch.long, device=device), torch.from_numpy(told).to(device)
    for pixel in range(count):
        logits = model(pixels, slots, pixel + 1)[:, -1]
        pixels[:, pixel] = (logits + noise[pixel]).argmax(-1)
    return pixels.view(-1, model.side, model.side).to(torch.uint8).cpu().numpy()
