"""Pictures of scenes: 64 x 64 pixels, of which each belongs to ground, pattern or letter alone.

What a caption leaves open is drawn at random: the phase of each pattern, every grain, shades of
colours, and the side that the light comes from.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .motifs import FABRIC, GRAIN, GRAIN_SHARE, Mask, letter, phases
from .scenes import Fabric, Scene

Array = NDArray[np.float32]

SIDE = 2 * FABRIC
LOW, HIGH = 0.12, 0.88
RGB: dict[str, tuple[float, float, float]] = {
    "red": (HIGH, LOW, LOW),
    "green": (LOW, HIGH, LOW),
    "blue": (LOW, LOW, HIGH),
    "yellow": (HIGH, HIGH, LOW),
    "magenta": (HIGH, LOW, HIGH),
    "cyan": (LOW, HIGH, HIGH),
    "black": (LOW, LOW, LOW),
    "white": (HIGH, HIGH, HIGH),
}
SHADE = 0.06
DIMMED = 0.15
GROUND_HEIGHT, PATTERN_HEIGHT, LETTER_HEIGHT = 0.0, 0.5, 1.0


def _pattern(name: str, rng: np.random.Generator) -> Mask:
    if name == GRAIN:
        return rng.random((FABRIC, FABRIC)) < GRAIN_SHARE
    ways = phases(name)
    return ways[int(rng.integers(len(ways)))]


def _shade(colour: str, rng: np.random.Generator) -> Array:
    shade = np.asarray(RGB[colour]) + rng.uniform(-SHADE, SHADE, 3)
    return shade.astype(np.float32)[:, None, None]


def weave(fabric: Fabric, rng: np.random.Generator) -> tuple[Array, Array]:
    """RGB (3, FABRIC, FABRIC) in [0, 1] and heights (FABRIC, FABRIC) of one fabric, unlit."""
    pattern = _pattern(fabric.pattern, rng)
    rgb = np.where(pattern, _shade(fabric.colour, rng), _shade(fabric.ground, rng))
    height = np.where(pattern, np.float32(PATTERN_HEIGHT), np.float32(GROUND_HEIGHT))
    if fabric.letter:
        inked = letter(fabric.letter)
        rgb = np.where(inked, _shade(fabric.ink, rng), rgb)
        height = np.where(inked, np.float32(LETTER_HEIGHT), height)
    return rgb, height


def _light(rng: np.random.Generator) -> Array:
    """Brightness (SIDE, SIDE): 1 in one corner or side, falling evenly by DIMMED to the other."""
    angle = rng.uniform(0, 2 * np.pi)
    at = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE - 0.5
    ramp = np.cos(angle) * at[None, :] + np.sin(angle) * at[:, None]
    ramp = ramp / (abs(np.cos(angle)) + abs(np.sin(angle))) + 0.5
    return (1 - DIMMED * ramp).astype(np.float32)


def render(scene: Scene, rng: np.random.Generator) -> tuple[Array, Array]:
    """RGB (3, SIDE, SIDE) in [0, 1] and heights (SIDE, SIDE): ground, pattern or letter."""
    rgb = np.empty((3, SIDE, SIDE), dtype=np.float32)
    height = np.empty((SIDE, SIDE), dtype=np.float32)
    for number, fabric in enumerate(scene.fabrics):
        top, left = number // 2 * FABRIC, number % 2 * FABRIC
        part = (slice(top, top + FABRIC), slice(left, left + FABRIC))
        rgb[(slice(None), *part)], height[part] = weave(fabric, rng)
    return rgb * _light(rng), height
