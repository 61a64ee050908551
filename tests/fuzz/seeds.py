"""Small whole inputs, made by code, that mutation starts from; and the corpus of past findings."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).parent / "corpus"
"""TARGET/NAME: inputs that once ended in a traceback, a hang or too much memory."""


@functools.cache
def seeds(target: str) -> tuple[bytes, ...]:
    """For a target by its name: what was made, and what was once found."""
    kind, _, variant = target.partition(":")
    made = list(_MAKERS[kind](variant))
    return tuple(made + [path.read_bytes() for path in sorted((CORPUS / kind).glob("*"))])


def _images(suffix: str) -> Iterator[bytes]:
    import numpy as np
    import OpenImageIO as oiio

    kinds = {".exr": (("half", 3), ("float", 1), ("half", 4)), ".hdr": (("float", 3),)}
    if suffix == ".cin":  # OpenImageIO writes none
        yield b"\x80\x2a\x5f\xd7" + bytes(2044)
        return
    default: tuple[tuple[str, int], ...] = (("uint8", 3), ("uint8", 1))
    values = np.random.default_rng(1).random((6, 9, 4), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        for number, (kind, channels) in enumerate(kinds.get(suffix, default)):
            path = f"{folder}/{number}{suffix}"
            spec = oiio.ImageSpec(9, 6, channels, kind)
            spec.attribute("DateTime", "2026:01:01 00:00:00")
            spec.attribute("ImageDescription", "a tiny picture")
            output = oiio.ImageOutput.create(path)
            if output is None or not output.open(path, spec):
                continue
            output.write_image(np.ascontiguousarray(values[..., :channels]))
            output.close()
            yield Path(path).read_bytes()
    if suffix == ".exr":
        yield _deep_header()


def _deep_header() -> bytes:
    return b"v/1\x01\x02\x08\0\0channels\0chlist\0\x01\0\0\0\0\0"


def _movies(suffix: str) -> Iterator[bytes]:
    import av
    import numpy as np

    codecs = {".mov": ("png", "rgb24"), ".mkv": ("ffv1", "yuv422p10le"),
              ".avi": ("mjpeg", "yuvj420p"),
              ".webm": ("libvpx-vp9", "yuv420p"), ".mxf": ("mpeg2video", "yuv420p")}  # fmt: skip
    codec, pixels = codecs.get(suffix, ("mpeg4", "yuv420p"))
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/plate{suffix}"
        with av.open(path, "w", format="mp4" if suffix == ".m4v" else None) as container:
            stream: Any = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 32, 16, pixels
            for number in range(3):
                picture = np.full((16, 32, 3), 60 * number, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            container.mux(stream.encode())
        yield Path(path).read_bytes()
    yield b"ffconcat version 1.0\nfile other.mov\n"
    yield b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"


def _toml(_: str) -> Iterator[bytes]:
    yield b'frames = "1001-1025"\nfps = 24\ncolorspace = "ACEScg"\nworkers = 2\nmissing = "hold"\n'
    yield b'[engine]\nname = "dim"\ndevice = "cpu"\nweights = "/w.safetensors"\nmode = "fast"\n'
    yield b"[propagation]\ngrowth_px = 2.5\n[output]\nformat = 'exr'\npixel_type = 'half'\n"
    yield b"[output]\nattributes = {a = 1, b = 'x', c = [1, 2]}\nrgba = 'straight'\n"


def _cuts(suffix: str) -> Iterator[bytes]:
    if suffix == ".edl":
        yield (
            b"TITLE: cut\nFCM: NON-DROP FRAME\n\n001  AX V C 00:00:00:00 00:00:01:00 01:00:00:00 "
            b"01:00:01:00\n* FROM CLIP NAME: a\n* FROM FILE: plate.mov\nM2 AX 048.0 00:00:00:00\n"
        )
        return
    time = {"OTIO_SCHEMA": "RationalTime.1", "rate": 24.0, "value": 86400.0}
    span = {"OTIO_SCHEMA": "TimeRange.1", "start_time": time, "duration": {**time, "value": 5.0}}
    for media in (
        {"OTIO_SCHEMA": "ExternalReference.1", "target_url": "file:///p/plate.1001.exr",
         "available_range": span},
        {"OTIO_SCHEMA": "ImageSequenceReference.1", "target_url_base": "plate/", "rate": 24,
         "name_prefix": "plate.", "name_suffix": ".exr", "start_frame": 1001, "frame_step": 1,
         "frame_zero_padding": 4, "available_range": span},
        {"OTIO_SCHEMA": "MissingReference.1"},
    ):  # fmt: skip
        warp = {"OTIO_SCHEMA": "LinearTimeWarp.1", "time_scalar": 2.0, "effect_name": "x"}
        clip = {"OTIO_SCHEMA": "Clip.1", "name": "a", "media_reference": media,
                "source_range": span, "effects": [warp],
                "metadata": {"vfxmatte": {"shot": "a", "settings": {"fps": 24}}}}  # fmt: skip
        track = {"OTIO_SCHEMA": "Track.1", "kind": "Video", "children": [clip], "name": "V1"}
        stack = {"OTIO_SCHEMA": "Stack.1", "children": [track]}
        timeline = {"OTIO_SCHEMA": "Timeline.1", "name": "cut", "tracks": stack}
        yield json.dumps(timeline).encode()


def _journals(_: str) -> Iterator[bytes]:
    row = {"frame": 1001, "fingerprint": "ab", "file": "matte.1001.exr", "bytes": 5, "error": None,
           "stats": {"unknown": 0.5}, "stale": None, "time": 1.5}  # fmt: skip
    run = {"engine": {"engine": "dim"}, "device": "cpu", "asked": {"a": 1}, "time": 1.0}
    for rows in ([row], [run, row], [{**row, "error": "x", "file": None}, row]):
        yield "".join(json.dumps(one) + "\n" for one in rows).encode()


def _weights(part: str) -> Iterator[bytes]:
    path = tiny_weights()
    yield (path if part == "tensors" else path.with_suffix(".json")).read_bytes()


@functools.cache
def tiny_weights() -> Path:
    """Weights of a very small network, the same in every process; the folder lives as long."""
    import torch

    from vfxmatte.network.dim import DeepImageMatting, DimConfig
    from vfxmatte.network.weights import save_weights

    folder = tempfile.TemporaryDirectory()
    _kept.append(folder)
    path = Path(folder.name) / "tiny.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = DeepImageMatting(DimConfig(width=0.0625, fc6_channels=8))
    save_weights(path, network, name="tiny")
    return path


_kept: list[Any] = []


def _texts(_: str) -> Iterator[bytes]:
    for text in ("1001", "1001-1100", "1001-1100:2", "1001,1003-1009:3", "-5--1", "1001-1100x12",
                 "engine.device=cuda:0,1", "propagation.growth_px=2", "cuda:all",
                 "output.rgba='a'"):  # fmt: skip
        yield text.encode()


def _messages(_: str) -> Iterator[bytes]:
    from vfxmatte.serve.framing import framed

    array = {"file": "{folder}/array", "shape": [4, 5, 3], "dtype": "float32", "offset": 0}
    flat = {**array, "shape": [4, 5]}
    settings = {"engine.device": "cpu", "frames": "1001", "output": {"format": "exr"}}
    shot = {"plate": "{folder}/plate", "trimaps": "{folder}/trimaps", "output": "{folder}/out"}
    requests: list[tuple[str, dict[str, Any]]] = [
        ("hello", {"token": "x", "client": "y"}),
        ("status", {}), ("cancel", {"job": 1}), ("shutdown", {}),
        ("open", {**shot, "settings": settings, "ocio": "ocio://default"}),
        ("run", {**shot, "settings": settings, "overwrite": True}),
        ("run", {"shot": "{folder}", "settings": {"engine": {"name": "dim"}}}),
        ("matte", {"plate": "{folder}/plate/plate.1001.png", "overwrite": True,
                   "trimap": "{folder}/trimaps/trimap.1001.png", "output": "{folder}/a.exr"}),
        ("pixels", {"image": array, "trimap": flat, "alpha": flat, "settings": {"fps": 24}}),
        ("pixels", {"image": {"shared_memory": "x", "shape": [4, 5, 3]}, "trimap": flat,
                    "alpha": flat}),
    ]  # fmt: skip
    for number, (method, params) in enumerate(requests):
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        yield framed(json.dumps(message).encode())
    yield framed(b"{") + framed(b"[]") + framed(b'{"jsonrpc": "2.0", "method": "status"}')


def _pages(_: str) -> Iterator[bytes]:
    from vfxmatte.paint.messages import packed

    frame, box = {"frame": 1001}, {"frame": 1001, "x": 1, "y": 0, "width": 2, "height": 2}
    requests: list[tuple[str, dict[str, Any], bytes]] = [
        ("shot", {}, b""), ("progress", {}, b""), ("prefer", {"name": "size", "value": "3"}, b""),
        ("tile", {**frame, "level": 0, "column": 0, "row": 0, "view": "Raw", "stops": 1.5}, b""),
        ("thumbnail", frame, b""), ("matte", frame, b""), ("trimap", frame, b""),
        ("paint", box, b"\0\x80\xff\0"), ("grow", {**frame, "px": -1}, b""),
        ("edge", {**frame, "stroke": [0, 0, 3.5, 2], "reach": 2, "width": 1}, b""),
        ("guess", {**box, "method": "grabcut"}, b""), ("guess", {**box, "method": "box"}, b""),
        ("guess", {**frame, "method": "previous"}, b""), ("save", frame, b""),
        ("solve", {**box, "level": 0}, b""), ("run", {}, b""), ("cancel", {}, b""),
    ]  # fmt: skip
    for number, (method, params, pixels) in enumerate(requests):
        yield packed({"id": number, "method": method, "params": params}, pixels)


def _answers(_: str) -> Iterator[bytes]:
    from vfxmatte.serve.framing import framed

    frame = {"job": 1, "event": "frame", "frame": 1001, "status": "failed", "path": None,
             "error": {"message": "x", "hint": "y"}}  # fmt: skip
    totals = {"frames": 2, "written": 1, "kept": 0, "failed": 1, "suggested_confidence": 0.5}
    told: list[dict[str, Any]] = [
        {"method": "event", "params": {"job": 1, "event": "start", "count": 2}},
        {"method": "event", "params": frame},
        {
            "method": "event",
            "params": {**frame, "frame": 1002, "error": None, "path": "/a.1002.exr"},
        },
        {"method": "event", "params": {"job": 1, "event": "note", "text": "x"}},
        {"id": 1, "result": totals},
        {"id": 1, "error": {"code": -32000, "message": "x", "data": {"kind": "PlateError"}}},
    ]
    yield b"".join(framed(json.dumps({"jsonrpc": "2.0", **one}).encode()) for one in told)
    yield b"".join(
        framed(json.dumps({"jsonrpc": "2.0", **one}).encode()) for one in told[:4:3] + told[5:]
    )
    lines = [one["params"] for one in told[:4]] + [{"event": "totals", **totals}]
    yield "".join(json.dumps(one) + "\n" for one in lines).encode()
    yield json.dumps({"port": 1, "token": "x", "protocol": 1}).encode()


_MAKERS: dict[str, Callable[[str], Iterable[bytes]]] = {
    "mistake": lambda _: [b"none"], "image": _images, "movie": _movies, "toml": _toml, "cut": _cuts,
    "journal": _journals,
    "weights": _weights, "text": _texts, "message": _messages, "answer": _answers,
    "page": _pages,
}  # fmt: skip
