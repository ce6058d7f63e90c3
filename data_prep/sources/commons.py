"""Entry: photographs of a Wikimedia Commons category, with licence and author, into a folder that `photographs` reads.

    python -m data_prep.sources.commons "Category:Jellyfish" --out photos/jellyfish --contact you@example.org [--limit 200]

Writes the files, `metadata.jsonl` (a line a file: label, licence, attribution, author, page, checksum) and `dropped.jsonl` (what
was left out in the last run, with the reason). Only CC0, public domain, CC BY and CC BY-SA. A run that was stopped goes on
where it was: a file that is there is not loaded again. One request at a time, under a User-Agent that names the contact.
"""

import argparse
import hashlib
import json
import os
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from data_prep.captions import CATEGORIES, ZONES
from data_prep.curate import tidy
from data_prep.errors import InputError, exit_code
from data_prep.polite_http import Again, Answer, PoliteClient, Refused
from data_prep.progress import say
from data_prep.sources import photographs
from data_prep.sources.commons_listing import API, FILE_HOST, WIDTHS, Listed, walk
from data_prep.sources.packs import METADATA, Unusable
from data_prep.whole_files import write_whole

CONTACT = "PIXELREEF_CONTACT"  # environment variable
AGENT = "pixelreef/0.1 ({contact}; photographs for a corpus of sprites) python-httpx2"
SOURCE = "Wikimedia Commons"
MAX_BYTES = 32 * 2**20  # of one file
MAGIC = {b"\xff\xd8\xff": ".jpg", b"\x89PNG\r\n\x1a\n": ".png", b"RIFF": ".webp", b"II*\0": ".tif", b"MM\0*": ".tif"}
SUFFIXES = tuple(dict.fromkeys(MAGIC.values()))
FAILURES = 3  # files in a row that could not be had: then the network or the server is down
TOLD_EVERY = 20  # photographs
MAX_NAME, MAX_AUTHOR = 60, 110  # characters


@dataclass
class _Folder:
    """The folder while it grows. rows: sha1 → its line of the metadata, for files that are there."""

    path: Path
    rows: dict[str, dict] = field(default_factory=dict)
    left_out: Counter = field(default_factory=Counter)

    def drop(self, name: str, reason: str) -> None:
        self.left_out[reason] += 1
        _append(self.path / "dropped.jsonl", {"id": tidy(name), "reason": reason})


def fetch(
    category: str,
    out: str | Path,
    contact: str,
    limit: int | None = None,
    depth: int = 0,
    width: int = 960,
    api: str = API,
    row: dict[str, str] | None = None,
    client: PoliteClient | None = None,
) -> dict[str, int]:
    """Loads the category's free photographs into the folder `out`; returns how many are there, are new and were left out.

    contact: a mail address or web page for the User-Agent; limit: files in the folder at most, those of earlier runs counted;
    depth: levels of subcategories; width: of the thumbnails in pixels, one of WIDTHS; row: what every line of the metadata
    shall hold besides, as {'label': 'jellyfish', 'zone': 'midnight'}; client: for tests. Raises InputError for a wrong option,
    a category without files, a folder that cannot be written or a server that gives nothing any more.
    """
    host = _checked(category, contact, width, api)
    folder = _opened(Path(out))
    there = len(folder.rows)
    client = client or PoliteClient(AGENT.format(contact=contact), (host, FILE_HOST))
    failures = 0
    with client:
        for file in walk(client, api, category, depth, width, folder.drop):
            if limit is not None and len(folder.rows) >= limit:
                break
            if file.sha1 in folder.rows:
                continue
            try:
                _load(client, file, folder, row or {})
                failures = 0
                if len(folder.rows) % TOLD_EVERY == 0:
                    say(f"  {len(folder.rows):,} photographs")
            except OSError as error:
                raise InputError(f"{out}: cannot be written ({error.strerror}); make room, then run the command again") from error
            except Refused as error:
                folder.drop(file.title, str(error))
                failures += not error.lasting
                if error.busy or failures >= FAILURES:
                    raise InputError(f"{file.title}: {error}; run the command again later, it goes on from here") from error
    if not folder.rows and not folder.left_out:
        raise InputError(f"{category}: no such category, or no file in it; look the name up, or try --depth 1")
    return {"there": len(folder.rows), "new": len(folder.rows) - there, "left out": folder.left_out.total()}


def _checked(category: str, contact: str, width: int, api: str) -> str:
    """The API's host; raises InputError for an option that does not fit."""
    if not category.startswith("Category:"):
        raise InputError(f"{category!r}: no category; write it as on Wikimedia Commons, 'Category:Jellyfish'")
    if not contact.strip() or not (contact.isascii() and contact.isprintable()):
        raise InputError(f"--contact: Wikimedia asks for a mail address or web page of yours; give one, or set {CONTACT}")
    if width not in WIDTHS:
        raise InputError(
            f"--width {width}: the servers make thumbnails of {', '.join(map(str, WIDTHS))} pixels; take one of these"
        )
    try:
        address = urlsplit(api)
    except ValueError:  # as of 'http://['
        address = urlsplit("")
    if address.scheme not in ("http", "https") or not address.hostname:
        raise InputError(f"--api {api!r}: no address; give the api.php of a MediaWiki")
    return address.hostname


# --- one file -----------------------------------------------------------------------------------------------------------


def _load(client: PoliteClient, file: Listed, folder: _Folder, more: dict[str, str]) -> None:
    """Loads the file, or takes it where an earlier run left it, and writes its line. Raises Refused."""
    stem = f"{_slug(file.title)}_{file.sha1[:8]}"
    found = next((folder.path / f"{stem}{suffix}" for suffix in SUFFIXES if (folder.path / f"{stem}{suffix}").is_file()), None)
    if found is None:
        data, suffix = client.get(file.address, MAX_BYTES, lambda answer: _picture(answer, file))
        found = write_whole(folder.path / f"{stem}{suffix}", data)
    folder.rows[file.sha1] = _row(file, found.name) | more
    _append(folder.path / METADATA, folder.rows[file.sha1])


def _picture(answer: Answer, file: Listed) -> tuple[bytes, str]:
    """The bytes and their suffix, once they are a whole picture and, for an original, the one that the API named."""
    if not answer.kind.startswith("image/"):
        raise Refused(f"no picture came back but {tidy(answer.kind) or 'something without a type'}")
    suffix = next((suffix for magic, suffix in MAGIC.items() if answer.body.startswith(magic)), "")
    if not suffix:
        raise Refused("what came back is no photograph, whatever its type says")
    if file.whole and hashlib.sha1(answer.body, usedforsecurity=False).hexdigest() != file.sha1:
        raise Again("its checksum is not the one that the API names", lasting=True)
    try:
        photographs.decode(answer.body)
    except Unusable as error:
        raise Again(str(error), lasting=True) from error
    return answer.body, suffix


def _row(file: Listed, name: str) -> dict[str, str]:
    author = file.author[:MAX_AUTHOR].strip()
    label = tidy(file.category.removeprefix("Category:").replace("_", " ")).lower()
    return {
        "file_name": name, "label": label, "source": SOURCE, "licence": file.licence, "licence_url": file.licence_url,
        "attribution": ", ".join(part for part in (author, file.short_page) if part), "author": file.author,
        "title": tidy(file.title.removeprefix("File:")), "page": file.page, "sha1": file.sha1,
    }  # fmt: skip


def _slug(title: str) -> str:
    """Letters, digits and '-' of any script: nothing in it can name another folder."""
    name = title.removeprefix("File:").rpartition(".")[0] or title
    words = re.sub(r"[^\w-]+|_+", " ", tidy(name)).split()
    return "_".join(words)[:MAX_NAME].strip("_.-") or "file"


# --- the folder -----------------------------------------------------------------------------------------------------------


def _opened(path: Path) -> _Folder:
    """The folder with what earlier runs brought; of a last line that a kill cut short, half is taken back and all is ended."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        (path / "dropped.jsonl").write_bytes(b"")
        lines = (path / METADATA).read_bytes().splitlines(keepends=True) if (path / METADATA).exists() else []
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another --out") from error
    folder = _Folder(path)
    for line in lines:
        row = _row_of(line)
        if row and (path / row["file_name"]).is_file():
            folder.rows[row["sha1"]] = row
    ended = [line if line.endswith(b"\n") else line + b"\n" for line in lines if line.endswith(b"\n") or _row_of(line)]
    kept = b"".join(ended)
    if kept != b"".join(lines):
        write_whole(path / METADATA, kept)
    return folder


def _row_of(line: bytes) -> dict:
    """The line's object where it is one of ours, else {}."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    ours = isinstance(row, dict) and all(isinstance(row.get(key), str) for key in ("sha1", "file_name"))
    return row if ours else {}


def _append(path: Path, row: dict) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _told(counts: dict[str, int], out: Path) -> str:
    return f"{out}: {counts['there']:,} photographs, {counts['new']:,} of them new; {counts['left out']:,} left out"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("commons", description="Loads free photographs of a Wikimedia Commons category.")
    parser.add_argument("category", help="as 'Category:Jellyfish'")
    parser.add_argument("--out", required=True, type=Path, help="folder; an unfinished one is gone on with")
    parser.add_argument(
        "--contact", default=os.environ.get(CONTACT, ""), help=f"your mail address or web page (or set {CONTACT})"
    )
    parser.add_argument("--limit", type=int, help="photographs in the folder at most")
    parser.add_argument("--depth", type=int, default=0, help="levels of subcategories")
    parser.add_argument("--width", type=int, default=960, help=f"of the thumbnails: {', '.join(map(str, WIDTHS))} pixels")
    parser.add_argument("--label", help="what the photographs show; otherwise the category's name")
    parser.add_argument("--zone", choices=ZONES)
    parser.add_argument("--category", dest="cell_category", choices=CATEGORIES, help="of the coverage table")
    parser.add_argument("--api", default=API, help="api.php of another MediaWiki")
    options = parser.parse_args(argv)
    told = {"label": options.label, "zone": options.zone, "category": options.cell_category}
    row = {key: value for key, value in told.items() if value}
    places = (options.limit, options.depth, options.width, options.api, row)
    return exit_code("commons", lambda: _told(fetch(options.category, options.out, options.contact, *places), options.out))


if __name__ == "__main__":
    sys.exit(main())
