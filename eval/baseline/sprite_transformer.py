"""SpriteTransformer: a causal transformer of 2.9M parameters that draws palette indices in raster order, from scratch.

A sequence is the condition tokens, one a slot, then one token a pixel. The token of a pixel holds what is known before
it is drawn: its place, the pixels around it that stand already and, in a `grid` model, the sum of the condition tokens,
without which it is slow to learn to heed them. Its output is that pixel's logits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import nn

from data_prep.errors import InputError

MAX_SIDE = 32
# (rows down, columns right) of the drawn pixels that a token is shown; the mirrored one comes on top.
NEIGHBOURS = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-1, -2), (-1, 2), (-2, -1), (-2, 1))
RASTER, GRID = "raster", "grid"
SHORT = 512  # tokens; beyond, the scores of a batch take too much memory
MOST, MOST_LAYERS = 2**16, 256  # of a shape's numbers: a file may state any


@dataclass(frozen=True)
class SpriteTransformerConfig:
    """Shape of the network. classes: for each condition slot its number of values, 'unstated' not counted.

    positions: `raster` (one learned vector for each place in the sequence, and the previous pixel as input) or `grid` (learned
    vectors for the rows from the top and from the bottom and for the columns from either side, and all drawn
    neighbours and the mirrored pixel as input). kv_heads: key–value heads, shared by the query heads alike;
    one narrow one makes sampling fast, for a batch's cache has to fit the processor's.
    """

    entries: int = 64
    classes: tuple[int, ...] = (5, 6)
    width: int = 256
    layers: int = 5
    heads: int = 4
    kv_heads: int = 1
    head_width: int = 32
    hidden: int = 896
    pixel_width: int = 32
    positions: str = GRID

    def __post_init__(self):
        object.__setattr__(self, "classes", tuple(self.classes))
        for key, value in vars(self).items():
            most = MOST_LAYERS if key == "layers" else MOST
            if key not in ("classes", "positions") and (type(value) is not int or not 1 <= value <= most):
                raise InputError(f"{key}: {value!r}; it takes a whole number from 1 to {most}")
        if self.positions not in (RASTER, GRID):
            raise InputError(f"positions: {self.positions!r}; it takes {RASTER} or {GRID}")
        if self.heads % self.kv_heads:
            raise InputError(f"heads: {self.heads}; it must be a multiple of kv_heads {self.kv_heads}")


class SpriteTransformer(nn.Module):
    """forward: (B, H, W) long grids and (B, slots) long conditions → (B, H·W, entries) logits of every pixel."""

    condition_starts: torch.Tensor

    def __init__(self, config: SpriteTransformerConfig):
        super().__init__()
        self.config = config
        d = config.width
        self.condition = nn.Embedding(sum(config.classes) + len(config.classes), d)
        starts = [sum(config.classes[:slot]) + slot for slot in range(len(config.classes))]
        self.register_buffer("condition_starts", torch.tensor(starts, dtype=torch.long), persistent=False)
        is_grid = config.positions == GRID
        places = [nn.Embedding(MAX_SIDE, d) for _ in range(4)] if is_grid else [nn.Embedding(MAX_SIDE**2, d)]
        self.places: Sequence[nn.Embedding] = nn.ModuleList(places)  # type: ignore[assignment]  # stubs lack generics
        self.pixel = nn.Embedding(config.entries + 1, config.pixel_width if is_grid else d)  # the last: no pixel there
        self.mix = nn.Linear((len(NEIGHBOURS) + 1) * config.pixel_width, d) if is_grid else nn.Identity()
        blocks = [Block(config) for _ in range(config.layers)]
        self.blocks: Sequence[Block] = nn.ModuleList(blocks)  # type: ignore[assignment]  # stubs lack generics
        self.norm = nn.LayerNorm(d)
        self.head = nn.Linear(d, config.entries, bias=False)
        self.apply(_initialise)
        for block in self.blocks:  # the residual stream keeps its scale at any depth (GPT-2)
            for last in (block.out, block.down):
                nn.init.normal_(last.weight, std=0.02 / (2 * config.layers) ** 0.5)

    def forward(self, grids: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
        height, width = grids.shape[1:]
        shown = known_before(height, width, self.config.positions).to(grids.device)
        told = self.condition_tokens(conditions)
        pixels = self.pixel_tokens(self.canvas(grids), shown, self.place(height, width)) + self.summary(told)
        x = torch.cat([told, pixels], 1)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, conditions.shape[1] :]))

    def condition_tokens(self, conditions: torch.Tensor) -> torch.Tensor:
        """(B, slots) class numbers → (B, slots, d)."""
        return self.condition(conditions + self.condition_starts)

    def summary(self, told: torch.Tensor) -> torch.Tensor:
        """(B, slots, d) condition tokens → (B, 1, d), which every pixel of a `grid` model is given besides."""
        return told.sum(1, keepdim=True) * (self.config.positions == GRID)

    def canvas(self, grids: torch.Tensor) -> torch.Tensor:
        """(B, H, W) → (B, H·W + 1): the pixels in raster order and, behind them, the one that is not there."""
        return F.pad(grids.flatten(1), (0, 1), value=self.config.entries)

    def pixel_tokens(self, canvas: torch.Tensor, shown: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """(B, n, d) input tokens of n pixels. shown: (n, context) of `known_before`; places: (n, d) of `place`."""
        return self.mix(self.pixel(canvas[:, shown]).flatten(2)) + places

    def place(self, height: int, width: int) -> torch.Tensor:
        """(H·W, d) what a token is told of its place."""
        if self.config.positions == RASTER:
            return self.places[0].weight[: height * width]
        top, bottom, left, right = (table.weight for table in self.places)
        rows, columns = top[:height] + bottom[:height].flip(0), left[:width] + right[:width].flip(0)
        return (rows[:, None] + columns[None]).flatten(0, 1)


class Block(nn.Module):
    """Pre-norm attention and MLP; one matrix makes queries, keys and values. (B, T, d) → (B, T, d)."""

    def __init__(self, config: SpriteTransformerConfig):
        super().__init__()
        d, self.heads, self.kv_heads, self.head_width = config.width, config.heads, config.kv_heads, config.head_width
        self.norm_1, self.norm_2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv = nn.Linear(d, (self.heads + 2 * self.kv_heads) * self.head_width)
        self.out = nn.Linear(self.heads * self.head_width, d)
        self.up, self.down = nn.Linear(d, config.hidden), nn.Linear(config.hidden, d)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.finish(x, self.attend(*self.project(x)))

    def project(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries (B, heads, T, head width), keys and values (B, kv heads, T, head width)."""
        parts = self.qkv(self.norm_1(x)).unflatten(-1, (-1, self.head_width)).transpose(1, 2)
        return parts.split([self.heads, self.kv_heads, self.kv_heads], 1)

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Causal attention of whole sequences: (B, T, heads · head width)."""
        if q.requires_grad and q.device.type == "cpu" and q.dtype == torch.bfloat16 and q.shape[2] <= SHORT:
            return self.attend_short(q, k, v).transpose(1, 2).flatten(2)
        k, v = (part.repeat_interleave(self.heads // self.kv_heads, 1) for part in (k, v))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)

    def attend_short(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """The same as plain matrix products, (B, heads, T, head width). In bfloat16 on a CPU the fused kernel's backward pass
        takes longer than all the rest of a step: 65 ms a layer at 16 × 265 tokens, these 25. In float32 it is the faster way."""
        length = q.shape[2]
        q = q.unflatten(1, (self.kv_heads, -1)).flatten(2, 3)  # the queries of all heads that share keys, one below the other
        scores = (q @ k.mT).unflatten(2, (-1, length)) * self.head_width**-0.5
        future = torch.full((length, length), -torch.inf, dtype=scores.dtype, device=q.device).triu(1)
        attended = (scores + future).softmax(-1).flatten(2, 3).to(v.dtype) @ v
        return attended.unflatten(2, (-1, length)).flatten(1, 2)

    def finish(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        x = x + self.out(attended)
        return x + self.down(F.gelu(self.up(self.norm_2(x)), approximate="tanh"))


@lru_cache
def known_before(height: int, width: int, positions: str) -> torch.Tensor:
    """(H·W, context) places on the canvas that each pixel's token is shown; H·W where there is nothing yet."""
    rows = []
    for y in range(height):
        for x in range(width):
            if positions == RASTER:
                rows.append([y * width + x - 1 if y or x else height * width])
                continue
            around = [(y + down, x + right) for down, right in NEIGHBOURS]
            around.append((y, width - 1 - x if width - 1 - x < x else -1))
            inside = (row >= 0 and 0 <= column < width for row, column in around)
            rows.append([r * width + c if ok else height * width for (r, c), ok in zip(around, inside, strict=True)])
    return torch.tensor(rows)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


def parameter_count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
