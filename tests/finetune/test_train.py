"""The real path, end to end, on a tiny random Qwen3 with the exact tokenizer: train, resume, load elsewhere, draw."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from datasets import Dataset, Image
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LogitsProcessorList

from data_prep import grid_text, pairs
from data_prep.captions import messages
from data_prep.errors import InputError
from data_prep.prepare import PrepareRecipe, prepare
from data_prep.sprite import Sprite
from eval.decoding import Sampling, draw_grids
from eval.generators import UNCONSTRAINED, LanguageModel, Request
from eval.grammar import GrammarProcessor, lark
from finetune import train
from finetune.adapter_folder import AdapterFacts, load_palette
from finetune.config import parse
from finetune.memory_advice import setting_of
from finetune.setup import load_run

ROOT = Path(__file__).parents[2]
ACCELERATE = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1", "--num_machines", "1"]
ACCELERATE += ["--mixed_precision", "no", "--dynamo_backend", "no", "finetune/train.py"]
FLAGS = {
    "lora_r": 8, "lora_target_modules": "all-linear", "lora_dropout": 0, "dtype": "float32", "bf16": "false", "use_cpu": "true",
    "per_device_train_batch_size": 2, "max_steps": 24, "save_steps": 8, "full_head_every": 6, "learning_rate": 0.02,
    "eval_sprites": 4, "draw_prompts": 2, "keep": "last",
}  # fmt: skip


def words(model: Path, dataset: Path, out: Path, **changes) -> list[str]:
    flags = {"model_name_or_path": model, "dataset": dataset, "output_dir": out, **FLAGS, **changes}
    return [str(part) for key, value in flags.items() for part in (f"--{key}", value)]


def launch(*about: Path, **changes) -> subprocess.CompletedProcess:
    return subprocess.run(
        ACCELERATE + words(*about, **changes), cwd=ROOT, capture_output=True, text=True, timeout=900, env=dict(os.environ)
    )


@pytest.fixture(scope="module")
def trained(tiny_qwen3, reef, tmp_path_factory) -> Path:
    """Output folder of a finished run."""
    out = tmp_path_factory.mktemp("runs") / "tiny"
    done = launch(tiny_qwen3, reef, out, base_hub_id="Qwen/Qwen3-tiny")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "step 20/24" in done.stdout and "sprites/s" in done.stdout
    return out


@pytest.fixture(scope="module")
def adapter(trained) -> Path:
    return trained / "adapter"


def test_bits_fall_and_the_mass_on_what_a_drawing_may_say_rises(adapter):
    metrics = json.loads((adapter / "metrics.json").read_text())
    before, after = metrics["before"], metrics["after"]
    assert after["bits_per_pixel"] < before["bits_per_pixel"] - 1
    assert after["allowed_mass"] > 2 * before["allowed_mass"]


def test_the_adapter_is_an_ordinary_lora_that_names_its_base(adapter, tiny_qwen3):
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "Qwen/Qwen3-tiny" and config["peft_type"] == "LORA"
    weights = load_file(adapter / "adapter_model.safetensors")
    assert all(".lora_" in key and value.dtype == torch.bfloat16 for key, value in weights.items())
    facts = AdapterFacts.load(adapter)
    assert facts.sizes == ((16, 16),) and facts.sprites_seen == 48 and facts.licences == ("CC0-1.0",)
    texts = {path.name: path.read_text() for path in adapter.iterdir() if path.suffix not in (".safetensors", ".png")}
    assert not [name for name, text in texts.items() if str(tiny_qwen3.parents[1]) in text or "pytest" in text]
    files = {"README.md", "recipe.yaml", "palette.json", "chat_template.jinja", "training_log.jsonl", "metrics.json"}
    assert files <= {path.name for path in adapter.iterdir()}
    assert not (adapter.parent / "README.md").exists()  # TRL's card, which says nothing


def test_transformers_and_peft_load_it_alike(adapter, tiny_qwen3):
    ids = torch.arange(1, 60)[None]
    plain = AutoModelForCausalLM.from_pretrained(tiny_qwen3, dtype=torch.float32)
    base = plain(ids).logits
    plain.load_adapter(str(adapter))
    wrapped = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_qwen3, dtype=torch.float32), str(adapter))
    assert torch.allclose(plain(ids).logits, wrapped(ids).logits, atol=1e-4)
    assert not torch.allclose(plain(ids).logits, base, atol=1e-2)


def test_plain_generate_with_the_published_grammar_yields_a_grid(adapter, tiny_qwen3):
    from finetune.base_models import load_tokenizer, resolve

    tokenizer, palette = load_tokenizer(resolve(str(tiny_qwen3))), load_palette(adapter)
    tokenizer.chat_template = (adapter / "chat_template.jinja").read_text()
    model = AutoModelForCausalLM.from_pretrained(tiny_qwen3, dtype=torch.float32)
    model.load_adapter(str(adapter))
    prompt = messages("a red fish", 16, 16, palette)
    inputs = tokenizer.apply_chat_template([prompt, prompt], add_generation_prompt=True, return_dict=True, return_tensors="pt")
    grammar = LogitsProcessorList([GrammarProcessor(tokenizer, lark(palette, 16, 16))])
    torch.manual_seed(0)
    out = model.generate(**inputs, logits_processor=grammar, do_sample=True, max_new_tokens=400)
    for row in out:
        text = tokenizer.decode(row[inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        assert isinstance(grid_text.read(text, size=(16, 16)), Sprite), text[:200]


def test_our_generator_draws_valid_grids_that_hang_on_seed_and_index(adapter, tiny_qwen3):
    model = LanguageModel.load(adapter, str(tiny_qwen3), "float32")
    one, two = model.draw("a red fish", n=2, seed=7)
    assert one.grid.shape == (16, 16) and one.palette.hash == load_palette(adapter).hash
    assert not (one.grid == two.grid).all()
    assert (model.draw("a red fish", n=1, seed=7)[0].grid == one.grid).all()  # whatever the batch
    assert not (model.draw("a red fish", n=1, seed=8)[0].grid == one.grid).all()
    with pytest.raises(ValueError, match="not trained on 32x32"):
        model.draw("a red fish", size=32)


def test_drawing_agrees_with_uncached_masked_full_logits(adapter, tiny_qwen3):
    """Greedy drawings of prompts of unequal length, in one batch, against one whole forward pass a sprite: at each pixel
    the stock head, masked to the palette's symbols, prefers the drawn one (within 1e-4, for near-ties)."""
    model = LanguageModel.load(adapter, str(tiny_qwen3), "float32")
    requests = [Request(caption, 16, 16, model.palette) for caption in ("fish", "a large red fish facing left, with stripes", "")]
    schedule = model.tokens.schedule(model.palette, 16, 16)
    prompts = model.prompts(requests)
    assert len(set(map(len, prompts))) == 3
    grids = draw_grids(model.model, prompts, schedule, [(0, 0)] * 3, Sampling(temperature=0))
    for prompt, grid in zip(prompts, grids, strict=True):
        logits = model.model(torch.tensor([[*prompt, *schedule.fill(grid)]])).logits[0, len(prompt) - 1 : -1]
        symbols = logits[schedule.pixels][:, torch.as_tensor(schedule.symbol_ids)]
        drawn = symbols.gather(1, torch.as_tensor(grid.reshape(-1, 1).astype("int64")))
        assert (symbols.amax(-1, keepdim=True) - drawn).max() < 1e-4


def test_unconstrained_answers_hang_on_seed_and_index_not_on_the_batch(adapter, tiny_qwen3):
    model = LanguageModel.load(adapter, str(tiny_qwen3), "float32")
    requests = [Request(caption, 16, 16, model.palette, 3, index) for index, caption in enumerate(("fish", "a red coral"))]
    together = [one.text for one in model.answer(requests, Sampling(), UNCONSTRAINED)]
    alone = [next(model.answer([request], Sampling(), UNCONSTRAINED)).text for request in requests]
    assert together == alone and together[0] != together[1]


def test_a_finished_run_is_reused_and_another_recipe_refused(trained, tiny_qwen3, reef):
    again = launch(tiny_qwen3, reef, trained, base_hub_id="Qwen/Qwen3-tiny")
    assert again.returncode == 0 and "reused" in again.stdout
    other = launch(tiny_qwen3, reef, trained, base_hub_id="Qwen/Qwen3-tiny", lora_r=4)
    assert other.returncode != 0 and "another recipe" in other.stderr  # accelerate's launcher turns our 2 into its 1


def test_what_another_run_finished_while_this_one_loaded_is_not_trained_again(trained, tiny_qwen3, reef, tmp_path, monkeypatch):
    def load(config):
        shutil.copytree(trained, tmp_path / "out")
        return load_run(config)

    monkeypatch.setattr("finetune.setup.load_run", load)
    monkeypatch.setattr("finetune.train.fit", None)
    assert train.main(words(tiny_qwen3, reef, tmp_path / "out", base_hub_id="Qwen/Qwen3-tiny")) == 0


def test_a_damaged_row_is_told_before_anything_is_made(tiny_qwen3, reef, tmp_path, capsys):
    dataset = shutil.copytree(reef, tmp_path / "dataset")
    file = pairs.shards(dataset, "validation")[0]
    pairs.write_parquet(file, [row | {"height": 10**6} for row in pairs.read_rows(reef, "validation")])
    assert train.main(words(tiny_qwen3, dataset, tmp_path / "out")) == 2
    told = capsys.readouterr().err
    assert f"{file}: row 1" in told and told.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_column_of_a_datasets_own_leads_to_no_file(tiny_qwen3, reef, tmp_path):
    dataset = shutil.copytree(reef, tmp_path / "dataset")
    for split in ("train", "validation"):
        file = pairs.shards(dataset, split)[0]
        rows = pq.read_table(file).to_pylist()
        planted = Dataset.from_list([row | {"planted": {"bytes": None, "path": "/etc/passwd"}} for row in rows])
        planted.cast_column("planted", Image()).to_parquet(file)
    run = load_run(parse(words(tiny_qwen3, dataset, tmp_path / "out")))
    assert run.data["train"][0].keys() == set(pairs.COLUMNS)


def test_a_stopped_run_goes_on_to_the_same_adapter(trained, tiny_qwen3, reef, tmp_path):
    """The run's folder as it was after step 16 goes on to the very bytes of the run that was not stopped."""
    stopped = tmp_path / "tiny"
    stopped.mkdir()
    shutil.copytree(trained / "checkpoint-16", stopped / "checkpoint-16")
    shutil.copytree(trained / "checkpoint-16", stopped / "checkpoint-20")  # one that a kill tore
    (stopped / "checkpoint-20" / "trainer_state.json").unlink()
    for name in ("recipe_hash", "training_log.jsonl"):
        shutil.copy(trained / name, stopped)
    done = launch(tiny_qwen3, reef, stopped, base_hub_id="Qwen/Qwen3-tiny")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "step 20/24" in done.stdout and "step 15/24" not in done.stdout
    files = [folder / "adapter" / "adapter_model.safetensors" for folder in (trained, stopped)]
    assert files[0].read_bytes() == files[1].read_bytes()
    logged = [json.loads(line)["step"] for line in (stopped / "adapter" / "training_log.jsonl").read_text().splitlines()]
    assert logged == [5, 10, 15, 20]


def test_checkpoints_of_another_recipe_are_not_gone_on_with(trained, tiny_qwen3, reef, tmp_path):
    other = tmp_path / "tiny"
    other.mkdir()
    shutil.copytree(trained / "checkpoint-16", other / "checkpoint-16")
    shutil.copy(trained / "recipe_hash", other)
    done = launch(tiny_qwen3, reef, other, base_hub_id="Qwen/Qwen3-tiny", learning_rate=0.01)
    assert done.returncode != 0 and "checkpoints of another recipe" in done.stderr and not (other / "adapter").exists()


def test_an_adapter_of_another_palette_can_learn_palettes_that_are_spelt_out(adapter, tiny_qwen3, reef, tmp_path):
    sources = ({"kind": "procedural", "seed": 1, "count": 60},)
    gpl = tmp_path / "two.hex"
    gpl.write_text("102030\naabbcc\n")
    told = {}
    for task in ("bench", "draw"):
        data = prepare(PrepareRecipe("other", sources, (16,), palette=str(gpl), tasks={task: 1}), tmp_path / task)
        keys = {"model_name_or_path": tiny_qwen3, "dataset": data, "output_dir": tmp_path / "run", "start_from": adapter}
        keys |= {"use_cpu": True, "bf16": False}  # where the CPU has bfloat16, transformers would ask for a GPU
        try:
            load_run(parse([str(part) for key, value in keys.items() for part in (f"--{key}", value)]))
        except InputError as error:
            told[task] = str(error)
    assert list(told) == ["draw"] and "draws in palette 'reef64'" in told["draw"]


def test_training_goes_on_from_another_adapter(adapter, tiny_qwen3, reef, tmp_path):
    shape = {key: value for key, value in FLAGS.items() if key.startswith("lora")}
    again = {"model_name_or_path": tiny_qwen3, "dataset": reef, "output_dir": tmp_path / "on", **FLAGS, "start_from": adapter}
    flags = {key: value for key, value in again.items() if key not in shape} | {"max_steps": 4, "save_steps": 4}
    parts = [str(part) for key, value in flags.items() for part in (f"--{key}", value)]
    done = subprocess.run(ACCELERATE + parts, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (json.loads((folder / "metrics.json").read_text()) for folder in (adapter, tmp_path / "on" / "adapter"))
    assert second["before"]["bits_per_pixel"] == pytest.approx(first["after"]["bits_per_pixel"], abs=1e-3)
    assert AdapterFacts.load(tmp_path / "on" / "adapter").sprites_seen == 48 + 8
    assert setting_of(load_run(parse([*parts, "--output_dir", str(tmp_path / "other")]))).rank == FLAGS["lora_r"]
    refused = launch(tiny_qwen3, reef, tmp_path / "shaped", start_from=adapter)
    assert refused.returncode and "lora_r cannot be set beside start_from" in refused.stderr
