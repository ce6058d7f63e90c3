"""Curation: which pictures become sprites, in which frame, under which words. Pure functions; nothing is read or written.

A `Picture` is what a source has before there is a palette. `clean` gives it back trimmed and centred in one of the sizes
asked for, or gives the reason, in words, why it is left out.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from data_prep.palette import ALPHA_THRESHOLD, oklab
from data_prep.printable import NOT_PRINTABLE

MIN_OPAQUE_SHARE = 0.04  # of the frame: less is a speck
MIN_COLOURS = 2  # one colour is a glyph or an icon's mask
LIGHT_STEP = 0.02  # of OKLab lightness: colours nearer than that are equally light to the eye
MAX_CAPTION = 200  # characters

# Pixel Art Bench's seven subjects, as words of which one row must be in a label: they stay out of training. Compounds that show
# the subject itself are listed; those that only have its name in theirs, as a sunflower, are not.
BENCH_SUBJECTS = (
    ("mario",), ("rainbow",), ("sun",), ("sunset",), ("sunrise",), ("sunshine",), ("sunray",), ("sunbeam",), ("sunburst",),
    ("saturn",), ("ringed", "planet"), ("planet", "ring"), ("maze",), ("labyrinth",), ("mona", "lisa"), ("monalisa",), ("hope",),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Picture:
    """One drawing before it has a palette.

    rgba: (H, W, 4) uint8; name: its place in the source, for reasons; label: a few words, often from a file name;
    caption: a whole caption, where the source has one; vector: no native pixels, so it may be resampled;
    split: where the source itself decides the split; placed: the frame is composed already and is kept.
    """

    rgba: np.ndarray
    name: str
    label: str = ""
    caption: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    licence: str = ""
    attribution: str = ""
    vector: bool = False
    split: str = ""
    placed: bool = False


def clean(picture: Picture, sizes: Sequence[int], hold_out_bench_subjects: bool = True) -> Picture | str:
    """The picture in the smallest of `sizes` (pixels a side) that holds it, with a caption; or the reason to drop it."""
    words = f"{picture.label} {picture.caption} {file_name(picture.name)}"
    subject = bench_subject(words) if hold_out_bench_subjects else ""
    if subject:
        return f"subject of Pixel Art Bench: {subject}"
    solid = threshold_alpha(picture.rgba)
    reason = flaw(solid)
    if reason:
        return reason
    rgba = solid if picture.placed else fit_to_sizes(picture.rgba, sizes, picture.vector)
    if isinstance(rgba, str):
        return rgba
    share = float((rgba[..., 3] > 0).mean())
    if share < MIN_OPAQUE_SHARE:
        return f"near-empty: less than {MIN_OPAQUE_SHARE:.0%} of the frame is opaque"
    return replace(picture, rgba=rgba, caption=tidy(picture.caption) or caption_from_label(picture.label))


def file_name(name: str) -> str:
    """A picture's name without its source's. It may say what label and caption do not: a frame 'walk' of 'mario.png'."""
    return name.partition("/")[2]


def flaw(rgba: np.ndarray) -> str:
    """Why a thresholded (H, W, 4) picture is no sprite, or '' when it is one."""
    opaque = rgba[..., 3] > 0
    if not opaque.any():
        return "empty: no opaque pixel"
    if opaque.all():
        return "opaque tile: no transparent pixel"
    if len(np.unique(rgba[opaque][:, :3], axis=0)) < MIN_COLOURS:
        return "1-bit glyph: a single colour"
    return ""


def threshold_alpha(rgba: np.ndarray) -> np.ndarray:
    """(H, W, 4) uint8 with every pixel either opaque or all zero: a half-transparent pixel has no place in a palette."""
    opaque = rgba[..., 3] >= ALPHA_THRESHOLD
    solid = np.where(opaque[..., None], rgba, 0).astype(np.uint8)
    solid[..., 3] = np.where(opaque, 255, 0)
    return solid


def trim(image: np.ndarray) -> np.ndarray:
    """The bounding box of what is not transparent; (H, W) index grids and masks or (H, W, 4) pictures, at least 1×1."""
    mask = image[..., 3] > 0 if image.ndim == 3 else image > 0
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return image[:1, :1]
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def fit_to_sizes(rgba: np.ndarray, sizes: Sequence[int], vector: bool = False) -> np.ndarray | str:
    """(size, size, 4): the trimmed picture in the middle of the smallest size that holds it, or a reason.

    Native pixels are never resampled; a vector drawing too large for all sizes is shrunk by area to the largest.
    """
    content = trim(threshold_alpha(rgba))
    size = min((size for size in sizes if size >= max(content.shape[:2])), default=max(sizes))
    if max(content.shape[:2]) > size:
        if not vector:
            return f"too large for {size}x{size}"
        content = trim(threshold_alpha(area_resample(trim(rgba), size)))
    return centred(content, size)


def centred(content: np.ndarray, size: int) -> np.ndarray:
    """(H, W, …), at most `size` a side → (size, size, …) with the content in the middle of zeros."""
    height, width = content.shape[:2]
    top, left = (size - height) // 2, (size - width) // 2
    frame = np.zeros((size, size, *content.shape[2:]), content.dtype)
    frame[top : top + height, left : left + width] = content
    return frame


def area_resample(rgba: np.ndarray, size: int) -> np.ndarray:
    """(H, W, 4) shrunk by pixel area so that the longer side is `size`; colours are weighted by their opacity."""
    from PIL import Image

    scale = size / max(rgba.shape[:2])
    shape = [max(1, round(side * scale)) for side in rgba.shape[1::-1]]  # width, height
    premultiplied = Image.fromarray(rgba, "RGBA").convert("RGBa").resize(shape, Image.Resampling.BOX)
    return np.asarray(premultiplied.convert("RGBA"))


# --- keys: what is the same drawing ---------------------------------------------------------------------------------


def flip_key(image: np.ndarray) -> str:
    """One hash for a trimmed (H, W) image of whole numbers and its three flips: place and direction do not matter."""
    image = trim(image)
    views = (image, image[::-1], image[:, ::-1], image[::-1, ::-1])
    smallest = min(view.tobytes() for view in views)
    return hashlib.sha256(bytes(image.shape) + smallest).hexdigest()[:32]


def silhouette_key(rgba: np.ndarray) -> str:
    """`flip_key` of what is opaque in (H, W, 4): the same for every recolour, whatever the palette."""
    return flip_key((rgba[..., 3] > 0).astype(np.uint8))


def pattern(rgba: np.ndarray) -> np.ndarray:
    """(H, W, 4) → (H, W) uint16: each opaque pixel's rank among the picture's lightnesses, 1 the darkest; 0 transparent.

    Free of any palette: a recolour has the same pattern where darker colours stayed darker. Colours whose OKLab lightness
    rounds to the same multiple of LIGHT_STEP share a rank, so that no hair's breadth decides.
    """
    opaque = rgba[..., 3] > 0
    colours, place = np.unique(np.ascontiguousarray(rgba[opaque]).view("<u4") & 0xFFFFFF, return_inverse=True)
    rgb = np.stack([colours & 255, colours >> 8 & 255, colours >> 16], axis=-1)
    _, ranks = np.unique(light_steps(rgb), return_inverse=True)
    found = np.zeros(opaque.shape, np.uint16)
    found[opaque] = ranks[place.ravel()] + 1
    return found


def light_steps(rgb: np.ndarray) -> np.ndarray:
    """(n, 3) sRGB → (n,) int: OKLab lightness in multiples of LIGHT_STEP."""
    return np.rint(oklab(rgb)[:, 0] / LIGHT_STEP).astype(int)


def pattern_key(rgba: np.ndarray) -> str:
    """`flip_key` of the pattern: the same for a drawing, its mirror images and its recolours that keep dark and light apart."""
    return flip_key(pattern(rgba))


def groups(keys: Iterable[tuple[str, ...]]) -> list[str]:
    """For each row of keys its group's name: rows that share a key, or share one with a row that does, are one group.

    An empty key connects nothing. The name is the group's smallest key, so that it does not depend on the order.
    """
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            parent[key] = key = parent[parent[key]]
        return key

    firsts = []
    for row in keys:
        first, *others = [key for key in row if key]
        firsts.append(first)
        for other in others:
            low, high = sorted((root(first), root(other)))
            parent[high] = low
    return [root(first) for first in firsts]


# --- words ----------------------------------------------------------------------------------------------------------


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ORDINALS = {"1st": "first", "2nd": "second", "3rd": "third"}
_NOISE = _set("urand unrand randart spwpn img image untitled")
_HEADS = _set("amulet book gem parchment potion ring rod scroll simulacrum skeleton staff wand")
_NO_HEADS = {"ring mail", "skeleton key"}  # here the first word is no head
_ADJECTIVES = _set(
    "large small big tiny huge medium old young dead open closed broken dense sparse full empty winged striped spotted glowing "
    "red orange yellow green blue purple violet indigo pink brown black white grey gray cyan magenta puce teal golden"
)
_LINKS = _set("of with in on and over under behind showing for at to from")
_UNCOUNTED = _set(
    "air algae armor armour art bread cheese clothing coral feet fire food gold grass hair ice jewelry kelp lava leather "
    "lightning mail meat men metal mice money moss mud people rice sand seaweed sheep silver smoke teeth water wheat women wood"
)


def tidy(text: str) -> str:
    """One line of at most MAX_CAPTION characters, without what a chat template could take for its own marks."""
    text = text.encode("utf-8", "ignore").decode()  # a lone surrogate cannot be written
    text = re.sub(f"{NOT_PRINTABLE}|[<>|]", " ", text)
    return " ".join(text.split())[:MAX_CAPTION].strip()


def caption_from_label(label: str) -> str:
    """A label as one would say it: 'potion puce' → 'a puce potion', 'boots_2 brown' → 'brown boots'; '' stays ''."""
    text = tidy(label).lower()
    text = re.sub(r"\b(1st|2nd|3rd)\b", lambda match: _ORDINALS[match[0]], text)
    words = re.sub(r"[0-9_!-&(-,./:-@\[-`{-~]+", " ", text).split()  # apostrophes and hyphens stay
    words = [word.strip("-'") for word in words]
    kept = [word for word in words if word and word not in _NOISE]
    while len(kept) > 1 and len(kept[-1]) == 1 and kept[-1].isascii():
        kept.pop()  # 'acid beam l' is one of several
    if not kept or kept[0] in ("a", "an", "the"):
        return " ".join(kept)
    kept = _in_order(kept)
    return f"{_article(kept)} {' '.join(kept)}".strip()


def _in_order(words: list[str]) -> list[str]:
    """Adjectives and genitives before the noun: 'skeleton humanoid large' → 'large humanoid skeleton'."""
    if _LINKS & set(words):
        return words
    if len(words) > 1 and words[0] in _HEADS and " ".join(words[:2]) not in _NO_HEADS:
        return [*_in_order(words[1:]), words[0]]
    if len(words) > 1 and words[-1] in _ADJECTIVES and words[-2] not in _ADJECTIVES:
        return [words[-1], *words[:-1]]
    return words


def _article(words: list[str]) -> str:
    """'a', 'an' or nothing, by the noun: the last word before 'of', 'with' and the like."""
    end = next((i for i, word in enumerate(words) if word in _LINKS and i), len(words))
    noun = words[end - 1]
    plural = noun.endswith("s") and not noun.endswith(("ss", "us", "is"))
    if plural or noun in _UNCOUNTED or not all(ord(letter) < 0x250 or letter == "’" for letter in "".join(words)):
        return ""  # in another script there may be no article at all
    vowel = re.match(r"[aeio]|u(?!ni|s|k|r[aeiou])", words[0]) and not re.match(r"one\b|once|eu|ewe", words[0])
    return "an" if vowel else "a"


def bench_subject(text: str) -> str:
    """Which of Pixel Art Bench's subjects a label names, by whole words, those of 'SuperMario' as well, or ''."""
    words = set(re.findall(r"[a-z]+", f"{text} {re.sub(r'(?<=[a-z])(?=[A-Z])', ' ', text)}".lower()))
    words |= {word.removesuffix("s") for word in words}
    return next((" ".join(subject) for subject in BENCH_SUBJECTS if words.issuperset(subject)), "")
