"""Run by test_restricted_head under torchrun: gradients of both losses, of a model that is whole or under `fully_shard`."""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from peft import get_peft_model
from safetensors.torch import save_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from trl import get_peft_config
from trl.trainer.utils import add_fused_lm_head

from finetune.config import parse
from finetune.likelihood import likelihoods
from finetune.setup import load_run
from finetune.trainer import IGNORED, GridCollator, RestrictedHead

SPRITES = 4


def whole(tensor: torch.Tensor) -> torch.Tensor:
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().contiguous()


def shard(base, model) -> None:
    """As accelerate does for FSDP2: each layer, then the rest."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for layer in base.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)


def losses(model, head: RestrictedHead, batch: dict):
    """Name and sum of −log p, restricted and full."""
    yield "restricted", head.label_nats(model, batch).sum()
    inputs = {key: batch[key] for key in ("input_ids", "attention_mask", "labels")}
    yield "full", -model(**inputs, fused_lm_head=True).log_probs.sum()


def main(model_name: str, dataset: str, out: str, processes: str) -> None:
    flags = {
        "model_name_or_path": model_name, "dataset": dataset, "output_dir": f"{out}/run-{processes}", "dtype": "float32",
        "lora_target_modules": "all-linear", "lora_dropout": "0", "bf16": "false", "use_cpu": "true", "use_peft": "true",
    }  # fmt: skip
    run = load_run(parse([part for key, value in flags.items() for part in (f"--{key}", value)]))
    world, rank = run.config.training.world_size, run.config.training.process_index
    base = run.model()
    add_fused_lm_head(base)
    torch.manual_seed(0)
    model = get_peft_model(base, get_peft_config(run.config.model))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # zero at first, which would leave the others without a gradient
            torch.nn.init.normal_(parameter, std=0.02)
    head = RestrictedHead(base, run.tokens.allowed_ids([run.palette]))
    if world > 1:
        shard(base, model)
        assert all(isinstance(parameter, DTensor) for parameter in model.parameters())
    rows = [run.tokenised("train")[number] for number in range(SPRITES)]
    batch = GridCollator(run.tokens.end_id)(rows[rank * SPRITES // world : (rank + 1) * SPRITES // world])
    labels = sum(sum(label != IGNORED for label in row["labels"]) for row in rows)
    found = {}
    for kind, nats in losses(model, head, batch):
        model.zero_grad()
        (nats * world / labels).backward()  # the processes' gradients are averaged
        trained = {name: whole(p.grad) for name, p in model.named_parameters() if p.requires_grad}
        found |= {f"{kind}.{name.replace('_fsdp_wrapped_module.', '')}": gradient for name, gradient in trained.items()}
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters() if p.requires_grad)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.unshard()
    query = run._query(run.data["validation"][0])
    found["bits"] = torch.tensor([one.bits for one in likelihoods(model.eval(), [query])])
    found["world_size"] = torch.tensor([world])
    if rank == 0:
        save_file(found, Path(out) / f"sharded-{processes}.safetensors")
    if world > 1:
        dist.barrier()
        dist.destroy_process_group()
    os._exit(0)  # the interpreter's own end hangs now and then after gloo


if __name__ == "__main__":
    main(*sys.argv[1:])
