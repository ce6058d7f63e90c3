"""The HTML of a report: one file, no scripts, nothing from outside. Jinja escapes every text from the run."""

import re
from pathlib import Path

_FOLDER = Path(__file__).parent
_NOT_PRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text) -> str:
    """Text without control characters, lone surrogates and direction overrides, which no escaping makes harmless."""
    return _NOT_PRINTABLE.sub("\N{REPLACEMENT CHARACTER}", str(text))


def render(**page) -> str:
    """The page from `report.html.jinja` and `report.css`; `page` is what the template names."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.finalize = lambda value: value if isinstance(value, Markup) else printable(value)
    template = environment.from_string((_FOLDER / "report.html.jinja").read_text(encoding="utf-8"))
    css = Markup((_FOLDER / "report.css").read_text(encoding="utf-8"))
    return template.render(css=css, **page)
