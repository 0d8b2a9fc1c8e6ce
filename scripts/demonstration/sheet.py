"""The contact sheet: a row per model, plain first, then each method, with what it gained."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

SIDE = 256
MARGIN = 20
LABEL = 66
HEADING = 34
BACKGROUND = (24, 26, 30)
FRAME = (62, 66, 74)
TITLE = (242, 243, 245)
DETAIL = (170, 176, 186)
SHOWN_FRAMES = 4
FRAME_GAP = 4


@dataclass(frozen=True, slots=True)
class Tile:
    """One picture, or the frames of one clip, with two lines below.

    Args:
        pictures: encoded pictures.
        title: the first line.
        details: the second line.
    """

    pictures: Sequence[bytes]
    title: str
    details: str


def contact_sheet(rows: Sequence[tuple[str, Sequence[Tile]]]) -> Image.Image:
    """Arrange tiles on an aligned grid.

    Args:
        rows: heading and tiles of each row.
    """
    columns = max(len(tiles) for _, tiles in rows)
    row_height = HEADING + SIDE + LABEL + MARGIN
    width = MARGIN + columns * (SIDE + MARGIN)
    sheet = Image.new("RGB", (width, MARGIN + len(rows) * row_height), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    heading, title, details = (ImageFont.load_default(size) for size in (20, 17, 14))
    for row, (name, tiles) in enumerate(rows):
        top = MARGIN + row * row_height
        draw.text((MARGIN, top), name, TITLE, heading)
        top += HEADING
        for column, tile in enumerate(tiles):
            left = MARGIN + column * (SIDE + MARGIN)
            draw.rectangle((left - 1, top - 1, left + SIDE, top + SIDE), outline=FRAME)
            sheet.paste(mosaic(tile.pictures), (left, top))
            draw.text((left, top + SIDE + 8), tile.title, TITLE, title)
            draw.text((left, top + SIDE + 32), tile.details, DETAIL, details)
    return sheet


def mosaic(pictures: Sequence[bytes]) -> Image.Image:
    """One square of SIDE pixels: a picture, or four frames spread evenly over a clip."""
    if len(pictures) < SHOWN_FRAMES:
        return _square(pictures[0], SIDE)
    half = (SIDE - FRAME_GAP) // 2
    square = Image.new("RGB", (SIDE, SIDE), BACKGROUND)
    for place in range(SHOWN_FRAMES):
        number = round(place * (len(pictures) - 1) / (SHOWN_FRAMES - 1))
        corner = (place % 2 * (half + FRAME_GAP), place // 2 * (half + FRAME_GAP))
        square.paste(_square(pictures[number], half), corner)
    return square


def _square(data: bytes, side: int) -> Image.Image:
    with Image.open(io.BytesIO(data)) as picture:
        fitted = picture.convert("RGB")
    fitted.thumbnail((side, side))
    square = Image.new("RGB", (side, side), BACKGROUND)
    square.paste(fitted, ((side - fitted.width) // 2, (side - fitted.height) // 2))
    return square
