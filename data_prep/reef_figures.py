"""Entry: measures the procedural reef and draws its sheets → one Markdown page with the pictures beside it.

    python -m data_prep.reef_figures docs/reef.md [--quick]

Reads nothing. Writes the page, and PNGs into the folder of its name (docs/reef/). Every number is measured as it is written;
equal code gives equal numbers, seconds and kilobytes apart. Some three minutes on one core; --quick takes few sprites and
ten seconds, for a look and for the tests. Prints where it wrote.
"""

import argparse
import os
import platform
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from data_prep import reef_measures as measures
from data_prep import reef_sheets as sheets
from data_prep.captions import CATEGORIES, ZONES
from data_prep.errors import InputError, exit_code
from data_prep.printable import table
from data_prep.progress import Progress
from data_prep.reef_measures import Share
from data_prep.sources import procedural
from data_prep.splits import SPLITS
from data_prep.sprite import Sprite

SIZES = (16, 24, 32)
SEEDS = (1, 2)  # the classifiers learn on the first and are asked about the second
SOURCE = "data_prep.sources.procedural:sprites"
ACCURACY_GOAL, NEW_GOAL, SECONDS_GOAL, GROWTH_GOAL = 0.60, 0.95, 5.0, 2**20  # the last one in bytes


@dataclass(frozen=True)
class Amounts:
    """How much is measured. sprites: of each seed and size; streamed: the two counts between which memory is compared."""

    sprites: int = 3000
    timed: int = 1000
    timings: int = 3
    streamed: tuple[int, int] = (2_000, 20_000)
    hashed: int = 300


QUICK = Amounts(sprites=180, timed=50, timings=1, streamed=(60, 180), hashed=30)


@dataclass
class Figures:
    """What was measured. Sizes in pixels a side; accuracy: (what is named, size) → share right, and at best by chance."""

    amounts: Amounts
    sprites: dict[tuple[int, int], list[Sprite]] = field(default_factory=dict)  # (seed, size)
    accuracy: dict[tuple[str, int], tuple[Share, Share]] = field(default_factory=dict)
    new: dict[int, tuple[Share, Share, float]] = field(default_factory=dict)  # as drawn, centred, median nearest overlap
    seconds: float = 0.0  # CPU seconds for 1,000 sprites of the largest size
    peaks: tuple[int, int] = (0, 0)  # bytes
    digests: dict[int, tuple[str, str]] = field(default_factory=dict)

    def of_seed(self, seed: int) -> list[Sprite]:
        return [sprite for size in SIZES for sprite in self.sprites[seed, size]]


# --- measure --------------------------------------------------------------------------------------------------------


def measure(amounts: Amounts, progress: Progress) -> Figures:
    """All figures; the stopwatch runs first, before memory is full."""
    figures = Figures(amounts)
    largest = SIZES[-1]
    progress.at(f"timing {amounts.timings} × {amounts.timed:,} sprites")
    measures.cpu_seconds(procedural.sprites(SEEDS[0], largest), 30)  # imports and caches are no part of it
    timings = [measures.cpu_seconds(procedural.sprites(seed, largest), amounts.timed) for seed in range(amounts.timings)]
    figures.seconds = statistics.median(timings) / amounts.timed * 1000
    progress.at(f"watching memory over {amounts.streamed[1]:,} sprites")
    figures.peaks = measures.memory_peaks(procedural.sprites(SEEDS[0], largest), *amounts.streamed)
    for size in SIZES:
        progress.at(f"hashing in two processes, {size}×{size}")
        one, other = (measures.digest(SOURCE, SEEDS[0], size, amounts.hashed, hash_seed) for hash_seed in (0, 1))
        figures.digests[size] = one, other
        for seed in SEEDS:
            stream = progress.over(f"drawn at {size}×{size}", procedural.sprites(seed, size))
            figures.sprites[seed, size] = list(islice(stream, amounts.sprites))
        progress.at(f"classifying and comparing, {size}×{size}")
        _compare(figures, size)
    return figures


def _compare(figures: Figures, size: int) -> None:
    """Both seeds of one size: what colour gives away, and how near their silhouettes come."""
    train, test = (figures.sprites[seed, size] for seed in SEEDS)
    tasks = {"category": (train, test, "category")}
    for category in CATEGORIES:
        some, others = ([sprite for sprite in part if sprite.tags["category"] == category] for part in (train, test))
        tasks[f"plan of {category}"] = some, others, "plan"
    for name, (learnt, asked, tag) in tasks.items():
        figures.accuracy[name, size] = measures.colour_accuracy(learnt, asked, tag), measures.commonest(asked, tag)
    drawn, centred = (
        measures.nearest_overlap(measures.silhouettes(train, moved), measures.silhouettes(test, moved)) for moved in (False, True)
    )
    figures.new[size] = measures.without_twin(drawn), measures.without_twin(centred), float(np.median(drawn))


# --- the page -------------------------------------------------------------------------------------------------------


def render(figures: Figures, pictures: dict[str, str], folder: str) -> str:
    """The page's Markdown, from the figures alone. pictures: file name in `folder` → what it shows."""
    parts = [
        "# The procedural reef, measured",
        "Written by `python -m data_prep.reef_figures docs/reef.md`; do not edit.",
        f"{figures.amounts.sprites:,} sprites of each of the seeds 1 and 2 at each size, unless another number is given. "
        "Shares carry their exact 95 % interval.",
        _table(("property", "measured", "goal", ""), _goals(figures)),
        *_colour(figures),
        *_twins(figures),
        *_machine(figures),
        *_plans(figures),
        *_splits(figures),
        *_captions(figures),
        "## Pictures",
        *(f"{words}.\n\n![{words}]({folder}/{name})" for name, words in pictures.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _goals(figures: Figures) -> list[tuple]:
    (named, size), (right, _) = max(figures.accuracy.items(), key=lambda item: item[1][0].value)
    at, (new, _, _) = min(figures.new.items(), key=lambda item: item[1][0].value)
    growth, seconds = figures.peaks[1] - figures.peaks[0], figures.seconds
    equal = all(one == other for one, other in figures.digests.values())
    first, last = figures.amounts.streamed
    told = f"named by colour alone, the most ({named}, {size}×{size})"
    rows = [
        (told, right, f"< {ACCURACY_GOAL:.0%}", right.value < ACCURACY_GOAL),
        (f"without a twin in another seed, as drawn, the fewest ({at}×{at})", new, f"≥ {NEW_GOAL:.0%}", new.value >= NEW_GOAL),
        ("1,000 sprites of 32×32 on one core", f"{seconds:.2f} s", f"< {SECONDS_GOAL:g} s", seconds < SECONDS_GOAL),
        (f"growth of peak memory, {first:,} to {last:,} sprites", _kib(growth), f"< {_kib(GROWTH_GOAL)}", growth < GROWTH_GOAL),
        ("same seed, same bytes in two processes", "yes" if equal else "no", "yes", equal),
    ]
    return [(*row, "met" if fits else "**missed**") for *row, fits in rows]


def _colour(figures: Figures) -> list[str]:
    rows = []
    for name in dict.fromkeys(name for name, _ in figures.accuracy):
        shares = [figures.accuracy[name, size] for size in SIZES]
        rows.append((name, *(cell for right, commonest in shares for cell in (right, f"{100 * commonest.value:.1f} %"))))
    head = ("what is named", *(word for size in SIZES for word in (f"right at {size}×{size}", "commonest")))
    return [
        "## What colour alone gives away",
        "A sprite's pixels of each palette index, counted, and nothing else: the better of "
        f"{measures.TREES} extremely randomised trees and logistic regression, learnt on seed 1, asked about seed 2 (the better "
        "by its result there: an upper bound). 'commonest': what naming every sprite the same would score.",
        _table(head, rows),
    ]


def _twins(figures: Figures) -> list[str]:
    rows = [(f"{size}×{size}", drawn, centred, f"{median:.2f}") for size, (drawn, centred, median) in figures.new.items()]
    return [
        "## Two seeds have few twins",
        "For each sprite of seed 1 the silhouette of seed 2, or its mirror image, that it overlaps most: the share of sprites "
        f"whose intersection over union stays below {measures.TWIN}. 'centred' is stricter: bounding boxes are first moved to "
        "the middle of the frame. The goal is set for sprites as they are drawn; more sprites find more twins.",
        _table(("size", "without a twin", "centred", "median nearest overlap"), rows),
    ]


def _machine(figures: Figures) -> list[str]:
    amounts, (early, late) = figures.amounts, figures.peaks
    rows = [(f"{size}×{size}", f"`{one[:16]}`", f"`{other[:16]}`") for size, (one, other) in figures.digests.items()]
    return [
        "## Speed, memory, bytes",
        f"{figures.seconds:.2f} CPU seconds for 1,000 sprites of 32×32 in one process (median of {amounts.timings} × "
        f"{amounts.timed:,}; {_processor()}).",
        f"Streaming {amounts.streamed[1]:,} sprites of 32×32 without keeping them, Python and NumPy held at most "
        f"{_kib(early)} up to sprite {amounts.streamed[0]:,} and {_kib(late)} after it (tracemalloc). "
        f"Keeping their grids alone would have added {_kib((amounts.streamed[1] - amounts.streamed[0]) * 32 * 32)}. Longer "
        "streams were not measured.",
        f"SHA-256 over the first {amounts.hashed} sprites of seed 1 (pixels, captions, tags), in two processes with "
        "PYTHONHASHSEED 0 and 1:",
        _table(("size", "first process", "second process"), rows),
    ]


def _plans(figures: Figures) -> list[str]:
    sprites = figures.of_seed(1)
    counts = measures.plan_counts(sprites)
    poses, rows = measures.poses_of(sprites), []
    for category, plans in procedural.PLANS.items():
        for plan in plans:
            zones = counts.get((category, plan), Counter())
            held_out = "held out" if procedural.HELD_OUT_PLANS[category] == plan else ""
            rows.append(
                (category, plan, *(zones[zone] for zone in ZONES), zones.total(), ", ".join(poses.get(plan, [])), held_out)
            )
    numbers = ", ".join(f"{len(plans)} {category}" for category, plans in procedural.PLANS.items())
    return [
        "## Body plans",
        f"{len(rows)} body plans ({numbers}); sprites of seed 1, all sizes, by zone. The held-out plan of each "
        "category occurs in the test set only.",
        _table(("category", "plan", *ZONES, "all", "poses", ""), rows),
    ]


def _splits(figures: Figures) -> list[str]:
    sprites = figures.of_seed(1)
    splits = Counter(procedural.split_of(sprite.tags) for sprite in sprites)
    known = [sprite for sprite in sprites if sprite.tags["plan"] not in procedural.HELD_OUT_PLANS.values()]
    combinations = [dict(zip(measures.COMBINATION, one, strict=True)) for one in sorted(measures.combinations(known))]
    kept = Share(sum(map(procedural.combination_is_held_out, combinations)), len(combinations))
    rows = [(split, Share(splits[split], len(sprites))) for split in SPLITS]
    return [
        "## Splits",
        f"Test has the held-out plans and, of the {len(combinations):,} combinations of the other plans with a main colour and a "
        f"pattern that occur here, {kept.count:,} ({100 * kept.value:.1f} %) that training never has.",
        _table(("split", "sprites"), rows),
    ]


def _captions(figures: Figures) -> list[str]:
    sprites = figures.of_seed(1)
    rows = [(key.replace("_", " "), share) for key, share in measures.stated(sprites).items()]
    words = statistics.mean(len(sprite.caption.split()) for sprite in sprites)
    return [
        "## What captions state",
        f"Found in the captions by their words ({words:.1f} a caption in the mean), of the sprites about which there is "
        "something to say: a sprite that does not glow has no word for it.",
        _table(("attribute", "stated"), rows),
    ]


def _kib(size: int) -> str:
    return f"{size / 1024:,.0f} KiB"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, Python {platform.python_version()}"


def _table(head: tuple, rows: Sequence[tuple]) -> str:
    return "\n".join(table(head, rows))


# --- the command ----------------------------------------------------------------------------------------------------


def write(page: Path, amounts: Amounts) -> str:
    """Measures, draws, writes page and pictures; returns the line to print. Raises InputError where it cannot write."""
    if page.suffix != ".md":
        raise InputError(f"{page}: no Markdown page; give a name that ends in .md, as docs/reef.md")
    folder = page.with_suffix("")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}); choose another place") from error
    with Progress() as progress:
        figures = measure(amounts, progress)
        progress.at("drawing the sheets")
        pictures = sheets.draw({size: figures.sprites[SEEDS[0], size] for size in SIZES}, folder)
        page.write_text(render(figures, pictures, folder.name), encoding="utf-8")
    size = sum((folder / name).stat().st_size for name in pictures)
    return f"{page}, and {len(pictures)} pictures in {folder}{os.sep} ({_kib(size)})"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m data_prep.reef_figures", description="Measures and draws the procedural reef.")
    parser.add_argument("page", type=Path, help="Markdown page to write, as docs/reef.md; pictures go into docs/reef/")
    parser.add_argument("--quick", action="store_true", help="few sprites: for a look, not for the published page")
    options = parser.parse_args(arguments)
    return exit_code("reef_figures", partial(write, options.page, QUICK if options.quick else Amounts()))


if __name__ == "__main__":
    sys.exit(main())
