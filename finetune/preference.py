"""Trains an adapter further on preferences: DPO on pairs of drawings, guarded against what its critic cannot see.

    python -m eval.preference_pairs --adapter adapters/NAME --dataset datasets/NAME --out runs/pairs/pairs.jsonl
    accelerate launch finetune/preference.py --config finetune/recipes/dpo_smollm2_135m.yaml [--key value …]

Reads the recipe, the pairs, the adapter to start from, its dataset (validation sprites and prompts for the guard) and its base
model. Writes checkpoints and `training_log.jsonl` to `output_dir`, and an adapter like any other to `output_dir/adapter`. Run
again, it goes on at the last checkpoint that the guard found good, or does nothing when the adapter is finished. Exit code 2 for
bad input, and when the guard stops before any step was good.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TQDM_DISABLE", "1")  # TRL's bars for what takes a pass over some dozens of pairs

from data_prep.errors import InputError, exit_code


def main(arguments: list[str]) -> int:
    return exit_code("preference", lambda: train(arguments))


def train(arguments: list[str]) -> None:
    """The whole run, from arguments to the adapter's folder."""
    from finetune.quiet import quieten

    quieten()
    from data_prep.whole_files import alone
    from finetune.pair_file import HeldOut, read_pairs
    from finetune.preference_config import parse
    from finetune.setup import finished_adapter, load_run

    config = parse(arguments)
    folder = Path(config.training.output_dir) / "adapter"
    if finished_adapter(folder, config.hash):
        print(f"{folder}: finished already with this recipe; reused")
        return
    held_out = HeldOut.of(Path(config.recipe.dataset))
    run = load_run(config)
    pairs = read_pairs(config.pairs, run.palette, config.start.sizes, held_out)
    with alone(folder.parent, config.training.process_index == 0):
        if not finished_adapter(folder, config.hash):  # by another run, while this one loaded
            Preferences(run, pairs).fit(folder)


class Preferences:
    """A run of preference training. run: `setup.Run` with a PreferenceConfig; pairs: what `read_pairs` gives."""

    def __init__(self, run, pairs: list):
        self.run, self.pairs = run, pairs

    def fit(self, folder: Path) -> None:
        """Trains from the last good checkpoint on, unless the guard has stopped the run, and writes the adapter."""
        from finetune.adapter_folder import LOG, round_lora
        from finetune.guard import stopped
        from finetune.preference_trainer import REFERENCE

        checkpoint = self.run.claim()
        trainer = self.trainer()
        say, each = trainer.accelerator.print, self.run.sprites_per_step
        say(f"{self.run.config.start.name}: {len(self.pairs)} pairs, {each} a step")
        before = self.run.measure(trainer)
        if not stopped(folder.parent / LOG):
            trainer.train_from(checkpoint)
            trainer.refuse_broken_weights()
        kept = self._keep(trainer)
        trainer.accelerator.unwrap_model(trainer.model).delete_adapter(REFERENCE)
        round_lora(trainer.model)
        after = self.run.measure(trainer)
        if trainer.is_world_process_zero():
            self._write(folder, trainer, {"before": before, "after": after, "kept": kept})
            say(f"{folder}: step {kept['step']}, {kept['why']}")
        trainer.accelerator.wait_for_everyone()  # a process that leaves early can hang the others at exit
        trainer.end()

    def trainer(self):
        """The trainer, its model and its guard; the reference's log-probabilities are computed here."""
        from datasets import Dataset
        from transformers import PrinterCallback

        from finetune.preference_trainer import GridDPOTrainer, PixelCollator
        from finetune.trainer import keep_differentiable, refuse_transformed_logits

        model, _ = self.run.model_and_lora()
        keep_differentiable(model)
        refuse_transformed_logits(model)
        pad = self.run.tokens.tokenizer.pad_token_id or self.run.tokens.end_id
        trainer = GridDPOTrainer(
            model=model,
            args=self.run.config.training,
            train_dataset=Dataset.from_list([self._row(pair) for pair in self.pairs]),
            processing_class=self.run.tokens.tokenizer,
            data_collator=PixelCollator(pad),
            callbacks=self._callbacks(),
            allowed_ids=self.run.tokens.allowed_ids([self.run.palette]),
        )
        trainer.remove_callback(PrinterCallback)  # the step line says it already
        return trainer

    def _row(self, pair) -> dict:
        from data_prep.captions import messages
        from finetune.preference_trainer import tokenise_pair

        return tokenise_pair(pair, messages(pair.caption, pair.height, pair.width, self.run.palette), self.run.tokens)

    def _callbacks(self) -> list:
        """`finetune` itself imports nothing of `eval`: what draws and scores for the guard comes from here."""
        from eval.preference_guard import guard_taste
        from finetune.guard import Guard
        from finetune.preference_log import PreferenceLine

        recipe, training, run = self.run.config.recipe, self.run.config.training, self.run
        out, each = Path(training.output_dir), self.run.sprites_per_step
        batch = 4 * training.per_device_train_batch_size  # without gradients a sprite takes a fraction of the memory
        trained_on = frozenset(pair.caption for pair in self.pairs)
        asked = (recipe.guard_prompts, recipe.guard_drawings)
        taste = guard_taste(Path(recipe.dataset), run.tokens, run.palette, *asked, training.seed, batch, trained_on)
        guard = Guard(out, taste, run.measure_model, recipe.guard_every, recipe.margins, each)
        return [PreferenceLine(out, each), guard]

    def _keep(self, trainer) -> dict:
        """Gives the model the weights of the last good step; returns which that is and why. Raises InputError for none."""
        from finetune.adapter_folder import LOG
        from finetune.checkpoints import last_whole, load_weights
        from finetune.guard import looks, stopped

        out = Path(trainer.args.output_dir)
        rows, broken, good = looks(out / LOG), stopped(out / LOG), last_whole(out)
        last = {"step": rows[-1]["step"]}
        if not broken:
            return {"step": last["step"], "why": "the last one; the guard found all of them good", "drawn_at": [], "last": last}
        why = f"the guard stopped at step {last['step']}: {'; '.join(broken)}"
        if good is None:
            raise InputError(f"{out}: {why}; no step before was good: no adapter is written. Lower learning_rate or raise beta")
        load_weights(trainer.accelerator.unwrap_model(trainer.model), good)
        return {"step": int(good.name.rpartition("-")[2]), "why": why, "drawn_at": [], "last": last}

    def _write(self, folder: Path, trainer, measured: dict) -> None:
        """Writes the adapter's folder: what it draws is what the start's facts say."""
        from collections import Counter

        from data_prep.whole_files import read_rows
        from finetune.adapter_folder import LOG, write_adapter
        from finetune.guard import looks

        run, config, log = self.run, self.run.config, folder.parent / LOG
        sources = dict(Counter(pair.source for pair in self.pairs))
        metrics = {**measured, "seed": config.training.seed, "pairs": sources, "pairs_hash": config.pairs_hash}
        metrics |= {"train_seconds": max([0.0, *(row.get("seconds", 0.0) for row in read_rows(log))]), "guard": looks(log)}
        facts = replace(config.start, name=Path(config.training.output_dir).name, recipe_hash=config.hash)
        model = trainer.accelerator.unwrap_model(trainer.model)
        beside = {LOG: log.read_bytes()}
        write_adapter(folder, model, run.tokens.tokenizer.chat_template, run.palette, facts, run.resolved(), metrics, beside)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
