"""Contact sheets: exact pixels, the whole table, captions that fit."""

import numpy as np

from data_prep.captions import CATEGORIES, ZONES
from data_prep.contact_sheet import BACKGROUND, GAP, by_cell, cells_of, contact_sheet, fit_text
from data_prep.palette import named
from data_prep.sprite import Sprite


def _sprite(zone="shallows", category="coral", side=8):
    grid = np.zeros((side, side), np.uint8)
    grid[2:5, 1:6] = 20
    return Sprite(grid, named("reef64"), tags={"zone": zone, "category": category})


def test_pixels_are_scaled_exactly_on_the_background():
    sprite = _sprite()
    sheet = np.asarray(contact_sheet([sprite], columns=1, scale=3))
    assert sheet.shape == (8 * 3 + 2 * GAP, 8 * 3 + 2 * GAP, 3)
    shown = sheet[GAP : GAP + 24 : 3, GAP : GAP + 24 : 3]
    opaque = sprite.grid > 0
    assert (shown[opaque] == sprite.rgba()[opaque][:, :3]).all()
    assert (shown[~opaque] == BACKGROUND).all()


def test_takes_pictures_of_several_sizes_captions_and_nothing():
    pictures = [_sprite().rgba(), _sprite(side=16), np.zeros((4, 12, 4), np.uint8)]
    plain = contact_sheet(pictures, columns=2, scale=2)
    captioned = contact_sheet(pictures, columns=2, scale=2, captions=["a coral", "鮃", "a caption far too long for its slot"])
    assert captioned.width == plain.width and captioned.height > plain.height
    assert contact_sheet([]).width > 0


def test_captions_are_cut_to_their_slot():
    assert fit_text("ray", 100) == "ray"
    assert fit_text("a very long caption indeed", 40).endswith("…")


def test_by_cell_draws_every_cell_and_odd_ones():
    cells = {(zone, category): [_sprite()] for zone in ZONES for category in CATEGORIES}
    full = by_cell(cells, scale=2, columns=2)
    with_odd = by_cell(cells | {("", "coral"): [_sprite()]}, scale=2, columns=2)
    assert full.height > 5 * 16 and full.width > 6 * 32
    assert with_odd.height > full.height and with_odd.width == full.width
    assert by_cell({}).height > 0


def test_cells_of_keeps_the_first_of_each_cell():
    cells = cells_of([_sprite(), _sprite(), _sprite("hadal")], most=1)
    assert {cell: len(sprites) for cell, sprites in cells.items()} == {("shallows", "coral"): 1, ("hadal", "coral"): 1}
