"""What a person decided of the pictures of a dataset, as lines of a file that only grows.

    {"name": "fish/clown.png", "id": "<SHA-256 of the sprite>", "decision": "accept" | "reject" | "none", "at": "<ISO 8601>"}

`name` is the picture's name in its source, which stays the same when a dataset is prepared anew. Of several lines of one name
the last one counts; `none` takes an earlier one back. Several servers and an editor may write to the same file.
"""

import errno
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from data_prep.bounded import filled_lines
from data_prep.choice import NONE, decision_of
from data_prep.errors import InputError


@dataclass
class Decisions:
    """The decisions of one file. unusable: lines that are none."""

    path: Path
    unusable: int = 0
    _by_name: dict[str, str] = field(default_factory=dict)
    _inode: int | None = None
    _read: int = 0  # bytes of the file that `_by_name` knows
    _lock: Lock = field(default_factory=Lock)

    def by_name(self) -> dict[str, str]:
        """Name → 'accept' or 'reject', with what others wrote meanwhile. Raises InputError."""
        with self._lock:
            self._refresh()
            return dict(self._by_name)

    def record(self, decided: Sequence[tuple[str, str, str]]) -> None:
        """Adds (name, id, decision) of each; when it returns they are on the disk. Raises InputError."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        rows = [{"name": name, "id": id, "decision": decision, "at": at} for name, id, decision in decided]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        with self._lock:
            try:
                self._append(lines.encode())
            except OSError as error:
                raise InputError(
                    f"{self.path}: cannot be written ({error.strerror}); load the page again to see what was saved"
                ) from error

    def _append(self, data: bytes) -> None:
        """One write in append mode, so that lines of several servers do not mix; a torn line before it is ended first.

        What another server is just writing may look torn: then an empty line comes behind it, which is no decision.
        """
        is_new = not self.path.exists()
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            end = os.lseek(descriptor, 0, os.SEEK_END)
            if end and data and os.pread(descriptor, 1, end - 1) != b"\n":
                data = b"\n" + data
            if os.write(descriptor, data) != len(data):
                raise OSError(errno.ENOSPC, "no space left")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            _sync_folder(self.path.parent)

    def _refresh(self) -> None:
        """Reads what was added; all of it where another file took its place."""
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode or status.st_size < self._read:
                    self._by_name, self._inode, self._read, self.unusable = {}, status.st_ino, 0, 0
                file.seek(self._read)
                added = file.read()
        except FileNotFoundError:
            self._by_name, self._inode, self._read, self.unusable = {}, None, 0, 0
            return
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror})") from error
        whole = added[: added.rfind(b"\n") + 1]  # the rest is being written, or was torn
        self._read += len(whole)
        for _, line in filled_lines(whole):
            if line.strip():
                self._take(line)

    def _take(self, line: bytes) -> None:
        found = decision_of(line)
        if found is None:
            self.unusable += 1
        elif found[1] == NONE:
            self._by_name.pop(found[0], None)
        else:
            self._by_name[found[0]] = found[1]


def open_decisions(path: Path) -> Decisions:
    """The decisions of a file that can be written; makes an empty one. Raises InputError."""
    decisions = Decisions(path)
    decisions.record([])
    decisions.by_name()
    return decisions


def _sync_folder(folder: Path) -> None:
    """So that the new file's name is on the disk too, where the system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
