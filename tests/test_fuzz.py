"""A moment of `tests/fuzz.py` for every reader; `python tests/fuzz.py --minutes 10` is the long run."""

import fuzz
import pytest

EXAMPLES = 60


@pytest.mark.parametrize("reader", fuzz.READERS)
def test_whatever_a_file_holds_it_is_read_or_refused_in_a_second(reader):
    ran, refused, slowest = fuzz.fuzz(reader, 1, EXAMPLES)
    assert ran >= EXAMPLES / 2 and refused < ran + 1 and slowest < fuzz.MOST_SECONDS


def test_a_crash_and_a_hang_would_be_found(monkeypatch):
    """The harness itself: a reader that fails or dawdles on some input is told of."""

    def broken(text: str) -> None:
        if "grid" in text:
            raise KeyError(text)

    make, _ = fuzz.READERS["grid, strict"]
    monkeypatch.setitem(fuzz.READERS, "grid, strict", (make, broken))
    with pytest.raises(KeyError):
        fuzz.fuzz("grid, strict", 1, EXAMPLES)
    monkeypatch.setattr(fuzz, "MOST_SECONDS", -1.0)
    monkeypatch.setitem(fuzz.READERS, "grid, strict", (make, lambda text: None))
    with pytest.raises(fuzz.Slow):
        fuzz.fuzz("grid, strict", 1, EXAMPLES)
