"""The real readers and commands, each as a function of a folder with hostile files and one to write to → Outcome."""

import contextlib
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from data_prep.errors import InputError, exit_code
from hostile.case import COUNTED, REFUSED, SAFE

HARMFUL = ("<script", "<img src=x", "\x1b", "\x9b", "\u202e", "\x00")


@dataclass(frozen=True)
class Outcome:
    """kind: refused, counted or safe; words: the line, or the reasons."""

    kind: str
    words: str


def counted(reasons: Iterable[str], words: str = "") -> Outcome:
    """COUNTED where there are reasons, unless all of them tell what was left of a file that is used."""
    told = list(reasons)
    harm = [reason for reason in told if "only the first frame" not in reason]
    return Outcome(COUNTED if harm else SAFE, "; ".join(dict.fromkeys(told)) or words)


def command(work: Callable[[], int]) -> tuple[int, str, str]:
    """(exit code, standard output, standard error) of a command in this process; a fault is raised."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = work()
        except SystemExit as stopped:
            code = stopped.code
    return code, out.getvalue(), err.getvalue()


def judged(work: Callable[[], int], then: Callable[[str], Outcome] = lambda said: Outcome(SAFE, said)) -> Outcome:
    """What a command came to: 2 and one clean line is a refusal, 0 is what `then` makes of its output."""
    code, out, err = command(work)
    clean(out + err, "terminal")
    if code == 2:
        line = err.strip()
        assert line and "\n" not in line and len(line) < 2000, f"no short line: {line[:300]!r}"
        return Outcome(REFUSED, line)
    assert code == 0, f"exit code {code}: {err[-500:]}"
    return then(out + err)


def checked(read: Callable[[], object]) -> Outcome:
    """As `judged`, of a function that raises InputError: the command prints it and ends with 2."""
    return judged(lambda: exit_code("read", lambda: read() and None))


def clean(text: str, where: str) -> None:
    """Asserts that nothing in a text works as more than text."""
    marks = HARMFUL[2:] if where == "terminal" else HARMFUL
    found = [mark for mark in marks if mark in text]
    assert not found, f"{where}: {found} in {text[:3000]!r}"


def one_file(folder: Path) -> Path:
    return next(path for path in sorted(folder.iterdir()))


# --- pictures and packs ---------------------------------------------------------------------------------------------


def place_of(folder: Path) -> Path:
    return folder / "pack.zip" if (folder / "pack.zip").exists() else folder


def _source(pictures: Callable, folder: Path, **options) -> Outcome:
    reasons: list[str] = []
    try:
        found = [
            picture.rgba.shape for picture in pictures(place_of(folder), dropped=lambda _, why: reasons.append(why), **options)
        ]
    except InputError as error:
        fault = error
        return checked(lambda: _raise(fault))
    return counted(reasons, f"{len(found)} pictures")


def _raise(error: Exception):
    raise error


def pack(folder: Path, out: Path) -> Outcome:
    from data_prep.sources import packs

    return _source(packs.pictures, folder)


def photographs(folder: Path, out: Path) -> Outcome:
    from data_prep.sources import photographs

    return _source(photographs.pictures, folder, size=16)


def sheets(folder: Path, out: Path) -> Outcome:
    from data_prep.sources import sheets

    return _source(sheets.pictures, folder)


def prepare(folder: Path, out: Path) -> Outcome:
    """The whole command; its cards and logs are looked at."""
    from data_prep.prepare import main

    recipe = out / "recipe.yaml"
    recipe.write_text(json.dumps({"name": "x", "sources": [{"kind": "packs", "path": str(place_of(folder))}], "sizes": [16]}))

    def look(said: str) -> Outcome:
        card = (out / "dataset" / "README.md").read_text("utf-8")
        clean(card, "dataset card")
        assert "](http" not in card and "](java" not in card, card
        return counted(json.loads(line)["reason"] for line in (out / "dataset" / "dropped.jsonl").read_text().splitlines())

    return judged(lambda: main(["--config", str(recipe), "--out", str(out / "dataset")]), look)


def cli(*words: object) -> Callable[[], int]:
    from eval.cli import main

    return lambda: main([str(word) for word in words])


def shade(folder: Path, out: Path) -> Outcome:
    return judged(cli("shade", one_file(folder), "--out", out / "lit.png"))


def reference(folder: Path, out: Path) -> Outcome:
    from eval.reference import read_reference

    return checked(lambda: read_reference(one_file(folder)))


def like(folder: Path, out: Path) -> Outcome:
    return judged(cli("draw", "--like", one_file(folder), "--out", out / "again.png"))


def palette(folder: Path, out: Path) -> Outcome:
    from data_prep.palette import load

    return checked(lambda: load(one_file(folder)))


def completion(folder: Path, out: Path) -> Outcome:
    """Three readers of one text: strict, lenient, Pixel Art Bench's."""
    from data_prep.grid_text import GridError, read
    from data_prep.lenient import read_leniently
    from eval.bench import answers
    from eval.metrics.validity import parse

    text = one_file(folder).read_text("utf-8", "surrogatepass")
    strict, (lenient, forgiven) = read(text), read_leniently(text)
    answers.picture_of(answers.read(text))
    cause = parse(text, {}, (4, 4)).cause
    clean(cause or "", "terminal")
    if isinstance(lenient, GridError):
        return Outcome(REFUSED, f"{cause}; {lenient}")
    return Outcome(SAFE, f"{'strict' if not isinstance(strict, GridError) else 'lenient'}: {', '.join(forgiven)}")


# --- recipes and decisions ------------------------------------------------------------------------------------------


def prepare_recipe(folder: Path, out: Path) -> Outcome:
    from data_prep.prepare import main

    return judged(lambda: main(["--config", str(folder / "recipe.yaml"), "--out", str(out / "dataset")]))


def train_recipe(folder: Path, out: Path) -> Outcome:
    from finetune.config import parse

    return checked(lambda: parse(["--config", str(folder / "recipe.yaml")]))


def run_recipe(folder: Path, out: Path) -> Outcome:
    return judged(cli("draw", "--recipe", folder / "recipe.yaml"))


def transformer_recipe(folder: Path, out: Path) -> Outcome:
    from eval.baseline.config import read_recipe

    return checked(lambda: read_recipe(folder / "recipe.yaml"))


def curation(folder: Path, out: Path) -> Outcome:
    """By `prepare` and by the page."""
    from data_prep.choice import Choice
    from data_prep.recipe import PrepareRecipe
    from eval.pages.decisions import Decisions

    reasons: list[str] = []
    source = {"kind": "packs", "path": "x"}
    recipe = PrepareRecipe("x", (source,), (16,), curation=str(one_file(folder)))
    chosen = Choice.of(recipe, lambda _, why: reasons.append(why))
    page = Decisions(one_file(folder))
    assert page.by_name() == dict.fromkeys(chosen.rejected, "reject") == {"good.png": "reject"}
    assert page.unusable == len(reasons)
    return counted(reasons)


# --- models ---------------------------------------------------------------------------------------------------------


def adapter(folder: Path, out: Path) -> Outcome:
    """Loaded both ways, and a prompt rendered as it is before drawing."""
    from hostile import models

    def load() -> None:
        from data_prep.captions import messages
        from finetune.loading import load_adapted

        for merge in (True, False):
            found = load_adapted(folder / "adapter", str(models.MADE / "base"), "float32", merge=merge)
            found.tokens.prompt_ids(messages("a fish", *found.facts.sizes[0], found.palette))

    return checked(load)


def base(folder: Path, out: Path) -> Outcome:
    def load() -> None:
        from finetune.base_models import load_model, load_tokenizer, resolve

        found = resolve(str(folder / "base"))
        load_tokenizer(found)
        load_model(found, "float32")

    return checked(load)


def transformer(folder: Path, out: Path) -> Outcome:
    def load() -> None:
        from eval.baseline.model_folder import load_model

        load_model(folder / "transformer")

    return checked(load)


def checkpoint(folder: Path, out: Path) -> Outcome:
    from finetune.checkpoints import last_whole

    found = last_whole(folder)
    return Outcome(SAFE if found and found.name == "checkpoint-2" else COUNTED, found.name if found else "none")


# --- runs -----------------------------------------------------------------------------------------------------------


def score(folder: Path, out: Path) -> Outcome:
    """`score`, then `report`, whose pages are looked at."""

    def both() -> int:
        return cli("score", folder / "run")() or cli("report", folder / "run")()

    def look(said: str) -> Outcome:
        for name in ("report.html", "report.md"):
            clean((folder / "run" / name).read_text("utf-8"), name)
        return Outcome(SAFE, said)

    return judged(both, look)


def votes(folder: Path, out: Path) -> Outcome:
    def told(said: str) -> Outcome:
        return Outcome(SAFE if "added" in said else COUNTED, said.strip().splitlines()[-1])

    found = judged(cli("rate", folder / "run", "--import", folder / "votes.jsonl"), told)
    judged(cli("rate", folder / "run", "--export", out / "votes.jsonl"))
    return found


def sqlite(folder: Path, out: Path) -> Outcome:
    return judged(cli("rate", folder / "run", "--export", out / "votes.jsonl"))


def curate(folder: Path, out: Path) -> Outcome:
    def read() -> None:
        from eval.pages.corpus import read_corpus

        corpus = read_corpus(folder / "dataset")
        [corpus.sprite(number) for number in range(len(corpus.pictures))]

    return checked(read)


def merge(folder: Path, out: Path) -> Outcome:
    from data_prep.prepare import main

    return judged(lambda: main(["--merge", str(folder / "dataset"), str(folder / "dataset"), "--out", str(out / "merged")]))


def bench(folder: Path, out: Path) -> Outcome:
    def look(said: str) -> Outcome:
        for page in sorted((out / "source").glob("*.html")) + sorted((out / "source").glob("*.md")):
            clean(page.read_text("utf-8"), page.name)
        return Outcome(SAFE, said)

    return judged(cli("bench", "source", one_file(folder), "--out", out / "source"), look)


READERS: dict[str, Callable[[Path, Path], Outcome]] = {
    "pack": pack, "photographs": photographs, "sheets": sheets, "prepare": prepare, "shade": shade, "reference": reference,
    "like": like, "palette": palette, "completion": completion, "prepare recipe": prepare_recipe, "train recipe": train_recipe,
    "run recipe": run_recipe, "transformer recipe": transformer_recipe, "curation": curation, "adapter": adapter, "base": base,
    "transformer": transformer, "checkpoint": checkpoint, "score": score, "votes": votes, "sqlite": sqlite, "curate": curate,
    "merge": merge, "bench": bench,
}  # fmt: skip
