"""Critics: frozen networks that say what a sprite shows, from which zone, and whether it is one.

`guide` selects (checkpoints, best of n, rewards); `judge` gives verdicts and nothing else: another network, another seed,
the other half of the training sprites. Whoever optimises towards the judge has no judge left; a test forbids its name in
`finetune`. Input: sprites of any palette as planes of alpha and OKLab, of every size up to the largest that was taught.

    guide = load(COMMITTED, "guide"); guide.score(sprites, ["coral", …])

For each drawing:
  quality         probability that it is a sprite and not one of the degenerate drawings (temperature on the validation split)
  category        the likeliest label; `NONE` where quality < 0.5
  probabilities   (categories,) calibrated in the same way
  zone            the likeliest zone, from the true colours
  zone_scrambled  the same from another head, which was taught and is shown scrambled hues only: colour gives zones away
  features        (64,) for distances between sets of drawings; of length √64, so that no odd drawing outweighs a hundred others
All are means over the drawing and its mirror image. A folder of critics has critics.json (hashes, families, calibration,
confusions, tables), one .safetensors file a critic in float16, and table.md. `eval.train_critics` writes it.

Where it errs. Quality is likeness to the sprites that it was taught: good drawings in another style get little of it, and
unseen body plans less than known ones; teach it what it is to judge. Categories of unseen body plans are guesses. What
passes most often though it is bad: neat mixtures of two sprites, and halves that look whole. Search against one critic
(best of thousands) finds drawings that it overrates; the other one mostly does not share the error.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.errors import InputError
from data_prep.palette import Palette
from data_prep.sprite import Sprite
from eval.metrics.attributes import ramp_of_entries

NONE = "none"
COMMITTED = Path(__file__).parents[1] / "critics" / "reef"
BATCH = 64  # drawings at once; more of them leave the processor's cache: 256 of 32×32 take twice as long a drawing
_LOW, _SPAN = np.array([0.5, 0.0, 0.0]), np.array([0.3, 0.12, 0.12])  # OKLab: about mean and spread of sprites


@dataclass(frozen=True)
class Opinions:
    """What a critic says of N drawings; arrays of length N, words as lists."""

    quality: np.ndarray  # (N,) float64
    probabilities: np.ndarray  # (N, categories) float64
    category: list[str]
    zone: list[str]
    zone_scrambled: list[str]
    features: np.ndarray  # (N, FEATURES) float32

    def asked(self, categories: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
        """(N,) probability of the category that each was asked for, NaN where it is not one of `categories`."""
        places = {word: place for place, word in enumerate(categories)}
        return np.array([self.probabilities[i, places[w]] if w in places else np.nan for i, w in enumerate(wanted)])


@lru_cache(maxsize=256)
def _ramps(palette: Palette) -> tuple[np.ndarray, int]:
    """(entries,) number of each entry's ramp, 0 for transparent and neutral ones, and how many ramps there are."""
    names = ramp_of_entries(palette)
    known = {name: place for place, name in enumerate(sorted(set(names) - {"", "neutral"}), 1)}
    return np.array([0, *(known.get(name, 0) for name in names)]), len(known) + 1


@lru_cache(maxsize=256)
def table(palette: Palette) -> np.ndarray:
    """(64, 4) float32: alpha and scaled OKLab of each entry; what is transparent or beyond the palette is 0."""
    found = np.zeros((64, 4), np.float32)
    found[1 : len(palette), 0] = 1
    found[1 : len(palette), 1:] = (palette.oklab - _LOW) / _SPAN
    return found


def scrambled(palette: Palette, rng: np.random.Generator) -> np.ndarray:
    """`table` with the hue of each ramp turned by an angle of its own; lightness, chroma and neutral colours stay."""
    ramps, count = _ramps(palette)
    angle = np.append(0, rng.uniform(0, 2 * np.pi, count - 1))[ramps].astype(np.float32)
    found = table(palette).copy()
    a, b = found[: len(palette), 2].copy(), found[: len(palette), 3].copy()
    found[: len(palette), 2] = np.cos(angle) * a - np.sin(angle) * b
    found[: len(palette), 3] = np.sin(angle) * a + np.cos(angle) * b
    return found


def squared(grid: np.ndarray) -> np.ndarray:
    """(H, W) in the middle of the smallest square whose side is a multiple of 4; what is added is transparent."""
    side = -(-max(grid.shape) // 4) * 4
    room = [side - full for full in grid.shape]
    return grid if not any(room) else np.pad(grid, [(gap // 2, gap - gap // 2) for gap in room])


def planes(grids: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """(N, S, S) index grids and (N, 64, 4) tables → (N, 4, S, S) float32."""
    found = np.take_along_axis(tables, grids.reshape(len(grids), -1, 1).astype(np.int64), 1)
    return np.ascontiguousarray(found.reshape(*grids.shape, 4).transpose(0, 3, 1, 2))


@dataclass(frozen=True)
class Critic:
    """A trained network with what it was taught. `facts` is its entry in critics.json: hash, families, confusions …"""

    name: str
    network: Any  # torch.nn.Module
    categories: tuple[str, ...]
    zones: tuple[str, ...]
    sizes: tuple[int, ...]  # sides of the squares that it was taught
    temperatures: dict[str, float]
    facts: dict

    def fits(self, height: int, width: int) -> bool:
        """Whether it was taught drawings of this size: not smaller than its smallest, not larger than its largest."""
        return bool(self.sizes) and min(self.sizes) <= max(height, width) <= max(self.sizes)

    def opinions(self, sprites: Sequence[Sprite]) -> Opinions:
        """Of sprites of any sizes and palettes, each by itself: company changes nothing but the seventh digit."""
        return self._gathered(self._answers(sprites, turned=True))

    def score(self, sprites: Sequence[Sprite], wanted: Sequence[str]) -> np.ndarray:
        """(N,) quality × probability of the category that each was asked for; quality alone where that is not known.

        What a selection (best of n, checkpoints) maximises, with `guide`.
        """
        opinions = self.opinions(sprites)
        return opinions.quality * np.nan_to_num(opinions.asked(self.categories, wanted), nan=1.0)

    def quality(self, sprites: Sequence[Sprite]) -> np.ndarray:
        """(N,) the quality alone, at half the cost."""
        return self._gathered(self._answers(sprites, turned=False)).quality

    def features(self, sprites: Sequence[Sprite]) -> np.ndarray:
        """(N, FEATURES) float32 the features alone, at half the cost."""
        return self._gathered(self._answers(sprites, turned=False)).features

    def _answers(self, sprites: Sequence[Sprite], turned: bool) -> list[dict]:
        squares = [squared(sprite.grid) for sprite in sprites]
        answers: list[dict] = [{} for _ in sprites]
        for side in sorted({len(square) for square in squares}):
            places = [place for place, square in enumerate(squares) if len(square) == side]
            for start in range(0, len(places), BATCH):
                batch = places[start : start + BATCH]
                self._answer(batch, np.stack([squares[i] for i in batch]), [sprites[i].palette for i in batch], answers, turned)
        return answers

    def _answer(self, places: list[int], grids: np.ndarray, palettes: list[Palette], answers: list[dict], turned: bool) -> None:
        true = self._logits(planes(grids, np.stack([table(palette) for palette in palettes])))
        if turned:
            true["zone_scrambled"] = self._turned(grids, palettes)
        for row, place in enumerate(places):
            answers[place] = {name: values[row] for name, values in true.items()}

    def _turned(self, grids: np.ndarray, palettes: list[Palette]) -> np.ndarray:
        """The zone as the other head sees it, with hues scrambled by a key that hangs on the drawing alone."""
        keyed = (np.random.default_rng([7, *grid.tobytes()]) for grid in grids)
        tables = np.stack([scrambled(palette, rng) for palette, rng in zip(palettes, keyed, strict=True)])
        return self._logits(planes(grids, tables))["zone_scrambled"]

    def _logits(self, views: np.ndarray) -> dict[str, np.ndarray]:
        """Each head's output and the features, means over both mirror images."""
        import torch

        with torch.inference_mode():
            sides = [self.network(torch.from_numpy(np.ascontiguousarray(view))) for view in (views, views[..., ::-1])]
        return {name: (sides[0][name] + sides[1][name]).numpy() / 2 for name in sides[0]}

    def _gathered(self, answers: list[dict]) -> Opinions:
        if not answers:
            return Opinions(np.zeros(0), np.zeros((0, len(self.categories))), [], [], [], np.zeros((0, 1), np.float32))
        from scipy.special import expit, softmax

        stacked = {name: np.stack([answer[name] for answer in answers]).astype(np.float64) for name in answers[0]}
        quality = expit(stacked["quality"] / self.temperatures["quality"]).round(6)
        likely = softmax(stacked["category"] / self.temperatures["category"], 1).round(6)
        named = [self.categories[best] if self.categories else NONE for best in likely.argmax(1)]
        zone, zone_scrambled = (
            [self.zones[best] if self.zones else NONE for best in stacked[head].argmax(1)] for head in ("zone", "zone_scrambled")
        )
        named = [word if sure >= 0.5 else NONE for word, sure in zip(named, quality, strict=True)]
        return Opinions(quality, likely[:, : len(self.categories)], named, zone, zone_scrambled, _scaled(stacked["features"]))


def _scaled(features: np.ndarray) -> np.ndarray:
    """(N, d) → float32, each row of length √d; a row of zeros stays."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return (features * np.sqrt(features.shape[1]) / np.maximum(length, 1e-9)).astype(np.float32)


def confusion(asked: Sequence[str], named: Sequence[str], categories: Sequence[str]) -> dict:
    """Rows: asked for; columns: named, 'none' last. Pairs whose category the critic cannot know are left out."""
    columns = [*categories, NONE]
    counts = np.zeros((len(categories), len(columns)), int)
    for wanted, found in zip(asked, named, strict=True):
        if wanted in categories:
            counts[columns.index(wanted), columns.index(found)] += 1
    return {"categories": list(categories), "named": columns, "confusion": counts.tolist()}


def load(folder: Path | str, name: str) -> Critic:
    """A critic of a folder that `eval.train_critics` wrote. Raises InputError: no such file, or it was changed."""
    import torch
    from safetensors import SafetensorError
    from safetensors.numpy import load as unpack

    from eval.metrics.critic_models import NETWORKS

    folder = Path(folder)
    facts = read_facts(folder, name)
    weights = folder / f"{name}.safetensors"
    try:
        packed = weights.read_bytes()
    except OSError as error:
        raise InputError(f"{weights}: cannot be read ({error.strerror}); run python -m eval.train_critics") from error
    if hashlib.sha256(packed).hexdigest() != facts["sha256"]:
        raise InputError(f"{weights}: is not the file that critics.json names; run python -m eval.train_critics again")
    network = NETWORKS[name](len(facts["categories"]), len(facts["zones"]))
    counters = {key: value for key, value in network.state_dict().items() if not value.is_floating_point()}  # of batches; unused
    try:
        state = {key: torch.from_numpy(value.astype(np.float32)) for key, value in unpack(packed).items()}
        network.load_state_dict({**counters, **state})
    except (SafetensorError, RuntimeError, ValueError, TypeError, KeyError) as error:
        why = " ".join(str(error).split())[:200]
        raise InputError(
            f"{weights}: does not fit the labels in critics.json ({why}); run python -m eval.train_critics"
        ) from error
    return frozen(name, network, facts)


def frozen(name: str, network, facts: dict) -> Critic:
    """A critic of a network that learns no more, and its entry for critics.json."""
    network.requires_grad_(False).eval()
    words = tuple(facts["categories"]), tuple(facts["zones"]), tuple(facts["sizes"])
    return Critic(name, network, *words, facts["temperatures"], facts)


def read_facts(folder: Path, name: str) -> dict:
    """The critic's entry in critics.json, with the names of the datasets that it learnt from. Raises InputError."""
    path = folder / "critics.json"
    try:
        found = json.loads(path.read_text("utf-8"))
        return {**_checked(found["critics"][name]), "datasets": [str(dataset["name"]) for dataset in found["datasets"]]}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); run python -m eval.train_critics") from error
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(
            f"{path}: has no critic '{name}' with all of its facts ({error!r:.60}); run python -m eval.train_critics again"
        ) from error


def _checked(facts: dict) -> dict:
    """An entry with every fact that is read later on. Raises KeyError, TypeError, ValueError or OverflowError."""
    tested, temperatures = facts["test"], facts["temperatures"]
    return {
        **facts,
        **{key: [str(word) for word in facts[key]] for key in ("categories", "zones")},
        **{key: int(facts[key]) for key in ("seed", "training")},
        "sizes": [int(side) for side in facts["sizes"]],
        "temperatures": {head: float(temperatures[head]) for head in ("quality", "category")},
        "sha256": str(facts["sha256"]),
        "test": {
            **tested,
            "ranks_all": bool(tested["ranks_all"]),
            "bar": None if tested["bar"] is None else float(tested["bar"]),
            "held_out": int(tested["held_out"]),
        },
    }
