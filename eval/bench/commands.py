"""The sub-commands of `pixelreef bench` that are Pixel Art Bench: add, leaderboard, blind, ladder, source, page."""

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from data_prep.errors import InputError

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
    leaderboard.add_argument("logs", nargs="*", type=Path, help="logs, or folders of them")
    leaderboard.add_argument("--rated", type=Path, metavar="FOLDER", help="a folder of `bench blind` that was rated")
    leaderboard.add_argument("--out", type=Path, default=LEADERBOARD, help="by default docs/leaderboard")
    leaderboard.set_defaults(run=_leaderboard)
    blind = commands.add_parser("blind", help="a run folder of the bench's drawings, for `pixelreef rate`")
    blind.add_argument("logs", nargs="+", type=Path, help="logs, or folders of them")
    blind.add_argument("--task", choices=TASKS, default=TASKS[0], help="by default bench_a")
    blind.add_argument("--out", type=Path, required=True, help="a new folder")
    blind.set_defaults(run=_blind)
    ladder = commands.add_parser("ladder", help="train the published LoRA recipe, then change it one thing at a time into ours")
    ladder.add_argument("--size", type=int, default=8, help="pixels a side; by default 8")
    ladder.add_argument(
        "--sprites", type=int, default=240, help="seen by each run; by default 240, about 4 minutes a run on a core"
    )
    ladder.add_argument("--tested", type=int, default=60, help="prompts that are measured; by default 60")
    ladder.add_argument("--free", type=int, default=20, help="of those, answered without a grammar too; by default 20")
    ladder.add_argument("--base", default="smollm2-135m", help="base model: packaged name, folder, GGUF file or hub id")
    ladder.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="by default 1 2 3")
    ladder.add_argument("--rungs", nargs="+", metavar="NAME", help="by default all; a wrong name tells which there are")
    ladder.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    ladder.add_argument("--runs", type=Path, default=Path("docs/ladder"), help="what is measured; by default docs/ladder")
    ladder.add_argument("--dtype", choices=("float32", "bfloat16"), help="by default what this machine computes with quickly")
    ladder.add_argument("--out", type=Path, default=Path("docs/ladder"), help="of the page; by default docs/ladder")
    ladder.set_defaults(run=_ladder)
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
    *before, last = options.model
    for model in before:  # entered one by one: a later one may fail
        print(update(run_tasks(model, options), options.out), flush=True)
    return update(run_tasks(last, options), options.out)


def _leaderboard(options) -> str:
    with _needs_bench():
        from eval.bench.leaderboard import update
    return update(options.logs, options.out, options.rated)


def _blind(options) -> str:
    with _needs_bench():
        from eval.bench.rating_folder import write
    return write(options.logs, options.out, options.task)


def _ladder(options) -> Path:
    from eval.bench.ladder.page import write
    from eval.bench.ladder.queue import Settings, chosen, run
    from finetune.precision import quick_dtype

    dtype = options.dtype or quick_dtype(options.device)
    settings = Settings(options.size, options.sprites, options.tested, options.free, options.base, dtype)
    rungs = chosen(options.rungs)
    for line in run(settings, options.seeds, rungs, options.runs, options.device):
        print(line, flush=True)
        write(options.runs, settings, options.seeds, options.out)
    return write(options.runs, settings, options.seeds, options.out)


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
