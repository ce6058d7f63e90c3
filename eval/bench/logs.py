"""Logs of the bench's tasks, as Inspect wrote them: which there are, and what their models are called."""

from collections.abc import Sequence
from pathlib import Path

from data_prep.errors import InputError
from eval.bench.drawing import CONTROLS
from eval.controls import HELD_OUT

CONTROL_API = "pixelreef-control/"
TASKS = {
    "bench_a": "Task A: Emergent Mind's prompt, strings of digits",
    "bench_b": "Task B: the data set's prompt, lists of integers",
    "bench_nouns": "A hundred plain nouns",
}
DEGENERATE, HONEST, MODEL = "degenerate", "honest", "model"


def logs_of(paths: Sequence[str | Path]) -> tuple[list, list[str]]:
    """(finished logs of the bench's tasks, why other logs were left out). paths: logs or folders of them.

    Raises InputError for a path that is not there or holds no log.
    """
    from inspect_ai.log import read_eval_log

    found, left_out = [], []
    for file in _files(paths):
        try:
            log = read_eval_log(str(file))
        except Exception as error:  # whatever a broken zip or JSON raises in Inspect
            left_out.append(f"{file}: unreadable: {type(error).__name__}")
            continue
        if log.status != "success" or not log.samples:
            left_out.append(f"{file}: {log.status}, {len(log.samples or [])} samples")
        elif (task := log.eval.task.rpartition("/")[2]) not in TASKS:
            left_out.append(f"{file}: task {task}")
        else:
            found.append(log)
    return found, left_out


def _files(paths: Sequence[str | Path]) -> list[Path]:
    files = []
    for path in map(Path, paths):
        inside = sorted(file for kind in ("*.eval", "*.json") for file in path.rglob(kind)) if path.is_dir() else [path]
        if not inside or not inside[0].is_file():
            raise InputError(f"{path}: no Inspect log is there; `pixelreef bench add MODEL` or `inspect eval` makes one")
        files += inside
    return files


def label(model: str, arguments: dict) -> str:
    """The model and its arguments; of paths the last part, so that no folder of anybody's is published."""
    plain = {key: value for key, value in sorted(arguments.items()) if isinstance(value, str | int | float | bool)}
    told = [f"{key}={Path(value).name if isinstance(value, str) else value}" for key, value in plain.items()]
    provider, _, name = model.partition("/")
    name = Path(name).name if name.startswith(("/", ".", "~")) or provider == "pixelreef" else name
    return f"{provider}/{name}" + (f" ({', '.join(told)})" if told else "")


def kind_of(model: str) -> str:
    if not model.startswith(CONTROL_API):
        return MODEL
    return HONEST if CONTROLS.get(model.removeprefix(CONTROL_API)) == HELD_OUT else DEGENERATE
