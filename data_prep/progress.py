"""Progress for people: a line on stderr at least every two seconds, whatever a step is busy with."""

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Self, TypeVar

from data_prep.printable import printable

EVERY = 2.0  # seconds; a quicker step prints nothing
T = TypeVar("T")


def say(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)


class Progress:
    """A context in which the step and the count of `over` are printed by a thread of their own."""

    def __init__(self) -> None:
        self.at("starting")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._print, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error) -> None:
        self._stop.set()
        self._thread.join()

    def at(self, stage: str) -> None:
        """A step without a count begins."""
        self._stage, self._count, self._since = stage, 0, time.monotonic()

    def count(self, more: int) -> None:
        """So many more sprites of this step are done."""
        self._count += more

    def over(self, stage: str, items: Iterable[T]) -> Iterator[T]:
        """The items, counted; `stage` is the verb: 'read', 'written'."""
        self.at(stage)
        for item in items:
            self._count += 1
            yield item

    def _print(self) -> None:
        while not self._stop.wait(EVERY):
            seconds = time.monotonic() - self._since
            count = f" {self._count:,} sprites, {self._count / max(seconds, 1e-3):,.0f} a second" if self._count else ""
            say(f"  {self._stage}{count}")
