"""The picture of a help page: a row per caption, a column per setting, with what was measured.

Imported where the pack is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from demonstration.measure import psnr
from numpy.typing import NDArray
from PIL import Image
from stepcache.pictures.canvas import AXIS, INK, MUTED, SCALE, Canvas, Colour, Point
from stepcache.pictures.fonts import Fonts, shown

from demo.shapes.judge import judge

SIDE, GAP, MARGIN = 120, 8, 8
HEADING_SIZE, CAPTION_SIZE, BELOW_SIZE = 19, 16, 17
"""Of letters; a help panel may be half as wide as the picture."""
LINE, SPACE = 22, 8
RED = (168, 24, 24)


@dataclass(frozen=True, slots=True)
class Column:
    """The pictures of one setting.

    Args:
        heading: what stands above it.
        speed: what was measured; empty for the plain pictures.
        pictures: one per caption, (height, width, 3), 8 bits.
    """

    heading: str
    speed: str
    pictures: Sequence[NDArray[Any]]


def draw(captions: Sequence[str], columns: Sequence[Column]) -> Image.Image:
    """The whole picture; the first column is the plain model's."""
    letters = Fonts(SCALE)
    lefts = [MARGIN + number * (SIDE + GAP) for number in range(len(columns))]
    width = lefts[-1] + SIDE + MARGIN
    headings = [
        [*letters.wrapped(one.heading, HEADING_SIZE, SIDE, 3), shown(one.speed)] for one in columns
    ]
    wrapped = [letters.wrapped(text, CAPTION_SIZE, width - 2 * MARGIN, 2) for text in captions]
    tops = [MARGIN + LINE * max(map(len, headings)) + SPACE]
    for lines in wrapped:
        tops.append(tops[-1] + LINE * len(lines) + SIDE + LINE + 2 * SPACE)
    canvas = Canvas(width, tops[-1], letters)
    for left, lines in zip(lefts, headings, strict=True):
        _write(canvas, (left, MARGIN), lines, HEADING_SIZE, INK)
    for row, (text, lines) in enumerate(zip(captions, wrapped, strict=True)):
        _write(canvas, (MARGIN, tops[row]), lines, CAPTION_SIZE, MUTED)
        top = tops[row] + LINE * len(lines)
        for left, column in zip(lefts, columns, strict=True):
            canvas.box((left - 1, top - 1, left + SIDE + 1, top + SIDE + 1), AXIS)
            picture = Image.fromarray(column.pictures[row])
            canvas.picture_in((left, top, left + SIDE, top + SIDE), picture)
            one, other = (each.pictures[row] / 255.0 for each in (columns[0], column))
            words = [] if column is columns[0] else [f"{psnr(one, other):.1f} dB"]
            is_right = judge(other, text).correct
            below = " ".join(words if is_right else [*words, "wrong"])
            _write(canvas, (left, top + SIDE + 4), [below], BELOW_SIZE, INK if is_right else RED)
    return canvas.picture()


def _write(canvas: Canvas, at: Point, lines: Sequence[str], size: int, colour: Colour) -> None:
    for number, words in enumerate(lines):
        place = (at[0], at[1] + LINE * number)
        canvas.text(place, words, size, colour, bold=size == HEADING_SIZE)
