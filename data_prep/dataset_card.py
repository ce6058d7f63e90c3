"""Dataset card: a manifest and the credits → the README.md of a prepared corpus. Pure; `prepare` writes the text."""

import hashlib
from collections.abc import Mapping

from data_prep.captions import CATEGORIES, ZONES
from data_prep.focus import in_words
from data_prep.printable import markdown, table
from data_prep.recipe import CELL_NAMES

HUB_LICENCES = {name: name.lower() for name in ("CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-4.0", "Apache-2.0", "MIT")}


def render(manifest: dict, credits: Mapping[tuple[str, str, str], int]) -> str:
    """The card's whole text. credits: (source, licence, attribution) → sprites, every one of which is listed."""
    recipe, totals = manifest["recipe"], {split: sum(cells.values()) for split, cells in manifest["counts"].items()}
    sizes = ", ".join(f"{size}×{size}" for size in recipe["sizes"])
    palette = manifest["palette"]
    parts = [
        _header(manifest, [split for split, total in totals.items() if total], credits),
        f"# {markdown(recipe['name'])}",
        f"{sum(totals.values()):,} pixel-art sprites ({sizes}) as prompt–completion pairs for language models, made by "
        f"`pixelreef prepare`. Palette {palette['name']}: {palette['colours']} colours and transparent; `palette.json` has them.",
        '```python\nfrom datasets import load_dataset\n\npairs = load_dataset("this/folder")\n```',
        "Splits are by group (silhouette and label), so that a recolour of a training sprite is in no other split; "
        "procedural sprites are split by plan, colour and pattern, so that the test set has unseen combinations. In "
        f"{recipe['empty_caption_share']:.0%} of the training pairs the caption is emptied; `caption_full` keeps it.",
        *_left_out(recipe.get("leave_out_cells", [])),
        f"## Sprites by cell ({' / '.join(totals)})",
        _coverage(manifest["counts"]),
        *_focus(manifest.get("focus")),
        "## What the cells are made of",
        _made_of(manifest["sources"]),
        "## Palette and sources",
        "The error is the mean distance in OKLab that the palette moved an opaque pixel (white to black is 1).",
        _table(("source", "sprites", "error", "entries used", "most used"), list(map(_source, manifest["sources"].items()))),
        *_tasks(recipe["tasks"]),
        *_near(manifest.get("near_duplicates", {})),
        "## Left out",
        _table(("reason", "sprites"), sorted(manifest["dropped"].items())) if manifest["dropped"] else "Nothing.",
        "## Sources, licences, attribution",
        _table(("source", "licence", "attribution", "sprites"), [(*key, count) for key, count in sorted(credits.items())]),
    ]
    return "\n\n".join(parts) + "\n"


def _header(manifest: dict, splits: list[str], credits: Mapping[tuple[str, str, str], int]) -> str:
    """The card's YAML. The content's hash is in the config, because `datasets` keys its cache by the folder's name and this
    header alone: without it, a folder that was made again, or another one of the same name, would load the old rows."""
    import yaml

    licences = sorted({HUB_LICENCES.get(licence, "other") for _, licence, _ in credits})
    content = hashlib.sha256("".join(file["sha256"] for file in manifest["files"].values()).encode()).hexdigest()
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits]
    header = {
        "pretty_name": manifest["recipe"]["name"],
        "license": licences[0] if len(licences) == 1 else licences,
        "task_categories": ["text-generation"],
        "tags": ["pixel-art"],
        "configs": [{"config_name": "default", "description": f"content {content}", "data_files": files}],
    }
    return "---\n" + yaml.safe_dump(header, sort_keys=False, allow_unicode=True) + "---"


def _left_out(cells: list[str]) -> list[str]:
    """A paragraph on the split unseen_cells, where there is one."""
    if not cells:
        return []
    words = "all of their sprites are in the split `unseen_cells`, and their silhouettes in no other"
    return [f"Cells left out of training: {', '.join(cells)}; {words}."]


def _focus(told: dict | None) -> list[str]:
    """A section where a run's drawings weighed the cells."""
    return ["## Weighed by a run", *in_words(told)] if told else []


def _made_of(sources: Mapping[str, dict]) -> str:
    """Cells downwards, sources across, of all splits; cells without a sprite are missing."""
    cells = list(dict.fromkeys([*CELL_NAMES, *sorted(cell for one in sources.values() for cell in one["cells"])]))
    rows = [(cell, *(one["cells"].get(cell, 0) for one in sources.values())) for cell in cells]
    return _table(("cell", *sources), [row for row in rows if any(row[1:])])


def _source(item: tuple[str, dict]) -> tuple:
    name, found = item
    return name, found["sprites"], f"{found['oklab_error']:.4f}", found["entries_used"], ", ".join(found["most_used"])


def _tasks(weights: Mapping[str, float]) -> list[str]:
    """A paragraph where there are more tasks than drawing."""
    if set(weights) == {"draw"}:
        return []
    shares = ", ".join(f"{task} {weight / sum(weights.values()):.0%}" for task, weight in weights.items())
    return [f"Tasks: {shares}. Each sprite is one task's pair; the column `task` says which."]


def _near(alike: Mapping[str, int]) -> list[str]:
    """A paragraph on what is nearly the same, where anything is."""
    if not any(alike.values()):
        return []
    told = ", ".join(f"{count:,} {how}" for how, count in alike.items())
    words = "Those that are flipped or moved are left out; the others are kept, and share a split with what they are like."
    return ["## Near duplicates", f"Pairs: {told}. {words}", "![near duplicates](near_duplicates.png)"]


def _coverage(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Zones downwards, categories across, a count for each split in a cell; 'none' where a sprite has no zone or category."""
    cells = {cell for split in counts.values() for cell in split}
    zones = [*ZONES, *(["none"] if any(cell.startswith("none/") for cell in cells) else [])]
    categories = [*CATEGORIES, *(["none"] if any(cell.endswith("/none") for cell in cells) else [])]
    rows = []
    for zone in zones:
        numbers = [" / ".join(str(split.get(f"{zone}/{category}", 0)) for split in counts.values()) for category in categories]
        rows.append((zone, *numbers))
    return _table(("", *categories), rows)


def _table(head: tuple, rows: list[tuple]) -> str:
    safe = [tuple(markdown(str(value).replace("|", "/")) for value in line) for line in (head, *rows)]
    return "\n".join(table(safe[0], safe[1:]))
