"""Trains a LoRA adapter to draw.

    accelerate launch finetune/train.py --config finetune/recipes/demo_cpu.yaml [--key value …]

Reads the recipe, the prepared dataset that it names and the base model. Writes checkpoints and `training_log.jsonl` to
`output_dir`, and the finished adapter to `output_dir/adapter`. Run again, it goes on at the last checkpoint, or does
nothing when the adapter of this very recipe is finished. Exit code 2 for bad input.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from data_prep.errors import exit_code


def main(arguments: list[str]) -> int:
    return exit_code("train", lambda: train(arguments))


def train(arguments: list[str]) -> None:
    """The whole run, from arguments to the adapter's folder."""
    from finetune.quiet import quieten

    quieten()
    from finetune.adapter_folder import round_lora
    from finetune.config import parse
    from finetune.setup import finished_adapter, load_run

    config = parse(arguments)
    folder = Path(config.training.output_dir) / "adapter"
    if finished_adapter(folder, config.hash):
        print(f"{folder}: finished already with this recipe; reused")
        return
    run = load_run(config)
    checkpoint = run.claim()
    trainer = run.trainer()
    say = trainer.accelerator.print
    say(f"{run.base.hub_id}: {len(run.data['train']):,} training sprites; measuring {config.recipe.eval_sprites} held-out ones")
    before = run.measure(trainer)
    trainer.train(resume_from_checkpoint=checkpoint)
    round_lora(trainer.model)
    after = run.measure(trainer)
    if trainer.is_world_process_zero():
        run.write(folder, trainer, {"before": before, "after": after})
        say(f"{folder}: bits per pixel {before['bits_per_pixel']:.3f} before, {after['bits_per_pixel']:.3f} after")
    trainer.accelerator.wait_for_everyone()  # a process that leaves early can hang the others at exit
    trainer.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
