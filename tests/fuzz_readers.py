"""Every reader of strangers' files, and what `fuzz.py` feeds it: name → (strategy, reader)."""

# ruff: noqa: E501 (tables of examples)
import contextlib
import io
import json
import sqlite3
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from fuzz_examples import (
    ATLAS,
    CREDITS,
    DESCRIPTIONS,
    FACTS,
    LORA,
    PAGE,
    PALETTES,
    RECIPES,
    ROW,
    SOURCE,
    VOTE,
    changed_bytes,
    changed_json,
    changed_text,
    completions,
    jsonl,
    pictures,
    zips,
)
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))


def written(name: str, data: bytes | str) -> Path:
    path = FOLDER / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape"))
    return path


def strict(text: str) -> None:
    from data_prep.grid_text import GridError, encode, read

    found = read(text)
    assert isinstance(found, GridError) or read(encode(found.grid, found.palette)) == found


def lenient(text: str) -> None:
    from data_prep.lenient import read_leniently
    from eval.metrics.validity import parse

    read_leniently(text)
    assert (parse(text, {}, (8, 8)).cause or "").isprintable()


def answers(text: str) -> None:
    from eval.bench import answers

    answers.picture_of(answers.read(text))


def palette(given: tuple[str, bytes]) -> None:
    from data_prep.palette import load

    load(written(f"p{given[0]}", given[1]))


def picture(data: bytes) -> None:
    from data_prep.sources import packs, photographs
    from eval.pictures import read_picture

    for decode in (packs.decode, photographs.decode):
        with contextlib.suppress(packs.Unusable):
            assert decode(data)[0].shape[2] == 4
    read_picture(written("p.png", data))


def pack(data: bytes) -> None:
    from data_prep.sources import packs

    list(packs.pictures(written("pack.zip", data)))


def metadata(data: bytes) -> None:
    """The picture itself must come through, whatever is said of it."""
    from data_prep.sources import packs

    rows = packs.metadata_rows(packs.Pack(["metadata.jsonl", "a.png"], lambda name, limit: data), lambda name, why: None)
    for row in rows.values():
        packs.unwanted(row, ["CC0-1.0"], ["s"])
        packs.labelled("a.png", _clear(), row, "a", "pack")


@cache
def _clear():
    import numpy as np

    return np.zeros((8, 8, 4), np.uint8)


def sheet(given: tuple[str, str]) -> None:
    from data_prep.sources import sheets

    folder = FOLDER / "sheet"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    (folder / "sheet.png").write_bytes(pictures()[0])
    (folder / given[0]).write_bytes(given[1].encode("utf-8", "surrogateescape"))
    list(sheets.pictures(folder))


def prepare_recipe(text: str) -> None:
    from data_prep.recipe import PrepareRecipe

    json.dumps(PrepareRecipe.from_yaml(written("r.yaml", text)).to_json())


def run_recipe(text: str) -> None:
    from eval.run_recipe import read_recipe

    read_recipe(written("r.yaml", text))


def transformer_recipe(text: str) -> None:
    from eval.baseline.config import read_recipe

    read_recipe(written("r.yaml", text))


def run_folder(data: bytes) -> None:
    from eval import run_folder
    from eval.metrics.validity import parse

    path = written("rows.jsonl", data)
    for check in (run_folder.check_drawing, run_folder.check_reference, run_folder.check_likelihood, run_folder.check_log):
        for row in run_folder.read_rows(path, check).rows:
            parse(row.get("text"), {}, None)
    run_folder.read_json(path)


def npz(data: bytes) -> None:
    from eval.run_folder import read_training

    written("training.npz", data)
    read_training(FOLDER, 64)


def votes(data: bytes) -> None:
    """What is taken in comes out as it was, and is as it was when it is taken in again."""
    from eval.ratings import Ratings

    ratings = Ratings(Path(":memory:"))
    try:
        path = written("votes.jsonl", data)
        told = ratings.take_in(path, lambda vote: True)
        assert ratings.export(FOLDER / "out.jsonl") == told["added"]
        assert ratings.take_in(FOLDER / "out.jsonl", lambda vote: True)["known"] == told["added"]
    finally:
        ratings.close()


def ratings_file(data: bytes) -> None:
    from eval.ratings import KINDS, Ratings

    for rest in FOLDER.glob("ratings.sqlite*"):
        rest.unlink(missing_ok=True)
    ratings = Ratings(written("ratings.sqlite", data))
    try:
        ratings.raters()
        for kind in KINDS:
            ratings.votes(kind)
        ratings.export(FOLDER / "out.jsonl")
    finally:
        ratings.close()


@cache
def bases() -> tuple[bytes, ...]:
    from eval.ratings import Ratings

    ratings = Ratings(FOLDER / "good.sqlite")
    ratings.take_in(written("votes.jsonl", json.dumps(VOTE)), lambda vote: True)
    ratings.close()
    with contextlib.closing(sqlite3.connect(FOLDER / "good.sqlite")) as base:
        base.execute("PRAGMA journal_mode = DELETE")
    return ((FOLDER / "good.sqlite").read_bytes(),)


def curation(data: bytes) -> None:
    """`prepare` and the page make the same of whole lines."""
    from data_prep.choice import Choice
    from data_prep.recipe import PrepareRecipe
    from eval.pages.decisions import Decisions

    path = written("c.jsonl", data + b"\n")
    recipe = PrepareRecipe("x", ({"kind": "packs", "path": "x"},), (16,), curation=str(path))
    page = {name for name, decision in Decisions(path).by_name().items() if decision == "reject"}
    assert page == Choice.of(recipe).rejected


def adapter(text: str) -> None:
    from finetune.adapter_folder import FACTS, AdapterFacts, model_card
    from finetune.lora_config import fault

    written(FACTS, text)
    facts = AdapterFacts.load(FOLDER)
    measured = {"bits_per_pixel": 1.0, "sprites": 1}
    model_card(facts, {"before": measured, "after": measured, "seed": 1})
    data = json.loads(text)
    if isinstance(data, dict):
        with contextlib.suppress(AttributeError, TypeError):  # which `check_files` turns into a refusal
            fault(data)


def told(text: str) -> None:
    """What a PNG says of how it was drawn."""
    from hostile.case import drawing
    from PIL.PngImagePlugin import PngInfo

    from eval.redraw import read_how

    said = json.loads(text)
    info = PngInfo()
    for key, value in said.items() if isinstance(said, dict) else ():
        with contextlib.suppress(UnicodeEncodeError, ValueError):
            info.add_itxt(key[:79] or "k", (value if isinstance(value, str) else json.dumps(value)).replace("\0", ""))
    data = io.BytesIO()
    drawing().save(data, "PNG", pnginfo=info)
    read_how(written("told.png", data.getvalue()))


TOLD = {
    "caption": "a",
    "seed": "1",
    "index": "0",
    "given": '["....","....","....","...."]',
    "together": "0-3",
    "palette": '{"name": "x", "colours": ["000000"]}',
}


def source_results(data: bytes) -> None:
    from eval.bench import source_results

    for result in source_results.load(str(written("s.jsonl", data))):
        _ = result.metrics, result.faults, result.ours


def texts_of_sheets() -> SearchStrategy:
    return st.one_of(
        st.tuples(st.just("sheet.json"), changed_json(DESCRIPTIONS)),
        st.tuples(st.just("sheet.atlas"), changed_text((ATLAS,))),
        st.tuples(st.just("page.html"), changed_text((PAGE,))),
        st.tuples(st.just("CREDITS.txt"), changed_text((CREDITS,))),
    )


def texts_of_palettes() -> SearchStrategy:
    kinds = [st.tuples(st.just(kind), changed_bytes(tuple(text.encode() for text in good))) for kind, good in PALETTES.items()]
    said = changed_json(tuple(map(json.loads, PALETTES[".json"]))).map(str.encode)
    return st.one_of(*kinds, st.tuples(st.just(".json"), said), st.tuples(st.just(".png"), changed_bytes(pictures()[1:2])))


def npzs() -> SearchStrategy:
    import numpy as np

    plain, packed = io.BytesIO(), io.BytesIO()
    np.savez(plain, grids=np.zeros((3, 8, 8), np.uint8))
    np.savez_compressed(packed, grids=np.zeros((3, 8, 8), np.uint8))
    return changed_bytes((plain.getvalue(), packed.getvalue()))


def recipe(name: str) -> Callable[[], SearchStrategy]:
    import yaml

    good = RECIPES[name]
    return lambda: (
        changed_text((good,))
        | changed_json((yaml.safe_load(good),))
        | st.text(alphabet="ab:-[]{}&*!<\n '\"#|>%@,0. ", max_size=60)
    )


READERS: dict[str, tuple[Callable[[], SearchStrategy], Callable[[object], None]]] = {
    "grid, strict": (lambda: changed_text(completions()) | st.text(), strict),
    "grid, lenient": (lambda: changed_text(completions()) | changed_json(({"palette": ["red", "#fff"], "grid": [[0, 1], "01"]},)), lenient),
    "bench answers": (lambda: changed_text(completions()) | changed_json((SOURCE,)), answers),
    "source results": (lambda: jsonl((SOURCE,)), source_results),
    "palettes": (texts_of_palettes, palette),
    "pictures": (lambda: changed_bytes(pictures()), picture),
    "zips": (lambda: changed_bytes(zips()), pack),
    "metadata": (lambda: jsonl(({"file_name": "a.png", "label": "a", "zone": "abyss", "licence": "CC0-1.0"},)), metadata),
    "sheets": (texts_of_sheets, sheet),
    "prepare recipes": (recipe("prepare"), prepare_recipe),
    "run recipes": (recipe("run"), run_recipe),
    "transformer recipes": (recipe("transformer"), transformer_recipe),
    "run folders": (lambda: jsonl((ROW,)), run_folder),
    "training sprites": (npzs, npz),
    "votes": (lambda: jsonl((VOTE,)), votes),
    "ratings files": (lambda: changed_bytes(bases()), ratings_file),
    "curation": (lambda: jsonl(({"name": "a.png", "id": "x", "decision": "reject"}, {"name": "a.png", "decision": "none"})), curation),
    "adapters": (lambda: changed_json((FACTS, FACTS | LORA)), adapter),
    "drawings' words": (lambda: changed_json((TOLD,)), told),
}  # fmt: skip
