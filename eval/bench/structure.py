"""Is a drawing built like a drawing? Two measures of an index grid and its colours, each from 0 to 1.

continuity  of shape alone: contours that run on instead of meeting at every pixel, areas instead of specks, a figure
            that is neither nothing nor everything, neither cut off nor a bare disc
structure   continuity and colour together: neighbours that are near in colour, several colours that each have a place

Each is a logistic regression on the statistics of `statistics` and their squares (so that too much and too little both
count), fitted by `eval.bench.fit_structure` to sprites made by people, procedural ones and scenes by rule, against bad drawings.
Half of the degenerate families were kept out of the fit, and every kind of the bench's own subjects; docs/bench.md has the
table. Neither sees what is drawn.
"""

import json
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy import ndimage

from eval.metrics.structure import largest_component, straight_edge

FITTED = Path(__file__).with_name("structure.json")
SHAPE = (
    *("agreement", "agreement_far", "regions", "specks", "largest_areas", "through", "crossings", "straight_contour"),
    *("periodic", "compressed", "figure_share", "off_centre", "straight_edge", "roughness", "inside", "pieces"),
    *("elliptic", "radial"),
)
COLOUR = ("colours", "soft_steps", "contrast", "outlined", "lightness_order")
_RINGS = 6  # about the middle of a figure
_LEAST = 3  # pixels from which a colour counts as used


def statistics(grid: np.ndarray, lab: np.ndarray) -> dict[str, float]:
    """Of one (H, W) grid of places in (k, 3) OKLab colours, H and W at least 4; name → number, each of SHAPE and COLOUR."""
    # ten names of one colour are one colour
    _, first, merged = np.unique(np.round(lab, 4), axis=0, return_index=True, return_inverse=True)
    used, places = np.unique(merged.reshape(-1)[grid], return_inverse=True)
    grid, lab = places.reshape(grid.shape), lab[first][used]
    figure = grid != ground_of(grid)
    return _areas(grid) | _contours(grid) | _figure(grid, figure) | _colours(grid, lab, figure)


def ground_of(grid: np.ndarray) -> int:
    """The entry that most of the frame's border has."""
    border = np.concatenate([grid[0], grid[-1], grid[1:-1, 0], grid[1:-1, -1]])
    return int(np.bincount(border).argmax())


def _areas(grid: np.ndarray) -> dict[str, float]:
    """4-connected areas of one entry, and how alike pixels are that lie near and far."""
    sizes = np.concatenate([np.bincount(ndimage.label(grid == entry)[0].ravel())[1:] for entry in range(grid.max() + 1)])
    alike = {lag: _alike(grid, lag) for lag in (1, 3, 4)}
    share = np.bincount(grid.ravel()) / grid.size
    chance = float((share**2).sum())
    far = (np.mean([alike[lag] for lag in (3, 4)]) - chance) / max(1 - chance, 1e-6)
    lines = max(max(_alike_along(grid, lag, axis) - alike[1] for lag in range(2, 9)) for axis in (0, 1))
    return {
        "agreement": alike[1],
        "agreement_far": float(far),
        "regions": float(np.log(len(sizes))),
        "specks": float((sizes <= 1).sum() / len(sizes)),
        "largest_areas": float(np.sort(sizes)[-2:].sum() / grid.size),
        "periodic": lines,
        "compressed": float(np.log(len(zlib.compress(grid.astype(np.uint8).tobytes(), 9)) / grid.size)),
    }


def _alike_along(grid: np.ndarray, lag: int, axis: int) -> float:
    turned = grid if axis == 0 else grid.T
    return float((turned[lag:] == turned[:-lag]).mean()) if lag < len(turned) else 0.0


def _alike(grid: np.ndarray, lag: int) -> float:
    return (_alike_along(grid, lag, 0) + _alike_along(grid, lag, 1)) / 2


def _contours(grid: np.ndarray) -> dict[str, float]:
    """Where contours run along the pixels' edges: at each inner corner point how many of the four edges are one."""
    down, across = grid[1:] != grid[:-1], grid[:, 1:] != grid[:, :-1]  # an edge below, an edge to the right
    left, right, up, low = down[:, :-1], down[:, 1:], across[:-1], across[1:]
    degree = left.astype(int) + right + up + low
    met = max(int((degree > 0).sum()), 1)
    straight = ((left & right & ~up & ~low) | (up & low & ~left & ~right)).sum()
    simple = max(int((degree == 2).sum()), 1)
    return {
        "through": float((degree == 2).sum() / met),
        "crossings": float((degree == 4).sum() / met),
        "straight_contour": float(straight / simple),
    }


def _figure(grid: np.ndarray, figure: np.ndarray) -> dict[str, float]:
    """The figure is what has not the ground's colour."""
    height, width = grid.shape
    area = int(figure.sum())
    padded = np.pad(figure, 1)
    edges = int((padded[1:] != padded[:-1]).sum() + (padded[:, 1:] != padded[:, :-1]).sum())
    rows, columns = np.nonzero(figure) if area else (np.array([0]), np.array([0]))
    top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
    away = max(abs(top + bottom + 1 - height) / height, abs(left + right + 1 - width) / width) / 2
    return {
        "figure_share": area / grid.size,
        "off_centre": float(away),
        "straight_edge": float(straight_edge(figure[None])[0]),
        "roughness": float(np.log(max(edges, 1) / max(4 * area**0.5, 1))),
        "inside": float(np.log1p(_inner_edges(grid, figure)) - np.log1p(area**0.5)),
        "pieces": float(largest_component(figure[None])[0]),
    } | _bareness(grid, figure)


def _bareness(grid: np.ndarray, figure: np.ndarray) -> dict[str, float]:
    """How much of a figure is a plain ellipse, and how much of its inside is rings about the middle, beyond two zones."""
    places = np.stack(np.nonzero(figure), 1).astype(float)
    if len(places) < 4:
        return {"elliptic": 1.0, "radial": 1.0}
    away = np.indices(grid.shape).reshape(2, -1).T - places.mean(0)
    inverse = np.linalg.inv(np.cov(places.T) + 0.1 * np.eye(2))
    radius = np.sqrt(np.einsum("ni,ij,nj->n", away, inverse, away)).reshape(grid.shape) / 2  # 1 on the rim of a full ellipse
    ellipse = radius <= 1
    shared = float((figure & ellipse).sum() / (figure | ellipse).sum())
    band = np.minimum((radius[figure] * _RINGS).astype(int), 2 * _RINGS)
    counts = np.zeros((2 * _RINGS + 1, grid.max() + 1), int)  # pixels of each entry in each ring
    np.add.at(counts, (band, grid[figure]), 1)
    inner = counts.cumsum(0)
    two_zones = (inner.max(1) + (inner[-1] - inner).max(1)).max()  # a heart in a rim says something, rings about rings do not
    most = int(inner[-1].max())
    return {"elliptic": shared, "radial": float((counts.max(1).sum() - two_zones) / max(len(places) - most, 1))}


def _inner_edges(grid: np.ndarray, figure: np.ndarray) -> int:
    """Edges between two pixels of the figure: what is drawn inside of the outline."""
    down = (grid[1:] != grid[:-1]) & figure[1:] & figure[:-1]
    return int(down.sum() + ((grid[:, 1:] != grid[:, :-1]) & figure[:, 1:] & figure[:, :-1]).sum())


def _colours(grid: np.ndarray, lab: np.ndarray, figure: np.ndarray) -> dict[str, float]:
    """How the palette is used: near colours beside one another, light and dark each in their places."""
    counts = np.bincount(grid.ravel(), minlength=len(lab))
    pairs = np.concatenate([_pairs(grid[1:], grid[:-1]), _pairs(grid[:, 1:], grid[:, :-1])])
    differing = pairs[pairs[:, 0] != pairs[:, 1]]
    apart = np.linalg.norm(lab[differing[:, 0]] - lab[differing[:, 1]], axis=1)
    share = counts / counts.sum()
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    typical = float(share @ distances @ share) / max(1 - float((share**2).sum()), 1e-6)
    inner = figure & ndimage.binary_erosion(figure, border_value=1)
    rim, light = figure & ~inner, lab[grid, 0]
    darker = float(light[inner].mean() - light[rim].mean()) if inner.any() and rim.any() else 0.0
    smooth = ndimage.uniform_filter(light, 5)[inner] if inner.any() else np.zeros(1)
    return {
        "colours": float((counts >= _LEAST).sum()),
        "soft_steps": float(apart.mean() / typical) if len(apart) and typical > 1e-6 else 0.0,
        "contrast": float(np.sqrt(share @ (lab[:, 0] - share @ lab[:, 0]) ** 2)),
        "outlined": darker,
        "lightness_order": float(smooth.std()),
    }


def _pairs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.stack([a.ravel(), b.ravel()], 1)


@dataclass(frozen=True)
class Judge:
    """names: of the n statistics; centre, spread: (n,), to standardise them; weights: (2n,), of them and their squares; bias."""

    names: tuple[str, ...]
    centre: np.ndarray
    spread: np.ndarray
    weights: np.ndarray
    bias: float

    def terms(self, measured: np.ndarray) -> np.ndarray:
        """(N, n) statistics → (N, 2n). What lies far out is cut, so that no square runs away."""
        scaled = np.clip((measured - self.centre) / self.spread, -3, 3)
        return np.concatenate([scaled, scaled**2], 1)

    def score(self, measured: np.ndarray) -> np.ndarray:
        """(N, n) → (N,) 0…1."""
        return 1 / (1 + np.exp(-(self.terms(measured) @ self.weights + self.bias)))

    def to_json(self) -> dict:
        numbers = {name: getattr(self, name).round(5).tolist() for name in ("centre", "spread", "weights")}
        return {"names": list(self.names), **numbers, "bias": round(self.bias, 5)}

    @classmethod
    def from_json(cls, data: dict) -> "Judge":
        centre, spread, weights = (np.array(data[name]) for name in ("centre", "spread", "weights"))
        return cls(tuple(data["names"]), centre, spread, weights, data["bias"])


@cache
def judges() -> dict[str, Judge]:
    """The committed ones: 'continuity' and 'structure'."""
    fitted = json.loads(FITTED.read_text("utf-8"))
    return {name: Judge.from_json(fitted[name]) for name in ("continuity", "structure")}


def judged(grid: np.ndarray, lab: np.ndarray) -> dict[str, float]:
    """{'continuity', 'structure': 0…1} of one (H, W) grid of places in (k, 3) OKLab colours."""
    found = statistics(grid, lab)
    rows = {name: np.array([[found[key] for key in judge.names]]) for name, judge in judges().items()}
    return {name: float(judge.score(rows[name])[0]) for name, judge in judges().items()}
