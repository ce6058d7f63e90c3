"""What a category of Wikimedia Commons holds: pages of the MediaWiki API → `Listed` files with licence, author and address.

Reads the API through a `PoliteClient`; nothing that it answers is trusted to have a shape. Writes nothing.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser

from data_prep.curate import tidy
from data_prep.errors import InputError
from data_prep.polite_http import Again, Answer, PoliteClient, Refused, retry_after

API = "https://commons.wikimedia.org/w/api.php"
FILE_HOST = "upload.wikimedia.org"
WIDTHS = (250, 330, 500, 960, 1280, 1920)  # the servers make thumbnails of these widths and refuse others
KINDS = ("image/jpeg", "image/png", "image/webp", "image/tiff")  # of originals; drawings (SVG) and animations are left out
MAX_LAG = 5  # seconds that the servers' copies may lag behind before they answer us at all
MAX_JSON = 16 * 2**20  # bytes of one answer
MAX_HTML = 5000  # characters of a description, of which the rest is left out: broken tags take the parser long
FILES_A_PAGE, CATEGORIES_A_PAGE = 50, 500
BUSY = ("maxlag", "ratelimited", "readonly", "internal_api_error_DBQueryError")  # API errors that pass
FIELDS = "License|LicenseShortName|LicenseUrl|UsageTerms|Artist|Attribution|NonFree"

# By version, with a country's port: 'cc-by-sa-3.0-de'; of several versions, 'cc-by-sa-4.0,3.0', the first counts.
_CREATIVE_COMMONS = re.compile(r"cc[- ](by(?:[- ]sa)?)[- ]([1-4]\.[05])(?:,[1-4]\.[05])*(?:[- ]([a-z]{2,4}))?")
_CC0 = re.compile(r"cc[- ]?(?:0|zero)(?:[- ]1\.0)?")
_PUBLIC_DOMAIN = re.compile(r"(?:pd|public domain)(?:[- ].*)?")
_RESTRICTED = re.compile(r"\b(?:nc|nd|noncommercial|non-commercial|noderivs|noderivatives)\b")


@dataclass(frozen=True)
class Listed:
    """One file of the category; address: of its thumbnail, or of the original where that is no wider (whole: then sha1 fits).

    licence: as SPDX writes it, or 'Public domain'; category: the one that it was found in; sha1: of the original.
    """

    title: str
    address: str
    whole: bool
    sha1: str
    licence: str
    licence_url: str
    author: str
    page: str
    short_page: str
    category: str


def walk(
    client: PoliteClient, api: str, category: str, depth: int, width: int, dropped: Callable[[str, str], None]
) -> Iterator[Listed]:
    """Files of the category, then of its subcategories down to `depth`, nearest first; each category and each title once.

    What cannot be used goes to `dropped(title, reason)`. Raises InputError when the API gives no answer that can be read.
    """
    queue, categories, titles = [(category, 0)], {category}, set()
    while queue:
        name, level = queue.pop(0)
        for page in _files(client, api, name, width):
            title = str(page.get("title"))
            if title in titles:
                continue
            titles.add(title)
            found = listed(page, name)
            if isinstance(found, str):
                dropped(tidy(title), found)
            else:
                yield found
        if level < depth:
            below = [sub for sub in _subcategories(client, api, name) if sub not in categories]
            categories.update(below)
            queue += [(sub, level + 1) for sub in below]


def listed(page: dict, category: str) -> Listed | str:
    """A page of the API's answer as a file that may be used, or in words why it may not."""
    info = next(iter(_list(page, "imageinfo")), {})
    words = {key: _words(info.get("extmetadata"), key) for key in FIELDS.split("|")}
    licence = licence_of(words)
    if not info:
        return "no description of the file came back"
    if not licence:
        return f"licence left out: {words['LicenseShortName'] or words['License'] or words['UsageTerms'] or 'none stated'}"
    author = words["Artist"] or words["Attribution"] or tidy(str(info.get("user") or ""))
    if not author and licence.startswith("CC-BY"):
        return f"no author is named, and {licence} asks for one"
    if info.get("mime") not in KINDS:
        return f"no photograph: {tidy(str(info.get('mime')))}"
    original, thumbnail = (found if isinstance(found := info.get(key), str) else "" for key in ("url", "thumburl"))
    sha1 = str(info.get("sha1"))
    if not (thumbnail or original) or not re.fullmatch(r"[0-9a-f]{40}", sha1):
        return "no address or no checksum came back"
    bare = (thumbnail or original).partition("?")[0]  # the API may add where a link was taken from
    return Listed(
        title=str(page.get("title")),
        address=thumbnail or original,
        whole=bare == original.partition("?")[0],
        sha1=sha1,
        licence=licence,
        licence_url=_link(words["LicenseUrl"]),
        author=author,
        page=_link(info.get("descriptionurl")),
        short_page=_link(info.get("descriptionshorturl")),
        category=category,
    )


def licence_of(words: dict[str, str]) -> str:
    """The free licence that the words of a file's metadata name, else ''. Free: CC0, public domain, CC BY, CC BY-SA.

    Any word of 'no commerce' or 'no derivatives', or the mark of a non-free file, wins over the rest.
    """
    named = [words.get(key, "").lower() for key in ("License", "LicenseShortName", "UsageTerms")]
    restricted = any(_RESTRICTED.search(re.sub(r"[-_ ]+", " ", text)) for text in named)
    if restricted or words.get("NonFree", "").lower() not in ("", "false", "0"):
        return ""
    for text in named[:2]:
        if match := _CREATIVE_COMMONS.fullmatch(text):
            parts = ("cc", match[1].replace(" ", "-"), match[2], match[3] or "")
            return "-".join(part for part in parts if part).upper()
        if _CC0.fullmatch(text):
            return "CC0-1.0"
        if _PUBLIC_DOMAIN.fullmatch(text):
            return "Public domain"
    return ""


def plain_text(html: str) -> str:
    """The words of a piece of HTML in one line; what scripts and styles hold is left out."""
    parser = _Text()
    parser.feed(html[:MAX_HTML])
    parser.close()
    return tidy("".join(parser.found))


class _Text(HTMLParser):
    """Collects text; `convert_charrefs` turns &amp; and its like into letters."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag, attributes):
        self.hidden += tag in ("script", "style")
        if tag in ("br", "p", "div", "li", "td", "tr"):
            self.found.append(" ")

    def handle_endtag(self, tag):
        self.hidden = max(0, self.hidden - (tag in ("script", "style")))

    def handle_data(self, data):
        if not self.hidden:
            self.found.append(data)


# --- the API ----------------------------------------------------------------------------------------------------------


def _files(client: PoliteClient, api: str, category: str, width: int) -> Iterator[dict]:
    """The category's files; one page of the listing may come in several answers, which are merged until it is complete."""
    asked = {
        "generator": "categorymembers", "gcmtitle": category, "gcmtype": "file", "gcmlimit": str(FILES_A_PAGE),
        "prop": "imageinfo", "iiprop": "url|mime|sha1|user|extmetadata", "iiextmetadatafilter": FIELDS,
        "iiextmetadatalanguage": "en", "iiurlwidth": str(width),
    }  # fmt: skip
    pages: dict[str, dict] = {}
    for answer in _pages(client, api, asked):
        for page in _list(answer, "pages"):
            pages.setdefault(str(page.get("title")), {}).update(page)
        if answer["batchcomplete"]:
            yield from pages.values()
            pages = {}
    yield from pages.values()


def _subcategories(client: PoliteClient, api: str, category: str) -> list[str]:
    asked = {"list": "categorymembers", "cmtitle": category, "cmtype": "subcat", "cmlimit": str(CATEGORIES_A_PAGE)}
    return [
        member["title"]
        for answer in _pages(client, api, asked)
        for member in _list(answer, "categorymembers")
        if isinstance(member.get("title"), str)
    ]


def _pages(client: PoliteClient, api: str, asked: dict[str, str]) -> Iterator[dict]:
    """Each answer's `query` with its `batchcomplete`, until the API names nothing to continue with."""
    asked = {"action": "query", "format": "json", "formatversion": "2", "maxlag": str(MAX_LAG)} | asked
    more: dict[str, str] = {}
    while True:
        try:
            answer = client.get(api, MAX_JSON, _object, asked | more)
        except Refused as error:
            raise InputError(f"{api}: {error}; try again later, what is there already is kept") from error
        yield _dict(answer.get("query")) | {"batchcomplete": bool(answer.get("batchcomplete"))}
        before, more = more, {key: value for key, value in _dict(answer.get("continue")).items() if isinstance(value, str)}
        if not more or more == before:  # the second: a server that would send us round for ever
            return


def _object(answer: Answer) -> dict:
    """The API's JSON object; Again for what is none and for errors that pass, Refused for others."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise Again(f"an answer that is no JSON but {tidy(answer.kind) or 'something'}") from error
    if not isinstance(found, dict):
        raise Again("an answer that is no JSON object")
    fault = found.get("error")
    if not fault:
        return found
    code, info = (tidy(str(fault.get(key))) for key in ("code", "info")) if isinstance(fault, dict) else ("", tidy(str(fault)))
    if code in BUSY:
        raise Again(f"{code}: {info}", retry_after(answer.headers.get("retry-after")), busy=True)
    raise Refused(f"{code}: {info}")


def _link(value) -> str:
    """A web address, or '' for anything else: it is shown to people, who may follow it."""
    return tidy(value) if isinstance(value, str) and value.startswith(("https://", "http://")) else ""


def _list(query: dict, key: str) -> list[dict]:
    found = query.get(key)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _dict(value) -> dict:
    return value if isinstance(value, dict) else {}


def _words(metadata, key: str) -> str:
    value = _dict(_dict(metadata).get(key)).get("value")
    return plain_text(str(value)) if isinstance(value, str | bool) else ""
