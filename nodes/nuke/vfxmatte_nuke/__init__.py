"""The VfxMatte node inside Nuke: standard library only, Python 3.9 syntax.

`host` holds every call into Nuke; everything else can be tested without it.
"""
