"""Drawings to score, and Inspect run in memory's length on a task."""

import json

import pytest

pytest.importorskip("inspect_ai", reason="the extra `bench`")


@pytest.fixture
def one_subject(tmp_path):
    """A data set of one row, so that a model draws once."""
    file = tmp_path / "one.json"
    file.write_text(json.dumps([{"id": 1, "subject": "the sun", "category": "nature"}]))
    return str(file)


@pytest.fixture
def run(tmp_path):
    """A task and a model → its log."""
    from inspect_ai import eval as run_inspect

    def run_(task, model, **how):
        (log,) = run_inspect(task, model=model, log_dir=str(tmp_path / "logs"), display="none", **how)
        assert log.status == "success", log.error and log.error.message
        return log

    return run_
