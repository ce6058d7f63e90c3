"""Chooses reef64: 9 ramps of 7 steps whose hues, chroma and lightness fit real sprites, by coordinate descent in OKLab.

    python -m data_prep.design_reef64 PACK.zip… [--write]

Reads zips in the imagefolder convention (pictures + metadata.jsonl with `file_name` and `source`). Prints the mean OKLab
error by source; with --write it writes data_prep/palettes/reef64.json and docs/reef64.md. No randomness: equal packs give
an equal palette. Half a minute on one core.
"""

import argparse
import io
import json
import sys
import zipfile
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

from data_prep.errors import InputError
from data_prep.palette import ALPHA_THRESHOLD, MAX_COLOURS, PALETTE_FOLDER, Palette, oklab, oklab_to_linear, oklab_to_rgb

STEPS = 7
REPORT = Path(__file__).parent.parent / "docs" / "reef64.md"
STARTS = (0.1, 0.3, 0.5, 0.7, 0.9)
KNOBS = ("hue", "shift", "chroma_dark", "chroma_mid", "chroma_light", "dark", "light")

# What each name deserves. hue: OKLab hue angle of the middle step, degrees (sRGB red 29, orange 71, yellow 110, green 142,
# teal 195, blue 264, purple 328). shift: degrees from the middle to each end; its sign turns shadows to the cool side (blue,
# purple) and lights to the warm side (yellow), or is 0. Ends keep some chroma and stay off black and white: those are neutral's.
_ENDS = {"dark": (0.18, 0.25), "light": (0.86, 0.95)}
_CHROMA = {"chroma_dark": (0.05, 0.12), "chroma_mid": (0.10, 0.24), "chroma_light": (0.035, 0.14)}
_BROWN = {"chroma_dark": (0.025, 0.05), "chroma_mid": (0.055, 0.085), "chroma_light": (0.02, 0.06)}
_YELLOW = {"chroma_dark": (0.05, 0.12), "chroma_mid": (0.12, 0.24), "chroma_light": (0.14, 0.19)}
_NEUTRAL = {"chroma_dark": (0.0, 0.012), "chroma_mid": (0.0, 0.012), "chroma_light": (0.0, 0.006)}
WINDOWS: dict[str, dict[str, tuple[float, float]]] = {
    "neutral": {"hue": (250, 290), "shift": (0, 0), **_NEUTRAL, "dark": (0, 0), "light": (1, 1)},  # very black, very white
    "brown": {"hue": (54, 72), "shift": (0, 14), **_BROWN, **_ENDS},
    "red": {"hue": (14, 32), "shift": (0, 20), **_CHROMA, "chroma_dark": (0.07, 0.12), **_ENDS},
    "orange": {"hue": (46, 68), "shift": (0, 14), **_CHROMA, **_ENDS},
    "yellow": {"hue": (92, 106), "shift": (0, 20), **_YELLOW, "dark": (0.18, 0.25), "light": (0.90, 0.95)},
    "green": {"hue": (124, 148), "shift": (-22, 0), **_CHROMA, **_ENDS},
    "teal": {"hue": (178, 208), "shift": (-22, 0), **_CHROMA, **_ENDS},
    "blue": {"hue": (240, 266), "shift": (-22, 0), **_CHROMA, **_ENDS},
    "purple": {"hue": (298, 326), "shift": (0, 22), **_CHROMA, **_ENDS},
}


def read_colours(packs: list[Path]) -> dict[str, Counter]:
    """Source → packed RGB → number of opaque pixels, over every picture that metadata.jsonl names.

    Raises InputError for a file that is no such zip, and for zips without an opaque pixel.
    """
    found: dict[str, Counter] = defaultdict(Counter)
    for pack in packs:
        try:
            with zipfile.ZipFile(pack) as archive:
                for row in map(json.loads, archive.read("metadata.jsonl").decode().splitlines()):
                    found[row["source"]].update(_opaque(archive.read(row["file_name"])))
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise InputError(f"{pack}: not an imagefolder zip with metadata.jsonl: {error}") from error
    counts = {source: count for source, count in sorted(found.items()) if count}
    if not counts:
        raise InputError(f"{', '.join(map(str, packs))}: no opaque pixel in any sprite")
    return counts


def _opaque(png: bytes) -> dict[int, int]:
    rgba = np.asarray(Image.open(io.BytesIO(png)).convert("RGBA")).reshape(-1, 4).astype(np.int64)
    rgb = rgba[rgba[:, 3] >= ALPHA_THRESHOLD, :3]
    colours, counts = np.unique(rgb @ [65536, 256, 1], return_counts=True)
    return dict(zip(colours.tolist(), counts.tolist(), strict=True))


def table_of(counts: dict[str, Counter]) -> tuple[np.ndarray, np.ndarray]:
    """→ colours (n, 3) OKLab and weights (sources, n), each source's summing to 1."""
    colours = np.array(sorted(set().union(*counts.values())))
    rgb = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=-1).astype(np.uint8)
    weights = np.array([[count[colour] for colour in colours.tolist()] for count in counts.values()], np.float64)
    return oklab(rgb), weights / weights.sum(1, keepdims=True)


def thinned(lab: np.ndarray, weight: np.ndarray, side: float = 0.012) -> tuple[np.ndarray, np.ndarray]:
    """Colours in one OKLab cube of `side` become their weighted mean: the search needs no more, and is fast so."""
    _, cube = np.unique(np.floor(lab / side).astype(int), axis=0, return_inverse=True)
    total = np.bincount(cube, weight)
    means = np.stack([np.bincount(cube, weight * lab[:, k]) / total for k in range(3)], axis=-1)
    return means.astype(np.float32), total


def ramp_colours(knobs: dict[str, float]) -> np.ndarray:
    """(7, 3) uint8 sRGB, dark to light: even in lightness; chroma is reduced until the colour is in gamut, never clipped."""
    t = np.linspace(-1, 1, STEPS)
    lightness = np.linspace(knobs["dark"], knobs["light"], STEPS)
    hue = np.deg2rad(knobs["hue"] + knobs["shift"] * t)
    mid = knobs["chroma_mid"]  # a parabola through the three chromas: no kink in the middle
    rise, bend = (knobs["chroma_light"] - knobs["chroma_dark"]) / 2, (knobs["chroma_light"] + knobs["chroma_dark"]) / 2 - mid
    chroma = mid + rise * t + bend * t**2
    direction = np.stack([np.zeros(STEPS), np.cos(hue), np.sin(hue)], axis=-1)
    grey = np.stack([lightness, np.zeros(STEPS), np.zeros(STEPS)], axis=-1)
    low, high = np.where(_in_gamut(grey + direction * chroma[:, None]), chroma, 0), chroma
    for _ in range(12):
        middle = (low + high) / 2
        fits = _in_gamut(grey + direction * middle[:, None])
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return oklab_to_rgb(grey + direction * low[:, None])


def _in_gamut(lab: np.ndarray) -> np.ndarray:
    """(n, 3) OKLab → (n,) bool; with room for the published matrices, which invert to 7 digits only."""
    linear = oklab_to_linear(lab)
    return np.all((linear > -1e-4) & (linear < 1 + 1e-4), -1)


def hue_wheel(dark: float = 0.15, light: float = 0.95) -> np.ndarray:
    """(63, 3) uint8: what one would write without looking. Neutral and 8 hues 45° apart from red, one chroma, no shift.

    dark, light: OKLab lightness of neutral's ends; 0 and 1 make them black and white.
    """
    plain = {"shift": 0, "chroma_dark": 0.15, "chroma_mid": 0.15, "chroma_light": 0.15, "dark": 0.15, "light": 0.95}
    grey = plain | {"hue": 0, "chroma_dark": 0, "chroma_mid": 0, "chroma_light": 0, "dark": dark, "light": light}
    return np.concatenate([ramp_colours(grey), *(ramp_colours(plain | {"hue": 29 + 45 * k}) for k in range(8))])


def distances(lab: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """(n, 3) OKLab, (m, 3) uint8 → (n,) distance to the nearest of the m."""
    entries = oklab(rgb)
    nearest = np.full(len(lab), np.inf, np.float32)
    for entry in entries:
        np.minimum(nearest, sum((lab[:, k] - entry[k]) ** 2 for k in range(3)), out=nearest)
    return np.sqrt(nearest)


def search(lab: np.ndarray, weight: np.ndarray) -> dict[str, dict[str, float]]:
    """Ramp → knobs: the best of the descents from five places along the windows, as one alone stops where it began."""
    descents = [_descend(lab, weight, start) for start in STARTS]
    return min(descents, key=lambda knobs: float(weight @ distances(lab, as_palette(knobs).rgba[1:, :3])))


def _descend(lab: np.ndarray, weight: np.ndarray, start: float, rounds: int = 10) -> dict[str, dict[str, float]]:
    """Coordinate descent on the weighted mean distance; every second round looks half as far from where it is."""
    knobs = {name: {knob: float(np.interp(start, (0, 1), window[knob])) for knob in KNOBS} for name, window in WINDOWS.items()}
    near = {name: distances(lab, ramp_colours(knobs[name])) for name in knobs}
    for step in range(rounds):
        reach = 0.5 ** (step // 2 + 1)
        for name, window in WINDOWS.items():
            others = np.min([near[other] for other in knobs if other != name], axis=0)
            for knob in KNOBS:
                knobs[name] = _best(knobs[name], knob, window[knob], reach, lambda k, o=others: _error(lab, weight, k, o))
            near[name] = distances(lab, ramp_colours(knobs[name]))
    return knobs


def _error(lab: np.ndarray, weight: np.ndarray, knobs: dict[str, float], others: np.ndarray) -> float:
    return float(weight @ np.minimum(others, distances(lab, ramp_colours(knobs))))


def _best(knobs: dict[str, float], knob: str, window: tuple[float, float], reach: float, error) -> dict[str, float]:
    """The knobs with this one moved to the best of seven places in its window, at most `reach` of its width away."""
    low, high = window
    places = np.clip(knobs[knob] + np.linspace(-1, 1, STEPS) * reach * (high - low), low, high)
    tries = [knobs, *(knobs | {knob: float(place)} for place in places.round(4) if place != knobs[knob])]
    return min(tries, key=error)  # the first of equals: it stays where moving gains nothing


def as_palette(knobs: dict[str, dict[str, float]]) -> Palette:
    """Ramp r, step s is entry 1 + 7 r + s."""
    colours = [row.tobytes().hex() for name in WINDOWS for row in ramp_colours(knobs[name])]
    ramps = {name: tuple(range(1 + STEPS * r, 1 + STEPS * (r + 1))) for r, name in enumerate(WINDOWS)}
    return Palette("reef64", tuple(colours), ramps)


def free_colours(lab: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(63, 3) uint8: k-means without ramps: about what 63 colours can do."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        means = KMeans(MAX_COLOURS, n_init=1, random_state=0).fit(lab.astype(np.float64), sample_weight=weight)
    return oklab_to_rgb(means.cluster_centers_)


def report(counts: dict[str, Counter], columns: dict[str, np.ndarray], knobs: dict[str, dict[str, float]]) -> str:
    """Markdown: error by source for each palette (63, 3) of `columns`, and the knobs of each ramp."""
    lab, weights = table_of(counts)
    errors = weights @ np.stack([distances(lab, rgb) for rgb in columns.values()], axis=-1)  # (sources, palettes)
    rows = [(name, sum(count.values()), *row) for (name, count), row in zip(counts.items(), errors, strict=True)]
    rows.append(("mean of the sources", sum(row[1] for row in rows), *errors.mean(0)))
    lines = ["| source | opaque pixels | " + " | ".join(columns) + " |", "|---|" + "---:|" * (1 + len(columns))]
    lines += [f"| {name} | {pixels:,} | " + " | ".join(f"{e:.4f}" for e in row) + " |" for name, pixels, *row in rows]
    lines += ["", "| ramp | " + " | ".join(KNOBS) + " |", "|---|" + "---:|" * len(KNOBS)]
    lines += [f"| {name} | " + " | ".join(f"{k[knob] + 0.0:.3g}" for knob in KNOBS) + " |" for name, k in knobs.items()]
    return "\n".join(lines)


_PREFACE = """# reef64: how its colours were chosen

Written by `python -m data_prep.design_reef64 PACK.zip… --write`; do not edit.

Mean OKLab distance from an opaque pixel to the nearest entry (lightness runs from 0 to 1). Every source counts the same in
the mean, whatever its size. 'hue wheel' is neutral and 8 hues 45° apart at one chroma; the next column gives its
neutral ramp true black and white, which alone is much of the gain. '63 free colours' is k-means without ramps, and shows
what even ramps cost. The sprites that are measured are those that the search saw.

"""
_CODA = """

hue: OKLab angle of the middle step in degrees; shift: degrees from there to the light end, and back to the dark end; chroma
before it is reduced to fit sRGB; dark, light: OKLab lightness of the ends, the seven steps evenly between.
"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("packs", nargs="+", type=Path, metavar="PACK.zip")
    parser.add_argument("--write", action="store_true", help="write the palette and docs/reef64.md")
    args = parser.parse_args(arguments)
    try:
        counts = read_colours(args.packs)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    lab, weights = table_of(counts)
    small, weight = thinned(lab, weights.mean(0))
    knobs = search(small, weight)
    palette = as_palette(knobs)
    columns = {"hue wheel": hue_wheel(), "wheel with black, white": hue_wheel(0, 1), "reef64": palette.rgba[1:, :3]}
    columns["63 free colours"] = free_colours(small, weight)
    text = report(counts, columns, knobs)
    print(text)
    if args.write:
        (PALETTE_FOLDER / "reef64.json").write_text(json.dumps(palette.to_json(), indent=1) + "\n", "utf-8")
        REPORT.write_text(_PREFACE + text + _CODA, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
