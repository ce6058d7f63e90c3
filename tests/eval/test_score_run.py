"""Scoring a run folder: sane numbers, sanity flags, hostile rows, speed, no torch."""

import json
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from run_folders import REEF, blob, blob_critics, drawing, make_run, reference, score_blobs, write_rows

from data_prep.errors import InputError
from data_prep.grid_text import encode
from eval import report, run_folder
from eval import score as score_module
from eval.controls import HELD_OUT
from eval.metrics.catalogue import NAMES
from eval.score import main


def read(folder):
    return json.loads((folder / "summary.json").read_text())


def value(summary, generator, metric, mode=None):
    rows = [g for g in summary["generators"] if g["generator"] == generator and mode in (None, g["mode"])]
    return rows[0]["metrics"][metric]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("runs") / "sane")
    score_blobs(folder)
    return folder


def test_held_out_beat_the_degenerate_controls_where_it_counts(run):
    summary = read(run)
    sane = {metric["name"]: metric["sane"] for metric in summary["metrics"]}
    assert sane["recognised"] is True and sane["recognised_in_colour"] is True and sane["sprite_like"] is False
    assert sane["colour_right"] is False and sane["legacy_quality_score"] is False and sane["seconds"] is None
    fooled = {metric["name"]: metric["fooled_by"] for metric in summary["metrics"]}
    assert "checkerboard" in fooled["legacy_quality_score"] and "shuffled pixels" in fooled["colour_right"]
    assert "another subject" in fooled["sprite_like"]
    assert value(summary, HELD_OUT, "recognised")["mean"] > 0.8 and value(summary, HELD_OUT, "sprite_like")["mean"] > 0.8
    assert value(summary, "another subject", "recognised")["mean"] < 0.1


def test_the_judges_confusion_is_written_down(run):
    found = read(run)["recognition"]
    assert found["training"] == 300 and found["accuracy"]["n"] == sum(map(sum, found["confusion"])) == 24
    assert found["categories"] == ["reef_fish", "coral", "jellyfish"] and found["named"] == [*found["categories"], "none"]
    right = sum(found["confusion"][place][place] for place in range(3))
    assert right / 24 == pytest.approx(value(read(run), HELD_OUT, "recognised")["mean"])


def test_the_summary_names_its_judge_and_measures_distances_with_it(run):
    summary = read(run)
    facts = json.loads((blob_critics() / "critics.json").read_text())["critics"]["judge"]
    assert summary["critics"]["judge"]["sha256"] == facts["sha256"] and summary["critics"]["reason"] is None
    assert summary["critics"]["judge"]["datasets"] == ["test"]
    rows = {(row["generator"], row["mode"]): row for row in summary["distribution"]}
    assert {"training sprites", "adapter", "noise"} <= {name for name, _ in rows} and HELD_OUT not in {name for name, _ in rows}
    assert rows["noise", "control"]["kid"]["low"] > rows["training sprites", "control"]["kid"]["high"]
    assert rows["base model", "grammar"]["coverage"]["mean"] < rows["training sprites", "control"]["coverage"]["mean"]


def test_a_run_of_other_labels_has_no_judge_and_says_so(tmp_path):
    folder = make_run(tmp_path / "run", prompts=6, training=30)
    rows = [json.loads(line) for line in (folder / "references.jsonl").read_text().splitlines()]
    write_rows(folder / "references.jsonl", [{**row, "category": "sword", "tags": {"category": "sword"}} for row in rows])
    score_blobs(folder)
    summary = read(folder)
    assert summary["critics"]["judge"] is None and "asks for sword" in summary["critics"]["reason"]
    assert summary["recognition"] is None and summary["cells"] == summary["distribution"] == []
    assert value(summary, HELD_OUT, "recognised")["n"] == value(summary, HELD_OUT, "judge_quality")["n"] == 0
    assert value(summary, HELD_OUT, "sprite_like")["n"] == 6


def test_a_folder_without_critics_ends_with_one_line_and_code_2(run, tmp_path, capsys):
    assert main([str(run), "--critics", str(tmp_path)]) == 2
    assert "critics.json: cannot be read (No such file or directory); run python -m eval.train_critics" in capsys.readouterr().err


def test_cells_leave_out_prompts_of_a_size_that_the_judge_was_not_taught(tmp_path):
    folder = make_run(tmp_path / "run", prompts=12, training=30)
    score_blobs(folder)
    before = read(folder)["cells"]
    large = blob(np.random.default_rng(1), 48)
    with (folder / "references.jsonl").open("a") as file:
        file.writelines(json.dumps(reference(index, large)) + "\n" for index in range(12, 36))
    with (folder / "completions.jsonl").open("a") as file:
        for index in range(12, 36):
            text = encode(large.grid, REEF) if index % 2 else "Here is a fish: ><>"
            for name, kind, mode in (("adapter", "model", "grammar"), (HELD_OUT, "honest", "control")):
                file.write(json.dumps(drawing(index, name, kind, mode, text, height=48, width=48)) + "\n")
    score_blobs(folder)
    assert len(before) and read(folder)["cells"] == before


def test_a_check_with_a_hole_clears_nothing(run, tmp_path):
    folder = make_run(tmp_path / "run", prompts=24)
    rows = [json.loads(line) for line in (folder / "completions.jsonl").read_text().splitlines()]
    write_rows(folder / "completions.jsonl", [row for row in rows if row["generator"] != "stripes"])
    score_blobs(folder)
    assert {m["name"]: m["sane"] for m in read(folder)["metrics"]}["recognised"] is None
    few = [row for row in rows if row["generator"] != "stripes" or row["index"] < 19]
    write_rows(folder / "completions.jsonl", few)
    score_blobs(folder)
    sane = {metric["name"]: metric["sane"] for metric in read(folder)["metrics"]}
    assert sane["recognised"] is None and sane["sprite_like"] is False  # what fools a metric still does


def test_prompts_of_other_runs_move_nothing(tmp_path):
    folder = make_run(tmp_path / "run", prompts=6, training=30)
    score_blobs(folder)
    before = read(folder)
    sprite = json.loads((folder / "references.jsonl").read_text().splitlines()[0])["text"]
    with (folder / "completions.jsonl").open("a") as file:
        file.writelines(json.dumps(drawing(n, "adapter", "model", "grammar", sprite)) + "\n" for n in range(100, 140))
    with (folder / "likelihoods.jsonl").open("a") as file:
        row = {"request_id": "r100", "generator": "adapter", "condition": "caption", "pixels": 256, "bits": 0.1}
        file.write(json.dumps(row) + "\n")
    score_blobs(folder)
    after = read(folder)
    assert after["unusable_rows"]["completions"] == {"prompt is not of this run": 40}
    assert after["unusable_rows"]["likelihoods"] == {"prompt is not of this run": 1}
    for key in ("drawings", "prompts", "metrics", "generators", "likelihoods", "comparisons"):
        assert after[key] == before[key], key


def test_roles_validity_and_bits(run):
    summary = read(run)
    assert summary["roles"] == {"adapter": "adapter", "base": "base model"} and summary["seed"] == 3
    assert value(summary, "adapter", "strict_valid", "grammar")["mean"] == 1
    assert value(summary, "adapter", "strict_valid", "unconstrained")["mean"] < 1
    assert value(summary, "base model", "empty", "grammar")["mean"] == 1
    saved = next(c for c in summary["comparisons"] if c["metric"] == "bits_saved")
    assert saved["mean"] == pytest.approx(350 / 256, rel=0.02) and saved["low"] > 0 and saved["n"] == 24


def test_every_drawing_has_a_row_with_every_metric(run):
    rows = [json.loads(line) for line in (run / "scores.jsonl").read_text().splitlines()]
    assert len(rows) == len((run / "completions.jsonl").read_text().splitlines())
    assert all(set(row["metrics"]) == set(NAMES) for row in rows)
    assert all(row["metrics"]["nearest_training"] == 1 for row in rows if row["generator"] == "nearest training sprite")


def test_same_folder_same_scores(run):
    before = (run / "scores.jsonl").read_bytes(), (run / "summary.json").read_bytes()
    score_blobs(run)
    assert before == ((run / "scores.jsonl").read_bytes(), (run / "summary.json").read_bytes())
    assert not list(run.glob(".*"))


HOSTILE_TEXTS = [
    "\0" * 50,
    "x" * 1_000_000,
    "[" * 200_000,
    '{"grid":' * 60_000,
    None,
    [1],
    {"a": 1},
    "\ud800",
    "9" * 6000,
    "NaN",
]
HOSTILE_LINES = [
    '{"request_id":',
    json.dumps("x" * 10_000_000),  # longer than a line of a run may be
    "[" * 100_000,
    '{"a":' + "9" * 5000 + "}",
    "{}",
    "[]",
    "null",
    '{"request_id":"r0","generator":["x"]}',
    '{"request_id":"r0","generator":"x","mode":"grammar","kind":"model","height":-1,"width":16}',
    '{"request_id":"r0","generator":"x","mode":"grammar","kind":"model","height":1e999,"width":NaN}',
]


def test_hostile_rows_are_counted_and_never_crash(tmp_path):
    folder = make_run(tmp_path / "run", prompts=6, training=30)
    rows = [drawing(0, "stranger", "model", "grammar", text) for text in HOSTILE_TEXTS]
    rows.append(drawing(1, "stranger", "model", "grammar", "x", seconds=float("nan"), tokens="many", seed=10**400, index=[1]))
    with (folder / "completions.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
        file.writelines(line + "\n" for line in HOSTILE_LINES)
    with (folder / "likelihoods.jsonl").open("a") as file:
        file.write('{"request_id":"r0","generator":"adapter","condition":"caption","bits":NaN,"pixels":256}\n{"bits":1}\n')
    score_blobs(folder)
    summary = read(folder)
    stranger = next(g for g in summary["generators"] if g["generator"] == "stranger")
    assert stranger["drawings"] == len(rows) and stranger["metrics"]["strict_valid"]["mean"] == 0
    assert sum(summary["unusable_rows"]["completions"].values()) == len(HOSTILE_LINES)
    assert sum(summary["unusable_rows"]["likelihoods"].values()) == 2


def test_drawings_that_come_while_others_are_scored_are_not_sealed_with_them(tmp_path, monkeypatch):
    folder = make_run(tmp_path / "run", prompts=6, training=30)
    scoring = score_module.score_drawings

    def beside_a_draw(*given):
        with (folder / "completions.jsonl").open("a") as file:
            file.write((folder / "completions.jsonl").read_text().splitlines()[0] + "\n")
        return scoring(*given)

    monkeypatch.setattr(score_module, "score_drawings", beside_a_draw)
    with pytest.raises(InputError, match="changed while they were scored"):
        score_blobs(folder)
    assert not (folder / "summary.json").exists()


def test_a_recipe_that_changes_once_it_is_read_is_not_sealed_with_the_scores(tmp_path, monkeypatch):
    folder = make_run(tmp_path / "run", prompts=6, training=30)
    reading = run_folder.read_json

    def beside_a_draw(path, *more):
        found = reading(path, *more)
        if path.name == "recipe.json":
            path.write_text(json.dumps(found | {"seed": 4}))
        return found

    monkeypatch.setattr(run_folder, "read_json", beside_a_draw)
    with pytest.raises(InputError, match="changed while they were scored"):
        score_blobs(folder)
    assert not (folder / "summary.json").exists()


@pytest.mark.parametrize("changed", ["completions.jsonl", "scores.jsonl"])
def test_what_comes_while_the_scores_are_written_is_not_sealed_with_them(tmp_path, monkeypatch, changed):
    folder = make_run(tmp_path / "run", prompts=6, training=30)
    writing = run_folder.write_atomically

    def beside_another(path, text):
        writing(path, text)
        if path.name == "scores.jsonl":
            with (folder / changed).open("a") as file:
                file.write("{}\n")

    monkeypatch.setattr(run_folder, "write_atomically", beside_another)
    score_blobs(folder)
    with pytest.raises(InputError, match="changed after scoring"):
        report.load(folder)


def test_a_cut_off_last_line_is_left_out_with_a_warning(tmp_path):
    folder = make_run(tmp_path / "run", prompts=6, training=30)
    with (folder / "completions.jsonl").open("a") as file:
        file.write('{"request_id":"r1","generator":"adap')
    with pytest.warns(UserWarning, match="cut off"):
        score_blobs(folder)
    assert read(folder)["unusable_rows"]["completions"] == {"last line cut off": 1}


def test_without_controls_training_and_likelihoods_nothing_is_checked(tmp_path):
    folder = make_run(tmp_path / "run", prompts=6, training=30)
    rows = [json.loads(line) for line in (folder / "completions.jsonl").read_text().splitlines()]
    write_rows(folder / "completions.jsonl", [row for row in rows if row["kind"] == "model"])
    (folder / "training.npz").unlink()
    (folder / "likelihoods.jsonl").unlink()
    score_blobs(folder)
    summary = read(folder)
    assert {metric["sane"] for metric in summary["metrics"]} == {None}
    assert value(summary, HELD_OUT, "strict_valid")["n"] == 6  # they are in the table all the same
    assert value(summary, "adapter", "sprite_like")["n"] == 0 and summary["likelihoods"] == []


@pytest.mark.parametrize("missing", ["recipe.json", "palette.json", "references.jsonl", "completions.jsonl"])
def test_bad_folders_end_with_one_line_and_code_2(tmp_path, capsys, missing):
    folder = make_run(tmp_path / "run", prompts=5, training=25)
    (folder / missing).unlink()
    assert main([str(folder)]) == 2
    assert missing in capsys.readouterr().err


def test_bad_training_file_is_an_input_error(tmp_path):
    folder = make_run(tmp_path / "run", prompts=5, training=25)
    (folder / "training.npz").write_bytes(b"PK\3\4 no archive")
    with pytest.raises(InputError, match=r"training\.npz"):
        score_blobs(folder)
    np.savez(folder / "training.npz", grids=np.full((3, 16, 16), 200, np.uint8))
    with pytest.raises(InputError, match="64 entries"):
        score_blobs(folder)


def test_three_thousand_drawings_under_a_minute(tmp_path):
    """In processor seconds: on an idle machine the clock shows no more, and other work hardly counts."""
    folder = make_run(tmp_path / "run", prompts=215, training=1000)
    blob_critics()  # training it is no scoring
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score_blobs(folder)
    assert read(folder)["drawings"] > 3000 and time.process_time() - started < 60


def test_scoring_and_reporting_load_no_torch():
    code = (
        "import sys; from eval import report, score; assert not {'torch', 'transformers', 'pandas'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
