"""A run folder of the bench's drawings, to be judged blind: `pixelreef bench blind LOGS --out FOLDER`, then `pixelreef rate`.

Each subject and epoch is a prompt, each model of the logs a maker; where a model has several logs of a task, the newest counts.
Only answers that are a drawing of 24×24 in at most ten colours are shown, in whichever of the two formats they came. Writes
palette.json, references.jsonl (subjects; nobody's drawing is the right one) and completions.jsonl.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from data_prep.bench_format import MOST_COLOURS, SIDE, BenchDrawing
from data_prep.errors import InputError
from data_prep.palette import named
from data_prep.printable import markdown as escaped
from data_prep.whole_files import whole_folder
from eval.bench.answers import is_asked_size, picture_of, read
from eval.bench.logs import kind_of, label, logs_of
from eval.ranking import ranking
from eval.ratings import FILE, Vote, self_agreement
from eval.report_raters import WHO, votes_of
from eval.report_tables import format_value


def write(logs: Sequence[str | Path], out: Path, task: str = "bench_a") -> str:
    """Writes the folder; returns a line for people. Raises InputError where two models have no drawing of one prompt."""
    rows = list(_rows(logs, task))
    requests = {row["request_id"]: row["caption"] for row in rows}
    if len(rows) == len(requests):  # a maker has one drawing of a prompt
        raise InputError(f"no prompt of {task} that two models have drawn in these logs; `pixelreef bench add` another model")
    references = [{"request_id": name, "caption": subject, "height": SIDE, "width": SIDE, "text": ""}
                  for name, subject in requests.items()]  # fmt: skip
    if out.exists():
        raise InputError(f"{out}: is there already, and may hold votes; choose another folder or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(out) as folder:
        (folder / "palette.json").write_text(json.dumps(named("reef64").to_json()), "utf-8")
        (folder / "references.jsonl").write_text(_lines(references), "utf-8")
        (folder / "completions.jsonl").write_text(_lines(rows), "utf-8")
    makers = {row["generator"] for row in rows}
    return f"{out}: {len(rows)} drawings of {len(requests)} prompts by {len(makers)} models; now `pixelreef rate {out}`"


def _lines(rows: Sequence[dict]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _rows(logs: Sequence[str | Path], task: str) -> Iterator[dict]:
    """A row for each drawing that can be shown."""
    newest = {}
    for log in logs_of(logs)[0]:
        maker = label(log.eval.model, log.eval.model_args or {})
        if log.eval.task.rpartition("/")[2] == task and (maker not in newest or log.eval.created > newest[maker].eval.created):
            newest[maker] = log
    for maker, log in newest.items():
        kind = kind_of(log.eval.model)
        for sample in log.samples:
            drawing = shown(sample.output.completion)
            if drawing is not None:
                yield {
                    "request_id": f"{sample.id}, {sample.epoch}", "generator": maker, "kind": kind,
                    "mode": "grammar" if kind == "model" else "control", "caption": sample.metadata["subject"],
                    "height": SIDE, "width": SIDE, "text": drawing.text(),
                }  # fmt: skip


def shown(text: str) -> BenchDrawing | None:
    """The drawing of an answer in either format, or None for one that breaks the bench's rules."""
    picture = picture_of(read(text))
    if picture is None or not is_asked_size(picture) or not picture.is_whole or not 2 <= len(picture.colours) <= MOST_COLOURS:
        return None
    return BenchDrawing(picture.grid.astype("uint8"), picture.colours)


def standings(folder: Path) -> list[dict]:
    """What was voted in such a folder, by kind of rater, as plain JSON. Raises InputError where nobody began to rate."""
    if not (folder / FILE).is_file():
        raise InputError(f"{folder}: nobody has rated it yet; `pixelreef rate {folder}`")
    return [_told(kind, votes) for kind, votes in votes_of(folder).items()]


def _told(kind: str, votes: Sequence[Vote]) -> dict:
    alike, repeated = self_agreement(votes)
    told = {"kind": kind, "votes": len(votes), "raters": len({v.rater for v in votes}), "alike": alike, "repeated": repeated}
    standing = (
        {"maker": one.maker, "strength": one.strength.to_json(), "won": one.wins, "tied": one.ties, "lost": one.losses}
        for one in ranking(votes)
    )
    return told | {"ranking": list(standing)}


def markdown(found: Sequence[dict]) -> list[str]:
    """The leaderboard's section on blind ratings, as paragraphs; none without votes."""
    if not found:
        return []
    parts = ["## The seven subjects, judged blind"]
    for one in found:
        parts.append(
            f"Pairs judged by {WHO[one['kind']]}, makers hidden: {one['votes']} votes, {one['raters']} rater(s); "
            f"{one['alike']} of {one['repeated']} repeated pairs answered alike. Strength is the log-odds of being preferred to "
            "the mean maker."
        )
        lines = ["| model | strength | won | tied | lost |", "|---|---|---|---|---|"]
        for row in one["ranking"]:
            mean, low, high = (format_value(row["strength"][key], "") for key in ("mean", "low", "high"))
            lines.append(f"| {escaped(row['maker'])} | {mean} ({low} to {high}) | {row['won']} | {row['tied']} | {row['lost']} |")
        parts.append("\n".join(lines))
    return parts
