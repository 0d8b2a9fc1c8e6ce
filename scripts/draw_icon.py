"""Draws docs/icon.png and docs/banner.png: `python scripts/draw_icon.py`. Needs Pillow alone.

Both show what the pack's nodes show: a strip of steps, tall where they compute and low where they
reuse, in the same colours.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont
from setup.layout import ROOT

COMPUTED, REUSED = (59, 130, 208), (176, 125, 10)
"""Those of the strip in web/js/strip_view.js."""
PAPER, INK, MUTED = (24, 27, 34), (240, 242, 246), (160, 166, 178)
FINER = 4
"""Everything is drawn that many times as large, then reduced, which smooths edges."""

ICON_SIZE = (400, 400)
BANNER_SIZE = (1280, 549)
"""21 : 9, as the registry shows it."""
BANNER_STRIPS = (
    "CRRCRRCRRCRRCRRCRRCRRCRRC",
    "CCCCCRCRCRCRCRCRCRCRCRCCC",
    "CCCCRRCRRRRRCRRRRRCRRRRCC",
    "CCCCCCCCCCCCCCCCCCRRRRRRR",
)
"""Plans of 25 steps: DeepCache's deep branch, PAB's self- and cross-attention, T-GATE's."""


@dataclass(frozen=True)
class Strip:
    """Where a row of bars stands, in pixels of the finished picture.

    Args:
        left: of the first bar.
        bottom: of all bars.
        pitch: from bar to bar.
        height: of a computed bar.
        radius: of the bars' corners.
    """

    left: float
    bottom: float
    pitch: float
    height: float
    radius: float

    def draw(self, pen: ImageDraw.ImageDraw, letters: str) -> None:
        """Draw a bar for each letter: C is computed, R reused."""
        for step, letter in enumerate(letters):
            left = self.left + step * self.pitch
            height = self.height * (1.0 if letter == "C" else 0.3)
            box = (left, self.bottom - height, left + 0.8 * self.pitch, self.bottom)
            pen.rounded_rectangle(
                [FINER * edge for edge in box],
                FINER * self.radius,
                COMPUTED if letter == "C" else REUSED,
            )


def main() -> int:
    """Draw both. Returns the exit status."""
    for name, picture in (("icon", icon()), ("banner", banner())):
        path = ROOT / "docs" / f"{name}.png"
        picture.save(path, optimize=True)
        print(f"{path.relative_to(ROOT)}: {picture.width} x {picture.height}")
    return 0


def icon() -> Image.Image:
    """An interval of three on a rounded tile; so few bars that they are told apart at 16 pixels."""
    width, height = (FINER * side for side in ICON_SIZE)
    picture = Image.new("RGBA", (width, height))
    pen = ImageDraw.Draw(picture)
    pen.rounded_rectangle((0, 0, width - 1, height - 1), FINER * 80, PAPER)
    Strip(left=53.6, bottom=320, pitch=61, height=240, radius=11).draw(pen, "CRRCR")
    return picture.reduce(FINER)


def banner() -> Image.Image:
    """The name above four strips of one run."""
    picture = Image.new("RGB", (FINER * BANNER_SIZE[0], FINER * BANNER_SIZE[1]), PAPER)
    pen = ImageDraw.Draw(picture)
    _write(pen, (80, 44), "Step Cache", 76, INK)
    _write(pen, (83, 140), "the same picture, computed less often", 30, MUTED)
    for row, letters in enumerate(BANNER_STRIPS):
        Strip(80, bottom=280 + row * 68, pitch=45, height=50, radius=5).draw(pen, letters)
    return picture.reduce(FINER)


def _write(
    pen: ImageDraw.ImageDraw,
    at: tuple[int, int],
    words: str,
    size: int,
    colour: tuple[int, int, int],
) -> None:
    font = ImageFont.load_default(FINER * size)
    pen.text((FINER * at[0], FINER * at[1]), words, colour, font)


if __name__ == "__main__":
    sys.exit(main())
