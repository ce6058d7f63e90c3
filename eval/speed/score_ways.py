"""The metrics of `score`, each beside an independent way to the same numbers on the same drawings or features.

Published where there is one: torchmetrics (KID, Fréchet) and prdc (precision, recall, density, coverage). The others are plain
loops, written from the formulas as one would without this project.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from io import StringIO

import numpy as np

from data_prep import grid_text
from data_prep.errors import InputError
from data_prep.palette import named
from data_prep.sprite import Sprite

SIDE, FEATURES = 16, 64  # pixels of a drawing, and numbers that the judge sees in it
NEAR = 40  # drawings whose nearest training sprite is sought: the plain loop takes a second for a few
TOLERANCE = 1e-6
DEV = ("torchmetrics", "prdc")  # extra `dev`


@dataclass(frozen=True)
class Pair:
    """Ours and another way to the numbers of `work` drawings, each flat. exact: how many of the first numbers must be equal;
    of those behind them, which a search may miss, ours must not be above. None: all."""

    name: str
    rival: str
    work: int
    ours: Callable[[], np.ndarray]
    theirs: Callable[[], np.ndarray]
    exact: int | None = None

    def agreement(self) -> dict[str, float]:
        """The largest difference where equality is due, and of the others the share that is equal and the largest shortfall.

        Raises InputError where both ways do not come to the same."""
        ours, theirs = self.ours(), self.theirs()
        if ours.shape != theirs.shape or not len(ours):
            raise InputError(f"bench score: {self.name}: {len(ours)} numbers, {self.rival} {len(theirs)}; a fault, report it")
        apart = theirs - ours
        due, rest = np.abs(apart[: self.exact]), apart[len(apart) if self.exact is None else self.exact :]
        if max(due.max(initial=0), -rest.min(initial=0)) > TOLERANCE or not np.isfinite(apart).all():
            raise InputError(f"bench score: {self.name}: {self.rival} comes to other numbers; that is a fault, report it")
        missed = {"found": float((rest <= TOLERANCE).mean()), "short": float(rest.max())} if len(rest) else {}
        return {"numbers": len(ours), "largest": float(due.max())} | missed


def pairs(drawings: int) -> Iterator[Pair]:
    """Every comparison that this installation has the other side of."""
    if not missing():
        yield from _of_sets(drawings)
    yield _nearest(drawings)
    yield _legacy(drawings)
    yield _reading(drawings)


def missing() -> list[str]:
    return [name for name in DEV if find_spec(name) is None]


def _of_sets(count: int) -> Iterator[Pair]:
    """Distances between as many drawings as held-out sprites, on features like the judge's."""
    import torch
    from torchmetrics.image import fid, kid

    from eval.metrics import distribution

    x, y = (np.random.default_rng([7, side]).standard_normal((count, FEATURES)) + side / 10 for side in (0, 1))
    a, b = (torch.from_numpy(points) for points in (x, y))

    def frechet_by_torchmetrics() -> np.ndarray:
        moments = [part for points in (a, b) for part in (points.mean(0), torch.cov(points.T))]
        return np.array([fid._compute_fid(*moments).item()])

    yield Pair(
        "KID", "torchmetrics", count, lambda: np.array([distribution.kid(x, y)]),
        lambda: np.array([kid.poly_mmd(a, b, degree=3, coef=1.0).item()]),
    )  # fmt: skip
    yield Pair("Fréchet distance", "torchmetrics", count, lambda: np.array([distribution.frechet(x, y)]), frechet_by_torchmetrics)
    yield Pair(
        "precision, recall, density, coverage", "prdc", count,
        lambda: _in_order(distribution.neighbours(x, y)), lambda: _in_order(_by_prdc(x, y, distribution.NEAREST)),
    )  # fmt: skip


def _in_order(found: dict[str, float]) -> np.ndarray:
    return np.array([found[name] for name in sorted(found)])


def _by_prdc(x: np.ndarray, y: np.ndarray, k: int) -> dict[str, float]:
    """Without what it prints."""
    import prdc

    with redirect_stdout(StringIO()):
        return prdc.compute_prdc(y, x, k)


@lru_cache(maxsize=4)
def sprites(count: int) -> tuple[Sprite, ...]:
    """Procedural sprites of 16×16, other ones for no two counts."""
    from data_prep.sources.procedural import sprite

    return tuple(sprite(1, index, SIDE) for index in range(count))


def spoilt(grid: np.ndarray, rng: np.random.Generator, share: float, entries: int = 64) -> np.ndarray:
    """With a share of its pixels made noise."""
    return np.where(rng.random(grid.shape) < share, rng.integers(0, entries, grid.shape), grid).astype(np.uint8)


def _nearest(count: int) -> Pair:
    """Half of the drawings are copies of training sprites, flipped, moved by a pixel and a little spoilt, which must be found;
    the others are sprites that nobody saw."""
    from eval.metrics import memorisation

    drawn, rng = min(NEAR, count), np.random.default_rng(3)
    made = np.stack([sprite.grid for sprite in sprites(count + drawn)])
    training, unseen = made[:count], made[count : count + drawn // 2]
    turned = np.pad(training[: drawn - len(unseen), ::-1], ((0, 0), (1, 0), (0, 0)))[:, :SIDE]
    grids = np.concatenate([np.stack([spoilt(grid, rng, 0.05) for grid in turned]), unseen])
    return Pair(
        "nearest training sprite", f"a NumPy loop over all {count:,}", drawn, lambda: memorisation.nearest(grids, training)[0],
        lambda: np.array([nearest_by_loop(grid, training) for grid in grids]), len(turned),
    )  # fmt: skip


def nearest_by_loop(grid: np.ndarray, training: np.ndarray) -> float:
    """The largest agreement with any of (N, H, W) training sprites, view by view of an (H, W) drawing."""
    best, (height, width), padded = 0.0, grid.shape, np.pad(grid, 1)
    for down in range(3):
        for across in range(3):
            moved = padded[down : down + height, across : across + width]
            # shifting a flipped drawing is flipping one that was shifted the other way, so the order is free
            for view in (moved, moved[:, ::-1], moved[::-1], moved[::-1, ::-1]):
                equal = ((training == view) & (view > 0)).sum((1, 2))
                union = ((training > 0) | (view > 0)).sum((1, 2))
                best = max(best, float((equal / np.maximum(union, 1)).max()))
    return best


def _legacy(count: int) -> Pair:
    from eval.metrics import legacy

    grids, names = [sprite.grid for sprite in sprites(count)], (*legacy.NAMES, legacy.QUALITY)

    def flat(measure: Callable[..., dict]) -> np.ndarray:
        return np.array([found[name] for found in (measure(grid, SIDE, SIDE) for grid in grids) for name in names], float)

    return Pair(
        "legacy quality score, seven numbers", "a plain Python loop", count, lambda: flat(legacy.of_grid),
        lambda: flat(legacy_by_loop),
    )  # fmt: skip


def legacy_by_loop(grid: np.ndarray, height: int, width: int) -> dict[str, float]:
    """The published formulas (`eval.bench.legacy`) of a grid that is a valid drawing, pixel by pixel, no case but this one seen
    to. Its used entries are the palette."""
    used = sorted({int(cell) for row in grid for cell in row})
    rows = [[used.index(cell) for cell in row] for row in grid.tolist()]
    cells, colours = height * width, len(used)
    edges = sum(
        (rows[y][x] != rows[y + 1][x]) + (rows[y][x] != rows[y][x + 1]) for y in range(height - 1) for x in range(width - 1)
    )
    shares = [count / cells for count in Counter(cell for row in rows for cell in row).values()]
    found = {
        "grid_valid": float(len(rows) == height and all(len(row) == width for row in rows)),
        "palette_validity": sum(cell < colours for row in rows for cell in row) / cells,
        "colour_efficiency": len({cell for row in rows for cell in row}) / colours,
        "edge_density": edges / (2 * (height - 1) * (width - 1)),
        "fill_balance": 1 - abs(sum(cell != 0 for row in rows for cell in row) / cells - 0.5),
        "normalised_entropy": -sum(p * math.log(p + 1e-9) for p in shares) / math.log(colours + 1e-9),
    }
    twofold = 2 * found["grid_valid"] + 2 * found["palette_validity"] + 1.5 * found["edge_density"]
    single = found["normalised_entropy"] + found["colour_efficiency"] + found["fill_balance"]
    return found | {"quality_score": twofold + single}


def _reading(count: int) -> Pair:
    palette = named("reef64")
    texts = [grid_text.encode(sprite.grid, palette) for sprite in sprites(count)]
    known = {palette.name: palette}

    def ours() -> np.ndarray:
        found = (grid_text.read(text, known, (SIDE, SIDE)) for text in texts)
        return np.concatenate([one.grid.ravel() for one in found if isinstance(one, Sprite)]).astype(float)

    return Pair(
        "strict reading of the text", "json.loads and checks", count, ours,
        lambda: np.concatenate([read_by_json(text, SIDE).ravel() for text in texts]).astype(float),
    )  # fmt: skip


def read_by_json(text: str, side: int) -> np.ndarray:
    """(side, side) uint8 grid in reef64. Raises ValueError. It lets white space and doubled keys pass, which the strict reading
    does not, and tells no row and column of a fault."""
    found = json.loads(text)
    if set(found) != {"palette", "grid"} or found["palette"] != "reef64":
        raise ValueError("other keys or another palette")
    rows = found["grid"]
    if len(rows) != side or any(not isinstance(row, str) or len(row) != side for row in rows):
        raise ValueError("another size")
    try:
        return np.array([[grid_text.INDEX_OF[character] for character in row] for row in rows], np.uint8)
    except KeyError as error:
        raise ValueError(f"{error} is no entry") from error
