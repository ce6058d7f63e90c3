"""`pixelreef bench draw`: how fast grids are drawn, ours against Hugging Face `generate()` with llguidance.

    pixelreef bench draw [--adapter FOLDER | --random qwen3-1.7b] [--batch 1 8 32] [--size 16] [--repeats 5] [--device cuda]

Both draw the same captions with the same merged weights in one process, one after the other in turns. `generate()` is given the
published grammar as a logits processor, left-padded prompts and the stock attention: what one would write without this project.
First both draw greedily, to check that they draw the same; where they differ, the gap between the two likeliest colours at the
first differing pixel is given. Then each is timed `repeats` times at temperature 1, after one call to warm up. Writes
docs/speed-draw.json and docs/speed-draw.md, prints the table and the same JSON in one line.

Seconds are of the wall clock. On a machine that does other things the CPU seconds of the process say more: both are given.
"""

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from data_prep.captions import messages
from data_prep.errors import InputError
from data_prep.palette import Palette, named
from data_prep.whole_files import write_whole

CAPTIONS = ("a red crab", "a blue jellyfish from the abyss", "a yellow butterflyfish facing left, with stripes", "a coral")
OURS, THEIRS = "ours", "generate() with llguidance"
SHAPES = {  # of models that need no weights to be timed
    "qwen3-1.7b": {
        "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28, "num_attention_heads": 16,
        "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "tie_word_embeddings": True, "eos_token_id": 151645,
        "pad_token_id": 151643, "bos_token_id": None,
    }
}  # fmt: skip
PACKAGES = ("torch", "transformers", "llguidance")


@dataclass(frozen=True)
class Agreement:
    """How far two greedy drawings of the same captions agree. spelt: how many differ after generate() had written the text
    around the pixels in other tokens than the tokenizer's own, which makes it another prompt. gaps: in nats, between the two
    likeliest entries at the first differing pixel of each other drawing that differs; rounding parts near-ties."""

    drawings: int
    same: int
    spelt: int
    gaps: tuple[float, ...]


@dataclass(frozen=True)
class Masses:
    """Mean probability mass at a pixel: of the palette's symbols, and of all that llguidance's grammar admits there.

    Teacher-forced on what was drawn. gap: by how much a colour's log-probability, renormalised over the one or the other,
    differs in nats, on average and at most; it is what the grammar loses to tokens that spell a pixel otherwise.
    """

    symbols: float
    admitted: float
    gap: float
    largest_gap: float


@dataclass(frozen=True)
class Timing:
    """Seconds of each call that drew `batch` sprites: on the wall clock and of this process's CPU time."""

    who: str
    batch: int
    wall: tuple[float, ...]
    cpu: tuple[float, ...]

    def told(self, clock: str) -> str:
        """Median seconds a sprite, and lowest to highest."""
        each = np.array(getattr(self, clock)) / self.batch
        return f"{np.median(each):.3f} ({each.min():.3f} to {each.max():.3f})"


class Contest:
    """One model, one size, both ways to draw. Raises InputError for a size out of range."""

    def __init__(self, model, size: int, palette: Palette):
        self.model, self.size, self.palette = model, size, palette
        self.schedule = model.tokens.schedule(palette, size, size)

    def prompts(self, batch: int) -> list[list[int]]:
        asked = [CAPTIONS[i % len(CAPTIONS)] for i in range(batch)]
        return [self.model.tokens.prompt_ids(messages(caption, self.size, self.size, self.palette)) for caption in asked]

    def ours(self, batch: int, temperature: float, seed: int = 0) -> np.ndarray:
        """(batch, H, W) grids."""
        from eval.decoding import Sampling, draw_grids

        keys = [(seed, index) for index in range(batch)]
        return draw_grids(self.model.model, self.prompts(batch), self.schedule, keys, Sampling(temperature=temperature))

    def theirs(self, batch: int, temperature: float, seed: int = 0) -> np.ndarray:
        """(batch, H, W) grids."""
        return np.stack([self._read(ids) for ids in self.generated(batch, temperature, seed)])

    def generated(self, batch: int, temperature: float, seed: int) -> list[list[int]]:
        """The ids that stock generate() answers with under the grammar, padded with the end of the turn."""
        import torch
        from transformers import LogitsProcessorList

        from eval.grammar import GrammarProcessor, lark

        tokens, prompts = self.model.tokens, self.prompts(batch)
        longest, device = max(map(len, prompts)), self.model.model.device
        ids = torch.tensor([[tokens.end_id] * (longest - len(one)) + one for one in prompts], device=device)
        mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in prompts], device=device)
        grammar = GrammarProcessor(tokens.tokenizer, lark(self.palette, self.size, self.size))
        sampling = (
            {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature else {"do_sample": False}
        )
        torch.manual_seed(seed)
        with torch.inference_mode():
            out = self.model.model.generate(
                input_ids=ids, attention_mask=mask, logits_processor=LogitsProcessorList([grammar]), **sampling,
                max_new_tokens=2 * len(self.schedule.ids), eos_token_id=tokens.end_id, pad_token_id=tokens.end_id,
            )  # fmt: skip
        return [row[longest:].tolist() for row in out]

    def _read(self, ids: list[int]) -> np.ndarray:
        from data_prep import grid_text

        text = self.model.tokens.tokenizer.decode(ids, skip_special_tokens=True)
        found = grid_text.read(text, {self.palette.name: self.palette}, (self.size, self.size))
        if not hasattr(found, "grid"):
            raise InputError(f"bench draw: generate() with the grammar wrote no drawing: {found}")
        return found.grid

    def agreement(self) -> Agreement:
        """Of greedy drawings, one a caption."""
        count, length = len(CAPTIONS), len(self.schedule.ids)
        ours, ids = self.ours(count, 0.0), self.generated(count, 0.0, 0)
        theirs = np.stack([self._read(one) for one in ids])
        apart = [one for one in range(count) if (ours[one] != theirs[one]).any()]
        alike = [one for one in apart if ids[one][:length] == self.schedule.fill(theirs[one]).tolist()]
        gaps = tuple(self._gap(self.prompts(count)[one], ours[one], np.flatnonzero(ours[one] != theirs[one])[0]) for one in alike)
        return Agreement(count, count - len(apart), len(apart) - len(alike), gaps)

    def _gap(self, prompt: Sequence[int], grid: np.ndarray, pixel: int) -> float:
        """Nats between the two likeliest entries at a pixel, by one whole forward pass."""
        import torch

        place = int(self.schedule.pixels[pixel])
        ids = torch.tensor([[*prompt, *self.schedule.fill(grid)[:place]]], device=self.model.model.device)
        with torch.inference_mode():
            logits = self.model.model(input_ids=ids, use_cache=False).logits[0, -1].float()
        two = logits[torch.as_tensor(self.schedule.symbol_ids, device=logits.device)].log_softmax(-1).topk(2).values
        return round(float(two[0] - two[1]), 4)

    def masses(self) -> Masses:
        """Of our greedy drawings, one a caption."""
        import torch

        from eval.grammar import admitted, lark

        tokens, count = self.model.tokens, len(CAPTIONS)
        text, pairs = lark(self.palette, self.size, self.size), []
        for prompt, grid in zip(self.prompts(count), self.ours(count, 0.0), strict=True):
            ids = self.schedule.fill(grid).tolist()
            with torch.inference_mode():
                given = torch.tensor([[*prompt, *ids]], device=self.model.model.device)
                logits = self.model.model(input_ids=given, use_cache=False).logits[0, len(prompt) - 1 : -1].float().cpu()
            shares = logits.softmax(-1).numpy()[self.schedule.pixels]
            allowed = admitted(tokens.tokenizer, text, ids)[self.schedule.pixels, : shares.shape[1]]
            pairs.append((shares[:, self.schedule.symbol_ids].sum(1), (shares[:, : allowed.shape[1]] * allowed).sum(1)))
        symbols, all_of_it = np.concatenate(pairs, 1)
        gaps = np.log(all_of_it / symbols)
        return Masses(*(float(one) for one in (symbols.mean(), all_of_it.mean(), gaps.mean(), gaps.max())))

    def timings(self, batch: int, repeats: int) -> list[Timing]:
        """Ours and theirs in turns, after one call each to warm up."""
        ways = {OURS: self.ours, THEIRS: self.theirs}
        seconds = {who: [self._seconds(draw, batch, 0)] for who, draw in ways.items()}
        for seed in range(1, repeats + 1):
            for who, draw in ways.items():
                seconds[who].append(self._seconds(draw, batch, seed))
        return [Timing(who, batch, *(tuple(clock) for clock in zip(*found[1:], strict=True))) for who, found in seconds.items()]

    def _seconds(self, draw: Callable, batch: int, seed: int) -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        draw(batch, 1.0, seed)  # its result is on the CPU: nothing on a device is left to wait for
        return round(time.perf_counter() - wall, 4), round(time.process_time() - cpu, 4)


def random_model(name: str, device: str):
    """A LanguageModel of a known shape with random weights in bfloat16: its drawings are noise, its speed is real."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from eval.generators import LanguageModel
    from finetune.base_models import load_tokenizer, resolve
    from finetune.cell_tokens import CellTokens

    if name not in SHAPES:
        raise InputError(f"--random {name}: unknown; there are {', '.join(SHAPES)}")
    with torch.device(device):
        model = Qwen3ForCausalLM._from_config(Qwen3Config(**SHAPES[name]), dtype=torch.bfloat16)
    return LanguageModel(model, CellTokens(load_tokenizer(resolve("qwen3-tokenizer"))))


def bandwidth(device, seconds: float = 0.5) -> float:
    """Bytes a second that reading 256 MiB over and over gives (a sum), the best of several."""
    import torch

    data = torch.ones(2**26, dtype=torch.float32, device=device)
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        started = time.perf_counter()
        data.sum().item()
        best = min(best, time.perf_counter() - started)
    return data.numel() * 4 / best


def head_share(contest: Contest, batch: int) -> float:
    """Seconds a step of cutting the head to the symbols and choosing: all that the constraint costs beside the forward pass."""
    import torch

    from eval.decoding import Sampling, choose

    weight = contest.model.model.get_output_embeddings().weight
    with torch.inference_mode():
        rows = weight[torch.as_tensor(contest.schedule.symbol_ids, device=weight.device)]
        state, noise = rows.new_ones(batch, rows.shape[1]), torch.zeros(batch, len(rows), device=rows.device)
        times = []
        for _ in range(50):
            started = time.perf_counter()
            choose((state @ rows.T).float(), noise, Sampling()).cpu()
            times.append(time.perf_counter() - started)
    return float(np.median(times))


def weight_bytes(model) -> int:
    """Bytes of weights that a step must read: without embedding and head, of which it reads a few rows."""
    left_out = (model.get_input_embeddings().weight, model.get_output_embeddings().weight)
    return sum(p.numel() * p.element_size() for p in model.parameters() if not any(p is one for one in left_out))


def measure(contest: Contest, batches: Sequence[int], repeats: int) -> dict:
    """All that the page shows, as JSON."""
    import torch

    model = contest.model.model
    peak, read, steps = bandwidth(model.device), weight_bytes(model), contest.size**2
    rows = []
    for batch in batches:
        timings = contest.timings(batch, repeats)
        ours, theirs = (float(np.median(one.wall)) for one in timings)
        cpu = [float(np.median(one.cpu)) for one in timings]
        rows.append({
            "batch": batch, "timings": [asdict(one) for one in timings], "ratio": theirs / ours, "cpu_ratio": cpu[1] / cpu[0],
            "head_share": head_share(contest, batch) * steps / ours, "bandwidth_share": read * steps / ours / peak,
        })  # fmt: skip
        print(f"batch {batch}: {theirs / ours:.2f} times by the wall clock, {cpu[1] / cpu[0]:.2f} by CPU time", flush=True)
    return {
        "size": contest.size, "repeats": repeats, "rows": rows, "agreement": asdict(contest.agreement()),
        "masses": asdict(contest.masses()),
        "bandwidth": peak, "weight_bytes": read, "device": _device(model.device), "threads": torch.get_num_threads(),
        "dtype": str(model.dtype).removeprefix("torch."), "load_average": round(os.getloadavg()[0], 1),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}, "commit": commit(),
    }  # fmt: skip


def _device(device) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()


def cpu_name() -> str:
    """The processor and its number of cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def commit() -> str:
    where = Path(__file__).resolve().parents[1]
    told = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=where, capture_output=True, text=True, check=False)
    return told.stdout.strip() or "unknown"


def page(runs: dict[str, dict]) -> str:
    """docs/speed-draw.md from what docs/speed-draw.json holds: name of the model and size → what `measure` returned."""
    lines = ["# How fast it draws", "", "Written by `pixelreef bench draw`; do not edit.", ""]
    for name, found in runs.items():
        lines += [*_section(name, found), ""]
    if not any(found["kind"] == "cuda" for found in runs.values()):
        command = "pixelreef bench draw --device cuda --random qwen3-1.7b --batch 1 64 256"
        lines += [f"## On a GPU\n\nNot run: there was none. `{command}` adds it.", ""]
    return "\n".join(lines)


def _section(name: str, found: dict) -> list[str]:
    side, agreed = found["size"], found["agreement"]
    versions = ", ".join(f"{package} {number}" for package, number in found["versions"].items())
    lines = [f"## {name}", ""]
    lines += [f"{found['device']}, {found['threads']} threads, {found['dtype']}, load {found['load_average']}; {versions}; "]
    lines[-1] += f"commit {found['commit']}. Grids of {side}×{side}; medians of {found['repeats']} calls (lowest to highest)."
    lines += [
        "",
        "| batch | | seconds a sprite | CPU seconds a sprite | times faster | by CPU time | symbols and choice | bandwidth |",
    ]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for row in found["rows"]:
        ours, theirs = (Timing(**one) for one in row["timings"])
        shares = f"{row['head_share']:.2%} | {row['bandwidth_share']:.0%}"
        ratios = f"{row['ratio']:.2f} | {row['cpu_ratio']:.2f}"
        lines += [f"| {row['batch']} | {ours.who} | {ours.told('wall')} | {ours.told('cpu')} | {ratios} | {shares} |"]
        lines += [f"| | {theirs.who} | {theirs.told('wall')} | {theirs.told('cpu')} | | | | |"]
    lines += ["", f"Greedily both drew the same grid for {agreed['same']} of {agreed['drawings']} captions."]
    if agreed["spelt"]:
        lines[-1] += f" {agreed['spelt']} of the others came after generate() spelt the text before the pixels in other tokens."
    if agreed["gaps"]:
        gaps = ", ".join(map(str, agreed["gaps"]))
        lines[-1] += f" Where the rest part, the two likeliest entries were {gaps} nats apart."
    masses = Masses(**found["masses"])
    lines += ["", f"Teacher-forced on these drawings the palette's symbols hold {masses.symbols:.4f} of a pixel's probability, "]
    lines[-1] += f"all that the grammar admits {masses.admitted:.4f}; renormalised over the one or the other, a colour's "
    lines[-1] += f"log-probability differs by {masses.gap:.5f} nats on average and {masses.largest_gap:.4f} at most."
    lines += ["", f"Bandwidth: {found['weight_bytes'] / 1e6:.0f} MB of weights a pixel, over the time, over the "]
    lines[-1] += f"{found['bandwidth'] / 1e9:.1f} GB/s that a plain sum over 256 MiB read in the same process. A drawing that is "
    lines[-1] += "alone reads the weights once for several pixels, so its share may pass 100 %."
    return lines


def bench(options) -> None:
    """Measures what the flags say and writes the page. Raises InputError."""
    import torch

    from eval.draw import load_model

    if min(options.batch) < 1 or options.repeats < 1 or not 4 <= options.size <= 64:
        raise InputError("bench draw: batches and repeats take 1 and more, the size 4 to 64")
    if options.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: there is none here")
    model = random_model(options.random, options.device) if options.random else load_model(options)
    model.model.to(options.device)
    found = measure(Contest(model, options.size, model.palette or named("reef64")), options.batch, options.repeats)
    name = f"{options.random or model.name}{', random weights' if options.random else ''}, {options.size}×{options.size}"
    file, found = options.out.with_suffix(".json"), found | {"kind": options.device}
    runs = json.loads(file.read_text()) if file.exists() else {}
    runs[f"{name}, {options.device}"] = found
    write_whole(file, json.dumps(runs, indent=1))
    write_whole(options.out.with_suffix(".md"), page(runs))
    print("\n".join(_section(name, found)))
    print(json.dumps(found))
