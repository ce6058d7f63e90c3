"""Random choices for the body plans, from one numpy generator; cheap calls, because a plan makes dozens of them."""

import numpy as np


class Dice:
    """Draws from default_rng(key); the order of the calls is the content of a sprite."""

    def __init__(self, *key: int):
        self._numbers = np.random.default_rng(key)
        self._pool = []

    def roll(self) -> float:
        """Uniform in 0…1."""
        if not self._pool:
            self._pool = self._numbers.random(128).tolist()
        return self._pool.pop()

    def span(self, low: float, high: float) -> float:
        """Uniform in low…high."""
        return low + (high - low) * self.roll()

    def count(self, low: int, high: int) -> int:
        """Whole number from low to high, both included."""
        return min(low + int(self.roll() * (high - low + 1)), high)

    def chance(self, probability: float) -> bool:
        return self.roll() < probability

    def pick(self, options):
        """One of a sequence, or a key of a mapping of weights."""
        if not isinstance(options, dict):
            return options[self.count(0, len(options) - 1)]
        left = self.roll() * sum(options.values())
        for option, weight in options.items():
            left -= weight
            if left < 0:
                return option
        return next(reversed(options))  # rounding
