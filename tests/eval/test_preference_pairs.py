"""Pairs for preference training: the best against the worst where they differ, votes of models' drawings, no held-out prompt."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from listed_generator import Listed

from data_prep.errors import InputError
from data_prep.grid_text import encode
from data_prep.palette import named
from data_prep.sprite import Sprite
from data_prep.whole_files import alone
from eval.best_of import STEP
from eval.preference_guard import controls, draw, measured, spread
from eval.preference_pairs import (
    BATCH,
    Candidates,
    best_and_worst,
    colours,
    draw_candidates,
    main,
    rated_pairs,
    training_prompts,
)
from eval.ratings import Ratings, Vote, digest, new_uid
from eval.rivals import load_guide
from eval.shards import ALONE, JsonLines
from finetune.pair_file import GUIDE, RATINGS, HeldOut, Preference, read_pairs, write_pairs

REEF = named("reef64")
NOTHING_HELD_OUT = HeldOut(frozenset(), frozenset())


def sprite(seed: int, caption: str = "a red fish") -> Sprite:
    grid = np.random.default_rng(seed).integers(0, 64, (16, 16), dtype=np.uint8)
    return Sprite(grid, REEF, caption, {"category": "reef_fish", "colour": "red", "zone": "abyss"})


def candidates(count: int = 3, n: int = 4) -> Candidates:
    return Candidates([(f"prompt-{i}", sprite(i, f"fish {i}")) for i in range(count)], n, 5)


def text_of(request) -> str:
    return encode(sprite(request.index % 1000 + 17 * (request.index // STEP)).grid, REEF)


@pytest.fixture
def file(tmp_path) -> JsonLines:
    return JsonLines(tmp_path / "c.jsonl", ("prompt_id", "candidate"), lambda row: (), ALONE)


def test_each_prompt_is_drawn_n_times_with_noise_of_its_own_and_a_stopped_run_goes_on(file, tmp_path):
    asked, model = candidates(count=BATCH // 4 + 1), Listed(text_of)
    draw_candidates(model, asked, load_guide(), file, "me")
    indices = [request.index for request in model.asked]
    assert len(set(indices)) == len(indices) == 4 * len(asked.prompts) and set(indices) >= {0, STEP, 2 * STEP, 3 * STEP, 1}
    lines = (tmp_path / "c.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "c.jsonl").write_text("".join(lines[:9]) + lines[9][:40])  # killed while it wrote
    again, model = JsonLines(file.path, file.key, file.order, ALONE), Listed(text_of)
    draw_candidates(model, asked, load_guide(), again, "me")
    assert len(model.asked) == len(lines) - 9
    assert (tmp_path / "c.jsonl").read_text() == "".join(lines)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=3, max_size=3), st.floats(0, 1))
def test_the_best_stands_against_the_worst_where_they_differ_by_the_margin(scores, margin):
    asked = candidates()
    rows = [
        {"prompt_id": key, "candidate": number, "text": f"{key} {number}", "guide": score}
        for (key, _), each in zip(asked.prompts, scores, strict=True)
        for number, score in enumerate(each)
    ]
    found = list(best_and_worst(asked, rows, margin))
    wanted = [key for (key, _), each in zip(asked.prompts, scores, strict=True) if max(each) - min(each) >= margin]
    assert [one.prompt_id for one in found] == wanted
    value = {row["text"]: row["guide"] for row in rows}
    for one in found:
        each = scores[[key for key, _ in asked.prompts].index(one.prompt_id)]
        assert (value[one.chosen], value[one.rejected]) == (max(each), min(each)) and one.chosen != one.rejected
        assert one.source == GUIDE and one.caption == dict(asked.prompts)[one.prompt_id].caption


def test_what_an_earlier_start_drew_beyond_n_makes_no_pair():
    asked = candidates(count=1, n=2)
    rows = [{"prompt_id": "prompt-0", "candidate": i, "text": str(i), "guide": s} for i, s in enumerate((0.5, 0.9, 0.1, 1.0))]
    (found,) = best_and_worst(asked, rows, 0.1)
    assert (found.chosen, found.rejected) == ("1", "0")


def test_prompts_are_of_the_training_split_and_none_is_held_out(reef):
    held_out = HeldOut.of(reef)
    found = training_prompts(reef, REEF, 500, 1, held_out)
    from data_prep.pairs import read_rows

    training = {row["id"][:16]: row["caption_full"] for row in read_rows(reef, "train")}
    assert found and all(training[key] == one.caption for key, one in found)
    key, one = found[0]
    without = training_prompts(reef, REEF, 500, 1, replace(held_out, captions=held_out.captions | {one.caption}))
    assert key not in dict(without) and len(without) < len(found)
    assert training_prompts(reef, REEF, 5, 1, held_out) == found[:5]  # fewer prompts are the first ones


# --- votes ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path):
    """A run folder with one prompt, drawings of two models and of a control."""
    texts = {"one": encode(sprite(1).grid, REEF), "two": encode(sprite(2).grid, REEF), "noise": encode(sprite(3).grid, REEF)}
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "palette.json").write_text(json.dumps(REEF.to_json()))
    size = {"request_id": "p", "height": 16, "width": 16}
    (folder / "references.jsonl").write_text(json.dumps(size | {"text": texts["one"], "caption": "a red fish"}) + "\n")
    kinds = {"one": "model", "two": "model", "noise": "degenerate"}
    rows = [size | {"generator": name, "kind": kinds[name], "mode": "grammar", "text": text} for name, text in texts.items()]
    (folder / "completions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder, texts


def cast(folder, texts, answers: list[tuple[str, str, str]], kind: str = "person") -> None:
    """answers: (left maker, right maker, answer)"""
    base = Ratings(folder / "ratings.sqlite")
    lines = [
        vars(Vote(new_uid(), "p", a, digest(texts[a]), b, digest(texts[b]), rater=f"a {kind}", kind=kind, answer=said, at="now"))
        for a, b, said in answers
    ]
    (folder / "votes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert base.take_in(folder / "votes.jsonl", lambda vote: True)["added"] == len(answers)
    base.close()


def test_a_vote_gives_a_pair_whichever_side_won_and_agreeing_votes_one(run):
    folder, texts = run
    cast(folder, texts, [("one", "two", "right"), ("two", "one", "left"), ("one", "two", "equal"), ("one", "noise", "left")])
    (found,), left_out = rated_pairs(folder, "person", REEF, NOTHING_HELD_OUT)
    assert (found.chosen, found.rejected, found.source) == (texts["two"], texts["one"], RATINGS)
    assert found.caption == "a red fish" and +left_out == Counter({"undecided": 1, "on a control": 1})
    assert rated_pairs(folder, "model", REEF, NOTHING_HELD_OUT) == ([], Counter({"disagreed": 0}))


def test_votes_that_disagree_give_none(run):
    folder, texts = run
    cast(folder, texts, [("one", "two", "right"), ("one", "two", "left")])
    found, left_out = rated_pairs(folder, "person", REEF, NOTHING_HELD_OUT)
    assert found == [] and left_out["disagreed"] == 2


@pytest.mark.parametrize("held_out", [HeldOut(frozenset({"p"}), frozenset()), HeldOut(frozenset(), frozenset({"a red fish"}))])
def test_votes_on_held_out_prompts_are_never_used(run, held_out):
    folder, texts = run
    cast(folder, texts, [("one", "two", "right")])
    found, left_out = rated_pairs(folder, "person", REEF, held_out)
    assert found == [] and left_out["on a held-out prompt"] == 1


def test_pairs_read_back_as_they_were_written(run, tmp_path):
    folder, texts = run
    cast(folder, texts, [("one", "two", "right")])
    found, _ = rated_pairs(folder, "person", REEF, NOTHING_HELD_OUT)
    assert read_pairs(write_pairs(tmp_path / "new" / "p.jsonl", found), REEF, [(16, 16)], NOTHING_HELD_OUT) == found


def test_bad_input_is_one_line_and_exit_code_2(tmp_path, reef, capsys):
    flags = ["--adapter", str(tmp_path), "--dataset", str(reef), "--out", str(tmp_path / "p.jsonl")]
    for more in (["--n", "1"], ["--margin", "2.0"], ["--prompts", "0"], []):
        said = " ".join(more) or "pixelreef.json"
        assert main(flags + more) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1, error


def test_a_second_start_waits_for_the_first_one(reef, tmp_path, capsys):
    flags = ["--adapter", str(tmp_path), "--dataset", str(reef), "--out", str(tmp_path / "p.jsonl")]
    with alone(tmp_path):
        assert main(flags) == 2 and "another run is writing there" in capsys.readouterr().err
    assert main(flags) == 2 and "pixelreef.json" in capsys.readouterr().err  # its turn


# --- the guard --------------------------------------------------------------------------------------------------------


def test_the_guards_numbers_are_what_they_say():
    guide, fish = load_guide(), sprite(1)
    red = replace(fish, grid=np.full((16, 16), REEF.ramps["red"][4], np.uint8))
    blank = replace(fish, grid=np.zeros((16, 16), np.uint8))
    drawn = [fish, red, fish, blank]  # two prompts, twice each: the first alike, the second not at all
    found = measured(drawn, 2, guide)
    assert found["duplicates"] == 0.25 and found["spread"] == 0.5 and found["empty"] == 0.25 and found["drawn"] == 4
    assert spread([fish.grid, fish.grid]) == 0 and found["noise"] == 0.5 and 0.25 <= found["colour"] <= 0.75


def test_the_guard_draws_each_prompt_several_times(monkeypatch):
    model = Listed(text_of)
    monkeypatch.setattr("eval.preference_guard.LanguageModel", lambda *args: model)
    drawn = draw(None, None, [sprite(1, "a"), sprite(2, "b")], 2, 3, 8)
    assert [one.caption for one in drawn] == ["a", "b", "a", "b"]
    assert len({request.index for request in model.asked}) == 4 and {request.seed for request in model.asked} == {3}


def test_guide_puts_held_out_sprites_above_its_favourite_control(reef):
    held_out = [one for _, one in training_prompts(reef, REEF, 30, 1, NOTHING_HELD_OUT)]
    found = controls(held_out, load_guide(), 1)
    assert found["held_out"] > found["worst"] >= 0 and found["worst_name"]


def test_pairs_that_would_teach_a_wrong_colour_are_known():
    red, blue = (encode(np.full((16, 16), REEF.ramps[name][4], np.uint8), REEF) for name in ("red", "blue"))
    one = Preference("p", "a scarlet fish", 16, 16, REEF.name, REEF.hash, blue, red, GUIDE)
    assert colours(one, REEF) == (0.0, 1.0) and colours(replace(one, chosen=red, rejected=blue), REEF) == (1.0, 0.0)
    assert colours(replace(one, caption="a fish"), REEF) is None


def test_a_dataset_whose_rows_unpack_to_gigabytes_is_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from data_prep.pairs import read_rows

    (tmp_path / "data").mkdir()
    pq.write_table(pa.table({"caption_full": ["0" * 10**6] * 3000}), tmp_path / "data" / "train-00000-of-00001.parquet")
    with pytest.raises(InputError, match=r"train-00000-of-00001.parquet: its rows unpack to far more"):
        sum(1 for _ in read_rows(tmp_path, "train", ("caption_full",)))
