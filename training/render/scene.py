"""A Blender scene for Cycles: settings, camera, lights, world, animation, rendering of layers.

Everything here runs in a process that has `bpy`. Units are metres and radians; times are in
frames. Z is up and the camera looks along +Y by default.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from training.render.shader_tree import Colour, Tree, Vec3, coverage

Array = NDArray[np.float64]

FPS = 24
SHUTTER = 0.5

Layer = Literal["foreground", "background"]


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Size in pixels and samples per pixel of each pass."""

    width: int = 640
    height: int = 360
    foreground_samples: int = 9
    background_samples: int = 12
    alpha_samples: int = 56
    background_scale: float = 0.5
    """Scale that sets, which are out of focus, are rendered at before they are enlarged."""
    foreground_scale: float = 1.0
    """Scale of the shaded pass; below 1 the colour is softer than the alpha."""


@dataclass(kw_only=True)
class Stage:
    """A scene with a foreground and a background that are rendered separately."""

    scene: Any
    foreground: Any
    background: Any
    quality: Quality
    pose: Callable[[int], None] = field(default=lambda frame: None)
    """Moves the geometry for a frame number, before the frame is rendered."""
    posed: int | None = None
    """The frame that the geometry was moved for."""
    subjects: dict[str, list[Any]] = field(default_factory=dict)
    """The objects of each subject, at most three; {} for a shot with a single one."""
    casts_shadows: bool = False
    """Whether the foreground's shadows and reflections are seen in the background layer."""
    framed: bool = False
    """Whether the foreground is rendered only where its subject is in the picture: faster."""
    still_background: bool = False
    """Whether the background is the same on every frame."""
    opaque: bool = True
    """Whether every foreground surface is opaque, so that coverage alone gives the alpha; False for
    veils, glass and smoke, whose shaders must be sampled."""

    def put(self, thing: Any, layer: Layer = "foreground") -> Any:
        """Move an object into the layer's collection; returns the object."""
        for collection in list(thing.users_collection):
            collection.objects.unlink(thing)
        (self.foreground if layer == "foreground" else self.background).objects.link(thing)
        return thing


def new_stage(quality: Quality, *, threads: int = 1) -> Stage:
    """Create an empty scene with two collections, set up for Cycles on the CPU."""
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    _set_up_cycles(scene)
    _set_up_output(scene, quality, threads)
    stage = Stage(
        scene=scene,
        foreground=bpy.data.collections.new("foreground"),
        background=bpy.data.collections.new("background"),
        quality=quality,
    )
    scene.collection.children.link(stage.foreground)
    scene.collection.children.link(stage.background)
    return stage


def _set_up_cycles(scene: Any) -> None:
    scene.render.engine = "CYCLES"
    cycles = scene.cycles
    cycles.device = "CPU"
    cycles.use_adaptive_sampling = False
    cycles.denoiser, cycles.denoising_input_passes = "OPENIMAGEDENOISE", "RGB_ALBEDO_NORMAL"
    cycles.denoising_prefilter = "FAST"
    cycles.max_bounces, cycles.transparent_max_bounces = 5, 24
    cycles.diffuse_bounces, cycles.glossy_bounces, cycles.transmission_bounces = 2, 2, 4
    cycles.volume_bounces = 1
    cycles.sample_clamp_indirect = 8.0
    cycles.film_transparent_glass = True
    scene.cycles_curves.shape = "RIBBONS"


def _set_up_output(scene: Any, quality: Quality, threads: int) -> None:
    render = scene.render
    render.resolution_x, render.resolution_y = quality.width, quality.height
    render.resolution_percentage = 100
    render.fps = FPS
    render.threads_mode, render.threads = "FIXED", threads
    render.image_settings.file_format = "OPEN_EXR"
    render.image_settings.color_mode = "RGBA"
    render.image_settings.color_depth = "32"
    render.image_settings.exr_codec = "ZIP"
    render.use_persistent_data = False


def add_camera(stage: Stage, *, lens_mm: float, focus_m: float, fstop: float | None) -> Any:
    """Add a camera at the origin that looks along +Y; without `fstop` everything is sharp."""
    import bpy

    data = bpy.data.cameras.new("camera")
    data.lens, data.clip_end = lens_mm, 2000.0
    if fstop is not None:
        data.dof.use_dof = True
        data.dof.focus_distance, data.dof.aperture_fstop = focus_m, fstop
        data.dof.aperture_blades = 9
    camera = bpy.data.objects.new("camera", data)
    stage.scene.collection.objects.link(camera)
    stage.scene.camera = camera
    aim(camera, (0.0, 1.0, 0.0))
    return camera


def aim(thing: Any, target: Iterable[float]) -> None:
    """Rotate a camera or a light to point at `target`."""
    from mathutils import Vector

    direction = Vector(tuple(target)) - thing.location
    thing.rotation_euler = direction.to_track_quat("-Z", "Y").to_euler()


def add_area_light(
    stage: Stage,
    location: Vec3,
    target: Vec3,
    *,
    watts: float,
    colour: Colour,
    size_m: float,
    layer: Layer = "foreground",
) -> Any:
    """Add an area light that lights one layer only."""
    import bpy

    data = bpy.data.lights.new("area", "AREA")
    data.energy, data.color, data.size = watts, colour, size_m
    light = bpy.data.objects.new("area", data)
    light.location = location
    aim(light, target)
    return stage.put(light, layer)


def add_sun(stage: Stage, direction: Vec3, *, strength: float, colour: Colour, layer: Layer) -> Any:
    """Add a sun that shines along `direction` on one layer."""
    import bpy

    data = bpy.data.lights.new("sun", "SUN")
    data.energy, data.color, data.angle = strength, colour, 0.02
    light = bpy.data.objects.new("sun", data)
    aim(light, direction)
    return stage.put(light, layer)


def set_sky(
    stage: Stage, stops: list[tuple[float, Colour]], strength: float, *, clouds: float = 0.0
) -> Any:
    """Set a sky coloured by height: `stops` are (height 0 to 1, colour), 0.5 is the horizon.

    `clouds` is how much flat cloud banks brighten it, 0 for none.
    """

    sky = Tree.of_world("sky")
    stage.scene.world = sky.world
    # Cycles' own choice of resolution costs 4 s a pass, more than the pass itself
    sky.world.cycles.sampling_method, sky.world.cycles.sample_map_resolution = "MANUAL", 256
    direction = sky.add("TexCoord").outputs["Generated"]
    split = sky.add("SeparateXYZ", Vector=direction)
    height = sky.add("MapRange", Value=split.outputs["Z"])
    height.inputs["From Min"].default_value = -1.0
    colour = sky.ramp(height.outputs[0], stops)
    if clouds:
        colour = _with_clouds(sky, direction, colour, clouds)
    background = sky.add("Background", Color=colour, Strength=strength)
    sky.nodes.links.new(background.outputs[0], sky.add("OutputWorld").inputs["Surface"])
    return sky.world


def _with_clouds(sky: Any, direction: Any, colour: Any, amount: float) -> Any:
    flat = sky.add("Mapping", Vector=direction)
    flat.inputs["Scale"].default_value = (2.6, 2.6, 17.0)
    noise = sky.add("TexNoise", Vector=flat.outputs[0], Scale=1.7, Detail=9.0, Roughness=0.55)
    low, high = (0.75, 0.75, 0.8), (1 + 1.3 * amount, 1 + 1.0 * amount, 1 + 0.75 * amount)
    bands = sky.ramp(noise.outputs[0], [(0.42, low), (0.66, high)])
    return sky.multiply(colour, bands)


def animate(thing: Any, frames: Iterable[int], place: Callable[[float], None]) -> None:
    """Key an object's location and rotation on every frame: `place(frame)` must set them."""
    for frame in frames:
        place(float(frame))
        thing.keyframe_insert("location", frame=frame)
        thing.keyframe_insert("rotation_euler", frame=frame)


def render_layer(
    stage: Stage, layer: Layer, frame: int, path: Path, *, subject: str | None = None
) -> None:
    """Render one layer of one frame to `path`: float EXR, scene-linear, denoised.

    The foreground is premultiplied RGBA whose alpha is only a guide to its colour: `render_alpha`
    has the exact one.

    Args:
        subject: render this one alone, whole where others stand before it. None renders all.
    """
    scene, front = stage.scene, layer == "foreground"
    _show(stage, layer)
    scene.render.film_transparent = front
    scene.view_layers[0].material_override = None
    scene.cycles.use_denoising = True
    scene.cycles.max_bounces = 3
    for name, things in stage.subjects.items():
        for thing in things:
            thing.hide_render = subject not in (None, name)
    quality = stage.quality
    scene.cycles.samples = quality.foreground_samples if front else quality.background_samples
    _render(stage, frame, path, quality.foreground_scale if front else quality.background_scale)


def _show(stage: Stage, layer: Layer) -> None:
    """Show one layer to the camera; of the other one at most its shadows remain."""
    front = layer == "foreground"
    shadows = stage.casts_shadows and not front
    stage.foreground.hide_render = not (front or shadows)
    stage.background.hide_render = front
    if stage.casts_shadows:
        for thing in stage.foreground.objects:
            thing.hide_render = shadows and thing.type == "LIGHT"
            thing.visible_camera = front


def render_alpha(stage: Stage, frame: int, path: Path) -> None:
    """Render the foreground's coverage alone with many samples and no denoising: RGBA float EXR.

    Where everything is opaque, all surfaces are overridden with one flat emission, which makes a
    sample about ten times cheaper than a shaded one. Both passes see the same motion and defocus.
    Of several subjects the first one's visible coverage is in R, the second's in G, the third's in
    B; together they are A.
    """

    scene = stage.scene
    _show(stage, "foreground")
    scene.render.film_transparent = True
    scene.view_layers[0].material_override = coverage() if stage.opaque else None
    scene.cycles.use_denoising = False
    scene.cycles.max_bounces = 0 if stage.opaque else 4
    scene.cycles.samples = stage.quality.alpha_samples
    for index, things in enumerate(stage.subjects.values()):
        for thing in things:
            thing.hide_render = False
            thing.color = tuple(float(i in (index, 3)) for i in range(4))
    _render(stage, frame, path, 1.0)
    scene.view_layers[0].material_override = None


def _render(stage: Stage, frame: int, path: Path, scale: float) -> None:
    import bpy

    scene, quality = stage.scene, stage.quality
    front = bool(scene.render.film_transparent)
    still = stage.still_background and not front
    scene.render.resolution_x = round(quality.width * scale)
    scene.render.resolution_y = round(quality.height * scale)
    scene.cycles.seed = 0 if still else frame
    scene.render.use_motion_blur, scene.render.motion_blur_shutter = True, SHUTTER
    scene.frame_set(frame)
    if stage.posed != frame:
        stage.pose(frame)
        stage.posed = frame
    scene.render.use_border = stage.framed and front
    if scene.render.use_border:
        _frame_subject(stage)
    part = path.with_name(f"{path.stem}.part{os.getpid()}.exr")
    scene.render.filepath = str(part)
    bpy.ops.render.render(write_still=True)
    os.replace(part, path)


_FRAME_MARGIN = 0.06
"""Room around the subject for motion blur and defocus, as a share of the picture."""


def _frame_subject(stage: Stage) -> None:
    """Limit rendering to the part of the picture that has the subject."""
    scene, camera = stage.scene, stage.scene.camera
    points = np.concatenate([_points(thing) for thing in stage.foreground.objects])
    to_camera = np.array(camera.matrix_world.inverted())
    x, y, z = (points @ to_camera[:3, :3].T + to_camera[:3, 3]).T
    focal = camera.data.lens / camera.data.sensor_width
    ahead = np.maximum(-z, 0.05)
    across = 0.5 + focal * x / ahead
    up = 0.5 + focal * y / ahead * stage.quality.width / stage.quality.height
    for axis, share in (("x", across), ("y", up)):
        low, high = share.min() - _FRAME_MARGIN, share.max() + _FRAME_MARGIN
        setattr(scene.render, f"border_min_{axis}", float(np.clip(low, 0, 0.95)))
        setattr(scene.render, f"border_max_{axis}", float(np.clip(high, 0.05, 1)))


def _points(thing: Any) -> Array:
    """Return a mesh's vertices or a hair's points (N, 3) in the world; a light has none."""
    places = getattr(thing.data, "attributes", {}).get("position")
    if places is None:
        return np.empty((0, 3))
    points = np.empty(len(places.data) * 3, dtype=np.float32)
    places.data.foreach_get("vector", points)
    matrix = np.array(thing.matrix_world)
    world: Array = points.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]
    return world
