"""What a training step sees: sprites of one size, shuffled by (seed, epoch), changed by (seed, step); nothing else is random."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.sprite import Sprite
from eval.baseline.conditions import Conditions


@dataclass(frozen=True)
class Batch:
    """grids: (B, H, W) uint8; conditions: (B, slots) class numbers."""

    grids: np.ndarray
    conditions: np.ndarray


class Batches:
    """The batches of a run, by step. size: sprites a batch, of all processes together.

    An epoch shows every sprite; where a size's sprites do not fill its last batch, its first ones come twice.
    """

    def __init__(self, sprites: Sequence[Sprite], conditions: Conditions, size: int, seed: int):
        self.grids = [sprite.grid for sprite in sprites]
        self.told = np.array([conditions.ids(sprite.caption, sprite.tags) for sprite in sprites]).reshape(len(sprites), -1)
        self.conditions, self.size, self.seed = conditions, size, seed
        shapes = np.array([grid.shape for grid in self.grids])
        self.alike = [np.flatnonzero((shapes == shape).all(1)) for shape in np.unique(shapes, axis=0)]
        self.an_epoch = sum(-(-len(numbers) // size) for numbers in self.alike)
        self._order: tuple[int, list[np.ndarray]] = (-1, [])

    def at(self, step: int, dropout: float = 0.0, flips: float = 0.0) -> Batch:
        """The batch of a step, from 0. dropout: share that is told nothing; flips: share that is mirrored."""
        epoch, place = divmod(step, self.an_epoch)
        if self._order[0] != epoch:
            self._order = epoch, self.order(epoch)
        numbers = self._order[1][place]
        rng = np.random.default_rng([self.seed, 1, step])
        is_dropped, is_flipped = rng.random((2, len(numbers))) < [[dropout], [flips]]
        grids = np.stack([self.grids[n][:, ::-1] if flip else self.grids[n] for n, flip in zip(numbers, is_flipped, strict=True)])
        told = np.where(is_flipped[:, None], self.conditions.mirrored(self.told[numbers]), self.told[numbers])
        return Batch(grids, np.where(is_dropped[:, None], 0, told))

    def order(self, epoch: int) -> list[np.ndarray]:
        """The numbers of the sprites of each batch of an epoch."""
        rng = np.random.default_rng([self.seed, 0, epoch])
        batches = []
        for numbers in self.alike:
            mixed = rng.permutation(numbers)
            batches += list(np.resize(mixed, (-(-len(mixed) // self.size), self.size)))
        return [batches[n] for n in rng.permutation(len(batches))]
