"""Makes every hostile file of `hostile/`, gives each to the real reader in a process of its own, and says what came of it.

    python tests/hostile_files.py FOLDER [--only WORDS] [--out docs/hardening-files.json]

FOLDER/files holds the files, FOLDER/made the honest ones that some are copies of, FOLDER/out what readers wrote. With --out the
results are kept, and the tables of hardening-files.md beside it are written anew (`python tests/hardening_tables.py`).
"""

import argparse
import json
import os
import re
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from machine import slowness

OUTSIDE = "/tmp/pixelreef-hostile-escape.png"  # what an absolute name of a zip names
TESTS = Path(__file__).parent
sys.path[:0] = [str(TESTS), str(TESTS / "finetune"), str(TESTS / "eval"), str(TESTS / "eval" / "pages"), str(TESTS.parent)]
os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false"}

MOST_SECONDS, MOST_MB = 1.0, 500
CPU_PATIENCE, PATIENCE = 10, 600  # seconds of CPU time and of the clock until a reader is stopped: the machine may be busy
ROOM = 8 * 2**30  # bytes of addresses beyond those in use: a reader that wants more ends with MemoryError


@dataclass(frozen=True)
class Tried:
    """came: what came of it; seconds: of CPU time, and mb: of memory, more than before it was read; wrong: what is not as it
    should be, '' where all is well."""

    name: str
    reader: str
    what: str
    expected: str
    came: str
    words: str
    seconds: float
    mb: float
    wrong: str


def cases() -> list:
    from hostile import archives, models, pictures, runs, texts

    return [case for module in (pictures, archives, texts, models, runs) for case in module.CASES]


def warm_up(made: Path) -> None:
    """What every reader imports, once, so that a file's seconds are its own; and the honest files."""
    import datasets  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import sklearn.cluster  # noqa: F401
    import torch
    from hostile import models, readers, runs

    import finetune.config  # noqa: F401
    from data_prep.palette import named, quantise
    from data_prep.prepare import prepare  # noqa: F401
    from eval.cli import main  # noqa: F401
    from eval.pages import corpus, rate  # noqa: F401

    torch.set_num_threads(1)
    made.mkdir(parents=True, exist_ok=True)
    models.prepare_models(made)
    runs.prepare_runs(made)
    quantise(named("reef64").rgba[None], named("reef64"))
    assert readers.READERS


def tried(case, root: Path) -> Tried:
    """Makes the file, and gives it to its reader in a process of its own."""
    slug = re.sub(r"[^\w.-]+", "_", f"{case.reader}-{case.name}")
    folder, out = root / "files" / slug, root / "out" / slug
    for place in (folder, out):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    case.make(folder)
    before = tree(root, out)
    answer = root / "answer.json"
    answer.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        _read(case, folder, out, answer)
    used = _wait(child)
    found = (
        json.loads(answer.read_text())
        if answer.exists()
        else {"fault": "it ended by a signal or took too long", "seconds": used, "mb": 0.0}
    )
    answer.unlink(missing_ok=True)
    strayed = sorted(str(path) for path in tree(root, out) - before if not _own(path, folder))
    wrong = _wrong(case, found, strayed)
    words, came = found.get("words", found.get("fault", "")).replace(f"{root}/", "")[:300], found.get("kind", "fault")
    return Tried(
        case.name, case.reader, case.what, case.expected, came, words, round(found["seconds"], 3), round(found["mb"]), wrong
    )


def _wait(child: int) -> float:
    """CPU seconds of a process, which is killed when it takes too long."""
    begun = time.monotonic()
    while True:
        ended, _, usage = os.wait4(child, os.WNOHANG)
        if ended:
            return usage.ru_utime + usage.ru_stime
        if time.monotonic() - begun > PATIENCE:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)


def _read(case, folder: Path, out: Path, answer: Path) -> None:
    """In the child: never returns."""
    from hostile.readers import READERS

    os.chdir(out)
    os.environ |= {"HOME": str(out), "TMPDIR": str(out)}
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, size + ROOM))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_PATIENCE, CPU_PATIENCE))
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew: a fork starts with pages of its parent
    begun, start = time.process_time(), memory("VmRSS")
    try:
        outcome = READERS[case.reader](folder, out)
        found = asdict(outcome)
    except BaseException as error:  # noqa: BLE001 (whatever it is, it is told)
        place = traceback.extract_tb(error.__traceback__)[-1]
        found = {"fault": f"{type(error).__name__}: {str(error)[:600]} ({Path(place.filename).name}:{place.lineno})"}
        if os.environ.get("SHOW"):
            traceback.print_exc()
    answer.write_text(json.dumps(found | {"seconds": time.process_time() - begun, "mb": memory("VmHWM") - start}))
    os._exit(0)


def memory(key: str) -> float:
    """MB of this process: VmRSS, what it has now; VmHWM, the most that it had."""
    return int(re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def tree(root: Path, out: Path) -> set[Path]:
    """Everything around the folder that may be written to."""
    return {path for path in (*root.rglob("*"), Path(OUTSIDE)) if path.exists() and not path.is_relative_to(out)}


def _own(path: Path, folder: Path) -> bool:
    """What a command writes into a run folder that it was told to work on."""
    names = (
        "scores.jsonl",
        "summary.json",
        "report.html",
        "report.md",
        "ratings.sqlite",
        "ratings.sqlite-wal",
        "ratings.sqlite-shm",
    )
    return path.is_relative_to(folder) and path.name in names


def _wrong(case, found: dict, strayed: list[str]) -> str:
    faults = []
    if "fault" in found:
        faults.append(found["fault"])
    elif found["kind"] != case.expected or case.says not in found["words"]:
        faults.append(f"came to {found['kind']}: {found['words'][:300]!r}, expected {case.expected} with {case.says!r}")
    faults += [f"wrote {', '.join(strayed)}"] if strayed else []
    slow = not case.name.endswith("as it is") and found["seconds"] > MOST_SECONDS * slowness() + honest.get(case.reader, 0)
    faults += [f"{found['seconds']:.2f} s"] if slow else []
    faults += [f"{found['mb']:.0f} MB"] if found["mb"] > MOST_MB else []
    return "; ".join(faults)


honest: dict[str, float] = {}  # reader → CPU seconds that an honest file of its kind takes


def results(root: Path, only: str = "") -> Iterator[Tried]:
    """A reader's honest file, called 'as it is', comes before the others of its kind."""
    root.mkdir(parents=True, exist_ok=True)
    warm_up(root / "made")
    for case in cases():
        if only and only not in f"{case.reader}: {case.name}" and "as it is" not in case.name:
            continue
        found = tried(case, root)
        if case.name.endswith("as it is"):
            honest[case.reader] = found.seconds
        yield found


def main() -> int:
    parser = argparse.ArgumentParser(prog="hostile_files", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="an empty folder, or one of an earlier call")
    parser.add_argument("--only", default="", metavar="WORDS", help="those whose reader and name hold these words")
    parser.add_argument("--out", type=Path, help="a .json for the results")
    given = parser.parse_args()
    found = []
    for one in results(given.folder.resolve(), given.only):
        found.append(one)
        if one.wrong or given.only:
            said = f"{'WRONG' if one.wrong else 'well '} {one.reader}: {one.name}: {one.wrong or one.words[:200]!r}"
            print(f"{said} ({one.seconds:.2f} s, {one.mb:.0f} MB)", flush=True)
    print(f"{len(found)} files, {sum(bool(one.wrong) for one in found)} not as they should be")
    if given.out:
        given.out.write_text(json.dumps([asdict(one) for one in found], indent=1, ensure_ascii=False) + "\n", "utf-8")
    return 1 if any(one.wrong for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
