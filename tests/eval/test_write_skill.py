"""A guide that a model writes: at most 400 tokens, with where it comes from, and read like one by hand."""

import hashlib
import json

import pytest

from eval import write_skill
from eval.prompting import MAX_SKILL_TOKENS, read_skill, sentences
from finetune.base_models import load_tokenizer, resolve


@pytest.fixture(scope="module")
def written(tiny_qwen3, tmp_path_factory):
    out = tmp_path_factory.mktemp("skills") / "own.md"
    assert write_skill.main(["--base", str(tiny_qwen3), "--out", str(out), "--seed", "5", "--tokens", "12"]) == 0
    return out


def test_the_guide_is_short_enough_and_says_where_it_comes_from(written, tiny_qwen3):
    text, about = read_skill(written), json.loads(written.with_suffix(".json").read_text())
    assert len(load_tokenizer(resolve(str(tiny_qwen3)))(text, add_special_tokens=False)["input_ids"]) <= 12
    assert about["sha256"] == hashlib.sha256(text.encode()).hexdigest() and about["seed"] == 5
    assert about["question_sha256"] == hashlib.sha256(write_skill.QUESTION.encode()).hexdigest()
    assert about["base_sha256"] == resolve(str(tiny_qwen3)).sha256
    assert str(tiny_qwen3.parent) not in written.with_suffix(".json").read_text()


def test_the_same_seed_writes_the_same(written, tiny_qwen3, tmp_path):
    again = write_skill.write_skill(str(tiny_qwen3), tmp_path / "again.md", seed=5, most=12)
    other = write_skill.write_skill(str(tiny_qwen3), tmp_path / "other.md", seed=6, most=12)
    assert again.read_text() == written.read_text() != other.read_text()


def test_more_than_400_tokens_are_refused(tiny_qwen3, tmp_path, capsys):
    assert write_skill.main(["--base", str(tiny_qwen3), "--out", str(tmp_path / "x.md"), "--tokens", "401"]) == 2
    assert "1 to 400" in capsys.readouterr().err


def test_a_base_that_is_not_there_ends_with_code_2(tmp_path, capsys):
    assert write_skill.main(["--base", str(tmp_path / "nowhere"), "--out", str(tmp_path / "x.md")]) == 2
    assert "nowhere" in capsys.readouterr().err and not (tmp_path / "x.md").exists()


def test_the_committed_guide_of_smollm2_is_what_it_says(tokenizers):
    path = write_skill.Path(write_skill.__file__).parent / "skills" / "by_smollm2.md"
    text, about = read_skill(path), json.loads(path.with_suffix(".json").read_text())
    assert about["sha256"] == hashlib.sha256(text.encode()).hexdigest() and about["model"] == "smollm2-135m"
    assert len(tokenizers["smollm2"](text, add_special_tokens=False)["input_ids"]) <= MAX_SKILL_TOKENS
    assert len(sentences(text)) > 1
