"""Formulas against values computed by hand."""

import json
import math

import numpy as np
import pytest

from data_prep.grid_text import FREE, encode
from data_prep.palette import Palette, named
from eval.metrics import attributes, diversity, legacy, likelihood, memorisation, structure, validity

REEF = named("reef64")


def digits(grid) -> list[str]:
    return ["".join(map(str, row)) for row in grid]


def test_legacy_checkerboard_gets_eight_and_a_half():
    board = np.indices((24, 24)).sum(0) % 2
    assert legacy.measures(digits(board), 2, 24, 24)["quality_score"] == pytest.approx(8.5, abs=1e-3)


def test_legacy_noise_and_square_as_published():
    rng = np.random.default_rng(0)
    noise = [legacy.measures(digits(rng.integers(0, 10, (24, 24))), 10, 24, 24)["quality_score"] for _ in range(50)]
    square = np.zeros((24, 24), int)
    square[6:18, 6:18] = 1
    assert np.mean(noise) == pytest.approx(7.95, abs=0.01)
    assert legacy.measures(digits(square), 2, 24, 24)["quality_score"] == pytest.approx(6.63, abs=0.01)


def test_legacy_small_grid_by_hand():
    scores = legacy.measures(["001", "011", "000"], 4, 3, 3)
    # core 2×2: differs below at (0,1), (1,1); differs right at (0,1), (1,0) → 4 of 8
    assert scores["edge_density"] == 0.5
    assert scores["fill_balance"] == pytest.approx(1 - abs(3 / 9 - 0.5))
    assert scores["colour_efficiency"] == 0.5
    entropy = -(6 / 9 * math.log(6 / 9) + 3 / 9 * math.log(3 / 9)) / math.log(4)
    assert scores["normalised_entropy"] == pytest.approx(entropy, abs=1e-6)
    assert (scores["grid_valid"], scores["palette_validity"]) == (1, 1)


def test_legacy_ragged_and_foreign_rows():
    ragged = legacy.measures(["012", "01"], 2, 2, 3)
    assert ragged["grid_valid"] == 0 and ragged["palette_validity"] == 4 / 5
    assert ragged["edge_density"] is None and ragged["quality_score"] is None
    assert legacy.measures(["0x"], 2, 1, 2)["palette_validity"] == 0.5
    assert legacy.measures([], 0, 24, 24)["quality_score"] is None


def test_legacy_one_colour_divides_by_almost_nothing():
    two_values = legacy.measures(["01", "10"], 1, 2, 2)
    assert two_values["normalised_entropy"] > 1e8


def test_legacy_of_a_named_palette_counts_used_entries():
    grid = np.zeros((8, 8), np.uint8)
    grid[::2, ::2] = 40
    assert legacy.of_grid(grid, 8, 8)["colour_efficiency"] == 1.0


def test_structure_of_a_small_grid_by_hand():
    grid = np.zeros((1, 5, 5), np.uint8)
    grid[0, 1:3, 1:3] = 3  # four pixels in one piece
    grid[0, 4, 4] = 5  # one alone
    stats = {name: float(values[0]) for name, values in structure.statistics(grid).items()}
    assert stats["opaque_share"] == 5 / 25 and stats["empty"] == 0
    assert stats["largest_component"] == 4 / 5
    assert stats["speckle"] == 1 / 5
    assert stats["colours"] == 2
    # pairs with an opaque pixel: the square has 4 inside and 8 around it, the lonely pixel 2
    assert stats["neighbour_agreement"] == pytest.approx(4 / 14)
    assert stats["off_centre"] == pytest.approx((1 + 4 + 1) / 2 / 5 - 0.5)
    assert stats["straight_edge"] == 2 / 4


def test_structure_components_do_not_join_across_pictures():
    grids = np.zeros((2, 4, 4), np.uint8)
    grids[0, 0, 0] = grids[1, 0, 0] = grids[1, 3, 3] = 1
    assert structure.largest_component(grids).tolist() == [1.0, 0.5]


def test_structure_of_nothing_is_zero():
    stats = structure.statistics(np.zeros((2, 8, 8), np.uint8))
    assert stats.pop("empty").tolist() == [1, 1]
    assert all(values.tolist() == [0, 0] for values in stats.values())


def test_main_colour_leaves_outline_and_neutral_out():
    red, dark_blue, grey = REEF.ramps["red"][3], REEF.ramps["blue"][0], REEF.ramps["neutral"][4]
    grid = np.full((8, 8), dark_blue, np.uint8)
    grid[:3] = grey
    grid[3, :2] = red
    assert attributes.main_colour(grid, REEF) == "red"
    assert attributes.colour_right(grid, REEF, "red") == 1 and attributes.colour_right(grid, REEF, "blue") == 0
    assert attributes.colour_right(grid, REEF, "plaid") is None and attributes.colour_right(grid, REEF, None) is None
    assert attributes.colour_right(np.zeros((8, 8), np.uint8), REEF, "red") == 0


def test_colours_count_only_where_the_caption_asks():
    assert attributes.stated_colour({"colour": "blue"}, "An azure squid") == "blue"
    assert attributes.stated_colour({"colour": "red"}, "a rounded ray, bored") is None
    assert attributes.stated_colour({"colour": ["red"]}, "red") is None and attributes.stated_colour({}, "red") is None


def test_free_palettes_count_for_the_nearest_ramp():
    free = Palette("free", ("1c4fa2", "f5f5f5"))
    assert attributes.ramp_of_entries(free) == ["blue", "neutral"]


def test_size_in_frame():
    grid = np.zeros((8, 16), np.uint8)
    grid[2:4, 1:5] = 1
    assert attributes.size_in_frame(grid) == 4 / 16
    assert attributes.size_in_frame(np.zeros((8, 8), np.uint8)) == 0


def test_memorisation_finds_flipped_and_shifted_copies():
    rng = np.random.default_rng(1)
    training = np.where(rng.random((300, 16, 16)) < 0.4, rng.integers(1, 64, (300, 16, 16)), 0).astype(np.uint8)
    training[:, (0, -1)] = training[:, :, (0, -1)] = 0  # so that a shift loses nothing
    drawn = np.stack([np.roll(training[i][:, ::-1], (1, -1), (0, 1)) for i in range(20)])
    best, which = memorisation.nearest(drawn, training)
    assert best.tolist() == [1.0] * 20 and which.tolist() == list(range(20))


def test_memorisation_on_features_takes_the_nearest_of_all_views():
    training = np.array([[1.0, 0, 0], [0, 2.0, 0], [0, 0, 3.0]])
    views = np.array([[[0, 5.0, 0], [1, 1, 0], [0, 0, 0]], [[1.0, 0, 0], [0, 0, 1], [0, 0, 0]]])
    best, which = memorisation.nearest_features(views, training)
    assert best == pytest.approx([1, 1, 0]) and which.tolist()[1] == 2 and which[0] in (0, 1)
    lone, _ = memorisation.nearest_features(views[:1], training)
    assert lone == pytest.approx([1, 2**-0.5, 0])


def test_agreement_is_equal_pixels_over_the_union():
    a, b = np.array([[1, 2], [0, 0]], np.uint8), np.array([[1, 3], [4, 0]], np.uint8)
    assert memorisation.agreement(a, b) == 1 / 3
    assert memorisation.agreement(0 * a, 0 * b) == 0


def test_diversity():
    one, other = np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)
    assert diversity.duplicates([one, other, one, one]) == [0, 0, 1, 1]


def test_bits_and_gains_by_hand():
    rows = [
        {"request_id": "a", "condition": "caption", "bits": 100.0, "pixels": 100, "allowed_mass": 0.5},
        {"request_id": "b", "condition": "caption", "bits": 600.0, "pixels": 300, "allowed_mass": 1.0},
        {"request_id": "a", "condition": "shuffled", "bits": 140.0, "pixels": 100},
        {"request_id": "b", "condition": "shuffled", "bits": 600.0, "pixels": 300},
        {"request_id": "a", "condition": "empty", "bits": 90.0, "pixels": 100},
    ]
    found = likelihood.summary(rows)
    assert found["caption"].mean == 700 / 400 and found["caption"].n == 2
    assert found["gain_over_shuffled"].mean == 40 / 400
    assert found["gain_over_empty"].mean == -10 / 100 and found["gain_over_empty"].n == 1
    assert found["allowed_mass"].mean == 0.75 and found["end_probability"].n == 0


def test_validity_strict_lenient_and_wrong_size():
    grid = np.arange(64, dtype=np.uint8).reshape(8, 8)
    text = encode(grid, REEF)
    good = validity.parse(text, {}, (8, 8))
    assert good.strict and good.lenient and (good.sprite.grid == grid).all()
    fenced = validity.parse(f"Sure!\n```json\n{text}\n```", {}, (8, 8))
    assert not fenced.strict and fenced.lenient and fenced.forgiven
    assert not validity.parse(text, {}, (16, 16)).lenient
    broken = validity.parse(text[:60], {}, (8, 8))
    assert validity.measures(broken, 8)["first_error_row"] == broken.row / 8


def test_another_palette_than_the_one_asked_for_is_not_strictly_valid():
    grid = np.arange(64, dtype=np.uint8).reshape(8, 8) % 3
    own = encode(grid, Palette(FREE, ("ff0000", "00ff00", "0000ff")))
    foreign, any_palette = validity.parse(own, {}, (8, 8), REEF), validity.parse(own, {}, (8, 8))
    assert any_palette.strict and not foreign.strict and foreign.lenient and (foreign.sprite.grid == grid).all()
    assert foreign.cause == "in the palette free; asked for reef64" and foreign.forgiven
    assert validity.measures(foreign, 8) == {"strict_valid": 0, "lenient_valid": 1, "first_error_row": None}
    assert validity.parse(encode(grid, REEF), {}, (8, 8), REEF).strict
    spelt_out = encode(grid, Palette(FREE, REEF.colours))
    assert validity.parse(spelt_out, {}, (8, 8), REEF).strict  # the same colours


@pytest.mark.parametrize(
    "text", ["\0" * 99, "[" * 200_000, '{"grid":' * 20_000, None, [1], "\ud800", "9" * 5000, "x" * 10_000_000]
)
def test_validity_takes_anything(text):
    found = validity.parse(text, {}, (16, 16))
    assert not found.strict and found.sprite is None and found.cause


def test_validity_takes_integers_of_thousands_of_digits():
    text = json.dumps({"palette": ["red"], "grid": [[0]]}).replace("[[0]]", "[[" + "9" * 5000 + "]]")
    assert validity.parse(text, {}, (16, 16)).sprite is None
