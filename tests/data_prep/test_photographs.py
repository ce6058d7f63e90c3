"""Photographs: known things come back from textured and photographic backgrounds, in a sprite's form; and what is refused."""

import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data_prep import composites, curate, foreground, outline
from data_prep.errors import InputError
from data_prep.sources import photographs, photographs_recovery
from data_prep.sources.packs import Unusable


def scene(width=240, height=200, box=(70, 60, 170, 130), background=(90, 130, 160)) -> Image.Image:
    """A red thing with a yellow half, on plain water."""
    image = Image.new("RGB", (width, height), background)
    image.paste((200, 50, 40), box)
    image.paste((240, 210, 60), (box[0], box[1], (box[0] + box[2]) // 2, box[3]))
    return image


def encoded(image: Image.Image, format="JPEG", **options) -> bytes:
    data = io.BytesIO()
    image.save(data, format, **({"quality": 95} if format == "JPEG" else {}) | options)
    return data.getvalue()


def folder(path, **files: bytes):
    path.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (path / name.replace("__", ".")).write_bytes(data)
    return path


def read(path, size=16, **options):
    dropped = []
    found = list(photographs.pictures(path, size, dropped=lambda name, reason: dropped.append((name, reason)), **options))
    return {picture.name: picture for picture in found}, dict(dropped)


# --- recovery ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recovered():
    return photographs_recovery.measure(seed=1, count=4, size=32)


def test_known_things_come_back_with_a_mean_iou_of_at_least_four_fifths(recovered):
    hard = [one for one in recovered if one.scene.background != composites.EASY]
    assert np.mean([one.mask for one in hard]) >= 0.8
    assert np.mean([one.sprite for one in hard]) >= 0.75  # 32 pixels a side cannot follow a silhouette of 300


def test_the_table_counts_every_composite_and_a_refusal_as_nothing(recovered):
    refused = photographs_recovery.Recovery(recovered[-1].scene, "foreground: none", 0.0, 0.0, None)
    lines = photographs_recovery.table([*recovered[:-1], refused], 1).splitlines()
    assert lines[-1].startswith("| textured and photographic | 16 |") and lines[-1].endswith("| 0.000 | 1 |")
    assert len(lines) == 3 + len(composites.BACKGROUNDS)


def test_a_composite_depends_on_its_place_alone():
    one, again = (composites.composite(3, 4, "gravel") for _ in range(2))
    assert (one.rgb == again.rgb).all() and (one.truth == again.truth).all()
    assert not one.truth[[0, -1]].any() and 0.01 < one.truth.mean() < 0.6


@pytest.mark.parametrize("background", ["gradient", "noise", "gravel"])
def test_a_background_without_a_thing_is_refused(background):
    found = [foreground.find(composites.empty(5, index, background)) for index in range(2)]
    assert all(isinstance(reason, str) and reason.startswith("foreground: ") for reason in found)


# --- sprites ----------------------------------------------------------------------------------------------------------


def test_a_photograph_becomes_a_sprite_that_curation_keeps(tmp_path):
    rows = {
        "file_name": "a.jpg",
        "label": "red box",
        "licence": "CC0-1.0",
        "attribution": "Ann",
        "zone": "twilight",
        "category": "coral",
    }
    path = folder(tmp_path / "p", a__jpg=encoded(scene()), metadata__jsonl=json.dumps(rows).encode())
    for size in (16, 24, 32, 64):
        (picture,) = read(path, size)[0].values()
        assert picture.rgba.shape == (size, size, 4) and set(np.unique(picture.rgba[..., 3])) == {0, 255}
        assert (picture.licence, picture.attribution, picture.label) == ("CC0-1.0", "Ann", "red box")
        assert (picture.tags["zone"], picture.tags["category"]) == ("twilight", "coral")
        opaque = curate.trim(picture.rgba)
        assert opaque.shape[1] == size and abs(opaque.shape[0] - 0.7 * size) <= 1.5  # 100×70 pixels of the photograph
        kept = curate.clean(picture, [16, 24, 32, 64])
        assert not isinstance(kept, str) and kept.caption == "a red box" and (kept.rgba == picture.rgba).all()


def test_no_colour_of_the_background_is_left(tmp_path):
    path = folder(tmp_path, a__jpg=encoded(scene(background=(20, 220, 40)), quality=70))
    (picture,) = read(path, 32)[0].values()
    rgb = picture.rgba[picture.rgba[..., 3] > 0][:, :3].astype(int)
    assert (rgb[:, 1] <= rgb[:, 0] + 10).all()  # reds and yellows, and no green


def test_a_sprite_depends_on_its_file_alone_in_folder_and_zip(tmp_path):
    files = {"a__jpg": encoded(scene()), "b__jpg": encoded(scene(box=(30, 30, 90, 150))), "c__png": encoded(scene(), "PNG")}
    whole, _ = read(folder(tmp_path / "all", **files))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "."), data)
    zipped, _ = read(tmp_path / "all.zip", seed=9)
    alone, _ = read(folder(tmp_path / "one", b__jpg=files["b__jpg"]))
    assert set(whole) == set(zipped) == {"a.jpg", "b.jpg", "c.png"}
    assert all((whole[name].rgba == zipped[name].rgba).all() for name in whole)
    assert (alone["b.jpg"].rgba == whole["b.jpg"].rgba).all()


def test_transparency_of_its_own_is_taken_as_the_cut(tmp_path):
    cut = scene().convert("RGBA")
    cut.putalpha(Image.new("L", cut.size, 0))
    cut.paste((200, 50, 40, 255), (60, 50, 180, 150))
    cut.paste((30, 60, 200, 255), (60, 50, 180, 100))
    (picture,) = read(folder(tmp_path, a__png=encoded(cut, "PNG")), 24)[0].values()
    assert curate.trim(picture.rgba).shape[:2] == (20, 24)


def test_licences_are_filtered_before_anything_is_decoded(tmp_path):
    lines = [{"file_name": "a.jpg", "licence": "CC0-1.0"}, {"file_name": "b.jpg", "licence": "CC-BY-NC-4.0"}]
    metadata = "\n".join(map(json.dumps, lines)).encode()
    path = folder(tmp_path, a__jpg=encoded(scene()), b__jpg=b"broken", c__jpg=b"broken", metadata__jsonl=metadata)
    found, dropped = read(path, licences=["CC0-1.0"])
    assert list(found) == ["a.jpg"]
    assert dropped == {"b.jpg": "licence left out: CC-BY-NC-4.0", "c.jpg": "licence left out: none stated"}


def test_the_fingerprint_follows_the_content(tmp_path):
    path = folder(tmp_path / "p", a__jpg=encoded(scene()))
    before = photographs.fingerprint(path)
    assert before == photographs.fingerprint(path)
    folder(path, a__jpg=encoded(scene(box=(60, 60, 170, 130))))
    assert photographs.fingerprint(path) != before


# --- bad input --------------------------------------------------------------------------------------------------------


def test_every_kind_of_photograph_is_read(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6  # to be shown turned by a quarter
    grey = np.asarray(scene(background=(5, 5, 5)).convert("L"), np.uint16) * 257
    path = folder(
        tmp_path,
        cmyk__jpg=encoded(scene().convert("CMYK")),
        deep__png=encoded(Image.fromarray(grey), "PNG"),
        palette__png=encoded(scene().convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
        turned__jpg=encoded(scene().transpose(Image.Transpose.ROTATE_90), exif=turned),
        moving__webp=encoded(scene(), "WEBP", save_all=True, append_images=[scene(background=(0, 0, 0))]),
    )
    found, dropped = read(path, 32)
    assert set(found) == {"cmyk.jpg", "deep.png", "palette.png", "turned.jpg", "moving.webp"}
    assert dropped == {"moving.webp#2…": "animated: only the first frame is used"}
    for picture in found.values():
        height, width = curate.trim(picture.rgba).shape[:2]
        assert (width, abs(height - 22) <= 1) == (32, True)


def test_a_large_photograph_is_shrunk_while_it_is_read():
    large = scene(2400, 2000, (700, 600, 1700, 1300))
    rgba, _ = photographs.decode(encoded(large))
    assert rgba.shape[:2] == (640, 768)
    assert (photographs.cut_out(rgba, 16)[..., 3] > 0).any()


def test_what_cannot_be_used_has_a_reason_and_loses_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(photographs, "MAX_PIXELS", 200_000)
    monkeypatch.setattr(photographs, "MAX_BYTES", 2**20)
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (200, 240, 3), np.uint8))
    path = folder(
        tmp_path,
        good__jpg=encoded(scene()),
        plain__png=encoded(Image.new("RGB", (200, 200), (9, 90, 120)), "PNG"),
        noise__png=encoded(noise, "PNG"),
        small__png=encoded(scene().resize((24, 20)), "PNG"),
        bomb__png=encoded(Image.new("RGB", (1000, 1000)), "PNG"),
        cut__jpg=encoded(scene())[:900],
        text__jpg=b"<html>",
        huge__jpg=b"\xff\xd8" + bytes(2**20),
        clear__png=encoded(Image.new("RGBA", (200, 200)), "PNG"),
        metadata__jsonl=b"{",
    )
    found, dropped = read(path)
    assert list(found) == ["good.jpg"]
    starts = {
        "plain.png": "foreground: ", "noise.png": "foreground: ", "small.png": "foreground: the picture is under 32",
        "bomb.png": "decompression bomb", "cut.jpg": "broken picture", "text.jpg": "not a picture", "huge.jpg": "too large",
        "clear.png": "foreground: nothing in it is opaque", "metadata.jsonl:1": "metadata: not JSON",
    }  # fmt: skip
    assert dropped.keys() == starts.keys()
    assert all(dropped[name].startswith(start) for name, start in starts.items()), dropped


def test_a_thing_of_fewer_pixels_than_the_sprite_is_refused():
    rgba = np.asarray(scene(200, 200, (80, 80, 120, 120)).convert("RGBA"))
    assert photographs.cut_out(rgba, 32).any()
    with pytest.raises(Unusable, match=r"fewer pixels than a sprite of 64×64; \d+×\d+$"):
        photographs.cut_out(rgba, 64)


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (np.s_[95:100, 95:100], "almost nothing"),
        (np.s_[5:, 5:], "almost all"),
        (np.s_[::3, ::3], "all four sides"),
        (np.s_[20:180:20, 20:180:2], "scattered"),
        (np.s_[50:150, 50:150], "same colours"),
    ],
)
def test_an_implausible_foreground_is_refused_in_words(mask, reason):
    found = np.zeros((200, 200), bool)
    found[mask] = True
    assert reason in foreground.implausible(np.full((200, 200, 3), 128, np.uint8), found)


def test_a_missing_folder_is_an_error_of_one_line(tmp_path):
    with pytest.raises(InputError, match="no such folder or zip"):
        list(photographs.pictures(tmp_path / "none", 16))


@given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"II*\0"]))
def test_whatever_the_bytes_reading_gives_a_reason_and_nothing_else(data, magic):
    with pytest.raises(Unusable):
        photographs.decode(magic + data)


# --- the outline ------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([16, 24, 32, 64]))
def test_whatever_the_mask_a_sprite_is_sharp_has_few_colours_and_no_stray(seed, size):
    dice = np.random.default_rng(seed)
    mask = composites.fractal(dice, 120, 150) > dice.uniform(-1, 1.5)
    rgb = dice.integers(0, 255, (120, 150, 3)).astype(np.uint8)
    if not mask.any():
        return
    drawn = outline.sprite(rgb, mask, size)
    if isinstance(drawn, str):
        return
    opaque = drawn[..., 3] == 255
    assert drawn.shape == (size, size, 4) and (opaque | (drawn == 0).all(-1)).all()
    most = outline.COLOURS[size]
    assert len(np.unique(drawn[opaque], axis=0)) <= most + max(2, most // 3)
    around = sum(np.roll(np.pad(opaque, 1), (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx)[1:-1, 1:-1]
    assert (around[opaque] > 0).all()  # no pixel alone


def test_a_thing_keeps_its_area_and_its_outline_is_dark_all_round():
    yy, xx = np.mgrid[:200, :200]
    mask = (yy - 100) ** 2 + (xx - 100) ** 2 < 80**2
    rgb = np.where(mask[..., None], [240, 230, 220], [0, 90, 0]).astype(np.uint8)
    drawn = outline.sprite(rgb, mask, 32)
    opaque = drawn[..., 3] > 0
    assert abs(opaque.sum() - np.pi * 16**2) < 0.05 * np.pi * 16**2
    edge = outline.outline_of(opaque)
    assert drawn[edge][:, :3].max() < 130 and drawn[opaque & ~edge][:, :3].min() > 200


def test_thin_limbs_are_drawn_without_an_outline_that_would_eat_them():
    cross = np.zeros((20, 20), bool)
    cross[9:11], cross[:, 9:11] = True, True
    assert not outline.outline_of(cross).any()
    assert outline.outline_of(np.ones((20, 20), bool)).sum() == 76
