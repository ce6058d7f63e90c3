"""Measures of a sprite generator: what colour alone gives away, twins, speed, memory, repeatability, what captions say.

Sprites in, numbers out; nothing is written. Only `digest` starts a process. `reef_figures` puts the numbers on a page.
"""

import hashlib
import os
import re
import subprocess
import sys
import time
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from data_prep import curate
from data_prep.sprite import Sprite
from data_prep.wording import STATED, synonyms

TREES = 100
TWIN = 0.95  # silhouettes that overlap so much or more are twins
COMBINATION = ("plan", "colour", "pattern")  # what the procedural split is decided by


@dataclass(frozen=True)
class Share:
    """So many of so many; printed in per cent with its exact (Clopper–Pearson) 95 % interval."""

    count: int
    total: int

    @property
    def value(self) -> float:
        return self.count / self.total if self.total else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        from scipy.stats import binomtest

        low, high = binomtest(self.count, self.total).proportion_ci()
        return float(low), float(high)

    def __str__(self) -> str:
        if not self.total:
            return "–"
        low, high = self.interval
        return f"{100 * self.value:.1f} % ({100 * low:.1f}–{100 * high:.1f})"


# --- what colour gives away -----------------------------------------------------------------------------------------


def histograms(sprites: Sequence[Sprite]) -> np.ndarray:
    """(n, 64) pixels of each index, transparent included: all that is left of a sprite without its shape."""
    return np.stack([np.bincount(sprite.grid.ravel(), minlength=64) for sprite in sprites])


def colour_accuracy(train: Sequence[Sprite], test: Sequence[Sprite], tag: str) -> Share:
    """How many of `test` the better of two classifiers names by their colour histograms; both learn on `train`.

    The better one is taken by its result on `test`: an upper bound, as a low figure is the goal.
    """
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    trees = ExtraTreesClassifier(TREES, random_state=0)
    linear = make_pipeline(FunctionTransformer(np.log1p), StandardScaler(), LogisticRegression(max_iter=1000))
    seen, asked = histograms(train), histograms(test)
    names, truth = [sprite.tags[tag] for sprite in train], np.array([sprite.tags[tag] for sprite in test])
    if len(set(names)) == 1:  # a classifier needs two classes
        return Share(int((truth == names[0]).sum()), len(truth))
    return Share(max(int((model.fit(seen, names).predict(asked) == truth).sum()) for model in (trees, linear)), len(truth))


def commonest(sprites: Sequence[Sprite], tag: str) -> Share:
    """What naming every sprite the same would score at best."""
    return Share(max(Counter(sprite.tags[tag] for sprite in sprites).values()), len(sprites))


# --- twins ----------------------------------------------------------------------------------------------------------


def silhouettes(sprites: Sequence[Sprite], centred: bool = False) -> np.ndarray:
    """(n, H, H) bool of square sprites of one size; centred: each one's bounding box is moved to the middle of the frame."""
    masks = [sprite.grid > 0 for sprite in sprites]
    return np.stack([curate.centred(curate.trim(mask), len(mask)) for mask in masks] if centred else masks)


def nearest_overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n, H, W), (m, H, W) bool → (n,) highest intersection over union with any of `other`, as it is or mirrored."""
    flat = one.reshape(len(one), -1).astype(np.float32)
    best = np.zeros(len(one), np.float32)
    for view in (other, other[:, :, ::-1]):
        against = view.reshape(len(other), -1).astype(np.float32)
        shared = flat @ against.T
        union = flat.sum(1)[:, None] + against.sum(1)[None] - shared
        best = np.maximum(best, (shared / np.maximum(union, 1)).max(1))
    return best


def without_twin(overlaps: np.ndarray) -> Share:
    """(n,) nearest overlaps → how many stay below TWIN."""
    return Share(int((overlaps < TWIN).sum()), len(overlaps))


# --- speed, memory, bytes -------------------------------------------------------------------------------------------


def cpu_seconds(stream: Iterator, count: int) -> float:
    """CPU seconds of this process, all threads, for the next `count` of the stream."""
    start = time.process_time()
    for _ in islice(stream, count):
        pass
    return time.process_time() - start


def memory_peaks(stream: Iterator, first: int, last: int) -> tuple[int, int]:
    """Peak bytes that Python and NumPy hold over the first `first` of the stream, and from there to number `last`.

    By tracemalloc: the resident size of a process has its parent's mark in it on Linux, and would hide the growth.
    """
    tracemalloc.start()
    try:
        for _ in islice(stream, first):
            pass
        early = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        for _ in islice(stream, last - first):
            pass
        return early, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def sha256_of(stream: Iterable[Sprite], count: int) -> str:
    """One hash over the ids of the first `count` sprites: pixels, colours, captions, tags and provenance."""
    return hashlib.sha256("".join(sprite.id for sprite in islice(stream, count)).encode()).hexdigest()


_DIGEST = """
import pkgutil, sys
from data_prep.reef_measures import sha256_of
source, *numbers = sys.argv[1:]
seed, size, count = map(int, numbers)
print(sha256_of(pkgutil.resolve_name(source)(seed, size), count))
"""


def digest(source: str, seed: int, size: int, count: int, hash_seed: int) -> str:
    """`sha256_of` in a process of its own under PYTHONHASHSEED = hash_seed. source: 'module:function' of (seed, size)."""
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", _DIGEST, source, *map(str, (seed, size, count))]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


# --- what there is, and what captions say ---------------------------------------------------------------------------


def plan_counts(sprites: Iterable[Sprite]) -> dict[tuple[str, str], Counter]:
    """(category, plan) → zone → sprites."""
    counts: dict[tuple[str, str], Counter] = defaultdict(Counter)
    for sprite in sprites:
        counts[sprite.tags["category"], sprite.tags["plan"]][sprite.tags["zone"]] += 1
    return dict(counts)


def poses_of(sprites: Iterable[Sprite]) -> dict[str, list[str]]:
    """Plan → the poses that it is drawn in, sorted; plans without poses are absent."""
    found: dict[str, set[str]] = defaultdict(set)
    for sprite in sprites:
        if sprite.tags.get("pose"):
            found[sprite.tags["plan"]].add(sprite.tags["pose"])
    return {plan: sorted(poses) for plan, poses in found.items()}


def combinations(sprites: Iterable[Sprite]) -> set[tuple[str, ...]]:
    """The (plan, colour, pattern) that occur."""
    return {tuple(sprite.tags[key] for key in COMBINATION) for sprite in sprites}


def stated(sprites: Iterable[Sprite]) -> dict[str, Share]:
    """Attribute → captions that state it, of the sprites about which there is something to say ('no glow' is not said)."""
    found, possible = Counter(), Counter()
    for sprite in sprites:
        for key in STATED:
            words = [word for word in synonyms(key, sprite.tags) if word]
            possible[key] += bool(words)
            found[key] += any(_says(_text_for(key, sprite), word) for word in words)
    return {key: Share(found[key], possible[key]) for key in STATED}


def _text_for(key: str, sprite: Sprite) -> str:
    """The caption; for the category without the plan's name, as 'brain coral' alone does not say 'coral'."""
    text = sprite.caption
    if key == "category":
        for name in sorted(synonyms("plan", sprite.tags), key=len, reverse=True):
            text = re.sub(rf"\b{re.escape(name)}\b", " ", text)
    return text


def _says(text: str, words: str) -> bool:
    """Whether the whole words stand in the text; 'with bands' also as 'with teal bands'."""
    start, _, noun = words.partition("with ")
    pattern = rf"\bwith (\w+ )?{re.escape(noun)}\b" if not start and noun else rf"\b{re.escape(words)}\b"
    return re.search(pattern, text) is not None
