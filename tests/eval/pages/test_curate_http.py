"""The curate page over HTTP: cells and sheets of a dataset, decisions by name, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import small_corpus
from conftest import TOKEN, asking

from data_prep.captions import CATEGORIES, ZONES
from data_prep.errors import InputError
from data_prep.grid_text import read
from data_prep.prepare import prepare
from data_prep.recipe import PrepareRecipe
from eval.cli import main
from eval.pages.corpus import read_corpus
from eval.pages.curate import SHEET, curate_page, decisions_file
from eval.pages.decisions import open_decisions
from eval.pages.server import create_app


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return small_corpus.dataset(tmp_path_factory.mktemp("datasets") / "small")


@pytest.fixture
def decisions(tmp_path):
    return open_decisions(tmp_path / "small.curation.jsonl")


@pytest.fixture
def stranger(dataset, decisions):
    with asking(create_app([curate_page(read_corpus(dataset), decisions)], TOKEN)) as client:
        yield client


@pytest.fixture
def client(stranger):
    assert stranger.get(f"/curate?token={TOKEN}").status_code == 303
    return stranger


def sheet(client, numbers) -> list[dict]:
    return client.post("/curate/sheet", json={"numbers": list(numbers)}).json()["pictures"]


def decide(client, *decided):
    body = {"decisions": [{"number": number, "id": id, "decision": decision} for number, id, decision in decided]}
    return client.post("/curate/decisions", json=body)


def test_each_picture_is_in_its_cell_once(client, dataset):
    facts = client.get("/curate/corpus").json()
    rows = [row for file in (dataset / "data").glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    by_name = {row["name"]: row for row in rows}
    seen = []
    for cell in facts["cells"]:
        for picture in sheet(client, range(cell["start"], cell["start"] + cell["count"])):
            row = by_name[picture["name"]]
            assert (row["zone"], row["category"], row["id"]) == (cell["zone"], cell["category"], picture["id"])
            assert picture["pixels"] == read(row["completion"][0]["content"]).grid.tolist()
            assert picture["caption"] == row["caption_full"]
            seen.append(picture["name"])
    assert sorted(seen) == sorted(by_name) and facts["marks"] == "." * len(by_name)
    order = [(ZONES.index(cell["zone"]), CATEGORIES.index(cell["category"])) for cell in facts["cells"]]
    assert order == sorted(order) and len(set(order)) == len(order)


def test_decisions_are_kept_by_the_pictures_name(client, dataset, decisions):
    first, second = sheet(client, [3, 8])
    assert decide(client, (3, first["id"], "reject"), (8, second["id"], "accept")).json() == {"saved": 2}
    assert decisions.by_name() == {first["name"]: "reject", second["name"]: "accept"}
    marks = client.get("/curate/decisions").json()["marks"]
    assert {number: mark for number, mark in enumerate(marks) if mark != "."} == {3: "r", 8: "a"}
    decide(client, (3, first["id"], "none"))
    assert open_decisions(decisions.path).by_name() == {second["name"]: "accept"}


def test_what_was_rejected_before_and_is_gone_is_counted(client, decisions):
    decisions.record([("no longer there", "1", "reject"), ("nor this", "2", "accept")])
    with decisions.path.open("a") as file:
        file.write("torn\n")
    found = client.get("/curate/decisions").json()
    assert (found["elsewhere"], found["unusable"]) == (1, 1)


def test_of_another_sprite_nothing_is_decided(client, decisions):
    """As when the dataset was prepared anew under an open page."""
    (first,) = sheet(client, [3])
    for number in (4, -1, 10**6):
        answer = decide(client, (3, first["id"], "accept"), (number, first["id"], "reject"))
        assert answer.status_code == 400
        assert answer.text == "the dataset has changed since this page was loaded; load the page again"
    assert decisions.by_name() == {}


def test_the_next_prepare_leaves_out_what_was_rejected(tmp_path):
    recipe = PrepareRecipe("reef", ({"kind": "procedural", "seed": 1, "count": 60},), (16,))
    before = read_corpus(prepare(recipe, tmp_path / "reef"))
    decisions = open_decisions(decisions_file(tmp_path / "reef"))
    with asking(create_app([curate_page(before, decisions)], TOKEN)) as client:
        client.get(f"/curate?token={TOKEN}")
        for number, decision in ((3, "reject"), (4, "accept"), (7, "reject"), (7, "none"), (9, "reject")):
            assert decide(client, (number, before.pictures[number].id, decision)).status_code == 200
    after = read_corpus(prepare(replace(recipe, curation=str(decisions.path)), tmp_path / "reef", force=True))
    names = [{picture.name for picture in corpus.pictures} for corpus in (before, after)]
    assert names[0] - names[1] == {before.pictures[3].name, before.pictures[9].name} and names[1] < names[0]
    assert decisions.path.exists()  # `--force` replaced the folder beside it


@pytest.mark.parametrize("body", [
    {}, {"decisions": []}, {"decisions": [{"number": 0, "id": "x", "decision": "maybe"}]}, {"decisions": 7},
    {"decisions": [{"number": "0", "id": "x", "decision": "none"}]}, {"decisions": [{"number": 0, "id": "x"}] * 97},
])  # fmt: skip
def test_what_is_no_decision_is_refused_in_one_line(client, decisions, body):
    answer = client.post("/curate/decisions", json=body)
    assert answer.status_code == 400 and "\n" not in answer.text and decisions.path.read_bytes() == b""


def test_a_sheet_has_its_limits(client):
    assert client.post("/curate/sheet", json={"numbers": [0] * (SHEET + 1)}).status_code == 400
    assert client.post("/curate/sheet", json={"numbers": [10**6]}).status_code == 400
    assert client.post("/curate/sheet", json={"numbers": [-1]}).status_code == 400


def test_without_the_key_or_from_another_site_nothing_is_decided(stranger, decisions):
    body = {"decisions": [{"number": 0, "id": "x", "decision": "none"}]}
    assert stranger.post("/curate/decisions", json=body).status_code == 403
    assert stranger.get("/curate/corpus").status_code == 403
    stranger.get(f"/curate?token={TOKEN}")
    assert stranger.post("/curate/decisions", json=body, headers={"origin": "http://evil.example"}).status_code == 403
    assert stranger.post("/curate/decisions", json=body, headers={"host": "evil.example"}).status_code == 421
    assert decisions.path.read_bytes() == b""


def test_of_several_sizes_of_a_picture_the_largest_is_shown(tmp_path):
    sprites = [next(small_corpus.procedural.sprites(3, size)) for size in (16, 32, 24)]
    rows = [row | {"name": "one.png"} for row in small_corpus.rows(sprites)]
    corpus = read_corpus(small_corpus.write(tmp_path / "sizes", rows, sprites[0]))
    assert len(corpus.pictures) == 1 and (corpus.sprite(0).grid == np.array(sprites[1].grid)).all()


def test_sprites_without_labels_have_a_cell_of_their_own(tmp_path):
    sprites = [*small_corpus.islice(small_corpus.procedural.sprites(3, 16), 3)]
    rows = [row | {"zone": "", "category": ""} for row in small_corpus.rows(sprites)]
    corpus = read_corpus(small_corpus.write(tmp_path / "bare", rows, sprites[0]))
    assert [(cell.zone, cell.category, cell.count) for cell in corpus.cells] == [("none", "none", 3)]


def test_a_dataset_of_an_older_version_is_refused_with_what_to_do(tmp_path, capsys):
    sprite = next(small_corpus.procedural.sprites(3, 16))
    (row,) = small_corpus.rows([sprite])
    row.pop("name")
    folder = small_corpus.write(tmp_path / "old", [row, row], sprite)
    assert main(["curate", str(folder), "--port", "0"]) == 2
    said = capsys.readouterr().err
    assert "no column 'name'" in said and "prepare the dataset again" in said and said.count("\n") == 1
    assert not (tmp_path / "old.curation.jsonl").exists()


def test_folders_that_are_no_datasets_are_refused(tmp_path, dataset):
    with pytest.raises(InputError, match=r"no data/\*\.parquet"):
        read_corpus(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(InputError, match="cannot be read"):
        read_corpus(tmp_path)


def test_decisions_go_beside_the_dataset_and_never_into_it(dataset, tmp_path):
    assert decisions_file(dataset) == dataset.parent / "small.curation.jsonl"
    assert decisions_file(dataset / ".." / "small" / "") == dataset.parent / "small.curation.jsonl"
    assert decisions_file(dataset, tmp_path / "x.jsonl") == tmp_path / "x.jsonl"
    for inside in (dataset / "x.jsonl", dataset / "data" / ".." / "x.jsonl"):
        with pytest.raises(InputError, match="inside of the dataset"):
            decisions_file(dataset, inside)


def test_the_page_has_no_script_nor_style_of_its_own(client):
    page = client.get("/curate").text
    assert "<style" not in page and "<script>" not in page and " style=" not in page and "http" not in page
    assert json.dumps(client.get("/curate/corpus").json()["name"]) == '"small"'
