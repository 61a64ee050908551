"""The review page: one HTML file with everything in it, see `vfxmatte.pages`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from vfxmatte.colour import decode_srgb
from vfxmatte.common.wording import counted
from vfxmatte.io.temporary import renamed_when_whole
from vfxmatte.pages import inlined
from vfxmatte.review.figures import CHECKS
from vfxmatte.review.flags import FrameReview, ranked
from vfxmatte.review.preview import checker, evenly_chosen, grey_picture, over, resized, to_display
from vfxmatte.review.proxies import as_text, decoded_webp, encoded_webp
from vfxmatte.types import Picture

MOST_BYTES = 15_000_000
"""Size of a page of 200 frames of HD, at most."""

PICTURES_BYTES = 13_800_000
"""The frames' pictures in it; the rest is for figures, the report and the scripts."""

_SHEET_FRAMES, _SHEET_PX = 6, 320
_TABLE_ROWS = 60  # flagged frames in the report


@dataclass(frozen=True, kw_only=True)
class PageContent:
    """The content of a page."""

    shot: str
    take: str
    other: str | None
    """Name of the other take."""
    facts: Sequence[str]
    """Words about shot and takes."""
    notes: Sequence[str]
    """Remarks on the whole shot, a sentence each."""
    size: tuple[int, int]
    """(width, height) of the embedded pictures."""
    full_size: tuple[int, int]
    """The plate's size."""
    fps: float
    frames: Sequence[FrameReview]
    other_frames: Sequence[FrameReview] | None
    planes: Mapping[int, Mapping[str, bytes]]
    """The pictures of each frame by name, see `proxies.Proxies`."""
    failures: Mapping[int, Sequence[str]]
    """The conditions that fail, by frame number."""


def write_page(path: Path, content: PageContent) -> None:
    """Write the page, whole or not at all; raises OutputError."""
    with renamed_when_whole(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.writelines(_html(content))


def _html(content: PageContent) -> Iterator[str]:
    html = inlined("review.html")
    html = html.replace("<title>Review</title>", f"<title>{escape(content.shot)}: review</title>")
    head, rest = html.split("<!-- report -->")
    middle, rest = rest.split("<!-- data -->")
    scripts, end = rest.split("<!-- frames -->")
    yield head
    yield "".join(_report(content))
    yield middle
    yield json.dumps(_data(content), separators=(",", ":")).replace("<", "\\u003c")
    yield scripts
    for number, planes in content.planes.items():
        for name, data in planes.items():
            yield f'<script type="text/plain" id="{number}-{name}">{as_text(data)}</script>\n'
    yield end


def _data(content: PageContent) -> dict[str, Any]:
    return {
        "shot": content.shot,
        "take": content.take,
        "other": content.other,
        "size": content.size,
        "full": content.full_size,
        "fps": content.fps,
        "checks": [{"name": name, "means": means} for name, means in CHECKS.items()],
        "frames": [_frame(frame, content.planes[frame.number]) for frame in content.frames],
    }


def _frame(frame: FrameReview, planes: Mapping[str, bytes]) -> dict[str, Any]:
    return {
        "number": frame.number,
        "keyframe": frame.is_keyframe,
        "planes": list(planes),
        "values": {
            name: None if value is None else float(f"{value:.4g}")
            for name, value in frame.values.items()
        },
        "flags": [
            {"check": flag.check, "text": flag.text, "severity": flag.severity}
            for flag in frame.flags
            if flag.check != "missing"
        ],
        "problems": list(frame.problems),
        "rank": frame.rank,
    }


# -- the report, which needs no script ------------------------------------------------------------


def _report(content: PageContent) -> Iterator[str]:
    flagged = ranked(content.frames)
    yield f"<h1>{escape(content.shot)}</h1>\n"
    yield f'<p class="hint">{escape("; ".join(content.facts))}</p>\n'
    yield _verdict(content, flagged)
    for note in content.notes:
        yield f"<p>{escape(note[:1].upper() + note[1:])}.</p>\n"
    if flagged:
        yield "<h2>Flagged frames, worst first</h2>\n"
        yield from _flag_table(flagged[:_TABLE_ROWS], content.failures)
        if len(flagged) > _TABLE_ROWS:
            yield f"<p>and {len(flagged) - _TABLE_ROWS} more: review.json has all.</p>\n"
    yield from _sheet(content, flagged)
    yield "<h2>Figures</h2>\n"
    yield from _figures(content)


def _verdict(content: PageContent, flagged: Sequence[FrameReview]) -> str:
    count = len(content.frames)
    lacking = sum(frame.is_missing for frame in content.frames)
    parts = [
        f"{len(flagged)} of {counted(count, 'frame')} flagged"
        if flagged
        else f"no frame of {count} flagged"
    ]
    parts += [f"{lacking} without a matte"] if lacking else []
    failing = len(content.failures)
    parts += [f"{failing} fail{'s' if failing == 1 else ''} the conditions"] if failing else []
    kind = "bad" if lacking or content.failures else ""
    return f'<p class="verdict {kind}">{"; ".join(parts)}</p>\n'


def _flag_table(
    flagged: Sequence[FrameReview], failures: Mapping[int, Sequence[str]]
) -> Iterator[str]:
    yield "<table><thead><tr><th>frame</th><th>why</th></tr></thead><tbody>\n"
    for frame in flagged:
        texts = [flag.text for flag in frame.flags] + list(failures.get(frame.number, ()))
        number = f'<a href="#{frame.number}">{frame.number}</a>'
        key = " keyframe" if frame.is_keyframe else ""
        yield f"<tr><td>{number}{key}</td><td>{escape('; '.join(texts))}</td></tr>\n"
    yield "</tbody></table>\n"


def _figures(content: PageContent) -> Iterator[str]:
    """Yield a table of the figures: median, worst and where, of each take."""
    takes = [(content.take, content.frames)]
    if content.other is not None and content.other_frames is not None:
        takes.append((content.other, content.other_frames))
    yield "<table><thead><tr><th>figure</th><th>meaning</th>"
    for name, _ in takes:
        label = escape(name) if len(takes) > 1 else ""
        yield f'<th class="number">{label} median</th><th class="number">worst</th><th>at</th>'
    yield "</tr></thead><tbody>\n"
    for check, means in CHECKS.items():
        yield f"<tr><td>{check}</td><td>{escape(means)}</td>"
        for _, frames in takes:
            yield _cells(check, frames)
        yield "</tr>\n"
    yield "</tbody></table>\n"


def _cells(check: str, frames: Sequence[FrameReview]) -> str:
    known = [(value, f.number) for f in frames if (value := f.values[check]) is not None]
    if not known:
        return '<td class="number">–</td><td class="number">–</td><td></td>'
    worst = min(known) if check == "confidence" else max(known)
    middle = float(np.median([value for value, _ in known]))
    where = f'<a href="#{worst[1]}">{worst[1]}</a>'
    return (
        f'<td class="number">{middle:.3g}</td><td class="number">{worst[0]:.3g}</td>'
        f"<td>{where}</td>"
    )


def _sheet(content: PageContent, flagged: Sequence[FrameReview]) -> Iterator[str]:
    """Yield composites of the worst frames; of frames spread over the shot without any."""
    solved = [
        f.number for f in content.frames if {"plate", "alpha"} <= set(content.planes[f.number])
    ]
    worst = [f.number for f in flagged if f.number in solved][:_SHEET_FRAMES]
    chosen = worst or evenly_chosen(solved, _SHEET_FRAMES)
    if not chosen:
        return
    title = "The worst of them" if worst else "Frames"
    yield f"<h2>{title}, over a checker, and their mattes</h2>\n"
    yield '<div class="sheet">\n'
    for number in chosen:
        data = as_text(encoded_webp(_thumbnail(content.planes[number]), 95))
        yield (
            f'<figure><img alt="frame {number}: composite and matte" '
            f'src="data:image/webp;base64,{data}"><figcaption>{number}</figcaption></figure>\n'
        )
    yield "</div>\n"


def _thumbnail(planes: Mapping[str, bytes]) -> Picture:
    """Draw a frame's composite over a checker, and its matte below."""
    colour = decoded_webp(planes.get("foreground", planes["plate"]))
    linear = decode_srgb(np.asarray(colour / np.float32(255), np.float32))
    large = (decoded_webp(planes["alpha"])[:, :, 1] / 255).astype(np.float32)
    scale = min(1.0, _SHEET_PX / large.shape[1])
    size = max(1, round(large.shape[1] * scale)), max(1, round(large.shape[0] * scale))
    premultiplied, alpha = resized(linear * large[:, :, None], size), resized(large, size)
    composite = to_display(over(premultiplied, alpha, checker(alpha.shape)))
    return np.concatenate([composite, grey_picture(alpha)])


def in_order_of_need(
    planes: Mapping[int, Mapping[str, bytes]], first: Iterable[int]
) -> dict[int, Mapping[str, bytes]]:
    """Return the frames' pictures with those first that are looked at first."""
    order = dict.fromkeys([*first, *planes])
    return {number: planes[number] for number in order if number in planes}
