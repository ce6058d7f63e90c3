"""JSON over HTTP with patience: retries with back-off, a cap on what comes back, and errors that a person can mend.

`JsonClient` never raises anything but InputError, in one line that names the address. It tries again after a broken
connection, a slow, truncated or malformed answer and the statuses of RETRIED; it waits as long as Retry-After says, up
to LONGEST_WAIT, else twice as long each time. Redirects are not followed: the key must not go to another host.
What a server says is muted, brought into one line and cut by `JsonClient.told`, before it gets into any message.
"""

import ipaddress
import json
import os
import random
from urllib.parse import urlsplit

import anyio
import httpx2

from data_prep.errors import InputError
from data_prep.polite_http import retry_after

KEY, OPENAI_KEY = "PIXELREEF_API_KEY", "OPENAI_API_KEY"  # environment variables; the second is for OPENAI alone
OPENAI = "https://api.openai.com"
PROXIED = ("http://", "https://", "all://")  # what the environment may name a proxy for
ATTEMPTS, SLOW_ATTEMPTS = 5, 2  # the second: after an answer that took too long
LONGEST_CONNECT = 10.0  # seconds until a server must have taken the call
FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0  # seconds
MAX_BODY = 4_000_000  # bytes; the longest drawing has under 10,000
MAX_TOLD = 200  # characters of what a server says
RETRIED = (408, 425, 429, 500, 502, 503, 504)


class _Again(Exception):
    """What may go better the next time. wait: seconds that the server asked for."""

    def __init__(self, why: str, wait: float | None = None):
        super().__init__(why)
        self.wait = wait


class JsonClient:
    """Asks one server, within `async with`; any number of tasks may share it.

    base: its address, to which paths are added; timeout: seconds for a whole answer, the server's queue included.
    """

    def __init__(self, base: str, timeout: float):
        self.base, self.key, self.timeout = base, api_key(base), timeout
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        headers |= {"Authorization": f"Bearer {self.key}"} if self.key else {}
        patience, limits = httpx2.Timeout(None, connect=LONGEST_CONNECT), httpx2.Limits(max_connections=None)
        mounts = dict.fromkeys(PROXIED) if is_here(base) else {}  # this machine is asked without any proxy
        self.http = httpx2.AsyncClient(headers=headers, timeout=patience, limits=limits, mounts=mounts)

    async def __aenter__(self) -> "JsonClient":
        return self

    async def __aexit__(self, *_) -> None:
        await self.http.aclose()

    async def ask(self, path: str, body: dict | None = None) -> dict:
        """The JSON object that GET, or POST of `body`, brings back from below the base. Raises InputError."""
        url, attempt, most = self.base + path, 0, ATTEMPTS
        while attempt < most:
            attempt += 1
            try:
                with anyio.fail_after(self.timeout):
                    return await self._once(url, body)
            except TimeoutError:
                why, wait, most = f"no whole answer within {self.timeout:g} seconds", None, SLOW_ATTEMPTS
            except _Again as error:
                why, wait = str(error), error.wait
            if attempt < most:
                backed_off = FIRST_WAIT * 2 ** (attempt - 1) * random.uniform(1, 1.5)
                await anyio.sleep(min(LONGEST_WAIT, backed_off if wait is None else wait))
        raise InputError(f"{url}: {why} ({attempt} attempts); is the server up, and not asked too much at once?")

    async def _once(self, url: str, body: dict | None) -> dict:
        try:
            async with self.http.stream("GET" if body is None else "POST", url, json=body) as response:
                return self._object(url, response, await self._read(url, response))
        except (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, httpx2.InvalidURL, UnicodeError) as error:
            raise InputError(f"{url}: cannot be asked: {self.told(str(error))}") from error
        except (httpx2.HTTPError, OSError) as error:
            raise _Again(f"no answer: {self.told(str(error) or type(error).__name__)}") from error

    async def _read(self, url: str, response: httpx2.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_BODY:
                raise InputError(f"{url}: answers with more than {MAX_BODY:,} bytes; that is no drawing")
        return bytes(body)

    def _object(self, url: str, response: httpx2.Response, body: bytes) -> dict:
        status, headers = response.status_code, response.headers
        if status in RETRIED:
            raise _Again(f"status {status}: {self.told(_said(body))}", retry_after(headers.get("retry-after")))
        if response.is_redirect:
            target = self.told(headers.get("location", ""))
            raise InputError(f"{url}: is somewhere else now ({status} to {target!r}); give that address instead")
        if status in (401, 403):
            raise InputError(f"{url}: refuses the key ({status}: {self.told(_said(body))}); {self._key_wanted()}")
        if not response.is_success:
            raise InputError(f"{url}: status {status}: {self.told(_said(body))}; check address, model and sizes")
        found = _loads(body)
        if isinstance(found, dict):
            return found
        kind = self.told(headers.get("content-type", "no content type").split(";")[0])
        if found is None and kind == "application/json":
            raise _Again("an answer that is no JSON")
        raise InputError(f"{url}: answers with no JSON object but {kind}; is it an OpenAI-compatible API?")

    def _key_wanted(self) -> str:
        if is_safe(self.base):
            return f"put the right one into {key_name(self.base)}"
        return "none was sent, for http lets others read along; give an address with https"

    def told(self, text: str) -> str:
        """Words of a server in one line of at most MAX_TOLD characters, without the key, which servers may repeat.

        The key goes before anything is cut, lest a part of it stay.
        """
        line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return (line.replace(self.key, "…") if self.key else line)[:MAX_TOLD] or "nothing said"


def key_name(url: str) -> str:
    """The environment variable whose key a server gets: OpenAI's own at OpenAI alone."""
    parts = urlsplit(url)
    return OPENAI_KEY if f"{parts.scheme}://{parts.netloc}".lower() in (OPENAI, f"{OPENAI}:443") else KEY


def is_here(url: str) -> bool:
    """Whether an address is this machine's own."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_safe(url: str) -> bool:
    """Whether nobody on the way can read a key."""
    return urlsplit(url).scheme == "https" or is_here(url)


def api_key(url: str) -> str:
    """The environment's key for a server; '' for none, and where it would go over plain http to another machine.

    Raises InputError for one that no header can carry.
    """
    name = key_name(url)
    key = os.environ.get(name, "").strip() if is_safe(url) else ""
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise InputError(f"{name}: holds characters that no key has; set it anew")
    return key


def _loads(body: bytes):
    """What a body holds; None for what is no JSON, nests of 100,000 brackets and integers of 5,000 digits included."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _said(body: bytes) -> str:
    """What an error body says: `error.message` and its like where there is one, else the body itself."""
    found = _loads(body)
    for key in ("error", "message", "detail"):
        found = found.get(key, found) if isinstance(found, dict) else found
    return found if isinstance(found, str) else body.decode("utf-8", "replace")
