"""`pixelreef draw --like old.png`: what a picture's text chunks say of how it was drawn, and the model that drew it, by its hash.

`written` makes the chunks, `read_how` reads them back. Paths are never written: a picture travels, its adapter's folder does not.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.errors import InputError
from data_prep.grid_text import ALPHABET, INDEX_OF
from data_prep.palette import Palette
from data_prep.sprite import MAX_SIDE, MIN_SIDE
from data_prep.whole_files import file_sha256
from eval.pictures import read_picture
from eval.reference import Reference
from finetune.adapter_folder import AdapterFacts
from finetune.base_models import PACKAGED

NUMBERS = {
    "seed": int, "index": int, "best_of": int, "scale": int, "sheet": int, "height": int, "width": int, "top_k": int,
    "temperature": float, "top_p": float, "min_p": float, "guidance": float,
}  # fmt: skip
WORDS = (
    "caption", "adapter", "adapter_hash", "base", "base_hash", "transformer", "transformer_hash", "endpoint", "forced",
    "continued", "task", "beside", "dtype",
)  # fmt: skip
BEFORE = "bfloat16"  # what language models drew in while pictures did not say it
DRAW = "."  # of given pixels: the model draws here; no symbol of the alphabet


@dataclass(frozen=True)
class How:
    """What a picture says of how it was drawn; a value is None where it says nothing. together: indices of one batch."""

    file: Path
    values: Mapping
    palette: Palette | None = None
    reference: Reference | None = None
    given: np.ndarray | None = None
    together: range | None = None

    def get(self, key: str, otherwise=None):
        return self.values.get(key, otherwise)


def written(palette: Palette | None, reference: Reference | None, given: np.ndarray | None, together: range | None) -> dict:
    """The chunks of what is no number or word. given: (H, W) int16, −1 where the model draws."""
    told = {"version": version("pixelreef")}
    if together is not None:
        told["together"] = f"{together[0]}-{together[-1]}"
    if palette is not None:
        told["palette"] = json.dumps(palette.to_json(), ensure_ascii=False)
    if reference is not None:
        told["reference"] = json.dumps(reference.to_json(), ensure_ascii=False)
    if given is not None:
        told["given"] = json.dumps(["".join(DRAW if e < 0 else ALPHABET[e] for e in row) for row in given], ensure_ascii=False)
    return told


def read_how(file: Path) -> How:
    """Raises InputError for a file that is no picture, was not drawn here, or says what cannot be."""
    said = read_picture(file).said
    if "caption" not in said or "seed" not in said:
        raise InputError(f"{file}: its text chunks do not say how it was drawn; give a PNG that `pixelreef draw` wrote")
    if "source" in said or "operation" in said:
        raise InputError(f"{file}: was shaded or bred after it was drawn; give the drawing itself")
    values: dict[str, Any] = {key: said[key] for key in WORDS if key in said}
    values |= {key: _number(file, key, said[key], kind) for key, kind in NUMBERS.items() if key in said}
    if "continued" in said and "given" not in said:
        raise InputError(f"{file}: was drawn on from another picture, which it does not hold; draw it with --continue")
    try:
        palette = Palette.from_json(json.loads(said["palette"])) if "palette" in said else None
        reference = Reference.from_json(json.loads(said["reference"])) if "reference" in said else None
        given = _given(json.loads(said["given"])) if "given" in said else None
        together = _range(said["together"]) if "together" in said else None
    except (InputError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"{file}: what it says of how it was drawn is damaged: {str(error)[:200]!r}") from error
    index = values.get("index", 0)
    if not 0 <= index < 2**31 or (together is not None and "sheet" not in values and index not in together):
        raise InputError(f"{file}: its index {index} cannot be; it was edited")
    return How(file, values, palette, reference, given, together)


def _number(file: Path, key: str, text: str, kind):
    try:
        return kind(text[:40])
    except ValueError as error:
        raise InputError(f"{file}: its {key} {text[:40]!r} is not a number") from error


def _given(rows) -> np.ndarray:
    if not MIN_SIDE <= len(rows) <= MAX_SIDE:
        raise ValueError(f"{len(rows)} rows of given pixels")
    return np.array([[-1 if symbol == DRAW else INDEX_OF[symbol] for symbol in row] for row in rows], np.int16)


def _range(text: str) -> range:
    first, _, last = text.partition("-")
    together = range(int(first), int(last) + 1)
    if not 1 <= len(together) <= 64 or together[0] < 0:
        raise ValueError(f"drawn together: {text[:40]!r}")
    return together


def find_model(how: How, folders: Collection[Path], base: str | None = None) -> dict[str, str | Path | None]:
    """The flags adapter, base, transformer and dtype that load what drew a picture: found by hash below the folders.

    base: where its base model lies, if that is known. Raises InputError that says what is missing.
    """
    if "endpoint" in how.values:
        raise InputError(
            f"{how.file}: was drawn through a server by {how.get('endpoint')[:60]!r}; give --endpoint URL to ask again"
        )
    if "transformer_hash" in how.values:
        return {"transformer": _found(how, "transformer", "model.safetensors", folders)}
    if "adapter_hash" in how.values:
        adapter = _found(how, "adapter", "adapter_model.safetensors", folders)
        return {"adapter": adapter, "base": base or _base_of_adapter(how, adapter), "dtype": how.get("dtype", BEFORE)}
    if base or "base" in how.values:
        return {"base": base or _base(how), "dtype": how.get("dtype", BEFORE)}
    raise InputError(f"{how.file}: does not say what drew it; give --adapter, --base or --transformer")


def _found(how: How, kind: str, weights: str, folders: Collection[Path]) -> Path:
    wanted, name = how.get(f"{kind}_hash"), how.get(kind, "")
    below = ((folder, file) for folder in folders for file in sorted(folder.glob(f"**/{weights}")))
    files = [file for folder, file in below if "/." not in f"/{file.relative_to(folder).as_posix()}"]  # those killed runs left
    for file in sorted(files, key=lambda file: name not in file.parts):  # those called so first: hashing takes a while
        if file_sha256(file) == wanted:
            return file.parent
    places = " or ".join(f"{folder.name}/" for folder in folders)
    raise InputError(
        f"{how.file}: {kind} {name[:60]!r} (SHA-256 {wanted[:16]!r}…) is not in {places}; bring it, or give --{kind} FOLDER"
    )


def _base_of_adapter(how: How, adapter: Path) -> str | None:
    facts = AdapterFacts.load(adapter)
    same = how.get("base_hash") == facts.base_sha256 and how.get("base") == facts.base_hub_id
    return None if same else _base(how)


def _base(how: How) -> str:
    """A packaged base model, by its hash, else by its name. No other: whoever made the picture would choose what is loaded."""
    name, digest = how.get("base", ""), how.get("base_hash", "")
    packaged = next((key for key, package in PACKAGED.items() if digest == package.sha256), None)
    if packaged is None and not digest and name in PACKAGED:
        packaged = name
    if packaged is None:
        stated = f"SHA-256 {digest[:16]!r}…" if digest else "without its SHA-256"
        raise InputError(f"{how.file}: base model {name[:60]!r} ({stated}) is not packaged; give --base FOLDER")
    return packaged
