"""Meshes from NumPy arrays, soft bodies merged from ellipsoids, and arrays from meshes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.render.shader_tree import Vec3
from training.render.strands import Array

Faces = NDArray[np.int64]


@dataclass(frozen=True)
class Blob:
    """An ellipsoid: centre, half axes in metres, and rotation (Euler XYZ, radians)."""

    centre: Vec3
    radii: Vec3
    turn: Vec3 = (0.0, 0.0, 0.0)


def add_mesh(
    name: str, vertices: Array, faces: Faces, material: Any, tint: Array | None = None
) -> Any:
    """Create a smooth-shaded object: vertices (V, 3), faces (F, K), a linear colour per vertex."""
    import bpy

    mesh = bpy.data.meshes.new(name)
    count, corners = faces.shape
    mesh.vertices.add(len(vertices))
    mesh.loops.add(count * corners)
    mesh.polygons.add(count)
    mesh.vertices.foreach_set("co", vertices.astype(np.float32).ravel())
    mesh.loops.foreach_set("vertex_index", faces.astype(np.int32).ravel())
    mesh.polygons.foreach_set("loop_start", np.arange(0, count * corners, corners, dtype=np.int32))
    mesh.update(calc_edges=True)
    mesh.polygons.foreach_set("use_smooth", np.ones(count, dtype=bool))
    mesh.materials.append(material)
    thing = bpy.data.objects.new(name, mesh)
    if tint is not None:
        fill_attribute(thing, "tint", tint, colour=True)
    return thing


def place_vertices(thing: Any, vertices: Array, travel: Array, fps: int) -> None:
    """Move a mesh's vertices to (V, 3); `travel` is each one's motion in a frame, for blur."""
    mesh = thing.data
    mesh.vertices.foreach_set("co", vertices.astype(np.float32).ravel())
    fill_attribute(thing, "velocity", travel * fps)
    mesh.update()
    mesh.update_tag()


def fill_attribute(thing: Any, name: str, values: Array, *, colour: bool = False) -> None:
    """Store a vector or a linear colour (V, 3) with each of a mesh's vertices."""
    kind, key = ("FLOAT_COLOR", "color") if colour else ("FLOAT_VECTOR", "vector")
    stored = np.concatenate([values, np.ones((len(values), 1))], axis=1) if colour else values
    attribute = thing.data.attributes.get(name) or thing.data.attributes.new(name, kind, "POINT")
    attribute.data.foreach_set(key, np.ascontiguousarray(stored, dtype=np.float32).ravel())


def sphere(segments: int = 32, rings: int = 20) -> tuple[Array, Faces]:
    """Create a unit sphere as vertices and quads (the poles are thin quads)."""
    phi = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    theta = np.linspace(1e-3, np.pi - 1e-3, rings)
    t, p = np.meshgrid(theta, phi, indexing="ij")
    vertices = np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], axis=-1)
    row, column = np.meshgrid(np.arange(rings - 1), np.arange(segments), indexing="ij")
    right = (column + 1) % segments
    below = (row + 1) * segments
    quads = [row * segments + column, below + column, below + right, row * segments + right]
    return vertices.reshape(-1, 3), np.stack(quads, axis=-1).reshape(-1, 4)


def grid(columns: int, rows: int) -> tuple[Array, Faces]:
    """Create a flat sheet over 0 to 1 in x and y: uv positions (V, 2) and quads."""
    v, u = np.meshgrid(np.linspace(0, 1, rows + 1), np.linspace(0, 1, columns + 1), indexing="ij")
    row, column = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    start = row * (columns + 1) + column
    quads = np.stack([start, start + 1, start + columns + 2, start + columns + 1], axis=-1)
    return np.stack([u, v], axis=-1).reshape(-1, 2), quads.reshape(-1, 4)


def rotation(turn: Vec3) -> Array:
    """Return the 3×3 matrix of an Euler XYZ rotation in radians."""
    from mathutils import Euler

    return np.array(Euler(turn, "XYZ").to_matrix(), dtype=float)


def melt(name: str, blobs: Sequence[Blob], material: Any, *, voxel_m: float, smooth: int) -> Any:
    """Join ellipsoids, remesh them at `voxel_m` and smooth them into one soft body."""
    import bpy

    unit_vertices, unit_faces = sphere()
    vertices = [(unit_vertices * b.radii) @ rotation(b.turn).T + b.centre for b in blobs]
    faces = [unit_faces + i * len(unit_vertices) for i in range(len(blobs))]
    raw = add_mesh(name, np.concatenate(vertices), np.concatenate(faces), material)
    bpy.context.scene.collection.objects.link(raw)
    remesh = raw.modifiers.new("remesh", "REMESH")
    remesh.mode, remesh.voxel_size, remesh.use_smooth_shade = "VOXEL", voxel_m, True
    soften = raw.modifiers.new("smooth", "SMOOTH")
    soften.factor, soften.iterations = 0.5, smooth
    evaluated = raw.evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh = bpy.data.meshes.new_from_object(evaluated)
    bpy.data.objects.remove(raw)
    mesh.polygons.foreach_set("use_smooth", np.ones(len(mesh.polygons), dtype=bool))
    return bpy.data.objects.new(name, mesh)


def surface_arrays(thing: Any) -> tuple[Array, Array, Faces]:
    """Read a mesh object's vertices (V, 3), vertex normals (V, 3) and triangles (T, 3)."""
    mesh = thing.data
    mesh.calc_loop_triangles()
    vertices = np.empty(len(mesh.vertices) * 3, dtype=np.float32)
    normals = np.empty_like(vertices)
    triangles = np.empty(len(mesh.loop_triangles) * 3, dtype=np.int32)
    mesh.vertices.foreach_get("co", vertices)
    mesh.vertices.foreach_get("normal", normals)
    mesh.loop_triangles.foreach_get("vertices", triangles)
    shape = (-1, 3)
    return (
        vertices.reshape(shape).astype(float),
        normals.reshape(shape).astype(float),
        triangles.reshape(shape).astype(np.int64),
    )
