"""Trains a sprite transformer from scratch, on the dataset that the adapters see.

    accelerate launch -m eval.baseline.train --config eval/baseline/recipes/improved.yaml [--set key=value …]

Reads the recipe and the prepared dataset that it names. Writes to `output_dir`: checkpoints, `training_log.jsonl`, contact
sheets `sheets/step-*.png`, and model folders: `model` (the last weights), `best-by-loss` (lowest validation bits) and, where a
guide is at hand, `best-by-guide`. Run again, it goes on at the last checkpoint. Exit code 2 for bad input.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from data_prep.errors import InputError, exit_code
from data_prep.sprite import Sprite
from data_prep.whole_files import alone, rows_until

LOG, MODEL, BEST_BY_LOSS, BEST_BY_GUIDE = "training_log.jsonl", "model", "best-by-loss", "best-by-guide"
Guide = Callable[[Sequence[Sprite], Sequence[str]], float]  # drawings and the categories asked for → higher is better


class Training:
    """One run: model, averaged weights, optimiser and data, at some step. `best` holds the best value of each chooser."""

    def __init__(self, recipe, guide: Guide | None = None):
        import torch
        from accelerate import Accelerator

        from data_prep.pairs import content_hash
        from eval.baseline.batches import Batches
        from eval.baseline.conditions import Conditions
        from eval.baseline.sprite_transformer import MAX_SIDE, SpriteTransformer, SpriteTransformerConfig
        from eval.generate import read_split
        from finetune.adapter_folder import load_palette

        self.recipe, self.guide, dataset = recipe, guide, Path(recipe.dataset)
        self.out, self.palette, self.dataset_hash = Path(recipe.output_dir), load_palette(dataset), content_hash(dataset)
        training, validation = ([s for _, s in read_split(dataset, name, self.palette)] for name in ("train", "validation"))
        self.conditions = Conditions.of(recipe.conditions, ((s.caption, s.tags) for s in training))
        self.sizes = tuple(sorted({s.grid.shape for s in training}))
        if max(max(size) for size in self.sizes) > MAX_SIDE:
            raise InputError(f"dataset {dataset}: has sides over {MAX_SIDE} pixels; prepare it without those")
        self.validation = _spread(validation, recipe.eval_sprites)
        torch.manual_seed(recipe.seed)
        self.accelerator = Accelerator(cpu=recipe.use_cpu, mixed_precision="bf16" if recipe.bf16 else "no")
        self.batches = Batches(training, self.conditions, recipe.batch_size * self.accelerator.num_processes, recipe.seed)
        shape = {"entries": len(self.palette), "classes": self.conditions.classes}
        self.core = SpriteTransformer(SpriteTransformerConfig(**recipe.shape | shape)).to(self.accelerator.device)
        self.optimiser = _optimiser(self.core, recipe)
        self.model = self.accelerator.prepare(self.core)
        self.averaged = {name: value.detach().clone() for name, value in self.core.named_parameters()}
        self.step, self.seconds, self.losses, self.best = 0, 0.0, [], {}

    def resume(self) -> None:
        """Goes to the last checkpoint, where there is one, and forgets what the log says of later steps."""
        from eval.baseline.checkpoints import claim, last, load_checkpoint

        main = self.accelerator.is_main_process
        if main:
            claim(self.out, self.recipe.hash(self.dataset_hash))
        self.accelerator.wait_for_everyone()
        folder = last(self.out)
        if folder is not None:
            state = load_checkpoint(folder, self.core, self.averaged, self.optimiser)
            self.step, self.seconds, self.losses, self.best = (state[key] for key in ("step", "seconds", "losses", "best"))
            if state["processes"] != self.accelerator.num_processes:
                raise InputError(f"{folder}: was made by {state['processes']} processes; go on with as many")
        self.accelerator.wait_for_everyone()
        if main:
            rows_until(self.out / LOG, self.step)

    def run(self) -> None:
        """To the last step or to the time limit; both end with a checkpoint and the model's folder."""
        started, before, recipe = time.perf_counter(), self.seconds, self.recipe
        limit = recipe.max_minutes * 60 or math.inf
        while self.step < recipe.steps:
            elapsed = self.take_step(started)
            self.seconds, is_last = before + elapsed, self.step == recipe.steps or elapsed > limit
            evaluate = self.step % recipe.evaluate_every == 0 or self.step == recipe.steps
            if self.accelerator.is_main_process:
                measured = self.evaluate() if evaluate else {}
                if evaluate or self.step % recipe.log_every == 0:
                    self.log(measured)
                if is_last:  # before the checkpoint: a kill in between is made good by taking the steps again
                    self.export(MODEL, measured.get("validation_bits_per_pixel"))
                if is_last or self.step % recipe.save_every == 0:
                    self.save()
            self.accelerator.wait_for_everyone()
            if is_last:
                break

    def take_step(self, started: float) -> float:
        """One optimiser step; returns the elapsed seconds of the slowest process, so that all of them stop together."""
        import torch

        recipe, device = self.recipe, self.accelerator.device
        loss = self.loss()
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.core.parameters(), recipe.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.learning_rate * schedule(self.step, recipe.warmup_steps, recipe.steps)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.step += 1
        decay = min(recipe.ema, self.step / (self.step + 10))  # early averages forget the start
        weights = [value.detach() for value in self.core.parameters()]
        torch._foreach_lerp_(list(self.averaged.values()), weights, 1 - decay)
        own = [[loss.item(), time.perf_counter() - started]]
        told = self.accelerator.gather(torch.tensor(own, device=device, dtype=torch.float64))
        self.losses.append(told[:, 0].mean().item())
        return told[:, 1].max().item()

    def loss(self):
        """Nats a pixel of this process's share of the step's batch."""
        import torch

        recipe, device, process = self.recipe, self.accelerator.device, self.accelerator.process_index
        batch = self.batches.at(self.step, recipe.condition_dropout, recipe.flips)
        share = slice(process * recipe.batch_size, (process + 1) * recipe.batch_size)
        grids = torch.from_numpy(batch.grids[share].astype("int64")).to(device)
        logits = self.model(grids, torch.from_numpy(batch.conditions[share]).to(device))
        return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), grids.flatten())

    def log(self, measured: dict) -> None:
        loss, seen = sum(self.losses) / len(self.losses), self.step * self.batches.size
        row = {"step": self.step, "loss": loss, "bits_per_pixel": loss / math.log(2), "sprites_seen": seen}
        row |= {"sprites_per_second": seen / self.seconds, "seconds": round(self.seconds, 2)} | measured
        self.losses = []
        with open(self.out / LOG, "a") as file:
            file.write(json.dumps(row) + "\n")
        left = self.seconds / self.step * (self.recipe.steps - self.step)
        more = "".join(f"  {key.replace('_', ' ')} {value:.4f}" for key, value in measured.items())
        speed = f"{row['sprites_per_second']:.1f} sprites/s  {left:.0f} s left"
        print(f"step {self.step}/{self.recipe.steps}  {row['bits_per_pixel']:.4f} bits/pixel  {speed}{more}", flush=True)

    def evaluate(self) -> dict:
        """Measures the averaged weights, draws a contact sheet, and keeps the best models."""
        from data_prep.contact_sheet import contact_sheet

        generator = self.generator()
        measured = {"validation_bits_per_pixel": generator.bits_per_pixel(self.validation)}
        asked = self.validation[: self.recipe.sheet_sprites]
        drawn = generator.redraw(asked) if asked else []
        if drawn:
            sheets = self.out / "sheets"
            sheets.mkdir(exist_ok=True)
            captions = [sprite.caption for sprite in asked]
            contact_sheet(drawn, 10, 5, captions=captions).save(sheets / f"step-{self.step:06d}.png")
        if self.guide is not None and drawn:
            measured["guide"] = float(self.guide(drawn, [sprite.tags.get("category", "") for sprite in asked]))
        better = {BEST_BY_LOSS: -measured["validation_bits_per_pixel"], BEST_BY_GUIDE: measured.get("guide")}
        for name, value in better.items():
            if value is not None and value > self.best.get(name, -math.inf):
                self.best[name] = value
                self.export(name, measured["validation_bits_per_pixel"])
        return measured

    def generator(self):
        """The averaged weights as a generator."""
        from eval.baseline.generator import SpriteTransformerGenerator
        from eval.baseline.sprite_transformer import SpriteTransformer

        model = SpriteTransformer(self.core.config).to(self.accelerator.device)
        model.load_state_dict(self.averaged)
        return SpriteTransformerGenerator(model, self.conditions, self.palette, self.facts())

    def facts(self, validation_bits: float | None = None):
        from eval.baseline.model_folder import ModelFacts
        from eval.baseline.sprite_transformer import parameter_count

        return ModelFacts(
            name=self.out.name, sizes=self.sizes, palette_hash=self.palette.hash, dataset_hash=self.dataset_hash,
            recipe=self.recipe.asked, sprites_seen=self.step * self.batches.size, seconds=round(self.seconds, 2),
            parameters=parameter_count(self.core), validation_bits_per_pixel=validation_bits,
        )  # fmt: skip

    def export(self, name: str, validation_bits: float | None = None) -> None:
        from eval.baseline.model_folder import save_model

        facts = self.facts(validation_bits)
        save_model(self.out / name, self.averaged, self.core.config, self.conditions, self.palette, facts)

    def save(self) -> None:
        from eval.baseline.checkpoints import save_checkpoint

        state = {"step": self.step, "seconds": self.seconds, "losses": self.losses, "best": self.best}
        state["processes"] = self.accelerator.num_processes
        save_checkpoint(self.out, self.core, self.averaged, self.optimiser, state)


def schedule(step: int, warmup: int, steps: int) -> float:
    """Factor of the learning rate: linear warm-up, then a cosine down to a fiftieth."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
    return min(1.0, (step + 1) / max(1, warmup)) * (0.02 + 0.98 * cosine)


def _optimiser(model, recipe):
    """AdamW; vectors (biases, norms) do not decay."""
    import torch

    matrices = [value for value in model.parameters() if value.ndim > 1]
    vectors = [value for value in model.parameters() if value.ndim == 1]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, recipe.beta2), fused=True)


def _spread(sprites: Sequence[Sprite], count: int) -> list[Sprite]:
    """Up to `count` sprites in an order of their ids, which is no order of drawing; the first come from different cells."""
    turns, cells = [], {}
    for sprite in sorted(sprites, key=lambda sprite: sprite.id):
        cell = sprite.tags.get("zone", ""), sprite.tags.get("category", "")
        cells[cell] = cells.get(cell, 0) + 1
        turns.append((cells[cell], cell, sprite))
    turns.sort(key=lambda turn: turn[:2])
    if not turns:
        raise InputError("dataset: no validation sprites; prepare it from more sprites")
    return [sprite for _, _, sprite in turns[:count]]


def load_guide(folder: Path) -> Guide:
    """The mean `score` of a folder's guide. Raises InputError."""
    from eval.metrics.critics import load

    critic = load(folder, "guide")
    return lambda sprites, categories: float(critic.score(sprites, categories).mean())


def train(recipe, guide: Guide | None = None) -> None:
    """The whole run; nothing is done where it is finished already."""
    from finetune.quiet import quieten

    quieten()
    training = Training(recipe, guide)
    with alone(training.out, training.accelerator.is_main_process):
        _run(training, recipe)


def _run(training: Training, recipe) -> None:
    training.resume()
    say = training.accelerator.print
    say(f"{training.out}: {training.facts().parameters:,} parameters, at step {training.step}")
    training.run()
    say(f"{training.out}: {training.step} of {recipe.steps} steps, {training.seconds:.0f} s; model in {training.out / MODEL}")
    training.accelerator.end_training()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m eval.baseline.train", description="Trains a sprite transformer.")
    parser.add_argument("--config", type=Path, required=True, help="recipe, such as eval/baseline/recipes/improved.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="wins over the recipe")
    options = parser.parse_args(arguments)

    def work() -> None:
        from eval.baseline.config import read_recipe

        recipe = read_recipe(options.config, options.set)
        train(recipe, load_guide(Path(recipe.guide)) if recipe.guide else None)

    return exit_code("train", work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
