"""Pages behind a test client, behind the real server on the loopback, and in a real browser."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import small_run
import uvicorn
from chromium import FOUND, QUIET
from playwright.sync_api import expect, sync_playwright
from row_generator import RowGenerator
from starlette.testclient import TestClient

from eval.decoding import Sampling  # noqa: F401 (takes seconds that no drawing should take)
from eval.pages.contest import read_contest
from eval.pages.play import play_page
from eval.pages.security import Guard
from eval.pages.server import Page, config, create_app, listen
from eval.ratings import FILE, Ratings

TOKEN = "the-key-of-this-test"
expect.set_options(timeout=30_000)  # two cores may be busy


@dataclass
class Site:
    """A page server that runs; drawings of its play page come from `generator`."""

    port: int
    path: str
    generator: RowGenerator | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}?token={TOKEN}"

    @property
    def cookie(self) -> dict[str, str]:
        return {"cookie": f"pixelreef-{self.port}={TOKEN}"}


@contextmanager
def running(pages: Sequence[Page]) -> Iterator[int]:
    """The real server, in a thread; yields its port."""
    with listen(0) as listener:
        server = uvicorn.Server(config(create_app(pages, TOKEN)))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


@contextmanager
def asking(app: Guard) -> Iterator[TestClient]:
    """A client without the key."""
    with TestClient(app, "http://127.0.0.1:8765", follow_redirects=False, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def generator() -> RowGenerator:
    return RowGenerator()


@pytest.fixture
def app(generator) -> Guard:
    return create_app([play_page(generator)], TOKEN)


@pytest.fixture
def stranger(app):
    """A client without the key."""
    with asking(app) as client:
        yield client


@pytest.fixture
def client(stranger):
    """A client that has opened the address with the key."""
    assert stranger.get(f"/play?token={TOKEN}").status_code == 303
    return stranger


@pytest.fixture
def site(generator):
    with running([play_page(generator)]) as port:
        yield Site(port, "/play", generator)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=FOUND, args=QUIET)
        yield found
        found.close()


@pytest.fixture
def visit(browser):
    """Opens an address with its key; what goes wrong in the page or is asked of another host fails the test.

    expected: faults that may come, as parts of their words.
    """
    contexts, faults, expected = [], [], []

    def visit_(address: str, *may_come: str, **options):
        contexts.append(browser.new_context(**{"viewport": {"width": 1200, "height": 900}} | options))
        expected.extend(may_come)
        host = address.partition("?")[0].rpartition("/")[0] + "/"
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("request", lambda asked: faults.append(asked.url) if not asked.url.startswith(host) else None)
        page.goto(address)
        return page

    yield visit_
    for context in contexts:
        context.close()
    assert not [fault for fault in faults if not any(words in fault for words in expected)]


@pytest.fixture
def run(tmp_path):
    return small_run.folder(tmp_path / "run")


@pytest.fixture
def contest(run):
    return read_contest(run, Ratings(run / FILE))
