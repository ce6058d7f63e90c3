"""`pixelreef shade INPUT…`: lights finished drawings. Reads PNGs and JSON grids, writes indexed PNGs and, on demand, a GIF.

A PNG keeps its palette where it has one of at most 63 colours, unused ones included, since shades are picked from it;
other PNGs get exactly their own colours. A .json or .txt file holds one completion, as the models write it.
"""

import io
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from data_prep.errors import InputError
from data_prep.grid_text import FREE, GridError, read
from data_prep.palette import MAX_COLOURS, PALETTE_FOLDER, Palette, corpus_palette, load, named, quantise
from data_prep.sources.packs import MAX_BYTES, Unusable, decode
from data_prep.sprite import MAX_SIDE, Sprite
from eval.draw import write_png
from eval.postprocess.shader import Light, shade

GRID_SUFFIXES = (".json", ".txt")
OPAQUE = 128  # alpha from which a pixel counts
MAX_FRAMES = 120
TURN_SECONDS = 3.0  # one round of the light


def shade_files(options) -> None:
    """Lights `options.inputs`, writes the results and prints each file's name. Nothing is written if one input is bad.

    Raises InputError.
    """
    light = light_from(options.light, options.strength, options.rim)
    targets = output_files(options.inputs, options.out, options.sweep)
    frames = sweep_frames(options.sweep, options.inputs)
    if not 1 <= options.scale <= 64:
        raise InputError(f"--scale {options.scale}: it takes 1 to 64")
    palette = load(options.palette) if options.palette else None
    sprites = [read_drawing(path, palette) for path in options.inputs]
    for path, target, sprite in zip(options.inputs, targets, sprites, strict=False):
        lit = replace(sprite, grid=shade(sprite.grid, sprite.palette, light))
        how = {"light": json.dumps(asdict(light)), "source": path.name}
        _write(target, lambda file, lit=lit, how=how: write_png(file, lit, options.scale, how))
    if options.sweep:
        _write(Path(options.sweep[1]), lambda file: write_sweep(file, sprites[0], light, frames, options.scale))


def light_from(angles: str, strength: float, rim: bool) -> Light:
    """'AZIMUTH,ELEVATION' in degrees → the light; `rim` sets both rim light and glow."""
    try:
        azimuth, elevation = (float(part) for part in angles.split(","))
    except ValueError as error:
        raise InputError(f"--light {angles!r}: write two numbers, azimuth and elevation in degrees, like 135,40") from error
    return Light(azimuth, elevation, strength, rim=float(rim), glow=float(rim))


def output_files(inputs: Sequence[Path], out: Path | None, sweep: Sequence[str] | None) -> list[Path]:
    """Where each input's PNG goes: `out` itself, or files of the inputs' names in the folder `out`; none for a sweep alone."""
    if out is None:
        if not sweep:
            raise InputError("nowhere to write to; give --out FILE.png, --out FOLDER or --sweep N FILE.gif")
        return []
    if out.suffix.lower() == ".png" and not out.is_dir():
        if len(inputs) > 1:
            raise InputError(f"--out {out}: one file for {len(inputs)} inputs; give a folder")
        files = [out]
    else:
        files = [out / f"{path.stem}.png" for path in inputs]
    twice = [str(file) for file, count in Counter(files).items() if count > 1]
    if twice:
        raise InputError(f"--out {out}: several inputs would be written to {twice[0]}; rename one or shade them apart")
    kept = {path.resolve() for path in inputs} & {file.resolve() for file in files}
    if kept:
        raise InputError(f"--out {out}: would write over the input {kept.pop().name}; choose another file or folder")
    return files


def sweep_frames(sweep: Sequence[str] | None, inputs: Sequence[Path]) -> int:
    """How many frames `--sweep N FILE.gif` asks for; 0 without it."""
    if not sweep:
        return 0
    number, file = sweep
    if not number.isdecimal() or not 2 <= int(number) <= MAX_FRAMES or Path(file).suffix.lower() != ".gif":
        raise InputError(f"--sweep {number} {file}: it takes 2 to {MAX_FRAMES} frames and a file that ends in .gif")
    if len(inputs) > 1:
        raise InputError(f"--sweep: one input at a time; there are {len(inputs)}")
    return int(number)


def read_drawing(path: Path, palette: Palette | None = None) -> Sprite:
    """A PNG or a file with one completion → the sprite, in `palette` if one is given. Raises InputError that names the file."""
    suffix = path.suffix.lower()
    if suffix != ".png" and suffix not in GRID_SUFFIXES:
        raise InputError(f"{path}: neither a .png nor a grid in a .json or .txt file")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        sprite = _from_png(data, palette) if suffix == ".png" else _from_text(data, palette)
    except (InputError, Unusable) as error:
        raise InputError(f"{path}: {error}") from error
    if palette is not None and sprite.palette != palette:
        return Sprite(quantise(sprite.rgba(), palette), palette)
    return sprite


def _from_text(data: bytes, palette: Palette | None) -> Sprite:
    drawing = read(data.decode("utf-8", "replace").rstrip("\r\n"), {palette.name: palette} if palette else None)
    if isinstance(drawing, GridError):
        raise InputError(str(drawing))
    return drawing


def _from_png(data: bytes, palette: Palette | None) -> Sprite:
    if len(data) > MAX_BYTES:
        raise InputError(f"more than {MAX_BYTES >> 20} MiB; a drawing has at most {MAX_SIDE}x{MAX_SIDE} pixels")
    rgba = unscaled(decode(data)[0])
    seen = Counter(pixel.tobytes().hex() for pixel in rgba[rgba[..., 3] >= OPAQUE][:, :3])
    if not seen:
        raise InputError("no opaque pixel; there is nothing to shade")
    stored = _stored_colours(data)
    if palette is None and len(stored) <= MAX_COLOURS and set(seen) <= set(stored):
        palette = _known(tuple(stored))
    elif palette is None:
        if len(seen) > MAX_COLOURS:
            raise InputError(
                f"{len(seen)} colours; at most {MAX_COLOURS} are kept as they are, so give --palette reef64 or a file"
            )
        palette = corpus_palette(seen, FREE)
    return Sprite(quantise(rgba, palette, OPAQUE), palette)


def _known(colours: tuple[str, ...]) -> Palette:
    """The palette with these colours that ships with the project, for its ramps, else a free one."""
    shipped = (named(path.stem) for path in sorted(PALETTE_FOLDER.glob("*.json")))
    return next((palette for palette in shipped if palette.colours == colours), Palette(FREE, colours))


def _stored_colours(data: bytes) -> list[str]:
    """The opaque colours of an indexed picture's own table, in order, each once; none for other pictures."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        if image.mode != "P":
            return []
        image.load()
        image.apply_transparency()  # the tRNS chunk reaches the table only so
        table = np.array(image.getpalette("RGBA"), np.uint8).reshape(-1, 4)
    return list(dict.fromkeys(entry[:3].tobytes().hex() for entry in table if entry[3] >= OPAQUE))


def unscaled(rgba: np.ndarray) -> np.ndarray:
    """(H, W, 4) that is too large for a sprite → the sprite that it was enlarged from. Raises InputError if there was none."""
    height, width = rgba.shape[:2]
    if max(height, width) <= MAX_SIDE:
        return rgba
    for factor in range(min(height, width), 1, -1):
        if height % factor == 0 and width % factor == 0:
            small = rgba[::factor, ::factor]
            if np.array_equal(small.repeat(factor, 0).repeat(factor, 1), rgba):
                if max(small.shape[:2]) <= MAX_SIDE:
                    return small
                break
    raise InputError(f"{height}x{width} pixels; a drawing has at most {MAX_SIDE} a side, so cut it up or shrink it first")


def write_sweep(file: Path, sprite: Sprite, light: Light, frames: int, scale: int) -> None:
    """A GIF without end of the light going round clockwise from where it stands; transparent where the sprite is."""
    from PIL import Image

    turns = [replace(light, azimuth=(light.azimuth - 360 * frame / frames) % 360) for frame in range(frames)]
    pictures = []
    for turn in turns:
        grid = shade(sprite.grid, sprite.palette, turn)
        picture = Image.fromarray(grid.repeat(scale, 0).repeat(scale, 1), "P")
        picture.putpalette(sprite.palette.rgba[:, :3].tobytes())
        pictures.append(picture)
    timing = {"duration": round(1000 * TURN_SECONDS / frames), "loop": 0, "disposal": 2, "transparency": 0}
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:], optimize=False, **timing)


def _write(target: Path, write: Callable[[Path], None]) -> None:
    """Writes beside the target and swaps, so that no half file ever has its name."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".shade-") as folder:
            draft = Path(folder) / target.name
            write(draft)
            os.replace(draft, target)
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror or error}") from error
    print(target, flush=True)
