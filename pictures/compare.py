"""Two pictures side by side, and where they differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .canvas import AXIS, INK, MUTED, SCALE, Canvas
from .fonts import Fonts, percent
from .metrics import Pixels

MARGIN, GAP = 20, 12
NARROWEST, WIDEST = 256, 512
"""Width of one of the three pictures."""
TITLE_SIZE, TEXT_SIZE = 18, 15
LINE = 21
BAR = 12
FAINTEST = 1 / 255
"""The heat map's scale ends at the largest difference, but not below a step of 8 bits."""

HEAT = ((0.00, (0, 0, 4)), (0.25, (87, 16, 110)), (0.5, (188, 55, 84)), (0.75, (249, 142, 9)),
        (1.0, (252, 255, 164)))  # fmt: skip
"""From dark to light, so that it needs no colour vision. Points of matplotlib's "inferno"."""


def draw_compare(
    plain: Pixels, cached: Pixels, names: tuple[str, str], lines: Sequence[str]
) -> Image.Image:
    """Both pictures and a heat map of their difference in one labelled row.

    Args:
        plain, cached: (height, width, 3), values in [0, 1].
        names: what stands above each of them.
        lines: what stands below.
    """
    height, width = plain.shape[:2]
    wide = min(max(width, NARROWEST), WIDEST)
    high = max(round(wide * height / width), 1)
    total = 2 * MARGIN + 3 * wide + 2 * GAP
    letters = Fonts(SCALE)
    wrapped = [
        part for line in lines for part in letters.wrapped(line, TEXT_SIZE, total - 2 * MARGIN, 3)
    ]
    top = MARGIN + 28
    bottom = top + high
    canvas = Canvas(total, round(bottom + 52 + LINE * len(wrapped) + 8), letters)

    difference = np.abs(plain - cached).max(axis=-1)
    end = max(float(difference.max()), FAINTEST)
    shown = (_pixels(plain), _pixels(cached), heat(difference / end))
    for column, (name, pixels) in enumerate(zip((*names, "difference"), shown, strict=True)):
        left = MARGIN + column * (wide + GAP)
        words = letters.fitted(name, TITLE_SIZE, wide)
        canvas.text((left, MARGIN - 4), words, TITLE_SIZE, INK, bold=True)
        canvas.box((left - 1, top - 1, left + wide + 1, bottom + 1), AXIS)
        canvas.picture_in((left, top, left + wide, bottom), Image.fromarray(pixels))
    left = MARGIN + 2 * (wide + GAP)
    ramp = heat(np.linspace(0.0, 1.0, 256)[None])
    canvas.picture_in((left, bottom + 8, left + wide, bottom + 8 + BAR), Image.fromarray(ramp))
    canvas.box((left, bottom + 8 + BAR, left + wide, bottom + 9 + BAR), AXIS)
    canvas.text((left, bottom + 24), "0", 13, MUTED)
    canvas.text((left + wide, bottom + 24), f"{percent(end)} of the range", 13, MUTED, "ra")
    for number, words in enumerate(wrapped):
        canvas.text((MARGIN, bottom + 50 + LINE * number), words, TEXT_SIZE, INK)
    return canvas.picture()


def heat(shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Colours of shares 0 … 1; shape (height, width) becomes (height, width, 3)."""
    points = [point for point, _ in HEAT]
    channels = [
        np.interp(shares, points, [colour[channel] for _, colour in HEAT]) for channel in range(3)
    ]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def _pixels(picture: Pixels) -> NDArray[np.uint8]:
    return (np.clip(picture, 0.0, 1.0) * 255).round().astype(np.uint8)
