"""Votes: on the disk when they are given, once each, taken back one by one, kept apart by kind, and carried as lines."""

import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.errors import InputError
from eval.ratings import ANSWERS, Pair, Ratings, Vote, by_rater, in_words, new_uid, self_agreement

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ratings(tmp_path):
    found = Ratings(tmp_path / "ratings.sqlite")
    yield found
    found.close()


def pair(request: str = "r0", left: str = "a", right: str = "b", repeats: str | None = None) -> Pair:
    return Pair(new_uid(), request, left, f"hash of {left}", right, f"hash of {right}", repeats)


def voted(ratings: Ratings, rater: str, answer: str, seconds: float = 1.5, **of) -> Pair:
    shown = pair(**of)
    ratings.show(rater, shown)
    ratings.vote(rater, shown.uid, answer, seconds)
    return shown


def test_a_vote_says_who_what_when_and_how_fast(ratings):
    ratings.enter("Ada", "person")
    shown = voted(ratings, "Ada", "right", 2.25)
    (vote,) = ratings.votes("person")
    assert replace(vote, at="") == Vote(**vars(shown), rater="Ada", kind="person", answer="right", seconds=2.25, at="")
    assert vote.chosen == "b" and vote.at.endswith("+00:00")


def test_another_program_s_file_and_a_link_to_one_stay_as_they_are(tmp_path):
    other = tmp_path / "other.sqlite"
    base = sqlite3.connect(other)
    base.execute("CREATE TABLE x (a)")
    base.close()
    before = other.read_bytes()
    with pytest.raises(InputError, match="no file of votes"):
        Ratings(other)
    (tmp_path / "ratings.sqlite").symlink_to(tmp_path / "new.sqlite")
    with pytest.raises(InputError, match="is a link"):
        Ratings(tmp_path / "ratings.sqlite")
    assert other.read_bytes() == before and not (tmp_path / "new.sqlite").exists()


def test_every_vote_outlives_a_kill(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from eval.ratings import Pair, Ratings\n"
        "ratings = Ratings(Path(sys.argv[1])); ratings.enter('Ada', 'person')\n"
        "for number in range(5):\n"
        "    ratings.show('Ada', Pair(f'u{number}', f'r{number}', 'a', 'x', 'b', 'y'))\n"
        "    if number < 4: ratings.vote('Ada', f'u{number}', 'left', 1.0)\n"
        "os.kill(os.getpid(), 9)"
    )
    file = tmp_path / "ratings.sqlite"
    assert subprocess.run([sys.executable, "-c", code, str(file)], cwd=ROOT).returncode == -9
    ratings = Ratings(file)
    assert [vote.uid for vote in ratings.votes("person")] == ["u0", "u1", "u2", "u3"]
    assert ratings.shown("Ada").uid == "u4"  # the pair that was before her
    ratings.close()


def test_it_is_a_file_of_sqlite_with_a_log_ahead_and_full_sync(ratings):
    assert ratings._base.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert ratings._base.execute("PRAGMA synchronous").fetchone()[0] == 2


@given(st.lists(st.sampled_from([*ANSWERS, "undo"]), max_size=12))
@settings(max_examples=25, deadline=None)
def test_undo_takes_votes_back_one_by_one(tmp_path_factory, steps):
    ratings = Ratings(tmp_path_factory.mktemp("ratings") / "ratings.sqlite")
    ratings.enter("Ada", "person")
    ratings.enter("Bea", "person")
    others = voted(ratings, "Bea", "left").uid
    given_ = []
    for step in steps:
        if step == "undo":
            assert ratings.undo("Ada") == bool(given_)
            if given_:
                assert ratings.shown("Ada").uid == given_.pop()[0]
        else:
            given_.append((voted(ratings, "Ada", step).uid, step))
        assert [(vote.uid, vote.answer) for vote in by_rater(ratings.votes("person"), "Ada")] == given_
    assert [vote.uid for vote in by_rater(ratings.votes("person"), "Bea")] == [others]
    ratings.close()


def test_a_vote_counts_once_as_it_was_said_first(ratings):
    ratings.enter("Ada", "person")
    shown = voted(ratings, "Ada", "left")
    ratings.vote("Ada", shown.uid, "right", 1.0)  # a client that asks again
    assert [vote.answer for vote in ratings.votes("person")] == ["left"]
    for rater, uid in (("Ada", "no such pair"), ("Bea", shown.uid)):
        with pytest.raises(InputError, match="no longer shown"):
            ratings.vote(rater, uid, "left", 1.0)


def test_a_rater_has_one_pair_before_her(ratings):
    ratings.enter("Ada", "person")
    first, second = pair(), pair("r1")
    ratings.show("Ada", first)
    ratings.show("Ada", second)
    assert ratings.shown("Ada") == second
    with pytest.raises(InputError, match="no longer shown"):
        ratings.vote("Ada", first.uid, "left", 1.0)
    assert ratings.votes("person") == []


def test_people_and_models_are_kept_apart(ratings):
    ratings.enter("Ada", "person")
    ratings.enter("judge", "model")
    person, model = voted(ratings, "Ada", "left"), voted(ratings, "judge", "right")
    assert [vote.uid for vote in ratings.votes("person")] == [person.uid]
    assert [vote.uid for vote in ratings.votes("model")] == [model.uid]
    with pytest.raises(InputError, match="'judge': is a model here"):
        ratings.enter("judge", "person")
    assert ratings.raters() == [("Ada", "person"), ("judge", "model")]


@pytest.mark.parametrize(
    ("name", "kind"), [("", "person"), (" Ada", "person"), ("a\nb", "model"), ("x" * 101, "person"), ("Ada", "cat")]
)
def test_names_and_kinds_that_are_none_are_refused(ratings, name, kind):
    with pytest.raises(InputError, match="takes a name"):
        ratings.enter(name, kind)
    assert ratings.raters() == []


def test_votes_travel_as_lines(ratings, tmp_path):
    ratings.enter("Äda ☃", "person")
    ratings.enter("judge", "model")
    first = voted(ratings, "Äda ☃", "left")
    voted(ratings, "Äda ☃", "right", left="b", right="a", repeats=first.uid)
    voted(ratings, "judge", "both_bad")
    ratings.show("judge", pair())  # is no vote
    assert ratings.export(tmp_path / "votes.jsonl") == 3
    other = Ratings(tmp_path / "other.sqlite")
    assert other.take_in(tmp_path / "votes.jsonl", lambda vote: True) == {"added": 3}
    assert [other.votes(kind) for kind in ("person", "model")] == [ratings.votes(kind) for kind in ("person", "model")]
    assert other.take_in(tmp_path / "votes.jsonl", lambda vote: True) == {"known": 3}
    other.close()


def test_what_is_no_vote_is_counted_and_another_runs_are_left_out(ratings, tmp_path):
    ratings.enter("Ada", "person")
    voted(ratings, "Ada", "left")
    ratings.export(tmp_path / "votes.jsonl")
    (row,) = (json.loads(line) for line in (tmp_path / "votes.jsonl").read_text().splitlines())
    wrong = [{**row, "answer": "maybe"}, {**row, "kind": "cat"}, {**row, "uid": 7}, {**row, "rater": ""}, [], {"uid": "x"}]
    lines = ["{", "", *map(json.dumps, [*wrong, {**row, "uid": "n1"}, {**row, "uid": "n2", "request_id": "r9"}])]
    (tmp_path / "mixed.jsonl").write_text("\n".join(lines) + "\n")
    told = ratings.take_in(tmp_path / "mixed.jsonl", lambda vote: vote.request_id == "r0")
    assert told == {"no vote": len(wrong) + 1, "added": 1, "of other drawings": 1}


def test_a_rater_of_two_kinds_stops_an_import_before_it_begins(ratings, tmp_path):
    ratings.enter("Ada", "person")
    voted(ratings, "Ada", "left")
    ratings.export(tmp_path / "votes.jsonl")
    row = json.loads((tmp_path / "votes.jsonl").read_text())
    (tmp_path / "mixed.jsonl").write_text(
        json.dumps({**row, "uid": "n1"}) + "\n" + json.dumps({**row, "uid": "n2", "kind": "model"})
    )
    with pytest.raises(InputError, match="'Ada': is a person here"):
        ratings.take_in(tmp_path / "mixed.jsonl", lambda vote: True)
    assert len(ratings.votes("person")) == 1
    with pytest.raises(InputError, match="cannot be read"):
        ratings.take_in(tmp_path / "nowhere.jsonl", lambda vote: True)


def test_files_that_are_no_votes_are_refused_in_one_line(tmp_path):
    (tmp_path / "text").write_text("not a database, " * 100)
    (tmp_path / "folder").mkdir()
    with sqlite3.connect(tmp_path / "newer") as base:
        base.execute("PRAGMA user_version = 99")
    base.close()
    for name, words in (("text", "not a database"), ("folder", "unable to open"), ("newer", "newer version")):
        with pytest.raises(InputError, match=words) as caught:
            Ratings(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_processes_that_vote_at_once_lose_nothing(tmp_path):
    file = tmp_path / "ratings.sqlite"
    code = (
        "import sys; from pathlib import Path; from eval.ratings import Pair, Ratings, new_uid\n"
        "ratings = Ratings(Path(sys.argv[1])); ratings.enter(sys.argv[2], 'model')\n"
        "for number in range(30):\n"
        "    uid = new_uid(); ratings.show(sys.argv[2], Pair(uid, f'r{number}', 'a', 'x', 'b', 'y'))\n"
        "    ratings.vote(sys.argv[2], uid, 'left', 1.0)"
    )
    raters = [subprocess.Popen([sys.executable, "-c", code, str(file), name], cwd=ROOT) for name in "abc"]
    assert [rater.wait(60) for rater in raters] == [0, 0, 0]
    ratings = Ratings(file)
    assert len(ratings.votes("model")) == 90
    ratings.close()


def test_self_agreement_goes_by_the_maker_not_by_the_side(ratings):
    ratings.enter("Ada", "person")
    first = voted(ratings, "Ada", "left")
    voted(ratings, "Ada", "right", left="b", right="a", repeats=first.uid)  # a again, now on the right
    voted(ratings, "Ada", "left", left="b", right="a", repeats=first.uid)
    second = voted(ratings, "Ada", "equal")
    voted(ratings, "Ada", "equal", repeats=second.uid)
    voted(ratings, "Ada", "skip", repeats=second.uid)
    votes = ratings.votes("person")
    assert self_agreement(votes) == (2, 3)
    said = in_words(votes, "person")
    assert said == "6 votes of 1 person; 2 of 3 repeated pairs answered alike; the left one chosen in 2 of 3"


def test_nothing_but_sqlites_own_files_lies_beside_it(ratings, tmp_path):
    ratings.enter("Ada", "person")
    voted(ratings, "Ada", "left")
    ratings.close()
    assert os.listdir(tmp_path) == ["ratings.sqlite"]
