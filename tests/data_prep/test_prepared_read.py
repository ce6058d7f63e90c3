"""Prepared datasets from strangers: what `prepare` would not have written is told in one line, by whoever reads it."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data_prep.errors import InputError
from data_prep.merge import merge
from data_prep.pairs import read_rows, shards, write_parquet

ROWS = {  # column → a value that it cannot have
    "id": None,
    "prompt": [],
    "completion": [{"role": "assistant", "content": None}],
    "caption_full": None,
    "height": 10**6,
    "width": -1,
    "tags": "[1]",
    "source": None,
    "group": None,
}
MANIFESTS = {  # a path in manifest.json → a value that it cannot have
    "recipe": None,
    "recipe.name": 3,
    "recipe.sizes": ["16"],
    "recipe.tasks": {"draw": 0},
    "recipe.empty_caption_share": float("nan"),
    "counts": [],
    "counts.train": {"a": "b"},
    "sources": 3,
    "sources.pixelreef": {"oklab_error": 1.0},
}


@pytest.fixture
def dataset(reef, tmp_path) -> Path:
    """A copy to be spoilt."""
    return shutil.copytree(reef, tmp_path / "dataset")


def spoil(dataset: Path, column: str, value) -> Path:
    file = shards(dataset, "train")[0]
    rows = pq.read_table(file).to_pylist()
    rows[1][column] = value
    write_parquet(file, rows)
    return file


@pytest.mark.parametrize(("column", "value"), [*ROWS.items(), ("completion", [{"role": "a", "content": "fish"}]), ("height", 8)])
def test_a_row_that_prepare_would_not_have_written_is_told_by_its_file_and_number(dataset, column, value):
    file = spoil(dataset, column, value)
    with pytest.raises(InputError) as told:
        list(read_rows(dataset, "train"))
    assert str(told.value).startswith(f"{file}: row 2: its ") and "prepare the dataset again" in str(told.value)


def test_a_missing_column_is_told_and_others_are_left_unread(dataset):
    file = shards(dataset, "train")[0]
    pq.write_table(pq.read_table(file).drop_columns("group"), file)
    assert all(row.keys() == {"id", "caption"} for row in read_rows(dataset, "train", ("id", "caption")))
    for columns in (None, ("id", "group")):
        with pytest.raises(InputError, match="row 1: its 'group' is missing"):
            list(read_rows(dataset, "train", columns))


@pytest.mark.parametrize(("place", "value"), MANIFESTS.items())
def test_a_manifest_that_prepare_would_not_have_written_is_not_merged(reef, dataset, tmp_path, place, value):
    manifest = json.loads((dataset / "manifest.json").read_text())
    *parents, last = place.split(".")
    inner = manifest
    for parent in parents:
        inner = inner[parent]
    inner[last] = value
    (dataset / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"damaged .*prepare it again"):
        merge([reef, dataset], tmp_path / "both")
    assert {path.name for path in tmp_path.iterdir()} == {"dataset"}


@pytest.mark.parametrize("content", [b"", b"PAR1 and nothing more PAR1"])
def test_a_damaged_file_is_not_merged(reef, dataset, tmp_path, content):
    shards(dataset, "train")[0].write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        merge([reef, dataset], tmp_path / "both")
    assert {path.name for path in tmp_path.iterdir()} == {"dataset"}


def test_a_damaged_row_ends_a_merge_with_nothing_left(reef, dataset, tmp_path):
    spoil(dataset, "licence", None)
    with pytest.raises(InputError, match="row 2: its 'licence'"):
        merge([reef, dataset], tmp_path / "both")
    assert {path.name for path in tmp_path.iterdir()} == {"dataset"}
