"""What a segment stores comes back as it was: pictures and labels exactly, flows to half floats."""

import numpy as np
import pytest

from vfxmatte.errors import OutputError
from vfxmatte.propagation.flow import FlowPair
from vfxmatte.propagation.proxy_store import ProxyStore

SHAPE = (9, 14)
NOISE = np.random.default_rng(5)


@pytest.fixture
def store(tmp_path):
    store = ProxyStore(tmp_path / "segment", SHAPE)
    store.open()
    return store


def test_pictures_and_labels_come_back_exactly(store, tmp_path):
    picture = NOISE.integers(0, 256, (*SHAPE, 3), np.uint8)
    labels = NOISE.choice(np.array((0, 128, 255), np.uint8), SHAPE)
    store.put_picture(1001, picture)
    store.put_labels(1001, labels)
    assert (store.picture(1001) == picture).all() and (store.labels(1001) == labels).all()
    store.clear()
    assert not list(tmp_path.iterdir())


def test_flows_come_back_to_half_precision(store):
    forward, backward = NOISE.uniform(-40, 40, (2, 4, 7, 2)).astype(np.float32)
    store.put_flow(-3, FlowPair(forward=forward, backward=backward))
    found = store.flow(-3)
    assert np.abs(found.forward - forward).max() <= 2**-6
    assert np.abs(found.backward - backward).max() <= 2**-6


def test_a_disk_that_refuses_is_told(store):
    store.clear()
    with pytest.raises(OutputError, match="intermediate results") as caught:
        store.put_labels(1001, np.zeros(SHAPE, np.uint8))
    assert caught.value.path is not None and caught.value.path.endswith("labels.1001.z")
