"""What a critic is worth, measured on held-out sprites: ranking of every family, confusion, known and unseen body plans.

A family's row: AUC of the critic's score (P. Mann and D. Whitney's U over all pairs), the mean difference held-out sprite −
its bad drawing with a bootstrap interval over sprites, and the share of bad drawings that pass as sprites (quality ≥ 0.5).
The score is quality; for `another subject`, a perfect sprite of something else, quality × probability of the category
that was asked for. A critic *ranks all* when for every degenerate control, unseen ones included, the interval lies above 0.
AUC and passes are also given for procedural sprites and for those made by people apart: few people's sprites are taught.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from data_prep.sources.procedural import HELD_OUT_PLANS
from data_prep.sprite import Sprite
from eval.controls import ANOTHER_SUBJECT, DEGENERATE, another_subject
from eval.metrics import intervals
from eval.metrics.corruptions import TAUGHT, TAUGHT_FAMILIES, UNSEEN, corrupt
from eval.metrics.critics import Critic, Opinions, confusion
from eval.metrics.probes import PROBES, UNSEEN_FAMILIES

PASSES = 0.5


def auc(good: np.ndarray, bad: np.ndarray) -> float:
    """Probability that a good one scores above a bad one; equal scores count half."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([good, bad]))
    return float((ranks[: len(good)].sum() - len(good) * (len(good) + 1) / 2) / (len(good) * len(bad)))


def measure(critic: Critic, held_out: Sequence[Sprite], seed: int = 0) -> dict:
    """Everything that critics.json says of a critic on held-out sprites."""
    opinions = critic.opinions(held_out)
    families = _families(critic, held_out, opinions, seed)
    own = [row for row in families if row["family"] in DEGENERATE]
    named = set(DEGENERATE) - (set() if critic.categories else {ANOTHER_SUBJECT})  # without labels there is no other subject
    parts = {name: [i for i, sprite in enumerate(held_out) if belongs(sprite)] for name, belongs in _PARTS.items()}
    return {
        "held_out": len(held_out),
        "ranks_all": {row["family"] for row in own} == named and all(row["low"] is not None and row["low"] > 0 for row in own),
        "bar": max((row["mean"] for row in own if row["family"] != ANOTHER_SUBJECT), default=None),
        "families": families,
        "parts": {name: _part(critic, [held_out[i] for i in rows], opinions, rows, seed) for name, rows in parts.items() if rows},
    }


_UNSEEN_PLANS = frozenset(HELD_OUT_PLANS.values())
_PARTS = {
    "all": lambda sprite: True,
    "procedural, known plans": lambda sprite: sprite.source == "procedural" and sprite.tags.get("plan") not in _UNSEEN_PLANS,
    "procedural, unseen plans": lambda sprite: sprite.source == "procedural" and sprite.tags.get("plan") in _UNSEEN_PLANS,
    "made by people": lambda sprite: sprite.source != "procedural",
}


_SIDES = {
    "procedural": lambda sprite: sprite.source == "procedural",
    "made by people": lambda sprite: sprite.source != "procedural",
}


def _families(critic: Critic, held_out: Sequence[Sprite], opinions: Opinions, seed: int) -> list[dict]:
    rows = []
    for name, family in {**TAUGHT_FAMILIES, **UNSEEN_FAMILIES}.items():
        bad = [_bad(family, held_out, i, [seed, i, len(rows)]) for i in range(len(held_out))]
        group = "unseen" if name in UNSEEN else "probe" if name in PROBES else "taught" if name in TAUGHT else "corruption"
        quality = critic.quality(bad)
        row = _row(held_out, opinions.quality, quality, quality, seed)
        rows.append({"family": name, "group": group, **row})
    asked = [sprite.tags.get("category", "") for sprite in held_out]
    turned = enumerate(another_subject(held_out))
    others = {i: other for i, other in turned if other is not None and asked[i] in critic.categories}
    if kept := list(others):
        wanted, found = [asked[i] for i in kept], critic.opinions(list(others.values()))
        good = (opinions.quality * opinions.asked(critic.categories, asked))[kept]
        score = found.quality * found.asked(critic.categories, wanted)
        row = _row([held_out[i] for i in kept], good, score, found.quality, seed)
        rows.append({"family": ANOTHER_SUBJECT, "group": "unseen", **row})
    return rows


def _bad(family, held_out: Sequence[Sprite], index: int, key: list[int]) -> Sprite:
    """One bad drawing; what is pasted comes from the next sprite of the same size and palette."""
    sprite = held_out[index]
    others = (held_out[(index + step) % len(held_out)] for step in range(1, len(held_out)))
    alike = (other for other in others if other.grid.shape == sprite.grid.shape and other.palette == sprite.palette)
    other = next(alike, sprite)
    return replace(sprite, grid=corrupt(family, sprite.grid, other.grid, sprite.palette, np.random.default_rng(key)))


def _row(sprites: Sequence[Sprite], good: np.ndarray, bad: np.ndarray, quality: np.ndarray, seed: int) -> dict:
    """good, bad: scores of each held-out sprite and of its bad drawing; quality: of the bad drawings."""
    gap = intervals.paired_difference(good, bad, seed)
    numbers = {"mean": float(bad.mean()), "difference": gap.mean, "low": gap.low, "high": gap.high}
    found = {name: _rounded(value) for name, value in numbers.items()} | _ranking(good, bad, quality)
    sides = {name: np.array([belongs(sprite) for sprite in sprites]) for name, belongs in _SIDES.items()}
    return found | {"apart": {name: _ranking(good[rows], bad[rows], quality[rows]) for name, rows in sides.items() if rows.any()}}


def _ranking(good: np.ndarray, bad: np.ndarray, quality: np.ndarray) -> dict:
    return {"auc": _rounded(auc(good, bad)), "passes": _rounded(float((quality >= PASSES).mean())), "n": len(good)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _part(critic: Critic, sprites: list[Sprite], opinions: Opinions, rows: list[int], seed: int) -> dict:
    """Accuracy of category and zone on some of the held-out sprites, and the confusion of the category."""
    asked = [sprite.tags.get("category", "") for sprite in sprites]
    named = [opinions.category[i] for i in rows]
    blind = [critic.categories[opinions.probabilities[i].argmax()] if critic.categories else "" for i in rows]
    zones = [sprite.tags.get("zone", "") for sprite in sprites]

    def right(found: Sequence[str], wanted: Sequence[str], words: Sequence[str]) -> dict:
        known = np.array([word in words for word in wanted], float)
        hit = np.array([a == b for a, b in zip(found, wanted, strict=True)], float)
        return intervals.share(hit * known, known, seed).to_json()

    return {
        "n": len(rows),
        "quality": float(opinions.quality[rows].mean()),
        "passes": float((opinions.quality[rows] >= PASSES).mean()),
        "category": right(blind, asked, critic.categories),
        "recognised": right(named, asked, critic.categories),
        "zone": right([opinions.zone[i] for i in rows], zones, critic.zones),
        "zone_scrambled": right([opinions.zone_scrambled[i] for i in rows], zones, critic.zones),
        "confusion": confusion(asked, named, critic.categories),
    }


def markdown(name: str, facts: dict) -> str:
    """One critic's tables."""
    tested = facts["test"]
    verdict = "ranks every degenerate control below held-out sprites" if tested["ranks_all"] else "does NOT rank every control"
    lines = [f"## {name}", "", f"{verdict}. Trained on {facts['training']:,} sprites, measured on {tested['held_out']:,}.", ""]
    sides = [side for side in _SIDES if any(side in row["apart"] for row in tested["families"])]
    apart = "".join(f" {side}: AUC | passes |" for side in sides)
    lines += [
        f"| family | group | AUC | difference | 95 % | passes |{apart}",
        "|---|---|---:|---:|---|---:|" + "---:|---:|" * len(sides),
    ]
    for row in tested["families"]:
        span = f"{row['low']:.3f} to {row['high']:.3f}"
        own = f"| {row['family']} | {row['group']} | {row['auc']:.3f} | {row['difference']:.3f} | {span} | {row['passes']:.0%} |"
        found = (row["apart"].get(side) for side in sides)
        lines.append(own + "".join(f" {one['auc']:.3f} | {one['passes']:.0%} |" if one else " – | – |" for one in found))
    lines += ["", "| held-out sprites | n | quality | pass | category | recognised | zone | zone, scrambled |"]
    lines += ["|---|---:|---:|---:|---:|---:|---:|---:|"]
    for part, found in tested["parts"].items():
        shares = [found[key]["mean"] for key in ("category", "recognised", "zone", "zone_scrambled")]
        words = " | ".join("–" if value is None else f"{value:.1%}" for value in shares)
        lines.append(f"| {part} | {found['n']} | {found['quality']:.3f} | {found['passes']:.1%} | {words} |")
    for part, found in tested["parts"].items():
        lines += [
            "",
            f"Confusion, {part} (rows: what it is; columns: what {name} calls it):",
            "",
            *_confusion(found["confusion"]),
        ]
    return "\n".join(lines) + "\n"


def _confusion(found: dict) -> list[str]:
    lines = [f"| | {' | '.join(found['named'])} |", "|---|" + "---:|" * len(found["named"])]
    rows = zip(found["categories"], found["confusion"], strict=True)
    return lines + [f"| {word} | {' | '.join(map(str, counts))} |" for word, counts in rows if sum(counts)]
