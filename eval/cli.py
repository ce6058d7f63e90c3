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
    for name, run, what in (
        ("score", _score, "score the drawings of a run folder"),
        ("report", _report, "write a run folder's report.html and report.md"),
    ):
        command = commands.add_parser(name, help=what)
        command.add_argument("folder", type=Path, help="a run folder, such as runs/demo")
        command.set_defaults(run=run)
    return parser


def _add_draw(draw: argparse.ArgumentParser) -> None:
    draw.add_argument("caption", nargs="?", help="what to draw, such as 'a striped orange fish facing left'")
    draw.add_argument("--recipe", type=Path, help="instead of a caption: what a whole run compares")
    draw.add_argument("--adapter", type=Path, help="an adapter's folder; by default the newest that is here")
    draw.add_argument("--base", help="base model: packaged name, folder, GGUF file or hub id")
    draw.add_argument("--n", type=int, default=1, help="how many")
    draw.add_argument("--seed", type=int, default=0)
    draw.add_argument("--size", type=int, help="pixels a side; by default the adapter's smallest")
    draw.add_argument("--temperature", type=float, default=1.0)
    draw.add_argument("--top-p", type=float, default=1.0)
    draw.add_argument("--scale", type=int, default=1, help="screen pixels a pixel, nearest neighbour")
    draw.add_argument("--out", type=Path, default=Path("drawing.png"), help="PNG; with --n a number is put before .png")
    draw.set_defaults(run=_draw)


def _draw(options) -> Path | None:
    if options.recipe is not None:
        from eval.generate import generate, read_recipe

        return generate(read_recipe(options.recipe))
    from eval.draw import draw_files

    return draw_files(options)


def _score(options) -> Path:
    from eval.score import score

    return score(options.folder)


def _report(options) -> Path:
    from eval.report import report

    return report(options.folder)


if __name__ == "__main__":
    sys.exit(main())
