"""A small plotting canvas on Pillow alone: drawn three times as large, then reduced."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

Point = tuple[float, float]
Box = tuple[float, float, float, float]
Colour = tuple[int, int, int]
Shape = Literal["filled", "hollow", "small"]

SCALE = 3
PAPER = (255, 255, 255)
RADIUS, SMALL_RADIUS = 6.5, 4.0
LABEL_SIZE = 14
OFFSETS = [
    (dx, dy)
    for reach in (1.0, 1.9, 2.8, 3.7, 4.6, 5.5)
    for dx, dy in (
        (0, -15 * reach), (0, 15 * reach), (9, -14 * reach), (-9, -14 * reach),
        (9, 14 * reach), (-9, 14 * reach), (24, -14 * reach), (-24, -14 * reach),
        (24, 14 * reach), (-24, 14 * reach), (46, -14 * reach), (-46, -14 * reach),
        (46, 14 * reach), (-46, 14 * reach),
    )
]  # fmt: skip
"""Where a label's centre may stand beside its point, the best place first."""


class Canvas:
    """White paper whose lengths are pixels of the finished picture."""

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._image = Image.new("RGB", (width * SCALE, height * SCALE), PAPER)
        self._pen = ImageDraw.Draw(self._image)

    def save(self, path: Path) -> None:
        """Reduce and write; the reduction smooths every edge."""
        self._image.resize(self._size, Image.Resampling.LANCZOS).save(path, optimize=True)

    def text(
        self,
        at: Point,
        words: str,
        size: int,
        colour: Colour,
        anchor: str = "la",
        bold: bool = False,
        halo: bool = False,
    ) -> None:
        """Words at a point; the anchor is Pillow's two letters."""
        stroke = {"stroke_width": SCALE * 3, "stroke_fill": PAPER} if halo else {}
        where, font = _scaled(at), _font(size)
        self._pen.text(where, words, colour, font, anchor=anchor, **stroke)
        if bold:
            # The font that comes with Pillow has one weight: a second print makes it heavier.
            self._pen.text((where[0] + SCALE * 0.6, where[1]), words, colour, font, anchor=anchor)

    def width_of(self, words: str, size: int) -> float:
        """How wide words will be."""
        return _font(size).getlength(words) / SCALE

    def line(self, start: Point, end: Point, colour: Colour, width: float = 1.0) -> None:
        """A straight line."""
        self._pen.line([_scaled(start), _scaled(end)], colour, round(width * SCALE))

    def dot(self, at: Point, colour: Colour, shape: Shape) -> None:
        """A round marker."""
        x, y = _scaled(at)
        reach = SCALE * (SMALL_RADIUS if shape == "small" else RADIUS)
        box = (x - reach, y - reach, x + reach, y + reach)
        if shape == "hollow":
            self._pen.ellipse(box, PAPER, colour, round(2.2 * SCALE))
        else:
            self._pen.ellipse(box, colour, PAPER, round(1.2 * SCALE))


class Panel:
    """One pair of axes on a canvas.

    Args:
        canvas: what it is drawn on.
        box: left, top, right and bottom on the canvas.
        x_range: values at the left and right edge.
        y_range: values at the bottom and top edge.
    """

    def __init__(
        self, canvas: Canvas, box: Box, x_range: Point, y_range: tuple[float, float]
    ) -> None:
        self._canvas, self._box = canvas, box
        self.x_range, self._y_range = x_range, y_range
        self._taken: list[Box] = []

    def at(self, point: Point) -> Point:
        """Where a pair of values stands on the canvas."""
        left, top, right, bottom = self._box
        (x0, x1), (y0, y1) = self.x_range, self._y_range
        return (
            left + (point[0] - x0) / (x1 - x0) * (right - left),
            bottom - (point[1] - y0) / (y1 - y0) * (bottom - top),
        )

    def x_tick(self, value: float, words: str, grid: Colour, ink: Colour) -> None:
        """A vertical grid line with its value below."""
        x = self.at((value, self._y_range[0]))[0]
        self._canvas.line((x, self._box[1]), (x, self._box[3]), grid)
        self._canvas.text((x, self._box[3] + 9), words, 14, ink, anchor="ma")

    def y_tick(self, value: float, words: str, grid: Colour, ink: Colour) -> None:
        """A horizontal grid line with its value at the left."""
        y = self.at((self.x_range[0], value))[1]
        self._canvas.line((self._box[0], y), (self._box[2], y), grid)
        self._canvas.text((self._box[0] - 9, y), words, 14, ink, anchor="rm")

    def line(
        self, value: float, colour: Colour, words: str, anchor: str, dashed: bool = False
    ) -> None:
        """A horizontal reference line, named in the margin at its right."""
        left, _, right, _ = self._box
        y = self.at((self.x_range[0], value))[1]
        dash, space = (7, 5) if dashed else (right - left, 1)
        x = left
        while x < right:
            self._canvas.line((x, y), (min(x + dash, right), y), colour, 1.4)
            x += dash + space
        nudge = 3 if anchor[1] == "s" else -6
        self._canvas.text((right + 7, y + nudge), words, 13, colour, anchor=anchor)
        self._taken.append((left, y - 1, right, y + 1))

    def path(self, points: list[Point], colour: Colour) -> None:
        """A thin line through the settings of one method."""
        red, green, blue = (round(0.55 * 255 + 0.45 * part) for part in colour)
        for start, end in pairwise(points):
            self._canvas.line(self.at(start), self.at(end), (red, green, blue), 1.6)

    def marker(self, point: Point, colour: Colour, shape: Shape) -> None:
        """A point of data."""
        x, y = self.at(point)
        self._canvas.dot((x, y), colour, shape)
        self._taken.append((x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS))

    def label(self, point: Point, words: str, colour: Colour) -> None:
        """Words beside a point, where they cover nothing; further away with a leader line."""
        x, y = self.at(point)
        half = self._canvas.width_of(words, LABEL_SIZE) / 2 + 3
        boxes = [(x + dx - half, y + dy - 8, x + dx + half, y + dy + 8) for dx, dy in OFFSETS]
        box = min(boxes, key=lambda b: (self._cost(b), boxes.index(b)))
        self._taken.append(box)
        centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        corner = (min(max(x, box[0] + 3), box[2] - 3), min(max(y, box[1]), box[3]))
        distance = math.dist(corner, (x, y))
        if distance > 1.6 * RADIUS:
            inward = RADIUS / distance
            rim = (x + (corner[0] - x) * inward, y + (corner[1] - y) * inward)
            self._canvas.line(corner, rim, colour, 0.8)
        self._canvas.text(centre, words, LABEL_SIZE, colour, anchor="mm", halo=True)

    def _cost(self, box: Box) -> float:
        """Area covered of what is drawn already, and of what lies outside the panel."""
        left, top, right, bottom = self._box
        inside = _overlap(box, (left, top - 4, right + 4, bottom))
        outside = (box[2] - box[0]) * (box[3] - box[1]) - inside
        return sum(_overlap(box, other) for other in self._taken) + 10 * max(outside, 0.0)


def _overlap(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0.0) * max(height, 0.0)


def _scaled(point: Point) -> Point:
    return (point[0] * SCALE, point[1] * SCALE)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * SCALE)
