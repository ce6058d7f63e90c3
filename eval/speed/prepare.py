"""`pixelreef bench prepare`: how fast a corpus is prepared, and how fast pictures are brought to a palette beside Pillow.

    pixelreef bench prepare [--pack sprites.zip …] [--sprites 500] [--repeats 7] [--num-proc 1 2]

Quantising: (n, 32, 32, 4) pictures to index grids of `reef64`, three ways in turns: ours; Pillow's own route,
`Image.quantize(palette=…)` without dithering picture by picture, from array to array; and Pillow on all pictures as one tall
image, which spares it most of its calls. Preparing: `pixelreef prepare` in a process of its own, from the packs or else from the
procedural source, once for each number of processes.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from data_prep.errors import InputError
from data_prep.palette import Palette, named, oklab, quantise
from data_prep.printable import table
from eval.speed.contest import Times, children_cpu, environment, in_turns, spread, words
from eval.speed.page import show

TITLE = "Preparing"
SAID = """Quantising to `reef64` beside Pillow, one thread, sprites a second of CPU time: on a machine that does other things they
say more than the clock. First it is checked how often each way gives the entry that ours gives, and that all find the same
pixels transparent. *Error*: the mean OKLab distance by which a pixel is moved; Pillow compares in RGB, through a cache of coarse
cells. How memory grows with the corpus is below, under scale."""
LEFT = {"cpu": "pixelreef bench prepare --pack cc0-sprites.zip permissive-sprites.zip"}
OURS, PILLOW = "ours", "Pillow"
SIDE = 32
TINTS = 16  # of the pictures that share their colours, as the sprites of a pack do
KINDS = {
    "shared": "pixel art whose colours come again, as in a pack",
    "own": "pixel art, every sprite in colours of its own",
    "noise": "every pixel in a colour of its own, as in a photograph",
}
PACKAGES = ("numpy", "pillow", "pyarrow")


def pictures(kind: str, count: int, seed: int) -> np.ndarray:
    """(count, 32, 32, 4) uint8 of a kind, other ones for each seed."""
    dice = np.random.default_rng([seed, list(KINDS).index(kind)])
    rgba = _sprites(count).copy()
    if kind == "noise":
        rgba[..., :3] = dice.integers(0, 256, rgba[..., :3].shape)
        return rgba
    shifts = np.random.default_rng(0).normal(0, 12, (TINTS, 3))[dice.integers(0, TINTS, count)]
    shifts = dice.normal(0, 12, (count, 3)) if kind == "own" else shifts
    rgba[..., :3] = np.clip(rgba[..., :3] + shifts[:, None, None] * (rgba[..., 3:] > 0), 0, 255)
    return rgba


_drawn: dict[int, np.ndarray] = {}


def _sprites(count: int) -> np.ndarray:
    from data_prep.sources.procedural import sprite

    if count not in _drawn:
        _drawn[count] = np.stack([sprite(1, index, SIDE).rgba() for index in range(count)])
    return _drawn[count]


def ours(rgba: np.ndarray, palette: Palette) -> np.ndarray:
    return quantise(rgba, palette)


def pillow(rgba: np.ndarray, palette: Palette) -> np.ndarray:
    """Picture by picture."""
    table, grids = _palette_image(palette), np.empty(rgba.shape[:-1], np.uint8)
    for grid, one in zip(grids, rgba, strict=True):
        grid[:] = _by_pillow(one, table)
    return grids


def pillow_at_once(rgba: np.ndarray, palette: Palette) -> np.ndarray:
    """All pictures one above the other."""
    tall = rgba.reshape(-1, rgba.shape[2], 4)
    return _by_pillow(tall, _palette_image(palette)).reshape(rgba.shape[:-1])


def _palette_image(palette: Palette):
    from PIL import Image

    table = Image.new("P", (1, 1))
    table.putpalette(palette.rgba[1:, :3].tobytes())
    return table


def _by_pillow(rgba: np.ndarray, table) -> np.ndarray:
    """Pillow counts the colours from 0 and knows no threshold of opacity."""
    from PIL import Image

    found = Image.fromarray(rgba, "RGBA").convert("RGB").quantize(palette=table, dither=Image.Dither.NONE)
    return np.where(rgba[..., 3] >= 128, np.asarray(found) + 1, 0).astype(np.uint8)


WAYS: dict[str, Callable] = {OURS: ours, PILLOW: pillow, "Pillow, all in one image": pillow_at_once}


def agreement(kind: str, count: int, palette: Palette) -> dict:
    """Shares of pixels in which each way agrees with ours, and the mean OKLab distance by which it moves an opaque pixel."""
    rgba = pictures(kind, count, 99)
    opaque = rgba[..., 3] >= 128
    mine, lab = ours(rgba, palette), oklab(rgba[opaque][:, :3])
    rows = {}
    for name, way in WAYS.items():
        grid = way(rgba, palette)
        if ((grid > 0) != opaque).any():
            raise InputError(f"bench prepare: {name} gave other transparent pixels; that is a fault, report it")
        apart = np.linalg.norm(lab - palette.oklab[grid[opaque] - 1], axis=-1)
        rows[name] = {"same": float((grid == mine)[opaque].mean()), "error": round(float(apart.mean()), 5)}
    return rows


def timings(kind: str, count: int, repeats: int, palette: Palette) -> dict[str, Times]:
    """Each turn has pictures of its own, which every way gets."""
    of_turn = [pictures(kind, count, turn) for turn in range(repeats + 1)]
    return in_turns({name: partial(_call, way, of_turn, palette) for name, way in WAYS.items()}, repeats, count)


def _call(way: Callable, of_turn: list[np.ndarray], palette: Palette, turn: int) -> None:
    way(of_turn[turn], palette)


def prepared(packs: list[Path], sprites: int, num_proc: int) -> dict:
    """Seconds of one `pixelreef prepare`, start of Python included, and what came out."""
    sources: list[dict] = [{"kind": "packs", "path": str(pack.resolve())} for pack in packs]
    sources = sources or [{"kind": "procedural", "seed": 1, "count": sprites}]
    recipe: dict = {"name": "bench", "sources": sources, "sizes": [16, 24, 32] if packs else [32], "palette": "reef64"}
    recipe |= {"num_proc": num_proc}
    with tempfile.TemporaryDirectory() as place:
        config, out = Path(place) / "bench.yaml", Path(place) / "bench"
        config.write_text(json.dumps(recipe))
        before, started = children_cpu(), time.perf_counter()
        command = [sys.executable, "-m", "data_prep.prepare", "--config", str(config), "--out", str(out)]
        done = subprocess.run(command, cwd=Path(__file__).resolve().parents[1], capture_output=True, text=True, check=False)
        if done.returncode:
            raise InputError(f"bench prepare: {(done.stderr.strip().splitlines() or ['it failed'])[-1]}")
        manifest = json.loads((out / "manifest.json").read_text("utf-8"))
        return {
            "num_proc": num_proc, "wall": round(time.perf_counter() - started, 2), "cpu": round(children_cpu() - before, 2),
            "pairs": sum(file["rows"] for file in manifest["files"].values()), "dropped": sum(manifest["dropped"].values()),
        }  # fmt: skip


def measure(packs: list[Path], sprites: int, repeats: int, processes: list[int]) -> dict:
    """All that the page shows, as JSON."""
    palette = named("reef64")
    quantised = {}
    for kind in KINDS:
        times = timings(kind, sprites, repeats, palette)
        told = {name: asdict(found) for name, found in times.items()}
        quantised[kind] = {"agreement": agreement(kind, sprites, palette), "times": told}
        print(f"{kind}: {times[OURS].ratio(times[PILLOW], 'cpu'):.1f} times Pillow", flush=True)
    return environment(PACKAGES) | {
        "sprites": sprites, "repeats": repeats, "quantise": quantised, "packs": [pack.name for pack in packs],
        "prepare": [prepared(packs, 4 * sprites, number) for number in processes],
    }  # fmt: skip


def lines(found: dict) -> list[str]:
    told = [f"{words(found)} {found['repeats']} calls of {found['sprites']} pictures of {SIDE}×{SIDE} that were not seen before."]
    for kind, said in KINDS.items():
        head = ["", "sprites a second", "ours is", "the same entry as ours", "error"]
        told += ["", f"*{said[0].upper()}{said[1:]}:*", "", *table(head, [_row(found["quantise"][kind], way) for way in WAYS])]
    source = ", ".join(found["packs"]) or "the procedural source"
    rows = [
        (row["num_proc"], f"{row['pairs']:,}", f"{row['dropped']:,}", f"{row['wall']:.1f}", f"{row['cpu']:.1f}")
        for row in found["prepare"]
    ]
    told += ["", f"*`pixelreef prepare` of {source}, start of Python included:*", ""]
    return [*told, *table(["processes", "pairs", "left out", "seconds", "CPU seconds"], rows)]


def _row(found: dict, name: str) -> list[str]:
    times, agreed = {way: Times(**one) for way, one in found["times"].items()}, found["agreement"][name]
    ratio = "" if name == OURS else f"{times[OURS].ratio(times[name], 'cpu'):.2g} times as fast"
    return [name, spread(times[name].rates("cpu"), ",.0f"), ratio, f"{agreed['same']:.1%}", f"{agreed['error']:.4f}"]


def bench(options) -> None:
    """Measures what the flags say and writes the page. Raises InputError."""
    if options.sprites < 1 or options.repeats < 1 or min(options.num_proc) < 1:
        raise InputError("bench prepare: sprites, repeats and processes take 1 and more")
    found = measure(options.pack, options.sprites, options.repeats, options.num_proc)
    show(options.docs, "prepare", ", ".join(found["packs"]) or "the procedural source", found)
