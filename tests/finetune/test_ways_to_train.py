"""Ways to train and base models: each trains, is saved, loaded and drawn from, or is refused with the reason."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from data_prep.errors import InputError
from data_prep.palette import Palette, named
from data_prep.prepare import PrepareRecipe, prepare
from eval.generators import LanguageModel
from finetune.checkpoints import checkpoints, is_whole, last_whole
from finetune.config import GridSFTConfig, parse
from finetune.setup import load_run
from finetune.train import main
from finetune.trainer import refuse_transformed_logits

FLAGS = {
    "lora_r": 64, "lora_target_modules": "all-linear", "lora_dropout": 0, "dtype": "float32", "bf16": "false",
    "use_cpu": "true", "max_steps": 2, "save_steps": 2, "full_head_every": 2, "learning_rate": 0.01, "warmup_steps": 0,
    "lr_scheduler_type": "constant", "per_device_train_batch_size": 2, "eval_sprites": 1, "draw_prompts": 0, "keep": "last",
}  # fmt: skip
WAYS = {
    "rslora": {"use_rslora": "true"},
    "dora": {"use_dora": "true"},
    "qlora": {"load_in_4bit": "true", "bnb_4bit_quant_type": "nf4", "use_bnb_nested_quant": "true", "optim": "adamw_8bit"},
    "bf16": {"dtype": "bfloat16", "bf16": "true"},
    "compiled": {"torch_compile": "true"},
}
SHAPE = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}


@pytest.fixture(scope="module")
def sprites(tmp_path_factory) -> Path:
    recipe = PrepareRecipe("reef8", ({"kind": "procedural", "seed": 1, "count": 18},), (8,))
    return prepare(recipe, tmp_path_factory.mktemp("datasets") / "reef8")


def arguments(**flags) -> list[str]:
    return [str(part) for key, value in {**FLAGS, **flags}.items() for part in (f"--{key}", value)]


def trains_and_draws(base: Path, sprites: Path, out: Path, **flags) -> Path:
    """The folder of the adapter that two steps made, after it has drawn."""
    assert main(arguments(model_name_or_path=base, dataset=sprites, output_dir=out, **flags)) == 0
    moved = [value for key, value in load_file(out / "adapter" / "adapter_model.safetensors").items() if "lora_B" in key]
    assert moved and all(value.isfinite().all() and value.abs().max() > 0 for value in moved)
    model = LanguageModel.load(out / "adapter", str(base), "float32")
    assert model.draw("a red fish", n=1, seed=7)[0].grid.shape == (8, 8)
    metrics = json.loads((out / "adapter" / "metrics.json").read_text())
    assert metrics["after"]["bits_per_pixel"] < metrics["before"]["bits_per_pixel"]
    return out / "adapter"


@pytest.mark.filterwarnings("error:bitsandbytes")  # it warns of gradients that are silently wrong
@pytest.mark.parametrize(
    "way", ["qlora", "dora", *(pytest.param(w, marks=pytest.mark.slow) for w in ("rslora", "bf16", "compiled"))]
)
def test_ways_to_train(way, tiny_qwen3, sprites, tmp_path):
    adapter = trains_and_draws(tiny_qwen3, sprites, tmp_path / "run", **WAYS[way])
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert config["use_dora"] == (way == "dora") and config["use_rslora"] == (way == "rslora")
    state = torch.load(tmp_path / "run" / "checkpoint-2" / "optimizer.pt", weights_only=True)["state"]
    assert (torch.uint8 in dtypes(state)) == (way == "qlora")  # moments in eight bits


def dtypes(state) -> set:
    """Of all tensors in nested dictionaries."""
    if torch.is_tensor(state):
        return {state.dtype}
    return set().union(*(dtypes(value) for value in state.values())) if isinstance(state, dict) else set()


def test_measuring_a_four_bit_model_leaves_its_gradients_alone(tiny_qwen3, sprites, tmp_path):
    """bitsandbytes repacks weights at the first forward in evaluation mode, after which no gradient would pass them."""
    where = {"model_name_or_path": tiny_qwen3, "dataset": sprites, "output_dir": tmp_path / "run"}
    run = load_run(parse(arguments(**where, **WAYS["qlora"])))
    trainer = run.trainer()
    for name, parameter in trainer.model.named_parameters():
        if "lora_B" in name:  # zero at first, which would leave the others without a gradient
            torch.nn.init.normal_(parameter, std=0.02)
    batch = next(iter(trainer.get_train_dataloader()))
    before = gradients(trainer, batch)
    run.measure(trainer)
    after = gradients(trainer, batch)
    assert all(gradient.abs().max() > 0 for gradient in before)
    assert all(torch.allclose(one, other, rtol=1e-3, atol=1e-6) for one, other in zip(before, after, strict=True))


def gradients(trainer, batch: dict) -> list[torch.Tensor]:
    trainer.model.train()
    trainer.model.zero_grad()
    trainer.compute_loss(trainer.model, dict(batch)).backward()
    return [parameter.grad.float().clone() for parameter in trainer.model.parameters() if parameter.requires_grad]


def family(name: str, tied: bool, vocabulary: int):
    """A tiny random causal model of a family."""
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    torch.manual_seed(1)
    options = {"vocab_size": vocabulary, "tie_word_embeddings": tied, "initializer_range": 0.1, "pad_token_id": 0, **SHAPE}
    if name not in ("phi", "cohere"):
        options |= {"num_key_value_heads": 2, "head_dim": 16}
    return AutoModelForCausalLM.from_config(CONFIG_MAPPING[name](**options))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, tokenizer, tied", [("llama", "smollm2", True), ("llama", "smollm2", False), ("qwen2", "qwen3", False)]
)
def test_base_models_with_tied_and_untied_heads(name, tokenizer, tied, tokenizers, sprites, tmp_path):
    model = family(name, tied, 49152 if tokenizer == "smollm2" else 151936)
    model.save_pretrained(tmp_path / "base")
    tokenizers[tokenizer].save_pretrained(tmp_path / "base")
    assert ("lm_head.weight" in load_file(tmp_path / "base" / "model.safetensors")) != tied
    trains_and_draws(tmp_path / "base", sprites, tmp_path / "run")


@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3", "mistral", "gemma3_text"])
def test_plain_heads_are_taken(name):
    refuse_transformed_logits(family(name, True, 96))


@pytest.mark.parametrize(
    "name, said", [("phi", "bias"), ("gemma2", "caps or scales"), ("granite", "scales"), ("cohere", "scales")]
)
def test_models_that_change_their_logits_are_refused(name, said):
    model = family(name, False, 96)
    if name == "granite":
        model.logits_scaling = model.config.logits_scaling = 8.0
    with pytest.raises(InputError, match=said):
        refuse_transformed_logits(model)


@pytest.mark.parametrize("save_steps, said", [(1, "step 2: the weights"), (100, "step 3: the loss")])
def test_what_is_no_number_stops_the_run_and_keeps_the_last_good_checkpoint(
    save_steps, said, tiny_qwen3, sprites, tmp_path, capsys
):
    """The rate is nought in the first step and beyond float32 in the second."""
    flags = {"learning_rate": 1e300, "warmup_steps": 1, "lr_scheduler_type": "constant_with_warmup", "max_steps": 4}
    flags |= {"full_head_every": 9, "save_steps": save_steps, "model_name_or_path": tiny_qwen3, "dataset": sprites}
    assert main(arguments(output_dir=tmp_path / "run", **flags)) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert said in error[-1] and "last good checkpoint" in error[-1]
    assert not (tmp_path / "run" / "adapter").exists()
    assert [folder.name for folder in checkpoints(tmp_path / "run")] == (["checkpoint-1"] if save_steps == 1 else [])
    if save_steps == 1:
        kept = last_whole(tmp_path / "run")
        assert is_whole(kept) and all(v.isfinite().all() for v in load_file(kept / "adapter_model.safetensors").values())


def test_what_training_cannot_go_on_from_is_refused(tiny_qwen3, sprites, tmp_path):
    """An adapter of another palette, of another template or of pickled weights; checkpoints of another tokenizer or recipe."""
    adapter = trains_and_draws(tiny_qwen3, sprites, tmp_path / "run")
    plain = {key: value for key, value in FLAGS.items() if not key.startswith("lora")}
    where = {"model_name_or_path": tiny_qwen3, "dataset": sprites, "output_dir": tmp_path / "on", "start_from": adapter}
    told = [str(part) for key, value in (plain | where).items() for part in (f"--{key}", value)]
    load_run(parse(told))
    template = (adapter / "chat_template.jinja").read_text()
    (adapter / "chat_template.jinja").write_text(template + "x")
    with pytest.raises(InputError, match="another chat template"):
        load_run(parse(told))
    (adapter / "chat_template.jinja").write_text(template)
    other = shutil.copytree(sprites, tmp_path / "other")
    (other / "palette.json").write_text(json.dumps(Palette("mine", named("reef64").colours[:9]).to_json()))
    with pytest.raises(InputError, match="draws in palette 'reef64', not in the dataset's 'mine'"):
        load_run(parse([*told, "--dataset", str(other)]))
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(InputError, match="pickled"):
        load_run(parse(told))
    run = load_run(parse(arguments(model_name_or_path=tiny_qwen3, dataset=sprites, output_dir=tmp_path / "run")))
    assert run.claim().endswith("checkpoint-2")
    for change, said in (({"base": dataclasses.replace(run.base, sha256="x")}, "base model or tokenizer"),):
        with pytest.raises(InputError, match=said):
            dataclasses.replace(run, **change).claim()
    run.tokens.tokenizer.chat_template += "x"
    run.tokens.__dict__.pop("hash")
    with pytest.raises(InputError, match="base model or tokenizer"):
        run.claim()
    with pytest.raises(InputError, match="another recipe"):
        load_run(parse(arguments(model_name_or_path=tiny_qwen3, dataset=sprites, output_dir=tmp_path / "run", lora_r=8))).claim()


def test_fewer_processes_than_asked_for_are_refused(tiny_qwen3, sprites, tmp_path, capsys):
    flags = {"model_name_or_path": tiny_qwen3, "dataset": sprites, "output_dir": tmp_path / "run", "processes": 2}
    assert main(arguments(**flags)) == 2
    assert "processes is 2, but 1 run(s)" in capsys.readouterr().err and not (tmp_path / "run").exists()
    one, none = (parse(arguments(**flags | {"processes": processes})) for processes in (1, 0))
    assert one.hash == none.hash  # a run may go on elsewhere


def test_one_process_does_not_spread_over_several_gpus(sprites, monkeypatch, capsys):
    monkeypatch.setattr(GridSFTConfig, "n_gpu", 2)
    assert main(arguments(model_name_or_path="x/y", dataset=sprites)) == 2
    assert "one process sees 2 GPUs" in capsys.readouterr().err
