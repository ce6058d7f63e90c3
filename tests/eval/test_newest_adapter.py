"""Which adapter draws where none is named."""

import os
import shutil

from eval.draw import newest_adapter
from finetune.adapter_folder import FACTS
from tests.finetune.tiny_models import change_facts, random_adapter


def test_the_newest_adapter_that_draws_captions_is_taken_by_default(tiny_qwen3, tmp_path):
    random_adapter(tiny_qwen3, tmp_path / "older")
    shutil.copytree(tmp_path / "older", tmp_path / "bench")
    change_facts(tmp_path / "bench", tasks=["bench"])
    os.utime(tmp_path / "older" / FACTS, (1, 1))
    assert newest_adapter(tmp_path) == tmp_path / "older"
    change_facts(tmp_path / "bench", tasks=["bench", "draw"])
    assert newest_adapter(tmp_path) == tmp_path / "bench"
