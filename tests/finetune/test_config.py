"""Recipes: files and flags, unknown keys, what is missing; the shipped ones parse."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from data_prep.errors import InputError
from finetune.config import check_keys, parse, valid_keys
from finetune.train import main

PLACES = sorted((Path(__file__).parents[2] / "finetune" / "accelerate").glob("*.yaml"))
RECIPES = [
    path for path in sorted((Path(__file__).parents[2] / "finetune" / "recipes").glob("*.yaml")) if path.stem[:4] != "dpo_"
]


def test_flags_win_over_the_file(tmp_path, reef):
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        yaml.safe_dump({"model_name_or_path": "x/y", "dataset": str(reef), "lora_r": 4, "output_dir": str(tmp_path)})
    )
    config = parse(["--config", str(recipe), "--lora_r", "8", "--bf16", "false", "--use_cpu", "true"])
    assert config.model.lora_r == 8 and config.training.max_length is None and not config.training.activation_checkpointing
    assert parse(["--config", str(recipe), "--lora_r", "9", "--bf16", "false", "--use_cpu", "true"]).hash != config.hash


@pytest.mark.parametrize(
    "text, said",
    [
        ("lora_rr: 3", "unknown key 'lora_rr'; the nearest valid one is 'lora_r'"),
        ("max_seq_length: 3", "unknown key 'max_seq_length'"),
        ("{model_name_or_path: m/n, first_use_weight: 1.0}", "first_use_weight: there is no such weight any more; remove"),
        ("gradient_checkpointing: true", "gradient_checkpointing: write activation_checkpointing instead"),
        ("[1, 2]", "mapping"),
        ("a: b: c", "YAML"),
        ("{use_cpu: true, bf16: false}", "model_name_or_path"),
        ("{use_cpu: true, bf16: false, model_name_or_path: m/n, full_head_every: 0, dataset: x}", "full_head_every"),
        ("{use_cpu: true, bf16: false, model_name_or_path: m/n, eval_sprites: 0, dataset: x}", "eval_sprites is 0; it takes 1"),
        ("{use_cpu: true, bf16: false, lora_target_modules: ['(([a-z._0-9]+)+)+!']}", "lora_target_modules holds '(("),
        ("{use_cpu: true, bf16: false, model_name_or_path: m/n, dataset: nowhere}", "pixelreef prepare"),
    ],
)
def test_bad_recipes_are_one_line_and_exit_code_2(tmp_path, capsys, text, said):
    recipe = tmp_path / "r.yaml"
    recipe.write_text(text)
    assert main(["--config", str(recipe)]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error and "\n" not in error


def test_the_hash_is_of_values_and_of_the_data(tmp_path, reef):
    base = ["--model_name_or_path", "x/y", "--bf16", "false", "--use_cpu", "true", "--output_dir", str(tmp_path)]
    told = lambda *more, data=reef: parse([*base, "--dataset", str(data), *more])  # noqa: E731
    recipe = tmp_path / "r.yaml"
    recipe.write_text("lora_r: 16")
    assert told("--lora_r", "16").hash == told("--config", str(recipe)).hash == told(f"--config={recipe}").hash
    assert told("--disable_tqdm", "true").hash != told("--disable_tqdm", "false").hash
    copy = shutil.copytree(reef, tmp_path / "elsewhere")
    assert told(data=copy).hash == told().hash
    manifest = (copy / "manifest.json").read_text()
    (copy / "manifest.json").write_text(manifest.replace('"rows": ', '"rows": 1'))
    assert told(data=copy).hash != told().hash
    assert str(tmp_path) not in json.dumps(told().published("x/y"))


def test_unknown_flags_are_refused(capsys):
    assert main(["--learning_rat", "1"]) == 2
    assert "'learning_rate'" in capsys.readouterr().err


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_have_valid_keys_and_say_what_they_make(path):
    keys = yaml.safe_load(path.read_text())
    check_keys(keys, str(path))
    head = path.read_text().split("model_name_or_path")[0]
    assert "# Makes" in head and f"accelerate launch finetune/train.py --config finetune/recipes/{path.name}" in head
    assert "memory" in head and isinstance(keys["learning_rate"], float)


@pytest.mark.parametrize("path", PLACES, ids=lambda path: path.stem)
def test_accelerates_configurations_have_keys_that_it_knows_and_start_what_they_say(path):
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    config = load_config_from_file(str(path))  # refuses unknown keys of its own
    assert set(config.fsdp_config) <= set(vars(launch_command_parser().parse_args(["script"])))
    assert config.fsdp_config.get("fsdp_version", 2) == 2 and not config.fsdp_config.get("fsdp_cpu_ram_efficient_loading")
    assert config.distributed_type.value == ("FSDP" if "fsdp" in path.stem else "MULTI_GPU")  # MULTI_CPU starts one process
    head = path.read_text().split("compute_environment")[0]
    assert f"--config_file finetune/accelerate/{path.name} finetune/train.py" in head
    assert f"--processes {config.num_processes}" in head and config.num_processes > 1


def test_there_are_the_promised_recipes():
    assert {"demo_cpu", "smollm2_135m", "qwen3_1.7b", "qwen3_1.7b_qlora"} <= {path.stem for path in RECIPES}
    assert {"full_head_every", "lora_r", "learning_rate"} <= valid_keys()


def test_missing_base_models_are_named(tmp_path, capsys, reef):
    flags = ["--dataset", str(reef), "--output_dir", str(tmp_path / "o"), "--bf16", "false", "--use_cpu", "true"]
    for name, said in (("no/such-model", "hub"), ("./nowhere", "no such folder"), (str(tmp_path), "config.json")):
        assert main(["--model_name_or_path", name, *flags]) == 2
        error = capsys.readouterr().err.strip()
        assert said in error and "\n" not in error
    assert not (tmp_path / "o").exists()


def test_input_errors_are_value_errors():
    with pytest.raises(ValueError):
        raise InputError("x")
