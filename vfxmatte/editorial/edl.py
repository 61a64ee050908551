"""Edit decision lists (CMX 3600), read with OpenTimelineIO's adapter, whose errors are corrected.

An EDL does not state its rate, its text may be in any encoding, and its record times may begin
anywhere. The adapter gives a dissolve's incoming clip the media of the outgoing one.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Any

from vfxmatte.editorial.package import opentimelineio
from vfxmatte.errors import ShotError

ADAPTER = "cmx_3600"
_KEY = "cmx_3600"
_DROP_FRAME = re.compile(r"^\s*FCM:\s*DROP FRAME|\d\d:\d\d:\d\d;\d\d", re.MULTILINE)
_TIMECODE = re.compile(r"\b\d\d:\d\d:\d\d[:;](\d\d)\b")
_MEDIA_TO = re.compile(r"\*?\s*TO (?:CLIP|FILE):\s*(\S.*)")
_USUAL, _DROPPED = 24.0, 30000 / 1001


def read_edl(path: Path, rate: float | None) -> tuple[Any, tuple[str, ...]]:
    """Read an EDL; return its timeline, and notes on how it was read.

    Args:
        rate: frames per second of its time codes; None takes 29.97 for drop frame, else 24.
    Raises:
        ShotError: it cannot be understood, or counts more frames a second than the rate.
    """
    text = _decoded(path.read_bytes())
    notes = []
    if rate is None:
        rate = _DROPPED if _DROP_FRAME.search(text) else _USUAL
        notes.append(f"read at {rate:.5g} frames a second: an EDL does not say, --rate does")
    _check_rate(text, rate, path)
    timeline, mended = _parsed(text, rate, path)
    for track in timeline.tracks:
        _give_media_after_transitions(track)
    return timeline, (*notes, *mended)


def _decoded(content: bytes) -> str:
    """Decode UTF-8, UTF-16 with a byte order mark, else Windows-1252."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _check_rate(text: str, rate: float, path: Path) -> None:
    if _DROP_FRAME.search(text) and round(rate) not in (30, 60):
        raise ShotError(
            f"the EDL has drop-frame time code, which there is not at {rate:.5g} frames a second",
            path=path,
            hint="give --rate 29.97 or --rate 59.94",
        )
    highest = max((int(frame) for frame in _TIMECODE.findall(text)), default=0)
    if highest >= round(rate):
        raise ShotError(
            f"the EDL counts frames up to {highest} in a second, which {rate:.5g} frames a second "
            "do not have",
            path=path,
            hint=f"give its rate: --rate 25, --rate 30 or another above {highest}",
        )


def _parsed(text: str, rate: float, path: Path) -> tuple[Any, list[str]]:
    """Parse the timeline; source times override record times that disagree."""
    read = opentimelineio().adapters.read_from_string
    try:
        return read(text, ADAPTER, rate=rate), []
    except Exception as first:  # adapters raise any exception
        try:
            timeline = read(text, ADAPTER, rate=rate, ignore_timecode_mismatch=True)
        except Exception:
            raise ShotError(
                f"this EDL cannot be read: {first}",
                path=path,
                hint="is --rate right? Else export the cut as .otio, or mend this event",
            ) from first
        return timeline, [f"record times are passed over, source times count: {first}"]


def _give_media_after_transitions(track: Any) -> None:
    """Give the clip after each transition the media of its TO comment, or none."""
    otio = opentimelineio()
    after_transition = False
    for child in track:
        if after_transition and isinstance(child, otio.schema.Clip):
            _give_own_media(child)
        after_transition = isinstance(child, otio.schema.Transition)


def _give_own_media(clip: Any) -> None:
    schema = opentimelineio().schema
    if isinstance(clip.media_reference, schema.GeneratorReference):
        return
    comments = dict(clip.metadata.get(_KEY, {})).get("comments", [])
    named = [match[1].strip() for match in map(_MEDIA_TO.match, comments) if match]
    media = schema.ExternalReference(target_url=named[0]) if named else schema.MissingReference()
    clip.media_reference = media


def reel_of(clip: Any) -> str | None:
    """Return a clip's reel, if the EDL has one."""
    reel = dict(clip.metadata.get(_KEY, {})).get("reel")
    return str(reel) if reel else None
