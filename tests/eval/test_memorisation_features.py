"""Memorisation as the judge sees it: copies in other colours, which pixels miss."""

from dataclasses import replace

import numpy as np
import pytest
from run_folders import reef_sprites

from data_prep.palette import named
from eval import judging
from eval.metrics import critics, memorisation

REEF = named("reef64")
TRAINING = reef_sprites()[0][:60]
GRIDS = np.stack([sprite.grid for sprite in TRAINING])
FRESH = reef_sprites()[2][:40]


@pytest.fixture(scope="module")
def judge():
    return critics.load(critics.COMMITTED, "judge")


def scored(judge, sprites) -> tuple[np.ndarray, list]:
    rows = [{"metrics": {}} for _ in sprites]
    judging.add_memorisation(rows, judging.Seen.of(judge, sprites), judge, GRIDS, REEF)
    return np.array([row["metrics"].get("nearest_training_features", np.nan) for row in rows]), [
        row.get("nearest_training_sprite_features") for row in rows
    ]


def in_other_colours(grid: np.ndarray) -> np.ndarray:
    """Each hue's ramp for the next one, step by step."""
    hues = [name for name in REEF.ramps if name != "neutral"]
    entries = np.arange(len(REEF))
    for name, other in zip(hues, hues[3:] + hues[:3], strict=True):
        entries[list(REEF.ramps[name])] = REEF.ramps[other]
    return entries[grid].astype(np.uint8)


def test_copies_are_found_in_every_flip_and_in_other_colours(judge):
    usual, _ = scored(judge, FRESH)
    assert np.median(usual) < 0.95
    for turned in (lambda g: g, lambda g: g[:, ::-1], lambda g: g[::-1]):
        likeness, which = scored(judge, [replace(sprite, grid=turned(sprite.grid).copy()) for sprite in TRAINING])
        assert likeness == pytest.approx(1, abs=1e-3) and which == list(range(60))
    recoloured = [replace(sprite, grid=in_other_colours(sprite.grid)) for sprite in TRAINING]
    likeness, which = scored(judge, recoloured)
    assert np.quantile(likeness, 0.1) > np.quantile(usual, 0.9) and np.mean(np.array(which) == np.arange(60)) > 0.9
    pixels, _ = memorisation.nearest(np.stack([sprite.grid for sprite in recoloured]), GRIDS)
    assert np.median(pixels) < 0.6  # which is why pixels alone are not enough


def test_what_was_not_read_has_no_likeness_and_without_training_nobody_has(judge):
    likeness, which = scored(judge, [TRAINING[3], None, replace(FRESH[0], grid=np.zeros((8, 8), np.uint8))])
    assert which == [3, None, None] and np.isnan(likeness[1:]).all()
    row = [{"metrics": {}}]
    judging.add_memorisation(row, judging.Seen.of(judge, FRESH[:1]), judge, GRIDS[:0], REEF)
    judging.add_memorisation(row, judging.Seen.of(judge, [None]), judge, GRIDS, REEF)
    assert row == [{"metrics": {}}]
