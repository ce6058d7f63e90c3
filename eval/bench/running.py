"""Runs the bench's tasks on a model through Inspect, for `pixelreef bench add`."""

from pathlib import Path

from inspect_ai import eval as run_inspect
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import GenerateConfig, get_model

from data_prep.errors import InputError
from eval.bench import task as tasks
from eval.bench.commands import arguments


def run_tasks(model: str, options) -> list[Path]:
    """The logs of one model. options: of the command. Raises InputError for a task that did not finish."""
    loaded = _model(model, arguments(options.model_args), options)
    made = [_task(name, arguments(options.task_args), options.epochs) for name in options.tasks]
    longest = {} if options.max_tokens is None else {"max_tokens": options.max_tokens}
    logs = run_inspect(made, model=loaded, log_dir=str(options.log_dir), display="plain", seed=options.seed, **longest)
    for log in logs:
        if log.status != "success":
            said = log.error.message if log.error else log.status
            raise InputError(f"{model}, {log.eval.task}: {said}")
    return [Path(log.location.removeprefix("file://")) for log in logs]


def _model(name: str, given: dict, options):
    try:
        return get_model(name, config=GenerateConfig(seed=options.seed), base_url=options.base_url, **given)
    except PrerequisiteError as error:
        raise InputError(f"model {name}: {error.message}") from error
    except (ValueError, TypeError, ImportError, OSError) as error:  # Inspect's own words for an unknown or misconfigured model
        raise InputError(f"model {name}: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from error


def _task(name: str, given: dict, epochs: int | None):
    known = {key: value for key, value in given.items() if key in {"bench_nouns": {"dataset"}}.get(name, {"source"})}
    return getattr(tasks, name)(**known, **({"epochs": epochs} if epochs else {}))
