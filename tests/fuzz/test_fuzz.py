"""Broken input is answered and not tripped over: past findings, and ten seconds of new ones."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator

import pytest

from tests.fuzz.mutation import mutated
from tests.fuzz.pool import Child, hunt
from tests.fuzz.seeds import CORPUS, seeds
from tests.fuzz.targets import HEAVY, LIGHT

SEED = 1
"""The same inputs everywhere, as far as ten seconds reach; `python -m tests.fuzz` takes others."""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="children are limited as POSIX does")


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    with contextlib.closing(Child()) as found:
        yield found


@pytest.mark.parametrize("target", [*LIGHT, *HEAVY])
def test_what_was_once_found_and_what_is_whole_are_read(target: str, child: Child) -> None:
    for data in seeds(target):
        assert child.text_of(target, data) == "", data[:200]


def test_ten_seconds_find_nothing() -> None:
    counts: dict[str, int] = {}
    found = list(hunt(LIGHT, seconds=10, seed=SEED, counts=counts))
    assert not found, "\n".join(f"{f.target} {f.data[:300]!r}\n{f.text}" for f in found[:3])
    assert sum(counts.values()) > 20


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"traceback", "KeyError: 'a mistake'"), (b"death", "exit code 3"), (b"memory", "too much")],
)
def test_a_mistake_would_be_found(data: bytes, said: str, child: Child) -> None:
    assert child.text_of("mistake", b"none") == ""
    assert said in child.text_of("mistake", data)
    assert child.text_of("mistake", b"none") == ""


def test_the_same_seed_gives_the_same_input() -> None:
    (data, *_) = seeds("toml")
    one, two = (mutated(data, data, random.Random(5)) for _ in range(2))
    assert one == two
    others = {mutated(data, data, random.Random(number)) for number in range(50)}
    assert len(others) > 40


def test_every_part_of_the_corpus_belongs_to_a_target() -> None:
    kinds = {target.partition(":")[0] for target in (*LIGHT, *HEAVY)}
    assert CORPUS.is_dir() and {path.name for path in CORPUS.iterdir()} <= kinds
