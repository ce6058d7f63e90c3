"""Good files of every kind, and strategies that change them, for `fuzz.py`."""

# ruff: noqa: E501 (tables of examples)
import json
from copy import deepcopy
from functools import cache

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

# --- what is made ---------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        "grid",
        "palette",
        "reef64",
        "name",
        "frames",
        "file_name",
        "../x",
        "<b>",
        "\x1b[31m",
        "\u202e",
        "\0",
        "\ud800",
        "",
        "9" * 5000,
    ]
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-3, 70), st.floats(), st.text(max_size=8), WORDS,
    st.sampled_from([1e308, -1, 2**63, 10**400, "1e999", [[]] * 100]),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(WORDS | st.text(max_size=4), inner, max_size=5),
    max_leaves=12,
)


@st.composite
def changed_json(draw, good: tuple[dict, ...]):
    """A good object with values exchanged, removed or added at some places, as text."""
    data = json.loads(json.dumps(draw(st.sampled_from(good))))
    for _ in range(draw(st.integers(0, 4))):
        place = data
        while isinstance(place, dict | list) and place and draw(st.booleans()):
            inner = (
                place[draw(st.sampled_from(sorted(place)))]
                if isinstance(place, dict)
                else place[draw(st.integers(0, len(place) - 1))]
            )
            if not isinstance(inner, dict | list):
                break
            place = inner
        if isinstance(place, dict):
            key = draw(st.sampled_from(sorted(place)) | st.text(max_size=4)) if place else draw(WORDS)
            place[key] = deepcopy(draw(VALUES))
        elif isinstance(place, list):
            place[draw(st.integers(0, len(place))) :] = [deepcopy(draw(VALUES))]
    return json.dumps(data)


@st.composite
def changed_bytes(draw, good: tuple[bytes, ...]) -> bytes:
    """Good bytes cut, flipped, doubled and filled."""
    data = bytearray(draw(st.sampled_from(good)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        how = draw(st.sampled_from(["flip", "number", "cut", "insert", "double", "fill"]))
        if how == "flip" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "number":
            data[at : at + 4] = draw(st.sampled_from([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\1\0\0"]))
        elif how == "cut":
            del data[at : at + draw(st.integers(1, 200))]
        elif how == "insert":
            data[at:at] = draw(st.binary(max_size=20))
        elif how == "double":
            data[at:at] = data[at : at + draw(st.integers(1, 100))]
        else:
            data[at : at + 16] = bytes([draw(st.integers(0, 255))]) * draw(st.integers(0, 300))
    return bytes(data)


@st.composite
def changed_text(draw, good: tuple[str, ...]) -> str:
    return draw(changed_bytes(tuple(text.encode("utf-8", "surrogatepass") for text in good))).decode(
        "utf-8", draw(st.sampled_from(["replace", "surrogateescape"]))
    )


def jsonl(good: tuple[dict, ...]) -> SearchStrategy[bytes]:
    line = changed_json(good) | st.sampled_from(["{", "", "[" * 3000, "\x00", "\u2028", "null", "NaN"])
    return st.lists(line, max_size=5).map(lambda lines: "\n".join(lines).encode()) | changed_bytes(
        tuple(json.dumps(row).encode() for row in good)
    )


# --- good ones ------------------------------------------------------------------------------------------------------


@cache
def pictures() -> tuple[bytes, ...]:
    from hostile.case import drawing, saved

    kinds = (
        ("RGBA", "PNG"),
        ("P", "PNG"),
        ("P", "GIF"),
        ("RGB", "WEBP"),
        ("RGB", "BMP"),
        ("RGB", "JPEG"),
        ("CMYK", "JPEG"),
        ("RGBA", "TIFF"),
        ("1", "PNG"),
    )
    return tuple(saved(drawing(mode, (16, 16)), kind) for mode, kind in kinds)


@cache
def zips() -> tuple[bytes, ...]:
    from hostile.case import zipped

    metadata = json.dumps({"file_name": "a/b.png", "label": "a crab"})
    return (zipped(("a/b.png", pictures()[0]), ("metadata.jsonl", metadata), ("c.gif", pictures()[2])),)


@cache
def completions() -> tuple[str, ...]:
    from itertools import islice

    from data_prep.grid_text import encode
    from data_prep.palette import Palette
    from data_prep.sources import procedural

    sprites = list(islice(procedural.sprites(1, 8), 3))
    free = Palette("free", sprites[0].palette.colours)
    other = [
        '```json\n{"palette": ["#fff", "red", [1, 2, 3]], "grid": [[0, 1], [2, -1]]}\n```',
        '{"palette":["000000","ffffff"],"grid":"0101 1010 0101 1010"}',
    ]
    return (*(encode(s.grid, s.palette) for s in sprites), encode(sprites[0].grid, free), *other)


FRAME = {
    "filename": "a",
    "frame": {"x": 0, "y": 0, "w": 8, "h": 8},
    "rotated": False,
    "spriteSourceSize": {"x": 0, "y": 0},
    "sourceSize": {"w": 8, "h": 8},
}
META = {
    "image": "sheet.png",
    "size": {"w": 16, "h": 16},
    "frameTags": [{"name": "t", "from": 0, "to": 1}],
    "slices": [{"name": "s", "keys": [{"bounds": {"x": 0, "y": 0, "w": 4, "h": 4}}]}],
}
DESCRIPTIONS = (
    {"frames": [FRAME, {**FRAME, "frame": {"x": 8, "y": 0, "w": 8, "h": 8}}], "meta": META},
    {"frames": {"a": FRAME}, "meta": META},
    {"textures": [{"image": "sheet.png", "frames": [FRAME]}]},
)
ATLAS = "sheet.png\nsize: 16,16\nfilter: Nearest,Nearest\na\n  rotate: false\n  xy: 0, 0\n  size: 8, 8\n  orig: 8, 8\n  offset: 0, 0\n  index: 1\nb\n  bounds: 8,0,8,8\n  offsets: 0,0,8,8\n"
PAGE = '<html><head><link rel="canonical" href="https://opengameart.org/x"></head><div class="field-name-title">A</div><div class="field-name-field-art-licenses">CC-BY 3.0</div></html>'
CREDITS = "Title: Crabs\nAuthor(s): Ann\nURL: http://x\nLicence: CC-BY-SA 4.0 or CC0, https://creativecommons.org/licenses/by/4.0"
PALETTES = {
    ".gpl": ("GIMP Palette\nName: x\nChannels: RGBA\n# c\n1 2 3 255 red\n4 5 6 0 no\n",),
    ".hex": ("ffffff\n000000\n#87ceeb\n",),
    ".json": ('{"name": "x", "colours": ["000000", "ffffff"], "ramps": {"a": [1, 2]}}',),
}
RECIPES = {
    "prepare": 'name: x\nsources:\n- {kind: procedural, count: 6, seed: 1}\n- {kind: packs, path: x, licences: [CC0-1.0]}\nsizes: [16]\ntasks: {draw: 1}\nlimit: 3\n',
    "run": "name: x\ndataset: d\ngenerators: {a: {adapter: x}, b: {base: y, shots: 1}}\nroles: {adapter: a}\nprompts: 5\ntemperature: 1.0\n",
    "transformer": "dataset: d\noutput_dir: o\nsteps: 10\nshape: {width: 8}\nlearning_rate: 2e-3\n",
}  # fmt: skip
ROW = {
    "request_id": "r0",
    "generator": "a",
    "mode": "grammar",
    "kind": "model",
    "height": 8,
    "width": 8,
    "text": '{"palette":"reef64","grid":["0000","0000","0000","0000"]}',
    "seconds": 1.0,
}
VOTE = {
    "uid": "u",
    "request_id": "r",
    "left_maker": "a",
    "left_drawing": "b",
    "right_maker": "c",
    "right_drawing": "d",
    "repeats": None,
    "rater": "Ann",
    "kind": "person",
    "answer": "left",
    "seconds": 1.0,
    "at": "2026",
}
FACTS = {
    "name": "a",
    "base_hub_id": "x/y",
    "base_sha256": "s",
    "recipe_hash": "r",
    "dataset_hash": "d",
    "palette_hash": "p",
    "sizes": [[16, 16]],
    "tasks": ["draw"],
    "sprites_seen": 1,
    "licences": ["CC0"],
    "attributions": ["A"],
}
LORA = {
    "peft_type": "LORA",
    "r": 8,
    "lora_alpha": 16,
    "target_modules": ["q_proj"],
    "rank_pattern": {},
    "bias": "none",
    "use_dora": False,
}
SOURCE = {
    "model_name": "m",
    "grid": [[0, 1], "01"],
    "palette": ["#fff", "red"],
    "height": 2,
    "width": 2,
    "cost": 0.1,
    "is_appropriate": True,
}
