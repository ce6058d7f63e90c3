"""Seeing taste while training: the model draws the same prompts time after time, and the drawings are scored.

Writes to `output_dir`: `samples/step-000100.png` (contact sheet), a row of `samples.jsonl` a time, and the same to TensorBoard
where `report_to` names it. A row: step, saved (whether a checkpoint was, too), what `score` says of the drawings, what
`measure` says of so many held-out sprites (held_out), seconds (that it took), sprites (trained on). The first process draws,
the others wait. Drawing leaves the random state alone: training with and without it gives the same weights.
"""

import io
import json
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType, broadcast_object_list
from transformers import TrainerCallback

from data_prep.contact_sheet import contact_sheet
from data_prep.sprite import Sprite
from data_prep.whole_files import rows_until, write_whole
from finetune.adapter_folder import BITS, GUIDE, SAMPLES

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

SHEETS = "samples"  # folder in output_dir
COLUMNS, SLOT, CAPTION_LINES = 4, 192, 3  # of a contact sheet: sprites a row, pixels a sprite


@dataclass(frozen=True)
class Taste:
    """What the callback is given. draw: model → its drawings of a fixed set of prompts, with captions and tags of those;
    score: drawings → numbers, among them `guide` (higher is better), None where no critic knows such drawings."""

    draw: Callable[[torch.nn.Module], list[Sprite]]
    score: Callable[[Sequence[Sprite]], dict]


class Samples(TrainerCallback):
    """Draws every `every` steps and at the end; 0: whenever a checkpoint is saved. measure: model → numbers on held-out sprites.

    `choose`: marks the best saved step so far, by `best`, as the one whose checkpoint is kept. No drawing under FSDP, where
    one process has no whole model.
    """

    def __init__(self, out: Path, taste: Taste, measure: Callable[[torch.nn.Module], dict], every: int, choose: bool, batch: int):
        self.out, self.taste, self.measure = out, taste, measure
        self.every, self.choose, self.batch = every, choose, batch
        self.rows: list[dict] = []  # in every process, so that all of them choose alike
        self.board: SummaryWriter | None = None

    def on_train_begin(self, args, state, control, **kwargs):
        """Forgets rows and sheets of steps that a resumed run will take again."""
        if state.is_world_process_zero:
            self.rows = rows_until(self.out / SAMPLES, state.global_step)
            (self.out / SHEETS).mkdir(parents=True, exist_ok=True)
            kept = {sheet_name(row["step"]) for row in self.rows}
            for sheet in (self.out / SHEETS).glob("step-*.png"):
                if sheet.name not in kept:
                    sheet.unlink()
            if "tensorboard" in args.report_to:
                from torch.utils.tensorboard import SummaryWriter

                self.board = SummaryWriter(str(self.out / "runs" / SHEETS), purge_step=state.global_step + 1)
        self.rows = from_first_process(self.rows)

    def on_step_end(self, args, state, control, model=None, **kwargs):
        due = control.should_training_stop or (state.global_step % self.every == 0 if self.every else control.should_save)
        if due:
            self._look(state, control.should_save, model)

    def on_epoch_end(self, args, state, control, model=None, **kwargs):
        if control.should_save and not self.every:  # saved by epochs
            self._look(state, True, model)

    def on_train_end(self, args, state, control, **kwargs):
        if self.board is not None:
            self.board.close()

    def _look(self, state, saved: bool, model: torch.nn.Module) -> None:
        done = self.rows and self.rows[-1]["step"] >= state.global_step
        if done or AcceleratorState().distributed_type == DistributedType.FSDP:
            return
        row = None
        if state.is_world_process_zero:
            row = {"step": state.global_step, "saved": saved} | self._seen(model, state)
            row["sprites"] = state.global_step * self.batch
            with open(self.out / SAMPLES, "a") as file:
                file.write(json.dumps(row) + "\n")
            print(line(row), flush=True)
        self.rows.append(from_first_process(row))  # the others wait here
        chosen = best(self.rows)
        if self.choose and chosen is not None:
            state.best_global_step, state.best_metric = chosen["step"], chosen.get(GUIDE)

    def _seen(self, model: torch.nn.Module, state) -> dict:
        """Draws, scores and measures; writes sheet and TensorBoard."""
        started, was_training = time.perf_counter(), model.training
        with unchanged_randomness():
            model.eval()
            drawn = self.taste.draw(model)
            measured = self.measure(model)
            found = self.taste.score(drawn) | measured | {"held_out": measured["sprites"]}
            model.train(was_training)
        sheet = sheet_of(drawn)
        content = io.BytesIO()
        sheet.save(content, "PNG")
        write_whole(self.out / SHEETS / sheet_name(state.global_step), content.getvalue())
        if self.board is not None:
            self.board.add_image("samples/sheet", np.asarray(sheet), state.global_step, dataformats="HWC")
            for key, value in flat(found):
                self.board.add_scalar(f"samples/{key}", value, state.global_step)
            self.board.flush()
        return found | {"seconds": round(time.perf_counter() - started, 2)}


def best(rows: Sequence[dict]) -> dict | None:
    """Of the rows with a checkpoint the one of the highest guide score; where scores are equal or lacking, of the fewest bits."""
    saved = [row for row in rows if row["saved"]]
    lowest = -math.inf
    return max(saved, key=lambda row: (lowest if row.get(GUIDE) is None else row[GUIDE], -row[BITS], row["step"]), default=None)


def sheet_of(sprites: Sequence[Sprite]):
    """A contact sheet to be looked at, with whole captions → RGB PIL.Image."""
    scale = max(1, SLOT // max(max(sprite.grid.shape) for sprite in sprites))
    captions = [sprite.caption for sprite in sprites]
    return contact_sheet(sprites, COLUMNS, scale, captions=captions, caption_lines=CAPTION_LINES)


def sheet_name(step: int) -> str:
    return f"step-{step:06d}.png"


def flat(found: dict) -> Iterator[tuple[str, float]]:
    """The numbers of a row, those of a group under group/name."""
    for key, value in found.items():
        if isinstance(value, dict):
            yield from ((f"{key}/{name}", number) for name, number in value.items())
        elif value is not None:
            yield key, value


def line(row: dict) -> str:
    """What the step line is to training: one line a person reads."""
    guide = "guide –" if row.get(GUIDE) is None else f"guide {row[GUIDE]:.3f}"
    shares = "".join(f"  {key} {row[key]:.0%}" for key in ("empty", "noise") if row.get(key) is not None)
    mass = f"allowed mass {row['allowed_mass']:.4f}"
    return f"  drawn at step {row['step']}: {guide}{shares}  {row[BITS]:.3f} bits/pixel held out  {mass}  {row['seconds']:.0f} s"


def from_first_process(value):
    """What the first process says, in all of them; each waits until it is there."""
    return broadcast_object_list([value])[0]


@contextmanager
def unchanged_randomness():
    """Within the block nothing moves the random states that training draws from."""
    python, numpy = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
