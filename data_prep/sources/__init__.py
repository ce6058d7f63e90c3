"""Sources: where pictures come from. Each module yields `Picture`s with label or caption, tags, source, licence, attribution.

`parts` is the one way from a recipe's entry to its pictures: a list of slices, each of which any process can read by itself.
A source's files lie in an order drawn from the recipe's seed, so that the first n are a fair sample.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, count
from pathlib import Path
from types import ModuleType

from data_prep.curate import Picture, tidy
from data_prep.recipe import PrepareRecipe

DRAWN = 256  # procedural sprites in a part
FILES = {"packs": 1024, "photographs": 32, "sheets": 8}  # in a part, about as many as take some seconds, …
MOST_PARTS = 64  # … more where there would be more parts than this: each one opens its pack anew

Dropped = Callable[[str, str], None]
Part = Callable[..., Iterator[Picture]]  # called with dropped=


def parts(recipe: PrepareRecipe, number: int) -> list[Part]:
    """The slices of the recipe's source of that number, in order. Raises InputError for one that is missing."""
    source = recipe.sources[number]
    if source["kind"] == "procedural":
        return _procedural(source, recipe.sizes)
    module, place = _found(source)
    read = partial(module.pictures, place, seed=recipe.seed, **_options(source, recipe))
    files = module.count(place)
    step = max(FILES[source["kind"]], -(-files // MOST_PARTS))
    prefix, starts = prefixes(recipe.sources)[number], range(0, max(files, 1), step)
    return [partial(_prefixed, partial(read, part=(start, start + step)), prefix) for start in starts]


def described(recipe: PrepareRecipe, number: int) -> dict:
    """The recipe's source of that number with its content in place of its path: what decides its pictures."""
    source = dict(recipe.sources[number])
    if source["kind"] == "procedural":
        return source | {"first_sprites": _generator_hash(source.get("seed", 1), recipe.sizes)}
    if "url" in source:
        return source
    module, place = _found(source)
    key = "dataset" if "dataset" in source else "path"
    return source | {key: Path(place).name, "sha256": module.fingerprint(place)}


def prefixes(sources: Sequence[dict]) -> list[str]:
    """What stands before the names of each source's pictures: its own name, so that no two sources share a picture's name."""
    found: list[str] = []
    for source in sources:
        place = source.get("path") or source.get("dataset") or source.get("url", "").rpartition("/")[2]
        stem = tidy(Path(place).stem) or source["kind"]
        names = chain([stem], (f"{stem}-{number}" for number in count(2)))
        found.append(next(name for name in names if name not in found))
    return found


def _prefixed(read: Part, prefix: str, dropped: Dropped) -> Iterator[Picture]:
    for picture in read(dropped=lambda name, reason: dropped(f"{prefix}/{name}", reason)):
        yield replace(picture, name=f"{prefix}/{picture.name}")


def _options(source: dict, recipe: PrepareRecipe) -> dict:
    """What a source's `pictures` takes beside place, seed and part. The recipe's licences stand in for the source's own: where a
    sheet offers several, the one that is wanted is taken."""
    options = {key: source[key] for key in ("exclude_sources", "every_frame") if key in source}
    size = {"size": max(recipe.sizes)} if source["kind"] == "photographs" else {}
    return options | size | {"licences": source.get("licences") or recipe.licences}


def _found(source: dict) -> tuple[ModuleType, str | Path]:
    """The module that reads a source of files, and where they are."""
    from data_prep.sources import download, hub, packs, photographs, sheets

    if "dataset" in source:
        return hub, source["dataset"]
    if "url" in source:
        return packs, download.fetch(source["url"], source["sha256"])
    return {"packs": packs, "photographs": photographs, "sheets": sheets}[source["kind"]], source["path"]


# --- procedural -----------------------------------------------------------------------------------------------------


def _procedural(source: dict, sizes: Sequence[int]) -> list[Part]:
    """`count` sprites, shared out evenly over the sizes."""
    seed = source.get("seed", 1)
    found: list[Part] = []
    for turn, size in enumerate(sizes):
        share = source["count"] // len(sizes) + (turn < source["count"] % len(sizes))
        found += [partial(_drawn, seed, size, range(start, min(start + DRAWN, share))) for start in range(0, share, DRAWN)]
    return found


def _drawn(seed: int, size: int, indices: range, dropped: Dropped) -> Iterator[Picture]:
    """The generator's own split goes with each."""
    from data_prep.sources import procedural

    for index in indices:
        sprite = procedural.sprite(seed, index, size)
        yield Picture(
            sprite.rgba(),
            f"procedural/{seed}/{size}/{index}",
            caption=sprite.caption,
            tags=dict(sprite.tags),  # a mappingproxy does not pickle
            source=sprite.source,
            licence=sprite.licence,
            attribution=sprite.attribution,
            split=procedural.split_of(sprite.tags),
            placed=True,
        )


def _generator_hash(seed: int, sizes: tuple[int, ...]) -> str:
    """SHA-256 over one sprite of each cell and size: another generator's corpus is another corpus."""
    import hashlib

    from data_prep.captions import CELLS
    from data_prep.sources import procedural

    sprites = [procedural.sprite(seed, index, size) for size in sizes for index in range(len(CELLS))]
    return hashlib.sha256("".join(sprite.id + procedural.split_of(sprite.tags) for sprite in sprites).encode()).hexdigest()
