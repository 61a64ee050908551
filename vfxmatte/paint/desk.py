"""The shot on the desk: its frames' trimaps as they are painted, and where they come from."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from vfxmatte.colour import ColourConfig
from vfxmatte.errors import ShotError, TrimapError, VfxmatteError
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.result_names import matte_path, trimap_path
from vfxmatte.io.writers import write_labels
from vfxmatte.paint.keyframe_file import save_keyframe
from vfxmatte.paint.pictures import Pictures
from vfxmatte.pipeline.keyframes import find_keyframes, read_keyframe
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.shot_folder import TRIMAP_FOLDER
from vfxmatte.types import BACKGROUND, FrameRange, Labels, Picture, Trimap, Window

UNSAVED_FOLDER = "unsaved"
"""The folder beside the keyframes that holds what was painted and not saved when painting ended."""


@dataclass(eq=False)
class Draft:
    """The trimap of one frame as it is painted now."""

    labels: Labels
    """(H, W), changed in place."""
    base: Labels
    """The labels that the eraser brings back: the propagated trimap, else the keyframe."""
    source: str
    """The origin of the labels: "keyframe", "propagated" or "nothing"."""
    is_saved: bool = True
    """False once something is painted that is in no file."""


class Desk:
    """A shot, opened for painting; a context manager. Its drafts are changed by one thread only."""

    def __init__(self, shot: Shot, folder: Path) -> None:
        """Open a shot: reads headers, no pixels, and needs no keyframe.

        Args:
            folder: the shot's folder, which keyframes are written to.

        Raises:
            VfxmatteError: it cannot be opened.
        """
        if shot.subjects:
            raise ShotError(
                f"the shot has several subjects, and the page paints a single one: "
                f"{', '.join(shot.subjects)}",
                shot=shot.name,
                path=folder / TRIMAP_FOLDER,
                hint="paint a subject in a shot folder of its own with the same plate, and move "
                "its keyframes here",
            )
        self.shot, self.folder = shot, folder
        self._open = ExitStack()
        self.colours = ColourConfig.load(shot.settings.ocio)
        plate = self._open.enter_context(shot.open_plate(self.colours))
        self.info = plate.info
        self.pictures = Pictures(plate, self.colours)
        self._drafts: dict[int, Draft] = {}
        self._lock = threading.Lock()
        for number in find_keyframes(self.keyframe_folder / UNSAVED_FOLDER):
            if number in self.info.numbers:
                self.draft(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def canvas(self) -> Window:
        """The window that pictures and trimaps cover."""
        return self.info.canvas

    @property
    def keyframe_folder(self) -> Path:
        return self.folder / TRIMAP_FOLDER

    @property
    def numbers(self) -> list[int]:
        """The frames of the plate that the shot's settings ask for."""
        frames = self.shot.settings.frames or FrameRange(
            first=self.info.numbers[0], last=self.info.numbers[-1]
        )
        return [n for n in self.info.numbers if n in frames] or list(self.info.numbers)

    def keyframes(self) -> dict[int, Path]:
        """Return the keyframes on disk now; raises TrimapError."""
        return find_keyframes(self.keyframe_folder)

    def check(self, number: int) -> int:
        """Return the number of a frame of the plate; raises ShotError for any other."""
        if number not in self.info.numbers:
            raise ShotError("the plate has no such frame", frame=number, path=self.shot.plate)
        return number

    def draft(self, number: int) -> Draft:
        """Return a frame's trimap: as painted, else its keyframe, else the propagated one."""
        with self._lock:
            return self._draft(number)

    def _draft(self, number: int) -> Draft:
        if number not in self._drafts:
            self._forget_saved()
            self._drafts[number] = self._read(self.check(number))
        return self._drafts[number]

    def unsaved(self) -> list[int]:
        """Return the frames with painting that is in no keyframe, ascending."""
        return sorted(n for n, draft in self._drafts.items() if not draft.is_saved)

    def paint(self, number: int, rectangle: Window, labels: Labels) -> None:
        """Put the labels of a rectangle into a frame's draft."""
        with self._lock:  # a saved draft may be forgotten at any time
            draft = self._draft(number)
            draft.is_saved = False
        draft.labels[rectangle.slices_in(Window.of_size(*draft.labels.shape[::-1]))] = labels

    def save(self, number: int) -> tuple[Path, Path | None]:
        """Write the draft as the frame's keyframe; return its path and the copy of the old one.

        Raises:
            OutputError, TrimapError: as their names say.
        """
        draft = self.draft(number)
        if (draft.labels == draft.labels.flat[0]).all():
            raise TrimapError(
                "the trimap has one label only",
                frame=number,
                hint="paint what is foreground, background and unknown, then save",
            )
        trimap = Trimap(number=number, labels=draft.labels, is_keyframe=True)
        existing = self.keyframes().get(number)
        path, copy = save_keyframe(
            trimap,
            self.keyframe_folder,
            self.canvas,
            padding=self.info.padding,
            existing=existing,
        )
        draft.is_saved, draft.source = True, "keyframe"
        self._left_path(number).unlink(missing_ok=True)
        return path, copy

    def leave(self) -> list[int]:
        """Write what is painted and not saved aside, to be found when painting goes on.

        Raises OutputError.
        """
        for number in self.unsaved():
            trimap = Trimap(number=number, labels=self._drafts[number].labels, is_keyframe=True)
            write_labels(trimap, self._left_path(number), self.canvas)
        return self.unsaved()

    def _left_path(self, number: int) -> Path:
        folder = self.keyframe_folder / UNSAVED_FOLDER
        return trimap_path(folder, number, padding=self.info.padding)

    def matte(self, number: int) -> Picture | None:
        """Return the matte of the last run, (H, W) uint8; None if there is none to be read."""
        try:
            alpha = read_matte(self._matte_path(number), self.canvas)
        except VfxmatteError:
            return None
        return np.rint(np.clip(alpha, 0, 1) * 255).astype(np.uint8)

    def has_matte(self, number: int) -> bool:
        return self._matte_path(number).is_file()

    def _matte_path(self, number: int) -> Path:
        format = self.shot.settings.output.format
        return matte_path(self.shot.output, number, format, padding=self.info.padding)

    def forget_propagated(self) -> None:
        """Read propagated trimaps again where nothing is painted, after a run."""
        with self._lock:
            self._forget_saved()

    def _forget_saved(self) -> None:
        for number in [n for n, draft in self._drafts.items() if draft.is_saved]:
            del self._drafts[number]

    def _read(self, number: int) -> Draft:
        keyframe = self.keyframes().get(number)
        propagated = self._propagated(number)
        labels, source = propagated, "propagated"
        if keyframe is not None:
            labels, source = read_keyframe(keyframe, number, self.info).labels, "keyframe"
        if labels is None:
            labels, source = np.full(self.canvas.shape, BACKGROUND, np.uint8), "nothing"
        base = labels if propagated is None else propagated
        left = self._labels_at(self._left_path(number), number)
        draft = Draft(labels=labels.copy(), base=base.copy(), source=source)
        if left is not None:
            draft.labels, draft.is_saved = left, False
        return draft

    def _propagated(self, number: int) -> Labels | None:
        folder = self.shot.trimap_output
        return self._labels_at(trimap_path(folder, number, padding=self.info.padding), number)

    def _labels_at(self, path: Path, number: int) -> Labels | None:
        if not path.is_file():
            return None
        try:
            return read_keyframe(path, number, self.info).labels
        except TrimapError:  # of another size, say: the plate has been replaced since
            return None
