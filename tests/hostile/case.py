"""A hostile file: how it is made, who reads it, and what must come of it."""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

REFUSED, COUNTED, SAFE = "refused", "counted", "safe"  # exit code 2 and one line; left out with its reason; read without harm
CONTROL = "\x1b]0;owned\x07\x1b[31mred\x1b[0m\u202egnp\u2028\x00\u009b2J"  # title, colour, right-to-left, line end, NUL, C1
HTML = "<script>alert(1)</script><img src=x onerror=alert(1)>"


@dataclass(frozen=True)
class Hostile:
    """make: writes the file or files into an empty folder; reader: a name in `readers.READERS`; says: a part of the line or
    reason that is expected."""

    name: str
    reader: str
    what: str
    expected: str
    says: str
    make: Callable[[Path], object]


def put(name: str, data: bytes | str) -> Callable[[Path], object]:
    """A maker of one file."""
    content = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data

    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

    return make


def all_of(*makers: Callable[[Path], object]) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        for maker in makers:
            maker(folder)

    return make


def text_of(data) -> str:
    return json.dumps(data)


def rows(*given) -> str:
    """Lines of JSON; a text stands for itself."""
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in given)


# --- pictures -------------------------------------------------------------------------------------------------------


def drawing(mode: str = "RGBA", size: tuple[int, int] = (8, 8)) -> Image.Image:
    image = Image.new("RGBA", size)
    image.paste((200, 30, 30, 255), (1, 1, 6, 5))
    image.putpixel((2, 2), (30, 30, 200, 255))
    return image.convert(mode)


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def png(width: int, height: int, *, mode: int = 6, depth: int = 8, before: bytes = b"", pixels: bytes | None = None) -> bytes:
    """A PNG by hand. before: further chunks; pixels: deflated lines, by default hardly any."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, mode, 0, 0, 0))
    body = zlib.compress(b"\0" * 100) if pixels is None else pixels
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def zeros(count: int) -> bytes:
    """So many zero bytes, deflated, without ever holding them."""
    packer = zlib.compressobj(1)
    parts = [packer.compress(bytes(min(2**20, count - start))) for start in range(0, count, 2**20)]
    return b"".join([*parts, packer.flush()])


# --- zips -----------------------------------------------------------------------------------------------------------


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes | str]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return data.getvalue()


def member(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
    return info
