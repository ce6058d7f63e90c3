"""What the rating page works with: the drawings of a run, and who is shown which two of them. Makers stay in here.

Reads a run folder's palette.json, references.jsonl and completions.jsonl; votes go through `eval.ratings`.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom

from data_prep.errors import InputError
from data_prep.sprite import Sprite
from eval.controls import HELD_OUT
from eval.metrics.validity import parse
from eval.pairing import choose
from eval.ratings import Pair, Ratings, Vote, by_rater, digest
from eval.run_folder import check_drawing, check_reference, read_palette, read_rows

DRAWN = ("grammar", "control")  # modes in which a maker goes by its name alone


@dataclass(frozen=True)
class Drawing:
    """hash: SHA-256 of its text."""

    hash: str
    sprite: Sprite


@dataclass(frozen=True)
class Contest:
    """The drawings of a run by request and maker, and the votes on them."""

    name: str
    captions: Mapping[str, str]
    drawings: Mapping[str, Mapping[str, Drawing]]
    ratings: Ratings
    rng: Random = field(default_factory=SystemRandom)

    def known(self, pair: Pair) -> bool:
        """Whether both drawings are still those of this run."""
        of = self.drawings.get(pair.request_id, {})
        sides = ((pair.left_maker, pair.left_drawing), (pair.right_maker, pair.right_drawing))
        return all(maker in of and of[maker].hash == hash for maker, hash in sides)

    def votes(self, kind: str) -> list[Vote]:
        return [vote for vote in self.ratings.votes(kind) if self.known(vote)]

    def before(self, rater: str, kind: str) -> dict:
        """What the page shows to a rater: the pair that she has before her, or a new one. Raises InputError."""
        self.ratings.enter(rater, kind)
        pair, votes = self.ratings.shown(rater), self.votes(kind)
        if pair is None or not self.known(pair):
            hashes = {request: {maker: one.hash for maker, one in of.items()} for request, of in self.drawings.items()}
            pair = choose(hashes, votes, rater, self.rng)
            if pair is not None:
                self.ratings.show(rater, pair)
        mine = by_rater(votes, rater)
        return {"votes": len(mine), "pair": None if pair is None else self._blind(pair)}

    def vote(self, rater: str, kind: str, uid: str, answer: str, seconds: float) -> dict:
        """Keeps the vote, then what is shown next. Raises InputError."""
        self.ratings.enter(rater, kind)
        self.ratings.vote(rater, uid, answer, seconds)
        return self.before(rater, kind)

    def undo(self, rater: str, kind: str) -> dict:
        """Takes the rater's last vote back and shows its pair. Raises InputError."""
        self.ratings.enter(rater, kind)
        if not self.ratings.undo(rater):
            raise InputError("there is no vote to take back")
        return self.before(rater, kind)

    def _blind(self, pair: Pair) -> dict:
        """Nothing in it tells who made which."""
        of = self.drawings[pair.request_id]
        sides = {"left": of[pair.left_maker].sprite, "right": of[pair.right_maker].sprite}
        drawn = {side: {"colours": sprite.palette.colours, "pixels": sprite.grid.tolist()} for side, sprite in sides.items()}
        return {"uid": pair.uid, "caption": self.captions[pair.request_id], **drawn}


def read_contest(folder: Path, ratings: Ratings, makers: Collection[str] = ()) -> Contest:
    """The drawings of a run folder that are valid. makers: by default the models under the grammar and the held-out sprites.

    Raises InputError where fewer than two makers drew one prompt.
    """
    palette = read_palette(folder)
    references = read_rows(folder / "references.jsonl", check_reference).rows
    captions = {row["request_id"]: str(row.get("caption") or "") for row in references}
    drawings: dict[str, dict[str, Drawing]] = {request: {} for request in captions}
    there = Counter()
    for maker, row in _made(folder, references):
        there[maker] += 1
        is_asked = maker in makers if makers else (row["kind"] == "model" and row["mode"] in DRAWN) or maker == HELD_OUT
        found = parse(row.get("text"), {palette.name: palette}, (row["height"], row["width"]))
        if is_asked and found.strict and found.sprite is not None and row["request_id"] in drawings:
            drawings[row["request_id"]][maker] = Drawing(digest(row["text"]), found.sprite)
    strange = sorted(set(makers) - there.keys())
    if strange:
        raise InputError(f"--makers {strange[0]!r}: not in {folder}; there are {', '.join(sorted(there))}")
    drawings = {request: of for request, of in drawings.items() if len({one.hash for one in of.values()}) > 1}
    if not drawings:
        raise InputError(
            f"{folder}: no prompt that two makers drew differently; draw with more generators, or name others with --makers"
        )
    return Contest(folder.resolve().name, captions, drawings, ratings)


def _made(folder: Path, references: list[dict]) -> Iterator[tuple[str, dict]]:
    """(maker, row) of each drawing; the held-out sprites are there in any case."""
    for row in references:
        yield HELD_OUT, {**row, "kind": "honest", "mode": "control"}
    for row in read_rows(folder / "completions.jsonl", check_drawing).rows:
        maker = row["generator"] if row["mode"] in DRAWN else f"{row['generator']} ({row['mode']})"
        if maker != HELD_OUT:
            yield maker, row
