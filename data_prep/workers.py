"""Workers: `map` over processes, in order and without taking in everything at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context, parent_process
from typing import Self, TypeVar

from data_prep.errors import InputError

T = TypeVar("T")
AHEAD = 4  # items a process that are worked on before the first one's result is taken


class WorkerLost(InputError):
    """A process was ended from outside. What it had finished is there."""


class Workers:
    """A context of `num_proc` processes; with one, the work is done here. Results do not depend on their number."""

    def __init__(self, num_proc: int):
        self.num_proc = num_proc
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        if self.num_proc > 1:
            # multiprocessing.Pool would wait for ever for a process that was killed; fork would copy the progress thread's locks
            self._pool = ProcessPoolExecutor(self.num_proc, get_context("spawn"), _begin)
        return self

    def __exit__(self, *error) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable, items: Iterable) -> Iterator:
        """function(item) of each, in order. Raises WorkerLost."""
        if self._pool is None:
            yield from map(function, items)
            return
        try:
            for window in chunks(items, AHEAD * self.num_proc):
                yield from self._pool.map(function, window)
        except BrokenProcessPool as error:
            raise WorkerLost("a process was killed, for want of memory perhaps; run it again, it goes on where it was") from error


def _begin() -> None:
    """In each process: it ends at Ctrl-C without a word, and with the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of `size`, the last one shorter."""
    items = iter(items)
    while chunk := list(islice(items, size)):
        yield chunk
