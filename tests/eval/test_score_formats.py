"""Completions that are odd, hostile or in other people's formats: `score` gives each a row, and none a traceback."""

import json
import unicodedata

import numpy as np
import pytest
from run_folders import blob, drawing, make_run, read_rows, write_rows

from data_prep.grid_text import encode
from data_prep.palette import named
from eval.metrics.catalogue import NAMES
from eval.score import score

REEF = named("reef64")
GRID = np.maximum(blob(np.random.default_rng(1)).grid, 1)  # opaque, since integers name colours
TEXT = encode(GRID, REEF)
ROWS = json.loads(TEXT)["grid"]
INTEGERS = json.dumps({"palette": "reef64", "grid": (GRID.astype(int) - 1).tolist()})

LENIENT = {
    "a fence": f"```json\n{TEXT}\n```",
    "chatter": f"Sure! {TEXT} Enjoy.",
    "thoughts": f"<think>\nhm\n</think>\n\n{TEXT}",
    "indented": json.dumps(json.loads(TEXT), indent=2),
    "lists of integers": INTEGERS,
    "a byte order mark": "\ufeff" + TEXT,
    "twice": TEXT + TEXT,
    "a key that stands twice, the second right": '{"grid":["x"],' + TEXT[1:],
    "bench": json.dumps({"palette": ["#1c4fa2", "#f5f5f5"], "grid": ["01" * 8] * 16}),
}
UNREADABLE = {
    "a key that stands twice, the second wrong": TEXT[:-1] + ',"grid":["x"]}',
    "a long row": TEXT.replace(ROWS[3], ROWS[3] + "0", 1),
    "a short row": encode(GRID, REEF).replace(f'"{ROWS[15]}"]', '"0"]'),
    "no rows": '{"palette":"reef64","grid":[]}',
    "NaN": INTEGERS.replace("[[", "[[NaN, ", 1),
    "Infinity": '{"palette":"reef64","grid":[[-Infinity]]}',
    "5,000 digits": INTEGERS.replace("[[", "[[" + "9" * 5000 + ",", 1),
    "5,000 digits of a fraction": INTEGERS.replace("[[", "[[0." + "9" * 5000 + ",", 1),
    "fractions": INTEGERS.replace("[[", "[[0.5,", 1),
    "truths": '{"palette":"reef64","grid":[[true,false]]}',
    "negative": '{"palette":"reef64","grid":' + json.dumps([[-1] * 16] * 16) + "}",
    "beyond the palette": '{"palette":"reef64","grid":' + json.dumps([[63] * 16] * 16) + "}",
    "nested lists": '{"palette":"reef64","grid":' + "[" * 5000 + "]" * 5000 + "}",
    "nested objects": '{"grid":' * 5000 + "0" + "}" * 5000,
    "many openings": "{" * 100_000 + TEXT,
    "rows by name": json.dumps({"palette": "reef64", "grid": dict(enumerate(ROWS))}),
    "10,000 colours": json.dumps({"palette": ["ff0000"] * 10_000, "grid": ["0" * 16] * 16}),
    "a palette that is an object": '{"palette":{"a":[1]},"grid":["0"]}',
    "other Unicode form": unicodedata.normalize("NFD", encode(np.full((16, 16), 30, np.uint8), REEF)),
    "NULs within": TEXT.replace(ROWS[2], "\0" * 16),
    "runs": '{"palette":"reef64","grid":["16x0"]}',
    "CSV": "\n".join(",".join(map(str, row)) for row in GRID.tolist()),
    "ASCII art": "\n".join(["#." * 8] * 16),
    "SVG": '<svg xmlns="http://www.w3.org/2000/svg"><rect width="16" height="16"/></svg>',
    "a picture": "data:image/png;base64,iVBORw0KGgo=",
    "direction marks": "\u202e\u2066" + TEXT[:50],
    "nothing": "",
}


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> dict[str, dict]:
    """Name of the text → its row in scores.jsonl."""
    folder = make_run(tmp_path_factory.mktemp("runs") / "formats", prompts=5, training=30)
    texts = {**LENIENT, **UNREADABLE}
    rows = [drawing(3, name, "model", "unconstrained", text) for name, text in texts.items()]
    write_rows(folder / "completions.jsonl", read_rows(folder / "completions.jsonl") + rows)
    summary = json.loads(score(folder).read_text())
    assert not summary["unusable_rows"]
    assert {row["generator"]: row["drawings"] for row in summary["generators"]}.items() >= dict.fromkeys(texts, 1).items()
    return {row["generator"]: row for row in read_rows(folder / "scores.jsonl")}


@pytest.mark.parametrize("name", LENIENT)
def test_other_peoples_formats_are_read_leniently_and_looked_at(scored, name):
    row = scored[name]
    assert (row["metrics"]["strict_valid"], row["metrics"]["lenient_valid"]) == (0, 1) and row["forgiven"]
    assert row["metrics"]["judge_quality"] is not None and row["metrics"]["colours"] > 0


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_has_a_row_with_a_printable_cause(scored, name):
    row = scored[name]
    assert (row["metrics"]["strict_valid"], row["metrics"]["lenient_valid"]) == (0, 0)
    assert row["error"].isprintable() and set(row["metrics"]) == set(NAMES) and row["metrics"]["judge_quality"] is None
