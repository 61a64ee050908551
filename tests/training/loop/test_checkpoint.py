"""Ctrl-C while a checkpoint is written: the file is whole or untouched, and no disk is full."""

from __future__ import annotations

import os
import signal
import threading

import pytest
import torch

import training.loop.checkpoint
from training.loop.checkpoint import interrupts_postponed, load_checkpoint, save_checkpoint
from training.recipes import small_recipe
from vfxmatte.errors import TrainingError

STATE = {"network": {"a": torch.arange(1000.0)}, "optimiser": {}, "step": 1}


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def last(tmp_path):
    path = tmp_path / "last.pt"
    save_checkpoint(path, STATE, small_recipe())
    return path


def partials(path):
    return [p.name for p in path.parent.iterdir() if p.name not in ("last.pt", "last.json")]


@pytest.mark.parametrize("times", [1, 3])
def test_it_counts_when_the_file_is_whole(last, monkeypatch, times):
    save = torch.save

    def interrupted(state, stream):
        for _ in range(times):
            press()
        save(state, stream)
        press()

    monkeypatch.setattr(training.loop.checkpoint.torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(last, {**STATE, "step": 2}, small_recipe())
    assert load_checkpoint(last, small_recipe())["step"] == 2 and partials(last) == []


def test_a_writer_that_takes_it_for_a_failure_leaves_the_file_untouched(last, monkeypatch):
    """As torch's own does in a thread, or where the signal came through."""

    def interrupted(state, stream):
        stream.write(b"half")
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise RuntimeError("PytorchStreamWriter failed writing file data/0") from None

    monkeypatch.setattr(training.loop.checkpoint.torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(last, {**STATE, "step": 2}, small_recipe())
    assert load_checkpoint(last, small_recipe())["step"] == 1 and partials(last) == []


def test_an_interrupt_that_is_raised_leaves_the_file_untouched(last, monkeypatch):
    def interrupted(state, stream):
        stream.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(training.loop.checkpoint.torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(last, {**STATE, "step": 2}, small_recipe())
    assert load_checkpoint(last, small_recipe())["step"] == 1 and partials(last) == []


def test_a_full_disk_is_one_whoever_presses_nothing(last, monkeypatch):
    def full(state, stream):
        stream.write(b"half")
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")

    monkeypatch.setattr(training.loop.checkpoint.torch, "save", full)
    with pytest.raises(TrainingError, match=r"cannot be written: .*file write failed") as caught:
        save_checkpoint(last, {**STATE, "step": 2}, small_recipe())
    assert "make room" in str(caught.value.hint) and partials(last) == []
    assert load_checkpoint(last, small_recipe())["step"] == 1


def test_what_ctrl_c_did_before_it_does_again(last):
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append("ours"))
    try:
        with interrupts_postponed():
            press()
            assert seen == []
        assert seen == ["ours"]
        press()
        assert seen == ["ours", "ours"]
        done = []
        thread = threading.Thread(
            target=lambda: done.append(save_checkpoint(last, STATE, small_recipe()))
        )
        thread.start()
        thread.join()
        assert done == [None]
    finally:
        signal.signal(signal.SIGINT, before)
