"""Drawing while training: no trace of it in the weights, the best checkpoint kept, nothing told twice by a resumed run."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from data_prep import grid_text
from data_prep.palette import named
from data_prep.sprite import Sprite
from data_prep.whole_files import read_rows
from finetune import train as entry
from finetune.adapter_folder import CHART, LOG, SAMPLES, SHEET, AdapterFacts
from finetune.base_models import load_tokenizer, resolve
from finetune.cell_tokens import CellTokens
from finetune.chart import main as chart_main
from finetune.chart import told
from finetune.keep import reason
from finetune.samples import SHEETS, Taste, best, unchanged_randomness
from finetune.trainer import IGNORED, PIXELS, GridCollator, RestrictedHead, tokenise

ROOT = Path(__file__).parents[2]
FLAGS = {
    "lora_r": 4, "lora_target_modules": "all-linear", "lora_dropout": 0.1, "dtype": "float32", "bf16": "false", "use_cpu": "true",
    "per_device_train_batch_size": 2, "max_steps": 6, "save_steps": 2, "full_head_every": 3, "learning_rate": 0.02,
    "eval_sprites": 2, "draw_prompts": 3, "logging_steps": 1, "save_total_limit": 1, "base_hub_id": "Qwen/Qwen3-tiny",
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tiny_qwen3, reef):
    """A function that trains in this process: output folder and changed flags → the adapter's folder."""

    def work(out: Path, **changes) -> Path:
        flags = {"model_name_or_path": tiny_qwen3, "dataset": reef, "output_dir": out, **FLAGS, **changes}
        assert entry.main([str(part) for key, value in flags.items() for part in (f"--{key}", value)]) == 0
        return out / "adapter"

    return work


@pytest.fixture(scope="module")
def last(run, tmp_path_factory) -> Path:
    """An adapter of the last weights, of a run that drew and wrote to TensorBoard."""
    return run(tmp_path_factory.mktemp("runs") / "tiny", keep="last", report_to="tensorboard")


def scripted(scores: list[float | None]):
    """A stand-in for what `train` passes in: blank drawings, and one score a time."""
    left = iter(scores)
    blank = Sprite(np.zeros((8, 8), int), named("reef64"), "a fish")
    return lambda run: Taste(lambda model: [blank], lambda drawn: {"guide": next(left), "empty": 1.0, "noise": 0.0, "drawn": 1})


def test_each_checkpoint_has_a_sheet_and_a_row(last):
    rows, out = read_rows(last / SAMPLES), last.parent
    assert [row["step"] for row in rows] == [2, 4, 6] and all(row["saved"] and row["drawn"] == 3 for row in rows)
    assert {path.name for path in (out / SHEETS).iterdir()} == {f"step-00000{step}.png" for step in (2, 4, 6)}
    assert all(0 <= row[key] <= 1 for row in rows for key in ("guide", "empty", "noise", "allowed_mass"))
    assert rows[-1]["sprites"] == 12 and rows[-1]["held_out"] == 2 and 0 < rows[-1]["bits_per_pixel"] < 12


def test_tensorboard_has_pictures_and_numbers(last):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(last.parent / "runs" / SHEETS)).Reload()
    assert [event.step for event in board.Images("samples/sheet")] == [2, 4, 6]
    rows = read_rows(last / SAMPLES)
    assert [event.value for event in board.Scalars("samples/guide")] == pytest.approx([row["guide"] for row in rows])
    assert [event.value for event in board.Scalars("samples/bits_per_pixel")] == pytest.approx(
        [r["bits_per_pixel"] for r in rows]
    )


def test_the_card_shows_chart_and_drawings_and_the_chart_can_be_drawn_again(last, tmp_path):
    card = (last / "README.md").read_text()
    assert f"]({CHART})" in card and f"]({SHEET})" in card and "the weights of step 6 of 6" in card
    assert (last / SHEET).read_bytes() == (last.parent / SHEETS / "step-000006.png").read_bytes()
    again = shutil.copytree(last, tmp_path / "adapter")
    (again / CHART).unlink()
    assert chart_main([str(again)]) == 0 and (again / CHART).read_bytes() == (last / CHART).read_bytes()
    (again / SAMPLES).unlink()
    assert chart_main([str(again)]) == 2


def test_the_step_line_tells_bits_per_pixel(last):
    rows = read_rows(last / LOG)
    assert [row["bits_per_pixel"] is None for row in rows] == [False, False, True] * 2  # every third step has the full head
    assert all(row["bits_per_pixel"] > 1 for row in rows if row["bits_per_pixel"] is not None)


def test_training_with_and_without_drawing_gives_the_same_bytes(last, run, tmp_path):
    silent = run(tmp_path / "tiny", draw_prompts=0)
    assert (silent / "adapter_model.safetensors").read_bytes() == (last / "adapter_model.safetensors").read_bytes()
    assert not (silent / CHART).exists() and CHART not in (silent / "README.md").read_text()
    assert json.loads((silent / "metrics.json").read_text())["kept"]["why"] == "the last ones; nothing was drawn to choose by"


def test_the_checkpoint_that_draws_best_outlives_the_limit_and_becomes_the_adapter(run, tmp_path, monkeypatch):
    monkeypatch.setattr(entry, "_taste", scripted([0.5, 0.2, 0.3]))
    adapter = run(tmp_path / "tiny")
    there = {path.name for path in adapter.parent.glob("checkpoint-*")}
    assert "checkpoint-2" in there and "checkpoint-4" not in there  # the limit is one, beside the best
    trained, kept = (load_file(folder / "adapter_model.safetensors") for folder in (adapter.parent / "checkpoint-2", adapter))
    assert all(torch.equal(value.to(torch.bfloat16), kept[name]) for name, value in trained.items())
    metrics = json.loads((adapter / "metrics.json").read_text())
    told = metrics["kept"]
    assert (told["step"], told["guide"], told["last"]["step"], told["last"]["guide"]) == (2, 0.5, 6, 0.3)
    assert told["why"] == "the highest guide score of 3 checkpoint(s)"
    assert metrics["after"]["bits_per_pixel"] == pytest.approx(told["bits_per_pixel"], abs=0.02)  # but for rounding to 16 bits
    assert AdapterFacts.load(adapter).sprites_seen == 2 * 2


def test_a_resumed_run_forgets_what_it_redoes_and_ends_alike(run, tmp_path, monkeypatch):
    """With augmentation, whose dice hang on the epoch, and a drawing between two checkpoints, which cannot be kept."""
    flags = {"augment_flip": 0.5, "augment_hue": 0.5, "draw_every": 1, "save_total_limit": 9}
    monkeypatch.setattr(entry, "_taste", scripted([0.1, 0.2, 0.9, 0.4, 0.5, 0.3]))
    whole = run(tmp_path / "whole" / "tiny", **flags)
    out = tmp_path / "tiny"
    shutil.copytree(whole.parent, out)
    for name in ("adapter", "checkpoint-4", "checkpoint-6"):
        shutil.rmtree(out / name)
    with open(out / SAMPLES, "a") as file:
        file.write('{"step": 6, "torn')
    monkeypatch.setattr(entry, "_taste", scripted([0.9, 0.4, 0.5, 0.3]))
    again = run(out, **flags)
    assert (again / "adapter_model.safetensors").read_bytes() == (whole / "adapter_model.safetensors").read_bytes()
    assert json.loads((again / "metrics.json").read_text())["kept"]["step"] == 4
    timeless = [[{k: v for k, v in row.items() if k != "seconds"} for row in read_rows(x / SAMPLES)] for x in (whole, again)]
    assert timeless[0] == timeless[1] and [row["saved"] for row in timeless[0]] == [False, True] * 3


@pytest.mark.slow
def test_two_processes_draw_once_wait_for_each_other_and_keep_the_same(tiny_qwen3, reef, tmp_path):
    flags = {"model_name_or_path": tiny_qwen3, "dataset": reef, "output_dir": tmp_path / "tiny", **FLAGS, "processes": 2}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "finetune/train.py"]
    command += [str(part) for key, value in flags.items() for part in (f"--{key}", value)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = read_rows(tmp_path / "tiny" / "adapter" / SAMPLES)
    assert [row["step"] for row in rows] == [2, 4, 6] and rows[-1]["sprites"] == 24
    assert done.stdout.count("drawn at step") == 3
    kept = json.loads((tmp_path / "tiny" / "adapter" / "metrics.json").read_text())["kept"]
    assert kept["step"] == best(rows)["step"] and kept["guide"] == max(row["guide"] for row in rows)


@pytest.mark.parametrize(
    "rows, step",
    [
        ([(2, 0.5, 3.0, True), (4, 0.6, 4.0, True)], 4),  # taste before loss
        ([(2, 0.5, 3.0, True), (4, 0.5, 4.0, True)], 2),  # a tie: fewer bits
        ([(2, None, 3.0, True), (4, None, 2.0, True)], 4),  # no critic: fewer bits
        ([(2, 0.5, 3.0, True), (3, 0.9, 1.0, False)], 2),  # what was not saved cannot be kept
        ([(3, 0.9, 1.0, False)], None),
        ([], None),
    ],
)
def test_the_best_checkpoint(rows, step):
    rows = [dict(zip(("step", "guide", "bits_per_pixel", "saved"), row, strict=True)) for row in rows]
    chosen = best(rows)
    assert (chosen and chosen["step"]) == step
    if chosen:
        assert ("bits" in reason(rows, chosen, "best")) == (chosen["guide"] is None)


def test_the_chart_tells_a_correlation_only_of_enough_steps():
    rows = [{"step": n, "guide": n / 10, "bits_per_pixel": 3 - n / 10, "drawn": 12} for n in range(6)]
    assert "+1.00 (6 steps, 12 drawings each)" in told(rows)
    assert "correlation" not in told(rows[:4])
    assert "No critic" in told([row | {"guide": None} for row in rows])


def test_nothing_random_moves_while_it_draws():
    import random

    def state():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    before = state()
    with unchanged_randomness():
        random.random(), np.random.rand(), torch.rand(1)
    assert state() == before


def test_bits_are_of_the_pixels_alone(tiny_qwen3, reef):
    """The column marks the grid's very tokens, and the head's −log p there is that of a softmax over the allowed rows."""
    from datasets import load_dataset
    from transformers import AutoModelForCausalLM

    tokens = CellTokens(load_tokenizer(resolve(str(tiny_qwen3))))
    rows = load_dataset("parquet", data_files={"train": str(reef / "data" / "train-*.parquet")})["train"]
    examples = [tokenise(rows[number], tokens) for number in range(2)]
    for number, example in enumerate(examples):
        grid = grid_text.read(rows[number]["completion"][0]["content"]).grid
        marked = np.array(example["input_ids"])[np.array(example[PIXELS])]
        assert (marked == tokens.symbol_ids[grid.reshape(-1)]).all()
    model = AutoModelForCausalLM.from_pretrained(tiny_qwen3, dtype=torch.float32).eval()
    batch, allowed = GridCollator(0)(examples), tokens.allowed_ids([named("reef64")])
    nats = RestrictedHead(model, allowed).label_nats(model, batch).detach()
    rest = {key: value for key, value in batch.items() if key not in (PIXELS, "labels")}
    logits = model(**rest).logits[:, :-1, torch.as_tensor(allowed)]
    labels = batch["labels"][:, 1:]
    places = torch.as_tensor(np.searchsorted(allowed, labels.clamp(min=int(allowed[0]))))
    expected = -logits.log_softmax(-1).gather(-1, places[..., None])[..., 0]
    where = batch[PIXELS][:, 1:]
    assert (labels[where] != IGNORED).all() and torch.allclose(nats[where], expected[where], atol=1e-4)
