"""Scores a run folder: every drawing, then every generator beside the controls. Loads no generator and no torch.

    python -m eval.score runs/<name>

Reads recipe.json, palette.json, references.jsonl and completions.jsonl; likelihoods.jsonl and training.npz where they
are. Writes scores.jsonl (one row a drawing) and summary.json (each metric's mean, interval and n for each generator
and mode; whether the metric is sane; the critic's own confusion). Costs about 5 ms a drawing, and about 7 s for a critic
of 5,000 training sprites. Rows that cannot be used, or whose prompt is not of this run, are counted in the summary.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.errors import InputError, exit_code
from data_prep.palette import Palette
from eval import run_folder, summary
from eval.controls import HELD_OUT
from eval.metrics import attributes, diversity, intervals, legacy, memorisation, recognition, structure, validity
from eval.metrics.catalogue import NAMES


@dataclass(frozen=True)
class Yardsticks:
    """What drawings are measured against: the run's palette, training grids, how those are built and what they look like."""

    palette: Palette
    training: np.ndarray | None  # (N, H, W) uint8
    sprite_like: structure.SpriteLike | None
    critic: recognition.Critic | None = None

    @classmethod
    def of(cls, folder: Path) -> "Yardsticks":
        palette = run_folder.read_palette(folder)
        training = run_folder.read_training(folder, len(palette))
        if training is None:
            return cls(palette, None, None)
        categories = run_folder.read_categories(folder, len(training))
        if categories is not None:
            print(f"training the critic on {len(training):,} sprites", file=sys.stderr, flush=True)
        critic = None if categories is None else recognition.Critic.train(training, categories, palette)
        return cls(palette, training, structure.SpriteLike.fit(training), critic)


def score(folder: Path | str) -> Path:
    """Scores `folder`, writes scores.jsonl and summary.json, returns the summary's path. Raises InputError."""
    folder = Path(folder)
    recipe = run_folder.read_json(folder / "recipe.json")
    yardsticks = Yardsticks.of(folder)
    references = run_folder.read_rows(folder / "references.jsonl", run_folder.check_reference)
    if not references.rows:
        raise InputError(f"{folder / 'references.jsonl'}: no usable row ({summary.causes(references)}); draw again")
    completions = _of_this_run(run_folder.read_rows(folder / "completions.jsonl", run_folder.check_drawing), references)
    likelihoods = run_folder.read_rows(folder / "likelihoods.jsonl", run_folder.check_likelihood, required=False)
    likelihoods = _of_this_run(likelihoods, references)
    scored = score_drawings(_with_held_out(references.rows, completions.rows), references.rows, yardsticks)
    unusable = {"references": references.unusable, "completions": completions.unusable, "likelihoods": likelihoods.unusable}
    result = summary.summarise(scored, likelihoods.rows, recipe, unusable)
    result["recognition"] = _recognition(references.rows, yardsticks, result["seed"])
    result["inputs"] = run_folder.fingerprints(folder)
    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in scored)
    run_folder.write_atomically(folder / "scores.jsonl", "".join(lines))
    run_folder.write_atomically(folder / "summary.json", json.dumps(result, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    return folder / "summary.json"


def _of_this_run(found: run_folder.Rows, references: run_folder.Rows) -> run_folder.Rows:
    """Rows that answer one of the run's prompts: a stranger's prompt must not move a mean."""
    known = {row["request_id"] for row in references.rows}
    kept = [row for row in found.rows if row["request_id"] in known]
    strange = Counter({"prompt is not of this run": len(found.rows) - len(kept)})
    return run_folder.Rows(kept, found.unusable + strange)


def _recognition(references: list[dict], yardsticks: Yardsticks, seed: int) -> dict | None:
    """How far the critic is to be trusted: its classes of the held-out sprites themselves; None without a critic."""
    critic = yardsticks.critic
    if critic is None:
        return None
    palettes = {yardsticks.palette.name: yardsticks.palette}
    parsed = [validity.parse(row["text"], palettes, (row["height"], row["width"])) for row in references]
    named = _named(parsed, critic)
    pairs = [(_asked_category(references[place]), word) for place, word in named.items()]
    pairs = [(asked, word) for asked, word in pairs if asked in critic.categories]
    right = np.array([asked == word for asked, word in pairs], float)
    table = recognition.confusion([asked for asked, _ in pairs], [word for _, word in pairs], critic)
    accuracy = intervals.share(right, np.ones(len(right)), seed).to_json()
    return {"training": critic.training, "taught": [*recognition.TAUGHT, recognition.BLOBS], "accuracy": accuracy, **table}


def _with_held_out(references: list[dict], completions: list[dict]) -> list[dict]:
    """The held-out sprites are a row of every table, also where no generator has copied them into the completions."""
    if any(row["generator"] == HELD_OUT for row in completions):
        return completions
    fixed = {"generator": HELD_OUT, "kind": "honest", "mode": "control", "seed": None}
    own = [{**row, **fixed, "index": index} for index, row in enumerate(references)]
    return own + completions


def score_drawings(rows: list[dict], references: list[dict], yardsticks: Yardsticks) -> list[dict]:
    """Completion rows → rows for scores.jsonl, in the same order; `metrics` has every name, None = not measured."""
    asked = {row["request_id"]: _asked_colour(row) for row in references}
    palettes = {yardsticks.palette.name: yardsticks.palette}
    parsed, scored = [], []
    for row in rows:
        drawing = validity.parse(row.get("text"), palettes, (row["height"], row["width"]))
        parsed.append(drawing)
        scored.append(_row(row, drawing, asked.get(row["request_id"])))
    _add_structure(scored, parsed, yardsticks)
    _add_recognition(scored, parsed, {row["request_id"]: _asked_category(row) for row in references}, yardsticks)
    _add_memorisation(scored, parsed, yardsticks)
    _add_duplicates(scored, parsed)
    _add_pairs(scored)
    return scored


def _asked_colour(reference: dict) -> str | None:
    tags, caption = reference.get("tags"), reference.get("caption")
    return attributes.stated_colour(tags, caption) if isinstance(tags, dict) and isinstance(caption, str) else None


def _asked_category(reference: dict) -> str | None:
    """The reference's category, else its tag; None where neither is a word."""
    tags = reference.get("tags") if isinstance(reference.get("tags"), dict) else {}
    return _word(reference.get("category")) or _word(tags.get("category"))


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


def _by_size(parsed: list[validity.Parsed], only: Palette | None = None) -> dict[tuple[int, int], list[int]]:
    """(H, W) → positions of the drawings of that size; with `only`, of those in that palette."""
    groups = defaultdict(list)
    for position, drawing in enumerate(parsed):
        if drawing.sprite is not None and (only is None or drawing.sprite.palette.colours == only.colours):
            groups[drawing.sprite.grid.shape].append(position)
    return groups


def _stack(parsed: list[validity.Parsed], positions: list[int]) -> np.ndarray:
    return np.stack([parsed[position].sprite.grid for position in positions])


def _add_structure(scored: list[dict], parsed: list[validity.Parsed], yardsticks: Yardsticks) -> None:
    for size, positions in _by_size(parsed).items():
        stats = structure.statistics(_stack(parsed, positions))
        if yardsticks.sprite_like is not None and size == yardsticks.training.shape[1:]:
            stats["sprite_like"] = yardsticks.sprite_like.judge(stats)
        for name, values in stats.items():
            for position, value in zip(positions, values.tolist(), strict=True):
                scored[position]["metrics"][name] = value


def _named(parsed: list[validity.Parsed], critic: recognition.Critic) -> dict[int, str]:
    """Position → the critic's class, of the drawings that parse and have the training sprites' size."""
    positions = _by_size(parsed).get(critic.size, [])
    if not positions:
        return {}
    sprites = [parsed[position].sprite for position in positions]
    light = np.stack([recognition.lightness(sprite.grid, sprite.palette) for sprite in sprites])
    return dict(zip(positions, critic.name(_stack(parsed, positions), light), strict=True))


def _add_recognition(scored: list[dict], parsed: list[validity.Parsed], asked: dict, yardsticks: Yardsticks) -> None:
    critic = yardsticks.critic
    if critic is None:
        return
    for position, word in _named(parsed, critic).items():
        wanted = asked.get(scored[position]["request_id"])
        if wanted in critic.categories:
            scored[position]["metrics"]["recognised"] = float(word == wanted)


def _add_pairs(scored: list[dict]) -> None:
    """Two at once: the colour alone is fooled by shuffled pixels, structure and kind alone by a drawing in any colour."""
    for row in scored:
        for name in ("recognised", "sprite_like"):
            both = row["metrics"][name], row["metrics"]["colour_right"]
            row["metrics"][f"{name}_in_colour"] = None if None in both else both[0] * both[1]


def _add_memorisation(scored: list[dict], parsed: list[validity.Parsed], yardsticks: Yardsticks) -> None:
    if yardsticks.training is None:
        return
    positions = _by_size(parsed, yardsticks.palette).get(yardsticks.training.shape[1:], [])
    if positions:
        best, which = memorisation.nearest(_stack(parsed, positions), yardsticks.training)
        for position, value, index in zip(positions, best.tolist(), which.tolist(), strict=True):
            scored[position]["metrics"]["nearest_training"] = value
            scored[position]["nearest_training_sprite"] = index


def _add_duplicates(scored: list[dict], parsed: list[validity.Parsed]) -> None:
    groups = defaultdict(list)
    for position, row in enumerate(scored):
        if parsed[position].sprite is not None:
            groups[row["generator"], row["mode"]].append(position)
    for positions in groups.values():
        flags = diversity.duplicates(parsed[position].sprite.grid for position in positions)
        for position, flag in zip(positions, flags, strict=True):
            scored[position]["metrics"]["duplicate"] = flag


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m eval.score", description="Scores the drawings of a run folder.")
    parser.add_argument("run", type=Path, help="folder with recipe.json, references.jsonl and completions.jsonl")
    options = parser.parse_args(argv)
    return exit_code("score", lambda: score(options.run))


if __name__ == "__main__":
    sys.exit(main())
