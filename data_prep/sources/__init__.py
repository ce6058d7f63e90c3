"""Sources: where pictures come from. Each module yields `Picture`s with label or caption, tags, source, licence, attribution.

`parts` is the one way from a recipe's entry to its pictures: a list of slices, each of which any process can read by itself.
A source's files lie in an order drawn from the recipe's seed, so that the first n are a fair sample.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from data_prep.curate import Picture, tidy
from data_prep.recipe import PrepareRecipe

DRAWN, FILES = 256, 1024  # procedural sprites or files in a part, …
MOST_PARTS = 64  # … more where there would be more parts than this: each one opens its pack anew

Dropped = Callable[[str, str], None]
Part = Callable[[Dropped], Iterator[Picture]]


def parts(recipe: PrepareRecipe, number: int) -> list[Part]:
    """The slices of the recipe's source of that number, in order. Raises InputError for one that is missing."""
    source = recipe.sources[number]
    if source["kind"] == "procedural":
        return _procedural(source, recipe.sizes)
    prefix, options = prefixes(recipe.sources)[number], _options(source)
    if source["kind"] == "photographs":
        from data_prep.sources import photographs

        slices = [partial(photographs.pictures, source["path"], max(recipe.sizes), recipe.seed, **options)]
    elif source["kind"] == "sheets":
        from data_prep.sources import sheets

        slices = [partial(sheets.pictures, source["path"], recipe.seed, **options)]
    else:
        slices = _packed(source, recipe.seed, options)
    return [partial(_prefixed, one, prefix) for one in slices]


def described(recipe: PrepareRecipe, number: int) -> dict:
    """The recipe's source of that number with its content in place of its path: what decides its pictures."""
    source = dict(recipe.sources[number])
    if source["kind"] == "procedural":
        return source | {"first_sprites": _generator_hash(source.get("seed", 1), recipe.sizes)}
    if source["kind"] == "photographs":
        from data_prep.sources.photographs import fingerprint
    elif source["kind"] == "sheets":
        from data_prep.sources.sheets import fingerprint
    elif "dataset" in source:
        from data_prep.sources.hub import fingerprint

        return source | {"dataset": Path(source["dataset"]).name, "sha256": fingerprint(source["dataset"])}
    elif "url" in source:
        return source
    else:
        from data_prep.sources.packs import fingerprint
    return source | {"path": Path(source["path"]).name, "sha256": fingerprint(source["path"])}


def prefixes(sources: Sequence[dict]) -> list[str]:
    """What stands before the names of each source's pictures: its own name, so that no two sources share a picture's name."""
    found: list[str] = []
    for source in sources:
        place = source.get("path") or source.get("dataset") or source.get("url", "").rpartition("/")[2]
        stem = tidy(Path(place).stem) or source["kind"]
        taken = found.count(stem)
        found.append(stem if not taken else f"{stem}-{taken + 1}")
    return found


def _prefixed(read: Part, prefix: str, dropped: Dropped) -> Iterator[Picture]:
    for picture in read(dropped=lambda name, reason: dropped(f"{prefix}/{name}", reason)):
        yield replace(picture, name=f"{prefix}/{picture.name}")


def _options(source: dict) -> dict:
    return {key: source[key] for key in ("licences", "exclude_sources", "every_frame") if key in source}


def _packed(source: dict, seed: int, options: dict) -> list[Part]:
    from data_prep.sources import download, hub, packs

    if "dataset" in source:
        module, place = hub, source["dataset"]
    elif "url" in source:
        module, place = packs, download.fetch(source["url"], source["sha256"])
    else:
        module, place = packs, source["path"]
    files = module.count(place)
    step = max(FILES, -(-files // MOST_PARTS))
    return [
        partial(module.pictures, place, seed, **options, part=(start, start + step)) for start in range(0, max(files, 1), step)
    ]


# --- procedural -----------------------------------------------------------------------------------------------------


def _procedural(source: dict, sizes: Sequence[int]) -> list[Part]:
    """`count` sprites, shared out evenly over the sizes."""
    seed, found = source.get("seed", 1), []
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
