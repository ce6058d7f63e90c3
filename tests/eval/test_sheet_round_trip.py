"""The sheets that drawings are exported to are read back as they were drawn."""

import numpy as np
import pytest

from data_prep.curate import trim
from data_prep.sources import procedural, sheets
from eval.sheet import write_sheet


@pytest.mark.parametrize("scale", [1, 4])
def test_an_exported_sheet_is_read_back_pixel_by_pixel(tmp_path, scale):
    sprites = [procedural.sprite(7, index, 16) for index in range(11)]
    write_sheet(tmp_path / "reef.png", tmp_path / "reef.json", "reef.png", sprites, scale, {"version": "0"})
    dropped = []
    found = {
        picture.name: picture
        for picture in sheets.pictures(tmp_path, dropped=lambda name, reason: dropped.append((name, reason)))
    }
    assert not dropped and set(found) == {f"reef.png#reef {number}" for number in range(11)}
    for number, sprite in enumerate(sprites):
        assert np.array_equal(found[f"reef.png#reef {number}"].rgba, sprite.rgba())
    (tmp_path / "reef.json").unlink()
    cut = list(sheets.pictures(tmp_path / "reef.png"))
    contents = {trim(sprite.rgba()).tobytes() for sprite in sprites}
    assert len(cut) == 11 and {trim(picture.rgba).tobytes() for picture in cut} == contents
