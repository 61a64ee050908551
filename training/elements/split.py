"""The held-out split: elements and backgrounds that training never sees, drawn by kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from training.elements.pack import Pack
from vfxmatte.errors import OutputError

DEFAULT_SEED = 7
DEFAULT_SHARE = 0.12


def draw_held_out(groups: Iterable[tuple[str, str]], *, share: float, seed: int) -> set[str]:
    """Draw the held-out groups.

    Args:
        groups: (group, kind) pairs; a group is one still, or one sequence, whose frames must stay
            on one side.
        share: share of every kind to hold out, 0 to 1. At least one group of each kind that has
            four or more, and never a whole kind.
        seed: decides the draw of a kind together with the names of that kind.

    Returns:
        The held-out groups.
    """
    by_kind: dict[str, set[str]] = defaultdict(set)
    for group, kind in groups:
        by_kind[kind].add(group)
    held_out: set[str] = set()
    for kind, names in sorted(by_kind.items()):
        random = np.random.default_rng([seed, *kind.encode()])
        drawn = random.permutation(sorted(names))[: _how_many(len(names), share)]
        held_out |= {str(name) for name in drawn}
    return held_out


def _how_many(count: int, share: float) -> int:
    least = 1 if share > 0 and count >= 4 else 0
    return min(max(round(count * share), least), max(count - 1, 0))


def write_split(path: str | Path, pack: Pack) -> None:
    """Write the held-out names as text, one per line."""
    lines = [f"# Held out of training, drawn with seed {pack.split_seed}."]
    lines += [f"element {name}" for name in sorted(pack.held_out)]
    lines += [f"background {name}" for name in sorted(pack.held_out_backgrounds)]
    try:
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"the split cannot be written: {error}", path=path) from error
