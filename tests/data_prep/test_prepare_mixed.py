"""prepare: shares of sources, what is left out by name, near duplicates, tasks, and folders that are merged."""

import io
import json
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data_prep import captions, curate, grid_text, pairs, splits
from data_prep.choice import Choice
from data_prep.contact_sheet import pair_sheet
from data_prep.curate import Picture
from data_prep.errors import InputError
from data_prep.palette import named
from data_prep.prepare import PrepareRecipe, prepare
from data_prep.sources import procedural
from data_prep.sprite import Sprite
from data_prep.tasks import told

REEF = named("reef64")


def blob(seed: int, colours=((200, 30, 30), (10, 10, 40))) -> np.ndarray:
    """(12, 12, 4): a random shape in a light colour, with marks in a dark one."""
    dice = np.random.default_rng(seed)
    rgba = np.zeros((12, 12, 4), np.uint8)
    rgba[dice.random((12, 12)) < 0.6] = (*colours[0], 255)
    rgba[dice.random((12, 12)) < 0.1] = (*colours[1], 255)
    rgba[0, :] = 0
    rgba[1, 1], rgba[2, 2] = (*colours[0], 255), (*colours[1], 255)
    return rgba


def make_pack(path: Path, drawings: dict[str, np.ndarray], **about: str) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        for name, rgba in drawings.items():
            data = io.BytesIO()
            Image.fromarray(rgba, "RGBA").save(data, "PNG")
            archive.writestr(name, data.getvalue())
        lines = [json.dumps({"file_name": name, "label": Path(name).stem, **about}) for name in drawings]
        archive.writestr("metadata.jsonl", "\n".join(lines))
    return str(path)


def word(number: int) -> str:
    return "".join("bcdfghjklm"[int(digit)] + "aeiou"[int(digit) % 5] for digit in f"{number:03}")


def made(out: Path, *sources: dict, **changes) -> Path:
    plain = {"name": "tiny", "sources": list(sources), "sizes": [16], "palette": "reef64"}
    return prepare(PrepareRecipe.from_dict(plain | changes), out)


def rows(folder: Path, split: str | None = None) -> list[dict]:
    return [row for one in ([split] if split else [*splits.SPLITS, splits.UNSEEN_CELLS]) for row in pairs.read_rows(folder, one)]


def reasons(folder: Path) -> dict[str, str]:
    lines = map(json.loads, (folder / "dropped.jsonl").read_text("utf-8").splitlines())
    return {line["id"]: line["reason"] for line in lines}


@pytest.fixture
def crabs(tmp_path) -> str:
    return make_pack(tmp_path / "crabs.zip", {f"{word(n)}.png": blob(n) for n in range(60)}, source="crabs", licence="MIT")


def test_weights_are_the_shares_of_the_training_sprites(crabs, tmp_path):
    reef = {"kind": "procedural", "seed": 3, "count": 300}
    packs = {"kind": "packs", "path": crabs}
    out = made(tmp_path / "out", reef | {"weight": 1}, packs | {"weight": 2})
    shares = Counter(row["source"] for row in rows(out, "train"))
    whole = Counter(row["source"] for row in rows(made(tmp_path / "whole", reef, packs), "train"))
    assert shares["crabs"] == whole["crabs"] and shares["procedural"] == shares["crabs"] // 2
    gone = [name for name, why in reasons(out).items() if why == "its source has more than its weight"]
    assert len(gone) == whole["procedural"] - shares["procedural"] and all(name.startswith("procedural/") for name in gone)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["sources"]["crabs"]["cells"] == {"none/none": sum(row["source"] == "crabs" for row in rows(out))}
    assert len({row["id"] for row in rows(out)}) == len(rows(out))
    with pytest.raises(InputError, match=r"sources\.1: key 'weight' is missing"):
        made(tmp_path / "other", reef | {"weight": 1}, packs)
    with pytest.raises(InputError, match="a weight above 0"):
        made(tmp_path / "other", reef | {"weight": 0})


def test_rejected_pictures_are_left_out_and_can_come_back(crabs, tmp_path):
    decisions = tmp_path / "curation.jsonl"
    lines = [{"name": f"crabs/{word(n)}.png", "id": "0", "decision": "reject"} for n in (1, 2, 3)]
    lines += [{"name": f"crabs/{word(2)}.png", "decision": "none"}, {"name": f"crabs/{word(3)}.png", "decision": "accept"}]
    decisions.write_text("\n".join(map(json.dumps, lines)) + "\n{broken\n[1]\n")
    source = {"kind": "packs", "path": crabs}
    before, out = made(tmp_path / "before", source), made(tmp_path / "out", source, curation=str(decisions))
    names = [row["name"] for row in rows(before)]
    assert f"crabs/{word(1)}.png" in names and len(set(names)) == len(names)
    assert set(names) - {row["name"] for row in rows(out)} == {f"crabs/{word(1)}.png"}
    why = Counter(reasons(out).values())
    assert why["rejected by curation"] == 1 and why["curation: no decision with a name"] == 2
    decisions.write_text("")
    with pytest.raises(InputError, match="another recipe"):
        made(tmp_path / "out", source, curation=str(decisions))
    with pytest.raises(InputError, match=r"curation: .* cannot be read"):
        made(tmp_path / "new", source, curation=str(tmp_path / "nothing.jsonl"))


def test_no_two_packs_share_a_name(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    packs = [
        make_pack(tmp_path / f"{place}.zip", {"0001.png": blob(n), "0002.png": blob(n + 9)})
        for n, place in enumerate(("p", "a/p", "b/p", "p-2"))
    ]
    out = made(tmp_path / "out", *({"kind": "packs", "path": pack} for pack in packs))
    names = {f"{prefix}/000{n}.png" for prefix in ("p", "p-2", "p-3", "p-2-2") for n in (1, 2)}
    assert {row["name"] for row in rows(out)} == names


def test_labels_and_licences_are_left_out_in_every_source(crabs, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("# what no child should see\nclownfish\nsea turtle # a pair of words\n")
    sources = {"kind": "procedural", "seed": 3, "count": 200}, {"kind": "packs", "path": crabs}
    out = made(tmp_path / "out", *sources, exclude_labels=str(words), licences=["CC0-1.0"])
    assert {row["source"] for row in rows(out)} == {"procedural"}
    assert not {json.loads(row["tags"])["plan"] for row in rows(out)} & {"clownfish", "sea turtle"}
    why = Counter(reasons(out).values())
    assert why["licence left out: MIT"] == 60 and why["label left out: clownfish"] and why["label left out: sea turtle"]
    listed = made(tmp_path / "listed", *sources, exclude_labels=["clownfish", "sea turtle"], licences=["CC0-1.0"])
    assert rows(listed) == rows(out)


def test_an_excluded_label_is_whole_words():
    recipe = PrepareRecipe("x", ({"kind": "procedural", "count": 1},), (16,), exclude_labels=("gun", "sea star"))
    reason = Choice.of(recipe).reason
    left_out = ["a Gun", "guns_2", "red sea stars"]
    kept = ["gunnel fish", "sea of stars", "star sea", ""]
    assert all(reason(Picture(None, "x", label=label)) for label in left_out)
    assert not any(reason(Picture(None, "x", caption=label)) for label in kept)


# --- near duplicates --------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(0, 4), st.integers(0, 4), st.booleans())
def test_the_pattern_ignores_colours_flips_and_shifts(seed, down, right, flip):
    """As long as what was darker stays darker."""
    dice = np.random.default_rng(seed)
    greys = np.sort(dice.choice(np.arange(0, 250, 10), 4, replace=False))
    tinted = [(int(grey), min(255, int(grey) + 4), int(grey)) for grey in greys]
    index = dice.integers(0, 5, (12, 12))
    index[0, 0], index[-1, -1] = 1, 1
    frames = []
    for table in ([(grey, grey, grey) for grey in greys], tinted):
        rgba = np.zeros((12, 12, 4), np.uint8)
        for entry, colour in enumerate(table, 1):
            rgba[index == entry] = (*colour, 255)
        frames.append(rgba)
    moved = np.zeros((16, 16, 4), np.uint8)
    moved[down : down + 12, right : right + 12] = frames[1][:, ::-1] if flip else frames[1]
    assert curate.pattern_key(frames[0]) == curate.pattern_key(moved)
    first, second = index == 1, index == 2
    if second.any() and first.sum() != second.sum():
        changed = frames[0].copy()
        changed[first], changed[second] = frames[0][second][0], frames[0][first][0]
        assert curate.pattern_key(changed) != curate.pattern_key(frames[0])


def test_recolours_are_told_shown_and_limited(tmp_path):
    shapes = {f"{word(n)} {name}.png": blob(n, (light, (10, 10, 40))) for n in range(12) for name, light in LIGHTS.items()}
    shapes |= {"flipped.png": blob(0)[:, ::-1]}
    source = {"kind": "packs", "path": make_pack(tmp_path / "p.zip", shapes)}
    out = made(tmp_path / "out", source)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["near_duplicates"] == {"flipped or moved": 1, "other colours": 24}
    assert {len({row["group"] for row in rows(out) if row["name"].startswith(f"p/{word(n)} ")}) for n in range(12)} == {1}
    with Image.open(out / "near_duplicates.png") as sheet:
        assert sheet.width > 600
    one = made(tmp_path / "one", source, recolours=1)
    assert len(rows(one)) == 12 and Counter(reasons(one).values()).total() == 25


LIGHTS = {"red": (210, 60, 60), "green": (60, 170, 60), "blue": (90, 120, 240)}


def test_the_sheet_of_pairs_shares_its_places_out():
    some = [(blob(n), blob(n + 1)) for n in range(30)]
    tall = pair_sheet({"a": some, "b": some[:2], "c": some}, 32)
    assert tall.height == sum(14 + 2 + -(-count // 5) * 40 for count in (19, 2, 19))
    assert pair_sheet({}, 32).height == 1


# --- tasks ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tasks(tmp_path_factory) -> list[dict]:
    reef = {"kind": "procedural", "seed": 3, "count": 300}
    out = made(tmp_path_factory.mktemp("tasks") / "out", reef, tasks={"draw": 2, "recolour": 1, "reference": 1})
    return rows(out)


def test_each_sprite_is_one_task_in_proportion_to_the_weights(tasks):
    counts = Counter(row["task"] for row in tasks)
    assert counts.total() == 300 and abs(counts["draw"] - 150) < 30 and abs(counts["recolour"] - 75) < 25


def test_prompts_are_those_of_the_one_place(tasks):
    for row in tasks:
        sprite = grid_text.read(row["completion"][0]["content"])
        beside = told(row["task"], sprite)
        assert row["prompt"] == captions.messages(row["caption"], 16, 16, REEF, row["task"], beside)
        assert bool(beside) == (row["task"] != "draw")


def test_what_is_to_be_coloured_tells_shape_and_shades_and_no_colour(tasks):
    for row in (row for row in tasks if row["task"] == "recolour"):
        sprite = grid_text.read(row["completion"][0]["content"])
        ranks = np.array(
            [[grid_text.INDEX_OF[c] for c in line] for line in json.loads(told("recolour", sprite).partition(": ")[2])]
        )
        assert ((ranks == 0) == (sprite.grid == 0)).all()
        pairs_of = set(zip(ranks.ravel().tolist(), sprite.grid.ravel().tolist(), strict=True))
        assert len(pairs_of) == len(dict(pairs_of)) == len({entry for _, entry in pairs_of})  # one number a colour
        light = [float(REEF.oklab[entry - 1, 0]) for number, entry in sorted(pairs_of) if number]
        assert (np.diff(light) > -curate.LIGHT_STEP).all()
        hues = {entry: name for name, ramp in REEF.ramps.items() for entry in ramp}
        if len({hues[entry] for entry in np.unique(sprite.grid[sprite.grid > 0])}) == 1:
            blue = np.array([0, *(REEF.ramps["blue"][REEF.ramps[hues[e]].index(e)] for e in range(1, 64))], np.uint8)
            assert told("recolour", Sprite(blue[sprite.grid], REEF)) == told("recolour", sprite)


def test_a_reference_names_the_entries_of_the_drawing(tasks):
    for row in (row for row in tasks if row["task"] == "reference"):
        sprite = grid_text.read(row["completion"][0]["content"])
        line = row["prompt"][1]["content"].split("\n")[1]
        parts = [part.split(" ")[1] for part in line.removeprefix("Like this: ").split(", ") if part.split(" ")[0] in ROLES]
        assert sorted("".join(parts)) == sorted(grid_text.ALPHABET[e] for e in np.unique(sprite.grid[sprite.grid > 0]))
        assert f"{len(''.join(parts))} colours" in line


ROLES = ("outline", "body", "highlights")


def test_the_hash_of_prompts_knows_each_task_and_drawing_alone_as_ever():
    hashes = {captions.prompt_hash(tasks) for tasks in (("draw",), ("draw", "recolour"), ("draw", "reference"))}
    assert len(hashes) == 3 and captions.prompt_hash() == captions.prompt_hash(("draw",))
    assert captions.prompt_hash() == "e27d5dbd8a05e2e57fc6cfe0aa787ef380bca6897a6189985afcba608eb4164c"  # of published adapters


def test_rows_of_a_completion_and_of_its_shades_have_one_stride(tokenizers):
    """In both tokenizers a pixel of the prompt lies at one distance from its own in the answer."""
    sprite = procedural.sprite(1, 3, 16)
    for tokenizer in tokenizers.values():
        given = tokenizer(told("recolour", sprite), add_special_tokens=False)["input_ids"]
        answer = tokenizer(grid_text.encode(sprite.grid, REEF), add_special_tokens=False)["input_ids"]
        clear = tokenizer(grid_text.ALPHABET[0], add_special_tokens=False)["input_ids"][0]
        here, there = (np.flatnonzero(np.array(ids) == clear) for ids in (given, answer))
        assert len(here) == (sprite.grid == 0).sum() and len(set((there - here).tolist())) == 1


# --- merging ----------------------------------------------------------------------------------------------------------


def test_merged_folders_hold_all_rows_and_no_group_crosses(crabs, tmp_path):
    reef = {"kind": "procedural", "seed": 3, "count": 200}
    other = make_pack(tmp_path / "more.zip", {f"more {word(n)}.png": blob(n, ((60, 170, 60), (90, 0, 0))) for n in range(40, 90)})
    a = made(tmp_path / "a", reef, {"kind": "packs", "path": crabs})
    b = made(tmp_path / "b", {"kind": "packs", "path": other}, {"kind": "packs", "path": crabs}, seed=2)
    from data_prep.merge import merge

    c = merge([a, b], tmp_path / "c")
    found, gone = rows(c), reasons(c)
    splits_of: dict[str, set] = {}
    for split in splits.SPLITS:
        for row in pairs.read_rows(c, split):
            sprite = grid_text.read(row["completion"][0]["content"])
            splits_of.setdefault(curate.silhouette_key(sprite.rgba()), set()).add(split)
            splits_of.setdefault(row["group"], set()).add(split)
    assert all(len(found_in) == 1 for found_in in splits_of.values())
    assert len(found) == len({row["id"] for row in found}) and {row["source"] for row in found} == {"procedural", "crabs", "more"}
    assert {row["id"] for row in found} <= {row["id"] for folder in (a, b) for row in rows(folder)}
    assert set(gone.values()) <= {"exact duplicate", "its silhouette or label is in another split"}
    lost = {row["name"] for folder in (a, b) for row in rows(folder)} - {row["name"] for row in found}
    assert lost <= set(gone) and len(found) > 260
    manifest = json.loads((c / "manifest.json").read_text())
    assert sum(file["rows"] for file in manifest["files"].values()) == len(found) and merge([a, b], c) == c
    assert sum(sum(cells.values()) for cells in manifest["counts"].values()) == len(found)


def test_folders_of_other_palettes_are_not_merged(crabs, tmp_path):
    from data_prep.merge import merge

    a, b = (made(tmp_path / name, {"kind": "packs", "path": crabs}, palette=name) for name in ("reef64", "corpus"))
    with pytest.raises(InputError, match=r"is in palette 'tiny'.*prepare both in one"):
        merge([a, b], tmp_path / "c")
    with pytest.raises(InputError, match=r"no readable manifest\.json"):
        merge([a, tmp_path], tmp_path / "c")
    assert not (tmp_path / "c").exists()
