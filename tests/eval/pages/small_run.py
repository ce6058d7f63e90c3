"""A run folder of a few prompts, drawn by three models of different skill; the controls stand beside them."""

import json
from itertools import islice
from pathlib import Path

import numpy as np

from data_prep.grid_text import encode
from data_prep.palette import named
from data_prep.sources import procedural

REEF = named("reef64")
MODELS = ("good", "fair", "poor")


def folder(path: Path, prompts: int = 8) -> Path:
    """Prompts r0, r1, …; every other pixel of the poor model's drawings is chance, one in eight of the fair one's."""
    path.mkdir(parents=True)
    rng = np.random.default_rng(4)
    references, drawn = [], []
    for number, sprite in enumerate(islice(procedural.sprites(3, 16), prompts)):
        alike = {"request_id": f"r{number}", "height": 16, "width": 16}
        references.append({**alike, "caption": sprite.caption, "text": encode(sprite.grid, REEF)})
        noise = rng.integers(0, 64, sprite.grid.shape).astype(np.uint8)
        for name, share in (("good", 0.02), ("fair", 0.12), ("poor", 0.5)):
            grid = np.where(rng.random(sprite.grid.shape) < share, noise, sprite.grid).astype(np.uint8)
            drawn.append({**alike, "generator": name, "kind": "model", "mode": "grammar", "text": encode(grid, REEF)})
        drawn.append({**alike, "generator": "noise", "kind": "degenerate", "mode": "control", "text": encode(noise, REEF)})
        drawn.append(
            {**alike, "generator": "blank", "kind": "degenerate", "mode": "control", "text": encode(0 * sprite.grid, REEF)}
        )
        drawn.append({**alike, "generator": "poor", "kind": "model", "mode": "unconstrained", "text": "Here is a fish: ><>"})
    drawn.append({**drawn[0], "generator": "fair", "text": None})
    for name, rows in (("references", references), ("completions", drawn)):
        (path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (path / "palette.json").write_text(json.dumps(REEF.to_json()))
    return path
