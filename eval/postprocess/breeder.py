"""Breeder: children of sprites by partial completion, with any generator that can go on from given pixels.

Three operations take turns (`OPERATIONS`): a child keeps the top rows of one parent, and the generator completes it under
the other's caption or under both; a parent's body is drawn in the other's hues, ramp by ramp and step by step; a band of
rows is drawn anew under its own caption. A drawn row sees the rows above it, not those that stand below.

Every child is judged by `fault` and drawn again with the next seed while it fails (a cross as a completion); after
`TRIES` it is left out and reported. The same seed, parents and generator give the same lineage.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from data_prep.errors import InputError
from data_prep.sprite import Sprite
from eval.generators import Generator, Request, sprites_of
from eval.metrics.memorisation import agreement, views
from eval.metrics.structure import EMPTY_BELOW, bounding_box, statistics
from eval.postprocess.ramps import RampTables, is_grey, ramp_tables

FOUNDER, COMPLETE, CROSS, MUTATE = "founder", "complete", "cross palettes", "mutate"
OPERATIONS = (COMPLETE, CROSS, MUTATE, COMPLETE)  # in turns: crossing bodies counts double
TRIES = 4  # seeds that a child is tried with
COPY_ABOVE = 0.9  # equal opaque pixels over the union, best flip and shift by one: beyond it a child is a copy
LIKENESS = 0.15  # speckle and neighbour agreement may be this much worse than the worst founder's, shares of 1
WHOLENESS = 0.3  # the same of the largest shape's share: new limbs may be apart
DRAWN = 0.25  # opaque pixels in the rows that were drawn: at least this of what its body has there
FILLING = (0.4, 2.0)  # opaque pixels: at least this of the smallest founder's, at most this of the largest's


@dataclass(frozen=True)
class Member:
    """A sprite of a lineage. parents: ids, the body's first; seed, index: of its drawing; rows: first and one past the
    last that were drawn, None where none was; mixed_with: the second caption that it was drawn under."""

    id: str
    generation: int
    operation: str
    parents: tuple[str, ...]
    sprite: Sprite
    seed: int
    index: int
    rows: tuple[int, int] | None = None
    mixed_with: str | None = None

    def to_json(self) -> dict:
        facts = {key: value for key, value in vars(self).items() if key not in ("sprite", "parents", "rows")}
        rows = None if self.rows is None else list(self.rows)
        return {**facts, "parents": list(self.parents), "rows": rows, "caption": self.sprite.caption}


@dataclass(frozen=True)
class LeftOut:
    """A child that failed with every seed, and the fault of its last drawing."""

    member: Member
    fault: str


@dataclass(frozen=True)
class Lineage:
    """Founders and children in the order of their birth; and what was left out."""

    members: tuple[Member, ...]
    left_out: tuple[LeftOut, ...] = ()

    def generation(self, number: int) -> list[Member]:
        """0 are the founders."""
        return [member for member in self.members if member.generation == number]

    def to_json(self) -> dict:
        left_out = [{**one.member.to_json(), "fault": one.fault} for one in self.left_out]
        return {"members": [member.to_json() for member in self.members], "left_out": left_out}


def breed(
    generator: Generator, parents: Sequence[Sprite], generations: int = 3, population: int = 4, seed: int = 0, sampling=None
) -> Lineage:
    """A lineage of `population` children a generation, each of two members of the generation before.

    parents: two or more sprites in one palette, with captions. sampling: as the generator takes it, its default without.
    Raises InputError for parents that cannot be bred or that the generator refuses.
    """
    from eval.decoding import Sampling

    _check(generator, parents, generations, population, seed)
    founders = [Member(f"0-{n}", 0, FOUNDER, (), sprite, seed, n) for n, sprite in enumerate(parents, 1)]
    lineage = Lineage(tuple(founders))
    for number in range(1, generations + 1):
        lineage = _next_generation(generator, lineage, number, population, seed, sampling or Sampling())
    return lineage


def _check(generator: Generator, parents: Sequence[Sprite], generations: int, population: int, seed: int) -> None:
    if len(parents) < 2:
        raise InputError(f"parents: {len(parents)}; breeding takes two or more")
    if not 1 <= generations <= 100 or not 1 <= population <= 1000:
        raise InputError(f"generations, population: {generations}, {population}; they take 1 to 100 and 1 to 1000")
    if len({sprite.palette.hash for sprite in parents}) > 1:
        raise InputError("parents: they have several palettes; bring them into one")
    for number, sprite in enumerate(parents, 1):
        if statistics(sprite.grid[None])["empty"]:
            raise InputError(f"parent {number}: empty; it takes a sprite with at least {EMPTY_BELOW:.0%} opaque pixels")
        generator.refuse(Request.like(sprite, seed))


def _next_generation(generator: Generator, lineage: Lineage, number: int, population: int, seed: int, sampling) -> Lineage:
    """The children of one generation: those that fail are planned and drawn again together, with the next seed."""
    pool = lineage.generation(number - 1)
    pool = pool if len(pool) > 1 else [*pool, *lineage.generation(0)]
    born: dict[int, Member] = {}
    failed: dict[int, LeftOut] = {}
    for attempt in range(TRIES):
        slots = [slot for slot in range(population) if slot not in born]
        turns = [OPERATIONS[slot % len(OPERATIONS)] for slot in slots]
        turns = [COMPLETE if attempt and turn == CROSS else turn for turn in turns]  # parents of one hue cannot cross
        plans = [
            _plan(pool, turn, f"{number}-{slot + 1}", number * population + slot, seed + attempt)
            for slot, turn in zip(slots, turns, strict=True)
        ]
        for slot, child in zip(slots, _draw(generator, plans, sampling), strict=True):
            found = fault(child, lineage.generation(0), [*lineage.members, *born.values()])
            if found is None:
                born[slot] = child
            else:
                failed[slot] = LeftOut(child, found)
    left_out = [failed[slot] for slot in sorted(failed) if slot not in born]
    return Lineage((*lineage.members, *(born[slot] for slot in sorted(born))), (*lineage.left_out, *left_out))


@dataclass(frozen=True)
class _Plan:
    """A child before it is drawn: its member with the sprite that it starts from, and the pixels that stand."""

    child: Member
    given: np.ndarray | None


def _plan(pool: Sequence[Member], operation: str, name: str, index: int, seed: int) -> _Plan:
    """Chance, keyed by (seed, index), picks parents, captions and rows of the child `name`."""
    rng = np.random.default_rng([seed, index])
    body, other = (pool[i] for i in rng.permutation(len(pool))[:2])
    child = Member(name, 1 + max(body.generation, other.generation), operation, (body.id, other.id), body.sprite, seed, index)
    if operation == CROSS:
        return _Plan(replace(child, sprite=in_hues_of(body.sprite, other.sprite)), None)
    if operation == MUTATE:
        rows = _band(body.sprite.grid, rng)
        child = replace(child, parents=(body.id,), rows=rows)
    else:
        mixed = bool(rng.integers(2)) and body.sprite.caption != other.sprite.caption
        caption, tags = (body if mixed else other).sprite.caption, (body if mixed else other).sprite.tags
        mixed_with = other.sprite.caption if mixed else None
        rows = (_cut(body.sprite.grid, rng), body.sprite.height)
        child = replace(child, sprite=replace(body.sprite, caption=caption, tags=tags), mixed_with=mixed_with, rows=rows)
    given = child.sprite.grid.astype(np.int16)
    given[slice(*rows)] = -1
    return _Plan(child, given)


def _cut(grid: np.ndarray, rng: np.random.Generator) -> int:
    """A row between a third and two thirds of the drawn ones: the first that is drawn anew."""
    top, bottom = bounding_box(grid[None] > 0)[0, :2]
    tall = bottom + 1 - top
    return int(top + np.clip(round(tall * rng.uniform(1 / 3, 2 / 3)), 1, max(tall - 1, 1)))


def _band(grid: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """First and one past the last row of a band: a third to a half of the drawn rows."""
    top, bottom = bounding_box(grid[None] > 0)[0, :2]
    tall = bottom + 1 - top
    thick = max(1, round(tall * rng.uniform(1 / 3, 1 / 2)))
    first = int(top + rng.integers(tall - thick + 1))
    return first, first + thick


def _draw(generator: Generator, plans: Sequence[_Plan], sampling) -> Iterator[Member]:
    """The children of the plans in their order; all in one call of the generator."""
    asked = [plan for plan in plans if plan.given is not None]
    requests = [
        Request.like(plan.child.sprite, plan.child.seed, plan.child.index, given=plan.given, mixed_with=plan.child.mixed_with)
        for plan in asked
    ]
    drawn = sprites_of(generator, requests, sampling)
    for plan in plans:
        body = plan.child.sprite  # its source and licence stay: a child is a derived work
        yield plan.child if plan.given is None else replace(plan.child, sprite=replace(body, grid=next(drawn).grid))


def in_hues_of(body: Sprite, other: Sprite) -> Sprite:
    """The body's pixels in the other's hues: ramp to ramp by use, at the same step from dark to light.

    The most used ramp takes the other's most used one; of the rest greys stay (outlines and eyes are drawn in them) and
    colours take the other's next ones while there are any. Ramps of other lengths are walked in proportion.
    """
    tables = ramp_tables(body.palette)
    wanted, offered = _by_use(body, tables), _by_use(other, tables)
    grey = [is_grey(ramp, body.palette) for ramp in tables.ramps]
    pairs = [(wanted[0], offered[0])]
    pairs += zip([r for r in wanted[1:] if not grey[r]], [r for r in offered[1:] if not grey[r]], strict=False)
    swap = np.arange(len(body.palette), dtype=np.uint8)
    for source, target in pairs:
        old, new = tables.ramps[source], np.array(tables.ramps[target])
        steps = np.linspace(0, len(new) - 1, len(old)) if len(old) > 1 else np.array([len(new) // 2])
        swap[list(old)] = new[np.rint(steps).astype(int)]
    return replace(body, grid=swap[body.grid])


def _by_use(sprite: Sprite, tables: RampTables) -> list[int]:
    """Numbers of the ramps that a sprite uses, the most used first."""
    used = np.bincount(tables.ramp_of[sprite.grid[sprite.grid > 0]], minlength=len(tables.ramps))
    return [int(ramp) for ramp in np.argsort(-used, kind="stable") if used[ramp]]


def fault(child: Member, founders: Sequence[Member], others: Sequence[Member]) -> str | None:
    """What is wrong with a child, in words, or None. Says nothing about beauty.

    Empty, overgrown or noisy, by the statistics of `eval.metrics.structure` relative to the founders' own, lest a line
    drift into noise generation by generation; blank where its body, one of the others, had something; or nearly equal to
    any of the others, under flips and shifts by one pixel.
    """
    return _misbuilt(child.sprite.grid, [one.sprite.grid for one in founders]) or _blank(child, others) or _copy(child, others)


def _misbuilt(grid: np.ndarray, founders: Sequence[np.ndarray]) -> str | None:
    found = {name: float(value[0]) for name, value in statistics(grid[None]).items()}
    known = [statistics(founder[None]) for founder in founders]
    low = {name: float(min(one[name][0] for one in known)) for name in found}
    high = {name: float(max(one[name][0] for one in known)) for name in found}
    if found["empty"] or found["opaque_share"] < FILLING[0] * low["opaque_share"]:
        return f"nearly empty: {found['opaque_share']:.0%} opaque"
    if found["opaque_share"] > FILLING[1] * high["opaque_share"]:
        return f"overgrown: {found['opaque_share']:.0%} opaque"
    if found["speckle"] > high["speckle"] + LIKENESS or found["neighbour_agreement"] < low["neighbour_agreement"] - LIKENESS:
        return f"noise: {found['speckle']:.0%} lonely pixels, neighbours agree in {found['neighbour_agreement']:.0%}"
    if found["largest_component"] < low["largest_component"] - WHOLENESS:
        return f"in pieces: the largest shape has {found['largest_component']:.0%} of the pixels"
    return None


def _blank(child: Member, others: Sequence[Member]) -> str | None:
    if child.rows is None:
        return None
    body = next(other.sprite.grid for other in others if other.id == child.parents[0])
    drawn, had = ((grid[slice(*child.rows)] > 0).sum() for grid in (child.sprite.grid, body))
    return f"nearly blank where it was drawn: {drawn} pixels, its body had {had}" if drawn < DRAWN * had else None


def _copy(child: Member, others: Sequence[Member]) -> str | None:
    grid = child.sprite.grid
    for other in others:
        if other.sprite.grid.shape == grid.shape and agreement(views(grid), other.sprite.grid[None]).max() > COPY_ABOVE:
            return f"a copy of {other.id}"
    return None
