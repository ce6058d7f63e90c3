"""Files of strangers: no more of them is read than fits, and whatever is wrong with their text is an InputError of one line."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from data_prep.errors import InputError

MAX_JSON = 8 * 2**20  # bytes; parsed, small lists take twenty times as much
MAX_YAML = 32 * 2**10  # bytes: its reader takes seconds for a megabyte
MAX_NODES = 20_000  # of a YAML file, aliases counted as often as they are used
MAX_LINE = 4 * 2**20  # bytes of a line of a .jsonl
TOO_LONG = b"a line that is too long\n"


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
        keys = yaml.safe_load(read_bounded(Path(path), MAX_YAML).decode("utf-8-sig"))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except Exception as error:  # PyYAML raises half a dozen types for values such as 2001-99-99 or !!int ''
        raise InputError(f"{path}: cannot be read as YAML: {first_line(error)}") from error
    if not isinstance(keys, dict):
        raise InputError(f"{path}: must be a mapping of keys to values")
    if not _is_small(keys):
        raise InputError(f"{path}: more than {MAX_NODES:,} values, or one that holds itself; write aliases out")
    return keys


def _is_small(data: Any) -> bool:
    """Whether it has at most MAX_NODES values; a few aliases of aliases make 10⁹ of one, and every message prints them."""
    waiting, count = [data], 0
    while waiting:
        found = waiting.pop()
        inner = list(found) if isinstance(found, dict | list | set | tuple) else []
        inner += found.values() if isinstance(found, dict) else []
        count += 1 + len(inner)
        if count > 2 * MAX_NODES:
            return False
        waiting += inner
    return True


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
    """(number from 1, line) of the lines of a text that are not empty."""
    number, before = 1, 0
    for match in re.finditer(rb"[^\n]+", data):
        number += data.count(b"\n", before, match.start())
        before = match.start()
        yield number, match[0]
