"""The contract of completions: strict and lenient readers, the alphabet, formats of others."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import grid_text
from data_prep.grid_text import ALPHABET, GridError, encode, read
from data_prep.lenient import read_leniently
from data_prep.palette import Palette, named
from data_prep.sprite import Sprite

REEF = named("reef64")
BENCH_EXAMPLE = '{"palette":["87ceeb","228b22","8b4513","ff4500"],"grid":["0000","1111","2212","3333"]}'
grids = st.tuples(st.integers(4, 64), st.integers(4, 64), st.integers(0, 2**32)).map(
    lambda t: np.random.default_rng(t[2]).integers(0, 64, t[:2]).astype(np.uint8)
)


@given(grids)
@settings(max_examples=30, deadline=None)
def test_what_is_written_is_read(grid):
    for palette in (REEF, Palette("free", REEF.colours)):
        text = encode(grid, palette)
        found = read(text, size=grid.shape)
        assert (found.grid == grid).all() and found.palette == palette
        assert json.loads(text)["grid"][0][0] == ALPHABET[grid[0, 0]] and " " not in text


def test_alphabet_is_one_transparent_sign_ten_digits_and_distinct_letters():
    assert len(ALPHABET) == len(set(ALPHABET)) == 64
    assert not ALPHABET[0].isdigit() and ALPHABET[1:11] == "0123456789"


def test_a_drawing_of_the_bench_is_a_free_palette():
    found = read(BENCH_EXAMPLE)
    assert found.grid.tolist() == [[1] * 4, [2] * 4, [3, 3, 2, 3], [4] * 4]
    assert found.palette.colours[0] == "87ceeb" and encode(found.grid, found.palette) == BENCH_EXAMPLE


GOOD = encode(np.ones((4, 5), np.uint8), REEF)


@pytest.mark.parametrize(
    "text, row, column, cause",
    [
        ("", None, None, "does not start"),
        (GOOD + " ", None, None, "after the object"),
        (GOOD[:-1], 3, 5, "no entry"),
        (GOOD.replace('"reef64"', '"reef65"'), None, None, "unknown palette"),
        (GOOD.replace('00000"]', '00Z00"]'), 3, 2, "'Z'"),
        (GOOD.replace('00000"]', '0000"]'), 3, 4, "4 pixels"),
        (GOOD.replace(",", ", "), None, None, "does not start"),
        (BENCH_EXAMPLE.replace("3333", "3334"), 3, 3, "'4'"),
        (GOOD.replace('00000"]}', '00000"]'), 3, 5, "no entry"),
        ('{"palette":"reef64","grid":["0"]}', None, None, "1x1"),
        ("x" * 20_000, None, None, "20000 characters"),
    ],
)
def test_the_strict_reader_names_row_column_and_cause(text, row, column, cause):
    error = read(text)
    assert isinstance(error, GridError) and (error.row, error.column) == (row, column) and cause in error.cause


def test_another_size_is_an_error():
    assert "4x5" in read(GOOD, size=(16, 16)).cause


@given(st.text() | st.text(alphabet='{}[]":,º0123palettegrid\n') | st.from_regex(grid_text._HEAD.pattern))
@settings(max_examples=300, deadline=None)
def test_readers_are_total(text):
    assert isinstance(read(text), Sprite | GridError)
    assert isinstance(read_leniently(text)[0], Sprite | GridError)


@pytest.mark.parametrize(
    "hostile",
    [
        "\0" * 100,
        "[" * 100_000,
        '{"grid":' * 5_000,
        '{"palette":"reef64","grid":[[' + "9" * 5_000 + "]]}",
        '{"palette":["000000",NaN],"grid":["0000","0000","0000","0000"]}',
        '{"grid":1,"grid":[[]],"palette":[]}',
        '{"palette":["000000","ffffff"],"grid":[[0,1,true,1],[0,0,0,0],[0,0,0,0],[0,0,0,0]]}',
        "a" * 10_000_000,
        '{"palette":"../../etc/passwd","grid":["0000","0000","0000","0000"]}',
    ],
)
def test_hostile_texts_are_errors_not_crashes(hostile):
    assert isinstance(read(hostile), GridError)
    assert isinstance(read_leniently(hostile)[0], GridError)


@pytest.mark.parametrize("entry", ["-1", "99999", "2", "1e0", '"0"', "null"])
def test_integers_that_are_no_entry_are_errors(entry):
    rows = ",".join(f"[{','.join([entry] * 16)}]" for _ in range(16))
    found, _ = read_leniently(f'{{"palette":["000000","ffffff"],"grid":[{rows}]}}')
    assert isinstance(found, GridError) and found.row == 0


def test_the_lenient_reader_says_what_it_forgave():
    text = 'Sure!\n```json\n{"palette": ["#87CEEB", "red"], "grid": [[0,1,0,1],[0,0,0,0],[1,1,1,1],[0,1,0,1]]}\n```'
    sprite, forgiven = read_leniently(text)
    assert sprite.palette.colours == ("87ceeb", "ff0000") and sprite.grid[0].tolist() == [1, 2, 1, 2]
    assert set(forgiven) == {"text around the object", "lists of integers", "colours not as six hex digits"}
    assert read_leniently(GOOD)[1] == ()


def test_own_palettes_are_read_by_name():
    mine = Palette("mine", ("000000", "ffffff"))
    text = encode(np.full((4, 4), 2, np.uint8), mine)
    assert isinstance(read(text), GridError) and read(text, {"mine": mine}).palette is mine
