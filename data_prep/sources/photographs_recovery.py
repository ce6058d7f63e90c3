"""Entry: how much of a known thing `photographs` brings back from a background that is not plain, as a table.

    python -m data_prep.sources.photographs_recovery [--count 24] [--seed 1] [--size 32] [--sheet worst.png]

Composites of `data_prep.composites`: `count` procedural sprites, enlarged and shaded, on each family of backgrounds. `mask` is
the IoU of the cut-out with the true silhouette, pixel by pixel of the photograph; `sprite` is that of the finished sprite, laid
back over the photograph. A refused picture counts 0. The last line is about generated backgrounds without a thing, which are to
be refused. Reads nothing but the sample photographs of scikit-learn; writes the sheet of the worst.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep import composites, foreground, outline
from data_prep.composites import BACKGROUNDS, EASY, Composite
from data_prep.errors import InputError, exit_code
from data_prep.sprite import MAX_SIDE, MIN_SIDE

WORST = 12  # composites on the sheet
RESAMPLES = 2000  # of the bootstrap


@dataclass(frozen=True, eq=False)
class Recovery:
    """One composite with its IoUs; found: (H, W) bool, or why it was refused; drawn: the sprite, or None."""

    scene: Composite
    found: np.ndarray | str
    mask: float
    sprite: float
    drawn: np.ndarray | None


def recover(scene: Composite, size: int) -> Recovery:
    """The scene through the foreground and the outline."""
    found = foreground.find(scene.rgb)
    if isinstance(found, str):
        return Recovery(scene, found, 0.0, 0.0, None)
    drawn = outline.sprite(scene.rgb, found, size)
    if isinstance(drawn, str):
        return Recovery(scene, drawn, 0.0, 0.0, None)
    return Recovery(scene, found, iou(found, scene.truth), iou(laid_back(drawn, found), scene.truth), drawn)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two (H, W) bool."""
    return float((one & other).sum() / max((one | other).sum(), 1))


def laid_back(drawn: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(size, size, 4) sprite → (H, W) bool: its opaque pixels enlarged to where the cut-out was."""
    size = len(drawn)
    rows, columns = np.flatnonzero(found.any(1)), np.flatnonzero(found.any(0))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    scale = size / max(height, width)
    tall, wide = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (size - tall) // 2, (size - wide) // 2
    opaque = drawn[top : top + tall, left : left + wide, 3] > 0
    y, x = np.arange(height) * tall // height, np.arange(width) * wide // width
    placed = np.zeros(found.shape, bool)
    placed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = opaque[np.ix_(y, x)]
    return placed


def measure(seed: int, count: int, size: int) -> list[Recovery]:
    """`count` composites of each family."""
    return [recover(composites.composite(seed, index, family), size) for family in BACKGROUNDS for index in range(count)]


def refused_without_a_thing(seed: int, count: int) -> float:
    """Share of empty generated backgrounds in which no foreground is found."""
    families = [family for family in BACKGROUNDS if family != "photograph"]
    scenes = [composites.empty(seed, index, family) for family in families for index in range(count)]
    return float(np.mean([isinstance(foreground.find(scene), str) for scene in scenes]))


def table(recoveries: list[Recovery], seed: int) -> str:
    """Markdown: a row a family, then all but the untextured ones."""
    rows = {family: [one for one in recoveries if one.scene.background == family] for family in BACKGROUNDS}
    rows["textured and photographic"] = [one for one in recoveries if one.scene.background != EASY]
    lines = ["| background | n | mask IoU (95 %) | sprite IoU | median mask | worst | refused |", "|---|---|---|---|---|---|---|"]
    for name, found in rows.items():
        masks, sprites = np.array([one.mask for one in found]), [one.sprite for one in found]
        picks = np.random.default_rng(seed).integers(0, len(masks), (RESAMPLES, len(masks)))
        low, high = np.percentile(masks[picks].mean(1), [2.5, 97.5])
        refused = sum(one.drawn is None for one in found)
        figures = (
            f"{masks.mean():.3f} ({low:.3f}–{high:.3f}) | {np.mean(sprites):.3f} | {np.median(masks):.3f} | {masks.min():.3f}"
        )
        lines.append(f"| {name} | {len(found)} | {figures} | {refused} |")
    return "\n".join(lines)


def worst_sheet(recoveries: list[Recovery], count: int = WORST):
    """The lowest mask IoUs: the scene, what was cut out of it and the sprite side by side → RGB PIL.Image."""
    from data_prep.contact_sheet import contact_sheet

    worst = sorted(recoveries, key=lambda one: one.mask)[:count]
    return contact_sheet([_shown(one) for one in worst], 2, 1, captions=[_told(one) for one in worst])


def _shown(one: Recovery, side: int = 192) -> np.ndarray:
    """(side, 3 · side, 4) uint8."""
    cut = one.scene.rgb * (0 if isinstance(one.found, str) else one.found[..., None].astype(np.uint8))
    strip = np.zeros((side, 3 * side, 4), np.uint8)
    for place, picture in enumerate((one.scene.rgb, cut)):
        small = foreground.resized(picture, side)
        tile = strip[: small.shape[0], place * side : place * side + small.shape[1]]
        tile[..., :3], tile[..., 3] = small, 255
    if one.drawn is not None:
        times = side // len(one.drawn)
        large = one.drawn.repeat(times, 0).repeat(times, 1)
        strip[: len(large), 2 * side : 2 * side + len(large)] = large
    return strip


def _told(one: Recovery) -> str:
    return f"{one.mask:.2f} {one.scene.name}" + (f": {one.found}" if isinstance(one.found, str) else "")


def _report(options: argparse.Namespace) -> str:
    if options.count < 1 or not MIN_SIDE <= options.size <= MAX_SIDE:
        raise InputError(f"--count takes at least 1, --size {MIN_SIDE} to {MAX_SIDE} pixels")
    recoveries = measure(options.seed, options.count, options.size)
    if options.sheet:
        worst_sheet(recoveries).save(options.sheet)
    refused = refused_without_a_thing(options.seed, options.count)
    return f"{table(recoveries, options.seed)}\n\nempty generated backgrounds refused: {refused:.0%}"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("photographs_recovery", description="Measures the photographs source on composites.")
    parser.add_argument("--count", type=int, default=24, help="composites of each family of backgrounds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=32, help="pixels a side of the sprites")
    parser.add_argument("--sheet", type=Path, help="PNG to write: the worst composites")
    options = parser.parse_args(argv)
    return exit_code("photographs_recovery", lambda: _report(options))


if __name__ == "__main__":
    sys.exit(main())
