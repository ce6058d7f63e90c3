"""Sprite sheets with a description: Aseprite, TexturePacker, libGDX and grid numbers, and faulty ones."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_sheets import BLUE, CLEAR, DARK, RED, frame, png, put, read, same, sheet, sprite

from data_prep.sources.packs import Unusable
from data_prep.sources.sheet_descriptions import grid_boxes, read_atlas, read_json


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
    slices.append({"name": "", "keys": [{"frame": 0, "bounds": {"x": 16, "y": 0, "w": 8, "h": 10}}]})
    path = put(tmp_path / "s", tagged__png=rgba, canvas__png=rgba)
    put(path, tagged__json={"frames": frames, "meta": {"image": "tagged.png", "frameTags": tags, "slices": slices}})
    put(path, canvas__json={"frames": {"a": frame(0, 0, 64, 64)}, "meta": {"image": "canvas.png", "slices": slices}})
    found, dropped = read(path)
    tagged, canvas = {"tagged.png#reef 0.aseprite", "tagged.png#reef 2.aseprite"}, {"left half", "low", "slice 4"}
    assert set(found) == tagged | {f"canvas.png#{name}" for name in canvas}
    first = found["tagged.png#reef 0.aseprite"]
    assert first.rgba.shape == (16, 16, 4) and (first.rgba[2:12, 3:11] == crab).all() and first.label == "reef"
    assert same(found["canvas.png#low"].rgba, sprite(4)) and found["canvas.png#left half"].rgba.shape == (16, 16, 4)
    assert dropped == {
        "tagged.png#reef 1.aseprite": "animation frame; of tagged.png#reef 0.aseprite",
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
        "the same place as an earlier frame; crab": ("again",),
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
    assert dropped["size.png"].endswith("; for 128x128, the picture has 64x64")
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
