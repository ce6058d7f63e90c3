"""The `pixelreef` command: a thin shell over modules that can be called from Python. Exit code 2 for bad input."""

import argparse
import os
import sys
from pathlib import Path

from data_prep.errors import exit_code

PASSED_ON = {  # commands whose flags are their module's
    "prepare": "sources → prompt–completion pairs on disk",
    "train": "pairs → adapter (one process; see `accelerate launch finetune/train.py` for more)",
}


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if arguments and arguments[0] in PASSED_ON:
        return _pass_on(arguments[0], arguments[1:])
    options = _parser().parse_args(arguments)
    return exit_code(f"pixelreef {options.command}", lambda: options.run(options))


def _pass_on(command: str, arguments: list[str]) -> int:
    if command == "prepare":
        from data_prep.prepare import main as run
    else:
        from finetune.train import main as run
    return run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pixelreef", description="Teaches small language models to draw pixel art.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, what in PASSED_ON.items():
        commands.add_parser(name, help=what, add_help=False)
    _add_draw(commands.add_parser("draw", help="draw sprites for a caption, or fill a run folder from a recipe"))
    _add_shade(commands.add_parser("shade", help="light finished drawings, PNGs or JSON grids"))
    _add_breed(commands.add_parser("breed", help="children of sprites: a folder with their pictures and family tree"))
    _add_score(commands.add_parser("score", help="score the drawings of a run folder"))
    _add_report(commands.add_parser("report", help="write a run folder's report, or say what changed between two"))
    return parser


def _add_score(score: argparse.ArgumentParser) -> None:
    score.add_argument("folder", type=Path, help="a run folder, such as runs/demo")
    score.add_argument("--critics", type=Path, metavar="FOLDER", help="folder of critics; by default the committed ones")
    score.set_defaults(run=_score)


def _add_report(report: argparse.ArgumentParser) -> None:
    report.add_argument("folder", type=Path, help="a scored run folder, such as runs/demo: writes its report.html and report.md")
    report.add_argument("other", type=Path, nargs="?", help="a second one of the same prompts: prints what changed instead")
    report.set_defaults(run=_report)


def _add_draw(draw: argparse.ArgumentParser) -> None:
    draw.add_argument("caption", nargs="?", help="what to draw, such as 'a striped orange fish facing left'")
    draw.add_argument("--recipe", type=Path, help="instead of a caption: what a whole run compares")
    draw.add_argument("--adapter", type=Path, help="an adapter's folder; by default the newest that is here")
    draw.add_argument("--base", help="base model: packaged name, folder, GGUF file or hub id")
    draw.add_argument("--transformer", type=Path, help="instead: a sprite transformer's folder")
    draw.add_argument("--n", type=int, default=1, help="how many")
    draw.add_argument("--seed", type=int, default=0)
    draw.add_argument("--size", type=int, help="pixels a side; by default the adapter's smallest")
    draw.add_argument("--temperature", type=float, default=1.0)
    draw.add_argument("--top-p", type=float, default=1.0)
    draw.add_argument("--guidance", type=float, default=0.0, help="how far to lead away from the empty caption; 0 is off")
    draw.add_argument("--best-of", type=int, default=1, metavar="N", help="candidates a drawing, of which the best stays")
    draw.add_argument("--continue", dest="continue_from", type=Path, metavar="PNG", help="a sprite of which pixels stand")
    draw.add_argument("--rows", type=int, help="how many of its top rows stand; by default half")
    draw.add_argument("--mask", type=Path, metavar="PNG", help="instead: black where its pixels stand, white where to draw anew")
    draw.add_argument("--scale", type=int, default=1, help="screen pixels a pixel, nearest neighbour")
    draw.add_argument("--out", type=Path, default=Path("drawing.png"), help="PNG; with --n a number is put before .png")
    draw.set_defaults(run=_draw)


def _add_breed(breed: argparse.ArgumentParser) -> None:
    breed.add_argument("parents", nargs="+", type=Path, metavar="PNG", help="two or more sprites")
    breed.add_argument("--captions", nargs="+", help="what they show, in their order; by default what the PNGs say")
    breed.add_argument("--adapter", type=Path, help="an adapter's folder; by default the newest that is here")
    breed.add_argument("--base", help="base model: packaged name, folder, GGUF file or hub id")
    breed.add_argument("--transformer", type=Path, help="instead: a sprite transformer's folder")
    breed.add_argument("--generations", type=int, default=3)
    breed.add_argument("--n", type=int, default=4, help="children a generation")
    breed.add_argument("--seed", type=int, default=0)
    breed.add_argument("--temperature", type=float, default=1.0)
    breed.add_argument("--top-p", type=float, default=1.0)
    breed.add_argument("--guidance", type=float, default=0.0, help="how far to lead away from the empty caption; 0 is off")
    breed.add_argument("--scale", type=int, default=1, help="screen pixels a pixel, nearest neighbour")
    breed.add_argument("--out", type=Path, required=True, help="a new folder")
    breed.set_defaults(run=_breed)


def _breed(options) -> Path:
    from eval.breed import breed_files

    return breed_files(options)


def _draw(options) -> Path | None:
    if options.recipe is not None:
        from eval.generate import generate, read_recipe

        return generate(read_recipe(options.recipe))
    from eval.draw import draw_files

    return draw_files(options)


def _add_shade(shade: argparse.ArgumentParser) -> None:
    shade.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="a .png, or a completion in a .json or .txt file")
    shade.add_argument("--light", default="135,40", metavar="AZIMUTH,ELEVATION", help="degrees: 0 right, 90 above; 90 frontal")
    shade.add_argument("--strength", type=float, default=1.0, help="0 (nothing) to 2")
    shade.add_argument("--rim", action="store_true", help="rim light, and let the creature's own lights glow")
    shade.add_argument("--palette", help="shade in this palette, by name or from a file, instead of the drawing's own")
    shade.add_argument("--scale", type=int, default=1, help="screen pixels a pixel, nearest neighbour")
    shade.add_argument("--sweep", nargs=2, metavar=("N", "GIF"), help="also write N frames of the light going round")
    shade.add_argument("--out", type=Path, help="a .png, or a folder")
    shade.set_defaults(run=_shade)


def _shade(options) -> None:
    from eval.shade import shade_files

    return shade_files(options)


def _score(options) -> Path:
    from eval.score import score

    return score(options.folder, options.critics)


def _report(options) -> Path | str:
    from eval.report import report
    from eval.report_changes import changes

    return report(options.folder) if options.other is None else changes(options.folder, options.other)


if __name__ == "__main__":
    sys.exit(main())
