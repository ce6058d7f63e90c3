"""`pixelreef bench train`: all ways take the same steps as their trainers do, a way that comes to other numbers is refused."""

import json
from dataclasses import asdict, replace

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM, TrainerCallback

from data_prep.errors import InputError
from eval.cli import main
from eval.speed import page, train, train_peak, train_ways
from eval.speed.contest import Times
from eval.speed.shapes import SHAPES
from eval.speed.train_same import GRADIENT, LOSS, Same, compare
from eval.speed.train_ways import BUILD, FUSED, LIGER, OURS, PLAIN, STOCK, Setting, Stepper, Work, left_out
from finetune.memory import SHAPES as MEMORY_SHAPES
from tests.finetune.tiny_models import llama

WAYS = (STOCK, FUSED, PLAIN, OURS)
SAME = Same({STOCK: 3.0, OURS: 3.00001}, {STOCK: 0.0, OURS: 1e-5}, 2.0, 2.00001)


@pytest.fixture(scope="module")
def base(smollm2, tmp_path_factory) -> str:
    """A Llama, whose vocabulary is a third of Qwen3's."""
    return str(llama(smollm2.location, tmp_path_factory.mktemp("models") / "tiny-llama"))


@pytest.fixture(scope="module")
def work(base, tmp_path_factory) -> Work:
    setting = Setting(base, None, 8, 2, 2, 2, "float32", "cpu")
    return Work.make(setting, tmp_path_factory.mktemp("speed"))


@pytest.fixture(scope="module")
def steppers(work) -> dict[str, Stepper]:
    return {way: Stepper(work, way) for way in WAYS}


def trained(model) -> torch.Tensor:
    return torch.cat([one.detach().flatten() for one in model.parameters() if one.requires_grad])


def test_all_ways_get_the_same_tokens_and_the_same_lora(work, steppers):
    rows = {tuple(row["input_ids"]) for row in work.rows}
    for stepper in steppers.values():
        batch = stepper.batch
        taken = {tuple(ids[mask.bool()].tolist()) for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)}
        assert taken == rows and int((batch["labels"] >= 0).sum()) == work.taught
        assert torch.equal(trained(stepper.trainer.model), trained(steppers[STOCK].trainer.model))
    assert len(rows) == 2 and work.counted == sum(map(len, rows)) > work.taught


def test_all_ways_come_to_the_same_loss_and_gradients(work, steppers):
    same, failed = compare(work, dict(steppers))
    assert same.losses.keys() == set(WAYS) and not failed and same.apart < LOSS["float32"] / 10
    assert same.restricted < 0.8 * same.losses[OURS]  # over some 200 tokens, not 49,152
    assert max(same.gradients.values()) < GRADIENT["float32"] / 10
    same.refuse("float32")


def test_a_way_with_other_weights_is_refused(work, steppers):
    changed = {FUSED: steppers[FUSED], OURS: Stepper(work, OURS)}
    with torch.no_grad():
        next(one for one in changed[OURS].model.parameters() if one.requires_grad).mul_(3)
    with pytest.raises(InputError, match="nothing was timed"):
        compare(work, changed)[0].refuse("float32")


@pytest.mark.parametrize(
    "changed", [{"losses": {STOCK: 3.0, OURS: 3.001}}, {"restricted": 2.001}, {"gradients": {STOCK: 0.0, OURS: 0.01}},
                {"losses": {STOCK: 3.0, OURS: float("nan")}}],
)  # fmt: skip
def test_what_differs_by_more_than_rounding_is_refused(changed):
    SAME.refuse("float32")
    with pytest.raises(InputError, match="in float32; nothing was timed"):
        replace(SAME, **changed).refuse("float32")


def test_a_way_that_is_out_of_memory_is_named_and_not_timed(work, steppers, monkeypatch):
    def full(full=True):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(steppers[PLAIN], "backward", full)
    left = {way: steppers[way] for way in (PLAIN, FUSED, OURS)}
    same, failed = compare(work, left)
    assert failed == {PLAIN: "out of memory"} and PLAIN not in left and PLAIN not in same.losses


@pytest.mark.parametrize("way", [STOCK, OURS])
def test_steps_are_those_of_the_trainers_own_loop(work, way):
    class Stop(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            control.should_training_stop = state.global_step == 2

    stepper, trainer = Stepper(work, way), BUILD[way](work)
    begun = trained(stepper.model).clone()
    train_ways._move_off_zero(trainer.model)
    trainer.add_callback(Stop())
    trainer.train()
    for full in (way != OURS, True):
        stepper.step(full)
    meant, found = trained(trainer.model), trained(stepper.model)
    assert (meant - begun).abs().max() > 1e-6 and torch.allclose(meant, found, rtol=0, atol=1e-3 * (meant - begun).abs().max())


def test_only_trl_as_it_comes_recomputes(steppers):
    assert {way: one.trainer.model.is_activation_checkpointing for way, one in steppers.items()} == {
        STOCK: True, FUSED: False, PLAIN: False, OURS: False,
    }  # fmt: skip


def test_what_liger_changes_in_a_module_is_seen_in_its_own_steps_alone(work, steppers, monkeypatch):
    called = []

    def apply(model, config):
        names = train_ways._names_of(model)
        stock = names["apply_rotary_pos_emb"]
        names["apply_rotary_pos_emb"] = lambda *args, **more: called.append(1) or stock(*args, **more)

    monkeypatch.setattr("transformers.integrations.liger.apply_liger_kernel", apply)
    liger = Stepper(work, LIGER)
    steppers[FUSED].backward()
    assert not called
    liger.backward()
    assert len(called) == 2  # layers
    steppers[FUSED].backward()
    assert len(called) == 2 and liger.trainer.args.use_liger_kernel


def test_liger_is_left_out_with_the_reason(monkeypatch):
    assert "GPU" in left_out("cpu")[LIGER]
    monkeypatch.setattr(train_ways, "find_spec", lambda name: None)
    assert "not installed" in left_out("cuda")[LIGER]
    monkeypatch.setattr(train_ways, "find_spec", lambda name: name)
    assert not left_out("cuda")


def test_a_mean_step_weighs_both_kinds():
    found = train.cycle(Times((1.0, 2.0), (1.0, 1.0)), Times((5.0, 6.0), (1.0, 9.0)), 4)
    assert found == Times((2.0, 3.0), (1.0, 3.0))


def test_operations_are_those_of_the_shape():
    with torch.device("meta"):
        model = Qwen3ForCausalLM(Qwen3Config(**SHAPES["qwen3-1.7b"]))
    shape = next(one for one in MEMORY_SHAPES if one.name == "Qwen3-1.7B")
    assert train.operations(model, 0, 0, 0) == 4 * shape.in_layers
    assert train.operations(model, 0, 0, shape.vocabulary) - 4 * shape.in_layers == 4 * shape.in_embeddings
    assert 7.0e9 < train.operations(model, 16, 1100, shape.vocabulary) < 7.7e9


def test_the_peak_is_printed_by_a_process_of_its_own(work, capsys, monkeypatch):
    assert train_peak.main([OURS, json.dumps(asdict(work.setting)), str(work.place)]) == 0
    assert int(capsys.readouterr().out.split()[-1]) > sum(one.nbytes for one in work.model.parameters())
    monkeypatch.setattr(train_peak.sys, "executable", "/bin/false")
    with pytest.raises(InputError, match=f"memory of {OURS} failed"):
        train_peak.resident(work.setting, OURS, work.place)


def test_what_a_way_holds_is_its_weights_and_moments(steppers):
    stepper = steppers[OURS]
    stepper.step()
    every, lora = (sum(one.nbytes for one in stepper.model.parameters() if one.requires_grad >= only) for only in (False, True))
    assert every + 2 * lora <= train_peak.held(stepper) < every + 2 * lora + 10_000


def test_the_command_writes_page_and_figures_and_says_what_was_not_run(base, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(page, "PARTS", ("train",))
    monkeypatch.setattr(train_peak, "resident", lambda setting, way, place: 10**9)
    flags = ["--base", base, "--size", "8", "--batch", "1", "--rank", "2", "--repeats", "1", "--dtype", "float32"]
    assert main(["bench", "train", *flags, "--docs", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert list(json.loads((tmp_path / "speed" / "train.json").read_text()).values()) == [found]
    told = (tmp_path / "speed.md").read_text()
    assert "On a GPU: not run" in told and "On a CPU: not run" not in told and f"{LIGER}: not run" in told
    ours, restricted, full = (found["rows"][way]["wall"][0] for way in (OURS, train.RESTRICTED, train.FULL))
    assert ours == pytest.approx((7 * restricted + full) / 8) and all(f"| {way} |" in told for way in found["rows"])


@pytest.mark.parametrize(
    "wrong", [["--batch", "0"], ["--size", "7"], ["--repeats", "0"], ["--rank", "0"], ["--full-head-every", "0"],
              ["--random", "elephant"], *([] if torch.cuda.is_available() else [["--device", "cuda"]])],
)  # fmt: skip
def test_bad_flags_end_in_one_line(wrong, capsys):
    assert main(["bench", "train", *wrong]) == 2
    assert capsys.readouterr().err.count("\n") == 1
