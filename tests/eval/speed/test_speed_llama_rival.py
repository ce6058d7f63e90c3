"""llama.cpp as a rival: it draws valid sprites by the seed, alone and at once, and another model is refused."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from data_prep.errors import InputError
from data_prep.palette import named
from eval.generators import LanguageModel
from eval.speed import llama_rival
from eval.speed.drawing_ways import CAPTIONS, Contest
from eval.speed.llama_rival import LlamaCpp, bytes_a_token
from tests.finetune.tiny_models import llama as tiny_llama
from tests.finetune.tiny_models import random_adapter

REEF, SIDE = named("reef64"), 4


@pytest.fixture(scope="module")
def adapted(smollm2, tmp_path_factory) -> tuple[Path, Path]:
    """An adapter and its base, of random weights."""
    folder = tmp_path_factory.mktemp("rival")
    base = tiny_llama(smollm2.location, folder / "tiny-llama")
    return random_adapter(base, folder / "tiny"), base


@pytest.fixture(scope="module")
def contest(adapted) -> Contest:
    adapter, base = adapted
    return Contest(LanguageModel.load(adapter, str(base), "float32"), SIDE, REEF)


@pytest.fixture(scope="module")
def llama(contest, adapted):
    pytest.importorskip("xllamacpp")
    with LlamaCpp(contest, adapted[0], str(adapted[1]), slots=4) as found:
        yield found
    assert not hasattr(found, "server")


def test_it_draws_valid_sprites_by_the_seed_alone_and_at_once(llama):
    grids = llama.draw(5, 3)
    assert grids.shape == (5, SIDE, SIDE) and grids.max() < len(REEF)
    assert (grids[0] != grids[4]).any()  # one caption, other seeds
    assert SIDE**2 < llama.tokens_a_sprite <= llama.room and all(one.prompt > 0 < one.writing for one in llama.answers)
    assert (llama.draw(1, 4)[0] != grids[0]).any()


def test_it_is_the_model_that_we_draw_with(llama):
    llama.check()
    assert 0 < llama.apart < llama_rival.LIMIT and len(llama.answers) == len(CAPTIONS)
    assert f"{llama.apart:.4f} nats" in llama.told and "4 sprites at once" in llama.told


def test_another_model_is_refused(llama, contest, adapted, monkeypatch):
    bare = LanguageModel.load(None, str(adapted[1]), "float32")
    monkeypatch.setattr(llama, "contest", Contest(bare, 8, REEF))
    with pytest.raises(InputError, match=r"llama.cpp is another model"):
        llama.check()


def test_what_is_no_drawing_is_refused(llama, monkeypatch):
    monkeypatch.setattr(llama, "grammar", 'root ::= "{}"')
    with pytest.raises(InputError, match=r"llama.cpp with the grammar wrote no drawing"):
        llama.draw(1, 0)


def test_a_tied_head_is_read_at_every_token_and_an_embedding_beside_a_head_is_not(tmp_path):
    from gguf import GGUFWriter

    for tied in (True, False):
        writer = GGUFWriter(tmp_path / f"{tied}.gguf", "llama")
        names = ["token_embd.weight", "blk.0.ffn_up.weight", *([] if tied else ["output.weight"])]
        for name, rows in zip(names, (100, 10, 100), strict=False):
            writer.add_tensor(name, np.zeros((rows, 32), np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    assert bytes_a_token(tmp_path / "True.gguf") == bytes_a_token(tmp_path / "False.gguf") == 110 * 32 * 4


def test_without_xllamacpp_the_extra_is_named_before_anything_is_merged(contest, adapted, monkeypatch):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(InputError, match=r"pip install -e \.\[dev\]"):
        LlamaCpp(contest, adapted[0], str(adapted[1]))


def test_it_takes_as_many_threads_as_torch(llama):
    assert llama.threads == torch.get_num_threads()
