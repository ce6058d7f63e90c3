"""prepare: whatever lies between them, good sprites come out, and each file that does not has a reason."""

import io
import json
import struct
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from data_prep import grid_text, pairs, reading, sources
from data_prep.curate import trim
from data_prep.errors import InputError
from data_prep.palette import Palette
from data_prep.prepare import PrepareRecipe, prepare
from data_prep.splits import SPLITS

few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def drawing(seed: int, side: int = 12) -> Image.Image:
    """A random shape in two colours, no two alike under flips and shifts."""
    dice = np.random.default_rng(seed)
    rgba = np.zeros((side, side, 4), np.uint8)
    rgba[dice.random((side, side)) < 0.6] = (200, 60, 40, 255)
    rgba[dice.random((side, side)) < 0.1] = (20, 10, 60, 255)
    rgba[0] = 0
    rgba[1, 1], rgba[2, 2] = (200, 60, 40, 255), (20, 10, 60, 255)
    return Image.fromarray(rgba, "RGBA")


def bytes_of(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def png(height: int, width: int, bits: int, rgba: np.ndarray) -> bytes:
    """A PNG by hand, whatever its header says."""
    head = struct.pack(">IIBBBBB", width, height, bits, 6, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in rgba)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


NOT_SPRITES = {  # what none of these can become
    "random": lambda seed: np.random.default_rng(seed).bytes(300),
    "empty": lambda seed: b"",
    "cut": lambda seed: bytes_of(drawing(seed))[: 40 + seed % 30],
    "bomb": lambda seed: png(100_000, 100_000, 8, np.zeros((9, 9), np.uint8)),
    "cmyk": lambda seed: bytes_of(drawing(seed).convert("CMYK"), "JPEG"),  # opaque: a tile
    "16-bit": lambda seed: bytes_of(Image.fromarray(np.full((9, 9), 40_000 + seed % 9, np.uint16))),
    "zip bomb": lambda seed: b"\0" * (17 * 2**20),
}
names = st.text(st.characters(exclude_characters="/\\\0:", exclude_categories=("Cs", "Cc")), min_size=1, max_size=20).filter(
    lambda name: not name.startswith(".") and name.strip()
)


def pack_of(path: Path, good: list[str], bad: list[tuple[str, str, int]], metadata: list[str]) -> list[str]:
    """Writes the zip; returns the names of its bad members."""
    seen = set()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, name in enumerate(good):
            archive.writestr(f"good/{number}/{name}.png", bytes_of(drawing(number)))
        for name, kind, seed in bad:
            if f"bad/{name}.png" not in seen:
                archive.writestr(f"bad/{name}.png", NOT_SPRITES[kind](seed))
                seen.add(f"bad/{name}.png")
        for name in ("../out.png", "/abs.png", "C:\\x.png"):
            archive.writestr(name, bytes_of(drawing(99)))
        archive.writestr("metadata.jsonl", "\n".join(metadata))
    return sorted(seen)


def prepared(source: dict, out: Path, **changes) -> tuple[list[dict], list[dict]]:
    """(rows, dropped) of a corpus of 16 × 16."""
    recipe = {"name": "tiny", "sources": [source], "sizes": [16], "palette": "corpus", "hold_out_bench_subjects": False}
    prepare(PrepareRecipe.from_dict(recipe | changes), out, force=True)
    rows = [row for split in SPLITS for row in pairs.read_rows(out, split)]
    return rows, [json.loads(line) for line in (out / "dropped.jsonl").read_text("utf-8").splitlines()]


@few
@given(
    st.lists(names, min_size=2, max_size=6),
    st.lists(st.tuples(names, st.sampled_from(sorted(NOT_SPRITES)), st.integers(0, 9)), max_size=6, unique_by=lambda bad: bad[0]),
    st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=("Cs",)), min_size=1, max_size=30), max_size=3),
)
def test_no_good_sprite_is_lost_and_every_bad_file_has_a_reason(tmp_path, good, bad, lines):
    rows_of = [json.dumps({"file_name": f"good/{number}/{name}.png", "label": "crab"}) for number, name in enumerate(good)]
    broken = [line for line in lines if line.strip()]
    spoilt = pack_of(tmp_path / "p.zip", good, bad, [*broken, *rows_of, rows_of[0]])
    rows, dropped = prepared({"kind": "packs", "path": str(tmp_path / "p.zip")}, tmp_path / "out")
    assert sorted(int(row["name"].split("/")[2]) for row in rows) == list(range(len(good)))
    assert all(row["caption_full"] == "a crab" for row in rows)
    why = Counter(line["reason"] for line in dropped)
    assert why["its path climbs out of the pack"] == 3 and why["metadata: duplicate name"] == 1
    assert sum(line["id"].startswith("p/metadata.jsonl:") for line in dropped) == len(broken) + 1
    assert sum(line["id"].startswith("p/bad/") for line in dropped) == len(spoilt)
    palette = Palette.from_json(json.loads((tmp_path / "out" / "palette.json").read_text()))
    assert set(palette.colours) == {"c83c28", "140a3c"}  # nothing of the bad ones is in it
    for row in rows:
        drawn = grid_text.read(row["completion"][0]["content"], {"tiny": palette}).rgba()
        there = np.asarray(drawing(int(row["name"].split("/")[2])))
        assert sorted(map(bytes, drawn[drawn[..., 3] > 0])) == sorted(map(bytes, there[there[..., 3] > 0]))


def test_animations_palettes_and_deep_pictures_give_the_sprite_that_they_show(tmp_path):
    """A first frame, a palette with a transparent entry, and two bytes a channel, which Pillow cannot write."""
    first, other = drawing(1), drawing(2)
    indexed = drawing(3).convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
    members = {
        "animated.gif": bytes_of(first, "GIF", save_all=True, append_images=[other], disposal=2),
        "animated.webp": bytes_of(drawing(5), "WEBP", save_all=True, append_images=[other], lossless=True),
        "indexed.png": bytes_of(indexed),
        "deep.png": png(12, 12, 16, np.asarray(drawing(4)).astype(">u2") * 257),
    }
    (tmp_path / "pack").mkdir()
    for name, data in members.items():
        (tmp_path / "pack" / name).write_bytes(data)
    rows, dropped = prepared({"kind": "packs", "path": str(tmp_path / "pack")}, tmp_path / "out")
    assert {row["name"] for row in rows} == {f"pack/{name}" for name in members}
    assert [line["reason"] for line in dropped] == ["animated: only the first frame is used"] * 2
    palette = Palette.from_json(json.loads((tmp_path / "out" / "palette.json").read_text()))
    for name, seed in (("animated.gif", 1), ("animated.webp", 5), ("indexed.png", 3), ("deep.png", 4)):
        (text,) = (row["completion"][0]["content"] for row in rows if row["name"] == f"pack/{name}")
        drawn = grid_text.read(text, {"tiny": palette}).rgba()
        assert (trim(drawn) == trim(np.asarray(drawing(seed)))).all()


@pytest.fixture(params=["sheets", "photographs"])
def other(request, tmp_path) -> str:
    """The kind of a source whose three good files and a broken one lie in the folder `in`."""
    kind = request.param
    if kind == "photographs":
        pytest.importorskip("cv2")
    (tmp_path / "in").mkdir()
    for sheet in range(3):
        picture = Image.new("RGBA", (64, 32) if kind == "sheets" else (256, 256))
        if kind == "sheets":
            for place in range(8):
                picture.paste(drawing(8 * sheet + place), (16 * (place % 4) + 2, 16 * (place // 4) + 2))
        else:
            picture.paste(drawing(sheet).resize((192, 192), Image.Resampling.NEAREST), (32, 32))
        picture.save(tmp_path / "in" / f"crab {'abc'[sheet]}.png")
    (tmp_path / "in" / "broken.png").write_bytes(b"no picture")
    lines = [{"file_name": f"crab {letter}.png", "label": "crab", "licence": "MIT", "attribution": "Ann"} for letter in "abc"]
    (tmp_path / "in" / "metadata.jsonl").write_text("\n".join([*map(json.dumps, lines), "{"]))
    return kind


def test_other_sources_go_the_same_way(tmp_path, other):
    """Their pictures have names, reasons and attribution; the recipe's hash follows the content."""
    rows, dropped = prepared({"kind": other, "path": str(tmp_path / "in")}, tmp_path / "out")
    assert len(rows) == (24 if other == "sheets" else 3)
    assert all(row["name"].startswith("in/crab") and (row["licence"], row["attribution"]) == ("MIT", "Ann") for row in rows)
    assert "in/broken.png" in {line["id"] for line in dropped}
    assert Counter(line["id"] for line in dropped)["in/metadata.jsonl:4"] == 1
    manifest = (tmp_path / "out" / "manifest.json").read_text()
    assert str(tmp_path) not in manifest and ("opencv" in manifest) == (other == "photographs")


def test_other_sources_are_read_in_parts_with_the_same_result(tmp_path, other, monkeypatch):
    """Each file by itself, on two processes, and all of them at once; a fault of the pack is told once."""
    source = {"kind": other, "path": str(tmp_path / "in")}
    whole = prepared(source, tmp_path / "whole")
    monkeypatch.setitem(sources.FILES, other, 1)
    assert len(sources.parts(PrepareRecipe("x", (source,), (16,)), 0)) == 4
    assert prepared(source, tmp_path / "parts", num_proc=2) == whole
    names = ("manifest.json", "README.md", "contact_sheet.png", "dropped.jsonl")
    assert all((tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes() for name in names)


@pytest.mark.parametrize("held_out", [True, False])
def test_the_bench_subjects_and_excluded_words_are_found_in_file_names_too(tmp_path, other, held_out):
    """Whatever the label says: of a frame called 'walk' the sheet may be called 'mario'."""
    for old, new in (("a", "mario"), ("b", "map of")):
        (tmp_path / "in" / f"crab {old}.png").rename(tmp_path / "in" / f"{new} crab.png")
    lines = [{"file_name": f"{name}.png", "label": "crab"} for name in ("mario crab", "map of crab", "crab c")]
    (tmp_path / "in" / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    source, changes = {"kind": other, "path": str(tmp_path / "in")}, {"hold_out_bench_subjects": held_out}
    rows, dropped = prepared(source, tmp_path / "out", exclude_labels=["map"], **changes)
    left = {row["name"].partition("#")[0] for row in rows}
    assert left == {"in/crab c.png"} | (set() if held_out else {"in/mario crab.png"})
    why = Counter(line["reason"] for line in dropped)
    assert why["label left out: map"] == (8 if other == "sheets" else 1)
    assert bool(why["subject of Pixel Art Bench: mario"]) == held_out


def test_what_is_of_one_file_alone_is_no_reason_of_its_own(tmp_path):
    """Frames of ten animations are one row of the card; which animation each is of stands in dropped.jsonl."""
    (tmp_path / "in").mkdir()
    for sheet in range(10):
        picture = Image.new("RGBA", (32, 16))
        picture.paste(drawing(sheet), (2, 2))
        picture.paste(drawing(sheet), (18, 2))
        picture.save(tmp_path / "in" / f"crab {'abcdefghij'[sheet]}.png")
    _, dropped = prepared({"kind": "sheets", "path": str(tmp_path / "in")}, tmp_path / "out")
    assert all(
        line == {"id": line["id"], "reason": "animation frame", "detail": f"of {line['id'][:-1][3:]}1"} for line in dropped
    )
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["dropped"] == {"animation frame": 10}


def test_a_sheet_of_one_cell_shows_many_of_its_sprites(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(60):
        drawing(number).save(tmp_path / "in" / f"crab {'abcdefgh'[number % 8]}{'abcdefgh'[number // 8]}.png")
    rows, _ = prepared({"kind": "packs", "path": str(tmp_path / "in")}, tmp_path / "out")
    with Image.open(tmp_path / "out" / "contact_sheet.png") as sheet:
        background = np.array(sheet.getpixel((0, 0)))
        reds = (np.asarray(sheet) == (200, 60, 40)).all(-1).sum()
    shown = reds / (sum((np.asarray(drawing(n))[..., 0] == 200).sum() for n in range(60)) / 60 * 16)
    assert len(rows) == 60 and shown == pytest.approx(60, abs=1) and background.max() < 100


def test_a_palette_without_a_name_is_told_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "read", None)
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError, match="no name for a palette"):
        prepared({"kind": "packs", "path": str(tmp_path / "in")}, tmp_path / "out", name="my sprites")


def test_of_several_licences_of_a_sheet_the_recipes_is_taken(tmp_path):
    (tmp_path / "in").mkdir()
    picture = Image.new("RGBA", (64, 32))
    for place in range(8):
        picture.paste(drawing(place), (16 * (place % 4) + 2, 16 * (place // 4) + 2))
    picture.save(tmp_path / "in" / "crabs.png")
    page = "<div class='field-name-field-art-licenses'>CC-BY 3.0, GPL 2.0</div>"
    (tmp_path / "in" / "page.html").write_text(page)
    rows, _ = prepared({"kind": "sheets", "path": str(tmp_path / "in")}, tmp_path / "out", licences=["GPL-2.0"])
    assert {row["licence"] for row in rows} == {"GPL-2.0"} and len(rows) == 8
