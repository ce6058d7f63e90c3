"""The second stage of `prepare`: keys of curated pictures → which sprite goes to which split, and which one is left out, why.

Keys alone are in memory, about a kilobyte a sprite. No group is in two splits: sprites of one silhouette are one group, and
so are those of one caption.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from data_prep import curate
from data_prep.curate import Picture
from data_prep.errors import InputError
from data_prep.palette import Palette, quantise
from data_prep.reading import Read, pictures
from data_prep.recipe import PrepareRecipe

SPLITS = ("train", "validation", "test")
UNSEEN_CELLS = "unseen_cells"  # the split of the cells that a recipe leaves out
TRAIN_SHARE, VALIDATION_SHARE = 0.90, 0.05  # of the groups; the rest is test
LARGE_GROUP = 0.02  # of all sprites: such a group would be most of a test set, so it goes to train
FLIPPED, RECOLOUR, SILHOUETTE = "flipped or moved", "other colours", "same silhouette"  # how two sprites are near duplicates
MOST_NEAR = 60  # pairs of each of these that are kept to be shown
Drop = tuple[str, str, dict[str, str]]  # name, reason, what more there is to say


@dataclass(frozen=True, slots=True)
class Key:
    """What is remembered of a picture: where it lies, what it is called, and hashes of what it looks like.

    split: its source's own, or ''; flip: of its grid under flips and shifts; pixels: of the grid as it is; pattern: of what is
    darker than what (`curate.pattern_key`); colours: how many it has in the palette; about: source, licence, attribution.
    """

    path: Path
    place: int
    source: int
    name: str
    silhouette: str
    label: str
    split: str
    flip: bytes
    pixels: bytes
    pattern: bytes
    colours: int
    cell: tuple[str, str]
    about: tuple[str, str, str]

    def sharing(self, known: dict) -> "Key":
        """The same with one copy of what many keys have alike; `known` collects them."""
        alike = ("path", "label", "cell", "about")
        return replace(self, **{name: known.setdefault(value, value) for name in alike if (value := getattr(self, name))})


@dataclass(frozen=True, slots=True)
class Kept:
    """A sprite that becomes a pair."""

    key: Key
    group: str
    split: str


@dataclass
class Plan:
    """kept: in the order of reading; near: how they are alike → pairs of pictures."""

    kept: list[Kept] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)
    near: dict[str, list[tuple[Key, Key]]] = field(default_factory=lambda: {how: [] for how in (FLIPPED, RECOLOUR, SILHOUETTE)})
    alike: Counter = field(default_factory=Counter)  # how → pairs in all

    def found_alike(self, how: str, first: Key, second: Key) -> None:
        self.alike[how] += 1
        if len(self.near[how]) < MOST_NEAR:
            self.near[how].append((first, second))


def keys_of(part: Read, palette: Palette, unseen: frozenset[str]) -> list[Key]:
    """The keys of a part's pictures in this palette. unseen: zone/category of cells that are left out."""
    return [_key(part, place, picture, palette, unseen) for place, picture in pictures(part)]


def _key(part: Read, place: int, picture: Picture, palette: Palette, unseen: frozenset[str]) -> Key:
    grid, cell = quantise(picture.rgba, palette), (picture.tags.get("zone", ""), picture.tags.get("category", ""))
    return Key(
        path=part.path,
        place=place,
        source=part.source,
        name=picture.name,
        silhouette=curate.silhouette_key(picture.rgba),
        label=f"caption {picture.caption}" if picture.caption and not picture.split else "",
        split=UNSEEN_CELLS if "/".join(cell) in unseen else picture.split,  # over its source's own split
        flip=bytes.fromhex(curate.flip_key(grid)),
        pixels=hashlib.sha256(grid.tobytes()).digest()[:16],
        pattern=bytes.fromhex(curate.pattern_key(picture.rgba)),
        colours=int(np.count_nonzero(np.bincount(grid.ravel())[1:])),
        cell=cell,
        about=(picture.source, picture.licence, picture.attribution),
    )


def plan(keys: Sequence[Key], recipe: PrepareRecipe) -> Plan:
    """Decides on each picture, in order: of two that are the same drawing the first one stays."""
    group_of = curate.groups((key.silhouette, key.label) for key in keys)
    split_of = splits_of(group_of, [key.split for key in keys], recipe.seed)
    found, seen = Plan(), _Seen()
    for group, key in zip(group_of, keys, strict=True):
        split = key.split or split_of[group]
        reason, more = _reason(key, split, split_of.get(group, split), seen, found, recipe.recolours)
        if reason:
            found.drops.append((key.name, reason, more))
        else:
            split_of.setdefault(group, split)
            seen.add(key, found)
            found.kept.append(Kept(key, group, split))
    _weigh(found, recipe)
    return found


@dataclass
class _Seen:
    """The first picture of each look, and how many have a pattern."""

    flips: dict[bytes, Key] = field(default_factory=dict)
    patterns: dict[bytes, Key] = field(default_factory=dict)
    silhouettes: dict[str, Key] = field(default_factory=dict)
    recolours: Counter = field(default_factory=Counter)

    def add(self, key: Key, found: Plan) -> None:
        self.flips[key.flip] = key
        self.recolours[key.pattern] += 1
        if key.pattern in self.patterns:
            found.found_alike(RECOLOUR, self.patterns[key.pattern], key)
        elif key.silhouette in self.silhouettes:
            found.found_alike(SILHOUETTE, self.silhouettes[key.silhouette], key)
        self.patterns.setdefault(key.pattern, key)
        self.silhouettes.setdefault(key.silhouette, key)


def _reason(key: Key, split: str, of_group: str, seen: _Seen, found: Plan, recolours: int | None) -> tuple[str, dict[str, str]]:
    """Why a picture is left out, and what more there is to say; ('', {}) where it stays."""
    first = seen.flips.get(key.flip)
    if key.colours < curate.MIN_COLOURS:
        return "a single colour is left in this palette", {}
    if first is not None and first.pixels == key.pixels:
        return "exact duplicate", {"of": first.name}
    if first is not None:
        found.found_alike(FLIPPED, first, key)
        return f"near duplicate: {FLIPPED}", {"of": first.name}
    if key.split != UNSEEN_CELLS == of_group:
        return "its silhouette or label is in a cell left out", {}
    if of_group != split:
        return "its silhouette is in another split", {"split": split}
    if recolours is not None and seen.recolours[key.pattern] >= recolours:
        return f"near duplicate: {RECOLOUR}", {"of": seen.patterns[key.pattern].name}
    return "", {}


def splits_of(group_of: Sequence[str], given: Sequence[str], seed: int) -> dict[str, str]:
    """group → split for every group that has a sprite without a split of its own: hashed to 90/5/5, large ones to train.

    A group of sprites that all bring their split (the procedural ones) is absent: the first one decides. Not so where one of
    them is of a cell left out: the group is that split's, whatever else is in it.
    """
    sizes = Counter(group_of)
    largest = max(LARGE_GROUP * len(group_of), 20)
    unseen = {group for group, split in zip(group_of, given, strict=True) if split == UNSEEN_CELLS}
    free = sorted({group for group, split in zip(group_of, given, strict=True) if not split} - unseen)
    place = {group: 0.0 if sizes[group] > largest else share(f"{seed}:{group}") for group in free}
    split_of = {group: _split_at(place[group]) for group in free}
    small = sorted(free, key=place.__getitem__)[1:]  # at least one group trains
    for missing in sorted({"test", "validation"} - set(split_of.values())):
        movable = [group for group in small if split_of[group] == "train" and place[group]]
        split_of |= dict.fromkeys(movable[-1:], missing)  # a small corpus: the nearest to the border
    return split_of | dict.fromkeys(unseen, UNSEEN_CELLS)


def _split_at(place: float) -> str:
    """A place in [0, 1) → its split."""
    return "train" if place < TRAIN_SHARE else "validation" if place < TRAIN_SHARE + VALIDATION_SHARE else "test"


def _weigh(found: Plan, recipe: PrepareRecipe) -> None:
    """Takes training sprites out until the sources have the shares that their weights say; no sprite is ever doubled."""
    weights = [source["weight"] for source in recipe.sources if "weight" in source]  # all have one, or none has
    if not weights:
        return
    of_source = [[one for one in found.kept if one.split == "train" and one.key.source == n] for n in range(len(weights))]
    if not all(of_source):
        raise InputError(f"recipe: sources.{of_source.index([])}.weight: no training sprite is left of this source; leave it out")
    total = min(len(some) / weight for some, weight in zip(of_source, weights, strict=True))
    out: set[Kept] = set()
    for some, weight in zip(of_source, weights, strict=True):
        ranked = sorted(some, key=lambda one: (share(f"weight:{recipe.seed}:{one.key.name}"), one.key.name))
        out.update(ranked[int(total * weight + 1e-9) :])
    found.drops += [(one.key.name, "its source has more than its weight", {}) for one in found.kept if one in out]
    found.kept = [one for one in found.kept if one not in out]


def share(text: str) -> float:
    """A stable number in [0, 1) for a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48
