"""Epochs as in the paper: every foreground equally often, over different backgrounds."""

from __future__ import annotations

from collections import Counter, defaultdict

from training.samples.epochs import Epochs


def test_every_foreground_comes_over_n_different_backgrounds():
    epochs = Epochs(7, 40, 20, seed=1)
    seen = defaultdict(set)
    samples = epochs.samples(0, len(epochs))
    for foreground, background in samples:
        seen[foreground].add(background)
    assert len(samples) == 7 * 20
    assert set(Counter(f for f, _ in samples).values()) == {20}
    assert [len(seen[f]) for f in range(7)] == [20] * 7


def test_few_backgrounds_come_equally_often():
    epochs = Epochs(3, 5, 20, seed=1)
    pairs = Counter(epochs.samples(0, len(epochs)))
    assert len(pairs) == 3 * 5
    assert set(pairs.values()) == {4}


def test_the_next_epoch_is_drawn_anew():
    epochs = Epochs(4, 40, 10, seed=1)
    first, second = epochs.samples(0, 40), epochs.samples(40, 40)
    assert first != second
    assert set(first) != set(second)
    assert Counter(f for f, _ in first) == Counter(f for f, _ in second)


def test_foregrounds_are_mixed_not_in_turn():
    order = [f for f, _ in Epochs(4, 40, 10, seed=1).samples(0, 40)]
    assert order != sorted(order)


def test_a_sample_follows_from_its_number_alone():
    whole = Epochs(5, 9, 6, seed=3).samples(0, 90)
    other = Epochs(5, 9, 6, seed=3)
    assert other.samples(50, 40) == whole[50:]
    assert other.samples(0, 50) == whole[:50]
    assert Epochs(5, 9, 6, seed=4).samples(0, 90) != whole
