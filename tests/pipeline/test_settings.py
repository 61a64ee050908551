"""Settings from TOML and key=value, strictly; plain values and their digests."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vfxmatte.common.configuration import changed, nested, read_toml
from vfxmatte.errors import ShotError, UsageError, VfxmatteError
from vfxmatte.pipeline.settings import RunSettings, as_plain, digest
from vfxmatte.types import FrameRange

DEFAULTS = RunSettings()


def test_nested_values_are_changed_and_the_rest_is_kept() -> None:
    record = {
        "frames": "1001-1010x3", "fps": 24, "missing": "hold", "ocio": "studio.ocio",
        "engine": {"weights": "w.safetensors", "batch": 2},
        "output": {"format": "exr", "rgba": "straight"},
        "propagation": {"proxy_px": 480, "growth_px": 1},
    }  # fmt: skip
    settings = changed(DEFAULTS, record)
    assert settings.frames == FrameRange(first=1001, last=1010, step=3)
    assert settings.fps == 24.0 and isinstance(settings.fps, float)
    assert (settings.missing, settings.ocio) == ("hold", Path("studio.ocio"))
    assert settings.engine.weights == Path("w.safetensors") and settings.engine.batch == 2
    assert settings.engine.name == DEFAULTS.engine.name
    assert settings.output.rgba == "straight" and settings.output.pixel_type == "half"
    assert settings.propagation.proxy_px == 480 and settings.propagation.growth_px == 1.0
    assert changed(DEFAULTS, {}) == DEFAULTS


def test_one_frame_may_be_a_number() -> None:
    assert changed(DEFAULTS, {"frames": 1001}).frames == FrameRange(first=1001, last=1001)


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"frams": "1-2"}, "no setting 'frams'.*did you mean frames"),
        ({"engine": {"devise": "cpu"}}, "no setting 'engine.devise'.*did you mean device"),
        ({"zzz": 1}, "no setting 'zzz'.*keys: .*frames"),
        ({"missing": "guess"}, "'missing' wants 'error' or 'hold' or 'skip', found 'guess'"),
        ({"fps": "fast"}, "'fps' wants a number, found 'fast'"),
        ({"fps": True}, "'fps' wants a number, found True"),
        ({"workers": 1.5}, "'workers' wants a whole number, found 1.5"),
        ({"frames": "1001-"}, "'frames': not a frame range: '1001-'.*FIRST-LAST"),
        ({"frames": "9-1"}, "'frames': frame range 9-1x1 is empty"),
        ({"engine": "dim"}, "'engine' is a table.*under it `name = \"dim\"`"),
        ({"workers": -1}, "workers must be 0 or more, found -1"),
        ({"fps": 0}, "fps must be above 0, found 0"),
        ({"engine": {"batch": 0}}, "batch must be 1 or more, found 0"),
        ({"propagation": {"proxy_px": 3}}, "propagation.proxy_px must be 16 or more, found 3"),
        ({"output": {"format": "png", "rgba": "straight"}}, "RGBA cannot be written as png"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(record: dict[str, Any], says: str) -> None:
    path = Path("/shots/a/shot.toml")
    with pytest.raises(VfxmatteError, match=f"(?s){says}") as caught:
        changed(DEFAULTS, record, path=path, error=ShotError)
    assert caught.value.path == str(path)


def test_a_settings_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "shot.toml"
    path.write_text('frames = "1-5"\n[engine]\ndevice = "cpu"\n', encoding="utf-8")
    assert read_toml(path) == {"frames": "1-5", "engine": {"device": "cpu"}}


@pytest.mark.parametrize("content", [b"frames = = 3", b"name = '\xff\xfe'", None])
def test_an_unreadable_settings_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "shot.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ShotError, match="settings cannot be read") as caught:
        read_toml(path, ShotError)
    assert caught.value.path == str(path)


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("workers", "3", {"workers": 3}),
        ("engine.device", "cuda:1", {"engine": {"device": "cuda:1"}}),
        ("output.rgba", '"straight"', {"output": {"rgba": "straight"}}),
        ("a.b.c", "[1, 2]", {"a": {"b": {"c": [1, 2]}}}),
        ("x", "true", {"x": True}),
        ("matte.white", ".8", {"matte": {"white": 0.8}}),
        ("matte.grow_px", "-2.", {"matte": {"grow_px": -2.0}}),
        ("x", "...", {"x": "..."}),
        ("x", "", {"x": ""}),
    ],
)
def test_key_and_value_nest(key: str, text: str, expected: dict[str, Any]) -> None:
    assert nested(key, text) == expected


def test_settings_survive_json() -> None:
    plain = as_plain(DEFAULTS)
    assert json.loads(json.dumps(plain)) == plain
    assert plain["engine"]["name"] == "dim"
    changed_plain = as_plain(changed(DEFAULTS, {"engine": {"weights": "a/b.safetensors"}}))
    assert changed_plain["engine"]["weights"] == str(Path("a/b.safetensors"))


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(one=plain_values, other=plain_values)
def test_equal_values_have_equal_digests_and_others_do_not(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digest(one) == digest(other)) == same
    assert digest(one) == digest(json.loads(json.dumps(one)))


def test_the_order_of_keys_does_not_matter() -> None:
    assert digest({"a": 1, "b": [2, 3]}) == digest({"b": (2, 3), "a": 1})


def test_every_setting_changes_the_digest() -> None:
    seen = {digest(DEFAULTS)}
    for change in (
        {"frames": "1-2"}, {"layer": "fg"}, {"engine": {"precision": "float32"}},
        {"propagation": {"preset": "fast"}}, {"output": {"pixel_type": "float"}},
    ):  # fmt: skip
        seen.add(digest(changed(DEFAULTS, change)))
    assert len(seen) == 6


def test_settings_cannot_be_changed_in_place() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        DEFAULTS.workers = 3  # type: ignore[misc]
    with pytest.raises(UsageError):
        dataclasses.replace(DEFAULTS, workers=-2)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1-9x2", "1-10x2", True),
        ("1-10x3", "1-12x3", True),
        ("5", "5-5", True),
        ("5-6x2", "5", True),
        ("1-9x2", "1-11x2", False),
        ("1-9x2", "1-9x4", False),
        ("1-9", "2-9", False),
    ],
)
def test_ranges_of_the_same_frames_are_equal(one: str, other: str, same: bool) -> None:
    a, b = FrameRange.parse(one), FrameRange.parse(other)
    assert (a == b) is same is (list(a) == list(b))
    assert len({a, b}) == (1 if same else 2)
    assert FrameRange.parse(str(a)) == a and a != list(a)


def test_more_frames_than_any_shot_has_are_refused_before_they_are_listed() -> None:
    with pytest.raises(UsageError, match="1-999999999 has more than 10,000,000 frames"):
        FrameRange.parse("1-999999999")
