"""Who drew the sheets of a folder and under which licence, as an OpenGameArt page's files say: the saved page, or a credits file.

What is stated holds for the folder it lies in and those below. Where it is unclear which licence is meant, none is stated.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import PurePosixPath

from data_prep.curate import tidy
from data_prep.sources import Dropped
from data_prep.sources.packs import Pack, Unusable

MAX_BYTES = 4 * 2**20  # of a page or a text
PAGES = frozenset({".html", ".htm"})
TEXTS = frozenset({".txt", ".md", ""})
CREDITS_NAME = re.compile(r"(credit|licen[cs]e|attribution|readme|copying|author)", re.IGNORECASE)
LICENCE = re.compile(
    r"\bCC[ -]?0\b|\bcreative ?commons zero\b|publicdomain/zero|\b(?P<kind>CC[ -]BY(?:[ -](?:SA|NC|ND))*|OGA[ -]BY|L?GPL)"
    r"[ -]?v?(?P<version>\d(?:\.\d)?)?|creativecommons\.org/licenses/(?P<terms>[a-z-]+)/(?P<number>\d\.\d)",
    re.IGNORECASE,
)
STATED = re.compile(
    r"^[^\w\n]*(?P<key>title|authors?|artists?|created by|made by|drawn by|url|source)\s*(?:\(s\)\s*)?:"
    r"[ \t]*\n?(?P<value>[^\n]+)",
    re.IGNORECASE | re.MULTILINE,
)
KEYS = {"title": "title", "url": "url", "source": "url"}  # all others name the author
FIELDS = {  # classes of OpenGameArt's pages
    "field-name-title": "title", "field-name-author-submitter": "author", "field-name-field-art-licenses": "licence",
    "field-name-field-art-attribution": "notice", "field-name-field-copyright-notice": "notice",
}  # fmt: skip
VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})


@dataclass(frozen=True)
class Facts:
    """What a page or a file states; '' and () where it does not."""

    title: str = ""
    author: str = ""
    licences: tuple[str, ...] = ()
    url: str = ""
    notice: str = ""

    def row(self, wanted: Collection[str]) -> dict[str, str]:
        """As a line of metadata. Of several licences to choose from, the first of those wanted, else all with 'or'."""
        chosen = next((licence for licence in self.licences if licence in wanted), " or ".join(self.licences))
        parts = (self.author, f"“{self.title}”" if self.title else "", self.notice, self.url)
        found = {"licence": chosen, "attribution": ", ".join(part for part in parts if part), "source": self.title}
        return {key: value for key, value in found.items() if value}


@dataclass(frozen=True)
class Credits:
    """Folder in the pack → what is stated for it and those below; decorations: folders that browsers save beside a page."""

    by_folder: Mapping[str, Facts]
    decorations: frozenset[str]

    def of(self, name: str) -> Facts:
        folders = (str(folder) for folder in PurePosixPath(name).parents)
        return next((self.by_folder[folder] for folder in folders if folder in self.by_folder), Facts())

    def is_decoration(self, name: str) -> bool:
        return any(str(folder) in self.decorations for folder in PurePosixPath(name).parents)


def read_credits(pack: Pack, dropped: Dropped, inherited: Facts) -> Credits:
    """A page is believed before a text. inherited: what holds for the whole pack, when it is a zip beside a page."""
    by_folder = {".": inherited}
    files = [name for name in pack.names if _is_page(name) or _is_text(name)]
    for name in sorted(files, key=lambda name: (_is_page(name), name)):
        try:
            text = pack.read(name, MAX_BYTES).decode("utf-8", "replace")
        except Unusable as error:
            dropped(name, str(error))
            continue
        facts = read_page(text) if _is_page(name) else read_text(text)
        folder = str(PurePosixPath(name).parent)
        if facts != Facts():
            by_folder[folder] = _over(facts, by_folder.get(folder, Facts()))
    stems = [str(PurePosixPath(name).with_suffix("")) for name in pack.names if _is_page(name)]
    return Credits(by_folder, frozenset(stem + end for stem in stems for end in ("_files", ".files")))


def _is_page(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in PAGES


def _is_text(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in TEXTS and bool(CREDITS_NAME.search(path.stem))


def _over(facts: Facts, below: Facts) -> Facts:
    """What the first states, the rest from the second."""
    return Facts(*(getattr(facts, key) or getattr(below, key) for key in ("title", "author", "licences", "url", "notice")))


# --- texts ----------------------------------------------------------------------------------------------------------


def read_text(text: str) -> Facts:
    """A credits or licence file. Several licences in one text are not a choice but several works: then none is taken."""
    found: dict[str, str] = {}
    for match in STATED.finditer(text[:20_000]):
        found.setdefault(KEYS.get(match["key"].lower(), "author"), tidy(match["value"]))
    licences = licence_names(text[:20_000])
    return Facts(found.get("title", ""), found.get("author", ""), licences if len(licences) == 1 else (), found.get("url", ""))


def licence_names(text: str) -> tuple[str, ...]:
    """SPDX-like names of the free licences that a text names, in its order: 'CC-BY 3.0' → 'CC-BY-3.0', 'CC0' → 'CC0-1.0'."""
    names: dict[str, None] = {}
    for match in LICENCE.finditer(text):
        kind, version = (match["kind"], match["version"]) if match["kind"] else (match["terms"], match["number"])
        if kind is None:
            names["CC0-1.0"] = None
        elif version:
            kind = kind.upper().replace(" ", "-")
            kind = f"CC-{kind}" if match["terms"] else kind
            names[f"{kind}-{version if '.' in version else version + '.0'}"] = None
    return tuple(names)


# --- pages ----------------------------------------------------------------------------------------------------------


class _Page(HTMLParser):
    """Collects the text of the elements whose class is one of FIELDS, and the page's own address."""

    def __init__(self):
        super().__init__()
        self.texts: dict[str, list[str]] = {}
        self.url = ""
        self._open: list[tuple[str, str]] = []  # each open element with the field it is in, or ''
        self._count: Counter[str] = Counter()  # of each name among those

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag == "link" and found.get("rel") == "canonical" and "opengameart.org" in (found.get("href") or ""):
            self.url = found["href"]
        if tag in VOID or len(self._open) > 1_000:
            return
        classes = (found.get("class") or "").split()
        around = self._open[-1][1] if self._open else ""
        self._open.append((tag, next((FIELDS[name] for name in classes if name in FIELDS), around)))
        self._count[tag] += 1

    def handle_endtag(self, tag):
        """Closes the last element of that name, and those within it that nobody closed."""
        closed = "" if self._count[tag] else tag  # none is searched for in vain: a page may have 10⁶ such ends
        while closed != tag:
            closed, _ = self._open.pop()
            self._count[closed] -= 1

    def handle_data(self, data):
        field_name = self._open[-1][1] if self._open else ""
        if field_name and data.strip():
            self.texts.setdefault(field_name, []).append(data.strip())


def read_page(html: str) -> Facts:
    """A saved page of OpenGameArt → what it states; nothing for any other page. Its licences are a choice."""
    page = _Page()
    page.feed(html)
    texts = {key: tidy(" ".join(parts)) for key, parts in page.texts.items()}
    author = re.sub(r"^(?:Author|Submitted by)\s*:?\s*", "", texts.get("author", ""))
    notice = re.sub(r"^(?:Copyright/)?Attribution (?:Notice|Instructions)\s*:?\s*", "", texts.get("notice", ""))
    licences = licence_names(" \n ".join(page.texts.get("licence", [])))
    return Facts(texts.get("title", ""), author, licences, page.url, notice)
