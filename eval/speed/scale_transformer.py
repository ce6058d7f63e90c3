"""An untrained sprite transformer at work, for `pixelreef bench scale`: drawing and training steps of several batches and sides,
the peak of memory of each, and which operations take the time at either end of a curve."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from eval.speed.contest import in_turns
from eval.speed.scale_processes import peak

LARGEST = 64  # pixels a side; the model's tables of places are made longer for it
SAMPLED = 48  # pixels of a drawing that the profiler is shown, evenly spread: it would choke on all of them
FAMILIES = {  # of operations, by what is in their names; the first that fits counts
    "attention": ("scaled_dot_product", "flash_attention", "bmm", "softmax"),
    "matrix products": ("mm", "linear", "addmv", "matmul"),
}
OTHER, BETWEEN = "other operations", "between operations"


def network(seed: int = 0):
    """Of the default size, with places for LARGEST × LARGEST pixels."""
    import torch
    from torch import nn

    from eval.baseline.sprite_transformer import SpriteTransformer, SpriteTransformerConfig

    torch.manual_seed(seed)
    model = SpriteTransformer(SpriteTransformerConfig())
    for table in model.places:
        table.num_embeddings = LARGEST
        table.weight = nn.Parameter(0.02 * torch.randn(LARGEST, model.config.width))
    return model


def drawing(model, batch: int, side: int) -> Callable[[int], object]:
    """A way that draws a batch of side × side, other noise in each turn."""
    import numpy as np

    from eval.baseline.sample import draw_grids
    from eval.decoding import Sampling

    told = np.zeros((1, batch, len(model.config.classes)), int)
    return lambda turn: draw_grids(model, told, (side, side), [(turn, one) for one in range(batch)], Sampling())


def training(model, batch: int, side: int) -> Callable[[int], object]:
    """A way that takes one optimiser step on side × side noise in float32, as nothing in its cost hangs on what is drawn."""
    import torch
    from torch.nn.functional import cross_entropy

    optimiser = torch.optim.AdamW(model.parameters(), fused=True)
    grids = torch.randint(0, model.config.entries, (batch, side, side))
    told = torch.zeros(batch, len(model.config.classes), dtype=torch.long)

    def step(_turn: int) -> None:
        cross_entropy(model(grids, told).flatten(0, 1), grids.flatten()).backward()
        optimiser.step()
        optimiser.zero_grad()

    return step


def sampled(model, batch: int, side: int) -> Callable[[int], object]:
    """SAMPLED pixels of a drawing, each with a full cache before it: what `drawing` does, without choosing."""
    import torch

    from eval.baseline.sample import Cursor

    with torch.inference_mode():
        cursor = Cursor(model, torch.zeros(batch, len(model.config.classes), dtype=torch.long), side, side)
        cursor.keys.normal_()
        cursor.values.normal_()
    canvas = torch.zeros(batch, side * side + 1, dtype=torch.long)
    places = [round((place + 0.5) * side * side / SAMPLED - 0.5) for place in range(SAMPLED)]

    @torch.inference_mode()
    def some(_turn: int) -> None:
        for place in places:
            cursor.logits(canvas, place)

    return some


def curve(points: dict[int, Callable[[int], object]], repeats: int) -> list[dict]:
    """Work → way, from the least: the peak of memory of a first call each, and the times of `repeats` in turns."""
    next(iter(points.values()))(0)  # libraries take what they keep
    peaks = {work: above(way) for work, way in points.items()}
    times = in_turns({str(work): way for work, way in points.items()}, repeats, warm=0)
    return [{"work": work, "memory": peaks[work], "wall": times[str(work)].wall, "cpu": times[str(work)].cpu} for work in points]


def above(way: Callable[[int], object]) -> int | None:
    """Bytes that a call takes at most above what the process held before; None where the system keeps no such count."""
    with suppress(OSError, StopIteration):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        held = peak()
        way(0)
        return max(peak() - held, 1)
    way(0)
    return None


def shares(way: Callable[[int], object]) -> dict[str, float]:
    """Family of operations → share of the seconds of a call under torch's profiler, which makes small operations look dearer.
    BETWEEN: what is in none of them, Python first of all."""
    from torch.profiler import ProfilerActivity, profile

    way(0)
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        started = time.perf_counter()
        way(1)
        wall = (time.perf_counter() - started) * 1e6
    taken = dict.fromkeys((*FAMILIES, OTHER), 0.0)
    for event in seen.key_averages():
        taken[family(event.key)] += event.self_cpu_time_total
    total = max(wall, sum(taken.values()))
    found = {name: round(spent / total, 4) for name, spent in taken.items()}
    return found | {BETWEEN: round(1 - sum(found.values()), 4)}


def family(operation: str) -> str:
    return next((name for name, parts in FAMILIES.items() if any(part in operation for part in parts)), OTHER)


def batches(counts: Sequence[int], side: int, repeats: int) -> dict:
    """Drawing at each batch: the points, and the shares at either end."""
    model = network().eval()
    points = curve({batch: drawing(model, batch, side) for batch in counts}, repeats)
    return {"points": points, "shares": {str(batch): shares(sampled(model, batch, side)) for batch in (counts[0], counts[-1])}}


def sides(some: Sequence[int], batch: int, repeats: int) -> dict[str, dict]:
    """Drawing and training at each side: work is the pixels of one sprite."""
    model = network()
    drawn = curve({side * side: drawing(model, batch, side) for side in some}, repeats)
    told = {str(side * side): shares(sampled(model, batch, side)) for side in (some[0], some[-1])}
    trained = curve({side * side: training(model, batch, side) for side in some}, repeats)
    learnt = {str(side * side): shares(training(model, batch, side)) for side in (some[0], some[-1])}
    return {"draw": {"points": drawn, "shares": told}, "train": {"points": trained, "shares": learnt}}
