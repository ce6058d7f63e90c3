"""Pairs of several tasks: an adapter records them, its prompts' hash knows them, and measures compare with drawing alone."""

import pytest

from data_prep.captions import prompt_hash
from data_prep.prepare import PrepareRecipe, prepare
from finetune.config import parse
from finetune.likelihood import Likelihood
from finetune.setup import load_run

TASKS = {"draw": 1.0, "recolour": 1.0, "reference": 1.0}


@pytest.fixture(scope="module")
def run(tiny_qwen3, tmp_path_factory):
    place = tmp_path_factory.mktemp("tasks")
    recipe = PrepareRecipe("tasks", ({"kind": "procedural", "seed": 1, "count": 90},), (8,), tasks=TASKS, shard_rows=20)
    flags = {"model_name_or_path": tiny_qwen3, "dataset": prepare(recipe, place / "data"), "output_dir": place / "out"}
    flags |= {"use_cpu": "true", "bf16": "false", "eval_sprites": 50}
    return load_run(parse([str(part) for key, value in flags.items() for part in (f"--{key}", value)]))


def test_the_adapter_says_its_tasks_and_prompts(run):
    facts = run.facts(1)
    assert facts.tasks == tuple(sorted(TASKS)) and facts.prompt_hash == prompt_hash(tuple(TASKS)) != prompt_hash()


def test_every_pair_is_tokenised_whole_and_held_out_ones_are_measured_as_drawings(run, monkeypatch):
    rows, tokenised = run.data["train"], run.tokenised("train")
    assert len(rows) > 60 and set(rows["task"]) == set(TASKS)  # of several files
    assert all(sum(pixels) == 64 for pixels in tokenised["pixels"])
    asked = []
    one = Likelihood(bits=96.0, pixels=64, allowed_mass=0.5, separator_probability=1.0, end_probability=1.0)
    monkeypatch.setattr("finetune.setup.likelihoods", lambda model, queries: [asked.append(query) or one for query in queries])
    measured = run.measure_model(None)
    assert measured["bits_per_pixel"] == 1.5 and measured["allowed_mass"] == 0.5 and measured["sprites"] == len(asked)
    assert len(asked) == run.data["validation"]["task"][:].count("draw")
