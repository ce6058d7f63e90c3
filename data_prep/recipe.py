"""Recipe of a corpus: reads the YAML file of `pixelreef prepare`, with overrides; writes nothing.

Unknown keys fail and name the nearest valid one; every error is an InputError of one line.
"""

import math
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any

from data_prep import bench_format
from data_prep.bounded import read_yaml
from data_prep.captions import BENCH, CELLS, TASKS
from data_prep.errors import InputError, refuse_unknown
from data_prep.sprite import MAX_SIDE, MIN_SIDE

CELL_NAMES = tuple("/".join(cell) for cell in CELLS)
Type = type | UnionType  # what `isinstance` takes
_FILTERS: dict[str, Type] = {"licences": list, "exclude_sources": list}
_WANTED: dict[Type, str] = {str: "a word", int: "a whole number", list: "a list", bool: "true or false"}
SOURCE_KEYS: dict[str, dict[str, Type]] = {
    "procedural": {"seed": int, "count": int},
    "packs": {"path": str, "dataset": str, "url": str, "sha256": str, **_FILTERS},
    "photographs": {"path": str, "licences": list},
    "sheets": {"path": str, "every_frame": bool, **_FILTERS},
}
LATER = ("leave_out_cells", "licences", "exclude_labels", "curation", "recolours", "shard_rows")  # keys that early recipes lack


@dataclass(frozen=True)
class PrepareRecipe:
    """What goes into a corpus. Raises InputError that names the key.

    name: of the corpus, and of its palette where that is 'corpus'; sources: dicts with `kind` and that kind's keys, and with a
    `weight` in all of them, the shares that they get of the training sprites; sizes: pixels a side; palette: a shipped name,
    'corpus' or a file; empty_caption_share: of the training captions, emptied for guidance; tasks: task → weight, by which
    each sprite is made one task's pair; limit: at most so many sprites of each source; num_proc: processes, without influence
    on the result; leave_out_cells: 'zone/category' of cells whose sprites all go to the split unseen_cells, so that training
    never sees them; licences: only these (empty: all), in every source; exclude_labels: words, or a file with one a line, of
    which no caption, label or file name may have one; curation: a file of `pixelreef curate`; recolours: at most so many
    sprites that are the same drawing but for its colours (nothing: all of them); shard_rows: pairs in a file. Paths are taken
    from the working directory.
    """

    name: str
    sources: tuple[dict, ...]
    sizes: tuple[int, ...]
    palette: str = "reef64"
    empty_caption_share: float = 0.1
    tasks: dict[str, float] = field(default_factory=lambda: {"draw": 1.0})
    hold_out_bench_subjects: bool = True
    limit: int | None = None
    seed: int = 1
    num_proc: int = 1
    leave_out_cells: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    exclude_labels: tuple[str, ...] | str = ()
    curation: str | None = None
    recolours: int | None = None
    shard_rows: int = 25_000

    def __post_init__(self):
        _need(isinstance(self.name, str) and self.name, "name", self.name, "a word")
        _need(_is_list(self.sources) and self.sources, "sources", self.sources, "a list of at least one source")
        for index, source in enumerate(self.sources):
            _check_source(f"sources.{index}", source)
        sizes_fit = _is_list(self.sizes) and self.sizes and all(_is_int(size, MIN_SIDE, MAX_SIDE) for size in self.sizes)
        _need(sizes_fit, "sizes", self.sizes, f"a list of sides from {MIN_SIDE} to {MAX_SIDE}, as [16]")
        _need(isinstance(self.palette, str), "palette", self.palette, "a palette's name, 'corpus' or a file")
        share = self.empty_caption_share
        _need(isinstance(share, int | float) and 0 <= share <= 1, "empty_caption_share", share, "a number from 0 to 1")
        hold_out = self.hold_out_bench_subjects
        _need(isinstance(hold_out, bool), "hold_out_bench_subjects", hold_out, "true or false")
        _need(self.limit is None or _is_int(self.limit, 1), "limit", self.limit, "a whole number from 1, or nothing")
        _need(_is_int(self.seed), "seed", self.seed, "a whole number")
        _need(_is_int(self.num_proc, 1), "num_proc", self.num_proc, "a whole number from 1")
        _need(isinstance(self.tasks, dict) and self.tasks, "tasks", self.tasks, "task names with weights, as {draw: 1}")
        refuse_unknown(self.tasks, TASKS, "tasks")
        _check_weights("tasks", self.tasks)
        if BENCH in self.tasks and max(self.sizes) > bench_format.SIDE:
            raise InputError(f"recipe: tasks.{BENCH}: its answers are 24x24; leave sizes above 24 out, or this task")
        self._check_cells()
        self._check_choices()
        object.__setattr__(self, "sources", tuple(dict(source) for source in self.sources))
        object.__setattr__(self, "sizes", tuple(sorted(set(self.sizes))))

    def _check_cells(self) -> None:
        """leave_out_cells names cells, and not all of them; they are kept once each, in the order of CELLS."""
        cells = self.leave_out_cells
        _need(_is_list(cells), "leave_out_cells", cells, "a list of zone/category, as [hadal/cephalopod]")
        refuse_unknown(cells, CELL_NAMES, "recipe: leave_out_cells", "cell")
        if set(cells) == set(CELL_NAMES):
            raise InputError("recipe: leave_out_cells: all 30 cells are left out and none is left to train on; name fewer")
        object.__setattr__(self, "leave_out_cells", tuple(name for name in CELL_NAMES if name in cells))

    def _check_choices(self) -> None:
        """What is left out by name, how many of a kind are kept, and how large files are."""
        words = self.exclude_labels
        fits = isinstance(words, str) or (_is_list(words) and all(isinstance(word, str) and word.strip() for word in words))
        _need(fits, "exclude_labels", words, "a list of words, or a file with one a line")
        named = _is_list(self.licences) and all(isinstance(name, str) for name in self.licences)
        _need(named, "licences", self.licences, "a list of licences, as [CC0-1.0]")
        _need(self.curation is None or isinstance(self.curation, str), "curation", self.curation, "a file of `pixelreef curate`")
        _need(self.recolours is None or _is_int(self.recolours, 1), "recolours", self.recolours, "a whole number, or nothing")
        _need(_is_int(self.shard_rows, 1), "shard_rows", self.shard_rows, "a whole number from 1")
        weights = {f"{number}": source["weight"] for number, source in enumerate(self.sources) if "weight" in source}
        if weights and len(weights) < len(self.sources):
            without = next(number for number in range(len(self.sources)) if str(number) not in weights)
            raise InputError(f"recipe: sources.{without}: key 'weight' is missing; all sources have one, or none has")
        _check_weights("sources", weights)
        object.__setattr__(self, "licences", tuple(self.licences))
        object.__setattr__(self, "exclude_labels", words if isinstance(words, str) else tuple(words))

    @classmethod
    def from_yaml(cls, path: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> "PrepareRecipe":
        """Reads the file, then sets each 'key=value' (value in YAML; 'sources.0.count=600' reaches inside)."""
        data = read_yaml(path)
        try:
            for override in overrides:
                _set(data, override)
            return cls.from_dict(data)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "PrepareRecipe":
        """From plain data, as YAML or JSON gives it; keys are checked here, values by the class."""
        refuse_unknown(data, [key.name for key in fields(cls)], "recipe")
        missing = [key for key in ("name", "sources", "sizes") if key not in data]
        if missing:
            raise InputError(f"recipe: key {missing[0]!r} is missing; add it")
        return cls(**data)

    def to_json(self) -> dict:
        """Plain data; `from_dict` takes it back. Keys of LATER that say nothing are absent: such a corpus keeps its hash."""
        said = {key: value for key, value in asdict(self).items() if key not in LATER or value != getattr(PrepareRecipe, key)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in said.items()}


def _check_source(where: str, source: Any) -> None:
    _need(isinstance(source, dict) and "kind" in source, where, source, "an entry with a kind, as {kind: procedural, count: 600}")
    kind = source["kind"]
    refuse_unknown([kind], SOURCE_KEYS, f"{where}.kind")
    types = {"kind": str, "weight": int | float, **SOURCE_KEYS[kind]}
    refuse_unknown(source, types, where)
    for key, value in source.items():
        wanted = types[key]
        fits = isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))
        _need(fits, f"{where}.{key}", value, _WANTED.get(wanted, "a number above 0"))
        _need(key != "count" or value >= 1, f"{where}.{key}", value, "at least 1")
    _check_place(where, kind, source)


def _check_place(where: str, kind: str, source: dict) -> None:
    """A source has what it reads: a count, or one place; an address comes with its checksum."""
    offered = [key for key in ("count", "path", "dataset", "url") if key in SOURCE_KEYS[kind]]
    given = [key for key in offered if key in source]
    if not given:
        raise InputError(f"recipe: {where}: key {offered[0]!r} is missing; {kind} takes {', '.join(SOURCE_KEYS[kind])}")
    if len(given) > 1:
        raise InputError(f"recipe: {where}: {' and '.join(given)} each say where its files are; leave one")
    checksum = source.get("sha256")
    if ("url" in source) != (checksum is not None) or not re.fullmatch("[0-9a-f]{64}", checksum or "0" * 64):
        raise InputError(f"recipe: {where}.sha256: {checksum!r} does not fit; a url, and nothing else, has the file's SHA-256")


def _check_weights(where: str, weights: dict[str, Any]) -> None:
    for key, weight in weights.items():
        fits = isinstance(weight, int | float) and not isinstance(weight, bool) and 0 < weight < math.inf
        _need(fits, f"{where}.{key}", weight, "a weight above 0")


def _need(fits: Any, key: str, value: Any, wanted: str) -> None:
    if not fits:
        raise InputError(f"recipe: {key}: {value!r} does not fit; it takes {wanted}")


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _is_int(value: Any, low: int | None = None, high: int | None = None) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and (low is None or value >= low) and (high is None or value <= high)


def _set(data: dict, override: str) -> None:
    """'a.0.b=value' into nested dicts and lists, in place."""
    import yaml

    path, equals, text = override.partition("=")
    *parents, last = path.split(".")
    try:
        if not equals or not last:
            raise KeyError
        place: Any = data
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place[part]
        place[int(last) if isinstance(place, list) else last] = yaml.safe_load(text)
    except (KeyError, IndexError, ValueError, TypeError, yaml.YAMLError) as error:
        raise InputError(f"--set {override}: no such place; write key=value, as limit=100 or sources.0.count=600") from error
