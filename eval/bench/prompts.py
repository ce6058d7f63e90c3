"""Pixel Art Bench's two prompts, its seven subjects with their categories, and the hundred nouns of our third task.

Prompt A is Emergent Mind's (Matt Mazur) and asks for strings of digits; prompt B is that of the data set
AINovice2005/pixel-art-bench and asks for lists of integers. The two formats are two tasks: one cannot pass the other's.
"""

from collections.abc import Mapping

from data_prep.bench_format import PROMPT_A
from data_prep.errors import InputError

SUBJECTS = {  # subject → category, as the data set has them
    "Mario from Super Mario Bros": "character",
    "a rainbow": "nature",
    "the sun": "nature",
    "the planet Saturn with its rings": "space",
    "a maze": "abstract",
    "the Mona Lisa": "art",
    "hope": "abstract",
}
PROMPT_B = (
    'Draw pixel art on a 24x24 grid.\nReturn a JSON object with:\n- "grid": 24x24 list of integers (0–9)\n'
    '- "palette": list of colors used\nSubject: '
)


def prompt_b(subject: str) -> str:
    return PROMPT_B + subject


def article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def subject_of(prompt: str) -> str:
    """What a bench prompt asks for; raises InputError for another prompt."""
    for opening in (PROMPT_A, PROMPT_B):
        if prompt.startswith(opening):
            return prompt.removeprefix(opening).strip()
    raise InputError("prompt: it is neither of Pixel Art Bench's two; `pixelreef/…` models draw for those alone")


def built_in() -> list[dict[str, str]]:
    """The data set's seven rows: id, subject, category, prompt."""
    rows = enumerate(SUBJECTS.items(), 1)
    return [{"id": str(number), "subject": s, "category": kind, "prompt": prompt_b(s)} for number, (s, kind) in rows]


def load_rows(source: str | None = None) -> list[dict[str, str]]:
    """The rows of the data set or of its `-lite` twin: from the hub by name, from a folder, .parquet, .json or .jsonl.

    None: the seven that are built in. Raises InputError for a source that is not there or has no subjects.
    """
    if source is None:
        return built_in()
    from eval.bench.tables import read_table

    rows = [_row(row, number) for number, row in enumerate(read_table(source), 1) if isinstance(row.get("subject"), str)]
    if not rows:
        raise InputError(f"{source}: no row has a 'subject'; it must have the columns id, subject, category and prompt")
    return rows


def _row(row: Mapping, number: int) -> dict[str, str]:
    subject = row["subject"]
    prompt = row["prompt"] if isinstance(row.get("prompt"), str) and row["prompt"] else prompt_b(subject)
    found = {"id": row.get("id", number), "subject": subject, "category": row.get("category") or "", "prompt": prompt}
    return {key: str(value) for key, value in found.items()}
