"""Scores a run folder: every drawing, then every generator beside the controls. Loads no generator.

    python -m eval.score runs/<name> [--critics eval/critics/reef]

Reads recipe.json, palette.json, references.jsonl and completions.jsonl; likelihoods.jsonl and training.npz where they
are; and the judge, by default the committed one. Writes scores.jsonl (one row a drawing) and summary.json: each
metric's mean, interval and n for each generator and mode; whether the metric is sane; the judge's hash and its own
confusion; distances to the held-out sprites; the cells, dead or alive. Where no judge fits the run (other labels, other
sizes) its columns stay empty and the summary says why. About 4 ms a drawing. Rows that cannot be used, or whose
prompt is not of this run, are counted in the summary.
"""

import argparse
import hashlib
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.errors import InputError, exit_code
from data_prep.palette import Palette
from data_prep.sprite import Sprite
from eval import judging, run_folder, summary
from eval.controls import HELD_OUT
from eval.metrics import attributes, diversity, legacy, memorisation, structure, validity
from eval.metrics.catalogue import NAMES


@dataclass(frozen=True)
class Yardsticks:
    """What drawings are measured against: the run's palette, training grids, how those are built, and the judge."""

    palette: Palette
    training: np.ndarray | None  # (N, H, W) uint8
    sprite_like: structure.SpriteLike | None
    judging: judging.Judging

    @classmethod
    def of(cls, folder: Path, critics: Path | None, references: list[dict]) -> "Yardsticks":
        palette = run_folder.read_palette(folder)
        training = run_folder.read_training(folder, len(palette))
        sprite_like = None if training is None else structure.SpriteLike.fit(training)
        return cls(palette, training, sprite_like, judging.choose(critics, references))


def score(folder: Path | str, critics: Path | None = None) -> Path:
    """Scores `folder`, writes scores.jsonl and summary.json, returns the summary's path. Raises InputError."""
    folder = Path(folder)
    inputs, recipe = run_folder.fingerprints(folder), run_folder.read_json(folder / "recipe.json")
    references = run_folder.read_rows(folder / "references.jsonl", run_folder.check_reference)
    if not references.rows:
        raise InputError(f"{folder / 'references.jsonl'}: no usable row ({summary.causes(references)}); draw again")
    yardsticks = Yardsticks.of(folder, critics, references.rows)
    completions = _of_this_run(run_folder.read_rows(folder / "completions.jsonl", run_folder.check_drawing), references)
    likelihoods = run_folder.read_rows(folder / "likelihoods.jsonl", run_folder.check_likelihood, required=False)
    likelihoods = _of_this_run(likelihoods, references)
    scored, seen = score_drawings(_with_held_out(references.rows, completions.rows), references.rows, yardsticks)
    unusable = {"references": references.unusable, "completions": completions.unusable, "likelihoods": likelihoods.unusable}
    result = summary.summarise(scored, likelihoods.rows, recipe, unusable)
    result |= _verdicts(scored, seen, references.rows, yardsticks, result["seed"])
    if run_folder.fingerprints(folder) != inputs:
        raise InputError(f"{folder}: its files changed while they were scored; score it again when they are all drawn")
    lines = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in scored)
    run_folder.write_atomically(folder / "scores.jsonl", lines)
    own = hashlib.sha256(lines.encode("utf-8", "backslashreplace")).hexdigest()  # the file may be another scoring's by now
    result["inputs"] = inputs | {"scores.jsonl": own}
    run_folder.write_atomically(folder / "summary.json", json.dumps(result, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    return folder / "summary.json"


def _of_this_run(found: run_folder.Rows, references: run_folder.Rows) -> run_folder.Rows:
    """Rows that answer one of the run's prompts: a stranger's prompt must not move a mean."""
    known = {row["request_id"] for row in references.rows}
    kept = [row for row in found.rows if row["request_id"] in known]
    strange = Counter({"prompt is not of this run": len(found.rows) - len(kept)})
    return run_folder.Rows(kept, found.unusable + strange)


def _verdicts(scored: list[dict], seen: judging.Seen | None, references: list[dict], yardsticks: Yardsticks, seed: int) -> dict:
    """The judge's part of summary.json: its facts, its names of the held-out sprites, distances, cells."""
    found = {"critics": judging.facts(yardsticks.judging), "recognition": None, "distribution": [], "cells": []}
    critic = yardsticks.judging.critic
    if critic is None or seen is None:
        return found
    palettes = {yardsticks.palette.name: yardsticks.palette}
    parsed = (validity.parse(row["text"], palettes, (row["height"], row["width"])) for row in references)
    own = judging.Seen.of(critic, [drawing.sprite for drawing in parsed])
    training = yardsticks.training
    known = None if training is None else judging.training_seen(critic, training, yardsticks.palette, len(references))
    found["recognition"] = judging.recognition(references, own, critic, seed)
    found["distribution"] = judging.distances(scored, seen, own, known, seed)
    found["cells"] = judging.coverage_table(scored, references, critic)
    return found


def _with_held_out(references: list[dict], completions: list[dict]) -> list[dict]:
    """The held-out sprites are a row of every table, also where no generator has copied them into the completions."""
    if any(row["generator"] == HELD_OUT for row in completions):
        return completions
    fixed = {"generator": HELD_OUT, "kind": "honest", "mode": "control", "seed": None}
    own = [{**row, **fixed, "index": index} for index, row in enumerate(references)]
    return own + completions


def score_drawings(rows: list[dict], references: list[dict], yardsticks: Yardsticks) -> tuple[list[dict], judging.Seen | None]:
    """Completion rows → rows for scores.jsonl, in the same order, and what the judge has seen of them.

    `metrics` has every name, None = not measured.
    """
    asked = {row["request_id"]: _asked_colour(row) for row in references}
    palettes = {yardsticks.palette.name: yardsticks.palette}
    sprites, scored = [], []
    for row in rows:
        drawing = validity.parse(row.get("text"), palettes, (row["height"], row["width"]), yardsticks.palette)
        sprites.append(drawing.sprite)
        scored.append(_row(row, drawing, asked.get(row["request_id"])))
    _add_structure(scored, sprites, yardsticks)
    seen, critic = None, yardsticks.judging.critic
    if critic is not None:
        seen = judging.Seen.of(critic, sprites)
        judging.add_metrics(scored, seen, critic, references)
        if yardsticks.training is not None:
            judging.add_memorisation(scored, seen, critic, yardsticks.training, yardsticks.palette)
    _add_memorisation(scored, sprites, yardsticks)
    _add_duplicates(scored, sprites)
    _add_pairs(scored)
    return scored, seen


def _asked_colour(reference: dict) -> str | None:
    tags, caption = reference.get("tags"), reference.get("caption")
    return attributes.stated_colour(tags, caption) if isinstance(tags, dict) and isinstance(caption, str) else None


def _row(row: dict, drawing: validity.Parsed, colour: str | None) -> dict:
    """Names, what went wrong, and the metrics that one drawing has by itself."""
    metrics = dict.fromkeys(NAMES)
    metrics |= validity.measures(drawing, row["height"])
    metrics |= {"seconds": run_folder.number(row.get("seconds")), "tokens": run_folder.number(row.get("tokens"))}
    sprite = drawing.sprite
    if sprite is not None:
        metrics["colour_right"] = attributes.colour_right(sprite.grid, sprite.palette, colour)
        metrics["size_in_frame"] = attributes.size_in_frame(sprite.grid)
        old = legacy.of_grid(sprite.grid, row["height"], row["width"])
    else:
        old = legacy.measures([], 0, row["height"], row["width"])
    metrics |= {f"legacy_{name}": value for name, value in old.items()}
    kept = {key: row.get(key) for key in ("request_id", "generator", "kind", "mode")}
    kept |= {key: run_folder.whole(row.get(key)) for key in ("seed", "index")}
    kept |= {key: _word(row.get(key)) for key in ("recipe_hash", "palette_hash")}
    faults = {"error": drawing.cause, "error_row": drawing.row, "forgiven": list(drawing.forgiven)}
    return {**kept, **faults, "nearest_training_sprite": None, "metrics": metrics}


def _word(value) -> str | None:
    return value if run_folder.is_word(value) else None


def _by_size(sprites: Sequence[Sprite | None], only: Palette | None = None) -> dict[tuple[int, ...], dict[int, np.ndarray]]:
    """(H, W) → place → grid of the drawings of that size; with `only`, of those in that palette."""
    groups = defaultdict(dict)
    for place, sprite in enumerate(sprites):
        if sprite is not None and (only is None or sprite.palette.colours == only.colours):
            groups[sprite.grid.shape][place] = sprite.grid
    return groups


def _add_structure(scored: list[dict], sprites: Sequence[Sprite | None], yardsticks: Yardsticks) -> None:
    for size, grids in _by_size(sprites).items():
        stats = structure.statistics(np.stack(list(grids.values())))
        if yardsticks.sprite_like is not None and yardsticks.training is not None and size == yardsticks.training.shape[1:]:
            stats["sprite_like"] = yardsticks.sprite_like.judge(stats)
        for name, values in stats.items():
            for place, value in zip(grids, values.tolist(), strict=True):
                scored[place]["metrics"][name] = value


def _add_pairs(scored: list[dict]) -> None:
    """Two at once: the colour alone is fooled by shuffled pixels, structure and kind alone by a drawing in any colour."""
    for row in scored:
        for name in ("recognised", "sprite_like"):
            both = row["metrics"][name], row["metrics"]["colour_right"]
            row["metrics"][f"{name}_in_colour"] = None if None in both else both[0] * both[1]


def _add_memorisation(scored: list[dict], sprites: Sequence[Sprite | None], yardsticks: Yardsticks) -> None:
    training = yardsticks.training
    if training is None:
        return
    grids = _by_size(sprites, yardsticks.palette).get(training.shape[1:])
    if grids:
        best, which = memorisation.nearest(np.stack(list(grids.values())), training)
        for place, value, index in zip(grids, best.tolist(), which.tolist(), strict=True):
            scored[place]["metrics"]["nearest_training"] = value
            scored[place]["nearest_training_sprite"] = index


def _add_duplicates(scored: list[dict], sprites: Sequence[Sprite | None]) -> None:
    groups = defaultdict(list)
    for row, sprite in zip(scored, sprites, strict=True):
        if sprite is not None:
            groups[row["generator"], row["mode"]].append((row["metrics"], sprite.grid))
    for drawings in groups.values():
        for (metrics, _), flag in zip(drawings, diversity.duplicates(grid for _, grid in drawings), strict=True):
            metrics["duplicate"] = flag


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m eval.score", description="Scores the drawings of a run folder.")
    parser.add_argument("run", type=Path, help="folder with recipe.json, references.jsonl and completions.jsonl")
    parser.add_argument("--critics", type=Path, help="folder of critics; by default the committed ones")
    options = parser.parse_args(argv)
    return exit_code("score", lambda: score(options.run, options.critics))


if __name__ == "__main__":
    sys.exit(main())
