"""`pixelreef train my_sprites/`: what it writes down is there whole or not at all."""

from types import SimpleNamespace

import pytest

from eval.train_own import ASKED, _same_request, _write


def test_a_note_that_is_cut_short_never_has_its_name(tmp_path, monkeypatch):
    """A half note would stop the next run, which reads it, with a traceback."""
    _write(tmp_path / ASKED, "{}")
    assert (tmp_path / ASKED).read_text() == "{}" and len(list(tmp_path.iterdir())) == 1

    def full(file, text):
        file.write_bytes(text[:3].encode())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(tmp_path), "write_text", full)
    with pytest.raises(OSError, match="No space"):
        _write(tmp_path / ASKED, '{"base": null}')
    assert (tmp_path / ASKED).read_text() == "{}"
    (tmp_path / ASKED).unlink()
    asked = _same_request(tmp_path, SimpleNamespace(base=None, size=16, steps=None, minutes=None))
    assert asked["size"] == 16  # what the failure left is no reason to refuse the folder
