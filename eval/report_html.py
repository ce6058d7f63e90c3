"""The HTML of a report: one file, no scripts, nothing from outside. Jinja escapes every text from the run."""

from pathlib import Path

from data_prep.printable import printable

_FOLDER = Path(__file__).parent


def render(**page) -> str:
    """The page from `report.html.jinja` and `report.css`; `page` is what the template names."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.finalize = lambda value: value if isinstance(value, Markup) else printable(value)
    template = environment.from_string((_FOLDER / "report.html.jinja").read_text(encoding="utf-8"))
    css = Markup((_FOLDER / "report.css").read_text(encoding="utf-8"))
    return template.render(css=css, **page)
