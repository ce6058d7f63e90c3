"""Shader: lights finished sprites. Pure functions on index grids; only entries of the palette come out.

The silhouette is inflated (Poisson's equation from its distance transform, after Lumo, S. F. Johnston 2002), bright tones
stand a little higher, and the light falls on the normals of that height. The light that is in the drawing already is
measured against the same normals and taken back, so that a sprite can be lit from the other side. What each pixel gains
or loses is walked along its own luminance ramp. Everything is symmetric to the last bit: a mirrored sprite under a
mirrored light is the mirrored result, and a sprite does not depend on its batch.
"""

import math
from dataclasses import dataclass

import numpy as np

from data_prep.errors import InputError
from data_prep.palette import TRANSPARENT, Palette
from eval.postprocess.ramps import LEVELS, STEP, RampTables, ramp_tables

_BLOCK = 2**15  # pixels worked on together: a float plane of them stays in the cache
_DIFFUSE, _SPECULAR = 4.0, 2.5  # half steps that full light and its reflection are worth at strength 1
_OCCLUSION, _EDGE, _GLOW, _NIGHT = 3.0, 2.0, 4.0, 2.0  # half steps at 1
INK = 0.2  # OKLab lightness; darker is line work or a cast shadow
_RELIEF = 1.5  # pixels that white stands above black
_FLATNESS = 0.85  # of the inflated height: 1 makes a disc a half ball
_SHARES = ("ambient_occlusion", "edge_darkening", "relight", "rim", "glow")


@dataclass(frozen=True)
class Light:
    """Where the light comes from and what it does. Angles in degrees.

    azimuth: 0 from the right, counter-clockwise: 90 from above, 135 from the upper left; elevation: 0 grazing … 90 from the
    viewer; strength: 0 (nothing changes) to 2, 1 is about two steps of a ramp from light to shade.
    Shares from 0 to 1: ambient_occlusion darkens creases, edge_darkening the rim that lies in the shade, relight takes back
    the light that is in the drawing already, rim brightens the edge away from the light in the colour of the creature's
    lights, glow makes its lights shine on their surroundings and sinks the rest into the dark.
    Raises InputError outside of these.
    """

    azimuth: float = 135.0
    elevation: float = 40.0
    strength: float = 1.0
    ambient_occlusion: float = 0.5
    edge_darkening: float = 0.5
    relight: float = 0.7
    rim: float = 0.0
    glow: float = 0.0

    def __post_init__(self):
        ranges = {"azimuth": (-360, 720), "elevation": (0, 90), "strength": (0, 2)} | dict.fromkeys(_SHARES, (0, 1))
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise InputError(f"light: {name} {value!r}; it takes a number from {low} to {high}")

    def direction(self) -> tuple[float, float, float]:
        """Unit vector to the light: right, down, towards the viewer. Mirrored azimuths differ in signs alone."""
        turn = round(self.azimuth, 6) % 360
        quarter, rest = divmod(turn, 90)
        first, second = _sides(round(rest, 6))
        right, up = ((first, second), (-second, first), (-first, -second), (second, -first))[int(quarter)]
        flat, towards = _sides(self.elevation)
        return flat * right, -flat * up, towards


def _sides(degrees: float) -> tuple[float, float]:
    """Cosine and sine for 0 to 90 degrees; those of 90 − x are exactly those of x, swapped."""
    if degrees > 45:
        return _sides(round(90 - degrees, 6))[::-1]
    if degrees == 45:
        return math.sqrt(0.5), math.sqrt(0.5)
    return math.cos(math.radians(degrees)), math.sin(math.radians(degrees))


def shade(grid: np.ndarray, palette: Palette, light: Light | None = None) -> np.ndarray:
    """(H, W) or (B, H, W) uint8 index grid → the same shape, lit. Transparent pixels, and only those, stay transparent.

    Raises InputError for another shape, for anything but whole numbers and for an index beyond the palette.
    """
    light = light or Light()
    grid = _checked(grid, palette)
    if light.strength == 0 or not grid.size:
        return grid.copy()
    batch = grid if grid.ndim == 3 else grid[None]
    tables, shaded = ramp_tables(palette), np.empty_like(batch)
    block = max(1, _BLOCK // batch[0].size)
    for start in range(0, len(batch), block):
        shaded[start : start + block] = _shade_block(batch[start : start + block], tables, light)
    return shaded.reshape(grid.shape)


def _checked(grid: np.ndarray, palette: Palette) -> np.ndarray:
    grid = np.asarray(grid)
    if grid.ndim not in (2, 3) or grid.dtype.kind not in "iu":
        raise InputError(f"shader: a {grid.dtype} array of shape {grid.shape}; it takes index grids (H, W) or (B, H, W)")
    if grid.size and not (grid.min() >= 0 and grid.max() < len(palette)):
        raise InputError(f"shader: an index is beyond palette {palette.name!r} of {len(palette)} entries")
    return grid.astype(np.uint8)


def _shade_block(grids: np.ndarray, tables: RampTables, light: Light) -> np.ndarray:
    """(B, H, W) → the same, lit. All planes below have this shape."""
    opaque, lightness = grids != TRANSPARENT, tables.lightness[grids]
    depth = distance_to_edge(opaque)
    around = _mean_around(lightness, opaque)
    contrast = lightness - around
    lights = (lightness > 0.7) & (contrast > 0.15) & tables.coloured[grids]  # a creature's own: bright, small, not grey
    height = _height(opaque, depth, around)
    normals = _normals(height)
    right, down, _ = light.direction()
    away = np.clip(-2 * (normals[0] * right + normals[1] * down), 0, 1)
    steps = _key_light(normals, light) - light.relight * _own_light(grids, normals, tables)
    steps -= light.ambient_occlusion * _OCCLUSION * _occlusion(height)
    steps -= light.edge_darkening * _EDGE * ((depth == 1) * away)
    steps += light.glow * (_GLOW * _shine(lights) - _NIGHT)
    steps = _spare_details(steps * light.strength, lightness, contrast, depth)
    level = np.clip(np.floor(steps + 0.5), -LEVELS, LEVELS).astype(np.intp) + LEVELS
    shaded = tables.walk[level, grids]
    body = _box((depth > 1).astype(np.int32), 1) > 0  # a rim on a line one pixel wide would be the whole line
    rim = (depth == 1) & body & (away > 1 - 0.7 * light.rim * min(1, light.strength))
    return np.where(rim, _brighter(_rim_entries(grids, lights, tables), shaded, tables), shaded) if rim.any() else shaded


def _spare_details(steps: np.ndarray, lightness: np.ndarray, contrast: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Half steps cut where they would wash out eyes, lines and patterns.

    The more a pixel stands out from the 5×5 around it, the less it moves towards them; ink does not move at all, and outlines
    gain a step at most. Beside small bright spots the light stops short of their tone.
    """
    steps = np.minimum(steps, np.clip((contrast + 0.3) * 40, 0, None))
    steps = np.maximum(steps, np.clip((contrast - 0.35) * 40, None, 0))
    outline = (depth <= 2) & (contrast < -0.08) & (lightness < 0.35)
    steps = np.where(outline, np.clip(steps, 0, 2), steps)
    spot = (contrast > 0.2) & (lightness > 0.8)
    steps = np.where(_box(spot.astype(np.int32), 1) > 0, np.minimum(steps, 2), steps)
    return np.where(lightness < INK, 0, steps)


def distance_to_edge(opaque: np.ndarray) -> np.ndarray:
    """(B, H, W) bool → (B, H, W) int16: how many erosions a pixel outlives, by turns of its 4 and its 8 neighbours.

    0 outside, 1 on the edge; the frame's border counts as an edge. Octagons, so within a tenth of the true distance.
    """
    inside, depth, four = opaque, opaque.astype(np.int16), True
    while True:
        inside = _eroded(inside, four)
        if not inside.any():
            return depth
        depth += inside
        four = not four


def _eroded(mask: np.ndarray, four: bool) -> np.ndarray:
    p = _padded(mask)
    cross = p[:, :-2, 1:-1] & p[:, 2:, 1:-1] & p[:, 1:-1, :-2] & p[:, 1:-1, 2:] & mask
    return cross if four else cross & p[:, :-2, :-2] & p[:, 2:, :-2] & p[:, :-2, 2:] & p[:, 2:, 2:]


def _padded(plane: np.ndarray, by: int = 1) -> np.ndarray:
    return np.pad(plane, ((0, 0), (by, by), (by, by)))


def _mean_around(lightness: np.ndarray, opaque: np.ndarray) -> np.ndarray:
    """float32: mean over the opaque pixels of the 5×5 around each; 0 outside the sprite.

    In whole numbers, because float sums would differ with their order, that is in a mirror.
    """
    total = _box(np.where(opaque, np.floor(lightness * 1024 + 0.5), 0).astype(np.int32), 2)
    count = _box(opaque.astype(np.int32), 2)
    return np.where(opaque, total.astype(np.float32) / np.maximum(count, 1).astype(np.float32) / 1024, 0)


def _box(plane: np.ndarray, reach: int) -> np.ndarray:
    """Sums over squares of 2 reach + 1 pixels a side."""
    for axis in (1, 2):
        pad = [(0, 0)] * 3
        pad[axis] = (reach + 1, reach)
        sums = np.cumsum(np.pad(plane, pad), axis, dtype=np.int32)
        n = plane.shape[axis]
        plane = sums.take(range(2 * reach + 1, 2 * reach + 1 + n), axis) - sums.take(range(n), axis)
    return plane


def _height(opaque: np.ndarray, depth: np.ndarray, around: np.ndarray) -> np.ndarray:
    """(B, H, W) float32 in pixels: the inflated silhouette, a half ball over a disc, and a relief of the tones."""
    inside = _padded(opaque.astype(np.float32))
    u = _padded(depth.astype(np.float32) ** 2)  # where it starts from; Poisson's equation then takes out the ridges
    before, omega, sides = u, 1.0, max(opaque.shape[1:])
    radius2 = math.cos(math.pi / (0.7 * sides + 1)) ** 2
    for sweep in range(sides):  # Chebyshev's acceleration of Jacobi's iteration: no pixel goes before its mirror image
        new = np.zeros_like(u)
        mean = (u[:, :-2, 1:-1] + u[:, 2:, 1:-1]) + (u[:, 1:-1, :-2] + u[:, 1:-1, 2:])
        new[:, 1:-1, 1:-1] = mean * 0.25 + 1
        omega = 1.0 if sweep == 0 else 1 / (1 - radius2 / 2) if sweep == 1 else 1 / (1 - radius2 * omega / 4)
        new -= before
        new *= np.float32(omega)
        new += before
        new *= inside
        before, u = u, new
    height = _FLATNESS * np.sqrt(np.maximum(u, 0)[:, 1:-1, 1:-1])
    return (height + _RELIEF * np.minimum(depth, 3) / 3 * around).astype(np.float32)


def _normals(height: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit normals: right, down, towards the viewer; from central differences smoothed across."""
    p = _padded(height)
    p2 = (p[:, :-2] + p[:, 2:]) + 2 * p[:, 1:-1]
    p3 = (p[:, :, :-2] + p[:, :, 2:]) + 2 * p[:, :, 1:-1]
    right, down = (p2[:, :, :-2] - p2[:, :, 2:]) / 8, (p3[:, :-2] - p3[:, 2:]) / 8
    towards = 1 / np.sqrt((right * right + down * down) + 1)
    return right * towards, down * towards, towards


def _key_light(normals, light: Light) -> np.ndarray:
    """Half steps that the light and its reflection add or take: 0 where a surface faces the viewer."""
    right, down, towards = light.direction()
    lit = (normals[0] * right + normals[1] * down) + normals[2] * towards
    gain = lit - towards
    brightest, darkest = max(1 - towards, 0.1), max(towards + math.hypot(right, down), 0.1)
    mirror = (lit + normals[2]) / math.sqrt(2 + 2 * towards)  # 1 where a mirror would show the light
    diffuse = np.where(gain > 0, gain / brightest, gain / darkest)
    return _DIFFUSE * diffuse + _SPECULAR * np.clip((mirror - 0.95) * 40, 0, 1)


def _own_light(grids: np.ndarray, normals, tables: RampTables) -> np.ndarray:
    """Half steps of directional light that the drawing has already: each ramp's tones regressed on the normals."""
    count, ramps = len(grids), len(tables.ramps)
    opaque = grids != TRANSPARENT
    group = np.where(opaque, tables.ramp_of[grids] + ramps * np.arange(count)[:, None, None], count * ramps).ravel()
    tone = np.floor(tables.lightness[grids] * 1024 + 0.5).astype(np.float64).ravel()
    pixels = np.bincount(group, minlength=count * ramps + 1)
    mean = np.floor(np.bincount(group, tone, count * ramps + 1) / np.maximum(pixels, 1))
    apart = np.where(opaque, (tone - mean[group]).reshape(grids.shape), 0)
    own = np.zeros(grids.shape, np.float32)
    for normal in normals[:2]:
        slope = np.where(opaque, np.sign(normal) * np.floor(abs(normal) * 256 + 0.5), 0)
        along, square = (apart * slope).sum((1, 2)), (slope * slope).sum((1, 2))
        tilt = (along / np.maximum(square, 1) / 4).astype(np.float32)  # OKLab lightness per unit of the normal
        own = own + tilt[:, None, None] * normal
    return np.clip(own / np.float32(STEP / 2), -4, 4)


def _occlusion(height: np.ndarray) -> np.ndarray:
    """0…1: how far more than half of the 5×5 around stands higher, as in creases and inner corners; a slope has 0."""
    rows, columns = height.shape[1:]
    p = _padded(height, 2)
    lifted, higher = height + 0.25, np.zeros(height.shape, np.int8)
    for y in range(5):
        for x in range(5):
            higher += p[:, y : y + rows, x : x + columns] > lifted
    return np.clip(higher * np.float32(0.2) - 2.25, 0, 1)


def _shine(lights: np.ndarray) -> np.ndarray:
    """0…1: what the creature's own lights throw on the 5×5 around them."""
    return np.minimum(_box(_box(lights.astype(np.int32), 1), 1) * np.float32(0.25), 1)


def _rim_entries(grids: np.ndarray, lights: np.ndarray, tables: RampTables) -> np.ndarray:
    """The entry of a rim light at each pixel: of the hue that most of the sprite's lights have, else of its own ramp."""
    count, ramps = len(grids), len(tables.ramps)
    group = tables.ramp_of[grids] + ramps * np.arange(count)[:, None, None]
    votes = np.bincount(group[lights], minlength=count * ramps).reshape(count, ramps)
    common = tables.glowing[votes.argmax(1)][:, None, None]
    return np.where(votes.sum(1)[:, None, None] > 0, common, tables.glowing[tables.ramp_of[grids]])


def _brighter(one: np.ndarray, other: np.ndarray, tables: RampTables) -> np.ndarray:
    return np.where(tables.lightness[one] > tables.lightness[other], one, other)
