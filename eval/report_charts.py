"""The charts of a report, by matplotlib: SVG to stand in a page, with the page's own font and colours, light and dark.

Text stays text. Colours are put in as stand-ins and become CSS variables; line style and marker tell the series apart too.
The same data give the same bytes: ids come from the chart's key, there is no date and no random number.
"""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np

from data_prep.printable import printable
from eval.report_tables import Chart

WIDTH, HEIGHT = 400, 250  # points, which are about a phone's pixels
MAX_LABEL = 34
_VARIABLES = {  # stand-in → variable of report.css
    "#010203": "--ink", "#010204": "--soft", "#010205": "--line", "#010206": "--page", "#010207": "--sea", "#010208": "--coral",
    "#010209": "--violet", "#01020a": "--sand", "#01020b": "--leaf", "#01020c": "--grey",
}  # fmt: skip
_COLOURS = {variable: colour for colour, variable in _VARIABLES.items()}
_SERIES = (("--sea", "o", "-"), ("--coral", "s", "--"), ("--violet", "^", "-."), ("--sand", "D", ":"), ("--leaf", "v", "-"))
MAX_SERIES = len(_SERIES) + 1
_STYLE: dict[Any, object] = {  # keys of matplotlib
    "svg.fonttype": "none", "text.parse_math": False, "font.size": 10.5, "axes.linewidth": 0.8, "xtick.major.size": 0,
    "ytick.major.size": 0, "xtick.minor.size": 0, "ytick.minor.size": 0, "legend.frameon": False, "legend.fontsize": 10,
    "lines.linewidth": 1.8, "lines.markersize": 5, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "axes.spines.left": False, "axes.axisbelow": True, "axes.unicode_minus": True,
}  # fmt: skip
_STYLE |= dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "legend.labelcolor"), _COLOURS["--soft"])
_STYLE |= dict.fromkeys(("axes.edgecolor", "grid.color"), _COLOURS["--line"])

Point = tuple[float, float, float, float]  # x, mean, low, high


@dataclass(frozen=True)
class Series:
    """A line with intervals."""

    label: str
    points: tuple[Point, ...]


def lines(key: str, series: Sequence[Series], x_label: str, y_label: str, words: str, ticks: Sequence[float] = ()) -> Chart:
    """Lines with whiskers, a little apart so that none hides another; up to MAX_SERIES. ticks: the places on the x axis."""
    with _axes(key) as (figure, axes):
        step = 0.012 * (max(ticks) - min(ticks)) if len(ticks) > 1 else 0.0
        for number, (one, (variable, marker, dashes)) in enumerate(zip(series, _styles(), strict=False)):
            x, mean, low, high = (np.array(column, np.float64) for column in zip(*one.points, strict=True))
            around = np.nan_to_num(np.maximum(np.stack([mean - low, high - mean]), 0))
            x = x + step * (number - (min(len(series), MAX_SERIES) - 1) / 2)
            look = {"color": _COLOURS[variable], "marker": marker, "linestyle": dashes, "label": label(one.label)}
            axes.errorbar(x, mean, around, elinewidth=1.1, capsize=0, clip_on=False, **look)
        if len(ticks):
            axes.set_xticks(list(ticks), [f"{tick:g}" for tick in ticks])
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
        _legend(axes, len(series))
        return Chart(_svg(figure, key, words), words)


def numbered(key: str, points: Sequence[Point], x_label: str, y_label: str, words: str) -> Chart:
    """Points in their order, each with its number from 1, moved aside where it would hide one before it; x on a logarithmic
    axis."""
    with _axes(key) as (figure, axes):
        axes.set_xscale("log")
        top = max([high for *_, high in points] + [1e-9])
        for number, ((x, mean, low, high), moved) in enumerate(zip(points, _aside(points, top), strict=True), 1):
            axes.plot([x, x], [low, high], color=_COLOURS["--soft"], linewidth=1.2, clip_on=False)
            look = {"boxstyle": "circle,pad=0.25", "facecolor": _COLOURS["--sea"], "edgecolor": "none"}
            shown = {"ha": "center", "va": "center", "color": _COLOURS["--page"], "fontsize": 8.5, "bbox": look, "zorder": 5}
            axes.annotate(str(number), (x, mean), (moved, 0), textcoords="offset points", annotation_clip=False, **shown)
        _plain_log(axes, [x for x, *_ in points])
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.set_ylim(-0.06 * top, 1.04 * top)
        return Chart(_svg(figure, key, words), words)


def _aside(points: Sequence[Point], top: float) -> list[int]:
    """Points by which each number moves to the right, so that none stands on another that was drawn before."""

    def near(a: Point, b: Point) -> bool:
        return abs(log(a[0] / b[0])) < 0.12 and abs(a[1] - b[1]) < 0.09 * top

    moved: list[int] = []
    for number, point in enumerate(points):
        taken = {moved[i] for i in range(number) if near(points[i], point)}
        moved.append(next(step for step in range(0, 17 * len(points) + 1, 17) if step not in taken))
    return moved


def _plain_log(axes, xs: Sequence[float]) -> None:
    """A few round numbers on a logarithmic axis, as numbers."""
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    low, high = min(xs) / 1.5, max(xs) * 1.5
    steps = [part * 10.0**power for power in range(-4, 7) for part in (1, 2, 5)]
    shown = [step for step in steps if low <= step <= high]
    shown = shown if len(shown) < 7 else [step for step in shown if f"{step:e}".startswith("1")]
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(shown, [f"{step:g}" for step in shown])


def radar(key: str, spokes: Sequence[str], shapes: Sequence[tuple[str, Sequence[float]]], words: str) -> Chart:
    """Closed shapes over spokes; values from 0, the middle, to 1, the rim."""
    with _axes(key, height=330, polar=True) as (figure, axes):
        angles = np.linspace(0, 2 * np.pi, len(spokes), endpoint=False)
        for (name, values), (variable, marker, dashes) in zip(shapes, _styles(), strict=False):
            closed = [*values, values[0]]
            look = {"color": _COLOURS[variable], "marker": marker, "linestyle": dashes, "label": label(name), "markersize": 4}
            axes.plot([*angles, angles[0]], closed, clip_on=False, **look)
        axes.set_xticks(angles, [label(spoke) for spoke in spokes])
        axes.tick_params(axis="x", pad=9)
        for text, angle in zip(axes.get_xticklabels(), angles, strict=True):
            text.set_horizontalalignment("center" if abs(np.cos(angle)) < 0.3 else "left" if np.cos(angle) > 0 else "right")
        axes.set_yticks([0.25, 0.5, 0.75, 1], ["", "0.5", "", "1"])
        axes.set_ylim(0, 1)
        axes.spines["polar"].set_visible(False)
        _legend(axes, len(shapes))
        return Chart(_svg(figure, key, words), words)


def curve(key: str, x: np.ndarray, y: np.ndarray, labels: tuple[str, str], words: str, goal: float | None = None) -> Chart:
    """One line from the left to the right; goal: a dashed level with its name."""
    with _axes(key) as (figure, axes):
        axes.plot(x, y, color=_COLOURS["--sea"], clip_on=False)
        axes.set_ylim(0, 1.05 * max(float(y.max()), goal or 0, 1e-9))
        if goal is not None:
            axes.axhline(goal, color=_COLOURS["--coral"], linestyle="--", linewidth=1.2, clip_on=False)
            above = {"xytext": (0, 4), "textcoords": "offset points", "ha": "right", "color": _COLOURS["--coral"]}
            axes.annotate("held-out sprites, after", (x[-1], goal), **above)
        axes.set(xlabel=labels[0], ylabel=labels[1])
        axes.xaxis.set_major_locator(_few())
        return Chart(_svg(figure, key, words), words)


def trail(key: str, x: np.ndarray, y: np.ndarray, labels: tuple[str, str], words: str) -> Chart:
    """Dots in the order of time joined by a thin line; the last one is large."""
    with _axes(key) as (figure, axes):
        axes.plot(x, y, color=_COLOURS["--grey"], marker="o", markersize=4, linewidth=0.9, clip_on=False)
        axes.plot(x[-1:], y[-1:], "o", color=_COLOURS["--sea"], markersize=10, clip_on=False)
        axes.set(xlabel=labels[0], ylabel=labels[1])
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(_few())
        return Chart(_svg(figure, key, words), words)


def label(text: str) -> str:
    flat = " ".join(printable(text).split())
    return flat if len(flat) <= MAX_LABEL else flat[: MAX_LABEL - 1].rstrip() + "…"


def _styles() -> Iterator[tuple[str, str, str]]:
    yield from _SERIES
    yield "--grey", "x", "--"


def _few():
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5)


def _legend(axes, count: int) -> None:
    if count > 1:
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0 if axes.name != "polar" else 1.08), ncols=1, handlelength=2.4)


@contextmanager
def _axes(key: str, height: int = HEIGHT, polar: bool = False):
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": key}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # the page's fonts draw it
        figure = Figure((WIDTH / 72, height / 72), layout="constrained")
        FigureCanvasSVG(figure)
        figure.patch.set_visible(False)
        axes = figure.add_subplot(projection="polar" if polar else None)
        axes.patch.set_visible(False)
        if not polar:
            axes.grid(False, axis="x")
        yield figure, axes


def _svg(figure, key: str, words: str) -> str:
    """The figure as an <svg> element: no prologue, no style of its own, ids of this chart, the page's font and variables."""
    from markupsafe import escape

    file = io.StringIO()
    figure.savefig(file, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = file.getvalue()
    box = text.split('viewBox="', 1)[1].split('"', 1)[0]
    body = text[text.index(">", text.index("<svg")) + 1 :]
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>|<metadata>.*?</metadata>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r" ?font-family: [^;\"]*;", "", body)
    body = re.sub(r' clip-path="[^"]*"', "", body)
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = re.sub(r'(id="|href="#)', rf"\1{key}-", body)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, f"var({variable})")
    return f'<svg viewBox="{box}" role="img" aria-label="{escape(printable(words))}">{body}'
