"""What a report says in words: the verdict and how far training went, computed from the numbers of a run.

Pure functions of summary.json, recipe.json and the rows of training_log.jsonl; they return plain text, unescaped.
"""

from eval.controls import HELD_OUT
from eval.run_folder import number, seconds_in, sprites_in
from eval.summary import leader, opponents

SHORT_TRAINING = 5_000  # sprites; a small transformer from scratch needs about as many to be level with 300 of a LoRA's
FEW_PROMPTS = 20
NO_BREAK = "\N{NO-BREAK SPACE}"
PASSED = {  # what a share of the drawings does; other metrics are passed
    "recognised": "are recognised as the category asked for",
    "recognised_in_colour": "are recognised as the category asked for and in the right colour",
}


def percent(share: float) -> str:
    """0.25 → '25 %'; a digit more near 0 and 100, so that 99.7 % is never called 100 %."""
    value = 100 * share
    digits = 1 if 0 < abs(value) < 1 or 99 < abs(value) < 100 else 0
    return f"{value:.{digits}f}{NO_BREAK}%".replace("-", "−")


def sentence(text: str) -> str:
    """With a capital letter at its head."""
    return text[:1].upper() + text[1:]


def points(share: float) -> str:
    """A difference of shares in percentage points: 0.25 → '25'."""
    return f"{round(100 * share)}".replace("-", "−")


def headline_metric(summary: dict) -> dict | None:
    """The first judged metric that no degenerate control matches."""
    usable = [m for m in summary["metrics"] if m["group"] == "judged" and m["direction"] == "higher" and m["sane"]]
    return usable[0] if usable else None


def comparison(summary: dict, metric: str, b: str | None) -> dict | None:
    """The paired difference leader − b in `metric`, in the mode that comes first (grammar, where there is one)."""
    first = leader(summary["roles"])
    found = [c for c in summary["comparisons"] if (c["metric"], c["a"], c["b"]) == (metric, first, b)]
    return min(found, key=lambda c: (c["mode"] == "unconstrained", c["mode"])) if found else None


def value_of(summary: dict, generator: str | None, metric: str, mode: str | None = None) -> dict | None:
    """The interval of one generator, in `mode` where it has it."""
    rows = [g for g in summary["generators"] if g["generator"] == generator]
    rows.sort(key=lambda g: (g["mode"] != mode, g["mode"] == "unconstrained"))
    return rows[0]["metrics"][metric] if rows and rows[0]["metrics"][metric]["n"] else None


def called(summary: dict, name: str) -> str:
    """'the adapter', with its name where that says more; a model without a role by its name alone."""
    role = _role(summary, name)
    if not role:
        return f"“{name}”"
    if name.startswith(role.split()[0]):
        return f"the {role if name == role.split()[0] else name}"
    return f"the {role} “{name}”"


def _role(summary: dict, name: str | None) -> str:
    words = {"adapter": "adapter", "rival": "rival", "base": "base model"}
    return next((word for role, word in words.items() if name and summary["roles"].get(role) == name), "")


def models(summary: dict) -> list[str]:
    """Those that can be compared with each other: one that misses something is no rival of what it is a variant of."""
    found = (g["generator"] for g in summary["generators"] if g["kind"] == "model")
    return [name for name in dict.fromkeys(found) if name not in summary.get("variants", {})]


def told(recipe: dict, name: str) -> str:
    """What a model is told of a drawing, as the run's recipe.json has it."""
    words = recipe.get("told")
    return str(words.get(name, "not recorded")) if isinstance(words, dict) else "the caption"  # once there were no other models


def _sign(gap: dict | None) -> int:
    """1 where the whole interval is above 0, −1 where it is below, else 0."""
    return 0 if gap is None else (gap["low"] > 0) - (gap["high"] < 0)


def verdict(summary: dict) -> str:
    """One sentence: the leader against the rival, else the base model, then against held-out sprites, with intervals."""
    first, metric = leader(summary["roles"]), headline_metric(summary)
    if first is None:
        return f"No model drew in this run: its {summary['drawings']} drawings are controls, and show what each metric is worth."
    against = next(iter(opponents(summary["roles"], models(summary))), None)
    opening = _opening(summary, called(summary, first), against, metric)
    if not opening:
        other = called(summary, against) if against else "a base model"
        opening = f"{called(summary, first)} was not compared with {other} on anything that decides"
    return f"{opening}{_distance(summary, metric)}."


def _opening(summary: dict, first: str, against: str | None, metric: dict | None) -> str:
    """'the adapter is better than the base model (evidence)'; '' where the two were not compared."""
    bits = comparison(summary, "bits_saved", against)
    looks = comparison(summary, metric["name"], against) if metric else None
    if against is None or (bits is None and looks is None):
        return ""
    label = metric["label"] if metric else ""
    standing = _standing(_sign(bits), _sign(looks), called(summary, against), label)
    return f"{first} is {standing} ({_evidence(bits, looks, label)})"


def beside(summary: dict, recipe: dict) -> list[str]:
    """In a run with a rival: what each side is told, and how the leader stands against the base model."""
    roles, metric = summary["roles"], headline_metric(summary)
    first, others = leader(roles), opponents(roles, models(summary))
    if first is None or not roles.get("rival") or not others:
        return []
    informed = ", ".join(f"{called(summary, name)}: {told(recipe, name)}" for name in (first, others[0]))
    untold = _untold(comparison(summary, "bits_saved_untold", others[0]), called(summary, first))
    said = [f"For the bits, each is told something ({informed}){untold}."]
    if roles["base"] in others[1:]:
        standing = _opening(summary, f"Beside them, {called(summary, first)}", roles["base"], metric)
        said += [f"{standing}."] if standing else []
    return said


def _untold(gap: dict | None, first: str) -> str:
    if gap is None:
        return ""
    words, ends = _bits_words(gap, "saves", "loses")
    return f"; with the empty caption, {first} {words} ({ends})"


def _bits_words(gap: dict, more: str, less: str) -> tuple[str, str]:
    """('saves 0.31 bits per pixel', '0.25 to 0.37'); a loss is told without a minus sign."""
    word, sign = (more, 1) if gap["mean"] >= 0 else (less, -1)
    low, high = sorted((sign * gap["low"], sign * gap["high"]))
    return f"{word} {sign * gap['mean']:.2f} bits per pixel", f"{low:.2f} to {high:.2f}".replace("-", "−")


def _standing(bits: int, looks: int, base: str, label: str) -> str:
    if bits * looks < 0:
        better, worse = ("bits per pixel", label) if bits > 0 else (label, "bits per pixel")
        return f"better than {base} in {better} and worse in {worse}"
    overall = bits or looks
    if overall == 0:
        return f"not distinguishable from {base}"
    return f"{'better' if overall > 0 else 'worse'} than {base}"


def _evidence(bits: dict | None, looks: dict | None, label: str) -> str:
    parts = []
    if bits:
        words, ends = _bits_words(bits, "saving", "losing")
        parts.append(f"{words} on held-out sprites, 95{NO_BREAK}% interval {ends}, n = {bits['n']}")
    if looks:
        sign = "+" if looks["mean"] > 0 else ""
        interval = f"{points(looks['low'])} to {points(looks['high'])}"
        parts.append(f"“{label}” {sign}{points(looks['mean'])} points, {interval}, n = {looks['n']}")
    return "; ".join(parts)


def _distance(summary: dict, metric: dict | None) -> str:
    if metric is None:
        return "; no metric here tells drawings from degenerate controls, so how far it is from held-out sprites is for the eye"
    gap = comparison(summary, metric["name"], HELD_OUT)
    own = value_of(summary, leader(summary["roles"]), metric["name"], gap["mode"]) if gap else None
    goal = value_of(summary, HELD_OUT, metric["name"])
    if gap is None or own is None or goal is None:
        return "; how far it is from held-out sprites was not measured"
    passed = PASSED.get(metric["name"], f"pass “{metric['label']}”")
    shares = f"{percent(own['mean'])} of its drawings {passed}, of held-out sprites {percent(goal['mean'])}"
    if _sign(gap) < 0:
        distance = f"{points(-gap['mean'])} points ({points(-gap['high'])} to {points(-gap['low'])})"
        return f"; it is {distance} short of held-out sprites: {shares}"
    return f"; in this test it is level with held-out sprites: {shares}"


def sprites_seen(recipe: dict, log: list[dict]) -> int | None:
    """How many sprites the leader was trained on, counted with repeats: from the log, else from the recipe."""
    training = recipe["training"] if isinstance(recipe.get("training"), dict) else {}
    told = (sprites_in(log), number(recipe.get("sprites_seen")), number(training.get("sprites_seen")))
    known = [value for value in told if value]
    return int(max(known)) if known else None


def caveats(summary: dict, recipe: dict, log: list[dict]) -> list[str]:
    """Sentences under the verdict: training, few prompts, sanity, lost rows."""
    first, metric = leader(summary["roles"]), headline_metric(summary)
    said = beside(summary, recipe)
    if first is not None:
        said += _training_words(summary, first, metric, sprites_seen(recipe, log), log) + _by_heart(summary, first, metric)
    said += deafness(summary) + _without_judge(summary)
    if summary["prompts"] < FEW_PROMPTS:
        said.append(f"Only {summary['prompts']} prompts: the intervals are narrower than the truth.")
    if not any(g["kind"] == "degenerate" for g in summary["generators"]):
        said.append("No degenerate controls were drawn, so no metric here has been checked.")
    elif metric is None:
        said.append("No metric is known to tell drawings from all degenerate controls, so none decides anything here.")
    lost = [f"{count} {file} ({cause})" for file, causes in summary["unusable_rows"].items() for cause, count in causes.items()]
    if lost:
        said.append(f"Rows left out because they could not be used: {', '.join(lost)}.")
    return said


def deafness(summary: dict) -> list[str]:
    """Says so of the adapter and the rival when the right caption helps no more than another sprite's."""
    bits = {row["generator"]: row["gain_over_shuffled"] for row in summary["likelihoods"]}
    said = []
    for role in ("adapter", "rival"):
        gain = bits.get(summary["roles"].get(role))
        if gain and gain["n"] and gain["low"] <= 0:
            values = [f"{gain[key]:.3f}".replace("-", "−") for key in ("mean", "low", "high")]
            said.append(
                f"The {role} does not heed the caption: the right one saves {values[0]} bits per pixel over another sprite's "
                f"({values[1]} to {values[2]}, n = {gain['n']}). It draws, but not what it is asked for."
            )
    return said


def _without_judge(summary: dict) -> list[str]:
    critics = summary.get("critics") or {}
    return [f"No judge looked at the drawings: {critics['reason']}."] if critics.get("reason") else []


def _by_heart(summary: dict, first: str, metric: dict | None) -> list[str]:
    """Copies of what the judge learnt from are recognised more often than anything new."""
    if metric is None or metric["name"] not in PASSED or _sign(comparison(summary, metric["name"], HELD_OUT)) <= 0:
        return []
    drawer, judge = _drawer(summary, first), (summary.get("critics") or {}).get("judge")
    source = f" ({learnt_from(judge)})" if judge else ""
    return [
        f"{drawer}'s drawings are recognised more often than held-out sprites. So are copies of what the judge learnt "
        f"from{source}, recoloured ones among them: look at the nearest training sprites before calling it praise."
    ]


def _drawer(summary: dict, name: str) -> str:
    """A model at the head of a sentence."""
    return f"The {role}" if (role := _role(summary, name)) else called(summary, name)


def learnt_from(judge: dict) -> str:
    """'6900 training sprites of reef16, packs': the judge's own, whatever the run's dataset is; runs of old name none."""
    names = judge.get("datasets")
    return f"{judge['training']} training sprites" + (f" of {', '.join(names)}" if names else "")


def _training_words(summary: dict, first: str, metric: dict | None, seen: int | None, log: list[dict]) -> list[str]:
    gap = comparison(summary, metric["name"], HELD_OUT) if metric else None
    poor = gap is not None and _sign(gap) < 0 and gap["mean"] < -0.25
    if seen is None:
        return ["The drawings are poor by these numbers."] if poor else []
    trained = f"{_drawer(summary, first)} was trained on {_count(seen)} sprites{_time(seen, log)}"
    if seen >= SHORT_TRAINING:
        return [f"{trained}." + (" The drawings are still poor by these numbers." if poor else "")]
    if poor:
        return [f"{trained}, which is very little: the drawings are poor, and nobody should judge the method by them."]
    return [f"{trained}, which is very little; a longer run should draw better."]


def _time(seen: int, log: list[dict]) -> str:
    """' in 12 minutes', of the last sprites alone where the training went on from another adapter's; '' below 90 s."""
    seconds, logged = seconds_in(log), sprites_in(log)
    if logged is None or seconds is None or seconds < 90:
        return ""
    part = f", the last {_count(logged)} of them" if logged < seen else ""
    return f"{part} in {seconds / 60:.0f} minutes"


def _count(sprites: int) -> str:
    return f"{sprites:,}".replace(",", NO_BREAK)
