"""A thread that is kept quiet does not keep the others quiet."""

from __future__ import annotations

import sys
import threading

import pytest

from vfxmatte.io.quiet import quiet_thread


def test_only_this_thread_is_quiet_and_only_inside(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    inside, spoken = threading.Event(), threading.Event()

    def other() -> None:
        assert inside.wait(10)
        print("other")
        with quiet_thread():
            print("lost too")
        spoken.set()

    thread = threading.Thread(target=other)
    thread.start()
    with quiet_thread():
        print("lost")
        inside.set()
        assert spoken.wait(10)
        print("still lost")
    thread.join()
    print("after")
    assert capsys.readouterr().out == "other\nafter\n"
    assert sys.stdout is before


def test_it_ends_with_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    with pytest.raises(KeyError), quiet_thread():
        raise KeyError
    print("heard")
    assert capsys.readouterr().out == "heard\n"
    assert sys.stdout is before


def test_a_stream_put_in_place_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    mine = sys.__stderr__
    with quiet_thread():
        sys.stdout = mine
    assert sys.stdout is mine
