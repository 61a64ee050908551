"""The tensor node: a batch of images and trimaps in, a batch of mattes out.

Pixels go to the server's process as plain float32 buffers; the library is not imported here, so
that its torch never meets ComfyUI's.
"""

from __future__ import annotations

import os
from collections import deque
from typing import Any

import numpy as np

from . import client, host

COLORSPACE = "sRGB - Texture"
"""OpenColorIO name of ComfyUI's IMAGE: values for a display, sRGB-encoded, 0 to 1."""

_BUILT_IN = "ocio://studio-config-latest"
_AHEAD = 2  # jobs started before the first is waited for, so that the server is never idle


def run(
    *,
    image: Any,
    trimap: Any,
    device: str = "auto",
    mode: str = "exact",
    garbage: Any = None,
    core: Any = None,
) -> tuple[Any]:
    """Matte a batch.

    Args:
        image: (B, H, W, C) float tensor, C 3 or 4, sRGB-encoded; the fourth channel is not used.
        trimap: (B, H, W), (1, H, W) or (H, W) float tensor: 0 background, 0.5 unknown,
            1 foreground.
        device: auto, cuda or cpu.
        mode: exact or fast.
        garbage, core: tensors of the trimap's shapes, or None: alpha is 0 outside of the one and
            1 inside the other.

    Returns:
        A tuple of the mattes, a (B, H, W) float32 tensor on the CPU, 0 to 1.

    Raises:
        RuntimeError: shapes do not fit, or an image has no matte.
    """
    import torch

    pictures = checked_images(image)
    masks = {"trimap": checked_masks("trimap", trimap, pictures)}
    for name, mask in (("garbage", garbage), ("core", core)):
        if mask is not None:
            masks[name] = checked_masks(name, mask, pictures)
    mattes = np.empty(tuple(pictures.shape[:3]), np.float32)
    options = {
        "device": device,
        "mode": mode,
        "ocio": _BUILT_IN if os.environ.get("OCIO") else None,
    }
    _solve(client.package().shared_client(), pictures, masks, mattes, options)
    return (torch.from_numpy(mattes),)


def checked_images(image: Any) -> Any:
    """Return the batch's colour, (B, H, W, 3); raises RuntimeError."""
    shape = tuple(image.shape)
    if len(shape) != 4:
        raise RuntimeError(f"image must be a batch (B, H, W, C), found {shape}")
    if 0 in shape[:3]:
        raise RuntimeError(f"the batch has no pixels: image is {shape}")
    if shape[3] not in (3, 4):
        raise RuntimeError(f"image must have 3 or 4 channels, found {shape[3]}")
    return image[..., :3]


def checked_masks(name: str, mask: Any, images: Any) -> Any:
    """Return masks as (B, H, W) or (1, H, W); raises RuntimeError if they do not fit the images.

    Args:
        name: of the input, for messages.
        mask: (B, H, W), (1, H, W) or (H, W) tensor.
        images: (B, H, W, 3) tensor.
    """
    if mask.ndim == 2:
        mask = mask[None]
    if mask.ndim != 3:
        raise RuntimeError(f"{name} must be a mask (B, H, W), found {tuple(mask.shape)}")
    (count, height, width), shape = tuple(images.shape[:3]), tuple(mask.shape)
    if shape[1:] != (height, width):
        raise RuntimeError(
            f"{name} is {shape[2]}x{shape[1]}, image is {width}x{height}; paint the {name} at the "
            f"image's size (nothing is resized, because a resized {name} has other edges)"
        )
    if shape[0] not in (1, count):
        noun = "trimaps" if name == "trimap" else f"{name} masks"
        raise RuntimeError(
            f"{shape[0]} {noun} for {count} images: give one for each image, or one for all"
        )
    return mask


def _solve(
    vfxmatte: Any,
    images: Any,
    masks: dict[str, Any],
    mattes: np.ndarray,
    options: dict[str, Any],
) -> None:
    """Solve every image into its place in `mattes`, `_AHEAD` jobs at a time."""
    count, height, width = mattes.shape
    progress = host.Progress(count)
    waiting: deque[tuple[int, Any]] = deque()
    try:
        for number in range(count):
            job = vfxmatte.start_matte_pixels(
                image=_buffer(images[number]),
                **{name: _buffer(mask[min(number, len(mask) - 1)]) for name, mask in masks.items()},
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
    except client.package().ClientError as error:
        raise RuntimeError(f"image {number + 1} of {len(mattes)}: {error}") from error
    mattes[number] = np.frombuffer(pixels, np.float32).reshape(mattes.shape[1:])
    waiting.popleft()
    progress.show(number + 1, len(mattes))


def _buffer(tensor: Any) -> np.ndarray:
    """Return a tensor's values as contiguous float32 on the CPU."""
    return np.ascontiguousarray(tensor.detach().float().cpu().numpy())
