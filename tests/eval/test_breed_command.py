"""`pixelreef breed`, and `pixelreef draw` that goes on from a picture: files, what they say, and one line for bad input."""

import json
from pathlib import Path

import numpy as np
import pytest
from fake_generator import FakeGenerator
from PIL import Image
from run_folders import REEF, blob

from data_prep.errors import InputError
from data_prep.palette import Palette
from data_prep.sprite import Sprite
from eval import breed as command
from eval.cli import main
from eval.pictures import read_png, write_png
from eval.postprocess.breeder import Lineage, breed

RNG = np.random.default_rng(6)
CRAB, SQUID = blob(RNG), blob(RNG, category="jellyfish")


@pytest.fixture
def files(tmp_path):
    """Two PNGs: one that says what it shows and was scaled, one that says nothing."""
    write_png(tmp_path / "crab.png", Sprite(CRAB.grid, REEF, "a red crab"), 3, {})
    Image.fromarray(SQUID.rgba(), "RGBA").save(tmp_path / "squid.png")
    return [str(tmp_path / "crab.png"), str(tmp_path / "squid.png")]


@pytest.fixture
def fake(monkeypatch):
    """In place of a language model; a sprite transformer is loaded as ever."""
    generator, load = FakeGenerator(), command.load_model
    monkeypatch.setattr(command, "load_model", lambda options: load(options) if options.transformer else generator)
    return generator


def run(*words) -> int:
    return main(["breed", *map(str, words)])


def test_a_folder_with_children_lineage_tree_and_steps(files, fake, tmp_path, capsys):
    out = tmp_path / "children"
    flags = ("--captions", "a red crab", "a blue squid", "--generations", 2, "--n", 3, "--seed", 7, "--out", out)
    assert run(*files, *flags) == 0
    assert capsys.readouterr().out.strip() == str(out)
    told = json.loads((out / "lineage.json").read_text("utf-8"))
    children = [member for member in told["members"] if member["operation"] != "founder"]
    names = {f"{member['id']}.png" for member in children}
    assert {path.name for path in out.iterdir()} == {"lineage.json", "tree.png", "steps.gif", *names} and len(names) == 6
    expected = breed(FakeGenerator(), [read_png(Path(file), REEF) for file in files], 2, 3, 7)
    for member, same in zip(children, expected.members[2:], strict=True):
        sprite = read_png(out / f"{member['id']}.png", REEF)
        assert (sprite.grid == same.sprite.grid).all() and sprite.caption == member["caption"]
    with Image.open(out / "1-1.png") as image:
        said = image.info
    assert said["operation"] == "complete" and said["generator"] == "fake" and said["parents"] in ("0-1 0-2", "0-2 0-1")
    with Image.open(out / "steps.gif") as film:
        assert film.n_frames == len(told["members"])


def test_the_tree_shows_every_sprite_whole(tmp_path):
    lineage = breed(FakeGenerator(), [CRAB, SQUID], 2, 2, 1)
    tree = np.asarray(command.family_tree(lineage))
    for member in lineage.members:
        scaled = member.sprite.rgba().repeat(8, 0).repeat(8, 1)
        assert occurs(tree, scaled), member.id


def occurs(page: np.ndarray, picture: np.ndarray) -> bool:
    """Whether the opaque pixels of a picture stand somewhere on the page."""
    drawn = picture[..., 3] > 0
    windows = np.lib.stride_tricks.sliding_window_view(page, picture.shape[:2], (0, 1))  # (y, x, channel, h, w)
    y, x = np.argwhere(drawn)[len(np.argwhere(drawn)) // 2]
    places = np.argwhere((windows[:, :, :, y, x] == picture[y, x, :3]).all(-1))
    return any((windows[a, b][:, drawn] == picture[drawn][:, :3].T).all() for a, b in places)


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "squid.png: has no caption"),
        (["--captions", "one"], "--captions: 1 for 2 sprites"),
        (["--captions", "one", " "], "no caption"),
        (["--captions", "one", "x" * 501], "501 characters"),
        (["--captions", "one", "two", "--scale", "0"], "--scale 0"),
        (["--captions", "one", "two", "--guidance", "-1"], "guidance: -1"),
        (["--captions", "one", "two", "--generations", "0"], "generations"),
        (["--captions", "one", "two", "--transformer", "t", "--base", "b"], "--transformer"),
        (["--captions", "one", "two", "--transformer", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_ends_in_one_line_and_leaves_nothing(files, fake, tmp_path, capsys, words, said):
    before = sorted(tmp_path.iterdir())
    assert run(*files, *words, "--out", tmp_path / "out") == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and said in lines[0] and lines[0].startswith("pixelreef breed: ")
    assert sorted(tmp_path.iterdir()) == before


def test_a_place_that_is_taken_or_pictures_that_cannot_be_read(files, fake, tmp_path, capsys):
    (tmp_path / "text.png").write_text("no picture")
    captions = ("--captions", "a", "b")
    for parents, out, said in (
        (files, tmp_path, "must be a new folder"),
        ((files[0], tmp_path / "none.png"), tmp_path / "out", "none.png: cannot be read"),
        ((files[0], tmp_path / "text.png"), tmp_path / "out", "text.png: not a picture"),
    ):
        assert run(*parents, *captions, "--out", out) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_failure_half_way_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "family_tree", lambda lineage: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        command.write_lineage(tmp_path / "out", Lineage(()), {"generator": "fake"})
    assert not list(tmp_path.iterdir())


def test_pictures_come_back_as_they_were_written(tmp_path):
    for scale in (1, 2, 7):
        write_png(tmp_path / "a.png", Sprite(CRAB.grid, REEF, "ein Krebs – 蟹"), scale, {})
        sprite = read_png(tmp_path / "a.png", REEF)
        assert (sprite.grid == CRAB.grid).all() and sprite.caption == "ein Krebs – 蟹"


def test_a_colour_outside_the_palette_is_named_with_its_place(files, fake, tmp_path, capsys):
    rgba = CRAB.rgba().copy()
    rgba[3, 5] = (1, 2, 3, 255)
    Image.fromarray(rgba, "RGBA").save(tmp_path / "odd.png")
    assert run(tmp_path / "odd.png", files[1], "--captions", "a", "b", "--out", tmp_path / "out") == 2
    assert "colour 010203 at row 3, column 5 is not in palette 'reef64'" in capsys.readouterr().err


# --- pixelreef draw --continue ----------------------------------------------------------------------------------------


def draw(model, tmp_path, *words) -> int:
    small = ("--base", model, "--seed", 2, "--out", tmp_path / "drawn.png")
    return main(["draw", *map(str, ("a red crab", *small, *words))])


def small_sprite(tmp_path) -> np.ndarray:
    grid = np.random.default_rng(0).integers(0, 64, (6, 6)).astype(np.uint8)
    write_png(tmp_path / "six.png", Sprite(grid, REEF), 1, {})
    return grid


@pytest.mark.parametrize("words, kept", [([], 3), (["--rows", "5"], 5)])
def test_drawing_goes_on_below_the_rows_that_stand(tiny_qwen3, tmp_path, words, kept):
    grid = small_sprite(tmp_path)
    assert draw(tiny_qwen3, tmp_path, "--continue", tmp_path / "six.png", *words) == 0
    drawn = read_png(tmp_path / "drawn.png", REEF)
    assert (drawn.grid[:kept] == grid[:kept]).all() and (drawn.grid[kept:] != grid[kept:]).any()
    with Image.open(tmp_path / "drawn.png") as image:
        assert image.info["continued"] == f"rows 0 to {kept - 1} of six.png" and image.info["guidance"] == "0.0"


def test_a_mask_says_what_is_drawn_anew(tiny_qwen3, tmp_path):
    grid = small_sprite(tmp_path)
    anew = np.zeros((6, 6), bool)
    anew[2:4, 1:5] = True
    Image.fromarray(anew).save(tmp_path / "mask.png")
    words = ("--continue", tmp_path / "six.png", "--mask", tmp_path / "mask.png", "--guidance", 1)
    assert draw(tiny_qwen3, tmp_path, *words) == 0
    drawn = read_png(tmp_path / "drawn.png", REEF).grid
    assert (drawn[~anew] == grid[~anew]).all() and (drawn[anew] != grid[anew]).any()
    with Image.open(tmp_path / "drawn.png") as image:
        assert image.info["continued"] == "what mask mask.png keeps of six.png" and image.info["guidance"] == "1.0"


@pytest.mark.parametrize(
    "words, said",
    [
        (["--rows", "3"], "--continue"),
        (["--continue", "six.png", "--size", "16"], "--size"),
        (["--continue", "six.png", "--rows", "6"], "--rows 6"),
        (["--continue", "six.png", "--rows", "0"], "--rows 0"),
        (["--continue", "six.png", "--rows", "1", "--mask", "m.png"], "--rows, --mask"),
        (["--continue", "six.png", "--mask", "grey.png"], "grey.png: a mask is black"),
        (["--continue", "six.png", "--mask", "big.png"], "big.png: 8x8"),
        (["--continue", "six.png", "--mask", "black.png"], "no white pixel"),
        (["--continue", "none.png"], "none.png: cannot be read"),
        (["--guidance", "21"], "guidance: 21"),
    ],
)
def test_what_cannot_be_continued_ends_in_one_line(tiny_qwen3, tmp_path, capsys, monkeypatch, words, said):
    small_sprite(tmp_path)
    for name, size, grey in (("grey.png", 6, 128), ("big.png", 8, 255), ("black.png", 6, 0)):
        Image.new("L", (size, size), grey).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert draw(tiny_qwen3, tmp_path, *words) == 2
    lines = [line for line in capsys.readouterr().err.strip().splitlines() if not line.startswith("loading")]
    assert len([line for line in lines if line.startswith("pixelreef draw: ")]) == 1 and said in lines[-1]
    assert not (tmp_path / "drawn.png").exists()


def test_a_picture_in_another_palette_is_not_guessed_at(tmp_path):
    write_png(tmp_path / "a.png", CRAB, 1, {})
    with pytest.raises(InputError, match="is not in palette 'two'"):
        read_png(tmp_path / "a.png", Palette("two", ("010203", "040506")))


def test_a_sprite_transformer_breeds(tmp_path):
    """Random weights draw noise, so noise are the parents: then its children are as good."""
    import torch

    from eval.baseline.conditions import Conditions
    from eval.baseline.model_folder import ModelFacts, save_model
    from eval.baseline.sprite_transformer import SpriteTransformer, SpriteTransformerConfig

    torch.manual_seed(0)
    shape = SpriteTransformerConfig(classes=(1,), width=32, layers=1, heads=2, hidden=32)
    facts = ModelFacts("random", ((6, 6),), REEF.hash, "", {}, 0, 0.0, 0)
    weights = SpriteTransformer(shape).state_dict()
    save_model(tmp_path / "model", weights, shape, Conditions("caption", {"category": ("coral",)}), REEF, facts)
    small_sprite(tmp_path)
    write_png(tmp_path / "other.png", Sprite(np.random.default_rng(1).integers(0, 64, (6, 6)), REEF), 1, {})
    parents = (tmp_path / "six.png", tmp_path / "other.png", "--captions", "a coral", "a fish")
    assert run(*parents, "--transformer", tmp_path / "model", "--generations", 1, "--out", tmp_path / "out") == 0
    told = json.loads((tmp_path / "out/lineage.json").read_text("utf-8"))
    assert told["generator"] == "random" and {"complete"} <= {member["operation"] for member in told["members"]}
