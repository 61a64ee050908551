"""Rendering of foreground elements and moving shots with exact alpha, by Blender as a module.

Importing this package needs no Blender: `bpy` is imported only by the process that renders (see
`training.render.blender`), so that the command line, the seeds and the tests work everywhere.
"""
