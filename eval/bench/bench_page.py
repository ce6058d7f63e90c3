"""docs/bench.md: how the bench is run, what the published numbers can and cannot mean, and what ours do. Written by

    pixelreef bench page

Every figure is computed here or read from structure.json; the prose around them is in bench_page.md.jinja.
"""

import json
from pathlib import Path

import numpy as np

from data_prep.bench_format import SIDE, BenchDrawing
from eval.bench import legacy, scoring
from eval.bench.drawing import FAR_APART
from eval.bench.source_page import CAN_MEAN, WHY_CORRELATED, figure
from eval.bench.source_results import PUBLISHED, Result, correlations
from eval.bench.structure import FITTED
from eval.controls import HELD_OUT
from eval.report_tables import format_value
from eval.run_folder import write_atomically

TEMPLATE = Path(__file__).with_name("bench_page.md.jinja")
NOBODY = 1500  # drawings by nobody, about as many as the source results have


def drawings() -> dict[str, BenchDrawing]:
    """Three that show nothing, and what the published table of them is made of."""
    board = (np.indices((SIDE, SIDE)).sum(0) % 2).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 10, (SIDE, SIDE)).astype(np.uint8)
    square = np.zeros((SIDE, SIDE), np.uint8)
    square[6:18, 6:18] = 1
    two = FAR_APART[:2]
    return {
        "checkerboard of single pixels, two colours": BenchDrawing(board, two),
        "uniform noise, ten colours": BenchDrawing(noise, FAR_APART),
        "clean square": BenchDrawing(square, two),
    }


def shown(drawing: BenchDrawing) -> dict[str, str]:
    """All scores of one drawing, as text."""
    answer, rows = drawing.listed(), drawing.grid.tolist()
    found = {"quality": legacy.quality_score(rows, drawing.colours, SIDE, SIDE)}
    found |= {f"legacy_{name}": value for name, value in scoring.legacy(answer).items()}
    found |= scoring.ours(answer, scoring.LISTS)
    return {name: figure(value) for name, value in found.items()}


def by_nobody(seed: int = 0) -> list[Result]:
    """Random blocks on a background, with palettes that fit or are a few entries too long or short: nothing is drawn."""
    rng = np.random.default_rng(seed)
    return [_by_nobody(rng) for _ in range(NOBODY)]


def _by_nobody(rng: np.random.Generator) -> Result:
    block, values = int(rng.choice([1, 2, 4])), int(rng.integers(2, 11))
    cells = rng.integers(0, values, (SIDE // block, SIDE // block)) * (rng.random((SIDE // block, SIDE // block)) < rng.random())
    grid = np.kron(cells, np.ones((block, block), int))
    colours = int(np.clip(values + rng.integers(-2, 3), 2, 12))
    return Result("nobody", grid.tolist(), [f"{n:06x}" for n in range(colours)], SIDE, SIDE, {})


def structure_rows(fitted: dict) -> list[dict]:
    """A row a family: whether it was learnt, and mean and area of both measures for each source of sprites."""
    rows = []
    for family in (HELD_OUT, *fitted["learnt"], *fitted["held_out"]):
        cells = [_pair(table[family][measure]) for table in fitted["tables"].values() for measure in ("continuity", "structure")]
        kind = "–" if family == HELD_OUT else "learnt" if family in fitted["learnt"] else "held out"
        label = "good drawings, held out" if family == HELD_OUT else family
        rows.append({"family": label, "kind": kind, "cells": cells})
    return rows


def _pair(found: dict) -> str:
    area = f" ({format_value(found['area'], '%')})" if "area" in found else ""
    return format_value(found["mean"], "") + area


def page() -> str:
    from jinja2 import Environment, StrictUndefined

    fitted = json.loads(FITTED.read_text("utf-8"))
    nobody = correlations(by_nobody())
    pairs = [
        {
            "pair": " and ".join(name.replace("_", " ") for name in pair),
            "published": figure(PUBLISHED[pair]),
            "nobody": figure(nobody[pair]),
            "why": WHY_CORRELATED[pair],
        }
        for pair in PUBLISHED
    ]
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    return environment.from_string(TEMPLATE.read_text("utf-8")).render(
        drawings={name: shown(drawing) for name, drawing in drawings().items()},
        meanings={name.replace("_", " "): says for name, says in CAN_MEAN.items()},
        pairs=pairs,
        nobody=NOBODY,
        sources=list(fitted["tables"]),
        structure=structure_rows(fitted),
        agreeing=sum(np.sign(nobody[pair] or 0) == np.sign(PUBLISHED[pair]) for pair in PUBLISHED),
    )


def write(out: Path) -> Path:
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, page())
    return out
