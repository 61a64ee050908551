"""The add-on's whole life in a real Blender: run by test_blender.py with the Python that has bpy.

`blender_session.py JOB.json`: installs the extension, makes masks, runs the engine, renders the
composites and writes what it saw to `report` of the job. What is right is for the test to say.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import bpy
from blender_layout import StrictLayout, draw
from blender_stage import compositor, disc, fresh_scene, key, move_disc, render

MODULE = "bl_ext.user_default.vfxmatte"
SIZE = (64, 48)
RADIUS = 12.5  # the middle of the soft edge of the tiny shot's disc, see conftest.tiny_alpha


def centre(index: int) -> tuple[float, float]:
    """Of the tiny shot's disc, in px from the corner; pixel centres lie at halves."""
    return 26.5 + 2 * index, 24.5


def main(job: dict[str, str]) -> dict[str, Any]:
    work, shot = Path(job["work"]), Path(job["shot"])
    report: dict[str, Any] = {"install": install(Path(job["zip"]))}
    report["troubles"] = troubles(work, shot)
    bpy.ops.wm.save_as_mainfile(filepath=str(work / "hero.blend"))
    bpy.context.preferences.addons[MODULE].preferences.command = job["engine"]
    try:
        report["clip"] = clip(work, shot)
        report["image"] = image(work, shot)
        report["foreground"] = foreground(work)
        report["subjects"] = subjects(work, shot)
        report["controls"] = controls(work, shot)
        report["movie"] = movie(work, Path(job["movie"]))
        report["cancelled"] = cancelled(work)
        report["painted"] = painted(work)
        report["panels"] = panels()
        report["leftovers"] = leftovers()
    finally:
        session().client.shutdown()
    report["removed"] = remove()
    return report


def session() -> Any:
    return importlib.import_module(f"{MODULE}.session").session


def install(archive: Path) -> dict[str, Any]:
    done = bpy.ops.extensions.package_install_files(
        repo="user_default", filepath=str(archive), enable_on_install=True
    )
    heavy = ("torch", "cv2", "OpenEXR", "vfxmatte")
    return {
        "done": sorted(done),
        "enabled": MODULE in bpy.context.preferences.addons,
        "panels": [name for name in dir(bpy.types) if name.startswith("VFXMATTE_PT")],
        "heavy": [name for name in heavy if name in sys.modules],
    }


def attempt(operator: Any, **options: Any) -> str:
    """What the operator complains about, or nothing."""
    try:
        operator(**options)
    except RuntimeError as error:
        return str(error)
    return ""


def troubles(work: Path, shot: Path) -> dict[str, str]:
    """The errors that an artist sees when something is missing."""
    scene = fresh_scene("troubles", *SIZE)
    chosen, outcomes = scene.vfxmatte, {}
    outcomes["no plate"] = attempt(bpy.ops.vfxmatte.run, wait=True)
    chosen.clip = bpy.data.movieclips.load(str(shot / "plate" / "plate.1001.exr"))
    outcomes["no mask"] = attempt(bpy.ops.vfxmatte.run, wait=True)
    chosen.mask = bpy.data.masks.new("still")
    disc(chosen.mask.layers.new(name="outline"), SIZE, centre(0), RADIUS)
    chosen.folder = "//here/"
    chosen.keyframes = "1"
    outcomes["not saved"] = attempt(bpy.ops.vfxmatte.trimaps)
    chosen.folder = str(work / "troubles")
    chosen.keyframes = ""
    outcomes["no keys"] = attempt(bpy.ops.vfxmatte.trimaps)
    chosen.keyframes = "2, 4"
    outcomes["no keys to take"] = attempt(bpy.ops.vfxmatte.mask_keys) + chosen.keyframes
    chosen.keyframes = "1, six"
    outcomes["no number"] = attempt(bpy.ops.vfxmatte.trimaps)
    chosen.keyframes = "6"
    outcomes["not on the plate"] = attempt(bpy.ops.vfxmatte.trimaps)
    chosen.keyframes, chosen.trimap_source = "1", "LAYERS"
    outcomes["no layers"] = attempt(bpy.ops.vfxmatte.trimaps)
    chosen.trimap_source = "FOLDER"
    outcomes["no painted"] = attempt(bpy.ops.vfxmatte.trimaps)
    outcomes["no mattes"] = attempt(bpy.ops.vfxmatte.load)
    chosen.trimap_source = "OUTLINE"
    bpy.context.preferences.addons[MODULE].preferences.command = str(work / "no such engine")
    outcomes["no engine"] = attempt(bpy.ops.vfxmatte.run, wait=True)
    return outcomes


def clip(work: Path, shot: Path) -> dict[str, Any]:
    """A movie clip and one moving outline; then the same mattes with the clip moved in time."""
    scene = fresh_scene("clip", *SIZE)
    chosen = scene.vfxmatte
    chosen.clip = bpy.data.movieclips.load(str(shot / "plate" / "plate.1001.exr"))
    chosen.clip.name = "hero_1001.exr"
    chosen.mask = bpy.data.masks.new("roto")
    layer = chosen.mask.layers.new(name="outline")
    disc(layer, SIZE, centre(0), RADIUS)
    for frame in (1, 5):
        scene.frame_set(frame)
        move_disc(layer, SIZE, centre(frame - 1), RADIUS)
        key(scene, chosen.mask, frame)
    chosen.inward_px = chosen.outward_px = 3
    chosen.folder = str(work / "clip")
    scene.frame_set(3)
    bpy.ops.vfxmatte.add_keyframe()
    added = chosen.keyframes
    bpy.ops.vfxmatte.mask_keys()
    trouble = attempt(bpy.ops.vfxmatte.run, wait=True)
    stayed = scene.frame_current
    render(scene, 1, 5, work / "clip" / "render")
    chosen.clip.frame_start, chosen.clip.frame_offset = 21, 1
    bpy.ops.vfxmatte.load()
    render(scene, 21, 24, work / "clip" / "moved")
    tree = compositor(scene)
    return {
        "trouble": trouble,
        "added": added,
        "keyframes": chosen.keyframes,
        "scene frame": stayed,
        "message": session().message,
        "state": session().run.progress.state,
        "done": session().run.progress.done,
        "nodes": sorted(node.bl_idname for node in tree.nodes),
        "matte": matte_facts("hero_1001.exr roto matte"),
    }


def matte_facts(name: str) -> dict[str, Any]:
    image = bpy.data.images[name]
    return {"source": image.source, "colorspace": image.colorspace_settings.name}


def image(work: Path, shot: Path) -> dict[str, Any]:
    """An Image node that the artist has put there, and two mask layers, made by the button."""
    scene = fresh_scene("image", *SIZE)
    tree = compositor(scene)
    block = bpy.data.images.load(str(shot / "plate" / "plate.1001.exr"))
    block.source = "SEQUENCE"
    node = tree.nodes.new("CompositorNodeImage")
    node.image = block
    node.frame_start, node.frame_offset, node.frame_duration = 101, 1000, 5
    chosen = scene.vfxmatte
    chosen.plate_kind, chosen.image, chosen.trimap_source = "IMAGE", block, "LAYERS"
    chosen.mask = bpy.data.masks.new("layers")
    bpy.ops.vfxmatte.add_layers()
    disc(chosen.mask.layers["foreground"], SIZE, centre(0), RADIUS - 4)
    disc(chosen.mask.layers["unknown"], SIZE, centre(0), RADIUS + 4)
    chosen.keyframes, chosen.folder = "101", str(work / "image")
    chosen.frames, scene.frame_start, scene.frame_end = "SCENE", 102, 300
    trouble = attempt(bpy.ops.vfxmatte.run, wait=True)
    render(scene, 102, 105, work / "image" / "render")
    return {
        "trouble": trouble,
        "layers": [layer.name for layer in chosen.mask.layers],
        "nodes": sorted(node.bl_idname for node in tree.nodes),
        "message": session().message,
    }


def movie(work: Path, path: Path) -> dict[str, Any]:
    """A movie, whose frames count from 1, with a keyframe on its second."""
    scene = fresh_scene("movie", *SIZE)
    chosen = scene.vfxmatte
    chosen.clip = bpy.data.movieclips.load(str(path))
    chosen.clip.frame_start = 11
    chosen.mask = bpy.data.masks.new("movie")
    disc(chosen.mask.layers.new(name="outline"), SIZE, centre(1), RADIUS)
    chosen.keyframes, chosen.inward_px, chosen.outward_px = "12", 3, 3
    chosen.folder = str(work / "movie")
    trouble = attempt(bpy.ops.vfxmatte.run, wait=True)
    render(scene, 11, 15, work / "movie" / "render")
    return {"trouble": trouble, "duration": chosen.clip.frame_duration}


def controls(work: Path, shot: Path) -> dict[str, Any]:
    """A garbage mask that moves, a core mask that does not, and a clean plate."""
    scene = fresh_scene("controls", *SIZE)
    chosen = scene.vfxmatte
    chosen.clip = bpy.data.movieclips.load(str(shot / "plate" / "plate.1001.exr"))
    chosen.clip.name = "kept in"
    chosen.mask = bpy.data.masks["still"]
    chosen.keyframes, chosen.inward_px, chosen.outward_px = "1", 3, 3
    chosen.folder = str(work / "controls")
    chosen.garbage, chosen.core = bpy.data.masks.new("garbage"), bpy.data.masks.new("core")
    keeping, solid = (mask.layers.new(name="outline") for mask in (chosen.garbage, chosen.core))
    empty = attempt(bpy.ops.vfxmatte.run, wait=True)
    disc(keeping, SIZE, (10.0, 24.0), 20.0)
    for frame in (1, 5):
        scene.frame_set(frame)
        move_disc(keeping, SIZE, (10.0 + frame, 24.0), 20.0)
        key(scene, chosen.garbage, frame)
    disc(solid, SIZE, (20.0, 24.0), 5.0)
    chosen.clean_plate = bpy.data.images.load(str(shot / "trimaps" / "trimap.1001.png"))
    troubles = [empty, attempt(bpy.ops.vfxmatte.run, wait=True)]
    chosen.clean_plate = bpy.data.images.load(str(shot / "plate" / "plate.1005.exr"))
    troubles.append(attempt(bpy.ops.vfxmatte.run, wait=True))
    bpy.data.masks.remove(chosen.garbage)
    bpy.data.masks.remove(chosen.core)
    return {"troubles": troubles, "message": session().message}


def cancelled(work: Path) -> dict[str, Any]:
    """A run that does not wait, cancelled at once, and gone on with."""
    scene = bpy.data.scenes["movie"]
    bpy.context.window.scene = scene
    scene.vfxmatte.folder = str(work / "cancelled")
    poll = importlib.import_module(f"{MODULE}.session").poll
    offered = [bpy.ops.vfxmatte.cancel.poll()]
    bpy.ops.vfxmatte.run()
    offered.append(bpy.ops.vfxmatte.cancel.poll())
    outcomes = {"timer": bpy.app.timers.is_registered(poll), "polls again": poll() is not None}
    second = attempt(bpy.ops.vfxmatte.run)
    bpy.ops.vfxmatte.cancel()
    session().run.wait()
    outcomes |= {"offered": offered, "second": second, "polls after": poll() is not None}
    outcomes |= {"state": session().run.progress.state, "message": session().message}
    outcomes["trouble"] = attempt(bpy.ops.vfxmatte.run)
    bpy.context.window.scene = bpy.data.scenes["troubles"]  # the artist looks elsewhere meanwhile
    session().run.wait()
    poll()
    matte = next(n for n in compositor(scene).nodes if n.label.endswith(" matte"))
    shown = Path(bpy.path.abspath(matte.image.filepath))
    outcomes["loaded"] = shown.is_relative_to(work / "cancelled")
    outcomes["elsewhere"] = getattr(bpy.context.scene, "compositing_node_group", None) is not None
    return outcomes | {"then": session().run.progress.state}


def painted(work: Path) -> dict[str, str]:
    """Other keyframes, after somebody has painted in a trimap."""
    scene = bpy.data.scenes["clip"]
    bpy.context.window.scene = scene
    scene.vfxmatte.clip.frame_start, scene.vfxmatte.clip.frame_offset = 1, 0
    trimaps = work / "clip" / "hero" / "clip" / "hero_1001.exr" / "roto" / "trimaps"
    by_hand = bpy.data.images.load(str(trimaps / "trimap.1001.png"))
    by_hand.pixels[0] = 1.0
    by_hand.save()
    scene.vfxmatte.keyframes = "1 3"
    return {"trouble": attempt(bpy.ops.vfxmatte.trimaps), "message": session().message}


def subjects(work: Path, shot: Path) -> dict[str, Any]:
    """Two masks as two subjects of one plate, each run by itself; then both, as if painted."""
    scene = fresh_scene("subjects", *SIZE)
    chosen = scene.vfxmatte
    chosen.clip = bpy.data.movieclips.load(str(shot / "plate" / "plate.1001.exr"))
    chosen.clip.name = "pair"
    chosen.folder, chosen.keyframes = str(work / "subjects"), "1"
    chosen.inward_px = chosen.outward_px = 3
    trouble = []
    for name, at in (("hero", centre(0)), ("wall", (60.0, 24.0))):
        chosen.mask = bpy.data.masks.new(name)
        disc(chosen.mask.layers.new(name="outline"), SIZE, at, RADIUS)
        chosen.subject = name
        trouble.append(attempt(bpy.ops.vfxmatte.run, wait=True))
    alone = session().message
    own = work / "subjects" / "hero" / "subjects" / "pair" / "painted trimaps"
    flat = own / "trimaps" / "trimap.1003.png"
    flat.touch()
    trouble.append(attempt(bpy.ops.vfxmatte.run, wait=True))
    flat.unlink()
    chosen.trimap_source, chosen.subject = "FOLDER", "dog"
    trouble.append(attempt(bpy.ops.vfxmatte.run, wait=True))
    chosen.subject = ""
    trouble.append(attempt(bpy.ops.vfxmatte.run, wait=True))
    render(scene, 1, 5, work / "subjects" / "render")
    images = [
        node.image for node in compositor(scene).nodes if node.get("vfxmatte", "")[:5] == "matte"
    ]
    folders = [Path(bpy.path.abspath(image.filepath)).parent.name for image in images]
    return {
        "trouble": trouble,
        "alone": alone,
        "message": session().message,
        "kept": session().run.progress.done,
        "loaded": sorted(folders),
    }


def foreground(work: Path) -> dict[str, str]:
    """The image's shot once more with its foreground's colour, over a flat colour by hand."""
    scene, before = bpy.data.scenes["image"], bpy.context.window.scene
    bpy.context.window.scene = scene
    scene.vfxmatte.foreground = True
    trouble = attempt(bpy.ops.vfxmatte.run, wait=True)
    render(scene, 102, 105, work / "image" / "foreground")
    scene.vfxmatte.foreground = False
    bpy.ops.vfxmatte.load()
    render(scene, 102, 102, work / "image" / "again")
    bpy.context.window.scene = before
    return {"trouble": trouble, "message": session().message}


def panels() -> dict[str, Any]:
    """What the panels say before a run, during one, and after it has failed."""
    run = importlib.import_module(f"{MODULE}.run")
    problem = importlib.import_module(f"{MODULE}.problem").Problem
    kind, chosen, held = bpy.types.VFXMATTE_PT_clip_editor, bpy.context.scene.vfxmatte, session()
    texts = {}
    for source in ("OUTLINE", "LAYERS", "FOLDER"):
        chosen.trimap_source = source
        texts[source] = draw(kind)
    chosen.colorspace_from, chosen.plate_kind = "NAME", "IMAGE"
    texts["named"] = draw(bpy.types.VFXMATTE_PT_compositor)
    before, held.run = held.run, run.Run(lambda progress: None)
    held.run._progress = run.Progress(state="running", done=3, count=12)
    texts["running"] = draw(kind)
    failed, held.problem = {7: "the plate is torn"}, problem("No GPU memory", "Close the others")
    held.run._progress = run.Progress(state="failed", failed=failed, notes=("slow",), suggested=9)
    texts["failed"] = draw(kind)
    held.run, held.problem = before, None
    texts["preferences"] = draw(type(bpy.context.preferences.addons[MODULE].preferences))
    return {"texts": texts, "strict": strictness()}


def strictness() -> list[str]:
    """That the layout which the panels are drawn with refuses what Blender would refuse."""
    wrong = (
        lambda layout: layout.lable(text="x"),
        lambda layout: layout.label(txt="x"),
        lambda layout: layout.label(text="x", icon="NO_SUCH"),
        lambda layout: layout.prop(bpy.context.scene.vfxmatte, "keyframe"),
        lambda layout: layout.operator("vfxmatte.runn"),
    )
    refused = []
    for call in wrong:
        try:
            call(StrictLayout())
        except (AttributeError, TypeError, KeyError) as error:
            refused.append(type(error).__name__)
    return refused


def leftovers() -> dict[str, list[str]]:
    """Datablocks that nobody but the add-on can have made for a while."""
    kinds = {"scenes": bpy.data.scenes, "masks": bpy.data.masks}
    return {name: sorted(block.name for block in blocks) for name, blocks in kinds.items()}


def remove() -> dict[str, Any]:
    bpy.ops.preferences.addon_disable(module=MODULE)
    poll = importlib.import_module(f"{MODULE}.session").poll
    return {
        "settings": hasattr(bpy.types.Scene, "vfxmatte"),
        "panels": [name for name in dir(bpy.types) if name.startswith("VFXMATTE_PT")],
        "timer": bpy.app.timers.is_registered(poll),
    }


if __name__ == "__main__":
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(job["report"]).write_text(json.dumps(main(job)), encoding="utf-8")
