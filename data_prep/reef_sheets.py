"""Sheets of the procedural reef: its cells at each size, its body plans, their poses → PNGs with a small palette.

`draw` writes the files; the rest is pure. All sprites are enlarged to the same SHOWN pixels a side.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from data_prep.contact_sheet import BACKGROUND, GAP, INK, by_cell, cells_of, contact_sheet
from data_prep.palette import named
from data_prep.reef_measures import poses_of
from data_prep.sources.procedural import PLANS
from data_prep.sprite import Sprite

SHOWN = 96  # pixels a side of every sprite on a sheet: 16 × 6, 24 × 4, 32 × 3
LABEL = 130  # pixels for the name of a row
A_CELL, A_ROW, A_POSE = 9, 3, 1  # sprites on the sheets: in a cell, of each size in a plan's row, of each size for a pose
INK_STEPS = 16  # shades of the letters' edges in a sheet's palette
POSES = "poses.png"
Row = tuple[str, Sequence[np.ndarray], Sequence[str] | None]  # label, (H, W, 4) pictures, their captions
Sized = Mapping[int, Sequence[Sprite]]  # pixels a side → sprites


def draw(sprites: Sized, folder: Path) -> dict[str, str]:
    """Writes the sheets into the folder → file name → what it shows. Without a plan that has poses there is no sheet of them."""
    pages = {}
    for size, stream in sprites.items():
        cells = {cell: [shown(sprite) for sprite in found] for cell, found in cells_of(stream, A_CELL).items()}
        words = f"All 30 cells at {size}×{size}, the first {A_CELL} sprites of seed 1 in each, enlarged {SHOWN // size} times"
        pages[f"cells{size}.png"] = by_cell(cells, 1), words
    sizes = ", ".join(f"{size}×{size}" for size in sprites)
    pages["plans.png"] = rows_page(plan_rows(sprites)), f"Every body plan, {A_ROW} sprites of each size: {sizes}"
    poses = pose_rows(sprites)
    if poses:
        pages[POSES] = rows_page(poses), f"The poses of body plans that have several, each at {sizes}"
    (folder / POSES).unlink(missing_ok=True)
    for name, (page, _) in pages.items():
        indexed(page).save(folder / name, optimize=True)
    return {name: words for name, (_, words) in pages.items()}


def shown(sprite: Sprite) -> np.ndarray:
    """(SHOWN, SHOWN, 4): the sprite's pixels enlarged, so that every size is as large to the eye."""
    times = SHOWN // sprite.height
    return sprite.rgba().repeat(times, 0).repeat(times, 1)


def plan_rows(sprites: Sized) -> list[Row]:
    """A row a plan: the first A_ROW sprites of each size."""
    plans = [plan for plans in PLANS.values() for plan in plans]
    return [(plan, [shown(one) for part in sprites.values() for one in _with(part, A_ROW, plan=plan)], None) for plan in plans]


def pose_rows(sprites: Sized) -> list[Row]:
    """A row a plan with poses: each pose at each size, as far as the sprites have it."""
    poses = poses_of(one for part in sprites.values() for one in part)
    rows: list[Row] = []
    for plan in (plan for plans in PLANS.values() for plan in plans if plan in poses):
        found = [one for pose in poses[plan] for part in sprites.values() for one in _with(part, A_POSE, plan=plan, pose=pose)]
        rows.append((plan, [shown(one) for one in found], [one.tags["pose"] for one in found]))
    return rows


def _with(sprites: Sequence[Sprite], most: int, **tags: str) -> list[Sprite]:
    """The first `most` sprites that have these tags."""
    return [sprite for sprite in sprites if tags.items() <= dict(sprite.tags).items()][:most]


def rows_page(rows: Sequence[Row], across: int = 2):
    """Labelled rows of pictures, downwards, in `across` columns of rows → RGB PIL.Image."""
    from PIL import Image, ImageDraw, ImageFont

    strips = [contact_sheet(pictures, max(1, len(pictures)), 1, captions=captions) for _, pictures, captions in rows]
    width, height = LABEL + max(strip.width for strip in strips), max(strip.height for strip in strips)
    depth = -(-len(rows) // across)
    page = Image.new("RGB", (across * width, depth * height), BACKGROUND)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=12)
    for index, ((label, *_), strip) in enumerate(zip(rows, strips, strict=True)):
        x, y = index // depth * width, index % depth * height
        draw.text((x + GAP, y + height // 2 - 8), label, fill=INK, font=font)
        page.paste(strip, (x + LABEL, y))
    return page


def indexed(page):
    """The RGB page in a small palette: reef64's colours exactly, and shades from background to ink for the letters."""
    from PIL import Image

    mix = np.linspace(0, 1, INK_STEPS)[:, None]
    shades = np.array(BACKGROUND) * (1 - mix) + np.array(INK) * mix
    colours = np.concatenate([named("reef64").rgba[1:, :3], shades.round().astype(np.uint8)])
    pixels = np.asarray(page).astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    found, inverse = np.unique(pixels, return_inverse=True)
    rgb = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=-1).astype(int)
    nearest = ((rgb[:, None] - colours[None].astype(int)) ** 2).sum(-1).argmin(1).astype(np.uint8)
    image = Image.fromarray(nearest[inverse].reshape(pixels.shape))
    image.putpalette(colours.astype(np.uint8).tobytes())
    return image
