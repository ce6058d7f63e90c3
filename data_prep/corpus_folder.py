"""The folder of a prepared corpus: it appears whole or not at all, is reused where it is there, and goes on after a kill.

While OUT is made, everything lies in `.OUT.partial` beside it: `recipe_hash` (whose it is), `state` (what is read, what was
measured) and `whole`, which becomes OUT in one step. A run that was killed leaves it, and the next run of the same recipe takes
what is finished there; a run of another recipe begins anew.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.bounded import read_json
from data_prep.errors import InputError
from data_prep.whole_files import file_sha256

MARK, STATE, WHOLE, OLD = "recipe_hash", "state", "whole", "old"


def is_finished(out: Path, recipe_hash: str, force: bool) -> bool:
    """Whether `out` holds this recipe's pairs, whole. Raises InputError where it holds something else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        manifest = read_json(out / "manifest.json")
        found, files = manifest["recipe_hash"], manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:  # never delete what prepare did not write
        raise InputError(f"{out}: holds other files than a prepared corpus; choose another --out") from error
    if force:
        return False
    if found != recipe_hash:
        other = "made from another recipe, other sources or by another version"
        raise InputError(f"{out}: {other}; choose another --out, or --force to replace it")
    whole = all((out / name).is_file() and file_sha256(out / name) == file["sha256"] for name, file in files.items())
    if not whole:
        raise InputError(f"{out}: its parquet files are not the ones that were written; --force makes them again")
    return True


@contextmanager
def making(out: Path, recipe_hash: str) -> Iterator[tuple[Path, Path]]:
    """(folder to fill, folder of the state); when the block ends without an error, the first becomes `out`.

    Whatever ends it early, what is finished by then stays for the next run of the same recipe; where no sprite is, nothing stays.
    Raises InputError where another process is making the same.
    """
    partial = out.absolute().with_name(f".{out.absolute().name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    with _alone(partial, out):
        _put_back(partial, out, recipe_hash)
        _claim(partial, recipe_hash)
        try:
            yield partial / WHOLE, partial / STATE
            _swap(partial / WHOLE, out)
        except Exception:
            if not any(part.stat().st_size for part in (partial / STATE).glob("*.jsonl")):
                shutil.rmtree(partial, ignore_errors=True)
            raise
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _alone(partial: Path, out: Path) -> Iterator[None]:
    """Holds a lock that the system gives back when the process ends, however it ends; where there is no such lock, nothing."""
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        yield
        return
    lock, busy = partial / "lock", f"{out}: another process is making it; wait for it, or choose another --out"
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(busy) from error
        except OSError:
            pass  # a file system of a network, which has no locks
        if not lock.exists() or not os.path.samestat(lock.stat(), os.fstat(file.fileno())):
            raise InputError(busy)  # one that was finished, and took its lock away, in between
        yield


def _put_back(partial: Path, out: Path, recipe_hash: str) -> None:
    """Gives a corpus its name again that a killed run had set aside, and not replaced yet. Raises InputError where another
    recipe than that run's would now replace it unasked."""
    if (partial / OLD).exists() and not out.exists():
        os.replace(partial / OLD, out)
        if not (partial / MARK).exists() or (partial / MARK).read_text() != recipe_hash:
            raise InputError(f"{out}: a killed run had set a corpus aside, which is back; choose another --out, or --force again")


def _claim(partial: Path, recipe_hash: str) -> None:
    """Keeps what an earlier run of the same recipe finished; removes what another one left."""
    mark = partial / MARK
    if not mark.exists() or mark.read_text() != recipe_hash:
        mark.unlink(missing_ok=True)  # killed from here on, nothing below is anybody's
        for folder in (STATE, WHOLE):
            shutil.rmtree(partial / folder, ignore_errors=True)
        mark.write_text(recipe_hash)
    (partial / STATE).mkdir(exist_ok=True)
    (partial / WHOLE / "data").mkdir(parents=True, exist_ok=True)


def _swap(whole: Path, out: Path) -> None:
    """The finished folder takes its name in one step; an older one is first set aside, then removed with the partial folder."""
    for draft in (whole / "data").glob("*.draft"):
        draft.unlink()  # of a run that was killed
    if out.exists():
        old = whole.with_name(OLD)
        shutil.rmtree(old, ignore_errors=True)
        os.replace(out, old)
    os.replace(whole, out)
