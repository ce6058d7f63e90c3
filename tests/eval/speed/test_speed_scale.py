"""`pixelreef bench scale`: exponents are those of the law, memory is the child's own, and every curve names its limit."""

import json
import mmap

import numpy as np
import pytest

from data_prep.errors import InputError
from eval.cli import main
from eval.speed import scale, scale_processes, scale_transformer
from eval.speed.growth import growth, slope, up_to
from eval.speed.page import section


def test_the_exponent_of_a_power_law_and_its_error():
    work = [1, 4, 16, 64, 256]
    found = growth(work, [3 * n**1.5 for n in work])
    assert (found.exponent, found.error, found.last) == pytest.approx((1.5, 0, 1.5), abs=1e-9)
    bent = growth(work, [10 + n for n in work])  # a fixed cost
    assert bent.exponent < bent.last < 1 and bent.error > 0.05
    assert slope([1, 2, 5], [7, 9, 15]) == pytest.approx(2)


def test_the_error_is_that_of_least_squares():
    rng = np.random.default_rng(0)
    work = np.array([1.0, 3, 10, 30, 100, 300])
    drawn = [growth(work, work * np.exp(rng.normal(0, 0.1, 6))) for _ in range(400)]
    assert np.std([one.exponent for one in drawn]) == pytest.approx(np.mean([one.error for one in drawn]), rel=0.15)


def test_there_are_four_points_at_least():
    assert up_to(300_000, scale.CORPORA) == list(scale.CORPORA) and up_to(30_000, scale.CORPORA) == list(scale.CORPORA[:4])
    assert up_to(100, scale.CORPORA) == [4, 11, 33, 100] and up_to(64, scale.BATCHES) == [1, 4, 16, 64]


def test_a_process_tells_its_own_memory_and_one_that_fails_is_named(tmp_path):
    ballast = np.ones(2**25)  # 268 MB of this process, which are not the child's
    found = scale_processes.timed("stream", 3, 8)
    assert 5e6 < found["memory"] < ballast.nbytes and found["cpu"] > 0 and found["wall"] > 0
    with pytest.raises(InputError, match=r"bench scale: prepare: .*size"):
        scale_processes.timed("prepare", 3, 9999, 1, tmp_path / "bench")


def test_operations_are_told_apart(monkeypatch):
    monkeypatch.setattr(scale_transformer, "SAMPLED", 4)
    names = {"aten::_scaled_dot_product_flash_attention_for_cpu": "attention", "aten::bmm": "attention"}
    names |= {"aten::addmm": "matrix products", "aten::native_layer_norm": scale_transformer.OTHER}
    assert {name: scale_transformer.family(name) for name in names} == names
    found = scale_transformer.shares(scale_transformer.sampled(scale_transformer.network().eval(), 2, 8))
    assert sum(found.values()) == pytest.approx(1, abs=1e-3) and min(found.values()) > 0


def test_the_network_draws_and_learns_beyond_its_own_largest_side():
    model = scale_transformer.network()
    before = model.head.weight.clone()
    scale_transformer.training(model, 1, 40)(0)
    assert (model.head.weight != before).any()
    assert scale_transformer.drawing(model, 2, 8)(0).shape == (2, 8, 8)


def test_memory_is_that_of_the_call():
    def taken(_turn: int) -> None:  # mapped anew: what malloc kept of earlier tests would serve an array without a new page
        np.frombuffer(mmap.mmap(-1, 2**26), np.uint8).fill(1)

    assert scale_transformer.above(taken) > 2**25
    assert scale_transformer.above(lambda turn: None) < 2**22


def test_curves_are_entered_one_by_one(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(scale, "BATCHES", (1, 2, 3, 4))
    monkeypatch.setattr(scale, "SIDE", 8)
    monkeypatch.setattr(scale_transformer, "SAMPLED", 4)
    words = ["bench", "scale", "--repeats", "1", "--docs", str(tmp_path), "--what"]
    assert main([*words, "batch"]) == 0
    monkeypatch.setattr(scale, "SIDES", (4, 5, 6, 7))
    assert main([*words, "size", "--most", "1"]) == 0
    runs = json.loads((tmp_path / "speed/scale.json").read_text())
    told = "\n".join(section("scale", runs))
    assert list(runs) == ["batch", "size"] and told in (tmp_path / "speed.md").read_text()
    assert [point["work"] for point in runs["size"]["curves"]["train"]["points"]] == [16, 25, 36, 49]
    assert told.count("The limit: ") == 3 and told.count("Exponent of the seconds") == 3


def test_a_corpus_is_measured_in_processes(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(scale_processes, "timed", lambda *told: made.append(told) or _taken(told[1]))
    found = {"what": "corpus", "memory": 10**9, **scale._corpus(100, 1)}
    assert [told[:3] for told in made] == [(way, n, 8) for n in (4, 11, 33, 100) for way in ("prepare", "stream")]
    told = "\n".join(scale._of_corpus(found))
    assert "1.00 ± 0.00" in told and "1,000 bytes a sprite" in told and "one core's arithmetic: CPU seconds are 95%" in told
    assert "full at 9.9e+05 sprites" in told


def _taken(count: int) -> dict:
    return {"wall": count / 10, "cpu": count / 10 * 0.95, "memory": 10**7 + 1000 * count}


def test_memory_below_a_megabyte_says_nothing_of_growth():
    points = [{"memory": taken} for taken in (1, 2e6, 4e6, 8e6, 16e6)]
    assert scale._memory_exponent([1, 2, 4, 8, 16], points).startswith("1.00 ± 0.00")
    assert scale._memory_exponent([1, 2, 4, 8], points[:4]).startswith("unknown")
    assert scale._memory_exponent([1, 2, 4, 8], [{"memory": None}] * 4).startswith("unknown")


def test_two_processes_are_told_by_amdahl():
    rows = [{"processes": 1, "wall": 9.0}, {"processes": 2, "wall": 6.0}]
    assert scale._compared("x", rows, 2)[3:] == ("1.50", "75%", "33% of the work is as if done by one process; 2 cores")


@pytest.mark.parametrize("flags", [["--most", "99"], ["--repeats", "0"], ["--what", "batch", "--most", "26"]])
def test_a_bad_flag_ends_in_one_line(flags, tmp_path, capsys):
    assert main(["bench", "scale", "--docs", str(tmp_path), *flags]) == 2 and capsys.readouterr().err.count("\n") == 1
