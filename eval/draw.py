"""`pixelreef draw CAPTION`: sprites as indexed PNGs that say how they were made."""

import sys
from pathlib import Path

from data_prep.errors import InputError
from data_prep.sprite import Sprite

REPOSITORY = Path(__file__).resolve().parents[1]
MAX_CAPTION = 500  # characters


def draw_files(options) -> None:
    """Draws `options.n` sprites of `options.caption`, writes them and prints each file's name. Raises InputError."""
    from eval.decoding import Sampling
    from eval.generators import LanguageModel

    check(options)
    adapter = options.adapter or (None if options.base else newest_adapter(Path("runs"), REPOSITORY / "adapters"))
    print(f"loading {adapter or options.base}", file=sys.stderr)
    model = LanguageModel.load(adapter, options.base)
    sampling = Sampling(options.temperature, top_p=options.top_p)
    files = [options.out] if options.n == 1 else [options.out.with_stem(f"{options.out.stem}-{i}") for i in range(options.n)]
    sprites = model.sprites(options.caption, options.n, options.seed, options.size, sampling)
    for index, (file, sprite) in enumerate(zip(files, sprites, strict=True)):
        write_png(file, sprite, options.scale, {"seed": options.seed, "index": index, "temperature": options.temperature})
        print(file, flush=True)


def check(options) -> None:
    if not options.caption or not options.caption.strip():
        raise InputError("caption: empty; say what to draw, or give --recipe")
    if len(options.caption) > MAX_CAPTION:
        raise InputError(f"caption: {len(options.caption)} characters; at most {MAX_CAPTION}")
    if not 1 <= options.n <= 10_000:
        raise InputError(f"--n {options.n}: it takes 1 to 10000")
    if not 1 <= options.scale <= 64:
        raise InputError(f"--scale {options.scale}: it takes 1 to 64")
    if options.out.suffix.lower() != ".png" or not options.out.parent.is_dir():
        raise InputError(f"--out {options.out}: must end in .png, in a folder that exists")


def newest_adapter(*folders: Path) -> Path:
    """The adapter that was written last below the first of these folders that has one."""
    from finetune.adapter_folder import FACTS

    for folder in folders:
        found = sorted(folder.glob(f"**/[!.]*/{FACTS}"), key=lambda path: path.stat().st_mtime)
        if found:
            return found[-1].parent
    raise InputError("no adapter is here; train one (`make demo`), or give --adapter FOLDER or --base NAME")


def write_png(file: Path, sprite: Sprite, scale: int, how: dict) -> None:
    """An indexed PNG, entry 0 transparent, with caption, palette hash and `how` in its text chunks."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    image = Image.fromarray(sprite.grid.repeat(scale, 0).repeat(scale, 1), "P")
    image.putpalette(sprite.palette.rgba[:, :3].tobytes())
    said = PngInfo()
    said.add_itxt("caption", sprite.caption)
    for key, value in {**how, "generator": sprite.source, "palette_hash": sprite.palette.hash}.items():
        said.add_itxt(key, str(value))
    image.save(file, transparency=0, pnginfo=said)
