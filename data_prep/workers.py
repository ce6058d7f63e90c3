"""Workers: `map` over processes, in order and without taking in everything at once."""

import signal
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from multiprocessing import get_context
from typing import Self, TypeVar

T = TypeVar("T")
AHEAD = 4  # items a process that are worked on before the first one's result is taken


class Workers:
    """A context of `num_proc` processes; with one, the work is done here. Results do not depend on their number."""

    def __init__(self, num_proc: int):
        self.num_proc, self._pool = num_proc, None

    def __enter__(self) -> Self:
        if self.num_proc > 1:
            ignoring = {"initializer": signal.signal, "initargs": (signal.SIGINT, signal.SIG_IGN)}  # Ctrl-C is this process's
            self._pool = get_context("spawn").Pool(self.num_proc, **ignoring)  # fork would copy the progress thread's locks
        return self

    def __exit__(self, *error) -> None:
        if self._pool is not None:
            self._pool.terminate()

    def map(self, function: Callable, items: Iterable) -> Iterator:
        """function(item) of each, in order."""
        if self._pool is None:
            yield from map(function, items)
            return
        for window in chunks(items, AHEAD * self.num_proc):
            yield from self._pool.imap(function, window)


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of `size`, the last one shorter."""
    items = iter(items)
    while chunk := list(islice(items, size)):
        yield chunk
