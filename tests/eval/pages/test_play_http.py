"""The play page over HTTP: who may ask, what is refused, what is drawn, lit, bred, continued and downloaded."""

import io
import json
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from data_prep.errors import InputError
from data_prep.grid_text import read
from data_prep.palette import named
from eval import draw as command
from eval.cli import main
from eval.pages.security import HEADERS, MAX_BODY
from eval.pages.studio import MAX_KEPT, own_palette
from eval.postprocess.shader import Light, shade

REEF = named("reef64")
ASKED = {"prompt": "a red fish", "height": 16, "width": 16, "palette": "reef64", "seed": 7, "count": 2}
ADDRESSES = ["/", "/play", "/play/model", "/play/drawings/1.png", "/static/play.js", "/static/", "/nowhere"]


def events(response) -> list[dict]:
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


def draw(client, **changes) -> list[dict]:
    """The drawings of one request."""
    told = events(client.post("/play/draw", json=ASKED | changes))
    assert told[-1] == {"event": "done"}, told[-1]
    return [event["drawing"] for event in told if event["event"] == "sprite"]


# Who may ask


@pytest.mark.parametrize("address", ADDRESSES)
def test_without_the_key_nothing_is_told(stranger, address):
    for wrong in ("", "?token=", "?token=wrong", "?token=the-key-of-this-tes%C3%B6"):
        answer = stranger.get(address + wrong)
        assert answer.status_code == 403 and answer.text == "this page needs its key: open the address that the command printed"
    assert stranger.get(address, headers={"cookie": "pixelreef-8765=wrong"}).status_code == 403
    assert stranger.get(address, headers={"cookie": "pixelreef-8766=the-key-of-this-test"}).status_code == 403  # another port's


def test_without_the_key_nothing_is_drawn(stranger, generator):
    assert stranger.post("/play/draw?token=the-key-of-this-test", json=ASKED).status_code == 403
    assert stranger.delete("/play/drawings/1").status_code == 403
    assert not generator.asked


def test_the_key_is_traded_for_a_cookie_and_leaves_the_address(stranger):
    answer = stranger.get("/play?token=the-key-of-this-test")
    assert answer.headers["location"] == "/play"
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(answer.headers["set-cookie"].split("; "))
    page = stranger.get("/play")
    assert page.status_code == 200 and "the-key-of-this-test" not in page.text
    assert stranger.get("/").headers["location"] == "/play"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "localhost@evil.example", ""])
def test_other_host_names_are_refused(client, host):
    assert client.get("/play", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1", "[::1]:8765", "LOCALHOST:1234"])
def test_names_of_this_machine_are_served(client, host):
    assert client.get("/play", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:8765", "http://127.0.0.1:8766", ""])
def test_other_origins_are_refused(client, generator, origin):
    assert client.post("/play/draw", json=ASKED, headers={"origin": origin}).status_code == 403
    assert not generator.asked


def test_its_own_origin_is_served_and_other_sites_scripts_are_not(client):
    assert client.post("/play/draw", json=ASKED, headers={"origin": "http://127.0.0.1:8765"}).status_code == 200
    cross = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert client.get("/static/play.js", headers=cross).status_code == 403
    assert client.get("/play", headers=cross | {"sec-fetch-mode": "navigate"}).status_code == 200  # a link


def test_headers_that_decide_may_not_be_there_twice(client):
    twice = [("host", "127.0.0.1"), ("host", "evil.example")]
    assert client.get("/play", headers=twice).status_code == 400


@pytest.mark.parametrize("address", [*ADDRESSES, "/play?token=wrong"])
def test_every_answer_has_the_security_headers(client, address):
    answer = client.get(address)
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert "unsafe" not in answer.headers["content-security-policy"]


def test_folders_are_not_listed_nor_left(client):
    for address in ("/static", "/static/", "/static/../play.py", "/static/%2e%2e/play.py", "/static/..%2fplay.py", "/docs"):
        assert client.get(address).status_code in (404, 405), address


def test_the_page_has_no_script_nor_style_of_its_own(client):
    page = client.get("/play").text
    assert re.findall(r"<script[^>]*>", page) == ['<script type="module" src="/static/play.js">']
    assert "<style" not in page and not re.search(r"\s(style|on\w+)=", page) and "http" not in page.replace("http-equiv", "")


# What is refused


@pytest.mark.parametrize("length", [MAX_BODY + 1, 10 * MAX_BODY])
def test_long_bodies_are_refused(client, length):
    assert client.post("/play/draw", content=b" " * length).status_code == 413
    assert client.post("/play/draw", content=(b" " * 1000 for _ in range(length // 1000 + 1))).status_code == 413  # chunked


WRONG = {
    "no prompt": ({"prompt": " "}, "prompt: empty; say what to draw"),
    "long prompt": ({"prompt": "x" * 501}, "prompt: string should have at most 500 characters"),
    "control characters": ({"prompt": "a\x00b"}, "caption: '\\x00' at place 1 is a control character; leave it out"),
    "size": ({"height": 3}, "size 3x16: a side has 4 to 64 pixels"),
    "seed": ({"seed": -1}, "seed: input should be greater than or equal to 0"),
    "seed as text": ({"seed": "7"}, "seed: input should be a valid integer"),
    "count": ({"count": 17}, "count: input should be less than or equal to 16"),
    "temperature": ({"temperature": 11}, "temperature: input should be less than or equal to 10"),
    "best of one": ({"best_of": 2, "temperature": 0}, "best of: at temperature 0 all candidates are the same; take a higher one"),
    "palette": ({"palette": "sea"}, "palette: 1 colours; it takes 2 to 63, like #87ceeb #102030"),
    "own colours": ({"palette": "ff0000 red"}, "palette 'free': 'red' is not a colour; write six hex digits like 87ceeb"),
    "another key": ({"size": 16}, "size: extra inputs are not permitted"),
    "gone": ({"continued": "99", "keep_rows": 3}, f"that drawing is gone; the last {MAX_KEPT} are kept while the server runs"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_line(client, generator, case):
    changes, words = WRONG[case]
    answer = client.post("/play/draw", json=ASKED | changes)
    assert (answer.status_code, answer.text) == (400, words)
    assert not generator.asked


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "x", "9" * 10])
def test_lengths_that_are_none_are_refused(client, length):
    assert client.post("/play/draw", content=b"{}", headers={"content-length": length}).status_code in (400, 413)


def test_best_of_without_likelihoods_is_refused_at_once(client, generator, monkeypatch):
    """As through a server: nothing is drawn first."""

    def none(requests, sprites):
        raise InputError("servers give no likelihoods")

    monkeypatch.setattr(generator, "likelihoods", none)
    answer = client.post("/play/draw", json=ASKED | {"best_of": 2})
    assert (answer.status_code, answer.text) == (400, "servers give no likelihoods") and not generator.asked


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"prompt": "\\ud800"}', b"NaN", b"[" * 3000])
def test_what_is_no_request_is_refused(client, body):
    answer = client.post("/play/draw", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422) and "\n" not in answer.text


@given(
    changes=st.dictionaries(
        st.sampled_from([*ASKED, "best_of", "temperature", "guidance", "continued", "keep_rows"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.lists(st.integers(), max_size=3),
    )
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_value_makes_it_stumble(client, changes):
    body = json.dumps(ASKED | {"count": 1} | changes)
    answer = client.post("/play/draw", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (200, 400)
    assert answer.status_code == 200 or "\n" not in answer.text
    if answer.status_code == 200:
        assert json.loads(answer.text.splitlines()[-1])["event"] in ("done", "error")


def test_a_fault_of_the_model_is_told_without_what_it_says(client, generator, capfd):
    generator.fault = RuntimeError("a secret caption")
    told = events(client.post("/play/draw", json=ASKED))
    assert told[-1] == {"event": "error", "words": "the model failed with RuntimeError; the server's window says where"}
    said = "".join(capfd.readouterr())
    assert "RuntimeError in " in said and "secret" not in said
    generator.fault = None
    assert draw(client)  # it goes on


# What is drawn


def test_rows_come_first_and_make_up_the_drawing(client):
    told = events(client.post("/play/draw", json=ASKED))
    kinds = [event["event"] for event in told]
    assert kinds == ["started", *["row"] * 16, "sprite", "sprite", "done"]
    grown = np.zeros((2, 16, 16), int)
    for event in told[1:17]:
        for slot, candidate, row in event["rows"]:
            assert candidate == 0
            grown[slot, event["y"]] = row
    drawings = [event["drawing"] for event in told if event["event"] == "sprite"]
    assert [drawing["pixels"] for drawing in drawings] == grown.tolist()
    assert client.get("/play/model").json()["kept"] == drawings  # and they are there after a reload


def asked_by_command(monkeypatch, generator, tmp_path, *flags) -> list[bytes]:
    """Files of `pixelreef draw` with the same generator; bytes without a look inside."""
    monkeypatch.setattr(command, "load_model", lambda options: generator)
    monkeypatch.setattr(command, "model_told", lambda options, model: {})
    assert main(["draw", *map(str, flags), "--transformer", "x", "--out", str(tmp_path / "out.png")]) == 0
    return [path.read_bytes() for path in sorted(tmp_path.glob("out*.png"))]


def png(client, drawing: dict, **query) -> bytes:
    answer = client.get(f"/play/drawings/{drawing['id']}.png", params=query)
    assert answer.headers["content-type"] == "image/png"
    return answer.content


def test_pngs_are_the_bytes_of_the_command(client, generator, monkeypatch, tmp_path):
    drawings = draw(client, temperature=0.8, guidance=1.5)
    flags = ("a red fish", "--seed", 7, "--n", 2, "--temperature", 0.8, "--guidance", 1.5, "--scale", 4)
    assert [png(client, one, scale=4) for one in drawings] == asked_by_command(monkeypatch, generator, tmp_path, *flags)


def test_pngs_in_own_colours_have_the_commands_pixels(client, generator, monkeypatch, tmp_path):
    colours = "#0d2b45 #8d697a, FFD4A3\nffecd6"
    (drawing,) = draw(client, palette=colours, count=1)
    (tmp_path / "mine.hex").write_text("\n".join(own_palette(colours).colours))
    (same,) = asked_by_command(monkeypatch, generator, tmp_path, "a red fish", "--seed", 7, "--palette", tmp_path / "mine.hex")
    assert drawing["colours"] == ["0d2b45", "8d697a", "ffd4a3", "ffecd6"]
    with Image.open(io.BytesIO(png(client, drawing))) as mine, Image.open(io.BytesIO(same)) as theirs:
        assert mine.tobytes() == theirs.tobytes() and mine.getpalette() == theirs.getpalette()


def test_files_are_named_after_their_drawing(client):
    (drawing,) = draw(client, prompt='../a "fish"\r\nx: ☃'.replace("\r\n", " "), count=1)
    for suffix in ("png", "json"):
        answer = client.get(f"/play/drawings/{drawing['id']}.{suffix}")
        assert answer.headers["content-disposition"] == f'attachment; filename="a-fish-x-7-0.{suffix}"'
    assert client.get("/play/drawings/99.png").status_code == 400
    assert client.get(f"/play/drawings/{drawing['id']}.png?scale=65").text == "scale: input should be less than or equal to 64"


def test_json_is_a_completion(client):
    (drawing,) = draw(client, count=1)
    text = client.get(f"/play/drawings/{drawing['id']}.json").text
    assert read(text.strip()).grid.tolist() == drawing["pixels"]


def test_light_is_the_shaders(client):
    (drawing,) = draw(client, count=1)
    light = {"azimuth": 30.5, "elevation": 20, "strength": 1.5, "rim": True}
    lit = client.post("/play/light", json={"drawing": drawing["id"], "light": light}).json()["pixels"]
    expected = shade(np.array(drawing["pixels"]), REEF, Light(30.5, 20, 1.5, rim=1.0, glow=1.0)).tolist()
    assert lit == expected != drawing["pixels"]
    query = f"/play/drawings/{drawing['id']}.json?light={json.dumps(light)}"
    assert read(client.get(query).text.strip()).grid.tolist() == expected
    with Image.open(io.BytesIO(png(client, drawing, light=json.dumps(light)))) as image:
        assert np.array(image).tolist() == expected and json.loads(image.info["light"])["azimuth"] == 30.5
    for wrong in ("{}", "x", '{"azimuth": 1e9, "elevation": 0}'):
        answer = client.get(f"/play/drawings/{drawing['id']}.png", params={"light": wrong})
        assert answer.status_code == 400 and answer.text.startswith("light: ")


def test_it_draws_on_from_a_row(client, generator, monkeypatch, tmp_path):
    (first,) = draw(client, count=1)
    rest = draw(client, prompt="an octopus", seed=8, continued=first["id"], keep_rows=9)
    assert all(drawing["pixels"][:9] == first["pixels"][:9] for drawing in rest)
    assert any(drawing["pixels"][9:] != first["pixels"][9:] for drawing in rest)
    (tmp_path / "a-red-fish-7-0.png").write_bytes(png(client, first))
    flags = ("an octopus", "--seed", 8, "--n", 2, "--continue", tmp_path / "a-red-fish-7-0.png", "--rows", 9)
    assert [png(client, one) for one in rest] == asked_by_command(monkeypatch, generator, tmp_path, *flags)
    for rows in (0, 16, -1):
        answer = client.post("/play/draw", json=ASKED | {"continued": first["id"], "keep_rows": rows})
        assert answer.text == f"rows that stand: {rows}; it takes 1 to 15"
    answer = client.post("/play/draw", json=ASKED | {"continued": first["id"], "keep_rows": 3, "palette": "000000 ffffff"})
    assert answer.text.startswith("palette: what stands keeps its colours")


def test_two_are_bred(client):
    parents = draw(client)
    body = {"parents": [parent["id"] for parent in parents], "seed": 5, "count": 4}
    told = events(client.post("/play/breed", json=body))
    children = {event["slot"]: event["drawing"] for event in told if event["event"] == "sprite"}
    left_out = {event["slot"] for event in told if event["event"] == "left_out"}
    assert set(children) | left_out == {0, 1, 2, 3} and children and not set(children) & left_out
    shown = {slot for event in told if event["event"] == "row" for slot, _, _ in event["rows"]}
    assert shown <= {0, 1, 2, 3}
    names = {f"a-red-fish-7-{index}.png" for index in (0, 1)}
    for child in children.values():
        with Image.open(io.BytesIO(png(client, child))) as image:
            assert set(image.info["parents"].split()) <= names and image.info["operation"] in (
                "complete",
                "mutate",
                "cross palettes",
            )
    for wrong in (["1"], ["1", "1"], ["1", "99"]):
        assert client.post("/play/breed", json=body | {"parents": wrong}).status_code == 400


def test_best_of_shows_its_candidates(client):
    told = events(client.post("/play/draw", json=ASKED | {"best_of": 3}))
    places = {(slot, candidate) for event in told if event["event"] == "row" for slot, candidate, _ in event["rows"]}
    assert places == {(slot, candidate) for slot in range(2) for candidate in range(3)}
    assert [event["drawing"]["how"]["best_of"] for event in told if event["event"] == "sprite"] == [3, 3]


def test_the_oldest_drawings_go(client, monkeypatch):
    monkeypatch.setattr("eval.pages.studio.MAX_KEPT", 3)
    first, *_ = draw(client, count=2)
    draw(client, count=2)
    assert len(client.get("/play/model").json()["kept"]) == 3
    assert client.get(f"/play/drawings/{first['id']}.png").status_code == 400
    assert client.delete("/play/drawings/2").status_code == 204 and client.delete("/play/drawings/2").status_code == 204
    assert [kept["id"] for kept in client.get("/play/model").json()["kept"]] == ["3", "4"]
