"""From scored drawings to the numbers of a run: means with intervals, sanity of each metric, comparisons.

Pure functions on rows of scores.jsonl and likelihoods.jsonl; `score.py` writes the result as summary.json.

A metric is *sane* when, on the same prompts, held-out sprites are better than every degenerate control and the 95 %
interval of the paired difference leaves no doubt. One that a control matches or beats is kept, shown in grey, and
decides nothing. `sane` is null, not checked, where a control was not drawn or was measured on fewer than 20 of the
prompts, and no other control has fooled the metric: a check with a hole in it clears nothing.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from eval.controls import DEGENERATE, HELD_OUT, NEAREST
from eval.metrics import intervals, likelihood
from eval.metrics.catalogue import METRICS, NAMES, YES_OR_NO, Metric
from eval.run_folder import Rows

MIN_PROMPTS = 20
MAX_CAUSES = 5
BITS_SAVED = {"bits_saved": likelihood.RIGHT, "bits_saved_untold": likelihood.EMPTY}  # comparison → what both are told


def summarise(scored: list[dict], likelihoods: list[dict], recipe: dict, unusable: dict[str, Counter]) -> dict:
    """Everything that the report shows, as one JSON object."""
    seed = max(0, recipe["seed"]) if isinstance(recipe.get("seed"), int) else 0
    prompts = {request: place for place, request in enumerate(dict.fromkeys(row["request_id"] for row in scored))}
    cells = _cells(scored, prompts)
    models = list(dict.fromkeys(name for (name, _), cell in cells.items() if cell["kind"] == "model"))
    altered = variants(recipe, models)
    roles = roles_of(recipe, [name for name in models if name not in altered])
    keys = sorted(cells, key=lambda key: _order(key, cells, roles))
    return {
        "format": 1,
        "seed": seed,
        "resamples": intervals.RESAMPLES,
        "level": intervals.LEVEL,
        "prompts": len(prompts),
        "drawings": len(scored),
        "unusable_rows": {name: dict(counter.most_common(MAX_CAUSES)) for name, counter in unusable.items() if counter},
        "roles": roles,
        "variants": altered,
        "metrics": [_metric_json(metric, cells, seed) for metric in METRICS],
        "generators": [_generator_json(key, cells, scored, seed) for key in keys],
        "likelihoods": _likelihoods_json(likelihoods, roles, seed),
        "comparisons": _comparisons(cells, likelihoods, roles, [name for name in models if name not in altered], seed),
    }


def causes(rows: Rows) -> str:
    """'3 no text, 1 no JSON' for a message; 'the file is empty' without any."""
    return ", ".join(f"{count} {cause}" for cause, count in rows.unusable.most_common(MAX_CAUSES)) or "the file is empty"


def roles_of(recipe: dict, models: list[str]) -> dict[str, str | None]:
    """Which generator is the adapter, which the base model, and which, if any, the rival: as recipe['roles'] says, else by kind.

    An entry with `adapter` is the adapter; of names that the recipe has no entry for, as in old runs, the first. A sprite
    transformer is neither adapter nor base model by itself; the first one is the rival. 'first': whom the verdict is about in
    a run without adapter and rival, the first model beside the base model, else that.
    """
    named = recipe["roles"] if isinstance(recipe.get("roles"), dict) else {}
    models = list(dict.fromkeys(models))
    transformers = [name for name in models if "transformer" in (_entry(recipe, name) or {})]
    others = [name for name in models if name not in (*transformers, named.get("rival"))]
    base = named.get("base", next((name for name in others if name.startswith("base")), None))
    trained = (name for name in others if name != base and "adapter" in (_entry(recipe, name) or {"adapter": ""}))
    adapter = named.get("adapter", next(trained, None))
    rival = named.get("rival", next(iter(transformers), None))
    roles = {role: name if name in models else None for role, name in (("adapter", adapter), ("base", base))}
    if rival in models:
        return roles | {"rival": rival}
    first = next((name for name in models if name != roles["base"]), roles["base"])
    return roles | ({"first": first} if roles["adapter"] is None and first is not None else {})


def entries(recipe: dict) -> dict:
    """Name of a generator → what the recipe says of it; {} where it names none."""
    return recipe["generators"] if isinstance(recipe.get("generators"), dict) else {}


def _entry(recipe: dict, generator: str) -> dict | None:
    """The recipe's entry of this name, or of the one that it is a variant of ('name, round 1')."""
    generators = entries(recipe)
    own = [name for name in generators if generator == name or generator.startswith((f"{name}, ", f"{name} − "))]
    what = generators[max(own, key=len)] if own else None
    return what if isinstance(what, dict) else None


def variants(recipe: dict, names: Sequence[str]) -> dict[str, str]:
    """Generator that misses something → the same without that: 'adapter − colour' → 'adapter'. They are no rivals.

    Taken from the recipe's entries with leave_out; both keep their round: 'x − colour, round 1', 'x, round 1'.
    """
    found = {}
    for entry in (entry for entry, what in entries(recipe).items() if isinstance(what, dict) and "leave_out" in what):
        for name in names:
            match = re.fullmatch(rf"{re.escape(entry)} − (?:sentence \d+|\w+)(, round \d+)?", name)
            if match and (original := entry + (match[1] or "")) in names:
                found[name] = original
    return found


def leader(roles: dict) -> str | None:
    """The generator that the verdict is about: the adapter, in a run without one the rival, without that the first model."""
    return roles["adapter"] or roles.get("rival") or roles.get("first")


def opponents(roles: dict, models: Sequence[str]) -> list[str]:
    """The other models that the leader is compared with: rival, base model, then the rest in their order."""
    first = [roles.get("rival"), roles["base"]]
    return [name for name in dict.fromkeys((*first, *models)) if name in models and name != leader(roles)]


def _cells(scored: list[dict], prompts: dict[str, int]) -> dict[tuple[str, str], dict]:
    """(generator, mode) → {'kind', 'table': metric → (2, prompts): sum over the drawings of a prompt, and their number}."""
    cells: dict[tuple[str, str], dict] = {}
    for row in scored:
        key = row["generator"], row["mode"]
        cell = cells.setdefault(key, {"kind": row["kind"], "table": {name: np.zeros((2, len(prompts))) for name in NAMES}})
        place = prompts[row["request_id"]]
        for name, value in row["metrics"].items():
            if value is not None:
                cell["table"][name][:, place] += value, 1
    return cells


def _order(key: tuple[str, str], cells: dict, roles: dict) -> tuple:
    """Adapter, rival, base model, other models, held-out, nearest, degenerate controls; each by mode."""
    name, mode = key
    kind = ("model", "honest", "degenerate").index(cells[key]["kind"])
    first = [roles["adapter"], roles.get("rival"), roles["base"], HELD_OUT, NEAREST, *DEGENERATE]
    return kind, first.index(name) if name in first else len(first), name, mode != "grammar", mode


def _means(pair: np.ndarray) -> np.ndarray:
    """(2, prompts) sums and counts → (prompts,) means, NaN where nothing was measured."""
    return np.divide(pair[0], pair[1], out=np.full(pair.shape[1], np.nan), where=pair[1] > 0)


def _interval(metric: str, pair: np.ndarray, seed: int) -> intervals.Interval:
    """Of the mean, from (2, prompts) sums and counts."""
    measured = intervals.share if metric in YES_OR_NO else intervals.ratio
    return measured(pair[0], pair[1], seed)


def _metric_json(metric: Metric, cells: dict, seed: int) -> dict:
    held_out = next((cell["table"][metric.name] for (name, _), cell in cells.items() if name == HELD_OUT), None)
    rivals = {name: cell["table"][metric.name] for (name, _), cell in cells.items() if cell["kind"] == "degenerate"}
    verdicts = {} if held_out is None else {name: _fooled(metric, held_out, rival, seed) for name, rival in rivals.items()}
    fooled_by = [name for name, fooled in verdicts.items() if fooled]
    complete = all(verdicts.get(name) is not None for name in DEGENERATE)
    sane = None if metric.group == "cost" or not (fooled_by or complete) else not fooled_by
    fields = ("name", "label", "group", "direction", "unit", "says")
    return {**{field: getattr(metric, field) for field in fields}, "sane": sane, "fooled_by": fooled_by}


def difference(a: np.ndarray, b: np.ndarray, metric: str, seed: int) -> intervals.Interval:
    """Interval of a − b over the prompts that both have; a, b: (prompts,) means, NaN where nothing was measured."""
    paired = intervals.paired_shares if metric in YES_OR_NO else intervals.paired_difference
    return paired(a, b, seed)


def _gap(metric: Metric, a: np.ndarray, b: np.ndarray, seed: int) -> intervals.Interval:
    return difference(_means(a), _means(b), metric.name, seed)


def _fooled(metric: Metric, held_out: np.ndarray, rival: np.ndarray, seed: int) -> bool | None:
    """Does the control match or beat the held-out sprites? None where MIN_PROMPTS in common are not to be had.

    It does wherever a difference is not shown, so that a bound which is no number shows none.
    """
    gap = _gap(metric, held_out, rival, seed)
    if gap.low is None or gap.high is None or gap.n < MIN_PROMPTS:
        return None
    if metric.direction == "near":
        return not (gap.low > 0 or gap.high < 0)
    return not (gap.low > 0 if metric.direction == "higher" else gap.high < 0)


def _generator_json(key: tuple[str, str], cells: dict, scored: list[dict], seed: int) -> dict:
    rows = [row for row in scored if (row["generator"], row["mode"]) == key]
    table = cells[key]["table"]
    faults = Counter(row["error"] for row in rows if row["error"])
    forgiven = Counter(what for row in rows for what in row["forgiven"])
    return {
        "generator": key[0],
        "mode": key[1],
        "kind": cells[key]["kind"],
        "drawings": len(rows),
        "prompts": len({row["request_id"] for row in rows}),
        "seeds": sorted({row["seed"] for row in rows if row["seed"] is not None})[:10],
        "recipe_hashes": sorted({row["recipe_hash"] for row in rows if row["recipe_hash"]})[:5],
        "palette_hashes": sorted({row["palette_hash"] for row in rows if row["palette_hash"]})[:5],
        "faults": dict(faults.most_common(MAX_CAUSES)),
        "forgiven": dict(forgiven.most_common(MAX_CAUSES)),
        "metrics": {name: _interval(name, table[name], seed).to_json() for name in NAMES},
    }


def _by_generator(rows: Iterable[dict]) -> dict[str, list[dict]]:
    groups = defaultdict(list)
    for row in rows:
        groups[row["generator"]].append({**row, **{h: _share(row.get(h)) for h in likelihood.HABITS}})
    return groups


def _share(value) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1.000001 else None


def _likelihoods_json(rows: list[dict], roles: dict, seed: int) -> list[dict]:
    groups = _by_generator(rows)
    first = [roles["base"], roles["adapter"], roles.get("rival")]
    names = sorted(groups, key=lambda name: (first.index(name) if name in first else len(first), name))
    return [
        {"generator": name, **{what: value.to_json() for what, value in likelihood.summary(groups[name], seed).items()}}
        for name in names
    ]


def _comparisons(cells: dict, likelihoods: list[dict], roles: dict, models: list[str], seed: int) -> list[dict]:
    """The leader against every other model and against held-out sprites, paired on the same prompts; `mean` is a − b.

    Looks are compared in the modes that both drew in; bits saved (b − a) with the right caption, and with none.
    """
    first, found = leader(roles), []
    if first is None:
        return []
    modes = [mode for name, mode in cells if name == first]
    others = opponents(roles, models)
    pairs = [((first, mode), (other, mode)) for other in others for mode in modes]
    pairs += [((first, mode), (HELD_OUT, "control")) for mode in modes]
    for a, b in pairs:
        if a in cells and b in cells:
            for metric in METRICS:
                if metric.group in ("judged", "format"):
                    gap = _gap(metric, cells[a]["table"][metric.name], cells[b]["table"][metric.name], seed)
                    found.append({"metric": metric.name, "a": a[0], "b": b[0], "mode": a[1], **gap.to_json()})
    groups = _by_generator(likelihoods)
    tables = {name: likelihood.by_condition(groups[name]) for name in (first, *others) if name in groups}
    for other in others if first in tables else ():
        for what, condition in BITS_SAVED.items() if other in tables else ():
            saved = likelihood.gain(tables[other][condition], tables[first][condition], seed)
            found.append({"metric": what, "a": first, "b": other, "mode": "likelihood", **saved.to_json()})
    return [comparison for comparison in found if comparison["n"]]
