"""`pixelreef bench score`: how fast drawings are scored, metric by metric beside others' implementations, and a whole run.

    pixelreef bench score [--sprites 1000] [--repeats 5]

Each metric and an independent way to it get the same drawings or the same features, in turns: torchmetrics and prdc (extra
`dev`; without it their rows are left out), else a plain loop. Then `pixelreef score` of a run folder that is made for it in a
temporary folder, and under a profiler the shares of its parts. Writes docs/speed/score.json and docs/speed.md.
"""

import tempfile
from dataclasses import asdict
from pathlib import Path

from data_prep.errors import InputError
from data_prep.printable import table
from eval.speed import score_folder
from eval.speed.contest import Times, environment, in_turns, spread, words
from eval.speed.page import show
from eval.speed.score_ways import DEV, FEATURES, SIDE, Pair, missing, pairs

TITLE = "Scoring"
SAID = f"""Drawings a second of each metric beside an independent way to the same numbers: torchmetrics and prdc where they have
it, else a plain loop written from the formulas. Drawings are {SIDE}×{SIDE}; distances between sets are taken on {FEATURES}
features of as many drawings as held-out sprites, without intervals. First it was checked that both ways agree within 1e-6, with
one exception: the nearest training sprite is searched, not compared with all of them; every copy must be found with the very
same agreement, and the row says how often it is found for drawings that are no copies, and by how much it falls short. The last
table is `pixelreef score` of a whole run: with all controls, the judge and as many training sprites as drawings."""
LEFT = {"cpu": "pixelreef bench score"}
OURS, THEIRS, WHOLE = "ours", "theirs", "score"
PACKAGES = ("numpy", "scipy", "torch")


def measured(pair: Pair, repeats: int) -> dict:
    """One row. Raises InputError where both ways disagree."""
    agreed = pair.agreement()
    times = in_turns({OURS: lambda _: pair.ours(), THEIRS: lambda _: pair.theirs()}, repeats, pair.work)
    return {
        "name": pair.name, "rival": pair.rival, "agreement": agreed, "times": {who: asdict(one) for who, one in times.items()},
    }  # fmt: skip


def whole(drawings: int, repeats: int) -> dict:
    """`score` of a run folder, and where its time goes."""
    from eval.score import score

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        count = score_folder.make(folder, drawings)
        times = in_turns({WHOLE: lambda _: score(folder)}, repeats, count)[WHOLE]
        return {"drawings": count, "times": asdict(times), "shares": score_folder.shares(lambda: score(folder))}


def bench(options) -> None:
    """Measures what the flags say and writes the page. Raises InputError."""
    if options.sprites < 20 or options.repeats < 1:
        raise InputError("bench score: --sprites takes 20 and more, --repeats 1 and more")
    packages = PACKAGES + tuple(name for name in DEV if name not in missing())
    found = environment(packages) | {"sprites": options.sprites, "repeats": options.repeats, "missing": missing(), "rows": []}
    for pair in pairs(options.sprites):
        found["rows"].append(measured(pair, options.repeats))
        print(f"{pair.name}: {_ratio(found['rows'][-1]):.2g} times {pair.rival}", flush=True)
    found["whole"] = whole(options.sprites, options.repeats)
    show(options.docs, "score", f"{options.sprites:,} drawings", found)


def _times(row: dict) -> dict[str, Times]:
    return {who: Times(**one) for who, one in row["times"].items()}


def _ratio(row: dict) -> float:
    times = _times(row)
    return times[OURS].ratio(times[THEIRS])


def lines(found: dict) -> list[str]:
    """Of one measurement."""
    said = [words(found), "", f"Medians of {found['repeats']} calls of each, drawings a second by the clock.", ""]
    head = ("metric", "beside", "drawings", "ours", "theirs", "ours is", "largest difference")
    said += table(head, (_cells(row) for row in found["rows"]))
    said += [line for row in found["rows"] for line in _missed(row)]
    if found["missing"]:
        said += [
            "",
            f"Left out, for {' and '.join(found['missing'])} was not installed (extra `dev`): the distances between sets.",
        ]
    return said + _of_whole(found["whole"])


def _cells(row: dict) -> tuple[str, ...]:
    times, apart = _times(row), row["agreement"]["largest"]
    rates = (spread(times[who].rates(), ",.0f") for who in (OURS, THEIRS))
    equal = "none" if apart == 0 else f"{apart:.0e}"
    return row["name"], row["rival"], f"{times[OURS].work:,}", *rates, f"{_ratio(row):.2g} times as fast", equal


def _missed(row: dict) -> list[str]:
    agreed = row["agreement"]
    if "found" not in agreed:
        return []
    words = (
        f"of drawings that are no copies it is found for {agreed['found']:.0%}; the largest shortfall is {agreed['short']:.3f}."
    )
    return ["", f"{row['name'].capitalize()}: {words}"]


def _of_whole(found: dict) -> list[str]:
    times = Times(**found["times"])
    said = ["", f"**`pixelreef score`**, {found['drawings']:,} drawings: {spread(times.wall, '.2f')} s by the clock,"]
    said[-1] += (
        f" {spread(times.cpu, '.2f')} s of CPU time, {spread(times.rates(), ',.0f')} drawings a second. Where its time goes,"
    )
    said[-1] += " by `cProfile`, which makes plain Python look dearer than it is:"
    return [*said, "", *table(("part", "share"), ((part, f"{share:.0%}") for part, share in found["shares"].items()))]
