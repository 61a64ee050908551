"""Training of the matting network on foregrounds that the user owns.

The trainer, the compositing and the losses import only torch, numpy and opencv, because GPU
machines often lack EXR libraries; `vfxmatte-train pack` converts a library once.
"""
