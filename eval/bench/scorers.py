"""The scores as Inspect scorers: `legacy`, `ours`, the published `formulas`, and `nouns`.

`inspect view` renders a score's explanation as Markdown: that of `ours` is the drawing itself, as a picture. Metrics are the mean
over subjects of the mean over epochs, and its standard error over subjects.
"""

import base64
import io

import numpy as np
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
from inspect_ai.solver import TaskState

from data_prep.bench_format import SIDE
from data_prep.errors import InputError
from data_prep.grid_text import FREE
from data_prep.palette import Palette
from eval.bench import legacy, scoring
from eval.bench.answers import Picture, picture_of, read
from eval.bench.nouns import NounClassifier, load_classifier
from eval.pictures import write_indexed

SCALE = 8  # screen pixels a pixel
MOST_SIDE = 128  # of a drawing that is shown; the size asked for is 24
NOT_MEASURED = float("nan")  # Inspect leaves it out of means
FORMULAS = (*legacy.NAMES, legacy.QUALITY)
LEGACY = "legacy_"  # before the names of the published readings, so that a log tells them from ours


def data_uri(picture: Picture) -> str:
    """An indexed PNG; what is no index of the palette is transparent."""
    file = io.BytesIO()
    write_indexed(file, (picture.grid + 1).astype(np.uint8), Palette(FREE, picture.colours), SCALE, {})
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def explained(text: str) -> str:
    """Markdown for a score: what was read, and the drawing itself."""
    answer = read(text)
    picture = picture_of(answer)
    if picture is None:
        return "No drawing could be read: " + ("no JSON." if not answer.is_json else "rows or palette are none.")
    if max(picture.grid.shape) > MOST_SIDE:
        return f"A drawing of {picture.grid.shape[0]}x{picture.grid.shape[1]} pixels, too large to show."
    return f"![drawing]({data_uri(picture)})"


@scorer(metrics={LEGACY + name: [mean(), stderr()] for name in scoring.NAMES}, name="legacy")
def legacy_scorer() -> Scorer:
    """JSON Validity, Render Success and Pixel Art Quality exactly as published."""

    async def score(state: TaskState, target: Target) -> Score:
        found = scoring.legacy(state.output.completion)
        return Score(
            value={LEGACY + name: value for name, value in found.items()}, explanation="As published; see docs/bench.md."
        )

    return score


@scorer(metrics={name: [mean(), stderr()] for name in scoring.NAMES}, name="ours")
def our_scorer(form: str) -> Scorer:
    """The same three as the prose means them. form: `scoring.STRINGS` or `scoring.LISTS`."""

    async def score(state: TaskState, target: Target) -> Score:
        text = state.output.completion
        return Score(value=scoring.ours(text, form), explanation=explained(text))

    return score


@scorer(metrics={name: [mean(), stderr()] for name in FORMULAS}, name="formulas")
def formula_scorer() -> Scorer:
    """The seven published formulas, not measured where they are undefined."""

    async def score(state: TaskState, target: Target) -> Score:
        answer = read(state.output.completion)
        found = legacy.measures(answer.rows or [], answer.colours or [], SIDE, SIDE)
        return Score(value={name: NOT_MEASURED if value is None else float(value) for name, value in found.items()})

    return score


@scorer(metrics={"top_1": [mean(), stderr()], "top_5": [mean(), stderr()]}, name="nouns")
def noun_scorer(dataset: str | None) -> Scorer:
    """Does the classifier that a prepared dataset trains see the noun that was asked for, first or among its five likeliest."""
    classifier, why_not = classifier_of(dataset)

    async def score(state: TaskState, target: Target) -> Score:
        noun = state.metadata["subject"]
        if classifier is None or noun not in classifier.nouns:
            why = why_not or f"the dataset has too few sprites of {noun!r}"
            return Score(value={"top_1": NOT_MEASURED, "top_5": NOT_MEASURED}, explanation=f"Not measured: {why}.")
        picture = picture_of(read(state.output.completion))
        seen = classifier.likeliest(picture.grid.clip(0), picture.lab) if picture and picture.grid.shape == (SIDE, SIDE) else []
        value = {"top_1": float(seen[:1] == [noun]), "top_5": float(noun in seen[:5])}
        return Score(value=value, answer=", ".join(seen[:5]), explanation=explained(state.output.completion))

    return score


def classifier_of(dataset: str | None) -> tuple[NounClassifier | None, str]:
    """(the classifier that a prepared dataset trains, '') or (None, why there is none)."""
    if not dataset:
        return None, "no dataset was given (-T dataset=FOLDER), so nothing could learn the nouns"
    try:
        return load_classifier(dataset), ""
    except InputError as error:
        return None, str(error)
