"""The three scores in both readings, on answers that people and models give."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.bench_format import BenchDrawing, on_a_ground
from eval.bench import scoring
from eval.bench.answers import picture_of, read
from eval.bench.drawing import CONTROLS, control_drawing
from eval.bench.randomness import keyed
from eval.bench.sample_drawings import procedural
from eval.bench.scenes import SUBJECTS, scenes
from eval.bench.structure import judged, statistics
from eval.controls import GRID_CONTROLS, HELD_OUT

SPRITES = procedural(24, 7, "test")
GOOD = control_drawing(HELD_OUT, SPRITES[0], keyed("good"))


def noise(colours: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, colours, (24, 24)).astype(np.uint8)


def test_legacy_inspect_scores_are_the_published_ones():
    ten = BenchDrawing(noise(10), tuple(f"{n:02x}0000" for n in range(10)))
    board = BenchDrawing((np.indices((24, 24)).sum(0) % 2).astype(np.uint8), ("000000", "ffffff"))
    assert scoring.legacy(ten.listed()) == {"json_validity": 1, "render_success": 1, "pixel_art_quality": 1.0}
    assert scoring.legacy(board.text()) == {"json_validity": 1, "render_success": 0, "pixel_art_quality": 0.2}


def test_legacy_takes_what_is_no_drawing():
    assert scoring.legacy("[1, 2]") == {"json_validity": 1, "render_success": 0, "pixel_art_quality": 0}
    assert scoring.legacy(f"```json\n{GOOD.text()}\n```")["json_validity"] == 0
    assert scoring.legacy('{"grid": [[[1]]]}')["pixel_art_quality"] == 0


def test_validity_is_of_the_task_s_own_form_and_nothing_around_it():
    assert scoring.ours(GOOD.text(), scoring.STRINGS)["json_validity"] == 1
    assert scoring.ours(GOOD.text(), scoring.LISTS)["json_validity"] == 0
    assert scoring.ours(GOOD.listed(), scoring.LISTS)["json_validity"] == 1
    assert scoring.ours(f"Here it is: {GOOD.text()}", scoring.STRINGS)["json_validity"] == 0


@pytest.mark.parametrize("colours", [[], ["ff0000"], ["#ff0000", "00ff00"], ["ff0000"] * 11, ["ff0000", 3], None])
def test_validity_wants_the_palette(colours):
    text = json.dumps({"palette": colours, "grid": ["0" * 24] * 24})
    assert scoring.ours(text, scoring.STRINGS)["json_validity"] == 0


def test_a_colour_that_is_not_in_the_palette_fails_validity_and_cannot_be_rendered():
    rows = ["9" * 24, *["0" * 24] * 23]
    scores = scoring.ours(json.dumps({"palette": ["000000", "ffffff"], "grid": rows}), scoring.STRINGS)
    assert scores["json_validity"] == 0 and scores["render_success"] == 0


def test_chatter_around_a_drawing_costs_validity_alone():
    bare, fenced = (scoring.ours(text, scoring.STRINGS) for text in (GOOD.text(), f"Sure!\n```json\n{GOOD.text()}\n```"))
    assert fenced["json_validity"] == 0
    assert fenced["render_success"] == bare["render_success"] > 0.5 and fenced["pixel_art_quality"] == bare["pixel_art_quality"]


def test_another_size_is_no_render():
    text = json.dumps({"palette": ["000000", "ffffff"], "grid": ["01" * 8] * 16})
    assert scoring.ours(text, scoring.STRINGS)["render_success"] == 0


def test_ten_names_of_one_colour_are_one_colour():
    many = BenchDrawing(noise(10), ("336699",) * 10)
    scores = scoring.ours(many.text(), scoring.STRINGS)
    assert scores["pixel_art_quality"] < 0.01 and statistics(many.grid, many.lab)["colours"] == 1


@pytest.mark.parametrize("name", GRID_CONTROLS)
@pytest.mark.parametrize("score", ["render_success", "pixel_art_quality"])
def test_every_control_scores_below_held_out_sprites(name, score):
    """On sprites that the fit never saw; half of these families neither (`fit_structure.HELD_OUT`)."""
    means = []
    for kind in (name, HELD_OUT):
        texts = [control_drawing(kind, sprite, keyed(kind, place)).text() for place, sprite in enumerate(SPRITES)]
        means.append(np.mean([scoring.ours(text, scoring.STRINGS)[score] for text in texts]))
    assert means[0] < means[1] - 0.1


@pytest.mark.parametrize("subject", SUBJECTS)
def test_simple_drawings_of_the_subjects_stand_above_noise_though_the_fit_saw_none(subject):
    """Suns, rainbows, ringed planets, mazes and portraits by rule; a maze is the hardest to tell from noise."""
    drawn = [on_a_ground(s.grid, s.palette, keyed("scene", s.id)) for s in scenes({subject: SUBJECTS[subject]}, 12, "tests")]
    means = np.mean([scoring.ours(drawing.text(), scoring.STRINGS)["render_success"] for drawing in drawn])
    noisy = [control_drawing("noise", sprite, keyed("noise", place)) for place, sprite in enumerate(SPRITES)]
    assert means > 0.3 > 0.01 > np.mean([scoring.ours(d.text(), scoring.STRINGS)["render_success"] for d in noisy])


def test_the_measures_do_not_hang_on_which_number_a_colour_has():
    picture = picture_of(read(GOOD.text()))
    order = np.random.default_rng(1).permutation(len(picture.colours))
    turned = np.argsort(order)[picture.grid]
    assert judged(turned, picture.lab[order]) == pytest.approx(judged(picture.grid, picture.lab), abs=1e-2)


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["grid", "palette", "x"]), inner, max_size=3),
        max_leaves=12,
    ).map(json.dumps),
    st.sampled_from([scoring.STRINGS, scoring.LISTS]),
)
def test_scores_are_total_and_within_bounds(text, form):
    for scores in (scoring.ours(text, form), scoring.legacy(text)):
        assert set(scores) == set(scoring.NAMES) and all(0 <= value <= 1 for value in scores.values())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 10), st.sampled_from([1, 2, 3, 6]))
def test_the_measures_are_finite_on_any_grid(seed, colours, block):
    rng = np.random.default_rng(seed)
    grid = np.kron(rng.integers(0, colours, (24 // block, 24 // block)), np.ones((block, block), int))
    lab = rng.uniform(0, 1, (colours, 3))
    assert all(np.isfinite(list(statistics(grid, lab).values())))
    assert all(0 <= value <= 1 for value in judged(grid, lab).values())


def test_the_controls_answer_with_what_the_bench_allows():
    for name in CONTROLS.values():
        drawing = control_drawing(name, SPRITES[1], keyed(name))
        assert scoring.ours(drawing.text(), scoring.STRINGS)["json_validity"] == 1
        assert scoring.ours(drawing.listed(), scoring.LISTS)["json_validity"] == 1
