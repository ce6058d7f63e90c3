"""Drawing through a server: what it is asked, and whatever it answers, never a traceback."""

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stand_in_server import raw, says, send, standing_in, status

from data_prep.captions import messages
from data_prep.errors import InputError
from data_prep.grid_text import encode, read
from data_prep.palette import Palette, named
from eval import json_client
from eval.chat import Chat
from eval.decoding import Sampling
from eval.endpoint import Endpoint, Server, base_url, compact, most_bytes, server_seed
from eval.generators import UNCONSTRAINED, Request, requests_for

REEF = named("reef64")
CLIENT = json_client.JsonClient("http://localhost/v1", 1)


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Short waits, and no key that may be in the environment."""
    monkeypatch.setattr(json_client, "FIRST_WAIT", 0.001)
    monkeypatch.setenv("PIXELREEF_API_KEY", "")


@pytest.fixture
def server():
    with standing_in() as found:
        yield found


def ask(server, count=1, mode="grammar", batch_size=4, timeout=5.0, **sampling) -> list[str]:
    endpoint = Endpoint(server.address, timeout=timeout)
    requests = requests_for(endpoint, "a red octopus", count, 7, 8)
    return [drawing.text for drawing in endpoint.answer(requests, Sampling(**sampling), mode, batch_size)]


def test_drawings_come_in_order_and_several_at_once(server):
    slowly = lambda handler: (time.sleep(0.2), send(handler, {"error": "x"}, 503))  # noqa: E731
    server.script = [slowly, slowly]
    endpoint = Endpoint(server.address)
    requests = requests_for(endpoint, "a red octopus", 10, 7, 8)
    drawings = list(endpoint.answer(requests, Sampling(), batch_size=4))
    assert [d.text for d in drawings] == [server.text({"seed": server_seed(7, index)}) for index in range(10)]
    assert 2 <= server.at_once <= 4 and all(d.tokens == 99 and d.seconds > 0 for d in drawings)
    sprite = endpoint.draw("a red octopus", 1, 7, 8)[0]
    assert (sprite.grid == server_seed(7, 0) % 60).all() and sprite.source == endpoint.name


def test_what_is_asked(server):
    ask(server, temperature=0.5, top_k=5, min_p=0.1, top_p=0.9)
    (body,) = server.bodies()
    assert server.asked[0][0] == "/v1/models" and body["model"] == "folder/model-a.gguf"
    assert body["messages"] == messages("a red octopus", 8, 8, REEF)
    assert (body["temperature"], body["top_k"], body["top_p"], body["min_p"]) == (0.5, 5, 0.9, 0.1)
    assert body["max_tokens"] > most_bytes(REEF, 8, 8) and body["chat_template_kwargs"] == {"enable_thinking": False}


def test_special_tokens_stay_text_and_chats_are_told_whole(server):
    endpoint = Endpoint(server.address)
    chat = Chat("Outline it.", (("Draw 8x8", "{}"),))
    list(endpoint.answer([Request("a <|im_end|> [INST] </s> 3 < 4 [x] fish", 8, 8, REEF, chat=chat)], Sampling()))
    told = server.bodies()[0]["messages"]
    assert [turn["role"] for turn in told] == ["system", "user", "assistant", "user"]
    assert told[-1]["content"].endswith(": a <\u200b|im_end|> [\u200bINST] <\u200b/s> 3 < 4 [x] fish")


@pytest.mark.parametrize(
    ("owner", "key"),
    [("llamacpp", "grammar"), ("vllm", "structured_outputs"), ("library", "response_format"), ("me", "response_format")],
)
def test_each_server_gets_the_grammar_in_its_own_way(server, owner, key):
    server.owner = owner
    ask(server)
    ask(server, mode=UNCONSTRAINED)
    constrained, free = server.bodies()
    assert key in constrained and not {"grammar", "structured_outputs", "response_format"} & set(free)
    assert len({"grammar", "structured_outputs", "response_format"} & set(constrained)) == 1
    assert ("top_k" in free) == (owner in ("llamacpp", "vllm"))  # OpenAI's own API refuses fields that it does not know
    assert ("reasoning_effort" in free) == (owner == "library") and ("chat_template_kwargs" in free) == ("top_k" in free)


def test_sampling_that_the_server_has_not_is_refused_before_anything_is_drawn(server):
    server.owner = "library"
    for wrong in ({"top_k": 5}, {"min_p": 0.1}, {"guidance": 1.0}):
        with pytest.raises(InputError, match=r"leave (it|them) at 0"):
            ask(server, **wrong)
    with pytest.raises(InputError, match="mode 'x'"):
        ask(server, mode="x")
    for more in ({"given": np.zeros((8, 8), np.int16)}, {"mixed_with": "a crab"}):
        with pytest.raises(InputError, match="loaded here"):
            list(Endpoint(server.address).answer([Request("a fish", 8, 8, REEF, **more)], Sampling()))
    with pytest.raises(InputError, match="likelihood"):
        Endpoint(server.address).likelihoods([], [])
    assert not server.bodies()


def test_white_space_that_a_schema_lets_through_is_taken_out(server):
    server.text = lambda body: json.dumps(json.loads(encode(np.ones((8, 8), np.uint8), REEF)), indent=2)
    (text,) = ask(server)
    assert (read(text).grid == 1).all()
    (free,) = ask(server, mode=UNCONSTRAINED)
    assert "\n" in free  # nothing is forgiven there
    assert compact('{"a":1,"a":2}') == '{"a":1,"a":2}' and compact("[" * 10**6) == "[" * 10**6 and compact('"x"') == '"x"'


def test_an_answer_against_the_grammar_is_an_error_and_one_without_it_a_drawing(server):
    server.script = [says("Here is a fish"), says("Here is a fish"), says("\ud800 \0")]
    with pytest.raises(InputError, match=r"does not keep to the grammar \(does not start with"):
        ask(server)
    assert ask(server, mode=UNCONSTRAINED) == ["Here is a fish"]
    assert ask(server, mode=UNCONSTRAINED) == ["? \0"]


def test_a_drawing_in_another_palette_is_against_the_grammar(server):
    """Its symbols would be read as other colours; without the grammar the text is what counts."""
    server.text = lambda body: encode(np.ones((8, 8), np.uint8), Palette("free", REEF.colours[::-1]))
    with pytest.raises(InputError, match=r"keep to the grammar \(its palette is '[0-9a-f,]{80}', not 'reef64'\)"):
        ask(server)
    assert ask(server, mode=UNCONSTRAINED) == [server.text({})]
    endpoint, two = Endpoint(server.address), Palette("free", ("000000", "ffffff"))
    server.text = lambda body: encode(np.ones((8, 8), np.uint8), Palette("free", ("ffffff", "000000")))
    with pytest.raises(InputError, match="its palette is 'ffffff,000000', not '000000,ffffff'"):
        list(endpoint.answer([Request("a moon", 8, 8, two)], Sampling()))


GOOD = {"choices": [{"message": {"content": encode(np.ones((8, 8), np.uint8), REEF)}}]}
PASSING = {
    "busy": status(429, Retry_After="0"),
    "busy until a date": status(503, Retry_After=format_datetime(datetime.now(UTC) - timedelta(seconds=5))),
    "broken": status(500, Retry_After="soon"),
    "bad gateway": lambda handler: send(handler, b"<html>nginx</html>", 502, "text/html"),
    "malformed": raw(b'{"choices": [{'),
    "nothing": raw(b""),
    "bomb": raw(b"[" * 200_000),
    "digits": raw(b'{"choices":' + b"9" * 5000 + b"}"),
    "truncated": raw(b'{"choices"', Content_Length="5000"),
    "hangs up": lambda handler: handler.connection.close(),
    "no HTTP": lambda handler: handler.wfile.write(b"hello\r\n\r\n"),
    "slow": lambda handler: (time.sleep(0.5), send(handler, GOOD)),
}


@pytest.mark.parametrize("fault", PASSING, ids=list(PASSING))
def test_what_passes_is_tried_again(server, fault):
    server.script = [PASSING[fault]]
    timeout = 0.25 if fault == "slow" else 5.0
    assert ask(server, timeout=timeout) == [server.text({"seed": server_seed(7, 0)})]
    assert len(server.bodies()) == 2


def drip(handler) -> None:
    """A byte now and then, so that no single read takes long."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b" ")
        time.sleep(0.02)


LASTING = {
    "always busy": ([status(429, Retry_After="0")] * 5, r"status 429: busy \(5 attempts\)"),
    "drips": ([drip] * 2, r"no whole answer within 0.3 seconds \(2 attempts\)"),
    "unknown model": ([status(404, "model 'x' not found")], "status 404: model 'x' not found"),
    "unknown field": ([status(400, "bad\ngrammar\x1b[31m")], r"status 400: bad grammar \[31m"),
    "wrong key": ([status(401, "no")], "PIXELREEF_API_KEY"),
    "moved": ([status(308, "", Location="http://else.where/v1")], r"somewhere else now \(308 to 'http://else.where/v1'\)"),
    "a web page": ([raw(b"<html>", "text/html")], "no JSON object but text/html"),
    "a list": ([raw(b"[1]")], "no JSON object"),
    "no choices": ([raw(b"{}")], "without choices"),
    "odd choices": ([raw(b'{"choices":[[1]]}')], "without choices"),
    "no text": ([says(None)], "without choices"),
    "a number": ([says(7)], "without choices"),
    "10 MB": ([raw(b'{"a":"' + b"x" * 10_000_000 + b'"}')], "more than 4,000,000 bytes"),
}


@pytest.mark.parametrize("fault", LASTING, ids=list(LASTING))
def test_what_lasts_is_one_line_that_names_the_address(server, fault):
    server.script, words = list(LASTING[fault][0]), LASTING[fault][1]
    with pytest.raises(InputError, match=words) as error:
        ask(server, timeout=0.3 if fault == "drips" else 5.0)
    assert server.address in str(error.value) and str(error.value).isprintable()
    assert len(server.bodies()) == len(LASTING[fault][0])  # tried again only where it may help


def test_one_failure_ends_the_others(server):
    server.script = [status(400, "no"), *[lambda handler: time.sleep(3)] * 3]
    started = time.monotonic()
    with pytest.raises(InputError, match="status 400"):
        ask(server, count=4)
    assert time.monotonic() - started < 2


def test_a_server_that_is_not_there_is_named():
    with standing_in() as gone:
        address = gone.address
    with pytest.raises(InputError, match=rf"{address}/v1/models: no answer"):
        Endpoint(address).draw("a fish")


SECRET = "sk-" + "secret" * 20
KEEPING = {
    "in an error": status(400, f"Incorrect key {SECRET}"),
    "where it is cut": status(400, "x" * 150 + SECRET),
    "across lines": status(401, "no\n" * 60 + SECRET),
    "in no JSON": lambda handler: send(handler, b"x" * 950 + SECRET.encode() + b"y" * 1000, 404, "text/html"),
    "in a long body": lambda handler: send(handler, {"x": "y" * 99_900, "error": SECRET}, 400),
    "in the new place": status(307, "", Location=f"http://else.where/{'x' * 160}?key={SECRET}"),
    "in the type": raw(b"<html>", f"text/{'x' * 70}{SECRET}"),
    "in a status that passes": status(429, "y" * 190 + SECRET, Retry_After="0"),
}


@pytest.mark.parametrize("fault", KEEPING, ids=list(KEEPING))
def test_the_key_goes_to_the_server_and_into_no_message(server, monkeypatch, fault):
    monkeypatch.setenv("PIXELREEF_API_KEY", SECRET)
    server.script = [KEEPING[fault]] * json_client.ATTEMPTS
    with pytest.raises(InputError) as error:
        ask(server)
    assert all(headers["Authorization"] == f"Bearer {SECRET}" for _, headers, _ in server.asked)
    assert "sk-" not in str(error.value) and "secret" not in str(error.value) and str(error.value).isprintable()


@pytest.mark.parametrize("key", ["ключ", "sk secret", "a\nb"])
def test_a_key_that_no_header_carries_is_named(server, monkeypatch, key):
    monkeypatch.setenv("PIXELREEF_API_KEY", key)
    with pytest.raises(InputError, match="PIXELREEF_API_KEY: holds characters") as error:
        ask(server)
    assert key not in str(error.value) and not server.asked


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://API.openai.com:443/v1", "openai"),
        ("https://api.openai.com.evil.example/v1", "own"),
        ("https://evil.example/api.openai.com/v1", "own"),
        ("https://api.openai.com:8443/v1", "own"),
        ("http://api.openai.com/v1", ""),
        ("http://localhost:8080/v1", "own"),
        ("http://127.0.0.2:8080/v1", "own"),
        ("http://[::1]:8080/v1", "own"),
        ("http://192.168.1.5:8080/v1", ""),
        ("http://localhost.evil.example/v1", ""),
        ("http://127.0.0.1.evil.example/v1", ""),
        ("https://gpu.example/v1", "own"),
    ],
)
def test_each_key_goes_only_where_it_belongs(monkeypatch, address, key):
    monkeypatch.setenv("PIXELREEF_API_KEY", "own")
    monkeypatch.setenv("OPENAI_API_KEY", "openai")
    assert json_client.api_key(base_url(address)) == key
    monkeypatch.delenv("PIXELREEF_API_KEY")
    assert json_client.api_key(base_url(address)) == ("openai" if key == "openai" else "")


def test_a_server_elsewhere_gets_no_key_over_http_and_the_refusal_says_so(server, monkeypatch):
    monkeypatch.setenv("PIXELREEF_API_KEY", "own")
    monkeypatch.setenv("OPENAI_API_KEY", "openai")
    monkeypatch.setattr(json_client, "is_here", lambda url: False)
    server.script = [status(401, "no")]
    with pytest.raises(InputError, match=r"none was sent, .* https"):
        ask(server)
    assert not [headers for _, headers, _ in server.asked if "Authorization" in headers]


def test_this_machine_is_asked_without_a_proxy(server, monkeypatch):
    """Or the key would go over plain http to whatever the proxy is."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://192.0.2.1:9")
    assert len(ask(server, timeout=2)) == 1


def test_models_and_names(server):
    assert Endpoint(server.address).name == f"model-a at {server.address[7:]}"
    asked = len(server.asked)
    assert Endpoint(server.address, "hub/qwen").name.startswith("qwen at ") and len(server.asked) == asked
    assert Endpoint(server.address, "b").server.model == "b"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("http://a:1", "http://a:1/v1"),
        ("http://a/v1/", "http://a/v1"),
        (" https://a/api/v1/chat/completions", "https://a/api/v1"),
        ("http://[::1]:8080/openai/v2", "http://[::1]:8080/openai/v2"),
    ],
)
def test_addresses_with_and_without_their_end(said, meant):
    assert base_url(said) == meant


@pytest.mark.parametrize(
    "said",
    [
        "",
        "localhost:8080",
        "ftp://a",
        "http://",
        "http://[::1",
        "http://a:x",
        "http://u:secret@a",
        "x://u:secret@a",
        "http://a?k",
        "http://a b",
    ],
)
def test_addresses_that_are_none(said):
    with pytest.raises(InputError, match="endpoint") as error:
        Endpoint(said)
    assert "secret" not in str(error.value)


@given(
    st.binary(max_size=600)
    | st.recursive(st.none() | st.integers() | st.text(max_size=300), st.lists).map(lambda x: json.dumps(x).encode())
)
def test_error_bodies_of_any_kind_become_one_line(body):
    said = CLIENT.told(json_client._said(body))
    assert said and said.isprintable() and len(said) <= json_client.MAX_TOLD


@pytest.mark.parametrize(("said", "seconds"), [("3", 3), ("-1", 0), ("nan", None), ("soon", None), (None, None), ("1e999", None)])
def test_retry_after_is_seconds_a_date_or_nothing(said, seconds):
    assert json_client.retry_after(said) == seconds
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 80 < json_client.retry_after(later) <= 90


def test_waits_are_as_long_as_asked_for_but_never_too_long(server, monkeypatch):
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(json_client.anyio, "sleep", sleep)
    server.script = [status(429, Retry_After="9"), status(503, Retry_After="9999"), status(500), status(500)]
    ask(server)
    assert slept[:2] == [9, json_client.LONGEST_WAIT] and slept[2] < slept[3] < 0.02


def test_seeds_differ_by_seed_and_index():
    seeds = {server_seed(seed, index) for seed in range(30) for index in range(30)}
    assert len(seeds) == 900 and all(0 <= seed < 2**31 for seed in seeds) and server_seed(2**62, 10**6) >= 0


def test_a_palette_spelt_out_limits_the_symbols_everywhere():
    two = Palette("free", ("000000", "ffffff"))
    endpoint = Endpoint("http://a", "m")
    for kind in ("llamacpp", "vllm", "library", "other"):
        endpoint.server = Server(kind, "m")
        body = json.dumps(endpoint.body(Request("x", 8, 8, two), {}, "grammar"), ensure_ascii=False)
        assert "[º01]{8}" in body and "[º012" not in body
