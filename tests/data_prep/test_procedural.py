"""The procedural reef: same seed same bytes, true tags, anatomy that holds together, variety, honest splits."""

import hashlib
import subprocess
import sys
import time
from collections import Counter, defaultdict
from itertools import islice, pairwise

import numpy as np
import pytest

from data_prep.captions import CATEGORIES, CELLS
from data_prep.errors import InputError
from data_prep.sources import procedural
from data_prep.sources.procedural import (
    HELD_OUT_PLANS,
    LARGE_FROM,
    PLANS,
    SMALL_BELOW,
    combination_is_held_out,
    split_of,
    sprite,
    sprites,
)
from data_prep.sources.reef import raster
from data_prep.sources.reef.dice import Dice
from data_prep.sources.reef.looks import SWIMMING, choose
from data_prep.sources.reef.pen import Pen
from data_prep.sources.reef.render import render
from tests.machine import slowness

SIZES = (16, 24, 32)


@pytest.fixture(scope="module", params=SIZES)
def sample(request):
    return list(islice(sprites(seed=5, size=request.param), 600))


def digest(stream) -> str:
    return hashlib.sha256(b"".join(one.id.encode() for one in stream)).hexdigest()


def ramp_of_entry(palette) -> np.ndarray:
    """(entries,) name of the ramp that each entry lies in, '' for transparent."""
    names = np.full(len(palette), "", dtype=object)
    for name, entries in palette.ramps.items():
        names[list(entries)] = name
    return names


def dominant_ramp(one, where: np.ndarray) -> str:
    counts = Counter(ramp_of_entry(one.palette)[one.grid[where]].tolist())
    return max((name for name in counts if name not in ("", "neutral")), key=counts.get, default="")


def test_the_stream_cycles_through_the_cells_without_end():
    cells = [(one.tags["zone"], one.tags["category"]) for one in islice(sprites(seed=2, size=16), 90)]
    assert cells == list(CELLS) * 3


def test_a_sprite_is_random_access():
    stream = list(islice(sprites(seed=4, size=24), 70))
    assert sprite(4, 69, 24) == stream[69]
    assert sprite(4, 31, 24) == stream[31]
    assert sprite(4, 0, 24, ("hadal", "coral")).tags["zone"] == "hadal"


def test_same_seed_same_bytes_in_another_process():
    code = "from itertools import islice; from data_prep.sources.procedural import sprites;"
    code += "import hashlib; print(hashlib.sha256(b''.join(s.id.encode() for s in islice(sprites(9, 16), 60))).hexdigest())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == digest(islice(sprites(9, 16), 60))
    assert other != digest(islice(sprites(10, 16), 60))


def test_provenance_and_tags(sample):
    keys = {"zone", "category", "plan", "colour", "second_colour", "pattern", "facing", "size", "glow", "pose"}
    for one in sample:
        assert (one.source, one.licence, one.attribution) == ("procedural", "CC0-1.0", "pixelreef")
        assert keys <= set(one.tags)
        assert one.palette.name == "reef64"
        assert one.tags["plan"] in PLANS[one.tags["category"]]
        assert one.tags["colour"] != one.tags["second_colour"]


def test_there_is_something_to_see_and_it_is_one_piece(sample):
    for one in sample:
        mask = one.grid > 0
        assert mask.sum() >= one.height * one.width * 0.06, dict(one.tags)
        first = np.zeros_like(mask)
        first[tuple(np.argwhere(mask)[0])] = True
        assert (raster.reachable(mask, first) == mask).mean() > 0.99, dict(one.tags)


def test_no_stray_pixels(sample):
    for one in sample:
        mask = np.pad(one.grid > 0, 1)
        shifts = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if (r, c) != (0, 0)]
        neighbours = sum(raster.shift(mask, *way).astype(int) for way in shifts)
        assert not (mask & (neighbours == 0)).any(), dict(one.tags)


def test_the_named_colour_dominates_the_pixels(sample):
    whole = [dominant_ramp(one, one.grid > 0) == one.tags["colour"] for one in sample]
    inner = [dominant_ramp(one, raster.shrink(one.grid > 0)) == one.tags["colour"] for one in sample]
    assert np.mean(whole) > 0.99
    assert np.mean(inner) > 0.96


def test_the_second_colour_can_be_seen(sample):
    shares = [(ramp_of_entry(one.palette)[one.grid[one.grid > 0]] == one.tags["second_colour"]).mean() for one in sample]
    assert np.mean(np.array(shares) >= 0.03) > 0.97


def test_the_size_is_what_the_drawing_measures(sample):
    for one in sample:
        rows, columns = np.nonzero(one.grid)
        share = (max(np.ptp(rows), np.ptp(columns)) + 1) / one.height
        expected = "small" if share < SMALL_BELOW else "medium" if share < LARGE_FROM else "large"
        assert one.tags["size"] == expected
    assert len({one.tags["size"] for one in sample}) == 3


def drawn_as(plan: str, facing: str, pose: str, seed: int = 3, size: int = 32) -> np.ndarray:
    """(size, size) silhouette of one plan, told which way to face and which pose to take."""
    body = next(bodies[plan] for bodies in PLANS.values() if plan in bodies)
    dice = Dice(seed, 1)
    look = choose(dice, "shallows", {facing: 1}, body.patterns, {pose: 1}, size)
    pen = Pen()
    body.draw(pen, look, dice)
    return render(pen, look, body.heading, (0.0, 0.0))[0] >= 0


@pytest.mark.parametrize("pose", ["", "level", "rising", "diving"])
@pytest.mark.parametrize("plan", ["clownfish", "pufferfish", "parrotfish", "anglerfish", "gulper eel", "cuttlefish", "seahorse"])
def test_facing_right_is_facing_left_in_a_mirror(plan, pose):
    left, right = (drawn_as(plan, facing, pose) for facing in ("left", "right"))
    assert (left & right[:, ::-1]).sum() / (left | right[:, ::-1]).sum() > 0.9
    assert (left & right).sum() / (left | right).sum() < 0.9


def slope(mask: np.ndarray) -> float:
    """Rows that a drawing falls from one column to the next, by least squares."""
    rows, columns = np.nonzero(mask)
    return np.polyfit(columns, rows, 1)[0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("facing", ["left", "right"])
@pytest.mark.parametrize("plan", ["clownfish", "barracuda", "parrotfish", "manatee", "sea turtle", "moray eel", "squid"])
def test_who_rises_has_the_nose_up_and_who_dives_has_it_down(plan, facing, size):
    ahead = 1 if facing == "left" else -1
    falls = {
        pose: np.mean([ahead * slope(drawn_as(plan, facing, pose, seed, size)) for seed in range(30)])
        for pose in ("level", "rising", "diving")
    }
    assert falls["rising"] > falls["level"] + 0.15 > falls["diving"] + 0.3, falls


def test_swimmers_are_mostly_level_and_have_no_such_pose_when_they_head_up_or_down():
    poses = Counter()
    for one in islice(sprites(seed=14, size=16), 900):
        poses[one.tags["pose"]] += 1
        if one.tags["facing"] not in ("left", "right"):
            assert one.tags["pose"] not in SWIMMING
    assert poses["level"] > 1.2 * (poses["rising"] + poses["diving"])
    assert min(poses["rising"], poses["diving"]) > 40


@pytest.mark.parametrize("plan", [name for bodies in PLANS.values() for name, body in bodies.items() if body.poses])
def test_another_pose_is_another_silhouette(plan):
    body = next(bodies[plan] for bodies in PLANS.values() if plan in bodies)
    facing, poses = next(iter(body.facings)), list(body.poses)
    for one, other in pairwise(poses):
        overlaps = []
        for seed in range(8):
            first, second = (drawn_as(plan, facing, pose, seed, 24) for pose in (one, other))
            overlaps.append((first & second).sum() / (first | second).sum())
        assert np.mean(overlaps) < 0.85, (one, other, np.mean(overlaps))


def test_patterns_put_the_second_colour_into_the_body():
    share = defaultdict(list)
    for one in islice(sprites(seed=8, size=32), 900):
        if one.tags["category"] == "reef_fish":
            inner = raster.shrink(one.grid > 0)
            share[one.tags["pattern"]].append((ramp_of_entry(one.palette)[one.grid[inner]] == one.tags["second_colour"]).mean())
    assert all(np.mean(share[pattern]) > np.mean(share["plain"]) for pattern in ("stripes", "bands"))
    assert min(len(values) for values in share.values()) > 10


def test_zones_change_the_light():
    lightness = defaultdict(list)
    for one in islice(sprites(seed=6, size=16), 600):
        lightness[one.tags["zone"]].append(one.palette.oklab[one.grid[one.grid > 0] - 1, 0].mean())
    mean = {zone: np.mean(values) for zone, values in lightness.items()}
    assert mean["hadal"] > mean["shallows"] > mean["twilight"] > mean["midnight"]
    assert mean["hadal"] > mean["abyss"] + 0.15


def test_a_glow_is_the_brightest_thing_in_the_dark():
    for one in islice(sprites(seed=6, size=24), 300):
        if one.tags["zone"] == "midnight" and one.tags["glow"] == "yes":
            light = one.palette.oklab[one.grid[one.grid > 0] - 1, 0]
            assert light.max() > np.median(light) + 0.3, dict(one.tags)


def test_six_plans_a_category_and_all_of_them_drawn():
    drawn = Counter(one.tags["plan"] for one in islice(sprites(seed=7, size=16), 1800))
    for category in CATEGORIES:
        assert len(PLANS[category]) >= 6
        assert all(drawn[plan] > 5 for plan in PLANS[category])
    names = [plan for category in CATEGORIES for plan in PLANS[category]]
    assert len(names) == len(set(names))


def nearest_overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n, H, W), (m, H, W) masks → (n,) highest silhouette IoU under the four flips."""
    flat = one.reshape(len(one), -1).astype(np.float32)
    best = np.zeros(len(one))
    for flipped in (other, other[:, :, ::-1], other[:, ::-1], other[:, ::-1, ::-1]):
        against = flipped.reshape(len(other), -1).astype(np.float32)
        shared = flat @ against.T
        best = np.maximum(best, (shared / (flat.sum(1)[:, None] + against.sum(1)[None] - shared)).max(1))
    return best


@pytest.mark.parametrize("size", SIZES)
def test_two_seeds_have_no_twins(size):
    one, other = (np.stack([s.grid > 0 for s in islice(sprites(seed, size), 900)]) for seed in (1, 2))
    assert (nearest_overlap(one, other) < 0.95).mean() >= 0.95


def test_counting_colours_does_not_give_category_or_plan_away():
    from sklearn.ensemble import RandomForestClassifier

    def accuracy(train, test, tag):
        counts = [np.stack([np.bincount(s.grid.ravel(), minlength=64) for s in part]) for part in (train, test)]
        forest = RandomForestClassifier(40, random_state=0).fit(counts[0], [s.tags[tag] for s in train])
        return forest.score(counts[1], [s.tags[tag] for s in test])

    train, test = (list(islice(sprites(seed, 16), 1200)) for seed in (1, 2))
    assert accuracy(train, test, "category") < 0.6
    for category in CATEGORIES:
        of_one = [[s for s in part if s.tags["category"] == category] for part in (train, test)]
        assert accuracy(*of_one, "plan") < 0.6


def test_splits_are_decided_by_the_combination_alone():
    split, held_out = defaultdict(set), Counter()
    for one in islice(sprites(seed=12, size=16), 1500):
        split[one.tags["plan"], one.tags["colour"], one.tags["pattern"]].add(split_of(one.tags))
        held_out[combination_is_held_out(one.tags)] += 1
    assert all(len(parts) == 1 for parts in split.values())
    assert 0.04 < held_out[True] / held_out.total() < 0.13


def test_held_out_plans_are_one_a_category_and_only_in_test():
    assert set(HELD_OUT_PLANS) == set(CATEGORIES)
    assert all(plan in PLANS[category] for category, plan in HELD_OUT_PLANS.items())
    parts = defaultdict(Counter)
    for one in islice(sprites(seed=13, size=16), 1500):
        parts[split_of(one.tags)][one.tags["plan"]] += 1
    assert set(parts) == {"train", "validation", "test"}
    for plan in HELD_OUT_PLANS.values():
        assert parts["test"][plan] > 0
        assert parts["train"][plan] == parts["validation"][plan] == 0
    assert len(set(parts["test"]) - set(HELD_OUT_PLANS.values())) > 5  # unseen combinations of plans that training has


def test_a_thousand_in_time():
    stream, seconds = sprites(1, 32), []
    next(stream)
    for _ in range(3):  # the quickest: what else the machine does makes any of them slower
        start = time.process_time()
        for _ in islice(stream, 100):
            pass
        seconds.append(time.process_time() - start)
    assert min(seconds) / 100 * 1000 < 5 * slowness()


def test_memory_stays_flat():
    import tracemalloc

    stream = sprites(1, 16)
    for _ in islice(stream, 150):
        pass
    tracemalloc.start()
    for _ in islice(stream, 300):
        pass
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 500_000


def test_larger_and_smaller_frames_work_too():
    for size in (8, 12, 20, 48, 64):
        for one in islice(sprites(1, size), 60):
            assert one.grid.shape == (size, size)
            assert one.grid.any()


@pytest.mark.parametrize("size, cell", [(4, None), (65, None), (16, ("sky", "coral")), (16, ("abyss", "bird"))])
def test_what_cannot_be_drawn_is_refused(size, cell):
    with pytest.raises(InputError, match="procedural"):
        sprite(1, 0, size, cell)


def test_plans_name_facings_they_can_be_turned_to():
    headings = {"left": {"left", "right", "up", "down"}, "up": {"up", "left", "right", "down"}, "front": {"front"}}
    for bodies in procedural.PLANS.values():
        for body in bodies.values():
            assert set(body.facings) <= headings[body.heading]


def test_a_drawing_that_comes_out_empty_is_drawn_again():
    """Found by streaming: the body of this one is too thin for 8×8, at the first try."""
    place, cell = (3, 75561, 8), ("abyss", "jellyfish")
    assert procedural._draw(Dice(*place, CELLS.index(cell)), *cell, 8) is None
    assert (procedural.sprite(*place).grid > 0).sum() >= 4
