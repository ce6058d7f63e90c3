"""Inspect tasks: Pixel Art Bench's two formats apart, and a hundred plain nouns.

    inspect eval eval/bench/task.py --model mockllm/model                       all three, no network
    inspect eval eval/bench/task.py@bench_a --model hf/local -M model_path=FOLDER
    inspect eval eval/bench/task.py@bench_a --model pixelreef/smollm2-135m -M mode=unconstrained
    inspect eval eval/bench/task.py@bench_b --model openai-api/local/NAME --model-base-url http://127.0.0.1:8080/v1
    inspect eval eval/bench/task.py@bench_nouns --model pixelreef-control/held-out -T dataset=datasets/packs24

Ten epochs, so that a mean is over seventy drawings and has a standard error; `--epochs`, `--max-tokens`, `--temperature`
and `--log-dir` are Inspect's own. Nothing here asks the hub unless `-T source=` names a data set there.
"""

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.solver import generate

from data_prep.bench_format import prompt_a
from eval.bench.nouns import NOUNS
from eval.bench.offline import let_the_mock_count
from eval.bench.prompts import article, load_rows
from eval.bench.scorers import classifier_of, formula_scorer, legacy_scorer, noun_scorer, our_scorer
from eval.bench.scoring import LISTS, STRINGS

let_the_mock_count()
EPOCHS = 10
MAX_TOKENS = 4096  # prompt B's answer with white space takes about 1,800


def _task(samples: list[Sample], scorers: list, epochs: int, told: dict) -> Task:
    data = MemoryDataset(samples)
    config = GenerateConfig(max_tokens=MAX_TOKENS)
    return Task(dataset=data, solver=generate(), scorer=scorers, epochs=epochs, config=config, metadata=told)


@task
def bench_a(source: str | None = None, epochs: int = EPOCHS) -> Task:
    """Emergent Mind's prompt: strings of digits. source: other subjects, as for `bench_b`."""
    samples = [_sample(row, prompt_a(row["subject"])) for row in load_rows(source)]
    return _task(samples, [our_scorer(STRINGS), legacy_scorer(), formula_scorer()], epochs, {"format": STRINGS})


@task
def bench_b(source: str | None = None, epochs: int = EPOCHS) -> Task:
    """The data set's prompt: lists of integers. source: the data set's name on the hub, a folder or a file; by default the
    seven rows that are built in."""
    samples = [_sample(row, row["prompt"]) for row in load_rows(source)]
    return _task(samples, [our_scorer(LISTS), legacy_scorer(), formula_scorer()], epochs, {"format": LISTS})


@task
def bench_nouns(dataset: str | None = None, epochs: int = 1) -> Task:
    """Prompt A with a hundred plain nouns, read by a classifier. dataset: a prepared dataset's folder to train it on."""
    classifier, why_not = classifier_of(dataset)
    rows = ({"id": noun, "subject": noun, "category": "noun"} for noun in NOUNS)
    samples = [_sample(row, prompt_a(f"{article(row['subject'])} {row['subject']}")) for row in rows]
    told = {"format": STRINGS, "classifier": classifier.facts() if classifier else f"none: {why_not}"}
    return _task(samples, [our_scorer(STRINGS), noun_scorer(dataset)], epochs, told)


def _sample(row: dict, prompt: str) -> Sample:
    return Sample(input=prompt, id=row["id"], target=row["subject"], metadata={k: row[k] for k in ("subject", "category")})
