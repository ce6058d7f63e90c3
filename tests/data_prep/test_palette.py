"""Palettes: reef64's shape, OKLab against published values, quantising, files that load, corpus palettes."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from data_prep import palette as palettes
from data_prep.errors import InputError
from data_prep.palette import Palette, corpus_palette, load, named, oklab, oklab_to_linear, oklab_to_rgb, quantise

RAMPS = ["neutral", "brown", "red", "orange", "yellow", "green", "teal", "blue", "purple"]
SMALL = Palette("small", ("000000", "ffffff", "ff0000", "00ff00", "0000ff"))
# sRGB primaries in OKLab, from Ottosson's article and the CSS Color 4 sample code, to four digits.
REFERENCE = {
    "ffffff": (1.0, 0.0, 0.0),
    "000000": (0.0, 0.0, 0.0),
    "ff0000": (0.6280, 0.2249, 0.1258),
    "00ff00": (0.8664, -0.2339, 0.1795),
    "0000ff": (0.4520, -0.0325, -0.3115),
    "808080": (0.5999, 0.0, 0.0),
}
fast = settings(max_examples=25, deadline=None)
pictures = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(4)))


def rgb_of(*colours: str) -> np.ndarray:
    return np.array([list(bytes.fromhex(colour)) for colour in colours], np.uint8)


def refusal(path) -> str:
    """The one line that `load` gives for a bad file; it names the file."""
    with pytest.raises(InputError) as caught:
        load(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


# reef64


def test_reef64_has_nine_named_ramps_of_seven():
    reef = named("reef64")
    assert len(reef) == 64 and len(set(reef.colours)) == 63
    assert list(reef.ramps) == RAMPS
    assert [entry for ramp in reef.ramps.values() for entry in ramp] == list(range(1, 64))
    assert {len(ramp) for ramp in reef.ramps.values()} == {7}


@pytest.mark.parametrize("ramp", RAMPS)
def test_reef64_ramps_are_even_in_lightness(ramp):
    reef = named("reef64")
    lightness = reef.oklab[np.array(reef.ramps[ramp]) - 1, 0]
    steps = np.diff(lightness)
    assert (steps > 0.08).all()
    assert np.abs(steps - steps.mean()).max() < 0.005  # 8-bit rounding


def test_reef64_hues_deserve_their_names():
    reef = named("reef64")
    a, b = reef.oklab[:, 1].reshape(9, 7), reef.oklab[:, 2].reshape(9, 7)
    chroma, hue = np.hypot(a, b), np.rad2deg(np.arctan2(b, a)[:, 3]) % 360
    assert chroma[0].max() < 0.02 and chroma[1].max() < 0.09 and chroma[2:, 3].min() > 0.09
    assert list(np.argsort(hue[2:])) == list(range(7))  # red to purple, once around the wheel
    assert chroma[1:, 0].min() > 0.015 and chroma[1:, 6].min() > 0.015  # no end is black or white


def test_reef64_hash_is_that_of_its_colours():
    reef = named("reef64")
    written = json.loads((palettes.PALETTE_FOLDER / "reef64.json").read_text("utf-8"))
    assert written == reef.to_json() and written["hash"] == reef.hash
    assert Palette("other", reef.colours).hash == reef.hash
    assert Palette("reef64", reef.colours[::-1]).hash != reef.hash


def test_an_edited_palette_is_refused():
    data = named("reef64").to_json()
    data["colours"][0] = "010203"
    with pytest.raises(InputError, match="hash"):
        Palette.from_json(data)


def test_unknown_name_lists_the_known():
    with pytest.raises(InputError, match="reef64"):
        named("sweetie16")


# Palette


@pytest.mark.parametrize("colours", [(), ("FF0000",), ("ff00",), ("ff0000\n",), tuple(f"{k:06x}" for k in range(64))])
def test_bad_palettes_are_refused(colours):
    with pytest.raises(InputError):
        Palette("p", colours)


@pytest.mark.parametrize(
    "data",
    [None, [], {}, {"name": "p"}, {"name": 5, "colours": ["ff0000"]}, {"name": "p", "colours": [5]}]
    + [{"name": "p", "colours": ["ff0000"], "ramps": ramps} for ramps in ([[1]], {"red": 1}, {"red": [0]}, {"red": [2]})],
)
def test_bad_json_is_an_input_error(data):
    with pytest.raises(InputError):
        Palette.from_json(data)


def test_json_round_trip_keeps_ramps():
    again = Palette.from_json(json.loads(json.dumps(named("reef64").to_json())))
    assert again == named("reef64") and again.ramps == named("reef64").ramps


def test_shared_tables_are_read_only():
    for table in (SMALL.rgba, SMALL.oklab):
        with pytest.raises(ValueError):
            table[0] = 1
    assert SMALL.rgba[0].tolist() == [0, 0, 0, 0] and SMALL.rgba[3].tolist() == [255, 0, 0, 255]


# OKLab


@pytest.mark.parametrize("colour", REFERENCE)
def test_oklab_reference_values(colour):
    np.testing.assert_allclose(oklab(rgb_of(colour))[0], REFERENCE[colour], atol=1e-4)


def test_oklab_round_trip():
    levels = np.arange(0, 256, 15)
    rgb = np.stack(np.meshgrid(levels, levels, levels), axis=-1).astype(np.uint8)
    assert (oklab_to_rgb(oklab(rgb)) == rgb).all()
    assert np.ptp(oklab_to_linear(oklab(rgb))) < 1.0001


def test_out_of_gamut_is_clipped_to_a_colour():
    assert oklab_to_rgb(np.array([0.6, 0.4, 0.2])).tolist()[0] == 255
    assert oklab_to_linear(np.array([0.6, 0.4, 0.2])).max() > 1


# quantise


def test_quantise_is_exact_on_palette_colours():
    reef = named("reef64")
    grid = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert (quantise(reef.rgba[grid], reef) == grid).all()


def test_quantise_threshold():
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[..., 3] = [0, 127, 128]
    assert quantise(rgba, SMALL).tolist() == [[0, 0, 1]]
    assert quantise(rgba, SMALL, alpha_threshold=1).tolist() == [[0, 1, 1]]


@fast
@given(pictures)
def test_quantise_takes_the_nearest_entry(rgba):
    grid = quantise(rgba, SMALL, alpha_threshold=0)
    assert grid.dtype == np.uint8 and grid.shape == rgba.shape[:2]
    distance = ((oklab(rgba[..., :3])[..., None, :] - SMALL.oklab) ** 2).sum(-1)
    chosen = np.take_along_axis(distance, grid[..., None].astype(int) - 1, -1)[..., 0]
    np.testing.assert_allclose(chosen, distance.min(-1), atol=1e-6)


@fast
@given(pictures, st.integers(1, 8))
def test_a_pixel_does_not_depend_on_its_batch(rgba, cut):
    whole, reef = quantise(rgba, named("reef64")), named("reef64")
    assert (np.concatenate([quantise(rgba[:cut], reef), quantise(rgba[cut:], reef)]) == whole).all()
    assert (quantise(np.stack([rgba, rgba[::-1]]), reef)[0] == whole).all()


def test_a_colour_does_not_depend_on_its_chunk(monkeypatch):
    rgba = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 4), dtype=np.uint8)
    whole = quantise(rgba, named("reef64"))
    monkeypatch.setattr(palettes, "_CHUNK", 7)
    assert (quantise(rgba, named("reef64")) == whole).all()


def test_quantise_leaves_its_picture_alone():
    rgba = np.full((2, 2, 4), 200, np.uint8)
    rgba.flags.writeable = False
    assert quantise(rgba[:, ::-1], SMALL).shape == (2, 2)


# files


def test_gpl_loads(tmp_path):
    path = tmp_path / "My Sea!.gpl"
    path.write_text("GIMP Palette\nName: x\nColumns: 4\n# c\n\n  0 128 255\tsky\n255 0 0\n0 128 255 again\n", "utf-8")
    assert load(path) == Palette("my-sea", ("0080ff", "ff0000"))


def test_gpl_with_alpha_drops_the_transparent_entry(tmp_path):
    path = tmp_path / "a.GPL"
    path.write_text("GIMP Palette\nChannels: RGBA\n#\n0 0 0 0 Untitled\n1 2 3 255 Untitled\n", "utf-8")
    assert load(path).colours == ("010203",)
    path.write_text("GIMP Palette\n0 0 0 0 is a name\n", "utf-8")
    assert load(path).colours == ("000000",)


@pytest.mark.parametrize("text", ["", "0 0 0\n", "GIMP Palette\n", "GIMP Palette\n256 0 0\n", "GIMP Palette\n12 blue\n"])
def test_bad_gpl(tmp_path, text):
    path = tmp_path / "bad.gpl"
    path.write_text(text, "utf-8")
    refusal(path)


def test_gpl_names_the_line(tmp_path):
    path = tmp_path / "bad.gpl"
    path.write_text("GIMP Palette\n1 2 3\n1 2 blue\n", "utf-8")
    assert "line 3" in refusal(path)


def test_hex_loads(tmp_path):
    path = tmp_path / "p.hex"
    path.write_bytes("\ufeff87CEEB\r\n#ff0000\r\n\r\n87ceeb\r\n".encode())
    assert load(path) == Palette("p", ("87ceeb", "ff0000"))


@pytest.mark.parametrize("data", [b"", b"red\n", b"\xff\xfe\x00", b"".join(b"%06x\n" % k for k in range(64))])
def test_bad_hex(tmp_path, data):
    path = tmp_path / "p.hex"
    path.write_bytes(data)
    refusal(path)


def test_json_loads_and_fails_by_file_name(tmp_path):
    path = tmp_path / "p.json"
    path.write_text(json.dumps(named("reef64").to_json()), "utf-8")
    assert load(path) == named("reef64") == load("reef64")
    for text in ("{", "[]", "5", '{"name":"p"}', '{"name":"p","colours":["ff0000"],"hash":"0"}'):
        path.write_text(text, "utf-8")
        refusal(path)


def indexed(path, transparency=None):
    """A 4×2 picture that uses entries 0 to 3 of 5; entry 3 repeats entry 1."""
    image = Image.new("P", (4, 2))
    image.putpalette([255, 0, 255, 255, 0, 0, 0, 255, 0, 255, 0, 0, 9, 9, 9])
    image.putdata([0, 1, 2, 3, 3, 2, 1, 0])
    image.save(path, **({} if transparency is None else {"transparency": transparency}))
    return path


@pytest.mark.parametrize("transparency", [0, bytes([0, 255, 255, 255])])
def test_png_drops_transparent_entry_duplicates_and_unused(tmp_path, transparency):
    assert load(indexed(tmp_path / "p.png", transparency)) == Palette("p", ("ff0000", "00ff00"))


def test_png_without_transparency(tmp_path):
    assert load(indexed(tmp_path / "p.png")).colours == ("ff00ff", "ff0000", "00ff00")


def test_bad_png(tmp_path):
    path = tmp_path / "p.png"
    Image.new("RGBA", (4, 4)).save(path)
    assert "indexed" in refusal(path)
    path.write_bytes(indexed(tmp_path / "q.png").read_bytes()[:60])
    refusal(path)
    path.write_bytes(b"no picture")
    refusal(path)
    refusal(tmp_path / "missing.png")


def test_a_file_may_not_pose_as_a_shipped_palette(tmp_path):
    path = tmp_path / "reef64.hex"
    path.write_text("ff0000\n", "utf-8")
    assert "rename" in refusal(path)
    path.write_text("\n".join(named("reef64").colours), "utf-8")
    assert load(path) == named("reef64")


def test_another_suffix_is_an_unknown_name():
    with pytest.raises(InputError, match="unknown"):
        load("palette.ase")


# corpus palettes


@fast
@given(st.dictionaries(st.integers(0, 2**24 - 1).map("{:06x}".format), st.integers(1, 99), min_size=1, max_size=63))
def test_corpus_palette_is_exact_up_to_63(counts):
    palette = corpus_palette(counts, "mine")
    assert sorted(palette.colours) == sorted(counts)
    assert (np.diff(palette.oklab[:, 0]) >= 0).all()
    assert corpus_palette(dict(reversed(counts.items())), "mine") == palette


def test_corpus_palette_clusters_beyond_63():
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (400, 3), dtype=np.uint8)
    counts = {row.tobytes().hex(): int(n) for row, n in zip(rgb, rng.integers(1, 50, 400), strict=True)}
    palette = corpus_palette(counts, "many")
    assert 55 <= len(palette.colours) <= 63 and len(set(palette.colours)) == len(palette.colours)
    assert corpus_palette(dict(reversed(counts.items())), "many") == palette
    colours = rgb_of(*counts)
    grid = quantise(np.dstack([colours[None], np.full((1, 400, 1), 255, np.uint8)]), palette)
    assert np.linalg.norm(palette.oklab[grid[0] - 1] - oklab(colours), axis=-1).mean() < 0.07


def test_corpus_palette_of_nothing():
    with pytest.raises(InputError, match="opaque"):
        corpus_palette({}, "mine")
