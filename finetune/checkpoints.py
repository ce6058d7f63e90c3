"""Checkpoints of a training run: told from torn ones by a manifest of SHA-256s that is written after everything else.

A kill in the middle of a save leaves no manifest, a loss of power one that does not agree with the files; the checkpoint
before it is then the last whole one. It is given up only once the new one is on the disk and sealed.
"""

import json
import os
import shutil
from pathlib import Path

from data_prep.bounded import read_json
from data_prep.whole_files import file_sha256

MANIFEST = "manifest.json"


def checkpoint(out: Path, step: int) -> Path:
    return out / f"checkpoint-{step}"


def checkpoints(out: Path) -> list[Path]:
    """The checkpoints of a run, oldest first. A folder such as `checkpoint-old` is somebody's own."""
    found = ((path.name.removeprefix("checkpoint-"), path) for path in out.glob("checkpoint-*"))
    return [path for _, path in sorted((int(step), path) for step, path in found if step.isdecimal())]


def seal(folder: Path) -> None:
    """Brings the files of a checkpoint to the disk and writes the manifest that makes it whole."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MANIFEST]
    for path in files:
        _sync(path)
    staging = folder / f".{MANIFEST}"
    staging.write_text(json.dumps({str(path.relative_to(folder)): file_sha256(path) for path in files}, indent=1))
    _sync(staging)
    os.replace(staging, folder / MANIFEST)
    _sync(folder)


def is_whole(folder: Path) -> bool:
    """Whether the manifest is there and every file that it lists has its SHA-256."""
    try:
        listed = read_json(folder / MANIFEST)
        there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}  # nothing outside, no device
        return bool(listed) and listed.keys() <= there and all(file_sha256(folder / n) == digest for n, digest in listed.items())
    except (OSError, ValueError, AttributeError, TypeError):
        return False


def last_whole(out: Path) -> Path | None:
    """The newest whole checkpoint of a run."""
    return next((folder for folder in reversed(checkpoints(out)) if is_whole(folder)), None)


def load_weights(model, folder: Path) -> None:
    """Sets a PeftModel's trained weights to those of a checkpoint."""
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    set_peft_model_state_dict(model, load_file(folder / "adapter_model.safetensors"))


def keep_newest(out: Path, limit: int | None, best: str | None = None) -> None:
    """Removes sealed checkpoints but for the newest `limit` and the best; None or 0 keeps all. Torn ones do not count."""
    sealed = [folder for folder in checkpoints(out) if (folder / MANIFEST).is_file()]
    for folder in sealed[: -limit if limit else 0]:
        if best is None or folder.name != Path(best).name:
            shutil.rmtree(folder, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
