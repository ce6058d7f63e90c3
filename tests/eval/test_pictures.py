"""Files of sprites: text chunks, JSON grids and GIFs come back exactly as they were written."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from run_folders import REEF, blob

from data_prep.errors import InputError
from data_prep.grid_text import read
from data_prep.palette import Palette
from data_prep.sprite import Sprite
from eval import pictures
from eval.breed import write_steps
from eval.pictures import enlarged_by, read_drawn, read_picture, read_png, unscaled, write_gif, write_grid, write_png
from eval.postprocess.breeder import Member
from eval.shade import read_drawing

SMALL = Palette("small", ("ff0000", "00ff00", "0000ff"))


def frames_of(file) -> list[np.ndarray]:
    with Image.open(file) as image:
        return [np.array((image.seek(index), image.convert("RGBA"))[1]) for index in range(image.n_frames)]


@pytest.mark.parametrize("palette", [SMALL, REEF, Palette("one", ("123456",)), Palette("five", REEF.colours[10:15])])
def test_gifs_keep_colours_and_transparency_exactly(tmp_path, palette):
    rng = np.random.default_rng(1)
    grids = [rng.integers(0, len(palette), (9, 7)).astype(np.uint8) for _ in range(6)]
    grids.insert(3, np.zeros((9, 7), np.uint8))
    write_gif(tmp_path / "a.gif", grids, palette, 3, 80)
    for grid, frame in zip([grid for grid in grids if grid.any()], frames_of(tmp_path / "a.gif"), strict=True):
        expected = palette.rgba[grid].repeat(3, 0).repeat(3, 1)
        shown = expected[..., 3] > 0
        assert ((frame[..., 3] > 0) == shown).all() and (frame[shown] == expected[shown]).all()


def test_breeding_steps_show_each_member_exactly(tmp_path):
    rng = np.random.default_rng(6)
    members = [Member(f"0-{number}", 0, "founder", (), blob(rng), 0, number) for number in range(4)]
    write_steps(tmp_path / "steps.gif", members)
    for member, frame in zip(members, frames_of(tmp_path / "steps.gif"), strict=True):
        expected = member.sprite.rgba().repeat(16, 0).repeat(16, 1)
        shown = expected[..., 3] > 0
        assert ((frame[..., 3] > 0) == shown).all() and (frame[shown] == expected[shown]).all()


@given(st.text(max_size=80), st.dictionaries(st.from_regex(r"[a-z_]{1,20}", fullmatch=True), st.text(max_size=80), max_size=4))
@settings(max_examples=100, deadline=None)
def test_any_text_can_be_stored_and_the_rest_of_the_file_stays_whole(caption, how):
    how = {key: value for key, value in how.items() if key not in ("caption", "scale", "generator", "palette_hash")}
    file = io.BytesIO()
    write_png(file, Sprite(np.eye(4, dtype=np.uint8), SMALL, caption), 2, how)
    with Image.open(file) as image:
        assert (np.array(image) == np.eye(4).repeat(2, 0).repeat(2, 1)).all()
        for key, value in (how | {"caption": caption, "palette_hash": SMALL.hash}).items():
            assert image.info[key] == value.replace("\0", "\ufffd")


def test_json_grids_name_shipped_palettes_and_spell_out_others(tmp_path):
    for palette in (REEF, SMALL, Palette("reef64", SMALL.colours)):
        grid = np.resize(np.arange(len(palette), dtype=np.uint8), (8, 9))
        write_grid(tmp_path / "a.json", Sprite(grid, palette))
        text = (tmp_path / "a.json").read_text("utf-8").rstrip("\n")
        drawing = read(text)
        assert (drawing.grid == grid).all() and drawing.palette.colours == palette.colours
        assert text.startswith('{"palette":"reef64"') == (palette is REEF)
    with pytest.raises(InputError, match="2 to 63 colours"):
        write_grid(tmp_path / "b.json", Sprite(np.zeros((4, 4), np.uint8), Palette("one", ("000000",))))


def test_endless_huge_and_unnameable_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_FILE_BYTES", 1000)
    (tmp_path / "big.png").write_bytes(b"x" * 1001)
    for file, told in ((tmp_path / "big.png", "MiB"), (tmp_path, "cannot be read"), (tmp_path / "a\0b", "cannot be read")):
        with pytest.raises(InputError, match=told):
            read_picture(file)


def test_long_text_chunks_are_read_and_those_that_unpack_beyond_all_measure_are_an_input_error(tmp_path):
    write_png(tmp_path / "a.png", Sprite(np.zeros((4, 4), np.uint8), SMALL), 1, {"note": "x" * 2_000_000})
    assert read_picture(tmp_path / "a.png").said["note"] == "x" * 2_000_000
    packed = PngInfo()
    packed.add_itxt("note", "x" * 2_000_000, zip=True)  # 2 kB in the file
    Image.new("P", (4, 4)).save(tmp_path / "b.png", pnginfo=packed)
    with pytest.raises(InputError, match=r"b\.png: broken picture: ValueError"):
        read_picture(tmp_path / "b.png")


def test_pictures_beyond_the_limit_are_refused_by_their_head(tmp_path):
    Image.new("1", (3000, 3000)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="at most 4 megapixels"):
        read_picture(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png", most_pixels=9_000_000).rgba.shape == (3000, 3000, 4)


def test_an_own_table_is_told_and_deep_grey_is_scaled(tmp_path):
    write_png(tmp_path / "a.png", Sprite(np.eye(4, dtype=np.uint8), SMALL), 1, {})
    assert read_picture(tmp_path / "a.png").table[:3] == SMALL.colours
    grey = np.linspace(0, 65535, 36).astype(np.uint16).reshape(6, 6)
    Image.fromarray(grey).save(tmp_path / "b.png")
    found = read_picture(tmp_path / "b.png")
    assert found.table == () and abs(found.rgba[..., 0] - grey / 257).max() <= 1


def test_enlarged_sprites_come_back_without_their_text_chunks_too(tmp_path):
    sprite = blob(np.random.default_rng(3))
    for scale in (1, 5, 8):
        Image.fromarray(sprite.rgba().repeat(scale, 0).repeat(scale, 1), "RGBA").save(tmp_path / "a.png")
        assert (read_drawn(tmp_path / "a.png").rgba == sprite.rgba()).all() or scale * 16 <= 64
    Image.fromarray(sprite.rgba().repeat(5, 0)[:, :, :].repeat(3, 1), "RGBA").save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: 80x48 pixels; a sprite has 4 to 64"):
        read_drawn(tmp_path / "a.png")


def test_a_coarse_drawing_keeps_the_pixels_that_its_text_chunks_say(tmp_path):
    """By its looks it was enlarged twice as much."""
    coarse = Sprite(np.eye(8, dtype=np.uint8).repeat(2, 0).repeat(2, 1), SMALL)
    write_png(tmp_path / "a.png", coarse, 8, {})
    assert (read_png(tmp_path / "a.png", SMALL).grid == coarse.grid).all()
    assert (read_drawing(tmp_path / "a.png").rgba() == coarse.rgba()).all()


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(4))), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_enlarging_is_undone_and_nothing_is_lost(rgba, scale):
    large = rgba.repeat(scale, 0).repeat(scale, 1)
    factor = enlarged_by(large)
    small = unscaled(large, factor)
    assert factor % scale == 0 and (small.repeat(factor, 0).repeat(factor, 1) == large).all()


@given(st.integers(1, 20), st.integers(4, 20), st.integers(4, 20))
@settings(max_examples=30, deadline=None)
def test_any_scale_and_shape_comes_back(tmp_path_factory, scale, height, width):
    file = tmp_path_factory.getbasetemp() / "back.png"
    grid = np.random.default_rng(scale).integers(0, 4, (height, width)).astype(np.uint8)
    write_png(file, Sprite(grid, SMALL), scale, {})
    assert (read_png(file, SMALL).grid == grid).all()
