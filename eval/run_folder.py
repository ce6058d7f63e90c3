"""The files of a run folder: reading what may be broken, writing so that nothing is ever half there.

Reads recipe.json, palette.json, references.jsonl, completions.jsonl, likelihoods.jsonl, training.npz and
training_log.jsonl of `runs/<name>/`. Rows that cannot be used are counted with their cause, never raised: a run folder
may come from a killed process or from strangers.
"""

import hashlib
import json
import math
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data_prep import bounded
from data_prep.errors import InputError
from data_prep.palette import Palette
from data_prep.whole_files import write_whole
from eval.metrics.likelihood import CONDITIONS

RIVAL_LOG = "rival_training_log.jsonl"  # a copy of the training log of the run's first sprite transformer
MAX_JSON = 16 * 2**20  # bytes of a file with one object
MAX_GRIDS = 2**28  # bytes: the training sprites of a run, 65,536 of 64×64
MAX_NAME = 100  # characters of a generator's name or a mode
SCORED_FILES = ("recipe.json", "palette.json", "references.jsonl", "completions.jsonl", "likelihoods.jsonl", "training.npz")
KINDS = ("model", "degenerate", "honest")


@dataclass(frozen=True)
class Rows:
    """Usable rows of one file, and cause → number of the others."""

    rows: list[dict]
    unusable: Counter = field(default_factory=Counter)


def read_json(path: Path, required: bool = True) -> dict:
    """An object from a file; {} for a missing file that is not required. Raises InputError."""
    if not path.exists() and not required:
        return {}
    try:
        data = bounded.read_json(path, MAX_JSON)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); is {path.parent} a run folder?") from error
    except InputError as error:
        raise InputError(f"{path}: {error}; write it anew with the command that made it") from error
    if not isinstance(data, dict):
        raise InputError(f"{path}: holds no JSON object")
    return data


def read_palette(folder: Path) -> Palette:
    return Palette.from_json(read_json(folder / "palette.json"))


def read_rows(path: Path, check: Callable[[dict], str | None], required: bool = True) -> Rows:
    """The rows of a .jsonl file that `check` has no complaint about; the others are counted under its words.

    A last line that was cut off (no newline, no JSON) is left out with a warning: a run that was killed goes on there.
    """
    if not path.exists() and not required:
        return Rows([])
    usable, unusable = [], Counter()
    for line in lines(path):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):  # also integers of 5,000 digits and nests of 100,000 brackets
            if not line.endswith(b"\n"):
                warnings.warn(f"{path.name}: the last line is cut off and was left out", stacklevel=2)
                unusable["last line cut off"] += 1
            else:
                unusable["no JSON"] += 1
            continue
        complaint = check(row) if isinstance(row, dict) else "no JSON object"
        if complaint:
            unusable[complaint] += 1
        else:
            usable.append(row)
    return Rows(usable, unusable)


def lines(path: Path) -> Iterator[bytes]:
    """Lines that are not white space, each with its b"\\n", which one that was cut off lacks. Texts may hold other ends of lines
    (U+2028, U+0085), and a cut may go through a character: never decode before."""
    try:
        with path.open("rb") as file:
            yield from (line for line in bounded.lines_of(file) if line.strip())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); is {path.parent} a run folder?") from error


def is_word(value) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME


def is_side(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 10_000


def number(value) -> float | None:
    """A finite number as float; None for everything else, True and NaN included."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        value = float(value)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def whole(value) -> int | None:
    """An integer that others can read back (64 bits), else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None


def check_drawing(row: dict) -> str | None:
    """What makes a completion or a reference unusable, or None. A missing or odd text is an invalid drawing, not that."""
    for key in ("request_id", "generator", "mode"):
        if not is_word(row.get(key)):
            return f"no {key}"
    if row.get("kind") not in KINDS:
        return "no kind"
    return None if is_side(row.get("height")) and is_side(row.get("width")) else "no size"


def check_reference(row: dict) -> str | None:
    if not is_word(row.get("request_id")):
        return "no request_id"
    if not isinstance(row.get("text"), str):
        return "no text"
    return None if is_side(row.get("height")) and is_side(row.get("width")) else "no size"


def check_likelihood(row: dict) -> str | None:
    if not is_word(row.get("request_id")) or not is_word(row.get("generator")):
        return "no request_id or generator"
    if row.get("condition") not in CONDITIONS:
        return "no condition"
    bits, pixels = number(row.get("bits")), number(row.get("pixels"))
    return None if bits is not None and bits >= 0 and pixels is not None and pixels > 0 else "no bits or pixels"


def check_log(row: dict) -> str | None:
    return None if number(row.get("step")) is not None else "no step"


def sprites_in(log: list[dict]) -> int | None:
    """Sprites that a training saw by its log, counted with repeats; None where the log does not say."""
    counts = [count for row in log for key in ("sprites", "sprites_seen") if (count := number(row.get(key)))]
    return int(max(counts)) if counts else None


def seconds_in(log: list[dict], seen: int | None = None) -> float | None:
    """Wall clock of a training by its log; None where it tells no time or fewer sprites than the weights have `seen`.

    The log of an adapter that went on from another one is of its last run alone.
    """
    if seen is not None and (sprites_in(log) or 0) < seen:
        return None
    return max((seconds for row in log if (seconds := number(row.get("seconds"))) is not None), default=None)


def read_training(folder: Path, entries: int) -> np.ndarray | None:
    """`grids` of training.npz, (N, H, W) uint8, or None where there is no such file. Raises InputError."""
    path = folder / "training.npz"
    if not path.exists():
        return None
    try:
        if _stated_bytes(path, "grids") > MAX_GRIDS:
            raise ValueError(f"more than {bounded.in_bytes(MAX_GRIDS)}")
        with np.load(path, allow_pickle=False) as archive:
            grids = archive["grids"]
    except (OSError, KeyError, ValueError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: no array 'grids' to be read ({str(error)[:80]}); remove the file or draw again") from error
    if grids.ndim != 3 or grids.dtype != np.uint8 or (grids.size and grids.max() >= entries):
        raise InputError(f"{path}: 'grids' must be (N, H, W) uint8 within the palette's {entries} entries")
    return grids if len(grids) else None


def _stated_bytes(path: Path, name: str) -> int:
    """How large an array of an .npz is, by its header and by its archive: of a bomb, no byte is unpacked."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        return max(math.prod(shape) * dtype.itemsize, archive.getinfo(f"{name}.npy").file_size)


def fingerprints(folder: Path, scores: bool = False) -> dict[str, str]:
    """File → SHA-256 of what scores are made from, and of the scores: a report must not mix those of different times."""
    paths = (folder / name for name in (*SCORED_FILES, *(["scores.jsonl"] if scores else [])))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.is_file()}


def write_atomically(path: Path, text: str) -> None:
    """`write_whole` of any text: what UTF-8 cannot hold is spelt out."""
    write_whole(path, text.encode("utf-8", "backslashreplace"))
