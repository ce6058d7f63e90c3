"""`judge` at work on a run: which judge fits, what it says of each drawing, and how sets of drawings differ.

Where no judge fits the run, its columns stay empty and the summary says why.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data_prep.palette import Palette
from data_prep.sprite import Sprite
from eval.controls import HELD_OUT
from eval.metrics import cells, critics, distribution, intervals, memorisation
from eval.metrics.corruptions import CORRUPTIONS, TAUGHT

TRAINING = "training sprites"  # as a row beside the generators: how near sprites can be that are not the held-out ones
MAX_COMPARED = 500  # drawings of one generator and mode; the first ones


@dataclass(frozen=True)
class Judging:
    """The judge of a run, or None and the reason."""

    critic: critics.Critic | None
    reason: str | None = None


def choose(folder: Path | None, references: list[dict]) -> Judging:
    """The judge of `folder`, by default the committed one, if it fits the run's references.

    Raises InputError where a folder that was asked for holds no judge, or the committed one was changed.
    """
    if folder is None and not (critics.COMMITTED / "critics.json").exists():
        return Judging(None, "no critics come with this copy; run python -m eval.train_critics")
    critic = critics.load(folder or critics.COMMITTED, "judge")
    if not critic.facts["test"]["ranks_all"]:
        return Judging(None, "the judge at hand ranks a degenerate control above held-out sprites, see its table.md")
    sizes = {(row["height"], row["width"]) for row in references}
    if not any(critic.fits(*size) for size in sizes):
        return Judging(None, f"the judge was taught sides of {_list(critic.sizes)} pixels, the run asks for other sizes")
    wanted = {asked(row)[1] for row in references} - {""}
    if critic.categories and not wanted & set(critic.categories):
        return Judging(
            None, f"the judge knows {_list(critic.categories)}, the run asks for {_list(sorted(wanted)[:6])[:200] or 'none'}"
        )
    return Judging(critic)


def _list(words: Sequence) -> str:
    return ", ".join(map(str, words))


def asked(reference: dict) -> tuple[str, str]:
    """(zone, category) of a reference, from its own keys or its tags; '' where there is no word."""
    tags = reference["tags"] if isinstance(reference.get("tags"), dict) else {}
    zone, category = (reference.get(key) or tags.get(key) for key in ("zone", "category"))
    return zone if isinstance(zone, str) else "", category if isinstance(category, str) else ""


@dataclass(frozen=True)
class Seen:
    """Opinions on the `sprites` at `places` of a list; its other drawings could not be read or are of a size never taught."""

    places: list[int]
    sprites: list[Sprite]
    opinions: critics.Opinions

    @classmethod
    def of(cls, critic: critics.Critic, sprites: Sequence[Sprite | None]) -> "Seen":
        known = {i: s for i, s in enumerate(sprites) if s is not None and critic.fits(s.height, s.width)}
        return cls(list(known), list(known.values()), critic.opinions(list(known.values())))


def add_metrics(scored: list[dict], seen: Seen, critic: critics.Critic, references: list[dict]) -> None:
    """The judge's columns of the rows that `seen` has places of; what was not asked for cannot be right or wrong."""
    subjects = {row["request_id"]: asked(row) for row in references}
    wanted = [subjects.get(scored[place]["request_id"], ("", "")) for place in seen.places]
    likely = seen.opinions.asked(critic.categories, [category for _, category in wanted])
    for row, (place, (zone, category)) in enumerate(zip(seen.places, wanted, strict=True)):
        metrics, quality = scored[place]["metrics"], float(seen.opinions.quality[row])
        metrics["judge_quality"] = quality
        if category in critic.categories:
            metrics["judge_score"] = round(quality * float(likely[row]), 6)
            metrics["recognised"] = float(seen.opinions.category[row] == category)
        if zone in critic.zones:
            metrics["zone_right"] = float(seen.opinions.zone[row] == zone)
            metrics["zone_right_scrambled"] = float(seen.opinions.zone_scrambled[row] == zone)


def add_memorisation(scored: list[dict], seen: Seen, critic: critics.Critic, grids: np.ndarray, palette: Palette) -> None:
    """The likeness of the drawings that `seen` has places of to the nearest training sprite, and which one it is.

    grids: (N, H, W) training sprites, about 1 ms each. Nothing where there are none or the critic was not taught their size.
    """
    if not seen.places or not len(grids) or not critic.fits(*grids.shape[1:]):
        return
    known = critic.features([Sprite(grid, palette) for grid in grids])
    turned = critic.features([replace(sprite, grid=sprite.grid[::-1]) for sprite in seen.sprites])
    best, which = memorisation.nearest_features(np.stack([seen.opinions.features, turned]), known)
    for place, likeness, index in zip(seen.places, best.tolist(), which.tolist(), strict=True):
        scored[place]["metrics"]["nearest_training_features"] = round(likeness, 4)
        scored[place]["nearest_training_sprite_features"] = index


def recognition(references: list[dict], own: Seen, critic: critics.Critic, seed: int) -> dict:
    """How far the judge is to be trusted on this run: its names of the held-out sprites themselves."""
    pairs = [(asked(references[place])[1], word) for place, word in zip(own.places, own.opinions.category, strict=True)]
    pairs = [(category, word) for category, word in pairs if category in critic.categories]
    right = np.array([category == word for category, word in pairs], float)
    table = critics.confusion([category for category, _ in pairs], [word for _, word in pairs], critic.categories)
    taught = [*TAUGHT, f"{len(CORRUPTIONS)} families of spoilt sprites"]
    accuracy = intervals.share(right, np.ones(len(right)), seed).to_json()
    return {"training": critic.facts["training"], "taught": taught, "accuracy": accuracy, **table}


def facts(judging: Judging) -> dict:
    """What summary.json says of the judge: its hash and worth, or why there is none."""
    if judging.critic is None:
        return {"judge": None, "reason": judging.reason}
    own = judging.critic.facts
    kept = {key: own[key] for key in ("sha256", "seed", "categories", "zones", "sizes", "training", "datasets")}
    return {"judge": {**kept, "bar": own["test"]["bar"], "held_out": own["test"]["held_out"]}, "reason": None}


def distances(scored: list[dict], seen: Seen, own: Seen, training: Seen | None, seed: int) -> list[dict]:
    """Each generator and mode, and training sprites, against the held-out sprites: n and the intervals of `distribution`."""
    groups = defaultdict(list)
    for row, place in enumerate(seen.places):
        groups[scored[place]["generator"], scored[place]["mode"]].append(row)
    sets = {key: seen.opinions.features[rows[:MAX_COMPARED]] for key, rows in groups.items() if key[0] != HELD_OUT}
    if training is not None:
        sets[TRAINING, "control"] = training.opinions.features[:MAX_COMPARED]
    held_out, found = own.opinions.features[:MAX_COMPARED], []
    for (generator, mode), features in sets.items():
        measured = distribution.compare(features, held_out, seed)
        values = {name: value.to_json() for name, value in measured.items()}
        found.append({"generator": generator, "mode": mode, "n": len(features), "against": len(held_out), **values})
    return found


def coverage_table(scored: list[dict], references: list[dict], critic: critics.Critic) -> list[dict]:
    """The cells of each model and of the held-out sprites, from the prompts whose size the judge was taught."""
    subjects = {row["request_id"]: asked(row) for row in references if critic.fits(row["height"], row["width"])}
    shown = [row for row in scored if row["kind"] == "model" or row["generator"] == HELD_OUT]
    return cells.cells(shown, subjects, critic.categories, critic.facts["test"]["bar"])


def training_seen(critic: critics.Critic, grids: np.ndarray, palette: Palette, count: int) -> Seen:
    """Opinions on `count` evenly spaced training sprites."""
    if not critic.fits(*grids.shape[1:]):
        return Seen.of(critic, [])
    places = np.unique(np.linspace(0, len(grids) - 1, min(count, len(grids))).astype(int))
    return Seen.of(critic, [Sprite(grids[place], palette) for place in places])
