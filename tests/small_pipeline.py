"""The whole way at its smallest, each step a command of its own: prepare, train a sprite transformer, draw, score, report, rate.

About five seconds a step on an idle core. `Pipeline(folder).run("prepare")` and so on; the folder holds all that they write.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
STEPS = ("prepare", "train", "draw", "score", "report")
SHAPE = {"width": 32, "layers": 1, "heads": 4, "kv_heads": 1, "head_width": 8, "hidden": 64, "pixel_width": 8}
QUIET = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


@dataclass(frozen=True)
class Pipeline:
    """folder: where everything is written; python: the interpreter; cwd: where the commands run; sprites, steps: how much."""

    folder: Path
    python: str = sys.executable
    cwd: Path = ROOT
    sprites: int = 120
    steps: int = 6
    prompts: int = 24

    def __post_init__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        prepare = {"name": "small", "sources": [{"kind": "procedural", "seed": 1, "count": self.sprites}], "sizes": [16]}
        train = {
            "dataset": str(self.dataset), "output_dir": str(self.training), "steps": self.steps, "shape": SHAPE, "batch_size": 4,
            "bf16": False, "log_every": 1, "evaluate_every": self.steps, "save_every": 1, "eval_sprites": 6, "sheet_sprites": 2,
            "warmup_steps": 2, "seed": 3,
        }  # fmt: skip
        draw = {
            "name": "run", "dataset": str(self.dataset), "generators": {"small": {"transformer": str(self.model)}},
            "roles": {"rival": "small"}, "prompts": self.prompts, "unconstrained": 0, "likelihoods": 8, "dtype": "float32",
            "batch_size": 4,
        }  # fmt: skip
        for name, recipe in (("prepare", prepare), ("train", train), ("draw", draw)):
            path = self.folder / f"{name}.yaml"
            if not path.exists():
                path.write_text(json.dumps(recipe))  # JSON is YAML

    @property
    def dataset(self) -> Path:
        return self.folder / "dataset"

    @property
    def training(self) -> Path:
        return self.folder / "training"

    @property
    def model(self) -> Path:
        return self.training / "model"

    @property
    def drawn(self) -> Path:
        return self.folder / "runs" / "run"

    def command(self, step: str) -> list[str]:
        cli = [self.python, "-m", "eval.cli"]
        return {
            "prepare": [*cli, "prepare", "--config", str(self.folder / "prepare.yaml"), "--out", str(self.dataset)],
            "train": [self.python, "-m", "eval.baseline.train", "--config", str(self.folder / "train.yaml")],
            "draw": [*cli, "draw", "--recipe", str(self.folder / "draw.yaml")],
            "score": [*cli, "score", str(self.drawn)],
            "report": [*cli, "report", str(self.drawn)],
        }[step]

    def start(self, step: str, environment: dict | None = None, **options) -> subprocess.Popen:
        """The running command, as the first of its own process group; its words are one text."""
        told = {**os.environ, **QUIET, "PYTHONPATH": str(ROOT), **(environment or {})}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "start_new_session": True}
        where = self.folder if step == "draw" else self.cwd  # a run's folder is runs/NAME where one stands
        return subprocess.Popen(self.command(step), cwd=where, env=told, **pipes, **options)

    def run(self, step: str, environment: dict | None = None, **options) -> str:
        """What a step said; it must have ended well."""
        process = self.start(step, environment, **options)
        said, _ = process.communicate(timeout=600)
        assert process.returncode == 0, f"{step}: {said[-3000:]}"
        return said
