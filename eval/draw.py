"""`pixelreef draw CAPTION`: sprites as indexed PNGs that say how they were made, as JSON grids, or as one sprite sheet.

A PNG's text chunks hold caption, seed, sampling, size, hashes of model and palette, precision, and given pixels, so that
`--like old.png` draws it again: the same pixels on the same machine with the same versions, for its whole batch is drawn again.
Elsewhere rounding may change some; the command compares and says so.

`--recolour old.png` has a sprite's shape drawn in the colours that the caption says, by an adapter that was trained on that task.
`--palette` and `--reference` exchange colours after the drawing, unless the model was trained on that very palette: see
`eval.transfer` and `eval.reference` for what they keep and what they cannot do. Files are written beside their places and
renamed when all are done: an interrupted command leaves none, and older files of these names stand until then.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from data_prep.errors import InputError
from data_prep.grid_text import FREE
from data_prep.palette import Palette, named
from data_prep.sprite import Sprite
from data_prep.whole_files import file_sha256
from eval.generators import LanguageModel, Request, sprites_of
from eval.order import MODELS, Order, settled
from eval.pictures import own_pixels, read_mask, read_picture, read_png, write_grid, write_png
from eval.redraw import find_model, written
from eval.reference import closeness, in_colours_of, in_prompt, in_words
from eval.sheet import check_sheet, write_sheet
from eval.transfer import locked
from finetune.adapter_folder import FACTS, AdapterFacts
from finetune.base_models import resolve
from finetune.quiet import quick_imports

REPOSITORY = Path(__file__).resolve().parents[1]
BATCH = 16  # drawings that are made together, as large as the generators' own batches or smaller


def draw_files(options) -> None:
    """Draws what the flags ask for, writes it and prints each file's name, or as JSON. Raises InputError."""
    order = settled(options)
    with quick_imports():
        from eval.decoding import Sampling

    sampling = Sampling(**{key: value for key, value in order.numbers.items() if key not in ("seed", "best_of")})
    _choose_model(options, order)
    model = load_model(options)
    if order.force:
        model = forced(model, order.size, order.palette)
    told = {**model_told(options, model), **order.numbers}
    model = _choosing(model, order.numbers["best_of"])
    requests, kept = _requests(model, order, options)
    if order.sheet:
        check_sheet(len(order.indices), requests[0].height, requests[0].width, order.scale)
    told |= {"height": requests[0].height, "width": requests[0].width, **kept}
    drawings = []
    for index, sprite, together in _drawn(model, requests, order, sampling, told.get("endpoint", model.name)):
        chunks = written(order.palette, order.reference, requests[0].given, together)
        drawings.append((sprite, _finished(sprite, order), {**told, **chunks, "index": index}))
    _write(order, drawings)
    _report(order, drawings, options.json)


def load_model(options):
    """The generator of `--endpoint`, of `--transformer`, or of `--adapter` and `--base`; by default the newest adapter here."""
    if getattr(options, "endpoint", None) is not None:
        from eval.endpoint import Endpoint

        return Endpoint(options.endpoint, options.endpoint_model)
    if options.transformer is not None:
        from eval.baseline.generator import SpriteTransformerGenerator

        if options.adapter or options.base:
            raise InputError("--transformer: it is a generator by itself; leave --adapter and --base out")
        return SpriteTransformerGenerator.load(options.transformer)
    adapter = options.adapter or (None if options.base else newest_adapter(Path("runs"), REPOSITORY / "adapters"))
    print(f"loading {adapter or options.base}", file=sys.stderr)
    return LanguageModel.load(adapter, options.base, getattr(options, "dtype", None))


def newest_adapter(*folders: Path) -> Path:
    """The adapter that was written last below the first of these folders that has one that draws captions in its palette."""
    for folder in folders:
        for path in sorted(folder.glob(f"**/[!.]*/{FACTS}"), key=lambda path: path.stat().st_mtime, reverse=True):
            if "draw" in AdapterFacts.load(path.parent).tasks:
                return path.parent
    raise InputError("no adapter is here; train one (`make demo`), or give --adapter FOLDER or --base NAME")


def _choose_model(options, order: Order) -> None:
    """Puts into the flags what drew the picture of `--like`, or the newest adapter, where they name no model."""
    named_flags = [key for key in MODELS if getattr(options, key) is not None]
    if order.how is None and not named_flags:
        options.adapter = newest_adapter(Path("runs"), REPOSITORY / "adapters")
    elif order.how is not None and named_flags in ([], ["base"]):
        places = dict.fromkeys(folder.resolve() for folder in (Path("adapters"), Path("runs"), REPOSITORY / "adapters"))
        for key, value in find_model(order.how, places, options.base).items():
            if key != "dtype" or options.dtype is None:
                setattr(options, key, value)


def forced(model, size: tuple[int, int] | None, palette: Palette | None):
    """The model, made to draw a size or palette that it was not trained on. Raises InputError where it cannot."""
    from eval.baseline.generator import SpriteTransformerGenerator
    from eval.baseline.sprite_transformer import MAX_SIDE

    if isinstance(model, SpriteTransformerGenerator):
        if palette is not None and palette.hash != model.palette.hash:
            raise InputError(f"--force: {model.name} has no symbols for another palette; without it the colours are exchanged")
        if size is not None and max(size) > MAX_SIDE:
            raise InputError(f"--force: {model.name} knows no places beyond {MAX_SIDE}x{MAX_SIDE}")
    if model.facts is not None:
        sizes = model.facts.sizes if size is None or size in model.facts.sizes else (*model.facts.sizes, size)
        model.facts = replace(model.facts, sizes=sizes, palette_hash=palette.hash if palette else model.facts.palette_hash)
    if palette is not None and (model.palette is None or palette.hash != model.palette.hash):
        if len(palette.colours) < 2:
            raise InputError("--force: a palette of one colour cannot be asked for; without it the colours are exchanged")
        model.palette = Palette(FREE, palette.colours, palette.ramps)
    return model


def model_told(options, model) -> dict:
    """What the text chunks say of the model: names and hashes, never a path."""
    if options.endpoint is not None:
        return {"endpoint": model.name.partition(" at ")[0]}  # not the host
    if options.transformer is not None:
        digest = file_sha256(Path(options.transformer) / "model.safetensors")
        return {"transformer": model.name, "transformer_hash": digest}
    told = {"dtype": str(model.model.dtype).removeprefix("torch.")}
    if model.facts is not None:
        digest = file_sha256(Path(options.adapter) / "adapter_model.safetensors")
        told |= {"adapter": model.name, "adapter_hash": digest}
        told |= {"base": model.facts.base_hub_id, "base_hash": model.facts.base_sha256}
    if options.base is not None:
        base = resolve(str(options.base))
        told |= {"base": base.hub_id, "base_hash": base.sha256}
    return told


def _choosing(model, candidates: int):
    """The model, or the best of so many candidates of it by its likelihoods and by the committed `guide`."""
    if candidates == 1:
        return model
    from eval.best_of import BestOf
    from eval.rivals import load_guide

    return BestOf(model, candidates, load_guide())


def _requests(model, order: Order, options) -> tuple[list, dict]:
    """One request a drawing, alike but for their indices, and what the chunks say of given pixels and of force."""
    palette = model.palette or named("reef64")
    height, width = order.size or (model.facts.sizes[0] if model.facts else (16, 16))
    given, told = order.given, {}
    if options.continue_from is not None:
        given, told["continued"] = _standing(options, palette)
    elif order.how is not None and given is not None and order.task == "draw":
        told["continued"] = order.how.get("continued", "")
    if given is not None:
        height, width = given.shape
    task, beside = _task(model, order, palette)
    if order.task == "recolour":
        told |= {"task": task, "beside": beside}
    if order.force:
        told["forced"] = f"{height}x{width}, palette {palette.name}"
    indices = order.together or order.indices
    seed = order.numbers["seed"]
    request = Request(order.caption, height, width, palette, seed, given=given, task=task, beside=beside)
    return [replace(request, index=index) for index in indices], told


def _task(model, order: Order, palette: Palette) -> tuple[str, str]:
    """The task of the prompt and what it tells. A reference is told where the model was trained to heed one."""
    tasks = getattr(model.facts, "tasks", ())
    if order.task == "recolour" and order.task not in tasks:
        raise InputError(f"--recolour: {model.name} was not trained on it; name the task in a recipe of `prepare`, train")
    if order.task == "recolour":
        return order.task, order.beside
    if order.reference is not None and "reference" in tasks:
        return "reference", in_prompt(order.reference, palette)
    return "draw", ""


def _standing(options, palette: Palette) -> tuple[np.ndarray, str]:
    """(H, W) int16 pixels that stand of `options.continue_from`, −1 elsewhere, and in words which they are."""
    sprite = read_png(options.continue_from, palette)
    if options.mask is not None:
        keep, kept = read_mask(options.mask, sprite.grid.shape), f"what mask {options.mask.name} keeps"
    else:
        rows = sprite.height // 2 if options.rows is None else options.rows
        if not 1 <= rows < sprite.height:
            raise InputError(f"--rows {rows}: {options.continue_from} has {sprite.height}; it takes 1 to {sprite.height - 1}")
        keep, kept = np.arange(sprite.height)[:, None] < rows, f"rows 0 to {rows - 1}"
    return np.where(keep, sprite.grid.astype(np.int16), np.int16(-1)), f"{kept} of {options.continue_from.name}"


def _drawn(model, requests: Sequence, order: Order, sampling, source: str) -> Iterator[tuple[int, Sprite, range]]:
    """(index, sprite, indices of its batch). Batches are the same whenever the same indices are asked for."""
    size = len(requests) if order.together else BATCH
    for request in requests:
        model.refuse(request)
    for start in range(0, len(requests), size):
        batch = requests[start : start + size]
        together = range(batch[0].index, batch[-1].index + 1)
        for request, sprite in zip(batch, sprites_of(model, batch, sampling, source), strict=True):
            if request.index in order.indices:
                yield request.index, sprite, together
        if len(requests) > size:
            print(f"drawn {start + len(batch)} of {len(requests)}", file=sys.stderr)


def _finished(sprite: Sprite, order: Order) -> Sprite:
    """In the colours that were asked for."""
    if order.reference is not None:
        return in_colours_of(sprite, order.reference)
    if order.palette is None or order.palette.hash == sprite.palette.hash:
        return sprite
    return replace(sprite, grid=locked(sprite.palette, order.palette)[sprite.grid], palette=order.palette)


def _write(order: Order, drawings: Sequence[tuple[Sprite, Sprite, dict]]) -> None:
    """All files beside their places, then each to its own."""
    try:
        with tempfile.TemporaryDirectory(dir=order.out.parent, prefix=".draw-") as folder:
            drafts = [Path(folder) / file.name for file in order.files]
            if order.sheet:
                drafts.append(drafts[0].with_suffix(".json"))
                told = {**drawings[0][2], "caption": order.caption, "sheet": len(drawings), "generator": drawings[0][1].source}
                sprites = [sprite for _, sprite, _ in drawings]
                write_sheet(drafts[0], drafts[1], order.out.name, sprites, order.scale, told)
            elif order.out.suffix.lower() == ".png":
                for draft, (_, sprite, told) in zip(drafts, drawings, strict=True):
                    write_png(draft, sprite, order.scale, told)
            else:
                for draft, (_, sprite, _) in zip(drafts, drawings, strict=True):
                    write_grid(draft, sprite)
            for draft in drafts:
                os.replace(draft, order.out.parent / draft.name)
    except OSError as error:
        raise InputError(f"--out {order.out}: cannot be written: {error.strerror or error}") from error


def _report(order: Order, drawings: Sequence[tuple[Sprite, Sprite, dict]], as_json: bool) -> None:
    """Files on standard output; how close a reference came and whether `--like` came out the same on standard error."""
    files = order.files * len(drawings) if order.sheet else order.files
    for number, (file, (before, after, told)) in enumerate(zip(files, drawings, strict=True)):
        found = {} if order.reference is None else closeness(before, after, order.reference)
        if as_json:
            row = {"file": str(file), "caption": order.caption, "seed": told["seed"], "index": told["index"], **found}
            print(json.dumps(row, ensure_ascii=True), flush=True)
        elif number == 0 or not order.sheet:
            print(file, flush=True)
        if found and not as_json:
            print(f"{file.name}, {told['index']}: {in_words(found)}", file=sys.stderr)
    if order.how is not None and order.together is not None:
        print(_compared(order.how.file, drawings[0][1]), file=sys.stderr)


def _compared(file: Path, sprite: Sprite) -> str:
    old = own_pixels(read_picture(file))
    if old.shape != sprite.rgba().shape:
        return f"not of the size of {file.name}"
    differ = int((old != sprite.rgba()).any(-1).sum())
    if not differ:
        return f"the same pixels as {file.name}"
    why = "another model, machine or version draws otherwise, or the picture was edited"
    return f"{differ} pixels differ from {file.name}: {why}"
