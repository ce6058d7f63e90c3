"""Append-only .jsonl files that one process fills, or several at once: each writes a shard beside the file, the first one merges.

    accelerate launch --multi_gpu --num_processes 2 -m eval.generate RECIPE.yaml      (or torchrun --nproc_per_node 2 -m …)

A process that is killed leaves whole rows behind and at most one that is cut off: the next start goes on from there.
"""

import atexit
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from data_prep.bounded import refuse_link
from data_prep.errors import InputError
from eval.run_folder import lines

PATIENCE = timedelta(days=7)  # processes wait for the slowest one; torch's own limit is minutes


@dataclass(frozen=True)
class Processes:
    """This process among those that fill a run folder together. wait: returns when all of them are there."""

    index: int = 0
    count: int = 1
    wait: Callable[[], None] = lambda: None

    @property
    def is_first(self) -> bool:
        return self.index == 0

    def share(self, todo: list) -> list:
        """Every count-th: what all of them take is `todo`, and no two take the same."""
        return todo[self.index :: self.count]


ALONE = Processes()


def processes() -> Processes:
    """The processes that `accelerate launch` or torchrun started (WORLD_SIZE); by itself this one alone.

    Raises InputError where they do not find each other.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return ALONE
    import torch
    from accelerate import PartialState

    ours = not torch.distributed.is_initialized()
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)  # without `cpu`, one without a GPU stands alone
    if ours:
        atexit.register(state.destroy_process_group)  # else some exits abort
    if state.num_processes != count:
        raise InputError(f"WORLD_SIZE is {count}, but {state.num_processes} of the processes are there; launch them by torchrun")
    return Processes(state.process_index, count, state.wait_for_everyone)


class JsonLines:
    """An append-only .jsonl; a torn last line is cut off when it is opened. Raises InputError for a damaged one and a link.

    key: the fields that tell rows apart; order: row → its place among those that are merged at a time.
    """

    def __init__(self, path: Path, key: tuple[str, ...], order: Callable[[dict], tuple], mine: Processes):
        self.path, self.key, self.order, self.mine = path, key, order, mine
        self.own = path if mine.count == 1 else path.with_name(f"{path.name}.shard-{mine.index}")
        self.done: set[tuple] = set()
        self.gather()

    def gather(self) -> None:
        """When all processes are here, the first one merges what they have written; then each knows all rows."""
        self.mine.wait()
        if self.mine.is_first:
            self._merge()
        self.mine.wait()
        self.done = {self._key(row) for row in self.rows()}

    def _merge(self) -> None:
        """Adds the rows of all shards, those of an earlier start too, and removes them; what is there already is left out."""
        _cut_torn_line(self.path)
        shards = sorted(self.path.parent.glob(f"{self.path.name}.shard-*"))
        for shard in shards:  # of processes that were killed
            _cut_torn_line(shard)
        there = {self._key(row) for row in self.rows()} if shards else set()
        found = {self._key(row): row for shard in shards for row in _read(shard)}
        _append(self.path, sorted((row for key, row in found.items() if key not in there), key=self.order))
        for shard in shards:
            shard.unlink()

    def rows(self) -> Iterator[dict]:
        """Without those that processes have written since they were last gathered, unless this is the only one."""
        return _read(self.path)

    def append(self, rows: list[dict]) -> None:
        _append(self.own, rows)
        self.done |= {self._key(row) for row in rows}

    def lacks(self, *key: str | int) -> bool:
        return key not in self.done

    def _key(self, row: dict) -> tuple:
        try:
            return tuple(row[k] for k in self.key)
        except (KeyError, TypeError) as error:
            raise _damaged(self.path, error) from error


def _read(path: Path) -> Iterator[dict]:
    try:
        yield from map(json.loads, lines(path) if path.exists() else ())
    except ValueError as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: a line is damaged ({error!r}); remove the file, it will be drawn again")


def _cut_torn_line(path: Path) -> None:
    """Raises InputError for a link."""
    refuse_link(path)
    if path.exists():
        os.truncate(path, path.read_bytes().rfind(b"\n") + 1)


def _append(path: Path, rows: list[dict]) -> None:
    if not rows:
        return
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    with open(path, "ab") as file:
        file.write(text.encode())
