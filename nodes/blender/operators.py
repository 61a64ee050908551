# mypy: disable-error-code="valid-type, misc"
"""The buttons. Each reports a Problem as Blender does, and the panel shows it."""

from collections.abc import Callable
from typing import Any, ClassVar

import bpy
from bpy.props import BoolProperty

from . import session as sessions
from .frames import frames_text, parse_frames
from .paths import typed_path
from .place import Place, mask_block, plate
from .preferences import preferences
from .problem import Problem, problems
from .session import session
from .target import Target, load
from .trimaps import FOREGROUND_LAYER, UNKNOWN_LAYER


def _attempt(operator: Any, action: Callable[[], str]) -> set[str]:
    """Execute an action and report its summary, or its Problem."""
    try:
        with problems():
            summary = action()
    except Problem as problem:
        session.problem = problem
        operator.report({"ERROR"}, str(problem))
        return {"CANCELLED"}
    session.problem = None
    if summary:
        session.message = summary
        operator.report({"INFO"}, summary)
    return {"FINISHED"}


class RunShot(bpy.types.Operator):
    """Draw the trimaps and solve the mattes; finished frames are kept"""

    bl_idname = "vfxmatte.run"
    bl_label = "Run"

    wait: BoolProperty(
        name="Wait",
        description="Return when the run is over; for scripts without a window",
        options={"SKIP_SAVE"},
    )

    def execute(self, context: Any) -> set[str]:
        return _attempt(self, lambda: self._run(context))

    def _run(self, context: Any) -> str:
        run = sessions.start(Place.of(context))
        if self.wait:
            run.wait()
            sessions.poll()
            if session.problem is not None:
                raise session.problem
        return session.message


class CancelRun(bpy.types.Operator):
    """Stop the run; finished frames are kept, and the next run continues from there"""

    bl_idname = "vfxmatte.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: Any) -> bool:
        return session.run is not None and not session.run.progress.is_over

    def execute(self, context: Any) -> set[str]:
        if session.run is not None:
            session.run.cancel()
        return {"FINISHED"}


class MakeTrimaps(bpy.types.Operator):
    """Draw the masks and write the trimaps, to check them before a run"""

    bl_idname = "vfxmatte.trimaps"
    bl_label = "Make Trimaps"

    def execute(self, context: Any) -> set[str]:
        return _attempt(self, lambda: self._make(Place.of(context)))

    def _make(self, place: Place) -> str:
        return sessions.write_trimaps(place, plate(place))


class LoadMattes(bpy.types.Operator):
    """Load the mattes on disk and cut out the plate with them in the compositor"""

    bl_idname = "vfxmatte.load"
    bl_label = "Load Mattes"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        return _attempt(self, lambda: self._load(Place.of(context)))

    def _load(self, place: Place) -> str:
        return load(Target.of(place, plate(place)))


class TakeOver(bpy.types.Operator):
    """Make the results' folder this file's own; the next run replaces what is in it"""

    bl_idname = "vfxmatte.take_over"
    bl_label = "Take Over"

    def execute(self, context: Any) -> set[str]:
        return _attempt(self, lambda: sessions.take_over(Place.of(context)))

    def invoke(self, context: Any, event: Any) -> set[str]:
        answer: set[str] = context.window_manager.invoke_confirm(self, event)
        return answer


class AddKeyframe(bpy.types.Operator):
    """Add the current frame to the keyframes"""

    bl_idname = "vfxmatte.add_keyframe"
    bl_label = "Add Current Frame"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        return _attempt(self, lambda: self._add(context))

    def _add(self, context: Any) -> str:
        chosen = context.scene.vfxmatte
        frames = parse_frames(chosen.keyframes)
        chosen.keyframes = frames_text([*frames, context.scene.frame_current])
        return ""


class TakeMaskKeys(bpy.types.Operator):
    """Fill in the frames on which the mask is keyed"""

    bl_idname = "vfxmatte.mask_keys"
    bl_label = "From Mask Keys"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        return _attempt(self, lambda: self._take(Place.of(context)))

    def _take(self, place: Place) -> str:
        keys = sessions.mask_keys(place, plate(place))
        place.scene.vfxmatte.keyframes = frames_text(keys)
        return ""


class AddLayers(bpy.types.Operator):
    """Add the layers foreground and unknown to the mask"""

    bl_idname = "vfxmatte.add_layers"
    bl_label = "Add Trimap Layers"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        return _attempt(self, lambda: self._add(context))

    def _add(self, context: Any) -> str:
        mask = mask_block(Place.of(context))
        for name in (FOREGROUND_LAYER, UNKNOWN_LAYER):
            if not any(layer.name.lower().startswith(name) for layer in mask.layers):
                mask.layers.new(name=name)
        return ""


class TestEngine(bpy.types.Operator):
    """Ask the vfxmatte program for its version, and remember where it is"""

    bl_idname = "vfxmatte.test_engine"
    bl_label = "Test and Remember"

    def execute(self, context: Any) -> set[str]:
        sessions.test_engine(bpy.path.abspath(typed_path(preferences().command)))
        return {"FINISHED"}


OPERATORS = (
    RunShot,
    CancelRun,
    MakeTrimaps,
    LoadMattes,
    TakeOver,
    AddKeyframe,
    TakeMaskKeys,
    AddLayers,
    TestEngine,
)
