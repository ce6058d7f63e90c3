"""The page on corpora says what the cards say, and nothing of files that are no cards."""

import pytest

from data_prep.corpora_page import main, page, recovery, sections


def test_tables_of_a_card_are_taken_over(reef, tmp_path):
    text = page([reef], [])
    card = (reef / "README.md").read_text("utf-8")
    assert sections(card)["Sources, licences, attribution"] in text and "### Sprites by cell" in text
    assert "```python" not in text and "near_duplicates.png" not in text


def test_misses_are_not_listed_but_counted(tmp_path):
    log = tmp_path / "sheets-seed-3.txt"
    log.write_text("| kind | share |\n|---|---|\n| all | 98% |\n\nmissed: 2\n  003.png: cut apart\n  004.png: joined\n")
    assert recovery(log) == "### sheets-seed-3\n\n| kind | share |\n|---|---|\n| all | 98% |\n\nmissed: 2"


@pytest.mark.parametrize(("text", "told"), [(None, "no README.md"), ("# x\n\ny\n", "no 'Sprites by cell'")])
def test_folders_without_a_card_are_one_line(tmp_path, capsys, text, told):
    if text is not None:
        (tmp_path / "README.md").write_text(text)
    assert main([str(tmp_path), "--out", str(tmp_path / "out.md")]) == 2
    said = capsys.readouterr().err.strip()
    assert told in said and "\n" not in said and not (tmp_path / "out.md").exists()
    assert main([str(tmp_path), "--recovery", str(tmp_path / "none.txt"), "--out", str(tmp_path / "out.md")]) == 2
