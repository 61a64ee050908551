"""Training of the matting network on foregrounds that the user owns.

The trainer, the compositing and the losses import only torch, NumPy and OpenCV, because GPU
machines often lack EXR libraries; `vfxmatte-train pack` converts a library once.
"""
