"""Drawing with a sprite transformer: a key–value cache in static tensors, one step a pixel, many sprites a batch.

Noise is keyed by (seed, index, pixel), so a sprite does not depend on its batch beyond float32 rounding.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from eval.baseline.sprite_transformer import SpriteTransformer, known_before
from eval.decoding import Sampling, choose, gumbel_noise


class Cursor:
    """A batch of grids that grow together, pixel by pixel. keys, values: (layers, B, kv heads, slots + H·W, head width)."""

    def __init__(self, model: SpriteTransformer, conditions: torch.Tensor, height: int, width: int):
        self.model, self.length = model, conditions.shape[1]
        self.shown = known_before(height, width, model.config.positions).to(conditions.device)
        self.places = model.place(height, width)
        config, head = model.config, model.head.weight
        shape = (config.layers, len(conditions), config.kv_heads, self.length + height * width, config.head_width)
        self.keys, self.values = head.new_empty(shape), head.new_empty(shape)
        x = model.condition_tokens(conditions)
        self.summary = model.summary(x)[:, 0]
        for block, keys, values in zip(model.blocks, self.keys, self.values, strict=True):
            q, k, v = block.project(x)
            keys[:, :, : self.length], values[:, :, : self.length] = k, v
            x = block.finish(x, block.attend(q, k, v))

    def logits(self, canvas: torch.Tensor, pixel: int) -> torch.Tensor:
        """(B, entries) of the next pixel; canvas: (B, H·W + 1) with all pixels before it."""
        here = slice(pixel, pixel + 1)
        x = self.model.pixel_tokens(canvas, self.shown[here], self.places[here])[:, 0] + self.summary
        at, batch, config = self.length + pixel, len(canvas), self.model.config
        query, kv = config.heads * config.head_width, config.kv_heads * config.head_width
        for block, keys, values in zip(self.model.blocks, self.keys, self.values, strict=True):
            q, k, v = block.qkv(block.norm_1(x)).split([query, kv, kv], 1)
            keys[:, :, at] = k.view(batch, config.kv_heads, -1)
            values[:, :, at] = v.view(batch, config.kv_heads, -1)
            # The query heads of one key–value head stand in as queries of one head: one matrix product, no copies.
            q = q.view(batch, config.kv_heads, -1, config.head_width)
            attended = F.scaled_dot_product_attention(q, keys[:, :, : at + 1], values[:, :, : at + 1])
            x = block.finish(x, attended.flatten(1))
        return self.model.head(self.model.norm(x))


@torch.inference_mode()
def draw_grids(
    model: SpriteTransformer,
    conditions: np.ndarray,
    size: tuple[int, int],
    keys: Sequence[tuple[int, int]],
    sampling: Sampling,
    shares: Sequence[float] = (1.0,),
    given: np.ndarray | None = None,
) -> np.ndarray:
    """Draws (B, H, W) uint8 grids of one size.

    conditions: (branches, B, slots) class numbers; shares: weight of each branch's log-probabilities in the drawing (guidance
    and mixing). keys: (seed, index) of each grid; given: (B, H, W) pixels that stand, −1 where the model draws.
    """
    height, width = size
    device, entries, pixels = model.head.weight.device, model.config.entries, height * width
    gumbel = np.stack([gumbel_noise(*key, pixels, entries) for key in keys], 1)  # (pixels, B, entries)
    stood = np.full((pixels, len(keys)), -1) if given is None else given.reshape(len(keys), -1).T.astype(int)
    noise, stands = torch.from_numpy(gumbel).to(device), torch.from_numpy(stood).to(device)
    is_open = (stands < 0).any(1).tolist()
    canvas = torch.full((len(keys), pixels + 1), entries, device=device)
    told = torch.from_numpy(np.ascontiguousarray(conditions, np.int64)).to(device)
    cursor = Cursor(model, told.flatten(0, 1), height, width)
    weights = torch.tensor(shares, device=device)[:, None, None]
    for pixel in range(pixels):
        logits = cursor.logits(canvas.repeat(len(told), 1) if len(told) > 1 else canvas, pixel)
        if is_open[pixel]:
            logits = (logits.view(len(told), len(keys), entries).log_softmax(-1) * weights).sum(0)
            drawn = choose(logits, noise[pixel], sampling)
            canvas[:, pixel] = drawn if given is None else torch.where(stands[pixel] < 0, drawn, stands[pixel])
        else:
            canvas[:, pixel] = stands[pixel]
        row = slice(pixel + 1 - width, pixel + 1)
        if sampling.on_row and (pixel + 1) % width == 0 and any(is_open[row]):
            sampling.on_row(keys, pixel // width, canvas[:, row].to(torch.uint8).cpu().numpy())
    return canvas[:, :-1].view(-1, height, width).to(torch.uint8).cpu().numpy()


@torch.inference_mode()
def bits(model: SpriteTransformer, grids: np.ndarray, conditions: np.ndarray, batch_size: int = 32) -> np.ndarray:
    """(N,) −log2 p of all pixels of (N, H, W) uint8 grids under (N, slots) class numbers."""
    found, device = [], model.head.weight.device
    for start in range(0, len(grids), batch_size):
        here = slice(start, start + batch_size)
        grid = torch.from_numpy(grids[here].astype(np.int64)).to(device)
        logits = model(grid, torch.from_numpy(np.asarray(conditions[here], np.int64)).to(device)).float()
        nats = F.cross_entropy(logits.transpose(1, 2), grid.flatten(1), reduction="none").sum(1)
        found.append(nats.cpu().numpy() / np.log(2))
    return np.concatenate(found)
