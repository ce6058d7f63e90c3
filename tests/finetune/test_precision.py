"""What a machine computes with: by its instructions, told in a recipe that leaves it open, written into drawings and heeded."""

import pytest
import torch

from data_prep.errors import InputError
from finetune import precision
from finetune.config import parse
from finetune.setup import load_run

KINDS = {
    "AVX2": ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": False}, "float32"),
    "AVX-512 alone": ({"architecture": "x86_64", "avx512_f": True, "avx512_bf16": False}, "float32"),
    "Zen 4": ({"architecture": "x86_64", "avx512_bf16": True}, "bfloat16"),
    "Sapphire Rapids": ({"architecture": "x86_64", "amx_bf16": True}, "bfloat16"),
}


@pytest.fixture(params=[True, False], ids=["with bfloat16", "without"])
def quick(request, monkeypatch) -> str:
    """What a processor with or without the instructions is quick with."""
    told = {"architecture": "x86_64", "avx512_bf16": request.param}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told)
    return "bfloat16" if request.param else "float32"


@pytest.mark.parametrize("kind", KINDS)
def test_instructions_decide(kind, monkeypatch):
    told, wanted = KINDS[kind]
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told)
    assert precision.quick_dtype() == wanted
    assert bool(precision.slow_here("bfloat16")) == (wanted == "float32") and not precision.slow_here("float32")


def test_a_recipe_without_a_precision_takes_the_quick_one(quick, reef):
    flags = ["--model_name_or_path", "x", "--dataset", str(reef), "--use_cpu", "true"]
    config = parse(flags)
    assert config.model.dtype == quick and config.training.bf16 == (quick == "bfloat16")
    assert config.given["dtype"] == quick  # travels with the adapter, and another precision is another recipe
    assert parse([*flags, "--bf16", "false"]).given.get("dtype") is None


def test_random_weights_are_of_a_precision_that_is_known(tiny_qwen3, reef):
    flags = {"model_name_or_path": tiny_qwen3, "dataset": reef, "random_init": "true", "dtype": "auto", "bf16": "false"}
    run = load_run(parse([str(part) for key, value in flags.items() for part in (f"--{key}", value)]))
    with pytest.raises(InputError, match="dtype 'auto': unknown"):
        run.model()


def test_own_sprites_are_trained_in_the_quick_one(quick, tmp_path):
    from finetune.choosing import choose, length_of

    choice = choose("cpu", 64e9, 16)
    keys = choice.keys(tmp_path, tmp_path, length_of(10, 4))
    assert (keys["dtype"], keys["bf16"]) == (quick, quick == "bfloat16")
