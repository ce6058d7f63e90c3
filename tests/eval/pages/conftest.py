"""The play page of a generator without a model: behind a test client, and behind the real server on the loopback."""

import threading
import time
from dataclasses import dataclass

import pytest
import uvicorn
from row_generator import RowGenerator
from starlette.testclient import TestClient

from eval.decoding import Sampling  # noqa: F401 (takes seconds that no drawing should take)
from eval.pages.play import play_page
from eval.pages.security import Guard
from eval.pages.server import config, create_app, listen

TOKEN = "the-key-of-this-test"


@dataclass
class Site:
    """A page server that runs; its drawings come from `generator`."""

    port: int
    generator: RowGenerator

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/play?token={TOKEN}"

    @property
    def cookie(self) -> dict[str, str]:
        return {"cookie": f"pixelreef-{self.port}={TOKEN}"}


@pytest.fixture
def generator() -> RowGenerator:
    return RowGenerator()


@pytest.fixture
def app(generator) -> Guard:
    return create_app([play_page(generator)], TOKEN)


@pytest.fixture
def stranger(app):
    """A client without the key."""
    with TestClient(app, "http://127.0.0.1:8765", follow_redirects=False, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def client(stranger):
    """A client that has opened the address with the key."""
    assert stranger.get(f"/play?token={TOKEN}").status_code == 303
    return stranger


@pytest.fixture
def site(generator):
    """The real server, in a thread."""
    with listen(0) as listener:
        server = uvicorn.Server(config(create_app([play_page(generator)], TOKEN)))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield Site(listener.getsockname()[1], generator)
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()
