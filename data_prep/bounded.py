"""Files of strangers: no more of them is read than fits, and whatever is wrong with their text is an InputError of one line."""

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from data_prep.errors import InputError

MAX_JSON = 8 * 2**20  # bytes; parsed, small lists take twenty times as much
MAX_YAML = 32 * 2**10  # bytes: its reader takes seconds for a megabyte
MAX_NODES = 20_000  # of a YAML file, aliases counted as often as they are used
MAX_LINE = 4 * 2**20  # bytes of a line of a .jsonl
TAG = "tag:yaml.org,2002:"  # of YAML's own types
TOO_LONG = b"a line that is too long\n"
MAX_GROUP = 128 * 2**20  # bytes of a parquet file's row group, unpacked
MAX_BATCH = 64 * 2**20  # bytes of the rows that are unpacked at once, were each as long as its whole row group
MAX_ROW = 4 * 2**20  # bytes of a row
MAX_ROWS = 128 * 2**20  # bytes of all rows, or MAX_RATIO times the file's
MAX_RATIO = 200  # pairs of sprites and captions unpack to fifty times their file
VALUE, ROW = 16, 256  # bytes that each counts beside its own: nulls and empty lists take memory too, as Python's objects


def read_bounded(path: Path, most: int) -> bytes:
    """A file of at most `most` bytes. Raises InputError, without the name, for a longer one and no plain file; OSError."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError("no plain file")  # a pipe or a device need not end
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise InputError(f"more than {in_bytes(most)}")
    return data


def in_bytes(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 2**20 else f"{count >> 10} KiB"


def read_json(path: Path, most: int = MAX_JSON) -> Any:
    """What a JSON file in UTF-8 holds. Raises InputError, without its name, and OSError as `open`."""
    try:
        return json.loads(read_bounded(path, most).decode("utf-8-sig"))
    except InputError:
        raise
    except (ValueError, RecursionError) as error:  # also integers of 5,000 digits and nests of 100,000 brackets
        raise InputError(f"not JSON ({str(error)[:80]})") from error


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The keys of a YAML file: plain values alone, never Python objects. Raises InputError."""
    import yaml

    try:
        loader = yaml.SafeLoader(read_bounded(Path(path), MAX_YAML).decode("utf-8-sig"))
        root = loader.get_single_node()
        _check_nodes(loader, root)  # before they become values: merge keys grow while they do
        keys = loader.construct_document(root) if root else None
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except Exception as error:  # PyYAML raises half a dozen types for values such as 2001-99-99 or !!int ''
        raise InputError(f"{path}: cannot be read as YAML: {first_line(error)}") from error
    if not isinstance(keys, dict):
        raise InputError(f"{path}: must be a mapping of keys to values")
    return keys


def _check_nodes(loader: Any, root: Any) -> None:
    """Raises InputError, without the name, unless what a text is composed of makes at most MAX_NODES values, none of them merged
    from others or a whole number beyond 64 bits: a few aliases of aliases make 10⁹ of one, and every message prints them."""
    waiting, count = [root] if root else [], 0
    while waiting:
        node = waiting.pop()
        if node.tag == f"{TAG}merge":
            raise InputError("merge keys (<<) are not read; write their values out")
        if node.tag == f"{TAG}int" and not -(2**63) <= loader.construct_object(node) < 2**64:
            raise InputError(f"line {node.start_mark.line + 1}: a whole number beyond 64 bits; give a smaller one")
        inner = [] if isinstance(node.value, str) else node.value
        inner = [part for pair in inner for part in (pair if isinstance(pair, tuple) else (pair,))]
        count += 1 + len(inner)
        if count > 2 * MAX_NODES:
            raise InputError(f"more than {MAX_NODES:,} values, or one that holds itself; write aliases out")
        waiting += inner


def first_line(error: Exception) -> str:
    """What an error says, in one line; its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file, each with its b"\\n", which one that was cut off lacks. In place of one that is longer than MAX_LINE
    comes TOO_LONG, which is no JSON."""
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE and not line.endswith(b"\n"):
            while (rest := file.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                pass
            line = TOO_LONG
        yield line


def filled_lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(number from 1, line from its first sign on) of the lines of a text that hold more than blanks: 30 million may be blank."""
    number, before = 1, 0
    for match in re.finditer(rb"\S[^\n]*", data):
        number += data.count(b"\n", before, match.start())
        before = match.start()
        yield number, match[0]


def refuse_link(path: Path) -> None:
    """Raises InputError for a symbolic link: what is written to a stranger's would be written to the file that it names."""
    if path.is_symlink():
        raise InputError(f"{path}: is a link to another file; put the file itself in its place, or remove it")


def parquet_rows(path: Path, columns: Collection[str] | None = None) -> Iterator[dict]:
    """The rows of a parquet file, few of which are in memory at once. Raises InputError, without its name.

    Equal values are stored once: a file of a kilobyte may hold gigabytes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        left = max(MAX_ROWS, MAX_RATIO * path.stat().st_size)
        with pq.ParquetFile(path) as file:
            _refuse_shared(file.schema_arrow)
            for group in range(file.num_row_groups):
                size, values = _group_size(file.metadata.row_group(group), columns)
                left = _spent(left, VALUE * values + ROW * file.metadata.row_group(group).num_rows)
                if size > MAX_GROUP:
                    raise InputError(f"a row group of more than {in_bytes(MAX_GROUP)}; write it with smaller ones")
                at_once = min(max(1, MAX_BATCH // max(1, size)), 1000)
                for batch in file.iter_batches(at_once, [group], columns and list(columns)):
                    left = _spent(left, _batch_size(batch))
                    yield from _rows(batch)
    except InputError:
        raise
    except (OSError, ValueError, ArithmeticError, LookupError, TypeError, pa.ArrowException) as error:
        raise InputError(f"no readable parquet file ({first_line(error)[:80]})") from error


def _refuse_shared(schema) -> None:
    """Raises InputError for types whose values share memory inside of lists, whose size nothing tells before."""
    for field in schema:
        inner = str(field.type.value_type if _is_dictionary(field) else field.type)
        if re.search("dictionary<|_view|run_end", inner):
            raise InputError(f"column {field.name[:60]!r} is of type {inner[:60]!r}; write it as plain lists and strings")


def _is_dictionary(column) -> bool:
    import pyarrow as pa

    return pa.types.is_dictionary(column.type)


def _group_size(group, columns: Collection[str] | None) -> tuple[int, int]:
    """(bytes, values) of a row group's columns, as its file says."""
    chunks = [group.column(number) for number in range(group.num_columns)]
    read = [chunk for chunk in chunks if columns is None or chunk.path_in_schema.split(".")[0] in columns]
    return sum(max(0, chunk.total_uncompressed_size) for chunk in read), sum(max(0, chunk.num_values) for chunk in read)


def _batch_size(batch) -> int:
    """Bytes, those of a dictionary counted for each row: there is no bound that is nearer without reading them."""
    return sum(c.nbytes + (len(c) * c.dictionary.nbytes if _is_dictionary(c) else 0) for c in batch.columns)


def _spent(left: int, size: int) -> int:
    if size > left:
        raise InputError("its rows unpack to far more than its size lets expect")
    return left - size


def _rows(batch) -> Iterator[dict]:
    """The rows of a batch; one by one where one may be too long."""
    if _batch_size(batch) <= MAX_ROW:
        yield from batch.to_pylist()
        return
    for number in range(batch.num_rows):
        row = batch.slice(number, 1)
        if _batch_size(row) > MAX_ROW:
            raise InputError(f"a row of more than {in_bytes(MAX_ROW)}")
        yield from row.to_pylist()
