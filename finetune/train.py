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
from data_prep.whole_files import alone


def main(arguments: list[str]) -> int:
    return exit_code("train", lambda: train(arguments))


def train(arguments: list[str]) -> None:
    """The whole run, from arguments to the adapter's folder. A run that does not fit in memory is an InputError with advice."""
    from finetune.quiet import quick_imports, quieten

    with quick_imports():
        quieten()
        from finetune.config import parse
        from finetune.memory_advice import advised, check_memory
        from finetune.setup import finished_adapter, load_run

    config = parse(arguments)
    folder = Path(config.training.output_dir) / "adapter"
    if finished_adapter(folder, config.hash):
        print(f"{folder}: finished already with this recipe; reused")
        return
    run = load_run(config)
    check_memory(run)
    with advised(run), alone(folder.parent, config.training.process_index == 0):
        if not finished_adapter(folder, config.hash):  # by another run, while this one loaded
            fit(run, folder)


def fit(run, folder: Path) -> None:
    """Measures, trains from the last checkpoint on, measures again and writes the adapter."""
    from finetune.adapter_folder import round_lora
    from finetune.keep import keep
    from finetune.precision import slow_here

    checkpoint = run.claim()
    trainer = run.trainer(_taste(run))
    say = trainer.accelerator.print
    say(
        f"{run.base.hub_id}: {len(run.data['train']):,} training sprites on {trainer.args.world_size} process(es), "
        f"{run.sprites_per_step} a step; measuring {run.config.recipe.eval_sprites} held-out ones"
    )
    if run.config.training.bf16 and (advice := slow_here("bfloat16", trainer.args.device.type)):
        say(f"{advice}: --dtype float32 --bf16 false")
    before = run.measure(trainer)
    trainer.train_from(checkpoint)
    trainer.refuse_broken_weights()
    kept = keep(trainer, run.config.recipe.keep)
    round_lora(trainer.model)
    trainer.unshard()
    after = run.measure(trainer)
    trainer.unshard()  # measuring left the layers in shards
    if trainer.is_world_process_zero():
        run.write(folder, trainer, {"before": before, "after": after, "kept": kept})
        say(f"{folder}: bits per pixel {before['bits_per_pixel']:.3f} before, {after['bits_per_pixel']:.3f} after")
    trainer.accelerator.wait_for_everyone()  # a process that leaves early can hang the others at exit
    trainer.end()


def _taste(run):
    """What draws and scores while a run trains: `finetune` itself imports nothing of `eval`."""
    from eval.taste import taste_of

    recipe, training = run.config.recipe, run.config.training
    if not recipe.draw_prompts:
        return None
    batch = 4 * training.per_device_train_batch_size  # without gradients a sprite takes a fraction of the memory
    return taste_of(Path(recipe.dataset), run.tokens, run.palette, recipe.draw_prompts, training.seed, batch)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
