"""`pixelreef draw`: files and what they say, drawn again by `--like`, palettes, sizes, sheets, and one line for bad input."""

import json
import shutil
from copy import copy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from run_folders import REEF, blob
from stand_in_server import standing_in

from data_prep.captions import prompt_hash
from data_prep.grid_text import read
from data_prep.sprite import Sprite
from eval import draw as command
from eval.cli import main
from eval.generators import LanguageModel
from eval.pictures import read_picture, read_png, write_png
from eval.redraw import read_how


@pytest.fixture(scope="module")
def transformer(tmp_path_factory) -> Path:
    """A sprite transformer of random weights for 6×6 and 8×10."""
    import torch

    from eval.baseline.conditions import Conditions
    from eval.baseline.model_folder import ModelFacts, save_model
    from eval.baseline.sprite_transformer import SpriteTransformer, SpriteTransformerConfig

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("transformers") / "random"
    shape = SpriteTransformerConfig(classes=(1,), width=32, layers=1, heads=2, hidden=32)
    facts = ModelFacts("random", ((6, 6), (8, 10)), REEF.hash, "", {}, 0, 0.0, 0)
    conditions = Conditions("caption", {"category": ("coral",)})
    save_model(folder, SpriteTransformer(shape).state_dict(), shape, conditions, REEF, facts)
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch, transformer) -> Path:
    """An empty working folder that has the transformer below runs/."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(transformer, tmp_path / "runs" / "random")
    return tmp_path


def draw(*words) -> int:
    return main(["draw", *map(str, words)])


def pixels(file) -> bytes:
    return Image.open(file).convert("RGBA").tobytes()


def said(file) -> dict:
    return dict(read_picture(Path(file)).said)


@pytest.fixture(scope="module")
def load_once():
    return cache(LanguageModel.load)


@pytest.fixture
def tiny(tiny_qwen3, load_once, monkeypatch) -> Path:
    """A language model of random weights that is loaded once."""
    monkeypatch.setattr(LanguageModel, "load", lambda *words: copy(load_once(*words)))
    return tiny_qwen3


CORAL = ("a coral", "--transformer", "runs/random")


# --- drawn again ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("--seed", 5),
        ("--n", 3, "--temperature", 0.7, "--top-k", 20, "--top-p", 0.9, "--min-p", 0.01, "--guidance", 1.5),
        ("--best-of", 2, "--scale", 3),
        ("--reference", "hero.png"),
        ("--palette", "four.hex"),
        ("--n", 5, "--sheet"),
        ("--force", "--size", 9),
    ],
)
def test_like_draws_the_same_file_again(place, capsys, words):
    hero(place)
    assert draw(*CORAL, *words, "--out", "old.png") == 0
    old = "old-2.png" if words[:2] == ("--n", 3) else "old.png"
    for name in ("hero.png", "four.hex"):
        (place / name).unlink()
    assert draw("--like", old, "--out", "again.png") == 0
    assert pixels("again.png") == pixels(old) and said("again.png") == said(old)
    assert words[-1] == "--sheet" or "the same pixels as old" in capsys.readouterr().err


def test_other_flags_change_single_values(place):
    assert draw(*CORAL, "--seed", 5, "--temperature", 0.5, "--out", "old.png") == 0
    assert draw("--like", "old.png", "--seed", 8, "--out", "new.png") == 0
    assert draw(*CORAL, "--seed", 8, "--temperature", 0.5, "--out", "expected.png") == 0
    assert pixels("new.png") == pixels("expected.png") != pixels("old.png")
    assert draw("--like", "old.png", "--n", 2, "--out", "more.png") == 0
    assert pixels("more-0.png") == pixels("old.png") != pixels("more-1.png")


def test_what_stood_stands_again_without_the_picture_it_came_from(place):
    sprite = Sprite(np.random.default_rng(0).integers(0, 64, (6, 6)), REEF)
    write_png(place / "top.png", sprite, 1, {})
    assert draw(*CORAL, "--continue", "top.png", "--rows", 2, "--out", "old.png") == 0
    (place / "top.png").unlink()
    assert draw("--like", "old.png", "--out", "again.png") == 0 and pixels("again.png") == pixels("old.png")
    assert draw("--like", "old.png", "--seed", 9, "--out", "new.png") == 0
    old, new = (read_png(Path(name), REEF).grid for name in ("old.png", "new.png"))
    assert (old[:2] == sprite.grid[:2]).all() and (new[:2] == sprite.grid[:2]).all() and (old != new).any()


def test_a_language_model_draws_again_what_it_drew(tiny, place, capsys):
    assert draw("a crab", "--base", tiny, "--size", 5, "--n", 2, "--out", "old.png") == 0
    assert draw("--like", "old-1.png", "--out", "again.png") == 2
    assert "give --base FOLDER" in capsys.readouterr().err
    assert draw("--like", "old-1.png", "--base", tiny, "--out", "again.png") == 0
    assert pixels("again.png") == pixels("old-1.png")
    assert str(tiny.parent) not in json.dumps(said("old-1.png"))


@pytest.mark.parametrize("base", ["evil/model", "here", "SmolLM2-135M", "../here"])
def test_a_picture_does_not_choose_what_is_loaded(place, capsys, monkeypatch, base):
    """A base model without its hash, as its author likes: neither the hub nor a folder here is opened."""
    monkeypatch.setattr(LanguageModel, "load", lambda *words: pytest.fail(f"loads {words}"))
    (place / "here").mkdir()
    write_png(place / "sent.png", Sprite(np.ones((6, 6), np.uint8), REEF, "a crab"), 1, {"seed": 1, "base": base})
    assert draw("--like", "sent.png", "--out", "again.png") == 2
    line = capsys.readouterr().err
    assert f"base model '{base}' (without its SHA-256) is not packaged; give --base FOLDER" in line and line.count("\n") == 1


def test_an_adapter_is_found_by_its_hash_whatever_it_is_called_now(tiny_qwen3, place, capsys):
    from peft import LoraConfig, get_peft_model

    from finetune.adapter_folder import AdapterFacts, write_adapter
    from finetune.base_models import load_model, load_tokenizer, resolve

    base = resolve(str(tiny_qwen3))
    lora = LoraConfig(task_type="CAUSAL_LM", r=2, target_modules="all-linear", init_lora_weights=False)
    model = get_peft_model(load_model(base), lora)
    facts = AdapterFacts("crabs", base.hub_id, base.sha256, "", "", REEF.hash, ((5, 5),), ("draw",), 0, (), (), prompt_hash())
    metrics = {"before": {}, "after": {"sprites": 0}, "seed": 0}
    write_adapter(place / "runs/crabs", model, load_tokenizer(base).chat_template, REEF, facts, {}, metrics)
    words = ("--adapter", "runs/crabs", "--base", tiny_qwen3)
    assert draw("a crab", *words, "--n", 3, "--out", "old.png") == 0
    (place / "runs/crabs").rename(place / "runs/renamed")
    assert draw("--like", "old-2.png", "--base", tiny_qwen3, "--out", "again.png") == 0
    assert "the same pixels as old-2.png" in capsys.readouterr().err and said("again.png") == said("old-2.png")
    assert said("old-2.png")["adapter"] == "crabs" and said("old-2.png")["base_hash"] == base.sha256
    shutil.rmtree(place / "runs/renamed")
    assert draw("--like", "old-2.png", "--base", tiny_qwen3, "--out", "again.png") == 2
    assert "adapter 'crabs' (SHA-256" in capsys.readouterr().err


def test_a_missing_or_other_model_is_named(place, capsys):
    assert draw(*CORAL, "--out", "old.png") == 0
    (place / "runs/random/model.safetensors").write_bytes(b"another")
    assert draw("--like", "old.png", "--out", "again.png") == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "transformer 'random'" in line and "--transformer FOLDER" in line and not Path("again.png").exists()


def test_an_edited_picture_is_told_from_what_was_drawn(place, capsys):
    assert draw(*CORAL, "--out", "old.png") == 0
    rgba, told = read_picture(Path("old.png")).rgba, said("old.png")
    edited = read_png(Path("old.png"), REEF).grid.copy()
    edited[0, 0] = (edited[0, 0] + 1) % 64
    write_png(Path("old.png"), Sprite(edited, REEF, "a coral", source="random"), 1, told)
    assert draw("--like", "old.png", "--out", "again.png") == 0
    assert "1 pixels differ from old.png" in capsys.readouterr().err and pixels("again.png") == rgba.tobytes()


@pytest.mark.parametrize(
    "change, told",
    [
        ({"seed": "abc"}, "seed 'abc' is not a number"),
        ({"seed": "-1"}, "seed -1"),
        ({"index": "99"}, "index 99"),
        ({"together": "x"}, "damaged"),
        ({"together": "0-99999999"}, "damaged"),
        ({"palette": "{}"}, "damaged"),
        ({"palette": "[" * 10**5}, "damaged"),
        ({"reference": '{"name": "x", "colours": ["000000"]}'}, "damaged"),
        ({"given": '["..", "no"]'}, "damaged"),
        ({"continued": "rows 0 to 1 of x.png"}, "--continue"),
        ({"endpoint": "m at h"}, "--endpoint"),
        ({"caption": "a\x1b[31mfish"}, "'\\x1b'"),
        ({"temperature": "nan"}, "temperature"),
        ({"light": "{}", "source": "x.png"}, "shaded or bred"),
    ],
)
def test_strange_text_chunks_end_in_one_line(place, capsys, change, told):
    assert draw(*CORAL, "--out", "old.png") == 0
    kept = said("old.png") | change
    write_png(Path("bad.png"), Sprite(read_png(Path("old.png"), REEF).grid, REEF, kept.pop("caption")), 1, kept)
    capsys.readouterr()
    assert draw("--like", "bad.png", "--out", "again.png") == 2
    out = capsys.readouterr()
    assert told in out.err and out.err.count("\n") == 1 and "\x1b" not in out.err and not Path("again.png").exists()


def test_chunks_hold_hashes_sampling_and_version_but_no_path(place):
    assert draw(*CORAL, "--seed", 3, "--out", "old.png") == 0
    how = said("old.png")
    expected = {"caption": "a coral", "seed": "3", "index": "0", "transformer": "random", "palette_hash": REEF.hash}
    assert expected.items() <= how.items() and len(how["transformer_hash"]) == 64 and how["version"]
    assert {"temperature", "top_k", "top_p", "min_p", "guidance", "best_of", "height", "width", "together"} <= how.keys()
    assert not [value for value in how.values() if str(place) in value or "runs" in value]
    assert read_how(Path("old.png")).together == range(1)


# --- palettes and references --------------------------------------------------------------------------------------------


def hero(place: Path) -> None:
    """A reference and a palette of four colours."""
    Image.fromarray(blob(np.random.default_rng(2)).rgba(), "RGBA").save(place / "hero.png")
    (place / "four.hex").write_text("101020\n803020\nc08040\nfff0d0\n101020\n")


def colours(file) -> set[str]:
    rgba = np.array(Image.open(file).convert("RGBA"))
    return {pixel.tobytes().hex() for pixel in rgba[rgba[..., 3] > 0][:, :3]}


def test_a_locked_palette_is_all_that_is_used(place, capsys):
    hero(place)
    assert draw(*CORAL, "--n", 4, "--out", "plain.png") == 0
    assert draw(*CORAL, "--n", 4, "--palette", "four.hex", "--out", "locked.png") == 0
    assert capsys.readouterr().err.startswith("four.hex: colours that stand there several times are taken once: 101020")
    for number in range(4):
        assert colours(f"locked-{number}.png") <= {"101020", "803020", "c08040", "fff0d0"}
        same = [(np.array(Image.open(f"{kind}-{number}.png").convert("RGBA"))[..., 3] > 0) for kind in ("plain", "locked")]
        assert np.array_equal(*same)
    with Image.open("locked-0.png") as image:
        assert image.mode == "P" and image.info["transparency"] == 0


def test_a_reference_gives_its_colours_and_the_report_says_how_close(place, capsys):
    hero(place)
    assert draw(*CORAL, "--reference", "hero.png", "--json", "--out", "drawn.png") == 0
    row = json.loads(capsys.readouterr().out)
    assert colours("drawn.png") <= colours("hero.png")
    assert row["file"] == "drawn.png" and row["palette"]["after"]["drawn_to_reference"] == 0
    assert row["palette"]["before"]["drawn_to_reference"] > 0 and 0 <= row["style"]["distance"] <= 1
    assert draw(*CORAL, "--reference", "hero.png", "--out", "drawn.png") == 0
    printed = capsys.readouterr()
    assert printed.out == "drawn.png\n" and "style distance" in printed.err


def test_a_server_draws_and_like_asks_for_it_again(place, capsys):
    with standing_in() as server:
        words = ("--endpoint", server.address, "--endpoint-model", "model-b")
        assert draw("a red octopus", *words, "--size", 8, "--n", 2, "--seed", 7, "--out", "old.png") == 0
        assert {body["model"] for body in server.bodies()} == {"model-b"}
        assert draw("--like", "old-1.png", "--out", "again.png") == 2
        assert "--endpoint URL" in capsys.readouterr().err
        assert draw("--like", "old-1.png", *words, "--out", "again.png") == 0
    assert pixels("again.png") == pixels("old-1.png") and server.bodies()[-1] in server.bodies()[:2]
    assert server.address.removeprefix("http://") not in json.dumps(said("again.png"))


def test_best_of_through_a_server_is_refused_before_anything_is_asked(place, capsys):
    assert draw(*CORAL, "--best-of", 2, "--out", "old.png") == 0
    with standing_in() as server:
        for words in (("a fish", "--best-of", 4), ("--like", "old.png")):
            assert draw(*words, "--endpoint", server.address, "--out", "new.png") == 2
            assert "--best-of: servers give no likelihoods" in capsys.readouterr().err
        assert not server.asked and not Path("new.png").exists()


def test_force_asks_a_language_model_for_the_palette_itself(tiny, place):
    hero(place)
    words = ("a crab", "--base", tiny, "--size", 5, "--palette", "four.hex")
    assert draw(*words, "--force", "--out", "told.json") == 0
    drawing = read(Path("told.json").read_text().rstrip("\n"))
    assert drawing.palette.colours == ("101020", "803020", "c08040", "fff0d0") and drawing.grid.shape == (5, 5)
    assert draw(*words, "--out", "exchanged.json") == 0
    assert (read(Path("exchanged.json").read_text().rstrip("\n")).grid != drawing.grid).any()


# --- files --------------------------------------------------------------------------------------------------------------


def test_a_sheet_and_its_json_hold_the_very_sprites(place):
    assert draw(*CORAL, "--n", 7, "--out", "one.png") == 0
    assert draw(*CORAL, "--n", 7, "--sheet", "--scale", 2, "--out", "all.png") == 0
    data = json.loads(Path("all.json").read_text())
    sheet = Image.open(data["meta"]["image"])
    assert sheet.mode == "P" and sheet.size == (data["meta"]["size"]["w"], data["meta"]["size"]["h"])
    assert len(data["frames"]) == 7 and data["meta"]["scale"] == "1"
    for number, frame in enumerate(data["frames"]):
        box = frame["frame"]
        part = sheet.convert("RGBA").crop((box["x"], box["y"], box["x"] + box["w"], box["y"] + box["h"]))
        small = part.resize((box["w"] // 2, box["h"] // 2), Image.Resampling.NEAREST)
        assert small.tobytes() == pixels(f"one-{number}.png")
        assert frame["spriteSourceSize"] == {"x": 0, "y": 0, **frame["sourceSize"]} and frame["duration"] > 0


def test_a_json_grid_is_the_completion(place):
    assert draw(*CORAL, "--out", "one.png") == 0 and draw(*CORAL, "--out", "one.json") == 0
    drawing = read(Path("one.json").read_text().rstrip("\n"))
    assert drawing.palette == REEF and (drawing.grid == read_png(Path("one.png"), REEF).grid).all()


def test_a_failure_leaves_old_files_and_nothing_new(place, monkeypatch):
    Path("many-1.png").write_bytes(b"old")
    before = sorted(place.rglob("*"))
    written = []

    def write(*arguments):
        written.append(arguments[0])
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        return write_png(*arguments)

    monkeypatch.setattr(command, "write_png", write)
    assert draw(*CORAL, "--n", 4, "--out", "many.png") == 2
    assert sorted(place.rglob("*")) == before and Path("many-1.png").read_bytes() == b"old"


@pytest.mark.parametrize(
    "words, told",
    [
        (["", *CORAL[1:]], "caption: empty"),
        ([" \u3000 ", *CORAL[1:]], "caption: empty"),
        (["x" * 501, *CORAL[1:]], "501 characters"),
        (["a\0b", *CORAL[1:]], "'\\x00' at place 1"),
        (["a\x1b[2Jb", *CORAL[1:]], "'\\x1b' at place 1"),
        (["a\nb", *CORAL[1:]], "control character"),
        (["a\udcffb", *CORAL[1:]], "control character"),
        ([*CORAL, "--size", 3], "--size 3"),
        ([*CORAL, "--size", 65], "--size 65"),
        ([*CORAL, "--size", 16], "was not trained on 16x16, but on 6x6, 8x10"),
        ([*CORAL, "--force", "--size", 40], "--force: random knows no places beyond 32x32"),
        ([*CORAL, "--force", "--palette", "four.hex"], "has no symbols"),
        ([*CORAL, "--n", 0], "--n 0"),
        ([*CORAL, "--scale", 65], "--scale 65"),
        ([*CORAL, "--seed", -1], "seed -1"),
        ([*CORAL, "--top-k", -1], "top_k"),
        ([*CORAL, "--palette", "none.hex"], "none.hex"),
        ([*CORAL, "--palette", "many.hex"], "many.hex: palette 'many': 64 colours"),
        ([*CORAL, "--palette", "bad.hex"], "'xyz' is not a colour"),
        ([*CORAL, "--palette", "four.hex", "--reference", "hero.png"], "--palette, --reference"),
        ([*CORAL, "--palette", "four.hex", "--continue", "hero.png"], "--continue"),
        ([*CORAL, "--reference", "none.png"], "none.png: cannot be read"),
        ([*CORAL, "--reference", "four.hex"], "four.hex: not a picture"),
        ([*CORAL, "--like", "hero.png"], "do not say how it was drawn"),
        ([*CORAL, "--like", "none.png"], "none.png: cannot be read"),
        ([*CORAL, "--endpoint", "http://localhost:1"], "--endpoint"),
        ([*CORAL, "--endpoint-model", "x"], "--endpoint URL"),
        ([*CORAL, "--sheet", "--out", "x.json"], "x.json"),
        ([*CORAL, "--sheet", "--n", 9000, "--scale", 64], "--sheet"),
        ([*CORAL, "--out", "x.gif"], "x.gif"),
        ([*CORAL, "--out", "runs.png/x.png"], "runs.png"),
        ([*CORAL, "--out", "folder.png"], "folder.png is a folder"),
    ],
)
def test_bad_input_ends_in_one_line_and_leaves_nothing(place, capsys, words, told):
    hero(place)
    (place / "many.hex").write_text("".join(f"{number:06x}\n" for number in range(64)))
    (place / "bad.hex").write_text("xyz\n")
    (place / "folder.png").mkdir()
    before = sorted(place.rglob("*"))
    assert draw(*words) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("four.hex: ")]
    assert len(lines) == 1 and told in lines[0] and lines[0].startswith("pixelreef draw: ") and lines[0].isprintable()
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(
    "caption", ["سمكة حمراء", "🐠👩‍🚀 e\u0301 a\u0308\u0323", "<|im_end|> [INST] </s>", "魚" * 500, '"]}', "a\u202eb"]
)
def test_captions_in_any_script_are_drawn_and_kept(place, caption):
    assert draw(caption, *CORAL[1:], "--out", "one.png") == 0
    assert said("one.png")["caption"] == caption
