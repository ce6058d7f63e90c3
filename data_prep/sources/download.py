"""Public packs by address: fetched once into the cache, and used only when their SHA-256 is the one that the recipe states.

The cache is the folder `packs` under PIXELREEF_CACHE, by default `~/.cache/pixelreef`. A file there is named by its checksum,
appears whole or not at all, and is never fetched again.
"""

import hashlib
import os
import tempfile
import urllib.request
from http.client import HTTPException
from pathlib import Path

from data_prep.errors import InputError
from data_prep.progress import say
from data_prep.whole_files import cache_folder

MAX_BYTES = 2 * 2**30
TIMEOUT = 60  # seconds without a byte
_CHUNK = 2**20
_AGENT = {"User-Agent": "pixelreef"}


def fetch(url: str, sha256: str) -> Path:
    """The file at an http(s) address, from the cache where it is there. Raises InputError with one line."""
    if not url.startswith(("http://", "https://")):
        raise InputError(f"{url}: no http address; give a public pack's, or `path` for a file of your own")
    folder = cache_folder() / "packs"
    place = folder / f"{sha256[:16]}-{_name(url)}"
    if place.exists():
        return place
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as staging:
        draft = Path(staging) / "pack"
        found = _download(url, draft)
        if found != sha256:
            raise InputError(f"{url}: its SHA-256 is {found}, the recipe says {sha256}; it was changed or is another file")
        os.replace(draft, place)
    return place


def _download(url: str, draft: Path) -> str:
    """Writes the answer's body; returns its SHA-256."""
    say(f"fetching {url}")
    digest, size = hashlib.sha256(), 0
    try:
        with (
            urllib.request.urlopen(urllib.request.Request(url, headers=_AGENT), timeout=TIMEOUT) as answer,
            draft.open("wb") as file,
        ):
            expected = answer.headers.get("Content-Length")
            while chunk := answer.read(_CHUNK):
                size += len(chunk)
                if size > MAX_BYTES:
                    raise InputError(f"{url}: larger than {MAX_BYTES >> 30} GiB; download it by hand and give its `path`")
                digest.update(chunk)
                file.write(chunk)
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{url}: cannot be fetched ({error}); download it by hand and give its `path`") from error
    if expected is not None and expected.isdigit() and size != int(expected):
        raise InputError(f"{url}: the connection broke after {size:,} of {int(expected):,} bytes; run the command again")
    return digest.hexdigest()


def _name(url: str) -> str:
    """A harmless file name with the address's last part."""
    last = url.partition("?")[0].rstrip("/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isascii() and (letter.isalnum() or letter in "._-"))[-80:] or "pack"
