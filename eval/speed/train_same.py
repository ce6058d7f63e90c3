"""Whether all ways to train come to the same loss and the same gradients: else `eval.speed.train` refuses to time them."""

from dataclasses import dataclass

import torch

from data_prep.errors import InputError
from eval.speed.train_ways import OURS, Stepper, Work
from finetune.trainer import IGNORED

LOSS = {"float32": 1e-4, "bfloat16": 1e-2}  # by which losses may differ, relatively: far above rounding, far below another loss
GRADIENT = {"float32": 1e-3, "bfloat16": 0.1}  # the norm of a difference over the norm; in bfloat16 each way rounds on its own


@dataclass(frozen=True)
class Same:
    """Of one batch with the same weights. losses: in nats a token, over the whole vocabulary; gradients: each way's difference
    from the first way's, relative to its norm; restricted: our loss over the allowed ids; renormalised: the same from all logits.
    """

    losses: dict[str, float]
    gradients: dict[str, float]
    restricted: float
    renormalised: float

    def refuse(self, dtype: str) -> None:
        """Raises InputError, in one line, where anything differs by more than rounding."""
        first = next(iter(self.losses.values()))
        pairs = {way: (loss, first, LOSS) for way, loss in self.losses.items()}
        pairs["our restricted loss"] = (self.restricted, self.renormalised, LOSS)
        for way, (loss, meant, allowed) in pairs.items():
            if not abs(loss - meant) <= allowed[dtype] * abs(meant):
                raise InputError(f"bench train: {way}: loss {loss:.6f} instead of {meant:.6f} in {dtype}; nothing was timed")
        for way, apart in self.gradients.items():
            if not apart <= GRADIENT[dtype]:
                raise InputError(f"bench train: {way}: gradients {apart:.1%} off the first way's in {dtype}; nothing was timed")

    @property
    def apart(self) -> float:
        """By how much losses differ at most, relatively."""
        first = next(iter(self.losses.values()))
        pairs = [(loss, first) for loss in self.losses.values()] + [(self.restricted, self.renormalised)]
        return max(abs(loss - meant) / abs(meant) for loss, meant in pairs)


def compare(work: Work, steppers: dict[str, Stepper]) -> tuple[Same, dict[str, str]]:
    """By a forward and a backward pass of each way. Second: way → why it can run no step here; it is taken out of `steppers`."""
    losses, gradients, failed, first = {}, {}, {}, None
    for way, stepper in list(steppers.items()):
        try:
            losses[way] = stepper.backward()
        except torch.OutOfMemoryError:
            stepper.model.zero_grad()
            del steppers[way]
            failed[way] = "out of memory"
            continue
        gradient = stepper.gradient()
        first = gradient if first is None else first
        gradients[way] = float((gradient - first).norm() / first.norm())
    if OURS not in steppers or len(steppers) < 2:
        raise InputError("bench train: out of memory; take a smaller batch")
    ours = steppers[OURS]
    if ours.every == 1:
        return Same(losses, gradients, losses[OURS], losses[OURS]), failed
    restricted = ours.backward(full=False)
    ours.gradient()
    return Same(losses, gradients, restricted, renormalised(ours, work)), failed


@torch.inference_mode()
def renormalised(ours: Stepper, work: Work) -> float:
    """Nats a taught token over the allowed ids alone, from the logits of the whole vocabulary; a sprite at a time."""
    allowed = torch.as_tensor(work.tokens.allowed_ids([work.palette]), device=ours.batch["labels"].device)
    total, count = 0.0, 0
    for row in range(len(ours.batch["labels"])):
        one = {name: ours.batch[name][row : row + 1] for name in ("input_ids", "attention_mask")}
        labels = ours.batch["labels"][row, 1:]
        taught = labels != IGNORED
        logits = ours.model(**one, use_cache=False).logits[0, :-1][taught][:, allowed].float()
        places = torch.searchsorted(allowed, labels[taught])
        total += float(torch.nn.functional.cross_entropy(logits, places, reduction="sum"))
        count += int(taught.sum())
    return total / count
