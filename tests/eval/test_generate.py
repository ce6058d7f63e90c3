"""A run folder filled by the real commands with a tiny model: rows, resume, score, report."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file, save_file

from data_prep.errors import InputError
from data_prep.grid_text import FREE, encode
from data_prep.palette import Palette, named
from data_prep.prepare import prepare
from data_prep.recipe import PrepareRecipe
from eval.cli import main
from eval.controls import DEGENERATE
from eval.generate import (
    GenerateRecipe,
    Run,
    choose_prompts,
    generate,
    identity,
    log_of,
    other_subjects,
    read_recipe,
    read_split,
    training_seconds,
)
from eval.generators import Request
from eval.rivals import Rival
from finetune.adapter_folder import load_palette


@pytest.fixture(scope="module")
def recipe(tiny_qwen3, reef) -> GenerateRecipe:
    generators = {"base model tiny": {"base": str(tiny_qwen3)}}
    roles = {"base": "base model tiny"}
    return GenerateRecipe(
        "tiny", str(reef), generators, roles, prompts=12, unconstrained=2, likelihoods=6, batch_size=5, dtype="float32"
    )


@pytest.fixture(scope="module")
def run(recipe, tmp_path_factory):
    return generate(recipe, tmp_path_factory.mktemp("runs"))


GOOD = {"name": "x", "dataset": "nowhere", "generators": {"a": {"base": "smollm2-135m"}}, "roles": {"base": "a"}}


def rows(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_generator_and_control_answers_the_same_prompts(run):
    found = rows(run / "completions.jsonl")
    counts = Counter((row["generator"], row["mode"]) for row in found)
    assert counts[("base model tiny", "grammar")] == counts[("blank", "control")] == counts[("held-out sprites", "control")] == 12
    assert counts[("base model tiny", "unconstrained")] == 2 and len(counts) == 2 + 2 + len(DEGENERATE)
    drawn = [row for row in found if row["mode"] in ("grammar", "control")]
    assert all(row["valid"] and row["error"] is None for row in drawn)
    assert len({row["request_id"] for row in found}) == 12 and len({row["recipe_hash"] for row in found}) == 1
    likelihoods = rows(run / "likelihoods.jsonl")
    assert Counter(row["condition"] for row in likelihoods) == {"caption": 6, "empty": 6, "shuffled": 6}
    assert all(row["bits"] > 0 and row["pixels"] == 256 and 0 <= row["allowed_mass"] <= 1 for row in likelihoods)


def test_rows_in_colours_of_their_own_are_refused(tmp_path):
    recipe = PrepareRecipe("b", ({"kind": "procedural", "seed": 1, "count": 30},), (16,), tasks={"bench": 1})
    dataset = prepare(recipe, tmp_path / "bench")
    with pytest.raises(InputError, match="colours of its own, as task bench has; take one of task draw"):
        read_split(dataset, "train", load_palette(dataset))


def test_prompts_are_held_out_and_spread_over_the_cells(recipe, reef):
    palette = load_palette(reef)
    test = read_split(reef, "test", palette)
    chosen = choose_prompts(test, 12, 1)
    cells = Counter((sprite.tags["zone"], sprite.tags["category"]) for _, sprite in chosen)
    assert max(cells.values()) == 1 and choose_prompts(test, 12, 1) == chosen != choose_prompts(test, 12, 2)
    training = {sprite.grid.tobytes() for _, sprite in read_split(reef, "train", palette)}
    assert not any(sprite.grid.tobytes() in training for _, sprite in chosen)


def test_a_killed_run_goes_on_at_the_next_missing_row(recipe, run, tmp_path):
    torn = shutil.copytree(run, tmp_path / "tiny")
    whole = (torn / "completions.jsonl").read_bytes()
    lines = whole.splitlines(keepends=True)
    (torn / "completions.jsonl").write_bytes(b"".join(lines[:-6]) + lines[-6][:40])  # killed within a line
    generate(recipe, tmp_path)
    again, before = rows(torn / "completions.jsonl"), rows(run / "completions.jsonl")
    key = lambda row: (row["generator"], row["mode"], row["request_id"])  # noqa: E731
    assert sorted(map(key, again)) == sorted(map(key, before)) and len({*map(key, again)}) == len(again)
    unconstrained = lambda found: sorted((r["request_id"], r["text"]) for r in found if r["mode"] == "unconstrained")  # noqa: E731
    assert unconstrained(again) == unconstrained(before)  # what was drawn again is what was drawn before


def test_a_run_that_was_killed_within_a_pixels_character_goes_on(recipe, run, tmp_path):
    torn = shutil.copytree(run, tmp_path / "tiny")
    lines = (torn / "completions.jsonl").read_bytes().splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if b'"mode": "grammar"' in line)
    place = lines[last].index("º".encode()) + 1  # the first of its two bytes is there
    (torn / "completions.jsonl").write_bytes(b"".join(lines[:last]) + lines[last][:place])
    with pytest.raises(UnicodeDecodeError):
        (torn / "completions.jsonl").read_text(encoding="utf-8")
    generate(recipe, tmp_path)
    again = (torn / "completions.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["text"] for line in again] == [json.loads(line)["text"] for line in lines]


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85", "\x0b\x1c"])
def test_texts_with_other_ends_of_lines_are_whole_rows(recipe, run, tmp_path, end):
    odd = shutil.copytree(run, tmp_path / "tiny")
    found = rows(odd / "completions.jsonl")
    found[-1]["text"] = f"Here{end}is{end}a fish"
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found)
    (odd / "completions.jsonl").write_text(text, encoding="utf-8")
    (name,) = recipe.generators
    generate(recipe, tmp_path)
    assert (odd / "completions.jsonl").read_text(encoding="utf-8") == text  # complete: nothing is drawn again
    answer = Run(recipe, odd).recorded(name)
    (drawn,) = answer([Request("", 16, 16, named("reef64"), 1, found[-1]["index"])], None, found[-1]["mode"], 1)
    assert drawn.text == found[-1]["text"]


def test_a_drawing_in_its_own_palette_is_not_what_was_asked_for(recipe, run):
    own = encode(np.ones((16, 16), np.uint8), Palette(FREE, ("ff0000", "00ff00")))
    filled = Run(recipe, run)
    row = filled.row("x", "model", "unconstrained", 0, own, 0.0, 0)
    assert not row["valid"] and "asked for reef64" in row["error"]
    assert filled.row("x", "model", "unconstrained", 0, encode(np.ones((16, 16), np.uint8), filled.palette), 0.0, 0)["valid"]


def test_what_was_measured_while_the_adapter_trained_comes_along(recipe, run, tmp_path, monkeypatch):
    filled = Run(recipe, shutil.copytree(run, tmp_path / "tiny"))
    for name in ("training_log.jsonl", "samples.jsonl"):
        assert not (filled.folder / name).exists()
        (tmp_path / name).write_text(f'{{"step": 1, "file": "{name}"}}\n')
    monkeypatch.setattr(Run, "_adapter", lambda self: tmp_path)
    filled._copy_logs()
    assert rows(filled.folder / "training_log.jsonl") == [{"step": 1, "file": "training_log.jsonl"}]
    assert rows(filled.folder / "samples.jsonl") == [{"step": 1, "file": "samples.jsonl"}]


def test_an_adapter_that_went_on_from_another_has_no_known_time(tmp_path):
    published = Path(__file__).parents[2] / "adapters/smollm2-135m-reef-16"  # its log is of 4,480 of 9,280 sprites
    assert training_seconds(Rival(adapter=str(published))) is None
    shutil.copy(published / "pixelreef.json", tmp_path)
    assert log_of(Rival(adapter=str(tmp_path))) is log_of(Rival(base="smollm2-135m")) is None
    (tmp_path / "training_log.jsonl").write_text('{"step": 1, "sprites": 9280, "seconds": 60.0}\n')
    assert training_seconds(Rival(adapter=str(tmp_path))) == 60.0


def test_shuffled_captions_come_from_another_zone_and_category(reef):
    chosen = [sprite for _, sprite in choose_prompts(read_split(reef, "test", load_palette(reef)), 24, 1)]
    for sprite, other in zip(chosen, other_subjects(chosen), strict=True):
        assert other.caption != sprite.caption
        assert (other.tags["zone"], other.tags["category"]) != (sprite.tags["zone"], sprite.tags["category"])
    assert sorted(s.id for s in other_subjects(chosen)) == sorted(s.id for s in chosen)


def test_other_weights_are_another_run(recipe, run, tiny_qwen3, tmp_path):
    from dataclasses import replace

    other = shutil.copytree(tiny_qwen3, tmp_path / "other")
    weights = load_file(other / "model.safetensors")
    save_file({key: value * 1.5 for key, value in weights.items()}, other / "model.safetensors", {"format": "pt"})
    moved = shutil.copytree(tiny_qwen3, tmp_path / "moved")
    base = lambda folder: {"base model tiny": {"base": str(folder)}}  # noqa: E731
    assert identity(replace(recipe, generators=base(moved))) == identity(recipe)
    with pytest.raises(ValueError, match="another recipe, adapter or dataset"):
        generate(replace(recipe, generators=base(other)), run.parent)
    assert str(tiny_qwen3.parent) not in (run / "recipe.json").read_text()


def test_another_recipe_does_not_touch_the_folder(recipe, run):
    from dataclasses import replace

    with pytest.raises(ValueError, match="another recipe"):
        generate(replace(recipe, seed=5), run.parent)


def test_score_and_report_through_the_command(run, capsys):
    assert main(["score", str(run)]) == 0 and main(["report", str(run)]) == 0
    summary = json.loads((run / "summary.json").read_text())
    assert summary["prompts"] == 12
    assert "base model tiny" in (run / "report.html").read_text() and "base model tiny" in (run / "report.md").read_text()
    assert str(run / "report.html") in capsys.readouterr().out


@pytest.mark.parametrize(
    "change, said",
    [
        ({"prompt": 3}, "'prompts'"),
        ({"name": None}, "mapping"),
        ({}, "missing"),
        (GOOD | {"name": "../up"}, "name"),
        (GOOD | {"generators": ["a"]}, "generator"),
        (GOOD | {"generators": {"a": {"weights": "x"}}}, "generator 'a'"),
        (GOOD | {"prompts": 0}, "prompts"),
        (GOOD | {"prompts": True}, "prompts"),
        (GOOD | {"roles": {"base": "b"}}, "roles"),
        (GOOD, "nowhere"),
    ],
)
def test_bad_recipes_name_the_key(tmp_path, capsys, change, said):
    path = tmp_path / "r.yaml"
    path.write_text("[]" if change == {"name": None} else yaml.safe_dump(change))
    assert main(["draw", "--recipe", str(path)]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error and "\n" not in error


def test_the_shipped_recipe_is_valid():
    from pathlib import Path

    demo = read_recipe(Path(__file__).parents[2] / "eval" / "recipes" / "demo.yaml")
    assert set(demo.roles.values()) <= set(demo.generators)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["draw"], "caption"),
        (["draw", "  "], "caption"),
        (["draw", "x" * 501], "501 characters"),
        (["draw", "fish", "--n", "0"], "--n"),
        (["draw", "fish", "--out", "fish.gif"], ".png"),
        (["draw", "fish", "--adapter", "nowhere"], "nowhere"),
        (["score", "nowhere"], "nowhere"),
        (["report", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, said, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert said in error[-1] and all(line.startswith("loading ") for line in error[:-1])


@pytest.mark.parametrize(
    "flags", [["--size", "3"], ["--size", "100"], ["--size", "-5"], ["--size", "0"], ["--seed", "-1"], ["--seed", str(2**64)]]
)
def test_what_cannot_be_drawn_is_refused(tiny_qwen3, tmp_path, capsys, flags):
    assert main(["draw", "fish", "--base", str(tiny_qwen3), "--out", str(tmp_path / "x.png"), *flags]) == 2
    assert flags[0][2:] in capsys.readouterr().err.splitlines()[-1] and not (tmp_path / "x.png").exists()


def test_drawing_from_the_shell_writes_indexed_pngs_that_say_how(tiny_qwen3, tmp_path, capsys):
    from PIL import Image

    out = tmp_path / "fish.png"
    command = ["draw", "a red fish <b>", "--base", str(tiny_qwen3), "--n", "2", "--seed", "7", "--scale", "3", "--out", str(out)]
    assert main(command) == 0
    with Image.open(tmp_path / "fish-1.png") as image:
        assert image.mode == "P" and image.size == (48, 48) and image.info["transparency"] == 0
        assert image.text["caption"] == "a red fish <b>" and image.text["seed"] == "7" and image.text["index"] == "1"
    assert not out.exists() and (tmp_path / "fish-0.png").exists()
