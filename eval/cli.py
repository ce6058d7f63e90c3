"""The `pixelreef` command: a thin shell over modules that can be called from Python. Exit code 2 for bad input."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.errors import InputError, exit_code

PASSED_ON = {  # commands whose flags are their module's
    "prepare": "sources → prompt–completion pairs on disk",
    "train": "your sprites, or a recipe's pairs → adapter (one process; see `accelerate launch finetune/train.py` for more)",
}


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin made a drawing ten times slower beside other work
    if arguments and arguments[0] in PASSED_ON:
        return _pass_on(arguments[0], arguments[1:])
    options = _parser().parse_args(arguments)
    return exit_code(f"pixelreef {options.command}", lambda: options.run(options))


def _pass_on(command: str, arguments: list[str]) -> int:
    run: Callable[[list[str]], int]
    if command == "prepare":
        from data_prep.prepare import main as run
    elif arguments and arguments[0].startswith("--") and arguments[0] != "--help":
        from finetune.train import main as run
    else:  # a folder or a zip; the help of this one names both
        from eval.train_own import main as run
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
    _add_export(commands.add_parser("export", help="merge an adapter into its base model: a folder, and a GGUF file"))
    _add_play(commands.add_parser("play", help="draw by hand on a page in the browser, served on this machine alone"))
    _add_curate(commands.add_parser("curate", help="accept or reject a dataset's sprites by key, on a page in the browser"))
    _add_rate(commands.add_parser("rate", help="say which of two drawings is better, blind, on a page in the browser"))
    _add_bench(commands.add_parser("bench", help="Pixel Art Bench, and how fast everything is beside others"))
    return parser


def _add_export(export: argparse.ArgumentParser) -> None:
    export.add_argument("adapter", type=Path, help="an adapter's folder")
    export.add_argument("--out", type=Path, required=True, help="a new folder")
    export.add_argument("--base", help="its base model: packaged name, folder, GGUF file or hub id; by default the one it names")
    export.add_argument("--gguf", action="store_true", help="also write a GGUF file into it, for llama.cpp")
    export.add_argument("--type", choices=("f16", "q8_0"), default="f16", help="of the GGUF file; by default f16")
    export.add_argument("--force", action="store_true", help="write a merged model that differs from the adapter by more")
    export.set_defaults(run=_export)


def _export(options) -> Path:
    from finetune.export import export

    return export(options.adapter, options.out, options.base, options.type if options.gguf else None, options.force)


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
    _add_model(draw, endpoint=True)
    draw.add_argument("--n", type=int, help="how many; by default 1")
    draw.add_argument("--seed", type=int, help="by default 0")
    draw.add_argument("--size", type=int, help="pixels a side; by default the adapter's first")
    draw.add_argument("--temperature", type=float, help="by default 1")
    draw.add_argument("--top-k", type=int, help="only so many likeliest colours a pixel; 0, the default, is off")
    draw.add_argument("--top-p", type=float, help="only the likeliest colours of so much probability; 1, the default, is off")
    draw.add_argument("--min-p", type=float, help="only colours so likely beside the likeliest; 0, the default, is off")
    draw.add_argument("--guidance", type=float, help="how far to lead away from the empty caption; 0, the default, is off")
    draw.add_argument("--best-of", type=int, metavar="N", help="candidates a drawing, of which the best stays; by default 1")
    draw.add_argument("--palette", metavar="FILE", help="use these colours alone: a .gpl, .hex or indexed .png, or a name")
    draw.add_argument("--reference", type=Path, metavar="PICTURE", help="use this picture's colours, by their roles in it")
    draw.add_argument("--force", action="store_true", help="draw sizes and palettes that the adapter was not trained on")
    draw.add_argument("--dtype", choices=("float32", "bfloat16"), help="by default what this machine computes with quickly")
    draw.add_argument("--like", type=Path, metavar="PNG", help="draw this drawing again; other flags change it")
    draw.add_argument("--recolour", type=Path, metavar="PNG", help="colour this sprite anew, as the caption says")
    draw.add_argument("--continue", dest="continue_from", type=Path, metavar="PNG", help="a sprite of which pixels stand")
    draw.add_argument("--rows", type=int, help="how many of its top rows stand; by default half")
    draw.add_argument("--mask", type=Path, metavar="PNG", help="instead: black where its pixels stand, white where to draw anew")
    draw.add_argument("--scale", type=int, help="screen pixels a pixel, nearest neighbour; by default 1")
    draw.add_argument("--sheet", action="store_true", help="all in one PNG, and beside it Aseprite's JSON")
    draw.add_argument("--json", action="store_true", help="print a line of JSON a drawing instead of its file's name")
    draw.add_argument("--out", type=Path, default=Path("drawing.png"), help=".png or .json; with --n a number is put before it")
    draw.set_defaults(run=_draw)


def _add_model(command: argparse.ArgumentParser, endpoint: bool = False) -> None:
    command.add_argument("--adapter", type=Path, help="an adapter's folder; by default the newest that is here")
    command.add_argument("--base", help="base model: packaged name, folder, GGUF file or hub id")
    command.add_argument("--transformer", type=Path, help="instead: a sprite transformer's folder")
    if endpoint:
        command.add_argument("--endpoint", metavar="URL", help="instead: a server with an OpenAI-compatible API")
        command.add_argument("--endpoint-model", metavar="NAME", help="which of its models; by default its first")


def _add_breed(breed: argparse.ArgumentParser) -> None:
    breed.add_argument("parents", nargs="+", type=Path, metavar="PNG", help="two or more sprites")
    breed.add_argument("--captions", nargs="+", help="what they show, in their order; by default what the PNGs say")
    _add_model(breed)
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

    draw_files(options)  # it prints its files itself
    return None


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


def _add_bench(bench: argparse.ArgumentParser) -> None:
    from eval.bench import commands as pixel_art_bench
    from eval.speed import commands as speed

    what = bench.add_subparsers(dest="what", required=True, metavar="WHAT")
    pixel_art_bench.add_to(what)
    speed.add_to(what)


def _add_play(play: argparse.ArgumentParser) -> None:
    _add_model(play, endpoint=True)
    _add_server(play)
    play.set_defaults(run=_play)


def _add_server(page: argparse.ArgumentParser) -> None:
    page.add_argument("--port", type=int, default=8765, help="by default 8765; 0 for any that is free")
    page.add_argument("--open", action="store_true", help="open the page in the browser too")


@contextmanager
def _needs_pages() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError(f"the page server needs {error.name}; install the extra `pages`: pip install -e .[pages]") from error


def _play(options) -> None:
    with _needs_pages():
        from eval.pages.play import play
    return play(options)


def _add_curate(curate: argparse.ArgumentParser) -> None:
    curate.add_argument("dataset", type=Path, metavar="DATASET", help="a prepared dataset's folder, such as datasets/reef16")
    curate.add_argument("--out", type=Path, metavar="FILE", help="the decisions; by default DATASET.curation.jsonl beside it")
    _add_server(curate)
    curate.set_defaults(run=_curate)


def _curate(options) -> None:
    with _needs_pages():
        from eval.pages.curate import curate
    return curate(options)


def _add_rate(rate: argparse.ArgumentParser) -> None:
    rate.add_argument("folder", type=Path, metavar="RUN", help="a run folder, such as runs/demo; votes go to its ratings.sqlite")
    rate.add_argument("--makers", nargs="+", metavar="NAME", help="generators; by default all models and the held-out sprites")
    rate.add_argument("--export", dest="out", type=Path, metavar="FILE", help="write all votes as lines of JSON instead")
    rate.add_argument("--import", dest="source", type=Path, metavar="FILE", help="add the votes of such a file instead")
    _add_server(rate)
    rate.set_defaults(run=_rate)


def _rate(options) -> str | None:
    with _needs_pages():
        from eval.pages.rate import rate
    return rate(options)


def _score(options) -> Path:
    from eval.score import score

    return score(options.folder, options.critics)


def _report(options) -> Path | str:
    from eval.report import report
    from eval.report_changes import changes

    return report(options.folder) if options.other is None else changes(options.folder, options.other)


if __name__ == "__main__":
    sys.exit(main())
