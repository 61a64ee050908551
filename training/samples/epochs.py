"""The paper's epochs: every foreground over N different backgrounds, in random order.

The n-th sample of a run follows from n and the seed alone, so that a resumed run and every process
of a group draw the same ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Epochs:
    """The order of samples, by number of foreground and background.

    An epoch has `foregrounds * each` samples. Within it each foreground comes `each` times, over
    different backgrounds (over all of them equally often, if there are fewer than `each`). The
    next epoch has another order and other backgrounds.
    """

    def __init__(self, foregrounds: int, backgrounds: int, each: int, seed: int) -> None:
        self.foregrounds, self.backgrounds = foregrounds, backgrounds
        self.each, self.seed = each, seed
        self._number, self._order = -1, np.empty(0, np.int64)

    def __len__(self) -> int:
        """Return the number of samples in an epoch."""
        return self.foregrounds * self.each

    def samples(self, first: int, count: int) -> list[tuple[int, int]]:
        """Return (foreground, background) of `count` samples of the run, from number `first` on."""
        return [self._sample(number) for number in range(first, first + count)]

    def _sample(self, number: int) -> tuple[int, int]:
        epoch, place = divmod(number, len(self))
        if epoch != self._number:
            order = np.random.default_rng((self.seed, epoch)).permutation(len(self))
            self._number, self._order = epoch, order
        foreground, turn = divmod(int(self._order[place]), self.each)
        backgrounds = self._backgrounds(epoch, foreground)
        return foreground, int(backgrounds[turn % self.backgrounds])

    def _backgrounds(self, epoch: int, foreground: int) -> NDArray[np.int64]:
        random = np.random.default_rng((self.seed, epoch, foreground))
        return random.permutation(self.backgrounds)
