"""The restricted head against the full one: losses, gradients, two processes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from trl.trainer.utils import add_fused_lm_head

from data_prep.grid_text import encode
from data_prep.palette import Palette, named
from finetune.base_models import load_tokenizer, resolve
from finetune.cell_tokens import CellTokens
from finetune.likelihood import Query, likelihoods
from finetune.trainer import IGNORED, PIXELS, GridCollator, RestrictedHead, tokenise

REEF = named("reef64")


@pytest.fixture(scope="module")
def tokens(tiny_qwen3):
    return CellTokens(load_tokenizer(resolve(str(tiny_qwen3))))


@pytest.fixture
def model(tiny_qwen3):
    return AutoModelForCausalLM.from_pretrained(tiny_qwen3, dtype=torch.float32)


def a_row(seed: int = 0) -> dict:
    grid = np.random.default_rng(seed).integers(0, 64, (8, 8)).astype(np.uint8)
    prompt = [{"role": "system", "content": "s"}, {"role": "user", "content": "a fish"}]
    completion = [{"role": "assistant", "content": encode(grid, REEF)}]
    return {"prompt": prompt, "completion": completion, "height": 8, "width": 8}


def test_restricted_loss_equals_the_full_loss_renormalised(model, tokens):
    allowed = tokens.allowed_ids([REEF])
    head = RestrictedHead(model, allowed)
    add_fused_lm_head(model)
    row = tokenise(a_row(), tokens)
    ids, labels = (torch.tensor([row[key]]) for key in ("input_ids", "labels"))
    logits = model(ids).logits[0, :-1]
    taught = labels[0, 1:] != IGNORED
    full = logits[taught][:, torch.as_tensor(allowed)].log_softmax(-1)
    place = {int(token): column for column, token in enumerate(allowed)}
    columns = torch.tensor([place[int(token)] for token in labels[0, 1:][taught]])
    expected = -full[torch.arange(len(columns)), columns].mean()
    with head.swapped_in():
        found = model(ids, labels=head.renumber(labels), fused_lm_head=True).loss  # the forward that the trainer calls
    assert torch.allclose(found, expected, atol=1e-5)
    assert model(ids).logits.shape[-1] == 151936  # the stock head is back


def test_the_head_comes_back_after_an_error_and_has_no_gradient(model, tokens):
    head, stock = RestrictedHead(model, tokens.allowed_ids([REEF])), model.get_output_embeddings()
    with pytest.raises(RuntimeError), head.swapped_in():
        raise RuntimeError
    assert model.get_output_embeddings() is stock and not any(p.requires_grad for p in head.linear.parameters())


def test_a_label_outside_the_head_is_refused(model, tokens):
    head = RestrictedHead(model, tokens.allowed_ids([REEF]))
    with pytest.raises(ValueError, match="outside the restricted head"):
        head.renumber(torch.tensor([[IGNORED, 100_000]]))


def test_an_untied_head_works_too(tiny_qwen3, tokens):
    model = AutoModelForCausalLM.from_pretrained(tiny_qwen3, dtype=torch.float32, tie_word_embeddings=False)
    torch.nn.init.normal_(model.lm_head.weight)
    head = RestrictedHead(model, tokens.allowed_ids([REEF]))
    assert (head.linear.weight == model.lm_head.weight[torch.as_tensor(tokens.allowed_ids([REEF]))]).all()
    assert not (head.linear.weight == model.get_input_embeddings().weight[torch.as_tensor(tokens.allowed_ids([REEF]))]).any()


def test_prompts_carry_no_loss(tokens):
    row = tokenise(a_row(), tokens)
    prompt = tokens.prompt_ids(a_row()["prompt"])
    assert row["labels"][: len(prompt)] == [IGNORED] * len(prompt)
    assert row["labels"][len(prompt) :] == row["input_ids"][len(prompt) :] and row["labels"][-1] == tokens.end_id


def test_likelihood_agrees_with_one_by_one_arithmetic(model, tokens):
    schedule = tokens.schedule(REEF, 8, 8)
    grids = np.random.default_rng(3).integers(0, 64, (3, 8, 8)).astype(np.uint8)
    prompts = [[1, 2, 3], [4, 5], [6, 7, 8, 9, 10]]  # of unequal length, so that padding matters
    found = list(likelihoods(model, [Query(p, schedule, g) for p, g in zip(prompts, grids, strict=True)]))
    for prompt, grid, one in zip(prompts, grids, found, strict=True):
        ids = schedule.fill(grid)
        logits = model(torch.tensor([[*prompt, *ids]])).logits[0, len(prompt) - 1 : -1].detach()
        symbols = logits[schedule.pixels][:, torch.as_tensor(schedule.symbol_ids)].log_softmax(-1)
        bits = -symbols[torch.arange(64), torch.as_tensor(grid.reshape(-1).astype(np.int64))].sum() / np.log(2)
        assert one.bits == pytest.approx(float(bits), rel=1e-4) and one.pixels == 64
        mass = logits.softmax(-1)[schedule.pixels][:, torch.as_tensor(schedule.symbol_ids)].sum(-1).mean()
        assert one.allowed_mass == pytest.approx(float(mass), rel=1e-4)
        assert one.end_probability == pytest.approx(float(logits[-1].softmax(-1)[tokens.end_id]), rel=1e-4)


def test_two_processes_that_accumulate_hold_the_same_gradient_as_one(tiny_qwen3, reef, tmp_path):
    """2 × batch 1 × 2 accumulated against 1 × batch 4, both heads, weighted: equal on both ranks and to one process."""
    for processes in (1, 2):
        torchrun("gradients_script.py", tiny_qwen3, reef, tmp_path, processes)
    alone, first, second = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("1-0", "2-0", "2-1"))
    assert first["world_size"] == second["world_size"] == 2 and alone["world_size"] == 1
    assert alone["loss"] == pytest.approx(alone["expected"], rel=1e-4)
    assert first["loss"] == pytest.approx(alone["loss"], rel=1e-4)
    for step in ("restricted", "full"):
        assert alone[step]["norm"] > 0
        assert first[step]["digest"] == second[step]["digest"]
        assert first[step]["norm"] == pytest.approx(alone[step]["norm"], rel=1e-3)


def test_sharded_over_two_processes_every_gradient_is_that_of_the_whole_model(tiny_qwen3, reef, tmp_path):
    """FSDP2's `fully_shard`, restricted and full head; and gathered again the model measures the same bits."""
    for processes in (1, 2):
        torchrun("sharded_script.py", tiny_qwen3, reef, tmp_path, processes)
    whole, sharded = (load_file(tmp_path / f"sharded-{processes}.safetensors") for processes in (1, 2))
    assert sharded.pop("world_size") == 2 and whole.pop("world_size") == 1
    assert whole.keys() == sharded.keys() and {"restricted", "full", "bits"} == {name.split(".")[0] for name in whole}
    for name, gradient in whole.items():
        assert gradient.abs().max() > 0 and torch.allclose(gradient, sharded[name], rtol=1e-3, atol=1e-6), name


def torchrun(script: str, model: Path, dataset: Path, out: Path, processes: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(processes), "--master_port", str(port)]
    parts = [str(Path(__file__).with_name(script)), str(model), str(dataset), str(out), str(processes)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(launch + parts, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("palette", [REEF, Palette("free", REEF.colours[:5])])
def test_pixels_are_found_from_the_end_of_a_completion_whatever_its_palette(tokens, palette):
    schedule = tokens.schedule(palette, 5, 7)
    assert tokens.pixel_positions(len(schedule.ids), 5, 7).tolist() == schedule.pixels.tolist()


def test_a_batch_pads_its_pixels_with_nothing(tokens):
    rows = [tokenise(a_row(), tokens), tokenise(a_row(1) | {"prompt": [{"role": "user", "content": "x"}]}, tokens)]
    batch = GridCollator(0)(rows)
    assert batch[PIXELS].shape == batch["labels"].shape and batch["labels"].shape[1] > len(rows[1]["input_ids"])
    assert batch[PIXELS].sum(1).tolist() == [64, 64]
