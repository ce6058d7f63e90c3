"""Palettes: named, of a corpus or free; colour distance in OKLab; RGBA pictures → index grids.

Index 0 is transparent in every palette; the colours are entries 1…63. OKLab: B. Ottosson, 'A perceptual color
space for image processing' (2020).
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from data_prep.errors import InputError

TRANSPARENT = 0
MAX_COLOURS = 63
PALETTE_FOLDER = Path(__file__).parent / "palettes"
_HEX = re.compile(r"[0-9a-f]{6}")
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
    colours: RRGGBB in lower case, entries 1…; ramps: tuples of entry numbers of one hue, dark to light.
    Raises InputError for an empty, overlong or misspelt palette.
    """

    name: str
    colours: tuple[str, ...]
    ramps: tuple[tuple[int, ...], ...] = field(default=(), compare=False)

    def __post_init__(self):
        if not 1 <= len(self.colours) <= MAX_COLOURS:
            raise InputError(f"palette {self.name!r}: {len(self.colours)} colours; it takes 1 to {MAX_COLOURS}")
        for colour in self.colours:
            if not _HEX.fullmatch(colour):
                raise InputError(f"palette {self.name!r}: {colour!r} is not a colour; write six hex digits like 87ceeb")

    def __len__(self) -> int:
        """Number of entries, the transparent one included."""
        return len(self.colours) + 1

    @cached_property
    def rgba(self) -> np.ndarray:
        """(entries, 4) uint8; entry 0 is fully transparent."""
        rgb = np.frombuffer(bytes.fromhex("".join(self.colours)), np.uint8).reshape(-1, 3)
        table = np.zeros((len(self), 4), np.uint8)
        table[1:, :3], table[1:, 3] = rgb, 255
        return table

    @cached_property
    def oklab(self) -> np.ndarray:
        """(colours, 3) float32: entries 1… in OKLab."""
        return oklab(self.rgba[1:, :3])

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the colours in order: the palette's content, whatever its name."""
        return hashlib.sha256(",".join(self.colours).encode()).hexdigest()

    def to_json(self) -> dict:
        return {"name": self.name, "hash": self.hash, "colours": list(self.colours), "ramps": [list(r) for r in self.ramps]}

    @classmethod
    def from_json(cls, data: dict) -> "Palette":
        """Inverse of `to_json`; raises InputError when a key is missing or the hash does not fit the colours."""
        try:
            palette = cls(data["name"], tuple(data["colours"]), tuple(tuple(r) for r in data.get("ramps", ())))
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"palette: {error!r}; expected an object with name and colours") from error
        if data.get("hash", palette.hash) != palette.hash:
            raise InputError(f"palette {palette.name!r}: its hash does not fit its colours; it was edited, remove the hash")
        return palette


def oklab(rgb: np.ndarray) -> np.ndarray:
    """(…, 3) uint8 sRGB → (…, 3) float32 OKLab, L in 0…1."""
    c = np.asarray(rgb, np.float64) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return (np.cbrt(linear @ _RGB_TO_LMS.T) @ _LMS_TO_LAB.T).astype(np.float32)


def oklab_to_rgb(lab: np.ndarray) -> np.ndarray:
    """(…, 3) OKLab → (…, 3) uint8 sRGB; colours out of gamut are clipped channel by channel."""
    lms = (np.asarray(lab, np.float64) @ np.linalg.inv(_LMS_TO_LAB).T) ** 3
    linear = np.clip(lms @ np.linalg.inv(_RGB_TO_LMS).T, 0, 1)
    srgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(srgb * 255).astype(np.uint8)


def quantise(rgba: np.ndarray, palette: Palette, alpha_threshold: int = 128) -> np.ndarray:
    """(H, W, 4) uint8 picture → (H, W) uint8 index grid: nearest entry in OKLab, below the threshold transparent.

    Distances are taken once for each distinct colour of the picture.
    """
    packed = np.ascontiguousarray(rgba[..., :3]).astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    colours, where = np.unique(packed, return_inverse=True)
    rgb = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=-1).astype(np.uint8)
    distance = ((oklab(rgb)[:, None] - palette.oklab[None]) ** 2).sum(-1)  # (distinct, colours)
    nearest = (distance.argmin(1) + 1).astype(np.uint8)
    grid = nearest[where.reshape(packed.shape)]
    return np.where(rgba[..., 3] >= alpha_threshold, grid, TRANSPARENT).astype(np.uint8)


@cache
def named(name: str) -> Palette:
    """A palette that ships with the project; raises InputError with the names that exist."""
    known = sorted(path.stem for path in PALETTE_FOLDER.glob("*.json"))
    if name not in known:
        raise InputError(f"palette {name!r}: unknown; there are {', '.join(known)}, or give a .gpl, .hex or indexed .png file")
    return Palette.from_json(json.loads((PALETTE_FOLDER / f"{name}.json").read_text()))


def load(source: str | Path) -> Palette:
    """A palette by name, or from a .gpl, .hex, .json or indexed .png file; duplicates are dropped, order is kept."""
    path = Path(source)
    readers = {".gpl": _read_gpl, ".hex": _read_hex, ".png": _read_png}
    if path.suffix not in {*readers, ".json"}:
        return named(str(source))
    try:
        if path.suffix == ".json":
            return Palette.from_json(json.loads(path.read_text()))
        colours = readers[path.suffix](path)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a palette: {error}") from error
    return Palette(re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "palette", tuple(dict.fromkeys(colours)))


def _read_gpl(path: Path) -> list[str]:
    lines = path.read_text().splitlines()
    if not lines or lines[0].strip() != "GIMP Palette":
        raise InputError(f"{path}: not a GIMP palette; its first line must be 'GIMP Palette'")
    rows = [re.match(r"\s*(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})(\s|$)", line) for line in lines[1:]]
    triples = [tuple(map(int, row.groups()[:3])) for row in rows if row]
    if any(value > 255 for triple in triples for value in triple):
        raise InputError(f"{path}: a colour value is above 255")
    return ["%02x%02x%02x" % triple for triple in triples]


def _read_hex(path: Path) -> list[str]:
    return [line.strip().lstrip("#").lower() for line in path.read_text().splitlines() if line.strip()]


def _read_png(path: Path) -> list[str]:
    from PIL import Image

    with Image.open(path) as image:
        if image.mode != "P":
            raise InputError(f"{path}: not an indexed PNG (mode {image.mode}); save it with a palette")
        used = sorted({index for _, index in image.getcolors(256)})
        table = image.convert("P").getpalette("RGBA")
    entries = [table[4 * i : 4 * i + 4] for i in used]
    return ["%02x%02x%02x" % tuple(entry[:3]) for entry in entries if entry[3] > 0]


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

        weights = np.array([colour_counts[colour] for colour in colours], np.float64) ** 0.5  # rare colours matter too
        means = KMeans(MAX_COLOURS, n_init=1, random_state=seed).fit(oklab(rgb), sample_weight=weights).cluster_centers_
        rgb = np.unique(oklab_to_rgb(means), axis=0)
    rgb = rgb[np.lexsort((*rgb.T, oklab(rgb)[:, 0]))]
    return Palette(name, tuple("%02x%02x%02x" % tuple(map(int, row)) for row in rgb))
