"""Choice: what a recipe leaves out by name. Licences, labels, and pictures that a person rejected on the curate page."""

import codecs
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data_prep.bounded import MAX_LINE, filled_lines, read_bounded
from data_prep.curate import Picture, file_name, tidy
from data_prep.errors import InputError
from data_prep.recipe import PrepareRecipe

MAX_BYTES = 64 * 2**20
ACCEPT, REJECT, NONE = "accept", "reject", "none"  # decisions of a person; none takes an earlier one back


@dataclass(frozen=True)
class Choice:
    """licences: only these, if any; labels: phrases that no label, caption, tag or file name may hold; rejected:
    pictures' names."""

    licences: frozenset[str] = frozenset()
    labels: tuple[tuple[str, ...], ...] = ()
    rejected: frozenset[str] = frozenset()

    @classmethod
    def of(cls, recipe: PrepareRecipe, dropped: Callable[[str, str], None] = lambda name, reason: None) -> "Choice":
        """dropped: is told the lines of the curation file that are no decisions. Raises InputError for a file that is missing."""
        phrases = tuple(words for words in map(_words, label_list(recipe)) if words)
        rejected = _rejected(Path(recipe.curation), dropped) if recipe.curation else frozenset()
        return cls(frozenset(recipe.licences), phrases, rejected)

    def reason(self, picture: Picture) -> str:
        """Why the picture is left out, or ''."""
        if picture.name in self.rejected:
            return "rejected by curation"
        if self.licences and picture.licence not in self.licences:
            return f"licence left out: {picture.licence or 'none stated'}"
        texts = (picture.label, picture.caption, file_name(picture.name), *picture.tags.values()) if self.labels else ()
        said = [words for words in map(_words, texts) if words]
        found = next((phrase for phrase in self.labels if any(_holds(words, phrase) for words in said)), ())
        return f"label left out: {' '.join(found)}" if found else ""


def label_list(recipe: PrepareRecipe) -> list[str]:
    """The recipe's words to exclude, from its file where it names one: one a line, '#' begins a comment."""
    if not isinstance(recipe.exclude_labels, str):
        return list(recipe.exclude_labels)
    lines = _data(Path(recipe.exclude_labels), "exclude_labels").decode("utf-8", "surrogateescape").splitlines()
    return [phrase for line in lines if (phrase := line.partition("#")[0].strip())]


def curation_hash(path: Path) -> str:
    """SHA-256 of a curation file."""
    return hashlib.sha256(_data(path, "curation")).hexdigest()


def _data(path: Path, key: str) -> bytes:
    try:
        return read_bounded(path, MAX_BYTES).removeprefix(codecs.BOM_UTF8)
    except InputError as error:
        raise InputError(f"recipe: {key}: {path}: {error}") from error
    except OSError as error:
        raise InputError(f"recipe: {key}: {path} cannot be read ({error.strerror}); name a file that is there") from error


def _rejected(path: Path, dropped: Callable[[str, str], None]) -> frozenset[str]:
    """The names whose last decision is 'reject'."""
    decisions: dict[str, str] = {}
    for number, line in filled_lines(_data(path, "curation")):
        found = decision_of(line)
        if found:
            decisions[found[0]] = found[1]
        elif line.strip():
            dropped(f"{tidy(path.name)}:{number}", "curation: no decision with a name")
    return frozenset(name for name, decision in decisions.items() if decision == REJECT)


def decision_of(line: bytes) -> tuple[str, str] | None:
    """(picture's name, ACCEPT, REJECT or NONE) of a line of a curation file; None for what is no decision. Total."""
    if len(line) > MAX_LINE:
        return None
    try:
        row = json.loads(line)
        name, decision = row["name"], row["decision"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    return (name, decision) if isinstance(name, str) and decision in (ACCEPT, REJECT, NONE) else None


def _words(text: str) -> tuple[str, ...]:
    """Whole words, folded; a plural says the same as its singular."""
    return tuple(
        word if len(word) < 4 else word.removesuffix("s") for word in re.findall(r"\w+", text.casefold().replace("_", " "))
    )


def _holds(said: tuple[str, ...], phrase: tuple[str, ...]) -> bool:
    return any(said[start : start + len(phrase)] == phrase for start in range(len(said) - len(phrase) + 1))
