"""Pixel Art Bench's columns, for comparison with its tables: a table and a radar chart, which decide nothing."""

from eval.controls import DEGENERATE, HELD_OUT
from eval.metrics.legacy import NAMES, QUALITY
from eval.report_charts import radar
from eval.report_tables import Chart, Section, legacy
from eval.summary import leader

MOST_QUALITY = 8.5  # of quality_score, the sum of its weights
SPOKES = {name: name.replace("_", " ") for name in (*NAMES, QUALITY)}


def bench(summary: dict) -> Section:
    chart = _radar(summary)
    return Section.of("legacy", legacy(summary), (chart,) if chart else ())


def _radar(summary: dict) -> Chart | None:
    """Leader, rival, base model, held-out sprites and the control with the highest quality score; None without any."""
    shapes = {name: shape for name in _shown(summary) if (shape := _shape(summary, name)) is not None}
    if len(shapes) < 2:
        return None
    told = ", ".join(f"{name} {MOST_QUALITY * shape[-1]:.1f}" for name, shape in shapes.items())
    words = (
        f"Legacy metrics, which decide nothing: each from 0, the middle, to 1, the rim; quality score of {MOST_QUALITY}. "
        f"Quality scores: {told}. A control with nothing in it that comes near the rim is why they are not used."
    )
    return radar("radar", list(SPOKES.values()), list(shapes.items()), words)


def _shown(summary: dict) -> list[str]:
    roles, worst = summary["roles"], max(DEGENERATE, key=lambda name: (_shape(summary, name) or [-1.0])[-1])
    return list(dict.fromkeys(name for name in (leader(roles), roles.get("rival"), roles["base"], HELD_OUT, worst) if name))


def _shape(summary: dict, name: str) -> list[float] | None:
    """Its means within 0…1, in the order of SPOKES; None where one was not measured."""
    row = next((g for g in summary["generators"] if g["generator"] == name), None)
    found = [] if row is None else [row["metrics"][f"legacy_{spoke}"]["mean"] for spoke in SPOKES]
    if not found or None in found:
        return None
    return [
        min(max(value / (MOST_QUALITY if spoke == QUALITY else 1), 0.0), 1.0) for spoke, value in zip(SPOKES, found, strict=True)
    ]
