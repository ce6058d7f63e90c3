"""The one exception that a person caused and a person can mend: bad file, bad key, bad flag; and what a disk refuses."""

import errno
import os
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches

from data_prep.printable import printable

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL_IN_WORDS = ("No space left on device", "disk is full", "File too large")  # of libraries that raise errors of their own
CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
MAX_LINE = 1000  # characters of a refusal: what it quotes may be of any length


class InputError(ValueError):
    """One line for people: what is wrong, in which file or key, and what to do. Commands exit with code 2 on it."""


def refuse_unknown(keys: Iterable, valid: Iterable[str], where: str, what: str = "key") -> None:
    """Raises InputError for the first key that is not valid, with the nearest that is."""
    valid = list(valid)
    for key in keys:
        if key not in valid:
            (near,) = get_close_matches(str(key), valid, 1, 0)
            raise InputError(f"{where}: unknown {what} {key!r}; the nearest valid one is {near!r}")


def exit_code(command: str, work: Callable[[], object]) -> int:
    """Runs `work` and prints what it returns, if anything: 0; for an InputError, a full disk or a folder that takes no files one
    line on standard error and 2."""
    try:
        result = work()
    except Exception as error:  # noqa: BLE001 (what is none of the three goes on)
        line = " ".join(printable(_said(error)).split())
        print(f"{command}: {line if len(line) <= MAX_LINE else line[:MAX_LINE] + '…'}", file=sys.stderr)
        return 2
    if result is not None:
        print(printable(result))
    return 0


def _said(error: Exception) -> str:
    """Raises again what no person can mend."""
    if isinstance(error, InputError):
        return str(error)
    for cause in _causes(error):
        where, number = getattr(cause, "filename", None) or "the disk", getattr(cause, "errno", None)
        if number in FULL or any(words in str(cause) for words in FULL_IN_WORDS):
            return f"{where}: no space is left; make some and run this again, what is finished is kept"
        if number in CLOSED and cause is error:  # further in it may be a firewall's word
            return f"{where}: cannot be written or read ({os.strerror(number)}); give another folder or its rights"
    raise error


def _causes(error: BaseException) -> list[BaseException]:
    """The error and what libraries wrapped in it, from the outside in."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:  # one may name itself
        causes.append(cause)
        cause = cause.__cause__
    return causes
