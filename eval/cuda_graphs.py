"""Decoding steps of fixed shapes, which a GPU replays as CUDA graphs: at small batches it takes longer to launch kernels one by
one from Python than to run them.

A step writes its keys and values into buffers of one length and sees as much of them as its mask lets through, so that every
step with as many new tokens is the same work at the same addresses: one graph for a pixel within a row, one for the first of a
row with what stands before it, one with all guesses. On a CPU the same steps run without graphs, which is what tests compare.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from transformers.cache_utils import DynamicLayer

from eval.kv_cache import states_of

ROOM_STEP = 64  # buffers are this much longer at a time, so that captions of other lengths find the same graphs
_KEPT: WeakKeyDictionary = WeakKeyDictionary()  # model → its last decoder; a batch of another shape takes its place


@dataclass
class _Step:
    """The inputs of all steps with n new tokens, at fixed addresses, and on a GPU the graph that reads them.

    ids: (B, n) int64; mask: (B, 1, n, room) bool; positions: (B, n) int64; places: (n,) int64 in the buffers; states: (B, n, d).
    """

    ids: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor
    places: torch.Tensor
    states: Any = None  # torch.Tensor, once the step has been recorded
    graph: Any = None  # torch.cuda.CUDAGraph


class _FixedLayer(DynamicLayer):
    """A cache layer of one length, written where the decoder's present step says."""

    def __init__(self, before: DynamicLayer, decoder: "FixedDecoder"):
        super().__init__()
        self.lazy_initialization(before.keys, before.values)
        shapes = [(decoder.batch, one.shape[1], decoder.room, one.shape[3]) for one in (before.keys, before.values)]
        self.keys, self.values = (before.keys.new_zeros(shape) for shape in shapes)
        self.decoder = decoder

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs):
        """(B, heads, n, d) new states → the whole buffers; what is not written yet is masked."""
        for buffer, states in ((self.keys, key_states), (self.values, value_states)):
            buffer.index_copy_(2, self.decoder.places, states)
        return self.keys, self.values


@dataclass(eq=False)
class FixedDecoder:
    """Decoding steps of `batch` sequences with room for `room` tokens each."""

    causal: Callable[[], Any]  # a weak reference to the PreTrainedModel, which else would never be freed
    batch: int
    room: int
    places: torch.Tensor | None = None  # of the step that runs
    layers: list[_FixedLayer] = field(default_factory=list)
    steps: dict[int, _Step] = field(default_factory=dict)
    address: int = 0  # of the model's weights: a graph is worth nothing once they have moved

    def start(self, cache, sequences: torch.Tensor) -> None:
        """Takes over a DynamicCache's states of these of its sequences, (batch,) int64, and its place."""
        self.layers = self.layers or [_FixedLayer(layer, self) for layer in cache.layers]
        for layer, before in zip(self.layers, cache.layers, strict=True):
            length = before.keys.shape[-2]
            layer.keys[:, :, :length] = before.keys[sequences]
            layer.values[:, :, :length] = before.values[sequences]
        cache.layers = self.layers
        self.cache = cache

    def feed(self, ids: torch.Tensor, padding: torch.Tensor, start: int) -> torch.Tensor:
        """(B, n) ids behind `start` others, of which (B,) padding are none → (B, n, d) states, which the next call overwrites."""
        step = self._step(ids.shape[1])
        torch.arange(start, start + ids.shape[1], out=step.places)
        every = torch.arange(self.room, device=ids.device)
        step.ids.copy_(ids)
        step.mask.copy_(((every <= step.places[:, None]) & (every >= padding[:, None, None]))[:, None])
        step.positions.copy_((step.places - padding[:, None]).clamp(min=0))
        if ids.device.type != "cuda":
            return self._forward(step)
        if step.graph is None:
            self._capture(step)
        step.graph.replay()
        return step.states

    def _step(self, count: int) -> _Step:
        if count not in self.steps:
            new = self.layers[0].keys.new_empty
            self.steps[count] = _Step(
                ids=new((self.batch, count), dtype=torch.long),
                mask=new((self.batch, 1, count, self.room), dtype=torch.bool),
                positions=new((self.batch, count), dtype=torch.long),
                places=new(count, dtype=torch.long),
            )
        return self.steps[count]

    def _forward(self, step: _Step) -> torch.Tensor:
        self.places = step.places
        return states_of(self.causal(), step.ids, step.mask, step.positions, self.cache)

    def _capture(self, step: _Step) -> None:
        """Records the step, after runs on the side that let libraries choose their kernels."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):
                self._forward(step)
        torch.cuda.current_stream().wait_stream(side)
        step.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(step.graph):
            step.states = self._forward(step)


def decoder_for(causal, batch: int, room: int) -> FixedDecoder:
    """A decoder with at least this room: the model's last one, with its graphs, where that has the same shape."""
    room = -(-room // ROOM_STEP) * ROOM_STEP
    address = next(causal.parameters()).data_ptr()
    kept = _KEPT.get(causal)
    if kept is None or (kept.batch, kept.room, kept.address) != (batch, room, address):
        kept = _KEPT[causal] = FixedDecoder(ref(causal), batch, room, address=address)
    return kept


def use_graphs(device: torch.device) -> bool:
    """On a GPU, but not under autocast, whose copies of the weights a graph would keep."""
    return device.type == "cuda" and not torch.is_autocast_enabled("cuda")
