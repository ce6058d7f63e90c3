"""A stand-in for Wikimedia Commons: the API's pages and the files, and answers by a script that come before the good ones."""

import hashlib
import io
import json
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
from PIL import Image

CC_BY = {"License": "cc-by-4.0", "LicenseShortName": "CC BY 4.0", "Artist": '<a href="//x">Ann &amp; Bo</a>'}


def jpeg(number: int = 1) -> bytes:
    data = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 255, (12, 16, 3), np.uint8)
    Image.fromarray(pixels).resize((160, 120)).save(data, "JPEG")
    return data.getvalue()


class Wiki:
    """files: title → (bytes, overrides of its description); script: path → answers to come, each given the handler."""

    def __init__(self):
        self.files, self.below, self.script, self.asked, self.address = {}, {}, {}, [], ""

    def add(self, title: str, data: bytes | None = None, category: str = "Category:Fish", **more) -> None:
        self.files.setdefault(category, {})[title] = (data if data is not None else jpeg(len(self.asked) + len(title)), more)

    def page(self, title: str, data: bytes, more: dict) -> dict:
        url = f"{self.address}/files/{hashlib.md5(title.encode()).hexdigest()}.jpg"
        info = {
            "url": f"{url}?from=api", "thumburl": url, "mime": "image/jpeg", "sha1": hashlib.sha1(data).hexdigest(), "user": "Up",
            "descriptionurl": f"{self.address}/wiki/x", "descriptionshorturl": f"{self.address}/?curid=7",
            "extmetadata": {key: {"value": value} for key, value in CC_BY.items()},
        }  # fmt: skip
        words = more.get("words")
        info |= {key: value for key, value in more.items() if key != "words"}
        if words is not None:
            info["extmetadata"] = {key: {"value": value} for key, value in words.items()}
        return {"title": title, "imageinfo": [info]}

    def answer(self, query: dict) -> dict:
        """Two files a page; the second half of a page's description comes in an answer of its own."""
        if query.get("list") == "categorymembers":
            return {
                "batchcomplete": True,
                "query": {"categorymembers": [{"title": t} for t in self.below.get(query["cmtitle"], [])]},
            }
        pages = [self.page(title, *file) for title, file in self.files.get(query["gcmtitle"], {}).items()]
        start, half = int(query.get("gcmcontinue", 0)), "iistart" in query
        batch = pages[start : start + 2]
        if not half:
            shown = [batch[0], {"title": batch[1]["title"]}] if len(batch) > 1 else batch
            if len(batch) > 1:
                return {"continue": {"iistart": "1", "gcmcontinue": str(start)}, "query": {"pages": shown}}
        more = {"continue": {"gcmcontinue": str(start + 2)}} if start + 2 < len(pages) else {}
        return more | {"batchcomplete": True, "query": {"pages": batch}}

    def respond(self, handler) -> None:
        parts = urlsplit(handler.path)
        self.asked.append((parts.path, dict(handler.headers), dict(parse_qs(parts.query))))
        acts = self.script.get(parts.path) or self.script.get(parts.path.split("/")[1])
        if acts:
            acts.pop(0)(handler)
        elif parts.path == "/w/api.php":
            send(handler, json.dumps(self.answer({key: values[0] for key, values in parse_qs(parts.query).items()})).encode())
        else:
            send(handler, self.bytes_at(parts.path), "image/jpeg")

    def bytes_at(self, path: str) -> bytes:
        digests = {
            hashlib.md5(title.encode()).hexdigest(): data for files in self.files.values() for title, (data, _) in files.items()
        }
        return digests[path.removeprefix("/files/").removesuffix(".jpg")]

    def loaded(self) -> list[str]:
        return [path for path, _, _ in self.asked if path.startswith("/files/")]


def send(handler, data: bytes, kind="application/json", status=200, length=None, **headers) -> None:
    handler.send_response(status)
    for name, value in {"Content-Type": kind, "Content-Length": length or len(data), **headers}.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()
    handler.wfile.write(data)


def status(code: int, **headers):
    return lambda handler: send(handler, b"busy", "text/html", code, **headers)


def says(data: bytes, kind="image/jpeg", **more):
    return lambda handler: send(handler, data, kind, **more)


@contextmanager
def serving(wiki: Wiki):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            with suppress(OSError):  # the client has gone
                wiki.respond(self)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    wiki.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield wiki
    finally:
        server.shutdown()
        server.server_close()
