"""One piece of work at a time on the model, in the order of asking; what it tells is streamed to who asked.

A job runs in the one thread of `Worker` and calls `tell`. When its listener has left, `tell` raises `Left`, which ends it
at the next row, and the next one in the queue begins.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from data_prep.errors import InputError
from eval.pages.security import tell_place

MAX_WAITING = 16
Tell = Callable[[dict], None]


class Left(Exception):
    """Nobody listens any more."""


class Worker:
    """A queue of jobs and the one thread that works on them."""

    def __init__(self):
        self._thread = ThreadPoolExecutor(1, "model")
        self._stops: list[Event] = []  # of the jobs that are not over, in their order

    def close(self) -> None:
        """Ends the job that runs at its next row, and drops those that wait."""
        for stop in self._stops:
            stop.set()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def stream(self, work: Callable[[Tell], None]) -> AsyncGenerator[dict]:
        """Queues `work(tell)` and yields what it tells, then {"event": "done"} or "error" with its words.

        Being closed or cancelled, as when the client leaves, ends the job.
        """
        loop, told, stop = asyncio.get_running_loop(), asyncio.Queue(), Event()

        def tell(event: dict) -> None:
            if stop.is_set():
                raise Left
            loop.call_soon_threadsafe(told.put_nowait, event)

        def over(_: asyncio.Future) -> None:
            self._stops.remove(stop)
            told.put_nowait(None)

        ahead = len(self._stops)
        if ahead > MAX_WAITING:
            yield {"event": "error", "words": f"busy: {MAX_WAITING} drawings wait already; try again when some are done"}
            return
        self._stops.append(stop)
        future = asyncio.wrap_future(self._thread.submit(_run, work, tell))
        future.add_done_callback(over)
        try:
            if ahead:
                yield {"event": "waiting", "ahead": ahead}
            while (event := await told.get()) is not None:
                yield event
        finally:
            stop.set()


def _run(work: Callable[[Tell], None], tell: Tell) -> None:
    try:
        tell({"event": "started"})
        work(tell)
        tell({"event": "done"})
    except Left:
        return
    except InputError as error:
        _last_word(tell, str(error))
    except Exception as error:
        tell_place(error)
        _last_word(tell, f"the model failed with {type(error).__name__}; the server's window says where")


def _last_word(tell: Tell, words: str) -> None:
    try:
        tell({"event": "error", "words": words})
    except Left:
        return
