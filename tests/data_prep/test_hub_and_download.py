"""Packs from `datasets` and from addresses: columns found by their type, checksums kept, one line for what fails."""

import hashlib
import io
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.errors import InputError
from data_prep.prepare import PrepareRecipe, prepare
from data_prep.sources import download, hub


def png(seed: int, side: int = 12) -> bytes:
    rgba = np.zeros((side, side, 4), np.uint8)
    rgba[1:-1, 1:-1] = (*np.random.default_rng(seed).integers(0, 255, 3), 255)
    rgba[4:6, 4 : 6 + seed % 4] = (9, 9, 9, 255)
    data = io.BytesIO()
    Image.fromarray(rgba, "RGBA").save(data, "PNG")
    return data.getvalue()


def saved(folder: Path, columns: dict, features: dict) -> str:
    """A folder that `datasets` loads."""
    from datasets import Dataset, Features

    (folder / "data").mkdir(parents=True)
    Dataset.from_dict(columns, Features(features)).to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    return str(folder)


def test_the_image_column_and_the_words_are_found_by_their_types(tmp_path):
    from datasets import ClassLabel, Value
    from datasets import Image as ImageColumn

    pictures = [{"bytes": png(n), "path": None} for n in range(5)]
    kinds = {"sprite": ImageColumn(), "kind": ClassLabel(names=["red_crab", "blue fish"]), "licence": Value("string")}
    classes = saved(tmp_path / "classes", {"sprite": pictures, "kind": [0, 1, 0, 1, 1], "licence": ["MIT"] * 4 + ["GPL"]}, kinds)
    dropped = []
    found = list(hub.pictures(classes, licences=["MIT"], dropped=lambda *what: dropped.append(what)))
    assert sorted(picture.label for picture in found) == ["blue fish", "blue fish", "red crab", "red crab"]
    assert [reason for _, reason in dropped] == ["licence left out: GPL"] and {p.source for p in found} == {"classes"}
    told = saved(
        tmp_path / "told",
        {"n": [1, 2], "text": ["a crab, facing left", None], "img": pictures[:2]},
        {"n": Value("int64"), "text": Value("string"), "img": ImageColumn()},
    )
    assert {picture.caption for picture in hub.pictures(told)} == {"a crab, facing left", ""}
    assert hub.fingerprint(told) != hub.fingerprint(classes) == hub.fingerprint(classes)


def test_a_broken_row_costs_itself_alone_and_parts_make_the_whole(tmp_path):
    from datasets import Image as ImageColumn

    pictures = [{"bytes": png(n) if n != 2 else b"broken", "path": None} for n in range(6)] + [None]
    name = saved(tmp_path / "some", {"image": pictures}, {"image": ImageColumn()})
    dropped = []
    whole = [picture.name for picture in hub.pictures(name, dropped=lambda *what: dropped.append(what))]
    assert sorted(whole) == ["0", "1", "3", "4", "5"]
    assert sorted(dropped) == [("2", "not a picture: no known format"), ("6", "no picture")]
    assert [p.name for start in (0, 3, 6) for p in hub.pictures(name, part=(start, start + 3))] == whole


def test_a_row_names_no_file_outside_of_its_dataset(tmp_path):
    """Neither a person's own picture, also by a link or in a second column of images, nor a pipe, which never ends."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder, own, pipe = tmp_path / "some", tmp_path / "own.png", tmp_path / "some" / "pipe.png"
    paths = [own, folder / ".." / "own.png", folder / "link.png", pipe, "", "a\0.png", folder / "none.png", folder / "good.png"]
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    cells = pa.array([{"bytes": None, "path": str(path)} for path in paths], kind)
    pipes = pa.array([{"bytes": None, "path": str(pipe)}] * len(paths), kind)
    kinds = {"image": {"_type": "Image"}, "text": {"dtype": "string", "_type": "Value"}, "source": {"_type": "Image"}}
    table = pa.table({"image": cells, "text": ["a crab"] * len(paths), "source": pipes})
    folder.mkdir()
    pq.write_table(
        table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": kinds}})}), folder / "train.parquet"
    )
    own.write_bytes(png(1))
    (folder / "good.png").write_bytes(png(2))
    (folder / "link.png").symlink_to(own)
    os.mkfifo(pipe)
    dropped = {}
    assert [picture.name for picture in hub.pictures(str(folder), dropped=dropped.__setitem__)] == ["7"]
    out = dict.fromkeys("01234", "a path that leads to no file of the dataset")
    assert dropped == out | {"5": "cannot be read", "6": "cannot be read"}
    assert len(hub.fingerprint(str(folder))) == 64


def test_pictures_that_lie_in_a_dataset_are_read(tmp_path):
    """`datasets` names them by their place."""
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.png").write_bytes(png(1))
    assert len(list(hub.pictures(str(tmp_path)))) == 1


def test_what_datasets_cannot_load_ends_in_one_line(tmp_path):
    from datasets import Value

    with pytest.raises(InputError, match="cannot be loaded") as error:
        hub.count(str(tmp_path / "nothing"))
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="no column of images; it has text"):
        hub.count(saved(tmp_path / "words", {"text": ["a"]}, {"text": Value("string")}))


def test_a_dataset_is_prepared_like_a_pack(tmp_path):
    from datasets import Image as ImageColumn
    from datasets import Value

    columns = {
        "image": [{"bytes": png(n), "path": None} for n in range(9)],
        "label": [f"crab {'abcdefghi'[n]}x" for n in range(9)],
    }
    name = saved(tmp_path / "crabs", columns, {"image": ImageColumn(), "label": Value("string")})
    recipe = {"name": "tiny", "sources": [{"kind": "packs", "dataset": name}], "sizes": [16], "palette": "corpus"}
    out = prepare(PrepareRecipe.from_dict(recipe), tmp_path / "out")
    assert str(tmp_path) not in (out / "manifest.json").read_text()


@pytest.fixture
def server(monkeypatch, tmp_path):
    """Answers with what `pages` says: (bytes, the length that it states)."""
    pages, asked = {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body, stated = pages.get(self.path, (None, 0))
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(stated))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    monkeypatch.setenv("PIXELREEF_CACHE", str(tmp_path / "cache"))
    yield f"http://127.0.0.1:{running.server_port}", pages, asked
    running.shutdown()


def test_a_pack_is_fetched_once_and_only_with_its_checksum(server, tmp_path):
    url, pages, asked = server
    data = b"a pack" * 1000
    digest = hashlib.sha256(data).hexdigest()
    pages["/p.zip"], pages["/cut.zip"] = (data, len(data)), (data[:99], len(data))
    place = download.fetch(f"{url}/p.zip", digest)
    assert place.read_bytes() == data and download.fetch(f"{url}/p.zip", digest) == place and asked == ["/p.zip"]
    for path, words in (
        ("/p.zip", "its SHA-256 is"),
        ("/cut.zip", "cannot be fetched|broke"),
        ("/none.zip", "cannot be fetched"),
    ):
        with pytest.raises(InputError, match=words) as error:
            download.fetch(url + path, "0" * 64)
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="no http address"):
        download.fetch("file:///etc/passwd", digest)
    assert [path.name for path in place.parent.iterdir()] == [place.name]  # no leftovers


def test_an_address_is_prepared_like_a_file(server, tmp_path):
    import zipfile

    url, pages, _ = server
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for number in range(8):
            archive.writestr(f"crab_{'abcdefgh'[number]}x.png", png(number))
    pages["/p.zip"] = data.getvalue(), len(data.getvalue())
    source = {"kind": "packs", "url": f"{url}/p.zip", "sha256": hashlib.sha256(data.getvalue()).hexdigest()}
    recipe = {"name": "tiny", "sources": [source], "sizes": [16], "palette": "corpus"}
    assert (prepare(PrepareRecipe.from_dict(recipe), tmp_path / "out") / "manifest.json").exists()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"url": "http://x/p.zip"}, "sources.0.sha256"),
        ({"url": "http://x/p.zip", "sha256": "12"}, "sources.0.sha256"),
        ({"path": "p.zip", "sha256": "0" * 64}, "sources.0.sha256"),
        ({"path": "p.zip", "dataset": "crabs"}, "path and dataset each say where"),
    ],
)
def test_a_source_has_one_place(source, words):
    with pytest.raises(InputError, match=words):
        PrepareRecipe.from_dict({"name": "tiny", "sources": [{"kind": "packs"} | source], "sizes": [16]})
