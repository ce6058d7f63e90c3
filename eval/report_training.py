"""How training went: bits per pixel over sprites, and loss against guide's score from one evaluation to the next.

An adapter's evaluations are the rows of its samples.jsonl, where `bits_per_pixel` is that of held-out sprites; a sprite
transformer's stand in its training log.
"""

import numpy as np

from eval.report_charts import curve, trail
from eval.report_tables import Chart, Section
from eval.report_words import NO_BREAK
from eval.run_folder import number
from eval.summary import leader

MAX_POINTS = 400
VALIDATION = "validation_bits_per_pixel"


def training(run) -> Section:
    """No charts in a run without logs; a trail for each of adapter and rival."""
    evaluated = [row | {VALIDATION: row.get("bits_per_pixel")} for row in run.samples]
    found = (
        training_curve(run.log, held_out_bits(run.summary)),
        loss_against_score(evaluated or run.log, "adapter"),
        loss_against_score(run.rival_log, "rival"),
    )
    return Section("training", "Training", "", (), tuple(chart for chart in found if chart is not None))


def held_out_bits(summary: dict) -> float | None:
    """The leader's bits per pixel, right caption."""
    rows = [row for row in summary["likelihoods"] if row["generator"] == leader(summary["roles"])]
    return rows[0]["caption"]["mean"] if rows else None


def training_curve(log: list[dict], goal: float | None) -> Chart | None:
    """Bits per pixel (else per token, else the loss) over sprites (else steps); None below two points."""
    y_name = next((name for name in ("bits_per_pixel", "bits_per_token") if _column(log, name)), "loss")
    x_name = next((name for name in ("sprites", "sprites_seen") if len(_column(log, name)) == len(log)), "step")
    pairs = [(number(row.get(x_name)), number(row.get(y_name))) for row in log]
    pairs = sorted(pair for pair in pairs if None not in pair)
    if len(pairs) < 2:
        return None
    xs, ys = np.array(pairs[:: max(1, len(pairs) // MAX_POINTS)]).T
    words = f"Training: {y_name.replace('_', ' ')} from {ys[0]:.2f} to {ys[-1]:.2f} over "
    words += f"{xs[-1]:,.0f} {x_name.removesuffix('_seen')}.".replace(",", NO_BREAK)
    labels = "step" if x_name == "step" else "sprites seen", y_name.replace("_", " ")
    return curve("curve", xs, ys, labels, words, goal if y_name == "bits_per_pixel" else None)


def loss_against_score(log: list[dict], role: str) -> Chart | None:
    """Validation bits across, guide's score up; None below three evaluations that have both. role: whose log it is."""
    names = ("step", VALIDATION, "guide")
    rows = sorted(row for row in (tuple(number(row.get(name)) for name in names) for row in log) if None not in row)
    if len(rows) < 3:
        return None
    steps, bits, scores = np.array(rows).T
    by_loss, by_guide, thinner = int(bits.argmin()), int(scores.argmax()), max(1, len(rows) // MAX_POINTS)
    words = (  # of all evaluations, those that are not drawn too
        f"The {role}: loss against score over training, the last evaluation as the large dot: lowest validation loss at step "
        f"{steps[by_loss]:.0f}, where the guide gives {scores[by_loss]:.3f}; its highest score, {scores[by_guide]:.3f}, "
        f"is at step {steps[by_guide]:.0f}."
    )
    drawn = np.unique([*range(0, len(rows), thinner), len(rows) - 1])
    return trail(f"trail-{role}", bits[drawn], scores[drawn], ("validation bits per pixel", "guide's score"), words)


def _column(log: list[dict], name: str) -> list[float]:
    values = [number(row.get(name)) for row in log]
    return [value for value in values if value is not None]
