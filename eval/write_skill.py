"""Asks a base model for a technique guide of its own: what a rival with `skill: FILE` is told, beside the hand-written one.

    python -m eval.write_skill --base smollm2-135m --out eval/skills/by_smollm2.md

Reads the base model. Writes its answer as it is, cut at --tokens, and beside it a .json of the same name: who was asked
what, with which seed, and whether the answer was cut. Nothing is corrected: a poor guide is a result. About 30 s on a CPU.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

from data_prep.errors import InputError, exit_code
from eval.generators import LanguageModel
from eval.prompting import MAX_SKILL_TOKENS
from eval.run_folder import write_atomically
from finetune.base_models import resolve

QUESTION = (
    "Write a guide of ten short tips for drawing pixel art sprites of sea creatures. Write about the silhouette, the outline, "
    "the transparent background, light and shadow, the eye, symmetry, stripes and spots."
)


def write_skill(
    base: str, out: Path, seed: int = 1, temperature: float = 0.7, top_p: float = 0.9, most: int = MAX_SKILL_TOKENS
) -> Path:
    """Writes the guide and its provenance, returns the guide's path. most: tokens. Raises InputError for a base that is not to be
    had, or too many tokens."""
    if not 1 <= most <= MAX_SKILL_TOKENS:
        raise InputError(f"write_skill: --tokens {most}: a guide has 1 to {MAX_SKILL_TOKENS}")
    model = LanguageModel.load(base=base, dtype="float32")
    text, is_cut = answer(model, seed, temperature, top_p, most)
    if not text:
        raise InputError(f"write_skill: {base} answered nothing with seed {seed}; take another --seed")
    about = {
        "model": _called(base), "base_sha256": resolve(base).sha256, "question": QUESTION, "seed": seed,
        "temperature": temperature, "question_sha256": hashlib.sha256(QUESTION.encode()).hexdigest(), "top_p": top_p,
        "tokens": most, "was_cut": is_cut, "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out.with_suffix(".json"), json.dumps(about, indent=1) + "\n")
    write_atomically(out, text + "\n")
    return out


def answer(model: LanguageModel, seed: int, temperature: float, top_p: float, most: int) -> tuple[str, bool]:
    """What a `LanguageModel` answers, of at most so many of its tokens when read again, and whether it was cut there."""
    from eval.decoding import Sampling, write_freely

    tokens = model.tokens
    prompt = tokens.prompt_ids([{"role": "user", "content": QUESTION}])
    sampling = Sampling(temperature, top_p=top_p)
    (ids,) = write_freely(model.model, tokens.end_id, [prompt], [(seed, 0)], sampling, most)
    is_cut, text = len(ids) == most, tokens.tokenizer.decode(ids, skip_special_tokens=True)
    text = "\n".join(text.splitlines()).strip()
    while len(tokens.tokenizer(text, add_special_tokens=False)["input_ids"]) > most:
        text = text[: text.rstrip().rfind(" ")]  # tokens that end otherwise when they are read alone
    return text, is_cut


def _called(base: str) -> str:
    """A folder by its last name: no place of this machine."""
    return Path(base).name if Path(base).exists() else base


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m eval.write_skill", description="Asks a base model for a technique guide.")
    parser.add_argument("--base", required=True, help="packaged name, folder, GGUF file or hub id")
    parser.add_argument("--out", type=Path, required=True, help="the guide, such as eval/skills/by_smollm2.md")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=MAX_SKILL_TOKENS, help="at most")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--top-p", type=float, default=0.9)
    options = parser.parse_args(arguments)
    sampled = (options.seed, options.temperature, options.top_p, options.tokens)
    return exit_code("write_skill", lambda: print(write_skill(options.base, options.out, *sampled)))


if __name__ == "__main__":
    sys.exit(main())
