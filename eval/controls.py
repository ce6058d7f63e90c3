"""Controls: drawings that need no model. Degenerate ones must lose on every metric that is to decide anything.

Pure functions: a sprite in, a sprite of the same size, palette, caption and tags out, keyed by (seed, index, name).
Most are bad drawings. Two are cheap answers instead: the shaded disc is built like a sprite and in the right colours
but shows nothing; another subject is a perfect sprite of what was not asked for.
The honest controls are the held-out sprite itself and the nearest training sprite (by words, never by pixels).
"""

import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from data_prep.palette import Palette
from data_prep.sprite import Sprite
from eval.metrics.attributes import main_colour

HELD_OUT = "held-out sprites"
NEAREST = "nearest training sprite"
_OWN_WORDS = ("zone", "category")  # tags that make two sprites the same subject

ANOTHER_SUBJECT = "another subject"
_BANDS = (4, 6)  # of the shaded disc: 4 or 5
_SPECKS = (4, 9)  # 4 to 8

GridControl = Callable[[np.ndarray, Palette, np.random.Generator], np.ndarray]


def main_entries(grid: np.ndarray, entries: int) -> np.ndarray:
    """The two most frequent opaque entries of an (H, W) index grid, filled up with the palette's first ones."""
    frequency = np.bincount(grid.ravel(), minlength=entries).astype(np.int64)
    frequency[0] = -1
    return np.argsort(-frequency, kind="stable")[:2].astype(np.uint8)


def noise(grid: np.ndarray, palette: Palette, rng: np.random.Generator) -> np.ndarray:
    """Each pixel drawn from the whole palette."""
    return rng.integers(0, len(palette), grid.shape, dtype=np.uint8)


def noise_2x2(grid: np.ndarray, palette: Palette, rng: np.random.Generator) -> np.ndarray:
    """Noise in blocks of 2×2 pixels, so that neighbours agree."""
    blocks = rng.integers(0, len(palette), [(side + 1) // 2 for side in grid.shape], dtype=np.uint8)
    return np.kron(blocks, np.ones((2, 2), np.uint8))[: grid.shape[0], : grid.shape[1]]


def checkerboard(grid: np.ndarray, palette: Palette, rng: np.random.Generator) -> np.ndarray:
    """The sprite's two main colours, pixel by pixel: the legacy score's favourite (bench.md)."""
    rows, columns = np.indices(grid.shape)
    return main_entries(grid, len(palette))[(rows + columns) % 2]


def stripes(grid: np.ndarray, palette: Palette, rng: np.random.Generator) -> np.ndarray:
    """The two main colours in bands 1 to 3 pixels wide, lying or standing."""
    position = np.indices(grid.shape)[rng.integers(2)]
    return main_entries(grid, len(palette))[position // rng.integers(1, 4) % 2]


def blank(grid: np.ndarray, palette: Palette, rng: np.random.Generator) -> np.ndarray:
    """Nothing drawn."""
    return np.zeros_like(grid)


def plain_square(grid: np.ndarray, palette: Palette, rng: np.random.Generator) -> np.ndarray:
    """A centred square of the main colour with about as many pixels as the sprite has."""
    side = max(2, min(*grid.shape, round(float(np.count_nonzero(grid)) ** 0.5)))
    square = np.zeros_like(grid)
    top, left = ((full - side) // 2 for full in grid.shape)
    square[top : top + side, left : left + side] = main_entries(grid, len(palette))[0]
    return square


def shuffled_pixels(grid: np.ndarray, palette: Palette, rng: np.random.Generator) -> np.ndarray:
    """The very same pixels in another order: every histogram stays right."""
    return rng.permutation(grid.ravel()).reshape(grid.shape)


def scrambled_shape(grid: np.ndarray, palette: Palette, rng: np.random.Generator) -> np.ndarray:
    """Right palette, right texture, no shape: the sprite cut into blocks of 4×4 (2×2 under 8 pixels) and dealt anew."""
    side = 4 if min(grid.shape) >= 8 else 2
    down, across = (full // side for full in grid.shape)
    core = grid[: down * side, : across * side].reshape(down, side, across, side).swapaxes(1, 2)
    dealt = rng.permutation(core.reshape(-1, side, side)).reshape(down, across, side, side)
    out = grid.copy()
    out[: down * side, : across * side] = dealt.swapaxes(1, 2).reshape(down * side, across * side)
    return out


def half_erased(grid: np.ndarray, palette: Palette, rng: np.random.Generator) -> np.ndarray:
    """One half of what is drawn (left, right, top or bottom) made transparent."""
    out, direction = grid.copy(), rng.integers(4)
    rows, columns = np.nonzero(grid)
    if rows.size:
        middle_row, middle_column = (int(line.min() + line.max() + 1) // 2 for line in (rows, columns))
        half = (
            (slice(middle_row), slice(None)),
            (slice(middle_row, None), slice(None)),
            (slice(None), slice(middle_column)),
            (slice(None), slice(middle_column, None)),
        )[direction]
        out[half] = 0
    return out


def shading(grid: np.ndarray, palette: Palette) -> np.ndarray:
    """(k,) entries, dark to light: the ramp of the main colour; where there is none, the sprite's own entries."""
    ramp = palette.ramps.get(main_colour(grid, palette) or "", ())
    own = np.array(ramp, int) if ramp else np.unique(grid[grid > 0]).astype(int)
    own = own if own.size else np.array([1])
    return own[np.argsort(palette.oklab[own - 1, 0], kind="stable")].astype(np.uint8)


def shaded_disc(grid: np.ndarray, palette: Palette, rng: np.random.Generator) -> np.ndarray:
    """An outlined ellipse of the sprite's area in radial bands of its main colour, with a few specks. It shows nothing."""
    ramp, places = shading(grid, palette), np.indices(grid.shape)
    axes = max(1.5, (np.count_nonzero(grid) / np.pi) ** 0.5) * rng.uniform(0.75, 1.33) ** np.array([1, -1])
    centre = (np.array(grid.shape) - 1) / 2 + rng.uniform(-1, 1, 2)
    down, across = ((place - middle) / axis for place, middle, axis in zip(places, centre, axes, strict=True))
    away = np.hypot(down, across)
    bands = rng.integers(*_BANDS)
    band = np.clip((1 - away) * bands, 0, bands - 1).astype(int)  # 0 at the edge
    disc = np.where(away <= 1, ramp[np.linspace(min(1, len(ramp) - 1), len(ramp) - 1, bands).round().astype(int)][band], 0)
    inside = np.pad(away <= 1, 1)
    core = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    disc[(away <= 1) & ~core] = ramp[0]
    near = np.flatnonzero(away <= 1.2)
    specks = rng.choice(near, min(len(near), int(rng.integers(*_SPECKS))), replace=False)
    disc.ravel()[specks] = rng.choice(ramp, len(specks))
    return disc.astype(np.uint8)


GRID_CONTROLS: dict[str, GridControl] = {
    "noise": noise,
    "noise 2x2": noise_2x2,
    "checkerboard": checkerboard,
    "stripes": stripes,
    "blank": blank,
    "plain square": plain_square,
    "shuffled pixels": shuffled_pixels,
    "right palette, scrambled shape": scrambled_shape,
    "half erased": half_erased,
    "shaded disc": shaded_disc,
}
DEGENERATE = (*GRID_CONTROLS, ANOTHER_SUBJECT)


def degenerate(name: str, sprite: Sprite, seed: int, index: int) -> Sprite:
    """The control `name` of GRID_CONTROLS for one held-out sprite; the same (seed, index, name) gives the same pixels."""
    rng = np.random.default_rng([seed, index, zlib.crc32(name.encode())])
    grid = GRID_CONTROLS[name](sprite.grid, sprite.palette, rng)
    return replace(sprite, grid=grid, source=f"control: {name}")


def another_subject(held_out: Sequence[Sprite]) -> list[Sprite | None]:
    """For each sprite the drawing of another one: of another category or, where there are none, of another caption.

    Rotates the sprites of one size and palette, in the order of their categories, past the largest category, so that
    no drawing is used twice unless one category has more than half of them. None where nothing else was held out.
    """
    found: list[Sprite | None] = [None] * len(held_out)
    alike = defaultdict(list)
    for index, sprite in enumerate(held_out):
        alike[sprite.grid.shape, sprite.palette.colours].append(index)
    for members in alike.values():
        members.sort(key=lambda index: (_category(held_out[index]), index))
        largest = max(Counter(_category(held_out[index]) for index in members).values())
        shift = largest if largest < len(members) else 1
        for place, index in enumerate(members):
            turned = [held_out[members[(place + shift + step) % len(members)]] for step in range(len(members))]
            other = _first_other(held_out[index], turned)
            found[index] = other and replace(held_out[index], grid=other.grid, source=f"control: {ANOTHER_SUBJECT}")
    return found


def _category(sprite: Sprite) -> str:
    return sprite.tags.get("category", "")


def _first_other(sprite: Sprite, others: Sequence[Sprite]) -> Sprite | None:
    by_category = (other for other in others if _category(other) != _category(sprite))
    by_caption = (other for other in others if other.caption != sprite.caption)
    return next(by_category, None) or next(by_caption, None)


def nearest_training(sprite: Sprite, training: Sequence[Sprite]) -> Sprite | None:
    """The training sprite of the same size and palette with the most equal tags, then words, then the smallest id.

    Keeps the held-out sprite's caption and tags; None where no training sprite has its size and palette.
    """
    words = set(sprite.caption.lower().split())

    def closeness(other: Sprite) -> tuple:
        subject = sum(sprite.tags.get(tag) == other.tags.get(tag) for tag in _OWN_WORDS)
        equal_tags = sum(other.tags.get(tag) == value for tag, value in sprite.tags.items())
        return -subject, -equal_tags, -len(words & set(other.caption.lower().split())), other.id

    fitting = [s for s in training if s.grid.shape == sprite.grid.shape and s.palette == sprite.palette]
    if not fitting:
        return None
    return replace(sprite, grid=min(fitting, key=closeness).grid, source=f"control: {NEAREST}")


def all_controls(
    held_out: Sequence[Sprite], training: Sequence[Sprite] = (), seed: int = 0
) -> Iterator[tuple[str, str, int, Sprite]]:
    """(name, kind, index into held_out, sprite) of every control: honest ones first, then degenerate ones."""
    for index, sprite in enumerate(held_out):
        yield HELD_OUT, "honest", index, sprite
    for index, sprite in enumerate(held_out):
        nearest = nearest_training(sprite, training)
        if nearest is not None:
            yield NEAREST, "honest", index, nearest
    for name in GRID_CONTROLS:
        for index, sprite in enumerate(held_out):
            yield name, "degenerate", index, degenerate(name, sprite, seed, index)
    for index, other in enumerate(another_subject(held_out)):
        if other is not None:
            yield ANOTHER_SUBJECT, "degenerate", index, other
