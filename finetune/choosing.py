"""Which base model and which recipe fit this machine, and why: the choice of `pixelreef train my_sprites/`."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import yaml

from data_prep.errors import InputError
from finetune.memory import BAND, GB, Setting, Shape, needs, predict, shape_of
from finetune.own_sprites import sprites_to_see
from finetune.precision import cpu_attention, quick_dtype

RECIPES = Path(__file__).parent / "recipes"
SMALL, LARGE, QUANTISED = "smollm2_135m.yaml", "qwen3_1.7b.yaml", "qwen3_1.7b_qlora.yaml"
PACKAGED_BASE = "smollm2-135m"
ON_A_GPU = (("Qwen/Qwen3-1.7B", LARGE), ("Qwen/Qwen3-1.7B", QUANTISED), ("Qwen/Qwen3-0.6B", LARGE), (PACKAGED_BASE, SMALL))
SMALL_MODEL = 0.4e9  # parameters up to which the recipe of SmolLM2-135M suits
SPRITES_A_STEP = {"cpu": 4, "cuda": 16}
PROMPT = 70  # tokens of a prompt with a long caption
SAVES = 5  # checkpoints over a run, some steps apart; some captions are drawn at each
MEASURED, DRAWN = 16, 4  # held-out sprites that are measured, and captions that are drawn on the way: at most, for slow machines
MEASURING, DRAWING = 0.35, 3.0  # what one costs, in sprites trained on: a forward pass, and token after token, on a CPU
LOOKS = 0.15  # the share of a run beyond which nothing is drawn on the way
LEAST_STEPS = 10
LINE = 15.0  # seconds from one step line to the next


@dataclass(frozen=True)
class Length:
    """How long a run is. each: sprites a step; measured, drawn: held-out sprites, on the way."""

    steps: int
    each: int
    measured: int = MEASURED
    drawn: int = DRAWN

    @property
    def seen(self) -> int:
        return self.steps * self.each

    @property
    def cost(self) -> float:
        """Of the whole run, measuring and drawing on the way included, in sprites trained on."""
        return self.seen + 2 * MEASURING * self.measured + SAVES * bool(self.drawn) * look_cost(self.measured, self.drawn)


def look_cost(measured: int, drawn: int) -> float:
    return MEASURING * measured + DRAWING * drawn


def length_of(steps: int, each: int) -> Length:
    """The length of so many steps; a short run spends less on looking at itself."""
    seen = steps * each
    measured = max(2, min(MEASURED, int(0.1 * seen / (2 * MEASURING))))
    return Length(steps, each, measured, DRAWN if SAVES * look_cost(measured, DRAWN) <= LOOKS * seen else 0)


def length_within(seconds: float, a_sprite: float, most_each: int) -> Length:
    """The longest run that takes at most `seconds`, or the least one. a_sprite: seconds that training on one takes."""
    fits, each = seconds / a_sprite, most_each
    while each > 1 and length_of(LEAST_STEPS, each).cost > fits:
        each //= 2
    low, high = LEAST_STEPS, max(LEAST_STEPS + 1, int(fits // each) + 1)  # the cost grows with the steps
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if length_of(middle, each).cost <= fits else (low, middle)
    return length_of(low, each)


@dataclass(frozen=True)
class Choice:
    """base: what `model_name_or_path` takes; recipe: a file of `finetune/recipes`; why: for people."""

    base: str
    recipe: str
    setting: Setting
    why: str

    def length(self, train: int, steps: int | None = None) -> Length:
        """steps: by default enough for `train` sprites."""
        each = SPRITES_A_STEP[self.setting.device]
        return length_of(steps or -(-sprites_to_see(train) // each), each)

    def keys(self, dataset: Path, out: Path, length: Length, a_sprite: float = 1.0) -> dict:
        """Every key of the recipe that is to be trained. a_sprite: seconds that training on one takes."""
        keys = yaml.safe_load((RECIPES / self.recipe).read_text())
        setting, device, steps = self.setting, self.setting.device, length.steps
        for key in ("num_train_epochs", "attn_implementation", "use_cpu", "activation_checkpointing"):
            keys.pop(key, None)
        batch = min(setting.batch, length.each)
        keys |= {"model_name_or_path": self.base, "dataset": str(dataset), "output_dir": str(out)}
        keys |= {"per_device_train_batch_size": batch, "gradient_accumulation_steps": length.each // batch}
        keys |= {"activation_checkpointing": True} if setting.checkpointing else {}
        keys |= {"use_cpu": True} if device == "cpu" else {}
        keys |= {"dtype": "float32", "bf16": False} if setting.precision == "fp32" else {}
        keys |= {"attn_implementation": setting.attention, "max_steps": steps, "save_steps": -(-steps // SAVES)}
        keys |= {"logging_steps": max(1, min(5, round(LINE / (a_sprite * length.each))))}
        # the guide was taught on the reef, so its scores of other sprites are no ground to prefer an earlier checkpoint
        return keys | {"eval_sprites": length.measured, "draw_prompts": length.drawn, "keep": "last"}


def choose(device: str, free: float, side: int, base: str | None = None) -> Choice:
    """The largest model of which a recipe fits in `free` bytes; `side`: of the largest sprite, pixels.

    base: a packaged name, folder, GGUF file or hub id instead of the models known here. Raises InputError when none fits.
    """
    tried = []
    for name, recipe, shape in _candidates(device, base):
        setting, why = _setting(recipe, device, side), _why(name, device, base is not None)
        if shape is None:
            unknown = "its memory cannot be predicted, so one sprite at once"
            return Choice(name, recipe, replace(setting, batch=1), f"{why}; {unknown}")
        fitted = fitting(shape, setting, free)
        if fitted is not None:
            return Choice(name, recipe, fitted, f"{why}; {_room(shape, fitted, free)}")
        least = predict(shape, replace(setting, batch=1, checkpointing=True)).peak / GB
        tried.append(f"{name} takes {least:.1f} GB")
    raise InputError(
        f"{free / GB:.1f} GB of memory are free, and {' and '.join(tried)} at the least; close programs or take a smaller --size"
    )


def _candidates(device: str, base: str | None) -> Iterator[tuple[str, str, Shape | None]]:
    """(base, recipe, shape), the one to be preferred first; a model that is neither here nor on the hub is left out."""
    from finetune.base_models import resolve

    can_quantise = find_spec("bitsandbytes") is not None
    if base is not None:
        shape = shape_of(resolve(base).location, base)
        small = shape is not None and shape.in_layers + shape.in_embeddings < SMALL_MODEL
        yield base, SMALL if small else LARGE, shape
        if not small and can_quantise:
            yield base, QUANTISED, shape
        return
    for name, recipe in ON_A_GPU if device == "cuda" else ON_A_GPU[-1:]:
        if recipe == QUANTISED and not can_quantise:
            continue
        shape = shape_of(resolve(name).location, name)
        if shape is not None:
            yield name, recipe, shape


def _setting(recipe: str, device: str, side: int) -> Setting:
    keys = yaml.safe_load((RECIPES / recipe).read_text())
    tokens = PROMPT + side * (side + 1) + 20
    quick = quick_dtype(device)
    quantised = bool(keys.get("load_in_4bit"))
    return Setting(
        SPRITES_A_STEP[device],
        tokens,
        keys["lora_r"],
        precision="nf4" if quantised else "bf16" if quick == "bfloat16" else "fp32",
        nested=quantised,
        attention=cpu_attention(quick, side) if device == "cpu" else "sdpa",
        device=device,
    )


def fitting(shape: Shape, setting: Setting, free: float) -> Setting | None:
    """The largest batch that fits with its band of error, at last with checkpointing."""
    for checkpointing in (False, True):
        batch = setting.batch
        while batch:
            tried = replace(setting, batch=batch, checkpointing=checkpointing)
            if needs(shape, tried) * (1 + BAND) <= free:
                return tried
            batch //= 2
    return None


def _why(name: str, device: str, asked: bool) -> str:
    if asked:
        return f"{name}, as you asked"
    if device == "cpu":
        return f"{name}, the packaged small model: there is no GPU here, and a step of a larger one takes minutes"
    return f"{name}: the largest model whose recipe fits this GPU"


def _room(shape: Shape, setting: Setting, free: float) -> str:
    light = ", with activation checkpointing" if setting.checkpointing else ""
    many = "one sprite" if setting.batch == 1 else f"{setting.batch} sprites"
    room = f"about {needs(shape, setting) / GB:.1f} GB of the {free / GB:.1f} GB that are free"
    return f"{many} at once{light} need{'s' if setting.batch == 1 else ''} {room}"
