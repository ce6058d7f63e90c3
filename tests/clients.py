"""Sends crowds to the real server of `pixelreef play` with a real sprite transformer, and asks for the page in between.

    python tests/clients.py [--clients 50]                  # writes docs/hardening-clients.json

Two minutes on one core, most of them to train the smallest transformer. `tests/eval/pages/test_page_server_attacked.py` asserts
what this measures.
"""

import argparse
import http.client
import json
import re
import socket
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from long_run import resident
from small_pipeline import ROOT, Pipeline

ASKED = {"prompt": "a red crab", "height": 16, "width": 16, "palette": "reef64", "count": 1}
BETWEEN = 0.1  # seconds between an answer to the one who keeps asking for the page, and the next time he asks


@dataclass(frozen=True)
class Client:
    """Somebody who knows the port, and the key unless it is told wrongly."""

    port: int
    key: str

    @property
    def cookie(self) -> dict[str, str]:
        return {"cookie": f"pixelreef-{self.port}={self.key}"}

    def answer(self, method: str, path: str, body: dict | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.request(method, path, body and json.dumps(body), self.cookie | {"content-type": "application/json"})
        found = connection.getresponse()
        return found.status, found.read()

    def connect(self, head: bytes = b"") -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        connection.sendall(head)
        return connection

    def asks_to_draw(self) -> bytes:
        """The bytes of a whole request."""
        body = json.dumps(ASKED | {"seed": 1}).encode()
        head = b"POST /play/draw HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nCookie: %s\r\n"
        return head % self.cookie["cookie"].encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


# --- the crowds: what came of each client ----------------------------------------------------------------------------------


def draw(client: Client, number: int) -> str:
    status, told = client.answer("POST", "/play/draw", ASKED | {"seed": number})
    last = json.loads(told.splitlines()[-1])
    if status == 200 and last == {"event": "done"}:
        return "drawn for"
    return "told to come back" if last.get("words", "").startswith("busy: ") else f"fault: {told[-200:]!r}"


def guess_the_key(client: Client, number: int) -> str:
    status, told = Client(client.port, f"{client.key}{number}").answer("POST", "/play/draw", ASKED | {"seed": number})
    return "refused" if status == 403 and client.key.encode() not in told else f"fault: {status}"


def say_nothing(client: Client, number: int) -> str:
    """Half of them not a byte, half of them a part of the first line."""
    with client.connect(b"GET /play HT" if number % 2 else b"") as connection:
        return "closed" if connection.recv(100) == b"" else "fault: answered"


def dribble(client: Client, number: int) -> str:
    """A head that comes byte by byte and does not end."""
    with client.connect() as connection, suppress(OSError):
        for byte in b"GET /play HTTP/1.1\r\n" + b"X-Slow: 1\r\n" * 100:
            connection.sendall(bytes([byte]))
            time.sleep(0.1)
        return "fault: held"
    return "closed"


def ask_on(client: Client, number: int) -> str:
    """Ask for files again and again before any is there, and take none."""
    return takes_nothing(client, asks_for_a_file(client) * 50, 10_000, 0.0)


def never_read(client: Client, number: int) -> str:
    """Ask for a file, wait until it must be there, and for the next; take none."""
    return takes_nothing(client, asks_for_a_file(client), 2_000, 0.05)


def takes_nothing(client: Client, asked: bytes, times: int, pause: float) -> str:
    with client.connect() as connection:
        for _ in range(times):
            try:
                connection.sendall(asked)
            except OSError:
                return "closed"
            time.sleep(pause)
    return "fault: taken without end"


def asks_for_a_file(client: Client) -> bytes:
    return b"GET /static/play.js HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: %s\r\n\r\n" % client.cookie["cookie"].encode()


def reset(client: Client, number: int) -> str:
    """Ask for a drawing and break off while it is drawn."""
    with client.connect(client.asks_to_draw()) as connection:
        connection.recv(20)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return "gone"


CROWDS: dict[str, Callable[[Client, int], str]] = {
    "ask for a drawing": draw, "guess the key": guess_the_key, "connect and say nothing": say_nothing,
    "send a head byte by byte": dribble, "ask on before there is an answer": ask_on, "ask and never read": never_read,
    "break off while it draws": reset,
}  # fmt: skip


# --- the measure -----------------------------------------------------------------------------------------------------------


class Guest(threading.Thread):
    """Asks for the page again and again. slowest: seconds to an answer; faults: answers that were not the page."""

    def __init__(self, client: Client):
        super().__init__(daemon=True)
        self.client, self.slowest, self.answers, self.faults, self.over = client, 0.0, 0, 0, threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            begun = time.perf_counter()
            try:
                status, _ = self.client.answer("GET", "/play")
            except OSError:
                status = 0
            self.slowest = max(self.slowest, time.perf_counter() - begun)
            self.answers, self.faults = self.answers + 1, self.faults + (status != 200)
            self.over.wait(BETWEEN)

    def __enter__(self) -> "Guest":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()


def meet(client: Client, crowd: Callable[[Client, int], str], clients: int) -> dict:
    """What came of `clients` of a crowd at once, and of a guest beside them."""
    begun = time.perf_counter()
    with Guest(client) as guest, ThreadPoolExecutor(clients) as pool:
        came = Counter(pool.map(lambda number: crowd(client, number), range(clients)))
    seconds = round(time.perf_counter() - begun, 1)
    beside = {"asked": guest.answers, "faults": guest.faults, "slowest": round(guest.slowest, 2)}
    return {"clients": clients, "came": dict(came), "seconds": seconds, "guest": beside}


def measure(folder: Path, clients: int) -> dict[str, dict]:
    sys.path.insert(0, str(Path(__file__).parent / "eval" / "pages"))
    from chromium import served

    pipeline = Pipeline(folder)
    pipeline.run("prepare")
    pipeline.run("train")
    with served("play", "--transformer", str(pipeline.model)) as (process, address):
        port, key = re.search(r":(\d+)/play\?token=(\S+)", address).groups()
        threading.Thread(target=process.stderr.read, daemon=True).start()  # a full pipe would stop it
        client, found = Client(int(port), key), {}
        draw(client, 0)  # what is loaded at the first drawing is no growth
        for name, crowd in CROWDS.items():
            before = resident(process)
            found[name] = meet(client, crowd, clients) | {"mb": round(resident(process) - before, 1)}
            print(f"{name}: {found[name]}", flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="clients", description=__doc__.split("\n")[0])
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "hardening-clients.json")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory(prefix="clients-") as folder:
        found = measure(Path(folder), options.clients)
    options.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    faults = [came for one in found.values() for came in one["came"] if came.startswith("fault")]
    return 1 if faults or any(one["guest"]["faults"] for one in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
