"""How slow this machine is, for tests that bound CPU time."""

import os
import time
from functools import cache

USUAL = 0.04  # CPU seconds that the loop below takes on the machines that the bounds were set on, or somewhat less


@cache
def slowness() -> float:
    """How many times as long as there plain Python takes here and now; 1 at least. Twice that where several processes test at
    once, since two that share a core count its seconds twice."""
    sharers = 2 if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1 else 1
    started = time.process_time()
    sum(number * number for number in range(10**6))
    return sharers * max(1.0, (time.process_time() - started) / USUAL)
