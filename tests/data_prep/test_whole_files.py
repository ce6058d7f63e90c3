"""What a full disk, a kill or another process leaves: the old file or the new one, a whole folder or none."""

import os

import pytest

from data_prep import whole_files
from data_prep.errors import InputError
from data_prep.whole_files import read_rows, rows_until, whole_folder, write_whole


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path, monkeypatch):
    file = write_whole(tmp_path / "note.json", "{}")
    whole = type(tmp_path).write_bytes

    def full(place, content):
        whole(place, content[:3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(tmp_path), "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(file, '{"base": null}')
    assert file.read_text() == "{}" and list(tmp_path.iterdir()) == [file]


def test_a_folder_appears_when_its_block_succeeds_and_leaves_nothing_when_it_fails(tmp_path):
    with pytest.raises(KeyError), whole_folder(tmp_path / "new" / "adapter") as staging:
        (staging / "half").write_text("x")
        raise KeyError
    assert list((tmp_path / "new").iterdir()) == []
    with whole_folder(tmp_path / "adapter") as staging:
        (staging / "all").write_text("x")
        assert not (tmp_path / "adapter").exists()
    assert (tmp_path / "adapter" / "all").read_text() == "x" and (tmp_path / "adapter").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("or_there", [False, True])
def test_a_folder_that_is_there_is_never_replaced(tmp_path, or_there):
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "first").touch()
    refused = None
    try:
        with whole_folder(tmp_path / "adapter", or_there) as staging:
            (staging / "second").touch()
    except InputError as error:
        refused = str(error)
    assert refused is None if or_there else "adapter: came into being meanwhile" in refused
    assert [path.name for path in tmp_path.rglob("*")] == ["adapter", "first"]


def test_what_killed_runs_left_of_a_folder_is_removed_and_what_a_living_one_holds_is_not(tmp_path):
    folder, beside = tmp_path / "model", tmp_path / ".model-aaaaaaaa"  # a person's own
    beside.mkdir()
    with whole_folder(folder) as living:
        process = os.fork()
        if not process:
            os.closerange(3, 256)  # the lock of `living` among them
            with whole_folder(folder) as staging:
                (staging / "weights").write_text("x")
                os._exit(9)
        os.waitpid(process, 0)
        (killed,) = {*tmp_path.iterdir()} - {living, beside}
        assert (killed / "weights").exists()
        with pytest.raises(KeyError), whole_folder(folder):
            assert living.exists() and not killed.exists() and beside.exists()
            raise KeyError
    assert {*tmp_path.iterdir()} == {folder, beside}


def test_a_folder_that_another_process_cleared_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    made = []

    def cleared(**where):
        made.append(whole(**where))
        if len(made) == 1:
            os.rmdir(made[0])
        return made[-1]

    whole = whole_files.tempfile.mkdtemp
    monkeypatch.setattr(whole_files.tempfile, "mkdtemp", cleared)
    with whole_folder(tmp_path / "model") as staging:
        assert str(staging) == made[1] and staging.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_log_is_read_but_for_its_torn_line_and_cut_back_to_a_step(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste')
    assert [row["step"] for row in read_rows(log)] == [1, 2, 3]
    assert rows_until(log, 2) == [{"step": 1}, {"step": 2}] and log.read_text() == '{"step": 1}\n{"step": 2}\n'
    assert rows_until(tmp_path / "new.jsonl", 2) == [] == read_rows(tmp_path / "none.jsonl")
