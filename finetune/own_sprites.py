"""A person's own sprites: what is in them, what to warn of, which base model and recipe fit the machine, and for how long.

Reads a folder or zip of pictures and what `data_prep.prepare` made of it; writes nothing but the prepared dataset. The command
is `pixelreef train my_sprites/`; it lives in `eval/train_own.py`, because it ends with drawings.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep import grid_text
from data_prep.curate import threshold_alpha, trim
from data_prep.errors import InputError
from data_prep.pairs import read_rows
from data_prep.palette import PALETTE_FOLDER, Palette
from data_prep.prepare import prepare
from data_prep.progress import Progress
from data_prep.recipe import PrepareRecipe
from data_prep.sources import packs
from data_prep.splits import SPLITS
from data_prep.sprite import MAX_SIDE, MIN_SIDE
from finetune.adapter_folder import load_palette

SIDES = (8, 16, 24, 32, 48, 64)  # frames that are tried for sprites of unstated size
RARE = 0.05  # a frame that fewer sprites need is not trained on by itself
LEAST = 8  # usable sprites: with fewer, nothing is left to learn from once some are held out
FEW = 200  # below it each sprite is seen more than ten times by default, and drawings come out as near copies
DUPLICATES, ONE_LABEL, ONE_COLOUR, LEFT_OUT, BARE, NAMELESS = 0.2, 0.5, 0.6, 0.3, 0.5, 0.2  # shares that are warned of
SEEN_AT_LEAST, EPOCHS, MOST_EPOCHS = 1500, 3, 40  # the form of a drawing takes some 1,500 sprites to learn, whatever they are


@dataclass(frozen=True)
class Survey:
    """What a prepared corpus holds. captions: of the training sprites; colour_share: of opaque pixels, the most used colour;
    dropped: reason → sprites."""

    train: int
    held_out: int
    captions: tuple[str, ...]
    colour: str
    colour_share: float
    dropped: Counter

    @property
    def read(self) -> int:
        return self.train + self.held_out + self.dropped.total()


def prepare_own(path: Path, out: Path, size: int | None = None) -> Path:
    """Prepares a person's sprites in a palette of their own, each at the smallest frame in use that holds it.

    size: pixels a side; by default what the sprites need. Raises InputError when nothing can be used, or when `out` was made
    from other sprites.
    """
    if size is not None and not MIN_SIDE <= size <= MAX_SIDE:
        raise InputError(f"--size {size}: a side has {MIN_SIDE} to {MAX_SIDE} pixels")
    sizes = (size,) if size else sizes_for(path)
    source = {"kind": "packs", "path": str(path)}
    # what is asked of these sprites is to be drawn, not to be compared on Pixel Art Bench: nobody wants her sun dropped
    recipe = PrepareRecipe(corpus_name(path), (source,), sizes, palette="corpus", hold_out_bench_subjects=False)
    try:
        return prepare(recipe, out)
    except InputError as error:
        if "--force" not in str(error):
            raise
        raise InputError(f"{out}: made from other sprites or sizes; choose another --out, or remove that folder") from error


def sizes_for(path: Path) -> tuple[int, ...]:
    """The sides that the pictures need, rare ones left out. Raises InputError when all are larger than a sprite can be."""
    with Progress() as progress:
        pictures = progress.over("looked at", packs.pictures(path))
        needs = [max(trim(threshold_alpha(picture.rgba)).shape[:2]) for picture in pictures]
    if not needs:
        raise InputError(f"{path}: no picture in it; give a folder or a zip of PNGs")
    fitting = Counter(min(side for side in SIDES if side >= need) for need in needs if need <= max(SIDES))
    if not fitting:
        raise InputError(
            f"{path}: all {len(needs)} pictures are larger than {MAX_SIDE}x{MAX_SIDE}; if they were enlarged, shrink them first"
        )
    return tuple(sorted(side for side, count in fitting.items() if count >= RARE * fitting.total()))


def corpus_name(path: Path) -> str:
    """A name for corpus and palette that a prompt can hold and no shipped palette has."""
    name = re.sub(r"[^a-z0-9]+", "_", path.resolve().stem.lower()).strip("_")[:40] or "sprites"
    taken = {file.stem for file in PALETTE_FOLDER.glob("*.json")} | {grid_text.FREE}
    return f"my_{name}" if name in taken else name


def survey(dataset: Path) -> Survey:
    """Counts a prepared corpus. Raises InputError when too little is left of it to train on."""
    palette = load_palette(dataset)
    rows = {split: list(read_rows(dataset, split, ("completion", "caption_full"))) for split in SPLITS}
    counts = {split: len(found) for split, found in rows.items()}
    lines = (dataset / "dropped.jsonl").read_text("utf-8").splitlines()
    dropped = Counter(json.loads(line)["reason"].partition(":")[0] for line in lines)
    total = sum(counts.values())
    if total < LEAST or not counts["train"] or not counts["validation"]:
        why = ", ".join(f"{count} {reason}" for reason, count in dropped.most_common(3))
        raise InputError(
            f"{dataset.parent}: {total} usable sprites (left out: {why or 'none'}); it takes {LEAST} of several shapes"
        )
    colour, share = _top_colour([row["completion"] for row in rows["train"]], palette)
    captions = tuple(row["caption_full"] for row in rows["train"])
    return Survey(counts["train"], total - counts["train"], captions, colour, share, dropped)


def _top_colour(completions: Sequence[list[dict]], palette: Palette) -> tuple[str, float]:
    """The colour with the most opaque pixels, and its share of them."""
    counts = np.zeros(len(palette), np.int64)
    for completion in completions:
        grid = grid_text.sure(completion[0]["content"], palette, "dataset").grid
        counts += np.bincount(grid.ravel(), minlength=len(palette))
    top = int(counts[1:].argmax())
    return palette.colours[top], float(counts[1 + top] / max(1, counts[1:].sum()))


def warnings(found: Survey) -> list[str]:
    """What a person should know before training on these sprites, one line each; each says why and what helps."""
    captions, read = Counter(found.captions), max(1, found.read)
    label, most = captions.most_common(1)[0]
    doubles = sum(count for reason, count in found.dropped.items() if "duplicate" in reason)
    lost = found.dropped.total() - doubles
    single = sum(len(words(caption)) == 1 for caption in found.captions)
    nameless = captions.get("", 0)
    told = (
        (
            found.train < FEW,
            f"only {found.train} sprites to train on: once learnt, drawings will be near copies of them; from about {FEW} on "
            "there is room for something new",
        ),
        (
            doubles > DUPLICATES * read,
            f"{doubles / read:.0%} of the pictures are duplicates, flipped or moved ones too; one of each was kept",
        ),
        (lost > LEFT_OUT * read, f"{lost / read:.0%} of the pictures were left out for other reasons; dropped.jsonl lists them"),
        (
            bool(label) and most > ONE_LABEL * found.train,
            f"one-sided: {most / found.train:.0%} of the captions are '{label}'; other captions will draw much the same",
        ),
        (
            found.colour_share > ONE_COLOUR,
            f"one-sided: #{found.colour} is {found.colour_share:.0%} of all opaque pixels; drawings will be mostly of it",
        ),
        (
            single > BARE * found.train,
            f"bare labels: {single / found.train:.0%} of the captions are a single word, so neither colour nor pose can be asked "
            "for; say more in a metadata.jsonl (file_name, caption)",
        ),
        (
            nameless > NAMELESS * found.train,
            f"{nameless / found.train:.0%} of the sprites have no name; give them names, or captions in a metadata.jsonl",
        ),
    )
    return [line for due, line in told if due]


def words(caption: str) -> list[str]:
    """The words of a caption but for its article."""
    return [word for word in caption.lower().split() if word not in ("a", "an", "the")]


def sprites_to_see(train: int) -> int:
    """How many sprites a run sees by default: enough for the form, then three times through, never more than 40 times."""
    return min(SEEN_AT_LEAST + EPOCHS * train, MOST_EPOCHS * train)
