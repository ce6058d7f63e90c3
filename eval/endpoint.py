"""A generator that draws through a server with an OpenAI-compatible API: vLLM, llama.cpp, Ollama and others.

    Endpoint("http://localhost:8080").draw("a red octopus", n=4, seed=7)

The messages are those of `captions.messages`, so that a server with our chat template makes the same ids of them as
`LanguageModel.prompts`. What /v1/models says of its owner tells how the server takes the grammar. Seeds
are the server's own: the same request gives the same drawing there as far as the server keeps to its seed, not the
drawing that the same model makes here. Ollama takes neither top-k nor min-p nor a repeat penalty by request: put
`PARAMETER top_k 0`, `PARAMETER min_p 0` and `PARAMETER repeat_penalty 1` into the model's Modelfile.
Keys: the environment's OPENAI_API_KEY for OpenAI's own server and for no other, PIXELREEF_API_KEY for all others; over
plain http it goes to this machine alone.
"""

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from urllib.parse import urlsplit

import anyio
import numpy as np
from anyio.from_thread import start_blocking_portal

from data_prep.captions import palette_words
from data_prep.errors import InputError
from data_prep.grid_text import GridError, encode
from data_prep.palette import Palette
from data_prep.sprite import Sprite
from eval.generators import GRAMMAR, SPARE_TOKENS, UNCONSTRAINED, Drawing, Request, check_request, drawn
from eval.grammar import gbnf, json_schema, regex
from eval.json_client import KEY, JsonClient

LLAMA_CPP, VLLM, OLLAMA, OTHER = "llamacpp", "vllm", "library", "other"  # the first three: `owned_by` in /v1/models
_THOUGHTLESS = {"chat_template_kwargs": {"enable_thinking": False}}
_NOT_THINKING: dict[str, dict] = {LLAMA_CPP: _THOUGHTLESS, VLLM: _THOUGHTLESS, OLLAMA: {"reasoning_effort": "none"}}
_SPECIAL = re.compile(r"<(?=[^<>\s]{1,64}>)|\[(?=/?[A-Z_]{2,40}\])")  # how special tokens begin: <|im_end|>, </s>, [INST]


@dataclass(frozen=True)
class Server:
    """kind: LLAMA_CPP, VLLM, OLLAMA or OTHER; model: the name by which it is asked."""

    kind: str
    model: str


class Endpoint:
    """Draws through a server. The grammar makes texts that read strictly, else it raises; likelihoods there are none.

    url: with or without /v1. model: by default the first that the server names. timeout: seconds for a drawing; those that are
    asked for at once may take so long each, one after the other. Nothing is asked before it is needed.
    """

    palette, facts = None, None

    def __init__(self, url: str, model: str | None = None, timeout: float = 120):
        self.url, self.model, self.timeout = base_url(url), model or None, timeout
        if not timeout > 0:
            raise InputError(f"endpoint {self.url}: timeout {timeout}; it takes seconds above 0")

    @property
    def name(self) -> str:
        """The model without its folder, and the host."""
        model = PurePath(self.model or self.server.model).name.removesuffix(".gguf")[:60]
        return f"{model} at {urlsplit(self.url).netloc[:30]}"

    @cached_property
    def server(self) -> Server:
        """Asks /v1/models. A server that does not list its models is asked like OpenAI's, if a model is given."""
        try:
            (answer,) = run(self._at_once, [("/models", None)])
        except InputError:
            if self.model is None:
                raise
            return Server(OTHER, self.model)
        listed = answer.get("data")
        listed = [m for m in listed if isinstance(m, dict) and isinstance(m.get("id"), str)] if isinstance(listed, list) else []
        if not listed and self.model is None:
            raise InputError(f"{self.url}/models: names no model; name the one to draw with")
        chosen = next((m for m in listed if self.model in (None, m["id"])), listed[0] if listed else {})
        owner = chosen.get("owned_by")
        return Server(owner if owner in (LLAMA_CPP, VLLM, OLLAMA) else OTHER, self.model or chosen["id"])

    def refuse(self, request: Request) -> None:
        """Raises InputError for what no server draws: given pixels, a second caption, sizes out of range."""
        check_request(request)
        if request.given is not None or request.mixed_with is not None:
            raise InputError(f"endpoint {self.url}: given pixels and a second caption need a model that is loaded here")

    def answer(self, requests: Sequence[Request], sampling, mode: str = GRAMMAR, batch_size: int = 16) -> Iterator[Drawing]:
        """Drawings in the order of the requests, `batch_size` of them asked for at once.

        Raises InputError, before anything is drawn, for what `refuse` refuses and for sampling that the server has not;
        later for a server that fails, or that does not keep to the grammar.
        """
        for request in requests:
            self.refuse(request)
        if mode not in (GRAMMAR, UNCONSTRAINED):
            raise InputError(f"mode {mode!r}: there are {GRAMMAR} and {UNCONSTRAINED}")
        if not requests:
            return
        chosen = self._sampling(sampling)
        for start in range(0, len(requests), batch_size):
            batch = requests[start : start + batch_size]
            started = time.perf_counter()
            bodies = [("/chat/completions", self.body(request, chosen, mode)) for request in batch]
            answers = run(self._at_once, bodies)
            seconds = (time.perf_counter() - started) / len(batch)
            yield from [self._drawing(*pair, mode, seconds) for pair in zip(batch, answers, strict=True)]

    async def _at_once(self, asked: Sequence[tuple[str, dict | None]]) -> list[dict]:
        """The answers to (path, body), all asked for at the same time. The first failure ends the others."""
        answers: list[dict] = [{}] * len(asked)
        failures: list[InputError] = []

        async def one(place: int, path: str, body: dict | None) -> None:
            try:
                answers[place] = await client.ask(path, body)
            except InputError as error:
                failures.append(error)
                group.cancel_scope.cancel()

        async with JsonClient(self.url, self.timeout * len(asked)) as client, anyio.create_task_group() as group:
            for place, (path, body) in enumerate(asked):
                group.start_soon(one, place, path, body)
        if failures:
            raise failures[0]
        return answers

    def _drawing(self, request: Request, answer: dict, mode: str, seconds: float) -> Drawing:
        """tokens: by the server's count; characters where the server does not count."""
        text, cut = self._text(answer)
        if mode == GRAMMAR:
            text = compact(text)
            read = request.read(text)
            if isinstance(read, Sprite) and read.palette != request.palette:  # its entries would be other colours
                own, asked = (palette_words(palette)[:80] for palette in (read.palette, request.palette))
                read = GridError(f"its palette is {own!r}, not {asked!r}")
            if isinstance(read, GridError):
                why = "it was cut off: give the server more context" if cut else "draw without the grammar, or update the server"
                raise InputError(f"{self.url}: the answer does not keep to the grammar ({read}); {why}")
        used = answer.get("usage")
        tokens = used.get("completion_tokens") if isinstance(used, dict) else None
        if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 0:
            tokens = len(text)
        return Drawing(text, seconds, tokens)

    def body(self, request: Request, chosen: dict, mode: str) -> dict:
        """What /chat/completions is sent. chosen: the sampling, in the server's words."""
        told = request.chat.around(request.messages())
        shape = (request.palette, request.height, request.width)
        return {
            "model": self.server.model,
            "messages": [turn | {"content": _SPECIAL.sub(lambda t: t[0] + "\u200b", turn["content"])} for turn in told],
            "seed": server_seed(request.seed, request.index),
            "max_tokens": most_bytes(*shape) + SPARE_TOKENS,
            "stream": False,
            **chosen,
            **_NOT_THINKING.get(self.server.kind, {}),
            **(constraint(self.server.kind, *shape) if mode == GRAMMAR else {}),
        }

    def _sampling(self, sampling) -> dict:
        """Raises InputError for guidance, and for filters that only llama.cpp and vLLM have."""
        if sampling.guidance:
            raise InputError(f"endpoint {self.url}: servers have no guidance; leave it at 0")
        common = {"temperature": sampling.temperature, "top_p": sampling.top_p}
        if self.server.kind in (LLAMA_CPP, VLLM):
            return {**common, "top_k": sampling.top_k, "min_p": sampling.min_p}
        if sampling.top_k or sampling.min_p:
            raise InputError(f"endpoint {self.url}: the server takes no top_k and no min_p; leave them at 0")
        return common

    def likelihoods(self, requests: Sequence[Request], sprites: Sequence[Sprite]) -> Iterator:
        raise InputError(f"endpoint {self.url}: servers give no likelihoods, which best of n needs; load the model here")

    def draw(self, caption: str, n: int = 1, seed: int = 0, size: int | None = None, sampling=None) -> list[Sprite]:
        """n sprites for a caption, in reef64. size: pixels a side, by default 16."""
        return drawn(self, caption, n, seed, size, sampling)

    def _text(self, answer: dict) -> tuple[str, bool]:
        """What the model said, and whether it was cut off."""
        try:
            choice = answer["choices"][0]
            said, cut = choice["message"]["content"], choice.get("finish_reason") == "length"
        except (KeyError, IndexError, TypeError, AttributeError):
            said, cut = None, False
        if not isinstance(said, str):
            raise InputError(f"{self.url}: an answer without choices[0].message.content; is it an OpenAI-compatible API?")
        return said.encode("utf-8", "replace").decode(), cut  # a lone surrogate cannot be written


def constraint(kind: str, palette: Palette, height: int, width: int) -> dict:
    """The grammar as a kind of server takes it: GBNF for llama.cpp; for vLLM (from 0.12 on) a regular expression, which
    leaves no room for white space; for others OpenAI's own way, a JSON schema."""
    if kind == LLAMA_CPP:
        return {"grammar": gbnf(palette, height, width)}
    if kind == VLLM:
        return {"structured_outputs": {"regex": regex(palette, height, width)}}
    schema = {"name": "drawing", "strict": True, "schema": json_schema(palette, height, width)}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def run(work, *arguments):
    """What an async function returns; in a thread of its own, so that it works in notebooks too."""
    with start_blocking_portal() as portal:
        return portal.call(work, *arguments)


def base_url(url: str) -> str:
    """The address up to /v1, which is added where no version stands. Raises InputError."""
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or re.search(r"[\s\x00-\x1f]", url.strip()):
        shown = re.sub(r"//[^/]*@", "//", url)[:200]
        raise InputError(f"endpoint {shown!r}: give the address of a server, like http://localhost:8080/v1")
    if parts.username is not None or parts.query or parts.fragment:
        raise InputError(f"endpoint: the address may hold neither a password nor a query; put the key into {KEY}")
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return f"{parts.scheme}://{parts.netloc}{path if re.search(r'/v[0-9]+$', path) else path + '/v1'}"


def server_seed(seed: int, index: int) -> int:
    """31 bits, which every server takes: keyed by both, so that drawing 1 of seed 0 is not drawing 0 of seed 1."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0] >> 1)


def most_bytes(palette: Palette, height: int, width: int) -> int:
    """UTF-8 bytes of the longest drawing: no byte-level tokenizer makes more tokens of it."""
    longest = np.full((height, width), len(palette) - 1, np.uint8)
    return len(encode(longest, palette).encode())


def compact(text: str) -> str:
    """An object as JSON without white space, which a JSON schema cannot forbid; any other text as it stands."""
    try:
        found = json.loads(text, object_pairs_hook=_without_twins)
    except (ValueError, RecursionError):
        return text
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False) if isinstance(found, dict) else text


def _without_twins(pairs: list[tuple]) -> dict:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)
