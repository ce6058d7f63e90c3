"""The sub-commands of `pixelreef bench` that are Pixel Art Bench: add, leaderboard, source, page."""

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from data_prep.errors import InputError

TASK_FILE = Path(__file__).with_name("task.py")
TASKS = ("bench_a", "bench_b", "bench_nouns")
LEADERBOARD = Path("docs/leaderboard")


def add_to(commands: argparse._SubParsersAction) -> None:
    add = commands.add_parser("add", help="run Pixel Art Bench on a model and enter it into the leaderboard")
    add.add_argument("model", nargs="+", help="Inspect's name of it, such as pixelreef/smollm2-135m or pixelreef-control/noise")
    add.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS[:2], help="by default bench_a and bench_b")
    add.add_argument("--epochs", type=int, help="drawings a subject; by default the task's, 10 (1 for bench_nouns)")
    add.add_argument("-M", dest="model_args", action="append", default=[], metavar="KEY=VALUE", help="an argument of the model")
    add.add_argument("-T", dest="task_args", action="append", default=[], metavar="KEY=VALUE", help="an argument of the tasks")
    add.add_argument("--seed", type=int, default=0, help="by default 0")
    add.add_argument("--max-tokens", type=int, help="of an answer; by default 4096")
    add.add_argument("--base-url", help="of an OpenAI-compatible server, for openai-api/SERVICE/NAME")
    add.add_argument("--log-dir", type=Path, default=Path("runs/bench"), help="by default runs/bench; `inspect view` shows it")
    add.add_argument("--out", type=Path, default=LEADERBOARD, help="the leaderboard; by default docs/leaderboard")
    add.set_defaults(run=_add)
    leaderboard = commands.add_parser("leaderboard", help="enter Inspect logs into the leaderboard")
    leaderboard.add_argument("logs", nargs="+", type=Path, help="logs, or folders of them")
    leaderboard.add_argument("--out", type=Path, default=LEADERBOARD, help="by default docs/leaderboard")
    leaderboard.set_defaults(run=_leaderboard)
    source = commands.add_parser("source", help="make the published figures again from the published source results")
    source.add_argument("results", help="their name on the hub, a folder, or a .parquet, .json or .jsonl file")
    source.add_argument("--out", type=Path, required=True, help="a folder, for source.html and source.md")
    source.set_defaults(run=_source)
    page = commands.add_parser("page", help="write docs/bench.md: what the published numbers can and cannot mean")
    page.add_argument("--out", type=Path, default=Path("docs/bench.md"), help="by default docs/bench.md")
    page.set_defaults(run=_page)


@contextmanager
def _needs_bench() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError(f"the bench needs {error.name}; install the extra `bench`: pip install -e .[bench]") from error


def _add(options) -> str:
    with _needs_bench():
        from eval.bench.leaderboard import update
        from eval.bench.running import run_tasks
    logs = [log for model in options.model for log in run_tasks(model, options)]
    return update(logs, options.out)


def _leaderboard(options) -> str:
    with _needs_bench():
        from eval.bench.leaderboard import update
    return update(options.logs, options.out)


def _source(options) -> Path:
    from eval.bench.source_page import write

    return write(options.results, options.out)


def _page(options) -> Path:
    from eval.bench.bench_page import write

    return write(options.out)


def arguments(pairs: Sequence[str]) -> dict:
    """'mode=unconstrained' → {'mode': 'unconstrained'}; values are JSON where they can be. Raises InputError without '='."""
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InputError(f"{pair}: give KEY=VALUE")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found
