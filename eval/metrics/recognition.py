"""Recognition: does a drawing look like the category that was asked for? The first small critic, forerunner of `guide`.

recognised = 1 where the critic's class is the category asked for, 0 where it is another or 'none'; None where no
category, or one that the critic was not taught, was asked for. The critic: extremely randomised trees (P. Geurts,
D. Ernst and L. Wehenkel, 2006) on silhouette and lightness, never on hue, trained anew in `score` on the run's
training sprites, mirrored too. Its class 'none' is taught by half of the degenerate controls (`TAUGHT`), so that the
other half can find it out, and by `blob`: without those, every ellipse is some animal. The shaded disc is a near
relative of the blobs: that it is found out proves less than that half-erased sprites and other subjects are.

What it does not see. It knows kinds, not quality: one fixed training sprite a category passes always, and so does any
copy, for the critic has seen the training sprites. The first shows in `repeated`, the second in `nearest training
sprite`. A recoloured copy and a filled-in silhouette of a training sprite pass both, because that metric compares
entries. So a generator may stand above the held-out sprites by knowing the training sprites by heart; that is no praise.

It does not withstand search: of 6,000 heaps of random ellipses, the 60 that another critic of this kind (other seed,
half of the training sprites) liked best for a category were recognised eight or nine times in ten, single discs one
time in three; unpicked ones less than one in ten. Whoever chooses drawings, checkpoints or rewards by a critic must be
judged by another kind of critic than this.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from data_prep.palette import Palette
from eval.controls import GRID_CONTROLS
from eval.metrics import structure

NONE = "none"
TAUGHT = ("noise", "checkerboard", "shuffled pixels", "plain square", "blank")
BLOBS = "random blobs"
TREES = 200
MAX_SIDE = 16  # larger drawings are averaged down to this many places a side
MAX_TRAINING = 6000  # sprites; evenly spaced ones of more
MAX_CATEGORIES = 32  # the most frequent ones
_MIN_SPRITES = 20
_MIN_EACH = 5  # sprites of a category; fewer teach nothing
_SEED = 20
_SHAPE = ("opaque_share", "largest_component", "speckle", "neighbour_agreement", "straight_edge")


def lightness(grid: np.ndarray, palette: Palette) -> np.ndarray:
    """(…, H, W) index grid → float32 OKLab lightness, 0 where transparent."""
    return np.concatenate([[0], palette.oklab[:, 0]]).astype(np.float32)[grid]


def features(grids: np.ndarray, light: np.ndarray) -> np.ndarray:
    """(N, H, W) index grids and their lightness → (N, features) float32. Nothing in it counts colours or knows hues."""
    drawn, light = (_centred(plane, grids > 0) for plane in ((grids > 0).astype(np.float32), light))
    stats = structure.statistics(grids)
    shape = [stats[name] for name in _SHAPE] + _form(drawn) + _tone(drawn, light)
    profiles = [drawn.mean(1), drawn.mean(2)]
    pooled = [_pooled(plane).reshape(len(grids), -1) for plane in (drawn, light)]
    return np.concatenate([*pooled, *profiles, np.stack(shape, 1)], axis=1).astype(np.float32)


def _centred(planes: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Each plane rolled so that the middle of its bounding box is the middle of the frame; nothing leaves the frame."""
    box = structure.bounding_box(drawn)
    places = []
    for side, (first, last) in zip(drawn.shape[1:], ((0, 1), (2, 3)), strict=True):
        shift = (box[:, first] + box[:, last] + 1 - side) // 2
        places.append((np.arange(side)[None] + shift[:, None]) % side)
    return planes[np.arange(len(planes))[:, None, None], places[0][:, :, None], places[1][:, None, :]]


def _pooled(planes: np.ndarray) -> np.ndarray:
    """(N, H, W) → (N, ≤ 16, ≤ 16) means, so that the cost does not grow with the drawings."""
    for axis in (1, 2):
        side = planes.shape[axis]
        if side > MAX_SIDE:
            bins = np.arange(side) * MAX_SIDE // side
            weights = (bins[:, None] == np.arange(MAX_SIDE)).astype(np.float32)
            planes = np.moveaxis(np.moveaxis(planes, axis, -1) @ (weights / weights.sum(0)), -1, axis)
    return planes


def _form(drawn: np.ndarray) -> list[np.ndarray]:
    """Of centred silhouettes: height, width, share of the bounding box that is filled, both symmetries, ragged edge."""
    box = structure.bounding_box(drawn > 0)
    tall, wide = box[:, 1] - box[:, 0] + 1, box[:, 3] - box[:, 2] + 1
    area = np.maximum(drawn.sum((1, 2)), 1)
    even = [(drawn * mirrored).sum((1, 2)) / area for mirrored in (drawn[:, :, ::-1], drawn[:, ::-1])]
    edge = sum(np.abs(np.diff(drawn, axis=axis)).sum((1, 2)) for axis in (1, 2)) / area**0.5
    heavy = [(drawn * np.linspace(-1, 1, side).reshape(way)).sum((1, 2)) / area for side, way in _ways(drawn)]
    return [tall / drawn.shape[1], wide / drawn.shape[2], area / (tall * wide), *even, edge, heavy[0], np.abs(heavy[1])]


def _ways(planes: np.ndarray) -> tuple[tuple[int, tuple[int, int, int]], ...]:
    return (planes.shape[1], (1, -1, 1)), (planes.shape[2], (1, 1, -1))


def _tone(drawn: np.ndarray, light: np.ndarray) -> list[np.ndarray]:
    """Mean and spread of the lightness of what is drawn, and its steps between neighbours within the drawing."""
    area = np.maximum(drawn.sum((1, 2)), 1)
    mean = light.sum((1, 2)) / area
    spread = np.sqrt(((light - mean[:, None, None]) ** 2 * drawn).sum((1, 2)) / area)
    both = (drawn[:, 1:] * drawn[:, :-1], drawn[:, :, 1:] * drawn[:, :, :-1])
    steps = [(np.abs(np.diff(light, axis=axis)) * pair).sum((1, 2)) / area for axis, pair in zip((1, 2), both, strict=True)]
    return [mean, spread, *steps]


@dataclass(frozen=True)
class Critic:
    """A trained critic: sprites of `size` go to one of `categories` (sorted) or to NONE."""

    forest: object
    categories: tuple[str, ...]
    size: tuple[int, int]
    training: int  # sprites, without mirrored copies and what shows nothing

    @classmethod
    def train(cls, grids: np.ndarray, categories: np.ndarray, palette: Palette) -> "Critic | None":
        """From (N, H, W) training grids and (N,) words; '' is 'not known'. None below 20 sprites that can be used."""
        from sklearn.ensemble import ExtraTreesClassifier

        kept = _usable(categories)
        if len(kept) < _MIN_SPRITES:
            return None
        sprites, words = grids[kept], categories[kept].astype(object)
        bad = _nothing(sprites, palette, len(sprites) // len(set(words)) + len(TAUGHT))
        shown = np.concatenate([sprites, bad])
        answers = np.concatenate([words, np.full(len(bad), NONE, object)]).astype(str)
        seen = np.concatenate([features(view, lightness(view, palette)) for view in (shown, shown[:, :, ::-1])])
        forest = ExtraTreesClassifier(TREES, min_samples_leaf=2, random_state=_SEED, n_jobs=1)
        forest.fit(seen, np.tile(answers, 2))
        return cls(forest, tuple(sorted(set(words))), grids.shape[1:], len(kept))

    def name(self, grids: np.ndarray, light: np.ndarray) -> list[str]:
        """(N, H, W) drawings and their lightness → N classes; a drawing and its mirror image get the same one."""
        views = (features(*(plane[:, :, ::way] for plane in (grids, light))) for way in (1, -1))
        likely = sum(self.forest.predict_proba(view) for view in views)
        return [str(word) for word in self.forest.classes_[likely.round(9).argmax(1)]]


def _usable(categories: np.ndarray) -> np.ndarray:
    """Positions of the training sprites to learn from, in order."""
    known = Counter(word for word in categories.tolist() if word not in ("", NONE))
    taught = {word for word, count in known.most_common(MAX_CATEGORIES) if count >= _MIN_EACH}
    kept = np.array([place for place, word in enumerate(categories.tolist()) if word in taught], int)
    return kept[np.linspace(0, len(kept) - 1, min(len(kept), MAX_TRAINING)).astype(int)]


def _nothing(sprites: np.ndarray, palette: Palette, count: int) -> np.ndarray:
    """Made from training sprites and showing nothing: `count` drawings of the taught controls in turn, `count` blobs."""
    rng = np.random.default_rng(_SEED)
    families = [GRID_CONTROLS[name] for name in TAUGHT]
    turns = [families[turn % len(families)] for turn in range(count)] + [blob] * count
    places = rng.integers(0, len(sprites), len(turns))
    return np.stack([draw(sprites[place], palette, rng) for draw, place in zip(turns, places, strict=True)])


def blob(grid: np.ndarray, palette: Palette, rng: np.random.Generator) -> np.ndarray:
    """A smooth random shape with the sprite's very pixels, dark at its edge and light within: shaded like a sprite."""
    pixels = grid[grid > 0] if grid.any() else np.ones(1, np.uint8)
    pixels = pixels[np.argsort(palette.oklab[pixels - 1, 0], kind="stable")]
    stretch = rng.uniform(0.6, 1.6) ** np.array([1, -1])
    middle = (np.array(grid.shape) - 1) / 2 + rng.uniform(-1, 1, 2)
    away = np.hypot(*((place - centre) * by for place, centre, by in zip(np.indices(grid.shape), middle, stretch, strict=True)))
    bumps = ndimage.gaussian_filter(rng.standard_normal(grid.shape), rng.uniform(0.1, 0.22) * min(grid.shape))
    height = rng.uniform(0, 0.35) * bumps / max(bumps.std(), 1e-9) - away / (len(pixels) / np.pi) ** 0.5
    shape = height >= np.sort(height, axis=None)[-len(pixels)]
    depth = ndimage.distance_transform_edt(np.pad(shape, 1))[1:-1, 1:-1] + rng.normal(0, 0.3, grid.shape)
    out = np.zeros(grid.size, np.uint8)
    out[np.argsort(np.where(shape, depth, -9), axis=None)[-len(pixels) :]] = pixels
    return out.reshape(grid.shape)


def confusion(asked: Sequence[str], named: Sequence[str], critic: Critic) -> dict:
    """Rows: asked for; columns: named, 'none' last. Pairs that the critic cannot know are left out."""
    columns = [*critic.categories, NONE]
    table = np.zeros((len(critic.categories), len(columns)), int)
    for wanted, found in zip(asked, named, strict=True):
        if wanted in critic.categories:
            table[columns.index(wanted), columns.index(found)] += 1
    return {"categories": list(critic.categories), "named": columns, "confusion": table.tolist()}
