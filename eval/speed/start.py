"""`pixelreef bench start`: what a cold start costs, and what an install weighs.

    pixelreef bench start [--adapter FOLDER] [--transformer FOLDER] [--repeats 5]

Times imports, `--help` and the first sprite, each in a process of its own, in turns; tells by package what importing costs to
draw and to train, and what drawing can do without; and lists the libraries of the environment with their size on disk, what
brings them and which commands import them. A first sprite is a whole `pixelreef draw`: a new process, files in the memory's
cache. `--help` must import nothing heavy, and a first sprite must be the same in every turn: else the command stops.
"""

import json
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

from data_prep.errors import InputError
from data_prep.printable import table
from eval.speed import page
from eval.speed.contest import Times, environment, in_turns, spread, words
from eval.speed.start_install import ALWAYS, Library, libraries
from eval.speed.start_processes import COMMAND, Process, costs, works_without

TITLE = "Cold start and install"
SAID = """Each row is a new interpreter, files in the memory's cache; the unit of work is a start. CPU seconds are those of
the processes that were started. *Drawing without it* is tried with the package made impossible to import."""
LEFT = {"cpu": "pixelreef bench start"}
PACKAGES = ("torch", "transformers", "trl", "peft")
DRAWING = "import eval.draw, eval.decoding, eval.generators; from transformers import AutoModelForCausalLM, AutoTokenizer"
TRAINING = "import finetune.train, finetune.config, finetune.memory_advice, finetune.setup"
QUICKLY = "from finetune.quiet import quick_imports\nwith quick_imports():\n    "
SCORING = "import eval.score"
HELP, DRAW_HELP = "`pixelreef --help`", "`pixelreef draw --help`"
HEAVY = frozenset(("torch", "transformers", "numpy", "scipy", "PIL", "matplotlib"))  # which no help needs
SPRITES = 2  # first sprites timed at most, after one that counts for nothing
TOP, SHOWN = 10, 15  # packages by what importing them costs; libraries by their size


def light() -> dict[str, Process]:
    """What is timed beside the first sprite. `import transformers` alone loads little of it; the rest comes when used."""
    imports = {f"`import {name}`": f"import {name}" for name in ("data_prep.palette", "torch", "transformers", "peft")}
    imports |= {"`from trl import SFTTrainer`": "from trl import SFTTrainer"}
    imports |= {"all that drawing imports": QUICKLY + DRAWING, "the same, collecting garbage meanwhile": DRAWING}
    found = {"`python -c pass`": Process("pass")} | {name: Process(code) for name, code in imports.items()}
    return found | {HELP: Process(COMMAND, ("--help",)), DRAW_HELP: Process(COMMAND, ("draw", "--help"))}


def sprites(folder: Path, adapter: Path, base: str | None, transformer: Path | None) -> dict[str, Process]:
    """The ways to a first sprite, which they write into the folder."""
    asked = ["--adapter", str(adapter.resolve()), *(["--base", base] if base else [])]
    makers = {f"first sprite of `{adapter.name}`": asked}
    if transformer is not None:
        makers[f"first sprite of the transformer `{transformer.name}`"] = ["--transformer", str(transformer.resolve())]
    return {
        name: Process(COMMAND, ("draw", "a red crab", *flags, "--out", f"{number}-{{turn}}.png"), folder)
        for number, (name, flags) in enumerate(makers.items())
    }


def timed(ways: dict[str, Process], repeats: int) -> dict[str, Times]:
    """Medians by the wall clock are in_turns'; CPU seconds are the processes' own."""
    found = in_turns(ways, repeats)
    return {name: replace(times, cpu=tuple(ways[name].cpu[-repeats:])) for name, times in found.items()}


def check_help(ways: dict[str, Process]) -> None:
    """Raises InputError where a help imported what it does not need."""
    for name in (HELP, DRAW_HELP):
        if heavy := ways[name].imported & HEAVY:
            raise InputError(f"bench start: {name} imports {', '.join(sorted(heavy))}; that is a fault, report it")


def check_sprites(folder: Path, ways: Iterable[str]) -> None:
    """Raises InputError where a way did not draw the same in each turn."""
    for number, name in enumerate(ways):
        drawn = {file.read_bytes() for file in folder.glob(f"{number}-*.png")}
        if len(drawn) != 1:
            raise InputError(f"bench start: {name}: {len(drawn)} different drawings by one seed; that is a fault, report it")


def prepared(folder: Path) -> Process:
    """A `pixelreef prepare` of a few procedural sprites, which tells what the command imports."""
    recipe = {"name": "start", "sources": [{"kind": "procedural", "seed": 1, "count": 60}], "sizes": [16], "palette": "reef64"}
    (folder / "start.yaml").write_text(json.dumps(recipe))  # JSON is YAML
    return Process(COMMAND, ("prepare", "--config", "start.yaml", "--out", "prepared"), folder)


def measure(adapter: Path, base: str | None, transformer: Path | None, repeats: int, dependencies: Path) -> dict:
    """All that the page shows, as JSON."""
    starts = light()
    times = timed(starts, repeats)
    check_help(starts)
    with tempfile.TemporaryDirectory() as place:
        first = sprites(Path(place), adapter, base, transformer)
        times |= timed(first, min(repeats, SPRITES))
        check_sprites(Path(place), first)
        commands = {"draw": next(iter(first.values())), "prepare": prepared(Path(place))}
        commands |= {"train": Process(TRAINING), "score": Process(SCORING)}
        for name in ("prepare", "train", "score"):
            commands[name]()
    found = libraries({name: process.imported for name, process in commands.items()}, dependencies)
    return environment(PACKAGES) | {
        "repeats": repeats, "times": {name: asdict(one) for name, one in times.items()}, "imports": import_costs(),
        "install": install(found),
    }  # fmt: skip


def import_costs() -> dict:
    """Dearest packages of drawing and of training: seconds of their own modules; and without which of them drawing imports."""
    drawing, training = costs(DRAWING), costs(TRAINING)
    dear = sorted(drawing | training, key=lambda name: -max(drawing.get(name, 0), training.get(name, 0)))[:TOP]
    spared = {name: works_without(name, DRAWING) for name in dear if name in drawing}
    rows = [{"package": name, "draw": drawing.get(name, 0.0), "train": training.get(name, 0.0)} for name in dear]
    return {"rows": rows, "spared": spared, "draw": sum(drawing.values()), "train": sum(training.values())}


def install(found: list[Library]) -> dict:
    """Bytes of an install without extras, of what each extra adds to it, and the largest libraries."""
    known = [one for one in found if one.extras]
    extras = sorted({extra for one in known for extra in one.extras} - {ALWAYS})
    groups = {extra: [one.size for one in known if extra in one.extras] for extra in (ALWAYS, *extras)}
    shown = [asdict(one) | {"verdict": one.verdict} for one in known[:SHOWN]]
    return {
        "libraries": len(known), "bytes": sum(one.size for one in known), "largest": shown,
        "extras": {extra: {"libraries": len(sizes), "bytes": sum(sizes)} for extra, sizes in groups.items()},
    }  # fmt: skip


def lines(found: dict) -> list[str]:
    rows = [[name, *_seconds(Times(**times))] for name, times in found["times"].items()]
    told = f"{words(found)} {found['repeats']} starts of each, first sprites {min(found['repeats'], SPRITES)}."
    return [told, "", *table(["", "seconds", "CPU seconds"], rows), "", *_help_in_words(), *_imports(found["imports"]),
            *_install(found["install"])]  # fmt: skip


def _seconds(times: Times) -> list[str]:
    return [spread(getattr(times, clock), ".2f") for clock in ("wall", "cpu")]


def _help_in_words() -> list[str]:
    return [f"Both helps were seen to import none of {', '.join(sorted(HEAVY))}; each first sprite was the same in every turn."]


def _imports(found: dict) -> list[str]:
    told = {True: "works", False: "does not work", None: ""}
    rows = [
        [one["package"], f"{one['draw']:.2f}", f"{one['train']:.2f}", told[found["spared"].get(one["package"])]]
        for one in found["rows"]
    ]
    head = ["package", "to draw, s", "to train, s", "drawing without it"]
    sums = f"{found['draw']:.1f} s to draw and {found['train']:.1f} s to train"
    return ["", f"Importing, by package, its own modules alone ({sums} in all, under the clock that tells them apart):", "",
            *table(head, rows)]  # fmt: skip


def _install(found: dict) -> list[str]:
    groups = [[name, one["libraries"], f"{one['bytes'] / 1e6:,.0f}"] for name, one in found["extras"].items()]
    largest = [
        [one["name"], f"{one['size'] / 1e6:,.0f}", ", ".join(one["extras"]), ", ".join(_through(one)), one["verdict"]]
        for one in found["largest"]
    ]
    return [
        "", f"On disk: {found['bytes'] / 1e6:,.0f} MB in {found['libraries']} libraries, with the extras installed here.",
        "", *table(["comes with", "libraries, of an extra: beyond every install", "MB"], groups),
        "", f"The {len(largest)} largest. Imported: by a drawing, by preparing procedural sprites, by `train` and `score` before "
        "they begin.", "", *table(["library", "MB", "comes with", "brought by", "needed"], largest),
    ]  # fmt: skip


def _through(library: dict) -> list[str]:
    """Up to three direct requirements that bring it; it itself where it is one."""
    through = library["through"]
    return ["pixelreef itself"] if library["name"] in through else [*through[:3], *(["…"] if len(through) > 3 else [])]


def bench(options) -> None:
    """Measures what the flags say and writes the page. Raises InputError."""
    from eval.draw import REPOSITORY, newest_adapter

    if options.repeats < 1:
        raise InputError("bench start: repeats take 1 and more")
    adapter = options.adapter or newest_adapter(Path("runs"), REPOSITORY / "adapters")
    for folder in (adapter, options.transformer):
        if folder is not None and not folder.is_dir():
            raise InputError(f"bench start: {folder}: no such folder")
    found = measure(adapter, options.base, options.transformer, options.repeats, options.docs / "dependencies.md")
    page.show(options.docs, "start", adapter.name, found)
