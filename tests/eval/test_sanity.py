"""Planted generators whose fault is known: the committed judge must find each of them out, and only for its own fault."""

import json
import time

import numpy as np
import pytest
from run_folders import drawing, reef_sprites, reference, write_rows

from data_prep.grid_text import encode
from data_prep.palette import named
from data_prep.sources import procedural
from eval.controls import DEGENERATE, HELD_OUT, all_controls, another_subject, nearest_training
from eval.run_folder import read_json
from eval.score import score
from tests.machine import slowness

REEF = named("reef64")


def noisy(sprite, share, rng):
    """`share` of the pixels replaced by any entry."""
    where = rng.random(sprite.grid.shape) < share
    return np.where(where, rng.integers(0, len(REEF), sprite.grid.shape), sprite.grid).astype(np.uint8)


def planted(held_out, training, fresh) -> dict[str, list[str]]:
    rng = np.random.default_rng(6)
    texts = {
        "good": [sprite.grid for sprite in fresh],
        "copies": [nearest_training(sprite, training).grid for sprite in held_out],
        "copies, mirrored": [nearest_training(sprite, training).grid[:, ::-1] for sprite in held_out],
        "always the same": [training[3].grid] * len(held_out),
        "swaps categories": [other.grid for other in another_subject(held_out)],
        "30 % noise": [noisy(sprite, 0.3, rng) for sprite in held_out],
        "wrong size": [sprite.grid[:12, :12] for sprite in held_out],
        "blanks": [sprite.grid * 0 for sprite in held_out],
    }
    return {name: [encode(np.ascontiguousarray(grid), REEF) for grid in grids] for name, grids in texts.items()}


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "planted"
    folder.mkdir()
    training, held_out, fresh = reef_sprites()
    (folder / "recipe.json").write_text('{"name": "planted"}')
    (folder / "palette.json").write_text(json.dumps(REEF.to_json()))
    np.savez_compressed(folder / "training.npz", grids=np.stack([sprite.grid for sprite in training]))
    write_rows(folder / "references.jsonl", [reference(i, sprite) for i, sprite in enumerate(held_out)])
    rows = [drawing(i, name, kind, "control", encode(s.grid, REEF)) for name, kind, i, s in all_controls(held_out, training, 1)]
    for name, texts in planted(held_out, training, fresh).items():
        rows += [drawing(i, name, "model", "grammar", text) for i, text in enumerate(texts)]
    write_rows(folder / "completions.jsonl", rows)
    started = time.process_time()
    result = read_json(score(folder))
    assert time.process_time() - started < 20 * slowness()
    return result


def value(summary, generator, metric):
    return next(g for g in summary["generators"] if g["generator"] == generator)["metrics"][metric]


def apart(summary, generator):
    return next(row for row in summary["distribution"] if row["generator"] == generator)


def test_the_judge_is_fit_and_sane_where_it_decides(summary):
    assert summary["critics"]["reason"] is None
    metrics = {metric["name"]: metric for metric in summary["metrics"]}
    for name in ("recognised", "judge_score"):
        assert metrics[name]["sane"] is True, (name, metrics[name]["fooled_by"])
    assert metrics["judge_quality"]["fooled_by"] == ["another subject"]  # a perfect sprite: not quality's business
    held_out = value(summary, HELD_OUT, "recognised")["mean"]
    assert all(value(summary, name, "recognised")["mean"] < held_out - 0.1 for name in DEGENERATE)


def test_copies_are_flagged_by_memorisation_flipped_ones_too(summary):
    for name in ("copies", "copies, mirrored"):
        assert value(summary, name, "nearest_training")["mean"] == 1
    assert value(summary, HELD_OUT, "nearest_training")["high"] < 0.9 and value(summary, "good", "nearest_training")["high"] < 0.9


def test_always_the_same_good_sprite_fails_on_diversity_alone(summary):
    assert value(summary, "always the same", "duplicate")["mean"] > 0.95 and value(summary, "good", "duplicate")["mean"] < 0.1
    assert value(summary, "always the same", "judge_quality")["mean"] > 0.5
    assert apart(summary, "always the same")["coverage"]["high"] < apart(summary, "good")["coverage"]["low"]
    assert apart(summary, "always the same")["recall"]["mean"] == 0


def test_swapped_categories_are_not_recognised_though_they_are_good_drawings(summary):
    swapped, held_out = (value(summary, name, "recognised") for name in ("swaps categories", HELD_OUT))
    assert swapped["high"] < held_out["low"] and swapped["mean"] < 1 / 6 + 0.05
    assert value(summary, "swaps categories", "judge_quality")["mean"] > value(summary, HELD_OUT, "judge_quality")["mean"] - 0.05


def test_noise_on_a_third_of_the_pixels_costs_quality_and_distance(summary):
    assert value(summary, "30 % noise", "judge_quality")["high"] < value(summary, HELD_OUT, "judge_quality")["low"] - 0.2
    assert apart(summary, "30 % noise")["kid"]["low"] > apart(summary, "good")["kid"]["high"]
    assert apart(summary, "30 % noise")["density"]["mean"] < apart(summary, "good")["density"]["mean"]


def test_valid_json_of_the_wrong_size_is_no_valid_drawing(summary):
    for metric in ("strict_valid", "recognised", "judge_quality"):
        assert not value(summary, "wrong size", metric)["mean"]
    assert value(summary, "good", "strict_valid")["mean"] == 1


def test_blanks_are_empty_and_no_sprites(summary):
    assert value(summary, "blanks", "empty")["mean"] == 1 and value(summary, "blanks", "strict_valid")["mean"] == 1
    assert value(summary, "blanks", "judge_quality")["high"] < 0.05 and value(summary, "blanks", "recognised")["mean"] == 0


def test_a_good_generator_is_level_with_held_out_sprites(summary):
    good, held_out = (value(summary, name, "judge_quality") for name in ("good", HELD_OUT))
    assert good["low"] < held_out["high"] and held_out["low"] < good["high"]
    assert abs(apart(summary, "good")["kid"]["mean"]) < 0.2 * apart(summary, "30 % noise")["kid"]["mean"]


def test_cells_count_every_drawing_and_blanks_bring_none_to_life(summary):
    rows = {name: [c for c in summary["cells"] if c["generator"] == name] for name in (HELD_OUT, "blanks", "wrong size")}
    assert all(sum(cell["recognised"]["n"] for cell in cells) == summary["prompts"] for cells in rows.values())
    assert not any(cell["state"] == "alive" for name in ("blanks", "wrong size") for cell in rows[name])
    assert {(cell["zone"], cell["category"]) for cell in rows["blanks"]} <= set(procedural.CELLS)
