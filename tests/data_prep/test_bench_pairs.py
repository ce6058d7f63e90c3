"""Pairs in Pixel Art Bench's format: its prompt as it stands, answers that its own rules and our strict reader accept."""

import json
import re

import numpy as np
import pytest

from data_prep import grid_text
from data_prep.bench_format import MOST_COLOURS, PROMPT_A, SIDE
from data_prep.captions import BENCH, messages, prompt_hash
from data_prep.errors import InputError
from data_prep.pairs import as_bench, read_rows
from data_prep.palette import named
from data_prep.prepare import PrepareRecipe, prepare
from data_prep.sources.procedural import sprites
from data_prep.sprite import Sprite


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    recipe = PrepareRecipe("b", ({"kind": "procedural", "seed": 1, "count": 150},), (16, 24), tasks={"draw": 1, BENCH: 2})
    folder = prepare(recipe, tmp_path_factory.mktemp("datasets") / "b")
    return [row for split in ("train", "validation", "test") for row in read_rows(folder, split)]


def test_a_bench_pair_asks_by_the_prompt_alone_and_answers_in_its_format(rows):
    ours = [row for row in rows if row["task"] == BENCH]
    assert len(ours) > 50
    for row in ours:
        assert row["prompt"] == [{"role": "user", "content": PROMPT_A + row["caption"]}]
        answer = json.loads(row["completion"][0]["content"])
        assert list(answer) == ["palette", "grid"] and 2 <= len(answer["palette"]) <= MOST_COLOURS
        assert all(re.fullmatch("[0-9a-f]{6}", colour) for colour in answer["palette"])
        assert len(answer["grid"]) == SIDE and all(re.fullmatch(r"\d{24}", line) for line in answer["grid"])
        assert {int(digit) for line in answer["grid"] for digit in line} == set(range(len(answer["palette"])))
        assert (row["height"], row["width"], row["palette"]) == (24, 24, "free")


def test_the_other_pairs_of_the_corpus_stay_what_they_were(rows):
    others = [row for row in rows if row["task"] == "draw"]
    assert len(others) > 20
    for row in others:
        read = grid_text.read(row["completion"][0]["content"])
        assert row["prompt"] == messages(row["caption"], *read.grid.shape, named("reef64")) and row["palette"] == "reef64"


def test_the_figure_is_the_sprite_and_its_ground_hangs_on_its_id():
    for sprite in (s for s, _ in zip(sprites(2, 16), range(30), strict=False)):
        drawn = as_bench(sprite)
        assert drawn == as_bench(sprite)
        inside = drawn.grid[4:20, 4:20]
        ground = {drawn.grid[0, 0], drawn.grid[-1, 0]}
        assert np.array_equal(~np.isin(inside, list(ground)), sprite.grid > 0)


def test_prompts_of_the_task_are_part_of_what_an_adapter_was_trained_with():
    assert len({prompt_hash(), prompt_hash((BENCH,)), prompt_hash(("draw", "recolour"))}) == 3


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"tasks.bench: its answers are 24x24"):
        PrepareRecipe("b", ({"kind": "procedural", "seed": 1, "count": 9},), (16, 32), tasks={BENCH: 1})
    with pytest.raises(InputError, match="does not fit into 24x24"):
        as_bench(Sprite(np.ones((25, 24), np.uint8), named("reef64")))
