"""The figures of a frame that need no true alpha, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vfxmatte.review.footage import ReviewFrame
from vfxmatte.review.measures import Measures

CHECKS: Mapping[str, str] = {
    "flicker": "mean difference to the previous frame's matte, motion taken out, in the band",
    "departs": "what neither neighbour has, in areas of the band; neighbours are 1, 2 and 4 frames "
    "away",
    "jump": "change of the matte's area against the frames around it, in areas of the band",
    "holes": "holes that neither neighbour has, in areas of the band",
    "islands": "islands that neither neighbour has, in areas of the band",
    "leak": "share of the trimap's rim towards the background where the matte is not empty: the "
    "trimap is too tight there",
    "clip": "share of the trimap's rim towards the foreground where the matte is not solid",
    "border": "share of the picture's border that the matte touches without foreground in the "
    "trimap",
    "contradicted": "share of the known pixels that are not 0 or 1 as the trimap has them",
    "area": "mean alpha over the picture",
    "unknown": "share of unknown pixels",
    "confidence": "of the matte, 0 to 1: less, the softer it is; 1 for keyframes",
}
"""The figures of a review and what they mean. The band is the unknown region."""

Values = Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The figures of one frame, without its pictures."""

    number: int
    is_keyframe: bool
    measures: Measures
    values: Values
    problems: tuple[str, ...]


def figures_of(frame: ReviewFrame, measures: Measures) -> Figures:
    """Collect a frame's figures; "departs" and "jump" need the whole shot and are None."""
    exact = frame.exact
    names = ("leak", "clip", "border", "contradicted", "area", "unknown")
    values: dict[str, float | None] = dict.fromkeys(CHECKS)
    values |= {name: None if exact is None else getattr(exact, name) for name in names}
    values |= {name: getattr(measures, name) for name in ("flicker", "holes", "islands")}
    values["confidence"] = 1.0 if frame.is_keyframe else frame.confidence
    return Figures(
        number=frame.number,
        is_keyframe=frame.is_keyframe,
        measures=measures,
        values=values,
        problems=frame.problems,
    )
