"""Entry to the procedural reef: an endless, seeded, licence-free stream of sprites through all 30 cells.

A sprite depends on (seed, index, size) alone. Everything is drawn for its size, nothing is scaled down.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, count

import numpy as np

from data_prep.captions import CELLS
from data_prep.errors import InputError
from data_prep.palette import TRANSPARENT, named
from data_prep.sources.reef import cephalopods, corals, deep, fish, grazers, jellies
from data_prep.sources.reef.dice import Dice
from data_prep.sources.reef.looks import PATTERNS, SWIMMING, Look, choose
from data_prep.sources.reef.pen import MAIN, SECOND, Pen
from data_prep.sources.reef.render import render
from data_prep.sprite import MAX_SIDE, Sprite
from data_prep.wording import caption

SIDE, FRONT = {"left": 1, "right": 1}, {"front": 1}
FLOATING, DARTING = {"up": 3, "left": 1, "right": 1}, {"left": 2, "right": 2, "up": 1, "down": 1}
BELL, ARMS, STANDING = ("open", "pulsing"), ("spread", "curled"), corals.STANDING
CLAWS, BREATH = ("claws raised", "claws lowered"), {"puffed": 2, "calm": 1}


@dataclass(frozen=True)
class Plan:
    """A body plan: how it is drawn, which way it is drawn ahead, facings with their weights, patterns and poses it can take."""

    draw: Callable[[Pen, Look, Dice], None]
    heading: str = "left"
    facings: Mapping[str, float] = field(default_factory=dict)
    patterns: tuple[str, ...] = tuple(PATTERNS)
    poses: Sequence[str] | Mapping[str, float] = ()

    def __post_init__(self):
        object.__setattr__(self, "facings", self.facings or {"left": SIDE, "up": FLOATING, "front": FRONT}[self.heading])


PLANS: dict[str, dict[str, Plan]] = {
    "reef_fish": {
        "clownfish": Plan(fish.clownfish, poses=SWIMMING),
        "angelfish": Plan(fish.angelfish, poses=SWIMMING),
        "butterflyfish": Plan(fish.butterflyfish, poses=SWIMMING),
        "barracuda": Plan(fish.barracuda, poses=SWIMMING),
        "moray eel": Plan(fish.moray, poses=SWIMMING),
        "pufferfish": Plan(fish.pufferfish, poses=BREATH),
        "stingray": Plan(fish.stingray, "left", DARTING, poses=SWIMMING),
        "seahorse": Plan(fish.seahorse),
        "lionfish": Plan(fish.lionfish, poses=SWIMMING),
    },
    "grazer": {
        "parrotfish": Plan(grazers.parrotfish, poses=SWIMMING),
        "surgeonfish": Plan(grazers.surgeonfish, poses=SWIMMING),
        "sea turtle": Plan(grazers.sea_turtle, poses=SWIMMING),
        "sea urchin": Plan(grazers.urchin, "front"),
        "sea slug": Plan(grazers.sea_slug),
        "manatee": Plan(grazers.manatee, poses=SWIMMING),
        "sea snail": Plan(grazers.sea_snail),
        "crab": Plan(grazers.crab, "front", poses=CLAWS),
        "sea star": Plan(grazers.sea_star, "front", poses=ARMS),
    },
    "coral": {
        "staghorn coral": Plan(corals.staghorn, "front", FRONT, ("plain", "bands"), poses=STANDING),
        "brain coral": Plan(corals.brain_coral, "front"),
        "table coral": Plan(corals.table_coral, "front"),
        "sea fan": Plan(corals.sea_fan, "front", FRONT, ("plain", "bands", "spots"), poses=STANDING),
        "tube sponge": Plan(corals.tube_sponge, "front", poses=STANDING),
        "mushroom coral": Plan(corals.mushroom_coral, "front"),
        "sea anemone": Plan(corals.anemone, "front", poses=ARMS),
        "pillar coral": Plan(corals.pillar_coral, "front", poses=STANDING),
        "whip coral": Plan(corals.whip_coral, "front", FRONT, ("plain", "bands", "spots"), poses=STANDING),
    },
    "jellyfish": {
        "moon jelly": Plan(jellies.moon_jelly, "up", poses=BELL),
        "box jelly": Plan(jellies.box_jelly, "up", poses=BELL),
        "lion's mane": Plan(jellies.lions_mane, "up", poses=BELL),
        "sea nettle": Plan(jellies.sea_nettle, "up", poses=BELL),
        "crown jelly": Plan(jellies.crown_jelly, "up", poses=BELL),
        "man o' war": Plan(jellies.man_of_war, "left"),
        "barrel jelly": Plan(jellies.barrel_jelly, "up", poses=BELL),
        "comb jelly": Plan(jellies.comb_jelly, "up"),
        "lantern jelly": Plan(jellies.lantern_jelly, "up", poses=BELL),
    },
    "cephalopod": {
        "octopus": Plan(cephalopods.octopus, "front", poses=ARMS),
        "dumbo octopus": Plan(cephalopods.dumbo, "front", poses=ARMS),
        "vampire squid": Plan(cephalopods.vampire_squid, "front", poses=ARMS),
        "squid": Plan(cephalopods.squid, "left", {"left": 1, "right": 1, "down": 2}, poses=SWIMMING),
        "cuttlefish": Plan(cephalopods.cuttlefish, poses=SWIMMING),
        "nautilus": Plan(cephalopods.nautilus),
        "bobtail squid": Plan(cephalopods.bobtail, poses=SWIMMING),
    },
    "abyssal": {
        "anglerfish": Plan(deep.anglerfish, poses=SWIMMING),
        "gulper eel": Plan(deep.gulper, poses=SWIMMING),
        "giant isopod": Plan(deep.isopod),
        "tube worm": Plan(deep.tube_worm, "front", poses=STANDING),
        "snailfish": Plan(deep.snailfish, poses=SWIMMING),
        "sea pig": Plan(deep.sea_pig),
        "viperfish": Plan(deep.viperfish, poses=SWIMMING),
        "hatchetfish": Plan(deep.hatchetfish, poses=SWIMMING),
        "brittle star": Plan(deep.brittle_star, "front", poses=ARMS),
    },
}
HELD_OUT_PLANS = {
    "reef_fish": "angelfish",
    "grazer": "sea slug",
    "coral": "mushroom coral",
    "jellyfish": "barrel jelly",
    "cephalopod": "bobtail squid",
    "abyssal": "hatchetfish",
}
SMALLEST = 8  # pixels a side; below that no anatomy reads
TEST_SHARE, VALIDATION_SHARE = 0.08, 0.05
SMALL_BELOW, LARGE_FROM = 0.76, 0.88  # longer side of the drawing over the side of the frame


def sprites(seed: int = 1, size: int = 32) -> Iterator[Sprite]:
    """Sprites of size × size without end; the index runs through the 30 cells in the order of CELLS."""
    for index in count():
        yield sprite(seed, index, size)


def sprite(seed: int, index: int, size: int, cell: tuple[str, str] | None = None) -> Sprite:
    """The sprite at one place of the stream, size × size pixels; `cell` (zone, category) asks for another cell.

    Raises InputError for a size or a cell that it cannot draw.
    """
    zone, category = cell or CELLS[index % len(CELLS)]
    if not SMALLEST <= size <= MAX_SIDE or (zone, category) not in CELLS:
        raise InputError(
            f"procedural: size {size}, cell {zone}/{category}; it draws the 30 cells in {SMALLEST} to {MAX_SIDE} pixels"
        )
    place = (seed, index, size, CELLS.index((zone, category)))
    keys: Iterator[tuple[int, ...]] = chain([place], ((*place, again) for again in count(1)))
    tries = (_draw(Dice(*key), zone, category, size) for key in keys)
    return next(found for found in tries if found is not None)


def _draw(dice: Dice, zone: str, category: str, size: int) -> Sprite | None:
    """One attempt; None where nothing is left, as of one drawing in fifty thousand at 8×8: too thin a body in too few pixels."""
    plan = dice.pick(list(PLANS[category]))
    body = PLANS[category][plan]
    look = choose(dice, zone, body.facings, body.patterns, body.poses, size)
    pen = Pen()
    body.draw(pen, look, dice)
    hue, step = render(pen, look, body.heading, (dice.span(-1, 1), dice.span(-1, 1)))
    if not (hue >= 0).any():
        return None
    tags = _tags(zone, category, plan, look, hue)
    words = caption(tags, dice)
    grid = _grid(look, hue, step)
    return Sprite(grid, named("reef64"), words, tags, "procedural", "CC0-1.0", "pixelreef")


def _grid(look: Look, hue: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Planes of hue and step → (size, size) uint8 index grid."""
    return np.where(hue >= 0, _entries(look.main, look.second, look.light)[hue, step], TRANSPARENT).astype(np.uint8)


@cache
def _entries(main: str, second: str, light: str) -> np.ndarray:
    """(5, 7) palette entries: rows MAIN, SECOND, LIGHT, PALE, DARK."""
    ramps = named("reef64").ramps
    return np.array([ramps[name] for name in (main, second, light, "neutral", "neutral")], np.uint8)


def _tags(zone: str, category: str, plan: str, look: Look, hue: np.ndarray) -> dict[str, str]:
    """What is true of the drawing; the size is measured, and colours that changed places in the drawing do so here."""
    rows, columns = np.flatnonzero((hue >= 0).any(1)), np.flatnonzero((hue >= 0).any(0))
    extent = max(np.ptp(rows), np.ptp(columns)) + 1
    share = extent / look.size
    main, second = look.main, look.second
    if second != "neutral" and (hue == SECOND).sum() > (hue == MAIN).sum():
        main, second = second, main
    return {
        "zone": zone, "category": category, "plan": plan, "colour": main, "second_colour": second, "pattern": look.pattern,
        "facing": look.facing, "size": "small" if share < SMALL_BELOW else "medium" if share < LARGE_FROM else "large",
        "glow": "yes" if look.glow else "no", "pose": look.pose,
    }  # fmt: skip


def combination_is_held_out(tags: Mapping[str, str]) -> bool:
    """Whether this (plan, colour, pattern) is kept for the test set, whatever else the sprite is."""
    return _share(tags, "test") < TEST_SHARE


def split_of(tags: Mapping[str, str]) -> str:
    """'train', 'validation' or 'test'. Test has the held-out plans and about 8 % of the (plan, colour, pattern)."""
    if tags["plan"] in HELD_OUT_PLANS.values() or combination_is_held_out(tags):
        return "test"
    return "validation" if _share(tags, "validation") < VALIDATION_SHARE else "train"


def _share(tags: Mapping[str, str], salt: str) -> float:
    """A number in 0…1 that only the combination decides."""
    text = "|".join([salt, tags["plan"], tags["colour"], tags["pattern"]])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32
