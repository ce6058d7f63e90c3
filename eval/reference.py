"""Reference pictures: palette by role and measured style of any picture, and how close a drawing came to both.

    reference = read_reference(Path("hero.png"))
    drawn = in_colours_of(sprite, reference)      # a Sprite in the reference's palette
    closeness(sprite, drawn, reference)

An adapter that was trained on the task `reference` is told the picture's colours and style (`in_prompt`) before it draws. Then
only colours are taken over: every pixel stays where the model drew it, and each of its colours becomes one of the picture's, by
role and lightness (`eval.transfer`). So palette, saturation and contrast come near the picture's. Outline, dithering and the side
of the light are the model's own where it was not told; no filter paints them on, and `closeness` says how far they are off.

Pixel art that was enlarged is taken back to its own pixels. Up to 63 colours are kept exactly, more are brought to 63 by OKLab
k-means; a picture of more than 256 colours counts as a photograph or painting and is first shrunk to 64 pixels a side.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data_prep.errors import InputError
from data_prep.grid_text import FREE
from data_prep.palette import ALPHA_THRESHOLD, Palette, corpus_palette, oklab, quantise
from data_prep.sprite import MAX_SIDE, Sprite
from data_prep.style import BACKGROUND, BODY, LIGHT, OUTLINE, ROLES, Style, distances, measure, roles_of
from data_prep.tasks import like
from eval.pictures import enlarged_by, read_picture, unscaled
from eval.transfer import by_role

MAX_PIXELS = 2**25  # 33 megapixels; JPEGs are decoded at a fraction of their size
MAX_ASPECT = 64
PAINTED = 256  # colours beyond which a picture is no pixel art
WIDEST = 512  # pixels a side that pixel art is measured on
NEAR = 0.05  # OKLab distance that a background may vary by
MOST_TOLD = 16  # colours that a prompt names: hardly a sprite that models are trained on has more
BACKED = 0.5  # share of the picture's border that a background covers at least


@dataclass(frozen=True)
class Reference:
    """What was taken from a picture. palette: dark to light, background included.

    roles: entries in each of `style.ROLES`; counts: pixels of each entry in the subject.
    """

    name: str
    palette: Palette
    roles: Mapping[str, tuple[int, ...]]
    counts: tuple[int, ...]
    style: Style

    def to_json(self) -> dict:
        return {
            "name": self.name,
            "colours": list(self.palette.colours),
            "roles": {role: list(entries) for role, entries in self.roles.items()},
            "counts": list(self.counts),
            "style": self.style.to_json(),
        }

    @classmethod
    def from_json(cls, data: dict) -> "Reference":
        """Inverse of `to_json`; raises InputError for anything else."""
        try:
            palette = Palette(FREE, tuple(data["colours"]))
            roles = {role: tuple(map(int, data["roles"][role])) for role in ROLES}
            counts = tuple(map(int, data["counts"]))
            found = cls(str(data["name"]), palette, roles, counts, Style.from_json(data["style"]))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InputError(f"reference: {error!r}; it is damaged") from error
        named = [entry for entries in roles.values() for entry in entries]
        if (
            len(counts) != len(palette)
            or not all(0 <= count <= MAX_PIXELS for count in counts)
            or any(not 1 <= entry < len(palette) for entry in named)
            or not any(found.subject)
        ):
            raise InputError("reference: its roles do not fit its palette; it is damaged")
        return found

    @property
    def subject(self) -> tuple[int, ...]:
        """Entries of all roles but the background."""
        return tuple(entry for role in (OUTLINE, BODY, LIGHT) for entry in self.roles[role])


def read_reference(file: Path) -> Reference:
    """Any PNG, JPEG, GIF, WebP, BMP or TIFF, of an animation the first frame. Raises InputError for what cannot be used."""
    rgba = read_picture(file, MAX_PIXELS, WIDEST).rgba
    height, width = rgba.shape[:2]
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise InputError(f"{file}: {height}x{width} pixels; a reference is at most {MAX_ASPECT} times as long as wide")
    rgba = unscaled(rgba, enlarged_by(rgba))
    if len(np.unique(_packed(rgba))) > PAINTED:
        rgba = _shrunk(rgba)
    rgba = rgba[:: -(-rgba.shape[0] // WIDEST), :: -(-rgba.shape[1] // WIDEST)]
    opaque = rgba[..., 3] >= ALPHA_THRESHOLD
    if not opaque.any():
        raise InputError(f"{file}: no opaque pixel; there is nothing to take colours from")
    palette = corpus_palette(Counter(row.tobytes().hex() for row in rgba[opaque][:, :3]), FREE)
    grid = quantise(rgba, palette)
    behind = background(rgba)
    subject = np.where(behind, 0, grid)
    style = measure(subject, palette)
    if style is None:
        raise InputError(f"{file}: nothing but background; there is no subject to take colours from")
    roles = roles_of(subject, palette)
    drawn = {entry for entries in roles.values() for entry in entries}
    roles[BACKGROUND] = tuple(e for e in np.unique(grid[behind & opaque]).tolist() if e not in drawn)
    counts = np.bincount(subject.ravel(), minlength=len(palette))
    counts[0] = 0
    return Reference(file.name, palette, {role: roles[role] for role in ROLES}, tuple(counts.tolist()), style)


def _packed(rgba: np.ndarray) -> np.ndarray:
    return rgba[rgba[..., 3] >= ALPHA_THRESHOLD][:, :3].astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)


def _shrunk(rgba: np.ndarray) -> np.ndarray:
    """At most 64 pixels a side, by area means that transparent pixels do not stain."""
    from PIL import Image

    image = Image.fromarray(rgba, "RGBA")
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BOX)
    return np.array(image)


def background(rgba: np.ndarray) -> np.ndarray:
    """(H, W, 4) → (H, W) bool: transparent pixels; in an opaque picture what hangs together with the border, in its colour."""
    from scipy.ndimage import label

    clear = rgba[..., 3] < ALPHA_THRESHOLD
    if clear.any():
        return clear
    border = np.ones_like(clear)
    border[1:-1, 1:-1] = False
    [(colour, _)] = Counter(row.tobytes() for row in rgba[border][:, :3]).most_common(1)
    near = np.linalg.norm(oklab(rgba[..., :3]) - oklab(np.frombuffer(colour, np.uint8)), axis=-1) < NEAR
    if near[border].mean() < BACKED:
        return clear
    parts, _ = label(near)
    return np.isin(parts, np.setdiff1d(parts[border], 0))


def in_prompt(reference: Reference, palette: Palette) -> str:
    """What the prompt of task `reference` tells: for each role the entries of a model's palette that are nearest to its
    MOST_TOLD most used colours, and the style."""
    ranked = sorted(reference.subject, key=lambda entry: (-reference.counts[entry], entry))[:MOST_TOLD]
    roles, used = {}, set()
    for role in (OUTLINE, BODY, LIGHT):
        there = np.array([entry for entry in reference.roles[role] if entry in ranked], int)
        apart = np.linalg.norm(reference.palette.oklab[there - 1][:, None] - palette.oklab[None], axis=-1)
        roles[role] = sorted(set((apart.argmin(1) + 1).tolist()) - used)
        used.update(roles[role])
    return like(roles, replace(reference.style, colours=len(used)))


def in_colours_of(sprite: Sprite, reference: Reference) -> Sprite:
    """The sprite's very pixels in the reference's palette."""
    if not sprite.grid.any():
        return replace(sprite, palette=reference.palette)
    table = by_role(sprite, reference.palette, reference.roles, np.array(reference.counts))
    return replace(sprite, grid=table[sprite.grid], palette=reference.palette)


def closeness(before: Sprite, after: Sprite, reference: Reference) -> dict:
    """How near a drawing came, before and after its colours were exchanged. Distances, OKLab for the palette and 0…1 for style.

    drawn_to_reference: mean distance of the drawing's pixels to the nearest of the reference's subject, 0 when all are its;
    reference_to_drawn: of the reference's pixels to the nearest colour that the drawing uses, which says what it left out.
    """
    style = measure(after.grid, after.palette)
    apart = {} if style is None else distances(style, reference.style)
    return {
        "palette": {"before": _palette_distance(before, reference), "after": _palette_distance(after, reference)},
        "style": {
            "distance": round(float(np.mean(list(apart.values()))), 4) if apart else None,
            "apart": {key: round(value, 4) for key, value in apart.items()},
            "drawn": None if style is None else style.to_json(),
            "reference": reference.style.to_json(),
        },
    }


def _palette_distance(sprite: Sprite, reference: Reference) -> dict[str, float | None]:
    uses = np.bincount(sprite.grid.ravel(), minlength=len(sprite.palette))[1:]
    if not uses.any():
        return {"drawn_to_reference": None, "reference_to_drawn": None}
    there = np.array(reference.subject) - 1
    drawn = np.flatnonzero(uses)
    apart = np.linalg.norm(sprite.palette.oklab[drawn, None] - reference.palette.oklab[there][None], axis=-1)
    counts = np.array(reference.counts)[there + 1]
    return {
        "drawn_to_reference": round(float(np.average(apart.min(1), weights=uses[drawn])), 4),
        "reference_to_drawn": round(float(np.average(apart.min(0), weights=np.maximum(counts, 1e-9))), 4),
    }


def in_words(found: Mapping) -> str:
    """One line of `closeness`."""
    palette, style = found["palette"], found["style"]
    if style["distance"] is None:
        return "palette and style: the drawing is empty"
    drawn, there = style["drawn"], style["reference"]
    parts = [f"{key.replace('_', ' ')} {drawn[key]:.3g} for {there[key]:.3g}" for key in drawn if key in style["apart"]]
    before, after = (palette[when] for when in ("before", "after"))
    missed = f"reference's colours missed by {after['reference_to_drawn']:.3f}"
    return (
        f"palette distance {after['drawn_to_reference']:.3f} (as drawn {before['drawn_to_reference']:.3f}), "
        f"{missed}; style distance {style['distance']:.2f}: {', '.join(parts)}"
    )
