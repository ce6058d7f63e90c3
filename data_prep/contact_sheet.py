"""Contact sheets: many sprites on one picture, to be looked at. Reads and writes no file; gives PIL images.

`contact_sheet` lays out any sprites, `by_cell` the 30 cells of the coverage table, `pair_sheet` what is alike. Scaling is by
nearest neighbour.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from data_prep.captions import CATEGORIES, ZONES
from data_prep.sprite import Sprite

BACKGROUND = (58, 66, 84)  # mid-dark: light and dark outlines both show
INK = (235, 238, 242)
GAP = 4  # pixels between sprites
MOST_PAIRS, PAIRS_ACROSS = 40, 5  # on one sheet of pairs
NONE = "none"  # how a sheet names a missing zone or category
_LINE = 12  # height of a line of PIL's default font, pixels


def contact_sheet(
    sprites: Sequence[Sprite | np.ndarray],
    columns: int = 8,
    scale: int = 4,
    background: tuple[int, int, int] = BACKGROUND,
    captions: Sequence[str] | None = None,
    caption_lines: int = 1,
):
    """Sprites or (H, W, 4) uint8 pictures in rows of `columns`, each pixel `scale` pixels wide → RGB PIL.Image.

    Sprites of several sizes share one slot size. captions: one a sprite, broken into `caption_lines` and cut to the slot's width.
    """
    from PIL import Image, ImageDraw

    pictures = [_picture(sprite, scale) for sprite in sprites]
    text_lines = 0 if captions is None else caption_lines
    width, height = _slot(pictures, text_lines)
    rows = -(-len(pictures) // columns)
    size = (columns * (width + GAP) + GAP, max(1, rows) * (height + GAP) + GAP)
    sheet = Image.new("RGB", size, background)
    draw = ImageDraw.Draw(sheet)
    for index, picture in enumerate(pictures):
        x, y = GAP + index % columns * (width + GAP), GAP + index // columns * (height + GAP)
        sheet.paste(picture, (x + (width - picture.width) // 2, y), picture)
        for number, text in enumerate(broken_text(captions[index], width, text_lines) if captions else ()):
            draw.text((x, y + height - (text_lines - number) * _LINE), text, fill=INK, font=_font())
    return sheet


def by_cell(cells: Mapping[tuple[str, str], Sequence[Sprite | np.ndarray]], scale: int = 4, columns: int = 3):
    """One block of `columns` sprites a row for each (zone, category): zones downwards, categories across → RGB PIL.Image.

    The whole 5 × 6 table is drawn, rows and columns without a sprite as a bare name; sprites without zone or category get a
    row or column 'none'.
    """
    from PIL import Image, ImageDraw

    zones, categories = _axis(ZONES, (zone for zone, _ in cells)), _axis(CATEGORIES, (category for _, category in cells))
    sheets = {cell: contact_sheet(sprites, columns, scale) for cell, sprites in cells.items() if len(sprites)}
    widths = [[sheet.width for (_, category), sheet in sheets.items() if category == name] for name in categories]
    heights = [[sheet.height for (zone, _), sheet in sheets.items() if zone == name] for name in zones]
    lefts, tops = _edges(8 * _LINE, widths, 6 * _LINE), _edges(_LINE + GAP, heights, _LINE)
    page = Image.new("RGB", (lefts[-1], tops[-1]), BACKGROUND)
    draw = ImageDraw.Draw(page)
    for left, category in zip(lefts, categories, strict=False):
        draw.text((left + GAP, GAP // 2), category or NONE, fill=INK, font=_font())
    for top, zone in zip(tops, zones, strict=False):
        draw.text((GAP, top + GAP // 2), zone or NONE, fill=INK, font=_font())
    for (zone, category), sheet in sheets.items():
        page.paste(sheet, (lefts[categories.index(category)], tops[zones.index(zone)]))
    return page


def pair_sheet(near: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]], side: int):
    """At most MOST_PAIRS pairs of (H, W, 4) pictures, side by side, under a heading for each way of being alike → RGB PIL.Image.

    side: screen pixels of a picture's longer side, at most.
    """
    from PIL import Image, ImageDraw

    counts = _shared_out(near, MOST_PAIRS)
    chosen = {how: found[:count] for (how, found), count in zip(near.items(), counts, strict=True) if count}
    width, height = 2 * side + 4 * GAP, side + 2 * GAP
    heights = [_LINE + GAP + -(-len(found) // PAIRS_ACROSS) * height for found in chosen.values()]
    sheet = Image.new("RGB", (PAIRS_ACROSS * width, max(1, sum(heights))), BACKGROUND)
    draw, top = ImageDraw.Draw(sheet), 0
    for (how, found), block in zip(chosen.items(), heights, strict=True):
        draw.text((GAP, top + GAP // 2), how, fill=INK, font=_font())
        for number, pair in enumerate(found):
            for place, rgba in enumerate(pair):
                picture = _picture(rgba, max(1, side // max(rgba.shape[:2])))
                x = number % PAIRS_ACROSS * width + GAP + place * (side + GAP)
                sheet.paste(picture, (x, top + _LINE + GAP + number // PAIRS_ACROSS * height), picture)
        top += block
    return sheet


def _shared_out(near: Mapping[str, Sequence], most: int) -> list[int]:
    """How many of each: as evenly as their numbers let."""
    counts, left = [0] * len(near), most
    while left and (open_ := [n for n, found in enumerate(near.values()) if counts[n] < len(found)]):
        for number in open_[:left]:
            counts[number] += 1
        left -= min(left, len(open_))
    return counts


def cells_of(sprites: Iterable[Sprite], most: int) -> dict[tuple[str, str], list[Sprite]]:
    """The first `most` sprites of each (zone, category) by their tags; '' where a tag is missing."""
    cells: dict[tuple[str, str], list[Sprite]] = {}
    for sprite in sprites:
        cell = cells.setdefault((sprite.tags.get("zone", ""), sprite.tags.get("category", "")), [])
        if len(cell) < most:
            cell.append(sprite)
    return cells


def fit_text(text: str, width: int) -> str:
    """The text, cut with '…' so that it takes at most `width` pixels in the sheet's font."""
    font = _font()
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def broken_text(text: str, width: int, lines: int) -> list[str]:
    """The text in at most `lines` lines of at most `width` pixels, broken between words; the last one is cut like `fit_text`."""
    font, found, words = _font(), [], text.split()
    while words and len(found) < lines - 1:
        count = 1
        while count < len(words) and font.getlength(" ".join(words[: count + 1])) <= width:
            count += 1
        found.append(fit_text(" ".join(words[:count]), width))
        words = words[count:]
    return [*found, fit_text(" ".join(words), width)] if words else found


def _picture(sprite: Sprite | np.ndarray, scale: int):
    from PIL import Image

    rgba = sprite.rgba() if isinstance(sprite, Sprite) else np.asarray(sprite, np.uint8)
    return Image.fromarray(rgba.repeat(scale, 0).repeat(scale, 1), "RGBA")


def _slot(pictures: Sequence, text_lines: int) -> tuple[int, int]:
    """(width, height) that hold every picture, with so many lines of text below."""
    width = max([picture.width for picture in pictures], default=1)
    height = max([picture.height for picture in pictures], default=1)
    return width, height + (text_lines * _LINE + 2 if text_lines else 0)


def _axis(known: Sequence[str], seen: Iterable[str]) -> list[str]:
    return [*known, *sorted(set(seen) - set(known))]


def _edges(start: int, sizes: Sequence[Sequence[int]], least: int) -> list[int]:
    """Where each row or column of the table begins, and where the last one ends, in pixels."""
    edges = [start]
    for found in sizes:
        edges.append(edges[-1] + max([least, *found]) + GAP)
    return edges


def _font():
    from PIL import ImageFont

    return ImageFont.load_default(size=10)
