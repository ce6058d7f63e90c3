"""The best of several drawings of a sprite transformer."""

from dataclasses import replace

from eval.baseline.generator import SpriteTransformerGenerator
from eval.best_of import STEP, BestOf
from eval.decoding import Sampling
from eval.generate import GenerateRecipe, generate
from eval.generators import Request
from eval.rivals import load_guide


def test_it_is_one_of_its_own_drawings_and_the_likeliest_by_the_score(trained):
    model = SpriteTransformerGenerator.load(trained / "model")
    best = BestOf(model, 3, load_guide())
    asked = [Request("a coral facing left", 16, 16, model.palette, 3, i, {"category": "coral"}) for i in range(2)]
    chosen = [d.text for d in best.answer(asked, Sampling())]
    assert chosen == [d.text for d in best.answer(asked, Sampling(), batch_size=2)]
    for one, text in zip(asked, chosen, strict=True):
        candidates = [replace(one, index=one.index + j * STEP) for j in range(3)]
        drawn = [d.text for d in model.answer(candidates, Sampling())]
        assert text == drawn[max(range(3), key=best.ranks(candidates, drawn).__getitem__)]


def test_a_run_draws_it_and_asks_for_no_bits_of_it(trained, reef, tmp_path):
    generators = {"best": {"transformer": str(trained / "model"), "best_of": 2}}
    folder = generate(GenerateRecipe("r", str(reef), generators, {}, prompts=2, unconstrained=2, likelihoods=2), tmp_path)
    text = (folder / "completions.jsonl").read_text()
    assert text.count('"generator": "best"') == 2 and not (folder / "likelihoods.jsonl").exists()
