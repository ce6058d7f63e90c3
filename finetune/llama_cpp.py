"""llama.cpp's own server, out of the xllamacpp wheel, in this process: what a GGUF file is compared by."""

import json
import urllib.request
from pathlib import Path

import numpy as np

from data_prep.errors import InputError
from finetune.likelihood import Query

EXACT = {"temperature": 0, "cache_prompt": False, "samplers": ["temperature"], "return_tokens": True}  # nothing cuts the choice


class LlamaServer:
    """Serves as long as it lives. model: a GGUF file. Raises InputError where the wheel is not installed.

    slots: how many requests it answers at once, each of at most `context` tokens.
    """

    def __init__(self, model: Path, threads: int = 1, slots: int = 1, context: int = 2048):
        try:
            import xllamacpp
        except ModuleNotFoundError as error:
            raise InputError("llama.cpp is not here: xllamacpp is missing; pip install -e .[dev]") from error
        params = xllamacpp.CommonParams()
        params.model.path = str(model)
        params.n_ctx, params.n_parallel, params.n_gpu_layers = slots * context, slots, 0
        params.warmup, params.verbosity = False, -1
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.port = 0  # a free one
        self.server = xllamacpp.Server(params)

    def post(self, path: str, body: dict) -> dict:
        data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(self.server.listening_address + path, data, headers)
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.load(answer)

    def rendered(self, messages: list[dict]) -> str:
        """The prompt as the server's own reading of the chat template gives it."""
        return self.post("/apply-template", {"messages": messages})["prompt"]

    def ids(self, text: str) -> list[int]:
        return self.post("/tokenize", {"content": text, "add_special": False, "parse_special": True})["tokens"]

    def complete(self, prompt: list[int], grammar: str, tokens: int) -> dict:
        """Greedy under a grammar; `tokens` and `completion_probabilities` in the answer."""
        return self.post("/completion", {**EXACT, "prompt": prompt, "n_predict": tokens, "n_probs": 2, "grammar": grammar})

    def pixel_log_probabilities(self, query: Query) -> np.ndarray:
        """(H·W,) natural log p of each pixel over the whole vocabulary: a grammar of tokens lets nothing else be written.

        Probabilities are of the raw logits, before the grammar.
        """
        completion = query.schedule.fill(query.grid)[:-1].tolist()
        said = self.complete(query.prompt_ids, "root ::= " + " ".join(f"<[{number}]>" for number in completion), len(completion))
        assert said["tokens"] == completion
        return np.array([token["logprob"] for token in said["completion_probabilities"]])[query.schedule.pixels]
