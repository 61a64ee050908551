"""Renders foreground elements and moving shots with exact alpha, with Blender as a Python module.

Importing this package needs no Blender: `bpy` is imported only by the process that renders (see
`training.render.blender`), so that the command line, the seeds and the tests work everywhere.
"""
