"""From a resolved recipe to a trainer that is ready to run, and from a trained one to its adapter folder."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data_prep import grid_text
from data_prep.augment import Augmentation
from data_prep.captions import prompt_hash
from data_prep.errors import InputError
from data_prep.pairs import arrow_schema, shards
from data_prep.pairs import read_rows as dataset_rows
from data_prep.palette import Palette
from data_prep.whole_files import read_rows, write_whole
from finetune.adapter_folder import LOG, AdapterFacts, load_palette, read_template, write_adapter
from finetune.augmented import AugmentingCollator, Epochs, gives_palette, row_sprite
from finetune.base_models import PACKAGED, BaseModel, load_model, load_tokenizer, resolve, torch_dtype
from finetune.callbacks import StepLine
from finetune.cell_tokens import CellTokens
from finetune.checkpoints import checkpoints, last_whole
from finetune.config import LAST, RunConfig
from finetune.keep import story
from finetune.likelihood import Query, likelihoods
from finetune.memory import GB
from finetune.memory_advice import peak_memory
from finetune.samples import Samples, Taste
from finetune.trainer import ROW, GridCollator, GridSFTTrainer, keep_differentiable, refuse_transformed_logits, tokenise

if TYPE_CHECKING:
    from datasets import DatasetDict

RECIPE_MARK = "recipe_hash"  # file in output_dir that says whose checkpoints lie there
MASSES = ("allowed_mass", "separator_probability", "end_probability")


def finished_adapter(folder: Path, recipe_hash: str) -> bool:
    """Whether the adapter of this recipe is there; raises InputError when another recipe's is."""
    if not folder.exists():
        return False
    if AdapterFacts.load(folder).recipe_hash != recipe_hash:
        raise InputError(f"{folder}: holds the adapter of another recipe; choose another output_dir or remove it")
    return True


def load_run(config: RunConfig) -> "Run":
    """Loads tokenizer, dataset and palette, and checks that they fit together."""
    from datasets import Features, disable_progress_bars, load_dataset

    disable_progress_bars()
    base = resolve(config.model.model_name_or_path)
    tokens = CellTokens(load_tokenizer(base))
    folder = Path(config.recipe.dataset)
    files = {split: list(map(str, shards(folder, split))) for split in ("train", "validation")}
    for split in files:
        if not sum(1 for _ in dataset_rows(folder, split)):  # all of them: a damaged one is told before anything is made of it
            raise InputError(f"dataset {folder}: no {split} sprites; prepare it from more sprites")
    # of other columns, `datasets` would open the files that their cells name
    features = Features.from_arrow_schema(arrow_schema())
    data = load_dataset("parquet", data_files=files, features=features, columns=list(features))
    start = config.start
    if start and start.base_sha256 != base.sha256:
        raise InputError(f"start_from {config.recipe.start_from}: was trained on {start.base_hub_id}, not on {base.hub_id}")
    palette = load_palette(folder)
    first = data["train"][0]
    if first["task"] == "draw":
        gives_palette(first, row_sprite(first, palette))
    if start:
        palettes = set(data["train"].unique("palette"))
        _check_start(Path(config.recipe.start_from), start, tokens, palette if palettes != {grid_text.FREE} else None)
    return Run(config, base, tokens, data, palette)


def _check_start(start: Path, facts: AdapterFacts, tokens: CellTokens, palette: Palette | None) -> None:
    """Raises InputError when the adapter to go on from draws in another palette or was told otherwise what to draw.

    palette: of the dataset; None where all its palettes are spelt out, so that any adapter can learn them.
    """
    if palette is not None and facts.palette_hash != palette.hash:
        raise InputError(
            f"start_from {start}: draws in palette {load_palette(start).name!r}, not in the dataset's {palette.name!r}"
        )
    if read_template(start) != tokens.tokenizer.chat_template:
        raise InputError(f"start_from {start}: was trained with another chat template than this base model's tokenizer has")
    if not (start / "adapter_model.safetensors").is_file():
        raise InputError(f"start_from {start}: has no adapter_model.safetensors; pickled weights are not read")


@dataclass(frozen=True)
class Run:
    """Everything that one training run is made of."""

    config: RunConfig
    base: BaseModel
    tokens: CellTokens
    data: "DatasetDict"
    palette: Palette

    def trainer(self, taste: Taste | None = None) -> GridSFTTrainer:
        """The trainer, its model and its adapter. Seeds are set by TRL before LoRA is built. taste: what draws and scores."""
        from transformers import PrinterCallback

        args = self.config.training
        model, lora = self.model_and_lora()
        keep_differentiable(model)
        refuse_transformed_logits(model)
        collator, callbacks = self._collator(), self._callbacks(taste)
        if isinstance(collator, AugmentingCollator):
            callbacks.append(Epochs(collator))
        trainer = GridSFTTrainer(
            model=model,
            args=args,
            train_dataset=self.tokenised("train"),
            processing_class=self.tokens.tokenizer,
            data_collator=collator,
            peft_config=lora,
            callbacks=callbacks,
            allowed_ids=self.tokens.allowed_ids([self.palette]),
            full_head_every=self.config.recipe.full_head_every,
        )
        trainer.remove_callback(PrinterCallback)  # the step line says it already
        return trainer

    def _collator(self):
        """Pads a batch; where the recipe augments, changes its sprites first."""
        collator, recipe = GridCollator(self.tokens.tokenizer.pad_token_id or self.tokens.end_id), self.config.recipe
        augmentation = Augmentation(recipe.augment_flip, recipe.augment_hue, recipe.augment_palette)
        if not augmentation:
            return collator
        return AugmentingCollator(
            collator, self.data["train"], self.tokens, self.palette, augmentation, self.config.training.seed
        )

    def _callbacks(self, taste: Taste | None) -> list:
        out, recipe = Path(self.config.training.output_dir), self.config.recipe
        callbacks = [StepLine(out / LOG, self.sprites_per_step)]
        if taste is not None:
            chooses = recipe.keep != LAST
            callbacks.append(Samples(out, taste, self.measure_model, recipe.draw_every, chooses, self.sprites_per_step))
        return callbacks

    @property
    def sprites_per_step(self) -> int:
        args = self.config.training
        return args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size

    def model_and_lora(self):
        """The base model and the LoRA that the trainer is to build on it, or a model with the adapter to go on from and None."""
        from peft import PeftModel
        from trl import get_peft_config

        start = self.config.recipe.start_from
        if start:
            return PeftModel.from_pretrained(self.model(), start, is_trainable=True), None
        self.config.model.use_peft = True
        return self.model(), get_peft_config(self.config.model)

    def model(self):
        """The base model in the recipe's dtype, quantised where the recipe says so, or of random weights in its shape."""
        from trl import get_quantization_config

        model_args = self.config.model
        if self.config.recipe.random_init:
            return _random_model(self.base, self.config.training.seed, model_args.dtype)
        options = {
            "attn_implementation": model_args.attn_implementation,
            "quantization_config": get_quantization_config(model_args),
        }
        return load_model(self.base, model_args.dtype, **{key: value for key, value in options.items() if value})

    def tokenised(self, split: str):
        """input_ids and labels of a split; only what the trainer reads is kept."""
        data = self.data[split]
        # a cached result would outlive a change of `tokenise`: its code is no part of the cache's key
        options = {"remove_columns": data.column_names, "load_from_cache_file": False}
        mapped = data.map(tokenise, fn_kwargs={"tokens": self.tokens}, **options)
        return mapped.add_column(ROW, np.arange(len(mapped)))

    def claim(self) -> str | None:
        """Makes `output_dir` this recipe's own; returns its last whole checkpoint. Raises InputError for another recipe's."""
        out = Path(self.config.training.output_dir)
        out.mkdir(parents=True, exist_ok=True)
        mark = out / RECIPE_MARK
        wanted = f"{self.config.hash}\n{self.base.sha256}\n{self.tokens.hash}\n"
        found = mark.read_text() if mark.exists() else ""
        if found != wanted and checkpoints(out):
            other = "recipe" if found.split("\n")[0] != self.config.hash else "base model or tokenizer"
            raise InputError(f"{out}: holds the checkpoints of another {other}; choose another output_dir or remove it")
        if found != wanted:
            write_whole(mark, wanted)
        whole = last_whole(out)
        return str(whole) if whole else None

    def measure(self, trainer) -> dict[str, float]:
        """`measure_model` of what a trainer trains; every process measures, so that none waits."""
        model = trainer.accelerator.unwrap_model(trainer.model).eval()
        found = self.measure_model(model)
        model.train()
        return found

    def measure_model(self, model) -> dict[str, float]:
        """Means over some validation sprites, the same each time; of several tasks `draw` alone, so that runs compare."""
        validation = self.data["validation"]
        draws = [number for number, task in enumerate(validation["task"]) if task == "draw"]
        shuffled = (validation.select(draws) if 0 < len(draws) < len(validation) else validation).shuffle(seed=0)
        rows = shuffled.select(range(min(self.config.recipe.eval_sprites, len(shuffled))))
        found = list(likelihoods(model, (self._query(row) for row in rows)))
        means = {key: float(np.mean([getattr(one, key) for one in found])) for key in MASSES}
        bits = sum(one.bits for one in found) / sum(one.pixels for one in found)
        return {"bits_per_pixel": bits, **means, "sprites": len(found)}

    def _query(self, row: dict) -> Query:
        sprite = grid_text.sure(row["completion"][0]["content"], self.palette, "dataset")
        schedule = self.tokens.schedule(sprite.palette, sprite.height, sprite.width)
        return Query(self.tokens.prompt_ids(row["prompt"]), schedule, sprite.grid)

    def write(self, folder: Path, trainer, measured: dict) -> None:
        """Writes the adapter folder."""
        rows = read_rows(folder.parent / LOG)  # of all legs of a run that was stopped and went on
        memory = max([peak_memory() / GB, *(row["memory_gb"] for row in rows)])
        seconds = max([0.0, *(row["seconds"] for row in rows)])
        metrics = {**measured, "seed": self.config.training.seed, "peak_memory_gb": memory, "train_seconds": seconds}
        model = trainer.accelerator.unwrap_model(trainer.model)
        template = self.tokens.tokenizer.chat_template
        beside = story(folder.parent, measured["kept"])
        facts = self.facts(measured["kept"]["step"])
        write_adapter(folder, model, template, self.palette, facts, self.resolved(), metrics, beside)

    def facts(self, step: int) -> AdapterFacts:
        """Of the weights that step made."""
        args, train, start = self.config.training, self.data["train"], self.config.start
        tasks = tuple(sorted(set(train["task"])))
        sizes = sorted(set(zip(train["height"], train["width"], strict=True)))
        return AdapterFacts(
            name=Path(args.output_dir).name,
            base_hub_id=self.config.recipe.base_hub_id or self.base.hub_id,
            base_sha256=self.base.sha256,
            recipe_hash=self.config.hash,
            dataset_hash=self.config.dataset_hash,
            palette_hash=self.palette.hash,
            prompt_hash=prompt_hash(tasks),
            tokenizer_hash=self.tokens.hash,
            sizes=tuple(sizes),
            tasks=tasks,
            sprites_seen=step * self.sprites_per_step + (start.sprites_seen if start else 0),
            licences=tuple(sorted({*train["licence"], *(start.licences if start else ())})),
            attributions=tuple(sorted({*train["attribution"], *(start.attributions if start else ())} - {""})),
        )

    def resolved(self) -> dict:
        """Every key that was set, and the values of our own that were not; no place of this machine."""
        name = self.config.model.model_name_or_path
        base = name if name in PACKAGED else self.config.recipe.base_hub_id or self.base.hub_id
        return asdict(self.config.recipe) | self.config.published(base)


def _random_model(base: BaseModel, seed: int, dtype: str):
    from transformers import AutoConfig, AutoModelForCausalLM, set_seed

    set_seed(seed)
    config = AutoConfig.from_pretrained(base.location, trust_remote_code=False)
    return AutoModelForCausalLM.from_config(config, dtype=torch_dtype(dtype))
