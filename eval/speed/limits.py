"""What bounds a speed: how fast this machine reads memory and multiplies matrices, and what a model makes it read."""

import time


def bandwidth(device, seconds: float = 0.5) -> float:
    """Bytes a second that reading 256 MiB over and over gives (a sum), the best of several."""
    import torch

    data = torch.ones(2**26, dtype=torch.float32, device=device)
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        started = time.perf_counter()
        data.sum().item()
        best = min(best, time.perf_counter() - started)
    return data.numel() * 4 / best


def matrix_rate(device, dtype: str = "float32", side: int = 1024, seconds: float = 0.5) -> float:
    """Operations a second, a multiplication and an addition being two, of a plain product of square matrices: the best."""
    import torch

    a, b = (torch.ones(side, side, dtype=getattr(torch, dtype), device=device) for _ in range(2))
    best, until = float("inf"), time.perf_counter() + seconds
    (a @ b)[0, 0].item()
    while time.perf_counter() < until:
        started = time.perf_counter()
        (a @ b)[0, 0].item()  # waits for a GPU
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best


def weight_bytes(model) -> int:
    """Bytes of weights that a step must read: without embedding and head, of which it reads a few rows."""
    left_out = (model.get_input_embeddings().weight, model.get_output_embeddings().weight)
    return sum(p.numel() * p.element_size() for p in model.parameters() if not any(p is one for one in left_out))
