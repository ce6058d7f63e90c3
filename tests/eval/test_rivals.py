"""The generators of a recipe: keys, what they spread into, identity, and a run with all of them."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from listed_generator import Listed
from run_folders import reef_sprites

from data_prep.errors import InputError
from data_prep.palette import named
from eval import rivals
from eval.caption_words import CLASSES, states
from eval.cli import main
from eval.decoding import Sampling
from eval.generate import GenerateRecipe, Run, generate, identity, read_recipe
from eval.generators import GRAMMAR, LanguageModel, Request
from eval.prompting import Examples, Prompted

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def skill(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("skills") / "short.md"
    path.write_text("Draw the outline.\nThen the eye.")
    return path


@pytest.fixture(scope="module")
def small_reef(tmp_path_factory) -> Path:
    """Folder of a prepared dataset: 120 procedural sprites of 8×8."""
    from data_prep.prepare import PrepareRecipe, prepare

    recipe = PrepareRecipe("small", ({"kind": "procedural", "seed": 1, "count": 120},), (8,))
    return prepare(recipe, tmp_path_factory.mktemp("datasets") / "small")


@pytest.fixture(scope="module")
def recipe(tiny_qwen3, small_reef, skill) -> GenerateRecipe:
    base = {"base": str(tiny_qwen3)}
    generators = {
        "bare": base,
        "shots": base | {"examples": 1},
        "skill": base | {"skill": str(skill), "leave_out": "sentence"},
        "best": base | {"best_of": 2},
        "again": base | {"rounds": 2},
    }
    counts = {"prompts": 3, "unconstrained": 0, "likelihoods": 2, "batch_size": 6}
    return GenerateRecipe("rivals", str(small_reef), generators, {"base": "again, round 0"}, dtype="float32", **counts)


@pytest.fixture(scope="module")
def run(recipe, tmp_path_factory) -> Path:
    return generate(recipe, tmp_path_factory.mktemp("runs"))


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_entries_spread_into_single_rivals(recipe):
    names = list(rivals.spread(recipe.generators))
    assert names == [
        "bare", "shots", "skill", "skill − sentence 1", "skill − sentence 2", "best", "again, round 0", "again, round 1",
        "again, round 2",
    ]  # fmt: skip
    found = rivals.spread(recipe.generators)
    assert [found[f"again, round {r}"].earlier for r in range(3)] == [None, "again, round 0", "again, round 1"]
    assert len({rival.weights for rival in found.values()}) == 1


def test_a_run_has_every_rival_on_the_same_prompts(run, recipe):
    counts = Counter((row["generator"], row["mode"]) for row in rows(run / "completions.jsonl") if row["mode"] != "control")
    names = rivals.spread(recipe.generators)
    assert counts == {(name, GRAMMAR): 3 for name in names}
    measured = Counter(row["generator"] for row in rows(run / "likelihoods.jsonl"))
    less = ("skill − sentence 1", "skill − sentence 2")  # compared by the right caption alone
    assert measured == {n: 2 if n in less else 6 for n in names if n not in ("best", "again, round 1", "again, round 2")}
    told = json.loads((run / "recipe.json").read_text())
    assert told["left_out"] == {less[0]: "Draw the outline.", less[1]: "Then the eye."} and told["training_seconds"] == {}


def test_rounds_go_on_from_the_rows_of_the_round_before(run):
    texts = {(r["generator"], r["mode"], r["index"]): r for r in rows(run / "completions.jsonl")}
    for index in range(3):
        bare, *rounds = (texts[name, GRAMMAR, index] for name in ("bare", *(f"again, round {r}" for r in range(3))))
        assert rounds[0]["text"] == bare["text"] and len({row["text"] for row in rounds}) == 3  # a random model is never right
        assert rounds[0]["tokens"] < rounds[1]["tokens"] < rounds[2]["tokens"]
        assert rounds[0]["seconds"] < rounds[1]["seconds"] < rounds[2]["seconds"]


def test_what_is_told_changes_the_drawing_and_best_of_costs_twice(run):
    texts = {(r["generator"], r["mode"], r["index"]): r for r in rows(run / "completions.jsonl")}
    names = ("bare", "shots", "skill", "skill − sentence 1", "skill − sentence 2")
    assert len({tuple(texts[name, GRAMMAR, index]["text"] for index in range(3)) for name in names}) == len(names)
    assert texts["best", GRAMMAR, 0]["tokens"] == 2 * texts["bare", GRAMMAR, 0]["tokens"]


def test_a_killed_run_goes_on_within_the_rounds(run, recipe, tmp_path):
    torn = shutil.copytree(run, tmp_path / "rivals")
    before = rows(run / "completions.jsonl")
    kept = [row for row in before if row["generator"] != "again, round 2" and (row["generator"], row["index"]) != ("best", 1)]
    (torn / "completions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))
    generate(recipe, tmp_path)
    key = lambda row: (row["generator"], row["mode"], row["request_id"], row["text"])  # noqa: E731
    assert sorted(map(key, rows(torn / "completions.jsonl"))) == sorted(map(key, before))


def test_score_and_report_take_a_run_of_rivals(run):
    assert main(["score", str(run)]) == 0 and main(["report", str(run)]) == 0
    text = (run / "report.md").read_text()
    assert all(name in text for name in ("shots", "skill − sentence 2", "best", "again, round 2"))


def test_the_identity_covers_skill_and_options_and_no_place(run, recipe, skill, tmp_path):
    swap = lambda name, **more: replace(  # noqa: E731
        recipe, generators=recipe.generators | {name: recipe.generators[name] | more}, roles={}
    )
    moved, other = tmp_path / "moved.md", tmp_path / "other.md"
    moved.write_text(skill.read_text())
    other.write_text("Draw nothing.\nThen the eye.")
    plain = identity(replace(recipe, roles={}))
    assert identity(swap("skill", skill=str(moved))) == plain != identity(swap("skill", skill=str(other)))
    for name, more in (("shots", {"examples": 4}), ("best", {"best_of": 3}), ("again", {"rounds": 1})):
        assert identity(swap(name, **more)) != plain
    assert str(skill.parent) not in (run / "recipe.json").read_text()
    shown = json.loads((run / "recipe.json").read_text())["generators"]
    assert shown["skill"] == {"base": "tiny-qwen3", "skill": "short.md", "leave_out": "sentence"}
    assert shown["best"] == {"base": "tiny-qwen3", "best_of": 2}


def test_an_entry_without_options_keeps_its_identity(tiny_qwen3):
    """Runs of before are gone on with."""
    from finetune.base_models import resolve

    assert rivals.fingerprint({"base": str(tiny_qwen3)}) == ["", resolve(str(tiny_qwen3)).sha256]


@pytest.mark.parametrize(
    "entry, told",
    [
        ({"base": "b", "exampels": 4}, "unknown key 'exampels'; the nearest valid one is 'examples'"),
        ({"base": "b", "bestof": 4}, "'best_of'"),
        ({"examples": 4}, "needs 'adapter: FOLDER'"),
        ({"base": "b", "examples": 0}, "examples is 0; it takes 1 to 16"),
        ({"base": "b", "examples": True}, "examples is True"),
        ({"base": "b", "best_of": "4"}, "best_of is '4'; it takes 2 to 64"),
        ({"base": "b", "rounds": 9}, "rounds is 9"),
        ({"base": 3}, "base is 3"),
        ({"base": "b", "skill": ["x"]}, "skill is"),
        ({"base": "b", "leave_out": "sentence"}, "needs a skill"),
        ({"base": "b", "skill": "s.md", "leave_out": "letter"}, "leave_out is 'letter'; it takes sentence or word"),
        ({"transformer": "t", "leave_out": "sentence"}, "needs a skill"),
        ({"base": "b", "temperature": float("nan")}, "temperature is nan"),
        ({"endpoint": "http://127.0.0.1:1/v1"}, "endpoint and model go together"),
        ({"base": "b", "model": "m"}, "endpoint and model go together"),
        ({"endpoint": "file:///etc/passwd", "model": "m"}, "give the address of a server"),
        ({"endpoint": "http://127.0.0.1:1/v1", "model": "m", "best_of": 4}, "it cannot take 'best_of'"),
        ({"endpoint": 3, "model": "m"}, "endpoint is 3"),
        ({"base": "b", "skill": "nowhere.md", "leave_out": "sentence"}, "nowhere.md"),
        ({"transformer": "t", "examples": 4}, "it cannot read 'examples'"),
        ({"transformer": "t", "skill": "s.md"}, "it cannot read 'skill'"),
        ({"base": "b", "rounds": 2, "best_of": 4}, "rounds and best_of"),
    ],
)
def test_entries_that_cannot_be_meant_are_refused_in_one_line(tmp_path, capsys, entry, told):
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump({"name": "x", "dataset": "nowhere", "generators": {"a": entry}, "roles": {}}))
    assert main(["draw", "--recipe", str(path)]) == 2
    error = capsys.readouterr().err.strip()
    assert told in error and "\n" not in error


def test_left_out_words_spread_and_reach_the_model(tmp_path):
    fake = Listed(lambda request: request.caption)
    found = rivals.spread({"a": {"base": "b", "leave_out": "word"}})
    assert list(found) == ["a", *(f"a − {word}" for word in CLASSES)] and len({rival.weights for rival in found.values()}) == 1
    asked = Request("a small red crab", 8, 8, named("reef64"))
    texts = [d.text for r in found.values() for d in r.around(fake, [], lambda name: None).answer([asked], Sampling())]
    whole = "a small red crab"
    assert texts == [whole, "a small crab", whole, whole, "a red crab", whole, "a small red"]
    assert found["a − colour"].told == "the caption without colour words" and found["a − colour"].left_out == "colour"


def test_examples_are_chosen_by_the_words_that_are_left():
    training = [sprite for sprite in reef_sprites()[0] if sprite.tags["colour"] in ("red", "blue")]
    told = rivals.Rival(base="b", examples=4, word="colour").around(Listed(lambda r: ""), training, lambda name: None)
    asked = told.tell(Request("a red octopus", 16, 16, named("reef64")))
    chosen = told.generator.tell(asked)
    assert asked.caption == "an octopus" and chosen.chat.examples == Examples(training, 4)(asked).chat.examples


def test_only_prompts_with_such_words_are_drawn_and_measured(recipe, tmp_path):
    entry = {"words": recipe.generators["bare"] | {"leave_out": "word"}}
    run = Run(
        replace(recipe, name="words", generators=entry, roles={}, prompts=9, likelihoods=5, unconstrained=2), tmp_path / "words"
    )
    for word in CLASSES:
        name = f"words − {word}"
        wanted = [i for i, (_, sprite) in enumerate(run.prompts) if states(sprite.caption, word)]
        assert run.asked(name) == wanted and run.measured(name) == [i for i in wanted if i < 5]
        assert run.unconstrained(name) == [] and run.conditions(name) == ["caption"]
    assert run.asked("words") == list(range(9)) and run.unconstrained("words") == [0, 1] and len(run.conditions("words")) == 3


def test_a_transformer_that_reads_tags_has_no_words_to_leave_out(monkeypatch):
    config = {"conditions": {"reads": "tags"}, "facts": {"recipe": {"condition_dropout": 0.1}}}
    monkeypatch.setattr(rivals, "read_config", lambda folder: config)
    with pytest.raises(InputError, match="reads tags, no captions"):
        rivals.Rival(transformer="t", word="colour").load("float32")


def test_an_endpoint_is_a_rival_without_likelihoods_and_without_its_host(monkeypatch):
    from eval import endpoint

    made = []
    monkeypatch.setattr(endpoint, "Endpoint", lambda url, model: made.append((url, model)) or Listed(lambda r: "served"))
    entry = {"endpoint": "http://127.0.0.1:8000/v1", "model": "m"}
    rivals.check("served", entry)
    (rival,) = rivals.spread({"served": entry}).values()
    assert not rival.has_own_likelihoods and rival.told == "the caption" and rival.can_be_told_nothing
    drawn = rival.around(rival.load("float32"), [], lambda name: None).answer([Request("a", 8, 8, named("reef64"))], Sampling())
    assert [d.text for d in drawn] == ["served"] and made == [("http://127.0.0.1:8000/v1", "m")]
    elsewhere = entry | {"endpoint": "https://example.org:1/v1"}
    prints = [json.dumps(rivals.fingerprint(one)) for one in (entry, elsewhere, entry | {"model": "n"})]
    assert len(set(prints)) == 3 and not any(host in one for one in prints for host in ("127.0.0.1", "8000", "example"))
    assert rivals.fingerprint(entry) == rivals.fingerprint(entry | {"endpoint": "http://127.0.0.1:8000/"})  # the same address
    assert rivals.published(entry) == {"endpoint": "/v1", "model": "m"}
    assert rivals.published(entry | {"model": "/home/she/models/fish.gguf"})["model"] == "fish.gguf"


@pytest.mark.parametrize("url", ["ftp://a/v1", "http://", "http://a:0/v1", "http://she:secret@a/v1", "http://a/v1?key=1"])
def test_a_servers_address_is_checked_as_everywhere(url):
    with pytest.raises(InputError, match="generator 'served': endpoint") as error:
        rivals.check("served", {"endpoint": url, "model": "m"})
    assert "secret" not in str(error.value)


def test_two_rivals_of_one_name_are_refused():
    with pytest.raises(ValueError, match="'a, round 1'"):
        rivals.spread({"a": {"base": "b", "rounds": 1}, "a, round 1": {"base": "b"}})


def test_the_shipped_recipes_are_valid(monkeypatch):
    monkeypatch.chdir(ROOT)
    for path in sorted((ROOT / "eval" / "recipes").glob("*.yaml")):
        recipe = read_recipe(path)
        assert set(recipe.roles.values()) <= set(rivals.spread(recipe.generators)), path.name


def test_too_long_a_skill_is_refused_before_anything_is_drawn(tiny_qwen3, tmp_path):
    path = tmp_path / "long.md"
    path.write_text("Draw well. " * 300)
    model = LanguageModel.load(base=str(tiny_qwen3), dtype="float32")
    rival = rivals.Rival(base=str(tiny_qwen3), skill=str(path))
    with pytest.raises(ValueError, match="at most 400"):
        rival.around(model, [], lambda name: None)
    path.write_text("Draw well.")
    assert isinstance(rival.around(model, [], lambda name: None), Prompted)


@pytest.mark.parametrize("flags, told", [(["--best-of", "0"], "--best-of 0"), (["--best-of", "65"], "1 to 64")])
def test_best_of_on_the_command_line_is_checked(tiny_qwen3, tmp_path, capsys, flags, told):
    out = tmp_path / "x.png"
    assert main(["draw", "fish", "--base", str(tiny_qwen3), "--out", str(out), *flags]) == 2
    assert told in capsys.readouterr().err.splitlines()[-1] and not out.exists()


def test_the_best_of_three_from_the_shell_is_one_of_the_three(tiny_qwen3, tmp_path):
    from PIL import Image

    from data_prep import grid_text
    from data_prep.palette import named
    from eval.best_of import STEP
    from eval.decoding import Sampling
    from eval.draw import read_png
    from eval.generators import Request

    out = tmp_path / "fish.png"
    command = ["draw", "a red crab", "--base", str(tiny_qwen3), "--size", "8", "--seed", "7", "--best-of", "3", "--out", str(out)]
    assert main(command) == 0
    with Image.open(out) as image:
        assert image.text["best_of"] == "3" and image.text["generator"].endswith("best of 3")
    reef = named("reef64")
    model = LanguageModel.load(base=str(tiny_qwen3))
    asked = [Request("a red crab", 8, 8, reef, 7, j * STEP) for j in range(3)]
    drawn = [grid_text.read(d.text).grid.tobytes() for d in model.answer(asked, Sampling())]
    assert read_png(out, reef).grid.tobytes() in drawn
