"""A moving camera: what other frames show behind the subject corrects its trimaps."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from vfxmatte.colour import encode_for_network
from vfxmatte.io.stills.reading import read_image
from vfxmatte.propagation import segment
from vfxmatte.propagation.camera import Camera
from vfxmatte.propagation.clean_plate import CleanPlateSettings
from vfxmatte.propagation.confidence import missed_share
from vfxmatte.propagation.contradiction import ContradictionSettings
from vfxmatte.propagation.flow import FlowPair, flow_pair, grey, halved, positions
from vfxmatte.propagation.moving_plate import MovingPlates
from vfxmatte.propagation.proxy_store import ProxyStore
from vfxmatte.propagation.shot_trimaps import PropagationSettings, carry, propagate
from vfxmatte.propagation.tightening import TighteningSettings
from vfxmatte.trimaps import from_matte
from vfxmatte.types import BACKGROUND, UNKNOWN, Failure, Trimap

SHAPE = (180, 320)
NUMBERS = range(1001, 1014)
PAN, TILT = 6, 1  # px a frame
OFF = CleanPlateSettings(moving=False)


def texture(colour, seed):
    noise = np.random.default_rng(seed).normal(0, 60, (240, 440, 3)).astype(np.float32)
    return np.clip(np.float32(colour) + cv2.GaussianBlur(noise, (0, 0), 2), 0, 255)


WALL, COAT, SLEEVE = (texture(c, n) for n, c in enumerate([(90, 110, 150)] + 2 * [(150, 90, 80)]))


def wall_of(number):
    step = number - 1001
    top, left = 20 + TILT * step, 20 + PAN * step
    return WALL[top : top + SHAPE[0], left : left + SHAPE[1]]


def body_of(number):
    """A body that drifts slowly through the picture."""
    alpha = np.zeros(SHAPE, np.float32)
    cv2.ellipse(alpha, (110 + 2 * (number - 1001), 110), (30, 44), 0, 0, 360, 1.0, -1)
    return cv2.GaussianBlur(alpha, (0, 0), 1.0)


def alpha_of(number):
    """The body with an arm that no keyframe shows."""
    alpha = body_of(number)
    if 1005 <= number <= 1009:
        alpha[84:98, 130:205] = 1
    return cv2.GaussianBlur(alpha, (0, 0), 0.8)


def picture_of(number, alpha):
    mixed = alpha[..., None] * COAT[:180, :320] + (1 - alpha[..., None]) * wall_of(number)
    grain = np.random.default_rng(number).normal(0, 2, mixed.shape)
    return np.clip(mixed + grain, 0, 255).astype(np.uint8)


def painted(alpha):
    return from_matte(alpha, erode_px=4, dilate_px=4)


KEYS = {
    n: Trimap(number=n, labels=painted(alpha_of(n)), is_keyframe=True)
    for n in (NUMBERS[0], NUMBERS[-1])
}


def read(numbers, missing=()):
    return ((n, None if n in missing else picture_of(n, alpha_of(n))) for n in numbers)


def labels_of(wanted, *, clean_plate=None, read=read):
    """Trimaps by plates alone: neither the keyframes' looks nor colours doubt anything."""
    settings = PropagationSettings(
        clean_plate=clean_plate or CleanPlateSettings(),
        contradiction=ContradictionSettings(most_difference=0),
        tightening=TighteningSettings(doubt=1),
    )
    found = propagate(KEYS, NUMBERS, read, settings, requested=wanted)
    return {trimap.number: trimap.labels for trimap in found}


@pytest.fixture(scope="module")
def all_labels():
    return labels_of(set(NUMBERS))


def test_a_limb_that_motion_takes_for_background_becomes_unknown(all_labels):
    arm = (alpha_of(1007) > 0.98) & (body_of(1007) < 0.02)
    lost = arm & (labels_of({1007}, clean_plate=OFF)[1007] == BACKGROUND)
    assert lost.sum() > 100
    assert (all_labels[1007][lost] == UNKNOWN).mean() > 0.95


def test_nothing_far_from_the_subject_is_doubted(all_labels):
    far = cv2.dilate(alpha_of(1007), np.ones((61, 61))) < 0.01
    assert far.sum() > 10000 and (all_labels[1007][far] == BACKGROUND).all()


def test_a_frame_does_not_depend_on_which_others_are_wanted(all_labels):
    assert np.array_equal(labels_of({1004})[1004], all_labels[1004])


def test_plates_that_cannot_be_read_are_bridged():
    found = labels_of({1007}, read=lambda numbers: read(numbers, missing={1004, 1009}))
    arm = (alpha_of(1007) > 0.98) & (body_of(1007) < 0.02)
    assert (found[1007][arm] == UNKNOWN).mean() > 0.95


def test_a_frame_that_cannot_be_merged_fails_alone(monkeypatch):
    merge, calls = segment.merge, []

    def failing(before, after, position, *others):
        calls.append(position)
        if position == 0.5:
            raise ValueError("no way to merge")
        return merge(before, after, position, *others)

    monkeypatch.setattr(segment, "merge", failing)
    found = list(carry(KEYS, NUMBERS, read, PropagationSettings(), requested=set(NUMBERS)))
    assert [one.number for one in found if isinstance(one, Failure)] == [1007]
    assert [one.number for one in found] == list(NUMBERS) and len(calls) == 11


@pytest.fixture
def proxies(tmp_path):
    store = ProxyStore(tmp_path / "proxies", SHAPE)
    store.open()
    pictures = {n: picture_of(n, alpha_of(n)) for n in NUMBERS}
    for number, picture in pictures.items():
        store.put_picture(number, picture)
        store.put_labels(number, painted(alpha_of(number)))
        if number + 1 in pictures:
            store.put_flow(number, flow_pair(grey(picture), grey(pictures[number + 1])))
    return store


def test_a_plate_holds_what_other_frames_show_and_nothing_else(proxies):
    plate = MovingPlates(NUMBERS, proxies.labels, proxies)(1007)
    assert plate is not None
    wall = np.clip(wall_of(1007), 0, 255).astype(np.uint8)
    compared = plate.compared(wall, painted(alpha_of(1007)))
    assert compared is not None
    assert compared.is_else.mean() < 0.01  # nothing is there but the wall
    behind = cv2.resize((alpha_of(1007) > 0.5).astype(np.float32), SHAPE[::-1]) > 0.5
    assert (compared.depth[behind] > 2).mean() > 0.5  # much of it is known
    other = plate.compared(255 - wall, painted(np.zeros(SHAPE, np.float32)))
    assert other is None or (other.depth > 0).mean() < 0.05


def test_the_camera_leads_from_frame_to_frame_and_back():
    pictures = {n: grey(picture_of(n, alpha_of(n))) for n in NUMBERS}
    background = halved(np.repeat(alpha_of(1007)[..., None], 3, 2))[..., 0] < 0.01

    def flow(number):
        return flow_pair(pictures[number], pictures[number + 1])

    camera = Camera.fitted(NUMBERS, flow, lambda number: background)
    there, back = camera.way(1002, 1010), camera.way(1010, 1002)
    point = there @ (100, 40, 1)
    moved = np.array((100 - 8 * PAN / 2, 40 - 8 * TILT / 2))  # at half size
    assert np.allclose(point[:2] / point[2], moved, atol=0.5)
    assert np.allclose(there @ back / (there @ back)[2, 2], np.eye(3), atol=1e-6)


@pytest.mark.parametrize("ends_at", ["one point", "mirrored", "not a number"])
def test_motion_that_no_camera_makes_is_no_way(ends_at):
    shape = 90, 160
    x, y = positions(shape)[..., 0], positions(shape)[..., 1]
    ends = {"one point": (x * 0 + 80, y * 0 + 40), "mirrored": (159 - x, y)}
    forward = np.dstack(ends.get(ends_at, (x * np.nan, y))) - positions(shape)
    pair = FlowPair(forward=forward, backward=-forward)
    everywhere = np.ones(shape, bool)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vfxmatte.propagation.camera.consistency_error", lambda *_: np.zeros(shape))
        camera = Camera.fitted([1001, 1002], lambda _: pair, lambda _: everywhere)
    assert camera.way(1001, 1002) is None and camera.way(1002, 1001) is None


def test_without_background_no_camera_is_found(proxies):
    plates = MovingPlates(NUMBERS, lambda n: np.full(SHAPE, UNKNOWN, np.uint8), proxies)
    assert plates(1007) is None


def test_colours_that_no_frame_agrees_on_raise_no_doubts(proxies):
    for number in NUMBERS:  # a crowd in place of the wall
        noise = np.random.default_rng(number).integers(0, 255, (45, 80, 3)).astype(np.uint8)
        proxies.put_picture(number, cv2.resize(noise, SHAPE[::-1]))
    plate = MovingPlates(NUMBERS, proxies.labels, proxies)(1007)
    assert plate is not None and plate._is_seen.mean() < 0.6
    compared = plate.compared(proxies.picture(1007), proxies.labels(1007))
    assert compared is None or compared.is_else.mean() < 0.02


# -- at a real size --------------------------------------------------------------------------------

SHOT = Path(__file__).parents[2] / "sample_shots" / "furry_creature"


def test_on_a_sample_shot_nothing_more_is_missed_and_the_band_does_not_grow():
    numbers = range(1001, 1010)
    truth = {n: read_image(SHOT / "alpha" / f"alpha.{n}.exr").pixels[..., 0] for n in numbers}
    keys = {n: Trimap(number=n, labels=painted(truth[n]), is_keyframe=True) for n in (1001, 1009)}

    def proxies(wanted):
        for n in wanted:
            plate = encode_for_network(read_image(SHOT / "plate" / f"plate.{n}.exr").pixels)
            yield n, np.rint(np.clip(plate, 0, 1) * 255).astype(np.uint8)

    def figures(clean_plate):
        settings = PropagationSettings(clean_plate=clean_plate)
        found = {t.number: t.labels for t in propagate(keys, numbers, proxies, settings)}
        between = [n for n in numbers if n not in keys]
        missed = np.mean([missed_share(found[n], truth[n]) for n in between])
        area = sum(np.count_nonzero(found[n] == UNKNOWN) for n in between)
        return missed, area, found

    missed, area, found = figures(CleanPlateSettings())
    missed_without, area_without, without = figures(OFF)
    assert any((found[n] != without[n]).any() for n in numbers)  # something was gathered
    assert missed <= missed_without + 0.0005
    assert area <= 1.02 * area_without
