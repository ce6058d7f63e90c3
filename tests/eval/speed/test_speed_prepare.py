"""`pixelreef bench prepare`: every way gives grids of the same pictures, and the page shows what was measured."""

import json

import numpy as np
import pytest

from data_prep.palette import named
from eval.cli import main
from eval.speed.page import section
from eval.speed.prepare import KINDS, OURS, WAYS, agreement, pictures

REEF = named("reef64")


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_new_each_time_and_of_their_kind(kind):
    first, second = (pictures(kind, 20, seed) for seed in (1, 2))
    assert (first == pictures(kind, 20, 1)).all() and (first != second).any() and (first[..., 3] == second[..., 3]).all()
    colours = [{tuple(pixel) for pixel in rgba[rgba[..., 3] > 0]} for rgba in (first, second)]
    shared = len(colours[0] & colours[1]) / len(colours[0])
    assert shared > 0.3 if kind == "shared" else shared < 0.3


def test_pillow_is_exact_where_colours_are_the_palettes_own():
    rgba = REEF.rgba[np.random.default_rng(1).integers(0, 64, (3, 32, 32))]
    for way in WAYS.values():
        assert (REEF.rgba[way(rgba, REEF)] == rgba).all()


def test_ours_moves_pixels_least():
    for kind in KINDS:
        found = agreement(kind, 20, REEF)
        assert found[OURS]["same"] == 1 and found[OURS]["error"] <= min(one["error"] for one in found.values())
        assert found["Pillow"] == found["Pillow, all in one image"] and found["Pillow"]["same"] > 0.4


def test_the_command_writes_page_and_figures(tmp_path, capsys):
    words = ["bench", "prepare", "--sprites", "15", "--repeats", "2", "--num-proc", "1", "--docs", str(tmp_path)]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    runs = json.loads((tmp_path / "speed/prepare.json").read_text())
    assert runs == {"the procedural source": found} and "\n".join(section("prepare", runs)) in (tmp_path / "speed.md").read_text()
    assert found["prepare"][0]["pairs"] + found["prepare"][0]["dropped"] == 60 and found["prepare"][0]["cpu"] > 0
    assert all(len(row["times"][way]["cpu"]) == 2 for row in found["quantise"].values() for way in WAYS)
    assert main(["bench", "prepare", "--repeats", "0"]) == 2 and capsys.readouterr().err.count("\n") == 1
