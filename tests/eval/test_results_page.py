"""The page of results: what it says follows from the reports, and the committed one is what it would say now."""

import json
from pathlib import Path

import pytest

from data_prep.errors import InputError
from eval.results_page import Found, answer, cells_alive, gain, main, page, recognised, share, write

ROOT = Path(__file__).resolve().parents[2]


def interval(mean, low, high):
    return {"mean": mean, "low": low, "high": high, "n": 30}


def summary(metrics, low=-0.2, high=-0.1, states=()):
    generators = [
        {"generator": "a", "mode": "grammar", "metrics": metrics},
        {"generator": "held-out sprites", "mode": "control", "metrics": {"recognised": interval(0.5, 0.4, 0.6)}},
    ]
    compared = {"metric": "recognised", "a": "a", "b": "b", "mode": "grammar", "low": low, "high": high}
    cells = [{"generator": "a", "mode": "grammar", "state": state} for state in states]
    likelihoods = [{"generator": "a", "gain_over_shuffled": interval(0.1, -0.1, 0.3)}]
    roles = {"adapter": "a", "rival": "b"}
    return {"generators": generators, "comparisons": [compared], "cells": cells, "likelihoods": likelihoods, "roles": roles}


@pytest.mark.parametrize(
    ("mean", "low", "high", "met"), [(0.9, 0.85, 0.95, True), (0.7, 0.6, 0.75, False), (0.78, 0.7, 0.87, None)]
)
def test_a_goal_within_the_interval_is_open(mean, low, high, met):
    assert share("colour_right", "grammar", least=0.8)(summary({"colour_right": interval(mean, low, high)}), "a").met is met
    assert share("colour_right", "grammar", most=0.8)(summary({"colour_right": interval(mean, low, high)}), "a").met is (
        None if met is None else not met
    )


def test_what_was_not_measured_is_neither_met_nor_missed():
    nothing = summary({})
    for measure in (share("empty", "grammar", most=0.01), recognised, cells_alive):
        assert measure(nothing, "a") == Found("–", None) and measure(nothing, "a").cell() == "–"
    assert gain(nothing, "a").met is None and gain(nothing, "unknown") == Found("–", None)


def test_recognition_is_measured_against_held_out_sprites():
    told = [
        recognised(summary({"recognised": interval(*three)}), "a").met
        for three in ((0.45, 0.42, 0.5), (0.1, 0, 0.2), (0.4, 0.3, 0.5))
    ]
    assert told == [True, False, None]


def test_one_dead_cell_misses_the_goal_and_open_ones_leave_it_open():
    told = [
        cells_alive(summary({}, states=states), "a").met
        for states in (["alive"] * 30, ["alive"] * 29 + ["dead"], ["alive"] * 29 + ["open"])
    ]
    assert told == [True, False, None]


@pytest.mark.parametrize(("low", "high", "word"), [(0.1, 0.2, "yes"), (-0.2, -0.1, "no"), (-0.1, 0.1, "undecided")])
def test_the_answer_is_the_interval_s(low, high, word):
    assert f"**{word}**" in answer(summary({}, low, high))


def test_the_committed_page_is_what_the_reports_say(tmp_path):
    assert (ROOT / "docs/results.md").read_text("utf-8") == page(ROOT)


def test_links_lead_somewhere():
    import re

    for link in re.findall(r"\]\(([^)]+)\)", (ROOT / "docs/results.md").read_text("utf-8")):
        assert (ROOT / "docs" / link).is_file(), link


def test_without_the_headline_s_report_it_is_one_line(tmp_path, capsys):
    with pytest.raises(InputError, match=r"summary\.json"):
        write(tmp_path)
    (tmp_path / "x").write_text(json.dumps({}))
    assert main(["x"]) == 2 and "takes no arguments" in capsys.readouterr().err
