"""The published formulas against a second, plain implementation of their definitions, on thousands of odd grids."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.bench import legacy

CHARACTERS = "0123456789" * 3 + "٣९９²½x -_+.\n"  # digits of other scripts parse, superscripts and signs do not


def takes(character: str) -> bool:
    try:
        int(character)
    except ValueError:
        return False
    return True


def definitions(rows: list[str], palette: list[str], height: int, width: int) -> dict[str, float | None]:
    """The definitions word for word, over the array of numbers."""
    k, found = len(palette), dict.fromkeys((*legacy.NAMES, legacy.QUALITY))
    if k == 0:
        return found
    characters = "".join(rows)
    if characters:
        found["palette_validity"] = np.mean([takes(c) and int(c) <= k - 1 for c in characters])
    if any(len(row) != len(rows[0]) for row in rows):
        return found
    h, w = len(rows), len(rows[0]) if rows else 0
    all_parse = all(map(takes, characters))
    right_shape = h == height and (h == 0 or w == width)
    found["grid_valid"] = 1.0 if right_shape and all_parse else 0.0
    if not all_parse or not characters:
        return found
    g = np.array([[int(c) for c in row] for row in rows])
    p = np.array([(g == value).sum() / (h * w) for value in np.unique(g)])
    found["colour_efficiency"] = len(p) / k
    found["fill_balance"] = 1 - abs(np.mean(g != 0) - 0.5)
    found["normalised_entropy"] = -(p * np.log(p + 1e-9)).sum() / np.log(k + 1e-9)
    if h >= 2 and w >= 2:
        edges = 0
        for i in range(h - 1):
            for j in range(w - 1):
                edges += int(g[i, j] != g[i + 1, j]) + int(g[i, j] != g[i, j + 1])
        found["edge_density"] = edges / (2 * (h - 1) * (w - 1))
        two = 2 * found["grid_valid"] + 2 * found["palette_validity"] + 1.5 * found["edge_density"]
        found["quality_score"] = two + found["normalised_entropy"] + found["colour_efficiency"] + found["fill_balance"]
    return found


rectangles = st.tuples(st.integers(0, 6), st.integers(0, 6), st.sampled_from(["01", "0123456789", CHARACTERS])).flatmap(
    lambda shape: st.lists(st.text(shape[2], min_size=shape[1], max_size=shape[1]), min_size=shape[0], max_size=shape[0])
)
ragged = st.lists(st.text(CHARACTERS, max_size=6), max_size=6)


@settings(max_examples=1000, deadline=None)
@given(rectangles | ragged, st.integers(0, 12), st.booleans(), st.integers(0, 6), st.integers(0, 6))
def test_every_formula_equals_its_definition_on_odd_grids(rows, colours, as_drawn, height, width):
    if as_drawn and rows:
        height, width = len(rows), len(rows[0])
    palette = [f"{number:06x}" for number in range(colours)]
    expected = definitions(rows, palette, height, width)
    for name, value in expected.items():
        found = getattr(legacy, name)(rows, palette, height, width)
        assert (found is None) == (value is None), name
        assert value is None or found == pytest.approx(value, rel=1e-9, abs=1e-12), name


def test_undefined_cases_one_by_one():
    ragged_rows, two = ["012", "01"], ["a", "b"]
    assert legacy.palette_validity(ragged_rows, two, 2, 3) == 4 / 5
    assert [getattr(legacy, name)(ragged_rows, two, 2, 3) for name in (*legacy.NAMES, "quality_score")].count(None) == 6
    assert all(getattr(legacy, name)(["01", "10"], [], 2, 2) is None for name in (*legacy.NAMES, "quality_score"))
    assert legacy.edge_density(["01"], two, 1, 2) is None and legacy.fill_balance(["01"], two, 1, 2) == 1.0
    assert legacy.grid_valid(["0x"], two, 1, 2) == 0.0 and legacy.colour_efficiency(["0x"], two, 1, 2) is None


def test_one_colour_divides_by_almost_nothing():
    flat, two_values = legacy.normalised_entropy(["00", "00"], ["a"], 2, 2), legacy.normalised_entropy(["01", "10"], ["a"], 2, 2)
    assert flat == pytest.approx(-1.0) and two_values == pytest.approx(math.log(2) * 1e9, rel=1e-6)


def test_efficiency_exceeds_one_and_numbers_of_any_size_are_taken():
    assert legacy.colour_efficiency(["0123"], ["a", "b"], 1, 4) == 2.0
    rows = [[10**30, -5], [0, 10**30]]
    assert legacy.edge_density(rows, ["a"], 2, 2) == 1.0 and legacy.palette_validity(rows, ["a"], 2, 2) == 0.5
