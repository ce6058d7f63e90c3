"""Preference training on a tiny model: the loss is over pixels alone, the reference stays, and what is given up is said."""

import json
import shutil
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from data_prep.captions import messages
from data_prep.grid_text import encode
from data_prep.pairs import read_rows
from data_prep.palette import Palette
from data_prep.prepare import PrepareRecipe, prepare
from data_prep.sources import procedural
from data_prep.sprite import Sprite
from finetune import guard
from finetune.adapter_folder import AdapterFacts
from finetune.base_models import load_model, resolve
from finetune.config import check_keys
from finetune.guard import Guard, Margins, as_table, looks
from finetune.loading import load_adapted
from finetune.pair_file import HeldOut, Preference, write_pairs
from finetune.preference import Preferences, main
from finetune.preference_config import DATACLASSES, parse
from finetune.preference_trainer import REFERENCE, PixelCollator, tokenise_pair
from finetune.samples import Taste
from finetune.setup import load_run
from tests.finetune.tiny_models import REEF, SIZE, llama, random_adapter

ROOT = Path(__file__).parents[2]
FLAGS = {
    "dtype": "float32", "bf16": "false", "use_cpu": "true", "per_device_train_batch_size": 2, "learning_rate": 0.005, "seed": 1,
    "max_steps": 8, "guard_every": 4, "guard_prompts": 2, "guard_drawings": 2, "eval_sprites": 2,
    "guard_share": 1, "guard_colour": 1, "guard_spread": 1, "guard_bits": 9, "save_total_limit": 0,
}  # fmt: skip
STEADY = {"empty": 0.0, "noise": 0.0, "duplicates": 0.0, "spread": 0.5, "colour": 0.8, "bits_per_pixel": 2.0, "guide": 0.1}


@pytest.fixture(scope="module")
def start(smollm2, tmp_path_factory) -> Path:
    """A folder with a base model, an adapter on it, a dataset of 8×8 sprites, and pairs: sprites before the same shuffled."""
    folder = tmp_path_factory.mktemp("preference")
    random_adapter(llama(smollm2.location, folder / "base"), folder / "adapter")
    prepare(PrepareRecipe("reef8", ({"kind": "procedural", "seed": 1, "count": 60},), SIZE[:1]), folder / "data")
    held_out, rng = HeldOut.of(folder / "data"), np.random.default_rng(3)
    known = (s for s in procedural.sprites(7, 8) if s.caption not in held_out.captions)
    write_pairs(folder / "pairs.jsonl", [pair(s, rng) for s in islice(known, 6)])
    return folder


def pair(sprite: Sprite, rng: np.random.Generator) -> Preference:
    shuffled = rng.permutation(sprite.grid.reshape(-1)).reshape(sprite.grid.shape)
    texts = encode(sprite.grid, REEF), encode(shuffled, REEF)
    return Preference(sprite.id[:16], sprite.caption, 8, 8, REEF.name, REEF.hash, *texts, "guide")


def arguments(start: Path, out: Path, **changes) -> list[str]:
    places = {"model_name_or_path": "base", "start_from": "adapter", "dataset": "data", "pairs": "pairs.jsonl"}
    given = {key: start / place for key, place in places.items()} | {"output_dir": out} | FLAGS | changes
    return [str(part) for key, value in given.items() for part in (f"--{key}", value)]


@pytest.fixture
def preferences(start, tmp_path) -> Preferences:
    from finetune.pair_file import read_pairs

    config = parse(arguments(start, tmp_path / "run"))
    held_out = HeldOut.of(start / "data")
    return Preferences(load_run(config), read_pairs(start / "pairs.jsonl", REEF, config.start.sizes, held_out))


@pytest.fixture(scope="module")
def trained(start, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "tiny-dpo"
    assert main(arguments(start, out)) == 0
    return out


def by_hand(model, tokens, one: Preference, text: str) -> float:
    """log p of a drawing's pixels: a whole forward pass of the stock model, −inf outside of what a drawing can hold."""
    prompt, ids = tokens.prompt_ids(messages(one.caption, 8, 8, REEF)), tokens.completion_ids(text)
    schedule = tokens.schedule(REEF, 8, 8)
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *ids]])).logits[0, len(prompt) - 1 : -1]
    masked = torch.full_like(logits, -torch.inf)
    allowed = torch.as_tensor(tokens.allowed_ids([REEF]))
    masked[:, allowed] = logits[:, allowed]
    return float(masked.log_softmax(-1)[schedule.pixels, torch.tensor(ids)[schedule.pixels]].sum())


def test_log_probs_are_those_of_the_pixels_alone_with_the_head_restricted(preferences, start):
    trainer, plain = preferences.trainer(), load_adapted(start / "adapter", str(start / "base"), "float32", merge=True)
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(3)])
    assert batch["completion_mask"].sum(1).tolist() == [64] * 6
    found = torch.stack(trainer.compute_ref_log_probs(trainer.model, batch))  # (2, 3)
    expected = [
        [by_hand(plain.model, plain.tokens, one, getattr(one, which)) for one in preferences.pairs[:3]]
        for which in ("chosen", "rejected")
    ]
    assert found.tolist() == [pytest.approx(row, abs=2e-3) for row in expected]
    columns = [trainer.train_dataset[:3][f"ref_{which}_logps"] for which in ("chosen", "rejected")]
    assert columns == [pytest.approx(row, abs=2e-3) for row in expected]
    loss = trainer.compute_loss(trainer.model, batch)
    assert float(loss) == pytest.approx(np.log(2), abs=1e-4)  # policy and reference are one before the first step
    unrestricted = load_model(resolve(str(start / "base")), "float32").get_output_embeddings().weight.shape[0]
    assert trainer.model.get_output_embeddings().weight.shape[0] == unrestricted  # the stock head is back


def test_a_pixel_outside_the_allowed_ids_is_refused(preferences):
    trainer = preferences.trainer()
    batch = trainer.data_collator([trainer.train_dataset[0]])
    places = batch["completion_mask"][0].nonzero()[0]
    batch["input_ids"][0, places] = trainer._tokenizer.convert_tokens_to_ids("hello")
    with pytest.raises(ValueError, match="outside the restricted head"):
        trainer.compute_loss(trainer.model, batch)
    assert trainer.model.get_output_embeddings().weight.shape[0] > 40_000


def test_the_loss_falls_and_the_reference_stays(preferences, start):
    trainer = preferences.trainer()
    weights = {name: p.detach().clone() for name, p in trainer.model.named_parameters() if f".{REFERENCE}." in name}
    first = load_file(start / "adapter" / "adapter_model.safetensors")
    assert len(weights) == len(first) and not any(p.requires_grad for n, p in trainer.model.named_parameters() if n in weights)
    before = trainer.train_dataset[:]["ref_chosen_logps"]
    for callback in list(trainer.callback_handler.callbacks):
        if isinstance(callback, Guard):
            trainer.remove_callback(callback)
    trainer.train()
    rows = [row for row in trainer.state.log_history if "rewards/margins" in row]
    assert rows[0]["loss"] == pytest.approx(np.log(2), abs=1e-3) and rows[-1]["loss"] < 0.5 < rows[0]["loss"]
    assert rows[-1]["rewards/margins"] > 0.3 and rows[-1]["rewards/accuracies"] == 1
    named = dict(trainer.model.named_parameters())
    assert all(torch.equal(named[name], weight) for name, weight in weights.items())
    moved = [not torch.equal(named[name.replace(f".{REFERENCE}.", ".default.")], weight) for name, weight in weights.items()]
    assert all(moved)
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(len(before))])
    again, _ = trainer.compute_ref_log_probs(trainer.model, batch)
    assert again.tolist() == pytest.approx(before, abs=2e-3)


def test_it_writes_an_adapter_like_any_other(trained, start):
    adapter = trained / "adapter"
    found = load_adapted(adapter, str(start / "base"), "float32")
    old = AdapterFacts.load(start / "adapter")
    assert found.facts.name == "tiny-dpo" and found.facts.sizes == old.sizes and found.facts.palette_hash == old.palette_hash
    weights, before = (load_file(folder / "adapter_model.safetensors") for folder in (adapter, start / "adapter"))
    assert weights.keys() == before.keys() and not (adapter / REFERENCE).exists()
    assert any(not torch.equal(weights[key], before[key]) for key in weights)
    metrics = json.loads((adapter / "metrics.json").read_text())
    assert metrics["pairs"] == {"guide": 6} and metrics["kept"]["step"] == 8 and metrics["train_seconds"] > 0
    assert [row["step"] for row in metrics["guard"]] == [0, 4, 8] and as_table(metrics["guard"]).count("\n") == 4
    texts = [path.read_text() for path in adapter.iterdir() if path.suffix != ".safetensors"]
    assert not any(str(start) in text or str(trained) in text for text in texts)


def test_the_guard_logs_what_is_not_trained_on(trained):
    rows = looks(trained / "training_log.jsonl")
    assert {"empty", "noise", "duplicates", "spread", "colour", "bits_per_pixel", "guide", "controls"} <= rows[0]["guard"].keys()
    assert 0 < rows[0]["guard"]["spread"] <= 1 and not any(row["broken"] for row in rows)


def test_its_looks_are_told_as_tables(trained, capsys):
    assert guard.main([str(trained / "adapter")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("# tiny-dpo") and "Pairs: 6 of guide. Step 8 is the adapter" in said and said.count("\n| 8 |") == 2
    assert guard.main([str(trained / "nowhere")]) == 2 and "no look of the guard" in capsys.readouterr().err


def test_a_finished_run_is_reused_and_another_one_refused(trained, start, capsys):
    assert main(arguments(start, trained)) == 0 and "reused" in capsys.readouterr().out
    assert main(arguments(start, trained, beta=0.5)) == 2 and "another recipe" in capsys.readouterr().err


def test_a_run_that_was_stopped_goes_on_to_the_same_adapter(trained, start, tmp_path, capsys):
    """As a kill after the look at step 4 leaves it, its log a step ahead."""
    out = tmp_path / "tiny-dpo"
    shutil.copytree(trained, out, ignore=shutil.ignore_patterns("adapter", "checkpoint-8"))
    log = [line for line in (out / "training_log.jsonl").read_text().splitlines() if json.loads(line)["step"] <= 5]
    (out / "training_log.jsonl").write_text("\n".join(log) + "\n")
    assert main(arguments(start, out)) == 0
    said = capsys.readouterr().out
    assert "step 5/8" in said and "step 4/8" not in said and "guard at step 0" not in said
    weights, again = (load_file(folder / "adapter" / "adapter_model.safetensors") for folder in (trained, out))
    assert all(torch.equal(weights[key], again[key]) for key in weights)
    assert [row["step"] for row in looks(out / "training_log.jsonl")] == [0, 4, 8]


def tastes(monkeypatch, answers: list[dict]) -> None:
    """Puts numbers in the place of drawings: one a look."""
    said = iter(answers)
    fake = Taste(draw=lambda model: [], score=lambda drawn: dict(next(said)))
    monkeypatch.setattr("eval.preference_guard.guard_taste", lambda *args: fake)


def test_the_run_stops_where_drawings_become_alike_and_the_last_good_step_is_kept(start, tmp_path, monkeypatch, capsys):
    alike = STEADY | {"spread": 0.3, "guide": 0.9}
    tastes(monkeypatch, [STEADY, STEADY | {"guide": 0.4}, alike])
    limits = {"max_steps": 30, "guard_spread": 0.25}
    assert main(arguments(start, tmp_path / "run", **limits)) == 0
    metrics = json.loads((tmp_path / "run" / "adapter" / "metrics.json").read_text())
    assert metrics["kept"]["step"] == 4 and "spread 0.300, at least 0.375" in metrics["kept"]["why"]
    kept = load_file(tmp_path / "run" / "adapter" / "adapter_model.safetensors")
    saved = load_file(tmp_path / "run" / "checkpoint-4" / "adapter_model.safetensors")
    assert all(torch.equal(kept[key], saved[key].to(torch.bfloat16)) for key in kept)
    assert not (tmp_path / "run" / "checkpoint-8").exists()
    shutil.rmtree(tmp_path / "run" / "adapter")  # killed before it was written: the run does not go on past the stop
    tastes(monkeypatch, [])
    assert main(arguments(start, tmp_path / "run", **limits)) == 0
    assert json.loads((tmp_path / "run" / "adapter" / "metrics.json").read_text())["kept"]["step"] == 4


def test_where_no_step_was_good_there_is_no_adapter(start, tmp_path, monkeypatch, capsys):
    tastes(monkeypatch, [STEADY, STEADY | {"empty": 0.5}])
    assert main(arguments(start, tmp_path / "run", guard_share=0.1)) == 2
    assert "empty 0.500, at most 0.100" in capsys.readouterr().err and not (tmp_path / "run" / "adapter").exists()


@pytest.mark.parametrize(
    ("key", "value", "broken"),
    [("empty", 0.16, True), ("empty", 0.14, False), ("noise", 0.2, True), ("duplicates", 0.2, True), ("colour", 0.5, True),
     ("colour", 0.65, False), ("spread", 0.37, True), ("spread", 0.9, False), ("bits_per_pixel", 2.2, True), ("guide", 0, False)],
)  # fmt: skip
def test_each_number_has_its_margin_but_not_the_one_that_is_trained_on(key, value, broken):
    assert bool(Margins(0.15, 0.2, 0.25, 0.1).broken(STEADY, STEADY | {key: value})) == broken


def test_the_shipped_recipe_has_valid_keys_and_says_how_to_run_it():
    (path,) = (ROOT / "finetune" / "recipes").glob("dpo_*.yaml")
    check_keys(yaml.safe_load(path.read_text()), str(path), DATACLASSES)
    head = path.read_text().split("model_name_or_path")[0]
    assert "# Makes" in head and f"accelerate launch finetune/preference.py --config finetune/recipes/{path.name}" in head


def test_bad_input_is_one_line_and_exit_code_2(start, tmp_path, capsys):
    lines = (start / "pairs.jsonl").read_text().splitlines()
    row = next(read_rows(start / "data", "test", ("id", "caption_full")))
    other = Palette("mine", ("102030", "aabbcc"))
    spoilt = {
        "held-out prompt": {"caption": row["caption_full"]}, "held-out prompt ": {"prompt_id": row["id"][:16]},
        "no size of the adapter": {"height": 16}, "palette 'mine'": {"palette": "mine", "palette_hash": other.hash},
        "takes guide or ratings": {"source": "hearsay"}, "line 2: chosen": {"chosen": "{}"},
        "same drawing": {"chosen": json.loads(lines[1])["rejected"]}, "caption is 3": {"caption": 3},
    }  # fmt: skip
    for said, change in spoilt.items():
        bad = [lines[0], json.dumps(json.loads(lines[1]) | change)]
        (tmp_path / "bad.jsonl").write_text("\n".join(bad) + "\n")
        refused(start, tmp_path, capsys, f"{said.strip()}", pairs=tmp_path / "bad.jsonl")
    (tmp_path / "bad.jsonl").write_text("not JSON\n")
    refused(start, tmp_path, capsys, "line 1: is no pair", pairs=tmp_path / "bad.jsonl")
    (tmp_path / "bad.jsonl").write_text("")
    refused(start, tmp_path, capsys, "holds no pair", pairs=tmp_path / "bad.jsonl")
    for said, change in {
        "cannot be read": {"pairs": tmp_path / "none.jsonl"}, "'beta'": {"beto": 1}, "2 or more": {"guard_drawings": 1},
        "lora_r cannot be set": {"lora_r": 4}, "pixelreef.json": {"start_from": start}, "save_steps cannot": {"save_steps": 1},
    }.items():  # fmt: skip
        refused(start, tmp_path, capsys, said, **change)


def refused(start: Path, tmp_path: Path, capsys, said: str, **changes) -> None:
    assert main(arguments(start, tmp_path / "out", **changes)) == 2
    error = capsys.readouterr().err
    assert said in error and error.startswith("preference: ") and error.count("\n") == 1, error


def test_places_of_pixels_hold_in_a_batch_of_unequal_prompts(preferences):
    tokens, one = preferences.run.tokens, preferences.pairs[0]
    rows = [tokenise_pair(one, messages(caption, 8, 8, REEF), tokens) for caption in ("fish", "a large red fish with spots")]
    batch = PixelCollator(0)(rows)
    symbols = set(tokens.symbol_ids.tolist())
    masked = batch["input_ids"][batch["completion_mask"].bool()].tolist()
    assert len(masked) == 4 * 64 and set(masked) <= symbols
    assert masked[:64] == masked[64:128] and masked[128:192] == masked[192:]
