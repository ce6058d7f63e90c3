"""Training critics: what each learns from, the same weights twice, the command, and what stands while they are trained anew."""

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from run_folders import reef_sprites

from data_prep.palette import Palette, named
from data_prep.sprite import Sprite
from eval import train_critics
from eval.controls import ANOTHER_SUBJECT, DEGENERATE
from eval.metrics import critic_tables, critic_training, critics
from eval.train_critics import few, half, main, read

REEF = named("reef64")
SPRITES = reef_sprites()[0][:24]


def test_the_two_critics_learn_from_disjoint_halves():
    rows = [(f"id {number}", sprite) for number, sprite in enumerate(SPRITES * 40)]
    numbered = [(id, replace(sprite, caption=id)) for id, sprite in rows]
    guide, judge = ({sprite.caption for sprite in half(numbered, name)} for name in ("guide", "judge"))
    assert not guide & judge and len(guide | judge) == len(rows) and 0.4 < len(guide) / len(rows) < 0.6


def test_datasets_share_the_pixels_fairly():
    large = [Sprite(np.ones((32, 32), np.uint8), REEF)] * 50
    chosen = few([SPRITES, large], 8 * 1024)
    assert sum(s.height == 16 for s in chosen) == 16 and sum(s.height == 32 for s in chosen) == 4


def test_training_twice_gives_the_same_weights():
    torch.set_num_threads(1)
    first, second = (
        critic_training.train("guide", SPRITES, SPRITES[:4], 3, 1, say=lambda text: None).network.state_dict() for _ in range(2)
    )
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_one_critic_learns_several_sizes_and_palettes():
    small = Palette("small", ("ff0000", "00ff00", "0000ff", "ffffff"))
    rng = np.random.default_rng(4)
    wide = [Sprite(rng.integers(0, 5, (20, 24), dtype=np.uint8), small, "", {"category": "coral"}) for _ in range(12)]
    critic = critic_training.train("judge", [*SPRITES, *wide], SPRITES[:4], 3, 1, say=lambda text: None)
    assert critic.sizes == (16, 24) and critic.fits(20, 24) and not critic.fits(8, 8) and not critic.fits(24, 32)
    mixed = [SPRITES[0], wide[0], SPRITES[1], wide[1]]
    alone = np.concatenate([critic.quality([sprite]) for sprite in mixed])
    assert critic.quality(mixed) == pytest.approx(alone, abs=1e-5)


def test_sprites_without_words_still_teach_quality():
    plain = [replace(sprite, tags={}) for sprite in SPRITES]
    critic = critic_training.train("guide", plain, plain, 3, 1, say=lambda text: None)
    assert critic.categories == critic.zones == ()
    assert ANOTHER_SUBJECT not in {row["family"] for row in critic_tables.measure(critic, plain)["families"]}
    found = critic.opinions(plain)
    assert set(found.category) == {critics.NONE} and found.probabilities.shape == (24, 0)


def test_one_command_trains_both(reef, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("eval.train_critics.MAX_TESTED", 40)
    out = tmp_path / "critics"
    assert main(["--dataset", str(reef), "--out", str(out), "--epochs", "1"]) in (0, 3)
    written = json.loads((out / "critics.json").read_text())
    assert set(written["critics"]) == {"guide", "judge"} and written["datasets"][0]["name"] == "reef"
    for name, facts in written["critics"].items():
        assert facts["sha256"] == hashlib.sha256((out / f"{name}.safetensors").read_bytes()).hexdigest()
        assert {row["family"] for row in facts["test"]["families"]} >= set(DEGENERATE)
        assert critics.load(out, name).facts["test"]["held_out"] == min(40, len(read(reef, "test")))
    table = (out / "table.md").read_text()
    assert "| shaded disc | unseen |" in table and "| procedural: AUC | passes |" in table
    weights = {name: (out / f"{name}.safetensors").read_bytes() for name in written["critics"]}
    (out / "table.md").unlink()
    written["critics"]["judge"]["test"]["families"] = []
    (out / "critics.json").write_text(json.dumps(written))
    again = ["--dataset", str(reef), "--out", str(out), "--measure"]
    assert main(again) in (0, 3) and (out / "table.md").read_text() == table
    assert weights == {name: (out / f"{name}.safetensors").read_bytes() for name in weights}
    (out / "critics.json").write_text(json.dumps(written | {"datasets": [{"name": "other", "hash": "0" * 64}]}))
    assert main(again) == 2 and "learnt from other (000000000000)" in capsys.readouterr().err
    assert main(["--dataset", str(tmp_path), "--out", str(out)]) == 2 and "palette.json" in capsys.readouterr().err


def test_critics_stand_until_those_trained_anew_are_whole(tmp_path, monkeypatch):
    out = shutil.copytree(critics.COMMITTED, tmp_path / "critics")
    (out / ".table.md-123").write_text("left by a kill")
    trained = {name: critics.load(out, name) for name in ("guide", "judge")}
    for critic in trained.values():
        next(critic.network.parameters()).data.add_(0.01)
    before = {name: (out / f"{name}.safetensors").read_bytes() for name in trained}

    def killed(critic, path):
        if path.name.startswith("judge"):
            raise KeyboardInterrupt
        return saving(critic, path)

    saving = train_critics._save
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(train_critics, "_save", killed)
        train_critics.write(out, [], trained)
    assert all(critics.load(out, name) and (out / f"{name}.safetensors").read_bytes() == before[name] for name in before)
    train_critics.write(out, [{"name": "reef", "hash": ""}], trained)
    assert all(critics.load(out, name) and (out / f"{name}.safetensors").read_bytes() != before[name] for name in before)
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(
        ["critics", *(path.name for path in critics.COMMITTED.iterdir())]
    )


def test_a_folder_with_other_things_takes_no_critics(reef, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    for out, said in ((tmp_path, "holds 'notes.txt'"), (tmp_path / "notes.txt", "is no folder")):
        assert main(["--dataset", str(reef), "--out", str(out), "--epochs", "1"]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_critics_that_a_kill_moved_aside_are_measured_where_they_belong(tmp_path, capsys):
    shutil.copytree(critics.COMMITTED, tmp_path / ".critics.old")
    assert main(["--dataset", str(tmp_path), "--out", str(tmp_path / "critics"), "--measure"]) == 2  # no dataset
    assert critics.load(tmp_path / "critics", "guide")
