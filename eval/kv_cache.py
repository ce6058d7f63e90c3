"""What makes a decoding step of a stock transformers model quick: a cache with room, and attention in groups of heads.

Both compute what the stock parts compute. `DynamicCache` copies its whole past at every token. `scaled_dot_product_attention`
with `enable_gqa` repeats each key head for its query heads, which at one query a step made attention six times slower on a CPU
than taking the query heads of a key head as so many queries.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import DynamicCache, DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

GROUPED = "sdpa_grouped"


class RoomyLayer(DynamicLayer):
    """A cache layer that goes on from another one, in buffers that are made once. room: the most tokens that it holds."""

    def __init__(self, before: DynamicLayer, room: int):
        super().__init__()
        self.lazy_initialization(before.keys, before.values)
        self.buffers = [_buffer(states, room) for states in (before.keys, before.values)]
        self._show(before.keys.shape[-2])

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs):
        """(B, heads, n, d) new states → all states, as views of the buffers."""
        start, end = self.keys.shape[-2], self.keys.shape[-2] + key_states.shape[-2]
        for buffer, states in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[:, :, start:end] = states
        self._show(end)
        return self.keys, self.values

    def drop_last(self, tokens: int) -> None:
        self._show(self.keys.shape[-2] - tokens)

    def _show(self, length: int) -> None:
        self.keys, self.values = (buffer[:, :, :length] for buffer in self.buffers)


def with_room(cache, sequences: torch.Tensor, room: int) -> None:
    """Gives a DynamicCache, in place, the states of these of its sequences, with room for so many tokens.

    sequences: (B,) int64, any of them several times. Layers that keep a sliding window stay as they are.
    """
    cache.batch_select_indices(sequences)
    cache.layers = [RoomyLayer(layer, room) if type(layer) is DynamicLayer else layer for layer in cache.layers]


def can_go_back(config) -> bool:
    """Whether `drop_last` works for a model's cache: a layer with a sliding window has forgotten what went before."""
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=config).layers)


def drop_last(cache, tokens: int) -> None:
    """Forgets the last so many tokens of a cache that `with_room` made."""
    for layer in cache.layers if tokens else ():
        layer.drop_last(tokens)


def _buffer(states: torch.Tensor, room: int) -> torch.Tensor:
    batch, heads, length, width = states.shape
    buffer = states.new_empty(batch, heads, max(room, length), width)
    buffer[:, :, :length] = states
    return buffer


def grouped_attention(module, query, key, value, attention_mask=None, dropout: float = 0.0, scaling=None, **kwargs):
    """(B, query heads, n, d) queries against (B, key heads, T, d) → (B, n, query heads, d), and no weights.

    attention_mask: (B, 1, n, T) or None. Several queries without a mask are left to the stock function, which knows that
    they are causal.
    """
    batch, heads, length, width = query.shape
    if (attention_mask is None and length > 1) or (attention_mask is not None and attention_mask.shape[1] != 1):
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **kwargs)
    groups = heads // key.shape[1]
    query = query.reshape(batch, key.shape[1], groups * length, width)
    mask = None if attention_mask is None else attention_mask.repeat(1, 1, groups, 1)
    out = scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout, scale=scaling)
    return out.view(batch, heads, length, -1).transpose(1, 2).contiguous(), None


AttentionInterface.register(GROUPED, grouped_attention)
AttentionMaskInterface.register(GROUPED, sdpa_mask)


@contextmanager
def grouped(causal) -> Iterator[None]:
    """Within it a model that attends by stock SDPA does so in groups; others are left as they are."""
    before = causal.config._attn_implementation
    if before == "sdpa":
        causal.config._attn_implementation = GROUPED
    try:
        yield
    finally:
        causal.config._attn_implementation = before


def states_of(causal, ids: torch.Tensor, mask: torch.Tensor | None, positions: torch.Tensor, cache) -> torch.Tensor:
    """(B, n, d) last states of (B, n) ids at these positions behind a cache, which takes them up. mask: as the model takes it."""
    with grouped(causal):
        out = causal.base_model(input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True)
    return out.last_hidden_state
