"""A run that is killed and goes on against one that is left alone: loss and gradient norm of both as a chart.

    python -m finetune.resume_trial docs/resume.png --kill-at 17 --config finetune/recipes/demo_cpu.yaml [--key value …]

Trains the recipe twice in a temporary folder, every step logged. The second run is killed (SIGKILL) once the log has the step
and started again, so that it goes on at its last whole checkpoint. Writes the PNG and says what differs.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.errors import InputError, exit_code
from data_prep.whole_files import file_sha256, read_rows, write_whole
from finetune.adapter_folder import LOG
from finetune.chart import DPI, HELD_OUT, INK, SIZE, TASTE, TRAINING, png
from finetune.checkpoints import last_whole

CURVES = {"loss": "loss", "grad_norm": "gradient norm"}


@dataclass(frozen=True)
class Trial:
    """Rows of training_log.jsonl: of the unbroken run, of the other until it was killed, and of that from its checkpoint on."""

    whole: Sequence[dict]
    until_killed: Sequence[dict]
    resumed: Sequence[dict]
    same_bytes: bool

    def apart(self, key: str) -> float:
        """The largest difference between the unbroken run and either part of the other, at any step."""
        exact = {row["step"]: row[key] for row in self.whole}
        return max(abs(row[key] - exact[row["step"]]) for row in (*self.until_killed, *self.resumed))

    def told(self) -> str:
        apart = ", ".join(f"of {name} {self.apart(key):g}" for key, name in CURVES.items())
        return (
            f"killed at step {self.until_killed[-1]['step']}, went on with step {self.resumed[0]['step']}; largest difference "
            f"{apart}; {'the same' if self.same_bytes else 'other'} adapter bytes"
        )


def trial(flags: Sequence[str], kill_at: int, place: Path) -> Trial:
    """flags: of `finetune.train`, without output_dir; place: an empty folder. Raises InputError when a run fails."""
    whole, broken = place / "whole", place / "broken"
    _finish(_start(flags, whole))
    process = _start(flags, broken)
    while not any(row["step"] >= kill_at for row in read_rows(broken / LOG)):
        if process.poll() is not None:
            _finish(process)
            raise InputError(f"--kill-at {kill_at}: the run ended before it; give a step within max_steps")
        time.sleep(0.02)
    process.kill()
    process.communicate()
    until_killed, kept = read_rows(broken / LOG), last_whole(broken)
    _finish(_start(flags, broken))
    begun = int(kept.name.rpartition("-")[2]) if kept else 0
    digests = {file_sha256(out / "adapter" / "adapter_model.safetensors") for out in (whole, broken)}
    resumed = [row for row in read_rows(broken / LOG) if row["step"] > begun]
    if not resumed:
        raise InputError(f"--kill-at {kill_at}: no step was left to take after it; give an earlier one")
    return Trial(read_rows(whole / LOG), until_killed, resumed, len(digests) == 1)


def _start(flags: Sequence[str], out: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "finetune.train", *flags, "--logging_steps", "1", "--output_dir", str(out)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _finish(process: subprocess.Popen) -> None:
    _, said = process.communicate()
    if process.returncode:
        raise InputError((said.strip().splitlines() or ["training failed without a word"])[-1])


def chart(found: Trial) -> bytes:
    """PNG: loss above, gradient norm below; the unbroken run is a broad line, the other lies on it."""
    from matplotlib.figure import Figure

    figure = Figure(SIZE, DPI)
    panels = figure.subplots(2, 1, sharex=True)
    parts = (
        (found.whole, {"color": TRAINING, "linewidth": 6, "alpha": 0.6, "label": "left alone"}),
        (found.until_killed, {"color": TASTE, "marker": "x", "markersize": 5, "linewidth": 1, "label": "until it was killed"}),
        (found.resumed, {"color": HELD_OUT, "marker": ".", "linewidth": 1, "label": "from its checkpoint on"}),
    )
    for axes, (key, name) in zip(panels, CURVES.items(), strict=True):
        for rows, style in parts:
            axes.plot([row["step"] for row in rows], [row[key] for row in rows], **style)
        for step in (found.resumed[0]["step"] - 1, found.until_killed[-1]["step"]):
            axes.axvline(step, color=INK, linewidth=1, linestyle=":")
        axes.set_ylabel(name)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False, fontsize=8)
    panels[0].set_title(found.told(), fontsize=7.5, loc="left", color=INK)
    panels[1].set_xlabel("step; dotted: the checkpoint, and the kill")
    return png(figure)


def main(arguments: list[str]) -> int:
    about = "Kills a run, lets it go on, and draws it against one left alone."
    parser = argparse.ArgumentParser(prog="python -m finetune.resume_trial", description=about)
    parser.add_argument("png", type=Path, help="chart to write")
    parser.add_argument("--kill-at", type=int, required=True, help="step after which the second run is killed")
    options, flags = parser.parse_known_args(arguments)
    return exit_code("resume_trial", lambda: _write(options, flags))


def _write(options, flags: Sequence[str]) -> str:
    with tempfile.TemporaryDirectory() as place:
        found = trial(flags, options.kill_at, Path(place))
    write_whole(options.png, chart(found))
    return f"{options.png}: {found.told()}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
