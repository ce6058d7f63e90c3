"""Reference pictures: roles, style measured against drawings of known style, exchange of colours, and hostile files."""

import io
import json
import struct
import zlib
from dataclasses import fields
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from run_folders import REEF

from data_prep.errors import InputError
from data_prep.palette import Palette
from data_prep.sources import procedural
from data_prep.sprite import Sprite
from data_prep.style import Style, distances, measure, roles_of
from eval.reference import Reference, background, closeness, in_colours_of, read_reference
from eval.transfer import STEPS, along, locked

SPRITES = list(islice(procedural.sprites(3, 16), 24))
# A round body of four shades lit from the upper left, outlined in black, with a white glint.
TONES = Palette("tones", ("000000", "402060", "7040a0", "a070d0", "d0b0f0", "ffffff"))
fast = settings(max_examples=40, deadline=None)


def ball(side: int = 24, outlined: bool = True) -> np.ndarray:
    y, x = np.indices((side, side)) - (side - 1) / 2
    inside = np.hypot(y, x) < side / 2 - 2
    shade = np.clip(np.rint(3.5 - (x + y) / side * 3), 2, 5)
    edge = inside & ~(np.hypot(y, x) < side / 2 - 3)
    grid = np.where(inside, np.where(edge & outlined, 1, shade), 0).astype(np.uint8)
    grid[side // 3, side // 3] = 6
    return grid


def saved(tmp_path, rgba: np.ndarray, name: str = "ref.png", **how):
    mode = "RGB" if name.endswith((".jpg", ".bmp")) else "RGBA"
    Image.fromarray(rgba, "RGBA").convert(mode).save(tmp_path / name, **how)
    return tmp_path / name


def test_roles_of_a_lit_outlined_ball(tmp_path):
    found = read_reference(saved(tmp_path, TONES.rgba[ball()]))
    colours = {role: {found.palette.colours[e - 1] for e in entries} for role, entries in found.roles.items()}
    body, light = {"402060", "7040a0", "a070d0"}, {"d0b0f0", "ffffff"}
    assert colours == {"background": set(), "outline": {"000000"}, "body": body, "light": light}


@pytest.mark.parametrize("scale", [1, 4, 9])
def test_enlarged_pixel_art_on_an_opaque_ground_says_the_same(tmp_path, scale):
    plain = read_reference(saved(tmp_path, TONES.rgba[ball()]))
    rgba = TONES.rgba[ball()].copy()
    rgba[ball() == 0] = (40, 160, 90, 255)
    found = read_reference(saved(tmp_path, rgba.repeat(scale, 0).repeat(scale, 1)))
    assert [found.palette.colours[e - 1] for e in found.roles["background"]] == ["28a05a"]
    assert found.style == plain.style and sum(found.counts) == sum(plain.counts)


def test_pictures_of_any_kind_and_size(tmp_path):
    rng = np.random.default_rng(0)
    smooth = np.clip(np.indices((700, 90)).sum(0)[..., None] * [0.1, 0.13, 0.16] + rng.normal(0, 2, (700, 90, 3)), 0, 255)
    photograph = np.dstack([smooth, np.full((700, 90), 255)]).astype(np.uint8)
    found = read_reference(saved(tmp_path, photograph, "a.jpg"))
    assert 2 <= len(found.palette.colours) <= 63 and found.style.saturation > 0
    assert read_reference(saved(tmp_path, TONES.rgba[ball()], "a.bmp")).style.colours == 5  # the outline is black as the ground
    Image.fromarray(TONES.rgba[ball()], "RGBA").save(
        tmp_path / "a.gif", save_all=True, append_images=[Image.new("RGBA", (24, 24))]
    )
    assert "a070d0" in read_reference(tmp_path / "a.gif").palette.colours
    assert read_reference(saved(tmp_path, REEF.rgba[[[1, 9]]], "tiny.png")).palette.colours == (REEF.colours[0], REEF.colours[8])


def bomb() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


WHOLE = png(Image.fromarray(TONES.rgba[ball()], "RGBA"))


@pytest.mark.parametrize(
    "data, told",
    [
        (b"", "not a picture"),
        (b"<svg/>", "not a picture"),
        (bomb(), "megapixels"),
        (WHOLE[: len(WHOLE) // 2], "broken picture"),
        (png(Image.new("RGBA", (9, 9))), "no opaque pixel"),
        (png(Image.new("RGB", (9, 9))), "nothing but background"),
        (png(Image.new("RGBA", (1, 5000))), "64 times as long as wide"),
    ],
)
def test_hostile_pictures_are_refused_in_one_line(tmp_path, data, told):
    (tmp_path / "bad.png").write_bytes(data)
    with pytest.raises(InputError, match=told) as caught:
        read_reference(tmp_path / "bad.png")
    assert "bad.png" in str(caught.value) and "\n" not in str(caught.value)


@given(st.binary(max_size=200), st.integers(0, len(WHOLE)))
@fast
def test_damaged_bytes_never_raise_anything_else(tmp_path_factory, noise, place):
    file = tmp_path_factory.getbasetemp() / "damaged.png"
    file.write_bytes(WHOLE[:place] + noise + WHOLE[place + len(noise) :])
    try:
        read_reference(file)
    except InputError as error:
        assert "\n" not in str(error)


def test_a_reference_survives_its_json(tmp_path):
    found = read_reference(saved(tmp_path, TONES.rgba[ball()]))
    again = Reference.from_json(found.to_json())
    assert again.to_json() == found.to_json() and again.palette == found.palette and again.roles == found.roles


def as_json(tmp_path) -> dict:
    return json.loads(json.dumps(read_reference(saved(tmp_path, TONES.rgba[ball()])).to_json()))


@pytest.mark.parametrize("key", [field.name for field in fields(Style)])
@pytest.mark.parametrize("value", ["1", True, [], {}, float("nan"), float("inf"), 10**400, None])
def test_a_style_that_is_no_style_is_damaged(tmp_path, key, value):
    told = as_json(tmp_path)
    told["style"][key] = value
    if (key, value) == ("light", None):
        assert Reference.from_json(told).style.light is None
        return
    with pytest.raises(InputError, match=f"style: {key} is .*damaged"):
        Reference.from_json(told)


@pytest.mark.parametrize("change", [{"colours": 0}, {"colours": -3}, {"colours": 2.5}, {"more": 1}, None])
def test_a_style_of_no_colours_or_of_other_keys_is_damaged(tmp_path, change):
    told = as_json(tmp_path)
    style = None if change is None else told["style"] | change
    with pytest.raises(InputError, match=r"style: .*damaged") as caught:
        Style.from_json(style)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("count", [-1, 10**400, float("inf"), float("nan"), "x", None])
def test_a_reference_whose_counts_cannot_be_is_damaged(tmp_path, count):
    told = as_json(tmp_path)
    told["counts"][1] = count
    with pytest.raises(InputError, match=r"reference: .*damaged"):
        Reference.from_json(told)


def test_a_ground_of_another_colour_inside_is_no_background():
    rgba = np.full((12, 12, 4), 255, np.uint8)
    rgba[2:10, 2:10, :3] = (200, 30, 30)
    rgba[5:7, 5:7, :3] = 255  # the ground's colour, but inside
    behind = background(rgba)
    assert behind[0, 0] and not behind[5, 5] and behind.sum() == 144 - 64


# --- style ------------------------------------------------------------------------------------------------------------


def test_style_of_a_lit_ball():
    style = measure(ball(), TONES)
    assert style.outline == 1 and style.outline_darkness > 0.2 and style.colours == 6 and style.dithering < 0.05
    assert abs((style.light - 135 + 180) % 360 - 180) < 15
    flipped = measure(ball()[:, ::-1], TONES)
    assert abs((flipped.light - 45 + 180) % 360 - 180) < 15
    bare = measure(ball(outlined=False), TONES)
    assert bare.outline < 0.2 and distances(style, bare)["outline"] > 0.8


def test_dithering_contrast_and_saturation():
    chequered = np.indices((12, 12)).sum(0) % 2 + 2
    assert measure(chequered.astype(np.uint8), TONES).dithering == 1
    flat = measure(np.full((12, 12), 3, np.uint8), TONES)
    assert flat.contrast == 0 and flat.light is None and flat.dithering == 0
    grey = Palette("grey", ("202020", "808080", "f0f0f0"))
    assert measure(np.resize(np.array([1, 2, 3], np.uint8), (9, 9)), grey).saturation < 0.01
    assert measure(np.zeros((9, 9), np.uint8), TONES) is None


def test_distances_are_0_to_oneself_and_at_most_1():
    styles = [measure(sprite.grid, REEF) for sprite in SPRITES[:8]]
    for a in styles:
        assert set(distances(a, a).values()) == {0.0}
        assert all(0 <= value <= 1 for b in styles for value in distances(a, b).values())


# --- exchange of colours ------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 2**24 - 1), min_size=1, max_size=63, unique=True))
@fast
def test_a_locked_palette_keeps_lightness_in_order_along_ramps(numbers):
    target = Palette("t", tuple(f"{number:06x}" for number in numbers))
    table = locked(REEF, target)
    assert table[0] == 0 and table[1:].min() >= 1 and table.max() < len(target)
    for ramp in REEF.ramps.values():
        lightness = target.oklab[table[list(ramp)] - 1, 0]
        assert all(light >= dark for dark, light in pairwise(lightness.tolist()))


def test_a_palette_that_has_the_very_colours_is_met_exactly():
    shuffled = np.random.default_rng(1).permutation(63)
    target = Palette("shuffled", tuple(REEF.colours[place] for place in shuffled))
    table = locked(REEF, target)
    assert [target.colours[entry - 1] for entry in table[1:]] == list(REEF.colours)


def test_along_finds_the_best_of_all_ways():
    rng = np.random.default_rng(4)
    for _ in range(20):
        wanted, offered = np.sort(rng.random((3, 1)), 0), np.sort(rng.random((4, 1)), 0)

        def cost(places, wanted=wanted, offered=offered):
            got = offered[list(places)]
            return ((got - wanted) ** 2).sum() + STEPS * ((np.diff(got, axis=0) - np.diff(wanted, axis=0)) ** 2).sum()

        ways = [(a, b, c) for a in range(4) for b in range(a, 4) for c in range(b, 4)]
        assert cost(along(wanted, offered)) == pytest.approx(min(map(cost, ways)))


@pytest.mark.parametrize("sprite", SPRITES, ids=lambda sprite: sprite.id[:8])
def test_exchanged_colours_are_the_references_and_shapes_stay(tmp_path, sprite):
    reference = read_reference(saved(tmp_path, TONES.rgba[ball()]))
    drawn = in_colours_of(sprite, reference)
    assert ((drawn.grid > 0) == (sprite.grid > 0)).all()
    pairs = {(int(a), int(b)) for a, b in zip(sprite.grid.ravel(), drawn.grid.ravel(), strict=True)}
    assert len({a for a, _ in pairs}) == len(pairs)  # each colour went to one
    found = closeness(sprite, drawn, reference)
    assert found["palette"]["after"]["drawn_to_reference"] == 0 < found["palette"]["before"]["drawn_to_reference"]
    outline = roles_of(sprite.grid, REEF)["outline"]
    assert {reference.palette.colours[drawn.grid[sprite.grid == entry][0] - 1] for entry in outline} <= {"000000"}


def test_transfer_brings_saturation_nearer_and_leaves_outline_alone(tmp_path):
    grey = Palette("grey", ("101010", "404040", "707070", "a0a0a0", "d0d0d0", "ffffff"))
    reference = read_reference(saved(tmp_path, grey.rgba[ball()]))
    before = [closeness(s, s, reference)["style"]["apart"]["saturation"] for s in SPRITES]
    after = [closeness(s, in_colours_of(s, reference), reference)["style"]["apart"]["saturation"] for s in SPRITES]
    assert max(after) < 0.01 < np.median(before)
    assert measure(in_colours_of(SPRITES[0], reference).grid, reference.palette).dithering == pytest.approx(
        measure(SPRITES[0].grid, REEF).dithering, abs=0.1
    )


def test_an_empty_drawing_is_reported_as_such(tmp_path):
    reference = read_reference(saved(tmp_path, TONES.rgba[ball()]))
    empty = Sprite(np.zeros((8, 8), np.uint8), REEF)
    drawn = in_colours_of(empty, reference)
    assert not drawn.grid.any() and closeness(empty, drawn, reference)["style"]["distance"] is None


def test_hue_is_kept_where_the_nearest_colour_would_be_grey_and_one_hue_goes_by_lightness():
    sparse = Palette(
        "sparse", ("000000", "1d2b53", "7e2553", "008751", "5f574f", "c2c3c7", "fff1e8", "29adff", "83769c", "ffa300")
    )
    table = locked(REEF, sparse)
    assert sparse.colours[table[REEF.ramps["blue"][3]] - 1] == "29adff"
    assert sparse.colours[table[REEF.ramps["orange"][4]] - 1] == "ffa300"
    greens = Palette("greens", ("0f380f", "306230", "8bac0f", "9bbc0f"))
    for ramp in REEF.ramps.values():
        assert sorted(set(locked(REEF, greens)[list(ramp)])) == [1, 2, 3, 4]
