"""The guard against reward hacking: while preferences train, the same prompts are drawn time after time, and what is not trained
on must hold.

A model that is trained on a critic's preferences learns to please that critic; its score then says nothing any more. So
the callback measures, before the first step and every few steps, also what no pair was made by: the shares of empty drawings, of
noise and of drawings that were made twice, the right colour, how far drawings of one prompt lie apart, and the bits of held-out
sprites. Where one of them leaves its margin, training stops, that step is not saved, and the last step that held is the adapter.

A look is a line of `training_log.jsonl`: step, sprites, seconds, guard (the numbers), broken (what left its margin, in words).
Each look at a step that holds is a checkpoint. Drawing leaves the random state alone.

    python -m finetune.guard runs/NAME/adapter        the looks of a run as tables in Markdown
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import TrainerCallback

from data_prep.errors import InputError, exit_code
from data_prep.whole_files import read_rows
from finetune.adapter_folder import BITS, GUIDE, LOG, METRICS
from finetune.samples import Taste, from_first_process, unchanged_randomness

RISING = ("empty", "noise", "duplicates")  # shares of drawings that must not rise


@dataclass(frozen=True)
class Margins:
    """How far numbers may go from where they were. share: of drawings, that is empty, noise or there twice, may rise; colour: the
    share in the right colour may fall; spread: part of the distance between drawings of a prompt that may be lost; bits: per
    pixel of held-out sprites, may rise."""

    share: float
    colour: float
    spread: float
    bits: float

    def limits(self, first: Mapping) -> dict[str, tuple[float, int]]:
        """Name → (limit, +1 where it must not be above, −1 where not below), from what was measured before the first step."""
        found = {key: (first[key] + self.share, 1) for key in RISING} | {BITS: (first[BITS] + self.bits, 1)}
        found["spread"] = (first["spread"] * (1 - self.spread), -1)
        if first.get("colour") is not None:
            found["colour"] = (first["colour"] - self.colour, -1)
        return found

    def broken(self, first: Mapping, now: Mapping) -> list[str]:
        """What has left its margin, in words; [] where all holds."""
        return [
            f"{key} {now[key]:.3f}, {'at most' if side > 0 else 'at least'} {limit:.3f}"
            for key, (limit, side) in self.limits(first).items()
            if (now[key] - limit) * side > 0
        ]


class Guard(TrainerCallback):
    """taste: draws the guard's prompts and scores the drawings (`guide`, RISING, 'colour', 'spread' and what else is to be
    logged); measure: model → numbers on held-out sprites, among them the bits per pixel; batch: pairs a step.

    Goes after the step line, which cuts the log back when a run goes on. Every process waits for the first, which draws.
    """

    def __init__(self, out: Path, taste: Taste, measure: Callable, every: int, margins: Margins, batch: int):
        self.log, self.taste, self.measure = out / LOG, taste, measure
        self.every, self.margins, self.batch = every, margins, batch
        self.rows: list[dict] = []

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        self.rows = from_first_process(looks(self.log) if state.is_world_process_zero else [])
        if not self.rows:
            self._look(args, state, model)

    def on_step_end(self, args, state, control, model=None, **kwargs):
        last = state.global_step >= state.max_steps
        if not last and state.global_step % self.every:
            return
        broken = self._look(args, state, model)["broken"]
        control.should_save = not broken
        control.should_training_stop = bool(broken) or last

    def _look(self, args, state, model: torch.nn.Module) -> dict:
        row = None
        if state.is_world_process_zero:
            row = self._row(state, model)
            with open(self.log, "a") as file:
                file.write(json.dumps(row) + "\n")
            print(line(row), flush=True)
        row = from_first_process(row)  # the others wait here
        self.rows.append(row)
        return row

    def _row(self, state, model: torch.nn.Module) -> dict:
        started, was_training = time.perf_counter(), model.training
        with unchanged_randomness():
            model.eval()
            found = self.taste.score(self.taste.draw(model)) | self.measure(model)
            model.train(was_training)
        first = self.rows[0]["guard"] if self.rows else found
        broken = self.margins.broken(first, found)
        sprites = state.global_step * self.batch
        taken = round(time.perf_counter() - started, 2)
        return {"step": state.global_step, "sprites": sprites, "look_seconds": taken, "guard": found, "broken": broken}


def looks(log: Path) -> list[dict]:
    """The guard's lines of a training log."""
    return [row for row in read_rows(log) if "guard" in row]


def stopped(log: Path) -> list[str]:
    """Why the guard stopped a run, or []."""
    return next((row["broken"] for row in looks(log) if row["broken"]), [])


def line(row: dict) -> str:
    """One line a person reads."""
    seen = row["guard"]
    colour = "–" if seen.get("colour") is None else f"{seen['colour']:.0%}"
    shares = "  ".join(f"{key} {seen[key]:.0%}" for key in RISING)
    guide = "–" if seen.get(GUIDE) is None else f"{seen[GUIDE]:.3f}"
    said = f"  guard at step {row['step']}: guide {guide}  {shares}  right colour {colour}  spread {seen['spread']:.3f}"
    said += f"  {seen[BITS]:.3f} bits/pixel held out  {row['look_seconds']:.0f} s"
    return said + "".join(f"\n  STOP: {why}" for why in row["broken"])


def as_table(rows: Sequence[dict]) -> str:
    """Looks downwards, as a table in Markdown."""
    names = (GUIDE, *RISING, "colour", "spread", BITS)
    lines = ["| step | " + " | ".join(names) + " | left its margin |", "|" + "---|" * (len(names) + 2)]
    for row in rows:
        values = ["–" if row["guard"].get(name) is None else f"{row['guard'][name]:.3f}" for name in names]
        lines.append(f"| {row['step']} | " + " | ".join(values) + f" | {'; '.join(row['broken']) or '–'} |")
    return "\n".join(lines)


def told(folder: Path) -> str:
    """A run of preference training in Markdown: its pairs, its looks, and where its critic puts what no model changes.

    folder: an adapter's, or a run's while it trains. Raises InputError for one without looks.
    """
    rows = looks(folder / LOG)
    if not rows:
        raise InputError(f"{folder / LOG}: holds no look of the guard; give the folder of a run of preference training")
    parts = [f"# {folder.resolve().parent.name if folder.name == 'adapter' else folder.resolve().name}: the guard's looks"]
    if (folder / METRICS).is_file():
        metrics = json.loads((folder / METRICS).read_text())
        pairs = ", ".join(f"{count} of {source}" for source, count in metrics["pairs"].items())
        parts.append(f"Pairs: {pairs}. Step {metrics['kept']['step']} is the adapter: {metrics['kept']['why']}.")
        parts.append(f"Training took {metrics['train_seconds']:.0f} seconds, the looks included.")
    parts.append(as_table(rows))
    first = rows[0]["guard"]
    if controls := first.get("controls"):
        parts.append(
            f"Guide gives the held-out sprites of these prompts {controls['held_out']:.3f}, and the degenerate control that it "
            f"likes best ({controls['worst_name']}) {controls['worst']:.3f}. {first['drawn']} drawings a look."
        )
    steps = [row for row in read_rows(folder / LOG) if "loss" in row]
    return "\n\n".join([*parts, *([_steps(steps)] if steps else [])])


def _steps(rows: Sequence[dict]) -> str:
    """Each step's loss, and how far chosen drawings have become more probable than rejected ones, against the reference."""
    lines = ["| step | loss | margin | in order | entropy | seconds |", "|" + "---|" * 6]
    for row in rows:
        numbers = (row["loss"], row["rewards/margins"], row["rewards/accuracies"], row["entropy"])
        lines.append(f"| {row['step']} | " + " | ".join(f"{number:.3f}" for number in numbers) + f" | {row['seconds']:.0f} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m finetune.guard", description="The guard's looks of a run, as Markdown.")
    parser.add_argument("folder", type=Path, help="an adapter's folder that finetune/preference.py wrote, or a run's")
    options = parser.parse_args(arguments)
    return exit_code("guard", lambda: told(options.folder))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
