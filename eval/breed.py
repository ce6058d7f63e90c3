"""`pixelreef breed A.png B.png`: children of sprites, their lineage and their family tree, in one new folder.

Writes whole or not at all: <id>.png for every child, lineage.json, tree.png (parents above, children below) and steps.gif
(all sprites in the order of their birth). About a second a child of 16×16 with a 135M model on two cores.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from data_prep.contact_sheet import BACKGROUND, INK, broken_text
from data_prep.errors import InputError
from data_prep.palette import Palette, named
from data_prep.sprite import Sprite
from data_prep.whole_files import whole_folder
from eval.draw import load_model
from eval.order import check_caption
from eval.pictures import read_png, write_gif, write_png
from eval.postprocess.breeder import COMPLETE, CROSS, FOUNDER, MUTATE, Lineage, Member, breed

STEP_MILLISECONDS, STEPS_SIDE = 500, 256
LINEAGE, TREE, STEPS = "lineage.json", "tree.png", "steps.gif"
LINE_OF = {COMPLETE: (124, 196, 255), CROSS: (255, 196, 92), MUTATE: (150, 226, 140)}  # colours of the tree's lines
_SLOT, _TEXT, _BETWEEN, _MARGIN = 132, 44, 48, 16  # pixels of the tree: a sprite's square, its three lines, rows, border


def breed_files(options) -> Path:
    """Breeds `options.parents` and returns the folder `options.out` that it wrote. Raises InputError."""
    from eval.decoding import Sampling

    _check(options)
    sampling = Sampling(options.temperature, top_p=options.top_p, guidance=options.guidance)
    generator = load_model(options)
    parents = _parents(options, generator.palette or named("reef64"))
    lineage = breed(generator, parents, options.generations, options.n, options.seed, sampling)
    for one in lineage.left_out:
        print(f"left out {one.member.id} ({one.member.operation}): {one.fault}", file=sys.stderr)
    how = {"temperature": options.temperature, "top_p": options.top_p, "guidance": options.guidance, "generator": generator.name}
    return write_lineage(options.out, lineage, how, options.scale)


def _check(options) -> None:
    if options.captions and len(options.captions) != len(options.parents):
        raise InputError(f"--captions: {len(options.captions)} for {len(options.parents)} sprites; give one each, in their order")
    if not 1 <= options.scale <= 64:
        raise InputError(f"--scale {options.scale}: it takes 1 to 64")
    _check_place(options.out)


def _check_place(out: Path) -> None:
    if out.exists() or not out.absolute().parent.is_dir():
        raise InputError(f"--out {out}: must be a new folder, in a folder that exists")


def _parents(options, palette: Palette) -> list[Sprite]:
    """The sprites of the files, each with its caption from the flags or from the file."""
    sprites = [read_png(file, palette) for file in options.parents]
    for number, (file, sprite) in enumerate(zip(options.parents, sprites, strict=True)):
        caption = options.captions[number] if options.captions else sprite.caption
        if not caption.strip():
            raise InputError(f"{file}: has no caption in its text chunks; give --captions, one a sprite")
        check_caption(caption)
        sprites[number] = replace(sprite, caption=caption)
    return sprites


def write_lineage(folder: Path, lineage: Lineage, how: dict, scale: int = 1) -> Path:
    """Writes the folder beside its place and renames it, so that there is never half a lineage. Raises InputError.

    how: what is told of the drawing, for lineage.json and each child's text chunks; `generator` names what drew.
    """
    _check_place(folder)
    try:
        with whole_folder(folder) as staging:
            for member in lineage.members:
                if member.operation != FOUNDER:
                    _write_child(staging / f"{member.id}.png", member, how, scale)
            (staging / LINEAGE).write_text(json.dumps({**how, **lineage.to_json()}, indent=1, ensure_ascii=False), "utf-8")
            family_tree(lineage).save(staging / TREE)
            write_steps(staging / STEPS, lineage.members)
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be written: {error.strerror or error}") from error
    return folder


def _write_child(file: Path, member: Member, how: dict, scale: int) -> None:
    told = {key: value for key, value in member.to_json().items() if value is not None and key not in ("id", "caption")}
    told |= {key: " ".join(map(str, told[key])) for key in ("parents", "rows") if key in told}
    write_png(file, replace(member.sprite, source=how["generator"]), scale, {**told, **how})


def write_steps(file: Path, members: Sequence[Member]) -> None:
    """A GIF of all members in their order, about STEPS_SIDE pixels a side, in exactly their colours, transparent as they are."""
    height, width = (max(lengths) for lengths in zip(*(member.sprite.grid.shape for member in members), strict=True))
    frames = []
    for member in members:
        grid = member.sprite.grid
        top, left = (height - grid.shape[0]) // 2, (width - grid.shape[1]) // 2
        frames.append(np.zeros((height, width), np.uint8))
        frames[-1][top : top + grid.shape[0], left : left + grid.shape[1]] = grid
    write_gif(file, frames, members[0].sprite.palette, max(1, STEPS_SIDE // max(height, width)), STEP_MILLISECONDS)


def family_tree(lineage: Lineage):
    """Generations from above to below, lines from parents to children coloured by operation → RGB PIL.Image."""
    from PIL import Image, ImageDraw

    rows = [lineage.generation(n) for n in range(max(member.generation for member in lineage.members) + 1)]
    width = 2 * _MARGIN + max(map(len, rows)) * (_SLOT + _MARGIN)
    height = 2 * _MARGIN + len(rows) * (_SLOT + _TEXT) + (len(rows) - 1) * _BETWEEN
    page = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(page)
    places = {}
    for number, row in enumerate(rows):
        left = (width - len(row) * (_SLOT + _MARGIN) + _MARGIN) // 2
        top = _MARGIN + number * (_SLOT + _TEXT + _BETWEEN)
        places |= {member.id: (left + n * (_SLOT + _MARGIN), top) for n, member in enumerate(row)}
    for member in lineage.members:
        _draw_lines(draw, member, places)
    for member in lineage.members:
        _draw_member(page, draw, member, *places[member.id])
    return page


def _draw_lines(draw, member: Member, places: dict[str, tuple[int, int]]) -> None:
    """From each parent's lower edge to the child's upper one; the parent whose body it has gets the thicker line."""
    x, y = places[member.id]
    for number, parent in enumerate(member.parents):
        from_x, from_y = places[parent]
        start = (from_x + _SLOT // 2, from_y + _SLOT + _TEXT)
        draw.line([start, (x + _SLOT // 2, y)], LINE_OF[member.operation], 1 if number else 3)


def _draw_member(page, draw, member: Member, x: int, y: int) -> None:
    from PIL import ImageFont

    picture, font = _picture(member.sprite, _SLOT), ImageFont.load_default(size=10)
    draw.rectangle([x, y, x + _SLOT - 1, y + _SLOT + _TEXT - 2], BACKGROUND, LINE_OF.get(member.operation, INK))
    page.paste(picture, (x + (_SLOT - picture.width) // 2, y + (_SLOT - picture.height) // 2), picture)
    caption = member.sprite.caption if member.mixed_with is None else f"{member.sprite.caption} + {member.mixed_with}"
    for line, text in enumerate((f"{member.id} {member.operation}", *broken_text(caption, _SLOT - 6, 2))):
        draw.text((x + 3, y + _SLOT + 13 * line), text, fill=INK, font=font)


def _picture(sprite: Sprite, side: int):
    """RGBA PIL.Image of at most `side` a side, whole screen pixels a pixel, nearest neighbour."""
    from PIL import Image

    scale = max(1, (side - 4) // max(sprite.grid.shape))
    return Image.fromarray(sprite.rgba().repeat(scale, 0).repeat(scale, 1), "RGBA")
