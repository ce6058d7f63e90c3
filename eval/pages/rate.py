"""`pixelreef rate`: two drawings of the same prompt side by side, and a rater who says which is better.

Reads a run folder. Writes votes to its ratings.sqlite, each on the disk before the next pair is shown; with --export or --import
it serves nothing and writes or reads them as lines of JSON. Who made what is not told to the browser.
"""

from collections import Counter
from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from pydantic import Field

from data_prep.errors import InputError
from eval.pages.contest import Contest, read_contest
from eval.pages.server import Page, listen, serve
from eval.pages.strict import Strict
from eval.ratings import FILE, KINDS, Ratings, in_words

PATH = "/rate"
MAX_SECONDS = 86_400.0


class AskedRater(Strict):
    rater: str = Field(min_length=1, max_length=100)
    kind: Literal["person", "model"]


class AskedVote(AskedRater):
    """uid: of the pair; seconds: since it was seen."""

    uid: str = Field(max_length=100)
    answer: Literal["left", "right", "equal", "both_bad", "skip"]
    seconds: float = Field(ge=0, le=MAX_SECONDS)


def rate_page(contest: Contest) -> Page:
    return Page(PATH, "Rate", routes(contest), contest.ratings.close)


def routes(contest: Contest) -> APIRouter:
    router = APIRouter()

    @router.get("/run")
    def run() -> dict:
        raters = [{"name": name, "kind": kind} for name, kind in contest.ratings.raters()]
        return {"name": contest.name, "prompts": len(contest.drawings), "raters": raters}

    @router.post("/pair")
    def pair(asked: AskedRater) -> dict:
        return contest.before(asked.rater, asked.kind)

    @router.post("/vote")
    def vote(asked: AskedVote) -> dict:
        return contest.vote(asked.rater, asked.kind, asked.uid, asked.answer, asked.seconds)

    @router.post("/undo")
    def undo(asked: AskedRater) -> dict:
        return contest.undo(asked.rater, asked.kind)

    return router


def rate(options) -> str | None:
    """Serves the page of `options.run` until Ctrl-C; or exports or imports votes and says what it did. Raises InputError."""
    if options.out is not None and options.source is not None:
        raise InputError("--export and --import: one of them at a time")
    if not (options.folder / "completions.jsonl").exists():
        raise InputError(f"{options.folder}: no completions.jsonl; `pixelreef draw --recipe …` fills such a folder")
    ratings = Ratings(options.folder / FILE)
    try:
        if options.out is not None:
            return _exported(ratings, options.out)
        contest = read_contest(options.folder, ratings, options.makers or ())
        if options.source is not None:
            return _taken_in(contest, options.source)
        _serve(contest, options)
    finally:
        ratings.close()
    return None


def _serve(contest: Contest, options) -> None:
    with listen(options.port) as listener:
        serve([rate_page(contest)], listener, options.open)


def _exported(ratings: Ratings, out: Path) -> str:
    count = ratings.export(out)
    told = [in_words(votes, kind) for kind in KINDS if (votes := ratings.votes(kind))]
    return "\n".join([f"{out}: {count} votes", *told])


def _taken_in(contest: Contest, source: Path) -> str:
    told: Counter = contest.ratings.take_in(source, contest.known)
    return f"{source}: " + (", ".join(f"{count} {what}" for what, count in told.items()) or "no votes")
