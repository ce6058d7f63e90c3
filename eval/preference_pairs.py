"""Pairs for preference training: an adapter's drawings of training captions, the best against the worst by `guide`; and votes.

    python -m eval.preference_pairs --adapter adapters/NAME --dataset datasets/NAME --n 4 --prompts 100 --seed 1 \\
        --out runs/pairs/pairs.jsonl [--margin 0.1] [--ratings runs/NAME --raters person]

Reads the adapter, the training split of the dataset it learnt from, and the votes of rated run folders. Writes the pairs
(`finetune.pair_file`), and beside them `….candidates.jsonl` with every drawing and its score. Run again, it goes on at the next
drawing that is missing. About 0.5 s a 16×16 drawing of a 135M model on two cores.

A prompt gives a pair where best and worst differ by the margin in guide's score; near scores would teach its errors. Guide does
not look at the colour that a caption states: the command says how often either drawing has it, and --keep-colour leaves out pairs
that would teach a wrong one. Votes count between drawings of models that a rater preferred one of; those of held-out prompts, by
which models are judged, never do.
"""

import argparse
import hashlib
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep import grid_text
from data_prep.errors import InputError, exit_code
from data_prep.pairs import content_hash
from data_prep.sprite import Sprite
from data_prep.whole_files import alone, file_sha256
from eval.best_of import STEP
from eval.generators import Generator, LanguageModel, Request
from eval.metrics.attributes import colour_right
from eval.metrics.critics import Critic
from eval.prompting import said
from eval.ratings import FILE, KINDS, LEFT, RIGHT, Ratings, Vote, digest
from eval.rivals import load_guide
from eval.run_folder import check_drawing, check_reference, read_palette, read_rows
from eval.shards import ALONE, JsonLines
from finetune.adapter_folder import AdapterFacts, load_palette
from finetune.pair_file import GUIDE, RATINGS, HeldOut, Preference, write_pairs

MAX_CANDIDATES = 64
BATCH = 32


@dataclass(frozen=True)
class Candidates:
    """What is drawn. prompts: (prompt id, training sprite) in order; n: drawings of each."""

    prompts: list[tuple[str, Sprite]]
    n: int
    seed: int

    def request(self, place: int, number: int) -> Request:
        """Candidate `number` of prompt `place` has the noise that best-of-n gives it."""
        _, sprite = self.prompts[place]
        return Request.like(sprite, self.seed, place + STEP * number)


def training_prompts(dataset: Path, palette, count: int, seed: int, held_out: HeldOut) -> list[tuple[str, Sprite]]:
    """`count` sprites of the training split, cell by cell, whose captions say something and are not held out."""
    from eval.generate import choose_prompts, read_split

    rows = [
        (row, sprite)
        for row, sprite in read_split(dataset, "train", palette)
        if row["task"] == "draw" and sprite.caption and not held_out.holds(row["id"][:16], sprite.caption)
    ]
    return choose_prompts(rows, count, seed)


def draw_candidates(model: Generator, asked: Candidates, guide: Critic, file: JsonLines, identity: str) -> None:
    """Adds what is missing to the file, a batch at a time."""
    from eval.decoding import Sampling

    places = [(place, number) for place in range(len(asked.prompts)) for number in range(asked.n)]
    todo = [at for at in places if file.lacks(asked.prompts[at[0]][0], at[1])]
    started = time.perf_counter()
    for start in range(0, len(todo), BATCH):
        batch = todo[start : start + BATCH]
        requests = [asked.request(*at) for at in batch]
        texts = [drawing.text for drawing in model.answer(requests, Sampling(), batch_size=BATCH)]
        scores = _scores(requests, texts, guide)
        rows = [
            {"prompt_id": asked.prompts[at[0]][0], "candidate": at[1], "text": text, "guide": score, "made_by": identity}
            for at, text, score in zip(batch, texts, scores, strict=True)
        ]
        file.append(rows)
        print(f"candidates: {start + len(batch)}/{len(todo)}, {time.perf_counter() - started:.0f} s", flush=True)


def _scores(requests: Sequence[Request], texts: Sequence[str], guide: Critic) -> list[float]:
    sprites = [grid_text.sure(text, r.palette, "the adapter") for r, text in zip(requests, texts, strict=True)]
    return [round(float(score), 6) for score in guide.score(sprites, [r.tags.get("category", "") for r in requests])]


def best_and_worst(asked: Candidates, rows: Sequence[dict], margin: float) -> Iterator[Preference]:
    """One pair of each prompt whose candidates differ enough, in the order of the prompts. rows: of the candidates' file."""
    by_prompt = defaultdict(list)
    for row in rows:
        if row["candidate"] < asked.n:  # there are more where an earlier start drew more of each
            by_prompt[row["prompt_id"]].append(row)
    for key, sprite in asked.prompts:
        worst, *_, best = sorted(by_prompt[key], key=lambda row: (row["guide"], row["candidate"]))
        if best["guide"] - worst["guide"] >= margin and best["text"] != worst["text"]:
            beside = {"guide_chosen": best["guide"], "guide_rejected": worst["guide"]}
            yield _preference(key, sprite, best["text"], worst["text"], GUIDE, beside)


def _preference(key: str, sprite: Sprite, chosen: str, rejected: str, source: str, beside: dict) -> Preference:
    palette = sprite.palette
    size = (sprite.height, sprite.width)
    return Preference(key, sprite.caption, *size, palette.name, palette.hash, chosen, rejected, source, beside)


def colours(one: Preference, palette) -> tuple[float, float] | None:
    """(chosen, rejected) 1.0 where the drawing has the colour that the caption states, else 0.0; None where it states none."""
    asked = said(one.caption).get("colour")
    grids = (grid_text.sure(text, palette, one.prompt_id).grid for text in (one.chosen, one.rejected))
    chosen, rejected = (colour_right(grid, palette, asked) for grid in grids)
    return None if chosen is None or rejected is None else (chosen, rejected)


# --- votes ------------------------------------------------------------------------------------------------------------


def rated_pairs(run: Path, kind: str, palette, held_out: HeldOut) -> tuple[list[Preference], Counter]:
    """The votes of one kind of raters as pairs, one for each two drawings, and how many votes were of no use and why.

    Raises InputError for a folder without votes. Where votes on the same two drawings disagree, the greater number counts.
    """
    if not (run / FILE).is_file():
        raise InputError(f"{run}: has no votes ({FILE}); rate it with `pixelreef rate {run}`, or import votes there")
    if read_palette(run).hash != palette.hash:
        raise InputError(f"{run}: was drawn in another palette than the adapter's {palette.name!r}")
    base = Ratings(run / FILE)
    votes, left_out, balance = base.votes(kind), Counter(), Counter()
    base.close()
    prompts = {row["request_id"]: row for row in read_rows(run / "references.jsonl", check_reference).rows}
    rows = read_rows(run / "completions.jsonl", check_drawing).rows
    drawn = {digest(row["text"]): row["text"] for row in rows if row["kind"] == "model" and isinstance(row.get("text"), str)}
    for vote in votes:
        reason = _useless(vote, prompts, drawn, held_out)
        left_out[reason] += 1
        if not reason:
            first, second = sorted((vote.left_drawing, vote.right_drawing))
            better = vote.left_drawing if vote.answer == LEFT else vote.right_drawing
            balance[vote.request_id, first, second] += 1 if better == first else -1
    used = left_out.pop("", 0)
    found = []
    for (key, first, second), lead in balance.items():
        better, worse = (drawn[one] for one in ((first, second) if lead > 0 else (second, first)))
        if lead:
            found.append(_preference(key, _asked(prompts[key], palette), better, worse, RATINGS, {"raters": kind}))
    return found, left_out + Counter({"disagreed": used - sum(map(abs, balance.values()))})


def _useless(vote: Vote, prompts: dict, drawn: dict, held_out: HeldOut) -> str:
    """Why a vote gives no pair, or ''."""
    if vote.answer not in (LEFT, RIGHT):
        return "undecided"
    if vote.repeats is not None:
        return "a repeat"
    if vote.request_id not in prompts:
        return "of another run"
    if held_out.holds(vote.request_id, prompts[vote.request_id].get("caption", "")):
        return "on a held-out prompt"
    return "" if {vote.left_drawing, vote.right_drawing} <= drawn.keys() else "on a control"


def _asked(row: dict, palette) -> Sprite:
    """The prompt's own sprite, for its caption and size. Raises InputError for one that is none."""
    grid = grid_text.sure(row["text"], palette, "references.jsonl").grid
    return Sprite(grid, palette, row.get("caption", ""))


# --- the command ------------------------------------------------------------------------------------------------------


def make_pairs(options) -> str:
    """Draws what is missing and writes the pairs; returns a line on them. Raises InputError, also while another run is at it."""
    _check(options)
    with alone(options.out.parent):
        return _make_pairs(options)


def _make_pairs(options) -> str:
    facts, guide = AdapterFacts.load(options.adapter), load_guide()
    _check_fit(options, facts, guide)
    palette, held_out = load_palette(options.adapter), HeldOut.of(options.dataset)
    prompts = training_prompts(options.dataset, palette, options.prompts, options.seed, held_out)
    asked = Candidates(prompts, options.n, options.seed)
    file, identity = _candidates_file(options, guide)
    if any(file.lacks(key, number) for key, _ in prompts for number in range(options.n)):
        draw_candidates(LanguageModel.load(options.adapter, options.base), asked, guide, file, identity)
    found = list(best_and_worst(asked, list(file.rows()), options.margin))
    told = [f"{len(found)} of {len(prompts)} prompts differ by {options.margin:g} in guide's score"]
    if options.keep_colour:
        found = [one for one in found if colours(one, palette) != (0.0, 1.0)]
        told.append(f"{len(found)} of them teach no wrong colour")
    for run in options.ratings:
        rated, left_out = rated_pairs(run, options.raters, palette, held_out)
        found += rated
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()) if count)
        told.append(f"{len(rated)} pairs of {run.name}'s votes" + (f" (left out: {why})" if why else ""))
    write_pairs(options.out, found)
    stated = [both for both in (colours(one, palette) for one in found) if both is not None]
    if stated:
        chosen, rejected = (int(sum(each)) for each in zip(*stated, strict=True))
        told.append(f"of {len(stated)} whose caption states a colour the chosen one has it in {chosen}, the other in {rejected}")
    return f"{options.out}: {len(found)} pairs; " + "; ".join(told)


def _check(options) -> None:
    for name, low, high in (("n", 2, MAX_CANDIDATES), ("prompts", 1, STEP), ("seed", 0, 2**63 - 1)):
        if not low <= getattr(options, name) <= high:
            raise InputError(f"--{name} {getattr(options, name)}: takes {low} to {high}")
    if not 0 <= options.margin <= 1:
        raise InputError(f"--margin {options.margin}: takes 0 to 1, like guide's score")


def _check_fit(options, facts: AdapterFacts, guide: Critic) -> None:
    """The prompts must come from what the adapter learnt from: another corpus' training split may hold its test captions."""
    if not all(guide.fits(*size) for size in facts.sizes):
        raise InputError(f"--adapter {options.adapter}: guide was not taught all of its sizes and cannot choose; train it first")
    if facts.dataset_hash != content_hash(options.dataset):
        raise InputError(f"--dataset {options.dataset}: is not the one that adapter {facts.name} was trained on")


def _candidates_file(options, guide: Critic) -> tuple[JsonLines, str]:
    """The drawings so far and what they are made by. Raises InputError where the file is of another adapter, dataset or seed."""
    weights = file_sha256(options.adapter / "adapter_model.safetensors")
    made_of = [weights, content_hash(options.dataset), options.seed, options.base, guide.facts["sha256"]]
    identity = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
    path = options.out.with_suffix(".candidates.jsonl")
    file = JsonLines(path, ("prompt_id", "candidate"), lambda row: (), ALONE)
    if any(row.get("made_by") != identity for row in file.rows()):
        raise InputError(f"{path}: holds drawings of another adapter, dataset, seed or guide; remove it or take another --out")
    return file, identity


def main(arguments: list[str]) -> int:
    """0 when the pairs are there, 2 when a person has to mend something."""
    parser = argparse.ArgumentParser("python -m eval.preference_pairs", description="Makes pairs for preference training.")
    parser.add_argument("--adapter", type=Path, required=True, help="adapter folder that draws the candidates")
    parser.add_argument("--dataset", type=Path, required=True, help="prepared dataset that it was trained on")
    parser.add_argument("--base", help="base model, where the adapter does not name it")
    parser.add_argument("--n", type=int, default=4, help="drawings of each prompt (default 4)")
    parser.add_argument("--prompts", type=int, default=100, help="training captions (default 100)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--margin", type=float, default=0.1, help="least difference of guide's scores (default 0.1)")
    parser.add_argument("--keep-colour", action="store_true", help="leave out pairs whose rejected drawing alone has the colour")
    parser.add_argument("--ratings", type=Path, action="append", default=[], help="rated run folder, several times if need be")
    parser.add_argument("--raters", choices=KINDS, default=KINDS[0], help="whose votes count (default person)")
    parser.add_argument("--out", type=Path, required=True, help="file to write, as runs/pairs/pairs.jsonl")
    options = parser.parse_args(arguments)
    return exit_code("preference_pairs", lambda: make_pairs(options))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
