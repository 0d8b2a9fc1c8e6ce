"""The contact sheet: a row per method, a column per model, with what was gained."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

SIDE = 256
MARGIN = 20
LABEL = 60
HEADING = 34
NAMES = 190
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


def contact_sheet(
    columns: Sequence[str], rows: Sequence[tuple[str, Mapping[str, Tile]]]
) -> Image.Image:
    """Arrange tiles in a table.

    Args:
        columns: models.
        rows: name of each method, and its tile for every model that it ran on.
    """
    row_height = SIDE + LABEL + MARGIN
    width = NAMES + len(columns) * (SIDE + MARGIN)
    height = MARGIN + HEADING + len(rows) * row_height
    sheet = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    heading, title, details = (ImageFont.load_default(size) for size in (20, 17, 14))
    lefts = {column: NAMES + place * (SIDE + MARGIN) for place, column in enumerate(columns)}
    for column, left in lefts.items():
        draw.text((left, MARGIN), column, TITLE, heading)
    for row, (name, tiles) in enumerate(rows):
        top = MARGIN + HEADING + row * row_height
        draw.text((MARGIN, top), name, TITLE, heading)
        for column, tile in tiles.items():
            left = lefts[column]
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
