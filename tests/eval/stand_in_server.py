"""A stand-in for an OpenAI-compatible server: it notes what it is asked and answers by a script, then well."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from data_prep.grid_text import encode
from data_prep.palette import named


@dataclass
class StandIn:
    """script: answers to come, each a function that is given the handler; then `good`. asked: (path, headers, body)."""

    address: str = ""
    owner: str = "llamacpp"
    script: list[Callable] = field(default_factory=list)
    asked: list[tuple[str, dict, dict]] = field(default_factory=list)
    at_once: int = 0  # requests that were answered at the same time, at most
    text: Callable[[dict], str] = lambda body: encode(np.full((8, 8), body["seed"] % 60, np.uint8), named("reef64"))

    def bodies(self) -> list[dict]:
        return [body for path, _, body in self.asked if path.endswith("/chat/completions")]


def send(handler, body, status: int = 200, kind: str = "application/json", **headers) -> None:
    """body: bytes, or what becomes JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.send_response(status)
    for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(data)


def status(code: int, body="busy", **headers) -> Callable:
    return lambda handler: send(handler, {"error": {"message": body}}, code, **headers)


def raw(data: bytes, kind: str = "application/json", **headers) -> Callable:
    return lambda handler: send(handler, data, 200, kind, **headers)


def says(text) -> Callable:
    return lambda handler: send(handler, {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})


@contextmanager
def standing_in(**options) -> Iterator[StandIn]:
    stand_in, lock, now = StandIn(**options), threading.Lock(), [0]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            stand_in.asked.append((self.path, dict(self.headers), {}))
            send(self, {"data": [{"id": "folder/model-a.gguf", "owned_by": stand_in.owner}, {"id": "b"}]})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                stand_in.asked.append((self.path, dict(self.headers), body))
                act = stand_in.script.pop(0) if stand_in.script else None
                now[0] += 1
                stand_in.at_once = max(stand_in.at_once, now[0])
            try:
                (act or (lambda handler: good(handler, body)))(self)
            except OSError:  # the client has gone
                pass
            finally:
                with lock:
                    now[0] -= 1

        def log_message(self, *_):
            pass

    def good(handler, body):
        answer = {"choices": [{"message": {"content": stand_in.text(body)}, "finish_reason": "stop"}]}
        send(handler, {**answer, "usage": {"completion_tokens": 99}})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    stand_in.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
