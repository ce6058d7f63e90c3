"""The real server on the loopback: several clients, those who leave, those who dawdle, and those who talk nonsense."""

import errno
import html
import http.client
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from data_prep.errors import InputError
from eval.cli import main
from eval.pages import security, server
from eval.pages.jobs import MAX_WAITING

CAPTION = "a caption that is nobody's business"
ASKED = {"prompt": CAPTION, "height": 16, "width": 16, "palette": "reef64", "seed": 7, "count": 1}


def post(site, path: str = "/play/draw", **changes) -> http.client.HTTPResponse:
    """The answer once its head is there."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
    headers = site.cookie | {"content-type": "application/json"}
    connection.request("POST", path, json.dumps(ASKED | changes), headers)
    return connection.getresponse()


def events(answer) -> list[dict]:
    return [json.loads(line) for line in answer.read().splitlines()]


def is_well(site) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=5)
    connection.request("GET", "/play", headers=site.cookie)
    return connection.getresponse().status == 200


def raw(site, data: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", site.port), timeout=5)
    connection.sendall(data)
    return connection


def until_closed(connection: socket.socket) -> bytes:
    found = b""
    while part := connection.recv(4096):
        found += part
    return found


def test_rows_arrive_while_it_draws(site):
    site.generator.hold_at = 9
    answer = post(site)
    assert json.loads(answer.readline()) == {"event": "started"}
    assert [json.loads(answer.readline())["y"] for _ in range(9)] == list(range(9))  # while row 9 is not drawn yet
    site.generator.go.set()
    assert [event.get("y") for event in events(answer)] == [*range(9, 16), None, None]


def test_two_clients_draw_one_after_the_other(site):
    site.generator.hold_at = 5
    one = post(site)
    assert b"started" in one.readline()
    two = post(site, seed=8)
    waiting = json.loads(two.readline())
    site.generator.go.set()
    one, two = events(one), [waiting, *events(two)]
    assert two[0] == {"event": "waiting", "ahead": 1}
    assert [e["event"] for e in one[-2:]] == [e["event"] for e in two[-2:]] == ["sprite", "done"]
    assert [request.seed for request in site.generator.asked] == [7, 8]  # and their rows were not mixed
    for told in (one, two):
        rows = [event["rows"][0][2] for event in told if event["event"] == "row"]
        assert rows == told[-2]["drawing"]["pixels"]


def test_who_leaves_stops_the_drawing(site):
    site.generator.hold_at = 3
    answer = post(site)
    while b'"y":2' not in answer.readline():
        pass
    answer.close()
    time.sleep(0.5)  # the server sees it at once, on a quiet machine
    site.generator.go.set()
    assert events(post(site, seed=8))[-1] == {"event": "done"}
    assert site.generator.rows == 4 + 16


def test_who_leaves_the_queue_is_not_drawn_for(site):
    site.generator.hold_at = 0
    running = post(site)
    assert b"started" in running.readline()
    waiting = post(site, seed=8)
    assert b"waiting" in waiting.readline()
    waiting.close()
    time.sleep(0.5)
    site.generator.go.set()
    assert events(running)[-1] == {"event": "done"}
    assert events(post(site, seed=9))[-1] == {"event": "done"}
    assert [request.seed for request in site.generator.asked] == [7, 9]


def test_the_queue_is_bounded(site):
    site.generator.hold_at = 0
    answers = [post(site) for _ in range(MAX_WAITING + 3)]
    words = [json.loads(answer.readline()) for answer in answers]
    assert [word["event"] for word in words] == ["started", *["waiting"] * MAX_WAITING, "error", "error"]
    assert words[-1]["words"].startswith("busy: ")
    for answer in answers:
        answer.close()
    site.generator.go.set()


def test_fifty_clients_at_once(site):
    def get(_):
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
        connection.request("GET", "/static/play.js", headers=site.cookie)
        return connection.getresponse().read()

    with ThreadPoolExecutor(50) as pool:
        found = set(pool.map(get, range(200)))
    assert len(found) == 1 and b"play" in found.pop()


def test_slow_heads_are_cut_off_and_hold_nobody_up(site, monkeypatch):
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.4)
    slow = [
        raw(site, head) for head in (b"", b"GET /play HT", b"GET /play HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ") for _ in range(20)
    ]
    assert is_well(site)
    begun = time.perf_counter()
    assert all(until_closed(connection) == b"" for connection in slow)
    assert time.perf_counter() - begun < 3


def test_connections_stay_open_between_requests(site, monkeypatch):
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.2)
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=5)
    for _ in range(3):
        connection.request("GET", "/play", headers=site.cookie)
        assert len(connection.getresponse().read()) > 1000
        time.sleep(0.3)


def test_slow_bodies_are_cut_off(site, monkeypatch):
    monkeypatch.setattr(security, "BODY_SECONDS", 0.3)
    cookie = site.cookie["cookie"].encode()
    head = b"POST /play/draw HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: %s\r\nContent-Type: application/json\r\n" % cookie
    with raw(site, head + b"Content-Length: 500\r\n\r\n{") as connection:
        assert until_closed(connection).startswith(b"HTTP/1.1 408")
    assert is_well(site) and not site.generator.asked


NONSENSE = [
    b"\x00\xff" * 500, b"GET\r\n\r\n", b"GET /play HTTP/9.9\r\n\r\n", b"GET /play HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"POST /play/draw HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
    b"POST /play/draw HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"GET /play HTTP/1.1\r\n\r\n", b"GET /play HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    b"GET /%00%ff%0d%0aX:y HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"CONNECT evil.example:80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET http://evil.example/?token=the-key-of-this-test HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET //evil.example/?token=the-key-of-this-test HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
]  # fmt: skip


@pytest.mark.parametrize("data", NONSENSE, ids=range(len(NONSENSE)))
def test_nonsense_is_refused(site, data):
    try:
        with raw(site, data) as connection:
            connection.shutdown(socket.SHUT_WR)
            answer = until_closed(connection)
    except OSError as error:
        assert error.errno in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN)  # cut off before it had said everything
        answer = b""
    assert answer == b"" or answer.split(b" ", 2)[1][:1] == b"4"
    assert b"evil.example" not in answer and is_well(site)


def test_nothing_of_who_asked_for_what_is_written_down(site, capfd):
    assert events(post(site))[-1] == {"event": "done"}
    with raw(site, b"nonsense\r\n\r\n") as connection:
        until_closed(connection)
    post(site, "/play/nowhere").read()
    out, err = capfd.readouterr()
    assert out == err == ""


@pytest.mark.parametrize("length", [b"9" * 5000, b"9" * 10, b"-1", b"0x10", b"1_0", b""])
def test_strange_lengths_are_refused(site, length):
    head = b"POST /play/draw HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: %s\r\n" % site.cookie["cookie"].encode()
    with raw(site, head + b"Content-Length: %s\r\n\r\n{}" % length) as connection:
        assert until_closed(connection).split(b" ", 2)[1] in (b"400", b"413")
    assert is_well(site) and not site.generator.asked


def test_the_browser_is_opened_by_a_file_of_ones_own_that_holds_the_key(monkeypatch):
    """On the browser's command line every user of the machine could read it."""
    asked = []
    monkeypatch.setattr(server.webbrowser, "open", asked.append)
    address = "http://127.0.0.1:1/play?token=a&b"
    with server.opened(address):
        (opened,) = asked
        file = Path(unquote(urlsplit(opened).path))
        assert opened.startswith("file://") and "token" not in opened
        assert file.stat().st_mode & 0o777 == 0o600 and f"url={html.escape(address)}" in file.read_text()
    assert not file.exists()


def test_it_listens_on_the_loopback_alone():
    with server.listen(0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
        with pytest.raises(InputError, match="address already in use; choose another"):
            server.listen(listener.getsockname()[1])


def test_a_taken_port_and_a_missing_model_are_one_line_each(capsys):
    with server.listen(0) as listener:
        assert main(["play", "--port", str(listener.getsockname()[1])]) == 2
    assert main(["play", "--port", "0", "--transformer", "nowhere"]) == 2
    first, second = capsys.readouterr().err.strip().split("\n")
    assert first.startswith("pixelreef play: --port") and second.startswith("pixelreef play: sprite transformer nowhere")
