"""A tiny model trained on the small real dataset: it learns, goes on where it stopped, and leaves nothing torn."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from small_models import tiny_recipe

from data_prep.whole_files import file_sha256
from eval.baseline.batches import Batches
from eval.baseline.checkpoints import checkpoints, claim, load_checkpoint, save_checkpoint
from eval.baseline.conditions import Conditions
from eval.baseline.config import read_recipe
from eval.baseline.model_folder import load_model, staged
from eval.baseline.train import Training, load_guide, main, train
from eval.generate import read_split
from eval.metrics.critics import COMMITTED
from finetune.adapter_folder import load_palette

ROOT = Path(__file__).parents[3]


def log(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "training_log.jsonl").read_text().splitlines()]


def losses(out: Path) -> dict:
    return {row["step"]: (row["loss"], row.get("validation_bits_per_pixel")) for row in log(out)}


def weights(folder: Path) -> dict:
    return {key: value.numpy() for key, value in load_file(folder / "model.safetensors").items()}


def same(a: Path, b: Path) -> bool:
    return all((value == weights(b)[key]).all() for key, value in weights(a).items())


def test_it_learns_and_says_what_it_did(trained):
    rows = log(trained)
    assert [row["step"] for row in rows] == [3, 6, 9, 12] and rows[-1]["bits_per_pixel"] < rows[0]["bits_per_pixel"] - 1
    assert rows[-1]["validation_bits_per_pixel"] < rows[1]["validation_bits_per_pixel"] < 6
    assert rows[-1]["sprites_seen"] == 96 and 0 < rows[0]["seconds"] < rows[-1]["seconds"] and rows[-1]["sprites_per_second"] > 0
    assert sorted(path.name for path in (trained / "sheets").iterdir()) == ["step-000006.png", "step-000012.png"]
    assert [path.name for path in checkpoints(trained)] == ["checkpoint-8", "checkpoint-12"]


def test_the_folder_says_what_it_was_trained_on(trained, reef):
    _, conditions, palette, facts = load_model(trained / "model")
    assert facts.palette_hash == palette.hash == load_palette(reef).hash and facts.sizes == ((16, 16),)
    assert facts.sprites_seen == 96 and facts.recipe["steps"] == 12 and set(conditions.values) == {"zone", "category"}
    assert facts.parameters == sum(value.size for value in weights(trained / "model").values())
    assert str(reef.parent) not in (trained / "model" / "config.json").read_text()
    best = load_model(trained / "best-by-loss")[3]
    assert best.validation_bits_per_pixel == min(row.get("validation_bits_per_pixel", 9) for row in log(trained))


def test_a_run_that_is_stopped_after_every_step_is_the_run_that_is_not(trained, reef, tmp_path):
    recipe = tiny_recipe(reef, tmp_path / "tiny", max_minutes=1e-9)
    for _ in range(12):
        train(recipe)
    assert losses(recipe_out := tmp_path / "tiny") == losses(trained)
    for name in ("model", "best-by-loss"):
        assert same(recipe_out / name, trained / name)


def test_a_killed_run_goes_on_from_its_checkpoint_with_the_same_losses(trained, reef, tmp_path):
    killed = shutil.copytree(trained, tmp_path / "tiny")
    for gone in ("checkpoint-12", "model", "best-by-loss"):
        shutil.rmtree(killed / gone)
    (killed / ".checkpoint-12-abc.tmp").mkdir()  # was being written
    with open(killed / "training_log.jsonl", "a") as file:
        file.write('{"step": 13, "lo')
    train(tiny_recipe(reef, killed))
    assert not list(killed.glob(".*"))
    assert losses(killed) == losses(trained) and same(killed / "model", trained / "model")
    assert [path.name for path in checkpoints(killed)] == ["checkpoint-8", "checkpoint-12"]


def test_two_processes_take_the_steps_of_one_with_the_double_batch(reef, tmp_path):
    one, two = tiny_recipe(reef, tmp_path / "one", batch_size=8, steps=6), tmp_path / "two"
    train(one)
    path = tmp_path / "recipe.yaml"
    keys = one.asked | {"dataset": str(reef), "output_dir": str(two), "batch_size": 4}
    path.write_text(yaml.safe_dump(keys))
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    command += ["--main_process_port", "0", "--mixed_precision", "no", "--dynamo_backend", "no"]
    command += ["-m", "eval.baseline.train", "--config", str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    alone, shared = log(one_out := tmp_path / "one"), log(two)
    assert [row["sprites_seen"] for row in shared] == [row["sprites_seen"] for row in alone] == [24, 48]
    assert [row["loss"] for row in shared] == pytest.approx([row["loss"] for row in alone], abs=1e-4)
    assert all(np.allclose(value, weights(two / "model")[key], atol=1e-4) for key, value in weights(one_out / "model").items())


def test_a_guide_chooses_its_own_checkpoint(trained, reef, tmp_path):
    told = []

    def guide(sprites, categories):
        told.append((sprites, categories))
        return -len(told)  # likes the first best

    train(tiny_recipe(reef, tmp_path / "tiny"), guide)
    by_guide, by_loss = (load_model(tmp_path / "tiny" / name)[3] for name in ("best-by-guide", "best-by-loss"))
    assert (by_guide.sprites_seen, by_loss.sprites_seen) == (48, 96)
    assert [row["guide"] for row in log(tmp_path / "tiny") if "guide" in row] == [-1, -2]
    assert all(len(sprites) == len(categories) == 2 and all(categories) for sprites, categories in told)
    assert not (trained / "best-by-guide").exists()


def test_every_sprite_is_shown_once_an_epoch_and_flips_mirror_it(reef):
    sprites = [sprite for _, sprite in read_split(reef, "train", load_palette(reef))]
    conditions = Conditions.of("caption", ((s.caption, s.tags) for s in sprites))
    batches = Batches(sprites, conditions, 8, seed=1)
    orders = [np.concatenate(batches.order(epoch)) for epoch in (0, 1)]
    assert all(set(order) == set(range(len(sprites))) and len(order) < len(sprites) + 8 for order in orders)
    assert (orders[0] != orders[1]).any() and (np.concatenate(Batches(sprites, conditions, 8, 2).order(0)) != orders[0]).any()
    step = batches.an_epoch + 1
    plain, flipped, dropped = batches.at(step), batches.at(step, flips=1.0), batches.at(step, dropout=1.0)
    assert (plain.grids[:, :, ::-1] == flipped.grids).all() and (plain.grids == dropped.grids).all()
    assert (conditions.mirrored(plain.conditions) == flipped.conditions).all() and not dropped.conditions.any()


def test_torn_files_other_palettes_and_pickles_are_refused(trained, tmp_path):
    def damaged(change) -> Path:
        folder = shutil.copytree(trained / "model", tmp_path / change.__name__)
        change(folder)
        return folder

    def cut(folder):
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-100])

    def repainted(folder):
        palette = json.loads((folder / "palette.json").read_text())
        palette["colours"][0] = "123456"
        del palette["hash"]
        (folder / "palette.json").write_text(json.dumps(palette))

    def pickled(folder):
        (folder / "model.safetensors").write_bytes(pickle.dumps(_Bomb(str(tmp_path / "exploded"))))
        text = (folder / "config.json").read_text()
        found = file_sha256(folder / "model.safetensors")
        (folder / "config.json").write_text(re.sub(r'"weights_sha256": "\w+"', f'"weights_sha256": "{found}"', text))

    def uneven(folder):
        about = json.loads((folder / "config.json").read_text())
        about["facts"]["sizes"] = [[16]]
        (folder / "config.json").write_text(json.dumps(about))

    for change, said in ((cut, "torn"), (repainted, "palette"), (pickled, "damaged"), (uneven, "damaged")):
        with pytest.raises(ValueError, match=said):
            load_model(damaged(change))
    assert not (tmp_path / "exploded").exists()
    with pytest.raises(ValueError, match=r"config\.json"):
        load_model(tmp_path)


class _Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_folder_stands_until_its_successor_is_whole(tmp_path):
    for attempt, fails in (("first", False), ("second", True), ("third", False)):
        try:
            with staged(tmp_path / "model") as folder:
                (folder / "x").write_text(attempt)
                if fails:
                    raise OSError("disk full")
        except OSError:
            pass
        assert (tmp_path / "model" / "x").read_text() == ("first" if fails else attempt)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    (tmp_path / "model").rename(tmp_path / ".model.old")  # killed between the two moves
    with staged(tmp_path / "model") as folder:
        assert (tmp_path / "model" / "x").read_text() == "third"
        (folder / "x").write_text("fourth")
    assert (tmp_path / "model" / "x").read_text() == "fourth"


def test_another_recipe_does_not_touch_the_folder(trained, reef):
    with pytest.raises(ValueError, match="another recipe"):
        train(replace(tiny_recipe(reef, trained), learning_rate=0.02))


@pytest.mark.parametrize(
    "change, said",
    [
        ("batchsize=4", "'batch_size'"),
        ("shape.layer=2", "'layers'"),
        ("shape.kv_heads=0", "kv_heads: 0"),
        ("shape.heads=x", "heads: 'x'"),
        ("shape.width=32.0", "width: 32.0"),
        ("guide=nowhere", "nowhere"),
        ("steps=0", "steps"),
        ("learning_rate=fast", "learning_rate"),
        ("learning_rate=.nan", "learning_rate"),
        ("condition_dropout=2", "condition_dropout"),
        ("conditions=pixels", "conditions"),
        ("dataset=nowhere", "nowhere"),
    ],
)
def test_bad_recipes_are_one_line_and_exit_code_2(reef, tmp_path, capsys, change, said):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"dataset": str(reef), "output_dir": str(tmp_path / "out"), "steps": 2, "bf16": False}))
    assert main(["--config", str(path), "--set", change]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error and "\n" not in error


def test_a_retrained_guide_is_another_run_and_a_moved_one_is_not(trained, reef, tmp_path):
    facts = json.loads((COMMITTED / "critics.json").read_text())

    def at(folder, **changes):
        folder.mkdir(parents=True, exist_ok=True)
        critics = facts["critics"] | {"guide": facts["critics"]["guide"] | changes}
        (folder / "critics.json").write_text(json.dumps(facts | {"critics": critics}))
        return tiny_recipe(reef, tmp_path / "run", guide=str(folder))

    out = shutil.copytree(trained, tmp_path / "run")
    (out / "recipe_hash").unlink()
    train(at(tmp_path / "critics"))  # finished, and now this recipe's own
    train(at(tmp_path / "elsewhere" / "moved"))
    with pytest.raises(ValueError, match="another recipe, dataset or guide"):
        train(at(tmp_path / "critics", sha256="2"))


def test_only_numbered_folders_are_checkpoints_and_a_users_own_stays(trained, reef, tmp_path):
    run = shutil.copytree(trained, tmp_path / "tiny")
    shutil.copytree(run / "checkpoint-8", run / "checkpoint-old")
    shutil.rmtree(run / "checkpoint-12")
    train(tiny_recipe(reef, run))
    assert [path.name for path in checkpoints(run)] == ["checkpoint-8", "checkpoint-12"] and (run / "checkpoint-old").is_dir()


def test_the_whole_state_of_the_optimiser_comes_back_on_the_models_device(tmp_path):
    def parts(device):
        model = torch.nn.Linear(3, 2, device=device)
        averaged = {name: value.detach().clone() for name, value in model.named_parameters()}
        return model, averaged, torch.optim.AdamW(model.parameters(), foreach=False)

    model, averaged, optimiser = parts("cpu")
    for _ in range(3):
        model(torch.ones(1, 3)).sum().backward()
        optimiser.step()
    save_checkpoint(tmp_path, model, averaged, optimiser, {"step": 3})
    for device in ("cpu", "meta"):  # the latter for any device that is not the processor
        again = parts(device)
        assert load_checkpoint(tmp_path / "checkpoint-3", *again) == {"step": 3}
        for old, new in zip(model.parameters(), again[0].parameters(), strict=True):
            found = again[2].state[new]
            assert {value.device.type for value in found.values()} == {device} and set(found) == set(optimiser.state[old])
            assert device == "meta" or all(torch.equal(value, found[kind]) for kind, value in optimiser.state[old].items())


def test_flags_win_over_the_recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("dataset: a\noutput_dir: b\nsteps: 5\nshape: {width: 64}\n")
    with pytest.raises(ValueError, match="shape is 5; it takes a mapping"):
        read_recipe(path, ["shape=5", "shape.layers=3"])
    recipe = read_recipe(path, ["steps=7", "learning_rate=2e-3", "shape.layers=3"])
    assert (recipe.steps, recipe.learning_rate, recipe.shape) == (7, 0.002, {"width": 64, "layers": 3})


def test_the_guide_of_a_folder_weighs_quality_and_the_category_asked_for(monkeypatch, tmp_path):
    from eval.metrics import critics

    class Critic(critics.Critic):
        def opinions(self, sprites):
            likely = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
            return critics.Opinions(np.array([1.0, 0.5, 0.25]), likely, [], [], [], np.zeros((3, 64)))

    critic = Critic("guide", None, ("coral", "grazer"), (), (), {}, {})
    monkeypatch.setattr(critics, "load", lambda *which: {(tmp_path, "guide"): critic}[which])
    found = load_guide(tmp_path)([None] * 3, ["coral", "grazer", "unheard of"])
    assert found == pytest.approx((1.0 * 0.9 + 0.5 * 0.8 + 0.25) / 3)


def test_a_start_with_a_full_disk_leaves_the_run_its_own(tmp_path, monkeypatch):
    claim(tmp_path, "a")
    (tmp_path / "model").mkdir()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.write_text", full)
        patched.setattr("pathlib.Path.write_bytes", full)
        claim(tmp_path, "a")  # nothing is written where nothing changes
    assert claim(tmp_path, "a") is None


def test_only_the_first_process_writes_when_a_run_goes_on(tmp_path):
    (tmp_path / ".model-1.tmp").mkdir()
    (tmp_path / "recipe_hash").write_text("")  # as read while the first one writes it
    (tmp_path / "model").mkdir()
    accelerator = SimpleNamespace(is_main_process=False, wait_for_everyone=lambda: None)
    recipe = SimpleNamespace(hash=lambda dataset_hash: "a")
    Training.resume(SimpleNamespace(accelerator=accelerator, out=tmp_path, recipe=recipe, dataset_hash=""))
    assert {path.name for path in tmp_path.iterdir()} == {".model-1.tmp", "recipe_hash", "model"}


def test_what_a_kill_after_both_moves_left_is_no_obstacle(tmp_path):
    for name, text in ((".best.old", "one"), ("best", "two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_text(text)
    claim(tmp_path, "a")
    with staged(tmp_path / "best") as folder:
        (folder / "weights").write_text("three")
    assert (tmp_path / "best" / "weights").read_text() == "three"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "recipe_hash"]
