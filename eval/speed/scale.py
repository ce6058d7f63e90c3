"""`pixelreef bench scale`: how cost grows with the corpus, the batch, the side and the processes, and what becomes the limit.

    pixelreef bench scale [--what corpus batch size processes] [--most 30000] [--repeats 3]

Corpora: `pixelreef prepare` and the procedural source alone, each size once in a process of its own. Batches and sides: an
untrained sprite transformer. Processes: `prepare`, and training under torchrun. Enters each curve under its own name into
docs/speed/scale.json and writes docs/speed.md.
"""

import os
from collections.abc import Callable

import numpy as np

from data_prep.errors import InputError
from data_prep.printable import table
from eval.speed.contest import environment, spread, words
from eval.speed.growth import FEWEST, growth, slope, up_to
from eval.speed.page import show

TITLE = "Scale"
SAID = """How cost grows with work. The exponent is that of a power law, by least squares of logarithms over all points, with
its standard error; beside it the one between the last two points, where a fixed cost at the start weighs least: 1 is growth in
step. Two points (processes) have none. Corpora are made once each, from nothing, start of Python included. The limit is read
off the largest point by rule. Of a process: whether CPU seconds are 90 % of the clock's or more (then it is one core, else it
waits), and how far memory would reach at what one more sprite takes. Of the sprite transformer: the kind of operation that
takes most of the time under torch's profiler, and its share at the least point; *between operations* is Python and the
dispatch, where the machine's arithmetic stands still. Of several processes: the efficiency, and by Amdahl's law the part of the
work that is done by one. Memory is the peak of the whole process for corpora, and of a call above what the process held before
it for batches and sides. The sprite transformer has its default size, with tables of places long enough for 64 pixels; batches
are drawn at 16×16, sides with a batch of 4, training is in float32."""
LEFT = {"cpu": "pixelreef bench scale"}
CORPORA, BATCHES, SIDES = (1000, 3000, 10_000, 30_000, 100_000, 300_000), (1, 4, 16, 64, 256), (16, 24, 32, 48, 64)
PROCESSES, SMALLEST, BATCH, SIDE = (1, 2), 8, 4, 16
PREPARED = 10_000  # sprites of the corpus that several processes prepare
LEAST = {"corpus": 100, "batch": 27, "size": 1, "processes": 100}  # of --most
TOLD, LONG = 1e6, 1000  # bytes; hours after which nobody asks any more when the memory is full
BUSY, NAMES = 0.9, {"draw": "drawing", "train": "a training step", "prepare": "prepare", "stream": "the source alone"}
UNITS = {"corpus": "sprites", "batch": "sprites at once", "size": "pixels a sprite", "processes": "processes"}
PACKAGES = ("numpy", "torch")


def bench(options) -> None:
    """Measures the curves that the flags name, each entered as soon as it is there. Raises InputError."""
    most = CORPORA[-1] if options.most is None else options.most
    least = max(LEAST[what] for what in options.what)
    if most < least or options.repeats < 1:
        raise InputError(f"bench scale: --most takes {least} and more, --repeats 1 and more")
    for what in dict.fromkeys(options.what):
        found = environment(PACKAGES) | {"what": what, "memory": _installed(), "cores": os.cpu_count()}
        show(options.docs, "scale", what, found | MEASURE[what](most, options.repeats))


def _installed() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _corpus(most: int, _repeats: int) -> dict:
    from eval.speed.scale_processes import corpora

    return {"points": corpora(up_to(most, CORPORA), SMALLEST)}


def _batch(most: int, repeats: int) -> dict:
    from eval.speed.scale_transformer import batches

    return {"repeats": repeats, "curves": {"draw": batches(up_to(most, BATCHES), SIDE, repeats)}}


def _size(_most: int, repeats: int) -> dict:
    from eval.speed.scale_transformer import sides

    return {"repeats": repeats, "curves": sides(SIDES, BATCH, repeats)}


def _processes(most: int, repeats: int) -> dict:
    from eval.speed.scale_processes import processes

    count = min(most, PREPARED)
    return {"repeats": repeats, "count": count, "rows": processes(count, list(PROCESSES), repeats)}


MEASURE: dict[str, Callable[[int, int], dict]] = {"corpus": _corpus, "batch": _batch, "size": _size, "processes": _processes}


def lines(found: dict) -> list[str]:
    """Of one measurement."""
    shown = {"corpus": _of_corpus, "processes": _of_processes}.get(found["what"], _of_transformer)
    return [words(found), "", *shown(found)]


def _exponents(work: list[float], cost: list[float]) -> tuple[str, str]:
    found = growth(work, cost)
    return f"{found.exponent:.2f} ± {found.error:.2f}", f"{found.last:.2f}"


def _of_corpus(found: dict) -> list[str]:
    points, ways = found["points"], ("prepare", "stream")
    work = [point["work"] for point in points]
    head = ["sprites of 8×8", *(f"{NAMES[way]}, {what}" for way in ways for what in ("s", "CPU s", "MB"))]
    rows = [[f"{point['work']:,}", *(cell for way in ways for cell in _process(point[way]))] for point in points]
    grown = [[NAMES[way], *_exponents(work, [point[way]["wall"] for point in points]), _growth_of_memory(points, way),
              _limit_of_process(points, way, found["memory"])] for way in ways]  # fmt: skip
    head_2 = ("", "exponent of the seconds", "at the end", "memory", "the limit")
    return [*table(head, rows), "", *table(head_2, grown)]


def _process(one: dict) -> tuple[str, str, str]:
    return f"{one['wall']:.1f}", f"{one['cpu']:.1f}", f"{one['memory'] / 1e6:.0f}"


def _growth_of_memory(points: list[dict], way: str) -> str:
    held = [point[way]["memory"] for point in points]
    more = slope([point["work"] for point in points], held)
    exponent, _ = _exponents([point["work"] for point in points], held)
    return f"{more:,.0f} bytes a sprite (exponent {exponent})"


def _limit_of_process(points: list[dict], way: str, installed: int) -> str:
    last = points[-1]
    one = last[way]
    busy, used = one["cpu"] / one["wall"], one["memory"] / installed
    more = slope([point["work"] for point in points], [point[way]["memory"] for point in points])
    first = "one core's arithmetic" if busy >= BUSY else "waiting"
    said = f"{first}: CPU seconds are {busy:.0%} of the clock's, memory {used:.1%} of the machine's"
    room = (installed - one["memory"]) / more if more > 0 else np.inf
    hours = (last["work"] + room) * one["wall"] / last["work"] / 3600
    if hours < LONG:
        said += f", which would be full at {last['work'] + room:.1e} sprites, after {hours:,.0f} hours"
    return said


def _of_transformer(found: dict) -> list[str]:
    said, unit = [f"{_calls(found['repeats'])} of each point, in turns."], UNITS[found["what"]]
    for name, curve in found["curves"].items():
        points = curve["points"]
        head = (unit, f"{NAMES[name]}, s", "CPU s by s", f"{_each(found['what'])} a second", "MB")
        said += ["", f"**{NAMES[name].capitalize()}**", "", *table(head, (_point(point, found["what"]) for point in points))]
        work = [point["work"] for point in points]
        seconds, end = _exponents(work, [float(np.median(point["wall"])) for point in points])
        said += ["", f"Exponent of the seconds {seconds}, at the end {end}; of the memory {_memory_exponent(work, points)}."]
        said += [f"The limit: {_limit_of_operations(curve['shares'], unit)}."]
    return said


def _calls(repeats: int) -> str:
    return f"Medians of {repeats} calls" if repeats > 1 else "One call"


def _each(what: str) -> str:
    return "sprites" if what == "batch" else "pixels"


def _point(point: dict, what: str) -> tuple[str, ...]:
    wall, cpu = np.array(point["wall"]), np.array(point["cpu"])
    units = point["work"] * (1 if what == "batch" else BATCH)
    memory = "–" if point["memory"] is None else f"{point['memory'] / 1e6:,.0f}"
    return f"{point['work']:,}", spread(wall, ".2f"), f"{np.median(cpu / wall):.2f}", f"{units / np.median(wall):,.1f}", memory


def _memory_exponent(work: list[float], points: list[dict]) -> str:
    """Of the points that take TOLD bytes and more: below, the allocator's own pages are what is seen."""
    held = [(at, point["memory"]) for at, point in zip(work, points, strict=True) if (point["memory"] or 0) >= TOLD]
    return _exponents(*map(list, zip(*held, strict=True)))[0] if len(held) >= FEWEST else "unknown, for too few points take 1 MB"


def _limit_of_operations(shares: dict[str, dict[str, float]], unit: str) -> str:
    (least, first), (most, last) = shares.items()
    kind = max(last, key=last.__getitem__)
    others = ", ".join(f"{name} {share:.0%}" for name, share in sorted(last.items(), key=lambda one: -one[1]) if name != kind)
    return f"{kind}, {last[kind]:.0%} of the time at {int(most):,} {unit} ({others}) and {first[kind]:.0%} at {int(least):,}"


def _of_processes(found: dict) -> list[str]:
    said = [f"{_calls(found['repeats'])} of each; {found['count']:,} sprites of 16×16 prepared, 8 training steps of 16 sprites."]
    rows = [_compared(name, found["rows"][key], found["cores"]) for key, name in
            (("prepare", "prepare"), ("train", "training, one thread a process"))]  # fmt: skip
    head = ("", *(f"{number} process{'es' * (number > 1)}, s" for number in PROCESSES), "speed-up", "efficiency", "the limit")
    return [*said, "", *table(head, rows)]


def _compared(name: str, rows: list[dict], cores: int) -> tuple[str, ...]:
    taken = {number: [row["wall"] for row in rows if row["processes"] == number] for number in PROCESSES}
    number = PROCESSES[-1]
    up = float(np.median(taken[1]) / np.median(taken[number]))
    alone = max(0.0, (number / up - 1) / (number - 1))  # Amdahl: 1 / up = alone + (1 - alone) / number
    limit = f"{min(alone, 1):.0%} of the work is as if done by one process; {cores} cores"
    return (name, *(spread(taken[one], ".1f") for one in PROCESSES), f"{up:.2f}", f"{up / number:.0%}", limit)
