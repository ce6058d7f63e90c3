"""`pixelreef bench baseline`: the sprite transformer, ours beside a plain nanoGPT-style loop and beside sampling without a cache.

    pixelreef bench baseline [--size 16] [--batch 16] [--drawn 1 32] [--repeats 5] [--device cuda] [--docs docs]

Reads the recipe `improved`, prepares a few procedural sprites in a temporary folder and trains on them for a few steps. Writes
docs/speed/baseline.json and docs/speed.md, prints the section and one line of JSON. Exit code 2 where both sides disagree.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from data_prep.errors import InputError
from data_prep.printable import table
from eval.baseline.train import Training
from eval.speed import page
from eval.speed.contest import Times, environment, in_turns, spread, wait_for, words

if TYPE_CHECKING:
    from eval.speed.plain_transformer import PlainLoop

RECIPE = Path(__file__).resolve().parents[1] / "baseline" / "recipes" / "improved.yaml"
OURS, PLAIN, UNCACHED = "ours", "plain loop", "without a cache"
STEPS = {"cpu": 2, "cuda": 20}  # of a timed call
CHECKED = 2  # sprites that both ways draw before they are timed
LOOSE = {"float32": 1e-4, "bfloat16": 0.05}  # by what share rounding may move a loss or a gradient
NEAR_TIE = 1e-3  # nats
PRODUCT = {"cpu": 2048, "cuda": 8192}  # sides of the matrices whose product says how fast this machine multiplies
TITLE = "The sprite transformer"
SAID = """The network of `eval/baseline/recipes/improved.yaml`. *Training*: whole steps of `eval.baseline.train`, from the
making of the batch to the averaged weights, beside a loop written afresh after nanoGPT: the same network, batch size, precision,
clipping and AdamW with its numbers, attention by `scaled_dot_product_attention`, uncompiled; it keeps no average of the weights,
drops no conditions, and reads its loss every tenth step, where ours does each. First both are given the same
weights and the same batch and must come to the same loss and gradients. *Sampling*: `draw_grids` with its cache, in float32,
beside that network run again over all pixels before each pixel, under the same noise; on a CPU the latter is timed on fewer
sprites at once, as the table says. First both must draw the same sprites, but for near-ties. *Limit*: the operations that the
network cannot do without (of the attention, what lies before a token) over what a large matrix product of the same precision
does a second here; for sampling also the weights and the cache that it reads, over what a plain sum over 256 MiB reads a
second, whichever takes longer. Weights that fit into a processor's cache may pass that limit of reading."""
LEFT = {"cpu": "pixelreef bench baseline", "cuda": "pixelreef bench baseline --device cuda --drawn 1 32 256"}


@dataclass(frozen=True)
class Side:
    """Both ways to train, on the same sprites."""

    training: Training
    plain: "PlainLoop"
    dtype: str
    size: int


def sides(options, place: Path) -> Side:
    """Sprites and both ways, the plain one with our weights."""
    from data_prep.prepare import PrepareRecipe, prepare
    from eval.baseline.config import read_recipe
    from eval.speed.plain_transformer import PlainLoop, PlainTransformer
    from finetune.precision import quick_dtype

    source = {"kind": "procedural", "seed": 1, "count": max(240, 2 * options.batch)}
    dataset, dtype = prepare(PrepareRecipe("bench", (source,), (options.size,)), place / "bench"), quick_dtype(options.device)
    changes = {"dataset": str(dataset), "output_dir": str(place / "out"), "guide": "", "batch_size": options.batch}
    changes |= {"bf16": dtype == "bfloat16", "use_cpu": options.device == "cpu"}
    training = Training(replace(read_recipe(RECIPE), **changes))
    model = PlainTransformer(training.core.config, options.size).to(options.device)
    model.load_state_dict(training.core.state_dict())
    batches = training.batches
    return Side(training, PlainLoop(model, np.stack(batches.grids), batches.told, training.recipe, dtype), dtype, options.size)


def check_training(side: Side) -> dict:
    """Loss and gradients of both, of one batch. Raises InputError where they are not the same within rounding."""
    import torch

    training, plain = side.training, side.plain
    recipe = training.recipe
    batch = training.batches.at(training.step, recipe.condition_dropout, recipe.flips)
    pixels = torch.from_numpy(batch.grids.astype(np.int64)).flatten(1).to(plain.device)
    losses = [training.loss(), plain.loss(pixels, torch.from_numpy(batch.conditions).to(plain.device))]
    found = [_gradients(loss, model) for loss, model in zip(losses, (training.core, plain.model), strict=True)]
    norms = [float(one.norm()) for one in found]
    nats, between = [loss.item() for loss in losses], float((found[0] - found[1]).norm()) / norms[1]
    said = {"loss": nats, "gradient_norm": norms, "gradients_apart": between}
    if not max(abs(nats[0] / nats[1] - 1), abs(norms[0] / norms[1] - 1), between) <= LOOSE[side.dtype]:
        raise InputError(f"bench baseline: loss or gradients are not the plain loop's: {said}; that is a fault, report it")
    return said


def _gradients(loss, model):
    """All in one vector, in the order of the weights' names; leaves none behind."""
    import torch

    loss.backward()
    found = torch.cat([value.grad.flatten().double() for _, value in sorted(model.named_parameters())])
    model.zero_grad()
    return found


def time_training(side: Side, device: str, repeats: int) -> dict[str, Times]:
    def steps(step: Callable[[], object]) -> Callable[[int], None]:
        def take(_turn: int) -> None:
            for _ in range(STEPS[device]):
                step()
            wait_for(device)

        return take

    ways = {OURS: steps(lambda: side.training.take_step(0.0)), PLAIN: steps(side.plain.step)}
    return in_turns(ways, repeats, STEPS[device])


class Drawing:
    """Both ways to draw with the same weights, shaken so that every input tells: as it comes, noise alone would decide."""

    def __init__(self, side: Side):
        import torch

        self.size, self.plain, self.model = side.size, side.plain.model, side.training.core.eval()
        with torch.no_grad():
            draws = torch.Generator().manual_seed(1)
            for value in self.model.parameters():
                value.add_(0.2 * torch.randn(value.shape, generator=draws).to(value.device))
        self.plain.load_state_dict(self.model.state_dict())
        self.told = side.training.batches.told

    def ours(self, count: int, seed: int = 0) -> np.ndarray:
        from eval.baseline.sample import draw_grids
        from eval.decoding import Sampling

        return draw_grids(self.model, self._told(count)[None], (self.size, self.size), self._keys(count, seed), Sampling())

    def uncached(self, count: int, seed: int = 0) -> np.ndarray:
        from eval.speed.plain_transformer import draw_uncached

        return draw_uncached(self.plain, self._told(count), self._keys(count, seed))

    def _told(self, count: int) -> np.ndarray:
        return np.resize(self.told, (count, self.told.shape[1]))

    @staticmethod
    def _keys(count: int, seed: int) -> list[tuple[int, int]]:
        return [(seed, index) for index in range(count)]

    def gap(self, index: int, grid: np.ndarray, pixel: int) -> float:
        """Nats between the two likeliest entries of a pixel under its noise, by the plain network."""
        import torch

        from eval.decoding import gumbel_noise

        device = self.plain.head.weight.device
        with torch.inference_mode():
            pixels = torch.from_numpy(grid.astype(np.int64)).view(1, -1).to(device)
            told = torch.from_numpy(self._told(index + 1)[-1:]).to(device)
            logits = self.plain(pixels, told, pixel + 1)[0, -1].cpu().numpy()
        two = np.sort(logits + gumbel_noise(0, index, grid.size, len(logits))[pixel])[-2:]
        return round(float(two[1] - two[0]), 6)

    def check(self) -> dict:
        """Raises InputError where both draw otherwise at more than a near-tie."""
        pairs = list(enumerate(zip(self.ours(CHECKED), self.uncached(CHECKED), strict=True)))
        gaps = [self.gap(index, a, int(np.flatnonzero(a != b)[0])) for index, (a, b) in pairs if (a != b).any()]
        if max(gaps, default=0.0) > NEAR_TIE:
            raise InputError(
                f"bench baseline: with the cache it draws otherwise where entries lie {max(gaps)} nats apart; report it"
            )
        return {"drawings": CHECKED, "same": CHECKED - len(gaps), "gaps": gaps}

    def timed(self, batch: int, device: str, repeats: int) -> dict[str, Times]:
        """The way without a cache on a CPU with as many sprites as it takes seconds for; it is as fast with more."""
        few = batch if device == "cuda" else max(1, min(batch, 4 * 16**4 // self.size**4))
        ways: dict[str, Callable[[int], object]] = {
            OURS: lambda turn: self.ours(batch, turn),
            UNCACHED: lambda turn: self.uncached(few, turn),
        }
        found = in_turns(ways, repeats, batch)  # both return grids that are on the CPU: nothing is left to wait for
        return {OURS: found[OURS], UNCACHED: replace(found[UNCACHED], work=few)}


def measure(options) -> dict:
    """All that the page shows, as JSON."""
    from eval.baseline.sprite_transformer import parameter_count
    from eval.speed.baseline_limits import training_operations
    from eval.speed.limits import bandwidth, matrix_rate

    device, pixels, side_of = options.device, options.size**2, PRODUCT[options.device]
    with TemporaryDirectory() as place:
        side = sides(options, Path(place))
        same = check_training(side)
        rates = {dtype: matrix_rate(device, dtype, side_of) for dtype in {side.dtype, "float32"}}
        times, read = time_training(side, device, options.repeats), bandwidth(device)
        needed, drawing = options.batch * training_operations(side.training.core, pixels), Drawing(side)
        limit = rates[side.dtype] / needed
        training = _row(times, PLAIN, limit) | {"dtype": side.dtype, "operations": needed, "check": same}
        print(f"training: {training['ratio']:.2f} times the plain loop", flush=True)
        alike = drawing.check()
        rows = [_drawn(drawing, batch, options, rates["float32"], read) for batch in options.drawn]
    return environment(("torch", "accelerate"), device) | {
        "size": options.size, "batch": options.batch, "repeats": options.repeats, "steps": STEPS[device], "matrix_rates": rates,
        "bandwidth": read, "parameters": parameter_count(drawing.model), "training": training,
        "sampling": {"check": alike, "rows": rows},
    }  # fmt: skip


def _row(times: dict[str, Times], other: str, limit: float) -> dict:
    """limit: units of work a second."""
    shares = {name: float(np.median(one.rates())) / limit for name, one in times.items()}
    ratio = times[OURS].ratio(times[other])
    return {"times": {name: asdict(one) for name, one in times.items()}, "ratio": ratio, "limit": limit, "shares": shares}


def _drawn(drawing: Drawing, batch: int, options, rate: float, read: float) -> dict:
    """rate: operations a second; read: bytes a second."""
    from eval.speed.baseline_limits import forward_operations, sampling_bytes

    pixels, times = options.size**2, drawing.timed(batch, options.device, options.repeats)
    counting = batch * forward_operations(drawing.model, pixels) / rate
    reading = sampling_bytes(drawing.model, pixels, batch) / read
    row = _row(times, UNCACHED, batch / max(counting, reading))
    print(f"sampling, batch {batch}: {row['ratio']:.1f} times as fast as without a cache", flush=True)
    return row | {"batch": batch, "binds": "reading" if reading > counting else "arithmetic"}


def lines(found: dict) -> list[str]:
    side, training, sampling = found["size"], found["training"], found["sampling"]
    rates = ", ".join(f"{rate / 1e9:,.0f} GFLOP/s in {dtype}" for dtype, rate in sorted(found["matrix_rates"].items()))
    told = f"{words(found)} Sprites of {side}×{side}, {found['parameters']:,} parameters; {found['repeats']} calls. A matrix "
    told += f"product makes {rates}; a sum reads {found['bandwidth'] / 1e9:.1f} GB/s."
    head = [f"training, {found['batch']} sprites a step, {training['dtype']}", "steps a second", "ours is", "of the limit"]
    steps = table(head, [_cells(training, name) for name in training["times"]])
    head = ["sampling, float32", "sprites a second", "ours is", "of the limit", "sprites at once", "what binds"]
    drawn = [
        [*_cells(row, name), f"{row['times'][name]['work']:.0f}", row["binds"]]
        for row in sampling["rows"]
        for name in row["times"]
    ]
    said = _training_in_words(training), _sampling_in_words(sampling["check"])
    return [told, "", *steps, "", said[0], "", *table(head, drawn), "", said[1]]


def _cells(row: dict, name: str) -> list[str]:
    times = Times(**row["times"][name])
    faster = "" if name == OURS else f"{row['ratio']:.2f} times as fast"
    return [name, spread(times.rates()), faster, f"{row['shares'][name]:.0%}"]


def _training_in_words(training: dict) -> str:
    check, limit = training["check"], training["limit"]
    losses, norms = (" and ".join(f"{one:.6f}" for one in check[key]) for key in ("loss", "gradient_norm"))
    return (
        f"The limit is {limit:.2f} steps a second. Of the same batch under the same weights the losses were {losses}, the "
        f"gradients' lengths {norms} (ours, plain); the gradients lay {check['gradients_apart']:.1e} of their length apart."
    )


def _sampling_in_words(check: dict) -> str:
    told = f"Both ways drew the same grid for {check['same']} of {check['drawings']} captions."
    if check["gaps"]:
        told += f" Where they part, the two likeliest entries were {', '.join(map(str, check['gaps']))} nats apart."
    return told


def bench(options) -> None:
    """Measures what the flags say and writes the page. Raises InputError."""
    import torch

    from eval.baseline.sprite_transformer import MAX_SIDE

    if min(options.batch, options.repeats, *options.drawn) < 1 or not 8 <= options.size <= MAX_SIDE:
        raise InputError(f"bench baseline: batch, drawn and repeats take 1 and more, the size 8 to {MAX_SIDE}")
    if options.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: there is none here")
    page.show(options.docs, "baseline", f"{options.size}×{options.size}, {options.device}", measure(options))
