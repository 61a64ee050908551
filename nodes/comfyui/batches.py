"""The tensor node: a batch of images and trimaps in, a batch of mattes out.

The tensors' pixels go to the engine's process as plain float32 buffers; nothing of vfxmatte is
imported into ComfyUI, and the engine's torch never meets ComfyUI's.
"""

from __future__ import annotations

import os
from collections import deque
from typing import Any

import numpy as np

from . import client, host

COLORSPACE = "sRGB - Texture"
"""ComfyUI's IMAGE is what a display shows: sRGB-encoded, 0 to 1."""

_BUILT_IN = "ocio://studio-config-latest"
_AHEAD = 2  # images handed over before the first is done


def run(*, image: Any, trimap: Any, device: str = "auto", mode: str = "exact") -> tuple[Any]:
    """Matte a batch.

    image: (B, H, W, C) float tensor, C 3 or 4, sRGB-encoded; the fourth channel is not used.
    trimap: (B, H, W), (1, H, W) or (H, W) float tensor: 0 background, 0.5 unknown, 1 foreground.
    Returns ((B, H, W) float32 tensor on the CPU, 0 to 1,). Raises RuntimeError in plain words.
    """
    import torch

    pictures = checked_images(image)
    trimaps = checked_trimaps(trimap, pictures)
    mattes = np.empty(tuple(pictures.shape[:3]), np.float32)
    options = {
        "device": device,
        "mode": mode,
        "ocio": _BUILT_IN if os.environ.get("OCIO") else None,
    }
    _solve(client.engine(), pictures, trimaps, mattes, options)
    return (torch.from_numpy(mattes),)


def checked_images(image: Any) -> Any:
    """The batch's colour, (B, H, W, 3); raises RuntimeError."""
    shape = tuple(image.shape)
    if len(shape) != 4:
        raise RuntimeError(f"image must be a batch (B, H, W, C), found {shape}")
    if 0 in shape[:3]:
        raise RuntimeError(f"the batch has no pixels: image is {shape}")
    if shape[3] not in (3, 4):
        raise RuntimeError(f"image must have 3 or 4 channels, found {shape[3]}")
    return image[..., :3]


def checked_trimaps(trimap: Any, images: Any) -> Any:
    """(B, H, W) or (1, H, W), fitting the images; raises RuntimeError."""
    if trimap.ndim == 2:
        trimap = trimap[None]
    if trimap.ndim != 3:
        raise RuntimeError(f"trimap must be a mask (B, H, W), found {tuple(trimap.shape)}")
    (count, height, width), found = tuple(images.shape[:3]), tuple(trimap.shape)
    if found[1:] != (height, width):
        raise RuntimeError(
            f"trimap is {found[2]}x{found[1]}, image is {width}x{height}; paint the trimap at the "
            "image's size (nothing is resized, because a resized trimap has other edges)"
        )
    if found[0] not in (1, count):
        raise RuntimeError(
            f"{found[0]} trimaps for {count} images: give one for each image, or one for all"
        )
    return trimap


def _solve(
    engine: Any, images: Any, trimaps: Any, mattes: np.ndarray, options: dict[str, Any]
) -> None:
    """Every image into its place in `mattes`, a few on their way at a time."""
    count, height, width = mattes.shape
    progress = host.Progress(count)
    waiting: deque[tuple[int, Any]] = deque()
    try:
        for number in range(count):
            job = engine.start_matte_pixels(
                image=_buffer(images[number]),
                trimap=_buffer(trimaps[number if len(trimaps) > 1 else 0]),
                width=width,
                height=height,
                colorspace=COLORSPACE,
                **options,
            )
            waiting.append((number, job))
            if len(waiting) >= _AHEAD:
                _take(waiting, mattes, progress)
        while waiting:
            _take(waiting, mattes, progress)
    finally:
        for _, job in waiting:
            job.cancel()


def _take(waiting: deque[tuple[int, Any]], mattes: np.ndarray, progress: host.Progress) -> None:
    number, job = waiting[0]
    try:
        pixels = host.wait_for(job)
    except client.command_module().EngineError as error:
        raise RuntimeError(f"image {number + 1} of {len(mattes)}: {error}") from error
    mattes[number] = np.frombuffer(pixels, np.float32).reshape(mattes.shape[1:])
    waiting.popleft()
    progress.show(number + 1, len(mattes))


def _buffer(tensor: Any) -> np.ndarray:
    """A tensor's values as contiguous float32 on the CPU, of whatever type and device it is."""
    return np.ascontiguousarray(tensor.detach().float().cpu().numpy())
