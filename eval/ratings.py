"""Votes on pairs of drawings, in one SQLite file of a run folder, and as lines of JSON.

`runs/<name>/ratings.sqlite` (WAL, full sync): a vote is on the disk when `vote` returns. A pair that is shown is there too, so
that a server that was killed shows it again. A rater is a person or a model, by her name for good; votes are read one kind at
a time, so that no table mixes them.
"""

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from uuid import uuid4

from data_prep.bounded import refuse_link
from data_prep.errors import InputError
from eval.run_folder import is_word, lines, number, write_atomically

KINDS = ("person", "model")
LEFT, RIGHT, EQUAL, BOTH_BAD, SKIP = ANSWERS = ("left", "right", "equal", "both_bad", "skip")
FILE = "ratings.sqlite"
_VERSION = 1
_BUSY_SECONDS = 10.0
_SCHEMA = f"""
CREATE TABLE raters (name TEXT PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN {KINDS}));
CREATE TABLE pairs (
    number INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, rater TEXT NOT NULL REFERENCES raters (name), request_id TEXT NOT NULL,
    left_maker TEXT NOT NULL, left_drawing TEXT NOT NULL, right_maker TEXT NOT NULL, right_drawing TEXT NOT NULL, repeats TEXT,
    answer TEXT CHECK (answer IN {ANSWERS}), seconds REAL, at TEXT
);
CREATE UNIQUE INDEX one_is_shown ON pairs (rater) WHERE answer IS NULL;
PRAGMA user_version = {_VERSION};
"""


@dataclass(frozen=True)
class Pair:
    """Two drawings of one prompt, and which is on the left. *_drawing: SHA-256 of its text.

    repeats: uid of the vote that is asked for again.
    """

    uid: str
    request_id: str
    left_maker: str
    left_drawing: str
    right_maker: str
    right_drawing: str
    repeats: str | None = None

    @property
    def makers(self) -> frozenset[str]:
        return frozenset((self.left_maker, self.right_maker))


@dataclass(frozen=True)
class Vote(Pair):
    """What a rater said of a pair. answer: one of ANSWERS; seconds: from seeing it to saying so; at: when, in UTC."""

    rater: str = ""
    kind: str = ""
    answer: str = ""
    seconds: float | None = None
    at: str = ""

    @property
    def chosen(self) -> str:
        """The better one's maker; 'equal', 'both_bad' or 'skip' as they are."""
        return {LEFT: self.left_maker, RIGHT: self.right_maker}.get(self.answer, self.answer)


_PAIR = tuple(field.name for field in fields(Pair))
_SAID = ("answer", "seconds", "at")
_OWN = [("index", "one_is_shown"), ("table", "pairs"), ("table", "raters")]


def digest(text: str) -> str:
    """The id of a drawing: the SHA-256 of its text."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def new_uid() -> str:
    return uuid4().hex


class Ratings:
    """The votes of one file. Safe among threads and processes. Raises InputError for a file that is none of these."""

    def __init__(self, path: Path):
        self.path, self._lock = path, RLock()
        refuse_link(path)
        with self._named():
            self._check_before()
            self._base = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            self._base.row_factory = sqlite3.Row
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = FULL")
            self._base.execute("PRAGMA foreign_keys = ON")
            self._base.execute("PRAGMA trusted_schema = OFF")
        with self._writing():
            if not self._version(self._base):
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._base.execute(statement)
            self._check_own(self._base)

    def _check_before(self) -> None:
        """Raises InputError for a file that is not ours, before anything is written to it: WAL alone would change it for good."""
        if not self.path.is_file() or not self.path.stat().st_size:
            return
        with closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", timeout=_BUSY_SECONDS, uri=True)) as base:
            base.execute("PRAGMA trusted_schema = OFF")
            if self._version(base) or base.execute("SELECT 1 FROM sqlite_master").fetchone():
                self._check_own(base)

    def _version(self, base: sqlite3.Connection) -> int:
        version = base.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _VERSION):
            raise InputError(f"{self.path}: votes of a newer version ({version}); install that version, or export them there")
        return version

    def _check_own(self, base: sqlite3.Connection) -> None:
        """Raises InputError for tables that are not ours, and for views and triggers: their statements would run with ours."""
        there = base.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
        odd = " OR ".join(f"typeof({name}) NOT IN ('text', 'null')" for name in (*_PAIR, "rater", "answer", "at"))
        if sorted(map(tuple, there)) != _OWN or base.execute(f"SELECT 1 FROM pairs WHERE {odd} LIMIT 1").fetchone():
            raise InputError(f"{self.path}: no file of votes that was written here; move it away")

    def close(self) -> None:
        with self._lock:
            self._base.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except (sqlite3.Error, UnicodeDecodeError, IndexError) as error:  # the latter two of a damaged file
            raise InputError(f"{self.path}: {error}; is it a file of votes, and can it be written?") from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction, on the disk at its end or not at all."""
        with self._named():
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")

    def enter(self, rater: str, kind: str) -> None:
        """Makes a rater known. Raises InputError for one that is of the other kind."""
        if not _is_name(rater) or kind not in KINDS:
            raise InputError(f"rater {rater!r}, {kind}: takes a name of 1 to 100 characters, and {' or '.join(KINDS)}")
        with self._writing():
            self._enter(rater, kind)

    def _enter(self, rater: str, kind: str) -> None:
        self._base.execute("INSERT OR IGNORE INTO raters VALUES (?, ?)", (rater, kind))
        known = self._base.execute("SELECT kind FROM raters WHERE name = ?", (rater,)).fetchone()["kind"]
        if known != kind:
            raise InputError(
                f"rater {rater!r}: is a {known} here, and votes of people and models are kept apart; take another name"
            )

    def raters(self) -> list[tuple[str, str]]:
        """(name, kind) of each."""
        with self._named():
            return [(row["name"], row["kind"]) for row in self._base.execute("SELECT name, kind FROM raters ORDER BY name")]

    def votes(self, kind: str) -> list[Vote]:
        """Of all raters of one kind, in the order of showing."""
        query = "SELECT pairs.*, kind FROM pairs JOIN raters ON rater = name WHERE kind = ? AND answer NOT NULL ORDER BY number"
        with self._named():
            return [_vote(row) for row in self._base.execute(query, (kind,))]

    def shown(self, rater: str) -> Pair | None:
        """The pair that the rater has before her."""
        with self._named():
            row = self._base.execute("SELECT * FROM pairs WHERE rater = ? AND answer IS NULL", (rater,)).fetchone()
        return None if row is None else Pair(*(row[name] for name in _PAIR))

    def show(self, rater: str, pair: Pair) -> None:
        """Puts a pair before a rater, in the place of the one that she has."""
        with self._writing():
            self._hide(rater)
            self._insert(pair, rater, None, None, None)

    def _hide(self, rater: str) -> None:
        self._base.execute("DELETE FROM pairs WHERE rater = ? AND answer IS NULL", (rater,))

    def _insert(self, pair: Pair, rater: str, *said) -> bool:
        columns = ", ".join((*_PAIR, "rater", *_SAID))
        places = ", ".join("?" * (len(_PAIR) + 4))
        values = (*(getattr(pair, name) for name in _PAIR), rater, *said)
        return self._base.execute(f"INSERT OR IGNORE INTO pairs ({columns}) VALUES ({places})", values).rowcount > 0

    def vote(self, rater: str, uid: str, answer: str, seconds: float | None) -> None:
        """Answers the pair that is shown. Said twice, as by an impatient client, it counts once, as it was said first.

        Raises InputError where the pair is not before that rater.
        """
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._writing():
            said = "UPDATE pairs SET answer = ?, seconds = ?, at = ? WHERE uid = ? AND rater = ? AND answer IS NULL"
            if self._base.execute(said, (answer, seconds, at, uid, rater)).rowcount:
                return
            if not self._base.execute("SELECT 1 FROM pairs WHERE uid = ? AND rater = ?", (uid, rater)).fetchone():
                raise InputError("that pair is no longer shown; load the page again")

    def undo(self, rater: str) -> bool:
        """Takes the rater's last vote back: its pair is before her again. False where there is none."""
        last = "SELECT max(number) FROM pairs WHERE rater = ? AND answer NOT NULL"
        with self._writing():
            number = self._base.execute(last, (rater,)).fetchone()[0]
            if number is None:
                return False
            self._hide(rater)
            self._base.execute("UPDATE pairs SET answer = NULL, seconds = NULL, at = NULL WHERE number = ?", (number,))
            return True

    def export(self, path: Path) -> int:
        """Writes all votes as lines of JSON, people's first; returns how many. Raises InputError."""
        votes = [vote for kind in KINDS for vote in self.votes(kind)]
        try:
            write_atomically(path, "".join(json.dumps(asdict(vote), ensure_ascii=False) + "\n" for vote in votes))
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from error
        return len(votes)

    def take_in(self, path: Path, is_ours: Callable[[Vote], bool]) -> Counter:
        """Adds the votes of an exported file, all or none; returns how many were 'added', 'known', or why not.

        is_ours: whether a vote's two drawings are this run's. Raises InputError for a rater of two kinds.
        """
        told = Counter()
        with self._writing():
            for line in lines(path):
                vote = _read(line)
                if vote is None:
                    told["no vote"] += 1
                elif not is_ours(vote):
                    told["of other drawings"] += 1
                else:
                    self._enter(vote.rater, vote.kind)
                    said = (vote.answer, vote.seconds, vote.at)
                    told["added" if self._insert(vote, vote.rater, *said) else "known"] += 1
        return told


def _vote(row: sqlite3.Row) -> Vote:
    return Vote(*(row[field.name] for field in fields(Vote)))


def _read(line: bytes) -> Vote | None:
    """Total: the vote of an exported line, or None."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    words = ("uid", "request_id", "left_maker", "left_drawing", "right_maker", "right_drawing", "rater", "at")
    if not isinstance(row, dict) or not all(is_word(row.get(name)) and _can_be_kept(row[name]) for name in words):
        return None
    repeats, seconds = row.get("repeats"), row.get("seconds")
    fits = row.get("kind") in KINDS and row.get("answer") in ANSWERS and _is_name(row["rater"])
    if not fits or not (repeats is None or (is_word(repeats) and _can_be_kept(repeats))):
        return None
    own = {name: row[name] for name in (*words, "kind", "answer")}
    return Vote(**own, repeats=repeats, seconds=number(seconds))


def _is_name(rater: str) -> bool:
    return is_word(rater) and rater.isprintable() and rater == rater.strip()


def _can_be_kept(word: str) -> bool:
    """Lone surrogates cannot be written as UTF-8, and what lies behind a NUL is lost in SQLite."""
    return "\0" not in word and not any("\ud800" <= letter <= "\udfff" for letter in word)


def self_agreement(votes: Sequence[Vote]) -> tuple[int, int]:
    """(answered as before, repeated): of the votes on pairs that their rater had judged before, sides shuffled anew."""
    by_uid = {vote.uid: vote for vote in votes}
    again = [(vote, by_uid[vote.repeats]) for vote in votes if vote.repeats in by_uid and vote.answer != SKIP]
    return sum(vote.chosen == first.chosen for vote, first in again), len(again)


def in_words(votes: Sequence[Vote], kind: str) -> str:
    """One line on the votes of one kind: how many, by whom, how steady, and whether one side is favoured."""
    raters, sides = {vote.rater for vote in votes}, Counter(vote.answer for vote in votes)
    alike, repeated = self_agreement(votes)
    decided = sides[LEFT] + sides[RIGHT]
    who = {"person": ("person", "people"), "model": ("model", "models")}[kind][len(raters) != 1]
    steady = f"; {alike} of {repeated} repeated pairs answered alike" if repeated else ""
    left = f"; the left one chosen in {sides[LEFT]} of {decided}" if decided else ""
    return f"{len(votes)} votes of {len(raters)} {who}{steady}{left}"


def by_rater(votes: Iterable[Vote], rater: str) -> list[Vote]:
    return [vote for vote in votes if vote.rater == rater]
