"""Wheel and sdist: what is in them, and that they work where there is no repository. Pins and extras: one solve."""

import email
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from dependencies import extras, pins
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from small_pipeline import QUIET, ROOT, Pipeline

PACKAGES = {"data_prep", "finetune", "eval"}
BESIDE = {"LICENSE", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg", "pixelreef.egg-info", "tests"}
CUDA = ("cuda-", "nvidia-", "triton")  # what a build of torch for GPUs brings beside, pinned by torch itself
BUILD = "import sys; from setuptools import build_meta as b; out = sys.argv[1]; b.build_wheel(out); b.build_sdist(out)"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, Path]:
    """(wheel, sdist) of a copy of the tracked files, so that nothing lies about in the repository afterwards."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in committed():
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    done = subprocess.run([sys.executable, "-c", BUILD, out], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


def committed() -> list[str]:
    """Files that git tracks, or would, of the packages and beside them."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    wanted = (*PACKAGES, "pyproject.toml", "README.md", "LICENSE")
    return [name for name in listed if name.split("/")[0] in wanted and (ROOT / name).is_file()]


def test_the_wheel_holds_every_file_of_the_three_packages_and_nothing_else(built):
    with zipfile.ZipFile(built[0]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == {name for name in committed() if name.split("/")[0] in PACKAGES}
    kinds = {name.rpartition(".")[2] for name in names}
    assert kinds >= {"py", "yaml", "json", "jinja", "css", "js", "md", "safetensors", "svg"}


def test_the_sdist_holds_only_the_packages_and_what_builds_them(built):
    with tarfile.open(built[1]) as sdist:
        tops = {name.split("/")[1] for name in sdist.getnames() if "/" in name}
    assert tops <= PACKAGES | BESIDE and tops >= PACKAGES | {"LICENSE", "pyproject.toml"}


def test_the_wheel_asks_for_what_pyproject_says(built):
    with zipfile.ZipFile(built[0]) as wheel:
        (name,) = (one for one in wheel.namelist() if one.endswith(".dist-info/METADATA"))
        told = email.message_from_bytes(wheel.read(name))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    plain = {str(Requirement(one)) for one in told.get_all("Requires-Dist") if "extra ==" not in one}
    assert plain == {str(Requirement(one)) for one in project["dependencies"]}
    assert set(told.get_all("Provides-Extra")) == set(project["optional-dependencies"])
    assert told["Requires-Python"] == project["requires-python"] and told["License-Expression"] == project["license"]


@pytest.mark.slow
def test_the_wheel_draws_in_a_clean_environment_outside_the_repository(built, tmp_path):
    """The libraries are borrowed from this environment by a .pth file: what is tried is what the wheel brings."""
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    borrowed = next(path for path in map(Path, sys.path) if path.name == "site-packages")
    with zipfile.ZipFile(built[0]) as wheel:  # what an installer does with a wheel of pure Python
        wheel.extractall(site)
    for editable in borrowed.glob("__editable__*"):
        assert editable.suffix in (".pth", ".py")  # not followed by addsitedir of a plain path line
    (site / "borrowed.pth").write_text(f"{borrowed}\n")
    outside = tmp_path / "elsewhere"
    pipeline = Pipeline(outside / "work", python=str(python), cwd=outside)
    where = subprocess.run(
        [python, "-c", "import eval.cli; print(eval.cli.__file__)"], cwd=outside, capture_output=True, text=True, check=True
    )
    assert Path(where.stdout.strip()).is_relative_to(site)
    nowhere = {"PYTHONPATH": ""}
    pipeline.run("prepare", nowhere)
    pipeline.run("train", nowhere)
    drawn = outside / "octopus.png"
    command = [python, "-m", "eval.cli", "draw", "a red octopus", "--transformer", pipeline.model, "--seed", "3", "--out", drawn]
    done = subprocess.run(list(map(str, command)), cwd=outside, env={**os.environ, **QUIET}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert drawn.read_bytes().startswith(b"\x89PNG")
    for step in ("draw", "score", "report"):  # critics, templates and style sheets come with the wheel
        pipeline.run(step, nowhere)
    assert json.loads((pipeline.drawn / "summary.json").read_text())


def test_every_requirement_of_every_extra_has_one_pin_that_satisfies_it():
    pinned = pins()
    for extra, requirements in extras().items():
        for requirement in map(Requirement, requirements):
            if requirement.name == "pixelreef":
                assert requirement.extras == set(extras()) - {"", "all"}
                continue
            version = pinned.get(canonicalize_name(requirement.name))
            assert version and requirement.specifier.contains(version, prereleases=True), f"{extra or 'plain'}: {requirement}"


def test_the_pins_are_one_solve_of_all_extras():
    """Walks what each installed library asks for, from the extras on: each has a pin that fits, and no pin is idle."""
    from importlib.metadata import PackageNotFoundError, requires, version

    pinned, seen, todo = pins(), {}, [Requirement(one) for some in extras().values() for one in some]
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        new = requirement.extras - seen.get(name, set()) if name in seen else {"", *requirement.extras}
        seen.setdefault(name, set()).update(new)
        if name == "pixelreef" or not new or name.startswith(CUDA):
            continue
        assert name in pinned, f"{requirement} has no pin"
        assert requirement.specifier.contains(pinned[name], prereleases=True), f"{requirement}, but {pinned[name]} is pinned"
        try:
            assert version(name).split("+")[0] == pinned[name].split("+")[0], f"{name}: another version is installed"
            asks = map(Requirement, requires(name) or ())
        except PackageNotFoundError:
            pytest.fail(f"{name} is pinned and asked for, but not installed; run `make .venv/installed`")
        todo += [one for one in asks if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in new)]
    idle = set(pinned) - set(seen)
    assert not idle, f"pinned, but nothing asks for them: {sorted(idle)}"


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="what asks for what depends on Python's version")
def test_the_list_of_dependencies_is_what_the_script_writes():
    from dependencies import page

    assert (ROOT / "docs" / "dependencies.md").read_text() == page(), "run `python tests/dependencies.py`"


@pytest.mark.parametrize("minor", [11, 12, 13])
def test_the_code_is_python_that_each_supported_version_reads(minor, tmp_path):
    """With that interpreter where it is there; syntax only."""
    found = [f"python3.{minor}", *sorted((Path.home() / ".pyenv" / "versions").glob(f"3.{minor}.*/bin/python"))]
    for python in map(str, found):
        try:
            subprocess.run([python, "--version"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        command = [python, "-c", COMPILE, *sorted(PACKAGES)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return
    pytest.skip(f"no Python 3.{minor} here")


COMPILE = (
    "import ast, pathlib, sys\n"
    "assert sys.version_info[:2] >= (3, 11)\n"
    "files = [f for name in sys.argv[1:] for f in pathlib.Path(name).rglob('*.py')]\n"
    "[compile(f.read_text('utf-8'), str(f), 'exec') for f in files]"
)


def test_the_supported_versions_are_said_in_one_way():
    text = (ROOT / "pyproject.toml").read_text()
    assert re.search(r'requires-python = ">=3\.11"', text) and 'target-version = "py311"' in text
    assert 'python_version = "3.11"' in text
