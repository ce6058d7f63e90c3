"""The ladder: one change a rung, answers in their own forms, a queue that goes on, a page that only says what was measured."""

import json
from dataclasses import asdict, fields, replace
from itertools import islice

import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.sources.procedural import sprites
from eval.bench.ladder import page, queue
from eval.bench.ladder.forms import Asked
from eval.bench.ladder.measuring import LadderModel, another, measure, unseen_sprites
from eval.bench.ladder.queue import Settings, chosen, load, run, work
from eval.bench.ladder.rungs import BEFORE, DIGITS, LADDER, ROW_KEYS, SYMBOLS, named
from eval.bench.ladder.training import EMPTY_CAPTIONS, inverse_frequency, rows_of, training_sprites
from eval.cli import main
from finetune.base_models import load_model, load_tokenizer, resolve
from finetune.cell_tokens import CellTokens
from finetune.trainer import IGNORED, PIXELS
from tests.finetune.tiny_models import llama

FORMS = {rung.form: rung for rung in LADDER}


@pytest.fixture(scope="module")
def base(smollm2, tmp_path_factory):
    return resolve(str(llama(smollm2.location, tmp_path_factory.mktemp("models") / "tiny-llama")))


@pytest.fixture(scope="module")
def tokens(base):
    return CellTokens(load_tokenizer(base))


def test_a_rung_changes_one_thing_of_the_rung_before_it():
    beside_words = {field.name for field in fields(LADDER[0])} - {"name", "change"}
    for name, before in BEFORE.items():
        new, old = asdict(named(name)), asdict(named(before))
        changed = {key for key in beside_words if new[key] != old[key]}
        together = {
            "LoRA": {"learning_rate", "targets", "dropout"},
            "data": {"distinct", "named"},
            "guided": {"guidance", "after"},
        }
        assert changed == together.get(name, changed) and 1 <= len(changed) <= 3
        assert len(changed) == 1 or name in together


@pytest.mark.parametrize("form", [DIGITS, SYMBOLS, ROW_KEYS])
def test_stock_tokenisation_of_an_answer_is_its_schedule(form, tokens):
    for sprite in islice(sprites(3, 12), 20):
        asked = Asked.of(sprite, FORMS[form])
        assert tokens.completion_ids(asked.text()) == asked.schedule(tokens).fill(asked.places).tolist()


@pytest.mark.parametrize("form", [DIGITS, SYMBOLS, ROW_KEYS])
def test_an_answer_is_read_back_and_anything_else_is_not(form):
    asked = Asked.of(next(iter(sprites(3, 12))), FORMS[form])
    text = asked.text()
    assert np.array_equal(asked.read(text), asked.sprite.grid)
    assert isinstance(json.loads(text), dict)
    for broken in (text[:-1], text + " ", text[:-4] + text[-3:], "", text.replace('"grid"', '"girl"')):
        assert asked.read(broken) is None


def test_digits_stand_for_the_colours_that_the_published_prompt_lists():
    asked = Asked.of(next(s for s in sprites(3, 16) if len(np.unique(s.grid)) > 11), named("published"))
    listed = json.loads(asked.messages()[0]["content"].partition("using colors ")[2])
    assert len(listed) == len(asked.entries) == 10
    assert listed[1:] == [asked.sprite.palette.colours[entry - 1] for entry in asked.entries[1:]]
    assert set(np.unique(asked.sprite.grid)) <= set(asked.entries.tolist())


def test_the_legend_is_the_only_difference_that_its_rung_makes_to_a_prompt():
    sprite = next(s for s in sprites(3, 8) if "red" in s.caption.split())
    without, told = (Asked.of(sprite, named(name)).messages()[1]["content"] for name in ("alphabet", "legend"))
    assert told.startswith(without + " (") and "red=" in told.removeprefix(without)


def test_few_sprites_are_seen_often_before_the_rung_of_the_data():
    few, many = (training_sprites(named(name), 8, 40, 1) for name in ("loss", "data"))
    assert len(few) == len(many) == 40
    assert (len({s.id for s in few}), len({s.id for s in many})) == (10, 40)
    assert all(np.array_equal(a.grid, b.grid) for a, b in zip(many, training_sprites(named("data"), 8, 40, 1), strict=True))


def test_no_sprite_is_both_learnt_and_measured():
    learnt = {s.grid.tobytes() for seed in (1, 2, 3) for s in training_sprites(named("data"), 12, 200, seed)}
    assert not learnt & {s.grid.tobytes() for s in unseen_sprites(12, 60)}


def test_only_rungs_with_captions_empty_some(tokens):
    def prompts(name):
        rows = rows_of(named(name), training_sprites(named(name), 8, 120, 1), tokens, 1)
        return [tokens.tokenizer.decode([i for i, label in zip(r["input_ids"], r["labels"], strict=True) if label == IGNORED])
                for r in rows]  # fmt: skip

    emptied = [prompt for prompt in prompts("data") if ":  using colors" in prompt]
    assert 0 < len(emptied) < 3 * EMPTY_CAPTIONS * 120
    assert not [prompt for prompt in prompts("loss") if ":  using colors" in prompt]


def test_rare_tokens_weigh_more_and_never_above_ten(tokens):
    rows = rows_of(named("published"), training_sprites(named("published"), 8, 20, 1), tokens, 1)
    weights = inverse_frequency(rows, len(tokens.tokenizer))
    counts = np.bincount([label for row in rows for label in row["labels"] if label != IGNORED], minlength=len(weights))
    used = np.flatnonzero(counts)
    assert weights.max() <= 10 and (weights[counts == 0] == 0).all()
    assert weights[used[counts[used].argmax()]] < 1 < weights[used[counts[used].argmin()]]
    assert sum(rows[0][PIXELS]) == 64


def test_the_caption_of_another_plan_stands_for_the_wrong_one():
    asked = [Asked.of(sprite, named("head")) for sprite in islice(sprites(3, 8), 12)]
    assert all(another(asked, n).sprite.tags["plan"] != one.sprite.tags["plan"] for n, one in enumerate(asked))
    assert another(asked[:1], 0) is asked[0]


def test_a_base_that_is_wrapped_in_place_is_no_base_any_more(base):
    """What the published evaluation did: it wrapped the base model and then scored it as 'base'."""
    import torch
    from peft import LoraConfig, get_peft_model

    model, ids = load_model(base, "float32"), torch.arange(12)[None]
    apart = load_model(base, "float32")(input_ids=ids).logits
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    assert torch.equal(model(input_ids=ids).logits, adapted(input_ids=ids).logits)
    assert not torch.allclose(model(input_ids=ids).logits, apart)


def test_every_rung_measures_every_prompt(base, tokens):
    model, tested = load_model(base, "float32").eval(), unseen_sprites(8, 5)
    for name in ("base", "row keys", "guided", "best of 4"):
        found = measure(LadderModel(model, tokens, named(name)), tested, 1, 2)
        assert {metric: len(values) for metric, values in found.items()} == dict.fromkeys(queue.METRICS, 5) | {"valid": 2}
        assert all(bits > 0 for bits in found["bits"])
        assert (found["right_colour"] == [None] * 5) == (named(name).form == DIGITS)


@pytest.fixture
def small(base):
    """Settings of a ladder on a tiny model, and its short version: three rungs that share two trainings."""
    rungs = tuple(named(name) for name in ("base", "published", "head", "guided"))
    return Settings(size=8, sprites=8, tested=3, free=2, base=base.location), rungs


def test_a_stopped_queue_goes_on_and_other_settings_are_measured_anew(small, tmp_path):
    settings, rungs = small
    lines = run(settings, [1, 2], rungs, tmp_path, "cpu")
    assert "seed 1, base" in next(lines)
    lines.close()  # stopped

    def left():
        return [(seed, [rung.name for rung in missing]) for seed, missing in work(settings, [1, 2], rungs, tmp_path)]

    trainings = [["base"], ["published"], ["head", "guided"]]
    assert left() == [(1, names) for names in trainings[1:]] + [(2, names) for names in trainings]
    told = [line.partition(":")[0] for line in run(settings, [1], rungs, tmp_path, "cpu")]
    assert told == ["seed 1, published", "seed 1, head", "seed 1, guided"]
    assert not list(work(settings, [1], rungs, tmp_path))
    other = replace(settings, dtype="float32")
    assert len(list(work(other, [1], rungs, tmp_path))) == 3
    assert len(list(run(other, [1], rungs[:1], tmp_path, "cpu"))) == 1
    assert not list(work(settings, [1], rungs, tmp_path)), "measured anew in another dtype, the former measurement is gone"
    queue.file_of(tmp_path, settings, named("head"), 1).write_text('{"key": ')  # torn
    assert [[r.name for r in missing] for _, missing in work(settings, [1], rungs, tmp_path)] == [["head"]]

    out = tmp_path / "ladder"
    page.write(tmp_path, settings, [1], out)
    text = out.with_suffix(".md").read_text()
    assert "| guided |" not in text.partition("## What each step is worth")[2].partition("## Each rung")[0]  # 'head' is torn
    assert "wrapped the base model in place" in text and out.with_suffix(".png").stat().st_size > 1000
    value = load(tmp_path, settings, named("published"), 1)["values"]["bits"]
    row = next(r for r in json.loads(out.with_suffix(".json").read_text())["rungs"] if r["rung"] == "published")
    assert row["bits"]["mean"] == pytest.approx(np.mean(value) / 64) and row["seeds"] == [1]


def test_a_step_is_worth_its_difference_on_shared_seeds(tmp_path):
    settings = Settings(tested=3, free=3)

    def measured(name, seed, gain):
        rung = named(name)
        values = {metric: [1.0, 1.0, 1.0] for metric in queue.METRICS} | {"gain": gain}
        told = {"key": settings.key(rung, seed), "values": values}
        queue.file_of(tmp_path, settings, rung, seed).write_text(json.dumps(told))

    measured("alphabet", 1, [1.0, 2.0, 3.0])
    measured("legend", 1, [2.0, 3.0, 4.0])
    measured("legend", 2, [100.0, 100.0, 100.0])
    legend = next(row for row in page.summary(tmp_path, settings, [1, 2]) if row["rung"] == "legend")
    assert legend["worth"]["gain"]["mean"] == 1.0  # seed 2 has no rung before it
    assert legend["gain"]["mean"] == pytest.approx(51.5)


def test_bad_arguments_are_one_line(capsys, tmp_path):
    with pytest.raises(InputError, match="nonsense: there are base, published"):
        chosen(["nonsense"])
    assert main(["bench", "ladder", "--size", "2", "--runs", str(tmp_path), "--out", str(tmp_path / "l")]) == 2
    said = capsys.readouterr().err.strip()
    assert "--size 2" in said and "\n" not in said
