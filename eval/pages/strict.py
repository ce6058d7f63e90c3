"""Checking what a page asks for, field by field: anything else is refused before any work begins, in one line of words."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict
from pydantic_core import ErrorDetails


class Strict(BaseModel):
    """No conversions, no further keys, no infinities."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


def in_words(faults: Sequence[ErrorDetails]) -> str:
    """pydantic's first fault as one line: the field and what it takes, without the value."""
    field = ".".join(part for part in faults[0]["loc"] if isinstance(part, str) and part not in ("body", "query", "path"))
    words = faults[0]["msg"].removeprefix("Value error, ")
    return f"{field or 'request'}: {words[0].lower()}{words[1:]}"
