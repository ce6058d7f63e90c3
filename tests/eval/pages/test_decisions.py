"""The file of decisions: nothing that was recorded is lost, whoever else writes, whatever stands in it, wherever it was cut."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.errors import InputError
from eval.pages.decisions import Decisions, open_decisions

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
DECIDED = st.tuples(NAMES, st.sampled_from(["accept", "reject", "none"]))


def standing(decided) -> dict[str, str]:
    """The last decision on each name."""
    return {name: decision for name, decision in dict(decided).items() if decision != "none"}


@given(st.lists(st.tuples(st.booleans(), DECIDED), max_size=20))
def test_the_last_line_wins_for_all_who_write(tmp_path_factory, steps):
    file = tmp_path_factory.mktemp("decisions") / "x.jsonl"
    one, two = Decisions(file), Decisions(file)
    for is_first, (name, decision) in steps:
        (one if is_first else two).record([(name, "id", decision)])
    expected = standing(decided for _, decided in steps)
    assert one.by_name() == two.by_name() == Decisions(file).by_name() == expected


@given(st.lists(DECIDED, min_size=1, max_size=6), DECIDED, st.data())
def test_a_line_that_was_cut_off_costs_no_other(tmp_path_factory, decided, last, data):
    file = tmp_path_factory.mktemp("decisions") / "x.jsonl"
    decisions = Decisions(file)
    for name, decision in decided:
        decisions.record([(name, "id", decision)])
    whole = file.read_bytes()
    start = whole[:-1].rfind(b"\n") + 1
    file.write_bytes(whole[: data.draw(st.integers(start, len(whole) - 2))])
    assert decisions.by_name() == standing(decided[:-1])
    decisions.record([(last[0], "id", last[1])])
    assert decisions.by_name() == Decisions(file).by_name() == standing([*decided[:-1], last])


def test_lines_say_what_when_and_of_what(tmp_path):
    decisions = open_decisions(tmp_path / "x.jsonl")
    assert decisions.path.read_bytes() == b""
    decisions.record([("a/ö \u2028.png", "1f", "reject"), ("b", "2f", "accept")])
    first, second = (json.loads(line) for line in decisions.path.read_text("utf-8").split("\n")[:-1])
    assert list(first) == ["name", "id", "decision", "at"] and first["name"] == "a/ö \u2028.png"
    assert (second["id"], second["decision"]) == ("2f", "accept") and second["at"].endswith("+00:00")


def test_it_is_on_the_disk_when_record_returns(tmp_path, monkeypatch):
    sizes = []

    def fsync(descriptor, sync=os.fsync):
        sync(descriptor)
        sizes.append(os.fstat(descriptor).st_size)

    decisions = open_decisions(tmp_path / "x.jsonl")
    monkeypatch.setattr(os, "fsync", fsync)
    decisions.record([("a", "1", "reject")])
    assert sizes == [decisions.path.stat().st_size]


def test_processes_that_write_at_once_tear_no_line(tmp_path):
    file = tmp_path / "x.jsonl"
    code = (
        "import sys; from pathlib import Path; from eval.pages.decisions import Decisions\n"
        "decisions = Decisions(Path(sys.argv[1]))\n"
        "for number in range(60): decisions.record([(f'{sys.argv[2]}{number}' * 40, 'id', 'reject')] * 3)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(file), letter]) for letter in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    names = [json.loads(line)["name"] for line in file.read_text().splitlines() if line]
    assert len(names) == 3 * 60 * 3 and len(set(names)) == 180


def test_a_file_that_took_its_place_is_read_anew(tmp_path):
    decisions = open_decisions(tmp_path / "x.jsonl")
    decisions.record([("a", "1", "reject"), ("b", "2", "reject")])
    assert set(decisions.by_name()) == {"a", "b"}
    other = tmp_path / "edited"
    other.write_text('{"name": "c", "decision": "accept"}\n' + "\n" * 500)
    other.replace(decisions.path)
    assert decisions.by_name() == {"c": "accept"}
    decisions.path.unlink()
    assert decisions.by_name() == {}
    decisions.record([("d", "4", "accept")])
    assert decisions.by_name() == {"d": "accept"}


def test_lines_that_are_no_decisions_are_counted(tmp_path):
    file = tmp_path / "x.jsonl"
    wrong = ["{", "[]", "7", '{"name": "a"}', '{"name": 7, "decision": "reject"}', '{"name": "a", "decision": "maybe"}']
    wrong += ['{"name": ["a"], "decision": []}', "9" * 5000, "[" * 5000]
    file.write_text("\n".join([*wrong, "", '{"name": "b", "decision": "reject", "more": 1}', ""]))
    decisions = Decisions(file)
    assert decisions.by_name() == {"b": "reject"} and decisions.unusable == len(wrong)


def test_where_it_cannot_write_it_says_so_in_one_line(tmp_path):
    for file in (tmp_path, tmp_path / "nowhere" / "x.jsonl"):
        with pytest.raises(InputError, match=f"^{file}: cannot be written .*[^\n]*$"):
            open_decisions(file)


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    decisions = open_decisions(tmp_path / "x.jsonl")
    monkeypatch.setattr(os, "write", lambda descriptor, data: len(data) // 2)
    with pytest.raises(InputError, match="no space left"):
        decisions.record([("a", "1", "reject")])
