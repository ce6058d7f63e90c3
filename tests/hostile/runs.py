"""What travels between people who compare models: run folders, votes, prepared datasets, results of a bench."""

# ruff: noqa: E501 (one case a line)
import json
import shutil
import sqlite3
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from hostile.case import CONTROL, COUNTED, HTML, REFUSED, SAFE, Hostile, put, rows
from hostile.models import change, without, write

MADE = Path("/nowhere")  # set by `prepare_runs`: a folder with run/, scored/ and dataset/ that are well
BOMB_LINE = '{"request_id": [' + "[]," * (20 * 2**20) + "[]]}"


def prepare_runs(folder: Path) -> None:
    """Makes honest ones, which the cases copy and spoil."""
    global MADE  # noqa: PLW0603 (cases are made later, in another place)
    MADE = folder
    if (folder / "dataset").is_dir():
        return
    import run_folders

    from data_prep.prepare import PrepareRecipe, prepare

    run_folders.make_run(folder / "run", prompts=6, training=40)
    prepare(PrepareRecipe("reef", ({"kind": "procedural", "seed": 1, "count": 60},), (8,)), folder / "dataset")


def added(file: str, *more) -> Callable[[Path], object]:
    """Rows behind those of a file. A dict is one of its own rows, changed."""

    def add(folder: Path) -> None:
        own = [json.loads(line) for line in (folder / file).read_text("utf-8").splitlines()]
        lines = [json.dumps(own[0] | row) if isinstance(row, dict) else row for row in more]
        with (folder / file).open("a", encoding="utf-8", errors="surrogatepass") as target:
            target.write("".join(line + "\n" for line in lines))

    return add


def spoilt(reader: str, name: str, what: str, says: str, *changes, expected: str = REFUSED, of: str = "run") -> Hostile:
    def make(folder: Path) -> None:
        place = shutil.copytree(MADE / of, folder / of)
        for one in changes:
            one(place)

    return Hostile(f"{reader}: {name}", reader, what, expected, says, make)


def _npz(folder: Path, shape: tuple[int, ...], data: bytes, descr: str = "|u1") -> None:
    """training.npz by hand: a header, and deflated data that need not fit it."""
    head = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    with zipfile.ZipFile(folder / "training.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("grids.npy", "w") as file:
        file.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head)
        file.write(data)


def _great(folder: Path) -> None:
    """1 GiB of zeros that do fit their header."""
    size = 2**30
    head = repr({"descr": "|u1", "fortran_order": False, "shape": (size // 256, 16, 16)}).encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    with (
        zipfile.ZipFile(folder / "training.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("grids.npy", "w", force_zip64=True) as file,
    ):
        file.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head)
        for _ in range(2**30 // 2**24):
            file.write(bytes(2**24))


WORDS = {"generator": f"{HTML[:40]}{CONTROL}"[:90], "request_id": "r0", "text": f"{HTML}{CONTROL}"}
SCORED = (
    spoilt("score", "as it is", "an honest run", "", expected=SAFE),
    spoilt("score", "rows", "completions of HTML, control characters, NUL, line separators and no JSON", "",
        added("completions.jsonl", WORDS, {"text": "\u2028\x00" * 1000}, {"text": 7, "seconds": "x"}, {"kind": HTML}, {"height": 10**30},
              {"generator": "=cmd|' /C calc'!A0", "text": "0"}, "[" * 100_000, "\x00\x1b[31m", '{"text": "\\ud800"}'),
        added("references.jsonl", {"request_id": "r0b", "caption": f"{HTML}{CONTROL}|[x](javascript:alert(1))"}),
        change("recipe.json", name=f"{HTML}{CONTROL}", generators={HTML: {"x": CONTROL}}), expected=SAFE),
    spoilt("score", "line", "a completion of 60 MiB of small lists", "", added("completions.jsonl", BOMB_LINE), expected=SAFE),
    spoilt("score", "recipe", "a recipe of 100,000 brackets", "not JSON", write("recipe.json", "[" * 100_000)),
    spoilt("score", "giant", "a recipe of 64 MiB of small lists", "more than", write("recipe.json", b'{"a": [' + b"[]," * (21 * 2**20) + b"[]]}")),
    spoilt("score", "palette", "a palette of wrong types", "palette", write("palette.json", '{"name": 7, "colours": 8}')),
    spoilt("score", "pickle", "a pickle among the training sprites", "training.npz",
           lambda folder: _npz(folder, (1,), b"\x80\x04cos\nsystem\n(S'touch owned'\ntR.", "|O")),
    spoilt("score", "npz header", "training sprites of 4 TiB in the header", "training.npz", lambda folder: _npz(folder, (2**42, 1, 1), b"")),
    spoilt("score", "npz bomb", "training sprites of 1 GiB, deflated", "training.npz", _great),
    spoilt("score", "npz words", "training sprites that are no archive", "training.npz", write("training.npz", "words")),
)  # fmt: skip


def vote(**changes) -> dict:
    words = {
        "uid": "u1",
        "request_id": "r0",
        "left_maker": "adapter",
        "left_drawing": "x",
        "right_maker": "base model",
        "right_drawing": "y",
    }
    return (
        words
        | {"repeats": None, "rater": "Ann", "kind": "person", "answer": "left", "seconds": 1.5, "at": "2026-01-01"}
        | changes
    )


def _votes(name: str, what: str, says: str, *lines, expected: str = COUNTED) -> Hostile:
    def make(folder: Path) -> None:
        shutil.copytree(MADE / "run", folder / "run")
        (folder / "votes.jsonl").write_text(rows(*lines), "utf-8", "surrogatepass")

    return Hostile(f"votes: {name}", "votes", what, expected, says, make)


def _ours(**changes) -> dict:
    """A vote on two drawings that are in the run."""
    from eval.ratings import digest

    found = {}
    for line in (MADE / "run" / "completions.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        if row["request_id"] == "r0" and row["mode"] == "grammar":
            found[row["generator"]] = digest(row["text"])
    return vote(left_drawing=found["adapter"], right_drawing=found["base model"]) | changes


def _late(name: str, what: str, says: str, expected: str = COUNTED, **changes) -> Hostile:
    def make(folder: Path) -> None:
        shutil.copytree(MADE / "run", folder / "run")
        (folder / "votes.jsonl").write_text(json.dumps(_ours(**changes)) + "\n", "utf-8")

    return Hostile(f"votes: {name}", "votes", what, expected, says, make)


VOTES = (
    _late("as it is", "an honest vote", "1 added", SAFE),
    _votes("lines", "lines that are no votes", "no vote", "{", "[" * 100_000, "\x00", {"uid": 7}, vote(answer=["left"]), vote(kind="god")),
    _votes("strangers", "votes on drawings that are not here", "of other drawings", vote()),
    _votes("line", "a vote of 60 MiB of small lists", "no vote", BOMB_LINE),
    _late("surrogate", "a rater's name of lone surrogates", "no vote", rater="\ud800\udfff"),
    _late("control", "a rater's name of control characters", "no vote", rater=f"Ann{CONTROL}"),
    _late("uid", "an id of lone surrogates", "no vote", uid="\ud800"),
    _late("seconds", "seconds without end", "added", SAFE, seconds=10**400),
    _late("markup", "HTML and a formula as a rater's name", "added", SAFE, rater=f"=1+1 {HTML[:80]}"),
)  # fmt: skip


def _base(name: str, what: str, says: str, fill: Callable[[Path], object], expected: str = REFUSED) -> Hostile:
    return spoilt("sqlite", name, what, says, lambda folder: fill(folder / "ratings.sqlite"), expected=expected)


def _sql(*statements: str) -> Callable[[Path], object]:
    def fill(path: Path) -> None:
        base = sqlite3.connect(path)
        base.executescript(";".join(statements))
        base.commit()
        base.close()

    return fill


def _schema(*more: str) -> Callable[[Path], object]:
    def fill(path: Path) -> None:
        from eval.ratings import _SCHEMA

        _sql(_SCHEMA, *more)(path)

    return fill


def _link(path: Path) -> None:
    _sql("CREATE TABLE x (a)")(path.with_name("other.sqlite"))
    path.symlink_to("other.sqlite")


def _many_makers(folder: Path) -> None:
    """Votes on two drawings of the run, each by other makers."""
    own = _ours()
    said = (
        f"('u{n}', 'Ann', 'r0', 'm{n}', '{own['left_drawing']}', 'm{n + 1}', '{own['right_drawing']}', 'left', 1, '')"
        for n in range(100)
    )
    columns = "uid, rater, request_id, left_maker, left_drawing, right_maker, right_drawing, answer, seconds, at"
    words = ("INSERT INTO raters VALUES ('Ann', 'person')", f"INSERT INTO pairs ({columns}) VALUES {', '.join(said)}")
    _schema(*words)(folder / "ratings.sqlite")


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS name, 'person' AS kind FROM n WHERE x < 0"
RATINGS = (
    spoilt("score", "makers", "votes on 101 makers", "at most 50 can be ranked", _many_makers),
    _base("text", "a text called ratings.sqlite", "is it a file of votes", lambda path: path.write_text("SQLite? no" * 100)),
    _base("cut", "a file cut off after its head", "is it a file of votes", lambda path: path.write_bytes(b"SQLite format 3\0" + b"\xff" * 80)),
    _base("newer", "votes of a newer version", "newer version", _sql("PRAGMA user_version = 9")),
    _base("tables", "other tables of the same version", "file of votes", _sql("CREATE TABLE x (a)", "PRAGMA user_version = 1")),
    _base("view", "a view without end in place of the raters", "file of votes", _sql(
        f"CREATE VIEW raters AS {ENDLESS}", "CREATE TABLE pairs (number INTEGER PRIMARY KEY)", "PRAGMA user_version = 1")),
    _base("trigger", "a trigger beside our tables", "file of votes", _schema(
        "CREATE TRIGGER t AFTER INSERT ON raters BEGIN DELETE FROM pairs; END")),
    _base("blob", "bytes in place of words", "file of votes", _schema(
        "INSERT INTO raters VALUES (x'ff00', 'person')",
        "INSERT INTO pairs VALUES (1, x'ff', x'ff00', 'r', 'a', 'b', 'c', 'd', NULL, 'left', 1, 'x')")),
    _base("link", "a link to another program's file", "is a link", _link),
    _base("folder", "a folder of that name", "ratings.sqlite", lambda path: path.mkdir()),
)  # fmt: skip


def _parquet(folder: Path, **columns) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = next((folder / "data").glob("train-*.parquet"))
    table = pq.read_table(file)
    for name, value in columns.items():
        table = table.set_column(table.column_names.index(name), name, pa.array([value] * len(table)))
    pq.write_table(table, file)


def _equal_rows(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    _parquet(folder, completion=[{"role": "assistant", "content": "0" * 10**6}])
    file = next((folder / "data").glob("train-*.parquet"))
    pq.write_table(pa.concat_tables([pq.read_table(file).slice(0, 20)] * 15), file, compression="zstd")


DATASETS = (
    spoilt("curate", "as it is", "an honest dataset", "", expected=SAFE, of="dataset"),
    spoilt("curate", "words", "a parquet file that is none", "cannot be read", lambda f: next((f / "data").glob("*")).write_bytes(b"PAR1 no"), of="dataset"),
    spoilt("curate", "tags", "tags that are 100,000 brackets", "prepare", lambda f: _parquet(f, tags="[" * 100_000), of="dataset"),
    spoilt("curate", "types", "sizes that are words", "prepare", lambda f: _parquet(f, height="x", completion="y"), of="dataset"),
    spoilt("curate", "completions", "completions that are HTML", "", lambda f: _parquet(f, caption_full=HTML, source=HTML + CONTROL), of="dataset", expected=SAFE),
    spoilt("curate", "equal rows", "300 rows that hold one text of 1 MB, which is stored once", "unpack to far more", _equal_rows, of="dataset"),
    spoilt("curate", "palette", "a palette of 100,000 brackets", "palette", write("palette.json", "[" * 100_000), of="dataset"),
    spoilt("merge", "manifest", "a manifest of 100,000 brackets", "manifest", write("manifest.json", "[" * 100_000), of="dataset"),
    spoilt("merge", "keys", "a manifest without its keys", "older", write("manifest.json", '{"files": {}}'), of="dataset"),
    spoilt("merge", "palette", "a palette that is none", "palette", write("palette.json", "7"), of="dataset"),
    spoilt("merge", "out", "files in the manifest that lie outside", "", change("manifest.json", files={"../../../etc/passwd": {"sha256": "x", "rows": 1}}),
           of="dataset", expected=SAFE),
    spoilt("merge", "no palette", "no palette at all", "palette", without("palette.json"), of="dataset"),
)  # fmt: skip


def bench(name: str, file: str, data: bytes | str, what: str, says: str, expected: str = REFUSED) -> Hostile:
    return Hostile(f"bench: {name}", "bench", what, expected, says, put(file, data))


def packed(name: str, what: str, says: str, columns: Callable[[], dict]) -> Hostile:
    """A parquet file of these columns."""

    def make(folder: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table(columns()), folder / "r.parquet", compression="zstd")

    return Hostile(f"bench: {name}", "bench", what, REFUSED, says, make)


def _dictionary(count: int, size: int):
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array(["0" * size]))


def _empty_lists(count: int):
    import pyarrow as pa

    return pa.ListArray.from_arrays(
        [0, count], pa.ListArray.from_arrays(pa.array([0] * (count + 1), pa.int32()), pa.array([], pa.int8()))
    )


def _nested_dictionary():
    import pyarrow as pa

    return pa.ListArray.from_arrays([0, 1000], _dictionary(1000, 10**6))


def _nulls(count: int):
    import pyarrow as pa

    return pa.nulls(count)


BENCH = (
    packed("equal rows", "300 rows that hold one text of 1 MB, which is stored once", "unpack to far more", lambda: {"grid": ["0" * 10**6] * 300}),
    packed("dictionary", "the same, kept as a dictionary", "unpack to far more", lambda: {"grid": _dictionary(300, 10**6)}),
    packed("dictionary in lists", "a list of 1,000 texts of a dictionary", "plain lists", lambda: {"grid": _nested_dictionary()}),
    packed("long row", "a row of 5 MB", "a row of more than 4 MiB", lambda: {"grid": ["0" * (5 * 10**6)]}),
    packed("group", "one text of 200 MB", "a row group of more than", lambda: {"grid": ["0" * (2 * 10**8)]}),
    packed("lists", "a row of 20 million empty lists", "unpack to far more", lambda: {"grid": _empty_lists(2 * 10**7)}),
    packed("nulls", "20 million rows of nothing", "unpack to far more", lambda: {"grid": _nulls(2 * 10**7)}),
    bench("giant", "r.json", b"[" + b"[]," * (20 * 2**20) + b"[]]", "60 MiB of small lists", "more than 32 MiB"),
    bench("giant lines", "r.jsonl", b"[]\n" * (20 * 2**20), "20 million lines", "more than 32 MiB"),
    bench("no grid", "r.jsonl", rows({"a": 1}, "{", [1]), "rows without a grid", "no row has a 'grid'"),
    bench("nested", "r.json", "[" * 100_000, "100,000 brackets", "no readable JSON"),
    bench("parquet", "r.parquet", b"PAR1" + b"\xff" * 100, "a parquet file that is none", "parquet"),
    bench("types", "r.jsonl", rows({"grid": [[1, "x", None, [2]], "0101"], "palette": {"a": 1}, "height": "x", "cost": "free"},
                                   {"grid": [[10**18] * 3] * 3, "palette": ["=cmd()", 7], "model_name": HTML + CONTROL}), "wrong types", "", SAFE),
    bench("wide", "r.jsonl", rows({"grid": ["0" * 10**5] * 4, "palette": ["ffffff"] * 10**5}), "rows of 10⁵ and as many colours", "", SAFE),
)  # fmt: skip
CASES = (*SCORED, *VOTES, *RATINGS, *DATASETS, *BENCH)
