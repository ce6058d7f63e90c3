"""Fuzzing of every reader of strangers' files: hypothesis changes good ones, and nothing but the documented refusal may come of it.

    python tests/fuzz.py [--minutes 10] [--seed 1] [--only WORDS] [--out docs/hardening-fuzz.json]

Each reader gets its minutes, of CPU time, in a process of its own; one that has had them with that seed by --out is left as it is,
so that a run that was stopped goes on. `tests/test_fuzz.py` does the same for a moment.
"""

# ruff: noqa: E501 (tables of examples)
import argparse
import gc
import json
import os
import random
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

from fuzz_readers import READERS
from hypothesis import HealthCheck, Phase, given, seed, settings

from data_prep.errors import InputError

MOST_SECONDS, MOST_MB = 1.0, 500
BATCH = 200  # examples between two looks at the clock


@dataclass(frozen=True)
class Fuzzed:
    """A reader's run. minutes: of CPU time; slowest: CPU seconds of an example; mb: of memory, more than before the first; finds: what went wrong."""

    reader: str
    seed: int
    minutes: float
    examples: int
    refused: int
    slowest: float
    mb: float
    finds: list[str]


class Slow(AssertionError):
    pass


def fuzz(name: str, number: int, examples: int) -> tuple[int, int, float]:
    """`examples` of a seed → how many ran, how many were refused, the slowest one's CPU seconds. Raises what is found."""
    make, read = READERS[name]
    ran = refused = 0
    slowest = 0.0

    @seed(number)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(make())
    def property_(data) -> None:
        nonlocal ran, refused, slowest
        begun = time.process_time()
        try:
            read(data)
        except InputError:
            refused += 1
        took = time.process_time() - begun
        ran, slowest = ran + 1, max(slowest, took if ran else 0.0)  # the first one imports
        if ran > 1 and took > MOST_SECONDS:
            raise Slow(f"{took:.2f} s")

    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        property_()
    return ran, refused, slowest


def run(name: str, number: int, minutes: float) -> Fuzzed:
    """Seed after seed until the minutes are over."""
    begun, examples, refused, slowest, finds, start = time.process_time(), 0, 0, 0.0, [], 0.0
    for turn in range(10**9):
        if turn and time.process_time() - begun > 60 * minutes:
            break
        try:
            ran, no, slow = fuzz(name, number * 10**6 + turn, BATCH)
            examples, refused, slowest = examples + ran, refused + no, max(slowest, slow)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            said = f"seed {number * 10**6 + turn}: {type(error).__name__}: {str(error)[:300]}"
            finds.append(said)
            if len(finds) > 20:
                break
        start = start or _peak()
        gc.collect()
    return Fuzzed(
        name,
        number,
        round((time.process_time() - begun) / 60, 2),
        examples,
        refused,
        round(slowest, 3),
        round(_peak() - start),
        finds,
    )


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _child(name: str, number: int, minutes: float) -> dict:
    resource.setrlimit(resource.RLIMIT_AS, (12 * 2**30, 12 * 2**30))
    random.seed(number)
    return asdict(run(name, number, minutes))


def all_of(number: int, minutes: float, names: Iterable[str]) -> Iterator[Fuzzed]:
    for name in names:
        with get_context("spawn").Pool(1) as pool:
            yield Fuzzed(**pool.apply(_child, (name, number, minutes)))


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10, help="of CPU time for each reader; by default 10")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", metavar="WORDS", help="readers whose name holds these words")
    parser.add_argument("--out", type=Path, help="a .json for the results")
    given_ = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parents[1]))  # before tests/, which has folders of the packages' names
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    found = {}
    if given_.out and given_.out.exists():
        found = {row["reader"]: Fuzzed(**row) for row in json.loads(given_.out.read_text("utf-8")) if row["reader"] in READERS}
    had = {name for name, one in found.items() if one.seed == given_.seed and one.minutes >= given_.minutes}
    for one in all_of(given_.seed, given_.minutes, [name for name in READERS if given_.only in name and name not in had]):
        found[one.reader] = one
        print(
            f"{one.reader}: {one.examples:,} examples in {one.minutes} CPU min, slowest {one.slowest} s, {one.mb} MB, {len(one.finds)} finds",
            flush=True,
        )
        for find in one.finds[:5]:
            print(f"  {find}", flush=True)
        if given_.out:
            rows = [asdict(row) for row in found.values()]
            given_.out.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return 1 if any(one.finds or one.mb > MOST_MB for one in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
