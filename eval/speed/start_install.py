"""What an install weighs: the size of each library on disk, which requirement and which extra of pixelreef bring it, and who
imports it. Reads the metadata of what is installed, and for direct requirements what they are for from docs/dependencies.md."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions, packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

US, ALWAYS = "pixelreef", "every install"


@dataclass(frozen=True)
class Library:
    """name: canonical. through: direct requirements that it is or that bring it. extras: ALWAYS, or those it comes with;
    none where pixelreef does not ask for it. users: commands that import it. reason: what it is for, where that is written."""

    name: str
    size: int
    through: tuple[str, ...]
    extras: tuple[str, ...]
    users: tuple[str, ...]
    reason: str

    @property
    def verdict(self) -> str:
        """Whether it is needed, as far as imports tell."""
        if self.users:
            return f"imported by {', '.join(self.users)}"
        why = f": {self.reason}" if self.reason else ""
        if ALWAYS in self.extras:
            return f"not imported by these{why}"
        return f"only for {', '.join(self.extras)}{why}" if self.extras else "not asked for by pixelreef"


def libraries(imported: Mapping[str, Iterable[str]], dependencies: Path) -> list[Library]:
    """Of everything that is installed, largest first. imported: command → top-level modules; dependencies: the page."""
    why, brought, users = reasons(dependencies), brought_by(), users_of(imported)
    found = []
    for one in distributions():
        name = canonicalize_name(one.metadata["Name"])
        if name == US:
            continue
        extras, through = brought.get(name, (set(), set()))
        told = (ALWAYS,) if ALWAYS in extras else tuple(sorted(extras))
        users_here = tuple(command for command in imported if command in users.get(name, ()))
        found.append(Library(name, size_of(one), tuple(sorted(through)), told, users_here, why.get(name, "")))
    return sorted({one.name: one for one in found}.values(), key=lambda one: -one.size)


def size_of(one: Distribution) -> int:
    """Bytes of its files that are there, compiled modules included."""
    total = 0
    for file in one.files or ():
        try:
            total += Path(str(file.locate())).stat().st_size
        except OSError:
            continue  # listed and since removed
    return total


def users_of(imported: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """Canonical name → commands that imported one of its modules."""
    owners, found = packages_distributions(), {}
    for command, modules in imported.items():
        for module in modules:
            for name in owners.get(module, ()):
                found.setdefault(canonicalize_name(name), set()).add(command)
    return found


def brought_by() -> dict[str, tuple[set[str], set[str]]]:
    """Canonical name → (extras that bring it, ALWAYS among them where all installs do; direct requirements through which)."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for extra, direct in direct_requirements():
        for name in _closure(direct):
            extras, through = found.setdefault(name, (set(), set()))
            extras.add(extra)
            through.add(canonicalize_name(direct.name))
    return found


def direct_requirements() -> list[tuple[str, Requirement]]:
    """(extra or ALWAYS, requirement) of pixelreef's own metadata; extras made of other extras are left out."""
    asked = [Requirement(text) for text in requires(US) or ()]
    extras = [str(one) for one in distribution(US).metadata.get_all("Provides-Extra") or ()]
    found = []
    for one in asked:
        brings = [extra for extra in extras if one.marker is not None and one.marker.evaluate({"extra": extra})]
        if one.name != US:
            found += [(extra, one) for extra in ([ALWAYS] if _applies(one, {""}) else brings)]
    return found


def _closure(direct: Requirement) -> set[str]:
    """Canonical names of a requirement and of all that it brings and that is installed."""
    seen: dict[str, set[str]] = {}
    left = [direct]
    while left:
        one = left.pop()
        name, extras = canonicalize_name(one.name), {"", *one.extras}
        if extras <= seen.get(name, set()):
            continue
        seen[name] = seen.get(name, set()) | extras
        try:
            left += [next_one for text in requires(name) or () if _applies(next_one := Requirement(text), extras)]
        except PackageNotFoundError:
            del seen[name]
            continue
    return set(seen)


def _applies(one: Requirement, extras: Iterable[str]) -> bool:
    return one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras)


def reasons(dependencies: Path) -> dict[str, str]:
    """Canonical name → what a direct requirement is for, from the first table of docs/dependencies.md; {} where it is not."""
    if not dependencies.exists():
        return {}
    rows = [line.strip("| ").split(" | ") for line in dependencies.read_text("utf-8").splitlines() if line.startswith("| ")]
    return {canonicalize_name(row[0]): row[4] for row in rows[1:] if len(row) == 5}
