"""Pictures of sprites: indexed PNGs that say how they were made, JSON grids, GIFs, and PNGs and masks back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data_prep.errors import InputError
from data_prep.grid_text import FREE, encode
from data_prep.palette import ALPHA_THRESHOLD, PALETTE_FOLDER, Palette, named
from data_prep.sources.packs import MAX_PIXELS, decode, opened_image
from data_prep.sprite import MAX_SIDE, MIN_SIDE, Sprite

MAX_FILE_BYTES = 64 * 2**20


def write_png(file, sprite: Sprite, scale: int, how: dict) -> None:
    """An indexed PNG, entry 0 transparent, with caption, palette hash and `how` in its text chunks. file: path or binary file."""
    told = {"caption": sprite.caption, **how, "scale": scale, "generator": sprite.source}
    write_indexed(file, sprite.grid, sprite.palette, scale, {**told, "palette_hash": sprite.palette.hash})


def write_indexed(file, grid: np.ndarray, palette: Palette, scale: int, told: dict) -> None:
    """(H, W) entries of any size as an indexed PNG with text chunks. A NUL, which ends a chunk's text, becomes U+FFFD."""
    from PIL.PngImagePlugin import PngInfo

    said = PngInfo()
    for key, value in told.items():
        said.add_itxt(key, str(value).replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode())
    _image(grid, palette, scale).save(file, "PNG", transparency=0, pnginfo=said)


def write_grid(file: Path, sprite: Sprite) -> None:
    """`grid_line` as a file. Raises InputError like it."""
    file.write_text(grid_line(sprite), "utf-8")


def grid_line(sprite: Sprite) -> str:
    """The completion text of a sprite and an end of line; colours of a palette that does not ship with the project are spelt out.

    Raises InputError for a palette of one colour, which cannot be.
    """
    return encode(sprite.grid, _writable(sprite.palette)) + "\n"


def _writable(palette: Palette) -> Palette:
    if (PALETTE_FOLDER / f"{palette.name}.json").is_file() and palette == named(palette.name):
        return palette
    if len(palette.colours) < 2:
        raise InputError("a JSON grid spells out 2 to 63 colours; the palette has one, write a .png")
    return Palette(FREE, palette.colours)


def write_gif(file: Path, grids: Sequence[np.ndarray], palette: Palette, scale: int, milliseconds: int) -> None:
    """(H, W) grids of one size as frames that go round without end, in exactly the palette's colours, entry 0 transparent.

    Empty frames are left out: behind another one pillow writes a second file header for them, and the rest is lost.
    """
    shown = [grid for grid in grids if grid.any()] or list(grids[:1])
    first, *others = [_image(grid, palette, scale) for grid in shown]
    timing = {"duration": milliseconds, "loop": 0, "disposal": 2, "transparency": 0}
    first.save(file, "GIF", save_all=True, append_images=others, optimize=False, **timing)


def _image(grid: np.ndarray, palette: Palette, scale: int):
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(grid.repeat(scale, 0).repeat(scale, 1)), "P")
    image.putpalette(palette.rgba[:, :3].tobytes())
    return image


def read_png(file: Path, palette: Palette) -> Sprite:
    """A picture whose colours all occur in a palette, with the caption of its text chunks; enlarging is undone.

    Less than half opaque counts as transparent. Raises InputError for another picture.
    """
    picture = read_drawn(file)
    rgba = picture.rgba
    entry_of = {colour: entry for entry, colour in reversed(list(enumerate(palette.colours, 1)))}
    grid = np.zeros(rgba.shape[:2], np.uint8)
    for place in np.argwhere(rgba[..., 3] >= ALPHA_THRESHOLD):
        colour = rgba[*place, :3].tobytes().hex()
        if colour not in entry_of:
            y, x = place
            raise InputError(f"{file}: colour {colour} at row {y}, column {x} is not in palette {palette.name!r}")
        grid[*place] = entry_of[colour]
    return Sprite(grid, palette, picture.said.get("caption", ""))


def read_mask(file: Path, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) bool, True where a mask is black: keep. White is False: draw anew. Raises InputError for anything else."""
    rgba = read_picture(file).rgba
    if rgba.shape[:2] != shape:
        raise InputError(f"{file}: {rgba.shape[0]}x{rgba.shape[1]} pixels; the sprite has {shape[0]}x{shape[1]}, like its mask")
    black, white = (rgba[..., :3] == 0).all(-1), (rgba[..., :3] == 255).all(-1)
    if not (black | white).all() or (rgba[..., 3] < 255).any():
        raise InputError(f"{file}: a mask is black where pixels stand and white where they are drawn anew, and nothing else")
    if not white.any():
        raise InputError(f"{file}: no white pixel; there is nothing to draw")
    return black


@dataclass(frozen=True)
class Decoded:
    """A picture's first frame. rgba: (H, W, 4) uint8; said: its text chunks; table: the opaque colours of its own palette,
    each once, in RRGGBB, none for pictures that have no palette."""

    rgba: np.ndarray
    said: Mapping[str, str]
    table: tuple[str, ...] = ()


def read_picture(file: Path, most_pixels: int = MAX_PIXELS, shrunk_to: int | None = None) -> Decoded:
    """Any PNG, JPEG, GIF, WebP, BMP or TIFF of at most `most_pixels`. Raises InputError for anything else.

    shrunk_to: pixels a side that are enough of a JPEG, which is then decoded at a fraction of its size.
    """
    from PIL import Image

    data = read_bytes(file)
    too_large = f"{file}: a picture has at most {most_pixels >> 20} megapixels here; shrink it first"
    try:
        with opened_image(data) as image:
            if image.width * image.height > most_pixels:
                raise InputError(too_large)
            if shrunk_to is not None:
                image.draft("RGB", (shrunk_to, shrunk_to))
            return _decoded(image, data)
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(too_large) from error
    except Image.UnidentifiedImageError as error:
        raise InputError(f"{file}: not a picture; give a PNG, JPEG, GIF, WebP, BMP or TIFF") from error
    except Exception as error:  # decoders raise a dozen types on broken bytes, and ValueError for endless text chunks
        raise InputError(f"{file}: broken picture: {type(error).__name__}") from error


def _decoded(image, data: bytes) -> Decoded:
    deep = image.mode.startswith(("I", "F"))  # grey of 16 bits and more, which `decode` scales
    rgba = decode(data)[0] if deep else np.array(image.convert("RGBA"))
    said = {key: str(value) for key, value in image.info.items() if isinstance(value, str)}
    if image.mode != "P":
        return Decoded(rgba, said)
    image.apply_transparency()  # the tRNS chunk reaches the table only so
    table = np.array(image.getpalette("RGBA"), np.uint8).reshape(-1, 4)
    return Decoded(rgba, said, tuple(dict.fromkeys(entry[:3].tobytes().hex() for entry in table if entry[3] >= ALPHA_THRESHOLD)))


def read_drawn(file: Path) -> Decoded:
    """A picture of one sprite, in the sprite's own pixels. Raises InputError for one that has not a sprite's size."""
    picture = read_picture(file)
    rgba = own_pixels(picture)
    height, width = rgba.shape[:2]
    if max(height, width) > MAX_SIDE or min(height, width) < MIN_SIDE:
        raise InputError(
            f"{file}: {height}x{width} pixels; a sprite has {MIN_SIDE} to {MAX_SIDE} a side, so cut it up or shrink it"
        )
    return replace(picture, rgba=rgba)


def own_pixels(picture: Decoded) -> np.ndarray:
    """(h, w, 4): the scale that the text chunks say is undone; where they say none, what makes it larger than any sprite."""
    rgba, told = picture.rgba, picture.said.get("scale", "")
    scale = int(told) if told.isdecimal() and len(told) < 3 else 0
    if scale and not (rgba.shape[0] % scale or rgba.shape[1] % scale):
        rgba = unscaled(rgba, scale)
    return rgba if max(rgba.shape[:2]) <= MAX_SIDE else unscaled(rgba, enlarged_by(rgba))


def enlarged_by(rgba: np.ndarray) -> int:
    """The largest factor by which a picture (H, W, 4) may have been enlarged: nothing is lost when it is undone."""
    rows = np.flatnonzero((rgba[1:] != rgba[:-1]).any((1, 2))) + 1
    columns = np.flatnonzero((rgba[:, 1:] != rgba[:, :-1]).any((0, 2))) + 1
    return int(np.gcd.reduce([*rgba.shape[:2], *rows, *columns]))


def unscaled(rgba: np.ndarray, scale: int) -> np.ndarray:
    """(H, W, 4) → one pixel of each square of `scale` pixels a side, its middle one."""
    return rgba[scale // 2 :: scale, scale // 2 :: scale]


def read_bytes(file: Path) -> bytes:
    """A file of at most 64 MiB; raises InputError for another."""
    try:
        with file.open("rb") as source:
            data = source.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"{file}: more than {MAX_FILE_BYTES >> 20} MiB; no picture is read from such a file")
    return data
