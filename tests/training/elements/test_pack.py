"""A pack gives back what went in, keeps its split, and refuses damage by name."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from training.elements.pack import PACK_VERSION, Background, Element, Pack, read_pack, write_pack
from training.elements.split import draw_held_out, write_split
from vfxmatte.errors import OutputError, TrainingError


def _element(name, *, seed=0, dtype=np.uint8, **more):
    random = np.random.default_rng(seed)
    return Element(
        name=name,
        kind=more.pop("kind", "fur"),
        colour=random.integers(0, 256, (21, 34, 3), dtype=np.uint8),
        alpha=random.integers(0, np.iinfo(dtype).max + 1, (21, 34), dtype=dtype),
        **more,
    )


@pytest.fixture
def pack():
    smooth = np.linspace(0, 255, 40 * 60).reshape(40, 60).astype(np.uint8)
    flat = Background(name="sky", colour=np.stack([smooth, smooth // 2, 255 - smooth], 2))
    return Pack(
        elements=(
            _element("a"),
            _element("b.1001", seed=1, dtype=np.uint16, sequence="b", frame=1001),
            _element("ü ö", seed=2, kind="element"),
        ),
        backgrounds=(flat, Background(name="sea", colour=flat.colour[::-1].copy())),
        held_out=frozenset({"b.1001"}),
        held_out_backgrounds=frozenset({"sea"}),
        notes="made by hand, CC0",
        split_seed=3,
    )


def test_elements_come_back_exactly(tmp_path, pack):
    write_pack(tmp_path / "x.pack", pack)
    read = read_pack(tmp_path / "x.pack")
    for before, after in zip(pack.elements, read.elements, strict=True):
        assert (after.name, after.kind) == (before.name, before.kind)
        assert (after.sequence, after.frame) == (before.sequence, before.frame)
        assert after.alpha.dtype == before.alpha.dtype
        np.testing.assert_array_equal(after.colour, before.colour)
        np.testing.assert_array_equal(after.alpha, before.alpha)
    assert (read.held_out, read.held_out_backgrounds) == ({"b.1001"}, {"sea"})
    assert (read.notes, read.split_seed) == ("made by hand, CC0", 3)


def test_backgrounds_come_back_nearly(tmp_path, pack):
    write_pack(tmp_path / "x.pack", pack)
    after = read_pack(tmp_path / "x.pack").backgrounds[0].colour.astype(int)
    difference = np.abs(after - pack.backgrounds[0].colour)
    assert difference.mean() < 3


def test_lossy_colour_is_smaller_and_leaves_alpha_exact(tmp_path, pack):
    write_pack(tmp_path / "exact.pack", pack)
    write_pack(tmp_path / "small.pack", pack, colour_quality=60)
    sizes = [(tmp_path / name).stat().st_size for name in ("small.pack", "exact.pack")]
    assert sizes[0] < sizes[1]
    read = read_pack(tmp_path / "small.pack")
    np.testing.assert_array_equal(read.elements[0].alpha, pack.elements[0].alpha)


def test_the_same_pack_gives_the_same_bytes(tmp_path, pack):
    write_pack(tmp_path / "one.pack", pack)
    write_pack(tmp_path / "two.pack", pack)
    assert (tmp_path / "one.pack").read_bytes() == (tmp_path / "two.pack").read_bytes()


def test_a_digest_is_of_names_and_pictures(tmp_path, pack):
    write_pack(tmp_path / "one.pack", pack)
    write_pack(tmp_path / "two.pack", replace(pack, notes="a copy", held_out=frozenset()))
    read = read_pack(tmp_path / "one.pack")
    assert read.digest() == read_pack(tmp_path / "two.pack").digest()
    first, *rest = read.elements
    alpha = first.alpha.copy()
    alpha[0, 0] ^= 1
    others = [
        replace(read, elements=(replace(first, name="other"), *rest)),
        replace(read, elements=(replace(first, alpha=alpha), *rest)),
        replace(read, backgrounds=read.backgrounds[::-1]),
    ]
    assert len({other.digest() for other in (read, *others)}) == 4


def test_training_and_validation_share_nothing(pack):
    training, validation = pack.training(), pack.validation()
    assert [e.name for e in training.elements] == ["a", "ü ö"]
    assert [e.name for e in validation.elements] == ["b.1001"]
    assert [b.name for b in training.backgrounds] == ["sky"]
    assert [b.name for b in validation.backgrounds] == ["sea"]


def test_validation_takes_all_backgrounds_where_none_are_held_out(pack):
    open_pack = Pack(elements=pack.elements, backgrounds=pack.backgrounds)
    assert len(open_pack.validation().backgrounds) == 2
    assert open_pack.validation().elements == ()


def test_nothing_is_left_behind_and_a_failed_write_keeps_the_old_file(tmp_path, pack, monkeypatch):
    path = tmp_path / "x.pack"
    write_pack(path, pack)
    before = path.read_bytes()

    def full_disk(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        write_pack(path, pack)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.pack"]


@pytest.mark.parametrize("keep", [0, 100, 5000, -40])
def test_a_truncated_pack_is_refused_by_name(tmp_path, pack, keep):
    path = tmp_path / "x.pack"
    write_pack(path, pack)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TrainingError, match="damaged") as caught:
        read_pack(path)
    assert caught.value.path == str(path) and "vfxmatte-train pack" in caught.value.hint


def test_a_flipped_byte_is_noticed(tmp_path, pack):
    path = tmp_path / "x.pack"
    write_pack(path, pack)
    data = bytearray(path.read_bytes())
    data[400] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(TrainingError, match="damaged"):
        read_pack(path)


def test_another_version_and_a_missing_file_are_refused(tmp_path):
    path = tmp_path / "x.pack"
    with pytest.raises(TrainingError, match="no such pack"):
        read_pack(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("index.json", json.dumps({"version": PACK_VERSION + 1}))
    with pytest.raises(TrainingError, match="version 2"):
        read_pack(path)


def test_wrong_arrays_and_names_are_refused():
    good = _element("a")
    with pytest.raises(ValueError, match="alpha must be"):
        Element(name="a", kind="k", colour=good.colour, alpha=good.alpha.astype(np.float32))
    with pytest.raises(ValueError, match="alpha \\(20, 34\\)"):
        Element(name="a", kind="k", colour=good.colour, alpha=good.alpha[1:])
    with pytest.raises(ValueError, match="must be \\(H, W, 3\\)"):
        Background(name="b", colour=good.alpha)
    with pytest.raises(ValueError, match="two elements are named 'a'"):
        Pack(elements=(good, good), backgrounds=())
    with pytest.raises(ValueError, match="held-out element 'z'"):
        Pack(elements=(good,), backgrounds=(), held_out=frozenset("z"))


def test_split_takes_its_share_of_every_kind():
    groups = [
        (f"{kind}{n}", kind)
        for kind, count in (("a", 50), ("b", 8), ("c", 2))
        for n in range(count)
    ]
    drawn = draw_held_out(groups, share=0.12, seed=7)
    counts = {kind: sum(name[0] == kind for name in drawn) for kind in "abc"}
    assert counts == {"a": 6, "b": 1, "c": 0}
    assert draw_held_out(reversed(groups), share=0.12, seed=7) == drawn
    assert draw_held_out(groups, share=0.12, seed=8) != drawn
    assert draw_held_out(groups, share=0, seed=7) == set()


def test_split_of_one_kind_does_not_move_when_another_grows():
    groups = [(f"a{n}", "a") for n in range(20)]
    more = groups + [(f"b{n}", "b") for n in range(20)]
    only_a = {name for name in draw_held_out(more, share=0.2, seed=1) if name[0] == "a"}
    assert only_a == draw_held_out(groups, share=0.2, seed=1)


def test_split_as_text(tmp_path, pack):
    write_split(tmp_path / "split.txt", pack)
    lines = (tmp_path / "split.txt").read_text(encoding="utf-8").splitlines()
    assert lines[1:] == ["element b.1001", "background sea"] and "seed 3" in lines[0]
