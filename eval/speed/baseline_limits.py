"""What bounds the sprite transformer: operations that a causal network needs, and bytes that sampling with a cache reads."""

from eval.baseline.sprite_transformer import SpriteTransformer


def _weights(model: SpriteTransformer) -> tuple[int, int]:
    """Weights that every token is multiplied by, and those for a pixel alone. Embeddings are looked up, not multiplied."""
    blocks = sum(value.numel() for block in model.blocks for value in block.parameters() if value.ndim == 2)
    return blocks, model.head.weight.numel() + sum(value.numel() for value in model.mix.parameters() if value.ndim == 2)


def forward_operations(model: SpriteTransformer, pixels: int) -> int:
    """Of one sprite, a multiplication and an addition being two; of the attention only what lies before a token."""
    config, (every, pixel) = model.config, _weights(model)
    tokens = len(config.classes) + pixels
    pairs = tokens * (tokens + 1) // 2
    scores = 2 * 2 * config.layers * config.heads * config.head_width * pairs  # queries by keys, shares by values
    return 2 * (every * tokens + pixel * pixels) + scores


def training_operations(model: SpriteTransformer, pixels: int) -> int:
    """Of one sprite: forward, and twice as much backward, by the inputs and by the weights."""
    return 3 * forward_operations(model, pixels)


def sampling_bytes(model: SpriteTransformer, pixels: int, batch: int) -> int:
    """Of a batch: the weights once a pixel, each sprite's keys and values of all tokens so far once a pixel."""
    config, (every, pixel), size = model.config, _weights(model), model.head.weight.element_size()
    slots = len(config.classes)
    cached = sum(slots + place + 1 for place in range(pixels)) * 2 * config.layers * config.kv_heads * config.head_width
    return size * ((every + pixel) * pixels + cached * batch)
