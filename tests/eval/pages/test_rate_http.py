"""The rating page over HTTP: blind pairs, votes that stay, and what is refused."""

import json

import pytest
import small_run
from conftest import TOKEN, asking

from data_prep.errors import InputError
from eval.cli import main
from eval.controls import HELD_OUT
from eval.pages.contest import read_contest
from eval.pages.rate import rate_page
from eval.pages.server import create_app
from eval.ratings import FILE, Ratings

ADA = {"rater": "Ada", "kind": "person"}


@pytest.fixture
def stranger(contest):
    with asking(create_app([rate_page(contest)], TOKEN)) as client:
        yield client


@pytest.fixture
def client(stranger):
    assert stranger.get(f"/rate?token={TOKEN}").status_code == 303
    return stranger


def shown(client, **rater) -> dict:
    answer = client.post("/rate/pair", json=ADA | rater)
    assert answer.status_code == 200, answer.text
    return answer.json()


def vote(client, pair: dict, said: str, **changes):
    return client.post("/rate/vote", json={**ADA, "uid": pair["uid"], "answer": said, "seconds": 1.5, **changes})


def test_two_drawings_of_the_same_prompt_and_nothing_of_their_makers(client, contest):
    told = client.post("/rate/pair", json=ADA)
    pair, kept = told.json()["pair"], contest.ratings.shown("Ada")
    assert pair["caption"] == contest.captions[kept.request_id] and set(pair) == {"uid", "caption", "left", "right"}
    for side, maker in (("left", kept.left_maker), ("right", kept.right_maker)):
        sprite = contest.drawings[kept.request_id][maker].sprite
        assert pair[side] == {"colours": list(sprite.palette.colours), "pixels": sprite.grid.tolist()}
    everything = told.text + client.get("/rate").text + client.get("/rate/run").text + client.get("/static/rate.js").text
    assert not [name for name in (*small_run.MODELS[1:], HELD_OUT, kept.request_id, kept.left_drawing) if name in everything]


def test_models_and_held_out_sprites_take_part_and_what_is_invalid_does_not(contest):
    makers = {maker for of in contest.drawings.values() for maker in of}
    assert makers == {*small_run.MODELS, HELD_OUT}
    assert len(contest.drawings) == 8


def test_makers_can_be_named(run):
    ratings = Ratings(run / FILE)
    contest = read_contest(run, ratings, ["noise", "good"])
    assert {maker for of in contest.drawings.values() for maker in of} == {"noise", "good"}
    with pytest.raises(
        InputError, match=r"--makers 'best': not in .*; there are blank, fair, good, held-out sprites, noise, poor, poor"
    ):
        read_contest(run, ratings, ["good", "best"])
    with pytest.raises(InputError, match="no prompt that two makers drew differently"):
        read_contest(run, ratings, ["good", "poor (unconstrained)"])
    ratings.close()


def test_a_vote_is_kept_before_the_next_pair_is_told(client, contest):
    first = shown(client)["pair"]
    kept = contest.ratings.shown("Ada")
    told = vote(client, first, "left").json()
    (mine,) = contest.ratings.votes("person")
    assert (mine.uid, mine.chosen, mine.seconds, told["votes"]) == (first["uid"], kept.left_maker, 1.5, 1)
    assert told["pair"]["uid"] != first["uid"]
    assert shown(client) == told  # as after a reload
    again = vote(client, first, "right").json()  # a client that asks twice
    assert again == told and contest.ratings.votes("person") == [mine]


def test_undo_brings_the_pair_back_as_it_was(client, contest):
    first = shown(client)
    vote(client, first["pair"], "equal")
    assert client.post("/rate/undo", json=ADA).json() == first
    assert contest.ratings.votes("person") == []
    answer = client.post("/rate/undo", json=ADA)
    assert (answer.status_code, answer.text) == (400, "there is no vote to take back")


def test_raters_do_not_meet(client, contest):
    mine, hers = shown(client)["pair"], shown(client, rater="Bea")["pair"]
    assert mine["uid"] != hers["uid"]
    assert vote(client, hers, "left").status_code == 400  # another's pair
    assert vote(client, hers, "left", rater="Bea").json()["votes"] == 1
    answer = client.post("/rate/pair", json={"rater": "Ada", "kind": "model"})
    assert answer.status_code == 400 and "votes of people and models are kept apart" in answer.text
    assert {rater["name"] for rater in client.get("/rate/run").json()["raters"]} == {"Ada", "Bea"}


def test_it_ends_when_all_is_judged(client, contest):
    told = shown(client)
    for _ in range(200):
        if told["pair"] is None:
            break
        told = vote(client, told["pair"], "skip").json()
    assert told == {"votes": 8 * 6, "pair": None}


def test_votes_of_drawings_that_are_no_more_do_not_count(run, contest):
    contest.before("Ada", "person")
    pair = contest.ratings.shown("Ada")
    contest.vote("Ada", "person", pair.uid, "left", 1.0)
    assert len(contest.votes("person")) == 1
    file = run / "completions.jsonl"
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    blank = rows[0]["text"].replace("º", "0")
    file.write_text("".join(json.dumps({**row, "text": blank}) + "\n" for row in rows), "utf-8")
    text = (run / "references.jsonl").read_text("utf-8")
    (run / "references.jsonl").write_text(text.replace("º", "1"), "utf-8")
    again = read_contest(run, contest.ratings)
    assert again.votes("person") == [] and len(contest.ratings.votes("person")) == 1


@pytest.mark.parametrize("changes", [
    {"answer": "neither"}, {"seconds": -1}, {"seconds": 1e9}, {"rater": ""}, {"rater": "x" * 101}, {"kind": "cat"}, {"uid": 7},
    {"rater": "a\nb"}, {"uid": "unknown"}, {"more": 1},
])  # fmt: skip
def test_what_is_no_vote_is_refused_in_one_line(client, contest, changes):
    answer = vote(client, shown(client)["pair"], "left", **changes)
    assert answer.status_code == 400 and "\n" not in answer.text and contest.ratings.votes("person") == []


def test_without_the_key_or_from_another_site_nothing_is_told_or_kept(stranger, contest):
    assert stranger.post("/rate/pair", json=ADA).status_code == 403
    stranger.get(f"/rate?token={TOKEN}")
    assert stranger.post("/rate/pair", json=ADA, headers={"origin": "http://evil.example"}).status_code == 403
    assert stranger.post("/rate/pair", json=ADA, headers={"host": "evil.example"}).status_code == 421
    assert contest.ratings.raters() == []


def test_votes_are_exported_and_imported_by_the_command(run, contest, tmp_path, capsys):
    for rater, kind in (("Ada", "person"), ("judge", "model")):
        for _ in range(30):
            told = contest.before(rater, kind)
            contest.vote(rater, kind, told["pair"]["uid"], "left", 1.0)
    file = tmp_path / "votes.jsonl"
    assert main(["rate", str(run), "--export", str(file)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert (
        said[0] == f"{file}: 60 votes"
        and said[1].startswith("30 votes of 1 person")
        and said[2].startswith("30 votes of 1 model")
    )
    other = small_run.folder(tmp_path / "other")
    assert main(["rate", str(other), "--import", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: 60 added\n"
    votes = Ratings(other / FILE)
    assert votes.votes("person") == contest.ratings.votes("person")
    votes.close()
    assert main(["rate", str(small_run.folder(tmp_path / "less", 2)), "--import", str(file)]) == 0
    assert "of other drawings" in capsys.readouterr().out


def test_folders_that_are_no_runs_are_refused_and_left_alone(tmp_path, capsys):
    assert main(["rate", str(tmp_path), "--port", "0"]) == 2
    assert "no completions.jsonl" in capsys.readouterr().err and list(tmp_path.iterdir()) == []
    run = small_run.folder(tmp_path / "run")
    assert main(["rate", str(run), "--export", "a", "--import", "b"]) == 2
