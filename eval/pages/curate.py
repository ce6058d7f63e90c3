"""`pixelreef curate`: contact sheets of a prepared dataset, cell by cell; every picture is accepted or rejected by a key.

Reads data/*.parquet and palette.json of the dataset's folder. Adds a line to the file of decisions for each decision, which is
on the disk before the page counts it. The dataset stays as it is: the next `prepare` leaves out what was rejected.
"""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from pydantic import Field

from data_prep.choice import ACCEPT, NONE, REJECT
from data_prep.errors import InputError
from eval.pages.corpus import Corpus, read_corpus
from eval.pages.decisions import Decisions, open_decisions
from eval.pages.server import Page, listen, serve
from eval.pages.strict import Strict

PATH = "/curate"
SHEET = 96  # pictures: whole rows of 2, 3, 4, 6, 8 and 12
MARKS = {NONE: ".", ACCEPT: "a", REJECT: "r"}  # one character a picture: all of a corpus are told at once


class AskedSheet(Strict):
    """numbers: of pictures, as `Corpus` counts them."""

    numbers: list[int] = Field(min_length=1, max_length=SHEET)


class AskedDecision(Strict):
    """id: of the sprite that the page shows under that number."""

    number: int
    id: str = Field(max_length=100)
    decision: Literal["accept", "reject", "none"]


class AskedDecisions(Strict):
    decisions: list[AskedDecision] = Field(min_length=1, max_length=SHEET)


def curate_page(corpus: Corpus, decisions: Decisions) -> Page:
    return Page(PATH, "Curate", routes(corpus, decisions))


def routes(corpus: Corpus, decisions: Decisions) -> APIRouter:
    router = APIRouter()

    @router.get("/corpus")
    def facts() -> dict:
        axes = {"zones": corpus.zones, "categories": corpus.categories, "cells": [asdict(cell) for cell in corpus.cells]}
        where = {"name": corpus.name, "file": str(decisions.path), "sheet": SHEET, "shared": _shared(corpus)}
        return {**where, **axes, **_decided(corpus, decisions)}

    @router.get("/decisions")
    def decided() -> dict:
        return _decided(corpus, decisions)

    @router.post("/sheet")
    def sheet(asked: AskedSheet) -> dict:
        shown = [(number, corpus.picture(number), corpus.sprite(number)) for number in asked.numbers]
        return {
            "palettes": {sprite.palette.hash: sprite.palette.colours for _, _, sprite in shown},
            "pictures": [
                {
                    **{key: getattr(picture, key) for key in ("id", "name", "caption", "source", "licence")},
                    "number": number,
                    "palette": sprite.palette.hash,
                    "pixels": sprite.grid.tolist(),
                }
                for number, picture, sprite in shown
            ],
        }

    @router.post("/decisions")
    def decide(asked: AskedDecisions) -> dict:
        lines = [(corpus.picture(one.number, one.id).name, one.id, one.decision) for one in asked.decisions]
        decisions.record(lines)
        return {"saved": len(lines)}

    return router


def _decided(corpus: Corpus, decisions: Decisions) -> dict:
    """marks: one of `MARKS` for each picture; elsewhere: how many rejected names the dataset does not hold."""
    by_name = decisions.by_name()
    marks = "".join(MARKS[by_name.get(picture.name, NONE)] for picture in corpus.pictures)
    there = {picture.name for picture in corpus.pictures}
    elsewhere = sum(decision == REJECT and name not in there for name, decision in by_name.items())
    return {"marks": marks, "elsewhere": elsewhere, "unusable": decisions.unusable}


def _shared(corpus: Corpus) -> int:
    """How many pictures have another's name, with which they are accepted and rejected."""
    times = Counter(picture.name for picture in corpus.pictures)
    return sum(count for count in times.values() if count > 1)


def decisions_file(dataset: Path, out: Path | None = None) -> Path:
    """Where decisions go: by default beside the dataset's folder, which `prepare --force` replaces. Raises InputError."""
    folder = dataset.resolve()
    file = folder.with_name(f"{folder.name}.curation.jsonl") if out is None else out.absolute()
    if file.resolve().is_relative_to(folder):
        raise InputError(f"--out {out}: is inside of the dataset, whose folder the next `prepare --force` replaces")
    return file


def curate(options) -> None:
    """Serves the page of `options.dataset` until Ctrl-C. Raises InputError."""
    with listen(options.port) as listener:
        corpus = read_corpus(options.dataset)
        decisions = open_decisions(decisions_file(options.dataset, options.out))
        serve([curate_page(corpus, decisions)], listener, options.open)
