"""The recipe for 64×64: what it trains on is made by the recipe that it names, and a drawing is as long as it says."""

from itertools import islice
from pathlib import Path

import yaml

from data_prep.captions import messages
from data_prep.grid_text import encode
from data_prep.prepare import PrepareRecipe
from data_prep.sources import procedural
from finetune.cell_tokens import CellTokens

ROOT = Path(__file__).parents[2]


def test_64px_sprites_take_about_4200_tokens_which_no_setting_cuts(tokenizers):
    data = PrepareRecipe.from_yaml(ROOT / "data_prep/recipes/reef64px.yaml")
    recipe = yaml.safe_load((ROOT / "finetune/recipes/qwen3_1.7b_64.yaml").read_text())
    assert data.sizes == (64,) and recipe["dataset"] == f"datasets/{data.name}" and "max_length" not in recipe
    assert recipe["activation_checkpointing"]
    tokens = CellTokens(tokenizers["qwen3"])
    for sprite in islice(procedural.sprites(1, 64), 6):
        prompt = tokens.prompt_ids(messages(sprite.caption, 64, 64, sprite.palette))
        length = len(prompt) + len(tokens.completion_ids(encode(sprite.grid, sprite.palette)))
        assert 64 * 64 + 63 < length < 4_300
