"""Before anything is drawn: which captions are let by, and what `pixelreef draw` loads for it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.errors import InputError
from data_prep.palette import Palette
from data_prep.sprite import Sprite
from eval.order import check_caption
from eval.pictures import read_picture, write_png

ROOT = Path(__file__).resolve().parents[2]


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_a_caption_is_refused_or_can_be_printed_and_stored(tmp_path_factory, caption):
    try:
        check_caption(caption)
    except InputError as error:
        assert str(error).isprintable()
        return
    assert not set(caption) & {chr(code) for code in (*range(32), 127, *range(128, 160))}
    file = tmp_path_factory.getbasetemp() / "caption.png"
    write_png(file, Sprite(np.ones((4, 4), np.uint8), Palette("p", ("ff0000",)), caption), 1, {})
    assert read_picture(file).said["caption"] == caption


def test_help_loads_nothing_heavy_and_drawing_no_training_library():
    code = """
import sys, time
started = time.process_time()
from eval.cli import main
try:
    main(["draw", "--help"])
except SystemExit:
    print(time.process_time() - started, *sys.modules, file=sys.stderr)
from eval import decoding, draw, generators
print(*sys.modules, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    (seconds, *for_help), for_drawing = (line.split() for line in done.stderr.splitlines()[-2:])
    assert "--like" in done.stdout and float(seconds) < 0.5  # CPU seconds after the interpreter: 0.02
    assert not set(for_help) & {"numpy", "torch", "transformers", "PIL", "fastapi", "scipy"}
    assert not set(for_drawing) & {"trl", "datasets", "peft", "sklearn", "pandas", "fastapi", "matplotlib"}
