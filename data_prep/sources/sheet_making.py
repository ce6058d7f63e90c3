"""Makes sprite sheets out of known sprites, as people and packers lay them out, so that cutting them can be measured.

Everything comes from the generator that is passed in. Nothing is made that nobody could cut: sprites that touch outside of a
grid, and sprites whose outline has the colour of the key (they run into the ground), are left out and counted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.curate import threshold_alpha, trim
from data_prep.sources.sheet_descriptions import Box, Frame

VIVID_KEYS = ((255, 0, 255), (0, 255, 0), (0, 255, 255))
DULL_KEYS = ((0, 0, 0), (255, 255, 255), (128, 128, 128))
LAYOUTS = ("grid", "grid with margin and spacing", "packed", "mixed sizes")
GROUNDS = ("transparent", "keyed")
Named = tuple[str, np.ndarray]  # a sprite's name and its (H, W, 4) uint8 frame
Laid = tuple[str, np.ndarray, int, int]  # the same with x and y of its upper left corner on the sheet
Placed = tuple[str, np.ndarray, Box]  # name, trimmed (H, W, 4) and where that lies


@dataclass
class Sheet:
    """A picture with what was put on it. told: how it was made, for people."""

    rgba: np.ndarray
    placed: list[Placed]
    told: str
    left_out: Counter


def make_sheet(pool: Mapping[int, Sequence[Named]], layout: str, ground: str, dice: np.random.Generator) -> Sheet:
    """One sheet. pool: sprites by the side of their square frame, in pixels; each is used once a sheet."""
    key = _key(dice) if ground == "keyed" else None
    draw = _Drawer(pool, key, dice)
    if layout == "packed":
        placed, told = _packed(draw, dice)
    elif layout == "mixed sizes":
        placed, told = _bands(draw, dice)
    else:
        placed, told = _grid(draw, dice, layout != "grid")
    told += f", key #{bytes(key).hex()}" if key else ""
    rgba = _canvas(placed, key, dice)
    trimmed = [(name, *_trimmed(frame, x, y)) for name, frame, x, y in placed]
    return Sheet(rgba, trimmed, told, draw.left_out)


class _Drawer:
    """Hands out sprites that can be told from the ground, none twice."""

    def __init__(self, pool: Mapping[int, Sequence[Named]], key: tuple[int, int, int] | None, dice: np.random.Generator):
        self.left_out: Counter = Counter()
        self._key = key
        self._pool = {side: [pool[side][i] for i in dice.permutation(len(pool[side]))] for side in pool}

    @property
    def sides(self) -> list[int]:
        return [side for side, sprites in self._pool.items() if sprites]

    def take(self, side: int, count: int) -> list[Named]:
        found: list[Named] = []
        while len(found) < count and self._pool[side]:
            name, rgba = self._pool[side].pop()
            rgba = threshold_alpha(rgba) if self._key else np.where(rgba[..., 3:] > 0, rgba, 0).astype(np.uint8)
            if self._key and _runs_into(rgba, self._key):
                self.left_out["its outline has the colour of the key"] += 1
            elif rgba.any():
                found.append((name, rgba))
        return found


def _key(dice: np.random.Generator) -> tuple[int, int, int]:
    """Half of them vivid classics, a quarter black, white or grey, a quarter any colour."""
    kind = dice.random()
    if kind < 0.75:
        keys = VIVID_KEYS if kind < 0.5 else DULL_KEYS
        return keys[dice.integers(len(keys))]
    red, green, blue = dice.integers(0, 256, 3).tolist()
    return red, green, blue


def _runs_into(rgba: np.ndarray, key: tuple[int, int, int]) -> bool:
    """Whether a drawn pixel of the key's colour is connected with the outside: nobody could tell it from the ground."""
    from scipy import ndimage

    drawn = rgba[..., 3] > 0
    ground = np.pad(~drawn | (rgba[..., :3] == key).all(-1), 1, constant_values=True)
    labels, _ = ndimage.label(ground)
    return bool((drawn & (labels[1:-1, 1:-1] == labels[0, 0])).any())


# --- layouts: each gives what lies where and how it was made ----------------------------------------------------------


def _grid(draw: _Drawer, dice: np.random.Generator, spaced: bool) -> tuple[list[Laid], str]:
    """Cells of one size; in a third of the sheets wider than the frames, in a quarter some are empty."""
    side = int(dice.choice(draw.sides))
    tile = side + int(dice.integers(1, 9)) if dice.random() < 1 / 3 else side
    margin, spacing = (int(dice.integers(0, 17)), int(dice.integers(0, 9))) if spaced else (0, 0)
    columns, rows = int(dice.integers(3, 11)), int(dice.integers(1, 9))
    count = int(dice.integers(columns * (rows - 1) + 1, columns * rows + 1))
    cells = np.arange(count)
    if dice.random() < 0.25:
        cells = cells[dice.random(count) > 0.1]
    inset, step, placed = (tile - side) // 2, tile + spacing, []
    for cell, (name, frame) in zip(cells.tolist(), draw.take(side, len(cells)), strict=False):
        placed.append((name, frame, margin + cell % columns * step + inset, margin + cell // columns * step + inset))
    return placed, f"{columns}x{rows} cells of {tile}, margin {margin}, spacing {spacing}"


def _bands(draw: _Drawer, dice: np.random.Generator) -> tuple[list[Laid], str]:
    """Rows of cells, each row with a size of its own."""
    margin, spacing, y = int(dice.integers(0, 17)), int(dice.integers(0, 9)), 0
    placed, sides = [], []
    for _ in range(dice.integers(2, 6)):
        side = int(dice.choice(draw.sides))
        for number, (name, frame) in enumerate(draw.take(side, int(dice.integers(3, 11)))):
            placed.append((name, frame, margin + number * (side + spacing), margin + y))
        sides.append(side)
        y += side + spacing
    return placed, f"rows of {sides}, margin {margin}, spacing {spacing}"


def _packed(draw: _Drawer, dice: np.random.Generator) -> tuple[list[Laid], str]:
    """Trimmed sprites of all sizes on shelves, by height or as they come, 1 to 8 pixels apart."""
    margin, spacing, by_height = int(dice.integers(0, 17)), int(dice.integers(1, 9)), bool(dice.random() < 0.5)
    taken = [one for _ in range(dice.integers(6, 41)) for one in draw.take(int(dice.choice(draw.sides)), 1)]
    sprites = [(name, trim(frame)) for name, frame in taken]
    if by_height:
        sprites.sort(key=lambda one: -one[1].shape[0])
    told = f"{len(sprites)} sprites {'by height' if by_height else 'as they come'}, margin {margin}, spacing {spacing}"
    return shelves(sprites, margin, spacing), told


def shelves(sprites: Sequence[Named], margin: int, spacing: int) -> list[Laid]:
    """Sprites side by side in rows about as wide as the whole is high."""
    wide = int(np.sqrt(sum((s.shape[0] + spacing) * (s.shape[1] + spacing) for _, s in sprites)) * 1.1)
    placed, x, y, high = [], 0, 0, 0
    for name, sprite in sprites:
        if x and x + sprite.shape[1] > wide:
            x, y, high = 0, y + high + spacing, 0
        placed.append((name, sprite, margin + x, margin + y))
        x, high = x + sprite.shape[1] + spacing, max(high, sprite.shape[0])
    return placed


def _canvas(placed: Sequence[Laid], key: tuple[int, int, int] | None, dice: np.random.Generator) -> np.ndarray:
    """The picture: as large as needed with the margin on all sides, and in a quarter of the sheets filled up to powers of two."""
    margin_x, margin_y = min(x for _, _, x, _ in placed), min(y for _, _, _, y in placed)
    width = max(x + frame.shape[1] for _, frame, x, _ in placed) + margin_x
    height = max(y + frame.shape[0] for _, frame, _, y in placed) + margin_y
    if dice.random() < 0.25:
        width, height = (1 << (side - 1).bit_length() for side in (width, height))
    rgba = np.zeros((height, width, 4), np.uint8)
    if key:
        rgba[:] = (*key, 255)
    for _, frame, x, y in placed:
        part = rgba[y : y + frame.shape[0], x : x + frame.shape[1]]
        part[frame[..., 3] > 0] = frame[frame[..., 3] > 0]
    return rgba


def _trimmed(frame: np.ndarray, x: int, y: int) -> tuple[np.ndarray, Box]:
    content, drawn = trim(frame), frame[..., 3] > 0
    left, top = int(drawn.any(0).argmax()), int(drawn.any(1).argmax())
    return content, (x + left, y + top, content.shape[1], content.shape[0])


# --- descriptions ---------------------------------------------------------------------------------------------------


def make_described(
    pool: Mapping[int, Sequence[Named]], rotated: int, dice: np.random.Generator
) -> tuple[np.ndarray, list[Frame], list[Placed]]:
    """Trimmed sprites without a pixel between them, which only a description can part → sheet, its frames, what lies where.

    rotated: quarter turns anticlockwise in which half of them lie there.
    """
    draw = _Drawer(pool, None, dice)
    taken = [one for _ in range(dice.integers(6, 41)) for one in draw.take(int(dice.choice(draw.sides)), 1)]
    turns = {name: rotated if dice.random() < 0.5 else 0 for name, _ in taken}
    placed = shelves([(name, np.rot90(trim(frame), turns[name])) for name, frame in taken], 0, 0)
    frames, truth = [], []
    for (name, frame), (_, lying, x, y) in zip(taken, placed, strict=True):
        content, (left, top, _, _) = _trimmed(frame, 0, 0)
        box = (x, y, lying.shape[1], lying.shape[0])
        frames.append(Frame(name, box, -turns[name] % 4, (left, top, frame.shape[1], frame.shape[0])))
        truth.append((name, content, box))
    return _canvas(placed, None, dice), frames, truth


def _upright(frame: Frame) -> tuple[int, int]:
    """Width and height as the frame is drawn, not as it lies on the sheet."""
    return (frame.box[3], frame.box[2]) if frame.turns % 2 else (frame.box[2], frame.box[3])


def _whole(frame: Frame) -> Box:
    """The frame that it was trimmed from, itself where it was not: left, top, width, height."""
    return frame.source or (0, 0, *_upright(frame))


def json_description(image: str, rgba: np.ndarray, frames: Sequence[Frame], as_array: bool) -> dict:
    """As Aseprite and TexturePacker write it: 'hash' or 'array'."""
    rows = {}
    for frame in frames:
        width, height = _upright(frame)
        left, top, whole_width, whole_height = _whole(frame)
        rows[frame.name] = {
            "frame": {"x": frame.box[0], "y": frame.box[1], "w": width, "h": height},
            "rotated": bool(frame.turns),
            "trimmed": (width, height) != (whole_width, whole_height),
            "spriteSourceSize": {"x": left, "y": top, "w": width, "h": height},
            "sourceSize": {"w": whole_width, "h": whole_height},
            "duration": 100,
        }
    meta = {"image": image, "size": {"w": rgba.shape[1], "h": rgba.shape[0]}, "scale": "1"}
    return {"frames": [{"filename": name, **row} for name, row in rows.items()] if as_array else rows, "meta": meta}


def atlas_description(image: str, rgba: np.ndarray, frames: Sequence[Frame], new: bool) -> str:
    """As libGDX's TexturePacker writes it, in its new (`bounds`) or old (`xy`) format."""
    lines = [image, f"size: {rgba.shape[1]}, {rgba.shape[0]}", "format: RGBA8888", "filter: Nearest, Nearest", "repeat: none"]
    for frame in frames:
        (x, y, _, _), (width, height) = frame.box, _upright(frame)
        left, top, whole_width, whole_height = _whole(frame)
        below = whole_height - top - height
        if new:
            lines += [frame.name, f"bounds:{x},{y},{width},{height}", f"offsets:{left},{below},{whole_width},{whole_height}"]
            lines += ["rotate:90"] if frame.turns else []
        else:
            lines += [
                frame.name,
                f"  rotate: {'true' if frame.turns else 'false'}",
                f"  xy: {x}, {y}",
                f"  size: {width}, {height}",
            ]
            lines += [f"  orig: {whole_width}, {whole_height}", f"  offset: {left}, {below}", "  index: -1"]
    return "\n".join(lines) + "\n"
