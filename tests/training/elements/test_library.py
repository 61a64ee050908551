"""Finding, reading and checking the elements of a library; the check and pack commands."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from training.cli import cli
from training.elements.check import findings
from training.elements.duplicates import find_duplicate, look_hash
from training.elements.extend_colour import extend_colour
from training.elements.library import find_backgrounds, find_elements, kind_of
from training.elements.pack import read_pack
from training.elements.read_element import RawElement, exposure, prepare, read_raw
from vfxmatte.colour import decode_srgb, encode_for_network
from vfxmatte.errors import TrainingError

SIDE = 160


def _disc(radius=68.0, softness=12.0, side=SIDE):
    y, x = np.mgrid[0:side, 0:side] - (side - 1) / 2
    return np.clip((radius - np.hypot(x, y)) / softness + 0.5, 0, 1).astype(np.float32)


def _colour(seed=0, side=SIDE):
    random = np.random.default_rng(seed)
    coarse = random.random((8, 8, 3), dtype=np.float32) * 0.6 + 0.2
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC).clip(0.1, 0.9)


def _write(path, colour, alpha=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    planes = colour[..., ::-1] if alpha is None else np.dstack([colour[..., ::-1], alpha])
    pixels = np.round(np.clip(planes, 0, 1) * 255).astype(np.uint8)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())


def _write_exr(path, linear, alpha):
    import OpenEXR

    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.dstack([linear * alpha[..., None], alpha]).astype(np.float32)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"RGBA": pixels}).write(str(path))


def _raw(colour, alpha, *, is_linear=False):
    return RawElement(colour=colour, alpha=alpha, is_linear=is_linear, is_deep=is_linear)


def _troubles(raw):
    return {finding.trouble: finding.unusable for finding in findings(raw)}


# -- finding ------------------------------------------------------------------------------------


def test_stills_sequences_and_kinds_are_found(tmp_path):
    for name in ("00012_long_hair.png", "hero.1002.png", "hero.1001.png", "cloth/0001.png",
                 "cloth/0002.png", ".hidden.png", "readme.txt"):  # fmt: skip
        _write(tmp_path / name, _colour(), _disc()) if "png" in name else (
            tmp_path / name
        ).write_text("no picture")
    elements = {e.name: e for e in find_elements(tmp_path)}
    assert list(elements) == [
        "00012_long_hair", "cloth/0001", "cloth/0002", "hero.1001", "hero.1002",
    ]  # fmt: skip
    assert elements["00012_long_hair"].kind == "long_hair"
    assert elements["00012_long_hair"].sequence is None
    assert (elements["hero.1001"].sequence, elements["hero.1001"].frame) == ("hero", 1001)
    assert (elements["cloth/0002"].sequence, elements["cloth/0002"].frame) == ("cloth", 2)
    assert kind_of("hair/00001_fur") == "fur" and kind_of("actor_03") == "element"


def test_pairs_are_matched_by_name(tmp_path):
    _write(tmp_path / "fg/a.png", _colour())
    _write(tmp_path / "alpha/a.tif", np.repeat(_disc()[..., None], 3, 2))
    (element,) = find_elements(tmp_path)
    raw = read_raw(element)
    np.testing.assert_allclose(raw.alpha, _disc(), atol=1 / 255)
    _write(tmp_path / "fg/b.png", _colour())
    with pytest.raises(TrainingError, match="no alpha for this colour") as caught:
        find_elements(tmp_path)
    assert caught.value.path.endswith("b.png")


def test_pair_of_two_sizes_is_refused(tmp_path):
    _write(tmp_path / "fg/a.png", _colour())
    _write(tmp_path / "alpha/a.png", np.repeat(_disc(side=80)[..., None], 3, 2))
    with pytest.raises(TrainingError, match="160x160, alpha 80x80"):
        read_raw(find_elements(tmp_path)[0])


def test_missing_empty_and_ambiguous_libraries_are_refused(tmp_path):
    with pytest.raises(TrainingError, match="no such library"):
        find_elements(tmp_path / "none")
    with pytest.raises(TrainingError, match="no pictures"):
        find_elements(tmp_path)
    with pytest.raises(TrainingError, match="no images or movies"):
        find_backgrounds(tmp_path)
    _write(tmp_path / "a.png", _colour(), _disc())
    _write(tmp_path / "a.webp", _colour(), _disc())
    with pytest.raises(TrainingError, match="two files have the name a"):
        find_elements(tmp_path)


# -- reading ------------------------------------------------------------------------------------


def test_extended_colour_is_defined_and_close_everywhere():
    alpha, colour = _disc(), np.full((SIDE, SIDE, 3), (0.8, 0.4, 0.2), np.float32)
    missing = np.where(alpha[..., None] > 0.02, colour, np.nan).astype(np.float32)
    extended = extend_colour(missing, alpha)
    np.testing.assert_allclose(extended, colour, atol=1e-4)
    trusted = alpha >= 0.02
    np.testing.assert_array_equal(extended[trusted], colour[trusted])


def test_extended_colour_comes_from_the_nearest_side():
    alpha = np.zeros((32, 96), np.float32)
    alpha[:, 20:30] = alpha[:, 60:70] = 1
    colour = np.zeros((32, 96, 3), np.float32)
    colour[:, :48, 0] = 1
    colour[:, 48:, 2] = 1
    extended = extend_colour(colour, alpha)
    assert extended[16, 2, 0] > 0.7 > 0.3 > extended[16, 2, 2]
    assert extended[16, 93, 2] > 0.7 > 0.3 > extended[16, 93, 0]


def test_extending_nothing_gives_black():
    assert not extend_colour(_colour(), np.zeros((SIDE, SIDE), np.float32)).any()


def test_exr_gives_the_same_element_as_png(tmp_path):
    colour, alpha = _colour(3), _disc()
    _write(tmp_path / "png/a.png", colour, alpha)
    _write_exr(tmp_path / "exr/a.exr", decode_srgb(colour), alpha)
    straight, linear = (
        prepare(read_raw(file), file)
        for file in (find_elements(tmp_path / "png")[0], find_elements(tmp_path / "exr")[0])
    )
    assert (straight.alpha.dtype, linear.alpha.dtype) == (np.uint8, np.uint16)
    np.testing.assert_allclose(linear.alpha / 65535, straight.alpha / 255, atol=3e-3)
    covered = alpha > 0.05
    np.testing.assert_allclose(linear.colour[covered].astype(int), straight.colour[covered], atol=2)


def test_tiff_is_straight_or_premultiplied_as_it_says(tmp_path):
    import OpenImageIO as oiio

    colour, alpha = _colour(), _disc()
    elements = []
    for is_straight in (True, False):
        spec = oiio.ImageSpec(SIDE, SIDE, 4, "uint16")
        spec.attribute("oiio:UnassociatedAlpha", int(is_straight))
        path = tmp_path / f"{is_straight}.tif"
        output = oiio.ImageOutput.create(str(path))
        output.open(str(path), spec)
        stored = colour if is_straight else colour * alpha[..., None]
        output.write_image(np.dstack([stored, alpha]).astype(np.float32))
        output.close()
        (file,) = (file for file in find_elements(tmp_path) if file.path == path)
        raw = read_raw(file)
        assert findings(raw) == []
        elements.append(prepare(raw, file))
    wrong = np.abs(elements[0].colour.astype(int) - elements[1].colour)[alpha > 0.1]
    assert wrong.max() <= 1
    assert np.array_equal(elements[0].alpha, elements[1].alpha)


def test_bright_exr_is_exposed_and_a_normal_one_is_left_alone():
    alpha, linear = _disc(), decode_srgb(_colour(1))
    assert exposure(linear, alpha) == 1.0
    bright = exposure(linear * 16, alpha)
    highlights = np.percentile((linear * 16 * bright).max(axis=2)[alpha > 0.5], 99.5)
    assert highlights == pytest.approx(0.9, rel=1e-3)


def test_large_elements_are_reduced_without_a_fringe(tmp_path):
    _write(tmp_path / "a.png", np.full((SIDE, SIDE, 3), 0.7, np.float32), _disc())
    file = find_elements(tmp_path)[0]
    element = prepare(read_raw(file), file, longest_side_px=50)
    assert element.alpha.shape == (50, 50)
    assert np.ptp(element.colour.astype(int)) <= 1


def test_an_element_without_alpha_cannot_be_prepared(tmp_path):
    _write(tmp_path / "a.png", _colour())
    file = find_elements(tmp_path)[0]
    with pytest.raises(TrainingError, match="no alpha"):
        prepare(read_raw(file), file)


# -- checking -----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_linear", [False, True])
def test_a_good_element_has_no_findings(is_linear):
    colour, alpha = _colour(), _disc()
    if is_linear:
        colour = decode_srgb(colour) * alpha[..., None]
    assert findings(_raw(colour, alpha, is_linear=is_linear)) == []


@pytest.mark.parametrize(
    ("alpha", "trouble"),
    [
        (None, "no alpha"),
        (np.ones((SIDE, SIDE), np.float32), "all opaque"),
        (np.zeros((SIDE, SIDE), np.float32), "all empty"),
        (np.round(_disc()), "no soft edge"),
        (_disc(9), "too small"),
    ],
)
def test_unusable_elements(alpha, trouble):
    assert _troubles(_raw(_colour(), alpha)) == {trouble: True}


@pytest.mark.parametrize(
    ("alpha", "trouble"),
    [
        (_disc(40), "too small"),
        (_disc() * 0.8, "never opaque"),
        (np.round(_disc() * 6) / 6, "few alpha levels"),
        (_disc(softness=40) * 1.2 - 0.1, "clipped alpha"),
        (np.where(_disc(softness=40) < 0.08, 0, _disc(softness=40)), "clipped alpha"),
        (np.where(_disc(softness=40) > 0.92, 1, _disc(softness=40)), "clipped alpha"),
        (np.where(np.arange(SIDE) < 82, np.round(_disc()), _disc(softness=0.1)), "hard edge"),
    ],
)
def test_doubtful_elements(alpha, trouble):
    troubles = _troubles(_raw(_colour(), alpha.astype(np.float32)))
    assert troubles.get(trouble) is False


def test_colour_missing_under_the_edge():
    alpha = _disc()
    colour = np.where(alpha[..., None] > 0.5, _colour(), 0).astype(np.float32)
    assert _troubles(_raw(colour, alpha)) == {"colour missing": False}


@pytest.mark.parametrize("space", ["encoded", "linear"])
def test_premultiplied_colour_in_a_straight_format(space):
    alpha, colour = _disc(), _colour()
    if space == "encoded":
        dark = colour * alpha[..., None]
    else:
        dark = encode_for_network(decode_srgb(colour) * alpha[..., None])
    assert _troubles(_raw(dark.astype(np.float32), alpha)) == {"premultiplied": False}


def test_straight_colour_in_exr():
    linear = decode_srgb(_colour())
    raw = _raw(linear.astype(np.float32), _disc(), is_linear=True)
    assert _troubles(raw) == {"not premultiplied": False}


def test_copies_are_found_and_others_are_not():
    colours = [_colour(seed) for seed in range(6)]
    looks = [look_hash(colour, _disc()) for colour in colours]
    half = cv2.resize(colours[4], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    copy = look_hash(np.pad(half, ((5, 0), (0, 9), (0, 0))), np.pad(
        cv2.resize(_disc(), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), ((5, 0), (0, 9))
    ))  # fmt: skip
    assert find_duplicate(copy, looks) == 4
    assert find_duplicate(looks[5], looks[:5]) is None
    assert find_duplicate(copy, looks, [n == 4 for n in range(6)]) is None
    assert find_duplicate(copy, []) is None


# -- commands -----------------------------------------------------------------------------------


@pytest.fixture
def library(tmp_path):
    folder = tmp_path / "lib"
    for n in range(8):
        _write(folder / f"{n:05d}_fur.png", _colour(n), _disc(66 + n))
    _write(folder / "copy.png", _colour(3), _disc(69))
    for frame in (1001, 1002):
        _write(folder / f"walk.{frame}.png", _colour(40), _disc(70))
    _write(folder / "opaque.png", _colour(20), np.ones((SIDE, SIDE)))
    (folder / "broken.png").write_bytes(b"not a picture")
    for n in range(5):
        _write(tmp_path / f"behind/{n}.jpg", _colour(50 + n, 200))
    return folder


def test_check_says_what_is_wrong(library, tmp_path):
    sheet = tmp_path / "sheet.png"
    result = CliRunner().invoke(cli, ["check", str(library), "--json", "--sheet", str(sheet)])
    assert result.exit_code == 1
    report = {e["name"]: e for e in json.loads(result.output)}
    assert {name for name, e in report.items() if not e["usable"]} == {"opaque", "broken"}
    assert report["broken"]["findings"][0]["trouble"] == "unreadable"
    assert report["copy"]["findings"][0]["what"] == "looks like 00003_fur"
    assert report["walk.1002"]["findings"] == []
    assert cv2.imread(str(sheet)).shape[1] == 10 * 164


def test_check_prints_tables(library):
    result = CliRunner().invoke(cli, ["check", str(library)])
    assert "all opaque" in result.output and "duplicate: 1" in result.output


def test_check_of_nothing_usable_and_of_no_library(tmp_path):
    _write(tmp_path / "lib/a.png", _colour())
    assert CliRunner().invoke(cli, ["check", str(tmp_path / "lib")]).exit_code == 3
    result = CliRunner().invoke(cli, ["check", str(tmp_path / "none")])
    assert result.exit_code == 3 and "no such library" in result.output


def test_pack_leaves_out_what_is_unusable_and_keeps_copies_together(library, tmp_path):
    output, split = tmp_path / "x.pack", tmp_path / "split.txt"
    behind = str(tmp_path / "behind")
    result = CliRunner().invoke(
        cli,
        ["pack", str(library), "--backgrounds", behind, "-o", str(output), "--split", str(split),
         "--held-out", "0.4", "--background-side", "100", "--notes", "test"],
    )  # fmt: skip
    assert result.exit_code == 1 and "left out: broken" in result.output
    pack = read_pack(output)
    names = {e.name for e in pack.elements}
    assert len(names) == 11 and not names & {"broken", "opaque"}
    assert ("copy" in pack.held_out) == ("00003_fur" in pack.held_out)
    assert ("walk.1001" in pack.held_out) == ("walk.1002" in pack.held_out)
    assert pack.held_out and len(pack.held_out_backgrounds) == 2
    assert pack.backgrounds[0].colour.shape == (100, 100, 3) and pack.notes == "test"
    assert sum(line.startswith("element") for line in split.read_text().splitlines()) == len(
        pack.held_out
    )


def test_frames_of_movies_become_backgrounds(library, tmp_path):
    import av

    path = tmp_path / "behind/clip.mp4"
    with av.open(str(path), "w") as movie:
        stream = movie.add_stream("mpeg4", rate=24)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for level in range(0, 240, 10):
            grey = np.full((64, 96, 3), level, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")):
                movie.mux(packet)
        for packet in stream.encode():
            movie.mux(packet)
    output = tmp_path / "x.pack"
    arguments = ["pack", str(library), "--backgrounds", str(path.parent), "-o", str(output)]
    result = CliRunner().invoke(cli, [*arguments, "--movie-frames", "3"])
    assert result.exit_code == 1, result.output
    taken = [b for b in read_pack(output).backgrounds if b.name.startswith("clip.")]
    levels = [float(b.colour.mean()) for b in taken]
    assert len(taken) == 3 and levels[0] + 20 < levels[1] < levels[2] - 20


def test_an_existing_pack_is_replaced_only_on_request(library, tmp_path):
    output = tmp_path / "x.pack"
    output.write_bytes(b"made by hand")
    arguments = ["pack", str(library), "--backgrounds", str(tmp_path / "behind"), "-o", str(output)]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 3 and "there already" in result.output
    assert "--overwrite" in result.output and output.read_bytes() == b"made by hand"
    result = CliRunner().invoke(cli, [*arguments, "--overwrite"])
    assert result.exit_code == 1, result.output
    assert len(read_pack(output).elements) == 11


@pytest.mark.parametrize("share", ["0", "0.4"])
def test_a_pack_with_nothing_held_out_says_so(library, tmp_path, share):
    arguments = ["pack", str(library), "--backgrounds", str(tmp_path / "behind")]
    result = CliRunner().invoke(
        cli, [*arguments, "-o", str(tmp_path / "x.pack"), "--held-out", share]
    )
    assert result.exit_code == 1, result.output
    assert ("no element is held out" in result.output) == (share == "0")


@pytest.mark.parametrize(
    "unreadable, message",
    [("behind", "no background can be read"), ("lib", "no element of the library can be used")],
)
def test_a_pack_without_backgrounds_or_foregrounds_is_not_written(tmp_path, unreadable, message):
    _write(tmp_path / "lib/a.png", _colour(), _disc())
    _write(tmp_path / "behind/b.jpg", _colour(1))
    for path in (tmp_path / unreadable).iterdir():
        path.write_bytes(b"not a picture")
    folders = [str(tmp_path / "lib"), "--backgrounds", str(tmp_path / "behind")]
    result = CliRunner().invoke(cli, ["pack", *folders, "-o", str(tmp_path / "x.pack")])
    assert result.exit_code == 3 and message in result.output
    assert not (tmp_path / "x.pack").exists()
