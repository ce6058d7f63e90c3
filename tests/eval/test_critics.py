"""Critics: what they are taught and what not, blind to what they must not see, kept whole, judge kept out of training."""

import ast
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from run_folders import blob_critics, blobs, reef_sprites

from data_prep.errors import InputError
from data_prep.palette import Palette, named
from data_prep.sprite import Sprite
from eval import judging
from eval.controls import ANOTHER_SUBJECT, DEGENERATE
from eval.metrics import cells, corruptions, critic_tables, critics, probes

ROOT = Path(__file__).parents[2]
REEF = named("reef64")
SPRITES = reef_sprites()[0][:24]


@pytest.fixture(scope="module")
def judge():
    return critics.load(blob_critics(), "judge")


def test_half_of_the_degenerate_families_are_never_taught():
    assert {*corruptions.TAUGHT, *corruptions.UNSEEN, ANOTHER_SUBJECT} == set(DEGENERATE)
    taught = set(corruptions.TAUGHT_FAMILIES)
    assert (
        not taught & {*corruptions.UNSEEN, *probes.PROBES, ANOTHER_SUBJECT}
        and len(corruptions.UNSEEN) >= len(DEGENERATE) // 2 - 1
    )
    assert set(corruptions.UNSEEN) == {"noise 2x2", "stripes", "shuffled pixels", "half erased", "shaded disc"}


def test_the_committed_critics_were_not_taught_them_either():
    for name in ("guide", "judge"):
        facts = critics.read_facts(critics.COMMITTED, name)
        assert not set(facts["families"]) & {*corruptions.UNSEEN, *probes.PROBES} and facts["test"]["ranks_all"]
        assert critics.load(critics.COMMITTED, name).categories == tuple(facts["categories"])
        assert (critics.COMMITTED / f"{name}.safetensors").stat().st_size < 1_000_000
    seeds = {critics.read_facts(critics.COMMITTED, name)["seed"] for name in ("guide", "judge")}
    assert len(seeds) == 2


@pytest.mark.parametrize("name", [*corruptions.TAUGHT_FAMILIES, *probes.PROBES])
def test_families_spoil_fit_the_palette_and_repeat(name):
    family = {**corruptions.TAUGHT_FAMILIES, **probes.PROBES}[name]
    changed = []
    for index, sprite in enumerate(SPRITES):
        other = SPRITES[index - 1].grid
        first, again = (
            corruptions.corrupt(family, sprite.grid, other, REEF, np.random.default_rng([3, index])) for _ in range(2)
        )
        assert first.shape == sprite.grid.shape and first.max() < len(REEF) and (first == again).all()
        changed.append((first != sprite.grid).sum() / max(1, np.count_nonzero((first > 0) | (sprite.grid > 0))))
    assert np.mean(np.array(changed) >= corruptions.LEAST) > 0.8


@pytest.mark.parametrize("shape", [(4, 4), (8, 13), (24, 24), (33, 9)])
def test_families_take_every_size_and_empty_grids(shape):
    rng = np.random.default_rng(2)
    for name, family in {**corruptions.TAUGHT_FAMILIES, **probes.PROBES}.items():
        for grid in (np.zeros(shape, np.uint8), np.full(shape, 5, np.uint8), rng.integers(0, 64, shape, dtype=np.uint8)):
            assert corruptions.corrupt(family, grid, grid, REEF, rng).shape == shape, name


def test_the_palettes_order_and_the_frames_padding_change_nothing(judge):
    sprite = SPRITES[0]
    order = np.random.default_rng(1).permutation(len(REEF.colours))
    other = Palette("other", tuple(REEF.colours[place] for place in order))
    table = np.append(0, np.argsort(order) + 1).astype(np.uint8)
    same = Sprite(table[sprite.grid], other)
    cut = Sprite(np.pad(sprite.grid, ((0, 0), (0, 0)))[:, 1:], REEF) if not sprite.grid[:, 0].any() else same
    first, second, _ = (judge.opinions([s]) for s in (sprite, same, cut))
    assert first.quality == pytest.approx(second.quality, abs=1e-4)
    assert np.allclose(first.features, second.features, atol=1e-3)


def test_the_score_heeds_what_was_asked_for(judge):
    sprites = blobs(np.random.default_rng(6), 30)
    own = [sprite.tags["category"] for sprite in sprites]
    right, wrong = judge.score(sprites, own), judge.score(sprites, own[1:] + own[:1])
    assert (right > wrong).all() and right.mean() > 0.5 > 0.1 > wrong.mean()
    assert (judge.score(sprites, ["sword"] * 30) == judge.quality(sprites)).all()


def test_company_and_mirror_images_change_nothing(judge):
    sprites = blobs(np.random.default_rng(3), 30)
    together = judge.opinions(sprites)
    alone = [judge.opinions([sprite]) for sprite in sprites]
    mirrored = judge.opinions([replace(sprite, grid=sprite.grid[:, ::-1].copy()) for sprite in sprites])
    assert together.category == [opinion.category[0] for opinion in alone] == mirrored.category
    assert np.allclose(together.quality, np.concatenate([opinion.quality for opinion in alone]), atol=1e-5)
    assert np.allclose(together.features, mirrored.features, atol=1e-4)
    assert judge.opinions([]).quality.shape == (0,)


def test_scrambling_turns_hues_and_leaves_lightness_chroma_and_greys():
    true, turned = critics.table(REEF), critics.scrambled(REEF, np.random.default_rng(5))
    assert (true[:, :2] == turned[:, :2]).all()
    assert np.allclose(np.hypot(true[:, 2], true[:, 3]), np.hypot(turned[:, 2], turned[:, 3]), atol=1e-5)
    grey = list(REEF.ramps["neutral"])
    assert (true[grey] == turned[grey]).all() and np.abs(true - turned).max() > 0.5


def test_scrambled_hues_hang_on_the_whole_drawing(monkeypatch, judge):
    """Two drawings of 32×32 whose first 256 pixels are equal are turned by different angles; one drawing always alike."""
    grids = np.zeros((3, 32, 32), np.uint8)
    grids[0, 20], grids[1, 30] = 9, 9
    grids[2] = grids[0]
    seen = []
    monkeypatch.setattr(critics, "scrambled", lambda palette, rng: seen.append(rng.random()) or critics.table(palette))
    judge._turned(grids, [REEF] * 3)
    assert seen[0] == seen[2] != seen[1]


def test_families_are_also_ranked_apart_by_who_made_the_sprites(judge):
    sprites = blobs(np.random.default_rng(5), 60)
    mixed = [replace(sprite, source="procedural") if place % 3 else sprite for place, sprite in enumerate(sprites)]
    found = critic_tables.measure(judge, mixed)
    for row in found["families"]:
        own, people = row["apart"]["procedural"], row["apart"]["made by people"]
        assert (own["n"], people["n"]) == (40, 20) or row["family"] == ANOTHER_SUBJECT
        assert row["passes"] == pytest.approx((own["passes"] * own["n"] + people["passes"] * people["n"]) / row["n"], abs=1e-3)
    assert "| made by people: AUC | passes |" in critic_tables.markdown("judge", {"training": 1, "test": found})
    alone = critic_tables.measure(judge, sprites)
    assert "procedural: AUC" not in critic_tables.markdown("judge", {"training": 1, "test": alone})


def test_auc_is_the_share_of_pairs():
    rng = np.random.default_rng(1)
    good, bad = rng.integers(0, 9, 40) / 8, rng.integers(0, 7, 30) / 8
    pairs = np.mean([[1.0 if a > b else 0.5 if a == b else 0.0 for b in bad] for a in good])
    assert critic_tables.auc(good, bad) == pytest.approx(pairs)


def test_changed_weights_and_missing_files_are_input_errors(tmp_path):
    folder = tmp_path / "critics"
    shutil.copytree(blob_critics(), folder)
    with pytest.raises(InputError, match="no critic 'guide'"):
        critics.load(folder, "guide")
    weights = folder / "judge.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(InputError, match=r"is not the file that critics\.json names"):
        critics.load(folder, "judge")
    weights.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        critics.load(folder, "judge")
    (folder / "critics.json").write_text("[" * 10_000)
    with pytest.raises(InputError, match=r"critics\.json"):
        critics.load(folder, "judge")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda facts: facts.update(categories=[*facts["categories"], "sword"]),
        lambda facts: facts.update(zones=["one", "two", "three"]),
    ],
)
def test_weights_of_other_labels_are_one_input_error(tmp_path, spoil):
    folder = tmp_path / "critics"
    shutil.copytree(blob_critics(), folder)
    found = json.loads((folder / "critics.json").read_text())
    spoil(found["critics"]["judge"])
    (folder / "critics.json").write_text(json.dumps(found))
    with pytest.raises(InputError, match=r"judge\.safetensors: does not fit the labels in critics\.json") as error:
        judging.choose(folder, [{"request_id": "r", "height": 16, "width": 16}])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("weights", ["guide", "text", "nothing"])
def test_weights_of_another_network_are_one_input_error(tmp_path, weights):
    folder = tmp_path / "critics"
    shutil.copytree(blob_critics(), folder)
    foreign = {"guide": (critics.COMMITTED / "guide.safetensors").read_bytes(), "text": b"x" * 99, "nothing": b""}[weights]
    (folder / "judge.safetensors").write_bytes(foreign)
    found = json.loads((folder / "critics.json").read_text())
    found["critics"]["judge"]["sha256"] = hashlib.sha256(foreign).hexdigest()
    (folder / "critics.json").write_text(json.dumps(found))
    with pytest.raises(InputError, match="does not fit") as error:
        critics.load(folder, "judge")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda found, own: own.pop("test"),
        lambda found, own: own["test"].pop("ranks_all"),
        lambda found, own: own["test"].pop("bar"),
        lambda found, own: own["test"].update(bar="much"),
        lambda found, own: own["test"].pop("held_out"),
        lambda found, own: own.pop("categories"),
        lambda found, own: own.update(sizes=[None]),
        lambda found, own: own.update(temperatures={"quality": 1.0}),
        lambda found, own: own.update(training=float("inf")),
        lambda found, own: found.pop("datasets"),
        lambda found, own: found.update(datasets=["reef"]),
    ],
)
def test_critics_without_a_fact_are_one_input_error(tmp_path, spoil):
    folder = tmp_path / "critics"
    shutil.copytree(blob_critics(), folder)
    found = json.loads((folder / "critics.json").read_text())
    spoil(found, found["critics"]["judge"])
    (folder / "critics.json").write_text(json.dumps(found))
    with pytest.raises(InputError, match=r"critics\.json: has no critic 'judge' with all of its facts") as error:
        judging.choose(folder, [{"request_id": "r", "height": 16, "width": 16}])
    assert "\n" not in str(error.value)


def test_a_judge_that_does_not_fit_is_not_used_and_says_why(tmp_path):
    run = {"request_id": "r", "height": 16, "width": 16, "category": "coral", "tags": {}}
    assert judging.choose(blob_critics(), [run]).critic is not None
    assert "knows reef_fish" in judging.choose(blob_critics(), [{**run, "category": "sword"}]).reason
    assert "other sizes" in judging.choose(blob_critics(), [{**run, "height": 48, "width": 48}]).reason
    shutil.copytree(blob_critics(), tmp_path / "critics")
    facts = json.loads((tmp_path / "critics" / "critics.json").read_text())
    facts["critics"]["judge"]["test"]["ranks_all"] = False
    (tmp_path / "critics" / "critics.json").write_text(json.dumps(facts))
    assert "ranks a degenerate control above" in judging.choose(tmp_path / "critics", [run]).reason


@pytest.mark.parametrize(
    ("hits", "n", "quality", "expected"),
    [
        (3, 3, 0.9, "alive"),
        (2, 3, 0.9, "open"),
        (2, 12, 0.9, "dead"),
        (9, 12, 0.9, "alive"),
        (12, 12, 0.3, "dead"),
        (0, 0, 0, "open"),
    ],
)
def test_a_cell_is_alive_when_it_is_shown_to_be(hits, n, quality, expected):
    assert cells.state(hits, n, quality, 1 / 6, 0.5) == expected


def test_exact_intervals_are_clopper_and_pearsons():
    from scipy.stats import binomtest

    for hits, n in [(0, 5), (3, 10), (10, 10)]:
        exact = binomtest(hits, n).proportion_ci(0.95, "exact")
        assert cells.exact(hits, n) == pytest.approx((exact.low, exact.high))


def _drawing(request: str, quality: float | None, valid: float) -> dict:
    metrics = {"judge_quality": quality, "recognised": quality and 1.0, "zone_right": None, "lenient_valid": valid}
    return {"request_id": request, "generator": "g", "mode": "grammar", "metrics": metrics}


def test_cells_count_the_unreadable_as_0_and_leave_out_what_nobody_judged():
    subjects = {f"r{i}": ("abyss", "coral") for i in range(40)}
    good, broken = [_drawing(f"r{i}", 0.9, 1.0) for i in range(12)], [_drawing(f"r{i}", None, 0.0) for i in range(12, 16)]
    unjudged = [_drawing(f"r{i}", None, 1.0) for i in range(16, 40)]
    assert cells.cells(unjudged, subjects, ["coral", "grazer", "abyssal"], 0.3) == []
    (found,) = cells.cells([*unjudged, *good, *broken], subjects, ["coral", "grazer", "abyssal"], 0.3)
    assert found["recognised"]["n"] == 16 and found["recognised"]["mean"] == 12 / 16
    assert found["quality"] == pytest.approx(0.9 * 12 / 16) and found["state"] == cells.ALIVE
    (dead,) = cells.cells([_drawing(f"r{i}", None, 0.0) for i in range(12)], subjects, ["coral", "grazer", "abyssal"], 0.3)
    assert dead["state"] == cells.DEAD and dead["quality"] == 0


def _words(path: Path) -> set[str]:
    """Names, attributes, imports and strings of a file; docstrings are talk, not use."""
    tree = ast.parse(path.read_text())
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            found.add(node.value)
        found |= {str(getattr(node, field)) for field in ("id", "attr", "name", "module", "arg") if getattr(node, field, None)}
    return found


TRAINERS = [*sorted((ROOT / "finetune").rglob("*.py")), *sorted((ROOT / "eval" / "baseline").glob("train.py"))]


@pytest.mark.parametrize("path", TRAINERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_trains_never_names_the_judge(path):
    assert not [word for word in _words(path) if "judg" in word.lower()]


def test_the_guard_sees_every_way_to_name_the_judge(tmp_path):
    for code in (
        "from eval import judging",
        "load(f, 'judge')",
        "x.judge_score",
        "def judge(): pass",
        "f(judge=1)",
        "import eval.judging as j",
    ):
        (tmp_path / "x.py").write_text(code)
        assert any("judg" in word for word in _words(tmp_path / "x.py")), code
