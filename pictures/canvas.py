"""White paper on Pillow alone: drawn three times as large, then reduced, which smooths edges."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFont

from .fonts import Fonts, old_mask

Point = tuple[float, float]
Box = tuple[float, float, float, float]
Colour = tuple[int, int, int]
Dash = tuple[float, ...]
"""Lengths of drawn and left-out parts by turns; empty for a whole line."""

SCALE = 3
PAPER = (255, 255, 255)
INK = (32, 34, 40)
MUTED = (90, 94, 104)
"""Words of less weight; contrast to the paper 6.6."""
GRID = (226, 228, 233)
AXIS = (140, 144, 154)
ANCHORS = {"l": 0.0, "m": 0.5, "r": 1.0, "a": 0.0, "s": 0.9}


class Canvas:
    """Paper whose lengths are pixels of the finished picture.

    Args:
        width: of the picture.
        height: of the picture.
        letters: fonts for `SCALE`.
    """

    def __init__(self, width: int, height: int, letters: Fonts) -> None:
        self.letters = letters
        self._image = Image.new("RGB", (width * SCALE, height * SCALE), PAPER)
        self._pen = ImageDraw.Draw(self._image)

    def picture(self) -> Image.Image:
        """The finished picture."""
        return self._image.reduce(SCALE)

    def text(
        self,
        at: Point,
        words: str,
        size: int,
        colour: Colour = INK,
        anchor: str = "la",
        bold: bool = False,
    ) -> None:
        """Words at a point; the anchor is Pillow's two letters, of l m r and of a m s."""
        font = self.letters.font(size)
        x, y = _scaled(at)
        if not isinstance(font, ImageFont.FreeTypeFont):
            mask = old_mask(font, words, size * SCALE)
            corner = (
                round(x - mask.width * ANCHORS[anchor[0]]),
                round(y - mask.height * ANCHORS[anchor[1]]),
            )
            self._image.paste(colour, corner, mask)
            return
        # The font has one weight: a second print makes it heavier.
        for shift in (0.0, 0.6 * SCALE) if bold else (0.0,):
            self._pen.text((x + shift, y), words, colour, font, anchor)

    def box(self, box: Box, colour: Colour) -> None:
        """A filled rectangle."""
        left, top, right, bottom = (round(edge * SCALE) for edge in box)
        if right > left and bottom > top:
            self._pen.rectangle((left, top, right - 1, bottom - 1), colour)

    def hatch(self, box: Box, paper: Colour, ink: Colour, spacing: float = 6.0) -> None:
        """A rectangle filled with diagonal lines."""
        left, top, right, bottom = (round(edge * SCALE) for edge in box)
        if right <= left or bottom <= top:
            return
        tile = Image.new("RGB", (right - left, bottom - top), paper)
        pen = ImageDraw.Draw(tile)
        reach = round(spacing * SCALE)
        for x in range(-tile.height, tile.width + reach, reach):
            pen.line((x - SCALE, tile.height + SCALE, x + tile.height + SCALE, -SCALE), ink, SCALE)
        self._image.paste(tile, (left, top))

    def picture_in(self, box: Box, picture: Image.Image) -> None:
        """A picture that fills a rectangle: pixels stay sharp where it is made larger."""
        left, top, right, bottom = (round(edge * SCALE) for edge in box)
        size = (right - left, bottom - top)
        is_larger = size[0] // SCALE >= picture.width
        how = Image.Resampling.NEAREST if is_larger else Image.Resampling.LANCZOS
        self._image.paste(picture.resize(size, how), (left, top))

    def triangle(self, at: Point, size: float, colour: Colour) -> None:
        """A filled triangle that points up; `at` is the middle of its lower side."""
        x, y = at
        corners = [(x - size / 2, y), (x + size / 2, y), (x, y - size)]
        self._pen.polygon([_scaled(corner) for corner in corners], colour)

    def dot(self, at: Point, radius: float, colour: Colour, rim: float = 1.0) -> None:
        """A round mark with a white rim."""
        x, y = _scaled(at)
        for reach, fill in (((radius + rim) * SCALE, PAPER), (radius * SCALE, colour)):
            self._pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill)

    def path(
        self, points: Sequence[Point], colour: Colour, width: float = 1.0, dash: Dash = ()
    ) -> None:
        """A line through points."""
        for part in _dashes(points, dash) if dash else (points,):
            self._pen.line([_scaled(p) for p in part], colour, round(width * SCALE), "curve")


def pale(colour: Colour, share: float) -> Colour:
    """A colour mixed with white; `share` 0 … 1 of it is left."""
    red, green, blue = (round(255 + share * (part - 255)) for part in colour)
    return red, green, blue


def _dashes(points: Sequence[Point], dash: Dash) -> Iterator[list[Point]]:
    """The drawn parts of a dashed line, each a short line of its own."""
    turn, left = 0, dash[0]
    part: list[Point] = list(points[:1])
    for start, end in pairwise(points):
        length = math.dist(start, end)
        done = 0.0
        while length - done > left:
            done += left
            share = done / length
            at = (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]))
            if turn % 2 == 0:
                yield [*part, at]
            turn += 1
            left = dash[turn % len(dash)]
            part = [at]
        left -= length - done
        part.append(end)
    if turn % 2 == 0 and len(part) > 1:
        yield part


def _scaled(point: Point) -> Point:
    return (point[0] * SCALE, point[1] * SCALE)
