"""Projects in a real Blender: several files, scenes and masks on one clip, moved and renamed.

`blender_projects.py JOB.json`: run by test_blender_projects.py with the Python that has bpy; writes
what it saw to `report` of the job. What is right is for the test to say.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
from blender_layout import draw
from blender_session import MODULE, RADIUS, SIZE, attempt, centre, install, session
from blender_stage import compositor, disc, fresh_scene, render

ODD_MASK = 'hair: left/right "wisp" \U0001f600'


def main(job: dict[str, str]) -> dict[str, Any]:
    work = Path(job["work"])
    install(Path(job["zip"]))
    bpy.context.preferences.addons[MODULE].preferences.command = f' "{job["engine"]}" '
    report: dict[str, Any] = {}
    steps = (one_clip, other_file, renamed, moved, elsewhere, foreign, unwritable, paths)
    try:
        for step in (*steps, missing, unsaved, undone, linked):
            report[step.__name__] = seen(step, work)
    finally:
        session().client.shutdown()
    return report


def seen(step: Callable[[Path], dict[str, Any]], work: Path) -> dict[str, Any]:
    """What a step saw, or where it broke off: the others go on."""
    try:
        return step(work)
    except Exception:
        return {"broke off": traceback.format_exc()}


def digests(folder: Path) -> dict[str, str]:
    """Every matte below a folder, by its path in it."""
    found = sorted(folder.rglob("matte.*.exr"))
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in found
    }


def save(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(path))


def outline(name: str, radius: float = RADIUS) -> Any:
    mask = bpy.data.masks.new(name)
    disc(mask.layers.new(name="outline"), SIZE, centre(0), radius)
    return mask


def stage(name: str, plate: Path, mask: Any) -> Any:
    """A scene of its own with the panel filled in; results go where they usually do."""
    scene = fresh_scene(name, *SIZE)
    chosen = scene.vfxmatte
    chosen.clip = bpy.data.movieclips.load(str(plate), check_existing=True)
    if bpy.data.filepath:  # as Blender's file browser does
        chosen.clip.filepath = bpy.path.relpath(str(plate))
    chosen.mask, chosen.keyframes = mask, "1"
    chosen.inward_px = chosen.outward_px = 3
    return scene


def run() -> str:
    return attempt(bpy.ops.vfxmatte.run, wait=True)


def nodes_in(scene: Any) -> int:
    """How many nodes the scene's compositor has; makes none."""
    if hasattr(scene, "compositing_node_group"):  # from Blender 5.0 on
        tree = scene.compositing_node_group
    else:
        tree = scene.node_tree if scene.use_nodes else None
    return 0 if tree is None else len(tree.nodes)


def show(name: str) -> Any:
    bpy.context.window.scene = bpy.data.scenes[name]
    return bpy.context.window.scene


def one_clip(work: Path) -> dict[str, Any]:
    """Two masks in one scene and one of them in another scene, all on one clip."""
    save(work / "project" / "shot_v001.blend")
    plate = work / "project" / "plate" / "plate.1001.exr"
    small, large = outline("roto", RADIUS - 2), outline(ODD_MASK, RADIUS)
    first = stage("main", plate, small)
    outcomes = [run()]
    before = digests(work / "project")
    first.vfxmatte.mask = large
    outcomes.append(run())
    second = stage("CON", plate, small)
    second.vfxmatte.inward_px = 2
    outcomes.append(run())
    save(work / "project" / "shot_v001.blend")
    labels = [n.label for n in compositor(first).nodes if n.label.endswith("matte")]
    places = [tuple(node.location) for node in compositor(first).nodes]
    return {
        "outcomes": outcomes,
        "before": before,
        "after": digests(work / "project"),
        "images": sorted(i.filepath for i in bpy.data.images if i.source == "SEQUENCE"),
        "labels": sorted(labels),
        "overlapping": len(places) - len(set(places)),
        "panel": draw(bpy.types.VFXMATTE_PT_clip_editor),
    }


def other_file(work: Path) -> dict[str, Any]:
    """The same scene and mask from a file that was saved under another name, in the same folder."""
    save(work / "project" / "shot_v002.blend")
    show("main").vfxmatte.mask = bpy.data.masks["roto"]
    outcomes = {"none yet": attempt(bpy.ops.vfxmatte.load)}
    bpy.context.scene.vfxmatte.outward_px = 5
    return {**outcomes, "run": run(), "after": digests(work / "project")}


def renamed(work: Path) -> dict[str, Any]:
    """A mask that is renamed after its run, in the first file again."""
    bpy.ops.wm.open_mainfile(filepath=str(work / "project" / "shot_v001.blend"))
    scene = show("main")
    scene.vfxmatte.mask = mask = bpy.data.masks["roto"]
    mask.name = "body"
    outcomes = {"load": attempt(bpy.ops.vfxmatte.load), "run": run()}
    outcomes["after"] = digests(work / "project")
    body, small = mask, bpy.data.masks[ODD_MASK]
    body.name, small.name = "elsewhere", "body"
    scene.vfxmatte.mask = small
    outcomes["another mask"] = run()
    body.name, small.name = "", ODD_MASK
    body.name, scene.vfxmatte.mask = "body", body
    del body["vfxmatte_id"]  # as undo does
    outcomes["no id"] = run()
    copy = body.copy()  # with the id of the mask that it is a copy of
    scene.vfxmatte.mask = copy
    outcomes["copy"] = [run(), copy["vfxmatte_id"] != body["vfxmatte_id"]]
    scene.vfxmatte.mask = body
    outcomes["original"] = run()
    return outcomes


def moved(work: Path) -> dict[str, Any]:
    """The whole project somewhere else: mattes are found, loaded, rendered and kept."""
    there = work / "archive" / "project"
    there.parent.mkdir()
    shutil.move(work / "project", there)
    bpy.ops.wm.open_mainfile(filepath=str(there / "shot_v001.blend"))
    scene = show("main")
    scene.vfxmatte.mask = bpy.data.masks[ODD_MASK]
    images = [i for i in bpy.data.images if i.source == "SEQUENCE"]
    found = [Path(bpy.path.abspath(image.filepath)).is_file() for image in images]
    render(scene, 1, 2, there / "render")
    before = {path: path.stat().st_mtime_ns for path in there.rglob("matte.*.exr")}
    outcomes = {"load": attempt(bpy.ops.vfxmatte.load), "run": run(), "message": session().message}
    after = {path: path.stat().st_mtime_ns for path in there.rglob("matte.*.exr")}
    count = len([i for i in bpy.data.images if i.source == "SEQUENCE"])
    return {**outcomes, "found": found, "kept": before == after, "images": [len(images), count]}


def elsewhere(work: Path) -> dict[str, Any]:
    """Results outside of the project, and a second project of the same names."""
    show("main").vfxmatte.folder = str(work / "farm")
    outcomes = {"run": run(), "mattes": digests(work / "farm")}
    save(work / "other" / "shot_v001.blend")
    return outcomes


def foreign(work: Path) -> dict[str, Any]:
    """That second project: nothing is overwritten or loaded before it is taken over."""
    outcomes = {
        "run": run(),
        "trimaps": attempt(bpy.ops.vfxmatte.trimaps),
        "load": attempt(bpy.ops.vfxmatte.load),
        "panel": draw(bpy.types.VFXMATTE_PT_clip_editor),
        "mattes": digests(work / "farm"),
    }
    session().problem = None  # as if another folder had been the trouble
    outcomes["unseen"] = attempt(bpy.ops.vfxmatte.take_over)
    outcomes["take over"] = attempt(bpy.ops.vfxmatte.take_over)
    outcomes["then"] = run()
    owner = next((work / "farm").rglob("owner.json"))
    owner.write_text("not whose it is", encoding="utf-8")
    outcomes["damaged"] = attempt(bpy.ops.vfxmatte.load)
    owner.unlink()
    outcomes["unknown"] = run()
    return outcomes


def unwritable(work: Path) -> dict[str, Any]:
    """Folders that cannot be written: a file in the way, a folder in /proc, one without rights."""
    chosen = bpy.context.scene.vfxmatte
    (work / "a file").write_text("in the way", encoding="utf-8")
    locked = work / "locked"
    locked.mkdir(mode=0o555)
    outcomes = {}
    for folder in (work / "a file", Path("/proc/vfxmatte"), locked):
        chosen.folder = str(folder)
        outcomes[folder.name] = [run(), attempt(bpy.ops.vfxmatte.trimaps)]
        outcomes[f"{folder.name}, panel"] = draw(bpy.types.VFXMATTE_PT_clip_editor)
    return outcomes


def paths(work: Path) -> dict[str, str]:
    """Folders as they are typed."""
    chosen, outcomes = bpy.context.scene.vfxmatte, {}
    for text in ("", "results", "~nobody here/x"):
        chosen.folder = text
        outcomes[text] = attempt(bpy.ops.vfxmatte.trimaps)
    shot_folder = importlib.import_module(f"{MODULE}.place").shot_folder
    place = importlib.import_module(f"{MODULE}.place").Place.of(bpy.context)
    for text in ("~/mattes", '"~/mattes"', " '//mattes/' ", '"//mattes"'):
        chosen.folder = text
        outcomes[text] = str(shot_folder(place).base)
    return outcomes


def missing(work: Path) -> dict[str, Any]:
    """A plate without its third file."""
    gap = work / "gap"
    shutil.copytree(work / "archive" / "project" / "plate", gap / "plate")
    (gap / "plate" / "plate.1003.exr").unlink()
    bpy.ops.wm.read_homefile(use_empty=True)
    save(gap / "gap.blend")
    scene = stage("gap", gap / "plate" / "plate.1001.exr", outline("roto"))
    outcomes: dict[str, Any] = {"stop": run(), "panel": draw(bpy.types.VFXMATTE_PT_clip_editor)}
    for choice in ("SKIP", "HOLD"):
        scene.vfxmatte.missing = choice
        outcomes[choice] = [run(), session().message, session().run.progress.notes]
        outcomes[f"{choice}, mattes"] = sorted(Path(name).name for name in digests(gap))
    return outcomes


def unsaved(work: Path) -> dict[str, Any]:
    """Files that were never saved, into one folder one after the other."""
    outcomes = []
    for radius in (RADIUS, RADIUS - 2):
        bpy.ops.wm.read_homefile(use_empty=True)
        plate = work / "archive" / "project" / "plate" / "plate.1001.exr"
        scene = stage("new", plate, outline("roto", radius))
        nowhere = run()
        scene.vfxmatte.folder = str(work / "unsaved")
        outcomes.append([nowhere, run(), digests(work / "unsaved")])
    return {"outcomes": outcomes}


def undone(work: Path) -> dict[str, Any]:
    """Undo and redo of Load Mattes; undo and a new name for the scene while a run goes on."""
    bpy.ops.wm.read_homefile(use_empty=True)
    save(work / "undo" / "undo.blend")
    plate = work / "archive" / "project" / "plate" / "plate.1001.exr"
    scene = stage("new", plate, outline("roto"))
    scene.vfxmatte.wire = False
    outcomes: dict[str, Any] = {"run": run()}
    bpy.ops.ed.undo_push(message="before")
    attempt(bpy.ops.vfxmatte.load)
    bpy.ops.ed.undo_push(message="loaded")
    bpy.ops.ed.undo()
    outcomes["undone"] = nodes_in(bpy.data.scenes["new"])
    bpy.ops.ed.redo()
    outcomes["redone"] = nodes_in(bpy.data.scenes["new"])
    outcomes["again"] = attempt(bpy.ops.vfxmatte.load)
    outcomes["nodes"] = nodes_in(bpy.data.scenes["new"])
    bpy.data.scenes["new"].vfxmatte.wire = True
    bpy.data.scenes["new"].vfxmatte.outward_px = 6
    bpy.ops.ed.undo_push(message="wired")
    bpy.ops.vfxmatte.run()
    bpy.data.masks.new("by mistake")
    bpy.ops.ed.undo_push(message="mistake")
    bpy.ops.ed.undo()
    bpy.data.scenes["new"].name = "newer"
    session().run.wait()
    importlib.import_module(f"{MODULE}.session").poll()
    outcomes["message"], outcomes["problem"] = session().message, str(session().problem)
    outcomes["scenes"] = sorted(
        path.name for path in (work / "undo" / "vfxmatte" / "undo").iterdir()
    )
    return outcomes


def linked(work: Path) -> dict[str, Any]:
    """A scene of a library, beside a scene of the file that has the same name."""
    library = work / "library" / "assets.blend"
    library.parent.mkdir()
    shutil.copytree(work / "archive" / "project" / "plate", library.parent / "plate")
    bpy.ops.wm.read_homefile(use_empty=True)
    save(library)
    stage("main", library.parent / "plate" / "plate.1001.exr", outline("roto"))
    save(library)
    bpy.ops.wm.read_homefile(use_empty=True)
    save(work / "uses" / "shot.blend")
    plate = work / "archive" / "project" / "plate" / "plate.1001.exr"
    stage("main", plate, outline("roto", RADIUS - 2))
    outcomes: dict[str, Any] = {"local": run()}
    with bpy.data.libraries.load(str(library), link=True) as (held, wanted):
        wanted.scenes = held.scenes
    scene = next(s for s in bpy.data.scenes if s.library is not None)
    bpy.context.window.scene = scene
    outcomes["linked"], outcomes["message"] = run(), session().message
    outcomes["load"] = attempt(bpy.ops.vfxmatte.load)
    outcomes["nodes"] = nodes_in(scene)
    outcomes["mattes"] = digests(work / "uses")
    outcomes["library"] = digests(library.parent)
    return outcomes


if __name__ == "__main__":
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(job["report"]).write_text(json.dumps(main(job)), encoding="utf-8")
