"""Keyframe trimaps through time: what a frame depends on, and how well it is followed."""

import threading

import cv2
import numpy as np
import pytest

from vfxmatte.errors import OutputError, TrimapError, UsageError
from vfxmatte.propagation.confidence import area_ratio, missed_share
from vfxmatte.propagation.one_direction import Side, Step
from vfxmatte.propagation.segment import SegmentWork, _without_contested
from vfxmatte.propagation.shot_trimaps import PropagationSettings, propagate, proxy_size, segment_of
from vfxmatte.trimaps import from_matte
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, Trimap

SHAPE = (90, 160)
SETTINGS = PropagationSettings()


def texture(shape, seed, scale, low, high):
    noise = np.random.default_rng(seed).standard_normal((*shape, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), scale)
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return low + (high - low) * smooth


BEHIND = texture((140, 240), 1, 2.5, np.array((0, 20, 60)), np.array((60, 140, 220)))
SKIN = texture((140, 240), 2, 2.0, np.array((110, 40, 0)), np.array((255, 160, 70)))


def shifted(picture, dx, dy):
    matrix = np.array([[1, 0, dx - 40], [0, 1, dy - 25]], np.float32)
    return cv2.warpAffine(picture, matrix, (SHAPE[1], SHAPE[0]))


def alpha_of(index, speed=2.0):
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    away = 22 - np.hypot(rows - 45, columns - 60 - speed * index)
    return np.clip(away / 4 + 0.5, 0, 1).astype(np.float32)


def picture_of(index, speed=2.0):
    """A textured ball that moves to the right over a background that pans to the left."""
    alpha = alpha_of(index, speed)[..., None]
    behind = shifted(BEHIND, -index, 0)
    return (alpha * shifted(SKIN, speed * index, 0) + (1 - alpha) * behind).astype(np.uint8)


def key(number, index=None, shape=None, band=4.0, speed=2.0):
    labels = from_matte(
        alpha_of(number - 1001 if index is None else index, speed), erode_px=band, dilate_px=band
    )
    if shape is not None:
        labels = cv2.resize(labels, shape[::-1], interpolation=cv2.INTER_NEAREST)
    return Trimap(number=number, labels=labels, is_keyframe=True)


class Reader:
    """Gives the pictures and remembers what was asked for; in one place at a time, as a movie."""

    def __init__(self, unreadable=(), changed=(), picture=picture_of):
        self.unreadable, self.changed, self.asked = set(unreadable), set(changed), []
        self.picture, self.busy = picture, threading.Lock()

    def __call__(self, numbers):
        assert self.busy.acquire(blocking=False), "asked for a second segment during the first"
        try:
            self.asked.append(list(numbers))
            for number in numbers:
                picture = None if number in self.unreadable else self.picture(number - 1001)
                yield number, 255 - picture if number in self.changed else picture
        finally:
            self.busy.release()


def run(keys, numbers, reader=None, **options):
    trimaps = list(
        propagate({k.number: k for k in keys}, numbers, reader or Reader(), SETTINGS, **options)
    )
    return {trimap.number: trimap for trimap in trimaps}


NUMBERS = range(1001, 1010)


@pytest.fixture(scope="module")
def between():
    return run([key(1001), key(1009)], NUMBERS)


def test_every_frame_has_a_trimap_in_order_and_keyframes_are_unaltered():
    keys = [key(1003), key(1006)]
    trimaps = run(keys, range(1001, 1008))
    assert list(trimaps) == list(range(1001, 1008))
    for one in keys:
        assert trimaps[one.number] is one
    assert all(0 <= t.confidence <= 1 for t in trimaps.values())
    assert not trimaps[1001].is_keyframe


def test_the_moving_edge_stays_in_the_band(between):
    for number in range(1002, 1009):
        alpha = alpha_of(number - 1001)
        reference = from_matte(alpha, erode_px=4, dilate_px=4)
        assert missed_share(between[number].labels, alpha) < 0.005
        assert area_ratio(between[number].labels, reference) < 1.8


def test_holding_the_keyframe_would_not_do():
    """The yardstick: the same shot is lost without following the motion."""
    assert missed_share(key(1001).labels, alpha_of(4)) > 0.2


def test_one_sided_frames_are_followed_too():
    trimaps = run([key(1005)], NUMBERS)
    for number in (1002, 1008):
        assert missed_share(trimaps[number].labels, alpha_of(number - 1001)) < 0.02


def test_a_static_plate_propagates_to_itself():
    still = Reader(picture=lambda index: picture_of(0))
    keys = [key(1001), key(1005, index=0)]
    trimaps = run(keys, range(1001, 1006), still)
    for number in range(1002, 1005):
        assert (trimaps[number].labels == keys[0].labels).all()
        assert trimaps[number].confidence > 0.98


def test_segments():
    keys = [1010, 1001, 1020]
    assert segment_of(1000, keys) == (None, 1001)
    assert segment_of(1001, keys) == (1001, 1001)
    assert segment_of(1005, keys) == (1001, 1010)
    assert segment_of(1019, keys) == (1010, 1020)
    assert segment_of(1021, keys) == (1020, None)


def same(first, second):
    return (first.labels == second.labels).all() and first.confidence == second.confidence


def test_a_frame_does_not_depend_on_what_else_is_wanted_nor_on_workers(between):
    some = run([key(1001), key(1009)], NUMBERS, requested={1004, 1007}, workers=3)
    assert list(some) == [1004, 1007]
    assert same(some[1004], between[1004]) and same(some[1007], between[1007])
    one = run([key(1001), key(1009)], NUMBERS, workers=1)
    assert all(same(one[number], between[number]) for number in NUMBERS)


def test_a_frame_does_not_depend_on_other_segments(between):
    keys = [key(1001), key(1009)]
    reader = Reader(changed=range(1010, 1020))
    more = run([*keys, key(1013)], range(1001, 1016), reader)
    assert all(same(more[number], between[number]) for number in NUMBERS)


SEVERAL = [1003, 1006, 1010, 1011, 1013]


@pytest.fixture(scope="module")
def several():
    return run([key(number) for number in SEVERAL], range(1001, 1016), workers=4)


def test_several_segments_at_once_give_what_one_after_the_other_gives(several, tmp_path):
    keys = {number: key(number) for number in SEVERAL}
    ends = [(None, 1003), (1003, 1006), (1006, 1010), (1011, 1013), (1013, None)]
    for before, after in ends:
        numbers = range(before or 1001, (after or 1015) + 1)
        work = SegmentWork(
            before=keys.get(before),
            after=keys.get(after),
            numbers=numbers,
            requested=set(numbers) - {before, after},
            canvas_shape=SHAPE,
            settings=SETTINGS,
            workers=1,
            folder=tmp_path / str(before),
        )
        if after is None:
            alone = list(work.track_forward(Reader()))
        else:
            alone = list(work.track_back(work.store(Reader())).trimaps())
        assert [t.number for t in alone] == sorted(work.requested)
        assert all(same(t, several[t.number]) for t in alone)
        assert not work.folder.exists()


def test_workers_do_not_change_several_segments(several):
    one = run([key(number) for number in SEVERAL], range(1001, 1016), workers=1)
    assert list(one) == list(several) == list(range(1001, 1016))
    assert all(same(one[number], several[number]) for number in one)


def test_only_so_many_segments_lie_on_disk(tmp_path):
    keys = {number: key(number, index=0) for number in range(1001, 1062, 2)}
    still = picture_of(0)
    most = 0

    def read(numbers):
        nonlocal most
        most = max(most, len(list(tmp_path.glob("*/*"))))
        return ((number, still) for number in numbers)

    numbers = range(1001, 1062)
    for _ in propagate(keys, numbers, read, SETTINGS, workers=2, scratch=tmp_path):
        pass
    assert 0 < most <= 6
    assert not list(tmp_path.iterdir())


def test_an_error_of_one_segment_comes_in_its_place(tmp_path):
    class Broken(Reader):
        def __call__(self, numbers):
            if numbers[0] == 1006:
                raise OSError("no such storage")
            return super().__call__(numbers)

    keys = {number: key(number) for number in SEVERAL}
    given = []
    with pytest.raises(OSError, match="no such storage"):
        for trimap in propagate(keys, range(1001, 1016), Broken(), SETTINGS, scratch=tmp_path):
            given.append(trimap.number)
    assert given == list(range(1001, 1007))
    assert not list(tmp_path.iterdir())
    assert not [t for t in threading.enumerate() if t.name.startswith("vfxmatte")]


def test_stopping_early_ends_what_goes_on_in_other_segments(tmp_path):
    begun = threading.Event()

    def read(numbers):
        for number in numbers:
            yield number, picture_of(number - 1001)
            while number == 1007:
                begun.set()
                yield number, picture_of(6)

    keys = {number: key(number) for number in (1001, 1005, 1009)}
    trimaps = propagate(keys, NUMBERS, read, SETTINGS, scratch=tmp_path)
    assert next(trimaps).number == 1001 and next(trimaps).number == 1002
    assert begun.wait(30)
    trimaps.close()
    assert not list(tmp_path.iterdir())
    assert not [t for t in threading.enumerate() if t.name.startswith("vfxmatte")]


def test_a_scratch_folder_that_is_not_there_is_told(tmp_path):
    trimaps = propagate({1001: key(1001)}, [1001], Reader(), SETTINGS, scratch=tmp_path / "gone")
    with pytest.raises(OutputError, match="intermediate results"):
        next(trimaps)


def test_only_wanted_segments_are_read():
    reader = Reader()
    keys = [key(1003), key(1006)]
    run(keys, range(1001, 1010), reader, requested={1003, 1004})
    assert reader.asked == [[1003, 1004, 1005, 1006]]
    assert not list(propagate({1003: keys[0]}, [1001], Reader(), SETTINGS, requested=()))


def test_a_changed_plate_changes_its_own_segment():
    keys = [key(1001), key(1005)]
    plain = run(keys, range(1001, 1006))
    changed = run(keys, range(1001, 1006), Reader(changed=[1003]))
    assert not same(plain[1003], changed[1003])


def test_unreadable_frames_are_bridged():
    trimaps = run([key(1001), key(1009)], NUMBERS, Reader(unreadable=[1004, 1005]))
    for number in (1003, 1004, 1005, 1006):
        assert missed_share(trimaps[number].labels, alpha_of(number - 1001)) < 0.02
    assert trimaps[1004].confidence < 0.6 < trimaps[1003].confidence


@pytest.mark.parametrize("unreadable", [[1001], [1005], [1001, 1002], range(1001, 1006)])
def test_unreadable_keyframe_plates_are_survived(unreadable):
    trimaps = run([key(1001), key(1005)], range(1001, 1006), Reader(unreadable=unreadable))
    assert list(trimaps) == [1001, 1002, 1003, 1004, 1005]
    assert all((t.labels == UNKNOWN).any() for t in trimaps.values())


def test_gaps_in_the_frame_numbers_are_larger_steps():
    trimaps = run([key(1001), key(1009)], range(1001, 1010, 2))
    assert list(trimaps) == [1001, 1003, 1005, 1007, 1009]
    assert missed_share(trimaps[1005].labels, alpha_of(4)) < 0.02


def test_the_proxy_is_smaller_and_the_result_is_not():
    shape = (180, 320)
    settings = PropagationSettings(proxy_px=160)
    assert proxy_size(shape, settings) == (90, 160)
    keys = {n: key(n, shape=shape) for n in (1001, 1005)}
    trimaps = list(propagate(keys, range(1001, 1006), Reader(), settings))
    assert all(t.labels.shape == shape for t in trimaps)
    alpha = cv2.resize(alpha_of(2), shape[::-1])
    assert missed_share(trimaps[2].labels, alpha) < 0.01


def test_growth_is_in_pixels_of_the_picture(between):
    keys = {n: key(n) for n in (1001, 1009)}
    settings = PropagationSettings(growth_px=3)
    grown = list(propagate(keys, NUMBERS, Reader(), settings))[4]
    assert (grown.labels == UNKNOWN).sum() > (between[1005].labels == UNKNOWN).sum()


@pytest.mark.parametrize("shape", [(1, 1), (33, 57), (2, 90)])
def test_odd_sizes(shape):
    labels = np.full(shape, UNKNOWN, np.uint8)
    keys = {n: Trimap(number=n, labels=labels, is_keyframe=True) for n in (1, 4)}

    def read(numbers):
        return ((n, np.zeros((*shape, 3), np.uint8)) for n in numbers)

    trimaps = list(propagate(keys, [0, 1, 2, 3, 4, 5], read, SETTINGS))
    assert [t.labels.shape for t in trimaps] == [shape] * 6


@pytest.mark.parametrize("label", [0, 255])
def test_a_keyframe_without_any_unknown_pixel(label):
    labels = np.full(SHAPE, label, np.uint8)
    keys = {n: Trimap(number=n, labels=labels, is_keyframe=True) for n in (1001, 1003)}
    trimaps = list(propagate(keys, range(1001, 1004), Reader(), SETTINGS))
    assert (trimaps[1].labels == label).all()


def test_no_keyframe_and_unlike_keyframes_are_refused():
    with pytest.raises(TrimapError, match="no keyframe"):
        list(propagate({}, [1], Reader(), SETTINGS))
    keys = {1001: key(1001), 1003: key(1003, shape=(45, 80))}
    with pytest.raises(TrimapError, match=r"80x45.*160x90") as caught:
        list(propagate(keys, [1001, 1002, 1003], Reader(), SETTINGS))
    assert caught.value.frame == 1003


def test_a_proxy_of_the_wrong_size_is_refused():
    def read(numbers):
        return ((n, np.zeros((3, 4, 3), np.uint8)) for n in numbers)

    with pytest.raises(ValueError, match="proxy 1001"):
        list(propagate({1001: key(1001)}, [1001, 1002], read, SETTINGS))


def test_stopping_early_leaves_no_thread_and_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    trimaps = propagate({n: key(n) for n in (1001, 1009)}, NUMBERS, Reader(), SETTINGS)
    next(trimaps)
    next(trimaps)
    assert list(tmp_path.iterdir())
    trimaps.close()
    assert not list(tmp_path.iterdir())
    assert not [t for t in threading.enumerate() if t.name.startswith("vfxmatte")]


@pytest.mark.parametrize("option", [{"proxy_px": 8}, {"growth_px": -1}])
def test_settings_out_of_range_are_refused(option):
    with pytest.raises(UsageError, match=next(iter(option))):
        PropagationSettings(**option)


def test_doubt_grows_away_from_the_only_keyframe():
    still = Reader(picture=lambda index: picture_of(0))
    trimaps = run([key(1003, index=0)], range(1001, 1008), still)
    shares = [trimaps[number].unknown_share for number in range(1001, 1008)]
    assert shares[0] > shares[2] < shares[4] < shares[6]
    assert trimaps[1007].confidence < trimaps[1004].confidence < 1
    assert trimaps[1001].confidence == pytest.approx(trimaps[1005].confidence, abs=0.01)


def test_what_an_edge_cuts_off_is_not_taken_for_more_of_the_same():
    """The subject leaves on the right: its keyframe does not show what it looks like out there."""
    labels = np.zeros((40, 60), np.uint8)
    labels[10:30, 30:] = FOREGROUND
    away = np.full((20, 30, 2), (5, 0), np.float32)  # 10 px to the right, at half size
    tracked = Step(labels=labels, away=away, behind=away, confidence=1).side()
    out_there = np.zeros_like(labels, bool)
    out_there[10:30, 52:] = True  # within 2 px it is the edge's
    assert (tracked.beyond == out_there).all()
    assert (tracked.labels[10:30, 20:] == FOREGROUND).all()
    before = Side(labels=np.zeros_like(labels), confidence=1)
    merged = _without_contested(tracked.labels, before, tracked, 0.8)
    assert (merged[out_there] == UNKNOWN).all()
    assert (merged[~out_there] == tracked.labels[~out_there]).all()
    assert (_without_contested(tracked.labels, tracked, tracked, 0.8) == tracked.labels).all()
    assert (_without_contested(before.labels, before, tracked, 0.2) == BACKGROUND).all()


def test_between_two_empty_keyframes_all_is_certain():
    empty = np.zeros(SHAPE, np.uint8)
    keys = [Trimap(number=n, labels=empty, is_keyframe=True) for n in (1001, 1004)]
    trimaps = run(keys, range(1001, 1005))
    assert not any(trimap.labels.any() for trimap in trimaps.values())
    assert [trimap.confidence for trimap in trimaps.values()] == [1, 1, 1, 1]
