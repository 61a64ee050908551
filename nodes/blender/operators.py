# mypy: disable-error-code="valid-type, misc"
"""The buttons. Each reports a Problem in Blender's own way and leaves it in the panel."""

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
    """Do it and report what it says, or the Problem."""
    try:
        with problems():
            said = action()
    except Problem as problem:
        session.problem = problem
        operator.report({"ERROR"}, str(problem))
        return {"CANCELLED"}
    session.problem = None
    if said:
        session.message = said
        operator.report({"INFO"}, said)
    return {"FINISHED"}


class RunShot(bpy.types.Operator):
    """Draw the trimaps and matte the plate; finished frames are kept"""

    bl_idname = "vfxmatte.run"
    bl_label = "Run"

    wait: BoolProperty(
        name="Wait",
        description="Come back when the run is over: for scripts without a window",
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
    """Stop the run; finished frames stay, and the next run goes on from there"""

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
    """Draw the masks and write the trimaps, to look at them before a run"""

    bl_idname = "vfxmatte.trimaps"
    bl_label = "Make Trimaps"

    def execute(self, context: Any) -> set[str]:
        return _attempt(self, lambda: self._make(Place.of(context)))

    def _make(self, place: Place) -> str:
        return sessions.write_trimaps(place, plate(place))


class LoadMattes(bpy.types.Operator):
    """Load the mattes on disk and cut the plate out with them in the compositor"""

    bl_idname = "vfxmatte.load"
    bl_label = "Load Mattes"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        return _attempt(self, lambda: self._load(Place.of(context)))

    def _load(self, place: Place) -> str:
        return load(Target.of(place, plate(place)))


class TakeOver(bpy.types.Operator):
    """Let this file replace the results in the folder, whoever's they are"""

    bl_idname = "vfxmatte.take_over"
    bl_label = "Take Over"

    def execute(self, context: Any) -> set[str]:
        return _attempt(self, lambda: sessions.take_over(Place.of(context)))

    def invoke(self, context: Any, event: Any) -> set[str]:
        answer: set[str] = context.window_manager.invoke_confirm(self, event)
        return answer


class AddKeyframe(bpy.types.Operator):
    """Make a trimap on the frame that is shown"""

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
        found = sessions.mask_keys(place, plate(place))
        place.scene.vfxmatte.keyframes = frames_text(found)
        return ""


class AddLayers(bpy.types.Operator):
    """Give the mask the layers foreground and unknown"""

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
    """Ask the vfxmatte program that is named here for its version, and remember it"""

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
