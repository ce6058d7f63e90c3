"""Wikimedia Commons: a local server that pages, refuses, breaks off, lies and hides, and what is in the folder afterwards."""

import hashlib
import io
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machine import slowness
from PIL import Image
from stand_in_commons import CC_BY, Wiki, jpeg, says, send, serving, status

from data_prep import polite_http
from data_prep.errors import InputError
from data_prep.polite_http import PoliteClient
from data_prep.sources import commons, photographs
from data_prep.sources.commons_listing import licence_of, listed, plain_text


@pytest.fixture
def wiki():
    with serving(Wiki()) as found:
        yield found


def fetch(wiki: Wiki, out, **options):
    client = PoliteClient("test (me@example.org)", ("127.0.0.1",), pause=0, first_wait=0.005)
    return commons.fetch("Category:Fish", out, "me@example.org", api=f"{wiki.address}/w/api.php", client=client, **options)


def rows(out, name="metadata.jsonl") -> list[dict]:
    return [json.loads(line) for line in (out / name).read_text("utf-8").splitlines()]


def reasons(out) -> dict[str, str]:
    return {row["id"]: row["reason"] for row in rows(out, "dropped.jsonl")}


def test_every_page_and_half_page_is_loaded_with_licence_author_and_address(wiki, tmp_path):
    for number in range(5):
        wiki.add(f"File:Fish {number}.jpg", jpeg(number))
    assert fetch(wiki, tmp_path, row={"zone": "shallows"}) == {"there": 5, "new": 5, "left out": 0}
    found = rows(tmp_path)
    assert {(row["licence"], row["author"], row["label"], row["zone"]) for row in found} == {
        ("CC-BY-4.0", "Ann & Bo", "fish", "shallows")
    }
    assert all(row["page"].endswith("/wiki/x") and "curid=7" in row["attribution"] for row in found)
    for row in found:
        assert hashlib.sha1((tmp_path / row["file_name"]).read_bytes()).hexdigest() == row["sha1"]
    assert not list(tmp_path.glob(".*"))
    agents = {headers["User-Agent"] for _, headers, _ in wiki.asked}
    assert agents == {"test (me@example.org)"} and all("maxlag" in q for p, _, q in wiki.asked if p == "/w/api.php")


def test_what_is_loaded_reads_as_a_source_of_photographs(wiki, tmp_path):
    data = io.BytesIO()
    scene = Image.new("RGB", (200, 160), (90, 120, 150))
    scene.paste((200, 60, 40), (60, 40, 140, 120))
    scene.paste((240, 220, 60), (80, 60, 120, 100))
    scene.save(data, "JPEG", quality=95)
    wiki.add("File:Square.jpg", data.getvalue())
    fetch(wiki, tmp_path)
    (picture,) = photographs.pictures(tmp_path, 16)
    assert (picture.label, picture.licence, picture.source) == ("fish", "CC-BY-4.0", "Wikimedia Commons")
    assert picture.attribution.startswith("Ann & Bo, http")


def test_subcategories_are_walked_to_the_depth_once_each(wiki, tmp_path):
    wiki.add("File:A.jpg", jpeg(1))
    wiki.add("File:B.jpg", jpeg(2), "Category:Eels")
    wiki.add("File:A.jpg", jpeg(1), "Category:Eels")
    wiki.add("File:C.jpg", jpeg(3), "Category:Morays")
    wiki.below = {"Category:Fish": ["Category:Eels"], "Category:Eels": ["Category:Fish", "Category:Morays"]}
    assert fetch(wiki, tmp_path / "flat")["there"] == 1
    assert fetch(wiki, tmp_path / "deep", depth=1)["there"] == 2
    assert {row["label"] for row in rows(tmp_path / "deep")} == {"fish", "eels"}
    assert fetch(wiki, tmp_path / "deeper", depth=9)["there"] == 3


def test_a_busy_server_is_given_the_time_that_it_asks_for(wiki, tmp_path):
    wiki.add("File:A.jpg")
    lagging = json.dumps({"error": {"code": "maxlag", "info": "Waiting for db: 6 seconds lagged"}}).encode()
    wiki.script = {
        "w": [status(429, Retry_After="0.3"), says(lagging, "application/json", Retry_After="0.2"), status(503)],
        "files": [status(429, Retry_After="0.2"), status(502)],
    }
    start = time.monotonic()
    assert fetch(wiki, tmp_path)["there"] == 1
    assert time.monotonic() - start >= 0.7


@pytest.mark.parametrize("wait", ["0.001", "9999"])
def test_a_server_that_stays_busy_ends_the_run_and_a_later_one_goes_on(wiki, tmp_path, wait):
    for number in range(3):
        wiki.add(f"File:{number}.jpg", jpeg(number))
    data = wiki.bytes_at("/files/" + hashlib.md5(b"File:0.jpg").hexdigest() + ".jpg")
    wiki.script = {"files": [says(data), *[status(429, Retry_After=wait)] * polite_http.ATTEMPTS]}
    with pytest.raises(InputError, match=r"File:1.jpg: .*run the command again later"):
        fetch(wiki, tmp_path)
    assert len(rows(tmp_path)) == 1
    wiki.script = {}
    assert fetch(wiki, tmp_path) == {"there": 3, "new": 2, "left out": 0}


def test_a_truncated_answer_is_asked_for_again(wiki, tmp_path):
    data = jpeg(4)
    wiki.add("File:A.jpg", data)
    wiki.script = {"files": [says(data[:500], length=len(data)), says(data[:500]), says(data)]}
    assert fetch(wiki, tmp_path)["there"] == 1
    assert (tmp_path / rows(tmp_path)[0]["file_name"]).read_bytes() == data


def test_an_answer_that_drips_is_given_up_and_asked_for_again(wiki, tmp_path, monkeypatch):
    def drip(handler):
        send(handler, b"\xff", "image/jpeg", length=500)
        for _ in range(20):
            time.sleep(0.02)
            handler.wfile.write(b"\xd8")

    monkeypatch.setattr(polite_http, "LONGEST_ANSWER", 0.1)
    wiki.add("File:A.jpg")
    wiki.script = {"files": [drip]}
    assert fetch(wiki, tmp_path)["there"] == 1 and len(wiki.loaded()) == 2


def test_a_failing_file_is_left_for_the_next_run_and_three_in_a_row_end_this_one(wiki, tmp_path):
    for number in range(5):
        wiki.add(f"File:{number}.jpg", jpeg(number))
    wiki.script = {"files": [status(500)] * (2 * polite_http.ATTEMPTS)}
    assert fetch(wiki, tmp_path) == {"there": 3, "new": 3, "left out": 2}
    assert set(reasons(tmp_path)) == {"File:0.jpg", "File:1.jpg"}
    wiki.script = {"files": [status(500)] * (3 * polite_http.ATTEMPTS)}
    with pytest.raises(InputError, match=r"File:2.jpg: status 500 .*later"):
        fetch(wiki, tmp_path / "other")
    wiki.script = {}
    assert fetch(wiki, tmp_path) == {"there": 5, "new": 2, "left out": 0}


def test_half_a_thumbnail_is_noticed_although_no_checksum_names_it(wiki, tmp_path):
    data = jpeg(4)
    wiki.add("File:A.jpg", data, url="https://elsewhere.example/original.jpg", sha1="0" * 40)
    wiki.script = {"files": [says(data[: len(data) // 2])]}
    assert fetch(wiki, tmp_path)["there"] == 1
    assert (tmp_path / rows(tmp_path)[0]["file_name"]).read_bytes() == data


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (says(b"<html>no</html>", "text/html"), "no picture came back but text/html"),
        (says(b"<html>no</html>", "image/jpeg"), "no photograph, whatever its type says"),
        (says(b"\xff\xd8\xff" + b"x" * 3000, length=99_000_000), "too large"),
        (status(404), "status 404"),
        (status(302, Location="http://127.0.0.1/secret"), "somewhere else"),
    ],
)
def test_a_file_that_is_none_is_left_out_and_the_next_one_is_loaded(wiki, tmp_path, monkeypatch, answer, reason):
    monkeypatch.setattr(commons, "MAX_BYTES", 2**11)
    wiki.add("File:A.jpg", jpeg(1))
    wiki.add("File:B.jpg", jpeg(2))
    monkeypatch.setattr(commons, "MAX_BYTES", max(len(jpeg(2)), 2**11))
    if reason == "too large":
        answer = says(b"\xff\xd8\xff" + b"x" * 50_000)
    wiki.script = {"files": [answer]}
    assert fetch(wiki, tmp_path)["there"] == 1
    assert reason in reasons(tmp_path)["File:A.jpg"]
    assert len(list(tmp_path.glob("*.jpg"))) == 1 and not list(tmp_path.glob(".*"))


def test_other_bytes_than_the_checksum_promises_are_never_kept(wiki, tmp_path):
    wiki.add("File:A.jpg", jpeg(1), sha1="a" * 40)
    assert fetch(wiki, tmp_path) == {"there": 0, "new": 0, "left out": 1}
    assert "checksum" in reasons(tmp_path)["File:A.jpg"] and not list(tmp_path.glob("*.jpg"))


@pytest.mark.parametrize("body", [b"<html>", b"[" * 100_000, b"[1]", b"\xff\xfe", b""])
def test_an_api_that_answers_no_json_is_asked_again_and_then_named(wiki, tmp_path, body):
    wiki.add("File:A.jpg")
    wiki.script = {"w": [says(body, "text/html")]}
    assert fetch(wiki, tmp_path)["there"] == 1
    wiki.script = {"w": [says(body, "text/html")] * polite_http.ATTEMPTS}
    with pytest.raises(InputError, match=r"api\.php: .*JSON"):
        fetch(wiki, tmp_path)


def test_addresses_at_other_hosts_are_not_asked(wiki, tmp_path):
    for name, url in {"a": "http://169.254.169.254/x.jpg", "b": "file:///etc/passwd", "c": "http://[", "d": "//x/y.jpg"}.items():
        wiki.add(f"File:{name}.jpg", jpeg(1), thumburl=url)
    assert fetch(wiki, tmp_path)["there"] == 0
    assert len(reasons(tmp_path)) == 4 and all("address" in reason for reason in reasons(tmp_path).values())
    assert not wiki.loaded()


NAMES = ("../../../../tmp/evil.jpg", "/etc/passwd", "C:\\x\\y.jpg", ".hidden.jpg", "\u202e\0.jpg", "クラゲ.jpg")


@pytest.mark.parametrize("title", [f"File:{name}" for name in NAMES])
def test_no_title_names_another_folder(wiki, tmp_path, title):
    wiki.add(title, jpeg(1))
    fetch(wiki, tmp_path / "out")
    (row,) = rows(tmp_path / "out")
    assert (tmp_path / "out" / row["file_name"]).parent == tmp_path / "out" and not row["file_name"].startswith(".")
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    assert len(list((tmp_path / "out").glob("*.jpg"))) == 1


@pytest.mark.parametrize(
    ("words", "licence"),
    [
        ({"License": "cc0"}, "CC0-1.0"),
        ({"License": "pd"}, "Public domain"),
        ({"LicenseShortName": "Public domain"}, "Public domain"),
        ({"License": "cc-by-sa-3.0-de"}, "CC-BY-SA-3.0-DE"),
        ({"License": "cc-by-sa-4.0,3.0,2.5,2.0,1.0"}, "CC-BY-SA-4.0"),
        ({"LicenseShortName": "CC BY-SA 2.5"}, "CC-BY-SA-2.5"),
        ({"License": "cc-by-nc-4.0"}, ""),
        ({"License": "cc-by-4.0", "LicenseShortName": "CC BY-NC-ND 4.0"}, ""),
        ({"License": "cc-by-4.0", "UsageTerms": "Creative Commons Attribution-NonCommercial 4.0"}, ""),
        ({"License": "cc-by-4.0", "NonFree": "true"}, ""),
        ({"License": "gfdl"}, ""),
        ({"License": "fair use"}, ""),
        ({}, ""),
    ],
)
def test_only_the_listed_licences_are_free(words, licence):
    assert licence_of(words) == licence


def test_what_is_not_free_or_not_credited_is_named_and_not_loaded(wiki, tmp_path):
    wiki.add("File:A.jpg", words={"License": "cc-by-nc-2.0", "LicenseShortName": "CC BY-NC 2.0"})
    wiki.add("File:B.jpg", words={"License": "cc-by-4.0"}, user="")
    wiki.add("File:C.svg", mime="image/svg+xml")
    wiki.add("File:D.jpg", words={})
    assert fetch(wiki, tmp_path)["there"] == 0 and not wiki.loaded()
    assert reasons(tmp_path) == {
        "File:A.jpg": "licence left out: CC BY-NC 2.0",
        "File:B.jpg": "no author is named, and CC-BY-4.0 asks for one",
        "File:C.svg": "no photograph: image/svg+xml",
        "File:D.jpg": "licence left out: none stated",
    }


def test_a_killed_run_goes_on_and_loads_nothing_twice(wiki, tmp_path):
    for number in range(5):
        wiki.add(f"File:{number}.jpg", jpeg(number))
    fetch(wiki, tmp_path, limit=3)
    lines = (tmp_path / "metadata.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "metadata.jsonl").write_bytes(b"".join(lines[:2]) + lines[2][:40])  # killed while it wrote the third line
    (tmp_path / ".half_00000000.jpg.part").write_bytes(b"half")
    assert fetch(wiki, tmp_path) == {"there": 5, "new": 3, "left out": 0}
    assert len(wiki.loaded()) == len(set(wiki.loaded())) == 5
    assert len({row["sha1"] for row in rows(tmp_path)}) == len(rows(tmp_path)) == 5
    assert fetch(wiki, tmp_path) == {"there": 5, "new": 0, "left out": 0} and len(wiki.loaded()) == 5


def test_a_line_that_was_cut_right_before_its_end_is_ended(wiki, tmp_path):
    for number in range(3):
        wiki.add(f"File:{number}.jpg", jpeg(number))
    fetch(wiki, tmp_path, limit=1)
    metadata = tmp_path / "metadata.jsonl"
    metadata.write_bytes(metadata.read_bytes().removesuffix(b"\n"))
    assert fetch(wiki, tmp_path) == {"there": 3, "new": 2, "left out": 0}
    assert len(rows(tmp_path)) == 3 and len(wiki.loaded()) == 3


def test_the_limit_counts_what_is_there_already(wiki, tmp_path):
    for number in range(5):
        wiki.add(f"File:{number}.jpg", jpeg(number))
    assert [fetch(wiki, tmp_path, limit=limit)["there"] for limit in (2, 2, 4)] == [2, 2, 4]


def test_a_file_that_was_deleted_is_loaded_again(wiki, tmp_path):
    wiki.add("File:A.jpg")
    fetch(wiki, tmp_path)
    next(tmp_path.glob("*.jpg")).unlink()
    assert fetch(wiki, tmp_path)["new"] == 1
    assert len(list(photographs.packs.pictures(tmp_path))) == 1


@pytest.mark.parametrize(
    "options",
    [
        ["Fish"],
        *(["Category:Fish", *words] for words in (["--width", "640"], ["--contact", ""], ["--api", "x"], ["--api", "http://["])),
    ],
)
def test_a_wrong_option_costs_no_request(tmp_path, capsys, options):
    assert commons.main([options[0], "--out", str(tmp_path / "o"), "--contact", "me@example.org", *options[1:]]) == 2
    assert capsys.readouterr().err.startswith("commons: ") and not (tmp_path / "o").exists()


def test_an_empty_category_is_named(wiki, tmp_path):
    with pytest.raises(InputError, match="Category:Fish: no such category"):
        fetch(wiki, tmp_path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = ("url", "thumburl", "mime", "sha1", "user", "extmetadata", "descriptionurl", "descriptionshorturl")


@given(st.dictionaries(st.sampled_from(KEYS), json_values), st.booleans())
def test_whatever_the_api_describes_is_listed_or_refused(info, free):
    if free:
        info["extmetadata"] = {key: {"value": value} for key, value in CC_BY.items()}
    found = listed({"title": "File:X.jpg", "imageinfo": [info]}, "Category:Fish")
    assert isinstance(found, str) or (found.licence and found.address)


@given(st.text(max_size=60))
def test_text_out_of_html_is_one_line_without_marks(html):
    found = plain_text(f"<b>{html}</b><script>steal()</script>")
    assert "steal" not in found or "steal" in html
    assert "\n" not in found and not set(found) & set("<>|")


def test_text_out_of_html_keeps_words_apart():
    assert plain_text('<p>Ann<br/>Bo</p><style>p{}</style>&lt;3 <a href="x">and "Cy"</a>') == 'Ann Bo 3 and "Cy"'


def test_tags_that_never_close_take_no_time():
    begun = time.process_time()
    assert plain_text("Ann" + "<a x" * 20_000).startswith("Ann")
    assert time.process_time() - begun < slowness()
