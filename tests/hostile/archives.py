"""Zips and packs: bombs, names that climb, links, wrong checksums, and metadata that lies."""

# ruff: noqa: E501 (one case a line)
import io
import stat
import struct
import warnings
import zipfile

from hostile_files import OUTSIDE

from hostile.case import CONTROL, COUNTED, HTML, REFUSED, SAFE, Hostile, all_of, drawing, member, put, rows, saved, zipped
from hostile.pictures import GOOD

KEPT, OTHER = ("good.png", GOOD), saved(drawing().rotate(90))


def archive(name: str, data: bytes, what: str, says: str, expected: str = COUNTED, reader: str = "pack") -> Hostile:
    return Hostile(name, reader, what, expected, says, put("pack.zip", data))


def _encrypted() -> bytes:
    """The bit that says so is enough for a reader without the password."""
    data = bytearray(zipped(KEPT, ("secret.png", GOOD)))
    place = data.rfind(b"PK\x01\x02")
    data[place + 8] |= 1
    local = data.rfind(b"PK\x03\x04")
    data[local + 6] |= 1
    return bytes(data)


def _wrong_crc() -> bytes:
    data = bytearray(zipped(KEPT, ("wrong.png", GOOD)))
    place = data.rfind(b"PK\x01\x02")
    data[place + 16 : place + 20] = b"\1\2\3\4"
    return bytes(data)


def _overlapping() -> bytes:
    """Many names for one stretch of data (D. Fifield, 'A better zip bomb', 2019)."""
    data = zipped(("aaaaa.png", bytes(2**20)))
    place = data.index(b"PK\x01\x02")
    entry = data[place : data.index(b"PK\x05\x06")]
    entries = b"".join(entry.replace(b"aaaaa.png", b"%05d.png" % number) for number in range(2_000))
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 2_000, 2_000, len(entries), place, 0)
    return data[:place] + entries + end


def _far_directory() -> bytes:
    return zipped(KEPT)[:-22] + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)


def _method() -> bytes:
    data = bytearray(zipped(KEPT, ("odd.png", GOOD)))
    place, local = data.rfind(b"PK\x01\x02"), data.rfind(b"PK\x03\x04")
    data[place + 10 : place + 12] = data[local + 8 : local + 10] = struct.pack("<H", 97)
    return bytes(data)


def _duplicates() -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return zipped(KEPT, KEPT, KEPT)


def _pack(name: str, metadata: str, what: str, says: str, expected: str = COUNTED, reader: str = "pack") -> Hostile:
    return Hostile(name, reader, what, expected, says, all_of(put("good.png", GOOD), put("metadata.jsonl", metadata)))


def _lines_bomb() -> bytes:
    """A metadata.jsonl of 250 MiB of line ends, deflated to 250 KB."""
    info = member("metadata.jsonl")
    return _stored_deflated([(info, 250 * 2**20, b"\n")])


def _filled_lines() -> bytes:
    return _stored_deflated([(member("metadata.jsonl"), 60 * 2**20, b"x\n")])


def _blank_lines() -> bytes:
    return _stored_deflated([(member("metadata.jsonl"), 60 * 2**20, b" \n")])


def _faulty_folders() -> bytes:
    """A megabyte of faulty lines in each of 20 folders."""
    return _stored_deflated([(member(f"{number}/metadata.jsonl"), 2**20, b"x\n") for number in range(20)])


def _stored_deflated(entries) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("good.png", GOOD)
        for info, size, byte in entries:
            with file.open(info, "w") as target:
                for _ in range(size // 2**20):
                    target.write(byte * (2**20 // len(byte)))
    return data.getvalue()


LINK = member("link.png", stat.S_IFLNK | 0o777)
ROW = {"file_name": "good.png", "label": "a crab"}
CASES = (
    archive("climbing.zip", zipped(KEPT, ("../../../climbed.png", GOOD)), "a name that climbs out", "climbs out"),
    archive("absolute.zip", zipped(KEPT, (OUTSIDE, GOOD)), "an absolute name", "climbs out"),
    archive("drive.zip", zipped(KEPT, (r"C:\owned.png", GOOD), (r"..\..\owned.png", GOOD)), "names of another system", "climbs out"),
    archive("link.zip", zipped(KEPT, (LINK, "/etc/passwd")), "a symbolic link", "no known format"),
    archive("twice.zip", _duplicates(), "one name three times", "duplicate name"),
    archive("encrypted.zip", _encrypted(), "an encrypted member", "broken zip member"),
    archive("crc.zip", _wrong_crc(), "a wrong checksum", "broken zip member"),
    archive("method.zip", _method(), "an unknown compression", "broken zip member"),
    archive("cut.zip", zipped(KEPT)[:-10], "cut off", "neither a folder nor a zip", REFUSED),
    archive("directory.zip", _far_directory(), "a directory that lies beyond its end", "zip directory is broken", REFUSED),
    archive("overlap.zip", _overlapping(), "2,000 names for one bomb", "broken zip member", COUNTED),
    archive("bomb.zip", _stored_deflated([(member("bomb.png"), 256 * 2**20, b"\0")]), "a picture of 256 MiB, deflated", "too large"),
    archive("lines.zip", _lines_bomb(), "metadata of 262,144,000 empty lines, deflated", "too large", COUNTED),
    archive("nested.zip", zipped(("a.zip", zipped(("b.zip", zipped(("c.png", GOOD))))), KEPT), "a zip in a zip in a zip",
            "a zip within a zip", COUNTED, "sheets"),
    archive("small_lines.zip", _filled_lines(), "metadata of 60 MiB of lines that are no JSON", "100,000 faulty lines", COUNTED),
    archive("blank_lines.zip", _blank_lines(), "metadata of 31 million lines of one blank", "", SAFE),
    archive("folders.zip", _faulty_folders(), "metadata of 500,000 faulty lines in each of 20 folders", "100,000 faulty lines"),
    archive("zips.zip", zipped(*[(f"{number}.zip", _faulty_folders()) for number in range(20)], KEPT),
            "20 zips of such metadata in one", "100,000 faulty lines", COUNTED, "sheets"),
    archive("control.zip", zipped(KEPT, (f"{CONTROL}.png", GOOD)), "a name of control characters and marks", "", SAFE),
    archive("control_cut.zip", zipped(KEPT, (f"\x1b[31m\u202e{HTML.replace('/', '')}.png", GOOD[:-30])),
            "a broken picture with such a name", "broken picture", COUNTED),
    archive("prepared.zip", zipped(("a\u009b2J\u202e.png", GOOD), (f"=cmd|' {HTML.replace('/', '')}.png", GOOD), KEPT),
            "such names, prepared whole", "duplicate", COUNTED, "prepare"),
    _pack("not_json", rows("{not json", "[1]", "\x00"), "metadata that is no JSON", "not JSON"),
    _pack("nested", rows("[" * 100_000, '{"file_name":' * 50_000), "100,000 brackets", "not JSON"),
    _pack("line", '{"file_name": "good.png", "x": [' + "[]," * (20 * 2**20) + "[]]}", "one line of 60 MiB, small lists", "a line of more than"),
    _pack("outside", rows({"file_name": "../../../../etc/passwd"}, {"file_name": "/etc/passwd"}), "metadata for files outside",
          "climbs out"),
    _pack("twice", rows(ROW, ROW), "one picture described twice", "duplicate name"),
    _pack("types", rows({"file_name": ["good.png"]}, {"file_name": "good.png", "label": {"a": 1}, "licence": 7, "zone": [1]}),
          "wrong types", "no object with a file_name"),
    _pack("numbers", rows('{"file_name": "good.png", "label": NaN}', '{"file_name": ' + "9" * 5000 + "}"), "NaN and a number of 5,000 digits",
          "metadata"),
    _pack("markup", rows({**ROW, "label": HTML, "caption": f"{HTML}{CONTROL}", "source": f"![x](http://x.invalid/{HTML}) | a",
                          "licence": "=HYPERLINK(1)", "attribution": f"@me [l](javascript:alert(1)) {CONTROL}"}),
          "HTML, Markdown and control characters in words, prepared whole", "", SAFE, "prepare"),
    Hostile("no_pack", "pack", "a text file as a pack", REFUSED, "neither a folder nor a zip", put("pack.zip", "PK? no")),
)  # fmt: skip
