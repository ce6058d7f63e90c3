"""Is loss taste? A run's chart: bits per pixel above, what the drawings are worth below, over the same steps.

    python -m finetune.chart adapters/<name>          # or a run's folder, also while it trains

Reads training_log.jsonl and samples.jsonl, and metrics.json where it is there, for the step that was kept. Writes training.png.
"""

import argparse
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from data_prep.errors import InputError, exit_code
from data_prep.whole_files import read_rows, write_whole
from finetune.adapter_folder import BITS, CHART, GUIDE, LOG, METRICS, SAMPLES

INK, TRAINING, HELD_OUT, TASTE, FAULT = "#3a4254", "#9db4d6", "#1f5fbf", "#b3541e", "#8a8f99"
SIZE, DPI = (7.2, 5.2), 110
ENOUGH = 5  # drawings over a run below which no correlation is told


def chart(log: Sequence[dict], samples: Sequence[dict], kept: int | None = None) -> bytes:
    """PNG. log: rows of training_log.jsonl; samples: rows of samples.jsonl, at least one; kept: the step that was kept."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(SIZE, DPI)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    _loss(above, log, samples)
    _taste(below, samples)
    for axes in (above, below):
        if kept is not None:
            axes.axvline(kept, color=INK, linewidth=1, linestyle=":")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.25)
        axes.legend(frameon=False, fontsize=8, loc="best")
    if kept is not None:
        place = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "ha": "right", "va": "top"}
        above.annotate(f"kept: step {kept}", (kept, 1), (-4, -2), fontsize=8, color=INK, **place)
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    below.set_xlabel("step")
    above.set_title(told(samples), fontsize=9, loc="left", color=INK)
    return png(figure)


def png(figure) -> bytes:
    """A figure of matplotlib, laid out."""
    figure.tight_layout()
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _loss(axes, log: Sequence[dict], samples: Sequence[dict]) -> None:
    rows = [row for row in log if row.get(BITS) is not None]
    axes.plot([r["step"] for r in rows], [r[BITS] for r in rows], color=TRAINING, linewidth=1.2, label="training batches")
    axes.plot(
        [r["step"] for r in samples],
        [r[BITS] for r in samples],
        color=HELD_OUT,
        marker="o",
        markersize=4,
        label="held-out sprites",
    )
    axes.set_ylabel("bits per pixel")
    axes.set_ylim(bottom=0)


def _taste(axes, samples: Sequence[dict]) -> None:
    steps = [row["step"] for row in samples]
    scored = [row for row in samples if row.get(GUIDE) is not None]
    if scored:
        axes.plot(
            [r["step"] for r in scored], [r[GUIDE] for r in scored], color=TASTE, marker="o", markersize=4, label="guide score"
        )
    for key, style in (("empty", "--"), ("noise", ":")):
        axes.plot(steps, [row[key] for row in samples], color=FAULT, linestyle=style, label=f"share {key}")
    axes.set_ylabel("drawings")
    axes.set_ylim(-0.03, 1.03)


def told(samples: Sequence[dict]) -> str:
    """Whether fewer bits went with better drawings, in words; a run of few drawings says nothing."""
    from scipy.stats import spearmanr

    scored = [row for row in samples if row.get(GUIDE) is not None]
    if not scored:
        return "No critic knows drawings of this size"
    if len(scored) < ENOUGH or len({row[GUIDE] for row in scored}) == 1:
        return f"Loss and guide score at {len(scored)} steps, {scored[-1]['drawn']} drawings each"
    found = spearmanr([-row[BITS] for row in scored], [row[GUIDE] for row in scored]).statistic
    over = f"{len(scored)} steps, {scored[-1]['drawn']} drawings each"
    return f"Rank correlation of fewer held-out bits and guide score: {found:+.2f} ({over})"


def write_chart(folder: Path) -> Path:
    """Draws the chart of an adapter's or a run's folder anew. Raises InputError where nothing was drawn while it trained."""
    samples = read_rows(folder / SAMPLES)
    if not samples:
        raise InputError(f"{folder / SAMPLES}: not there or empty; nothing was drawn while this trained (draw_every)")
    metrics = folder / METRICS
    kept = json.loads(metrics.read_text()).get("kept", {}).get("step") if metrics.is_file() else None
    return write_whole(folder / CHART, chart(read_rows(folder / LOG), samples, kept))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m finetune.chart", description="Draws the chart of loss against taste.")
    parser.add_argument("folder", type=Path, help="an adapter's folder, or a run's")
    options = parser.parse_args(arguments)
    return exit_code("chart", lambda: write_chart(options.folder))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
