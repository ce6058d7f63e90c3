"""The sub-commands of `pixelreef bench` that time things. Flags only: what measures is loaded when it is called."""

import argparse
from importlib import import_module
from pathlib import Path


def add_to(commands: argparse._SubParsersAction) -> None:
    for part, add, what in (
        ("train", _train, "LoRA steps, beside TRL as it comes and as its documentation tunes it"),
        ("draw", _draw, "drawing grids, beside generate() with llguidance and beside llama.cpp"),
        ("baseline", _baseline, "the sprite transformer, beside a plain training loop and sampling without a cache"),
        ("prepare", _prepare, "preparing a corpus, and quantising pictures beside Pillow"),
        ("score", _score, "scoring drawings, beside published implementations of the same metrics"),
        ("scale", _scale, "how cost grows with the corpus, the batch, the side and the processes"),
        ("start", _start, "imports, the first sprite, and what each dependency weighs"),
    ):
        parser = commands.add_parser(part, help=f"time {what}")
        add(parser)
        parser.add_argument("--docs", type=Path, default=Path("docs"), help="where speed.md and speed/ lie; by default docs")
        parser.set_defaults(run=_measure, part=part)


def _measure(options) -> None:
    return import_module(f"eval.speed.{options.part}").bench(options)


def _repeats(parser: argparse.ArgumentParser, count: int, device: bool = True) -> None:
    parser.add_argument("--repeats", type=int, default=count, help=f"timed calls of each way; by default {count}")
    if device:
        parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="by default cpu")


def _train(train: argparse.ArgumentParser) -> None:
    train.add_argument("--base", default="smollm2-135m", help="base model: packaged name, folder, GGUF file or hub id")
    train.add_argument("--random", metavar="SHAPE", help="instead: random weights in this shape, such as qwen3-1.7b")
    train.add_argument("--size", type=int, default=16, help="pixels a side; by default 16")
    train.add_argument("--batch", type=int, default=2, help="sprites a step; by default 2")
    train.add_argument("--rank", type=int, default=16, help="of the LoRA; by default 16")
    train.add_argument("--full-head-every", type=int, default=8, help="of our steps, as in a recipe; by default 8")
    train.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), default="auto", help="by default what is quick here")
    _repeats(train, 5)


def _draw(draw: argparse.ArgumentParser) -> None:
    draw.add_argument("--adapter", type=Path, help="an adapter's folder; by default the newest that is here")
    draw.add_argument("--base", help="base model: packaged name, folder, GGUF file or hub id")
    draw.add_argument("--random", metavar="SHAPE", help="instead: random weights in this shape, such as qwen3-1.7b")
    draw.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32], help="by default 1 8 32")
    draw.add_argument("--size", type=int, default=16, help="pixels a side; by default 16")
    draw.add_argument("--llama-cpp", action="store_true", help="also through a llama.cpp server with the adapter merged, Q8_0")
    draw.set_defaults(transformer=None)
    _repeats(draw, 5)


def _baseline(baseline: argparse.ArgumentParser) -> None:
    baseline.add_argument("--size", type=int, default=16, help="pixels a side; by default 16")
    baseline.add_argument("--batch", type=int, default=16, help="sprites a training step; by default 16")
    baseline.add_argument("--drawn", type=int, nargs="+", default=[1, 32], help="sprites drawn at once; by default 1 32")
    _repeats(baseline, 5)


def _prepare(prepare: argparse.ArgumentParser) -> None:
    prepare.add_argument("--pack", type=Path, nargs="+", default=[], metavar="ZIP", help="packs to prepare; by default none")
    prepare.add_argument("--sprites", type=int, default=500, help="pictures a timed call; by default 500")
    prepare.add_argument("--num-proc", type=int, nargs="+", default=[1, 2], help="processes of `prepare`; by default 1 2")
    _repeats(prepare, 7, device=False)


def _score(score: argparse.ArgumentParser) -> None:
    score.add_argument("--sprites", type=int, default=1000, help="drawings a timed call; by default 1000")
    _repeats(score, 5, device=False)


def _scale(scale: argparse.ArgumentParser) -> None:
    scale.add_argument("--what", nargs="+", choices=("corpus", "batch", "size", "processes"),
                       default=["corpus", "batch", "size", "processes"], help="which curves; by default all")  # fmt: skip
    scale.add_argument("--most", type=int, help="of the largest corpus: 300000, of batches: 256; by default both")
    _repeats(scale, 3, device=False)


def _start(start: argparse.ArgumentParser) -> None:
    start.add_argument("--adapter", type=Path, help="what draws the first sprite; by default the newest adapter that is here")
    start.add_argument("--base", help="its base model, where that is not the one it names")
    start.add_argument("--transformer", type=Path, help="a sprite transformer's folder, whose first sprite is timed too")
    _repeats(start, 5, device=False)
