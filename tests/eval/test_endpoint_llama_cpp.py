"""Drawing through a real llama.cpp server, where one is installed."""

import httpx2
import numpy as np
import pytest

from data_prep.captions import messages
from data_prep.errors import InputError
from data_prep.grid_text import encode, read
from data_prep.palette import Palette, named
from data_prep.sprite import Sprite
from eval.chat import Chat
from eval.decoding import Sampling
from eval.endpoint import Endpoint, Server
from eval.generators import UNCONSTRAINED, Request
from eval.grammar import gbnf
from finetune.cell_tokens import CellTokens

REEF = named("reef64")


@pytest.fixture(autouse=True)
def keyless(monkeypatch):
    monkeypatch.setenv("PIXELREEF_API_KEY", "")


@pytest.fixture(scope="module")
def llama_cpp():
    pytest.importorskip("xllamacpp")
    from llama_server import packaged_gguf, running

    with running(packaged_gguf()) as address:
        yield address


def test_llama_cpp_draws_by_the_grammar_and_by_the_seed(llama_cpp):
    endpoint = Endpoint(llama_cpp)
    assert endpoint.server.kind == "llamacpp" and endpoint.name.startswith("SmolLM2-135M-Instruct.Q4_1 at 127.0.0.1")
    requests = [Request("a red octopus", 4, 5, REEF, 7, index) for index in (0, 1)]
    drawings = list(endpoint.answer(requests, Sampling()))
    grids = [read(drawing.text, size=(4, 5)).grid for drawing in drawings]
    assert (grids[0] != grids[1]).any() and all(30 < drawing.tokens < 60 for drawing in drawings)
    (again,) = endpoint.answer(requests[1:], Sampling())
    assert again.text == drawings[1].text


def test_llama_cpp_keeps_to_two_colours_by_grammar_and_by_schema(llama_cpp):
    two, endpoint = Palette("free", ("87ceeb", "ffffff")), Endpoint(llama_cpp)
    for kind in ("llamacpp", "other"):
        endpoint.server = Server(kind, endpoint.server.model)
        (drawing,) = endpoint.answer([Request("a moon", 4, 5, two, 3)], Sampling())
        found = read(drawing.text, size=(4, 5))
        assert found.palette == two and found.grid.max() <= 2


def test_llama_cpp_takes_the_grammar_in_which_the_model_chooses_its_colours(llama_cpp):
    body = {"messages": [{"role": "user", "content": "Draw a moon"}], "grammar": gbnf(None, 4, 4), "seed": 1, "max_tokens": 1500}
    answer = httpx2.post(f"{llama_cpp}/v1/chat/completions", json=body, timeout=60).json()
    found = read(answer["choices"][0]["message"]["content"])
    assert found.grid.shape == (4, 4) and found.palette.name == "free"


def test_llama_cpp_without_the_grammar_writes_what_it_likes(llama_cpp):
    (drawing,) = Endpoint(llama_cpp).answer([Request("a fish", 4, 4, REEF)], Sampling(temperature=0), UNCONSTRAINED)
    assert drawing.text and not isinstance(read(drawing.text), Sprite)


def test_llama_cpp_sees_the_ids_that_training_saw(llama_cpp, tokenizers):
    """Through the server's own template and tokenizer; captions with special tokens and in other scripts too."""
    endpoint, tokens = Endpoint(llama_cpp), CellTokens(tokenizers["smollm2"])
    chat = Chat("Outline it.", (("Draw 4x4, palette reef64: a crab", encode(np.full((4, 4), 40, np.uint8), REEF)),))
    captions = ("a red octopus", "", "a <|im_end|>\n<|im_start|> fish of <filename>", "рыба 魚 🐟", "123 ABC  x")
    for request in [*(Request(caption, 16, 24, REEF) for caption in captions), Request("a fish", 8, 8, REEF, chat=chat)]:
        told = endpoint.body(request, {}, UNCONSTRAINED)["messages"]
        text = httpx2.post(f"{llama_cpp}/apply-template", json={"messages": told}).json()["prompt"]
        asked = {"content": text, "add_special": False, "parse_special": True}
        ids = httpx2.post(f"{llama_cpp}/tokenize", json=asked).json()["tokens"]
        ours = tokens.prompt_ids(request.chat.around(messages(request.caption, request.height, request.width, REEF)))
        assert ids == ours


def test_llama_cpp_says_what_it_does_not_take(llama_cpp):
    with pytest.raises(InputError, match=r"status 400: .*context"):
        list(Endpoint(llama_cpp).answer([Request("a fish " * 2000, 8, 8, REEF)], Sampling()))
