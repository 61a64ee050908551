"""The vfxmatte tab in the sidebars of the clip editor and of the compositor."""

from __future__ import annotations

import contextlib
from typing import Any

import bpy

from .owner import NotOurs
from .place import Place, shot_folder
from .problem import Problem
from .run import Progress
from .session import session


class _Panel:
    bl_label = "vfxmatte"
    bl_region_type = "UI"
    bl_category = "vfxmatte"
    layout: Any

    def draw(self, context: Any) -> None:
        self.layout.use_property_split = True
        self.layout.use_property_decorate = False
        chosen = context.scene.vfxmatte
        _draw_plate(self.layout, chosen)
        _draw_trimaps(self.layout, chosen)
        _draw_controls(self.layout, chosen)
        _draw_output(self.layout, Place.of(context))
        _draw_run(self.layout)


class ClipEditorPanel(_Panel, bpy.types.Panel):  # type: ignore[misc]
    bl_idname = "VFXMATTE_PT_clip_editor"
    bl_space_type = "CLIP_EDITOR"


class CompositorPanel(_Panel, bpy.types.Panel):  # type: ignore[misc]
    bl_idname = "VFXMATTE_PT_compositor"
    bl_space_type = "NODE_EDITOR"

    @classmethod
    def poll(cls, context: Any) -> bool:
        return bool(context.space_data.tree_type == "CompositorNodeTree")


def _draw_plate(layout: Any, chosen: Any) -> None:
    box = layout.box()
    box.prop(chosen, "plate_kind", expand=True)
    box.prop(chosen, "clip" if chosen.plate_kind == "CLIP" else "image")
    box.prop(chosen, "frames")
    box.prop(chosen, "missing")
    box.prop(chosen, "colorspace_from")
    if chosen.colorspace_from == "NAME":
        box.prop(chosen, "colorspace")


def _draw_trimaps(layout: Any, chosen: Any) -> None:
    box = layout.box()
    box.prop(chosen, "trimap_source")
    box.prop(chosen, "subject")
    if chosen.trimap_source == "FOLDER":
        return
    box.prop(chosen, "mask")
    if chosen.trimap_source == "OUTLINE":
        column = box.column(align=True)
        column.prop(chosen, "inward_px")
        column.prop(chosen, "outward_px")
    else:
        box.operator("vfxmatte.add_layers")
    box.prop(chosen, "keyframes")
    row = box.row(align=True)
    row.operator("vfxmatte.add_keyframe")
    row.operator("vfxmatte.mask_keys")
    box.operator("vfxmatte.trimaps")


def _draw_controls(layout: Any, chosen: Any) -> None:
    box = layout.box()
    for name in ("garbage", "core", "clean_plate"):
        box.prop(chosen, name)


def _draw_output(layout: Any, place: Place) -> None:
    box = layout.box()
    box.prop(place.scene.vfxmatte, "folder")
    with contextlib.suppress(Problem):  # what is not chosen yet is reported by Run
        folder = shot_folder(place)
        _draw_text(box, folder.path.relative_to(folder.base).as_posix(), "FILE_FOLDER")
    box.prop(place.scene.vfxmatte, "foreground")
    box.prop(place.scene.vfxmatte, "wire")


def _draw_run(layout: Any) -> None:
    progress = None if session.run is None else session.run.progress
    if progress is None or progress.is_over:
        row = layout.row(align=True)
        row.operator("vfxmatte.run", icon="PLAY")
        row.operator("vfxmatte.load")
    else:
        layout.progress(factor=progress.share, text=_progress_text(progress))
        layout.operator("vfxmatte.cancel", icon="CANCEL")
    if session.problem is not None:
        _draw_problem(layout.box(), session.problem)
    elif session.message:
        _draw_text(layout, session.message, "CHECKMARK")
    if progress is not None:
        _draw_remarks(layout, progress)


def _progress_text(progress: Progress) -> str:
    words = {"starting": "Starting the engine", "cancelling": "Cancelling"}
    if progress.fit is not None and progress.state == "running":
        return "Fitting to the shot: step {} of {}".format(*progress.fit)
    return words.get(progress.state, f"{progress.done} of {progress.count} frames")


def _draw_problem(box: Any, problem: Problem) -> None:
    box.alert = True
    _draw_text(box, problem.what, "ERROR")
    _draw_text(box, problem.hint, "BLANK1")
    if isinstance(problem, NotOurs):
        box.operator("vfxmatte.take_over")


def _draw_remarks(layout: Any, progress: Progress) -> None:
    for number, message in sorted(progress.failed.items())[:3]:
        _draw_text(layout, f"Frame {session.scene_frame(number)}: {message}", "ERROR")
    for note in progress.notes[-3:]:
        _draw_text(layout, note, "INFO")
    if progress.suggested is not None:
        frame = session.scene_frame(progress.suggested)
        _draw_text(layout, f"Another keyframe would help most on frame {frame}", "INFO")


def _draw_text(layout: Any, text: str, icon: str) -> None:
    """Draw text as one label per line; the first has the icon."""
    for at, line in enumerate(_lines(text)):
        layout.label(text=line, icon="BLANK1" if at else icon)


def _lines(text: str, width: int = 48) -> list[str]:
    """Wrap text for labels, which do not wrap; words longer than a line stay whole."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


PANELS = (ClipEditorPanel, CompositorPanel)
