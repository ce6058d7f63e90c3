"""HTTP GET for other people's servers: one request at a time, named hosts only, capped, with retries and patience.

A failed try is repeated after a broken connection, a slow or truncated answer and the statuses of RETRIED, after as long as
Retry-After says, else twice as long each time. Redirects are not followed: they could lead to another host.
"""

import math
import random
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Self, TypeVar
from urllib.parse import urlsplit

import httpx2

ATTEMPTS = 6
FIRST_WAIT, LONGEST_WAIT = 1.0, 300.0  # seconds; a server that asks for more is left alone
PATIENCE = httpx2.Timeout(30.0, connect=10.0)  # seconds for a connection, and for each piece of an answer
LONGEST_ANSWER = 300.0  # seconds for a whole answer: a drip of bytes must not hold up a run for ever
RETRIED = (408, 425, 429, 500, 502, 503, 504)
T = TypeVar("T")


class Refused(Exception):
    """Why this address gives nothing, in words. lasting: not worth another run; busy: the server wants to be left alone."""

    def __init__(self, why: str, lasting: bool = True, busy: bool = False):
        super().__init__(why)
        self.lasting, self.busy = lasting, busy


class Again(Exception):
    """What may go better the next time. wait: seconds that the server asked for; busy: it said that it has too much to do.

    lasting: should it not go better, then it is this one file, and not the server or the way to it.
    """

    def __init__(self, why: str, wait: float | None = None, busy: bool = False, lasting: bool = False):
        super().__init__(why)
        self.wait, self.busy, self.lasting = wait, busy, lasting


@dataclass(frozen=True)
class Answer:
    """body: the bytes; kind: the content type without its parameters, in lower case; headers: by name in lower case."""

    body: bytes
    kind: str
    headers: httpx2.Headers


class PoliteClient:
    """Within `with`. agent: the User-Agent; hosts: the only ones asked; pause: seconds between two requests."""

    def __init__(self, agent: str, hosts: Collection[str], pause: float = 0.2, first_wait: float = FIRST_WAIT):
        self.hosts, self.pause, self.first_wait = frozenset(hosts), pause, first_wait
        headers = {"User-Agent": agent, "Accept-Encoding": "identity"}
        self.http = httpx2.Client(headers=headers, timeout=PATIENCE, follow_redirects=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.http.close()

    def get(self, url: str, limit: int, read: Callable[[Answer], T], params: dict[str, str] | None = None) -> T:
        """What `read` makes of the answer, which has at most `limit` bytes; `read` may raise Again or Refused.

        Raises Refused, and nothing else.
        """
        self.check(url)
        for attempt in range(ATTEMPTS):
            time.sleep(self.pause)
            try:
                return read(self._once(url, limit, params))
            except Again as error:
                last, wait = error, error.wait
            if wait is not None and wait > LONGEST_WAIT:
                raise Refused(f"asks to be left alone for {wait:.0f} seconds ({last})", lasting=False, busy=True)
            if attempt < ATTEMPTS - 1:
                backed_off = self.first_wait * 2**attempt * random.uniform(1, 1.5)
                time.sleep(min(LONGEST_WAIT, backed_off if wait is None else wait))
        raise Refused(f"{last} ({ATTEMPTS} attempts)", lasting=last.lasting, busy=last.busy)

    def check(self, url: str) -> None:
        """Raises Refused for an address that is not http(s) or not at one of the hosts."""
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError as error:
            raise Refused("its address is none") from error
        if parts.scheme not in ("http", "https") or host not in self.hosts:
            raise Refused(f"its address is at another host: {host[:60] or 'none'}")

    def _once(self, url: str, limit: int, params: dict[str, str] | None) -> Answer:
        try:
            with self.http.stream("GET", url, params=params) as response:
                _check_status(response)
                kind = response.headers.get("content-type", "").split(";")[0].strip().lower()
                return Answer(_body(response, limit), kind, response.headers)
        except (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, httpx2.InvalidURL, UnicodeError) as error:
            raise Refused("its address cannot be asked") from error
        except (httpx2.HTTPError, OSError) as error:
            raise Again(f"no whole answer: {type(error).__name__}") from error


def _check_status(response: httpx2.Response) -> None:
    status = response.status_code
    if status in RETRIED:
        raise Again(f"status {status}", retry_after(response.headers.get("retry-after")), busy=status in (429, 503))
    if response.is_redirect:
        raise Refused(f"it is somewhere else ({status})")
    if not response.is_success:
        raise Refused(f"status {status}")


def _body(response: httpx2.Response, limit: int) -> bytes:
    body, since = bytearray(), time.monotonic()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > limit:
            raise Refused(f"too large: more than {limit >> 20} MiB")
        if time.monotonic() - since > LONGEST_ANSWER:
            raise Again(f"no whole answer within {LONGEST_ANSWER:.0f} seconds")
    return bytes(body)


def retry_after(said: str | None) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or a date; None for none or nonsense (RFC 9110, 10.2.3)."""
    try:
        seconds = float(said or "")
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(said or "").astimezone(UTC) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
