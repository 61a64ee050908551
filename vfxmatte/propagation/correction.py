"""Correct a merged trimap by the frame's own picture: doubt, tighten, and drop islands."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2

from vfxmatte.propagation.contradiction import Contradictions, ContradictionSettings
from vfxmatte.propagation.islands import without_islands
from vfxmatte.propagation.keyframe_look import KeyframeLook, Look
from vfxmatte.propagation.tightening import Tightener
from vfxmatte.types import FloatImage, Labels, Picture


@dataclass(frozen=True, kw_only=True)
class Correction:
    """Corrects the merged trimaps of one segment; may be used in several threads."""

    tightener: Tightener
    first: KeyframeLook
    """The look of the frame by the earlier keyframe."""
    last: KeyframeLook
    """The look by the later one."""
    first_labels: Labels
    """The earlier keyframe's labels."""
    settings: ContradictionSettings
    contradictions: Contradictions | None = None
    """None until it is calibrated."""

    def calibrated(self, look: Look) -> Correction:
        """Measure usual differences on the earlier keyframe, as the later one shows it."""
        contradictions = Contradictions(self.first_labels, look, self.settings)
        return replace(self, contradictions=contradictions)

    def corrected(
        self, picture: Picture, look: Look, before: Labels, after: Labels, merged: Labels
    ) -> Labels:
        """Correct (h, w) merged labels by their (h, w, 3) picture and both keyframes' looks."""
        doubtful = as_behind = None
        if self.contradictions is not None:
            doubtful = self.contradictions.doubtful(look, merged)
            as_behind = self.contradictions.as_behind(look, merged.shape)
        depth: FloatImage = cv2.resize(look.depth, merged.shape[::-1]).astype("float32")
        labels = self.tightener.corrected(
            picture, before, after, merged, doubtful=doubtful, depth=depth
        )
        return labels if as_behind is None else without_islands(labels, before, after, as_behind)
