"""The critic on procedural sprites: sane against every control, deterministic, and blind to what it must not see."""

import json
import time
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from run_folders import drawing, reference, write_rows

from data_prep.grid_text import encode
from data_prep.palette import named
from data_prep.sources import procedural
from eval.controls import DEGENERATE, HELD_OUT, all_controls
from eval.metrics import recognition
from eval.run_folder import read_json, write_atomically
from eval.score import score

REEF = named("reef64")


@pytest.fixture(scope="module")
def reef():
    """300 training sprites and 60 of other combinations of plan, colour and pattern, known plans and unknown ones."""
    found = {"train": [], "validation": [], "test": []}
    for sprite in islice(procedural.sprites(5, 16), 600):
        found[procedural.split_of(sprite.tags)].append(sprite)
    return found["train"][:300], found["test"][:60]


@pytest.fixture(scope="module")
def critic(reef):
    return train(reef[0])


def train(sprites):
    grids = np.stack([sprite.grid for sprite in sprites])
    return recognition.Critic.train(grids, np.array([sprite.tags["category"] for sprite in sprites]), REEF)


def names(critic, grids):
    return critic.name(grids, recognition.lightness(grids, REEF))


@pytest.fixture(scope="module")
def summary(reef, tmp_path_factory):
    training, held_out = reef
    folder = tmp_path_factory.mktemp("runs") / "reef"
    folder.mkdir()
    write_atomically(folder / "recipe.json", '{"name": "reef"}')
    write_atomically(folder / "palette.json", json.dumps(REEF.to_json()))
    categories = np.array([sprite.tags["category"] for sprite in training], dtype=str)
    np.savez_compressed(folder / "training.npz", grids=np.stack([sprite.grid for sprite in training]), categories=categories)
    write_rows(folder / "references.jsonl", [reference(index, sprite) for index, sprite in enumerate(held_out)])
    controls = all_controls(held_out, training, 1)
    rows = [drawing(i, name, kind, "control", encode(sprite.grid, REEF)) for name, kind, i, sprite in controls]
    write_rows(folder / "completions.jsonl", rows)
    started = time.process_time()
    result = read_json(score(folder))
    assert time.process_time() - started < 15
    return result


def share(summary, generator, metric):
    return next(g for g in summary["generators"] if g["generator"] == generator)["metrics"][metric]["mean"]


def test_recognised_is_sane_and_sprite_like_is_not(summary):
    metrics = {metric["name"]: metric for metric in summary["metrics"]}
    assert metrics["recognised"]["sane"] is True, metrics["recognised"]["fooled_by"]
    assert metrics["sprite_like"]["sane"] is False
    assert {"shaded disc", "another subject"} <= set(metrics["sprite_like"]["fooled_by"])


def test_a_shaded_disc_is_built_like_a_sprite_in_most_cases(summary):
    assert share(summary, "shaded disc", "sprite_like") > 0.7


def test_held_out_sprites_lead_by_far(summary):
    held_out = share(summary, HELD_OUT, "recognised")
    assert held_out > 0.4  # half of them are of body plans that were never shown; chance is 0.14
    assert all(share(summary, name, "recognised") < held_out - 0.1 for name in DEGENERATE)
    assert share(summary, "another subject", "recognised") < 0.2 and share(summary, "shuffled pixels", "recognised") < 0.1


def test_the_confusion_adds_up(summary):
    found = summary["recognition"]
    assert found["training"] == 300 and np.sum(found["confusion"]) == 60 == found["accuracy"]["n"]
    assert found["accuracy"]["mean"] == share(summary, HELD_OUT, "recognised")


def test_training_twice_gives_the_same_critic(reef, critic):
    grids = np.stack([sprite.grid for sprite in reef[1]])
    first, second = (
        c.forest.predict_proba(recognition.features(grids, recognition.lightness(grids, REEF))) for c in (critic, train(reef[0]))
    )
    assert (first == second).all()


def test_a_drawing_and_its_mirror_image_have_one_name_alone_or_in_company(reef, critic):
    grids = np.stack([sprite.grid for sprite in reef[1]])
    together = names(critic, grids)
    assert together == names(critic, grids[:, :, ::-1]) == [names(critic, grids[i : i + 1])[0] for i in range(len(grids))]


def test_features_are_blind_to_hue_and_place():
    rng = np.random.default_rng(2)
    grid = np.zeros((1, 16, 16), np.uint8)
    grid[0, 4:9, 3:10] = rng.integers(1, 64, (5, 7))
    light = recognition.lightness(grid, REEF)
    moved = [recognition.features(*(np.roll(plane, (3, 4), (1, 2)) for plane in (grid, light)))]
    moved.append(recognition.features(np.where(grid > 0, 64 - grid, 0).astype(np.uint8), light))  # other entries, as light
    own = recognition.features(grid, light)
    assert all(np.allclose(own, other, atol=1e-5) for other in moved)


@pytest.mark.parametrize("side", [8, 33, 64])
def test_features_of_other_sizes_stay_few_and_finite(side):
    grids = np.zeros((3, side, side), np.uint8)
    grids[1], grids[2, 1, 2] = 5, 7
    found = recognition.features(grids, recognition.lightness(grids, REEF))
    assert found.shape[1] <= 2 * 16 * 16 + 2 * 64 + 20 and np.isfinite(found).all()


def test_too_little_to_learn_from_makes_no_critic(reef):
    training = reef[0]
    assert train(training[:19]) is None
    assert train([replace(sprite, tags={"category": ""}) for sprite in training[:60]]) is None
    rare = train([replace(training[0], tags={"category": "none"}), *training[:120]])
    assert "none" not in rare.categories and rare.training == 120
