"""The one exception that a person caused and a person can mend: bad file, bad key, bad flag."""

import sys
from collections.abc import Callable


class InputError(ValueError):
    """One line for people: what is wrong, in which file or key, and what to do. Commands exit with code 2 on it."""


def exit_code(command: str, work: Callable[[], object]) -> int:
    """Runs `work` and prints what it returns, if anything: 0; for an InputError one line on standard error and 2."""
    try:
        result = work()
    except InputError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 2
    if result is not None:
        print(result)
    return 0
