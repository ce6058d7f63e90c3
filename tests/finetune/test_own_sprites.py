"""Training on one's own sprites: what is warned of and refused, what is chosen, and the whole command on a tiny model."""

import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny_models import llama

from data_prep.errors import InputError
from data_prep.sources import procedural
from eval import cli
from finetune import choosing
from finetune.adapter_folder import AdapterFacts
from finetune.choosing import LEAST_STEPS, ON_A_GPU, choose, length_of, length_within, needs
from finetune.config import parse
from finetune.memory import BAND, GB, SHAPES
from finetune.own_sprites import (
    MOST_EPOCHS,
    SIDES,
    Survey,
    corpus_name,
    prepare_own,
    sizes_for,
    sprites_to_see,
    survey,
    warnings,
)

PLAIN = Survey(500, 50, tuple(f"a red fish {number}" for number in range(500)), "aa0000", 0.2, Counter())


def write_sprites(folder: Path, count: int, size: int = 16, start: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    for index in range(start, start + count):
        name = f"{procedural.sprite(5, index, size).caption.replace(' ', '_').replace('/', '-')[:60]}_{index}.png"
        Image.fromarray(procedural.sprite(5, index, size).rgba(), "RGBA").save(folder / name)
    return folder


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    return write_sprites(tmp_path_factory.mktemp("own") / "mine", 40)


@pytest.fixture(scope="module")
def dataset(mine, tmp_path_factory):
    return prepare_own(mine, tmp_path_factory.mktemp("datasets") / "mine")


# --- what is in them ------------------------------------------------------------------------------------------------


def test_sprites_keep_their_size_and_their_colours(dataset):
    manifest = json.loads((dataset / "manifest.json").read_text())
    assert manifest["recipe"]["sizes"] == [16] and manifest["palette"]["name"] == "mine"
    found = survey(dataset)
    assert found.read == 40 and found.train > found.held_out > 0 and 0 < found.colour_share < 1
    assert all(re.search("[a-z]", caption) for caption in found.captions)


def test_nothing_is_dropped_for_the_sake_of_a_benchmark(tmp_path):
    folder = write_sprites(tmp_path / "sky", 12)
    for number, (name, file) in enumerate(zip(("sun", "rainbow", "castle"), sorted(folder.iterdir()), strict=False)):
        file.rename(folder / f"{name}_{number}.png")
    rows = survey(prepare_own(folder, tmp_path / "prepared"))
    assert rows.read == 12 and not rows.dropped


def test_a_rare_large_sprite_does_not_make_all_frames_large(tmp_path):
    folder = write_sprites(tmp_path / "mixed", 30)
    assert sizes_for(folder) == (16,)
    write_sprites(folder, 1, 32, 30)
    assert sizes_for(folder) == (16,)
    write_sprites(folder, 10, 32, 31)
    assert sizes_for(folder) == (16, 32)


def test_what_cannot_be_trained_on_is_refused_in_one_line(tmp_path):
    empty, large = tmp_path / "empty", tmp_path / "large"
    empty.mkdir()
    large.mkdir()
    picture = np.zeros((90, 90, 4), np.uint8)
    picture[2:88, 2:88] = (200, 10, 10, 255)
    Image.fromarray(picture, "RGBA").save(large / "wall.png")
    few = prepare_own(write_sprites(tmp_path / "few", 5), tmp_path / "few_prepared")
    refused = (
        (lambda: sizes_for(empty), "no picture in it"),
        (lambda: sizes_for(large), "larger than 64x64"),
        (lambda: survey(few), "5 usable sprites"),
        (lambda: prepare_own(large, tmp_path / "x", 200), "a side has 4 to 64 pixels"),
    )
    for work, said in refused:
        with pytest.raises(InputError, match=said) as error:
            work()
        assert "\n" not in str(error.value)


def test_other_sprites_do_not_replace_a_prepared_corpus(mine, tmp_path):
    out = tmp_path / "dataset"
    prepare_own(write_sprites(tmp_path / "mine", 12), out)
    before = (out / "manifest.json").read_bytes()
    with pytest.raises(InputError, match="made from other sprites or sizes; choose another --out"):
        prepare_own(mine, out)
    assert (out / "manifest.json").read_bytes() == before


@given(st.text(min_size=1, max_size=60).filter(lambda text: "\0" not in text and "/" not in text))
def test_any_folder_gives_a_name_that_a_prompt_can_hold(name):
    assert re.fullmatch("[a-z0-9_]{1,50}", corpus_name(Path("x") / name))
    assert corpus_name(Path("reef64")) != "reef64" and corpus_name(Path("free.zip")) != "free"


# --- what is warned of ----------------------------------------------------------------------------------------------


def test_nothing_is_said_of_plain_sprites():
    assert warnings(PLAIN) == []


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"train": 50, "captions": PLAIN.captions[:50]}, "only 50 sprites to train on: once learnt"),
        ({"captions": ("a blue crab",) * 300 + PLAIN.captions[:200]}, "60% of the captions are 'a blue crab'"),
        ({"colour_share": 0.7}, "#aa0000 is 70% of all opaque pixels"),
        ({"dropped": Counter({"exact duplicate": 200, "near duplicate": 100})}, "35% of the pictures are duplicates"),
        ({"dropped": Counter({"too large for 32x32": 400})}, "42% of the pictures were left out"),
        ({"captions": tuple(f"a {'x' * n}" for n in range(1, 501))}, "100% of the captions are a single word"),
        ({"captions": ("",) * 200 + PLAIN.captions[:300]}, "40% of the sprites have no name"),
    ],
)
def test_each_fault_of_a_corpus_is_told_with_its_share_and_alone(changed, said):
    told = warnings(replace(PLAIN, **changed))
    assert len(told) == 1 and said in told[0] and "\n" not in told[0]


@given(st.integers(8, 10**6))
def test_more_sprites_are_seen_longer_but_none_too_often(train):
    assert sprites_to_see(train) <= MOST_EPOCHS * train
    assert sprites_to_see(train) <= sprites_to_see(train + 1)
    assert sprites_to_see(train) >= 3 * train


# --- what is chosen -------------------------------------------------------------------------------------------------


@pytest.fixture
def shapes(monkeypatch):
    """Every model of the table is to be had, whatever the network."""
    by_name = {shape.name.lower(): shape for shape in SHAPES}
    monkeypatch.setattr(choosing, "shape_of", lambda location, name: by_name[name.rpartition("/")[2].lower()])


def test_a_cpu_takes_the_packaged_model_and_says_why(shapes):
    choice = choose("cpu", 16 * GB, 16)
    assert choice.base == "smollm2-135m" and choice.setting.batch == 4 and "no GPU here" in choice.why and "16.0 GB" in choice.why


@pytest.mark.parametrize("side", SIDES)
def test_what_is_chosen_fits_and_more_memory_never_gives_a_smaller_model(shapes, side):
    ranks = []
    for free in (3 * GB, 6 * GB, 8 * GB, 12 * GB, 24 * GB, 80 * GB):
        try:
            choice = choose("cuda", free, side)
        except InputError:
            assert not ranks
            continue
        shape = next(shape for shape in SHAPES if shape.name.lower() == choice.base.rpartition("/")[2].lower())
        assert needs(shape, choice.setting) * (1 + BAND) <= free
        ranks.append([(base, recipe) for base, recipe in ON_A_GPU].index((choice.base, choice.recipe)))
    assert ranks == sorted(ranks, reverse=True) and ranks[-1] == 0


def test_too_little_memory_is_refused_with_what_it_takes(shapes):
    with pytest.raises(InputError, match=r"0\.2 GB of memory are free, and smollm2-135m takes .* at the least"):
        choose("cpu", 0.2 * GB, 16)


def test_every_chosen_recipe_parses_and_keeps_the_batch(shapes, dataset, tmp_path):
    for device, free in (("cpu", 16 * GB), ("cuda", 80 * GB), ("cuda", 10 * GB)):
        choice = choose(device, free, 32)
        keys = choice.keys(dataset, tmp_path / "out", choice.length(400)) | {"use_cpu": True}
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(keys))
        args = parse(["--config", str(tmp_path / "recipe.yaml")]).training
        each = args.per_device_train_batch_size * args.gradient_accumulation_steps
        assert each == choosing.SPRITES_A_STEP[device] and args.max_steps * each >= sprites_to_see(400)


@given(st.floats(20, 1e6), st.floats(0.005, 60), st.sampled_from([1, 4, 16]))
def test_minutes_become_the_longest_run_that_takes_no_more(seconds, a_sprite, most):
    length = length_within(seconds, a_sprite, most)
    assert length.steps >= LEAST_STEPS and 1 <= length.each <= most and length.measured >= 2
    longer = length_of(length.steps + 1, length.each)
    if length.steps > LEAST_STEPS:
        assert length.cost * a_sprite <= seconds < longer.cost * a_sprite
    else:  # what cannot be done in time is done with as few sprites as may be
        assert length.cost * a_sprite <= seconds or length.each == 1
    assert length.cost <= 1.5 * length.seen + 2  # looking at itself stays the lesser part


# --- the whole command ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny_llama(smollm2, tmp_path_factory):
    """Folder of a Llama of random weights, two layers, with the packaged model's tokenizer: a third of Qwen's vocabulary."""
    return llama(smollm2.location, tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture(scope="module")
def trained(mine, tiny_llama, tmp_path_factory):
    """(output folder, arguments) of a finished `pixelreef train mine`."""
    out = tmp_path_factory.mktemp("runs") / "mine"
    arguments = ["train", str(mine), "--out", str(out), "--base", str(tiny_llama), "--steps", "10"]
    assert cli.main(arguments) == 0
    return out, arguments


def test_a_folder_becomes_an_adapter_and_a_sheet(trained, mine):
    out, _ = trained
    facts = AdapterFacts.load(out / "adapter")
    assert facts.sizes == ((16, 16),) and facts.sprites_seen == 40
    sheet = Image.open(out / "contact_sheet.png")
    assert sheet.width > 200 and len(sheet.getcolors(10**6)) > 4
    assert yaml.safe_load((out / "recipe.yaml").read_text())["max_steps"] == 10
    assert sorted(path.name for path in mine.iterdir() if path.suffix != ".png") == []  # nothing is written beside the sprites


def test_run_again_it_says_that_it_is_finished_and_changes_nothing(trained, mine, capsys):
    out, arguments = trained
    files = [out / "adapter" / "adapter_model.safetensors", out / "contact_sheet.png", out / "recipe.yaml"]
    before = [file.stat().st_mtime_ns for file in files]
    assert cli.main(arguments) == 0 and cli.main(["train", str(mine), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "reused" in said and "finished" in said and "pixelreef draw" in said and "step " not in said
    assert [file.stat().st_mtime_ns for file in files] == before
    assert cli.main([*arguments[:-1], "20"]) == 2
    assert "was begun with" in capsys.readouterr().err


def test_a_sheet_that_is_missing_is_drawn_again_alike(trained, tmp_path):
    out, arguments = trained
    first = (out / "contact_sheet.png").read_bytes()
    shutil.move(out / "contact_sheet.png", tmp_path)
    assert cli.main(arguments) == 0
    assert (out / "contact_sheet.png").read_bytes() == first


def test_a_folder_with_other_things_in_it_is_left_alone(mine, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("x")
    assert cli.main(["train", str(mine), "--out", str(tmp_path)]) == 2
    assert "holds other files" in capsys.readouterr().err and [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_help_names_both_ways(capsys):
    with pytest.raises(SystemExit) as done:
        cli.main(["train", "--help"])
    said = capsys.readouterr().out
    assert done.value.code == 0 and "folder or a zip" in said and "--config" in said
    assert cli.main(["train", "--lora_rr", "3"]) == 2 and "nearest valid one is 'lora_r'" in capsys.readouterr().err
