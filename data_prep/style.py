"""Style that can be measured on an index grid: outline, dithering, contrast, saturation, colours in use, where light comes from;
and what each colour is there for.

Measures of a drawing and of a reference picture are the same, so that they can be compared. They describe, they do not judge.
Lightness and chroma are OKLab's.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np

from data_prep.errors import InputError
from data_prep.palette import Palette

DARKER = 0.06  # lightness by which an edge pixel is darker than what lies inside it, to count as outline
MOST = 1000  # no measure is larger: shares, lightness, degrees, colours
BACKGROUND, OUTLINE, BODY, LIGHT = ROLES = ("background", "outline", "body", "light")
ON_EDGE = 0.6  # share of a colour's pixels on the silhouette's edge from which it is the outline's
OF_EDGE = 0.35  # or share of the edge that it makes up
FEW = 0.12  # share of the subject
LIT = 0.15  # correlation of lightness with place below which no light direction is stated
# What a difference in each measure is divided by: the full range of a share, for the rest about what pixel art spans.
SPANS = {"outline": 1.0, "outline_darkness": 0.5, "dithering": 0.5, "contrast": 0.7, "saturation": 0.2}


@dataclass(frozen=True)
class Style:
    """outline: share of the silhouette's edge that is darker than what lies inside it; outline_darkness: by how much, mean.

    dithering: share of 2×2 squares inside that are a b over b a. contrast: lightness from the 5th to the 95th percentile.
    saturation: mean chroma. colours: number in use. light: degrees, 0 from the right, 90 from above, or None.
    """

    outline: float
    outline_darkness: float
    dithering: float
    contrast: float
    saturation: float
    colours: int
    light: float | None

    def to_json(self) -> dict:
        return {key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping) -> "Style":
        """Inverse of `to_json`; raises InputError for anything else."""
        keys = [field.name for field in fields(cls)]
        if not isinstance(data, Mapping) or set(data) != set(keys):
            raise InputError(f"style: it has {', '.join(keys)} and nothing else; it is damaged")
        for key, value in data.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MOST
            is_count = isinstance(value, int) and is_number and value >= 1
            if not (is_count if key == "colours" else is_number or (key == "light" and value is None)):
                raise InputError(f"style: {key} is {str(value)[:40]!r}; it is damaged")
        return cls(**data)


def measure(grid: np.ndarray, palette: Palette) -> Style | None:
    """(H, W) entries, 0 outside the subject → its style; None where there is no subject."""
    drawn = grid > 0
    if not drawn.any():
        return None
    lab = np.zeros((len(palette), 3))
    lab[1:] = palette.oklab
    lightness, used = lab[grid, 0], lab[grid[drawn]]
    outline, darkness = _outline(drawn, lightness)
    low, high = np.percentile(used[:, 0], [5, 95])
    return Style(
        outline,
        darkness,
        _dithering(grid),
        float(high - low),
        float(np.hypot(used[:, 1], used[:, 2]).mean()),
        len(np.unique(grid[drawn])),
        _light(drawn, lightness),
    )


def edge_of(drawn: np.ndarray) -> np.ndarray:
    """(H, W) bool subject → its pixels that have one outside beside, above or below; the frame's border is no outside."""
    padded = np.pad(drawn, 1, constant_values=True)
    return drawn & ~(padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:])


def _outline(drawn: np.ndarray, lightness: np.ndarray) -> tuple[float, float]:
    edge = edge_of(drawn)
    inside = np.pad((drawn & ~edge).astype(float), 1)
    summed = np.pad(lightness * (drawn & ~edge), 1)
    height, width = drawn.shape
    places = [(y, x) for y in range(3) for x in range(3)]
    near = sum((inside[y : y + height, x : x + width] for y, x in places), np.zeros(drawn.shape))
    total = sum((summed[y : y + height, x : x + width] for y, x in places), np.zeros(drawn.shape))
    judged = edge & (near > 0)
    if not judged.any():
        return 0.0, 0.0
    darker = total[judged] / near[judged] - lightness[judged]
    return float((darker > DARKER).mean()), float(darker.mean())


def _dithering(grid: np.ndarray) -> float:
    a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, :-1], grid[1:, 1:]
    inside = (a > 0) & (b > 0) & (c > 0) & (d > 0)
    return float(((a == d) & (b == c) & (a != b) & inside).sum() / max(inside.sum(), 1))


def _light(drawn: np.ndarray, lightness: np.ndarray) -> float | None:
    """The direction in which the inside grows lighter, by least squares."""
    y, x = np.nonzero(drawn & ~edge_of(drawn))
    if len(y) < 12:
        return None
    place = np.stack([x - x.mean(), y.mean() - y], 1)
    light = lightness[y, x] - lightness[y, x].mean()
    slope, *_ = np.linalg.lstsq(place, light, rcond=None)
    fitted = place @ slope
    if light.std() < 1e-6 or fitted.std() / light.std() < LIT:
        return None
    return float(np.degrees(np.arctan2(slope[1], slope[0])) % 360)


def roles_of(grid: np.ndarray, palette: Palette) -> dict[str, tuple[int, ...]]:
    """(H, W) entries, 0 outside the subject → entries of the outline, the body and the lights, each in one role.

    Outline: darker than the inside, and on the silhouette's edge with most of its pixels or making up much of it. Light: clearly
    lighter than the inside and in few pixels, as glints and eyes are.
    """
    counts = np.bincount(grid.ravel(), minlength=len(palette))
    counts[0] = 0
    on_edge = np.bincount(grid[edge_of(grid > 0)], minlength=len(palette))
    lightness = np.concatenate([[0], palette.oklab[:, 0]]).astype(float)
    used = np.flatnonzero(counts).tolist()
    inside = counts - on_edge if (counts - on_edge)[1:].any() else counts
    mean = float((lightness * inside)[1:].sum() / max(inside[1:].sum(), 1))
    dark = [e for e in used if lightness[e] < mean - DARKER]
    outline = [e for e in dark if on_edge[e] > ON_EDGE * counts[e] or on_edge[e] > OF_EDGE * max(on_edge[1:].sum(), 1)]
    rest = [e for e in used if e not in outline]
    light = [e for e in rest if lightness[e] > max(mean + 0.15, 0.75) and counts[e] < FEW * counts.sum()]
    body = [e for e in rest if e not in light]
    return {OUTLINE: tuple(outline), BODY: tuple(body), LIGHT: tuple(light)}


def distances(a: Style, b: Style) -> dict[str, float]:
    """Of each measure how far apart, 0…1; `light` only where both have one."""
    apart = {key: min(1.0, abs(getattr(a, key) - getattr(b, key)) / span) for key, span in SPANS.items()}
    apart["colours"] = min(1.0, abs(float(np.log2(a.colours / b.colours))) / 4)
    if a.light is not None and b.light is not None:
        apart["light"] = abs((a.light - b.light + 180) % 360 - 180) / 180
    return apart
