"""Sprite sheets: what is recovered of known sprites, descriptions, credits, and input that was made to hurt."""

import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data_prep.curate import trim
from data_prep.errors import InputError
from data_prep.sources import sheets
from data_prep.sources.packs import Unusable
from data_prep.sources.sheet_credits import licence_names, read_page, read_text
from data_prep.sources.sheet_descriptions import grid_boxes, read_atlas, read_json
from data_prep.sources.sheet_making import GROUNDS, LAYOUTS
from data_prep.sources.sheets_recovery import FORMATS, main, measure, pool_of

RED, BLUE, DARK, CLEAR = (200, 30, 30, 255), (30, 30, 200, 255), (20, 20, 30, 255), (0, 0, 0, 0)


def sprite(seed: int, height: int = 10, width: int = 8) -> np.ndarray:
    """A solid drawing of many colours: no row or column of it is empty, and none is like another."""
    dice = np.random.default_rng(seed)
    rgba = np.full((height, width, 4), 255, np.uint8)
    rgba[..., :3] = dice.integers(30, 220, (height, width, 3))
    rgba[0, 0] = rgba[-1, -1] = 0
    return rgba


def sheet(*placed, size=(64, 64), ground=CLEAR) -> np.ndarray:
    """(y, x, sprite) on a ground."""
    rgba = np.empty((*size, 4), np.uint8)
    rgba[:] = ground
    for y, x, drawn in placed:
        part = rgba[y : y + drawn.shape[0], x : x + drawn.shape[1]]
        part[drawn[..., 3] > 0] = drawn[drawn[..., 3] > 0]
    return rgba


def png(rgba: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgba)).save(data, "PNG")
    return data.getvalue()


def put(folder, **files):
    """Files by name, '__' for '.' and dicts as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        content = json.dumps(content) if isinstance(content, dict | list) else content
        data = content.encode() if isinstance(content, str) else png(content) if isinstance(content, np.ndarray) else content
        (folder / name.replace("__", ".")).write_bytes(data)
    return folder


def read(path, **options):
    dropped = []
    found = list(sheets.pictures(path, dropped=lambda name, reason: dropped.append((name, reason)), **options))
    return {picture.name: picture for picture in found}, dict(dropped)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(trim(a), trim(b))


def frame(x, y, w, h, **more) -> dict:
    return {"frame": {"x": x, "y": y, "w": w, "h": h}, **more}


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
    listed = [line for line in out.split("missed: ")[1].splitlines()[1:]]
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


@pytest.mark.parametrize("key", [(255, 0, 255, 255), (90, 140, 60, 255), (255, 255, 255, 255), (0, 0, 0, 255)])
def test_a_ring_keeps_its_hole_and_an_eye_its_colour_on_any_key(tmp_path, key):
    """The hole of a ring shows the ground; an eye of the ground's colour, white or black, has other colours around it."""
    ring, face = np.zeros((12, 12, 4), np.uint8), np.zeros((12, 12, 4), np.uint8)
    ring[1:11, 1:11], ring[4:8, 4:8] = RED, CLEAR
    face[1:11, 1:11], face[2:10, 2:10] = DARK, BLUE
    if key[0] == key[1] == key[2]:
        face[4:6, 4:6] = key
    drawn = [ring, sprite(1, 12, 12), face, sprite(2, 12, 12), sprite(3, 12, 12), sprite(4, 12, 12)]
    rgba = sheet(*((2 + n // 3 * 16, 2 + n % 3 * 16, s) for n, s in enumerate(drawn)), size=(34, 50), ground=key)
    found, dropped = read(put(tmp_path / "s", x__png=rgba[..., :3]))
    assert not dropped and len(found) == 6
    assert all(same(found[f"x.png#{n}"].rgba, s) for n, s in enumerate(drawn, 1))


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
    assert dropped == {"x.png#2": "animation frame of x.png#1", "x.png#3": "animation frame of x.png#1"}
    found, dropped = read(path, every_frame=True)
    assert len(found) == 5 and not dropped


# --- descriptions ---------------------------------------------------------------------------------------------------


def test_rotated_frames_stand_upright_as_each_packer_turned_them(tmp_path):
    """An L whose orientation is written down by hand: TexturePacker turns clockwise, libGDX anticlockwise."""
    upright = np.array([[1, 0], [1, 0], [2, 3]])
    colours = np.array([CLEAR, RED, BLUE, DARK], np.uint8)
    clockwise, anticlockwise = np.array([[2, 1, 1], [3, 0, 0]]), np.array([[0, 0, 3], [1, 1, 2]])
    tp = {"frames": {"l.png": frame(1, 1, 2, 3, rotated=True)}, "meta": {"image": "tp.png"}}
    old = "gdx.png\nsize: 9,9\nformat: RGBA8888\nl\n  rotate: true\n  xy: 1, 1\n  size: 2, 3\n  orig: 6, 8\n  offset: 3, 1\n"
    new = "new.png\nsize:9,9\nl\nbounds:1,1,2,3\noffsets:3,1,6,8\nrotate:90\n"
    pictures = {name: sheet((1, 1, colours[grid]), size=(9, 9)) for name, grid in (("tp", clockwise), ("gdx", anticlockwise))}
    path = put(tmp_path / "s", tp__png=pictures["tp"], gdx__png=pictures["gdx"], new__png=pictures["gdx"])
    put(path, tp__json=tp, gdx__atlas="\n" + old, new__atlas=new.replace("\n", "\r\n"))
    found, dropped = read(path)
    assert not dropped and set(found) == {"tp.png#l.png", "gdx.png#l", "new.png#l"}
    assert (found["tp.png#l.png"].rgba == colours[upright]).all()
    for name in ("gdx.png#l", "new.png#l"):  # one row of its frame lies below the trimmed part, three columns left of it
        assert found[name].rgba.shape == (8, 6, 4) and (found[name].rgba[4:7, 3:5] == colours[upright]).all()


def test_aseprite_tags_slices_and_trimmed_frames(tmp_path):
    crab, fish, kelp = sprite(1), sprite(2), sprite(3)
    rgba = sheet((0, 0, crab), (0, 8, fish), (0, 16, kelp), (20, 20, sprite(4)))
    source = {"trimmed": True, "spriteSourceSize": {"x": 3, "y": 2, "w": 8, "h": 10}, "sourceSize": {"w": 16, "h": 16}}
    frames = [{"filename": f"reef {n}.aseprite", "duration": 80, **frame(8 * n, 0, 8, 10, **source)} for n in range(3)]
    tags = [{"name": "walk", "from": 0, "to": 1, "direction": "forward"}, {"name": "x", "from": 2, "to": 10**12}, {"name": 3}, 7]
    slices = [{"name": "left half", "keys": [{"frame": 0, "bounds": {"x": 0, "y": 0, "w": 16, "h": 16}}]}, {"name": "none"}]
    slices.append({"name": "low", "keys": [{"frame": 0, "bounds": {"x": 18, "y": 18, "w": 900, "h": 900}}]})
    path = put(tmp_path / "s", tagged__png=rgba, canvas__png=rgba)
    put(path, tagged__json={"frames": frames, "meta": {"image": "tagged.png", "frameTags": tags, "slices": slices}})
    put(path, canvas__json={"frames": {"a": frame(0, 0, 64, 64)}, "meta": {"image": "canvas.png", "slices": slices}})
    found, dropped = read(path)
    assert set(found) == {"tagged.png#reef 0.aseprite", "tagged.png#reef 2.aseprite", "canvas.png#left half", "canvas.png#low"}
    first = found["tagged.png#reef 0.aseprite"]
    assert first.rgba.shape == (16, 16, 4) and (first.rgba[2:12, 3:11] == crab).all() and first.label == "reef"
    assert same(found["canvas.png#low"].rgba, sprite(4)) and found["canvas.png#left half"].rgba.shape == (16, 16, 4)
    assert dropped == {
        "tagged.png#reef 1.aseprite": "animation frame of tagged.png#reef 0.aseprite",
        "canvas.png#none": "description: a slice whose place is not four whole numbers",
    }


def test_faulty_frames_are_each_reported_and_lose_no_good_one(tmp_path):
    bad = {
        "nan": frame(float("nan"), 0, 8, 10), "words": frame("0", 0, 8, 10), "fraction": frame(0.5, 0, 8, 10),
        "list": [0, 0, 8, 10], "zero": frame(0, 0, 0, 10), "negative": frame(0, 0, -8, 10),
        "outside": frame(60, 60, 8, 10), "before": frame(-1, 0, 8, 10),
        "huge": frame(10**40, 0, 8, 10), "again": frame(0, 0, 8, 10), "overlap": frame(4, 0, 8, 10),
    }  # fmt: skip
    claims = {"spriteSourceSize": {"x": 0, "y": 0, "w": 8, "h": 10}, "sourceSize": {"w": 10**6, "h": 10**6}}
    frames = {"crab": frame(0, 0, 8, 10), "fish": frame(20.0, 20, 8, 10, **claims), **bad}
    path = put(tmp_path / "s", x__png=sheet((0, 0, sprite(1)), (20, 20, sprite(2))), x__json={"frames": frames})
    found, dropped = read(path)
    assert set(found) == {"x.png#crab", "x.png#fish"} and found["x.png#fish"].rgba.shape == (10, 8, 4)
    reasons = {
        "a frame whose place is not four whole numbers": ("nan", "words", "fraction"),
        "no object": ("list",),
        "a frame without area": ("zero", "negative"),
        "a frame outside of its picture": ("outside", "before", "huge"),
        "the same place as crab": ("again",),
        "a frame that overlaps an earlier one": ("overlap",),
    }
    assert dropped == {f"x.png#{name}": f"description: {reason}" for reason, names in reasons.items() for name in names}


def test_unusable_descriptions_are_reported_and_the_sheet_is_cut_without_them(tmp_path):
    rgba = sheet((2, 2, sprite(1)), (2, 30, sprite(2)), (30, 5, sprite(3)))
    good = {"a": frame(2, 2, 8, 10)}
    nested = "[" * 200_000
    cases = {
        "bomb": nested, "cut": '{"frames": {"a"', "other": {"name": "a package"}, "lists": {"frames": [], "meta": 3},
        "size": {"frames": good, "meta": {"image": "size.png", "size": {"w": 128, "h": 128}}},
        "gone": {"frames": good, "meta": {"image": "../../gone_too.png"}}, "big": " " * (4 * 2**20 + 1),
    }  # fmt: skip
    (tmp_path / "gone_too.png").write_bytes(png(rgba))
    for name, description in cases.items():
        put(tmp_path / "a" / "s", **{f"{name}__json": description, f"{name}__png": rgba})
    found, dropped = read(tmp_path / "a" / "s")
    assert {name for name in found if not name.startswith("gone")} == {
        f"{name}.png#{n}" for name in cases if name != "gone" for n in (1, 2, 3)
    }
    assert set(found) >= {"gone.png#a"}  # its own name's picture, never one outside
    assert dropped["bomb.json"] == dropped["cut.json"] == "description: not JSON"
    assert dropped["other.json"] == dropped["lists.json"] == "description: no frames"
    assert dropped["big.json"] == "too large: more than 4 MiB"
    assert dropped["size.png"].startswith("description: it is for 128x128")
    assert "leads out of the folder" in dropped["gone.json"]


def test_frames_that_cover_a_picture_again_and_again_end_soon(tmp_path):
    frames = {str(n): frame(0, 0, 64 - n % 8, 64 - n // 8) for n in range(64)}
    _, dropped = read(put(tmp_path / "s", x__png=sheet(size=(64, 64)), x__json={"frames": frames}))
    assert set(dropped.values()) == {"description: its frames cover the picture many times over"}


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["frames", "frame", "meta", "x", "y", "w", "h", "size", "image", "slices", "keys", "bounds", "frameTags", "from", "to", "textures", "name", "sourceSize", "spriteSourceSize"]), inner, max_size=6), max_leaves=40))  # fmt: skip  # noqa: E501
@settings(max_examples=200, deadline=None)
def test_any_json_gives_pages_or_a_reason(data):
    try:
        pages = read_json(json.dumps(data))
        assert all(isinstance(number, int) for page in pages for found in page.frames for number in found.box)
    except Unusable as error:
        assert "\n" not in str(error)


@given(st.lists(st.sampled_from(["a.png", "", "size: 9, 9", "b", " xy: 1, 1", "size: x", "bounds: 1,2,3,4", "rotate: 45", "rotate: 270", "offsets: 1", "index: 3", "orig:", ":"]), max_size=14))  # fmt: skip  # noqa: E501
@settings(max_examples=200, deadline=None)
def test_any_atlas_gives_pages_or_a_reason(lines):
    try:
        assert all(len(found.box) == 4 for page in read_atlas("\n".join(lines)) for found in page.frames)
    except Unusable as error:
        assert "\n" not in str(error)


def test_grid_numbers_in_the_metadata_cut_the_sheet(tmp_path):
    rgba = sheet((3, 3, sprite(1, 16, 16)), (3, 20, sprite(2, 16, 16)), (20, 3, sprite(3, 16, 16)), size=(40, 44))
    grid = {"tile_width": 16, "tile_height": 16, "margin": 3, "spacing": 1}
    rows = [{"file_name": "a.png", "label": "red crab", "licence": "CC0-1.0", "grid": grid}]
    rows += [{"file_name": "b.png", "grid": wrong} for wrong in ([16], {"tile_width": 0, "tile_height": 4}, {"tile": 3})[:1]]
    path = put(tmp_path / "s", a__png=rgba, b__png=rgba, metadata__jsonl="\n".join(map(json.dumps, rows)))
    found, dropped = read(path)
    assert dropped == {"b.png": "metadata: grid takes tile_width, tile_height, margin and spacing"}
    assert set(found) == {"a.png#1", "a.png#2", "a.png#3"}
    assert all(
        found[f"a.png#{n}"].rgba.shape == (16, 16, 4) and same(found[f"a.png#{n}"].rgba, sprite(n, 16, 16)) for n in (1, 2, 3)
    )
    assert found["a.png#2"].label == "red crab" and found["a.png#2"].licence == "CC0-1.0"
    for wrong in (
        {"tile_width": 0, "tile_height": 4},
        {"tile_width": 4, "tile_height": 4, "margin": -1},
        {"tile_width": float("nan")},
    ):
        with pytest.raises(Unusable):
            grid_boxes(wrong, 40, 44)
    with pytest.raises(Unusable, match="more than"):
        grid_boxes({"tile_width": 1, "tile_height": 1}, 4096, 4096)


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
