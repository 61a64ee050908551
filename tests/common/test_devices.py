"""Names of devices, and how a shot is divided among them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vfxmatte.common.devices import device_names, environment, names_several
from vfxmatte.errors import UsageError
from vfxmatte.pipeline.spans import split


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("auto", ("auto",)),
        ("cuda:1", ("cuda:1",)),
        ("cuda:0,1", ("cuda:0", "cuda:1")),
        ("cuda:0, cuda:3 ,5", ("cuda:0", "cuda:3", "cuda:5")),
        ("cpu,cpu", ("cpu", "cpu")),
    ],
)
def test_a_list_of_devices(text: str, names: tuple[str, ...]) -> None:
    assert device_names(text) == names and names_several(text) == (len(names) > 1)


@pytest.mark.parametrize("text", [",", "cuda:0,", "0,1", "cuda:0,a", "auto,cpu", "cuda:1,1"])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        device_names(text)


def test_a_child_sees_its_own_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    name, variables = environment("cuda:2", 4)
    assert (name, variables["CUDA_VISIBLE_DEVICES"]) == ("cuda:0", "2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, GPU-abc")
    assert environment("cuda:1", 2)[1]["CUDA_VISIBLE_DEVICES"] == "GPU-abc"
    assert environment("cuda:2", 2)[0] == "cuda:2"  # there is none: the engine says so
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert int(environment("cpu", 10_000)[1]["OMP_NUM_THREADS"]) == 1


def lengths(numbers: range, keyframes: list[int], parts: int) -> list[int]:
    return [len(part) for part in split(numbers, numbers, keyframes, parts)]


def test_a_shot_is_cut_at_its_keyframes() -> None:
    keys = [1, 26, 55, 76, 100]
    parts = split(range(1, 101), range(1, 101), keys, 4)
    assert [part[0] for part in parts] == [1, 26, 55, 76]
    # Right in the middle of a segment is dearer than one frame beside.
    assert lengths(range(1, 101), [1, 49, 100], 2) == [48, 52]


def test_a_long_segment_is_cut_all_the_same() -> None:
    assert lengths(range(1, 401), [1], 4) == [100, 100, 100, 100]
    assert lengths(range(1, 401), [1, 20, 400], 2) == [200, 200]


def test_fewer_frames_than_devices() -> None:
    assert lengths(range(5, 8), [5], 8) == [1, 1, 1]
    assert split([], range(5), [0], 2) == []


@given(
    numbers=st.sets(st.integers(0, 200), min_size=1),
    keyframes=st.sets(st.integers(0, 200), min_size=1),
    parts=st.integers(1, 9),
)
def test_every_frame_is_in_one_piece(numbers: set[int], keyframes: set[int], parts: int) -> None:
    pieces = split(sorted(numbers), range(201), keyframes, parts)
    assert [n for piece in pieces for n in piece] == sorted(numbers)
    assert all(pieces) and len(pieces) == min(parts, len(numbers))
