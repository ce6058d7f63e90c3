"""The one local server of all pages: what they share, and how it listens.

A page is an `APIRouter` below its own path and a template that extends `shell.html.jinja`; `Page` names both for the head
of every page. Errors are one line of plain text. No build step, nothing from outside, no access log.
"""

import asyncio
import socket
import sys
import tempfile
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from html import escape
from pathlib import Path

import h11
import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from uvicorn.protocols.http.h11_impl import H11Protocol

from data_prep.errors import InputError
from eval.pages.security import KEY, Guard
from eval.pages.strict import in_words

_FOLDER = Path(__file__).parent
HOST = "127.0.0.1"
MAX_CONNECTIONS = 128
MAX_SILENT = 96  # of them, which ask for nothing
HEADER_SECONDS = 10.0  # a connection that has not asked for anything by then is closed
IDLE_SECONDS = 15  # between two requests of one connection
READ_SECONDS = 30.0  # a client that leaves so much unread that there is no more room for its answer is cut off by then
MAX_HEADER_BYTES = 16 * 1024


@dataclass(frozen=True)
class Page:
    """One page of the server. path: '/play'; title: its word in the navigation; close: called when the server ends."""

    path: str
    title: str
    router: APIRouter
    close: Callable[[], None] = lambda: None


def create_app(pages: Sequence[Page], token: str | None = None) -> Guard:
    """The ASGI application of these pages behind their guard; `token` is random unless it is given."""

    @asynccontextmanager
    async def lifespan(app):
        yield
        for page in pages:
            page.close()

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan, redirect_slashes=False)
    app.mount("/static", StaticFiles(directory=_FOLDER / "static", follow_symlink=False))
    templates = Environment(loader=FileSystemLoader(_FOLDER / "templates"), autoescape=True, undefined=StrictUndefined)
    for page in pages:
        html = templates.get_template(f"{page.path.strip('/')}.html.jinja").render(pages=pages, page=page)
        app.add_api_route(page.path, lambda html=html: HTMLResponse(html), methods=["GET"])
        app.include_router(page.router, prefix=page.path)
    app.add_api_route("/", lambda: RedirectResponse(pages[0].path, 303), methods=["GET"])
    app.exception_handler(InputError)(lambda _, error: PlainTextResponse(str(error), 400))
    app.exception_handler(RequestValidationError)(lambda _, error: PlainTextResponse(in_words(error.errors()), 400))
    app.exception_handler(HTTPException)(lambda _, error: PlainTextResponse(str(error.detail).lower(), error.status_code))
    return Guard(app) if token is None else Guard(app, token)


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with deadlines, so that clients that are silent, slow or do not read do not fill the places.

    Where silent ones come faster than that, the one that has been silent longest makes room. A client that asks on and
    on before it has its answer, as no browser does, is cut off: what it asks would be kept without a limit.
    """

    _deadline: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        self._watch()
        ours = [one for one in self.connections if isinstance(one, PatientProtocol) and not one.transport.is_closing()]
        silent = {one: one._deadline.when() for one in ours if one._deadline is not None}
        if len(silent) > MAX_SILENT:
            min(silent, key=silent.__getitem__).transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.DONE and len(self.conn.trailing_data[0]) > MAX_HEADER_BYTES:
            self.transport.abort()
        self._watch()

    def connection_lost(self, exc) -> None:
        super().connection_lost(exc)
        self._watch()
        self._stop_waiting_for_a_reader()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_waiting_for_a_reader()

    def _stop_waiting_for_a_reader(self) -> None:
        if self._unread is not None:
            self._unread.cancel()

    def _watch(self) -> None:
        """The clock runs while a head is awaited, from its first byte on or from the beginning of the connection."""
        waits = self.conn.their_state is h11.IDLE and not self.transport.is_closing()
        if waits and self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_SECONDS, self.transport.close)
        elif not waits and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def config(app: Guard) -> uvicorn.Config:
    """How the server listens: HTTP/1.1 only, bounded, silent about who asked for what."""
    return uvicorn.Config(
        app, http=PatientProtocol, ws="none", log_level="error", access_log=False, server_header=False, date_header=False,
        proxy_headers=False, limit_concurrency=MAX_CONNECTIONS, timeout_keep_alive=IDLE_SECONDS, timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )  # fmt: skip


def listen(port: int) -> socket.socket:
    """A socket that listens on the loopback; port 0 takes any free one. Raises InputError where it is taken or out of range."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()  # a port that is bound twice is found here
    except (OSError, OverflowError) as error:
        listener.close()
        why = getattr(error, "strerror", None) or "it takes 0 to 65535"
        raise InputError(f"--port {port}: {why.lower()}; choose another, or 0 for any that is free") from error
    return listener


def serve(pages: Sequence[Page], listener: socket.socket, is_opened: bool = False) -> None:
    """Prints the address with its key and serves the pages until Ctrl-C. is_opened: also opens it in the browser."""
    app = create_app(pages)
    address = f"http://{HOST}:{listener.getsockname()[1]}{pages[0].path}?{KEY}={app.token}"
    print(f"{pages[0].title}: open {address}\nstop with Ctrl-C", file=sys.stderr, flush=True)
    with opened(address) if is_opened else nullcontext():
        try:
            uvicorn.Server(config(app)).run([listener])
        except KeyboardInterrupt:  # uvicorn hands it on after it has closed
            print("stopped", file=sys.stderr)


@contextmanager
def opened(address: str) -> Iterator[None]:
    """Opens the address in the browser by way of a file that only this user can read, and removes the file at the end.

    On the browser's command line every user of the machine could read the key.
    """
    file, name = tempfile.mkstemp(".html", "pixelreef-")  # mode 0600
    with open(file, "w", encoding="utf-8") as page:
        page.write(f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={escape(address)}">')
    try:
        webbrowser.open(Path(name).as_uri())
        yield
    finally:
        Path(name).unlink(missing_ok=True)
