"""What training sees of its own taste, and that augmented sprites still measure as what their captions say."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from data_prep.augment import flipped, hue_shifted
from data_prep.palette import named
from data_prep.sources import procedural
from data_prep.sprite import Sprite
from eval.controls import noise
from eval.metrics.attributes import colour_right, stated_colour
from eval.rivals import load_guide
from eval.taste import prompts, score

REEF = named("reef64")


@pytest.fixture(scope="module")
def guide():
    return load_guide()


@pytest.fixture(scope="module")
def sprites() -> list[Sprite]:
    return [procedural.sprite(4, index, 16) for index in range(30)]  # one of each cell


def drawn(grids, like) -> list[Sprite]:
    return [Sprite(grid, REEF, one.caption, one.tags) for grid, one in zip(grids, like, strict=True)]


def test_sprites_score_above_noise_and_blanks_which_are_told_apart(guide, sprites):
    rng = np.random.default_rng(0)
    static = drawn([noise(one.grid, REEF, rng) for one in sprites], sprites)
    blank = drawn([np.zeros_like(one.grid) for one in sprites], sprites)
    good, bad, nothing = (score(found, guide) for found in (sprites, static, blank))
    assert good["guide"] > 0.6 > 0.1 > max(bad["guide"], nothing["guide"])
    assert [(found["empty"], found["noise"]) for found in (good, bad, nothing)] == [(0, 0), (0, 1), (1, 0)]
    assert len(good["guide_cells"]) == 30 and np.mean(list(good["guide_cells"].values())) == pytest.approx(good["guide"])
    json.dumps(good, allow_nan=False)


def test_sizes_that_no_critic_was_taught_have_no_guide_score(guide, sprites):
    small = [procedural.sprite(4, index, 8) for index in range(4)]
    found = score(small, guide)
    assert found["guide"] is None and found["guide_cells"] == {} and found["empty"] == 0
    mixed = score([*small, *sprites[:3]], guide)
    assert mixed["guide"] == pytest.approx(score(sprites[:3], guide)["guide"]) and mixed["drawn"] == 7


def test_drawings_without_zone_or_category_have_a_score_but_no_cell(guide, sprites):
    found = score([Sprite(one.grid, REEF, "a thing") for one in sprites[:3]], guide)
    assert found["guide"] > 0 and found["guide_cells"] == {}


@pytest.mark.parametrize("count", [5, 6, 10])
def test_few_prompts_are_of_as_many_zones_and_categories_as_can_be(monkeypatch, sprites, count):
    rows = [({"id": one.id, "zone": one.tags["zone"], "category": one.tags["category"]}, one) for one in sprites]
    monkeypatch.setattr("eval.taste.read_split", lambda *asked: rows)
    chosen = prompts(Path("any"), REEF, count)
    assert len(chosen) == count == len({(one.tags["zone"], one.tags["category"]) for one in chosen})
    for key, kinds in (("zone", 5), ("category", 6)):
        counts = Counter(one.tags[key] for one in chosen)
        assert len(counts) >= min(kinds, count - 1) and max(counts.values()) <= -(-count // kinds) + 1
    assert chosen == prompts(Path("any"), REEF, count)


def test_more_prompts_than_there_are_sprites_are_all_of_them(reef):
    assert len(prompts(Path(reef), REEF, 10_000)) == len(prompts(Path(reef), REEF, 9_999)) > 0


def test_augmented_sprites_measure_as_their_captions_say():
    checked = 0
    for one in (procedural.sprite(5, index, 16) for index in range(300)):
        for other in [flipped(one), *(hue_shifted(one, turn) for turn in (1, 3, 5))]:
            if other is not None and colour_right(one.grid, REEF, stated_colour(one.tags, one.caption)) == 1:
                assert colour_right(other.grid, REEF, stated_colour(other.tags, other.caption)) == 1, other.caption
                checked += 1
    assert checked > 200
