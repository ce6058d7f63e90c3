"""Packs: the imagefolder convention from folders and zips, and input that was made to hurt."""

import io
import json
import struct
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data_prep.errors import InputError
from data_prep.sources import packs


def png(mode="RGBA", size=(8, 8), **options) -> bytes:
    data = io.BytesIO()
    image = Image.new("RGBA", size)
    image.paste((200, 30, 30, 255), (1, 1, 6, 5))
    image.putpixel((2, 2), (30, 30, 200, 255))
    image.convert(mode).save(data, options.pop("format", "PNG"), **options)
    return data.getvalue()


def make_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def read(path, **options):
    dropped = []
    found = list(packs.pictures(path, dropped=lambda name, reason: dropped.append((name, reason)), **options))
    return {picture.name: picture for picture in found}, dict(dropped)


def lines(*rows) -> str:
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)


ROW = {"label": "blue crab", "source": "mine", "licence": "CC0-1.0", "attribution": "Ann", "marine_group": "grazer"}


def test_folder_and_zip_give_the_same_pictures(tmp_path):
    members = [("sea/a.png", png()), ("b_fish_02.png", png("P")), ("LICENSES/x.txt", b"free"), (".hidden.png", b"no")]
    members.append(("metadata.jsonl", lines(ROW | {"file_name": "sea/a.png"})))
    for name, data in members:
        (tmp_path / "pack" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pack" / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    folder, zipped = read(tmp_path / "pack"), read(make_zip(tmp_path / "pack.zip", members))
    assert folder[1] == zipped[1] == {}
    assert list(folder[0]) == list(zipped[0])
    crab, fish = zipped[0]["sea/a.png"], zipped[0]["b_fish_02.png"]
    assert (crab.label, crab.source, crab.licence, crab.attribution) == ("blue crab", "mine", "CC0-1.0", "Ann")
    assert crab.tags["category"] == "grazer" and crab.rgba.shape == (8, 8, 4)
    assert (fish.label, fish.source, fish.licence) == ("b fish", "pack", "")
    assert (crab.rgba == folder[0]["sea/a.png"].rgba).all()


def test_licences_and_sources_are_filtered_with_a_reason(tmp_path):
    rows = [{"file_name": "a.png"}, {"file_name": "b.png", "licence": "GPL-3.0"}, {"file_name": "c.png", "source": "s"}]
    rows = [ROW | row for row in rows]
    members = [(f"{name}.png", png()) for name in "abcd"]
    path = make_zip(tmp_path / "p.zip", [*members, ("metadata.jsonl", lines(*rows))])
    found, dropped = read(path, licences=["CC0-1.0"], exclude_sources=["s"])
    assert list(found) == ["a.png"]
    assert dropped == {
        "b.png": "licence left out: GPL-3.0",
        "c.png": "source left out: s",
        "d.png": "licence left out: none stated",
    }


def test_broken_metadata_is_reported_and_loses_no_picture(tmp_path):
    rows = ["{not json", "[1]", "[" * 100_000, {"file_name": 3}, {"file_name": "gone.png"}, {"file_name": "../../etc/x.png"}]
    rows += ["", ROW | {"file_name": "a.png", "label": 7}, {"file_name": "./a.png"}]
    rows += ['{"file_name": "b.png", "label": "\\ud800 ray"}']
    path = make_zip(tmp_path / "p.zip", [("a.png", png()), ("b.png", png()), ("metadata.jsonl", lines(*rows))])
    found, dropped = read(path)
    assert sorted(found) == ["a.png", "b.png"]
    assert (found["a.png"].label, found["b.png"].label) == ("a", "ray")
    assert dropped == {
        "metadata.jsonl:1": "metadata: not JSON",
        "metadata.jsonl:2": "metadata: no object with a file_name",
        "metadata.jsonl:3": "metadata: not JSON",
        "metadata.jsonl:4": "metadata: no object with a file_name",
        "metadata.jsonl:5": "metadata: no such picture in the pack",
        "metadata.jsonl:6": "metadata: its path climbs out of the pack",
        "metadata.jsonl:9": "metadata: duplicate name",
    }


def bomb_png() -> bytes:
    """A valid header of 60,000 × 60,000 pixels with next to no data."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_files_each_have_a_reason_and_stop_nothing(tmp_path):
    members = [
        ("good.png", png()),
        ("cut.png", png()[:-30]),
        ("text.png", b"hello"),
        ("empty.png", b""),
        ("bomb.png", bomb_png()),
        ("wide.png", png(size=(4096, 1025))),
        ("../../out.png", png()),
        ("/etc/out.png", png()),
        ("C:\\out.png", png()),
        ("heavy.png", b"\0" * (packs.MAX_BYTES + 1)),
        ("good.png", png()),
        ("script.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
    ]
    found, dropped = read(make_zip(tmp_path / "p.zip", members))
    assert list(found) == ["good.png"]
    climbs, bomb = "its path climbs out of the pack", f"decompression bomb: more than {packs.MAX_PIXELS} pixels"
    assert dropped.pop("cut.png").startswith("broken picture")
    assert dropped == {
        "text.png": "not a picture: no known format",
        "empty.png": "not a picture: no known format",
        "script.png": "not a picture: no known format",
        "bomb.png": bomb,
        "wide.png": bomb,
        "../../out.png": climbs,
        "/etc/out.png": climbs,
        "C:\\out.png": climbs,
        "heavy.png": "too large: more than 16 MiB",
        "good.png": "duplicate name",
    }
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["p.zip"]  # nothing was extracted


def test_a_damaged_member_is_reported(tmp_path):
    path = make_zip(tmp_path / "p.zip", [("a.png", png()), ("b.png", png())])
    data = bytearray(path.read_bytes())
    data[45:60] = b"\xff" * 15  # inside the first member's packed bytes
    path.write_bytes(data)
    found, dropped = read(path)
    assert list(found) == ["b.png"] and dropped["a.png"].startswith("broken zip member")


@pytest.mark.parametrize("seed", range(40))
def test_no_bytes_raise_anything_but_unusable(seed):
    rng = np.random.default_rng(seed)
    data = bytearray(png(["RGBA", "P", "LA", "1"][seed % 4], format="PNG"))
    for place in rng.integers(8, len(data), 4):
        data[place] = rng.integers(256)
    try:
        rgba, _ = packs.decode(bytes(data))
        assert rgba.dtype == np.uint8 and rgba.shape[2] == 4
    except packs.Unusable as error:
        assert "\n" not in str(error)


def test_odd_modes_become_rgba(tmp_path):
    frames = [Image.new("RGBA", (8, 8), colour) for colour in ("red", "blue")]
    animated = io.BytesIO()
    frames[0].save(animated, "GIF", save_all=True, append_images=frames[1:])
    deep = io.BytesIO()
    Image.fromarray(np.array([[0, 32768], [65535, 257]], np.uint16)).save(deep, "PNG")
    keyed = Image.new("P", (8, 8), 1)
    keyed.putpalette([0, 0, 0, 255, 0, 0])
    keyed.putpixel((0, 0), 0)
    transparent = io.BytesIO()
    keyed.save(transparent, "PNG", transparency=0)
    rgba, more = packs.decode(animated.getvalue())
    assert more and rgba[0, 0].tolist() == [255, 0, 0, 255]
    assert packs.decode(deep.getvalue())[0][..., 0].tolist() == [[0, 127], [255, 1]]
    assert packs.decode(transparent.getvalue())[0][0, :2].tolist() == [[0, 0, 0, 0], [255, 0, 0, 255]]
    assert packs.decode(png("CMYK", format="JPEG"))[0].shape == (8, 8, 4)
    assert packs.decode(png("LA"))[0].shape == packs.decode(png("1"))[0].shape == (8, 8, 4)
    found, dropped = read(make_zip(tmp_path / "p.zip", [("a.gif", animated.getvalue())]))
    assert list(found) == ["a.gif"] and dropped == {"a.gif#2…": "animated: only the first frame is used"}


def test_links_out_of_a_folder_are_not_followed(tmp_path):
    (tmp_path / "secret.png").write_bytes(png())
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "a.png").write_bytes(png())
    (pack / "b.png").symlink_to(tmp_path / "secret.png")
    (pack / "c.png").symlink_to(tmp_path / "nowhere")
    found, dropped = read(pack)
    assert list(found) == ["a.png"]
    assert dropped == {"b.png": "a link that leads out of the pack", "c.png": "a link that leads nowhere"}


def test_names_in_any_script_and_labels_from_names(tmp_path):
    names = ["クラゲ_2.png", "sea/рыба.png", "crab/0001.png", "abjuration_d2241ebc.png", "-.png"]
    found, dropped = read(make_zip(tmp_path / "p.zip", [(name, png()) for name in names]))
    assert not dropped
    assert [found[name].label for name in names[1:]] == ["рыба", "crab", "abjuration", ""]
    assert found[names[0]].label.startswith("クラゲ")


def test_order_comes_from_the_seed_and_missing_paths_are_named(tmp_path):
    path = make_zip(tmp_path / "p.zip", [(f"{index:02}.png", png()) for index in range(20)])
    assert list(read(path)[0]) == list(read(path)[0]) != list(read(path, seed=2)[0])
    (tmp_path / "no.zip").write_text("not a zip")
    for wrong, words in (("gone", "no such folder or zip"), ("no.zip", "neither a folder nor a zip")):
        with pytest.raises(InputError, match=words) as error:
            list(packs.pictures(tmp_path / wrong))
        assert "\n" not in str(error.value)


def test_fingerprints_follow_the_content(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(png())
    first = packs.fingerprint(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    assert packs.fingerprint(tmp_path / "b") == first
    (tmp_path / "b" / "x.png").write_bytes(png("P"))
    assert packs.fingerprint(tmp_path / "b") != first


@given(st.lists(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=210), max_size=4, unique=True))
def test_no_two_pictures_are_called_alike(names):
    """A name is one line without a template's marks, and a clean one is kept as it is."""
    names = {*names, "a|b.png", "a b.png", "x" * 201, "x" * 202, "a\u2028b"}
    found = [packs.called(name) for name in names]
    assert len(set(found)) == len(names)
    assert all(len(name.splitlines()) == 1 and not set(name) & set("<>|") for name in found)
    assert packs.called("sea/海月_02.png") == "sea/海月_02.png"


def test_an_entry_without_a_name_is_passed_over(tmp_path):
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo(""), b"x")
        archive.writestr("a.png", b"x")
    with zipfile.ZipFile(tmp_path / "p.zip") as archive:
        assert packs.zip_pack(archive, lambda name, reason: None).names == ["a.png"]
