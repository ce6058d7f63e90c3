"""`pixelreef bench draw`: how fast grids are drawn, ours against Hugging Face `generate()` with llguidance and llama.cpp.

    pixelreef bench draw [--adapter FOLDER | --random qwen3-1.7b] [--batch 1 8 32] [--size 16] [--repeats 5] [--llama-cpp]

All draw the same captions with the same merged weights, one after the other in turns. `generate()` is given the published
grammar as a logits processor, left-padded prompts and the stock attention: what one would write without this project. First
both draw greedily, to check that they draw the same; where they differ, the gap between the two likeliest colours at the first
differing pixel is given, and a gap beyond a near-tie stops the command. Then each is timed at temperature 1.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import numpy as np

from data_prep.errors import InputError
from data_prep.palette import named
from data_prep.printable import table
from eval.speed import page
from eval.speed.contest import Times, environment, in_turns, spread, words
from eval.speed.drawing_ways import Agreement, Contest, Masses
from eval.speed.limits import bandwidth, weight_bytes

OURS, THEIRS, LLAMA = "ours", "generate() with llguidance", "llama.cpp, Q8_0"
PACKAGES = ("torch", "transformers", "llguidance")
MOST_SLOTS = 8  # of llama.cpp
NEAR_TIE = {"float32": 0.01, "bfloat16": 0.5, "float16": 0.1}  # nats that rounding moves a logit by; beyond, ways disagree
TITLE = "Drawing"
SAID = """Sprites of one caption each from an adapter merged into its base. The unit of work is a sprite. *Symbols and
choice*: the share of our time that cutting the head to the palette's symbols and choosing among them takes. *Bandwidth*: the
weights that are read if each pixel (in the others, each token) reads them once, over the time, over what a plain sum over 256 MiB
reads here; a drawing of ours that is alone reads them once for several pixels, so its share may pass 100 %."""
LEFT = {
    "cpu": "pixelreef bench draw --llama-cpp",
    "cuda": "pixelreef bench draw --device cuda --random qwen3-1.7b --batch 1 64 256",
}


def head_share(contest: Contest, batch: int) -> float:
    """Seconds a step of cutting the head to the symbols and choosing: all that the constraint costs beside the forward pass."""
    import torch

    from eval.decoding import Sampling, choose

    weight = contest.model.model.get_output_embeddings().weight
    with torch.inference_mode():
        rows = weight[torch.as_tensor(contest.schedule.symbol_ids, device=weight.device)]
        state, noise = rows.new_ones(batch, rows.shape[1]), torch.zeros(batch, len(rows), device=rows.device)
        found = in_turns({OURS: lambda turn: choose((state @ rows.T).float(), noise, Sampling()).cpu()}, 50)
    return float(np.median(found[OURS].wall))


def row_of(contest: Contest, batch: int, repeats: int, peak: float, llama) -> dict:
    """What is measured of one batch, as JSON. peak: bytes a second that can be read; llama: a LlamaCpp or None."""
    ways: dict[str, Callable[[int], object]] = {
        OURS: lambda turn: contest.ours(batch, 1.0, turn),
        THEIRS: lambda turn: contest.theirs(batch, 1.0, turn),
    }
    if llama is not None:
        ways[LLAMA] = lambda turn: llama.draw(batch, turn)
    found = in_turns(ways, repeats, batch)
    ours, steps = found[OURS], contest.size**2
    own, head = weight_bytes(contest.model.model), contest.model.model.get_output_embeddings().weight
    read = {OURS: own * steps}
    if batch == 1:  # the whole head at every token, those around the pixels included
        read[THEIRS] = (own + head.numel() * head.element_size()) * len(contest.schedule.ids)
    if batch == 1 and llama is not None:
        read[LLAMA] = llama.bytes_a_token * llama.tokens_a_sprite
    seconds = {name: float(np.median(times.wall)) for name, times in found.items()}
    return {
        "batch": batch, "times": {name: asdict(times) for name, times in found.items()},
        "ratio": {name: ours.ratio(times) for name, times in found.items() if name != OURS},
        "head_share": head_share(contest, batch) * steps / seconds[OURS],
        "bandwidth_share": {name: read[name] / seconds[name] / peak for name in read},
    }  # fmt: skip


def agreed(contest: Contest) -> Agreement:
    """Raises InputError where ours and generate() draw otherwise by more than a near-tie."""
    found, dtype = contest.agreement(), str(contest.model.model.dtype).removeprefix("torch.")
    if max(found.gaps, default=0.0) > NEAR_TIE[dtype]:
        raise InputError(f"bench draw: generate() drew otherwise where colours lie {max(found.gaps)} nats apart; report it")
    return found


def measure(contest: Contest, batches: Sequence[int], repeats: int, llama=None) -> dict:
    """All that the page shows, as JSON."""
    model = contest.model.model
    alike, peak, rows = agreed(contest), bandwidth(model.device), []
    for batch in batches:
        rows.append(row_of(contest, batch, repeats, peak, llama))
        told = ", ".join(f"{ratio:.2f} times {name}" for name, ratio in rows[-1]["ratio"].items())
        print(f"batch {batch}: {told}", flush=True)
    return environment(PACKAGES, model.device.type) | {
        "size": contest.size, "repeats": repeats, "rows": rows, "agreement": asdict(alike), "masses": asdict(contest.masses()),
        "bandwidth": peak, "weight_bytes": weight_bytes(model), "dtype": str(model.dtype).removeprefix("torch."),
        "llama": None if llama is None else llama.told,
    }  # fmt: skip


def lines(found: dict) -> list[str]:
    side = found["size"]
    told = [f"{words(found)} Grids of {side}×{side}, {found['dtype']}; {found['repeats']} calls.", ""]
    head = ["batch", "", "seconds a sprite", "CPU seconds a sprite", "ours is", "symbols and choice", "bandwidth"]
    rows = [_row(row, name) for row in found["rows"] for name in row["times"]]
    return [*told, *table(head, rows), "", _agreed_in_words(found), *_llama_in_words(found)]


def _row(row: dict, name: str) -> list[str]:
    times = Times(**row["times"][name])
    mine = name == OURS
    faster = "" if mine else f"{row['ratio'][name]:.2f} times as fast"
    cpu = spread(times.each("cpu"))
    share = f"{row['bandwidth_share'][name]:.0%}" if name in row["bandwidth_share"] else ""
    return [f"{row['batch']}" * mine, name, spread(times.each()), cpu, faster, f"{row['head_share']:.2%}" * mine, share]


def _agreed_in_words(found: dict) -> str:
    alike, masses = found["agreement"], Masses(**found["masses"])
    told = f"Greedily ours and generate() drew the same grid for {alike['same']} of {alike['drawings']} captions."
    if alike["spelt"]:
        told += f" {alike['spelt']} of the others came after generate() spelt the text before the pixels in other tokens."
    if alike["gaps"]:
        told += f" Where the rest part, the two likeliest entries were {', '.join(map(str, alike['gaps']))} nats apart."
    return (
        f"{told} Teacher-forced on these drawings the palette's symbols hold {masses.symbols:.4f} of a pixel's probability, all "
        f"that the grammar admits {masses.admitted:.4f}; renormalised over the one or the other, a colour's log-probability "
        f"differs by {masses.gap:.5f} nats on average and {masses.largest_gap:.4f} at most. Weights of "
        f"{found['weight_bytes'] / 1e6:.0f} MB are read a pixel; {found['bandwidth'] / 1e9:.1f} GB/s can be."
    )


def _llama_in_words(found: dict) -> list[str]:
    return [] if not found["llama"] else ["", found["llama"]]


def bench(options) -> None:
    """Measures what the flags say and writes the page. Raises InputError."""
    import torch

    from eval.draw import REPOSITORY, load_model, newest_adapter
    from eval.speed.shapes import random_model

    if min(options.batch) < 1 or options.repeats < 1 or not 4 <= options.size <= 64:
        raise InputError("bench draw: batches and repeats take 1 and more, the size 4 to 64")
    if options.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: there is none here")
    if not (options.adapter or options.base or options.random):
        options.adapter = newest_adapter(Path("runs"), REPOSITORY / "adapters")
    if options.llama_cpp and (options.adapter is None or options.device == "cuda"):
        raise InputError("--llama-cpp: it draws with an adapter's weights, on a CPU")
    model = random_model(options.random, options.device) if options.random else load_model(options)
    model.model.to(options.device)
    contest = Contest(model, options.size, model.palette or named("reef64"))
    with _llama(contest, options) if options.llama_cpp else nullcontext() as llama:
        if llama is not None:
            llama.check()
        found = measure(contest, options.batch, options.repeats, llama)
    name = f"{options.random or model.name}{', random weights' if options.random else ''}, {options.size}×{options.size}"
    page.show(options.docs, "draw", f"{name}, {options.device}", found)


def _llama(contest: Contest, options):
    from eval.speed.llama_rival import LlamaCpp

    return LlamaCpp(contest, options.adapter, options.base, slots=min(MOST_SLOTS, max(options.batch)))
