"""Messages name one thing in the singular, and several in the plural."""

from __future__ import annotations

import pytest

from vfxmatte.common.wording import counted, frames_text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 frames"), (1, "1 frame"), (2, "2 frames"), (12, "12 frames")]
)
def test_things_are_counted(count: int, text: str) -> None:
    assert counted(count, "frame") == text


def test_frames_are_named() -> None:
    assert frames_text([1003]) == "frame 1003"
    assert frames_text((1001, 1002, 1004)) == "frames 1001-1002,1004"
    assert frames_text({1003: "a"}, ("has", "have")) == "frame 1003 has"
    assert frames_text([1003, 1005], ("has", "have")) == "frames 1003,1005 have"
    assert frames_text([9], ("is", "are"), noun="keyframe") == "keyframe 9 is"
