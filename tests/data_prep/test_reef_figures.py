"""Figures of the reef: each measure finds what it is there to find, on made-up data; the page says what was measured."""

import re
from itertools import count, islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep import reef_figures, reef_sheets
from data_prep import reef_measures as measures
from data_prep.contact_sheet import BACKGROUND, INK, contact_sheet
from data_prep.palette import named
from data_prep.reef_measures import Share
from data_prep.sources import procedural
from data_prep.sprite import Sprite

PAGE = Path(__file__).parents[2] / "docs" / "reef.md"


def blob(rng, entries=(5, 20, 30), side=16, caption="", **tags) -> Sprite:
    """A random silhouette in random ones of the palette entries."""
    grid = np.where(rng.random((side, side)) < 0.5, rng.choice(entries, (side, side)), 0)
    return Sprite(grid, named("reef64"), caption, tags)


def category_of(rng, number: int, entries_of) -> list[Sprite]:
    return [blob(rng, entries_of(name), category=name) for name in rng.choice(["coral", "grazer", "abyssal"], number)]


# --- colour ---------------------------------------------------------------------------------------------------------


def test_a_corpus_whose_colours_give_it_away_is_named_and_another_is_not():
    rng = np.random.default_rng(1)
    own = {"coral": (3, 4), "grazer": (10, 11), "abyssal": (17, 18)}
    telling = [category_of(rng, 120, own.get) for _ in range(2)]
    silent = [category_of(rng, 120, lambda name: (3, 4, 10)) for _ in range(2)]
    assert measures.colour_accuracy(*telling, "category").value > 0.98
    assert measures.colour_accuracy(*silent, "category").value < 0.55
    assert measures.commonest(silent[1], "category").value < 0.5


def test_counts_that_only_one_classifier_can_read_are_found_all_the_same():
    """Which of two entries has more pixels than the other: a sum for the one, many cuts for the other."""
    rng = np.random.default_rng(2)

    def made(number):
        sprites = [blob(rng, (3,) * one + (10,) * other) for one, other in rng.integers(1, 9, (number, 2))]
        more = ["yes" if (sprite.grid == 3).sum() > (sprite.grid == 10).sum() else "no" for sprite in sprites]
        return [Sprite(sprite.grid, sprite.palette, "", {"more": word}) for sprite, word in zip(sprites, more, strict=True)]

    assert measures.colour_accuracy(made(200), made(200), "more").value > 0.9


def test_shape_does_not_reach_the_classifier():
    rng = np.random.default_rng(3)
    sprite = blob(rng)
    shuffled = Sprite(rng.permutation(sprite.grid.ravel()).reshape(16, 16), sprite.palette)
    assert (measures.histograms([sprite]) == measures.histograms([shuffled])).all()
    assert measures.histograms([sprite]).sum() == 16 * 16


# --- twins ----------------------------------------------------------------------------------------------------------


def test_copies_recolours_and_mirror_images_are_twins():
    rng = np.random.default_rng(4)
    known = [blob(rng) for _ in range(30)]
    others = [blob(rng) for _ in range(30)]
    mirrored = [Sprite(sprite.grid[:, ::-1] * 2, sprite.palette) for sprite in known[:10]]
    overlaps = measures.nearest_overlap(measures.silhouettes([*known[:10], *mirrored, *others]), measures.silhouettes(known))
    assert (overlaps[:20] == 1).all() and (overlaps[20:] < 0.7).all()
    assert measures.without_twin(overlaps) == Share(30, 50)


def test_an_overlap_is_intersection_over_union():
    one, other = np.zeros((2, 1, 16, 16), bool)
    one[0, :4, :4], other[0, 2:6, :4] = True, True
    assert measures.nearest_overlap(one, other) == pytest.approx(8 / 24)


def test_a_shifted_copy_is_a_twin_once_both_are_centred():
    rng = np.random.default_rng(5)
    grid = np.zeros((16, 16), np.uint8)
    grid[2:10, 3:12] = np.where(rng.random((8, 9)) < 0.6, 7, 0)
    pair = [Sprite(np.roll(grid, by, (0, 1)), named("reef64")) for by in ((0, 0), (3, 2))]
    drawn, centred = (measures.silhouettes(pair, moved) for moved in (False, True))
    assert measures.nearest_overlap(drawn[:1], drawn[1:])[0] < 0.9
    assert measures.nearest_overlap(centred[:1], centred[1:])[0] == 1


# --- speed, memory, bytes -------------------------------------------------------------------------------------------


def test_a_growing_generator_is_caught_and_a_flat_one_is_not():
    kept = []

    def growing():
        for _ in count():
            kept.append(np.zeros(1024, np.uint8))
            yield kept[-1]

    early, late = measures.memory_peaks(growing(), 200, 2000)
    assert late - early > 1800 * 1024
    early, late = measures.memory_peaks((np.zeros(1024, np.uint8) for _ in count()), 200, 2000)
    assert late - early < 100 * 1024


def test_seconds_count_work_and_not_waiting():
    import time

    def working():
        for _ in count():
            until = time.process_time() + 0.01
            while time.process_time() < until:
                pass
            yield

    assert 0.1 <= measures.cpu_seconds(working(), 10) < 0.3
    assert measures.cpu_seconds((time.sleep(0.02) for _ in count()), 5) < 0.05


def set_order(seed: int, size: int):
    """A generator that forgets to sort: its captions hang on PYTHONHASHSEED."""
    for index in count():
        yield Sprite(np.full((size, size), 7), named("reef64"), " ".join({f"word{index + seed}{part}" for part in "abcdefgh"}))


def test_bytes_that_hang_on_the_hash_seed_are_seen():
    one, other = (measures.digest(f"{__name__}:set_order", 1, 16, 5, hash_seed) for hash_seed in (0, 1))
    assert one != other and len(one) == 64
    here = measures.sha256_of(procedural.sprites(3, 16), 12)
    assert here == measures.digest(reef_figures.SOURCE, 3, 16, 12, 1) != measures.sha256_of(procedural.sprites(4, 16), 12)


# --- words and tables -----------------------------------------------------------------------------------------------


def test_captions_are_read_by_whole_words_and_the_plans_name_is_no_category():
    tags = {
        "zone": "abyss", "category": "coral", "plan": "brain coral", "colour": "red", "second_colour": "teal", "pattern": "bands",
        "facing": "front", "size": "large", "glow": "no", "pose": "",
    }  # fmt: skip
    texts = ("a scared brain coral with teal bands", "coral: big brain coral from the abyss", "crimson abyssal thing")
    shares = measures.stated(Sprite(np.ones((8, 8), int), named("reef64"), text, tags) for text in texts)
    said = {key: share.count for key, share in shares.items()}
    assert said | {"pose": 0} == {
        "plan": 2, "category": 1, "zone": 1, "colour": 1, "second_colour": 1, "pattern": 1, "facing": 0, "size": 1, "glow": 0,
        "pose": 0,
    }  # fmt: skip
    assert shares["glow"].total == 0 and str(shares["glow"]) == "–" and shares["plan"].total == 3


def test_what_the_generator_states_is_what_is_found():
    """Shares near the probabilities that the captions are made with; two may only be lower (too long, no main colour)."""
    shares = measures.stated(islice(procedural.sprites(5, 16), 600))
    for key in ("plan", "zone", "colour", "pattern"):
        assert shares[key].value == pytest.approx(measures.STATED[key], abs=0.12), key


def test_plans_zones_and_poses_are_counted():
    rng = np.random.default_rng(6)
    tags = [("coral", "sea fan", "abyss", "swaying"), ("coral", "sea fan", "abyss", ""), ("grazer", "crab", "hadal", "")]
    sprites = [blob(rng, category=c, plan=p, zone=z, pose=pose, colour="red", pattern="plain") for c, p, z, pose in tags]
    assert measures.plan_counts(sprites) == {("coral", "sea fan"): {"abyss": 2}, ("grazer", "crab"): {"hadal": 1}}
    assert measures.poses_of(sprites) == {"sea fan": ["swaying"]}
    assert measures.combinations(sprites) == {("sea fan", "red", "plain"), ("crab", "red", "plain")}


def test_a_share_carries_its_exact_interval():
    assert str(Share(50, 100)) == "50.0 % (39.8–60.2)"  # Clopper–Pearson, as in tables
    assert Share(0, 10).interval[0] == 0 and Share(10, 10).interval[1] == 1


# --- pictures and page ----------------------------------------------------------------------------------------------


def test_an_indexed_sheet_keeps_every_colour_of_a_sprite():
    grid = np.arange(64).reshape(8, 8)
    page = contact_sheet([Sprite(grid, named("reef64"))], 1, 2, captions=["words"])
    small = reef_sheets.indexed(page)
    before, after = np.asarray(page), np.asarray(small.convert("RGB"))
    assert small.mode == "P" and (before[:20] == after[:20]).all()
    assert np.abs(before.astype(int) - after).max() <= max(np.subtract(INK, BACKGROUND)) / reef_sheets.INK_STEPS


def test_every_pose_has_its_row_and_plans_without_have_none():
    rng = np.random.default_rng(7)
    poses = [("sea fan", "swaying"), ("sea fan", "upright"), ("crab", "")]
    sized = {size: [blob(rng, side=size, plan=plan, pose=pose) for plan, pose in poses] for size in (16, 24, 32)}
    (label, pictures, captions), *others = reef_sheets.pose_rows(sized)
    assert (label, others) == ("sea fan", []) and captions == ["swaying"] * 3 + ["upright"] * 3
    assert all(picture.shape == (reef_sheets.SHOWN, reef_sheets.SHOWN, 4) for picture in pictures)
    assert [len(row[1]) for row in reef_sheets.plan_rows(sized) if row[0] == "crab"] == [3]


@pytest.fixture(scope="module")
def quick(tmp_path_factory) -> Path:
    page = tmp_path_factory.mktemp("docs") / "reef.md"
    assert reef_figures.main([str(page), "--quick"]) == 0
    return page


def shape(text: str) -> list[str]:
    """Headings and the heads of tables, in order."""
    lines = text.splitlines()
    heads = [line for line, below in pairwise(lines) if below.startswith("| ---")]
    return [line for line in lines if line.startswith("#") or line in heads]


def pictures_of(page: Path) -> list[Path]:
    return [page.parent / name for name in re.findall(r"\]\((.+\.png)\)", page.read_text("utf-8"))]


def test_the_command_writes_a_page_and_the_pictures_that_it_shows(quick):
    shown = pictures_of(quick)
    assert {path.name for path in shown} >= {"cells16.png", "cells24.png", "cells32.png", "plans.png"}
    assert sorted(quick.with_suffix("").iterdir()) == sorted(shown)
    assert all(Image.open(path).mode == "P" for path in shown)
    text = quick.read_text("utf-8")
    assert all(f"| {plan} |" in text for plans in procedural.PLANS.values() for plan in plans)
    assert text.count("held out |") == 6 and str(quick.parent) not in text


def test_the_published_page_is_this_commands(quick):
    assert shape(PAGE.read_text("utf-8")) == shape(quick.read_text())
    assert f"{reef_figures.Amounts().sprites:,} sprites of each" in PAGE.read_text("utf-8")
    assert all(path.is_file() for path in pictures_of(PAGE))
    assert sum(path.stat().st_size for path in PAGE.with_suffix("").iterdir()) < 1_500_000


def test_a_goal_that_is_missed_is_said_to_be():
    figures = reef_figures.Figures(
        reef_figures.Amounts(),
        accuracy={("category", 16): (Share(61, 100), Share(1, 6))},
        new={16: (Share(94, 100), Share(90, 100), 0.9), 32: (Share(99, 100), Share(99, 100), 0.5)},
        seconds=5.1,
        peaks=(0, 2**21),
        digests={16: ("a", "a"), 24: ("a", "b")},
    )
    assert [row[-1] for row in reef_figures._goals(figures)] == ["**missed**"] * 5


def test_a_place_that_cannot_be_written_is_refused_in_one_line(tmp_path, capsys):
    (tmp_path / "reef").write_text("a file")
    for page in (tmp_path / "reef.md", tmp_path / "reef.html"):
        assert reef_figures.main([str(page), "--quick"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and all(line.startswith("reef_figures: ") for line in lines)
