"""A tiny sprite transformer, trained in a second on the small real dataset."""

from pathlib import Path

import pytest
import torch
from small_models import tiny_recipe

from eval.baseline.train import train


@pytest.fixture(scope="session")
def trained(reef, tmp_path_factory) -> Path:
    """Output folder of a finished run that is told zone and category."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("runs") / "tiny"
    train(tiny_recipe(reef, out))
    return out
