"""Pictures of placed shapes, with edges smoothed over one pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .scenes import HALF_EXTENT, RGB, Placed

Array = NDArray[np.float32]
Offsets = NDArray[np.floating]


def _triangle(dx: Offsets, dy: Offsets, half_width: float, half_height: float) -> Offsets:
    """Largest of the three edge distances of a triangle that points up."""
    slope = math.hypot(2 * half_height, half_width)
    side = (2 * half_height * np.abs(dx) - half_width * (dy + half_height)) / slope
    return np.maximum(side, dy - half_height)


def signed_distance(kind: str, dx: Offsets, dy: Offsets, radius: float) -> Offsets:
    """Distance to a shape's outline, negative inside; offsets are from its box's centre."""
    half_width, half_height = (radius * extent for extent in HALF_EXTENT[kind])
    if kind == "circle":
        return np.sqrt(dx * dx + dy * dy) - radius
    if kind == "square":
        return np.maximum(np.abs(dx) - half_width, np.abs(dy) - half_height)
    return _triangle(dx, dy, half_width, half_height)


def coverage(placed: Placed, size: int) -> Array:
    """Share of each pixel inside the shape, (size, size) in [0, 1]."""
    centres = (np.arange(size, dtype=np.float32) + 0.5) / size
    dx, dy = centres[None, :] - placed.x, centres[:, None] - placed.y
    distance = signed_distance(placed.shape.kind, dx, dy, placed.radius)
    return np.clip(0.5 - distance * size, 0.0, 1.0).astype(np.float32)


def render(ground: str, shapes: Sequence[Placed], size: int) -> tuple[Array, Array]:
    """RGB (3, size, size) in [0, 1] and the cover of all shapes (size, size) in [0, 1]."""
    picture = np.empty((3, size, size), dtype=np.float32)
    picture[:] = np.asarray(RGB[ground], dtype=np.float32)[:, None, None] / 255
    cover = np.zeros((size, size), dtype=np.float32)
    for placed in shapes:
        alpha = coverage(placed, size)
        colour = np.asarray(RGB[placed.shape.colour], dtype=np.float32)[:, None, None] / 255
        picture += alpha * (colour - picture)
        cover = np.maximum(cover, alpha)
    return picture, cover
