"""Pictures: broken, bombs, of the wrong kind, with odd modes and endless chunks."""

# ruff: noqa: E501 (one case a line)
import os
import struct
import zlib

from PIL import Image

from hostile.case import COUNTED, REFUSED, SAFE, Hostile, all_of, chunk, drawing, png, put, saved, zeros

GOOD = saved(drawing())
WIDE = 2**31 - 1


def pack(name: str, data: bytes, what: str, says: str, expected: str = COUNTED, reader: str = "pack") -> Hostile:
    """A picture beside a good one, which must come through."""
    return Hostile(name, reader, what, expected, says, all_of(put(name, data), put("good.png", GOOD)))


def _animated() -> bytes:
    frames = [drawing().rotate(90 * turn) for turn in range(4)]
    return saved(frames[0], "GIF", save_all=True, append_images=frames[1:] * 100)


def _striped_tiff() -> bytes:
    """A TIFF whose directory points at itself."""
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 1) + struct.pack("<HHII", 256, 4, 1, 8) + struct.pack("<I", 8)


def _sampled_tiff() -> bytes:
    """A TIFF of 4,000 numbers a pixel."""
    entries = [(256, 8), (257, 8), (258, 8), (277, 4000)]  # width, height, bits, samples
    told = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + told + bytes(4)


def _endless_gif() -> bytes:
    """Blocks of one byte after each other instead of pixels."""
    head = b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0xF7, 0, 0) + bytes(768)
    return head + b"," + struct.pack("<HHHHB", 0, 0, 60_000, 60_000, 0) + b"\x08" + b"\x01\x00" * 300_000


BOMB = png(60_000, 60_000, pixels=zeros(2**20))
TEXT = chunk(b"zTXt", b"caption\0\0" + zeros(2**28))
ICC = chunk(b"iCCP", b"profile\0\0" + zeros(2**28))
MANY = b"".join(chunk(b"tEXt", b"key%d\0" % number + b"x" * 900) for number in range(100_000))
CASES = (
    pack("cut.png", GOOD[:-30], "PNG, cut off", "broken picture"),
    pack("empty.png", b"", "no byte at all", "no known format"),
    pack("words.png", b"<html>", "HTML called .png", "no known format"),
    pack("script.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript called .png", "no known format"),
    pack("vector.png", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', "SVG called .png",
         "no known format"),
    pack("zeros.png", bytes(16 * 2**20 + 1), "larger than a picture may be", "too large"),
    pack("bomb.png", BOMB, "60,000 × 60,000 in a file of some KB", "decompression bomb"),
    pack("flat.png", png(4096, 1025, pixels=zeros(4096 * 4 * 1025)), "just over the limit of pixels", "decompression bomb"),
    pack("header.png", png(WIDE, WIDE), "2³¹−1 a side in the header", "decompression bomb"),
    pack("nothing.png", png(0, 0), "0 × 0 pixels", "picture"),
    pack("line.png", png(2**22, 1), "4,194,304 × 1 and no data for it", "broken picture"),
    pack("text.png", png(8, 8, before=TEXT), "a text chunk of 256 MiB, deflated", "broken picture"),
    pack("texts.png", png(8, 8, before=MANY), "100,000 text chunks", "too large"),
    pack("icc.png", png(8, 8, before=ICC), "a colour profile of 256 MiB, deflated", "broken picture"),
    pack("crc.png", GOOD.replace(b"IDAT", b"IDAU"), "a chunk renamed, so its checksum is wrong", "picture"),
    pack("deep.png", saved(Image.new("I;16", (8, 8), 40_000)), "16-bit grey", "", SAFE),
    pack("ink.jpg", saved(drawing("CMYK"), "JPEG"), "a CMYK JPEG", "", SAFE),
    pack("float.tif", saved(Image.new("F", (8, 8), float("nan")), "TIFF"), "a TIFF of NaN", "", SAFE),
    pack("named.jpg", saved(drawing("P"), "PNG", transparency=0), "a palette PNG with transparency, called .jpg", "", SAFE),
    pack("frames.gif", _animated(), "an animation of 401 frames", "only the first frame", SAFE),
    pack("endless.gif", _endless_gif(), "a GIF of 60,000 a side", "decompression bomb"),
    pack("circle.tif", _striped_tiff(), "a TIFF whose directory leads to itself", "picture"),
    pack("large.webp", saved(Image.new("RGB", (8191, 513), "red"), "WEBP"), "a WebP just over the limit", "decompression bomb"),
    pack("photograph.png", png(8192, 8192, mode=4, pixels=zeros((8192 * 2 + 1) * 8192)), "67 megapixels, grey and alpha",
         "decompression bomb", COUNTED, "photographs"),
    pack("deep_photograph.png", png(8192, 8192, mode=0, depth=16, pixels=zeros((8192 * 2 + 1) * 8192)),
         "67 megapixels of 16 bits", "", COUNTED, "photographs"),
    Hostile("link.png", "pack", "a link to a file outside of the pack", COUNTED, "a link that leads out",
            all_of(put("good.png", GOOD), lambda folder: os.symlink("/etc/passwd", folder / "link.png"))),
    Hostile("loop", "pack", "a link to itself", COUNTED, "a link that leads nowhere",
            all_of(put("good.png", GOOD), lambda folder: os.symlink("loop.png", folder / "loop.png"))),
    Hostile("pipe.png", "pack", "a pipe that nobody writes to", SAFE, "",
            all_of(put("good.png", GOOD), lambda folder: os.mkfifo(folder / "pipe.png"))),
    Hostile("shade_bomb", "shade", "a bomb to be lit", REFUSED, "megapixels", put("input.png", BOMB)),
    Hostile("shade_samples", "shade", "a drawing of 4,000 numbers a pixel, of which a decoder complains on the terminal", REFUSED,
            "not a picture", put("input.png", _sampled_tiff())),
    Hostile("shade_text", "shade", "a text chunk of 256 MiB in a drawing", REFUSED, "broken picture", put("input.png", png(8, 8, before=TEXT))),
    Hostile("shade_big", "shade", "a drawing of 2,000 a side", REFUSED, "a sprite has 4 to 64",
            put("input.png", png(2000, 2000, mode=0, pixels=zlib.compress(b"".join(b"\0" + bytes([y % 251]) * 1999 + b"\7" for y in range(2000)))))),
    Hostile("reference_bomb", "reference", "a bomb as a reference", REFUSED, "megapixels", put("input.png", BOMB)),
    Hostile("reference_thin", "reference", "a reference of 1 × 100,000", REFUSED, "times as long as wide",
            put("input.png", png(1, 100_000, mode=0, pixels=zeros(200_000)))),
    Hostile("like_nested", "like", "a drawing that says its palette is 100,000 brackets", REFUSED, "damaged",
            lambda folder: _said(folder, palette="[" * 100_000)),
    Hostile("like_numbers", "like", "a drawing that says its seed is infinite", REFUSED, "not a number",
            lambda folder: _said(folder, seed="1e999")),
    Hostile("like_model", "like", "a drawing that names a model to load from a path", REFUSED, "is not packaged",
            lambda folder: _said(folder, base="../../evil", base_hash="0" * 64)),
    Hostile("like_given", "like", "a drawing that says pixels of 10⁶ a row stand", REFUSED, "damaged",
            lambda folder: _said(folder, given='["' + "0" * 10**6 + '"]')),
)  # fmt: skip


def _said(folder, **told) -> None:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, value in ({"caption": "a fish", "seed": "1"} | told).items():
        info.add_text(key, value, zip=len(value) > 1000)
    drawing().save(folder / "input.png", pnginfo=info)
