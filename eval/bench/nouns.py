"""A hundred plain nouns, and a classifier that says which of them a drawing shows. It never sees what it is tested on.

It learns from the training sprites of a prepared dataset whose label ends with the noun ('police car' is a car), before a
ground as a bench drawing would be, mirrored and stretched. One sprite a noun is held back with its whole source and its near
copies: top-1 and top-5 on those, beside chance, are the most that a drawing can be expected to get. With a handful of sprites
a noun it is a weak eye; it compares models, no more.
Features: the figure (what has not the ground's colour) in its bounding box as 12×12 means of cover and OKLab, how oblong it
is, and its colours' histogram. Classifier: linear discriminants with shrunk covariance (O. Ledoit and M. Wolf, 2004).
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from data_prep.bench_format import on_a_ground
from data_prep.errors import InputError
from data_prep.sprite import Sprite
from eval.bench.randomness import keyed
from eval.bench.sample_drawings import prepared
from eval.bench.structure import ground_of
from eval.bench.tables import located

if TYPE_CHECKING:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

_WORDS = """
    apple airplane backpack balloon banana bathtub bear bell bicycle bird book brain bus butterfly camera carrot cat church
    cookie crab crocodile crown dog dolphin door doughnut duck eagle factory fish fountain fox goat hamburger hammer hat heart
    helicopter horse jellyfish key keyboard koala lemon lion lizard llama lobster lollipop monkey moon motorcycle mouse mushroom
    octopus otter owl peach peacock pear penguin pig potion rabbit rat ring rocket rooster rose scorpion scroll seal shark ship
    shrimp skull snail snake star strawberry swan sword syringe taxi telescope thermometer tiger tomato tractor tree trophy
    trumpet umbrella violin volcano wand watch watermelon whale wolf
"""
NOUNS = tuple(_WORDS.split())
LEAST_SPRITES = 2  # of a noun, beside the one that is held back
NEAR_COPY = 0.9  # of two silhouettes' pixels
SIDE = 12
VIEWS = 8  # of each training sprite


@dataclass(frozen=True, eq=False)
class NounClassifier:
    """nouns: those it knows; held_out: {'top_1', 'top_5', 'sprites'} on sprites that it never saw."""

    nouns: tuple[str, ...]
    model: "LinearDiscriminantAnalysis"
    held_out: Mapping[str, float]
    trained_on: int

    def likeliest(self, grid: np.ndarray, lab: np.ndarray) -> list[str]:
        """Nouns, likeliest first, for an (H, W) grid of places in (k, 3) OKLab colours."""
        chances = self.model.predict_proba(features(grid, lab)[None])[0]
        return [str(self.model.classes_[place]) for place in np.argsort(-chances, kind="stable")]

    def facts(self) -> dict:
        """What a log tells of it, with chance."""
        n = len(self.nouns)
        return {
            "nouns": n,
            "training_sprites": self.trained_on,
            "held_out": dict(self.held_out),
            "chance": [1 / n, min(5 / n, 1)],
        }


def features(grid: np.ndarray, lab: np.ndarray) -> np.ndarray:
    """(n,) float64 of one drawing."""
    figure = grid != ground_of(grid)
    rows, columns = np.nonzero(figure) if figure.any() else np.nonzero(np.ones_like(figure))
    box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    planes = np.concatenate([figure[..., None], lab[grid] * figure[..., None]], -1)[box]
    tall, wide = planes.shape[:2]
    small = np.stack([_resized(planes[..., k]) for k in range(4)], -1)
    inside = lab[grid][figure]
    histogram, _ = np.histogramdd(inside, (3, 4, 4), ((0, 1), (-0.3, 0.3), (-0.3, 0.3)))
    colour = histogram.ravel() / max(len(inside), 1)
    return np.concatenate([(small * [1, 1, 3, 3]).ravel(), 3 * colour, [np.log(tall / wide)]])


def _resized(plane: np.ndarray) -> np.ndarray:
    """Means over SIDE × SIDE cells of an (h, w) plane."""
    big = np.kron(plane, np.ones((SIDE, SIDE)))
    return big.reshape(SIDE, plane.shape[0], SIDE, plane.shape[1]).mean((1, 3))


def noun_of(sprite: Sprite) -> str | None:
    """Which of NOUNS a sprite's label, or else its caption, ends with."""
    words = (sprite.tags.get("label") or sprite.caption).lower().split()
    return words[-1] if words and words[-1] in NOUNS else None


def by_noun(sprites: Sequence[Sprite]) -> dict[str, tuple[list[Sprite], Sprite]]:
    """noun → (sprites to learn, the one that is held back), for nouns with enough."""
    found = defaultdict(list)
    for sprite in sorted(sprites, key=lambda sprite: sprite.id):
        found[noun_of(sprite)].append(sprite)
    split = {noun: _one_held_back(found[noun]) for noun in NOUNS if found[noun]}
    return {noun: (learnt, held_back) for noun, (learnt, held_back) in split.items() if len(learnt) >= LEAST_SPRITES}


def _one_held_back(sprites: list[Sprite]) -> tuple[list[Sprite], Sprite]:
    """The first sprite of the source that has fewest of the noun. Nothing of that source is learnt, and nothing that has nearly
    its silhouette: other artists drew what is left."""
    counts = Counter(sprite.source for sprite in sprites)
    held_back = min(sprites, key=lambda sprite: counts[sprite.source])
    return [s for s in sprites if s.source != held_back.source and _shared(s, held_back) < NEAR_COPY], held_back


def _shared(a: Sprite, b: Sprite) -> float:
    """Pixels that both silhouettes have by those that either has; 0 for another size."""
    if a.grid.shape != b.grid.shape:
        return 0.0
    return float(((a.grid > 0) & (b.grid > 0)).sum() / max(((a.grid > 0) | (b.grid > 0)).sum(), 1))


def train(sprites: Sequence[Sprite]) -> NounClassifier:
    """Raises InputError where fewer than two nouns have enough sprites."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    known = by_noun(sprites)
    if len(known) < 2:
        raise InputError(f"nouns: {len(known)} of the hundred have {LEAST_SPRITES} sprites in this dataset; give a larger one")
    learnt = [(noun, sprite) for noun, (several, _) in known.items() for sprite in several]
    rows = np.stack([_view(sprite, view) for _, sprite in learnt for view in range(VIEWS)])
    names = np.repeat([noun for noun, _ in learnt], VIEWS)
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=np.full(len(known), 1 / len(known))).fit(
        rows, names
    )
    held_back = {noun: sprite for noun, (_, sprite) in known.items()}
    return NounClassifier(tuple(known), model, _tested(model, held_back), len(learnt))


def _view(sprite: Sprite, view: int) -> np.ndarray:
    """Features of a sprite before a ground; odd views are mirrored, later ones stretched and shifted."""
    rng = keyed("noun", sprite.id, view)
    grid = sprite.grid[:, ::-1] if view % 2 else sprite.grid
    if view > 1:
        grid = ndimage.affine_transform(
            grid, np.diag(rng.uniform(0.85, 1.15, 2)), rng.uniform(-1, 1, 2), order=0, mode="constant"
        )
    drawing = on_a_ground(grid if grid.any() else sprite.grid, sprite.palette, rng, bands=False)
    return features(drawing.grid, drawing.lab)


def _tested(model, held_back: Mapping[str, Sprite]) -> dict[str, float]:
    chances = model.predict_proba(np.stack([_view(sprite, 0) for sprite in held_back.values()]))
    place = [int((row > row[list(model.classes_).index(noun)]).sum()) for row, noun in zip(chances, held_back, strict=True)]
    return {"top_1": float(np.mean(np.array(place) < 1)), "top_5": float(np.mean(np.array(place) < 5)), "sprites": len(place)}


@cache
def load_classifier(dataset: str) -> NounClassifier:
    """Trained on a prepared dataset's training split, some ten seconds. Raises InputError where there is none."""
    folder = located(dataset)
    if not (folder / "manifest.json").is_file():
        raise InputError(f"dataset {dataset}: no prepared dataset is there; `pixelreef prepare` makes one from packs")
    return train(prepared(folder, "train"))
