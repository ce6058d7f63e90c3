"""Runs the README's commands and Python in a small setting: a tiny base model, few sprites, few steps."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line.split("  #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.strip() and not line.startswith(("make ", ". .venv"))
]
SMALL_TRAINING = (
    "--processes 1 --use_cpu true --max_steps 2 --eval_sprites 2 --save_strategy no --per_device_train_batch_size 1 "
    "--logging_steps 1"
)
SMALL_RIVAL = [part for key in ("steps=2", "sheet_sprites=2", "eval_sprites=2") for part in ("--set", key)]
ONE_PROCESS = "accelerate.commands.launch --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no"
ADAPTER = "adapters/smollm2-135m-reef-16"


@pytest.fixture(scope="module")
def place(tiny_qwen3, reef, tmp_path_factory) -> Path:
    """A folder laid out like a clone, in which the published adapter and the prepared data are tiny."""
    place = tmp_path_factory.mktemp("clone")
    for package in ("data_prep", "finetune", "eval"):
        (place / package).symlink_to(ROOT / package)
    for folder in ("datasets", "adapters", "runs"):
        (place / folder).mkdir()
    shutil.copytree(reef, place / "datasets" / "reef16_tiny")
    with zipfile.ZipFile(place / "my_sprites.zip", "w") as archive:
        for number, (name, png) in enumerate(some_pngs()):
            archive.writestr(f"{name}_{number:02}.png", png)
    with zipfile.ZipFile(place / "my_sprites.zip") as archive:
        archive.extractall(place / "my_sprites")
    with zipfile.ZipFile(place / "sheets.zip", "w") as archive:
        archive.writestr("reef creatures.png", sheet_of([png for _, png in some_pngs()[:24]]))
    (place / "hero.png").write_bytes(some_pngs()[0][1])
    (place / "game.gpl").write_text("GIMP Palette\n" + "".join(f"{v} {255 - v} 40 step\n" for v in range(0, 256, 32)))
    command = "accelerate launch finetune/train.py --config finetune/recipes/smollm2_135m.yaml --dataset datasets/reef16_tiny"
    command += " --output_dir runs/tiny"
    done = run(small(command, tiny_qwen3), place)
    assert done.returncode == 0, done.stderr[-3000:]
    shutil.copytree(place / "runs" / "tiny" / "adapter", place / ADAPTER)
    return place


def some_pngs() -> list[tuple[str, bytes]]:
    import io

    from PIL import Image

    from data_prep.sources import procedural

    found = []
    for index in range(60):
        sprite, png = procedural.sprite(5, index, 16), io.BytesIO()
        Image.fromarray(sprite.rgba(), "RGBA").save(png, "PNG")
        found.append((sprite.tags["plan"].replace(" ", "_"), png.getvalue()))
    return found


def sheet_of(pngs: list[bytes], columns: int = 6, side: int = 18) -> bytes:
    """A PNG with the pictures in a grid, a pixel's margin around each."""
    import io

    from PIL import Image

    sheet = Image.new("RGBA", (columns * side, -(-len(pngs) // columns) * side))
    for number, png in enumerate(pngs):
        sheet.paste(Image.open(io.BytesIO(png)), (number % columns * side + 1, number // columns * side + 1))
    written = io.BytesIO()
    sheet.save(written, "PNG")
    return written.getvalue()


def small(command: str, model: Path) -> list[str]:
    """The command with what makes it small; fails for a command that this test does not know."""
    words = shlex.split(command)
    python = [sys.executable, "-m"]
    if words[:4] == ["accelerate", "launch", "-m", "eval.baseline.train"]:
        return [*python, *words[3:], *SMALL_RIVAL]
    if words[:2] == ["accelerate", "launch"]:
        script = words.index("finetune/train.py")
        return [*python, *ONE_PROCESS.split(), *words[script:], "--model_name_or_path", str(model), *SMALL_TRAINING.split()]
    assert words[0] == "pixelreef", f"the README has a command that is not tested: {command}"
    if words[1] in ("draw", "breed") and "--recipe" not in words:
        return [*python, "eval.cli", *words[1:], "--base", str(model)]
    if words[1] == "train":
        return [*python, "eval.cli", *words[1:3], "--base", str(model), "--steps", "10"]
    if words[1] == "prepare" and "recipes/reef" in command:
        return [*python, "eval.cli", *words[1:], "--set", "sources.0.count=150"]
    return [*python, "eval.cli", *words[1:]]


def run(command: list[str], place: Path) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=400, env=environment)


def test_the_commands_run_in_their_order(place, tiny_qwen3):
    recipe = place / "small.yaml"
    text = (ROOT / "eval/recipes/smollm2_135m_reef_16.yaml").read_text()
    text = re.sub(r"{base: .*?}", f"{{base: {tiny_qwen3}}}", text)
    text = re.sub(r"  sprite transformer, as published: .*\n", "", text)  # the README trains the improved one alone
    text = text.replace(f"{{adapter: {ADAPTER}}}", f"{{adapter: {ADAPTER}, base: {tiny_qwen3}}}")
    recipe.write_text(re.sub(r"(prompts|unconstrained|likelihoods): \d+", r"\1: 6", text))
    assert len(COMMANDS) >= 10
    for command in COMMANDS:
        done = run(small(command.replace("eval/recipes/smollm2_135m_reef_16.yaml", str(recipe)), tiny_qwen3), place)
        assert done.returncode == 0, f"{command}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
    assert (place / "fish-7.png").exists() and (place / "octopus.png").exists()
    assert (place / "runs/smollm2-135m-reef-16-report/report.html").stat().st_size > 10_000
    assert (place / "lit.png").exists() and (place / "round.gif").exists() and (place / "family/tree.png").exists()
    assert (place / "runs/baseline-improved-reef16/model/model.safetensors").exists()
    assert (place / "crabs.png").exists() and (place / "crabs.json").exists() and (place / "another.png").exists()
    assert (place / "datasets/both/manifest.json").exists()
    assert (place / "runs/mine/adapter/adapter_model.safetensors").exists()
    assert (place / "runs/qwen3-1.7b-qlora-reef-32/adapter/adapter_model.safetensors").exists()


def test_the_python_runs(place, tiny_qwen3):
    """The snippets as they stand, but for the base model's name."""
    for snippet in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        snippet = snippet.replace('"HuggingFaceTB/SmolLM2-135M-Instruct"', repr(str(tiny_qwen3)))
        snippet = snippet.replace(f'load("{ADAPTER}")', f'load("{ADAPTER}", base={str(tiny_qwen3)!r})')
        done = run([sys.executable, "-c", snippet], place)
        assert done.returncode == 0, done.stderr[-3000:]
        assert "LanguageModel" not in snippet or done.stdout.count("(16, 16) reef64") == 4


def test_links_and_pictures_are_there():
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in target]
    assert targets and all((ROOT / target).exists() for target in targets)


def test_numbers_in_prose_are_the_codes_own():
    from data_prep.sources.procedural import PLANS
    from eval.controls import DEGENERATE

    assert f"[{sum(map(len, PLANS.values()))} body plans]" in README
    assert len(DEGENERATE) == 11 and "eleven degenerate controls" in README


def test_the_makefile_has_what_the_readme_promises():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make ([a-z-]+)", README):
        assert f"\n{target}:" in makefile
