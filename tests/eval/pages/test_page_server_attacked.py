"""The real server against raw sockets: crowds, slowness on both sides, malformed HTTP, and what it writes down."""

import http.client
import json
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from chromium import ROOT, served
from conftest import TOKEN, Site, running
from fastapi import Response
from test_page_server import events, is_well, post, raw, until_closed

from eval.pages import server
from eval.pages.jobs import MAX_WAITING
from eval.pages.play import play_page
from eval.pages.security import HEADERS, MAX_BODY

CLIENTS = 50
LARGE = 32 * 2**20  # bytes: more than the system keeps for a client


def asked(site, head: bytes, body: bytes = b"") -> bytes:
    """The whole answer to a request of this head, with the key; the connection is closed behind it."""
    cookie = site.cookie["cookie"].encode()
    end = b"Host: 127.0.0.1:%d\r\nCookie: %s\r\nConnection: close\r\n" % (site.port, cookie)
    with raw(site, head + b"\r\n" + end + b"\r\n" + body) as connection:
        return until_closed(connection)


def taken(connection: socket.socket) -> int:
    """How many bytes come until the connection is closed."""
    return sum(map(len, iter(lambda: connection.recv(2**20), b"")))


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_fifty_clients_draw_at_once_and_each_gets_its_own_or_is_told_to_wait(site):
    """One is drawn for and sixteen wait; the others are told so at once."""

    def draw(seed: int) -> tuple[int, list[dict]]:
        return seed, events(post(site, seed=seed))

    with ThreadPoolExecutor(CLIENTS) as pool:
        told = dict(pool.map(draw, range(CLIENTS)))
    drawn = {seed: found[-2]["drawing"] for seed, found in told.items() if found[-1] == {"event": "done"}}
    busy = [seed for seed, found in told.items() if found[-1].get("words", "").startswith("busy: ")]
    assert len(drawn) >= MAX_WAITING + 1 and len(drawn) + len(busy) == CLIENTS
    assert all(drawing["how"]["seed"] == seed for seed, drawing in drawn.items())
    assert is_well(site)


def test_fifty_clients_with_wrong_keys_learn_nothing(site):
    def ask(number: int) -> bytes:
        address = f"/play/model?token={TOKEN[:-1]}{number}".encode()
        with raw(site, b"GET " + address + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n") as connection:
            return until_closed(connection)

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(ask, range(CLIENTS)))
    assert {status(answer) for answer in answers} == {403} and not any(TOKEN.encode() in answer for answer in answers)


def test_more_silent_connections_than_places_hold_nobody_up(site, monkeypatch):
    """Long before their deadline the one that has been silent longest makes room."""
    monkeypatch.setattr(server, "HEADER_SECONDS", 300)
    with ExitStack() as held:
        silent = [held.enter_context(raw(site, b"GET /play HT" if n % 2 else b"")) for n in range(2 * server.MAX_CONNECTIONS)]
        assert all(is_well(site) for _ in range(3))
        assert until_closed(silent[0]) == b""
        silent[-1].setblocking(False)
        with pytest.raises(BlockingIOError):
            silent[-1].recv(1)
    assert is_well(site)


def test_a_head_that_comes_byte_by_byte_is_cut_off(site, monkeypatch):
    """Each byte is in time, the whole is not."""
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.5)
    with socket.create_connection(("127.0.0.1", site.port), timeout=5) as connection:
        begun = time.perf_counter()
        with pytest.raises(OSError):
            for byte in b"GET /play HTTP/1.1\r\n" + b"X-Slow: 1\r\n" * 1000:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
        assert time.perf_counter() - begun < 4
    assert is_well(site)


def test_who_asks_on_before_there_is_an_answer_is_cut_off(site):
    """What is asked would be kept: with these, a gigabyte in a few seconds."""
    head = b"GET /static/play.js HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: %s\r\n\r\n" % site.cookie["cookie"].encode()
    with ExitStack() as held:
        for _ in range(20):
            connection = held.enter_context(socket.create_connection(("127.0.0.1", site.port)))
            with pytest.raises(ConnectionError):
                for _ in range(1000):
                    connection.sendall(head * 50)
        assert all(is_well(site) for _ in range(5))
    last = head.replace(b"Host:", b"Connection: close\r\nHost:")
    with raw(site, head * 2 + last) as connection:  # a few are answered, one after the other
        assert until_closed(connection).count(b"HTTP/1.1 200") == 3


def test_who_does_not_read_is_cut_off(generator, monkeypatch):
    monkeypatch.setattr(server, "READ_SECONDS", 0.5)
    page = play_page(generator)
    page.router.add_api_route("/large", lambda: Response(bytes(LARGE)), methods=["GET"])
    with running([page]) as port:
        site = Site(port, "/play", generator)
        head = b"GET /play/large HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: %s\r\n\r\n" % site.cookie["cookie"].encode()
        with raw(site, head) as connection:
            time.sleep(1.5)
            assert is_well(site)
            assert taken(connection) < LARGE
        monkeypatch.setattr(server, "READ_SECONDS", 30)
        with raw(site, head.replace(b"Host:", b"Connection: close\r\nHost:")) as connection:  # late, but in time
            time.sleep(1)
            assert taken(connection) > LARGE


def test_who_resets_the_connection_in_the_middle_leaves_no_trace(site, capfd):
    for _ in range(10):
        connection = raw(site, b"")
        cookie = site.cookie["cookie"].encode()
        body = json.dumps({"prompt": "secret", "height": 16, "width": 16, "palette": "reef64", "seed": 1, "count": 1}).encode()
        head = b"POST /play/draw HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nCookie: %s\r\n" % cookie
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        connection.recv(20)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    time.sleep(0.3)
    assert is_well(site)
    assert capfd.readouterr() == ("", "")


POST = b"POST /play/draw HTTP/1.1\r\nHost: 127.0.0.1\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
MALFORMED = {
    "no version": b"GET /play\r\n\r\n",
    "a space in the target": b"GET /pl ay HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "a bare carriage return": b"GET /play HTTP/1.1\r\nHost: 127.0.0.1\rX: y\r\n\r\n",
    "a header without a colon": b"GET /play HTTP/1.1\r\nHost: 127.0.0.1\r\nnonsense\r\n\r\n",
    "a header folded over lines": b"GET /play HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\r\n b\r\n\r\n",
    "a space before the colon": b"POST /play/draw HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length : 2\r\n\r\n{}",
    "NUL in a header": b"GET /play HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\0b\r\n\r\n",
    "two lengths": b"POST /play/draw HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a length and chunks": POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk of a negative size": CHUNKED + b"-5\r\nabc\r\n",
    "a chunk of 2⁶⁴ bytes": CHUNKED + b"f" * 16 + b"\r\n",
    "HTTP/2 from the start": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
    "an upgrade to a web socket": b"GET /play HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "a thousand headers": b"GET /play HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    "no host": b"GET /play HTTP/1.1\r\n\r\n",
    "HTTP/1.0 without a host": b"GET /play HTTP/1.0\r\n\r\n",
    "TRACE": b"TRACE /play HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "a host with this one as its subdomain": b"GET /play HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n\r\n",
    "a user before the host": b"GET /play HTTP/1.1\r\nHost: 127.0.0.1@evil.example\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_requests_are_refused_or_cut_off(site, name, capfd):
    with raw(site, MALFORMED[name]) as connection:
        connection.shutdown(socket.SHUT_WR)
        try:
            answer = until_closed(connection)
        except ConnectionResetError:
            answer = b""
    assert answer == b"" or 400 <= status(answer) < 500
    assert is_well(site) and not site.generator.asked
    assert capfd.readouterr() == ("", "")


def test_a_request_that_is_hidden_in_the_body_of_another_is_not_answered(site):
    hidden = b"GET /play/model HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    for length in (b"Content-Length: %d" % len(hidden), b"Transfer-Encoding: chunked"):
        body = hidden if length.startswith(b"Content") else b"%x\r\n%s\r\n0\r\n\r\n" % (len(hidden), hidden)
        answer = asked(site, b"POST /play/draw HTTP/1.1\r\nContent-Type: application/json\r\n" + length, body)
        assert answer.count(b"HTTP/1.1 ") == 1 and status(answer) == 400


def test_chunks_count_towards_the_limit(site):
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    body = chunk * (MAX_BODY // 0x4000 + 1) + b"0\r\n\r\n"
    answer = asked(site, b"POST /play/draw HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked", body)
    assert status(answer) == 413 and is_well(site)


CLIMBING = (b"/static/../server.py", b"/static/..%2fserver.py", b"/static/%2e%2e/%2e%2e/server.py", b"/static/..%5cserver.py",
            b"/static//etc/passwd", b"/static/%00", b"/static/.", b"/static", b"/static/", b"/play/", b"/../../etc/passwd",
            b"/play/drawings/..%2f..%2fserver.png")  # fmt: skip


@pytest.mark.parametrize("path", CLIMBING)
def test_no_folder_is_listed_nor_left(site, path):
    answer = asked(site, b"GET %s HTTP/1.1" % path)
    assert status(answer) in (400, 404) and b"import" not in answer and b"play.js" not in answer and b"root:" not in answer


@pytest.mark.parametrize("target", [b"/\\evil.example/", b"/\\/evil.example", b"//evil.example/"])
def test_the_key_is_never_traded_for_a_way_to_another_host(site, target):
    with raw(
        site, b"GET %s?token=%s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" % (target, TOKEN.encode())
    ) as connection:
        answer = until_closed(connection)
    assert status(answer) == 403 and b"\r\nlocation:" not in answer.lower()


def test_answers_to_strangers_have_the_security_headers_and_say_nothing_of_the_server(site):
    with raw(site, b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n") as connection:
        head = until_closed(connection).lower()
    assert all(name.encode() in head for name in HEADERS) and b"server:" not in head and b"uvicorn" not in head


def test_the_command_writes_the_key_once_and_nothing_of_what_is_asked(tmp_path):
    """In a process of its own: its whole output from the first to the last line, with good and bad requests between."""
    import small_run

    run = small_run.folder(tmp_path / "run")
    with served("rate", str(run)) as (process, address):
        port, token = re.search(r":(\d+)/rate\?token=(\S+)", address).groups()
        said: list[str] = []
        reader = threading.Thread(target=lambda: said.extend(process.stderr), daemon=True)
        reader.start()
        for path in (f"/rate?token={token}", "/rate?token=wrong", f"/rate/run?caption=secret&token={token}", "/nowhere"):
            connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=20)
            connection.request("GET", path, headers={"cookie": f"pixelreef-{port}={token}"} if "nowhere" in path else {})
            connection.getresponse().read()
        with socket.create_connection(("127.0.0.1", int(port)), timeout=20) as connection:
            connection.sendall(b"nonsense\r\n\r\n")
            until_closed(connection)
        listens = subprocess.run([sys.executable, "-c", LISTENING, port], cwd=ROOT, capture_output=True, text=True, check=True)
        process.terminate()
        process.wait(20)
        reader.join(5)
    assert listens.stdout.split() == ["0100007F"]  # 127.0.0.1 alone
    assert token not in "".join(said) and "secret" not in "".join(said) and "Traceback" not in "".join(said)


LISTENING = """
import sys
for name in ("/proc/net/tcp", "/proc/net/tcp6"):
    for line in list(open(name))[1:]:
        address, _, port = line.split()[1].partition(":")
        if int(port, 16) == int(sys.argv[1]) and line.split()[3] == "0A":
            print(address)
"""
