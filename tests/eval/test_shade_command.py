"""`pixelreef shade`: PNGs and JSON grids in, indexed PNGs and GIFs out; bad input costs one line, code 2 and no file."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.grid_text import encode
from data_prep.palette import Palette, load, named, quantise
from data_prep.sources.procedural import sprite
from eval.cli import main
from eval.pictures import write_png
from eval.postprocess.shader import Light, shade
from eval.shade import read_drawing

REEF = named("reef64")
FISH = sprite(3, 1, 24)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_png(Path("fish.png"), FISH, 1, {})
    Path("grid.json").write_text(encode(FISH.grid, REEF) + "\n", "utf-8")
    return tmp_path


def rgba(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image.convert("RGBA"))


def noise_png(path: Path, colours: int, side: int = 16) -> np.ndarray:
    """An RGBA picture of exactly so many opaque colours, transparent in its first row."""
    rng = np.random.default_rng(colours)
    table = rng.choice(2**24, colours, replace=False)
    index = rng.permutation(np.resize(np.arange(colours), side * (side - 1))).reshape(side - 1, side)
    picture = np.zeros((side, side, 4), np.uint8)
    picture[1:, :, 3] = 255
    picture[1:, :, :3] = np.stack([table >> 16, table >> 8 & 255, table & 255], -1).astype(np.uint8)[index]
    Image.fromarray(picture, "RGBA").save(path)
    return picture


def test_png_and_grid_of_one_sprite_give_the_same_picture_that_says_how_it_was_lit(folder):
    assert main(["shade", "fish.png", "grid.json", "--light", "20,30", "--strength", "1.2", "--rim", "--out", "lit"]) == 0
    light = Light(20, 30, 1.2, rim=1.0, glow=1.0)
    expected = REEF.rgba[shade(FISH.grid, REEF, light)]
    for name, source in (("fish", "fish.png"), ("grid", "grid.json")):
        assert (rgba(f"lit/{name}.png") == expected).all()
        with Image.open(f"lit/{name}.png") as image:
            assert image.mode == "P" and image.text["source"] == source
            assert Light(**json.loads(image.text["light"])) == light


def test_indexed_pngs_keep_their_whole_palette_in_order(folder):
    assert read_drawing(Path("fish.png")).palette.colours == REEF.colours
    main(["shade", "fish.png", "--out", "lit.png"])
    with Image.open("lit.png") as image:
        assert image.getpalette()[3:192] == list(REEF.rgba[1:, :3].ravel())


@pytest.mark.parametrize("colours", [1, 2, 63])
def test_rgba_pngs_keep_exactly_their_colours(folder, colours):
    picture = noise_png(Path("own.png"), colours)
    drawing = read_drawing(Path("own.png"))
    assert len(drawing.palette.colours) == colours and (drawing.rgba() == picture).all()
    assert main(["shade", "own.png", "--strength", "0", "--out", "same.png"]) == 0
    assert (rgba("same.png") == picture).all()


def test_too_many_colours_are_refused_unless_a_palette_is_given(folder, capsys):
    picture = noise_png(Path("many.png"), 64)
    assert main(["shade", "many.png", "--out", "lit.png"]) == 2
    assert "--palette" in capsys.readouterr().err and not Path("lit.png").exists()
    assert main(["shade", "many.png", "--palette", "reef64", "--out", "lit.png"]) == 0
    assert (rgba("lit.png") == REEF.rgba[shade(quantise(picture, REEF), REEF, Light())]).all()


def test_grids_in_a_palette_of_ones_own_and_in_a_free_one(folder):
    Path("mine.hex").write_text("101020\n404080\n8080c0\n\nd0d0ff\n")
    grid = np.resize(np.arange(5, dtype=np.uint8), (9, 9))
    Path("mine.json").write_text(encode(grid, Palette("mine", load("mine.hex").colours)), "utf-8")
    Path("free.txt").write_text(encode(grid, Palette("free", load("mine.hex").colours)), "utf-8")
    assert main(["shade", "mine.json", "--out", "a.png"]) == 2
    assert main(["shade", "mine.json", "free.txt", "--palette", "mine.hex", "--out", "lit"]) == 0
    assert (rgba("lit/mine.png") == rgba("lit/free.png")).all()


def test_enlarged_drawings_are_lit_pixel_by_pixel_and_enlarged_again(folder):
    write_png(Path("large.png"), FISH, 7, {})
    assert main(["shade", "large.png", "--scale", "3", "--out", "lit.png"]) == 0
    expected = REEF.rgba[shade(FISH.grid, REEF, Light())]
    assert (rgba("lit.png") == expected.repeat(3, 0).repeat(3, 1)).all()


def test_sweep_is_a_transparent_gif_of_the_light_going_round(folder):
    assert main(["shade", "grid.json", "--sweep", "8", "round.gif", "--scale", "2"]) == 0
    with Image.open("round.gif") as image:
        assert image.n_frames == 8 and image.info["loop"] == 0
        frames = [np.array((image.seek(index), image.convert("RGBA"))[1]) for index in range(8)]
    for index, frame in enumerate(frames):
        expected = REEF.rgba[shade(FISH.grid, REEF, Light((135 - 45 * index) % 360))].repeat(2, 0).repeat(2, 1)
        shown = expected[..., 3] > 0
        assert ((frame[..., 3] > 0) == shown).all() and (frame[shown] == expected[shown]).all()


def test_existing_outputs_are_replaced_and_nothing_else_is_left(folder):
    Path("lit.png").write_bytes(b"old")
    before = {path.name for path in folder.iterdir()}
    assert main(["shade", "fish.png", "--out", "lit.png"]) == 0
    assert {path.name for path in folder.iterdir()} == before and rgba("lit.png").shape == (24, 24, 4)


def broken(folder: Path) -> None:
    data = Path("fish.png").read_bytes()
    Path("cut.png").write_bytes(data[: len(data) // 2])
    Path("bad.json").write_text('{"palette":"reef64","grid":["0"]}')
    Image.new("RGBA", (16, 16)).save("empty.png")
    noise_png(Path("big.png"), 9, 70)
    (folder / "other").mkdir()
    write_png(Path("other/fish.png"), FISH, 1, {})
    write_png(Path("other/grid.png"), FISH, 1, {})


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["fish.png"], "--out"),
        (["fish.png", "--out", "fish.png"], "fish.png"),
        (["fish.png", "--out", "."], "fish.png"),
        (["fish.png", "grid.json", "--out", "x.png"], "folder"),
        (["fish.png", "other/fish.png", "--out", "lit"], "fish.png"),
        (["fish.png", "cut.png", "--out", "lit"], "cut.png"),
        (["bad.json", "--out", "x.png"], "bad.json"),
        (["empty.png", "--out", "x.png"], "empty.png"),
        (["big.png", "--out", "x.png"], "big.png"),
        (["none.png", "--out", "x.png"], "none.png"),
        (["other", "--out", "x.png"], "other"),
        (["fish.png", "--light", "north", "--out", "x.png"], "--light"),
        (["fish.png", "--light", "10,120", "--out", "x.png"], "elevation"),
        (["fish.png", "--strength", "9", "--out", "x.png"], "strength"),
        (["fish.png", "--scale", "0", "--out", "x.png"], "--scale"),
        (["fish.png", "--palette", "nope", "--out", "x.png"], "nope"),
        (["fish.png", "--sweep", "1", "x.gif"], "--sweep"),
        (["fish.png", "--sweep", "8", "x.png"], "--sweep"),
        (["fish.png", "grid.json", "--sweep", "8", "x.gif"], "--sweep"),
        (["fish.png", "--out", "grid.json/x.png"], "x.png"),
    ],
)
def test_bad_input_costs_one_line_code_2_and_no_file(folder, capsys, arguments, word):
    broken(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert main(["shade", *arguments]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("pixelreef shade: ") and said.err.count("\n") == 1 and word in said.err and not said.out
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
