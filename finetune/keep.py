"""Which checkpoint becomes the adapter: the one that draws best by `guide`, or, where no critic knows such drawings, the one
with the fewest bits on held-out sprites. A dozen drawings a checkpoint are few: between near scores chance decides.
"""

from collections.abc import Sequence
from pathlib import Path

from data_prep.whole_files import read_rows
from finetune.adapter_folder import BITS, CHART, GUIDE, LOG, SAMPLES, SHEET
from finetune.chart import chart
from finetune.checkpoints import checkpoint, is_whole, load_weights
from finetune.config import LAST
from finetune.samples import SHEETS, best, from_first_process, sheet_name


def keep(trainer, policy: str) -> dict:
    """Gives the trainer's model the weights to keep, in every process; returns which step's and why, for metrics.json.

    policy: 'best' or 'last'.
    """
    out, last_step = Path(trainer.args.output_dir), trainer.state.global_step
    rows, chosen = from_first_process(_choice(out, policy) if trainer.is_world_process_zero() else None)
    step = last_step if chosen is None else chosen["step"]
    if step != last_step:
        load_weights(trainer.accelerator.unwrap_model(trainer.model), checkpoint(out, step))
    found = {"step": step, "why": reason(rows, chosen, policy), "drawn_at": [row["step"] for row in rows]}
    return found | _scores(rows, step) | {"last": {"step": last_step} | _scores(rows, last_step)}


def _choice(out: Path, policy: str) -> tuple[list[dict], dict | None]:
    """All rows of samples.jsonl, and the best of those whose checkpoint is there and whole."""
    rows = read_rows(out / SAMPLES)
    there = [] if policy == LAST else [row for row in rows if row["saved"] and checkpoint(out, row["step"]).is_dir()]
    while (chosen := best(there)) and not is_whole(checkpoint(out, chosen["step"])):
        there.remove(chosen)
    return rows, chosen


def reason(rows: Sequence[dict], chosen: dict | None, policy: str) -> str:
    if policy == LAST:
        return "the last ones, as the recipe asks (keep: last)"
    if chosen is None:
        return "the last ones; nothing was drawn to choose by"
    what = "the fewest bits on held-out sprites" if chosen.get(GUIDE) is None else "the highest guide score"
    return f"{what} of {sum(row['saved'] for row in rows)} checkpoint(s)"


def _scores(rows: Sequence[dict], step: int) -> dict:
    """Guide score and held-out bits at a step, as far as they were measured."""
    row = next((row for row in rows if row["step"] == step), {})
    return {key: row[key] for key in (GUIDE, BITS) if key in row}


def story(out: Path, kept: dict) -> dict[str, bytes]:
    """What lies in the adapter's folder of its training: logs, the drawings of the kept step, and the chart."""
    files = {name: (out / name).read_bytes() for name in (LOG, SAMPLES) if (out / name).is_file()}
    if kept["drawn_at"]:
        files[CHART] = chart(read_rows(out / LOG), read_rows(out / SAMPLES), kept["step"])
        files[SHEET] = (out / SHEETS / sheet_name(kept["step"])).read_bytes()
    return files
