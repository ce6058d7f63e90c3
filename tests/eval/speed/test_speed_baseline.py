"""`pixelreef bench baseline`: both ways come to the same numbers or are refused, and limits are counted right."""

import json
from argparse import Namespace

import numpy as np
import pytest
import torch
import yaml
from accelerate.state import AcceleratorState
from torch.utils.flop_counter import FlopCounterMode

from data_prep.errors import InputError
from eval.baseline.sample import draw_grids
from eval.baseline.sprite_transformer import SpriteTransformer, SpriteTransformerConfig
from eval.cli import main
from eval.decoding import Sampling
from eval.speed import baseline
from eval.speed.baseline_limits import forward_operations, sampling_bytes, training_operations
from eval.speed.contest import Times
from eval.speed.page import page, section
from eval.speed.plain_transformer import PlainTransformer, draw_uncached

SHAPE = {"width": 32, "layers": 2, "heads": 4, "kv_heads": 2, "head_width": 8, "hidden": 64, "pixel_width": 8}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where the sprites are prepared once; training writes nothing as long as it is only timed."""
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(autouse=True)
def _no_precision_of_others():
    """Whatever else ran in this process: accelerate keeps one precision for all of it."""
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def side(place, tmp_path, monkeypatch) -> baseline.Side:
    _make_small(tmp_path, monkeypatch)
    return baseline.sides(Namespace(size=8, batch=4, device="cpu"), place)


def _make_small(folder, monkeypatch) -> None:
    recipe = yaml.safe_load(baseline.RECIPE.read_text()) | {"shape": SHAPE, "flips": 0.5}
    (folder / "small.yaml").write_text(yaml.safe_dump(recipe))
    monkeypatch.setattr(baseline, "RECIPE", folder / "small.yaml")
    monkeypatch.setattr("finetune.precision.quick_dtype", lambda device="cpu": "float32")
    monkeypatch.setattr(baseline, "PRODUCT", {"cpu": 64})


def test_both_loops_come_to_the_same_loss_gradients_and_first_step(side):
    same = baseline.check_training(side)
    assert same["loss"][0] == pytest.approx(same["loss"][1], rel=1e-5) and same["gradients_apart"] < 1e-5
    training, plain = side.training, side.plain
    batch = training.batches.at(0, training.recipe.condition_dropout, training.recipe.flips)
    seen = torch.from_numpy(batch.grids.astype(int)).flatten(1), torch.from_numpy(batch.conditions)
    plain.batch = lambda: seen
    training.take_step(0.0)
    plain.step()
    for name, value in training.core.named_parameters():
        assert torch.allclose(value, plain.model.get_parameter(name), atol=1e-5), name


def test_a_loop_that_learns_something_else_is_refused(side):
    side.plain.model.blocks[1].down.weight.data *= 1.5
    with pytest.raises(InputError, match=r"not the plain loop's"):
        baseline.check_training(side)


def test_the_plain_loop_sees_sprites_with_their_own_conditions(side):
    pixels, told = side.plain.batch()
    known = {(grid.tobytes(), tuple(ids)) for grid, ids in zip(side.plain.grids, side.plain.told, strict=True)}
    assert pixels.shape == (4, 64) and all(
        (one.numpy().astype(np.uint8).tobytes(), tuple(ids.tolist())) in known for one, ids in zip(pixels, told, strict=True)
    )


def test_a_timed_call_takes_its_steps_on_both_sides(side, monkeypatch):
    monkeypatch.setattr(baseline, "STEPS", {"cpu": 3})
    times = baseline.time_training(side, "cpu", 2)
    assert side.training.step == side.plain.steps == 9 and all(one.work == 3 and len(one.wall) == 2 for one in times.values())


def test_sampling_without_a_cache_draws_the_same_and_another_is_refused(side):
    drawing = baseline.Drawing(side)
    assert drawing.check() == {"drawings": 2, "same": 2, "gaps": []}
    assert len({grid.tobytes() for grid in drawing.ours(3)}) == 3 and (drawing.ours(2, 5) != drawing.ours(2)).any()
    drawing.plain.blocks[0].qkv.weight.data *= 1.2
    with pytest.raises(InputError, match=r"draws otherwise"):
        drawing.check()


def test_the_uncached_loop_shows_a_pixel_nothing_that_comes_later():
    torch.manual_seed(1)
    model = SpriteTransformer(SpriteTransformerConfig(entries=7, classes=(3, 2), **SHAPE)).eval()
    plain = PlainTransformer(model.config, 9)
    plain.load_state_dict(model.state_dict())
    for value, other in zip(model.state_dict().values(), plain.state_dict().values(), strict=True):
        value += 0.2 * torch.randn(value.shape)
        other.copy_(value)
    told, keys = np.array([[1, 2], [0, 1]]), [(3, 0), (3, 4)]
    assert (draw_uncached(plain, told, keys) == draw_grids(model, told[None], (9, 9), keys, Sampling())).all()


def test_operations_are_those_that_torch_counts():
    """Torch counts every pair of tokens; we only those of which one lies before the other, or both are one."""
    config = SpriteTransformerConfig(entries=7, classes=(3, 2), **SHAPE)
    model, tokens = SpriteTransformer(config), 2 + 64
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        for block in model.blocks:  # as products: the counter does not know the fused kernel of a CPU
            block.attend = lambda q, k, v, block=block: block.attend_short(q, k, v).transpose(1, 2).flatten(2)
        model(torch.zeros(1, 8, 8, dtype=torch.long), torch.zeros(1, 2, dtype=torch.long))
    later = tokens * (tokens - 1) // 2 * 4 * config.layers * config.heads * config.head_width
    assert forward_operations(model, 64) == counter.get_total_flops() - later
    assert training_operations(model, 64) == 3 * forward_operations(model, 64)


def test_sampling_reads_the_weights_once_a_pixel_and_the_cache_of_each_sprite():
    model = SpriteTransformer(SpriteTransformerConfig(entries=7, classes=(3, 2), **SHAPE))
    matrices = sum(v.numel() for n, v in model.named_parameters() if v.ndim == 2 and n.startswith(("blocks", "mix", "head")))
    token = 2 * 2 * 2 * 8  # keys and values, layers, heads, their width
    assert sampling_bytes(model, 1, 1) == 4 * (matrices + 3 * token)
    assert sampling_bytes(model, 2, 5) == 4 * (2 * matrices + 5 * (3 + 4) * token)


def test_fewer_sprites_without_a_cache_are_counted_as_fewer(side, monkeypatch):
    drawing, drawn = baseline.Drawing(side), []
    drawing.size = 16
    monkeypatch.setattr(drawing, "ours", lambda count, seed: drawn.append(("ours", count)))
    monkeypatch.setattr(drawing, "uncached", lambda count, seed: drawn.append(("uncached", count)))
    times = drawing.timed(32, "cpu", 1)
    assert drawn == [("ours", 32), ("uncached", 4)] * 2 and [one.work for one in times.values()] == [32, 4]
    assert drawing.timed(32, "cuda", 1)[baseline.UNCACHED].work == 32


def test_a_share_is_of_the_limit():
    row = baseline._row({baseline.OURS: Times((2.0,), (2.0,), 4), baseline.PLAIN: Times((4.0,), (4.0,), 2)}, baseline.PLAIN, 8.0)
    assert row["shares"] == {baseline.OURS: 0.25, baseline.PLAIN: 0.0625} and row["ratio"] == 4


def test_the_command_writes_page_and_figures(tmp_path, monkeypatch, capsys):
    _make_small(tmp_path, monkeypatch)
    monkeypatch.setattr("eval.speed.limits.bandwidth", lambda device: 1e9)
    monkeypatch.setattr("eval.speed.page.PARTS", ("baseline",))
    flags = ["--size", "8", "--batch", "4", "--drawn", "1", "3", "--repeats", "1", "--docs", str(tmp_path)]
    assert main(["bench", "baseline", *flags]) == 0
    found = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert json.loads((tmp_path / "speed" / "baseline.json").read_text()) == {"8×8, cpu": found}
    told = (tmp_path / "speed.md").read_text()
    assert told == page(tmp_path) and "drew the same grid for 2 of 2" in told
    assert [row["batch"] for row in found["sampling"]["rows"]] == [1, 3] and found["training"]["dtype"] == "float32"
    left = section("baseline", {"8×8, cpu": found})[-1]
    assert left == f"On a GPU: not run. `{baseline.LEFT['cuda']}` adds it."


@pytest.mark.parametrize("flags", [["--size", "33"], ["--drawn", "4", "0"], ["--batch", "0"], ["--repeats", "-1"]])
def test_flags_out_of_range_end_in_one_line(flags, capsys, tmp_path):
    assert main(["bench", "baseline", *flags, "--docs", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not list(tmp_path.iterdir())
