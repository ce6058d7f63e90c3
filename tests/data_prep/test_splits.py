"""Splits: what `plan` decides on keys alone, whatever the keys."""

import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.recipe import PrepareRecipe
from data_prep.splits import SPLITS, UNSEEN_CELLS, Key, plan
from data_prep.workers import WorkerLost, Workers, chunks

REEF = {"kind": "procedural", "count": 1}
few = settings(deadline=None)


def key(number: int, silhouette: int, label: int, split: str, flip: int, pattern: int, colours: int, source: int) -> Key:
    about = (f"source {source}", "MIT", "")
    shape, words = f"{silhouette:032x}", f"caption {label}" if label else ""
    return Key(Path("p"), number, source, f"n{number}", shape, words, split, bytes([flip]), bytes([number % 2]), bytes([pattern]),
               colours, ("", ""), about)  # fmt: skip


keys = st.lists(
    st.tuples(
        *(st.integers(0, 9), st.integers(0, 6), st.sampled_from(["", "", "", *SPLITS, UNSEEN_CELLS])),
        *(st.integers(0, 30), st.integers(0, 12), st.integers(1, 3), st.integers(0, 1)),
    ),
    max_size=60,
).map(lambda rows: [key(number, *row) for number, row in enumerate(rows)])


def recipe(**changes) -> PrepareRecipe:
    return PrepareRecipe.from_dict({"name": "x", "sources": [REEF, REEF], "sizes": [16]} | changes)


@few
@given(keys, st.integers(0, 5))
def test_every_picture_is_kept_or_has_a_reason_and_no_group_crosses(found, seed):
    decided = plan(found, recipe(seed=seed))
    kept = [one.key.name for one in decided.kept]
    assert sorted(kept + [name for name, _, _ in decided.drops]) == sorted(one.name for one in found)
    for shared in (lambda one: one.group, lambda one: one.key.silhouette):
        splits_of: dict[str, set] = {}
        for one in decided.kept:
            splits_of.setdefault(shared(one), set()).add(one.split)
        assert all(len(splits) == 1 for splits in splits_of.values())
    assert len({one.key.flip for one in decided.kept}) == len(decided.kept)
    assert all(one.split == one.key.split for one in decided.kept if one.key.split) and all(
        one.key.colours > 1 for one in decided.kept
    )
    assert plan(found, recipe(seed=seed)).kept == decided.kept


@few
@given(keys, st.integers(1, 3))
def test_no_pattern_is_kept_more_often_than_asked(found, most):
    patterns = Counter(one.key.pattern for one in plan(found, recipe(recolours=most)).kept)
    assert all(count <= most for count in patterns.values())


@few
@given(keys, st.floats(0.1, 10), st.floats(0.1, 10))
def test_weights_take_training_sprites_of_one_source_alone(found, first, second):
    plain = plan(found, recipe())
    counts = [sum(one.split == "train" and one.key.source == source for one in plain.kept) for source in (0, 1)]
    if not all(counts):
        return
    decided = plan(found, recipe(sources=[REEF | {"weight": first}, REEF | {"weight": second}]))
    left = [sum(one.split == "train" and one.key.source == source for one in decided.kept) for source in (0, 1)]
    assert any(a == b for a, b in zip(left, counts, strict=True)) and all(a <= b for a, b in zip(left, counts, strict=True))
    assert abs(left[0] * second - left[1] * first) <= max(first, second)  # to a whole sprite
    assert [one for one in decided.kept if one.split != "train"] == [one for one in plain.kept if one.split != "train"]


def test_pictures_of_one_name_are_weighed_one_by_one():
    one = [replace(key(n, n, 0, "train", n, n % 13, 2, n % 2), name="same") for n in range(20)]
    one = [replace(found, silhouette=f"{n:032x}") for n, found in enumerate(one)]
    decided = plan(one, recipe(sources=[REEF | {"weight": 1}, REEF | {"weight": 2}]))
    assert [sum(kept.key.source == source for kept in decided.kept) for source in (0, 1)] == [5, 10] and len(decided.drops) == 5


def test_workers_keep_the_order_and_take_in_little_at_once():
    taken = []

    def items():
        for number in range(40):
            taken.append(number)
            yield number

    with Workers(2) as workers:
        found = workers.map(str, items())
        assert next(found) == "0" and len(taken) < 20
        assert [*found] == [str(number) for number in range(1, 40)]
    assert list(chunks(range(5), 2)) == [[0, 1], [2, 3], [4]]


def test_a_killed_process_is_told_and_not_waited_for():
    with Workers(2) as workers, pytest.raises(WorkerLost, match="run it again"):
        list(workers.map(_killed_at, range(40)))


def _killed_at(number: int) -> int:
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return number
