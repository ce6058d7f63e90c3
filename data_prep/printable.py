"""Words of strangers on their way to people: without what acts on a terminal or a page; as Markdown that shows what they are."""

import re
from collections.abc import Iterable

NOT_PRINTABLE = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"  # of a pattern
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~$])")


def printable(text) -> str:
    """Text without control characters, lone surrogates and direction overrides, which no escaping makes harmless."""
    return re.sub(NOT_PRINTABLE, "\N{REPLACEMENT CHARACTER}", str(text))


def markdown(text) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no line breaks, no links that form by themselves."""
    flat = " ".join(printable(text).split())
    safe = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    safe = _MARKDOWN.sub(r"\\\1", safe)
    return safe.replace("://", "&#58;//").replace("www.", "www&#46;").replace("@", "&#64;")


def code(text) -> str:
    """Text as a span of code in Markdown, shown as it is on one line, whatever backticks it holds."""
    flat = " ".join(printable(text).split())
    fence = "`" * (max(map(len, re.findall("`+", flat)), default=0) + 1)
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{fence}{pad}{flat or ' '}{pad}{fence}"


def table(head: Iterable, rows: Iterable[Iterable]) -> list[str]:
    """Lines of a Markdown table; cells stand as they are."""
    head = list(head)
    return ["| " + " | ".join(map(str, line)) + " |" for line in (head, ["---"] * len(head), *rows)]
