"""Who may ask: this machine's own browser with the key, and nobody in its name. A plain ASGI layer around the pages.

The address that is printed once carries a random token; it is traded for a cookie and vanishes from the address bar. Host
names other than the loopback's are refused (DNS rebinding), origins other than the page's own too (other sites' scripts).
Bodies are read here, with a limit and a deadline, before any page sees the request.
"""

import asyncio
import secrets
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
MAX_BODY = 64 * 1024  # bytes; the largest request, a drawing of 64×64 to be lit, has less than half of it
MAX_DIGITS = 9  # of Content-Length: of thousands Python makes no number
BODY_SECONDS = 10.0
KEY = "token"  # of the query
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


class Refused(Exception):
    """A request that no page sees: HTTP status and one line of words."""

    def __init__(self, status: int, words: str):
        super().__init__(words)
        self.status, self.words = status, words


@dataclass(frozen=True)
class Guard:
    """ASGI application around another: checks Host, Origin, token and body, adds `HEADERS`, and keeps faults out of the log.

    A fault of the inner application is told by its type and place; its message, which may quote a caption, is not.
    """

    app: ASGIApp
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        if scope["type"] != "http":  # no page speaks web sockets
            return
        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                own = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *((k, v) for k, v in _HEADERS if k not in own)]
            await send(message)

        try:
            if (cookie := self._traded(scope)) is not None:
                await _answer(send_guarded, 303, "", [(b"location", scope["raw_path"]), (b"set-cookie", cookie)])
                return
            await self.app(scope, await _read(scope, receive), send_guarded)
        except Refused as refused:
            await _answer(send_guarded, refused.status, refused.words)
        except Exception as error:
            tell_place(error)
            if not started:
                await _answer(send_guarded, 500, "the server failed; its window says where")

    def _traded(self, scope: Scope) -> bytes | None:
        """The cookie for a right token in the address, None for a right cookie. Raises Refused for anything else."""
        headers = _single(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if host.rpartition(":")[0] not in LOOPBACK and host not in LOOPBACK:
            raise Refused(421, "this server answers to 127.0.0.1 and localhost only")
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").lower() != f"http://{host}":
            raise Refused(403, "this server answers to its own pages only")
        if headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site") and headers.get(b"sec-fetch-mode") != b"navigate":
            raise Refused(403, "this server answers to its own pages only")
        name = cookie_name(scope)
        given = parse_qs(scope["query_string"].decode("latin-1")).get(KEY, [""])[0]
        path = scope["raw_path"]
        is_local = path.startswith(b"/") and not path.startswith(b"//") and b"\\" not in path  # browsers take /\host for //host
        if scope["method"] == "GET" and is_local and self._is_token(given):
            return f"{name}={self.token}; Path=/; HttpOnly; SameSite=Lax".encode()
        if not any(self._is_token(value) for value in _cookies(headers.get(b"cookie", b""), name)):
            raise Refused(403, "this page needs its key: open the address that the command printed")
        return None

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode("utf-8", "surrogateescape"), self.token.encode())


def tell_place(error: Exception) -> None:
    """One line for the window of the server: the type of a fault and where it was raised, without its message."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    print(f"page server: {type(error).__name__} in {place.filename}:{place.lineno}", file=sys.stderr)


_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]


def cookie_name(scope: Scope) -> str:
    """One name a port: cookies do not tell ports apart, and two servers may run."""
    return f"pixelreef-{scope['server'][1]}"


def _single(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by name. Raises Refused where one that decides who may ask is there twice."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in found and name in (b"host", b"origin", b"content-length"):
            raise Refused(400, f"header {name.decode()} is there twice")
        found[name] = found[name] + b"; " + value if name == b"cookie" and name in found else value
    return found


def _cookies(header: bytes, name: str) -> list[str]:
    pairs = (part.strip().partition("=") for part in header.decode("latin-1").split(";"))
    return [value for key, _, value in pairs if key == name]


async def _read(scope: Scope, receive: Receive) -> Receive:
    """Takes the whole body and returns a `receive` that gives it, then waits. Raises Refused for a long or a slow one."""
    length = _single(scope["headers"]).get(b"content-length", b"0")
    if not length.isdigit() or len(length) > MAX_DIGITS or int(length) > MAX_BODY:
        raise Refused(413, f"the request is too long; it takes at most {MAX_BODY >> 10} KiB")
    body, more = b"", True
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refused(400, "the request broke off")
                body, more = body + message.get("body", b""), message.get("more_body", False)
                if len(body) > MAX_BODY:
                    raise Refused(413, f"the request is too long; it takes at most {MAX_BODY >> 10} KiB")
    except TimeoutError:
        raise Refused(408, f"the request took longer than {BODY_SECONDS:.0f} seconds") from None
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return whole.pop() if whole else await receive()

    return replay


async def _answer(send: Send, status: int, words: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    body = words.encode()
    kind = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    close = [(b"connection", b"close")] if status >= 400 else []
    await send({"type": "http.response.start", "status": status, "headers": [*kind, *close, *(headers or [])]})
    await send({"type": "http.response.body", "body": body})
