"""`pixelreef draw CAPTION`: sprites as indexed PNGs that say how they were made; also the rest of a sprite."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data_prep.errors import InputError
from data_prep.palette import Palette, named
from data_prep.sprite import MAX_SIDE, MIN_SIDE, Sprite
from eval.best_of import MAX_CANDIDATES

REPOSITORY = Path(__file__).resolve().parents[1]
MAX_CAPTION = 500  # characters


def draw_files(options) -> None:
    """Draws `options.n` sprites of `options.caption`, writes them and prints each file's name. Raises InputError.

    `options.continue_from` is a picture of which pixels stand: its top rows, or what a mask keeps.
    """
    from eval.decoding import Sampling
    from eval.generators import requests_for, sprites_of

    check(options)
    sampling = Sampling(options.temperature, top_p=options.top_p, guidance=options.guidance)
    model = _choosing(load_model(options), options.best_of)
    how = {"seed": options.seed, "temperature": options.temperature, "top_p": options.top_p, "guidance": options.guidance}
    if options.best_of > 1:
        how["best_of"] = options.best_of
    if options.continue_from is None:
        requests = requests_for(model, options.caption, options.n, options.seed, options.size)
        sprites = sprites_of(model, requests, sampling, model.name)
    else:
        sprites, kept = _continued(model, options, sampling)
        how["continued"] = kept
    files = [options.out] if options.n == 1 else [options.out.with_stem(f"{options.out.stem}-{i}") for i in range(options.n)]
    for index, (file, sprite) in enumerate(zip(files, sprites, strict=True)):
        write_png(file, sprite, options.scale, {**how, "index": index})
        print(file, flush=True)


def load_model(options):
    """The generator of `--transformer`, or of `--adapter` and `--base`; by default the newest adapter that is here."""
    from eval.generators import LanguageModel

    if options.transformer is not None:
        from eval.baseline.generator import SpriteTransformerGenerator

        if options.adapter or options.base:
            raise InputError("--transformer: it is a generator by itself; leave --adapter and --base out")
        return SpriteTransformerGenerator.load(options.transformer)
    adapter = options.adapter or (None if options.base else newest_adapter(Path("runs"), REPOSITORY / "adapters"))
    print(f"loading {adapter or options.base}", file=sys.stderr)
    return LanguageModel.load(adapter, options.base)


def _choosing(model, candidates: int):
    """The model, or the best of so many candidates of it by its likelihoods and by the committed `guide`."""
    if candidates == 1:
        return model
    from eval.best_of import BestOf
    from eval.rivals import load_guide

    return BestOf(model, candidates, load_guide())


def _continued(model, options, sampling) -> tuple[Iterator[Sprite], str]:
    """The sprites that go on from `options.continue_from`, and in words which of its pixels stand."""
    from eval.generators import Request, sprites_of

    palette = model.palette or named("reef64")
    sprite = read_png(options.continue_from, palette)
    if options.mask is not None:
        keep, kept = read_mask(options.mask, sprite.grid.shape), f"what mask {options.mask.name} keeps"
    else:
        rows = sprite.height // 2 if options.rows is None else options.rows
        if not 1 <= rows < sprite.height:
            raise InputError(f"--rows {rows}: {options.continue_from} has {sprite.height}; it takes 1 to {sprite.height - 1}")
        keep, kept = np.arange(sprite.height)[:, None] < rows, f"rows 0 to {rows - 1}"
    given = np.where(keep, sprite.grid.astype(np.int16), np.int16(-1))
    asked = (options.caption, sprite.height, sprite.width, palette, options.seed)
    requests = [Request(*asked, index, given=given) for index in range(options.n)]
    return sprites_of(model, requests, sampling, model.name), f"{kept} of {options.continue_from.name}"


def check(options) -> None:
    check_caption(options.caption)
    if not 1 <= options.n <= 10_000:
        raise InputError(f"--n {options.n}: it takes 1 to 10000")
    if not 1 <= options.best_of <= MAX_CANDIDATES:
        raise InputError(f"--best-of {options.best_of}: it takes 1 to {MAX_CANDIDATES}")
    if not 1 <= options.scale <= 64:
        raise InputError(f"--scale {options.scale}: it takes 1 to 64")
    if options.out.suffix.lower() != ".png" or not options.out.parent.is_dir():
        raise InputError(f"--out {options.out}: must end in .png, in a folder that exists")
    if options.continue_from is None and (options.rows is not None or options.mask is not None):
        raise InputError("--rows, --mask: they say what stands of a picture; give --continue PICTURE.png too")
    if options.continue_from is not None and options.size is not None:
        raise InputError("--size: the picture of --continue has its own; leave it out")
    if options.rows is not None and options.mask is not None:
        raise InputError("--rows, --mask: one of them says what stands; leave the other out")


def check_caption(caption: str | None) -> None:
    if not caption or not caption.strip():
        raise InputError("caption: empty; say what to draw, or give --recipe")
    if len(caption) > MAX_CAPTION:
        raise InputError(f"caption: {len(caption)} characters; at most {MAX_CAPTION}")


def newest_adapter(*folders: Path) -> Path:
    """The adapter that was written last below the first of these folders that has one."""
    from finetune.adapter_folder import FACTS

    for folder in folders:
        found = sorted(folder.glob(f"**/[!.]*/{FACTS}"), key=lambda path: path.stat().st_mtime)
        if found:
            return found[-1].parent
    raise InputError("no adapter is here; train one (`make demo`), or give --adapter FOLDER or --base NAME")


def write_png(file: Path, sprite: Sprite, scale: int, how: dict) -> None:
    """An indexed PNG, entry 0 transparent, with caption, palette hash and `how` in its text chunks."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    image = Image.fromarray(sprite.grid.repeat(scale, 0).repeat(scale, 1), "P")
    image.putpalette(sprite.palette.rgba[:, :3].tobytes())
    said = PngInfo()
    said.add_itxt("caption", sprite.caption)
    for key, value in {**how, "scale": scale, "generator": sprite.source, "palette_hash": sprite.palette.hash}.items():
        said.add_itxt(key, str(value))
    image.save(file, transparency=0, pnginfo=said)


def read_png(file: Path, palette: Palette) -> Sprite:
    """A picture whose colours all occur in a palette, with the caption of its text chunks; `write_png`'s scale is undone.

    Less than half opaque counts as transparent. Raises InputError for another picture.
    """
    rgba, said = _read_picture(file)
    scale = said.get("scale", "1")
    scale = int(scale) if scale.isdecimal() and len(scale) < 3 and int(scale) > 0 else 1
    rgba = rgba[scale // 2 :: scale, scale // 2 :: scale]
    if max(rgba.shape[:2]) > MAX_SIDE or min(rgba.shape[:2]) < MIN_SIDE:
        size = f"{rgba.shape[0]}x{rgba.shape[1]}"
        raise InputError(f"{file}: {size} pixels; a sprite has {MIN_SIDE} to {MAX_SIDE} a side, one picture pixel each")
    entry_of = {colour: entry for entry, colour in reversed(list(enumerate(palette.colours, 1)))}
    grid = np.zeros(rgba.shape[:2], np.uint8)
    for place in np.argwhere(rgba[..., 3] >= 128):
        colour = rgba[*place, :3].tobytes().hex()
        if colour not in entry_of:
            y, x = place
            raise InputError(f"{file}: colour {colour} at row {y}, column {x} is not in palette {palette.name!r}")
        grid[*place] = entry_of[colour]
    return Sprite(grid, palette, said.get("caption", ""))


def read_mask(file: Path, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) bool, True where a mask is black: keep. White is False: draw anew. Raises InputError for anything else."""
    rgba, _ = _read_picture(file)
    if rgba.shape[:2] != shape:
        raise InputError(f"{file}: {rgba.shape[0]}x{rgba.shape[1]} pixels; the sprite has {shape[0]}x{shape[1]}, like its mask")
    black, white = (rgba[..., :3] == 0).all(-1), (rgba[..., :3] == 255).all(-1)
    if not (black | white).all() or (rgba[..., 3] < 255).any():
        raise InputError(f"{file}: a mask is black where pixels stand and white where they are drawn anew, and nothing else")
    if not white.any():
        raise InputError(f"{file}: no white pixel; there is nothing to draw")
    return black


def _read_picture(file: Path) -> tuple[np.ndarray, dict[str, str]]:
    """(H, W, 4) uint8 and the text chunks."""
    from PIL import Image

    from data_prep.sources.packs import Unusable, decode

    try:
        rgba, _ = decode(file.read_bytes())
        with Image.open(file) as image:
            return rgba, {key: str(value) for key, value in image.info.items() if isinstance(value, str)}
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}") from error
    except Unusable as error:
        raise InputError(f"{file}: {error}") from error
