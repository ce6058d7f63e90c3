"""Texts: descriptions of sheets, completions, palettes, recipes, decisions."""

# ruff: noqa: E501 (one case a line)
import json

from PIL.PngImagePlugin import PngInfo

from hostile.case import CONTROL, COUNTED, HTML, REFUSED, SAFE, Hostile, all_of, drawing, png, put, rows, saved, zeros
from hostile.pictures import BOMB

SHEET = saved(drawing(size=(16, 16)))
WIDE = saved(drawing(size=(1024, 1024)).resize((1024, 1024), box=(0, 0, 8, 8)))  # drawn on in every frame below


def sheet(name: str, description: str, what: str, says: str, expected: str = COUNTED, suffix: str = "json") -> Hostile:
    return Hostile(name, "sheets", what, expected, says, all_of(put("sheet.png", SHEET), put(f"sheet.{suffix}", description)))


def frames(*boxes, **more) -> str:
    named = [{"filename": f"f{n}", "frame": dict(zip("xywh", box, strict=True)), **more} for n, box in enumerate(boxes)]
    return json.dumps({"frames": named, "meta": {"image": "sheet.png"}})


HUGE_SOURCE = {"spriteSourceSize": {"x": 0, "y": 0}, "sourceSize": {"w": 1024, "h": 1024}}
SHEETS = (
    sheet("negative", frames((-4, -4, 8, 8), (0, 0, -8, -8)), "frames at negative places", "a frame outside"),
    sheet("outside", frames((10**9, 0, 8, 8), (0, 0, 10**300, 10**300)), "frames far outside", "a frame outside"),
    sheet("many", frames(*[(x % 16, x // 16 % 16, 1, 1) for x in range(30_000)]), "30,000 frames", "the same place"),
    sheet("source", frames(*[(x % 16, x // 16, 1, 1) for x in range(256)], **HUGE_SOURCE), "256 frames that say they were 1,024 a side", "animation frame"),
    sheet("cover", frames(*[(0, 0, 16, 16 - n % 16) for n in range(40)]), "frames over frames", "a frame that overlaps"),
    Hostile("overlaps", "sheets", "4,000 frames, all over the first one, on a large sheet", COUNTED, "many times over",
            all_of(put("sheet.png", WIDE), put("sheet.json", frames(*[(n % 40, n // 40, 900, 900) for n in range(4000)])))),
    sheet("digits", '{"frames": [{"frame": {"x": ' + "9" * 5000 + "}}]}", "a number of 5,000 digits", "not JSON"),
    sheet("deep", '{"frames":' * 60_000, "60,000 braces", "not JSON"),
    sheet("climbs", json.dumps({"frames": [], "textures": [{"image": "../../../etc/passwd", "frames": [{"frame": {"x": 0, "y": 0, "w": 4, "h": 4}}]}]}),
          "a picture outside of the folder", "leads out of the folder"),
    sheet("markup", frames((0, 0, 8, 8)).replace("f0", json.dumps(HTML + CONTROL)[1:-1]), "a frame's name of HTML and control characters", "", SAFE),
    sheet("atlas", "sheet.png\nsize: -1,-1\n" + "\n".join(f"r{n}\n  xy: {'9' * 30}, 0\n  size: -5, {n}" for n in range(2000)),
          "a libGDX atlas of nonsense", "of another size", suffix="atlas"),
    sheet("atlas_digits", "sheet.png\nr\n bounds: " + ",".join(["9" * 6000] * 4), "a libGDX atlas of 6,000 digits", "four whole numbers",
          suffix="atlas"),
    Hostile("credits", "sheets", "a page of 100,000 unclosed tags", SAFE, "",
            all_of(put("sheet.png", SHEET), put("page.html", '<div class="field-name-title">' * 100_000 + HTML))),
    Hostile("credits_ends", "sheets", "a page of 1,001 open tags and 300,000 ends of others", SAFE, "",
            all_of(put("sheet.png", SHEET), put("page.html", "<i>" * 1001 + "</b>" * 300_000))),
    Hostile("credits_text", "sheets", "a credits file of 3 MiB of 'source:'", SAFE, "",
            all_of(put("sheet.png", SHEET), put("CREDITS.txt", "source :" * 400_000))),
    Hostile("grid", "sheets", "grid numbers of 1 pixel on a large sheet", COUNTED, "more than 10000 cells",
            all_of(put("sheet.png", png(1024, 1024, mode=0, pixels=zeros(1025 * 1024))),
                   put("metadata.jsonl", rows({"file_name": "sheet.png", "grid": {"tile_width": 1, "tile_height": 1}})))),
)  # fmt: skip


def completion(name: str, text: str, what: str, says: str, expected: str = REFUSED) -> Hostile:
    return Hostile(name, "completion", what, expected, says, put("completion.txt", text))


FLAT = '{"palette":["ff0000","00ff00"],"grid":%s}'
COMPLETIONS = (
    completion("long", '{"palette":"reef64","grid":["' + "0" * 10**6, "10⁶ characters of a row", "characters"),
    completion("braces", "{" * 10**6, "10⁶ braces", "characters"),
    completion("objects", '{"grid":' * 100_000, "100,000 nested objects", "characters"),
    completion("lists", FLAT % ("[" * 5000 + "]" * 5000), "5,000 nested lists", "characters"),
    completion("digits", FLAT % ("[[" + "9" * 9000 + "]]"), "an index of 9,000 digits", "palette"),
    completion("unicode", FLAT % '["\u202e\u0661\u0662\u0663","０１２３","𝟘𝟙𝟚𝟛","\u200b012"]', "digits of other scripts, marks", "no entry"),
    completion("surrogates", '{"palette":["ff0000","00ff00"],"grid":["\ud800\ud800"]}', "lone surrogates", "no entry"),
    completion("traversal", '{"palette":"../../../etc/passwd","grid":["0000","0000","0000","0000"]}', "a palette that is a path", "palette"),
    completion("control", f'{{"palette":"{CONTROL}","grid":[]}}', "a palette's name of control characters", "palette"),
    completion("fences", "Sure!\n" + "```json\n" * 20_000, "20,000 fences", "characters"),
    completion("forgiven", "```json\n" + FLAT % '[[0,1,0,1],[0,1,0,1],[0,1,0,1],[0,1,0,1]]' + "\n```" + HTML, "a drawing in a fence, then HTML",
               "text around", SAFE),
    completion("floats", FLAT % ("[[" + "1" * 150_000 + ".5]]"), "a fraction of 150,000 digits", "characters"),
    completion("colours", '{"palette":' + json.dumps(["hsl(1,1%,1%)" + "9" * 10**5] * 63) + ',"grid":["0"]}', "colours of 10⁵ characters", "characters"),
    Hostile("shade_grid", "shade", "a completion of 10⁶ characters, to be lit", REFUSED, "characters",
            put("input.txt", '{"palette":"reef64","grid":["' + "0" * 10**6)),
)  # fmt: skip


def palette(name: str, data: bytes | str, what: str, says: str, expected: str = REFUSED) -> Hostile:
    return Hostile(name, "palette", what, expected, says, put(name, data))


PALETTES = (
    palette("colours.gpl", "GIMP Palette\n" + "1 2 3 x\n" * 300_000, "300,000 colours, all the same", "more than 1 MiB"),
    palette("digits.gpl", "GIMP Palette\n" + "9" * 5000 + " 1 1\n", "a channel of 5,000 digits", "digits.gpl"),
    palette("words.gpl", f"GIMP Palette\nName: {HTML}\n{CONTROL} 1 2 3", "control characters in it", "is not a colour"),
    palette("giant.hex", b"ffffff\n" * (40 * 2**20 // 7), "a palette of 40 MiB", "more than"),
    palette("line.hex", "f" * 10**6, "one colour of 10⁶ digits", "line.hex"),
    palette("nested.json", "[" * 100_000, "100,000 brackets", "not JSON"),
    palette("types.json", json.dumps({"name": ["x"], "colours": {"a": 1}, "ramps": 7}), "wrong types", "palette"),
    palette("name.json", json.dumps({"name": HTML + CONTROL, "colours": ["00000g"]}), "HTML and control characters as its name", "is not a colour"),
    palette("bomb.png", BOMB, "a bomb as a palette", "bomb.png"),
    palette("indexed.png", png(20_000, 20_000, mode=3, before=b"", pixels=zeros(2**20)), "a palette PNG of 20,000 a side", "indexed.png"),
    palette("table.png", saved(drawing("P"))[:60], "cut off in its table", "table.png"),
    palette("script.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript called .png", "script.png"),
)  # fmt: skip

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
MERGED = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12))
LAUGHS_LIST = "  - &b0 [z, z]\n" + "".join(f"  - &b{n} [{', '.join([f'*b{n - 1}'] * 9)}]\n" for n in range(1, 9))
RECIPES = {  # name → text, what, what is said
    "tags": ("name: !!python/object/apply:os.system ['touch owned']\n", "a Python tag", ""),
    "new": ("name: !!python/object/new:type\n  args: ['x', !!python/tuple [], {}]\n", "a Python object", ""),
    "laughs": (LAUGHS + "name: *a11\n", "a billion laughs", ""),
    "laughs as values": ("name: x\nsizes: [16]\ndataset: x\nsources:\n" + LAUGHS_LIST, "a billion laughs as a list of sources", ""),
    "merged": (MERGED, "a billion laughs of merge keys, which come to one value", "merge keys"),
    "hexadecimal": ("name: x\nseed: -0x" + "f" * 8000 + "\n", "a number of 8,000 hexadecimal digits", "beyond 64 bits"),
    "hexadecimal key": ("? 0x" + "f" * 8000 + "\n: x\n", "a key of 8,000 hexadecimal digits", "beyond 64 bits"),
    "cycle": ("name: &a [*a]\nsources: *a\n", "a list that holds itself", ""),
    "deep": ("name: " + "[" * 20_000 + "]" * 20_000, "20,000 brackets", ""),
    "digits": ("name: x\nseed: " + "9" * 5000 + "\n", "a number of 5,000 digits", ""),
    "date": ("name: x\nseed: 2001-99-99\n", "a date that is none", ""),
    "types": ("name: {a: 1}\nsources: 7\nsizes: {}\ndataset: [1]\n", "wrong types", ""),
    "key": ("x" * 200_000 + ": 1\n", "a key of 200,000 characters", ""),
    "control": ('"\\e[31m\\u202eowned\\0": 1\n', "a key of control characters", ""),
    "bytes": ("\xff\xfe\x00", "no text", ""),
    "words": ("just words", "no mapping", ""),
    "giant": ("# x\n" * (16 * 2**20 // 4), "16 MiB of comments", "more than"),
}  # fmt: skip
READ_BY = ("prepare recipe", "train recipe", "run recipe", "transformer recipe")


def _recipes():
    for reader in READ_BY:
        for name, (text, what, says) in RECIPES.items():
            yield Hostile(f"{name} ({reader})", reader, what, REFUSED, says, put("recipe.yaml", text))


NAMES = {"name": "good.png", "decision": "reject"}
CURATION = (
    Hostile("curation", "curation", "decisions that are none", COUNTED, "no decision",
            put("c.jsonl", rows("{", "[" * 100_000, {"name": 7, "decision": "reject"}, {"name": "x", "decision": ["reject"]}, "\x00", NAMES))),
    Hostile("curation_line", "curation", "a line of 60 MiB of small lists", COUNTED, "",
            put("c.jsonl", '{"name": [' + "[]," * (20 * 2**20) + "[]]}\n" + rows(NAMES))),
    Hostile("curation_lines", "curation", "40 million empty lines", SAFE, "", put("c.jsonl", b"\n" * (40 * 2**20) + rows(NAMES).encode())),
)  # fmt: skip


def drawn(name: str, what: str, says: str, **told: str) -> Hostile:
    """A picture that says how it was drawn."""
    chunks = PngInfo()
    for key, text in ({"caption": "a fish", "seed": "1"} | told).items():
        chunks.add_text(key, text)
    return Hostile(name, "like", what, REFUSED, says, put("old.png", saved(drawing(), pnginfo=chunks)))


DRAWN = (drawn("together", "drawn together with 10²⁰ others", "damaged", together="0-99999999999999999999"),)
CASES = (*DRAWN, *SHEETS, *COMPLETIONS, *PALETTES, *_recipes(), *CURATION)
