"""What the play page works with: the generator, what is asked of it, and the drawings that it made.

Everything here is plain Python; `play` puts it behind addresses. Drawings stay in memory, the last `MAX_KEPT` of them.
"""

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import count

import numpy as np

from data_prep.errors import InputError
from data_prep.grid_text import FREE
from data_prep.palette import MAX_COLOURS, PALETTE_FOLDER, Palette, named
from data_prep.sprite import Sprite
from eval.best_of import STEP, BestOf
from eval.generators import Generator, Request, sprites_of
from eval.order import DEFAULTS, check_caption
from eval.pages.asked import AskedChildren, AskedDrawings, Chances
from eval.pages.jobs import Tell
from eval.pictures import grid_line, write_png
from eval.postprocess.breeder import Member, breed
from eval.postprocess.shader import Light, shade
from eval.redraw import written
from eval.transfer import locked

MAX_KEPT = 500
SIZES = ((16, 16), (24, 24), (32, 32))  # offered where the generator was trained on none


@dataclass(frozen=True)
class Kept:
    """A finished drawing. drawn: as the model drew it, in its palette; sprite: in the colours that were asked for.

    how: what its PNG says beside the sprite itself.
    """

    id: str
    drawn: Sprite
    sprite: Sprite
    how: Mapping

    @property
    def stem(self) -> str:
        """A file name without its suffix, in ASCII: caption, seed and index."""
        words = re.sub(r"[^a-z0-9]+", "-", self.sprite.caption.lower()).strip("-")[:48].strip("-") or "sprite"
        return f"{words}-{self.how['seed']}-{self.how['index']}"

    def lit(self, light: Light) -> "Kept":
        """The same under a light, which its PNG then tells."""
        sprite = replace(self.sprite, grid=shade(self.sprite.grid, self.sprite.palette, light))
        return replace(self, sprite=sprite, how={**self.how, "light": json.dumps(asdict(light)), "source": f"{self.stem}.png"})

    def png(self, scale: int) -> bytes:
        """The very bytes that `pixelreef draw` writes."""
        file = io.BytesIO()
        write_png(file, self.sprite, scale, dict(self.how))
        return file.getvalue()

    def grid_text(self) -> str:
        return grid_line(self.sprite)

    def to_json(self) -> dict:
        told = {"id": self.id, "caption": self.sprite.caption, "colours": self.sprite.palette.colours, "how": self.how}
        return {**told, "pixels": self.sprite.grid.tolist()}


@dataclass
class Studio:
    """One generator and the drawings made with it. told: what PNGs say of the model, as `pixelreef draw` writes it."""

    generator: Generator
    told: Mapping = field(default_factory=dict)
    kept: dict[str, Kept] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def palette(self) -> Palette:
        """The one that is drawn in."""
        return self.generator.palette or named("reef64")

    @cached_property
    def palettes(self) -> dict[str, Palette]:
        """By name, the one that is drawn in first."""
        shipped = {path.stem: named(path.stem) for path in sorted(PALETTE_FOLDER.glob("*.json"))}
        return {self.palette.name: self.palette} | shipped

    @cached_property
    def guide(self):
        from eval.rivals import load_guide

        return load_guide()

    def facts(self) -> dict:
        """What the page offers: name, sizes (height, width) and palettes."""
        sizes = self.generator.facts.sizes if self.generator.facts else SIZES
        palettes = [{"name": name, "colours": palette.colours} for name, palette in self.palettes.items()]
        return {"name": self.generator.name, "sizes": sizes, "palettes": palettes}

    def drawing(self, number: str) -> Kept:
        """Raises InputError for one that is not kept."""
        if number not in self.kept:
            raise InputError(f"that drawing is gone; the last {MAX_KEPT} are kept while the server runs")
        return self.kept[number]

    def keep(self, drawn: Sprite, palette: Palette, how: Mapping) -> Kept:
        """Brings a drawing to a palette and keeps it; the oldest one goes where there are too many."""
        sprite = drawn
        if palette.hash != drawn.palette.hash:
            sprite = replace(drawn, grid=locked(drawn.palette, palette)[drawn.grid], palette=palette)
        kept = Kept(str(next(self._numbers)), drawn, sprite, how)
        self.kept[kept.id] = kept
        while len(self.kept) > MAX_KEPT:
            self.kept.pop(next(iter(self.kept)), None)
        return kept

    def drawing_work(self, asked: AskedDrawings) -> Callable[[Tell], None]:
        """Checks what is asked, so that what is refused is refused at once; the work itself draws and tells.

        It tells {"event": "row", "y", "rows": [[slot, candidate, entries], …]} and {"event": "sprite", "slot", "drawing"}.
        Raises InputError.
        """
        palette = self.palettes.get(asked.palette) or own_palette(asked.palette)
        given, more = self._standing(asked, palette)
        requests = self._requests(asked, given)
        refusing = BestOf(self.generator, asked.best_of) if asked.best_of > 1 else self.generator  # the guide takes a while
        for request in requests:
            refusing.refuse(request)
        exchanged = None if palette.hash == self.palette.hash else palette
        how = {**self.told, **_numbers(asked), "height": asked.height, "width": asked.width, **more}
        how |= written(exchanged, None, given, range(asked.count))

        def work(tell: Tell) -> None:
            generator = BestOf(self.generator, asked.best_of, self.guide) if asked.best_of > 1 else self.generator
            sampling = _sampling(asked, lambda seed, index: (index % STEP, index // STEP), tell)
            drawings = sprites_of(generator, requests, sampling, generator.name)
            for index, drawn in enumerate(drawings):
                kept = self.keep(drawn, palette, {**how, "index": index})
                tell({"event": "sprite", "slot": index, "drawing": kept.to_json()})

        return work

    def _requests(self, asked: AskedDrawings, given: np.ndarray | None) -> list[Request]:
        if not asked.prompt.strip():
            raise InputError("prompt: empty; say what to draw")
        check_caption(asked.prompt)
        if asked.best_of > 1 and not asked.temperature:
            raise InputError("best of: at temperature 0 all candidates are the same; take a higher one")
        alike = (asked.prompt, asked.height, asked.width, self.palette, asked.seed)
        return [Request(*alike, index, given=given) for index in range(asked.count)]

    def _standing(self, asked: AskedDrawings, palette: Palette) -> tuple[np.ndarray | None, dict]:
        """(H, W) int16 pixels that stand of what is continued, −1 below; and what the PNGs say of it. Raises InputError."""
        if asked.continued is None:
            return None, {}
        before, rows = self.drawing(asked.continued), asked.keep_rows
        height, width = before.drawn.grid.shape
        if {before.sprite.palette.hash, palette.hash} != {self.palette.hash}:
            raise InputError(
                f"palette: what stands keeps its colours; draw on from a drawing in {self.palette.name}, in that palette"
            )
        if (height, width) != (asked.height, asked.width):
            raise InputError(f"size {asked.height}x{asked.width}: the drawing has {height}x{width}")
        if not 1 <= rows < height:
            raise InputError(f"rows that stand: {rows}; it takes 1 to {height - 1}")
        given = np.where(np.arange(height)[:, None] < rows, before.drawn.grid.astype(np.int16), np.int16(-1))
        return given, {"continued": f"rows 0 to {rows - 1} of {before.stem}.png"}

    def breeding_work(self, asked: AskedChildren) -> Callable[[Tell], None]:
        """Children of two drawings, in the first one's palette; it also tells {"event": "left_out", "slot", "words"}.

        Raises InputError.
        """
        founders = [self.drawing(number) for number in asked.parents]
        if len(set(asked.parents)) < 2:
            raise InputError("parents: choose two different drawings")
        sprites = [founder.drawn for founder in founders]
        for sprite in sprites:
            self.generator.refuse(Request.like(sprite, asked.seed))

        def work(tell: Tell) -> None:
            sampling = _sampling(asked, lambda seed, index: (index - asked.count, 0), tell)
            lineage = breed(self.generator, sprites, 1, asked.count, asked.seed, sampling)
            stems = {f"0-{number}": f"{founder.stem}.png" for number, founder in enumerate(founders, 1)}
            for child in lineage.generation(1):
                how = {**self.told, **_numbers(asked), **_child_told(child, stems)}
                kept = self.keep(replace(child.sprite, source=self.generator.name), founders[0].sprite.palette, how)
                tell({"event": "sprite", "slot": child.index - asked.count, "drawing": kept.to_json()})
            for left_out in lineage.left_out:
                tell({"event": "left_out", "slot": left_out.member.index - asked.count, "words": left_out.fault})

        return work


def own_palette(text: str) -> Palette:
    """Colours as a person types or pastes them: six hex digits each, with or without #. Raises InputError."""
    words = re.split(r"[\s,;]+", text.strip().lower())
    colours = tuple(dict.fromkeys(word.removeprefix("#") for word in words))
    if not 2 <= len(colours) <= MAX_COLOURS:
        raise InputError(f"palette: {len(colours)} colours; it takes 2 to {MAX_COLOURS}, like #87ceeb #102030")
    return Palette(FREE, colours)


def _numbers(asked: Chances) -> dict:
    """Seed and sampling as `pixelreef draw` tells them, its defaults where the page does not ask."""
    return {key: getattr(asked, key, default) for key, default in DEFAULTS.items() if key not in ("n", "scale")}


def _sampling(asked: Chances, place: Callable[[int, int], tuple[int, int]], tell: Tell):
    """The sampling that tells of every row. place: (seed, index) of a drawing → its slot on the page and its candidate."""
    from eval.decoding import Sampling

    def on_row(keys: Sequence[tuple[int, int]], y: int, rows: np.ndarray) -> None:
        shown = [[*place(*key), row] for key, row in zip(keys, rows.tolist(), strict=True)]
        tell({"event": "row", "y": y, "rows": shown})

    return Sampling(asked.temperature, guidance=asked.guidance, on_row=on_row)


def _child_told(child: Member, stems: Mapping[str, str]) -> dict:
    """What a child's PNG says, in the words of `pixelreef breed`; its parents by the names of their files."""
    told = {"seed": child.seed, "index": child.index, "operation": child.operation}
    told["parents"] = " ".join(stems[parent] for parent in child.parents)
    if child.rows is not None:
        told["rows"] = " ".join(map(str, child.rows))
    return told if child.mixed_with is None else {**told, "mixed_with": child.mixed_with}
