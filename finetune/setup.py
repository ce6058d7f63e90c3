"""From a resolved recipe to a trainer that is ready to run, and from a trained one to its adapter folder."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from data_prep import grid_text
from data_prep.errors import InputError
from data_prep.palette import Palette
from finetune.adapter_folder import LOG, AdapterFacts, load_palette, write_adapter
from finetune.base_models import PACKAGED, BaseModel, load_model, load_tokenizer, resolve
from finetune.callbacks import StepLine, peak_memory_gb
from finetune.cell_tokens import CellTokens
from finetune.config import RunConfig
from finetune.likelihood import Query, likelihoods
from finetune.trainer import GridCollator, GridSFTTrainer, tokenise

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
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    base = resolve(config.model.model_name_or_path)
    tokens = CellTokens(load_tokenizer(base))
    folder = Path(config.recipe.dataset)
    files = {split: sorted(map(str, (folder / "data").glob(f"{split}-*.parquet"))) for split in ("train", "validation")}
    for split, found in files.items():
        if not found:
            raise InputError(f"dataset {folder}: no {split} sprites; prepare it from more sprites")
    data = load_dataset("parquet", data_files=files)
    if config.start and config.start.base_sha256 != base.sha256:
        raise InputError(
            f"start_from {config.recipe.start_from}: was trained on {config.start.base_hub_id}, not on {base.hub_id}"
        )
    return Run(config, base, tokens, data, load_palette(folder))


@dataclass(frozen=True)
class Run:
    """Everything that one training run is made of."""

    config: RunConfig
    base: BaseModel
    tokens: CellTokens
    data: object  # DatasetDict
    palette: Palette

    def trainer(self) -> GridSFTTrainer:
        """The trainer, its model and its adapter. Seeds are set by TRL before LoRA is built."""
        from transformers import PrinterCallback

        args = self.config.training
        model, lora = self.model_and_lora()
        trainer = GridSFTTrainer(
            model=model,
            args=args,
            train_dataset=self.tokenised("train"),
            processing_class=self.tokens.tokenizer,
            data_collator=GridCollator(self.tokens.tokenizer.pad_token_id or self.tokens.end_id),
            peft_config=lora,
            callbacks=[StepLine(Path(args.output_dir) / LOG, self.sprites_per_step)],
            allowed_ids=self.tokens.allowed_ids([self.palette]),
            full_head_every=self.config.recipe.full_head_every,
        )
        trainer.remove_callback(PrinterCallback)  # the step line says it already
        return trainer

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
        settings = {"tokens": self.tokens, "first_use_weight": self.config.recipe.first_use_weight}
        return data.map(tokenise, fn_kwargs=settings, remove_columns=data.column_names)

    def claim(self) -> str | None:
        """Makes `output_dir` this recipe's own; returns its last whole checkpoint. Raises InputError for another recipe's."""
        out = Path(self.config.training.output_dir)
        out.mkdir(parents=True, exist_ok=True)
        checkpoints = sorted(out.glob("checkpoint-*"), key=lambda path: int(path.name.removeprefix("checkpoint-")))
        mark = out / RECIPE_MARK
        if (mark.read_text() if mark.exists() else None) != self.config.hash and checkpoints:
            raise InputError(f"{out}: holds the checkpoints of another recipe; choose another output_dir or remove it")
        mark.write_text(self.config.hash)
        # The Trainer writes this file last, so a checkpoint that was torn by a kill lacks it.
        whole = [path for path in checkpoints if (path / "trainer_state.json").is_file()]
        return str(whole[-1]) if whole else None

    def measure(self, trainer) -> dict[str, float]:
        """Means over some validation sprites, the same each time; every process measures, so that none waits."""
        shuffled = self.data["validation"].shuffle(seed=0)
        rows = shuffled.select(range(min(self.config.recipe.eval_sprites, len(shuffled))))
        model = trainer.accelerator.unwrap_model(trainer.model).eval()
        found = list(likelihoods(model, (self._query(row) for row in rows)))
        model.train()
        if not found:
            raise InputError(f"dataset {self.config.recipe.dataset}: no validation sprites")
        means = {key: float(np.mean([getattr(one, key) for one in found])) for key in MASSES}
        bits = sum(one.bits for one in found) / sum(one.pixels for one in found)
        return {"bits_per_pixel": bits, **means, "sprites": len(found)}

    def _query(self, row: dict) -> Query:
        sprite = grid_text.read(row["completion"][0]["content"], {self.palette.name: self.palette})
        schedule = self.tokens.schedule(sprite.palette, sprite.height, sprite.width)
        return Query(self.tokens.prompt_ids(row["prompt"]), schedule, sprite.grid)

    def write(self, folder: Path, trainer, measured: dict) -> None:
        """Writes the adapter folder."""
        log = folder.parent / LOG
        log = log.read_text() if log.exists() else ""
        rows = [json.loads(line) for line in log.splitlines()]  # of all legs of a run that was stopped and went on
        memory = max([peak_memory_gb(), *(row["memory_gb"] for row in rows)])
        seconds = max([0.0, *(row["seconds"] for row in rows)])
        metrics = {**measured, "seed": self.config.training.seed, "peak_memory_gb": memory, "train_seconds": seconds}
        model = trainer.accelerator.unwrap_model(trainer.model)
        template = self.tokens.tokenizer.chat_template
        write_adapter(folder, model, template, self.palette, self.facts(trainer), self.resolved(), metrics, log)

    def facts(self, trainer) -> AdapterFacts:
        args, train, start = self.config.training, self.data["train"], self.config.start
        sizes = sorted(set(zip(train["height"], train["width"], strict=True)))
        return AdapterFacts(
            name=Path(args.output_dir).name,
            base_hub_id=self.config.recipe.base_hub_id or self.base.hub_id,
            base_sha256=self.base.sha256,
            recipe_hash=self.config.hash,
            dataset_hash=self.config.dataset_hash,
            palette_hash=self.palette.hash,
            sizes=tuple(sizes),
            tasks=tuple(sorted(set(train["task"]))),
            # resumed at its very end, the Trainer counts one step more than it was asked for
            sprites_seen=min(trainer.state.global_step, trainer.state.max_steps) * self.sprites_per_step
            + (start.sprites_seen if start else 0),
            licences=tuple(sorted({*train["licence"], *(start.licences if start else ())})),
            attributions=tuple(sorted({*train["attribution"], *(start.attributions if start else ())} - {""})),
        )

    def resolved(self) -> dict:
        """Every key that was set, and the values of our own that were not; no place of this machine."""
        name = self.config.model.model_name_or_path
        base = name if name in PACKAGED else self.config.recipe.base_hub_id or self.base.hub_id
        return asdict(self.config.recipe) | self.config.published(base)


def _random_model(base: BaseModel, seed: int, dtype: str):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, set_seed

    set_seed(seed)
    return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base.location), dtype=getattr(torch, dtype))
