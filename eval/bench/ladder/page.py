"""docs/ladder.json, docs/ladder.md and docs/ladder.png out of what the ladder's queue has measured so far."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import numpy as np

from data_prep.whole_files import write_whole
from eval.bench.ladder.queue import METRICS, Settings, load
from eval.bench.ladder.rungs import BEFORE, DIGITS, LADDER, SUBSTITUTED, Rung, named
from eval.metrics.intervals import NOTHING, Interval, mean, paired_difference, paired_shares, share

TITLES = {
    "bits": "bits a pixel",
    "gain": "caption's gain, bits a sprite",
    "right_colour": "right colour",
    "like_sprites": "built like sprites",
    "valid": "valid without a grammar",
}
DECIDING = ("gain", "right_colour", "like_sprites", "valid")
SHARES = ("right_colour", "like_sprites", "valid")
OF_DRAWING = ("right_colour", "like_sprites")  # what a rung can change that draws with another one's weights


def measured(folder: Path, settings: Settings, rung: Rung, seeds: Sequence[int]) -> dict[int, dict[str, np.ndarray]]:
    """seed → metric → (prompts,) float64, NaN where there is no value."""
    found = {seed: load(folder, settings, rung, seed) for seed in seeds}
    kept = {seed: told["values"] for seed, told in found.items() if told}
    return {seed: {m: np.array(values[m], np.float64) for m in METRICS} for seed, values in kept.items()}


def over_seeds(found: dict[int, dict[str, np.ndarray]], metric: str, seeds: Sequence[int]) -> np.ndarray:
    """(prompts,) means over the seeds; a prompt is the unit, its seeds are not independent."""
    return np.mean([found[seed][metric] for seed in seeds], 0)


def summary(folder: Path, settings: Settings, seeds: Sequence[int]) -> list[dict]:
    """A row for each rung that has been measured: means with intervals, and the difference to the rung that it changes."""
    known = {rung.name: measured(folder, settings, rung, seeds) for rung in LADDER}
    rows = []
    for rung in LADDER:
        own = known[rung.name]
        if not own:
            continue
        before = known.get(BEFORE.get(rung.name, ""), {})
        shared = sorted(own.keys() & before.keys())
        pixels = settings.size**2
        row: dict = {"rung": rung.name, "change": rung.change, "seeds": sorted(own), "before": BEFORE.get(rung.name, "")}
        row["shared"] = shared
        row |= {m: _own(over_seeds(own, m, sorted(own)), m, pixels) for m in METRICS}
        row["worth"] = {m: _worth(own, before, m, shared, rung, pixels) for m in METRICS}
        rows.append(row)
    return rows


def _own(values: np.ndarray, metric: str, pixels: int) -> dict:
    measured = np.isfinite(values).astype(float)
    return _scaled(share(values, measured) if metric in SHARES else mean(values), metric, pixels)


def _worth(own: dict, before: dict, metric: str, shared: Sequence[int], rung: Rung, pixels: int) -> dict:
    """What the step is worth in one metric; nothing where it cannot change it, or where the two figures mean different things."""
    if not shared or (metric == "bits" and not _same_symbols(rung, named(BEFORE[rung.name]))):
        return asdict(NOTHING)
    if rung.after and metric not in OF_DRAWING:
        return asdict(NOTHING)
    a, b = (over_seeds(one, metric, shared) for one in (own, before))
    return _scaled(paired_shares(a, b) if metric in SHARES else paired_difference(a, b), metric, pixels)


def _same_symbols(rung: Rung, other: Rung) -> bool:
    return (rung.form == DIGITS) == (other.form == DIGITS)


def _scaled(interval: Interval, metric: str, pixels: int) -> dict:
    by = pixels if metric == "bits" else 1
    return {k: v / by if isinstance(v, float) else v for k, v in asdict(interval).items()}


def is_compared(row: dict) -> bool:
    """Whether the rung before it is measured too."""
    return any(interval["mean"] is not None for interval in row["worth"].values())


def told(interval: dict, metric: str, signed: bool = False) -> str:
    """An interval in a cell of the table."""
    if interval["mean"] is None:
        return "–"
    scale, places, unit = (100, 0, " %") if metric in SHARES else (1, 3 if metric == "bits" else 2, "")
    number, low, high = (f"{interval[key] * scale:{'+' if signed else ''}.{places}f}" for key in ("mean", "low", "high"))
    return f"{number}{unit} ({low} to {high})".replace("-", "−")


def write(folder: Path, settings: Settings, seeds: Sequence[int], out: Path) -> Path:
    """out: without suffix, such as docs/ladder. Returns the page."""
    rows = summary(folder, settings, seeds)
    plain = {"settings": asdict(settings), "rungs": rows}
    write_whole(out.with_suffix(".json"), json.dumps(plain, indent=1) + "\n")
    chart(rows, out.with_suffix(".png"))
    write_whole(out.with_suffix(".md"), page(rows, settings, out.name))
    return out.with_suffix(".md")


def page(rows: Sequence[dict], settings: Settings, name: str) -> str:
    """The Markdown page."""
    parts = ["# The ladder: from the published LoRA recipe to ours", _opening(rows, settings), _self_comparison(rows)]
    parts += [
        f"![what each step is worth]({name}.png)",
        "## What each step is worth",
        _table(rows, "worth"),
        "## Each rung",
        _table(rows, ""),
    ]
    parts += ["## What stands in for what", "\n".join(f"- {one}" for one in SUBSTITUTED), _notes(settings)]
    return "\n\n".join(parts) + "\n"


def _opening(rows: Sequence[dict], settings: Settings) -> str:
    seeds = max((row["seeds"] for row in rows), key=len, default=[])
    fewer = [row["rung"] for row in rows if len(row["seeds"]) < len(seeds)]
    short = f" Of {', '.join(fewer)} fewer seeds are measured so far." if fewer else ""
    return (
        f"Made by `pixelreef bench ladder`: {settings.base}, {settings.size}×{settings.size} sprites of the procedural reef, "
        f"{settings.sprites} sprites seen by each run, in {settings.dtype}, "
        f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}, {settings.tested} test prompts ({settings.free} for validity) of "
        "unseen combinations. **These are short runs**: they say which steps "
        f"matter early in training, not where any recipe ends.{short} Intervals are 95 % bootstrap over prompts, each prompt the "
        "mean over its seeds; they do not hold what another seed would bring. A step is compared with the rung named beside it, "
        "on the same prompts and seeds."
    )


def _self_comparison(rows: Sequence[dict]) -> str:
    published = next((row for row in rows if row["rung"] == "published"), None)
    if published is None or published["worth"]["bits"]["mean"] is None:
        return ""
    return (
        "**Evaluation without self-comparison** is the first change. The published evaluation wrapped the base model in place "
        "and then scored the wrapped model as 'base': adapter and base were one network, and every difference was exactly 0, "
        "whatever training had done. Loaded apart, the published recipe changes bits a pixel by "
        f"{told(published['worth']['bits'], 'bits', True)} here."
    )


def _table(rows: Sequence[dict], key: str) -> str:
    """key: 'worth' for differences, '' for the rungs' own figures."""
    signed = key == "worth"
    kept = [row for row in rows if not signed or is_compared(row)]
    head = ["rung", "change", *(["against"] if signed else []), "seeds", *TITLES.values()]
    lines = [head, ["---"] * len(head)]
    for row in kept:
        cells = [told((row[key] if signed else row)[metric], metric, signed) for metric in TITLES]
        against, seeds = ([row["before"]], row["shared"]) if signed else ([], row["seeds"])
        lines.append([row["rung"], row["change"], *against, str(len(seeds)), *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _notes(settings: Settings) -> str:
    return (
        "*Bits a pixel* are over what an answer's symbols can be: at most ten digits or 64 symbols, so they are compared "
        "within one form only. *The caption's gain* is what the right caption saves against one of another body plan. *Right "
        "colour* and *built like sprites* are of drawings held to their form at temperature 1; the latter means that coverage, "
        "edges, colours and the like lie within those of 95 % of training sprites, and says nothing of shapes. `judge` has no "
        "say: it was never taught "
        f"{settings.size}×{settings.size}."
    )


def chart(rows: Sequence[dict], out: Path) -> None:
    """What each step is worth: a panel for each metric, a whisker for each step, best read from top to bottom."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps = [row for row in rows if is_compared(row)]
    figure = Figure((11, 0.9 + 0.36 * max(len(steps), 1)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for number, metric in enumerate(DECIDING, 1):
        axes = figure.add_subplot(1, len(DECIDING), number)
        axes.axvline(0, color="#888", linewidth=0.8)
        for place, row in enumerate(steps):
            worth = row["worth"][metric]
            if worth["mean"] is not None:
                sure = worth["low"] > 0 or worth["high"] < 0
                axes.plot([worth["low"], worth["high"]], [place, place], color="#1c6e8c" if sure else "#9aa5ab", linewidth=2)
                axes.plot(worth["mean"], place, "o", color="#1c6e8c" if sure else "#9aa5ab")
        axes.set_title(TITLES[metric], fontsize=9)
        axes.set_ylim(max(len(steps), 1) - 0.5, -0.5)
        axes.set_yticks(range(len(steps)), [f"{row['rung']} − {row['before']}" for row in steps] if number == 1 else [])
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right", "left"]].set_visible(False)
    drawn = BytesIO()
    figure.savefig(drawn, metadata={"Software": None})
    write_whole(out, drawn.getvalue())
