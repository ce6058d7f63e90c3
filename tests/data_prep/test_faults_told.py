"""What a command says of a disk that is full or closed, and of two runs into one folder; file systems without locks."""

import errno
import fcntl
import multiprocessing
from pathlib import Path

import pytest

from data_prep.corpus_folder import making
from data_prep.errors import InputError, exit_code
from data_prep.whole_files import alone


class SafetensorError(Exception):
    """Stands for libraries that wrap what the system said in an error of their own."""


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "out/a"),
        OSError(errno.EFBIG, "File too large", "out/a"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        OSError(errno.EROFS, "Read-only file system", "out/a"),
        PermissionError(errno.EACCES, "Permission denied", "out/a"),
    ],
)
def test_a_full_or_closed_disk_is_one_line_and_exit_code_2(error, capsys):
    def work():
        raise error

    assert exit_code("draw", work) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("draw: ") and ("run this again" in line or "give another folder" in line)


def test_a_full_disk_behind_a_library_s_own_error_is_told_too(capsys):
    def work():
        try:
            raise OSError(errno.EFBIG, "File too large")
        except OSError as error:
            raise SafetensorError("An error occurred while generating the dataset") from error

    assert exit_code("train", work) == 2
    assert capsys.readouterr().err.startswith("train: the disk: no space is left")


def test_a_fault_that_names_itself_as_its_cause_goes_on():
    def work():
        error = KeyError("x")
        raise error from error

    with pytest.raises(KeyError):
        exit_code("draw", work)


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), ConnectionResetError(errno.ECONNRESET, "reset")])
def test_what_is_a_fault_of_ours_is_not_hidden(error):
    def work():
        raise error

    with pytest.raises(type(error)):
        exit_code("draw", work)


def enters(folder: Path, answers) -> None:
    try:
        with alone(folder):
            answers.put("in")
    except InputError as refused:
        answers.put(str(refused))


def ask(folder: Path) -> str:
    fresh = multiprocessing.get_context("spawn")
    answers = fresh.Queue()
    process = fresh.Process(target=enters, args=(folder, answers))
    process.start()
    said = answers.get(timeout=60)
    process.join()
    return said


def test_a_folder_is_one_run_s_until_that_has_ended(tmp_path):
    folder = tmp_path / "run"
    with alone(folder):
        assert "another run is writing there" in ask(folder)
    assert ask(folder) == "in"


def test_a_run_that_fails_leaves_no_empty_folder_and_takes_none_away(tmp_path):
    with pytest.raises(KeyError), alone(tmp_path / "new"):
        raise KeyError
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    with pytest.raises(KeyError), alone(tmp_path / "old"):
        raise KeyError
    assert (tmp_path / "old").is_dir()


@pytest.mark.parametrize("number", [errno.EBADF, errno.ENOSYS, errno.ENOLCK])  # NFS of a folder, Lustre, NFS without its daemon
def test_where_a_file_system_has_no_locks_work_goes_on_without(number, tmp_path, monkeypatch):
    def flock(file, how):
        raise OSError(number, "no locks")

    monkeypatch.setattr(fcntl, "flock", flock)
    with alone(tmp_path / "run"), making(tmp_path / "corpus", "a hash") as (folder, _):
        (folder / "README.md").write_text("whole")
    assert (tmp_path / "corpus" / "README.md").read_text() == "whole"
