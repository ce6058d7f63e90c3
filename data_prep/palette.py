"""Palettes: named, of a corpus or free; colour distance in OKLab; RGBA pictures → index grids.

Index 0 is transparent in every palette; the colours are entries 1…63. OKLab: B. Ottosson, 'A perceptual color
space for image processing' (2020).
"""

import hashlib
import io
import json
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path

import numpy as np

from data_prep.bounded import first_line, read_bounded, read_json
from data_prep.errors import InputError

TRANSPARENT = 0
MAX_COLOURS = 63
ALPHA_THRESHOLD = 128  # a pixel below it is transparent
MAX_BYTES = 2**20  # of a palette's text
MAX_PICTURE_BYTES, MAX_PIXELS = 16 * 2**20, 2**24  # of an indexed PNG
PALETTE_FOLDER = Path(__file__).parent / "palettes"
_HEX = re.compile(r"[0-9a-f]{6}")
_GPL_ROW = re.compile(r"(\d+)\s+(\d+)\s+(\d+)(?:\s+(.*))?")
_BLOCK = 16384  # pixels that are looked up at once
_CHUNK = 1024  # colours a block of distances: (1024, 63) float32 stays in the cache
_RGB_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LMS_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


@dataclass(frozen=True)
class Palette:
    """Up to 63 colours and, before them, the transparent entry.

    name: what prompts and completions call it, or 'free' when the colours are spelt out.
    colours: RRGGBB in lower case, entries 1…; ramps: name → entry numbers of one hue, dark to light.
    Raises InputError for an empty, overlong or misspelt palette.
    """

    name: str
    colours: tuple[str, ...]
    ramps: Mapping[str, tuple[int, ...]] = field(default_factory=dict, compare=False)

    def __post_init__(self):
        if not isinstance(self.name, str) or not self.name:
            raise InputError(f"palette {self.name!r}: its name must be a word")
        if not 1 <= len(self.colours) <= MAX_COLOURS:
            raise InputError(f"palette {self.name!r}: {len(self.colours)} colours; it takes 1 to {MAX_COLOURS}")
        for colour in self.colours:
            if not _HEX.fullmatch(colour):
                raise InputError(f"palette {self.name!r}: {colour!r} is not a colour; write six hex digits like 87ceeb")
        object.__setattr__(self, "ramps", {name: tuple(ramp) for name, ramp in self.ramps.items()})
        for name, ramp in self.ramps.items():
            if not all(isinstance(entry, int) and 1 <= entry < len(self) for entry in ramp):
                raise InputError(f"palette {self.name!r}: ramp {name!r} names an entry outside 1 to {len(self.colours)}")

    def __len__(self) -> int:
        """Number of entries, the transparent one included."""
        return len(self.colours) + 1

    @cached_property
    def rgba(self) -> np.ndarray:
        """(entries, 4) uint8; entry 0 is fully transparent."""
        rgb = np.frombuffer(bytes.fromhex("".join(self.colours)), np.uint8).reshape(-1, 3)
        table = np.zeros((len(self), 4), np.uint8)
        table[1:, :3], table[1:, 3] = rgb, 255
        table.flags.writeable = False  # cached and shared
        return table

    @cached_property
    def oklab(self) -> np.ndarray:
        """(colours, 3) float32: entries 1… in OKLab."""
        lab = oklab(self.rgba[1:, :3])
        lab.flags.writeable = False
        return lab

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the colours in order: the palette's content, whatever its name."""
        return hashlib.sha256(",".join(self.colours).encode()).hexdigest()

    def to_json(self) -> dict:
        """Plain lists and words: name, hash, colours, ramps."""
        ramps = {name: list(ramp) for name, ramp in self.ramps.items()}
        return {"name": self.name, "hash": self.hash, "colours": list(self.colours), "ramps": ramps}

    @classmethod
    def from_json(cls, data: dict) -> "Palette":
        """Inverse of `to_json`; raises InputError when a key is missing or the hash does not fit the colours."""
        try:
            palette = cls(data["name"], tuple(data["colours"]), data.get("ramps", {}))
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"palette: {error!r}; expected an object with name and colours") from error
        if data.get("hash", palette.hash) != palette.hash:
            raise InputError(f"palette {palette.name!r}: its hash does not fit its colours; it was edited, remove the hash")
        return palette


def oklab(rgb: np.ndarray) -> np.ndarray:
    """(…, 3) uint8 sRGB → (…, 3) float32 OKLab, L in 0…1."""
    c = np.asarray(rgb, np.float64) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return _mix(_LMS_TO_LAB, np.cbrt(_mix(_RGB_TO_LMS, linear))).astype(np.float32)


def _mix(matrix: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """(3, 3) times each of (…, 3). Not `@`: BLAS rounds by the size of the batch, and a pixel must not depend on its batch."""
    mixed = matrix[:, 0] * vectors[..., 0, None]
    for k in (1, 2):
        mixed += matrix[:, k] * vectors[..., k, None]
    return mixed


def oklab_to_rgb(lab: np.ndarray) -> np.ndarray:
    """(…, 3) OKLab → (…, 3) uint8 sRGB; colours out of gamut are clipped channel by channel."""
    linear = np.clip(oklab_to_linear(lab), 0, 1)
    srgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(srgb * 255).astype(np.uint8)


def oklab_to_linear(lab: np.ndarray) -> np.ndarray:
    """(…, 3) OKLab → (…, 3) float64 linear-light sRGB, not clipped: a channel outside 0…1 means out of gamut."""
    lms = _mix(np.linalg.inv(_LMS_TO_LAB), np.asarray(lab, np.float64)) ** 3
    return _mix(np.linalg.inv(_RGB_TO_LMS), lms)


def quantise(rgba: np.ndarray, palette: Palette, alpha_threshold: int = ALPHA_THRESHOLD) -> np.ndarray:
    """(…, H, W, 4) uint8 pictures → (…, H, W) uint8 index grids: nearest entry in OKLab, below the threshold transparent.

    Of equally near entries the first wins. Each colour's distances are taken once in a process: half a million sprites of
    32×32 a second on a core once their colours are known, some 2,000 where every pixel is a colour never seen.
    """
    nearest = _nearest_of(palette.colours)
    pixels = np.ascontiguousarray(rgba, np.uint8).view("<u4").reshape(-1)  # 0xAABBGGRR, whatever the machine
    grid = np.empty(len(pixels), np.uint8)
    for start in range(0, len(pixels), _BLOCK):
        block = pixels[start : start + _BLOCK]
        colours = (block & 0xFFFFFF).astype(np.intp)
        found = nearest.take(colours, mode="wrap")  # no colour is out of range: this mode alone does not check
        if not found.all():
            _learn(nearest, np.unique(colours[found == 0]), palette)
            found = nearest.take(colours)
        np.multiply(found, block >= alpha_threshold << 24, out=grid[start : start + _BLOCK])
    return grid.reshape(np.shape(rgba)[:-1])


@lru_cache(4)
def _nearest_of(colours: tuple[str, ...]) -> np.ndarray:
    """(2^24,) uint8: 0xBBGGRR → entry of the palette of these colours, 0 where nobody asked yet. 16 MB at most, less in use."""
    return np.zeros(2**24, np.uint8)


def _learn(nearest: np.ndarray, colours: np.ndarray, palette: Palette) -> None:
    """Fills in (n,) colours 0xBBGGRR; two threads that do so at once write the same."""
    rgb = np.stack([colours & 255, colours >> 8 & 255, colours >> 16], axis=-1).astype(np.uint8)
    nearest[colours] = _nearest(oklab(rgb), palette.oklab)


def _nearest(lab: np.ndarray, entries: np.ndarray) -> np.ndarray:
    """(n, 3) and (colours, 3) OKLab → (n,) uint8 palette index 1…"""
    nearest = np.empty(len(lab), np.uint8)
    for start in range(0, len(lab), _CHUNK):
        block = lab[start : start + _CHUNK, None]
        x, y, z = ((block[..., k] - entries[:, k]) ** 2 for k in range(3))  # (chunk, colours)
        nearest[start : start + _CHUNK] = (x + y + z).argmin(1) + 1
    return nearest


@cache
def named(name: str) -> Palette:
    """A palette that ships with the project; raises InputError with the names that exist."""
    known = sorted(path.stem for path in PALETTE_FOLDER.glob("*.json"))
    if name not in known:
        raise InputError(f"palette {name!r}: unknown; there are {', '.join(known)}, or give a .gpl, .hex or indexed .png file")
    return Palette.from_json(json.loads((PALETTE_FOLDER / f"{name}.json").read_text("utf-8")))


def load(source: str | Path, dropped: Callable[[str], None] = lambda what: None) -> Palette:
    """A palette by name, or from a .gpl, .hex, .json or indexed .png file, which then gives the name.

    Order is kept; transparent entries are dropped, and colours that an indexed .png does not use. Duplicates are too, and told
    to `dropped`. A .json file (`to_json`) is taken as it is. Raises InputError that names the file.
    """
    path = Path(source)
    readers = {".gpl": _read_gpl, ".hex": _read_hex, ".png": _read_png, ".json": _read_json}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        return named(str(source))
    try:
        return reader(path, lambda what: dropped(f"{path}: {what}"))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # pillow raises a dozen types for broken pictures
        raise InputError(f"{path}: cannot be read as a palette: {first_line(error)}") from error


def _from_file(path: Path, colours: list[str], dropped: Callable[[str], None]) -> Palette:
    name = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "palette"
    palette = Palette(name, tuple(dict.fromkeys(colours)))
    twice = [colour for colour, count in Counter(colours).items() if count > 1]
    if twice:
        dropped(f"colours that stand there several times are taken once: {', '.join(twice)}")
    if (PALETTE_FOLDER / f"{name}.json").exists() and palette != named(name):
        raise InputError(f"the name {name!r} belongs to a palette that ships with other colours; rename the file")
    return palette


def _read_json(path: Path, dropped: Callable[[str], None]) -> Palette:
    return Palette.from_json(read_json(path, MAX_BYTES))


def _read_hex(path: Path, dropped: Callable[[str], None]) -> Palette:
    lines = read_bounded(path, MAX_BYTES).decode("utf-8-sig").split()
    return _from_file(path, [line.removeprefix("#").lower() for line in lines], dropped)


def _read_gpl(path: Path, dropped: Callable[[str], None]) -> Palette:
    """GIMP's text palette; Aseprite writes a fourth column, alpha, and says so in a 'Channels: RGBA' line."""
    lines = [line.strip() for line in read_bounded(path, MAX_BYTES).decode("utf-8-sig", "replace").splitlines()]
    if not lines or lines[0] != "GIMP Palette":
        raise InputError("not a GIMP palette; its first line must be 'GIMP Palette'")
    has_alpha, colours = False, []
    for number, line in enumerate(lines[1:], 2):
        if re.match(r"Channels:\s*RGBA$", line):
            has_alpha = True
        elif line and not re.match(r"#|Name:|Columns:|Channels:", line):
            colours += _gpl_colour(line, number, has_alpha)
    return _from_file(path, colours, dropped)


def _gpl_colour(line: str, number: int, has_alpha: bool) -> list[str]:
    row = _GPL_ROW.fullmatch(line)
    if row is None or max(values := [int(text) for text in row.groups()[:3]]) > 255:
        raise InputError(f"line {number}: {line[:40]!r} is not a colour; write three numbers of 0 to 255 and a name")
    alpha = (row[4] or "").split()[:1] if has_alpha else []
    return [] if alpha == ["0"] else [bytes(values).hex()]


def _read_png(path: Path, dropped: Callable[[str], None]) -> Palette:
    from PIL import Image

    data = io.BytesIO(read_bounded(path, MAX_PICTURE_BYTES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a bomb's warning: its size is judged here
        image = Image.open(data, formats=("PNG",))
    with image:
        if image.mode != "P":
            raise InputError(f"not an indexed PNG (mode {image.mode}); save it with a palette")
        if image.width * image.height > MAX_PIXELS:
            raise InputError(
                f"{image.width}x{image.height} pixels; a palette's picture has at most {MAX_PIXELS >> 20} megapixels"
            )
        used = [index for index, count in enumerate(image.histogram()) if count]
        image.apply_transparency()  # the tRNS chunk reaches the table only so
        table = image.getpalette("RGBA") or []
    entries = [table[4 * i : 4 * i + 4] for i in used if 4 * i < len(table)]
    return _from_file(path, [bytes(entry[:3]).hex() for entry in entries if entry[3] > 0], dropped)


def corpus_palette(colour_counts: dict[str, int], name: str, seed: int = 0) -> Palette:
    """The palette of a user's own sprites: their very colours where they have at most 63, else OKLab k-means.

    colour_counts: RRGGBB → number of opaque pixels. Sorted dark to light, so equal corpora give equal palettes.
    """
    if not colour_counts:
        raise InputError(f"palette {name!r}: no opaque pixel in any sprite")
    colours = sorted(colour_counts)
    rgb = np.array([list(bytes.fromhex(colour)) for colour in colours], np.uint8)
    if len(colours) > MAX_COLOURS:
        from sklearn.cluster import KMeans
        from threadpoolctl import threadpool_limits

        weights = np.array([colour_counts[colour] for colour in colours], np.float64) ** 0.5  # rare colours matter too
        with threadpool_limits(1):  # more threads add up in any order
            fit = KMeans(MAX_COLOURS, n_init=1, random_state=seed).fit(oklab(rgb).astype(np.float64), sample_weight=weights)
        rgb = np.unique(oklab_to_rgb(fit.cluster_centers_), axis=0)
    rgb = rgb[np.lexsort((*rgb.T, oklab(rgb)[:, 0]))]
    return Palette(name, tuple(row.tobytes().hex() for row in rgb))
