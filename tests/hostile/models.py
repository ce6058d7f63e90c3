"""Weights and what lies beside them: adapters, base models, sprite transformers, checkpoints."""

# ruff: noqa: E501 (one case a line)
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

from hostile.case import CONTROL, COUNTED, HTML, REFUSED, SAFE, Hostile

MADE = Path("/nowhere")  # set by `prepare_models`: a folder with adapter/, base/ and transformer/ that are well
PICKLE = b"\x80\x04cos\nsystem\n(S'touch owned'\ntR."


def prepare_models(folder: Path) -> None:
    """Makes small honest ones, which the cases copy and spoil."""
    global MADE  # noqa: PLW0603 (cases are made later, in another place)
    MADE = folder
    if (folder / "adapter").is_dir():
        return
    import torch
    from tiny_models import REEF, SIZE, llama, random_adapter

    from eval.baseline.conditions import Conditions
    from eval.baseline.model_folder import ModelFacts, save_model
    from eval.baseline.sprite_transformer import SpriteTransformer, SpriteTransformerConfig
    from finetune.base_models import resolve

    torch.set_num_threads(1)
    base = llama(resolve("smollm2-135m").location, folder / "base")
    random_adapter(base, folder / "adapter")
    conditions = Conditions("caption", {"category": ("fish", "crab")})
    small = {"width": 16, "layers": 1, "heads": 2, "head_width": 8, "hidden": 32, "pixel_width": 8}
    shape = SpriteTransformerConfig(classes=conditions.classes, **small)
    facts = ModelFacts("tiny", (SIZE,), REEF.hash, "d", {}, 0, 0.0, 0)
    save_model(folder / "transformer", SpriteTransformer(shape).state_dict(), shape, conditions, REEF, facts)


def spoilt(kind: str, name: str, what: str, says: str, *changes: Callable[[Path], object], expected: str = REFUSED) -> Hostile:
    """A copy of an honest folder with changes."""

    def make(folder: Path) -> None:
        place = shutil.copytree(MADE / kind, folder / kind)
        for change in changes:
            change(place)

    return Hostile(f"{kind}: {name}", kind, what, expected, says, make)


def change(file: str, **keys) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | keys))


def write(file: str, data: bytes | str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_bytes(data.encode() if isinstance(data, str) else data)


def without(file: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).unlink()


def tensors(header: object, body: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file by hand."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def _filled(value: float) -> Callable[[Path], object]:
    def fill(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        file = folder / "adapter_model.safetensors"
        save_file({name: tensor * 0 + value for name, tensor in load_file(file).items()}, file)

    return fill


HUGE = {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
CONFIG, FACTS, WEIGHTS = "adapter_config.json", "pixelreef.json", "adapter_model.safetensors"
ADAPTERS = (
    spoilt("adapter", "as it is", "an honest one", "", expected=SAFE),
    spoilt("adapter", "pickle", "pickled weights instead", "is a pickle", without(WEIGHTS), write("adapter_model.bin", PICKLE)),
    spoilt("adapter", "pickle called safetensors", "pickled weights under the right name", "does not fit", write(WEIGHTS, PICKLE)),
    spoilt("adapter", "header", "a header that is no JSON", "does not fit", write(WEIGHTS, tensors(b"{{{"))),
    spoilt("adapter", "length", "a header of 2⁶³ bytes", "does not fit", write(WEIGHTS, tensors({}, length=2**63))),
    spoilt("adapter", "tensor", "a tensor of 4 TiB in the header", "does not fit", write(WEIGHTS, tensors(HUGE))),
    spoilt("adapter", "nan", "weights that are not numbers", "not finite", _filled(float("nan"))),
    spoilt("adapter", "infinite", "weights without end", "not finite", _filled(float("inf"))),
    spoilt("adapter", "code", "code named in the configuration", "auto_mapping", change(CONFIG, auto_mapping={"base_model_class": "x", "parent_library": "os"})),
    spoilt("adapter", "module", "a module to import, in the configuration", "megatron", change(CONFIG, megatron_config={"a": 1}, megatron_core="owned"),
           write("owned.py", "open('owned', 'w')")),
    spoilt("adapter", "regex", "an endless regular expression for its modules", "adapter_config", change(CONFIG, target_modules="(([a-z._0-9]+)+)+!", use_dora=True)),
    spoilt("adapter", "patterns", "endless regular expressions for its ranks", "adapter_config", change(CONFIG, rank_pattern={"(([a-z._0-9]+)+)+!": 4})),
    spoilt("adapter", "rank", "a rank that is a word", "adapter", change(CONFIG, r="8")),
    spoilt("adapter", "rank zero", "a rank of 0", "adapter", change(CONFIG, r=0)),
    spoilt("adapter", "alpha", "an alpha that is no number", "adapter", change(CONFIG, lora_alpha=[1])),
    spoilt("adapter", "rank huge", "a rank of 10⁹ through PEFT", "adapter", change(CONFIG, r=10**9, use_dora=True)),
    spoilt("adapter", "keys", "keys that nobody knows", "adapter_config", change(CONFIG, **{HTML: 1, "__class__": "x", "eval": "os"})),
    spoilt("adapter", "kind", "another kind of adapter", "only a LoRA", change(CONFIG, peft_type="PROMPT_TUNING")),
    spoilt("adapter", "config nested", "a configuration of 100,000 brackets", "damaged", write(CONFIG, "[" * 100_000)),
    spoilt("adapter", "facts nested", "facts of 100,000 brackets", "damaged", write(FACTS, "[" * 100_000)),
    spoilt("adapter", "facts giant", "facts of 64 MiB", "damaged", write(FACTS, b" " * (64 * 2**20) + b"{}")),
    spoilt("adapter", "name", "a name of control characters that climbs", "", change(FACTS, name=f"../../{CONTROL}"), expected=SAFE),
    spoilt("adapter", "tasks", "tasks that nobody knows", "adapter", change(FACTS, tasks=[HTML, 7])),
    spoilt("adapter", "sizes", "sizes that are words", "damaged", change(FACTS, sizes=[["a", "b"], [10**9, -1]])),
    spoilt("adapter", "hashes", "hashes that are lists", "damaged", change(FACTS, base_sha256=[1], base_hub_id={"a": 1})),
    spoilt("adapter", "palette nested", "a palette of 100,000 brackets", "palette.json", write("palette.json", "[" * 100_000)),
    spoilt("adapter", "palette other", "another palette", "palette.json", change("palette.json", colours=["000000"], hash=None)),
    spoilt("adapter", "palette types", "a palette of wrong types", "palette", write("palette.json", '{"name": 7, "colours": [1], "ramps": "x"}')),
    spoilt("adapter", "template", "a chat template of 5 MiB", "chat_template", write("chat_template.jinja", b"x" * (5 * 2**20))),
    spoilt("adapter", "template code", "a chat template that reaches for Python", "cannot be used", write("chat_template.jinja", "{{ ''.__class__.__mro__[1].__subclasses__() }}"),
           change(FACTS, tokenizer_hash="")),
)  # fmt: skip
AUTO = {"AutoConfig": "owned.Config", "AutoModelForCausalLM": "owned.Model", "AutoTokenizer": ["owned.T", None]}
BASES = (
    spoilt("base", "as it is", "an honest one", "", expected=SAFE),
    spoilt("base", "pickle", "pickled weights instead", "cannot be loaded", without("model.safetensors"), write("pytorch_model.bin", PICKLE)),
    spoilt("base", "code", "code of its own", "", change("config.json", auto_map=AUTO, model_type="owned"), write("owned.py", "open('owned', 'w')")),
    spoilt("base", "header", "a header that is no JSON", "cannot be loaded", write("model.safetensors", tensors(b"{{{"))),
    spoilt("base", "length", "a header of 2⁶³ bytes", "cannot be loaded", write("model.safetensors", tensors({}, length=2**63))),
    spoilt("base", "config", "a configuration of 100,000 brackets", "cannot be loaded", write("config.json", "[" * 100_000)),
    spoilt("base", "types", "a configuration of wrong types", "cannot be loaded", change("config.json", hidden_size="wide", num_hidden_layers=[2])),
    spoilt("base", "negative", "a model of −1 layers and 0 heads", "cannot be loaded", change("config.json", num_attention_heads=0, hidden_size=-1)),
    spoilt("base", "tokenizer", "a tokenizer that is no JSON", "cannot be loaded", write("tokenizer.json", "{" * 1000)),
    spoilt("base", "provenance", "facts without the keys that are needed", "damaged", write("pixelreef.json", '{"name": "an adapter"}')),
    spoilt("base", "provenance nested", "facts of 100,000 brackets", "damaged", write("pixelreef.json", "[" * 100_000)),
    spoilt("base", "gguf", "a GGUF file that is none", "cannot be read as a GGUF", without("config.json"), write("x.gguf", b"GGUF" + b"\xff" * 500)),
)  # fmt: skip
TRANSFORMERS = (
    spoilt("transformer", "as it is", "an honest one", "", expected=SAFE),
    spoilt("transformer", "weights", "weights of another model", "torn or of another", write("model.safetensors", tensors({}))),
    spoilt("transformer", "wide", "a shape of 10⁹ numbers a layer", "damaged", lambda folder: _shape(folder, width=16_384, layers=64)),
    spoilt("transformer", "negative", "a shape of −1", "damaged", lambda folder: _shape(folder, width=-1)),
    spoilt("transformer", "words", "a shape of words", "damaged", lambda folder: _shape(folder, heads="two")),
    spoilt("transformer", "keys", "a shape with another key", "damaged", lambda folder: _shape(folder, evil=1)),
    spoilt("transformer", "nested", "a configuration of 100,000 brackets", "damaged", write("config.json", "[" * 100_000)),
    spoilt("transformer", "palette", "a palette of 100,000 brackets", "palette", write("palette.json", "[" * 100_000)),
    spoilt("transformer", "conditions", "conditions that are no words", "damaged", change("config.json", conditions={"reads": 7, "values": [1]})),
)  # fmt: skip


def _shape(folder: Path, **keys) -> None:
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(about | {"shape": about["shape"] | keys}))


def _checkpoints(*spoil: Callable[[Path], object]) -> Callable[[Path], object]:
    """Two sealed checkpoints, of which the second is spoilt."""

    def make(folder: Path) -> None:
        from finetune.checkpoints import seal

        for step in (1, 2):
            place = folder / f"checkpoint-{step}"
            place.mkdir()
            (place / "adapter_model.safetensors").write_bytes(tensors({}))
            (place / "optimizer.pt").write_bytes(b"state")
            seal(place)
        for change_ in spoil:
            change_(folder / "checkpoint-2")

    return make


def checkpoint(name: str, what: str, *spoil, expected: str = COUNTED) -> Hostile:
    return Hostile(
        f"checkpoint: {name}",
        "checkpoint",
        what,
        expected,
        "checkpoint-1" if expected == COUNTED else "checkpoint-2",
        _checkpoints(*spoil),
    )


def _odd_step(folder: Path) -> None:
    shutil.rmtree(folder)
    (folder.parent / ("checkpoint-" + "9" * 200)).mkdir()
    (folder.parent / "checkpoint-²").mkdir()


CHECKPOINTS = (
    checkpoint("as it is", "two honest ones", expected=SAFE),
    checkpoint("pickle", "a pickle in place of the optimizer's state", write("optimizer.pt", PICKLE)),
    checkpoint("weights", "other weights", write("adapter_model.safetensors", tensors(HUGE))),
    checkpoint("manifest", "a manifest of 100,000 brackets", write("manifest.json", "[" * 100_000)),
    checkpoint("outside", "a manifest that lists a device without end", write("manifest.json", '{"../../../../../../../../dev/zero": "x"}')),
    checkpoint("types", "a manifest of wrong types", write("manifest.json", '{"optimizer.pt": 7, "\\u0000": "x"}')),
    checkpoint("list", "a manifest that is a list", write("manifest.json", '["optimizer.pt"]')),
    checkpoint("digits", "a checkpoint whose step has 200 digits", _odd_step),
)  # fmt: skip


CASES = (*ADAPTERS, *BASES, *TRANSFORMERS, *CHECKPOINTS)
