"""Files and folders that are there whole or not at all, written beside their place and renamed; logs with a torn last line."""

import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from data_prep.errors import InputError

STAGING = ".unfinished"  # ends the name of a folder that is being written: no person's own is taken for one


def write_whole(file: Path, content: str | bytes) -> Path:
    """Returns `file`. A kill or a full disk leaves the old one or the new one."""
    staging = file.with_name(f".{file.name}-{os.getpid()}")  # several processes of a run may write the same
    try:
        staging.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(staging, file)
    except OSError:
        with suppress(OSError):
            staging.unlink()
        raise
    return file


def cache_folder() -> Path:
    """Where what was fetched is kept: PIXELREEF_CACHE, by default ~/.cache/pixelreef."""
    return Path(os.environ.get("PIXELREEF_CACHE") or Path.home() / ".cache" / "pixelreef")


def file_sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@contextmanager
def whole_folder(folder: Path, or_there: bool = False) -> Iterator[Path]:
    """A temporary sibling that becomes `folder` when the block succeeds, and is removed when it fails.

    What killed runs left of the same is removed. or_there: another process may have been first; its folder is as good. Else a
    folder that is there raises InputError.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _clear(folder)
    staging, held = _staging(folder)
    try:
        yield staging
        staging.chmod(0o755)
        try:
            os.replace(staging, folder)
        except OSError as error:
            if not (or_there and folder.is_dir()):
                if folder.exists():
                    raise InputError(f"{folder}: came into being meanwhile; remove it or choose another folder") from error
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if held is not None:
            os.close(held)


def _staging(folder: Path) -> tuple[Path, int | None]:
    """A new sibling and its lock, which ends with the process."""
    while True:
        staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-", suffix=STAGING))
        with suppress(InputError, FileNotFoundError):  # another process cleared it away before it was locked
            held = _locked(staging)
            if staging.exists():
                return staging, held
            if held is not None:
                os.close(held)


def _clear(folder: Path) -> None:
    """Removes the siblings that `_staging` made for `folder` and no living process holds; none where there are no locks."""
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        return
    for left in folder.parent.glob(f".{glob.escape(folder.name)}-*{STAGING}"):
        with suppress(OSError):
            held = os.open(left, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(held)


@contextmanager
def alone(folder: Path, first: bool = True, wait: bool = False) -> Iterator[None]:
    """While the block runs no other run writes to `folder`, which is made; the lock ends with the process, however that ends.

    first: of several processes that write it together only the first one asks. wait: until another run is through with it, for
    what takes a moment. Raises InputError where another run is at it; where the system or the file system has no such lock,
    nothing.
    """
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    held = _locked(folder, wait) if first else None
    try:
        yield
    except BaseException:
        if is_new:
            with suppress(OSError):  # there is something in it
                folder.rmdir()
        raise
    finally:
        if held is not None:
            os.close(held)


def _locked(folder: Path, wait: bool = False) -> int | None:
    """The open folder, locked."""
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        return None
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError as error:
        os.close(held)
        raise InputError(f"{folder}: another run is writing there; wait for it or stop it") from error
    except OSError:
        pass  # a file system of a network, which has no locks, or none of folders
    return held


def read_rows(log: Path) -> list[dict]:
    """Whole lines of a .jsonl that a run adds to, or was killed while it did; none where there is no file."""
    lines = log.read_text().rpartition("\n")[0].splitlines() if log.is_file() else []
    return [json.loads(line) for line in lines]


def rows_until(log: Path, step: int) -> list[dict]:
    """Cuts a log back to the rows of steps up to `step`, and returns them; later ones will be written again."""
    kept = [row for row in read_rows(log) if row["step"] <= step]
    write_whole(log, "".join(json.dumps(row) + "\n" for row in kept))
    return kept
