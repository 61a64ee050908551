"""What reads strangers' input, each as a function of bytes and an empty folder.

A VfxmatteError (or the protocol's and the client's own error) is an answer; everything else that
is raised is a finding.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import queue
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from vfxmatte.errors import VfxmatteError
from vfxmatte.io.sequence import IMAGE_SUFFIXES, MOVIE_SUFFIXES

Target = Callable[[bytes, Path], None]


def run(target: str, data: bytes, folder: Path) -> None:
    """Raises what a user would see as a traceback."""
    kind, _, variant = target.partition(":")
    with contextlib.suppress(VfxmatteError):
        _READERS[kind](data, folder, variant)


@functools.cache
def _colours() -> Any:
    from vfxmatte.colour import ColourConfig

    return ColourConfig.load("ocio://default")


def _image(data: bytes, folder: Path, suffix: str) -> None:
    from vfxmatte.io.marked import as_written
    from vfxmatte.io.plates import open_plate
    from vfxmatte.journal.stale import written_fingerprint
    from vfxmatte.pipeline.keyframes import read_keyframe
    from vfxmatte.types import Window

    path = folder / f"plate.1001{suffix}"
    path.write_bytes(data)
    written_fingerprint(path)
    if suffix == ".png":
        as_written(path)
    canvas = Window.of_size(9, 6)
    with contextlib.suppress(VfxmatteError):
        read_keyframe(path, 1001, SimpleNamespace(canvas=canvas, display_window=canvas), 1.0)  # type: ignore[arg-type]
    with open_plate(path, config=_colours()) as plate:
        str(plate.info)
        plate.read(1001)


def _movie(data: bytes, folder: Path, suffix: str) -> None:
    from vfxmatte.io.plates import open_plate

    path = folder / f"plate{suffix}"
    path.write_bytes(data)
    with open_plate(path, config=_colours()) as plate:
        str(plate.info)
        for _ in plate.frames(plate.info.numbers[:3], workers=1):
            continue


def _toml(data: bytes, folder: Path, _: str) -> None:
    from vfxmatte.pipeline.settings import digest
    from vfxmatte.pipeline.shot_folder import read_settings

    (folder / "shot.toml").write_bytes(data)
    settings = read_settings(folder / "shot.toml")
    digest(settings)
    len(settings.frames or ())


def _cut(data: bytes, folder: Path, suffix: str) -> None:
    from vfxmatte.editorial.cut import read_cut
    from vfxmatte.editorial.mattes import write_mattes

    path = folder / f"cut{suffix}"
    path.write_bytes(data)
    cut = read_cut(path, folder / "out", handles=2)
    write_mattes(cut, folder / "mattes.otio")


def _journal(data: bytes, folder: Path, _: str) -> None:
    from vfxmatte.journal.chunks import main_journal
    from vfxmatte.journal.journal import Journal

    main = main_journal(folder)
    (main.parent / "chunks").mkdir(parents=True)
    main.write_bytes(data)
    (main.parent / "chunks" / "1001-1002.gone-1-1.jsonl").write_bytes(data)
    Journal.peek(folder)
    with Journal(folder) as journal:
        for number in list(journal.records):
            journal.finished(number, journal.records[number].fingerprint)
        journal.write_manifest({}, {1001: "ab"})


def _weights(data: bytes, folder: Path, part: str) -> None:
    from tests.fuzz.seeds import tiny_weights
    from vfxmatte.network.sidecar import file_sha256
    from vfxmatte.network.weights import load_weights

    path = folder / "w.safetensors"
    sidecar = tiny_weights().with_suffix(".json").read_bytes()
    path.write_bytes(data if part == "tensors" else tiny_weights().read_bytes())
    if part == "tensors":  # whoever changes weights can change the sidecar with them
        sidecar = json.dumps({**json.loads(sidecar), "sha256": file_sha256(path)}).encode()
    path.with_suffix(".json").write_bytes(sidecar if part == "tensors" else data)
    load_weights(path)


def _text(data: bytes, folder: Path, _: str) -> None:
    from vfxmatte.common.configuration import changed
    from vfxmatte.common.devices import names_several
    from vfxmatte.farm.ranges import from_openjd, part_from
    from vfxmatte.pipeline.options import parsed_setting
    from vfxmatte.pipeline.settings import RunSettings
    from vfxmatte.types import FrameRange

    text = data.decode("utf-8", "replace")
    for read in (
        lambda: part_from(from_openjd(text), 1001, 2), lambda: len(FrameRange.parse(text)),
        lambda: names_several(text), lambda: changed(RunSettings(), parsed_setting(text)),
    ):  # fmt: skip
        with contextlib.suppress(VfxmatteError):
            read()


class _Engine:
    """Alpha of one half everywhere; nothing is loaded."""

    device = "cpu"

    def describe(self) -> dict[str, str]:
        return {"engine": "half"}

    def mattes(self, tasks: Any) -> Iterator[Any]:
        from vfxmatte.types import Matte

        for task in tasks:
            labels = task.trimap.labels
            alpha = labels.astype("float32") / 255
            yield Matte(number=task.trimap.number, alpha=alpha, stats={})

    def close(self) -> None:
        return


def _message(data: bytes, folder: Path, _: str) -> None:
    from vfxmatte.serve.client_session import ClientSession
    from vfxmatte.serve.engine_cache import EngineCache
    from vfxmatte.serve.execute import execute
    from vfxmatte.serve.framing import Decoder
    from vfxmatte.serve.jobs import JobQueue
    from vfxmatte.serve.outbox import Outbox
    from vfxmatte.serve.rpc import RpcError

    _lay_out(folder)
    jobs = JobQueue()
    house = SimpleNamespace(
        queue=jobs, engines=EngineCache(opener=lambda _: _Engine()), client_count=1, stop=lambda: 0  # type: ignore[arg-type, return-value]
    )  # fmt: skip
    outbox = Outbox()
    session = ClientSession(server=house, outbox=outbox, disconnect=lambda: None)  # type: ignore[arg-type]
    decoder = Decoder()
    data = _placed(data, str(folder).encode())
    with contextlib.suppress(RpcError), _only_within(folder):
        for start in range(0, len(data), 701):
            decoder.feed(data[start : start + 701])
            while (body := decoder.message()) is not None:
                session.take(body)
    while (job := jobs.take(0)) is not None:
        execute(job, lambda: None)
        jobs.finish(job)
    _check_answers(outbox)


@contextlib.contextmanager
def _only_within(folder: Path) -> Iterator[None]:
    """Refuse paths of the machine that this runs on: a client may write wherever its user may."""
    from vfxmatte.serve.params import Params
    from vfxmatte.serve.rpc import INVALID_PARAMS, RpcError

    real = Params.path

    def path(self: Params, name: str) -> Path | None:
        found = real(self, name)
        if found is not None and not os.path.realpath(found).startswith(os.path.realpath(folder)):
            raise RpcError(INVALID_PARAMS, "not while fuzzing")
        return found

    with mock.patch.object(Params, "path", path):
        yield


def _placed(data: bytes, folder: bytes) -> bytes:
    """The messages with the folder's name, and with lengths that are right where they were."""

    def frame(match: re.Match[bytes]) -> bytes:
        body = match[2].replace(b"{folder}", folder)
        was_right = int(match[1]) == len(match[2])
        length = len(body) if was_right else int(match[1])
        return b"Content-Length: %d\r\n\r\n%s" % (length, body)

    pattern = rb"Content-Length: (\d{1,9})\r\n\r\n(.*?)(?=Content-Length|\Z)"
    return re.sub(pattern, frame, data, flags=re.DOTALL)


def _lay_out(folder: Path) -> None:
    import cv2
    import numpy as np

    for name, values in (("plate", np.full((4, 5, 3), 90)), ("trimap", np.full((4, 5), 128))):
        place = folder / ("plate" if name == "plate" else "trimaps")
        place.mkdir()
        cv2.imwrite(str(place / f"{name}.1001.png"), values.astype(np.uint8))
    (folder / "array").write_bytes(bytes(4 * 5 * 3 * 4))


def _check_answers(outbox: Any) -> None:
    """An error that was not foreseen is a traceback in the server's log."""
    outbox.close()
    while (message := outbox.take()) is not None:
        error = json.loads(message).get("error")
        if error is not None and error["code"] == -32603:
            raise AssertionError(error["message"])


def _page(data: bytes, folder: Path, _: str) -> None:
    """Take what the paint page sends; other commands and the engine are not started."""
    import numpy as np

    from vfxmatte.paint import guesses, methods
    from vfxmatte.paint.desk import Desk
    from vfxmatte.paint.messages import unpacked
    from vfxmatte.paint.preferences import Preferences
    from vfxmatte.paint.server import request_of
    from vfxmatte.pipeline.shot import Shot
    from vfxmatte.serve.rpc import RpcError

    def refused(words: Any) -> str:
        raise VfxmatteError(f"{words[0]} is not started")

    _lay_out(folder)
    before = {path for path in folder.rglob("*") if path.is_file()}
    engine: Any = SimpleNamespace(request=lambda *_, **__: {}, cancel=lambda _: None)
    live: Any = SimpleNamespace(solve=lambda *_: (np.zeros((1, 1), np.uint8), 0.0))
    home = mock.patch.dict(os.environ, {"VFXMATTE_HOME": str(folder / "home")})
    commands = [mock.patch.object(module, "ask_command", refused) for module in (guesses, methods)]
    with home, commands[0], commands[1], Desk(Shot.open(folder), folder) as desk:
        called = methods.Methods(desk, engine, live, lambda _: None, preferences=Preferences())
        with contextlib.suppress(RpcError, VfxmatteError):
            record, pixels = unpacked(data)
            _, name, params = request_of(record)
            called.call(name, params, pixels)
    written = {path for path in folder.rglob("*") if path.is_file()} - before
    allowed = (folder / "trimaps", folder / "home")
    assert all(any(place in path.parents for place in allowed) for path in written), written


def _answer(data: bytes, folder: Path, _: str) -> None:
    from nodes.comfyui import sequences
    from nodes.vfxmatte_client import ClientError, Job, command_line, errors, events

    watch = sequences._Watch()
    job = Job("run-1", watch.events.put)
    with contextlib.suppress(ClientError, errors.ConnectionLost):
        events.complete_totals(_followed(job, data))
    child: Any = SimpleNamespace(stdout=io.BytesIO(data))
    for record in command_line.read_records(child):
        job.report(record)
        if record["event"] == "error":
            str(ClientError.of(record))
        if record["event"] == "totals":
            events.complete_totals(record)
    watch.drain()
    with contextlib.suppress(RuntimeError):
        watch.refuse_failures("x")
    _endpoint(data, folder)


def _followed(job: Any, data: bytes) -> Any:
    """Return the result of a job whose server sends `data`."""
    from nodes.vfxmatte_client.channel import Channel

    source = _Gated(data)
    channel = Channel(source, lambda _: None, lambda: None)
    call = channel.begin("run")
    source.gate.put(True)
    return job.follow(channel, call)


class _Gated(io.BytesIO):
    """Is read from when the call is there."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.gate: queue.Queue[bool] = queue.Queue()
        self._waits = True

    def readline(self, size: int | None = -1, /) -> bytes:
        if self._waits:
            self.gate.get()
            self._waits = False
        return super().readline(size)


def _endpoint(data: bytes, folder: Path) -> None:
    from nodes.vfxmatte_client import ClientError, endpoint, locate

    path = folder / "endpoint.json"
    path.write_bytes(data)
    path.chmod(0o600)
    endpoint.endpoint_file = lambda: str(path)
    state = endpoint.read_endpoint()
    if state is not None:
        assert 0 < state["port"] < 65536
    locate.first_line(str(path))
    with contextlib.suppress(ClientError):
        locate.parse_command(data.decode("utf-8", "replace"), "a test")


def _mistake(data: bytes, folder: Path, _: str) -> None:
    """What the children must notice, for the tests of them."""
    if data == b"traceback":
        raise KeyError("a mistake")
    if data == b"death":
        os._exit(3)
    if data == b"memory":
        bytearray(b"x") * (700 << 20)


_READERS: dict[str, Callable[[bytes, Path, str], None]] = {
    "image": _image, "movie": _movie, "toml": _toml, "cut": _cut, "journal": _journal,
    "weights": _weights, "mistake": _mistake, "text": _text, "message": _message, "answer": _answer,
    "page": _page,
}  # fmt: skip

LIGHT = tuple(
    ["toml", "cut:.otio", "cut:.edl", "journal", "text", "message", "answer", "page"]
    + [f"image:{suffix}" for suffix in sorted(IMAGE_SUFFIXES)]
    + [f"movie:{suffix}" for suffix in sorted(MOVIE_SUFFIXES)]
)
HEAVY = ("weights:tensors", "weights:sidecar")
"""These load torch."""
