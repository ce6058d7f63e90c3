"""prepare: same recipe, same bytes; honest splits; a folder that `datasets` loads; whole or not at all; errors for people."""

import io
import json
import socket
import zipfile
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from data_prep import captions, curate, dataset_card, grid_text, splits, tally
from data_prep import prepare as module
from data_prep.errors import InputError
from data_prep.palette import Palette, named
from data_prep.prepare import PrepareRecipe, main, prepare
from data_prep.sources import procedural

REPOSITORY = Path(__file__).parents[2]


def recipe(**changes) -> PrepareRecipe:
    plain = {"name": "tiny", "sources": [{"kind": "procedural", "seed": 3, "count": 120}], "sizes": [16]}
    return PrepareRecipe.from_dict(plain | changes)


def pack_recipe(path, **changes) -> PrepareRecipe:
    return recipe(**{"sources": [{"kind": "packs", "path": str(path)}], "palette": "corpus"} | changes)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(folder: Path, tmp_path: Path) -> dict[str, list[dict]]:
    from datasets import load_dataset

    return {split: list(part) for split, part in load_dataset(str(folder), cache_dir=str(tmp_path / "cache")).items()}


def drawing(seed: int, colour=(200, 30, 30), side=12) -> np.ndarray:
    """(side, side, 4): a random blob of one colour with a dark spot."""
    solid = np.random.default_rng(seed).random((side, side)) < 0.6
    rgba = np.zeros((side, side, 4), np.uint8)
    rgba[solid] = (*colour, 255)
    rgba[5:7, 5:7] = (10, 10, 40, 255)
    rgba[0, 0] = 0
    return rgba


def make_pack(path: Path, drawings: dict[str, np.ndarray], metadata: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, rgba in drawings.items():
            data = io.BytesIO()
            Image.fromarray(rgba, "RGBA").save(data, "PNG")
            archive.writestr(name, data.getvalue())
        archive.writestr("metadata.jsonl", metadata)
    return path


@pytest.fixture(scope="module")
def reef(tmp_path_factory) -> Path:
    return prepare(recipe(), tmp_path_factory.mktemp("reef") / "tiny")


def test_same_recipe_same_bytes_whatever_the_processes(reef, tmp_path):
    again = prepare(recipe(num_proc=2), tmp_path / "elsewhere")
    assert files(again) == files(reef)
    assert set(files(reef)) == {
        *(f"data/{split}-00000-of-00001.parquet" for split in ("train", "validation", "test")),
        *("README.md", "manifest.json", "palette.json", "dropped.jsonl", "contact_sheet.png"),
    }
    text = (reef / "manifest.json").read_text() + (reef / "README.md").read_text()
    assert str(reef.parent) not in text


def test_loads_without_a_network_and_rows_keep_the_contracts(reef, tmp_path, monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", lambda *args: pytest.fail("reached for the network"))
    loaded = rows(reef, tmp_path)
    manifest = json.loads((reef / "manifest.json").read_text())
    assert sum(map(len, loaded.values())) + sum(manifest["dropped"].values()) == 120
    assert {split: len(part) for split, part in loaded.items()} == {s: sum(c.values()) for s, c in manifest["counts"].items()}
    for split, part in loaded.items():
        for row in part:
            sprite = grid_text.read(row["completion"][0]["content"], size=(row["height"], row["width"]))
            assert row["prompt"] == captions.messages(row["caption"], 16, 16, named("reef64"))
            assert row["completion"][0]["role"] == "assistant" and sprite.palette.name == row["palette"] == "reef64"
            tags = json.loads(row["tags"])
            assert (tags["zone"], tags["category"]) == (row["zone"], row["category"])
            assert procedural.split_of(tags) == split
            assert row["group"] == curate.silhouette_key(sprite.rgba()) and row["task"] == "draw"


def test_captions_are_emptied_in_training_only(tmp_path):
    loaded = rows(prepare(recipe(empty_caption_share=0.5), tmp_path / "half"), tmp_path)
    emptied = [row for row in loaded["train"] if not row["caption"]]
    assert 0.3 < len(emptied) / len(loaded["train"]) < 0.7
    assert all(row["caption"] == row["caption_full"] for split in ("validation", "test") for row in loaded[split])
    assert all(row["caption_full"] for row in emptied)
    assert emptied[0]["prompt"] == captions.messages("", 16, 16, named("reef64"))


def test_recolours_and_namesakes_are_in_one_split(tmp_path):
    drawings = {f"shape {seed}_{shade}.png": drawing(seed, (200, shade, 30)) for seed in range(60) for shade in (30, 90, 160)}
    drawings |= {f"sea thing_{index}.png": drawing(100 + index) for index in range(5)}
    loaded = rows(prepare(pack_recipe(make_pack(tmp_path / "p.zip", drawings)), tmp_path / "out"), tmp_path)
    splits_of: dict[str, set] = {}
    shapes: dict[str, set] = {}
    for split, part in loaded.items():
        for row in part:
            sprite = grid_text.read(row["completion"][0]["content"], {"tiny": palette_of(tmp_path / "out")})
            splits_of.setdefault(row["group"], set()).add(split)
            shapes.setdefault(curate.silhouette_key(sprite.rgba()), set()).add(split)
    assert all(len(splits) == 1 for splits in [*splits_of.values(), *shapes.values()])
    assert all(loaded.values()) and len(loaded["train"]) > 120
    namesakes = {row["group"] for part in loaded.values() for row in part if row["caption_full"] == "a sea thing"}
    assert len(namesakes) == 1


def palette_of(folder: Path) -> Palette:
    return Palette.from_json(json.loads((folder / "palette.json").read_text()))


def test_a_large_group_trains_and_given_splits_stay():
    group_of = ["big"] * 400 + [f"g{index}" for index in range(600)]
    found = splits.splits_of(group_of, [""] * 999 + ["test"], seed=1)
    assert found["big"] == "train" and "g599" not in found  # g599 brings its own
    shares = [list(found.values()).count(split) / len(found) for split in ("train", "validation", "test")]
    assert np.allclose(shares, (0.9, 0.05, 0.05), atol=0.03)


def test_a_corpus_palette_is_exact_and_every_drop_is_written_down(tmp_path):
    drawings = {"one.png": drawing(1), "two.png": drawing(2, (20, 180, 60)), "sun.png": drawing(3), "tile.png": drawing(4) | 255}
    drawings |= {"mirror.png": drawing(1)[:, ::-1], "copy.png": drawing(2, (20, 180, 60)), "big.png": drawing(5, side=40)}
    metadata = json.dumps({"file_name": "one.png", "label": "potion puce", "licence": "MIT", "attribution": "A | B"}) + "\n{"
    out = prepare(pack_recipe(make_pack(tmp_path / "p.zip", drawings, metadata)), tmp_path / "out")
    assert set(palette_of(out).colours) == {"c81e1e", "14b43c", "0a0a28"}
    reasons = sorted(json.loads(line)["reason"] for line in (out / "dropped.jsonl").read_text().splitlines())
    assert reasons == [
        "exact duplicate",
        "metadata: not JSON",
        "near duplicate: flipped or moved",
        "opaque tile: no transparent pixel",
        "subject of Pixel Art Bench: sun",
        "too large for 16x16",
    ]
    assert json.loads((out / "manifest.json").read_text())["dropped"] == dict.fromkeys(reasons, 1)
    loaded = rows(out, tmp_path)
    assert sum(map(len, loaded.values())) == 2


def test_cells_left_out_are_one_split_and_in_no_other(tmp_path, capsys):
    cells = ["hadal/cephalopod", "twilight/coral", "hadal/cephalopod"]
    sources = [{"kind": "procedural", "seed": 3, "count": 300}]
    out = prepare(recipe(leave_out_cells=cells, sources=sources), tmp_path / "out")
    assert "20 of them in unseen_cells; dropped" in capsys.readouterr().err
    loaded = rows(out, tmp_path)
    cell_of = {split: {f"{row['zone']}/{row['category']}" for row in part} for split, part in loaded.items()}
    assert cell_of["unseen_cells"] == set(cells) and len(loaded["unseen_cells"]) == 20
    assert not set(cells) & (cell_of["train"] | cell_of["validation"] | cell_of["test"])
    assert all(row["caption"] for row in loaded["unseen_cells"])
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["recipe"]["leave_out_cells"] == ["twilight/coral", "hadal/cephalopod"]
    assert manifest["counts"]["unseen_cells"] == {"hadal/cephalopod": 10, "twilight/coral": 10}
    assert manifest["files"]["data/unseen_cells-00000-of-00001.parquet"]["rows"] == 20
    card = (out / "README.md").read_text()
    assert "0 / 0 / 0 / 10" in card and "Cells left out of training: twilight/coral, hadal/cephalopod" in card


def test_without_cells_left_out_nothing_knows_of_them(reef):
    plain, empty = recipe(), recipe(leave_out_cells=[])
    assert "leave_out_cells" not in plain.to_json() and module._described(plain) == module._described(empty)
    for name in ("manifest.json", "README.md"):
        text = (reef / name).read_text()
        assert "unseen_cells" not in text and "leave_out_cells" not in text


def test_what_is_like_a_cell_left_out_never_trains(tmp_path):
    """Recolours and namesakes of such a sprite are dropped, whichever comes first; nobody else is."""
    drawings = {f"{seed:02}_{kind}.png": drawing(seed, (200, 30, 30 + 60 * (kind == "b"))) for seed in range(60) for kind in "ab"}
    drawings |= {"last.png": drawing(90)}
    labels = {name: f"crab {'qwertzuiop'[int(name[0])]}{'asdfghjklm'[int(name[1])]}" for name in drawings if name < "l"}
    left_out = {f"{seed:02}_{'ab'[seed % 2]}.png" for seed in range(10)}
    metadata = [
        {"file_name": name, "label": label, "zone": "hadal" if name in left_out else "abyss", "category": "grazer"}
        for name, label in (labels | {"last.png": labels["00_a.png"]}).items()
    ]
    pack = make_pack(tmp_path / "p.zip", drawings, "\n".join(map(json.dumps, metadata)))
    out = prepare(pack_recipe(pack, leave_out_cells=["hadal/grazer"]), tmp_path / "out")
    loaded = rows(out, tmp_path)
    unseen = loaded.pop("unseen_cells")
    others = [row for part in loaded.values() for row in part]
    assert {row["zone"] for row in unseen} == {"hadal"} and len(unseen) == 10
    assert {row["zone"] for row in others} == {"abyss"} and len(others) == 100 and set(loaded) == {"train", "validation", "test"}
    assert not {row["group"] for row in others} & {row["group"] for row in unseen}
    assert json.loads((out / "manifest.json").read_text())["dropped"] == {"its silhouette or label is in a cell left out": 11}


def test_limit_and_sizes(tmp_path):
    drawings = {f"thing {seed}.png": drawing(seed, side=10 + seed) for seed in range(20)}
    packed = pack_recipe(make_pack(tmp_path / "p.zip", drawings), sizes=[32, 16], limit=15)
    loaded = rows(prepare(packed, tmp_path / "out"), tmp_path)
    sizes = [(row["height"], row["width"]) for part in loaded.values() for row in part]
    assert len(sizes) == 15 and set(sizes) == {(16, 16), (32, 32)}


def test_a_finished_folder_is_reused_and_anothers_is_kept(reef, tmp_path, capsys):
    out = prepare(recipe(limit=40), tmp_path / "out")
    before = files(out)
    capsys.readouterr()
    assert prepare(recipe(limit=40, num_proc=2), out) == out
    assert "reused" in capsys.readouterr().err and files(out) == before
    with pytest.raises(InputError, match=r"another recipe.*--force"):
        prepare(recipe(limit=50), out)
    assert files(out) == before
    prepare(recipe(limit=50), out, force=True)
    assert files(out) != before
    (out / "data/test-00000-of-00001.parquet").write_bytes(b"cut")
    with pytest.raises(InputError, match="not the ones that were written"):
        prepare(recipe(limit=50), out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]  # no leftovers beside it


def test_a_folder_made_again_loads_its_new_rows(tmp_path):
    """`datasets` caches by folder name and card: the same name, here or elsewhere, must not bring the old rows back."""
    for place, seed in (("a/same", 1), ("a/same", 2), ("b/same", 3)):
        sources = [{"kind": "procedural", "seed": seed, "count": 120}]
        out = prepare(recipe(sources=sources), tmp_path / place, force=True)
        expected = [sprite.id for sprite in islice(procedural.sprites(seed=seed, size=16), 120)]
        assert {row["id"] for part in rows(out, tmp_path).values() for row in part} <= set(expected)


def test_foreign_folders_are_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("years")
    for force in (False, True):
        with pytest.raises(InputError, match="other files than a prepared corpus"):
            prepare(recipe(limit=40), tmp_path, force)
    assert (tmp_path / "thesis.txt").read_text() == "years"
    (tmp_path / "empty").mkdir()
    assert (prepare(recipe(limit=40), tmp_path / "empty") / "manifest.json").exists()


def test_a_failure_leaves_no_corpus_and_a_refusal_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tally, "by_cell", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare(recipe(limit=40), tmp_path / "deep" / "out")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == [".out.partial"], "what is read, for the next run"
    monkeypatch.undo()
    prepare(recipe(limit=40), tmp_path / "deep" / "out")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
    with pytest.raises(InputError, match="no sprite left; 1 opaque tile"):
        prepare(pack_recipe(make_pack(tmp_path / "p.zip", {"a.png": drawing(1) | 255})), tmp_path / "none")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "p.zip"]


def test_a_changed_pack_is_another_corpus(tmp_path):
    pack = make_pack(tmp_path / "p.zip", {"a.png": drawing(1)})
    out = prepare(pack_recipe(pack), tmp_path / "out")
    make_pack(pack, {"a.png": drawing(2)})
    with pytest.raises(InputError, match="other sources"):
        prepare(pack_recipe(pack), out)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pallete": "reef64"}, "unknown key 'pallete'; the nearest valid one is 'palette'"),
        ({"sources": [{"kind": "procedual"}]}, "the nearest valid one is 'procedural'"),
        ({"sources": [{"kind": []}]}, "sources.0.kind: unknown key []"),
        ({"sources": [{"kind": "procedural", "cuont": 4}]}, "sources.0: unknown key 'cuont'; the nearest valid one is 'count'"),
        ({"sources": [{"kind": "packs"}]}, "'path' is missing"),
        ({"sources": []}, "sources"),
        ({"sources": [{"kind": "procedural", "count": "many"}]}, "sources.0.count"),
        ({"sizes": [2]}, "sizes"),
        ({"sizes": 16}, "sizes"),
        ({"tasks": {"drwa": 1}}, "the nearest valid one is 'draw'"),
        ({"empty_caption_share": 2}, "empty_caption_share"),
        ({"limit": 0}, "limit"),
        ({"num_proc": True}, "num_proc"),
        ({"leave_out_cells": ["hadal/cefalopod"]}, "unknown cell 'hadal/cefalopod'; the nearest valid one is 'hadal/cephalopod'"),
        ({"leave_out_cells": [7]}, "unknown cell 7"),
        ({"leave_out_cells": "hadal/coral"}, "leave_out_cells"),
        ({"leave_out_cells": ["/".join(cell) for cell in captions.CELLS]}, "none is left to train on"),
    ],
)
def test_wrong_keys_and_values_are_named_in_one_line(changes, words):
    with pytest.raises(InputError) as error:
        recipe(**changes)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_palettes_need_a_usable_name(tmp_path):
    pack = make_pack(tmp_path / "p.zip", {"a.png": drawing(1)})
    for name in ("reef64", "free", "My Sprites"):
        with pytest.raises(InputError, match="no name for a palette"):
            prepare(pack_recipe(pack, name=name), tmp_path / "out")
    with pytest.raises(InputError, match="unknown"):
        prepare(recipe(palette="reef65"), tmp_path / "out")


def test_main_reads_the_recipe_and_its_overrides(tmp_path, capsys):
    config = str(REPOSITORY / "data_prep/recipes/reef16.yaml")
    options = ["--set", "sources.0.count=60", "--set", "name=small"]
    assert main(["--config", config, "--out", str(tmp_path / "out"), *options]) == 0
    assert json.loads((tmp_path / "out/manifest.json").read_text())["recipe"]["name"] == "small"
    for wrong in ("limits=3", "sources.7.count=3", "seed", "sources.0.count=[", "name.x=1"):
        assert main(["--config", config, "--out", str(tmp_path / "out"), "--set", wrong]) == 2
    assert main(["--config", str(tmp_path / "no.yaml"), "--out", str(tmp_path / "out")]) == 2
    (tmp_path / "odd.yaml").write_text("{]")
    assert main(["--config", str(tmp_path / "odd.yaml"), "--out", str(tmp_path / "out")]) == 2
    gone = ["--config", str(REPOSITORY / "data_prep/recipes/my_sprites.yaml"), "--set", f"sources.0.path={tmp_path}/gone"]
    assert main([*gone, "--out", str(tmp_path / "out2")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("pixelreef prepare: ") for line in lines) == 8 and "the nearest valid one is 'limit'" in lines[-8]


def test_shipped_recipes_are_valid():
    paths = sorted((REPOSITORY / "data_prep/recipes").glob("*.yaml"))
    assert len(paths) >= 3
    for path in paths:
        loaded = PrepareRecipe.from_yaml(path)
        assert PrepareRecipe.from_dict(loaded.to_json()) == loaded


def test_the_card_credits_everybody(reef):
    manifest = json.loads((reef / "manifest.json").read_text())
    credits = {(f"source {index}", "CC-BY-4.0", f"Author | {index}"): index + 1 for index in range(300)}
    card = dataset_card.render(manifest, credits | {("x", "odd licence", "someone"): 1})
    header = yaml.safe_load(card.split("---")[1])
    assert header["license"] == ["cc-by-4.0", "other"]
    assert [file["split"] for file in header["configs"][0]["data_files"]] == ["train", "validation", "test"]
    assert all(f"| source {index} | CC-BY-4.0 | Author / {index} | {index + 1} |" in card for index in range(300))
