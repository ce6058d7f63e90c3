"""Tables of other people's: a data set's rows from the hub, a folder of files, parquet, JSON or JSON lines."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from data_prep.bounded import parquet_rows, read_bounded
from data_prep.errors import InputError

SUFFIXES = (".parquet", ".jsonl", ".json")
MAX_JSON = 32 * 2**20  # bytes; ten thousand results take less
SPLIT = "train"  # what is read where there are several


def located(name: str) -> Path:
    """A path as the command's reader means it: Inspect loads a task from inside the task's own folder."""
    path = Path(name)
    return path if path.exists() else Path(os.environ.get("PWD", "."), path)


def read_table(source: str) -> list[dict]:
    """All rows as they are, whatever their types. source: a file, a folder of such files, or a data set's name on the hub.

    Raises InputError where there is none or it cannot be read.
    """
    path = located(source)
    if path.is_file():
        return list(_of_file(path))
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and not file.name.startswith("."))
        named = [file for file in files if f"/{SPLIT}" in f"/{file.relative_to(path).as_posix()}"]
        if not files:
            raise InputError(f"{source}: no {', '.join(SUFFIXES)} file in this folder")
        return [row for file in named or files for row in _of_file(file)]
    return _of_hub(source)


def _of_file(path: Path) -> Iterator[dict]:
    if path.suffix == ".parquet":
        try:
            yield from parquet_rows(path)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        return
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: give a file of {', '.join(SUFFIXES)}")
    yield from _of_json(path)


def _of_json(path: Path) -> Iterator[dict]:
    """One array of rows, an object with the rows under 'data' or 'rows', or a row a line. What is no object is left out."""
    try:
        text = read_bounded(path, MAX_JSON).decode("utf-8", "replace")
        data = [_line(line) for line in text.splitlines() if line.strip()] if path.suffix == ".jsonl" else _decoded(text)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: no readable JSON: {error}") from error
    if isinstance(data, dict):
        data = next((data[key] for key in ("data", "rows") if isinstance(data.get(key), list)), [data])
    for row in data if isinstance(data, list) else []:
        found = row["row"] if isinstance(row, dict) and isinstance(row.get("row"), dict) else row  # the hub's own API wraps them
        if isinstance(found, dict):
            yield found


def _line(line: str) -> dict:
    """A line that is no JSON is a row with nothing in it: it is counted, and the rest is read."""
    try:
        return _decoded(line)
    except (ValueError, RecursionError):
        return {}


def _decoded(text: str):
    """Integers of thousands of digits would make `int` raise; they become null."""
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 20 else None)


def _of_hub(name: str) -> list[dict]:
    from datasets import load_dataset

    try:
        return load_dataset(name, split=SPLIT).with_format("arrow")[:].to_pylist()  # opens no file that a cell names
    except Exception as error:  # datasets raises a dozen types, of the network, the cache and the files
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{name}: neither a file nor a folder, and the hub did not give it: {said}") from error
