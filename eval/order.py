"""What `pixelreef draw` is asked for: its flags, then what `--like` says, then defaults; checked before anything is loaded."""

import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.curate import fit_to_sizes, threshold_alpha
from data_prep.errors import InputError
from data_prep.palette import Palette, load
from data_prep.sprite import MAX_SIDE, MIN_SIDE
from data_prep.tasks import MAX_SHADES, numbered, shades
from eval.best_of import MAX_CANDIDATES
from eval.pictures import own_pixels, read_picture
from eval.redraw import How, read_how
from eval.reference import Reference, read_reference
from eval.sheet import check_sheet

MAX_CAPTION = 500  # characters
MAX_DRAWINGS = 10_000
DEFAULTS = {
    "n": 1, "seed": 0, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "guidance": 0.0, "best_of": 1, "scale": 1,
}  # fmt: skip
FRAMES = (8, 16, 24, 32, 48, MAX_SIDE)  # pixels a side of a sprite that is coloured anew
MAX_BESIDE = 10_000  # characters
MODELS = ("adapter", "base", "transformer", "endpoint")
# Flags that change what is drawn: with one of them a drawing is a new one, and need not share its old batch. Those of models
# are not among them, for they may say where the same model lies.
CHANGES = ("caption", "size", "palette", "reference", "continue_from", "recolour", *(set(DEFAULTS) - {"scale"}))


@dataclass(frozen=True)
class Order:
    """indices: of the drawings; size: (height, width), None for the model's own; numbers: the keys of DEFAULTS but n and scale.

    palette or reference: colours that the drawings are brought to; given: (H, W) int16 pixels that stand, of `--like`.
    how: what `--like` says; together: the batch in which its drawing was made, where it is to come out the same again;
    task, beside: 'recolour' and the shades of the sprite that is to be coloured anew.
    """

    caption: str
    indices: range
    size: tuple[int, int] | None
    numbers: dict
    scale: int
    out: Path
    sheet: bool = False
    force: bool = False
    palette: Palette | None = None
    reference: Reference | None = None
    given: np.ndarray | None = None
    how: How | None = None
    together: range | None = None
    task: str = "draw"
    beside: str = ""

    @property
    def files(self) -> list[Path]:
        """One a drawing, or one sheet."""
        if len(self.indices) == 1 or self.sheet:
            return [self.out]
        return [self.out.with_stem(f"{self.out.stem}-{number}") for number in range(len(self.indices))]


def settled(options) -> Order:
    """The order of the command's flags. Raises InputError."""
    _check_flags(options)
    how = None if options.like is None else read_how(options.like)
    said = {} if how is None else how.values
    found = {
        key: said.get(key, default) if (flag := getattr(options, key)) is None else flag for key, default in DEFAULTS.items()
    }
    is_changed = any(getattr(options, key) is not None for key in CHANGES)
    _check_numbers(found)
    if options.endpoint is not None and found["best_of"] > 1:
        raise InputError("--best-of: servers give no likelihoods to choose by; leave it at 1, or load the model here")
    caption = check_caption(said.get("caption") if options.caption is None else options.caption)
    size = _size(options, how)
    palette, reference = _colours(options, how)
    given = how.given if how is not None and options.continue_from is None and options.size is None else None
    task, beside = _recoloured(said, given)
    if options.recolour is not None:
        given, beside = read_shades(options.recolour)
        task, size = "recolour", (given.shape[0], given.shape[1])
    stands = (given is not None and task == "draw") or options.continue_from is not None
    if (palette or reference) is not None and stands:
        raise InputError("--palette, --reference: what stands of a picture keeps its colours; leave --continue out")
    order = Order(
        caption=caption,
        indices=_indices(options, said, found["n"]),
        size=size,
        numbers={key: value for key, value in found.items() if key not in ("n", "scale")},
        scale=found["scale"],
        out=options.out,
        sheet=options.sheet or "sheet" in said,
        force=options.force or "forced" in said,
        palette=palette,
        reference=reference,
        given=given,
        how=how,
        together=None if how is None or is_changed or "sheet" in said else how.together,
        task=task,
        beside=beside,
    )
    _check_files(order)
    return order


def _check_flags(options) -> None:
    if options.continue_from is None and (options.rows is not None or options.mask is not None):
        raise InputError("--rows, --mask: they say what stands of a picture; give --continue PICTURE.png too")
    if options.continue_from is not None and options.size is not None:
        raise InputError("--size: the picture of --continue has its own; leave it out")
    if options.rows is not None and options.mask is not None:
        raise InputError("--rows, --mask: one of them says what stands; leave the other out")
    if options.recolour is not None and (options.continue_from is not None or options.size is not None):
        raise InputError("--recolour: its picture has its own size and shape; leave --size and --continue out")
    if options.palette is not None and options.reference is not None:
        raise InputError("--palette, --reference: each gives the colours; leave one out")
    if options.endpoint is not None and (options.adapter or options.base or options.transformer):
        raise InputError("--endpoint: its server has its own model; leave --adapter, --base and --transformer out")
    if options.endpoint is None and options.endpoint_model is not None:
        raise InputError("--endpoint-model: names a model of a server; give --endpoint URL too")


def _check_numbers(found: dict) -> None:
    for key, most in (("n", MAX_DRAWINGS), ("best_of", MAX_CANDIDATES), ("scale", 64)):
        if not 1 <= found[key] <= most:
            raise InputError(f"--{key.replace('_', '-')} {found[key]}: it takes 1 to {most}")


def read_shades(file: Path) -> tuple[np.ndarray, str]:
    """A sprite to colour anew → (H, W) int16 pixels that stay transparent, −1 elsewhere, and its shades for the prompt.

    A square picture of a side in FRAMES stays as it is, another one takes the smallest frame that holds it. Raises InputError.
    """
    found = threshold_alpha(own_pixels(read_picture(file)))
    if found.shape[:2] not in [(side, side) for side in FRAMES]:
        framed = fit_to_sizes(found, FRAMES)
        if isinstance(framed, str):
            raise InputError(f"{file}: {framed}; a sprite that is coloured anew has at most {max(FRAMES)} pixels a side")
        found = framed
    colours = int(numbered(found).max())
    if not 1 <= colours <= MAX_SHADES:
        raise InputError(f"{file}: {colours} colours; a sprite that is coloured anew has 1 to {MAX_SHADES}")
    return np.where(found[..., 3] > 0, np.int16(-1), np.int16(0)), shades(found)


def _recoloured(said: Mapping, given: np.ndarray | None) -> tuple[str, str]:
    """The task that a picture of `--like` was drawn by."""
    if said.get("task") != "recolour" or given is None:
        return "draw", ""
    if len(said.get("beside", "")) > MAX_BESIDE:
        raise InputError("--like: what it says of how it was drawn is damaged: its shades are too long")
    return "recolour", said.get("beside", "")


def _size(options, how: How | None) -> tuple[int, int] | None:
    if options.size is not None:
        if not MIN_SIDE <= options.size <= MAX_SIDE:
            raise InputError(f"--size {options.size}: it takes {MIN_SIDE} to {MAX_SIDE} pixels a side")
        return options.size, options.size
    if how is None or not {"height", "width"} <= how.values.keys():
        return None
    return how.values["height"], how.values["width"]


def _colours(options, how: How | None) -> tuple[Palette | None, Reference | None]:
    """The palette or the reference of the flags, else of `--like`."""
    if options.palette is not None:
        return load(options.palette, dropped=lambda what: print(what, file=sys.stderr)), None
    if options.reference is not None:
        return None, read_reference(options.reference)
    return (None, None) if how is None else (how.palette, how.reference)


def _indices(options, said: Mapping, n: int) -> range:
    if options.n is None and "sheet" in said:
        return range(min(max(said["sheet"], 1), MAX_DRAWINGS))
    if options.n is None and "index" in said:
        return range(said["index"], said["index"] + 1)
    return range(n)


def _check_files(order: Order) -> None:
    suffix = order.out.suffix.lower()
    if suffix not in (".png", ".json") or not order.out.parent.is_dir():
        raise InputError(f"--out {order.out}: must end in .png or .json, in a folder that exists")
    if order.sheet and suffix != ".png":
        raise InputError(f"--out {order.out}: a sheet's picture ends in .png; its .json is written beside it")
    taken = [file for file in [*order.files, order.out.with_suffix(".json")] if file.is_dir()]
    if taken:
        raise InputError(f"--out {order.out}: {taken[0].name} is a folder")
    if order.sheet:
        check_sheet(len(order.indices), *(order.size or (MIN_SIDE, MIN_SIDE)), order.scale)


def check_caption(caption: str | None) -> str:
    """The caption. Raises InputError where it is empty, huge, or has control characters, which no PNG nor terminal should get."""
    if not caption or not caption.strip():
        raise InputError("caption: empty; say what to draw, or give --recipe")
    if len(caption) > MAX_CAPTION:
        raise InputError(f"caption: {len(caption)} characters; at most {MAX_CAPTION}")
    for place, character in enumerate(caption):
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            raise InputError(f"caption: {character!r} at place {place} is a control character; leave it out")
    return caption
