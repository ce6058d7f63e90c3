"""The sprite transformer behind the generators' interface, and in a run folder beside the controls."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file, save_file
from small_models import shaken

from data_prep import grid_text
from data_prep.palette import Palette
from data_prep.whole_files import file_sha256
from eval.baseline.generator import SpriteTransformerGenerator
from eval.baseline.sample import bits
from eval.decoding import Sampling
from eval.generate import GenerateRecipe, choose_prompts, generate, identity, other_subjects, read_recipe, read_split
from eval.generators import UNCONSTRAINED, Request


@pytest.fixture(scope="module")
def rival(trained) -> SpriteTransformerGenerator:
    return SpriteTransformerGenerator.load(trained / "model")


@pytest.fixture(scope="module")
def heedful(trained) -> SpriteTransformerGenerator:
    """One whose drawings hang much on what it is told, which twelve steps of training do not teach."""
    generator = SpriteTransformerGenerator.load(trained / "model")
    shaken(generator.model)
    return generator


@pytest.fixture(scope="module")
def recipe(trained, reef) -> GenerateRecipe:
    generators = {"rival": {"transformer": str(trained / "model")}}
    return GenerateRecipe("r", str(reef), generators, {}, prompts=9, unconstrained=3, likelihoods=7)


@pytest.fixture(scope="module")
def run(recipe, tmp_path_factory):
    return generate(recipe, tmp_path_factory.mktemp("runs"))


def rows(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_it_draws_valid_grids_that_hang_on_seed_and_index_alone(rival):
    tags = {"zone": "abyss", "category": "coral"}
    requests = [Request("a coral", 16, 16, rival.palette, 3, index, tags) for index in range(3)]
    drawings = list(rival.answer(requests, Sampling(), batch_size=2))
    alone = [next(rival.answer([request], Sampling())).text for request in requests]
    assert [drawing.text for drawing in drawings] == alone and len(set(alone)) == 3
    for drawing in drawings:
        assert grid_text.read(drawing.text, size=(16, 16)).palette.hash == rival.palette.hash
        assert drawing.seconds > 0 and drawing.tokens == 256
    assert [sprite.grid.shape for sprite in rival.draw("a coral", 2, seed=3)] == [(16, 16)] * 2


def test_pixels_that_stand_and_a_second_caption(heedful):
    half = np.full((16, 16), -1, np.int16)
    half[:8] = heedful.draw("coral", seed=1)[0].grid[:8]
    plain = Request("coral", 16, 16, heedful.palette, 4, 0, given=half)
    mixed, free = replace(plain, mixed_with="jellyfish in the shallows"), replace(plain, given=None)
    drawings = heedful.answer([plain, mixed, free, replace(plain, mixed_with="coral")], Sampling(temperature=0.8))
    grids = [grid_text.read(drawing.text).grid for drawing in drawings]
    assert (grids[0][:8] == half[:8]).all() and (grids[1][:8] == half[:8]).all() and (grids[2][:8] != half[:8]).any()
    assert (grids[1] != grids[0]).any() and (grids[3] == grids[0]).all()


def test_guidance_changes_the_drawing_only_where_something_is_stated(heedful):
    told, untold = (Request(caption, 16, 16, heedful.palette, 2) for caption in ("coral in the shallows", ""))
    draw = lambda request, g: next(heedful.answer([request], Sampling(guidance=g))).text  # noqa: E731
    assert draw(told, 0.0) != draw(told, 4.0) and draw(untold, 0.0) == draw(untold, 4.0)


def test_what_it_was_not_trained_on_is_refused(rival):
    good, other = Request("coral", 16, 16, rival.palette), Palette("mine", ("ff0000",) * 63)
    given = np.full((16, 16), 64, np.int16)
    for change, said in (
        ({"height": 8}, "8x16"), ({"width": 3}, "size"), ({"palette": other}, "palette"), ({"seed": -1}, "seed"),
        ({"given": given}, "given"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            list(rival.answer([good, replace(good, **change)], Sampling()))
    with pytest.raises(ValueError, match="grids only"):
        list(rival.answer([good], Sampling(), UNCONSTRAINED))


def test_a_run_measures_it_with_caption_and_tags_emptied_and_shuffled_together(run, recipe, rival, reef):
    held_out = [sprite for _, sprite in choose_prompts(read_split(reef, "test", rival.palette), 9, 1)[:7]]
    grids, found = np.stack([sprite.grid for sprite in held_out]), rows(run / "likelihoods.jsonl")
    told = {
        "caption": [rival.conditions.ids("", sprite.tags) for sprite in held_out],  # this one reads the tags
        "empty": [[0, 0]] * 7,
        "shuffled": [rival.conditions.ids("", sprite.tags) for sprite in other_subjects(held_out)],
    }
    measured = {}
    for condition, ids in told.items():
        measured[condition] = [row["bits"] for row in found if row["condition"] == condition]
        assert measured[condition] == pytest.approx(bits(rival.model, grids, np.array(ids)), rel=1e-5)
    assert len({round(sum(one), 3) for one in measured.values()}) == 3
    assert all(row["allowed_mass"] == row["separator_probability"] == row["end_probability"] == 1 for row in found)


def test_it_is_not_asked_to_write_freely(run, recipe, capsys):
    drawn = [row for row in rows(run / "completions.jsonl") if row["generator"] == "rival"]
    assert Counter(row["mode"] for row in drawn) == {"grammar": 9} and all(row["valid"] for row in drawn)
    generate(recipe, run.parent)
    assert "reused" in capsys.readouterr().out


def test_other_weights_are_another_run_wherever_they_lie(trained, recipe, tmp_path):
    moved, other = (shutil.copytree(trained / "model", tmp_path / name) for name in ("moved", "other"))
    save_file({k: v * 1.5 for k, v in load_file(other / "model.safetensors").items()}, other / "model.safetensors")
    at = lambda folder: replace(recipe, generators={"rival": {"transformer": str(folder)}})  # noqa: E731
    assert identity(at(moved)) == identity(recipe)
    with pytest.raises(ValueError, match="torn"):
        identity(at(other))
    about = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(about | {"weights_sha256": file_sha256(other / "model.safetensors")}))
    assert identity(at(other)) != identity(recipe)


def test_a_transformer_stands_alone_in_its_entry(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        yaml.safe_dump({"name": "r", "dataset": "d", "generators": {"a": {"transformer": "x", "base": "y"}}, "roles": {}})
    )
    with pytest.raises(ValueError, match="transformer: FOLDER"):
        read_recipe(path)


def test_the_shipped_recipe_compares_two_transformers():
    recipe = read_recipe(Path(__file__).parents[3] / "eval" / "recipes" / "transformers_reef_16.yaml")
    folders = {what["transformer"] for what in recipe.generators.values()}
    assert {folder.split("/")[1] for folder in folders} == {"baseline-improved-reef16", "baseline-as-published-reef16"}


def test_an_entry_may_sample_in_its_own_way_and_the_run_says_what_it_is_told(trained, recipe, tmp_path):
    what = {"transformer": str(trained / "model")}
    generators = {"plain": what, "greedy": what | {"temperature": 0}, "led": what | {"guidance": 2.0}}
    folder = generate(replace(recipe, name="ways", generators=generators), tmp_path)
    drawn = {}
    for row in rows(folder / "completions.jsonl"):
        drawn.setdefault(row["generator"], []).append(row["text"])
    assert drawn["plain"] != drawn["greedy"] and drawn["plain"] != drawn["led"]
    assert {row["generator"] for row in rows(folder / "likelihoods.jsonl")} == {"plain"}
    assert json.loads((folder / "recipe.json").read_text())["told"] == dict.fromkeys(generators, "zone and category")
    assert (folder / "rival_training_log.jsonl").read_text() == (trained / "training_log.jsonl").read_text()
