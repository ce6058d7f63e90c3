"""`pixelreef train my_sprites/`: a folder or zip of pictures → an adapter that draws like them, and a sheet of its drawings.

Writes `--out`, by default `runs/<name of the folder>`: dataset/ (prepared), recipe.yaml (also for `accelerate launch
finetune/train.py --config …`), checkpoints, adapter/ and contact_sheet.png. Run again, it goes on where it stopped.
"""

import argparse
import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import yaml

from data_prep.errors import InputError, exit_code
from data_prep.sprite import Sprite

ASKED, RECIPE, SHEET = "asked.json", "recipe.yaml", "contact_sheet.png"
SPARE = 0.95  # of --minutes go to what is timed; the rest is for loading and saving
COLUMNS, SLOT = 8, 112  # of the sheet: sprites a row, picture pixels a sprite
MOST_DRAWN, PIXELS_DRAWN = 16, 4096  # of the sheet's drawings together, so that larger sprites are fewer
EPILOG = "With a recipe instead of sprites: pixelreef train --config finetune/recipes/smollm2_135m.yaml [--key value …]"


def main(arguments: list[str]) -> int:
    """0 when adapter and sheet are there, 2 when a person has to mend something."""
    options = _parser().parse_args(arguments)
    return exit_code("pixelreef train", lambda: train_own(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("pixelreef train", description="Trains an adapter on your own sprites.", epilog=EPILOG)
    parser.add_argument("sprites", type=Path, help="a folder or a zip of PNGs with names, or with metadata.jsonl")
    parser.add_argument("--out", type=Path, help="folder to write; by default runs/<name of the sprites>")
    parser.add_argument(
        "--base", help="base model: packaged name, folder, GGUF file or hub id; by default what fits this machine"
    )
    parser.add_argument("--size", type=int, help="pixels a side; by default what the sprites need")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, help="optimizer steps; by default enough for the number of sprites")
    length.add_argument(
        "--minutes", type=float, help="instead: about how long training may take; the sheet of drawings comes on top"
    )
    return parser


def train_own(options) -> None:
    """The whole way, from pictures to the sheet. Raises InputError."""
    from data_prep.whole_files import write_whole
    from finetune import own_sprites, quiet

    _check(options)
    quiet.quieten()
    out = options.out or Path("runs") / own_sprites.corpus_name(options.sprites)
    asked = _same_request(out, options)
    dataset = own_sprites.prepare_own(options.sprites, out / "dataset", options.size)
    found = own_sprites.survey(dataset)
    _tell(found, own_sprites.warnings(found))
    if not (out / RECIPE).exists():
        write_whole(out / ASKED, json.dumps(asked))
        _plan(options, dataset, out, found.train)
    _train(out)
    if not (out / SHEET).exists():
        print(_sheet(out, dataset))
    print(f"finished: {out / 'adapter'}; its drawings beside real sprites: {out / SHEET}")
    print(f"draw with it: {_command(found.captions, out)}")


def _check(options) -> None:
    from finetune.choosing import LEAST_STEPS

    if options.steps is not None and options.steps < LEAST_STEPS:
        raise InputError(f"--steps {options.steps}: it takes {LEAST_STEPS} or more")
    if options.minutes is not None and not 0 < options.minutes < 1e5:
        raise InputError(f"--minutes {options.minutes}: it takes a number above 0")


def _same_request(out: Path, options) -> dict:
    """What is asked for; no option at all repeats what `out` was begun with. Raises InputError when it was begun otherwise."""
    asked = {key: getattr(options, key) for key in ("base", "size", "steps", "minutes")}
    note = out / ASKED
    if not note.exists():
        if out.exists() and {path.name for path in out.iterdir() if not path.name.startswith(".")} - {"dataset"}:
            raise InputError(f"{out}: holds other files; choose another --out")
        return asked
    before = json.loads(note.read_text())
    if asked != before and any(asked.values()):
        said = " ".join(f"--{key} {value}" for key, value in before.items() if value) or "no options"
        raise InputError(f"{out}: was begun with {said}; give the same to go on, or another --out")
    vars(options).update(before)
    return before


def _tell(found, warnings: Sequence[str]) -> None:
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in found.dropped.most_common())
    print(f"{found.train:,} sprites to train on, {found.held_out:,} held out; left out: {reasons or 'none'}")
    for warning in warnings:
        print(f"warning: {warning}", flush=True)


def _plan(options, dataset: Path, out: Path, train: int) -> None:
    """Chooses base, recipe and steps, says why, and writes the recipe beside its place."""
    print("choosing a base model and a recipe for this machine", flush=True)
    import torch

    from finetune.choosing import SPRITES_A_STEP, choose, length_within
    from finetune.config import parse
    from finetune.memory_advice import free_memory
    from finetune.setup import load_run
    from finetune.step_timing import seconds_a_sprite

    device = "cuda" if torch.cuda.is_available() else "cpu"
    side = max(json.loads((dataset / "manifest.json").read_text())["recipe"]["sizes"])
    choice = choose(device, free_memory(device), side, options.base)
    print(choice.why, flush=True)
    length, staging = choice.length(train, options.steps), out / f".{RECIPE}"
    staging.write_text(yaml.safe_dump(choice.keys(dataset, out, length), sort_keys=False))
    a_sprite = seconds_a_sprite(load_run(parse(["--config", str(staging)])), partial(print, flush=True))
    if options.minutes is not None:
        length = length_within(options.minutes * 60 * SPARE, a_sprite, SPRITES_A_STEP[device])
    staging.write_text(yaml.safe_dump(choice.keys(dataset, out, length, a_sprite), sort_keys=False))
    for line in _length_told(length, a_sprite, train, side):
        print(line, flush=True)
    os.replace(staging, out / RECIPE)


def _length_told(length, a_sprite: float, train: int, side: int) -> list[str]:
    """How long the run takes, and whether that is too short to learn the form of a drawing."""
    from finetune.own_sprites import SEEN_AT_LEAST, sprites_to_see

    often = f"each of the {train:,} is seen {length.seen / train:.1f} times"
    told = [
        f"{length.steps:,} steps of {length.each} sprite{'s' * (length.each > 1)}: "
        f"{often if length.seen >= train else f'{length.seen:,} of the {train:,} are seen once'}; "
        f"{a_sprite:.1f} s a sprite, {_time(length.cost * a_sprite)} in all (stop it at will: run again, it goes on)"
    ]
    enough = min(SEEN_AT_LEAST, sprites_to_see(train))
    if length.seen < enough / 2:
        smaller = ", less with --size 16, which leaves larger sprites out" if side > 16 else ""
        told.append(
            f"warning: too short to draw well: that takes some {enough:,} sprites seen, here "
            f"{_time(length.cost * a_sprite * enough / length.seen)}{smaller}; this run shows that all works"
        )
    return told


def _time(seconds: float) -> str:
    """About how long, in words."""
    for unit, length, least in (("hours", 3600, 7200), ("minutes", 60, 90)):
        if seconds >= least:
            return f"about {seconds / length:.0f} {unit}"
    return f"about {seconds:.0f} s"


def _train(out: Path) -> None:
    from finetune.checkpoints import last_whole
    from finetune.train import train

    whole = last_whole(out)
    if whole is not None and not (out / "adapter").exists():
        print(f"going on at {whole}", flush=True)
    train(["--config", str(out / RECIPE)])


def _sheet(out: Path, dataset: Path) -> str:
    """Draws captions of held-out sprites and writes the sheet, the sprites below; says how near to training sprites it draws."""
    from data_prep.contact_sheet import contact_sheet
    from eval.decoding import Sampling
    from eval.generators import LanguageModel, Request, sprites_of

    base = yaml.safe_load((out / RECIPE).read_text())["model_name_or_path"]
    model = LanguageModel.load(out / "adapter", base)
    real = _examples(dataset, model.palette)
    print(f"drawing {len(real)} captions of held-out sprites, pixel by pixel: some minutes on a CPU", flush=True)
    requests = [Request.like(sprite, 1, index) for index, sprite in enumerate(real)]
    drawn = list(sprites_of(model, requests, Sampling(temperature=0.8), model.name))
    shown, captions = [], []
    for start in range(0, len(drawn), COLUMNS):
        shown += [*drawn[start : start + COLUMNS], *real[start : start + COLUMNS]]
        captions += [f"drawn: {sprite.caption}" for sprite in drawn[start : start + COLUMNS]]
        captions += [f"real: {sprite.caption}" for sprite in real[start : start + COLUMNS]]
    scale = max(1, SLOT // max(sprite.height for sprite in real))
    staging = out / f".{SHEET}"
    contact_sheet(shown, min(COLUMNS, len(drawn)), scale, captions=captions, caption_lines=3).save(staging, "PNG")
    os.replace(staging, out / SHEET)
    return _nearness(drawn, real, _sprites(dataset, "train", model.palette))


def _nearness(drawn: Sequence[Sprite], real: Sequence[Sprite], training: Sequence[Sprite]) -> str:
    """Whether it copies: agreement with the nearest training sprite of the same size, beside the held-out sprites' own."""
    import numpy as np

    from eval.metrics.memorisation import nearest

    shapes = {sprite.grid.shape for sprite in training}
    usual = Counter(sprite.grid.shape for sprite in drawn if sprite.grid.shape in shapes).most_common(1)
    if not usual:
        return "no training sprite has the size of a drawing, so how near they are was not measured"
    height, width = side = usual[0][0]
    grids = [np.stack([one.grid for one in some if one.grid.shape == side]) for some in (drawn, real, training)]
    own, others = (float(np.median(nearest(some, grids[2])[0])) for some in grids[:2])
    return (
        f"at {height}x{width} {own:.0%} of the pixels of a drawing are those of the nearest training sprite (median); "
        f"of a held-out sprite {others:.0%}"
    )


def _examples(dataset: Path, palette) -> list[Sprite]:
    """Held-out sprites with different captions, as many as PIXELS_DRAWN allows but two at least, those of one size together."""
    held_out = [sprite for split in ("validation", "test") for sprite in _sprites(dataset, split, palette)]
    by_caption = {sprite.caption: sprite for sprite in held_out}
    chosen: list[Sprite] = []
    for sprite in list(by_caption.values())[:MOST_DRAWN]:
        if len(chosen) < 2 or sum(one.grid.size for one in chosen) + sprite.grid.size <= PIXELS_DRAWN:
            chosen.append(sprite)
    return sorted(chosen, key=lambda sprite: sprite.grid.shape)


def _sprites(dataset: Path, split: str, palette) -> list[Sprite]:
    from data_prep import grid_text
    from data_prep.pairs import read_rows

    rows = list(read_rows(dataset, split, ["completion", "caption_full"]))
    grids = [grid_text.sure(row["completion"][0]["content"], palette, str(dataset)).grid for row in rows]
    return [Sprite(grid, palette, row["caption_full"]) for grid, row in zip(grids, rows, strict=True)]


def _command(captions: Sequence[str], out: Path) -> str:
    """What a shell draws with the adapter by; a caption of a stranger's pack is a word there and nothing more."""
    return shlex.join(["pixelreef", "draw", _example(captions), "--adapter", str(out / "adapter"), "--scale", "8"])


def _example(captions: Sequence[str]) -> str:
    """A caption to try: the longest that is no longer than a line's half."""
    return max((caption for caption in captions if len(caption) <= 40), key=len, default="something new")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
