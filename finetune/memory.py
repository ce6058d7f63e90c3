"""Memory of a training run, predicted from the model's shape and the recipe before anything is loaded.

    python -m finetune.memory docs/memory.md                    # writes the table by model, rank, batch and precision
    python -m finetune.memory docs/memory.md --config FILE …    # trains a few steps first and notes their peak too

Reads a model's shape, never its weights. In bytes, with N frozen and P LoRA parameters, L layers, B sprites of T tokens:

    peak    = runtime + weights + LoRA + max(training, measuring)
    weights = b·N in 16 or 32 bits (b = 2 or 4). In NF4 the layers' matrices take 0.5 a parameter and the scale of each 64
              0.0625 (0.0159 when the scales are quantised too); embeddings, head and norms stay in 16 bits
    LoRA    = P·(value + gradient + optimiser's two moments, + a 16-bit copy under autocast): 18·P in float32 with AdamW,
              8·P in bfloat16 (which TRL takes on a 4-bit base); 8-bit optimisers keep 2 bytes of moments
    training = heap·kept + work + head
    kept    = B·T·L·(a layer's bytes a token), or B·T·L·b·hidden with checkpointing
    work    = B·T·WORKING_LAYERS·(a layer's bytes a token): gradients, and recomputation, that live for one layer at a time
    head    = the loss. Restricted steps: B·T·rows·16. Full-vocabulary steps on a GPU go through TRL's tiles of at most 4,096
              tokens by 32,768 entries, 2 bytes an element; on a CPU logits, their logarithms and the gradients of both
              stand there at once: 16 bytes an entry, 20 with the heap's share, 4 more where logits of 16 bits are copied
    measuring = bits per pixel before and after: one sprite's logits over the whole vocabulary, 10 bytes each (6 on a GPU)

A layer's bytes a token are what autograd keeps; the tests count them with `saved_tensors_hooks` on Llama and Qwen3. b = 2 or 4:

    norms         8·hidden, and 4·(q + kv) where queries and keys are normed
    attention     b·3·q, and heads·T·(4, and 2 more in 16 bits) for eager's probabilities or b·(q + T) for SDPA's output and mask
    gated MLP     b·3·intermediate
    LoRA          b·(inputs + rank of each target); each target has a copy of its input where LoRA is float32 and the model not

Runtime is Python with torch and TRL on a CPU, `heap` the C heap's fragmentation there: both fitted to measured runs. On a
GPU they are the CUDA context and the caching allocator's slack: assumptions. Left out: what drawing on the way takes, DoRA's
magnitudes, and other layers than Llama's.
"""

import sys
from collections.abc import Collection
from dataclasses import dataclass

from data_prep.errors import exit_code

GB = 1e9
BAND = 0.20  # the prediction is meant to be this near, either way
RUNTIME = {"cpu": 0.75 * GB, "cuda": 0.6 * GB}
HEAP = {"cpu": 1.2, "cuda": 1.1}
WORKING_LAYERS = 4
TILE_TOKENS, TILE_ENTRIES = 4096, 32_768  # of TRL's chunked log-probabilities
TILE_BYTES, LOGIT_BYTES = 2, 20
LAYER_PARTS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Shape:
    """What of a model decides its memory: Llama-like layers with a gated MLP. normed_queries: as in Qwen3."""

    name: str
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool = True
    normed_queries: bool = False

    @property
    def q(self) -> int:
        return self.heads * self.head_dim

    @property
    def kv(self) -> int:
        return self.kv_heads * self.head_dim

    def sides(self) -> dict[str, tuple[int, int]]:
        """Each matrix of a layer → (inputs, outputs)."""
        d, f = self.hidden, self.intermediate
        sides = ((d, self.q), (d, self.kv), (d, self.kv), (self.q, d), (d, f), (d, f), (f, d))
        return dict(zip(LAYER_PARTS, sides, strict=True))

    @property
    def in_layers(self) -> int:
        """Parameters of the layers' matrices."""
        return self.layers * sum(a * b for a, b in self.sides().values())

    @property
    def in_embeddings(self) -> int:
        """Parameters of embeddings and head."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)


# The published config.json of each; smollm2-135m's is the packaged one.
SHAPES = (
    Shape("SmolLM2-135M", 576, 1536, 30, 9, 3, 64, 49_152),
    Shape("SmolLM2-360M", 960, 2560, 32, 15, 5, 64, 49_152),
    Shape("Qwen2.5-0.5B", 896, 4864, 24, 14, 2, 64, 151_936),
    Shape("Qwen3-0.6B", 1024, 3072, 28, 16, 8, 128, 151_936, normed_queries=True),
    Shape("Qwen3-1.7B", 2048, 6144, 28, 16, 8, 128, 151_936, normed_queries=True),
    Shape("Qwen3-4B", 2560, 9728, 36, 32, 8, 128, 151_936, normed_queries=True),
)


def shape_of(location: str, name: str) -> Shape | None:
    """The shape by a model's configuration alone, or None where it has other layers or cannot be read."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(location, trust_remote_code=False)
        return Shape(
            name,
            config.hidden_size,
            config.intermediate_size,
            config.num_hidden_layers,
            config.num_attention_heads,
            config.num_key_value_heads,
            getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
            config.vocab_size,
            config.tie_word_embeddings,
            config.model_type == "qwen3",
        )
    except (OSError, ValueError, AttributeError, TypeError):
        return None


@dataclass(frozen=True)
class Setting:
    """What of a recipe decides memory.

    tokens: of the longest sequence; targets: matrices with a LoRA; precision: 'fp32', 'bf16' or 'nf4'; nested: NF4's scales
    are quantised too; full_head: some steps take the whole vocabulary; rows: of the restricted head; eight_bit: the optimiser.
    """

    batch: int
    tokens: int
    rank: int = 16
    targets: Collection[str] = LAYER_PARTS
    precision: str = "bf16"
    nested: bool = False
    attention: str = "sdpa"
    checkpointing: bool = False
    full_head: bool = True
    rows: int = 200
    eight_bit: bool = False
    device: str = "cpu"

    @property
    def value(self) -> int:
        """Bytes of a number in the forward pass."""
        return 4 if self.precision == "fp32" else 2


@dataclass(frozen=True)
class Memory:
    """Bytes of a training run by part; see the module."""

    runtime: float
    weights: float
    lora: float
    training: float
    measuring: float

    @property
    def peak(self) -> float:
        return self.runtime + self.weights + self.lora + max(self.training, self.measuring)


def predict(shape: Shape, setting: Setting) -> Memory:
    """Peak memory of one process, in bytes."""
    measuring = setting.tokens * shape.vocabulary * (6 if setting.device == "cuda" else 10)
    parts = (_weights(shape, setting), _lora(shape, setting), _training(shape, setting))
    return Memory(RUNTIME[setting.device], *parts, measuring)


def needs(shape: Shape, setting: Setting) -> float:
    """Bytes beside what a process has taken before it loads a model."""
    return predict(shape, setting).peak - RUNTIME[setting.device]


def _weights(shape: Shape, setting: Setting) -> float:
    if setting.precision != "nf4":
        return setting.value * (shape.in_layers + shape.in_embeddings)
    return (0.5 + (0.0159 if setting.nested else 0.0625)) * shape.in_layers + 2 * shape.in_embeddings


def _lora(shape: Shape, setting: Setting) -> float:
    sides = shape.sides()
    parameters = shape.layers * sum(setting.rank * sum(sides[target]) for target in setting.targets)
    value = 2 if setting.precision == "nf4" else 4
    moments = 2 if setting.eight_bit else 2 * value
    return parameters * (2 * value + moments + (2 if setting.precision == "bf16" else 0))


def _training(shape: Shape, setting: Setting) -> float:
    tokens, layer = setting.batch * setting.tokens, layer_bytes(shape, setting)
    kept = shape.layers * (setting.value * shape.hidden if setting.checkpointing else layer)
    head = tokens * setting.rows * 16
    if setting.full_head:
        tile = min(tokens, TILE_TOKENS) * min(shape.vocabulary, TILE_ENTRIES) * TILE_BYTES
        logits = tokens * shape.vocabulary * (LOGIT_BYTES + (4 if setting.value == 2 else 0))
        head = tile if setting.device == "cuda" else logits
    return tokens * (HEAP[setting.device] * kept + WORKING_LAYERS * layer) + head


def layer_bytes(shape: Shape, setting: Setting) -> float:
    """What autograd keeps of one layer for the backward pass, in bytes a token."""
    b, eager = setting.value, setting.attention == "eager"
    norms = 4 * 2 * shape.hidden + (4 * (shape.q + shape.kv) if shape.normed_queries else 0)
    probabilities = shape.heads * setting.tokens * (b + 4 if b == 2 else 4)
    attention = 3 * b * shape.q + (probabilities if eager else b * (shape.q + setting.tokens))  # SDPA: output and mask
    lora = b * _lora_inputs(shape, setting) + b * setting.rank * len(setting.targets)
    return norms + attention + 3 * b * shape.intermediate + lora


def _lora_inputs(shape: Shape, setting: Setting) -> int:
    """Numbers a token that LoRA's targets keep of their inputs."""
    sides = shape.sides()
    if setting.precision == "bf16":  # LoRA is float32: each target casts a copy of its own
        return sum(sides[target][0] for target in setting.targets)
    sources = {"q_proj": "norm", "k_proj": "norm", "v_proj": "norm", "gate_proj": "second norm", "up_proj": "second norm"}
    attended = set() if setting.attention == "eager" else {"o_proj"}  # SDPA keeps its output already
    inputs = {sources.get(target, target): sides[target][0] for target in set(setting.targets) - attended}
    return sum(inputs.values())


def main(arguments: list[str]) -> int:
    from finetune.memory_table import command

    return exit_code("memory", lambda: command(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
