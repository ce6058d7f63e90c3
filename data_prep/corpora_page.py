"""docs/corpora.md: what the corpora are made of, and how well sprites are recovered from sheets and photographs. Written by

    python -m data_prep.corpora_page datasets/reef16 datasets/packs --recovery seed-3.txt photographs.txt

Reads the cards of prepared datasets, and what `python -m data_prep.sources.sheets_recovery` and `photographs_recovery` printed
into files. Every table is theirs; pictures of other people's sprites are left where they are.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from data_prep.errors import InputError, exit_code
from data_prep.whole_files import write_whole

MADE_OF = "What the cells are made of"
SECTIONS = ("Sprites by cell", MADE_OF, "Palette and sources", "Left out", "Sources, licences, attribution")
OUT = Path("docs/corpora.md")
INTRO = """# Corpora

Made by `python -m data_prep.corpora_page` from the cards of prepared datasets, which `pixelreef prepare` wrote, and from what the
two recovery commands printed. The datasets themselves are not published: each is a command away, in the head of its recipe under
`data_prep/recipes/`, and its own card, contact sheet, near-duplicates and list of dropped sprites lie beside it. How long it
takes: [speed.md](speed.md#preparing)."""
RECOVERED = """Known sprites are put on sheets, or before backgrounds, and read back. A sprite of a sheet counts as recovered only
when every pixel is right. The reading was chosen on seeds 1 and 2; each other seed was measured once. Sprites whose outline has
the colour of a sheet's key are not put on that sheet, since nothing could tell them apart from it: their number is given."""


def sections(card: str) -> dict[str, str]:
    """Title → body of a Markdown card's second-level sections."""
    parts = card.split("\n## ")[1:]
    return {title: body.strip() for title, _, body in (part.partition("\n") for part in parts)}


def corpus(folder: Path) -> str:
    """What the page says of one dataset. Raises InputError for a folder that has no card of ours."""
    try:
        card = (folder / "README.md").read_text("utf-8")
    except OSError as error:
        raise InputError(f"{folder}: no README.md; `pixelreef prepare` writes one") from error
    found = sections(card)
    if not any(title.startswith(SECTIONS[0]) for title in found):
        raise InputError(f"{folder}/README.md: has no 'Sprites by cell'; prepare the dataset again")
    lines = [f"## {folder.name}", _first_paragraph(card)]
    for title, body in found.items():
        if title.startswith(SECTIONS) and not (title == MADE_OF and body.partition("\n")[0].count("|") == 3):  # a single source
            lines += [f"### {title}", body]
    return "\n\n".join(lines)


def _first_paragraph(card: str) -> str:
    """What the card says of itself, below its title."""
    return card.split("\n# ", 1)[1].split("\n\n")[1]


def recovery(path: Path) -> str:
    """The tables and one-line figures of a recovery command's output, and how many misses it listed."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); save what the recovery command prints") from error
    if not any(line.startswith("|") for line in lines):
        raise InputError(f"{path}: holds no table; save what the recovery command prints")
    kept = [line for line in lines if not line.startswith("  ")]
    return f"### {path.stem}\n\n" + "\n".join(kept).strip()


def page(folders: Sequence[Path], recoveries: Sequence[Path]) -> str:
    parts = [INTRO, *map(corpus, folders)]
    if recoveries:
        parts += ["## Recovery", RECOVERED, *map(recovery, recoveries)]
    return "\n\n".join(parts) + "\n"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m data_prep.corpora_page")
    parser.add_argument("datasets", nargs="+", type=Path)
    parser.add_argument("--recovery", nargs="*", type=Path, default=[], metavar="FILE")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    return exit_code("corpora_page", lambda: write_whole(options.out, page(options.datasets, options.recovery)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
