"""Sprite sheets: what is recovered of known sprites, descriptions, credits, and input that was made to hurt."""

import io
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from small_sheets import BLUE, CLEAR, DARK, RED, frame, png, put, read, same, sheet, sprite

from data_prep.errors import InputError
from data_prep.sources import sheets
from data_prep.sources.sheet_credits import Facts, licence_names, read_page, read_text
from data_prep.sources.sheet_cutting import cut
from data_prep.sources.sheet_making import GROUNDS, LAYOUTS
from data_prep.sources.sheet_pieces import pieces
from data_prep.sources.sheet_shelves import shelf_boxes
from data_prep.sources.sheets_recovery import FORMATS, main, measure, pool_of
from tests.machine import slowness

# --- recovery -------------------------------------------------------------------------------------------------------


def test_of_twenty_sheets_of_reef_sprites_nearly_all_sprites_come_back(tmp_path):
    found = measure(pool_of([], seed=3), 20, 3, tmp_path)
    assert set(found.kinds) == {f"{layout}, {ground}" for layout in LAYOUTS for ground in GROUNDS} | set(FORMATS)
    assert found.share() >= 0.98, found.table()
    assert all(found.kinds[kind][1] == found.kinds[kind][2] > 0 for kind in FORMATS)
    made = sum(counts[1] for counts in found.kinds.values())
    assert len(found.misses) == made - sum(counts[2] for counts in found.kinds.values())
    assert all(reason for _, _, reason in found.misses)


def test_the_command_prints_kinds_and_each_miss_with_its_reason(capsys, tmp_path):
    assert main(["--sheets", "9", "--seed", "2", "--keep", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "| packed, keyed | 1 |" in out and "**all without a description** | 9 |" in out and "missed: " in out
    listed = out.split("missed: ")[1].splitlines()[1:]
    assert len(listed) == int(out.split("missed: ")[1].split("\n")[0])
    assert len(list(tmp_path.glob("*.png"))) == 10


# --- without a description -------------------------------------------------------------------------------------------


def discs(count: int) -> list[np.ndarray]:
    """Discs of 16×16 pixels, each with colours of its own: side by side they touch."""
    y, x = np.mgrid[:16, :16] - 7.5
    inside = x**2 + y**2 <= 66
    return [np.where(inside[..., None], sprite(number, 16, 16), 0).astype(np.uint8) for number in range(count)]


def test_touching_cells_of_a_grid_are_parted(tmp_path):
    drawn = discs(20)
    rgba = sheet(*((n // 5 * 16, n % 5 * 16, s) for n, s in enumerate(drawn)), size=(64, 80))
    assert rgba[7, :, 3].all()  # nothing between them
    found, dropped = read(put(tmp_path / "s", sea__png=rgba))
    assert not dropped and len(found) == 20
    assert all(same(found[f"sea.png#{n}"].rgba, s) for n, s in enumerate(drawn, 1))


def test_a_detached_eye_and_a_sparkle_stay_with_their_sprite(tmp_path):
    """Around an irregular packing, where there is no grid to hold them together."""
    placed = [(4, 4, sprite(1, 20, 14)), (9, 40, sprite(2, 12, 30)), (40, 10, sprite(3, 17, 21)), (41, 50, sprite(4, 20, 16))]
    rgba = sheet(*placed, size=(70, 80))
    rgba[6:8, 20:22] = BLUE  # two columns right of the first
    rgba[62, 55] = RED  # one row below the last
    found, dropped = read(put(tmp_path / "s", x__png=rgba))
    assert not dropped and len(found) == 4
    assert (found["x.png#1"].rgba == rgba[4:24, 4:22]).all()
    assert (found["x.png#4"].rgba == rgba[41:63, 50:66]).all()


KEYS = [(255, 0, 255, 255), (90, 140, 60, 255), (255, 255, 255, 255), (0, 0, 0, 255)]


@pytest.mark.parametrize("key", KEYS)
def test_a_ring_keeps_its_hole_and_an_eye_its_colour_on_any_key(tmp_path, key):
    """The hole of a ring has its contour's colour around it; a pupil of the key's colour has its iris, a shade of the key."""
    ring, face = np.zeros((12, 12, 4), np.uint8), np.zeros((12, 12, 4), np.uint8)
    ring[1:11, 1:11], ring[4:8, 4:8] = RED, CLEAR
    face[1:11, 1:11], face[2:10, 2:10] = DARK, BLUE
    face[3:7, 3:7] = [abs(channel - 30) for channel in key[:3]] + [255]
    face[4:6, 4:6] = key
    assert _recovered(tmp_path, [ring, face], key)


@pytest.mark.parametrize("key", KEYS[:2] + KEYS[3:])
def test_what_a_sprite_encloses_without_a_shade_of_the_key_is_a_hole_whatever_colours_are_around(tmp_path, key):
    """A pot whose inner wall has a colour that its contour has not."""
    pot = np.zeros((12, 12, 4), np.uint8)
    pot[1:11, 1:11], pot[3:9, 3:9], pot[4:8, 4:8] = DARK, (120, 80, 160, 255), CLEAR
    assert _recovered(tmp_path, [pot], key)


def test_on_white_a_patch_in_the_midst_of_a_sprite_is_a_highlight_and_one_in_its_contour_a_hole(tmp_path):
    ring, bead = np.zeros((12, 12, 4), np.uint8), np.zeros((12, 12, 4), np.uint8)
    ring[1:11, 1:11], ring[4:8, 4:8] = RED, CLEAR
    bead[1:11, 1:11], bead[2:10, 2:10], bead[4:6, 4:6] = DARK, BLUE, (255, 255, 255, 255)
    assert _recovered(tmp_path, [ring, bead], (255, 255, 255, 255))


def _recovered(folder, drawn: list[np.ndarray], key: tuple[int, ...]) -> bool:
    """Whether these, with others to make six 12×12 sprites on a keyed sheet, all come back."""
    drawn = [*drawn, *(sprite(number, 12, 12) for number in range(6 - len(drawn)))]
    rgba = sheet(*((2 + n // 3 * 16, 2 + n % 3 * 16, s) for n, s in enumerate(drawn)), size=(34, 50), ground=key)
    found, dropped = read(put(folder / "s", x__png=rgba[..., :3]))
    return not dropped and len(found) == 6 and all(same(found[f"x.png#{n}"].rgba, s) for n, s in enumerate(drawn, 1))


# Height and width of sprites on two shelves, as packers lay them: all start at their shelf's upper line.
SHELVES = [[(20, 14), (12, 30), (17, 21), (9, 18)], [(16, 11), (20, 24), (13, 17), (18, 8)]]


def _shelved(spacing: int, split: tuple[int, int, int, int] | None = None, from_below: bool = False):
    """A sheet of SHELVES and its sprites. split: of the sprite (shelf, place) its columns from `start` to `stop` are empty and
    the part right of them begins 5 pixels lower."""
    placed, y = [], 3
    for shelf, sizes in enumerate(SHELVES):
        x = 3
        for place, (height, width) in enumerate(sizes):
            drawn = sprite(10 * shelf + place, height, width)
            if split and split[:2] == (shelf, place):
                drawn[:, split[2] : split[3]] = drawn[:5, split[3] :] = 0
            placed.append((y, x, drawn))
            x += width + spacing
        y += max(height for height, _ in sizes) + spacing
    rgba = sheet(*placed, size=(60, 120))
    return (rgba[::-1], [drawn[::-1] for _, _, drawn in placed]) if from_below else (rgba, [drawn for _, _, drawn in placed])


@pytest.mark.parametrize("from_below", [False, True])
@pytest.mark.parametrize(
    ("spacing", "split"),
    [
        (1, (0, 1, 12, 13)),  # a gap as wide as the spacing: only the shelf's line tells
        (1, (0, 2, 10, 14)),
        (2, (1, 1, 9, 10)),
        (6, (1, 2, 8, 13)),
        (3, (0, 3, 12, 15)),  # at the end of a shelf
    ],
)
def test_on_shelves_a_detached_part_stays_with_its_sprite(tmp_path, spacing, split, from_below):
    rgba, drawn = _shelved(spacing, split, from_below)
    found, dropped = read(put(tmp_path / "s", x__png=rgba))
    assert not dropped and len(found) == 8
    assert all(any(same(picture.rgba, s) for picture in found.values()) for s in drawn)


def test_cells_of_a_grid_are_no_shelves():
    """Most are filled and one pixel apart; one that is not would join its neighbour on a shelf."""
    tiles = [sprite(number, 16, 16) for number in range(12)]
    for tile in tiles:
        tile[0, 0] = tile[-1, -1] = RED
    tiles[5][:4] = 0
    cells = sheet(*((n // 4 * 17, n % 4 * 17, s) for n, s in enumerate(tiles)), size=(50, 67))
    assert shelf_boxes(cells) is None
    assert len(cut(cells).boxes) == 12
    assert len(shelf_boxes(_shelved(2)[0])) == 8


def test_a_grid_is_found_although_small_sprites_touch_across_its_lines():
    """Two pairs of small sprites touch, each pair small enough for one cell: the other cells show where the lines are."""
    drawn = discs(20)
    placed = [(n // 5 * 16, n % 5 * 16, s) for n, s in enumerate(drawn) if n not in (6, 7, 12, 17)]
    small = {6: (slice(4, 12), slice(8, 16)), 7: (slice(4, 12), slice(0, 8)), 12: (slice(8, 16), slice(4, 12))}
    small[17] = (slice(0, 8), slice(4, 12))
    placed += [
        (n // 5 * 16 + rows.start, n % 5 * 16 + columns.start, drawn[n][rows, columns]) for n, (rows, columns) in small.items()
    ]
    found = cut(sheet(*placed, size=(64, 80)))
    assert found.kind == "grid" and len(found.boxes) == 20


def test_keyed_cells_on_a_transparent_ground_are_cleared_and_framed_icons_keep_their_frames(tmp_path):
    cells, framed = [], []
    for number in range(6):
        cell = np.empty((20, 20, 4), np.uint8)
        cell[:] = (0, 128, 128, 255)
        cells.append(sheet((4, 5, sprite(number)), size=(20, 20), ground=(0, 128, 128, 255)))
        icon = np.empty((20, 20, 4), np.uint8)
        icon[:] = DARK
        icon[1:19, 1:19] = np.dstack([np.random.default_rng(number).integers(30, 220, (18, 18, 3)), np.full((18, 18), 255)])
        framed.append(icon)
    for name, parts in (("cells", cells), ("framed", framed)):
        rgba = sheet(*((2 + n // 3 * 24, 2 + n % 3 * 24, s) for n, s in enumerate(parts)), size=(50, 74))
        put(tmp_path / name, x__png=rgba)
    found, _ = read(tmp_path / "cells")
    assert all(same(found[f"x.png#{n + 1}"].rgba, sprite(n)) for n in range(6)) and len(found) == 6
    found, _ = read(tmp_path / "framed")
    assert all(same(found[f"x.png#{n}"].rgba, s) for n, s in enumerate(framed, 1)) and len(found) == 6


def test_a_picture_without_a_background_is_reported(tmp_path):
    noise = np.random.default_rng(1).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    found, dropped = read(put(tmp_path / "s", photo__png=noise, empty__png=sheet()))
    assert not found and list(dropped) == ["photo.png"] and dropped["photo.png"].startswith("no background")


def test_a_texture_of_countless_specks_is_reported(tmp_path):
    dots = np.zeros((400, 400, 4), np.uint8)
    dots[::4, ::4] = RED
    found, dropped = read(put(tmp_path / "s", dots__png=dots))
    assert not found and dropped == {"dots.png": "more than 5,000 pieces: no sheet of sprites"}


def test_an_enlarged_sheet_is_read_at_its_own_pixels(tmp_path):
    rgba = sheet((2, 2, sprite(1)), (2, 20, sprite(2)), (20, 2, sprite(3)), size=(36, 36))
    found, _ = read(put(tmp_path / "s", x__png=rgba.repeat(3, 0).repeat(3, 1)))
    assert len(found) == 3 and all(same(found[f"x.png#{n}"].rgba, sprite(n)) for n in (1, 2, 3))


def test_of_an_animation_the_first_frame_is_kept_unless_all_are_asked_for(tmp_path):
    """A crab that lifts a claw, beside its recolour, which is no frame, and another drawing."""
    crab = sprite(1, 12, 12)
    moved = [crab.copy() for _ in range(3)]
    moved[1][2:4, 2:6], moved[2][2:4, 4:8] = RED, RED
    recolour = crab.copy()
    recolour[..., :3] = crab[..., 2::-1]
    strip = [*moved, recolour, sprite(2, 12, 12)]
    path = put(tmp_path / "s", x__png=sheet(*((2, 2 + n * 16, s) for n, s in enumerate(strip)), size=(16, 82)))
    found, dropped = read(path)
    assert sorted(found) == ["x.png#1", "x.png#4", "x.png#5"]
    assert dropped == {"x.png#2": "animation frame; of x.png#1", "x.png#3": "animation frame; of x.png#1"}
    found, dropped = read(path, every_frame=True)
    assert len(found) == 5 and not dropped


def test_two_alike_among_others_are_no_animation_but_a_row_of_two_frames_is_and_a_sheet_of_pairs(tmp_path):
    """A lone pair of look-alikes is two drawings; curation finds near-duplicates anyway."""

    def pair(seed: int) -> list[np.ndarray]:
        first = sprite(seed, 12, 12)
        second = first.copy()
        second[2:4, 2:6] = RED
        return [first, second]

    def kept(name: str, *rows: list[np.ndarray]) -> int:
        placed = [(2 + y * 16, 2 + x * 16, s) for y, row in enumerate(rows) for x, s in enumerate(row)]
        rgba = sheet(*placed, size=(2 + 16 * len(rows), 2 + 16 * max(map(len, rows))))
        return len(read(put(tmp_path / name, x__png=rgba))[0])

    others = [sprite(number, 12, 12) for number in range(20, 30)]
    assert kept("lone", [*pair(1), *others[:3]], others[3:8]) == 10
    assert kept("row", pair(1), others[:5], others[5:10]) == 11
    assert kept("pairs", pair(1) + pair(2), pair(3) + others[:2]) == 5


def test_a_sparkle_of_a_sparkle_stays_with_the_sprite():
    """The middle one is a speck of the sprite and has a speck itself, too far from the sprite to be the sprite's own."""
    mask = np.zeros((60, 80), bool)
    mask[10:50, 10:50] = mask[20:28, 52:57] = mask[23, 59] = True
    assert pieces(mask) == [(10, 10, 50, 40)]


# --- files ----------------------------------------------------------------------------------------------------------

PAGE = """<html><head><link rel="canonical" href="https://opengameart.org/content/tide-pool" /></head><body><p>unclosed
<div class="field field-name-title"><div class="field-items"><h2>Tide &amp; Pool</h2></div></div>
<div class="field field-name-author-submitter"><div>Author:&nbsp;</div><span class='username'><a>Ann</a></span></div>
<div class="field field-name-field-art-licenses"><div>License(s):</div><div class='license-name'>CC-BY 3.0</div>
<img src="x.png"><div class='license-name'>GPL 2.0</div></div>
<div class="field-name-field-art-attribution">Attribution Instructions: Name Ann.</div><div>CC0 elsewhere</div></body></html>"""


def test_an_opengameart_page_gives_its_sheets_and_zips_author_and_licence(tmp_path):
    rgba = sheet((2, 2, sprite(1)), (2, 30, sprite(2)), (30, 5, sprite(3)))
    inner, outer = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("deep.png", png(rgba))
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("fish_sheet.png", png(rgba))
        archive.writestr("more.zip", outer.getvalue())
        archive.writestr("../out.png", png(rgba))
    path = put(tmp_path / "page", crabs__png=rgba, all__zip=inner.getvalue(), bad__zip=b"PK\3\4 no", page__html=PAGE)
    put(path / "page_files", logo__png=rgba)
    found, dropped = read(path, licences=["GPL-2.0"])
    assert set(found) == {f"{name}#{n}" for name in ("crabs.png", "all.zip/fish_sheet.png") for n in (1, 2, 3)}
    assert {picture.licence for picture in found.values()} == {"GPL-2.0"}  # the one of the two that was asked for
    one = found["all.zip/fish_sheet.png#2"]
    assert one.attribution == "Ann, “Tide & Pool”, Name Ann., https://opengameart.org/content/tide-pool"
    assert (one.source, one.label, found["crabs.png#1"].label) == ("Tide & Pool", "fish", "crabs")
    assert dropped == {
        "all.zip/more.zip": "a zip within a zip within the pack",
        "all.zip/../out.png": "its path climbs out of the pack",
        "bad.zip": "broken zip: BadZipFile",
    }
    assert {picture.licence for picture in read(path)[0].values()} == {"CC-BY-3.0 or GPL-2.0"}
    assert read(path, licences=["CC0-1.0"])[1]["crabs.png"] == "licence left out: CC-BY-3.0 or GPL-2.0"


def test_credits_files_give_one_clear_licence_or_none():
    kenney = "Sea pack (1.0)\n\nCreated by: Kenney\n\nLicense: (Creative Commons Zero, CC0)\nhttp://creativecommons.org/publicdomain/zero/1.0/"
    facts = read_text(kenney)
    assert (facts.author, facts.licences) == ("Kenney", ("CC0-1.0",))
    listed = read_text(
        "Title:\n    Tide\n\nAuthor:\n    Ann\n\nURL: https://x.org/a\n\nLicense(s):\n    * CC-BY-SA 4.0 ( http://x )\n"
    )
    assert (listed.title, listed.author, listed.url, listed.licences) == ("Tide", "Ann", "https://x.org/a", ("CC-BY-SA-4.0",))
    assert read_text("crab: CC0, fish: CC-BY 4.0 by Bo").licences == ()
    assert read_text("draw as you like").licences == read_page("<p>CC0</p>").licences == ()
    assert licence_names("OGA-BY 3.0, GPLv3, https://creativecommons.org/licenses/by-nc/4.0/") == (
        "OGA-BY-3.0",
        "GPL-3.0",
        "CC-BY-NC-4.0",
    )


def test_a_credits_file_of_blanks_is_read_soon():
    start = time.process_time()
    assert read_text("\n" * 20_000) == read_text("author" + " " * 20_000) == Facts()
    assert time.process_time() - start < 1.0 * slowness()


def test_beside_one_picture_no_other_file_is_looked_for(tmp_path, monkeypatch):
    """It may lie in a home folder."""
    path = put(tmp_path / "s", x__png=sheet((2, 2, sprite(1)), (2, 30, sprite(2)), (30, 5, sprite(3))))
    monkeypatch.delattr(Path, "rglob")
    assert sheets.count(path / "x.png") == 1 and len(read(path / "x.png")[0]) == 3


def test_one_picture_with_its_description_and_what_its_fingerprint_follows(tmp_path):
    rgba = sheet((2, 2, sprite(1)), (2, 30, sprite(2)), (30, 5, sprite(3)))
    path = put(tmp_path / "s", x__png=rgba, other__png=rgba, other__json={"frames": {"b": frame(0, 0, 9, 9)}})
    assert set(read(path / "x.png")[0]) == {"x.png#1", "x.png#2", "x.png#3"}
    before = sheets.fingerprint(path / "x.png")
    put(path, x__json={"frames": {"crab": frame(2, 2, 8, 10)}})
    found, dropped = read(path / "x.png")
    assert set(found) == {"x.png#crab"} and not dropped and found["x.png#crab"].label == "crab"
    assert sheets.fingerprint(path / "x.png") != before
    assert sheets.fingerprint(path) != sheets.fingerprint(path / "x.png")
    for wrong in (tmp_path / "gone", path / "x.json"):
        with pytest.raises(InputError):
            list(sheets.pictures(wrong))


def test_the_order_comes_from_the_seed(tmp_path):
    drawn = discs(20)
    path = put(tmp_path / "s", a__png=sheet(*((n // 5 * 16, n % 5 * 16, s) for n, s in enumerate(drawn)), size=(64, 80)))
    assert list(read(path)[0]) == list(read(path)[0]) != list(read(path, seed=2)[0])
    assert set(read(path)[0]) == set(read(path, seed=2)[0])
