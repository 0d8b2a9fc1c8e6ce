"""What fabrics are made of, pixel by pixel: patterns in all their phases, and letters."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .scenes import PATTERNS

Mask = NDArray[np.bool_]

FABRIC = 32
GRAIN = "grains"
GRAIN_SHARE = 0.25

# Which pixels have the pattern's colour, in one period. More of them have the ground's: so
# "red on blue" never looks like "blue on red". Periods are 4 or 8, as the UNet halves its maps.
_PERIODS = {
    "level lines": ("#", ".", ".", "."),
    "upright lines": ("#...",),
    "rising lines": ("...#", "..#.", ".#..", "#..."),
    "falling lines": ("#...", ".#..", "..#.", "...#"),
    "zigzags": ("#...#...", ".#.....#", "..#...#.", "...#.#.."),
    "dots": ("##..", "##..", "....", "...."),
    "grids": ("####", "#...", "#...", "#..."),
    "bricks": (*("########", *["#......."] * 3), *("########", *["....#..."] * 3)),
    "weaves": (
        *("###.#.#.", "....#.#.", "###.#.#.", "........"),
        *("#.#.###.", "#.#.....", "#.#.###.", "........"),
    ),
}
_FINE = 8
_SIZE = 22
_STROKE = 5


def _motif(pattern: str) -> Mask:
    return np.array([[mark == "#" for mark in row] for row in _PERIODS[pattern]])


@lru_cache
def phases(pattern: str) -> Mask:
    """Every way in which a regular pattern can lie, (phases, FABRIC, FABRIC)."""
    motif = _motif(pattern)
    height, width = motif.shape
    y, x = np.arange(FABRIC)[:, None], np.arange(FABRIC)[None, :]
    rolled = (
        motif[(y + down) % height, (x + right) % width]
        for down in range(height)
        for right in range(width)
    )
    return np.stack(list({mask.tobytes(): mask for mask in rolled}.values()))


@lru_cache
def letter(name: str) -> Mask:
    """A letter in the middle of a fabric, (FABRIC, FABRIC), in Pillow's own font."""
    side = FABRIC * _FINE
    fine = Image.new("L", (side, side))
    font = ImageFont.load_default(_SIZE * _FINE)
    ImageDraw.Draw(fine).text(
        (side // 2, side // 2), name, fill=255, font=font, anchor="mm", stroke_width=_STROKE
    )
    return np.asarray(fine.reduce(_FINE)) > 127


REGULAR = tuple(name for name in PATTERNS if name != GRAIN)
