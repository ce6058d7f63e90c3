"""Composites: sprites made to look like photographed things, on backgrounds that are not plain, with the true silhouette.

They measure how much of a known thing `data_prep.foreground` brings back. Everything depends on (seed, index) alone. Writes
nothing; reads the two sample photographs that come with scikit-learn.
"""

import io
from dataclasses import dataclass
from functools import cache

import numpy as np

from data_prep.curate import trim
from data_prep.palette import oklab_to_rgb
from data_prep.sources import procedural

EASY = "gradient"  # no texture: shown, but left out of the headline
SPRITE = 32  # pixels a side of the sprites that are enlarged
SIDES = (320, 481)  # pixels of a composite's sides, each drawn from here
SHARE = (0.45, 0.80)  # the thing's longer side over the frame's shorter one
MARGIN = 0.04  # of the shorter side: the thing keeps so far from the frame


@dataclass(frozen=True, eq=False)
class Composite:
    """rgb: (H, W, 3) uint8 after JPEG; truth: (H, W) bool, the thing's silhouette; background: its family."""

    rgb: np.ndarray
    truth: np.ndarray
    background: str
    name: str


def composite(seed: int, index: int, background: str) -> Composite:
    """One scene: a procedural sprite enlarged smoothly, shaded, on a background of that family, JPEG-compressed."""
    dice = np.random.default_rng([seed, index, list(BACKGROUNDS).index(background)])
    height, width = dice.integers(*SIDES, 2)
    sprite = procedural.sprite(seed, index, SPRITE)
    thing, truth = _placed(dice, sprite.rgba(), height, width)
    scene = BACKGROUNDS[background](dice, height, width)
    light = 1 + 0.28 * fractal(dice, height, width, 1.5)[..., None]  # one soft light over the thing: shading
    colour = np.clip(thing[..., :3] * light + dice.normal(0, 4, (height, width, 3)), 0, 255)
    mixed = scene * (1 - thing[..., 3:]) + colour * thing[..., 3:]
    return Composite(_jpeg(mixed, int(dice.integers(60, 93))), truth, background, f"{background}-{index}-{sprite.tags['plan']}")


def empty(seed: int, index: int, background: str) -> np.ndarray:
    """(H, W, 3) uint8: a background of that family with nothing on it, JPEG-compressed too."""
    dice = np.random.default_rng([seed, index, list(BACKGROUNDS).index(background), 1])
    return _jpeg(BACKGROUNDS[background](dice, *dice.integers(*SIDES, 2)), int(dice.integers(60, 93)))


def _placed(dice: np.random.Generator, rgba: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 4) float with colours in 0…255 and soft opacity in 0…1, and (H, W) bool: where it is mostly opaque."""
    import cv2

    rgba = np.pad(trim(rgba), ((1, 1), (1, 1), (0, 0)))
    opacity = rgba[..., 3:].astype(np.float32) / 255
    premultiplied = np.concatenate([rgba[..., :3] * opacity, opacity], -1).astype(np.float32)
    scale = dice.uniform(*SHARE) * min(height, width) / max(rgba.shape[:2])
    large = cv2.resize(premultiplied, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    large = cv2.GaussianBlur(large, (0, 0), 0.35 * scale)  # no pixel's corner is left: a smooth thing
    soft = np.clip((large[..., 3] - 0.5) * scale * 0.7 + 0.5, 0, 1)  # an edge about 1.5 pixels wide
    colours = np.clip(large[..., :3] / np.maximum(large[..., 3:], 0.05), 0, 255)
    margin = int(MARGIN * min(height, width))
    top = int(dice.integers(margin, height - margin - soft.shape[0] + 1))
    left = int(dice.integers(margin, width - margin - soft.shape[1] + 1))
    placed = np.zeros((height, width, 4), np.float32)
    placed[top : top + soft.shape[0], left : left + soft.shape[1]] = np.dstack([colours, soft])
    return placed, placed[..., 3] >= 0.5


def _jpeg(scene: np.ndarray, quality: int) -> np.ndarray:
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(np.clip(scene, 0, 255).astype(np.uint8)).save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(data).convert("RGB"))


# --- backgrounds: (dice, height, width) → (H, W, 3) float in 0…255 -----------------------------------------------------


def fractal(dice, height: int, width: int, coarsest: float = 3, octaves: int = 5) -> np.ndarray:
    """(H, W) float32 of mean 0 and deviation 1: value noise, each octave twice as fine and half as strong."""
    import cv2

    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        cells = max(2, int(coarsest * 2**octave))
        values = dice.normal(0, 1, (cells, cells)).astype(np.float32)
        total += cv2.resize(values, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    return (total - total.mean()) / total.std()


def _colour(dice, lightness: tuple[float, float], chroma: tuple[float, float]) -> np.ndarray:
    """(3,) float sRGB in 0…255 of a hue drawn evenly in OKLab."""
    hue, strength = dice.uniform(0, 2 * np.pi), dice.uniform(*chroma)
    lab = np.array([dice.uniform(*lightness), strength * np.cos(hue), strength * np.sin(hue)])
    return oklab_to_rgb(lab).astype(np.float32)


def _between(low: np.ndarray, high: np.ndarray, place: np.ndarray) -> np.ndarray:
    return low + (high - low) * np.clip(place, 0, 1)[..., None]


def _gradient(dice, height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    turn = dice.uniform(0, 2 * np.pi)
    scene = _between(_colour(dice, (0.2, 0.9), (0, 0.12)), _colour(dice, (0.2, 0.9), (0, 0.12)),
                     (x * np.cos(turn) + y * np.sin(turn)) / 2.4 + 0.5)  # fmt: skip
    return scene * (1 - 0.25 * (x**2 + y**2) / 2)[..., None] + dice.normal(0, 4, scene.shape)


def _noise(dice, height: int, width: int) -> np.ndarray:
    """Clouded colour: three colours mixed by two noises, as sand, silt or cloth."""
    low, high, third = (_colour(dice, (0.2, 0.85), (0.02, 0.12)) for _ in range(3))
    coarse, fine = fractal(dice, height, width, 4), fractal(dice, height, width, 12, 4)
    scene = _between(low, high, 0.5 + 0.28 * coarse)
    return scene + (third - scene) * np.clip(0.25 + 0.25 * fine, 0, 1)[..., None] + dice.normal(0, 4, scene.shape)


def _caustics(dice, height: int, width: int) -> np.ndarray:
    """Water: blue to green, darker below, under a net of light."""
    hue = dice.uniform(3.3, 4.6)  # cyan to blue in OKLab
    deep, clear = (oklab_to_rgb(np.array([level, 0.09 * np.cos(hue), 0.09 * np.sin(hue)])) for level in (0.25, 0.7))
    depth = np.linspace(1, 0.2, height)[:, None] + 0.15 * fractal(dice, height, width, 2, 3)
    net = sum(np.exp(-((fractal(dice, height, width, cells, 2) / 0.22) ** 2)) for cells in (5, 8))
    return _between(deep.astype(np.float32), clear.astype(np.float32), depth) + (70 * net * np.clip(depth, 0.2, 1))[..., None]


def _gravel(dice, height: int, width: int) -> np.ndarray:
    """Stones: cells around random points, each of its own shade, dark where they meet."""
    from scipy.spatial import cKDTree

    stone = dice.uniform(9, 26)  # pixels across
    points = dice.uniform(-stone, [height + stone, width + stone], (int(height * width / stone**2 * 1.3), 2))
    pixels = np.indices((height, width)).reshape(2, -1).T
    near, owner = cKDTree(points).query(pixels, 2)
    base = _colour(dice, (0.4, 0.7), (0, 0.06))
    shades = np.clip(base * dice.normal(1, 0.28, (len(points), 1)) + dice.normal(0, 12, (len(points), 3)), 10, 245)
    meeting = np.clip((near[:, 1] - near[:, 0]) / 4, 0.25, 1)  # the gap between two stones
    scene = (shades[owner[:, 0]] * meeting[:, None]).reshape(height, width, 3)
    return scene * (1 + 0.1 * fractal(dice, height, width, 20, 3))[..., None]


@cache
def _sample_photographs() -> tuple[np.ndarray, ...]:
    from sklearn.datasets import load_sample_images

    return tuple(load_sample_images().images)  # a temple and a flower, 427×640


def _photograph(dice, height: int, width: int) -> np.ndarray:
    """A crop of a real photograph, wherever it falls and so with whatever else it shows, at times mirrored."""
    import cv2

    photograph = _sample_photographs()[dice.integers(len(_sample_photographs()))]
    scale = dice.uniform(max(height / photograph.shape[0], width / photograph.shape[1], 0.8), 1.6)
    large = cv2.resize(photograph, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    top, left = (int(dice.integers(0, large.shape[axis] - side + 1)) for axis, side in ((0, height), (1, width)))
    crop = large[top : top + height, left : left + width]
    return crop[:, :: dice.choice([-1, 1])].astype(np.float32)


BACKGROUNDS = {EASY: _gradient, "noise": _noise, "caustics": _caustics, "gravel": _gravel, "photograph": _photograph}
