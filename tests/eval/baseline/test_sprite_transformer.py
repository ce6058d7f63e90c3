"""The network: its size, what a pixel may see, and the cache against the whole pass."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import SMALL, small

from eval.baseline.config import read_recipe
from eval.baseline.sample import Cursor
from eval.baseline.sprite_transformer import SpriteTransformer, SpriteTransformerConfig, known_before, parameter_count

RECIPES = sorted((Path(__file__).parents[3] / "eval" / "baseline" / "recipes").glob("*.yaml"))


def test_the_default_has_2_9_million_parameters():
    assert 2_850_000 <= parameter_count(SpriteTransformer(SpriteTransformerConfig())) <= 2_950_000


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_have_2_9_million_parameters(path):
    recipe = read_recipe(path)
    classes = (5, 6) if recipe.conditions == "tags" else (6, 9, 5, 2, 4, 46, 5, 9, 3, 5)
    model = SpriteTransformer(SpriteTransformerConfig(classes=classes, **recipe.shape))
    assert 2_850_000 <= parameter_count(model) <= 2_950_000
    assert {recipe.stem for recipe in RECIPES} == {"improved", "as_published", "demo"}


@settings(max_examples=25, deadline=None)
@given(height=st.integers(4, 12), width=st.integers(4, 12), positions=st.sampled_from(["raster", "grid"]))
def test_a_token_is_shown_only_pixels_before_its_own(height, width, positions):
    shown = known_before(height, width, positions).numpy()
    pixels = np.arange(height * width)[:, None]
    assert ((shown < pixels) | (shown == height * width)).all()
    assert (shown == pixels - 1).any(1)[1:].sum() >= (height * width - 1) - (0 if positions == "raster" else height)


@pytest.mark.parametrize("positions", ["raster", "grid"])
def test_no_pixel_sees_itself_or_a_later_one(positions):
    model, rng = small(positions=positions), np.random.default_rng(0)
    grids = torch.from_numpy(rng.integers(0, 7, (1, 5, 6)))
    told = torch.tensor([[1, 2]])
    with torch.no_grad():
        before = model(grids, told)
        for pixel in (0, 7, 17, 28):
            changed = grids.clone()
            changed.view(-1)[pixel] = (changed.view(-1)[pixel] + 3) % 7
            after = model(changed, told)
            assert torch.equal(before[:, : pixel + 1], after[:, : pixel + 1])
            assert not torch.allclose(before[:, pixel + 1 :], after[:, pixel + 1 :], atol=1e-3)


@pytest.mark.parametrize(
    "positions, kv_heads, size", [("grid", 1, (6, 9)), ("grid", 2, (16, 5)), ("raster", 4, (8, 8)), ("raster", 1, (4, 32))]
)
def test_cached_logits_are_those_of_the_whole_pass(positions, kv_heads, size):
    model, rng = small(positions=positions, kv_heads=kv_heads), np.random.default_rng(1)
    grids = torch.from_numpy(rng.integers(0, 7, (3, *size)))
    told = torch.tensor([[0, 0], [3, 1], [2, 2]])
    with torch.inference_mode():
        whole, cursor = model(grids, told), Cursor(model, told, *size)
        canvas = torch.full((3, size[0] * size[1] + 1), 7)
        for pixel in range(size[0] * size[1]):
            assert torch.allclose(cursor.logits(canvas, pixel), whole[:, pixel], atol=1e-4)
            canvas[:, pixel] = grids.flatten(1)[:, pixel]


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_short_attention_is_that_of_the_fused_kernel(kv_heads):
    block = small(kv_heads=kv_heads).blocks[0]
    q, k, v = (torch.randn(2, heads, 38, 8) for heads in (4, kv_heads, kv_heads))
    assert torch.allclose(block.attend_short(q, k, v).transpose(1, 2).flatten(2), block.attend(q, k, v), atol=1e-5)


def test_training_in_bfloat16_alone_takes_the_short_attention(monkeypatch):
    model, taken = small(), []
    monkeypatch.setattr(type(model.blocks[0]), "attend_short", lambda block, q, k, v: taken.append(q.dtype) or q)
    grids, told = torch.zeros(1, 6, 6, dtype=torch.long), torch.tensor([[1, 2]])
    model(grids, told)
    with torch.autocast("cpu", torch.bfloat16):
        model(grids, told)
    assert taken == [torch.bfloat16] * 2


def test_every_condition_and_the_place_count():
    model, grids = small(), torch.zeros(1, 6, 6, dtype=torch.long)
    told = [torch.tensor([ids]) for ids in itertools.product(range(4), range(3))]
    with torch.no_grad():
        found = [model(grids, ids)[0] for ids in told]
    assert all(not torch.allclose(a, b, atol=1e-3) for a, b in itertools.combinations(found, 2))
    assert not torch.allclose(found[0][20], found[0][22], atol=1e-3)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"kv_heads": 3}, "kv_heads"),
        ({"positions": "x"}, "positions"),
        ({"kv_heads": 0}, "kv_heads: 0"),
        ({"heads": "x"}, "heads: 'x'"),
        ({"width": "abc"}, "width: 'abc'"),
        ({"layers": True}, "layers: True"),
        ({"hidden": 48.0}, "hidden: 48.0"),
        ({"pixel_width": -8}, "pixel_width: -8"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        SpriteTransformerConfig(**SMALL | changes)
