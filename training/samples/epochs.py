"""The paper's epochs: every foreground over N different backgrounds, in an order of its own.

What the n-th sample of a run is made of follows from n and the seed alone, so that a resumed run
and every process of a group know it without keeping count.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Epochs:
    """Numbers of the foreground and the background of each sample.

    An epoch has `foregrounds * each` samples. Within it each foreground comes `each` times, over
    as many different backgrounds as there are (over all of them equally often, if there are fewer
    than `each`). The next epoch has another order and other backgrounds.
    """

    def __init__(self, foregrounds: int, backgrounds: int, each: int, seed: int) -> None:
        self.foregrounds, self.backgrounds = foregrounds, backgrounds
        self.each, self.seed = each, seed
        self._number, self._order = -1, np.empty(0, np.int64)

    def __len__(self) -> int:
        """Samples in an epoch."""
        return self.foregrounds * self.each

    def samples(self, first: int, count: int) -> list[tuple[int, int]]:
        """(foreground, background) of `count` samples of the run, from its `first` on."""
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
