"""Entry: sprites → eval/bench/structure.json, the two measures of `eval.bench.structure`, and how well they hold.

    python -m eval.bench.fit_structure --dataset datasets/packs24

Good drawings are training sprites before a ground, of the embedded source and, with --dataset, of a prepared dataset of at most
24×24, and scenes by rule; bad ones are the same spoilt by the learnt half of the controls and by the critics' corruptions.
The other half of the controls and the probes are never in the fit, nor are scenes of the bench's subjects. The first fit had
the critics' own halves, with the shaded disc held out, and put it above sprites; the disc then changed places with the scrambled
shape, and two statistics of bare forms were added. So the disc's figure is that of a learnt family. The second was fitted on
sprites alone, and turned down suns, mazes and rainbows; the scenes came in. The table in the file says, on held-out drawings,
the mean of each family and how often a good one scores above one of its drawings (the area under the ROC curve).
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_prep.bench_format import on_a_ground
from data_prep.errors import exit_code
from data_prep.sprite import Sprite
from data_prep.whole_files import write_whole
from eval.bench import scenes as scene_kinds
from eval.bench.randomness import keyed
from eval.bench.sample_drawings import prepared, procedural
from eval.bench.scenes import scenes
from eval.bench.structure import COLOUR, FITTED, SHAPE, Judge, statistics
from eval.controls import GRID_CONTROLS
from eval.metrics.corruptions import CORRUPTIONS, control, corrupt
from eval.metrics.probes import PROBES

ALL = (*SHAPE, *COLOUR)
MEASURES = {"continuity": SHAPE, "structure": ALL}
LEARNT = ("noise", "checkerboard", "blank", "plain square", "shaded disc")
HELD_OUT = (*(name for name in GRID_CONTROLS if name not in LEARNT), *PROBES)
FAMILIES = {**{name: control(name) for name in GRID_CONTROLS}, **CORRUPTIONS, **PROBES}
CONTROL_SHARE = 0.5  # of the bad drawings are controls, the rest corruptions
STRENGTH = 0.1  # scikit-learn's C: how far the weights may go
SPRITES, TESTED = 700, 80  # of each source: fitted, and looked at a family
GOOD = ""


def measured(sprites: Sequence[Sprite], families: Sequence[str], salt: str) -> np.ndarray:
    """(N, n) statistics of sprites before a ground, the i-th spoilt by the i-th family; GOOD leaves it as it is."""
    rows = []
    for number, (sprite, family) in enumerate(zip(sprites, families, strict=True)):
        rng = keyed(salt, number, family)
        grid = sprite.grid if family == GOOD else _spoilt(sprites, number, family, rng)
        drawing = on_a_ground(grid, sprite.palette, rng)
        found = statistics(drawing.grid, drawing.lab)
        rows.append([found[name] for name in ALL])
    return np.array(rows)


def _spoilt(sprites: Sequence[Sprite], number: int, family: str, rng: np.random.Generator) -> np.ndarray:
    sprite = sprites[number]
    near = sprites[number + 1 : number + 40]
    alike = (o for o in near if o.grid.shape == sprite.grid.shape and o.palette.hash == sprite.palette.hash)
    return corrupt(FAMILIES[family], sprite.grid, next(alike, sprite).grid, sprite.palette, rng)


def _drawn_families(count: int) -> list[str]:
    rng = keyed("families")
    corruptions = list(CORRUPTIONS)
    return [str(rng.choice(LEARNT if rng.random() < CONTROL_SHARE else corruptions)) for _ in range(count)]


def fit(good: np.ndarray, bad: np.ndarray, names: Sequence[str]) -> Judge:
    """(N, all) statistics of good and of bad drawings → a judge of the statistics `names`."""
    from sklearn.linear_model import LogisticRegression

    places = [ALL.index(name) for name in names]
    rows, wanted = np.concatenate([good, bad])[:, places], np.repeat([1, 0], [len(good), len(bad)])
    blank = Judge(tuple(names), rows.mean(0), rows.std(0) + 1e-6, np.zeros(2 * len(names)), 0.0)
    model = LogisticRegression(C=STRENGTH, max_iter=2000, class_weight="balanced").fit(blank.terms(rows), wanted)
    return Judge(blank.names, blank.centre, blank.spread, model.coef_[0], float(model.intercept_[0]))


def area(good: np.ndarray, bad: np.ndarray) -> float:
    """How often a good one scores above a bad one; ties count half."""
    return float(((good[:, None] > bad).mean() + (good[:, None] >= bad).mean()) / 2)


def table(judges: dict[str, Judge], tested: dict[str, np.ndarray]) -> dict[str, dict]:
    """family → measure → {'mean', 'area'} on held-out sprites; GOOD has the mean alone."""
    scores = {
        name: {family: judge.score(rows[:, [ALL.index(n) for n in judge.names]]) for family, rows in tested.items()}
        for name, judge in judges.items()
    }
    found = {}
    for family in tested:
        found[family or "held-out sprites"] = {
            name: {"mean": round(float(s[family].mean()), 3)} | ({"area": round(area(s[GOOD], s[family]), 3)} if family else {})
            for name, s in scores.items()
        }
    return found


def fitted(sources: dict[str, tuple[list[Sprite], list[Sprite]]]) -> dict:
    """source → (training sprites, held-out ones) → what structure.json holds."""
    good, bad, tables = [], [], {}
    for name, (training, _) in sources.items():
        good.append(measured(training, [GOOD] * len(training), f"good {name}"))
        twice = [*training, *training[::-1]]
        bad.append(measured(twice, _drawn_families(len(twice)), f"bad {name}"))
    judges = {name: fit(np.concatenate(good), np.concatenate(bad), names) for name, names in MEASURES.items()}
    for name, (_, held_out) in sources.items():
        families = (GOOD, *LEARNT, *HELD_OUT)
        tables[name] = table(judges, {family: measured(held_out, [family] * len(held_out), "test") for family in families})
    numbers = {name: judge.to_json() for name, judge in judges.items()}
    return {**numbers, "learnt": list(LEARNT), "held_out": list(HELD_OUT), "tables": tables}


def _some(sprites: list[Sprite], count: int) -> list[Sprite]:
    order = keyed("some").permutation(len(sprites))[:count]
    return [sprites[place] for place in order]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m eval.bench.fit_structure", description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset", type=Path, help="a prepared dataset's folder, of sprites made by people")
    parser.add_argument("--out", type=Path, default=FITTED, help="by default the committed file")
    options = parser.parse_args(arguments)
    return exit_code("fit_structure", lambda: run(options.dataset, options.out))


def run(dataset: Path | None, out: Path) -> Path:
    """Writes the file; raises InputError for a folder that is no prepared dataset."""
    sources = {"procedural": (procedural(SPRITES, 1, "train"), procedural(TESTED, 1, "test"))}
    if dataset is not None:
        held_out = prepared(dataset, "test") + prepared(dataset, "validation")
        sources["made by people"] = (_some(prepared(dataset, "train"), SPRITES), _some(held_out, TESTED))
    sources["scenes by rule"] = (scenes(scene_kinds.FITTED, SPRITES, "fit"), scenes(scene_kinds.SUBJECTS, TESTED, "test"))
    return write_whole(out, json.dumps(fitted(sources), indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
