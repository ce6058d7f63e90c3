"""How a critic learns: real sprites, a fresh bad drawing beside each of them, and hues that cannot be trusted.

Each batch has as many bad drawings (`corruptions.TAUGHT_FAMILIES`, one family drawn for each) as sprites. All are
mirrored and shifted at random, with a little play in lightness and chroma; for half of them the hues are scrambled,
ramp by ramp, so that category and quality cannot hang on colour. Loss: binary cross-entropy for quality, cross-entropy
for category (sprites only), for zone (true hues only) and for zone_scrambled (scrambled hues only). AdamW, one cycle.
Calibration: one temperature for quality, one for category, on the validation split (C. Guo, G. Pleiss, Y. Sun and
K. Weinberger, 'On calibration of modern neural networks', 2017).
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn import functional as F

from data_prep.captions import CATEGORIES, ZONES
from data_prep.palette import Palette
from data_prep.sprite import Sprite
from eval.metrics import critics
from eval.metrics.corruptions import TAUGHT_FAMILIES, corrupt
from eval.metrics.critic_models import NETWORKS

BATCH = 64  # sprites; as many bad drawings beside them
MIN_EACH, MAX_CATEGORIES = 5, 32  # sprites of a category; categories
_SHIFT, _ZONE_WEIGHT, _SMOOTHING = 2, 0.3, 0.05
_FAMILIES = tuple(TAUGHT_FAMILIES.values())
_SELDOM = 0.15  # weight of a family that the network knows well beside 1 of one that always passes


@dataclass(frozen=True)
class Lesson:
    """One size's sprites: grids (N, S, S), palettes, places of category and zone or −1 where not known."""

    grids: np.ndarray
    palettes: list[Palette]
    category: np.ndarray
    zone: np.ndarray


def labels(sprites: Sequence[Sprite], tag: str) -> tuple[str, ...]:
    """What to tell apart: words that at least MIN_EACH sprites have; the reef's own order where all are the reef's."""
    known = Counter(sprite.tags.get(tag, "") for sprite in sprites)
    known.pop("", None), known.pop(critics.NONE, None)
    found = [word for word, count in known.most_common(MAX_CATEGORIES) if count >= MIN_EACH]
    order = {"category": CATEGORIES, "zone": ZONES}[tag]
    return tuple(sorted(found, key=lambda word: (order.index(word) if word in order else len(order), word)))


def lessons(sprites: Sequence[Sprite], categories: Sequence[str], zones: Sequence[str]) -> list[Lesson]:
    squares = [critics.squared(sprite.grid) for sprite in sprites]
    sides = sorted({len(square) for square in squares})
    places = [[i for i, square in enumerate(squares) if len(square) == side] for side in sides]

    def numbers(rows: list[int], tag: str, words: Sequence[str]) -> np.ndarray:
        of = {word: number for number, word in enumerate(words)}
        return np.array([of.get(sprites[i].tags.get(tag, ""), -1) for i in rows])

    return [
        Lesson(
            np.stack([squares[i] for i in rows]),
            [sprites[i].palette for i in rows],
            numbers(rows, "category", categories),
            numbers(rows, "zone", zones),
        )
        for rows in places
    ]


@dataclass
class Teacher:
    """Bad drawings; families that pass as sprites are drawn more often, so that no easy one takes their place.

    passing: (families,) running mean of the quality that the network gave them. Changes while the network learns.
    """

    passing: np.ndarray = field(default_factory=lambda: np.full(len(_FAMILIES), 0.5))

    def spoil(self, grids: np.ndarray, palettes: Sequence[Palette], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A bad drawing for each of (N, S, S) grids and the number of its family; another grid lends what is pasted."""
        chance = self.passing + _SELDOM
        drawn = rng.choice(len(chance), len(grids), p=chance / chance.sum())
        others = np.roll(grids, int(rng.integers(1, max(2, len(grids)))), 0)
        rows = zip(drawn, grids, others, palettes, strict=True)
        return np.stack([corrupt(_FAMILIES[f], grid, other, palette, rng) for f, grid, other, palette in rows]), drawn

    def learn(self, drawn: np.ndarray, quality: np.ndarray) -> None:
        for family, value in zip(drawn, quality, strict=True):
            self.passing[family] += 0.02 * (value - self.passing[family])


def _shifted(grids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """All of a batch mirrored or not and shifted one by one, by no more than leaves every drawn pixel in the frame."""
    out = np.where((rng.random(len(grids)) < 0.5)[:, None, None], grids[:, :, ::-1], grids)
    for axis in (1, 2):
        drawn, side = np.any(out, 3 - axis), out.shape[axis]
        before, after = drawn.argmax(1), drawn[:, ::-1].argmax(1)
        free = drawn.any(1)
        step = rng.integers(-_SHIFT, _SHIFT + 1, len(out))
        step = np.where(free, np.clip(step, -before, after), 0)
        places = (np.arange(side) - step[:, None]) % side
        out = np.take_along_axis(out, np.expand_dims(places, 3 - axis), axis)
    return out


def _tables(palettes: Sequence[Palette], mixed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N, 64, 4): true or, where `mixed`, scrambled hues, with a little play in lightness and chroma."""
    found = np.stack(
        [critics.scrambled(p, rng) if turned else critics.table(p) for p, turned in zip(palettes, mixed, strict=True)]
    )
    light, gain = rng.normal(0, 0.1, (len(found), 1)), rng.uniform(0.9, 1.1, (len(found), 1, 1))
    found[..., 1] = (found[..., 1] * gain[..., 0] + light) * found[..., 0]
    found[..., 2:] *= gain
    return found.astype(np.float32)


def _loss(answers: dict, lesson: Lesson, rows: np.ndarray, mixed: np.ndarray) -> torch.Tensor:
    """`answers` for the sprites of `rows`, then as many bad drawings."""
    count = len(rows)
    real = torch.cat([torch.ones(count), torch.zeros(len(answers["quality"]) - count)])
    loss = F.binary_cross_entropy_with_logits(answers["quality"], real)
    turned = torch.from_numpy(mixed)
    for head, truth, shown, weight in (
        ("category", lesson.category, torch.ones(count, dtype=torch.bool), 1.0),
        ("zone", lesson.zone, ~turned, _ZONE_WEIGHT),
        ("zone_scrambled", lesson.zone, turned, _ZONE_WEIGHT),
    ):
        wanted = torch.from_numpy(truth[rows])
        known = (wanted >= 0) & shown
        if known.any():
            loss = loss + weight * F.cross_entropy(answers[head][:count][known], wanted[known], label_smoothing=_SMOOTHING)
    return loss


def _batches(found: list[Lesson], batch: int, rng: np.random.Generator) -> Iterator[tuple[Lesson, np.ndarray]]:
    """One epoch: (lesson, rows), sizes mixed, one size a batch."""
    turns = []
    for lesson in found:
        order = rng.permutation(len(lesson.grids))
        pieces = np.array_split(order, max(1, round(len(order) / batch)))
        turns += [(lesson, piece) for piece in pieces if len(piece) > 1]
    for place in rng.permutation(len(turns)):
        yield turns[place]


def train(
    name: str,
    sprites: Sequence[Sprite],
    validation: Sequence[Sprite],
    seed: int,
    epochs: int,
    batch: int = BATCH,
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
) -> critics.Critic:
    """A calibrated critic of `name`'s architecture. The same arguments and threads give the same weights."""
    categories, zones = labels(sprites, "category"), labels(sprites, "zone")
    found = lessons(sprites, categories, zones)
    torch.manual_seed(seed)
    rng, teacher = np.random.default_rng(seed), Teacher()
    network = NETWORKS[name](len(categories), len(zones))
    steps = epochs * len(list(_batches(found, batch, np.random.default_rng(0))))
    decayed = [p for p in network.parameters() if p.ndim > 1]
    groups: list[dict] = [{"params": decayed, "weight_decay": 0.05}, {"params": [p for p in network.parameters() if p.ndim <= 1]}]
    optimiser = torch.optim.AdamW(groups, lr=2e-3, weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=4e-3, total_steps=steps, pct_start=0.2)
    for epoch in range(epochs):
        network.train()
        losses = [_step(network, optimiser, schedule, lesson, rows, rng, teacher) for lesson, rows in _batches(found, batch, rng)]
        say(f"{name}: epoch {epoch + 1} of {epochs}, loss {np.mean(losses):.3f}")
    facts = {
        "categories": list(categories),
        "zones": list(zones),
        "sizes": sorted({lesson.grids.shape[1] for lesson in found}),
        "temperatures": {"quality": 1.0, "category": 1.0},
        "seed": seed,
        "epochs": epochs,
        "training": len(sprites),
        "families": list(TAUGHT_FAMILIES),
    }
    _halve(network)
    critic = critics.frozen(name, network, facts)
    facts["temperatures"] = _temperatures(critic, validation, seed)
    return critics.frozen(name, network, facts)


def _step(network, optimiser, schedule, lesson: Lesson, rows: np.ndarray, rng: np.random.Generator, teacher: Teacher) -> float:
    palettes = [lesson.palettes[row] for row in rows]
    grids = lesson.grids[rows]
    bad, drawn = teacher.spoil(grids, palettes, rng)
    shown = _shifted(np.concatenate([grids, bad]), rng)
    mixed = rng.random(len(rows)) < 0.5
    tables = _tables(palettes * 2, np.tile(mixed, 2), rng)
    answers = network(torch.from_numpy(critics.planes(shown, tables)))
    loss = _loss(answers, lesson, rows, mixed)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    schedule.step()
    teacher.learn(drawn, torch.sigmoid(answers["quality"].detach()[len(rows) :]).numpy())
    return loss.item()


def _halve(network) -> None:
    """Rounds the weights to float16: what is measured is what is saved."""
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.copy_(value.half().float())


def _temperatures(critic: critics.Critic, validation: Sequence[Sprite], seed: int) -> dict[str, float]:
    """Of the two heads, on validation sprites and as many taught bad drawings; 1 where there is nothing to fit."""
    from scipy.optimize import minimize_scalar

    rng = np.random.default_rng([seed, 1])
    logits, truth, named, wanted = [], [], [], []
    for lesson in lessons(validation, critic.categories, critic.zones):
        tables = np.stack([critics.table(palette) for palette in lesson.palettes])
        for grids, real in ((lesson.grids, 1.0), (Teacher().spoil(lesson.grids, lesson.palettes, rng)[0], 0.0)):
            answers = critic._logits(critics.planes(grids, tables))
            logits.append(answers["quality"])
            truth.append(np.full(len(grids), real))
            if real:
                named.append(answers["category"][lesson.category >= 0])
                wanted.append(lesson.category[lesson.category >= 0])
    found = {"quality": 1.0, "category": 1.0}
    pairs = {"quality": (logits, truth, F.binary_cross_entropy_with_logits), "category": (named, wanted, F.cross_entropy)}
    for head, (outputs, right, loss) in pairs.items():
        if outputs and len(np.concatenate(outputs)) >= 20:
            out, target = (torch.from_numpy(np.concatenate(part)) for part in (outputs, right))
            out = out.double()
            cost = lambda log_t, out=out, target=target, loss=loss: float(loss(out / float(np.exp(log_t)), target))  # noqa: E731
            found[head] = round(float(np.exp(minimize_scalar(cost, bounds=(-2, 2), method="bounded").x)), 4)
    return found
