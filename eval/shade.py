"""`pixelreef shade INPUT…`: lights finished drawings. Reads PNGs and JSON grids, writes indexed PNGs and, on demand, a GIF.

A PNG keeps its palette where it has one of at most 63 colours, unused ones included, since shades are picked from it;
other PNGs get exactly their own colours. A .json or .txt file holds one completion, as the models write it.
"""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from data_prep.errors import InputError
from data_prep.grid_text import FREE, GridError, read
from data_prep.palette import ALPHA_THRESHOLD, MAX_COLOURS, PALETTE_FOLDER, Palette, corpus_palette, load, named, quantise
from data_prep.sprite import Sprite
from eval.pictures import read_bytes, read_drawn, write_gif, write_png
from eval.postprocess.shader import Light, shade

GRID_SUFFIXES = (".json", ".txt")
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
        _write(target, partial(write_png, sprite=lit, scale=options.scale, how=how))
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
    sprite = _from_png(path, palette) if suffix == ".png" else _from_text(path, palette)
    if palette is not None and sprite.palette != palette:
        return Sprite(quantise(sprite.rgba(), palette), palette)
    return sprite


def _from_text(path: Path, palette: Palette | None) -> Sprite:
    text = read_bytes(path).decode("utf-8", "replace").rstrip("\r\n")
    drawing = read(text, {palette.name: palette} if palette else None)
    if isinstance(drawing, GridError):
        raise InputError(f"{path}: {drawing}")
    return drawing


def _from_png(path: Path, palette: Palette | None) -> Sprite:
    picture = read_drawn(path)
    rgba, table = picture.rgba, picture.table
    seen = Counter(pixel.tobytes().hex() for pixel in rgba[rgba[..., 3] >= ALPHA_THRESHOLD][:, :3])
    if not seen:
        raise InputError(f"{path}: no opaque pixel; there is nothing to shade")
    if palette is None and len(table) <= MAX_COLOURS and set(seen) <= set(table):
        palette = _known(table)
    elif palette is None:
        if len(seen) > MAX_COLOURS:
            raise InputError(
                f"{path}: {len(seen)} colours; at most {MAX_COLOURS} are kept as they are, so give --palette reef64 or a file"
            )
        palette = corpus_palette(seen, FREE)
    return Sprite(quantise(rgba, palette), palette)


def _known(colours: tuple[str, ...]) -> Palette:
    """The palette with these colours that ships with the project, for its ramps, else a free one."""
    shipped = (named(path.stem) for path in sorted(PALETTE_FOLDER.glob("*.json")))
    return next((palette for palette in shipped if palette.colours == colours), Palette(FREE, colours))


def write_sweep(file: Path, sprite: Sprite, light: Light, frames: int, scale: int) -> None:
    """A GIF without end of the light going round clockwise from where it stands; transparent where the sprite is."""
    turns = [replace(light, azimuth=(light.azimuth - 360 * frame / frames) % 360) for frame in range(frames)]
    grids = [shade(sprite.grid, sprite.palette, turn) for turn in turns]
    write_gif(file, grids, sprite.palette, scale, round(1000 * TURN_SECONDS / frames))


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
